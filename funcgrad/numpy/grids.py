"""Objects that are used by indexing them: mgrid, ogrid, r_, c_, s_, index_exp."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.tracing import shape_of
from funcgrad.numpy.wrapping import any_traced, array_operand, wrap_all
from funcgrad.ops.basics import reshape
from funcgrad.ops.shape import concatenate

s_ = np.s_
index_exp = np.index_exp


class Grid:
    """`grid[a:b:s, c:d:t]`: index arrays of a grid, as numpy.mgrid (whole) and numpy.ogrid (open) make them."""

    def __init__(self, maker: Any, name: str):
        self._maker, self._name = maker, name

    def __getitem__(self, key: Any) -> Any:
        return wrap_all(self._maker[key])

    def __repr__(self) -> str:
        return f"funcgrad.numpy.{self._name}"


class Joiner:
    """`joiner[x, a:b, 0, y]`: arrays, ranges and numbers joined, as numpy.r_ (rows) and numpy.c_ (columns) do.

    With a traced array among them, the items are joined as vectors; NumPy's text directives are for plain arrays.
    """

    def __init__(self, maker: Any, name: str, columns: bool):
        self._maker, self._name, self._columns = maker, name, columns

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if not any_traced(items):
            return wrap_all(self._maker[key])
        if any(isinstance(i, str) for i in items):
            raise TypeError(f"{self!r} with a text directive takes plain arrays; use concatenate for traced ones.")
        found = [np.r_[i] if isinstance(i, slice) else array_operand(i) for i in items]
        rank = max(max(len(shape_of(x)) for x in found), 2 if self._columns else 1)
        return concatenate(*[self._lifted(x, rank) for x in found], axis=rank - 1 if self._columns else 0)

    def _lifted(self, x: Any, rank: int) -> Any:
        shape = shape_of(x) or (1,)
        ones = (1,) * (rank - len(shape))
        return reshape(x, shape=shape + ones if self._columns else ones + shape)

    def __repr__(self) -> str:
        return f"funcgrad.numpy.{self._name}"


mgrid = Grid(np.mgrid, "mgrid")
ogrid = Grid(np.ogrid, "ogrid")
r_ = Joiner(np.r_, "r_", False)
c_ = Joiner(np.c_, "c_", True)
