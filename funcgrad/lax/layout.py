"""lax's functions that repeat, join and fold axes: tile, stack, unstack, collapse, broadcast_to_rank, empty."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.numpy.wrapping import operand as as_operand
from funcgrad.ops import basics
from funcgrad.ops import shape as moves


def tile(operand: Any, reps: Sequence[int]) -> Any:
    """`operand` repeated whole reps[i] times along each axis i."""
    x = array_operand(operand)
    shape, times = shape_of(x), tuple(operator.index(r) for r in reps)
    if len(times) != len(shape):
        raise TypeError(f"lax.tile needs one number for each axis, got reps={times} for shape {shape}.")
    # Each axis of size n becomes (rep, n), then one of size rep * n.
    pairs = tuple(size for r, n in zip(times, shape, strict=True) for size in (r, n))
    spread = basics.broadcast_in_dim(x, shape=pairs, dims=tuple(range(1, len(pairs), 2)))
    return wrap(basics.reshape(spread, shape=tuple(r * n for r, n in zip(times, shape, strict=True))))


def stack(operands: Sequence[Any], axis: int = 0) -> Any:
    """Arrays of one shape and dtype, joined along a new axis. Raises TypeError for different dtypes."""
    found = [array_operand(o) for o in operands]
    if not found:
        raise ValueError("lax.stack needs at least one array.")
    if len({(shape_of(x), dtype_of(x)) for x in found}) > 1:
        listed = ", ".join(f"{dtype_of(x)}{list(shape_of(x))}" for x in found)
        raise TypeError(f"lax.stack needs arrays of one shape and dtype, got {listed}.")
    shape = shape_of(found[0])
    axis = axis_of(axis, len(shape) + 1, "stack")
    lifted = [basics.reshape(x, shape=(*shape[:axis], 1, *shape[axis:])) for x in found]
    return wrap(moves.concatenate(*lifted, axis=axis))


def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    """The slices of `x` along an axis, without that axis."""
    value = array_operand(x)
    shape = shape_of(value)
    axis = axis_of(axis, len(shape), "unstack")
    rest = shape[:axis] + shape[axis + 1 :]
    return tuple(wrap(basics.reshape(moves.slice_axis(value, i, i + 1, axis), shape=rest)) for i in range(shape[axis]))


def collapse(operand: Any, start_dimension: int, stop_dimension: int | None = None) -> Any:
    """The axes from start_dimension up to, not including, stop_dimension (default: the end) as one axis."""
    x = array_operand(operand)
    shape = shape_of(x)
    start, stop, _ = slice(start_dimension, stop_dimension).indices(len(shape))
    if stop < start:
        raise ValueError(f"lax.collapse: axes {start_dimension} to {stop_dimension} of shape {shape} are none.")
    size = int(np.prod(shape[start:stop]))
    return wrap(basics.reshape(x, shape=(*shape[:start], size, *shape[stop:])))


def broadcast_to_rank(x: Any, rank: int) -> Any:
    """`x` with axes of size 1 in front until it has `rank` axes. Raises ValueError if it has more."""
    value = array_operand(x)
    shape = shape_of(value)
    if len(shape) > rank:
        raise ValueError(f"lax.broadcast_to_rank: shape {shape} has more than {rank} axes.")
    return wrap(basics.reshape(value, shape=(1,) * (rank - len(shape)) + shape))


def broadcast_like(arr: Any, like_arr: Any) -> Any:
    """`arr` broadcast to the shape of another array."""
    return wrap(basics.broadcast_to(array_operand(arr), shape_of(array_operand(like_arr))))


def empty(shape: Sequence[int], dtype: Any) -> Any:
    """Zeros: nothing could be written into an uninitialised array, so it is a defined one, as in JAX."""
    return wrap(np.zeros(tuple(operator.index(n) for n in shape), np.dtype(dtype)))


def dtype(x: Any) -> np.dtype:
    """The dtype of an array, a tracer or a number."""
    return dtype_of(as_operand(x))


def shape_as_value(shape: Sequence[int]) -> Any:
    """A shape as a vector of int32."""
    return wrap(np.asarray(tuple(operator.index(n) for n in shape), np.int32))
