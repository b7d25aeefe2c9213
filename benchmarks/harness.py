"""The registry of rows, and the timing: contestants take turns, so a slow moment of the machine meets all of them."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Setup = Callable[[], Callable[[], object]]


@dataclass(frozen=True)
class Row:
    """One thing to time. `contestants` maps a library to a setup that returns the function to call."""

    name: str
    contestants: dict[str, Setup]
    per: float = 1.0
    """How many units one call does (equations, calls): times are divided by it."""


ROWS: list[Row] = []


def row(name: str, per: float = 1.0, **contestants: Setup) -> None:
    """Adds a row. A contestant whose library is not installed is left out when it runs."""
    ROWS.append(Row(name, contestants, per))


def installed(library: str) -> bool:
    """Whether a contestant can take part; funcgrad and numpy always can."""
    return importlib.util.find_spec(library) is not None


def measure(entry: Row, seconds: float, rounds: int) -> dict[str, tuple[float, float]]:
    """(minimum, median) seconds per unit for each contestant, from `rounds` turns of about `seconds` each."""
    ready = {}
    for library, setup in entry.contestants.items():
        if not installed(library):
            continue
        call = setup()
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
    return {library: (min(t), statistics.median(t)) for library, t in times.items()}
