"""The normal distribution with mean `loc` and standard deviation `scale`."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats


def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-0.5 * z * z - e.log(scale) - 0.5 * math.log(2 * math.pi))


def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, loc, scale))


def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(0.5 * s.erfc(-z * math.sqrt(0.5)))


def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(s.log_ndtr(z))


def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(0.5 * s.erfc(z * math.sqrt(0.5)))


def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(s.log_ndtr(-z))


def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of cdf; nan for q outside [0, 1]."""
    q, loc, scale = floats(q, loc, scale)
    return wrap(s.ndtri(q) * scale + loc)


def isf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of sf; nan for q outside [0, 1]."""
    q, loc, scale = floats(q, loc, scale)
    return wrap(loc - s.ndtri(q) * scale)
