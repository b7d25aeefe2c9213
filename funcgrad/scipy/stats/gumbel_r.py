"""The right-skewed Gumbel distribution: of largest values."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.scipy.stats.arguments import exp_of, floats, log_of, log_share, within


def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-z - e.exp(-z) - e.log(scale))


def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, loc, scale))


def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    return exp_of(logcdf(x, loc, scale))


def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-e.exp(-z))


def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-e.expm1(-e.exp(-z)))


def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    rest = -e.exp(-z)
    return wrap(log_share(-e.expm1(rest), e.exp(rest)))


def ppf(p: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of cdf; nan for p outside [0, 1]."""
    p, loc, scale = floats(p, loc, scale)
    inside = (p >= 0) & (p <= 1)
    return wrap(within(inside, loc - scale * log_of(-log_of(within(inside, p, 0.5))), np.nan))
