"""The steps of a schedule, as fusion makes them (fuse.py) and entries run them: kernels, and what stands alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from funcgrad.core.program import Equation, Var

Axes = tuple[int, ...]


@dataclass(eq=False)
class Step:
    """One entry of the schedule. `height` is above that of every step that it feeds, `below` under that of every step
    that feeds it."""

    equation: Equation
    height: int = 1
    below: float = math.inf
    place: int = 0


@dataclass(eq=False)
class Kernel(Step):
    """Equations that share loops. `sizes`: of each dimension; `last`: the one along which the founding value is contiguous;
    `reduced`: those that its reductions fold; `axes`: along which each value runs; `stored`: the values that others read."""

    sizes: list[int] = field(default_factory=list)
    reduced: frozenset[int] | None = None
    members: list[Equation] = field(default_factory=list)
    axes: dict[Var, Axes] = field(default_factory=dict)
    stored: dict[Var, None] = field(default_factory=dict)
    last: int = -1
    reads: dict[tuple[int, int], Axes] = field(default_factory=dict)
    partial: bool = False
    parent: Kernel | None = None
    renaming: dict[int, int] = field(default_factory=dict)


@dataclass(eq=False)
class Use:
    """One consumer of a value: a step, and for a kernel the dimensions along which it reads it (None: it needs the array)."""

    step: Step | None
    axes: Axes | None = None

    def settle(self) -> Use:
        """Follows the kernel into the one that it was merged into."""
        while isinstance(self.step, Kernel) and self.step.parent is not None:
            renaming = self.step.renaming
            if self.axes is not None:
                self.axes = tuple([renaming[d] if d >= 0 else d for d in self.axes])
            self.step = self.step.parent
        return self

    @property
    def height(self) -> int:
        return 0 if self.step is None else self.step.height


def span(axes: Sequence[int]) -> frozenset[int]:
    """The dimensions that a value runs along."""
    return frozenset(a for a in axes if a >= 0)
