"""The registry of rows, and the timing: contestants take turns, so a slow moment of the machine meets all of them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

Setup = Callable[[], Callable[[], object]]

LIBRARIES = ("funcgrad", "numpy", "autograd", "jax", "torch", "torch_compile", "torch_last")
"""Who may take part, in the order of the table's columns. torch_compile is PyTorch's compiler, which needs a C++ compiler;
torch_last is PyTorch with images in its channels_last format."""


class Absent(Exception):
    """Raised by the setup of a contestant that cannot take part in its row; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to time. `contestants` maps a library to a setup that returns the function to call."""

    name: str
    contestants: Mapping[str, Setup]
    per: float = 1.0
    """How many units one call does (equations, steps): times are divided by it."""
    limit: float | None = None
    """What funcgrad is held to, in seconds a unit; printed beside the result, never a failure."""
    over: str | None = None
    """The library whose time is taken off before the limit is compared."""
    moved: float = 0.0
    """The bytes that any program must read and write; with `flops` it says what the machine allows."""
    flops: float = 0.0
    """Floating-point operations of the products of matrices in it, float64 ones counted twice."""


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds a unit: the smallest and the median of the turns."""

    best: float
    median: float


REST = {"torch": 0.25, "torch_compile": 0.25, "torch_last": 0.25, "jax": 0.02}
"""Seconds to wait after a library's turn: its threads go on spinning for a while, on the next one's cores."""

ROWS: list[Row] = []


def row(name: str, per: float = 1.0, limit: float | None = None, over: str | None = None, moved: float = 0.0,
        flops: float = 0.0, **contestants: Setup) -> None:  # fmt: skip
    """Adds a row. Raises ValueError for a taken name, an unknown library, or an `over` that takes no part."""
    if any(entry.name == name for entry in ROWS):
        raise ValueError(f"there is already a row named '{name}'; a row has a name of its own.")
    for library in contestants:
        if library not in LIBRARIES:
            raise ValueError(f"row '{name}' has the contestant '{library}'; write one of {', '.join(LIBRARIES)}.")
    if over is not None and over not in contestants:
        raise ValueError(f"row '{name}' is compared over '{over}', which is not one of its contestants.")
    ROWS.append(Row(name, contestants, per, limit, over, moved, flops))


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine can do: bytes a second that all cores copy (reads and writes counted), float32 operations a second."""

    bandwidth: float
    flops: float

    def least(self, entry: Row) -> float:
        """The seconds that the row takes at best; 0 where it is bound by neither."""
        return max(entry.moved / self.bandwidth, entry.flops / self.flops)


def measure_machine() -> Machine:
    """Copies 32 MB with every core, and multiplies matrices of 1024 x 1024 with NumPy and with funcgrad; the best of a few."""
    jit = importlib.import_module("funcgrad").jit
    x = np.ones(1 << 23, np.float32)
    y = np.ones((1024, 1024), np.float32)
    copy, product = jit(lambda a: a + 1), jit(lambda a: a @ a)
    return Machine(
        2 * x.nbytes / _best(lambda: copy(x)), 2 * 1024**3 / min(_best(lambda: product(y)), _best(lambda: y @ y))
    )


def _best(call: Callable[[], object], turns: int = 12) -> float:
    call()
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def installed(library: str) -> bool:
    """Whether a contestant can take part here."""
    if library == "torch_compile":
        return installed("torch") and any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++", "c++", "cl")))
    return importlib.util.find_spec("torch" if library == "torch_last" else library) is not None


def measure(entry: Row, seconds: float, rounds: int) -> dict[str, Time]:
    """Each installed contestant's time, from `rounds` turns of about `seconds` each, one contestant after the other. Who is
    Absent is left out, with a note on standard error."""
    ready = {}
    for library in LIBRARIES:
        if library not in entry.contestants or not installed(library):
            continue
        try:
            call = entry.contestants[library]()
        except Absent as reason:
            print(f"{entry.name}: without {library}: {reason}", file=sys.stderr)
            continue
        call()
        start = time.perf_counter()
        call()
        once = max(time.perf_counter() - start, 1e-7)
        ready[library] = (call, max(int(seconds / once), 1))
    times: dict[str, list[float]] = {library: [] for library in ready}
    for _ in range(rounds):
        for library, (call, count) in ready.items():
            start = time.perf_counter()
            for _ in range(count):
                call()
            times[library].append((time.perf_counter() - start) / count / entry.per)
            time.sleep(REST.get(library, 0.0) if seconds else 0.0)
    return {library: Time(min(t), statistics.median(t)) for library, t in times.items()}


def rival(found: Mapping[str, Time]) -> str | None:
    """The fastest peer; NumPy, which has no derivatives, counts as one only where no other takes part."""
    others = [library for library in found if library not in ("funcgrad", "numpy")] or [
        k for k in found if k == "numpy"
    ]
    return min(others, key=lambda library: found[library].best, default=None)
