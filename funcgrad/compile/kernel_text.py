"""The small parts of a kernel's text: names of dtypes and functions, conversions, steps of reductions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from funcgrad.core.lowering import Reduction


def suffix(dtype: np.dtype) -> str:
    """f32, i64, b8, ...: how the functions of kernels name a dtype."""
    return "b8" if dtype.kind == "b" else f"{dtype.kind}{dtype.itemsize * 8}"


GENERIC = frozenset("where absolute copysign floor ceil trunc rint sqrt maximum minimum".split())
"""Functions of kernels that are one machine instruction, for any dtype."""


def function_name(key: str, dtype: np.dtype) -> str:
    """What a function or constant of an expression is called in the dtype that it computes in."""
    kind = suffix(dtype)
    if key in ("one", "zero"):
        return f"{kind}({int(key == 'one')})"
    if key == "inf":
        return f"{kind}(inf)"
    return key if key in GENERIC else f"{key}_{kind}"


def cast(text: str, have: np.dtype, want: np.dtype) -> str:
    """A value converted as NumPy converts it."""
    if have == want:
        return text
    if want.kind == "b":
        return f"({text} != {suffix(have)}(0))"
    return f"{suffix(want)}({text})"


def block(header: str, body: Sequence[str]) -> list[str]:
    """Lines under a header, indented."""
    return [header, *[f"    {line}" for line in body]]


def start_of(kernel: Reduction, dtype: np.dtype) -> str:
    """The text of what a reduction starts from."""
    if dtype.kind == "b":
        return "True" if kernel.start == "ones" else "False"
    if kernel.start in ("lowest", "highest") and dtype.kind in "iu":
        info = np.iinfo(dtype)
        return f"{suffix(dtype)}({info.min if kernel.start == 'lowest' else info.max})"
    number = {"zero": "0", "one": "1", "ones": "-1", "lowest": "-inf", "highest": "inf"}[kernel.start]
    return f"{suffix(dtype)}({number})"


_OPERATORS = {"and": "&", "or": "|", "xor": "^"}


def combined(kernel: Reduction, dtype: np.dtype, a: str, b: str) -> str:
    """The text of one step of a reduction. Floating sums may be done in any order, so that they become vectors."""
    if kernel.combine in _OPERATORS:
        text = f"{a} {_OPERATORS[kernel.combine]} {b}"
    elif kernel.combine in ("add", "mul"):
        sign = "+" if kernel.combine == "add" else "*"
        text = f"any_order_{kernel.combine}({a}, {b})" if dtype.kind == "f" else f"{a} {sign} {b}"
    else:
        text = f"{kernel.combine}({a}, {b})"
    return text if dtype.char in "fdlLqQ?" else f"{suffix(dtype)}({text})"
