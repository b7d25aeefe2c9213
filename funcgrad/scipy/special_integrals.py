"""More of jax.scipy.special's names: integrals, Bessel and hypergeometric functions, counting, spherical harmonics."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of
from funcgrad.numpy.wrapping import array_operand, operand
from funcgrad.ops import bessel, gammas, harmonics, hypergeometric, integrals
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import reshape
from funcgrad.ops.families import scipy_special
from funcgrad.ops.shape import concatenate
from funcgrad.scipy.floating import floating, function, together


@function
def erfcx(x: Any) -> Any:
    """exp(x ** 2) * erfc(x), which stays finite where erfc vanishes."""
    return integrals.erfcx(x)


@function
def wofz(z: Any) -> Any:
    """The Faddeeva function exp(-z ** 2) * erfc(-iz), elementwise; complex."""
    return integrals.wofz(z)


@function
def expn(n: Any, x: Any) -> Any:
    """The generalised exponential integral of order n >= 0, elementwise. Not differentiable by n."""
    return integrals.expn(n, x)


@function
def fresnel(x: Any) -> Any:
    """The Fresnel integrals (S, C) of sin and cos of pi t ** 2 / 2 from 0 to x, elementwise."""
    return integrals.fresnel_sine(x), integrals.fresnel_cosine(x)


@function
def sici(x: Any) -> Any:
    """The sine and cosine integrals (Si, Ci), elementwise; Ci is nan for negative x."""
    return integrals.sine_integral(x), integrals.cosine_integral(x)


@function
def owens_t(h: Any, a: Any) -> Any:
    """Owen's T function: the mass of two unit normals in X > h and 0 < Y < aX, elementwise."""
    return integrals.owens_t(h, a)


@function
def hyp1f1(a: Any, b: Any, x: Any) -> Any:
    """Kummer's function 1F1(a; b; x), elementwise. By a and b it has a first derivative only."""
    return hypergeometric.hyp1f1(a, b, x)


@function
def hyp2f1(a: Any, b: Any, c: Any, x: Any) -> Any:
    """Gauss's function 2F1(a, b; c; x) of real arguments, elementwise. By a, b and c it has a first derivative only."""
    return hypergeometric.hyp2f1(a, b, c, x)


def comb(N: Any, k: Any, *, repetition: bool = False) -> Any:
    """The number of ways to choose k of N things, elementwise, floating; 0 for N < 0, k < 0 or k > N.

    With `repetition` a thing may be chosen again: comb(N + k - 1, k), and 1 for N = k = 0.
    """
    n, chosen = together([floating(N), floating(k)])
    if repetition:
        none = (n == 0) & (chosen == 0)
        return wrap(e.select(none, 1.0, operand(comb(n + chosen - 1.0, chosen))))
    inside = (n >= 0) & (chosen >= 0) & (chosen <= n)
    return wrap(e.select(inside, gammas.binom(e.select(inside, n, 1.0), e.select(inside, chosen, 0.0)), 0.0))


def bernoulli(n: int) -> Any:
    """The Bernoulli numbers B_0, ..., B_n with B_1 = -1/2, shape (n + 1,). Raises ValueError for negative n."""
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"bernoulli: n must be a non-negative integer, got {n}.")
    return wrap(np.asarray(scipy_special.bernoulli(max(n, 1)))[: n + 1])


def bessel_jn(z: Any, *, v: int, n_iter: int = 50) -> Any:
    """The Bessel functions of the first kind J_0, ..., J_v at real z, elementwise.

    Args:
        z: real values of any shape.
        v: the largest order, a Python integer.
        n_iter: JAX's number of iterations, at least 1; every value here is exact to rounding, as by ever more of them.

    Returns:
        An array of shape (v + 1, *z.shape). Raises ValueError for a negative v, TypeError for a complex z.
    """
    v = operator.index(v)
    if v < 0 or operator.index(n_iter) < 1:
        raise ValueError(f"bessel_jn: v must be at least 0 and n_iter at least 1, got {v} and {n_iter}.")
    x = floating(array_operand(z))
    if dtype_of(x).kind == "c":
        raise TypeError(f"bessel_jn: z must be real, got {dtype_of(x)}.")
    found = [reshape(bessel.bessel_j(float(i), x), shape=(1, *shape_of(x))) for i in range(v + 1)]
    return wrap(concatenate(*found, axis=0))


def sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, diff_n: int | None = None, n_max: int | None = None) -> Any:
    """The spherical harmonic of degree n and order m at polar angle theta and azimuth phi, elementwise; complex.

    Args:
        n, m: integers, |m| <= n; not differentiable.
        theta, phi: angles in radians.
        diff_n: must be None, as in JAX: differentiate with funcgrad's own transforms.
        n_max: a bound on n, checked where n is known; values do not depend on it.
    """
    if diff_n is not None:
        raise NotImplementedError("sph_harm_y: diff_n is not offered; use funcgrad.jvp or funcgrad.jacfwd.")
    degree, order = array_operand(n), array_operand(m)
    if dtype_of(degree).kind not in "iu" or dtype_of(order).kind not in "iu":
        raise TypeError(f"sph_harm_y: n and m must be integers, got {dtype_of(degree)} and {dtype_of(order)}.")
    if n_max is not None and type(degree) is not Tracer and np.any(np.asarray(degree) > n_max):
        raise ValueError(f"sph_harm_y: n_max={n_max} is less than the largest n, {np.max(degree)}.")
    return wrap(harmonics.sph_harm_y(degree, order, floating(theta), floating(phi)))
