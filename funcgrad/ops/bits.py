"""Numbers as bits: reading them as another dtype and counting leading zeros; and the barrier to rewriting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.families import array, batch_unary, flat, linear, unary_samples

Shape = tuple[int, ...]


def _bitcast_shape(shape: Shape, have: np.dtype, want: np.dtype) -> Shape:
    """A wider dtype takes the last axis, which must hold the bytes of one value; a narrower one adds an axis."""
    if have.itemsize == want.itemsize:
        return shape
    if have.itemsize > want.itemsize:
        return (*shape, have.itemsize // want.itemsize)
    if not shape or shape[-1] * have.itemsize != want.itemsize:
        raise TypeError(
            f"bitcast from {have} to {want} was asked of shape {shape}; the last axis must have size "
            f"{want.itemsize // have.itemsize}, the values that make one of {want}."
        )
    return shape[:-1]


def _bitcast_impl(x: Any, *, dtype: np.dtype) -> Any:
    x = np.ascontiguousarray(x) if np.ndim(x) else np.asarray(x)
    shape = _bitcast_shape(x.shape, x.dtype, dtype)
    return x.reshape(math.prod(x.shape)).view(dtype).reshape(shape)


bitcast: Primitive = flat(
    "bitcast",
    _bitcast_impl,
    lambda x, *, dtype: array_type(_bitcast_shape(x.shape, x.dtype, dtype), dtype),
    batch_unary(lambda: bitcast, lambda size, dtype: {"dtype": dtype}),
    lambda rng: [
        ((array(rng, (3, 2)),), {"dtype": np.dtype(np.int64)}),
        ((array(rng, (3, 2)),), {"dtype": np.dtype(np.uint16)}),
        ((rng.integers(0, 99, (3, 2)).astype(np.int32),), {"dtype": np.dtype(np.float64)}),
    ],
)


def _clz_impl(x: Any) -> Any:
    x = np.asarray(x)
    bits = x.dtype.itemsize * 8
    rest, zeros = x.view(f"u{x.dtype.itemsize}"), np.full(x.shape, bits, x.dtype)
    # Binary search for the highest set bit.
    step = bits // 2
    while step:
        shifted = rest >> rest.dtype.type(step)
        some = shifted != 0
        rest, zeros = np.where(some, shifted, rest), np.where(some, zeros - x.dtype.type(step), zeros)
        step //= 2
    return zeros - rest.astype(x.dtype)


clz: Primitive = flat(
    "clz",
    _clz_impl,
    lambda x: array_type(x.shape, x.dtype),
    batch_unary(lambda: clz, lambda size: {}),
    lambda rng: [((rng.integers(-4, 99, (3, 4)),), {}), ((rng.integers(0, 99, (5,)).astype(np.uint8),), {})],
)


def _barrier_type(x: ArrayType) -> ArrayType:
    return array_type(x.shape, x.dtype)


def _barrier_transpose(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    return optimization_barrier(ct)


optimization_barrier: Primitive = linear(
    "optimization_barrier",
    lambda x: x,
    _barrier_type,
    _barrier_transpose,
    batch_unary(lambda: optimization_barrier, lambda size: {}),
    unary_samples([{}]),
)
