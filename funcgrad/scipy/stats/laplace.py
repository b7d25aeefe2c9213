"""The Laplace (double exponential) distribution about `loc`."""

from __future__ import annotations

from typing import Any

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.scipy.stats.arguments import exp_of, floats


def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-e.absolute(z) - e.log(2.0 * scale))


def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, loc, scale))


def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    tail = 0.5 * e.exp(-e.absolute(z))
    return wrap(e.select(z <= 0, tail, 1.0 - tail))
