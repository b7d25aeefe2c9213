"""lax.scatter_apply: a function applied to windows of an array at computed starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.core.tracing import shape_of
from funcgrad.lax.indexing import GatherDimensionNumbers, ScatterDimensionNumbers, gather, scatter
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import reshape
from funcgrad.ops.shape import slice_axis


def _applied(x: Any, starts: Any, func: Callable[[Any], Any], d: ScatterDimensionNumbers, sizes: Sequence[int],
             mode: Any) -> Any:  # fmt: skip
    """`func` on the windows at all starts at once, which must be distinct."""
    numbers = GatherDimensionNumbers(
        d.update_window_dims, d.inserted_window_dims, d.scatter_dims_to_operand_dims, d.operand_batching_dims,
        d.scatter_indices_batching_dims,
    )  # fmt: skip
    return scatter(x, starts, func(gather(x, starts, numbers, sizes, mode=mode)), d, mode=mode)


def scatter_apply(operand: Any, scatter_indices: Any, func: Callable[[Any], Any], dimension_numbers: ScatterDimensionNumbers,
                  *, update_shape: Sequence[int] = (), indices_are_sorted: bool = False, unique_indices: bool = False,
                  mode: Any = None) -> Any:  # fmt: skip
    """`operand` with the elementwise `func` applied to its windows at computed starts.

    update_shape: the shape that updates would have in `scatter`. A window that is named several times is changed
    several times, one start after the other; unique_indices=True says that none is, and changes all at once.
    """
    x, starts, d = array_operand(operand), array_operand(scatter_indices), dimension_numbers
    gone = {*d.inserted_window_dims, *d.operand_batching_dims}
    window = iter(tuple(update_shape)[i] for i in d.update_window_dims)
    sizes = tuple(1 if i in gone else next(window) for i in range(len(shape_of(x))))
    if unique_indices:
        return _applied(x, starts, func, d, sizes, mode)
    if d.operand_batching_dims:
        raise NotImplementedError("lax.scatter_apply with operand_batching_dims needs unique_indices=True.")
    count = len(d.scatter_dims_to_operand_dims)
    single = ScatterDimensionNumbers(
        tuple(range(len(d.update_window_dims))), d.inserted_window_dims, d.scatter_dims_to_operand_dims
    )
    rows = reshape(starts, shape=(math.prod(shape_of(starts)[:-1]), count))
    for i in range(shape_of(rows)[0]):
        place = reshape(slice_axis(rows, i, i + 1, 0), shape=(count,))
        x = _applied(x, place, func, single, sizes, mode)
    return x
