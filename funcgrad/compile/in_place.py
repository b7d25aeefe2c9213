"""Compiled programs that replace some of their inputs: an output is written straight into the memory of the input that it
replaces, where nothing reads the old value any more, and copied there afterwards where something does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compile import execute
from funcgrad.compile.owners import owner
from funcgrad.compile.recycling import Recycler
from funcgrad.core.program import Program


class Updater:
    """Runs a Program. `pairs` are (output, input) by number: after a run, the array given for the input holds the output.
    `arguments` are the numbers of inputs that differ from call to call; the others are mostly the same arrays, and kept."""

    def __init__(self, program: Program, pairs: Sequence[tuple[int, int]], arguments: Sequence[int] = ()):
        self.program = program
        self.pairs = tuple(pairs)
        self._arguments = tuple(arguments)
        self._lasting = [i for i in range(len(program.inputs)) if i not in set(arguments)]
        self._call: Any = None
        self._direct: dict[int, int] = {}
        self._makers: list[tuple[Recycler, int]] = []
        self._known: list[Any] = []
        self._replaced: set[int] = set()

    def __call__(self, values: Sequence[Any]) -> Sequence[Any]:
        """The outputs for arrays of the input types; those of `pairs` are the inputs' arrays themselves."""
        if self._call is not None and not execute.nan_checks and self._apart(values):
            outs = [values[i] if i >= 0 else make.new(np.ndarray) for make, i in self._makers]
            if self._call((*values, *outs)):
                return self._replace(outs, values, self._direct)
        outs = list(execute.execute(self.program, *values))
        if self._call is None:
            self._prepare()
        return self._replace(outs, values, {})

    def _prepare(self) -> None:
        made = execute.compiled(self.program)
        if made is None or made.host or not self.program.inputs:
            return
        # After an index out of bounds nothing must have changed: only what is written after the last check is written in place.
        last = made.last_fault()
        self._direct = {k: i for k, i in self.pairs if made.replaceable(i, k) and made.first_write(k) > last}
        self._makers = [(make, self._direct.get(k, -1)) for k, make in enumerate(made.outs)]
        self._call = made.checked_into() if made.faults else made.into()

    def _replace(self, outs: list[Any], values: Sequence[Any], done: dict[int, int]) -> list[Any]:
        for k, i in self.pairs:
            if k not in done:
                np.copyto(values[i], outs[k])
                outs[k] = values[i]
        return outs

    def _apart(self, values: Sequence[Any]) -> bool:
        """Whether no input lies in memory that the run writes to, but the one that is written there. Parameters are the same
        arrays at every call, so they are looked at once (and kept: only while an array lives is its id its own)."""
        lasting = [values[i] for i in self._lasting]
        if [*map(id, lasting)] != [*map(id, self._known)]:
            owners = {i: owner(values[i]) for i in self._lasting}
            self._known = []
            if not all(isinstance(o, np.ndarray) for o in owners.values()):
                return False
            written = self._direct.values()
            self._replaced = {id(owners[i]) for i in written if i in owners}
            if len(self._replaced) < len(self._direct):
                return False
            if any(id(o) in self._replaced for i, o in owners.items() if i not in written):
                return False
            self._known = lasting
        for i in self._arguments:
            lender = owner(values[i])
            if not isinstance(lender, np.ndarray) or id(lender) in self._replaced:
                return False
        return True
