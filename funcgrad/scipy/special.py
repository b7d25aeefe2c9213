"""jax.scipy.special's names: SciPy's special functions with derivatives of all orders."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of
from funcgrad.nn.distributions import log_softmax as log_softmax
from funcgrad.nn.distributions import logsumexp as _logsumexp
from funcgrad.nn.distributions import softmax as softmax
from funcgrad.numpy.wrapping import operand
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.ops.basics import convert
from funcgrad.ops.bessel import bessel_i0, bessel_i1


def _floating(x: Any) -> Any:
    x = operand(x)
    return x if dtype_of(x).kind in "fc" else convert(x, np.float64)


def _function(f: Callable[..., Any]) -> Callable[..., Any]:
    """Floating operands in, Arrays out."""

    @functools.wraps(f)
    def call(*args: Any) -> Any:
        return wrap(f(*[_floating(a) for a in args]))

    return call


@_function
def erf(x: Any) -> Any:
    """The error function, elementwise."""
    return s.erf(x)


@_function
def erfc(x: Any) -> Any:
    """1 - erf(x), accurate for large x."""
    return s.erfc(x)


@_function
def erfinv(x: Any) -> Any:
    """The inverse of erf, for x in (-1, 1)."""
    return s.erf_inv(x)


@_function
def expit(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return s.logistic(x)


@_function
def logit(x: Any) -> Any:
    """log(x / (1 - x)), the inverse of expit."""
    return e.log(x / (1.0 - x))


@_function
def gammaln(x: Any) -> Any:
    """The logarithm of |gamma(x)|."""
    return s.lgamma(x)


@_function
def gammasgn(x: Any) -> Any:
    """The sign of gamma(x): 1 or -1, nan at the negative integers, and the sign of x at 0."""
    whole = e.floor(x)
    odd = e.remainder(whole, 2.0) != 0
    at_pole = (x < 0) & (whole == x)
    return e.select(x == 0, e.copysign(1.0, x), e.select(at_pole, np.nan, e.select((x < 0) & odd, -1.0, 1.0)))


@_function
def gamma(x: Any) -> Any:
    """The gamma function."""
    return gammasgn(x) * e.exp(s.lgamma(x))


@_function
def digamma(x: Any) -> Any:
    """The derivative of gammaln."""
    return s.digamma(x)


@_function
def polygamma(n: Any, x: Any) -> Any:
    """The n-th derivative of digamma. Not differentiable by n."""
    return s.polygamma(n, x)


@_function
def zeta(x: Any, q: Any = 1.0) -> Any:
    """The Hurwitz zeta function. Not differentiable by x."""
    return s.zeta(x, q)


@_function
def gammainc(a: Any, x: Any) -> Any:
    """The lower regularised incomplete gamma function. Not differentiable by a."""
    return s.igamma(a, x)


@_function
def gammaincc(a: Any, x: Any) -> Any:
    """1 - gammainc(a, x)."""
    return s.igammac(a, x)


@_function
def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularised incomplete beta function. Not differentiable by a and b."""
    return s.betainc(a, b, x)


@_function
def betaln(a: Any, b: Any) -> Any:
    """The logarithm of |beta(a, b)|."""
    return s.lgamma(a) + s.lgamma(b) - s.lgamma(a + b)


@_function
def beta(a: Any, b: Any) -> Any:
    """The beta function."""
    return gammasgn(a) * gammasgn(b) * gammasgn(a + b) * e.exp(betaln(a, b))


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the multivariate gamma function of static dimension d."""
    a = _floating(a)
    terms = [s.lgamma(a - 0.5 * i) for i in range(int(d))]
    return wrap(functools.reduce(e.add, terms) + d * (d - 1) / 4 * math.log(math.pi))


def factorial(n: Any, exact: bool = False) -> Any:
    """n!, as gamma(n + 1); 0 for negative n. Only exact=False is offered."""
    if exact:
        raise NotImplementedError("factorial: exact=True needs integers of any size, which arrays cannot hold.")
    n = _floating(n)
    return wrap(e.select(n < 0, 0.0, e.exp(s.lgamma(e.select(n < 0, 0.0, n) + 1.0))))


@_function
def poch(z: Any, m: Any) -> Any:
    """The Pochhammer symbol gamma(z + m) / gamma(z)."""
    return e.select(m == 0, 1.0, gammasgn(z + m) * gammasgn(z) * e.exp(s.lgamma(z + m) - s.lgamma(z)))


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False,
              where: Any = None) -> Any:  # fmt: skip
    """log(sum(b * exp(a))) along `axis` without overflow; see funcgrad.nn.logsumexp."""
    return _logsumexp(a, axis, b, keepdims, return_sign, where)


@_function
def xlogy(x: Any, y: Any) -> Any:
    """x * log(y), and 0 where x is 0."""
    zero = x == 0
    return e.select(zero, 0.0 * x, x * e.log(e.select(zero, 1.0, y)))


@_function
def xlog1py(x: Any, y: Any) -> Any:
    """x * log1p(y), and 0 where x is 0."""
    zero = x == 0
    return e.select(zero, 0.0 * x, x * e.log1p(e.select(zero, 0.0, y)))


@_function
def entr(x: Any) -> Any:
    """-x * log(x), 0 at 0, -inf for negative x."""
    positive = x > 0
    safe = e.select(positive, x, 1.0)
    return e.select(positive, -safe * e.log(safe), e.select(x == 0, 0.0, -np.inf))


@_function
def rel_entr(p: Any, q: Any) -> Any:
    """p * log(p / q) for positive p and q, 0 for p = 0 and q >= 0, inf elsewhere."""
    both = (p > 0) & (q > 0)
    safe_p, safe_q = e.select(both, p, 1.0), e.select(both, q, 1.0)
    return e.select(both, safe_p * (e.log(safe_p) - e.log(safe_q)), e.select((p == 0) & (q >= 0), 0.0, np.inf))


@_function
def kl_div(p: Any, q: Any) -> Any:
    """rel_entr(p, q) - p + q."""
    return rel_entr(p, q) - p + q


@_function
def ndtr(x: Any) -> Any:
    """The normal distribution function."""
    return 0.5 * s.erfc(-x * math.sqrt(0.5))


@_function
def log_ndtr(x: Any) -> Any:
    """log(ndtr(x)), accurate far to the left."""
    return s.log_ndtr(x)


@_function
def ndtri(p: Any) -> Any:
    """The inverse of ndtr, for p in (0, 1)."""
    return s.ndtri(p)


@_function
def i0(x: Any) -> Any:
    """The modified Bessel function of order 0."""
    return bessel_i0(x)


@_function
def i1(x: Any) -> Any:
    """The modified Bessel function of order 1."""
    return bessel_i1(x)


@_function
def i0e(x: Any) -> Any:
    """exp(-|x|) * i0(x)."""
    return s.bessel_i0e(x)


@_function
def i1e(x: Any) -> Any:
    """exp(-|x|) * i1(x)."""
    return s.bessel_i1e(x)


@_function
def expi(x: Any) -> Any:
    """The exponential integral Ei."""
    return s.expi(x)


@_function
def exp1(x: Any) -> Any:
    """The exponential integral E1."""
    return s.exp1(x)


@_function
def dawsn(x: Any) -> Any:
    """Dawson's integral."""
    return s.dawsn(x)


@_function
def spence(x: Any) -> Any:
    """Spence's function, the dilogarithm of 1 - x."""
    return s.spence(x)


@_function
def boxcox(x: Any, lmbda: Any) -> Any:
    """(x ** lmbda - 1) / lmbda, and log(x) where lmbda is 0."""
    zero = lmbda == 0
    safe = e.select(zero, 1.0, lmbda)
    return e.select(zero, e.log(x), e.expm1(safe * e.log(x)) / safe)


@_function
def boxcox1p(x: Any, lmbda: Any) -> Any:
    """boxcox(1 + x, lmbda), accurate near x = 0."""
    zero = lmbda == 0
    safe = e.select(zero, 1.0, lmbda)
    return e.select(zero, e.log1p(x), e.expm1(safe * e.log1p(x)) / safe)
