"""lax's functions of shape: broadcasting, reshaping, slicing, padding, joining."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.lax.elementwise import same_types
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.shape import permuted
from funcgrad.numpy.wrapping import array_operand
from funcgrad.numpy.wrapping import operand as as_operand
from funcgrad.ops import basics
from funcgrad.ops import index as ops
from funcgrad.ops import shape as moves
from funcgrad.ops.elementwise import select


def broadcast(operand: Any, sizes: Sequence[int]) -> Any:
    """`operand` repeated along new leading axes of these sizes."""
    x = array_operand(operand)
    shape = (*sizes, *shape_of(x))
    return wrap(basics.broadcast_in_dim(x, shape=shape, dims=tuple(range(len(sizes), len(shape)))))


def broadcast_in_dim(operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Any:
    """`operand` with its axes placed at `broadcast_dimensions` of `shape`, repeated along the others."""
    dims = tuple(int(d) for d in broadcast_dimensions)
    return wrap(basics.broadcast_in_dim(array_operand(operand), shape=tuple(shape), dims=dims))


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to. Raises ValueError if they do not."""
    return np.broadcast_shapes(*[tuple(s) for s in shapes])


def iota(dtype: Any, size: int) -> Any:
    """0, 1, ..., size - 1."""
    return wrap(np.arange(size, dtype=np.dtype(dtype)))


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Any:
    """An array of `shape` whose values are their own index along `dimension`."""
    dimension = axis_of(dimension, len(shape), "broadcasted_iota")
    line = np.arange(shape[dimension], dtype=np.dtype(dtype))
    return wrap(basics.broadcast_in_dim(line, shape=tuple(shape), dims=(dimension,)))


def full(shape: Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """An array of `shape` filled with one value, which may be traced."""
    value = as_operand(fill_value)
    if shape_of(value):
        raise TypeError(f"lax.full: fill_value must be 0-d, got shape {shape_of(value)}.")
    target = dtype_of(value) if dtype is None else np.dtype(dtype)
    return wrap(basics.broadcast_in_dim(basics.convert(value, target), shape=tuple(shape), dims=()))


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Sequence[int] | None = None) -> Any:
    """As `full`, with the shape and dtype of `x` unless given."""
    like = array_operand(x)
    return full(shape_of(like) if shape is None else shape, fill_value, dtype_of(like) if dtype is None else dtype)


def reshape(operand: Any, new_sizes: Sequence[int], dimensions: Sequence[int] | None = None) -> Any:
    """`operand` with another shape, its axes first put in the order `dimensions`."""
    x = array_operand(operand)
    if dimensions is not None:
        x = permuted(x, dimensions)
    return wrap(basics.reshape(x, shape=tuple(operator.index(n) for n in new_sizes)))


def transpose(operand: Any, permutation: Sequence[int]) -> Any:
    """`operand` with its axes in the order `permutation`."""
    x = array_operand(operand)
    if sorted(permutation) != list(range(len(shape_of(x)))):
        raise TypeError(f"lax.transpose: {tuple(permutation)} is not a permutation of the axes of shape {shape_of(x)}.")
    return wrap(permuted(x, tuple(permutation)))


def squeeze(array: Any, dimensions: Sequence[int]) -> Any:
    """`array` without these axes, which must have size 1."""
    x = array_operand(array)
    shape = shape_of(x)
    gone = {axis_of(d, len(shape), "squeeze") for d in dimensions}
    if any(shape[d] != 1 for d in gone):
        raise ValueError(f"lax.squeeze: axes {sorted(gone)} of shape {shape} must have size 1.")
    return wrap(basics.reshape(x, shape=tuple(n for i, n in enumerate(shape) if i not in gone)))


def expand_dims(array: Any, dimensions: Sequence[int]) -> Any:
    """`array` with axes of size 1 at these places of the result. Raises ValueError if a place is named twice."""
    x = array_operand(array)
    rank = len(shape_of(x)) + len(tuple(dimensions))
    places = {axis_of(d, rank, "expand_dims") for d in dimensions}
    if len(places) != len(tuple(dimensions)):
        raise ValueError(f"lax.expand_dims: {tuple(dimensions)} names a place twice.")
    rest = iter(shape_of(x))
    return wrap(basics.reshape(x, shape=tuple(1 if i in places else next(rest) for i in range(rank))))


def concatenate(operands: Sequence[Any], dimension: int) -> Any:
    """Arrays of one dtype, equal in every other axis, one after the other along `dimension`."""
    found = [array_operand(o) for o in operands]
    if len({dtype_of(x) for x in found}) > 1:
        raise TypeError(f"lax.concatenate needs arrays of one dtype, got {', '.join(str(dtype_of(x)) for x in found)}.")
    return wrap(moves.concatenate(*found, axis=axis_of(dimension, len(shape_of(found[0])), "concatenate")))


def split(operand: Any, sizes: Sequence[int], axis: int = 0) -> list[Any]:
    """`operand` cut along `axis` into pieces of these sizes, which must add up to its length."""
    x = array_operand(operand)
    axis = axis_of(axis, len(shape_of(x)), "split")
    if sum(sizes) != shape_of(x)[axis]:
        raise ValueError(f"lax.split: sizes {tuple(sizes)} do not add up to {shape_of(x)[axis]}.")
    ends = np.cumsum(sizes)
    return [wrap(moves.slice_axis(x, int(b - n), int(b), axis)) for n, b in zip(sizes, ends, strict=True)]


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """`operand` with (low, high, interior) values added along each axis; negative low and high take away."""
    x = array_operand(operand)
    (value,) = same_types("pad", padding_value)
    low, high, interior = (tuple(int(c[i]) for c in padding_config) for i in range(3))
    if len(low) != len(shape_of(x)) or any(i < 0 for i in interior):
        raise ValueError(
            f"lax.pad: {list(padding_config)} must hold (low, high, interior >= 0) for each axis of {shape_of(x)}."
        )
    return wrap(moves.pad(x, basics.convert(value, dtype_of(x)), low=low, high=high, interior=interior))


def rev(operand: Any, dimensions: Sequence[int]) -> Any:
    """`operand` reversed along these axes."""
    x = array_operand(operand)
    return wrap(moves.rev(x, axes=tuple(axis_of(d, len(shape_of(x)), "rev") for d in dimensions)))


def slice(operand: Any, start_indices: Sequence[int], limit_indices: Sequence[int],
          strides: Sequence[int] | None = None) -> Any:  # fmt: skip
    """The part of `operand` from static starts to limits by strides."""
    x = array_operand(operand)
    steps = (1,) * len(shape_of(x)) if strides is None else tuple(strides)
    return wrap(moves.slice_(x, starts=tuple(start_indices), limits=tuple(limit_indices), strides=steps))


def slice_in_dim(operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0) -> Any:
    """A static slice along one axis; negative indices count from the end."""
    x = array_operand(operand)
    shape = shape_of(x)
    axis = axis_of(axis, len(shape), "slice_in_dim")
    first, last, _ = _slice(start_index, limit_index).indices(shape[axis])
    starts = [first if i == axis else 0 for i in range(len(shape))]
    limits = [max(first, last) if i == axis else n for i, n in enumerate(shape)]
    return slice(x, starts, limits, [stride if i == axis else 1 for i in range(len(shape))])


_slice = builtins.slice


def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Any:
    """The static index along one axis."""
    x = array_operand(operand)
    axis = axis_of(axis, len(shape_of(x)), "index_in_dim")
    index = axis_of(index, shape_of(x)[axis], "index_in_dim")
    found = moves.slice_axis(x, index, index + 1, axis)
    return wrap(found) if keepdims else squeeze(found, (axis,))


# ---- slices at computed starts; starts are clamped so that the slice fits ----


def _starts(starts: Any, shape: Sequence[int], allow_negative: bool) -> list[Any]:
    listed = [starts[i] for i in range(len(shape))]
    found = [as_operand(s) for s in listed]
    if not allow_negative:
        return found
    return [select(s < 0, s + n, s) for s, n in zip(found, shape, strict=True)]


def dynamic_slice(operand: Any, start_indices: Any, slice_sizes: Sequence[int], *,
                  allow_negative_indices: bool = True) -> Any:  # fmt: skip
    """A window of static sizes at computed starts. Negative starts count from the end unless told not to."""
    x = array_operand(operand)
    sizes = tuple(operator.index(n) for n in slice_sizes)
    return wrap(ops.dynamic_slice(x, *_starts(start_indices, shape_of(x), allow_negative_indices), sizes=sizes))


def dynamic_slice_in_dim(operand: Any, start_index: Any, slice_size: int, axis: int = 0, *,
                         allow_negative_indices: bool = True) -> Any:  # fmt: skip
    """As `dynamic_slice` along one axis."""
    x = array_operand(operand)
    shape = shape_of(x)
    axis = axis_of(axis, len(shape), "dynamic_slice_in_dim")
    starts = [start_index if i == axis else 0 for i in range(len(shape))]
    sizes = [slice_size if i == axis else n for i, n in enumerate(shape)]
    return dynamic_slice(x, starts, sizes, allow_negative_indices=allow_negative_indices)


def dynamic_index_in_dim(operand: Any, index: Any, axis: int = 0, keepdims: bool = True, *,
                         allow_negative_indices: bool = True) -> Any:  # fmt: skip
    """The computed index along one axis."""
    found = dynamic_slice_in_dim(operand, index, 1, axis, allow_negative_indices=allow_negative_indices)
    return found if keepdims else squeeze(found, (axis,))


def dynamic_update_slice(operand: Any, update: Any, start_indices: Any, *, allow_negative_indices: bool = True) -> Any:
    """`operand` with a window at computed starts replaced by `update`, of the same dtype."""
    x, new = array_operand(operand), array_operand(update)
    if dtype_of(x) != dtype_of(new):
        raise TypeError(f"lax.dynamic_update_slice needs arrays of one dtype, got {dtype_of(x)} and {dtype_of(new)}.")
    return wrap(ops.dynamic_update_slice(x, new, *_starts(start_indices, shape_of(x), allow_negative_indices)))


def dynamic_update_slice_in_dim(operand: Any, update: Any, start_index: Any, axis: int, *,
                                allow_negative_indices: bool = True) -> Any:  # fmt: skip
    """As `dynamic_update_slice` along one axis."""
    shape = shape_of(array_operand(operand))
    axis = axis_of(axis, len(shape), "dynamic_update_slice_in_dim")
    starts = [start_index if i == axis else 0 for i in range(len(shape))]
    return dynamic_update_slice(operand, update, starts, allow_negative_indices=allow_negative_indices)


def dynamic_update_index_in_dim(operand: Any, update: Any, index: Any, axis: int, *,
                                allow_negative_indices: bool = True) -> Any:  # fmt: skip
    """`operand` with one computed index along `axis` replaced by `update`, with or without that axis."""
    x, new = array_operand(operand), array_operand(update)
    axis = axis_of(axis, len(shape_of(x)), "dynamic_update_index_in_dim")
    if len(shape_of(new)) != len(shape_of(x)):
        new = expand_dims(new, (axis,))
    return dynamic_update_slice_in_dim(x, new, index, axis, allow_negative_indices=allow_negative_indices)
