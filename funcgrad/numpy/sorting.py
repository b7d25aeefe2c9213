"""Sorting: sort, argsort, lexsort, partition, searchsorted. The derivative goes to the selected values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.shape import moveaxis, ravel
from funcgrad.numpy.taking import take_along_axis
from funcgrad.numpy.wrapping import array_operand, dispatch, implements
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e
from funcgrad.ops.shape import rev
from funcgrad.ops.statistics import order as _order_last


def _line(name: str, a: Any, axis: int | None) -> tuple[Any, int]:
    a = array_operand(a)
    if axis is None:
        return ravel(a), 0
    return a, axis_of(axis, len(shape_of(a)), name)


def _order(a: Any, axis: int) -> Any:
    """The stable ascending order along an axis."""
    return moveaxis(_order_last(moveaxis(a, axis, -1)), -1, axis)


def _ranks(a: Any, axis: int, descending: bool) -> Any:
    """The stable order along an axis; descending keeps equal values in their order too."""
    if not descending:
        return _order(a, axis)
    flipped = rev(_order(rev(a, axes=(axis,)), axis), axes=(axis,))
    return shape_of(a)[axis] - 1 - flipped


@implements(np.sort, extras=("descending",))
def sort(a: Any, axis: int | None = -1, kind: Any = None, order: None = None, *, stable: bool | None = None,
         descending: bool = False) -> Any:  # fmt: skip
    """`a` in ascending order along `axis` (None: as one line), nan last. Traced sorts are stable, whatever `kind` says."""
    if order is not None:
        raise TypeError("sort: order is for structured dtypes, which traced arrays do not have.")
    a, axis = _line("sort", a, axis)
    return take_along_axis(a, _ranks(a, axis, descending), axis) if shape_of(a)[axis] else a


@implements(np.argsort, extras=("descending",))
def argsort(a: Any, axis: int | None = -1, kind: Any = None, order: None = None, *, stable: bool | None = None,
            descending: bool = False) -> Any:  # fmt: skip
    """The indices that sort `a` along `axis`. Traced sorts are stable, whatever `kind` says."""
    if order is not None:
        raise TypeError("argsort: order is for structured dtypes, which traced arrays do not have.")
    a, axis = _line("argsort", a, axis)
    return _ranks(a, axis, descending)


@implements(np.lexsort)
def lexsort(keys: Sequence[Any], axis: int = -1) -> Any:
    """The indices that sort by the last key, equal ones by the key before it, and so on."""
    found = [array_operand(k) for k in keys]
    if not found:
        raise TypeError("lexsort needs at least one key.")
    axis = axis_of(axis, len(shape_of(found[0])), "lexsort")
    order = _order(found[0], axis)
    for key in found[1:]:
        order = take_along_axis(order, _order(take_along_axis(key, order, axis), axis), axis)
    return order


@implements(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None) -> Any:
    """`a` with the kth smallest values in their sorted places; a traced array is sorted whole."""
    return sort(a, axis, order=order)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: None = None) -> Any:
    """The indices of `partition`."""
    return argsort(a, axis, order=order)


@implements(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """`a` as complex numbers in ascending order along the last axis, by real then imaginary part."""
    found = sort(array_operand(a), -1)
    return basics.convert(found, np.result_type(dtype_of(found), np.complex64))


@implements(np.searchsorted, extras=("method",))
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None, *, method: str = "scan") -> Any:
    """Where the values `v` belong in the ascending line `a`: before ("left") or after ("right") equal ones.

    `method` is JAX's choice of algorithm; every one of its names gives this result. Raises ValueError for another side.
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}.")
    a, v = array_operand(a), array_operand(v)
    if len(shape_of(a)) != 1:
        raise ValueError(f"searchsorted needs a line to search, got shape {shape_of(a)}.")
    if sorter is not None:
        a = take_along_axis(a, array_operand(sorter), 0)
    return dispatch[np.digitize](v, a, side == "left") if shape_of(a)[0] else basics.convert(e.mul(v, 0), np.int64)
