"""The gamma distribution and the ones made of it. Shape parameters are differentiable, by implicit differentiation:
the sample is taken as the quantile of a fixed level, as in JAX.

Errors as in `continuous.py`. The samples follow JAX's distributions, not its bits (see `ops/samplers.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import Array, wrap
from funcgrad.core.tracing import type_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_in_dim, convert, reduce_sum
from funcgrad.ops.reduce import reduce_max
from funcgrad.ops.special_forms import stop_gradient_op
from funcgrad.random.arguments import (
    Shape,
    ShapeLike,
    check_key,
    float_of,
    parameter_shape,
    raw_exponential,
    raw_loggamma,
    raw_normal,
    shape_of,
    subkeys,
    values,
)
from funcgrad.random.continuous import random_signs


def loggamma(key: Any, a: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Logarithms of gamma values of shape parameter `a`: exact where the gamma values themselves underflow."""
    key, kind = check_key("loggamma", key), float_of("loggamma", dtype)
    (a,) = values(kind, a)
    return wrap(raw_loggamma(key, a, parameter_shape("loggamma", shape, a), kind))


def gamma(key: Any, a: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Gamma values of shape parameter `a` and scale 1."""
    key, kind = check_key("gamma", key), float_of("gamma", dtype)
    (a,) = values(kind, a)
    return wrap(e.exp(raw_loggamma(key, a, parameter_shape("gamma", shape, a), kind)))


def chisquare(key: Any, df: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Chi-square values of `df` degrees of freedom."""
    key, kind = check_key("chisquare", key), float_of("chisquare", dtype)
    (df,) = values(kind, df)
    return wrap(_chisquare(key, df, parameter_shape("chisquare", shape, df), kind))


def _chisquare(key: Any, df: Any, shape: Shape, kind: np.dtype) -> Any:
    return 2 * e.exp(raw_loggamma(key, df / 2, shape, kind))


def f(key: Any, dfnum: Any, dfden: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """F values of dfnum and dfden degrees of freedom."""
    key, kind = check_key("f", key), float_of("f", dtype)
    top, bottom = values(kind, dfnum, dfden)
    sizes = parameter_shape("f", shape, top, bottom)
    k1, k2 = subkeys(key)
    return wrap((_chisquare(k2, top, sizes, kind) / top) / (_chisquare(k1, bottom, sizes, kind) / bottom))


def t(key: Any, df: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Student's t values of `df` degrees of freedom."""
    key, kind = check_key("t", key), float_of("t", dtype)
    (df,) = values(kind, df)
    sizes = parameter_shape("t", shape, df)
    k1, k2 = subkeys(key)
    half = df / 2
    return wrap(raw_normal(k1, sizes, kind) * e.sqrt(half / e.exp(raw_loggamma(k2, half, sizes, kind))))


def beta(key: Any, a: Any, b: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Beta values of parameters a and b."""
    key, kind = check_key("beta", key), float_of("beta", dtype)
    a, b = values(kind, a, b)
    sizes = parameter_shape("beta", shape, a, b)
    k1, k2 = subkeys(key)
    log_a, log_b = raw_loggamma(k1, a, sizes, kind), raw_loggamma(k2, b, sizes, kind)
    # The larger one becomes 1, so that neither overflows nor both underflow.
    top = stop_gradient_op(e.maximum(log_a, log_b))
    share_a, share_b = e.exp(log_a - top), e.exp(log_b - top)
    return wrap(share_a / (share_a + share_b))


def dirichlet(key: Any, alpha: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Dirichlet vectors along the last axis of `alpha` (..., n), of shape (*shape, n). ValueError for a 0-d alpha."""
    key, kind = check_key("dirichlet", key), float_of("dirichlet", dtype)
    (alpha,) = values(kind, alpha)
    have = type_of(alpha).shape
    if not have:
        raise ValueError("random.dirichlet takes alpha of shape (..., n), got a scalar.")
    sizes = have[:-1] if shape is None else shape_of("dirichlet", shape)
    whole = parameter_shape("dirichlet", (*sizes, have[-1]), alpha)
    logs = raw_loggamma(key, alpha, whole, kind)
    last = len(whole) - 1
    back = {"shape": whole, "dims": tuple(range(last))}
    top = stop_gradient_op(reduce_max(logs, axes=(last,))) if have[-1] else reduce_sum(logs, axes=(last,))
    shares = e.exp(logs - broadcast_in_dim(top, **back))
    return wrap(shares / broadcast_in_dim(reduce_sum(shares, axes=(last,)), **back))


def generalized_normal(key: Any, p: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Values of density proportional to exp(-|x|**p)."""
    key, sizes, kind = check_key("generalized_normal", key), shape_of("generalized_normal", shape), dtype
    return wrap(_generalized_normal(key, p, sizes, float_of("generalized_normal", kind)))


def _generalized_normal(key: Any, p: Any, shape: Shape, kind: np.dtype) -> Any:
    p = convert(array_operand(p), kind)
    parameter_shape("generalized_normal", shape, p)
    k1, k2 = subkeys(key)
    return random_signs(k2, shape, kind) * e.exp(raw_loggamma(k1, 1 / p, shape, kind) / p)


def ball(key: Any, d: int, p: Any = 2, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Points of shape (*shape, d), uniform in the unit ball of the p-norm in d dimensions. ValueError for d < 0."""
    key, sizes, kind = check_key("ball", key), shape_of("ball", shape), float_of("ball", dtype)
    whole = shape_of("ball", (*sizes, d))
    k1, k2 = subkeys(key)
    g = _generalized_normal(k1, p, whole, kind)
    p = convert(array_operand(p), kind)
    total = reduce_sum(e.power(e.absolute(g), p), axes=(len(sizes),)) + raw_exponential(k2, sizes, kind)
    length = e.power(total, 1 / p)
    return wrap(g / broadcast_in_dim(length, shape=whole, dims=tuple(range(len(sizes)))))
