"""The door to the compiler: runs a Program, compiled on its first run, or with NumPy where that cannot be.

Nothing is imported here that needs LLVM: a process that never runs a Program does not load it.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.core.program import Program
from funcgrad.core.tracing import run
from funcgrad.ops.families import LazyModule
from funcgrad.transforms.call import run_with

if TYPE_CHECKING:
    from funcgrad.compile.executor import Executable

native: Any = LazyModule("funcgrad.compile.native")
executor: Any = LazyModule("funcgrad.compile.executor")
_lock = threading.RLock()
_KEY = "executable"


def executable(program: Program) -> Executable | None:
    """The compiled form of a Program, made once; None where this machine or this Program can have none."""
    found = program.cache.get(_KEY, _KEY)
    if found is not _KEY:
        return found
    with _lock:
        if _KEY not in program.cache:
            program.cache[_KEY] = _compiled(program)
        return program.cache[_KEY]


def compiled(program: Program) -> Executable | None:
    """The compiled form of a Program that has run; None if it has none."""
    found = program.cache.get(_KEY)
    return found if found != _KEY else None


def _compiled(program: Program) -> Executable | None:
    if native.native() is None:
        return None
    try:
        return executor.Executable(program)
    except MemoryError:
        raise
    except Exception as error:
        warnings.warn(
            f"funcgrad could not compile {program.name} ({type(error).__name__}: {error}); NumPy runs it, with the same result.",
            stacklevel=2,
        )
        return None


def execute(program: Program, *values: Any) -> list[Any]:
    """The outputs of a Program for un-traced values."""
    compiled = executable(program)
    if compiled is None:
        return interpret(program, values)
    try:
        outs = compiled(values)
    except MemoryError:
        raise MemoryError(compiled.too_large()) from None
    return [o.item() if t.weak else o for o, t in zip(outs, program.out_types, strict=True)]


def interpret(program: Program, values: Sequence[Any]) -> list[Any]:
    """The outputs by NumPy, equation by equation."""
    with np.errstate(all="ignore"):
        return run(program, *values)


run_with(execute)
_at_fork = getattr(os, "register_at_fork", None)
if _at_fork is not None:
    # A fork waits until no other thread compiles: the child would find LLVM and the tables half-way, and the lock taken for ever.
    _at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)
