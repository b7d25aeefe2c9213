"""Pieces of LLVM assembly that the runtime and the functions for other compiled code are written with."""

from __future__ import annotations


def load_word(name: str, base: str, index: int | str) -> str:
    """%name = the 64-bit word at `index` behind the pointer `base`."""
    return f"  %{name}.p = getelementptr i64, ptr {base}, i64 {index}\n  %{name} = load i64, ptr %{name}.p\n"


def load_pointer(name: str, base: str, index: int | str) -> str:
    """%name = the address at `index` behind the pointer `base`."""
    return load_word(f"{name}.w", base, index) + f"  %{name} = inttoptr i64 %{name}.w to ptr\n"
