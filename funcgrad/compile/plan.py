"""Steps -> memory: which buffer each value lies in, how long it is needed, and where in the one arena it goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from funcgrad.core.program import Var

ALIGNMENT = 64


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
