"""XLA's gather and scatter by dimension numbers, as compositions over explicit index arrays."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy.indexing import missing_value
from funcgrad.numpy.shape import permuted
from funcgrad.numpy.wrapping import array_operand, operand
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e
from funcgrad.ops import index as ops

Shape = tuple[int, ...]


class GatherScatterMode(enum.Enum):
    """What an index out of bounds does: clamp it, drop or fill, or promise that there is none (clamped all the same)."""

    CLIP = "clip"
    FILL_OR_DROP = "fill"
    PROMISE_IN_BOUNDS = "promise_in_bounds"

    @staticmethod
    def from_any(mode: Any) -> GatherScatterMode:
        """A mode from itself, its name, or None (FILL_OR_DROP)."""
        if isinstance(mode, GatherScatterMode):
            return mode
        names = {None: "fill", "drop": "fill", "fill": "fill", "clip": "clip", "promise_in_bounds": "promise_in_bounds"}
        if mode not in names:
            raise ValueError(f"mode must be 'clip', 'fill', 'drop' or 'promise_in_bounds', got {mode!r}.")
        return GatherScatterMode(names[mode])


@dataclass(frozen=True)
class GatherDimensionNumbers:
    """Which axes of a gather mean what; see jax.lax.GatherDimensionNumbers."""

    offset_dims: Shape
    collapsed_slice_dims: Shape
    start_index_map: Shape
    operand_batching_dims: Shape = ()
    start_indices_batching_dims: Shape = ()


@dataclass(frozen=True)
class ScatterDimensionNumbers:
    """Which axes of a scatter mean what; see jax.lax.ScatterDimensionNumbers."""

    update_window_dims: Shape
    inserted_window_dims: Shape
    scatter_dims_to_operand_dims: Shape
    operand_batching_dims: Shape = ()
    scatter_indices_batching_dims: Shape = ()


def _places(shape: Shape, starts: Any, sizes: Shape, start_map: Shape, batching: Shape, index_batching: Shape,
            clip: bool) -> tuple[list[Any], Any]:  # fmt: skip
    """For each axis of the operand an index array of shape (batch..., *sizes) up to broadcasting; and what is in bounds."""
    batch = shape_of(starts)[:-1]
    rank, window = len(batch), len(sizes)
    found: list[Any] = []
    inside: Any = None
    for axis in range(len(shape)):
        offset = np.arange(sizes[axis]).reshape((sizes[axis],) + (1,) * (window - axis - 1))
        if axis in batching:
            n = index_batching[batching.index(axis)]
            found.append(np.arange(batch[n]).reshape((batch[n],) + (1,) * (rank - n - 1 + window)))
            continue
        if axis not in start_map:
            found.append(offset)
            continue
        column = ops.gather(starts, np.asarray(start_map.index(axis)), axes=(rank,), mode="raise")
        last = shape[axis] - sizes[axis]
        fits = (column >= 0) & (column <= last)
        inside = fits if inside is None else inside & fits
        start = e.clamp(column, 0, last) if clip else column
        found.append(basics.reshape(start, shape=batch + (1,) * window) + offset)
    return found, inside


def gather(operand: Any, start_indices: Any, dimension_numbers: GatherDimensionNumbers, slice_sizes: Sequence[int], *,
           unique_indices: bool = False, indices_are_sorted: bool = False, mode: Any = None,
           fill_value: Any = None) -> Any:  # fmt: skip
    """Windows of `operand` of static sizes at computed starts, as XLA's Gather.

    start_indices: integers (..., number of starts). unique_indices, indices_are_sorted: hints, results do not depend on them.
    mode: None or "fill" gives `fill_value` (default: nan, or the least integer) for a window that does not fit; "clip" moves it.
    """
    x, starts = array_operand(operand), array_operand(start_indices)
    d, sizes = dimension_numbers, tuple(int(n) for n in slice_sizes)
    chosen = GatherScatterMode.from_any(mode)
    places, inside = _places(
        shape_of(x), starts, sizes, tuple(d.start_index_map), tuple(d.operand_batching_dims),
        tuple(d.start_indices_batching_dims), True,
    )  # fmt: skip
    batch = shape_of(starts)[:-1]
    axes = tuple(range(len(sizes)))
    full = ops.gather(x, *places, axes=axes, mode="clip")
    full = basics.broadcast_to(full, batch + sizes)
    if chosen is GatherScatterMode.FILL_OR_DROP and inside is not None:
        fill = missing_value(dtype_of(x)) if fill_value is None else fill_value
        mask = basics.reshape(inside, shape=batch + (1,) * len(sizes))
        full = e.select(mask, full, basics.convert(np.asarray(fill), dtype_of(x)))
    gone = {*d.collapsed_slice_dims, *d.operand_batching_dims}
    kept = tuple(n for i, n in enumerate(sizes) if i not in gone)
    full = basics.reshape(full, shape=batch + kept)
    total = len(batch) + len(kept)
    offsets = iter(range(len(batch), total))
    leading = iter(range(len(batch)))
    return wrap(permuted(full, [next(offsets) if i in d.offset_dims else next(leading) for i in range(total)]))


def _scatter(x: Any, indices: Any, updates: Any, d: ScatterDimensionNumbers, mode: Any, op: str) -> Any:
    x, starts, u = array_operand(x), array_operand(indices), array_operand(updates)
    if dtype_of(x) != dtype_of(u):
        raise TypeError(f"lax.scatter needs an operand and updates of one dtype, got {dtype_of(x)} and {dtype_of(u)}.")
    window_dims = tuple(d.update_window_dims)
    gone = {*d.inserted_window_dims, *d.operand_batching_dims}
    window = iter(shape_of(u)[i] for i in window_dims)
    sizes = tuple(1 if i in gone else next(window) for i in range(len(shape_of(x))))
    chosen = GatherScatterMode.from_any(mode)
    drop = chosen is GatherScatterMode.FILL_OR_DROP
    places, inside = _places(
        shape_of(x), starts, sizes, tuple(d.scatter_dims_to_operand_dims), tuple(d.operand_batching_dims),
        tuple(d.scatter_indices_batching_dims), not drop,
    )  # fmt: skip
    batch = shape_of(starts)[:-1]
    leading = [i for i in range(len(shape_of(u))) if i not in window_dims]
    ordered = basics.reshape(permuted(u, [*leading, *window_dims]), shape=batch + sizes)
    if drop and inside is not None:
        # A window that does not fit is left out whole: its first axis is sent out of bounds.
        mask = basics.reshape(inside, shape=batch + (1,) * len(sizes))
        places[0] = e.select(mask, places[0], shape_of(x)[0])
    places = [basics.broadcast_to(p, batch + sizes) for p in places[:1]] + places[1:]
    return wrap(ops.scatter(x, ordered, *places, axes=tuple(range(len(sizes))), op=op, mode="drop" if drop else "clip"))


def scatter(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: ScatterDimensionNumbers, *,
            indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:  # fmt: skip
    """`operand` with windows at computed starts replaced by `updates`, as XLA's Scatter; the last write stays.

    mode: None or "drop" leaves out a window that does not fit, "clip" moves it. The other two are hints.
    """
    return _scatter(operand, scatter_indices, updates, dimension_numbers, mode, "set")


def scatter_add(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: ScatterDimensionNumbers, *,
                indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:  # fmt: skip
    """As `scatter`, adding."""
    return _scatter(operand, scatter_indices, updates, dimension_numbers, mode, "add")


def scatter_sub(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: ScatterDimensionNumbers, *,
                indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:  # fmt: skip
    """As `scatter`, subtracting."""
    return _scatter(operand, scatter_indices, e.neg(array_operand(updates)), dimension_numbers, mode, "add")


def scatter_mul(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: ScatterDimensionNumbers, *,
                indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:  # fmt: skip
    """As `scatter`, multiplying."""
    return _scatter(operand, scatter_indices, updates, dimension_numbers, mode, "mul")


def scatter_min(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: ScatterDimensionNumbers, *,
                indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:  # fmt: skip
    """As `scatter`, keeping the smaller."""
    return _scatter(operand, scatter_indices, updates, dimension_numbers, mode, "min")


def scatter_max(operand: Any, scatter_indices: Any, updates: Any, dimension_numbers: ScatterDimensionNumbers, *,
                indices_are_sorted: bool = False, unique_indices: bool = False, mode: Any = None) -> Any:  # fmt: skip
    """As `scatter`, keeping the larger."""
    return _scatter(operand, scatter_indices, updates, dimension_numbers, mode, "max")


def index_take(src: Any, idxs: Sequence[Any], axes: Sequence[int]) -> Any:
    """src indexed along `axes` by integer vectors of one length: that axis first, then the others of `src`."""
    places = [operand(i) for i in idxs]
    return wrap(ops.gather(array_operand(src), *places, axes=tuple(int(a) for a in axes), mode="clip"))
