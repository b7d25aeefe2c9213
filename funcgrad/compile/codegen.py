"""LLVM assembly -> machine code of this CPU, in an object file."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm

_lock = threading.RLock()
_machine: list[Any] = []


def target_machine() -> Any:
    """The machine code generator for this CPU, made once."""
    with _lock:
        if not _machine:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            llvm.initialize_native_asmparser()
            features = llvm.get_host_cpu_features().flatten()
            target = llvm.Target.from_default_triple()
            # Constants beside the code, where one instruction reaches them. Elsewhere the loaders may put them far away.
            near = (
                {"reloc": "pic", "codemodel": "small"} if triple().startswith("x86_64") and "linux" in triple() else {}
            )
            _machine.append(
                target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, **near)
            )
        return _machine[0]


@lru_cache(maxsize=1)
def vector_bits() -> int:
    """The width of this CPU's vector registers."""
    features = llvm.get_host_cpu_features()
    return 512 if features.get("avx512f") else 256 if features.get("avx2") else 128


@lru_cache(maxsize=1)
def triple() -> str:
    """The name of this system and CPU. Asked once: a call of LLVM waits until other threads' calls are done."""
    found: str = llvm.get_default_triple()
    return found


def compile_ir(text: str, level: int = 3) -> bytes:
    """The object file of LLVM assembly for this CPU. level: of the passes over it, 0 for what is written as it should run."""
    module = llvm.parse_assembly(text)
    with _lock:
        _optimise(module, level)
        return target_machine().emit_object(module)


def optimised_ir(text: str) -> str:
    """LLVM assembly after the passes over it, for tests and for the curious."""
    module = llvm.parse_assembly(text)
    with _lock:
        _optimise(module, 3)
    return str(module)


def _optimise(module: Any, level: int) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = level > 0
    builder = llvm.create_pass_builder(target_machine(), options)
    builder.getModulePassManager().run(module, builder)
