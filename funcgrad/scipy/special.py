"""jax.scipy.special's names: SciPy's special functions with derivatives of all orders."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.nn import distributions
from funcgrad.numpy.axes import Axis
from funcgrad.ops import bessel, gammas, hypergeometric, incomplete_beta
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.scipy.floating import floating, function, together
from funcgrad.scipy.special_integrals import bernoulli as bernoulli
from funcgrad.scipy.special_integrals import bessel_jn as bessel_jn
from funcgrad.scipy.special_integrals import comb as comb
from funcgrad.scipy.special_integrals import erfcx as erfcx
from funcgrad.scipy.special_integrals import expn as expn
from funcgrad.scipy.special_integrals import fresnel as fresnel
from funcgrad.scipy.special_integrals import hyp1f1 as hyp1f1
from funcgrad.scipy.special_integrals import hyp2f1 as hyp2f1
from funcgrad.scipy.special_integrals import owens_t as owens_t
from funcgrad.scipy.special_integrals import sici as sici
from funcgrad.scipy.special_integrals import sph_harm_y as sph_harm_y
from funcgrad.scipy.special_integrals import wofz as wofz


@function
def erf(x: Any) -> Any:
    """The error function, elementwise."""
    return s.erf(x)


@function
def erfc(x: Any) -> Any:
    """1 - erf(x), accurate for large x."""
    return s.erfc(x)


@function
def erfinv(x: Any) -> Any:
    """The inverse of erf, for x in (-1, 1)."""
    return s.erf_inv(x)


@function
def expit(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return s.logistic(x)


@function
def logit(x: Any) -> Any:
    """log(x / (1 - x)), the inverse of expit."""
    return e.log(x / (1.0 - x))


@function
def gammaln(x: Any) -> Any:
    """The logarithm of |gamma(x)|."""
    return s.lgamma(x)


@function
def gammasgn(x: Any) -> Any:
    """The sign of gamma(x): 1 or -1, nan at the negative integers, and the sign of x at 0."""
    whole = e.floor(x)
    even = e.remainder(whole, 2.0) == 0
    no_sign = ((x < 0) & (whole == x)) | e.is_nan(x)
    return e.select(no_sign, np.nan, e.select((x < 0) & even, 1.0, e.copysign(1.0, x)))


@function
def gamma(x: Any) -> Any:
    """The gamma function."""
    return gammas.gamma(x)


@function
def loggamma(x: Any) -> Any:
    """The principal branch of log(gamma(x)), for real or complex x; nan for negative real x."""
    return gammas.loggamma(x)


@function
def digamma(x: Any) -> Any:
    """The derivative of gammaln."""
    return s.digamma(x)


@function
def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma. Not differentiable by n."""
    return s.polygamma(n, x)


def zeta(x: Any, q: Any = None) -> Any:
    """The Hurwitz zeta function, for x > 1; by default q = 1, Riemann's. By x it has a first derivative only."""
    return wrap(s.zeta(*together([floating(x), floating(1.0 if q is None else q)])))


@function
def gammainc(a: Any, x: Any) -> Any:
    """The lower regularised incomplete gamma function. By a it has a first derivative only."""
    return s.igamma(a, x)


@function
def gammaincc(a: Any, x: Any) -> Any:
    """1 - gammainc(a, x)."""
    return s.igammac(a, x)


@function
def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularised incomplete beta function. By a and b it has a first derivative only."""
    return incomplete_beta.betainc(a, b, x)


@function
def betaln(a: Any, b: Any) -> Any:
    """The logarithm of |beta(a, b)|."""
    return gammas.betaln(a, b)


@function
def beta(a: Any, b: Any) -> Any:
    """The beta function."""
    return gammas.beta(a, b)


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function of static dimension d."""
    a = floating(a)
    terms = [s.lgamma(a - 0.5 * i) for i in range(int(d))]
    return wrap(functools.reduce(e.add, terms) + d * (d - 1) / 4 * math.log(math.pi))


def factorial(n: Any, exact: bool = False) -> Any:
    """n!, as gamma(n + 1); 0 for negative n. Only exact=False is offered."""
    if exact:
        raise NotImplementedError("factorial: exact=True needs integers of any size, which arrays cannot hold.")
    n = floating(n)
    return wrap(e.select(n < 0, 0.0, gammas.gamma(e.select(n < 0, 0.0, n) + 1.0)))


@function
def poch(z: Any, m: Any) -> Any:
    """The Pochhammer symbol gamma(z + m) / gamma(z)."""
    return gammas.poch(z, m)


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False,
              where: Any = None) -> Any:  # fmt: skip
    """log(sum(b * exp(a))) along `axis` without overflow; see funcgrad.nn.logsumexp."""
    return distributions.logsumexp(a, axis, b, keepdims, return_sign, where)


def softmax(x: Any, /, *, axis: Axis = None) -> Any:
    """exp(x) / sum(exp(x)) along `axis`, by default over all axes."""
    return distributions.softmax(x, axis)


def log_softmax(x: Any, /, *, axis: Axis = None) -> Any:
    """log(softmax(x)) along `axis`, by default over all axes."""
    return distributions.log_softmax(x, axis)


@function
def xlogy(x: Any, y: Any) -> Any:
    """x * log(y), and 0 where x is 0."""
    # y is replaced where its logarithm has no finite value only, so that the derivative by x is log(y) at x = 0 too.
    outside = (x == 0) & ((y <= 0) | (y == np.inf))
    return x * e.log(e.select(outside, 1.0, y))


@function
def xlog1py(x: Any, y: Any) -> Any:
    """x * log1p(y), and 0 where x is 0."""
    outside = (x == 0) & ((y <= -1) | (y == np.inf))
    return x * e.log1p(e.select(outside, 0.0, y))


@function
def entr(x: Any) -> Any:
    """-x * log(x), 0 at 0, -inf for negative x."""
    value = e.select(x <= 0, 1.0, x)
    return e.select(x == 0, 0.0, e.select(x < 0, -np.inf, -value * e.log(value)))


@function
def rel_entr(p: Any, q: Any) -> Any:
    """p * log(p / q) for positive p and q, 0 for p = 0 and q >= 0, nan for nan, inf elsewhere."""
    outside = ((p <= 0) | (q <= 0)) & (p == p) & (q == q)
    safe_p, safe_q = e.select(outside, 1.0, p), e.select(outside, 1.0, q)
    value = e.select(outside, np.inf, safe_p * (e.log(safe_p) - e.log(safe_q)))
    return e.select((p == 0) & (q >= 0), 0.0, value)


@function
def kl_div(p: Any, q: Any) -> Any:
    """rel_entr(p, q) - p + q."""
    return rel_entr(p, q) - p + q


@function
def ndtr(x: Any) -> Any:
    """The normal distribution function."""
    return 0.5 * s.erfc(-x * math.sqrt(0.5))


def log_ndtr(x: Any, series_order: int = 3) -> Any:
    """log(ndtr(x)), accurate far to the left.

    series_order: JAX's number of terms far to the left, at least 1; every value here is exact to rounding, as by ever more.
    """
    if operator.index(series_order) < 1:
        raise ValueError(f"log_ndtr: series_order must be at least 1, got {series_order}.")
    return wrap(s.log_ndtr(floating(x)))


@function
def ndtri(p: Any) -> Any:
    """The inverse of ndtr, for p in (0, 1)."""
    return s.ndtri(p)


@function
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0."""
    return bessel.bessel_i0(x)


@function
def i1(x: Any) -> Any:
    """The modified Bessel function of order 1."""
    return bessel.bessel_i1(x)


@function
def i0e(x: Any) -> Any:
    """exp(-|x|) * i0(x)."""
    return bessel.bessel_i0e(x)


@function
def i1e(x: Any) -> Any:
    """exp(-|x|) * i1(x)."""
    return bessel.bessel_i1e(x)


@function
def expi(x: Any) -> Any:
    """The exponential integral Ei."""
    return s.expi(x)


@function
def exp1(x: Any) -> Any:
    """The exponential integral E1."""
    return s.exp1(x)


@function
def dawsn(x: Any) -> Any:
    """Dawson's integral."""
    return s.dawsn(x)


@function
def spence(x: Any) -> Any:
    """Spence's function, the dilogarithm of 1 - x."""
    return hypergeometric.spence(x)


@function
def boxcox(x: Any, lmbda: Any) -> Any:
    """(x ** lmbda - 1) / lmbda, and log(x) where lmbda is 0."""
    return _power_transform(e.log(x), lmbda)


@function
def boxcox1p(x: Any, lmbda: Any) -> Any:
    """boxcox(1 + x, lmbda), accurate near x = 0."""
    return _power_transform(e.log1p(x), lmbda)


def _power_transform(logarithm: Any, lmbda: Any) -> Any:
    # At 0 the quotient is written as exprel, whose derivatives by lmbda are known there; an infinite logarithm has 0 * inf in
    # its argument, so it stands alone, with the root of lmbda for its infinite slope.
    zero = lmbda == 0
    safe, power = e.select(zero, 1.0, lmbda), e.select(zero, lmbda, 0.0)
    endless = zero & (e.magnitude(logarithm) == np.inf)
    finite = e.select(zero & ~endless, logarithm, 0.0)
    at_zero = finite * hypergeometric.exprel(power * finite)
    at_zero = e.select(endless, logarithm + e.sqrt(e.select(endless, lmbda, 1.0)), at_zero)
    return e.select(zero, at_zero, e.expm1(safe * logarithm) / safe)
