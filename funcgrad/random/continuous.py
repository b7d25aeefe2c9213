"""Continuous distributions whose samples are functions of uniform or normal values.

Each takes a key, then parameters, shape and dtype (float64 by default) as in jax.random. Parameters are
differentiable (the samples are reparametrised). All raise TypeError for a wrong key and ValueError for a dtype that
is not floating or for parameters that do not broadcast to `shape`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import Array, wrap
from funcgrad.core.tracing import type_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert, reduce_sum
from funcgrad.ops.special import erf, erf_inv
from funcgrad.random.arguments import (
    Shape,
    ShapeLike,
    check_key,
    float_of,
    parameter_shape,
    raw_exponential,
    raw_normal,
    raw_uniform,
    shape_of,
    spread,
    subkeys,
    values,
)
from funcgrad.random.draws import raw_gumbel


def _plain(name: str, key: Any, shape: ShapeLike, dtype: Any) -> tuple[Any, Shape, np.dtype]:
    return check_key(name, key), shape_of(name, shape), float_of(name, dtype)


def normal(key: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Standard normal values; a complex dtype gives complex ones of variance 1."""
    if dtype is None or np.dtype(dtype).kind != "c":
        return wrap(raw_normal(*_plain("normal", key, shape, dtype)))
    kind = np.dtype(dtype)
    part = np.zeros((), kind).real.dtype
    key, sizes = check_key("normal", key), shape_of("normal", shape)
    re, im = (raw_normal(k, sizes, part) for k in subkeys(key))
    return wrap(convert(e.make_complex(re, im), kind) / kind.type(math.sqrt(2)))


def lognormal(key: Any, sigma: Any = 1.0, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """exp(sigma z), z standard normal."""
    key, kind = check_key("lognormal", key), float_of("lognormal", dtype)
    (sigma,) = values(kind, sigma)
    sizes = parameter_shape("lognormal", shape, sigma)
    return wrap(e.exp(raw_normal(key, sizes, kind) * sigma))


def truncated_normal(key: Any, lower: Any, upper: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Standard normal values given that they are in (lower, upper)."""
    key, kind = check_key("truncated_normal", key), float_of("truncated_normal", dtype)
    lower, upper = values(kind, lower, upper)
    sizes = parameter_shape("truncated_normal", shape, lower, upper)
    root = np.array(math.sqrt(2), kind)
    a, b = erf(lower / root), erf(upper / root)
    out = erf_inv(raw_uniform(key, sizes, kind, a, b)) * root
    return wrap(e.clamp(out, e.nextafter(lower, kind.type(np.inf)), e.nextafter(upper, kind.type(-np.inf))))


def exponential(key: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Exponential values of rate 1."""
    return wrap(raw_exponential(*_plain("exponential", key, shape, dtype)))


def gumbel(key: Any, shape: ShapeLike = (), dtype: Any = None, mode: str | None = None) -> Array:
    """Standard Gumbel values. mode "low" (default) draws one uniform value each, "high" two: more of the upper tail.

    Raises ValueError for another mode.
    """
    return wrap(raw_gumbel(*_plain("gumbel", key, shape, dtype), mode))


def laplace(key: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Standard Laplace values."""
    key, sizes, kind = _plain("laplace", key, shape, dtype)
    u = raw_uniform(key, sizes, kind, float(-1.0 + np.finfo(kind).epsneg), 1.0)
    return wrap(e.sign(u) * e.log1p(-e.absolute(u)))


def logistic(key: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Standard logistic values."""
    key, sizes, kind = _plain("logistic", key, shape, dtype)
    x = raw_uniform(key, sizes, kind, np.finfo(kind).tiny, 1.0)
    return wrap(e.log(x) - e.log1p(-x))


def cauchy(key: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Standard Cauchy values."""
    key, sizes, kind = _plain("cauchy", key, shape, dtype)
    u = raw_uniform(key, sizes, kind, np.finfo(kind).eps, 1.0)
    return wrap(e.tan((u - 0.5) * kind.type(math.pi)))


def pareto(key: Any, b: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Pareto values with exponent `b` and smallest value 1."""
    key, kind = check_key("pareto", key), float_of("pareto", dtype)
    (b,) = values(kind, b)
    sizes = parameter_shape("pareto", shape, b)
    return wrap(e.exp(raw_exponential(key, sizes, kind) / b))


def rayleigh(key: Any, scale: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Rayleigh values of a scale."""
    key, kind = check_key("rayleigh", key), float_of("rayleigh", dtype)
    (scale,) = values(kind, scale)
    sizes = parameter_shape("rayleigh", shape, scale)
    # u can be 0, whose logarithm is infinite.
    u = raw_uniform(key, sizes, kind)
    return wrap(scale * e.sqrt(-2 * e.log(e.maximum(u, np.finfo(kind).tiny))))


def _norm3(key: Any, shape: Shape, kind: np.dtype) -> Any:
    z = raw_normal(key, (*shape, 3), kind)
    return e.sqrt(reduce_sum(z * z, axes=(len(shape),)))


def maxwell(key: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """Maxwell values: the length of a standard normal vector of 3 values."""
    return wrap(_norm3(*_plain("maxwell", key, shape, dtype)))


def double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """loc + scale times a Maxwell value with a random sign, of shape (*shape, *parameters' shape), as JAX has it."""
    key, sizes, kind = _plain("double_sided_maxwell", key, shape, dtype)
    loc, scale = values(kind, loc, scale)
    own = parameter_shape("double_sided_maxwell", None, loc, scale)
    whole = (sizes or own) + own
    k1, k2 = subkeys(key)
    return wrap(random_signs(k2, whole, kind) * _norm3(k1, whole, kind) * scale + loc)


def random_signs(key: Any, shape: Shape, dtype: np.dtype) -> Any:
    """-1 or 1 with even odds."""
    return convert(2 * convert(raw_uniform(key, shape, np.dtype(float)) < 0.5, dtype) - 1, dtype)


def weibull_min(key: Any, scale: Any, concentration: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Weibull values of a scale and concentration; without a shape that of the parameters."""
    key, kind = check_key("weibull_min", key), float_of("weibull_min", dtype)
    scale, concentration = values(kind, scale, concentration)
    sizes = parameter_shape("weibull_min", shape or None, scale, concentration)
    return wrap(e.power(raw_exponential(key, sizes, kind), 1.0 / concentration) * scale)


def triangular(key: Any, left: Any, mode: Any, right: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Triangular values between left and right, most often around the mode."""
    key, kind = check_key("triangular", key), float_of("triangular", dtype)
    left, mode, right = values(kind, left, mode, right)
    sizes = parameter_shape("triangular", shape, left, mode, right)
    left, mode, right = spread(sizes, left, mode, right)
    u = raw_uniform(key, sizes, kind)
    rising = u < (mode - left) / (right - left)
    # Each root is taken only where it is chosen: the other may be of 0, where it has no derivative.
    below = e.select(rising & (u > 0) & (mode > left), u * (right - left) * (mode - left), 1.0)
    above = e.select(rising | (right == mode), 1.0, (1 - u) * (right - left) * (right - mode))
    low = e.select((u > 0) & (mode > left), left + e.sqrt(below), left)
    high = e.select(right == mode, right, right - e.sqrt(above))
    return wrap(e.select(rising, low, high))


def wald(key: Any, mean: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Wald (inverse Gaussian) values of a mean and shape parameter 1."""
    key, kind = check_key("wald", key), float_of("wald", dtype)
    (mean,) = values(kind, mean)
    sizes = parameter_shape("wald", shape, mean)
    (mean,) = spread(sizes, mean)
    k1, k2 = subkeys(key)
    v, z = raw_normal(k1, sizes, kind), raw_uniform(k2, sizes, kind)
    y = v * v
    x = mean + mean * mean * y / 2 - mean / 2 * e.sqrt(4 * mean * y + mean * mean * (y * y))
    return wrap(e.select(z <= mean / (mean + x), x, mean * mean / x))


def _last_square(x: Any) -> bool:
    shape = type_of(x).shape
    return len(shape) >= 2 and shape[-1] == shape[-2]


def check_normal_parameters(mean: Any, cov: Any) -> None:
    """Raises ValueError unless mean is (..., n) and cov (..., n, n)."""
    mean_type, cov_type = type_of(array_operand(mean)), type_of(array_operand(cov))
    if mean_type.ndim < 1 or not _last_square(array_operand(cov)) or cov_type.shape[-1] != mean_type.shape[-1]:
        raise ValueError(
            f"random.multivariate_normal takes mean (..., n) and cov (..., n, n); got {mean_type} and {cov_type}."
        )
