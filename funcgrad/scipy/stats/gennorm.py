"""The generalised normal distribution of exponent `beta`. By `beta` cdf has a first derivative only."""

from __future__ import annotations

from typing import Any

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats


def logpdf(x: Any, beta: Any) -> Any:
    """The logarithm of the density at x."""
    x, beta = floats(x, beta)
    return wrap(e.log(0.5 * beta) - s.lgamma(1.0 / beta) - e.power(e.absolute(x), beta))


def pdf(x: Any, beta: Any) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, beta))


def cdf(x: Any, beta: Any) -> Any:
    """The probability of at most x."""
    x, beta = floats(x, beta)
    return wrap(0.5 * (1.0 + e.sign(x) * s.igamma(1.0 / beta, e.power(e.absolute(x), beta))))
