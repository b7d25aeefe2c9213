"""Machine code in this process: kernels loaded by name, the runtime, the thread pool, and the few ctypes doors to them."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcgrad.compile import cache, loader, locks, machine, runtime, runtime_pool, together
from funcgrad.core.array import Array
from funcgrad.ops.families import LazyModule

# The compiler proper: only a kernel that is on no disk needs it.
_build: Any = LazyModule("funcgrad.compile.build")
_codegen: Any = LazyModule("funcgrad.compile.codegen")
_llvm: Any = LazyModule("llvmlite.binding")
_engine: list[Any] = []
"""LLVM's loader, once it was needed. It is kept for the life of the process, as is the code."""
_addresses: dict[str, int] = {}
_ready: dict[str, bytes] = {}
"""Object files that were made together with others, by symbol, until they are loaded."""
_counts = {"compiled": 0, "loaded": 0, "shared": 0}


def compile_log() -> dict[str, int]:
    """What became of every kernel that a program of this process asked for: a dict of how many were `compiled`, how many were
    `loaded` from the cache on disk, and how many were `shared`, already known from another program or shape."""
    return dict(_counts)


@contextmanager
def prepared(texts: Sequence[str]) -> Iterator[None]:
    """Compiles those kernels that are neither known nor on disk, several at once, for the loading inside of this context."""
    missing = []
    try:
        keys = {t: cache.key_of(t) for t in texts if t not in _addresses}
        absent = cache.missing(keys.values())
        missing = [(t, _symbol(key)) for t, key in keys.items() if key in absent]
        if len(missing) > 1:
            _ready.update(together.compile_together(missing))
        yield
    finally:
        together.end()
        for _, symbol in missing:  # what another thread has loaded meanwhile
            _ready.pop(symbol, None)


def _symbol(key: str) -> str:
    return f"kernel_{key}"


def kernel_address(text: str, label: str = "kernel") -> int:
    """The address of a kernel's code: known, loaded from disk, or compiled now. Raises RuntimeError, which names the kernel by
    its `label` and a file with its text, if it cannot be compiled."""
    with locks.loading:
        found = _addresses.get(text)
        if found is not None:
            _counts["shared"] += 1
            return found
        try:
            address = load_code(text, lambda symbol: _build.compile_source(text, symbol))
        except Exception as error:
            path = cache.keep_text(cache.key_of(text), text)
            raise RuntimeError(
                f"kernel {label} could not be compiled: {type(error).__name__}: {error}; its source is in {path}"
            ) from error
        _addresses[text] = address
        return address


def load_code(text: str, make: Callable[[str], bytes], symbol: str | None = None) -> int:
    """The address of the function `symbol` (a kernel's own name by default) of a text: its code from disk, or by `make`, which
    takes the name and gives an object file. `locks.loading` is held by the caller."""
    name = symbol or _symbol(cache.key_of(text))
    return load_functions(text, make, (name,))[0]


def load_functions(text: str, make: Callable[[str], bytes], names: Sequence[str]) -> list[int]:
    """The addresses of several functions of one text, as `load_code`."""
    key = cache.key_of(text)
    code = cache.load(key)
    how = "compiled" if code is None else "loaded"
    if code is None:
        code = _ready.pop(names[0], b"") or make(names[0])
        cache.save(key, code)
    addresses = link(code, names)
    _counts[how] += 1
    return addresses


def link(code: bytes, names: Sequence[str]) -> list[int]:
    """The addresses of functions of object code, made part of this process. Raises RuntimeError if one is not in there."""
    found = loader.load(code)
    addresses = [found.get(name, 0) for name in names] if found is not None else _link_by_llvm(code, names)
    for name, address in zip(names, addresses, strict=True):
        if not address:
            raise RuntimeError(f"the loader did not find the function {name}")
    return addresses


def _link_by_llvm(code: bytes, names: Sequence[str]) -> list[int]:
    """What systems get that loader.py does not know."""
    if not _engine:
        _llvm.initialize_native_target()
        _llvm.initialize_native_asmprinter()
        _llvm.initialize_native_asmparser()
        machine = _llvm.Target.from_default_triple().create_target_machine()
        _engine.append(_llvm.create_mcjit_compiler(_llvm.parse_assembly(""), machine))
    engine = _engine[0]
    engine.add_object_file(_llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return [engine.get_function_address(name) for name in names]


# ---- the layout of arrays in memory ----


class _Offsets:
    """Where NumPy's array object keeps its fields, in bytes: the public struct behind its C API."""

    type, data, ndim, sizes, descr, flags, items, count = 8, 16, 24, 32, 56, 64, 24, 16


def offsets_hold() -> bool:
    """Whether arrays of this NumPy and Python lie in memory as `_Offsets` says. Asked once, before the first native call."""
    x = np.arange(12, dtype=np.float32).reshape(3, 4)

    def word(at: int, obj: Any = x) -> int:
        return ctypes.c_int64.from_address(id(obj) + at).value

    if (
        word(_Offsets.type) != id(np.ndarray)
        or word(_Offsets.data) != x.ctypes.data
        or word(_Offsets.descr) != id(x.dtype)
    ):
        return False
    if ctypes.c_int32.from_address(id(x) + _Offsets.ndim).value != 2:
        return False
    sizes = word(_Offsets.sizes)
    if word(_Offsets.sizes + 8) != sizes + 16:  # strides lie behind the sizes: only then is this surely a pointer
        return False
    if [ctypes.c_int64.from_address(sizes + 8 * i).value for i in range(2)] != [3, 4]:
        return False
    fresh = object()
    if ctypes.c_ssize_t.from_address(id(fresh)).value != 1:  # references are counted elsewhere, or in another way
        return False
    flags = ctypes.c_int32.from_address(id(x) + _Offsets.flags).value
    turned = ctypes.c_int32.from_address(id(x.T) + _Offsets.flags).value
    if flags & 257 != 257 or turned & 1:
        return False
    pair = (x, x)
    return word(_Offsets.items, pair) == id(x) == word(_Offsets.items + 8, pair) and word(_Offsets.count, pair) == 2


# ---- the runtime ----

ANSWERS = (id(0), id(1), id(2), int(sys.version_info < (3, 12)))
"""Words of a frame: the numbers that a call gives back, and whether Python counts who refers to them (later ones never end)."""
_ONE_ARGUMENT = 8
"""METH_O: a function that takes itself's object and one argument."""


class _MethodDef(ctypes.Structure):
    """Python's PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


# A prototype of our own: that of `pythonapi` itself is shared with everybody.
_new_method = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)


class Runtime:
    """The compiled functions of runtime.py with its parts, the pool of threads, and the cell through which frames find it."""

    def __init__(self) -> None:
        if not offsets_hold():
            raise NotImplementedError("this Python or NumPy lays out arrays in an unknown way")
        text = runtime.RUN.replace("CLOCK", str(time.CLOCK_MONOTONIC)).replace("PAUSE", _pause())
        for name, value in vars(_Offsets).items():
            text = text.replace({"type": "TYPE", "data": "DATA", "ndim": "NDIM", "sizes": "DIMS", "descr": "DESCR",
                                 "flags": "FLAGS", "items": "ITEMS", "count": "COUNT"}.get(name, "\0"), str(value))  # fmt: skip
        functions = (
            "fg_run",
            "fg_call",
            "fg_bind",
            "fg_steps",
            "fg_loop",
            "fg_switch",
            "fg_pool_init",
            "fg_pool_stop",
            "fg_worker",
        )
        found = load_functions(text, lambda _: _compile_runtime(text), functions)
        run, call, bind, steps, self.loop, self.switch, init, stop, worker = found
        c_int, c_any = ctypes.c_int64, ctypes.py_object
        self.run = ctypes.CFUNCTYPE(c_int, c_int, c_any)(run)
        self._method = _MethodDef(b"run", call, _ONE_ARGUMENT, None)
        self.bind = ctypes.CFUNCTYPE(c_int, c_int, c_any)(bind)
        self.steps = ctypes.CFUNCTYPE(c_int, c_int, c_int)(steps)
        self._init = ctypes.CFUNCTYPE(None, c_int)(init)
        self._stop = ctypes.CFUNCTYPE(None, c_int)(stop)
        self._worker = ctypes.CFUNCTYPE(None, c_int)(worker)
        self.plain, self.own = id(np.ndarray), id(Array)
        self.cell = np.zeros(1, np.int64)
        self.pools: list[np.ndarray] = []
        self.threads = self.numba_threads = allowed_threads()
        locks.after_fork_in_child(self._after_fork)

    def call_of(self, words: np.ndarray) -> Callable[[tuple[Any, ...]], int]:
        """`run` for the frame of these words, with the interpreter's lock held: a function of the kind that C extensions have,
        whose call takes a fifth of the time that ctypes takes."""
        found: Callable[[tuple[Any, ...]], int] = _new_method(ctypes.addressof(self._method), words, None)
        return found

    def _after_fork(self) -> None:
        # The child has none of the workers; ranges run alone until a new program starts a pool.
        self.cell[0] = 0

    def start_pool(self) -> None:
        """Starts the workers, unless they run or there is one thread only."""
        with locks.loading:
            if self.threads < 2 or self.cell[0]:
                return
            # Never freed: a call that began before `set_threads` may still look at it.
            pool = np.zeros(runtime_pool.POOL_WORDS, np.int64)
            self.pools.append(pool)
            address = pool.ctypes.data
            self._init(address)
            pool[43] = self.threads
            for n in range(self.threads - 1):
                worker = threading.Thread(target=self._worker, args=(address,), daemon=True, name=f"funcgrad-{n}")
                try:
                    worker.start()
                except RuntimeError:  # the system gives no more threads: fewer share the work
                    break
            self.cell[0] = address

    def set_threads(self, n: int) -> None:
        """Uses n threads from the next call on; results do not depend on n. Raises ValueError unless n is at least 1."""
        if n < 1:
            raise ValueError(f"the number of threads must be at least 1, got {n}.")
        with locks.loading:
            old = int(self.cell[0])
            if n == self.threads and (old or n == 1):
                return
            self.cell[0] = 0
            self.threads = n
            if old:
                self._stop(old)
            self.start_pool()

    def follow_numba(self) -> None:
        """Takes over what `numba.set_num_threads` set in the main thread, if it was changed since the last look."""
        numba: Any = sys.modules.get("numba")
        if numba is None or threading.current_thread() is not threading.main_thread():
            return
        try:
            # A ValueError if numba has no threads yet: then nothing was set, and asking for the number would start them.
            numba.threading_layer()
            n = numba.get_num_threads()
        except (AttributeError, ValueError):
            return
        if n != self.numba_threads:
            self.numba_threads = n
            self.set_threads(n)


def _compile_runtime(text: str) -> bytes:
    """Its object file. Kernels will follow, so the processes that compile them are started meanwhile."""
    together.start()
    code: bytes = _codegen.compile_ir(text, 0)
    return code


def _pause() -> str:
    """The instruction for a loop that waits, in this CPU's assembly."""
    machine = platform.machine().lower()
    return "pause" if machine in ("x86_64", "amd64") else "yield" if machine in ("arm64", "aarch64") else ""


def allowed_threads() -> int:
    """The threads that numba may use: NUMBA_NUM_THREADS, else the CPUs of this process."""
    named = os.environ.get("NUMBA_NUM_THREADS", "")
    if named.isdigit() and int(named) > 0:
        return int(named)
    return machine.cpus()


_runtime: list[Runtime | None] = []


def native() -> Runtime | None:
    """The runtime, made on first use; None where this machine cannot have one (kernels are then host calls)."""
    if not _runtime:
        with locks.loading:
            if not _runtime:
                try:
                    _runtime.append(Runtime())
                except (AttributeError, NotImplementedError, OSError, RuntimeError) as error:
                    _runtime.append(None)
                    warnings.warn(
                        f"funcgrad cannot run machine code here ({error}); NumPy runs every program.", stacklevel=2
                    )
    return _runtime[0]
