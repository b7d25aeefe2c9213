"""The door to the compiler: runs a Program, compiled on its first run, or with NumPy where that cannot be.

Nothing is imported here that needs LLVM: a process that never runs a Program does not load it.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.compile import locks
from funcgrad.compile.nans import check_result
from funcgrad.core.program import Program
from funcgrad.core.tracing import run
from funcgrad.ops.families import LazyModule
from funcgrad.transforms.call import run_with

if TYPE_CHECKING:
    from funcgrad.compile.executor import Executable

native: Any = LazyModule("funcgrad.compile.native")
executor: Any = LazyModule("funcgrad.compile.executor")
cache: Any = LazyModule("funcgrad.compile.cache")
subprocess: Any = LazyModule("subprocess")
json: Any = LazyModule("json")
_KEY = "executable"
_TIER = "tier"
_in_tiers: dict[int, Program] = {}
"""The Programs that a thread of this process is preparing for tiered execution, by their id."""
nan_checks = False
"""Whether every result is searched for nan (`debug_nans`); set through `check_nans`. Who runs a compiled program without
`execute` asks it first."""


def check_nans(on: bool) -> bool:
    """Switches the search for nan on or off; gives what it was."""
    global nan_checks
    before, nan_checks = nan_checks, on
    return before


def executable(program: Program) -> Executable | None:
    """The compiled form of a Program, made once; None where this machine or this Program can have none."""
    found = program.cache.get(_KEY, _KEY)
    if found is not _KEY:
        return found
    with locks.compiling:
        if _KEY not in program.cache:
            program.cache[_KEY] = _compiled(program)
        return program.cache[_KEY]


def compiled(program: Program) -> Executable | None:
    """The compiled form of a Program that has run; None if it has none."""
    found = program.cache.get(_KEY)
    return found if found != _KEY else None


def executable_when_ready(program: Program) -> Executable | None:
    """The compiled form, or None while another process makes its code: tiered execution. The first call starts it."""
    found = program.cache.get(_KEY, _KEY)
    if found is not _KEY:
        return found
    with locks.compiling:
        if program.cache.get(_TIER) is None:
            thread = threading.Thread(target=_compile_elsewhere, args=(program,), daemon=True, name="funcgrad-tier")
            program.cache[_TIER] = thread
            _in_tiers[id(program)] = program
            thread.start()
    return None


def _compile_elsewhere(program: Program) -> None:
    """Has a worker process compile a Program's kernels into the disk cache, then loads them."""
    with locks.tiering:
        made = _compiled(program, load=False)
        worker = _start_worker(made.plan.texts()) if made is not None else None
    if worker is not None:
        worker.wait()
    with locks.tiering:
        # A worker that failed leaves the disk as it was, and `load` compiles here.
        if _KEY not in program.cache:
            program.cache[_KEY] = made if made is None else _loaded(made)
        _in_tiers.pop(id(program), None)


def _start_worker(texts: list[str]) -> Any:
    """The process that compiles these kernels; None if there can be none, or nowhere to keep its work."""
    if cache.directory() is None:
        return None
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    try:
        # A file, not a pipe: a child forked meanwhile would hold a pipe open, and the worker wait for its end.
        with tempfile.TemporaryFile() as file:
            file.write(json.dumps(texts).encode())
            file.seek(0)
            return subprocess.Popen(
                [sys.executable, "-m", "funcgrad.compile.worker"],
                stdin=file,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
    except OSError:
        return None


def _forget_tiers() -> None:
    """In a forked child: the threads of tiered execution stayed in the parent, so the next call starts another."""
    for program in _in_tiers.values():
        program.cache.pop(_TIER, None)
    _in_tiers.clear()


def _loaded(made: Executable) -> Executable | None:
    return _or_none(made.program, made.load, made)


def _compiled(program: Program, load: bool = True) -> Executable | None:
    with _no_collections():
        if native.native() is None:
            return None
        return _or_none(program, lambda: executor.Executable(program, load))


@contextmanager
def _no_collections() -> Iterator[None]:
    """Without searches for garbage: the imports before a first result start twenty, a tenth of its time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _or_none(program: Program, make: Callable[[], Any], result: Any = None) -> Any:
    """What `make` gives (or `result`); None, with a warning, where it fails: then NumPy runs the Program."""
    try:
        made = make()
    except MemoryError:
        raise
    except Exception as error:
        warnings.warn(
            f"funcgrad could not compile {program.name} ({type(error).__name__}: {error}); NumPy runs it, with the same result.",
            stacklevel=2,
        )
        return None
    return made if result is None else result


tiered: list[bool] = [os.environ.get("FUNCGRAD_TIERED", "") not in ("", "0")]
"""The setting for Programs that are not told: whether the first calls run with NumPy while another process compiles."""


def execute(
    program: Program, *values: Any, donated: frozenset[int] = frozenset(), in_tiers: bool | None = None
) -> list[Any]:
    """The outputs of a Program for un-traced values; the memory of the `donated` ones (by number) may serve for outputs."""
    wait = tiered[0] if in_tiers is None else in_tiers
    compiled = executable_when_ready(program) if wait else executable(program)
    if compiled is None:
        outs = interpret(program, values)
    else:
        try:
            # A search for nan needs the arguments as they were.
            found = compiled(values, frozenset() if nan_checks else donated)
        except MemoryError:
            raise MemoryError(compiled.too_large()) from None
        outs = [o.item() if t.weak else o for o, t in zip(found, program.out_types, strict=True)]
    if nan_checks:
        check_result(program, values, outs)
    return outs


def interpret(program: Program, values: Sequence[Any]) -> list[Any]:
    """The outputs by NumPy, equation by equation."""
    with np.errstate(all="ignore"):
        return run(program, *values)


run_with(execute)
locks.after_fork_in_child(_forget_tiers)
