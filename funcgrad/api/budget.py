"""What the reverse mode of a loop may keep: the `checkpoint` argument of loops."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True, slots=True)
class Budget:
    """A number of bytes that reverse mode may keep."""

    nbytes: int


@dataclass(frozen=True, slots=True)
class Segments:
    """A number of segments; None: as many as there are steps in one."""

    count: int | None

    def of(self, length: int) -> int:
        """The number for so many steps."""
        return max(math.isqrt(length), 1) if self.count is None else self.count


def parse_checkpoint(given: int | str | None, what: str) -> Segments | Budget | None:
    """What a `checkpoint` argument asks for: None, Segments ("sqrt" or a number) or a Budget (a size with its unit).

    Raises TypeError or ValueError that lists what it may be.
    """
    if given is None:
        return None
    if given == "sqrt":
        return Segments(None)
    choices = 'None, "sqrt", a number of segments (such as 100), or a size with its unit (such as "64MB")'
    if isinstance(given, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([KMG]?i?B)\s*", given, re.IGNORECASE)
        if not found:
            raise ValueError(f"{what}: checkpoint must be {choices}; got {given!r}.")
        return Budget(int(float(found[1]) * UNITS[found[2].upper()]))
    try:
        segments = operator.index(given)
    except TypeError:
        segments = None
    if segments is None or isinstance(given, bool):
        raise TypeError(f"{what}: checkpoint must be {choices}; got {given!r} of type {type(given).__name__}.")
    if segments < 1:
        raise ValueError(f"{what}: checkpoint must be {choices}; got {given!r}, and there is at least one segment.")
    return Segments(segments)
