"""The basic draws: bits, uniform floats and integers, permutations and choices. Bit for bit those of JAX."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from funcgrad.core.array import Array, unwrap, wrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert, reshape
from funcgrad.ops.random import random_bits, random_permutation
from funcgrad.ops.reduce import cumsum
from funcgrad.ops.shape import slice_axis
from funcgrad.random.arguments import (
    Shape,
    ShapeLike,
    check_key,
    float_of,
    integer_of,
    parameter_shape,
    raw_uniform,
    shape_of,
    subkeys,
    values,
)
from funcgrad.random.indexing import largest, searchsorted, take, take_along


def bits(key: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Random unsigned integers over the dtype's whole range (uint64 by default).

    Raises ValueError for a dtype that is not an unsigned integer.
    """
    key = check_key("bits", key)
    kind = np.dtype(np.uint64 if dtype is None else dtype)
    if kind.kind != "u":
        raise ValueError(f"random.bits gives unsigned integers; got dtype={kind}.")
    return wrap(random_bits(key, shape=shape_of("bits", shape), width=kind.itemsize * 8))


def uniform(key: Any, shape: ShapeLike = (), dtype: Any = None, minval: Any = 0.0, maxval: Any = 1.0) -> Array:
    """Floats in [minval, maxval), float64 by default; the bounds broadcast to `shape`.

    Raises ValueError for a dtype that is not floating or bounds that do not broadcast to `shape`.
    """
    key, kind = check_key("uniform", key), float_of("uniform", dtype)
    if type(minval) is float and type(maxval) is float:
        return wrap(raw_uniform(key, shape_of("uniform", shape), kind, minval, maxval))
    low, high = values(kind, minval, maxval)
    return wrap(raw_uniform(key, parameter_shape("uniform", shape, low, high), kind, low, high))


def _clipped(x: Any, dtype: np.dtype) -> Any:
    have, want = np.iinfo(type_of(x).dtype), np.iinfo(dtype)
    low, high = max(have.min, want.min), min(have.max, want.max)
    kind = type_of(x).dtype.type
    return convert(e.minimum(e.maximum(x, kind(low)), kind(high)), dtype)


def randint(key: Any, shape: ShapeLike, minval: Any, maxval: Any, dtype: Any = None) -> Array:
    """Integers in [minval, maxval), int64 by default; the bounds broadcast to `shape`. minval where the range is empty.

    Raises TypeError for a dtype that is not an integer, ValueError for bounds that do not broadcast to `shape`.
    """
    key, kind = check_key("randint", key), integer_of("randint", dtype)
    low, high = (_integers(v) for v in (minval, maxval))
    sizes = parameter_shape("randint", shape, low, high)
    drawn = kind
    if kind.itemsize < 4:
        # Drawn with 32 bits, so that the remainder hardly favours small numbers.
        drawn, info = np.dtype(np.int32), np.iinfo(kind)
        low, high = (convert(v, drawn) for v in (low, high))
        low = e.minimum(e.maximum(low, np.int32(info.min)), np.int32(info.max))
        high = e.minimum(e.maximum(high, np.int32(info.min)), np.int32(int(info.max) + 1))
    return wrap(convert(_randint(key, sizes, low, high, drawn), kind))


def _integers(bound: Any) -> Any:
    bound = array_operand(bound)
    return bound if type_of(bound).dtype.kind in "iu" else convert(bound, np.int64)


def _randint(key: Any, shape: Shape, low: Any, high: Any, dtype: np.dtype) -> Any:
    top = min(np.iinfo(dtype).max, np.iinfo(type_of(high).dtype).max)
    beyond = e.gt(high, type_of(high).dtype.type(top))
    low, high = _clipped(low, dtype), _clipped(high, dtype)
    width = dtype.itemsize * 8
    unsigned = np.dtype(f"u{dtype.itemsize}")
    one = unsigned.type(1)
    more, less = (random_bits(k, shape=shape, width=width) for k in subkeys(key))
    span = e.select(e.le(high, low), one, convert(e.sub(high, low), unsigned))
    # A bound beyond the dtype's largest value: the span may wrap to 0, where the remainder is to have no effect.
    span = e.select(e.logical_and(beyond, e.gt(high, low)), e.add(span, one), span)
    half = _rest(unsigned.type(2 ** (width // 2)), span)
    factor = _rest(e.mul(half, half), span)
    offset = _rest(e.add(e.mul(_rest(more, span), factor), _rest(less, span)), span)
    return e.add(low, convert(offset, dtype))


def _rest(x: Any, span: Any) -> Any:
    # The remainder that leaves x as it is where the span is 0.
    if type(span) is not Tracer and np.all(span):
        return e.remainder(x, span)
    empty = e.eq(span, span.dtype.type(0))
    return e.select(empty, x, e.remainder(x, e.select(empty, span.dtype.type(1), span)))


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Array:
    """A random permutation of arange(x) for an int, or of an array's slices along `axis`.

    independent=True shuffles each line along the axis on its own. Raises TypeError for a 0-d array of floats or a
    traced int.
    """
    key, x = check_key("permutation", key), unwrap(x)
    if type(x) is not Tracer and np.ndim(x) == 0:
        return wrap(random_permutation(key, shape=(operator.index(np.asarray(x).item()),), axis=0))
    x = array_operand(x)
    shape = type_of(x).shape
    if not shape:
        raise TypeError("random.permutation needs a Python int or an array, got a traced scalar; mark it static.")
    at = range(len(shape))[axis]
    if independent and len(shape) > 1:
        return wrap(take_along(x, random_permutation(key, shape=shape, axis=at), at))
    return wrap(take(x, random_permutation(key, shape=(shape[at],), axis=0), at))


def choice(key: Any, a: Any, shape: ShapeLike = (), replace: bool = True, p: Any = None, axis: int = 0,
           mode: str | None = None) -> Array:  # fmt: skip
    """Random draws from arange(a) for an int, or of slices of an array along `axis`, with probabilities `p`.

    The result has `shape` in the place of the axis. `mode` is that of `gumbel`, used without replacement and with p.
    Raises ValueError if there is nothing to draw from, if there are too few for replace=False, or for a wrong `p`.
    """
    key, a = check_key("choice", key), unwrap(a)
    a = array_operand(a)
    whole = type_of(a).shape
    sizes = shape_of("choice", shape)
    at = range(len(whole))[axis] if whole else 0
    n = whole[at] if whole else operator.index(a.item() if isinstance(a, np.ndarray) else a)
    draws = math.prod(sizes)
    out = (*whole[:at], *sizes, *whole[at + 1 :])
    if draws == 0:
        return wrap(np.zeros(out if whole else sizes, type_of(a).dtype))
    if n <= 0:
        raise ValueError(f"random.choice was asked for {draws} draws from nothing; give it at least one value.")
    if not replace and draws > n:
        raise ValueError(f"random.choice cannot draw {draws} of {n} values without replacement.")
    found = _choose(key, n, sizes, draws, replace, p, mode)
    return wrap(found if not whole else reshape(take(a, reshape(found, shape=(draws,)), at), shape=out))


def _choose(key: Any, n: int, sizes: Shape, draws: int, replace: bool, p: Any, mode: str | None) -> Any:
    """Indices of shape `sizes` into n values."""
    if p is None:
        if replace:
            return _randint(key, sizes, np.int64(0), np.int64(n), np.dtype(np.int64))
        return reshape(slice_axis(random_permutation(key, shape=(n,), axis=0), 0, draws, 0), shape=sizes)
    p = array_operand(p)
    p = p if type_of(p).dtype.kind == "f" else convert(p, np.float64)
    if type_of(p).shape != (n,):
        raise ValueError(f"random.choice takes p of shape ({n},), one probability for each value; got {type_of(p)}.")
    if replace:
        total = cumsum(p, axis=0, reverse=False)
        last = reshape(slice_axis(total, n - 1, n, 0), shape=())
        level = last * (1 - raw_uniform(key, sizes, type_of(p).dtype))
        return searchsorted(total, level)
    noisy = raw_gumbel(key, (n,), type_of(p).dtype, mode) + e.log(p)
    return reshape(largest(noisy, draws), shape=sizes)


def raw_gumbel(key: Any, shape: Shape, dtype: np.dtype, mode: str | None) -> Any:
    """Standard Gumbel values; mode "low" (None) from one uniform value, "high" from two."""
    if mode not in (None, "low", "high"):
        raise ValueError(f'random.gumbel has mode "low" and "high", got {mode!r}.')
    info = np.finfo(dtype)
    if mode != "high":
        return -e.log(-e.log(raw_uniform(key, shape, dtype, info.tiny, 1.0)))
    both = raw_uniform(key, (2, *shape), dtype)
    high, low = (reshape(slice_axis(both, i, i + 1, 0), shape=shape) for i in (0, 1))
    x = e.select(high >= 0.5, high, high + dtype.type(2.0**-info.nmant) * low + info.tiny)
    return -e.log(-e.log1p(-x))
