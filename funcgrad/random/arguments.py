"""What every sampler does with its arguments: checks of keys, dtypes and shapes, and the raw draws they share.

Raw draws take checked keys and give plain ndarrays or tracers; the public functions wrap them.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import unwrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import broadcast_to, convert, reshape
from funcgrad.ops.elementwise import log1p, maximum, neg
from funcgrad.ops.pointwise import broadcast_shapes
from funcgrad.ops.random import random_loggamma, random_split, random_unit
from funcgrad.ops.shape import slice_axis
from funcgrad.ops.special import erf_inv

Shape = tuple[int, ...]
ShapeLike = int | Sequence[int]


def check_key(name: str, key: Any) -> Any:
    """A single key (uint32, shape (2,)), unwrapped. Raises TypeError for anything else, ValueError for many keys."""
    key = unwrap(key)
    kind = type_of(key) if type(key) is Tracer or isinstance(key, np.ndarray) else None
    if kind is None or kind.dtype != np.uint32 or not kind.shape or kind.shape[-1] != 2:
        got = f"{key!r}" if kind is None else str(kind)
        raise TypeError(f"random.{name} takes a key as its first argument, got {got}; make one with random.key(seed).")
    if kind.ndim > 1:
        raise ValueError(
            f"random.{name} takes one key, got an array of keys of shape {kind.shape[:-1]}; use funcgrad.vmap over it."
        )
    return key


def shape_of(name: str, shape: ShapeLike) -> Shape:
    """A shape argument as a tuple of ints. Raises TypeError for a traced size, ValueError for a negative one."""
    if type(shape) is Tracer:
        raise TypeError(f"random.{name} needs a shape of Python ints, got a traced value; mark it static in jit.")
    sizes = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if any(type(n) is Tracer for n in sizes):
        raise TypeError(f"random.{name} needs a shape of Python ints, got a traced size; mark it static in jit.")
    found = tuple(operator.index(n) for n in sizes)
    if any(n < 0 for n in found):
        raise ValueError(f"random.{name} was asked for shape {found}; sizes must not be negative.")
    return found


def parameter_shape(name: str, shape: ShapeLike | None, *parameters: Any) -> Shape:
    """The result's shape: the parameters' own broadcast shape, or `shape`, to which they must broadcast."""
    types = [type_of(p) for p in parameters]
    if shape is None:
        return broadcast_shapes(f"random.{name}", types)
    wanted = shape_of(name, shape)
    try:
        fits = np.broadcast_shapes(wanted, *[t.shape for t in types]) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"random.{name} was asked for shape {wanted}, to which parameters of shapes "
            f"{', '.join(str(t.shape) for t in types)} do not broadcast."
        )
    return wanted


def float_of(name: str, dtype: Any) -> np.dtype:
    """A floating dtype, float64 for None. Raises ValueError for others."""
    found = np.dtype(float if dtype is None else dtype)
    if found.kind != "f" or found.itemsize > 8:
        raise ValueError(f"random.{name} gives floats (float16, float32, float64); got dtype={found}.")
    return found


def integer_of(name: str, dtype: Any) -> np.dtype:
    """An integer dtype, int64 for None. Raises TypeError for others."""
    found = np.dtype(int if dtype is None else dtype)
    if found.kind not in "iu":
        raise TypeError(f"random.{name} gives integers; got dtype={found}.")
    return found


def values(dtype: np.dtype, *parameters: Any) -> list[Any]:
    """Parameters as arrays of one dtype."""
    return [convert(array_operand(p), dtype) for p in parameters]


def spread(shape: Shape, *parameters: Any) -> list[Any]:
    """Parameters broadcast to one shape."""
    return [broadcast_to(p, shape) for p in parameters]


# ---- raw draws ----


def subkeys(key: Any, n: int = 2) -> list[Any]:
    """`n` new keys from one."""
    both = random_split(key, shape=(n,))
    if type(both) is not Tracer:
        return list(both)
    return [reshape(slice_axis(both, i, i + 1, 0), shape=(2,)) for i in range(n)]


def raw_uniform(key: Any, shape: Shape, dtype: np.dtype, low: Any = 0.0, high: Any = 1.0) -> Any:
    """Uniform values in [low, high); low and high are of the dtype or Python floats."""
    unit = random_unit(key, shape=shape, dtype=dtype)
    if type(low) is float and type(high) is float and (low, high) == (0.0, 1.0):
        return unit
    low, high = convert(low, dtype), convert(high, dtype)
    return maximum(low, unit * (high - low) + low)


def raw_normal(key: Any, shape: Shape, dtype: np.dtype) -> Any:
    """Standard normal values: sqrt(2) erf_inv(u), u uniform in (-1, 1)."""
    low = np.nextafter(np.array(-1.0, dtype), np.array(0.0, dtype))
    return erf_inv(raw_uniform(key, shape, dtype, low, 1.0)) * np.array(np.sqrt(2), dtype)


def raw_exponential(key: Any, shape: Shape, dtype: np.dtype) -> Any:
    """Exponential values of rate 1."""
    return neg(log1p(neg(random_unit(key, shape=shape, dtype=dtype))))


def raw_loggamma(key: Any, a: Any, shape: Shape, dtype: np.dtype) -> Any:
    """Logarithms of gamma values."""
    return random_loggamma(key, broadcast_to(convert(a, dtype), shape))
