"""Plans -> the words that the native executor reads: steps, tables of kernels, blocks of loops and choices, patches.

Words that are addresses of other words are `Link`s until all of them are there. Where the arena's address is not known yet
(export.py), places in it are `Place`s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.compile.entries import ControlStep, HostStep, NativeStep, Plan, aligned, nbytes
from funcgrad.compile.runtime_schedule import BLOCK_WORDS, LOOP_WORDS, STEP_WORDS, SWITCH_WORDS
from funcgrad.core.program import Var

ENDLESS = 1 << 62
"""The length of a loop that ends by its condition."""


@dataclass(frozen=True, slots=True)
class Link:
    """The address of word number `to`."""

    to: int


@dataclass(frozen=True, slots=True)
class Place:
    """The address of the byte `at` of the arena."""

    at: int

    def __add__(self, more: int) -> Place:
        return Place(self.at + more)


Word = int | Link | Place
Patch = tuple[int, int, int]
"""(number of the word to set, number of the array or slot, bytes to add)."""


class WordTable:
    """Words as they are laid out."""

    def __init__(self, cells: Mapping[Var, int] | None = None) -> None:
        """`cells`: where indices out of bounds are noted, if not in the constants of the Plan."""
        self.words: list[Word] = []
        self.failed: Word = 0
        """Where code of the user's notes that it raised."""
        self.cells = cells or {}
        self.loops: dict[ControlStep | NativeStep, tuple[int, int]] = {}
        """Where the table of each loop is, and the pointers to its arguments and results."""

    def add(self, words: Sequence[Word]) -> int:
        """Appends words; gives the number of the first."""
        start = len(self.words)
        self.words.extend(words)
        return start

    def set(self, at: int, words: Sequence[Word]) -> None:
        """Overwrites words from number `at` on."""
        self.words[at : at + len(words)] = words

    def array(self) -> np.ndarray:
        """The words in memory."""
        made = np.zeros(len(self.words), np.int64)
        base = made.ctypes.data
        # No Places: the arena of a frame has an address.
        made[:] = [base + 8 * w.to if isinstance(w, Link) else w for w in self.words]  # type: ignore[assignment]
        return made

    def movable(self, tables: int) -> tuple[list[int], list[int]]:
        """The words for an arena anywhere, with the tables `tables` bytes behind its start: zero for each address in them, and a
        list of (number of the word, bytes from the start of the arena)."""
        places: list[int] = []
        for n, w in enumerate(self.words):
            if not isinstance(w, int):
                places += [n, w.at if isinstance(w, Place) else tables + 8 * w.to]
        return [w if isinstance(w, int) else 0 for w in self.words], places

    def patches(self, patches: Sequence[Patch]) -> int:
        """The rows of patches."""
        return self.add([w for at, which, offset in patches for w in (Link(at), which, offset)])

    def pointers(
        self,
        pointers: Sequence[tuple[Var, int]],
        place: Mapping[Var, Any],
        number: Mapping[Var, int],
        patches: list[Patch],
    ) -> int:
        """A word for each pointer: its address, or a patch that will set it."""
        start = self.add([0] * len(pointers))
        for n, (v, offset) in enumerate(pointers):
            if v in number:
                patches.append((start + n, number[v], offset))
            else:
                self.words[start + n] = place[v] + offset
        return start

    def steps(self, plan: Plan, place: Mapping[Var, Any], number: Mapping[Var, int], patches: list[Patch]) -> int:
        """The steps of a Plan whose Vars are at the addresses `place`, or have a `number` by which they are patched in."""
        place = {**place, **{v: c.ctypes.data for v, c in plan.constants.items()}, **self.cells}
        natives = [(e, f) for e, f in zip(plan.entries, plan.addresses, strict=True) if not isinstance(e, HostStep)]
        start = self.add([0] * (STEP_WORDS * len(natives)))
        for n, (entry, function) in enumerate(natives):
            if isinstance(entry, NativeStep):
                table = self.pointers(entry.pointers, place, number, patches)
                self.loops[entry] = table, table
                self.add([*entry.words, self.failed] if entry.code is not None else entry.words)
                units, grain = entry.units, entry.grain
            else:
                table = (self.loop if entry.is_loop else self.switch)(entry, place, number, patches)
                units, grain = 1, 0
            self.set(start + STEP_WORDS * n, [function, Link(table), units, grain])
        return start

    def loop(
        self, entry: ControlStep, place: Mapping[Var, Any], number: Mapping[Var, int], patches: list[Patch]
    ) -> int:
        """The table of a loop."""
        params, (body,) = entry.equation.params, entry.bodies
        consts, carry, length = params["consts"], params["carry"], params["length"]
        table = self.add([0] * LOOP_WORDS)
        given = self.pointers(entry.args, place, number, patches)
        wanted = self.pointers([(v, 0) for v in entry.results], place, number, patches)
        self.loops[entry] = table, given
        base = place[entry.workspace]
        pairs = [
            (base + at, base + at + aligned(nbytes(v.type)))
            for at, v in zip(entry.buffers, entry.results, strict=False)
        ]
        going = base + entry.buffers[-1]
        roles: list[list[Word]] = [[0, Link(given + i), 0, 0] for i in range(consts)]
        roles += [[1, Link(given + consts + i), *pairs[i]] for i in range(carry)]
        for i, v in enumerate(body.inputs[consts + carry :], consts + carry):
            roles.append([0, Link(given + i), nbytes(v.type), 0])
        roles += [[2, Link(given), *pairs[i]] for i in range(carry)]
        ys = body.outputs[carry:] if length is not None else []
        roles += [[0, Link(wanted + carry + i), nbytes(v.type), 0] for i, v in enumerate(ys)]
        if length is None:
            roles.append([2, Link(given), going, going])
        self.block(table, body, base, roles, consts)
        finals: list[Word] = []
        for i, pair in enumerate(pairs):
            finals += [Link(wanted + i), Link(given + consts + i), *pair, nbytes(entry.results[i].type)]
        every = 0 if body.work > 20_000 else 15 if body.work > 1000 else 255
        self.set(table + BLOCK_WORDS, [
            0, ENDLESS if length is None else length, 0, every, 0 if length is not None else Link(given + consts + carry),
            going, Link(self.add(finals)), carry, int(params["reverse"]),
        ])  # fmt: skip
        return table

    def switch(
        self, entry: ControlStep, place: Mapping[Var, Any], number: Mapping[Var, int], patches: list[Patch]
    ) -> int:
        """The table of a choice."""
        table = self.add([0] * (SWITCH_WORDS + len(entry.bodies)))
        (index, *rest) = entry.args
        if index[0] in number:
            patches.append((table, number[index[0]], index[1]))
        else:
            self.words[table] = place[index[0]] + index[1]
        self.words[table + 1] = len(entry.bodies)
        given = self.pointers([*rest, *[(v, 0) for v in entry.results]], place, number, patches)
        roles: list[list[Word]] = [[0, Link(given + i), 0, 0] for i in range(len(rest) + len(entry.results))]
        for n, body in enumerate(entry.bodies):
            block = self.add([0] * BLOCK_WORDS)
            self.block(block, body, place[entry.workspace], roles, len(roles))
            self.words[table + SWITCH_WORDS + n] = Link(block)
        return table

    def block(self, at: int, body: Plan, base: Any, roles: Sequence[Sequence[Word]], consts: int) -> None:
        """The words of a block: the steps of a body whose inputs and outputs have these roles, the first of them constant."""
        place = {v: base + offset for v, offset in body.memory.places.items()}
        number = {v: i for i, v in enumerate([*body.inputs, *body.outputs])}
        inner: list[Patch] = []
        steps = self.steps(body, place, number, inner)
        inner.sort(key=lambda patch: patch[1])
        fixed = sum(which < consts for _, which, _ in inner)
        rows = self.add([w for role in roles for w in role])
        slots = self.add([0] * len(roles))
        self.set(at, [
            Link(steps), len(body.entries), 0, 0, Link(rows), len(roles), Link(self.patches(inner)), len(inner),
            Link(slots), consts, fixed,
        ])  # fmt: skip
