"""Whose memory an array lies in: what has to be known before a result is written into the memory of an argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import Array


def owner(x: Any) -> Any:
    """The array that holds the memory of this one, or what lent it to NumPy."""
    while isinstance(x, np.ndarray) and x.base is not None:
        x = x.base
    return x


def owners(args: Sequence[Any]) -> dict[int, int]:
    """How many arguments lie in the memory of each owner (by id); nothing if some memory may have owners beside NumPy."""
    counts: dict[int, int] = {}
    for a in args:
        found = owner(a)
        if found is not a and not isinstance(found, np.ndarray):
            return {}
        counts[id(found)] = counts.get(id(found), 0) + 1
    return counts


def is_own(x: Any) -> bool:
    """Whether a donated argument is an array whose memory can be written to."""
    return type(x) in (np.ndarray, Array) and x.flags.carray
