"""Steps -> memory: which buffer each value lies in, how long it is needed, and where in the one arena it goes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from funcgrad.core.program import Equation, Var
from funcgrad.core.tracing import source_text

ALIGNMENT = 64
_ROOT = Path("/")
"""Where /proc and /sys lie; another place in tests."""


@dataclass(eq=False)
class Memory:
    """`places`: the byte offset in the arena of each value that is neither input, constant nor output; `size`: of the arena."""

    places: dict[Var, int] = field(default_factory=dict)
    size: int = 0


def plan_memory(uses: Sequence[tuple[Iterable[Var], Iterable[Var]]], fixed: set[Var]) -> Memory:
    """Places values in the arena from what each step reads and writes: the lowest gap among the values alive with it.

    Every value lives from the first step that names it to the last.
    """
    first: dict[Var, int] = {}
    last: dict[Var, int] = {}
    for number, (reads, writes) in enumerate(uses):
        for v in (*reads, *writes):
            if v not in fixed:
                first.setdefault(v, number)
                last[v] = number
    memory = Memory()
    ending: dict[int, list[Var]] = {}
    for v, n in last.items():
        ending.setdefault(n, []).append(v)
    starting: dict[int, list[Var]] = {}
    for v, n in first.items():
        starting.setdefault(n, []).append(v)
    alive: list[tuple[int, int, Var]] = []
    for number in range(len(uses)):
        for v in sorted(starting.get(number, ()), key=lambda v: -_bytes(v)):
            at = _gap(alive, _bytes(v))
            alive.append((at, at + _bytes(v), v))
            alive.sort(key=lambda entry: entry[0])
            memory.places[v] = at
            memory.size = max(memory.size, at + _bytes(v))
        gone = set(ending.get(number, ()))
        if gone:
            alive = [entry for entry in alive if entry[2] not in gone]
    return memory


def _bytes(v: Var) -> int:
    """The aligned size of a value."""
    return -(-max(v.type.size * v.type.dtype.itemsize, 1) // ALIGNMENT) * ALIGNMENT


def _gap(alive: Sequence[tuple[int, int, Var]], size: int) -> int:
    at = 0
    for start, stop, _ in alive:
        if start - at >= size:
            return at
        at = max(at, stop)
    return at


# ---- more than there is ----


def available_memory() -> int | None:
    """Bytes that this process can still take, by Linux's account and its control group's; None where that is not known."""
    found = []
    table = _table(_ROOT / "proc/meminfo")
    if "MemAvailable:" in table:
        found.append(1024 * (table["MemAvailable:"] + table.get("SwapFree:", 0)))
    for folder, most, now in [
        ("sys/fs/cgroup", "memory.max", "memory.current"),
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ]:
        with contextlib.suppress(OSError, ValueError):  # no such group, or its limit is "max"
            limit, used = [int((_ROOT / folder / name).read_text()) for name in (most, now)]
            stat = _table(_ROOT / folder / "memory.stat")
            found.append(limit - used + stat.get("inactive_file", 0) + stat.get("active_file", 0))
    return min(found) if found else None


def _table(path: Path) -> dict[str, int]:
    """The lines `name number ...` of a file of the system; empty if there is none."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
    except OSError:
        return {}


def too_large(name: str, memory: Memory, outputs: Sequence[Var], makers: Mapping[Var, Equation]) -> str:
    """What to say of a Program that needs more memory than there is: how much, and which values are the largest, from where."""
    results = sum(map(_bytes, outputs))
    largest = sorted(dict.fromkeys([*memory.places, *outputs]), key=_bytes, reverse=True)[:3]
    listed = "".join(
        f"\n  {v.type}, {_bytes(v) / 1e9:.2f} GB"
        + (f": {makers[v].primitive.name} at {source_text(makers[v].source)}" if v in makers else "")
        for v in largest
    )
    return (
        f"{name} needs {(memory.size + results) / 1e9:.2f} GB ({memory.size / 1e9:.2f} GB for intermediate values, "
        f"{results / 1e9:.2f} GB for its results), more than there is. The largest arrays:{listed}"
    )
