"""The exponential distribution from `loc` on, with mean `loc + scale`."""

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
    return wrap(within(z >= 0, -z - e.log(scale), -np.inf))


def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, loc, scale))


def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-e.expm1(-within(z >= 0, z, 0.0)))


def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    safe = within(z >= 0, z, 0.0)
    return wrap(log_share(-e.expm1(-safe), e.exp(-safe)))


def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    return exp_of(logsf(x, loc, scale))


def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-within(z >= 0, z, 0.0))


def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of cdf; nan for q outside [0, 1]."""
    q, loc, scale = floats(q, loc, scale)
    return wrap(within((q >= 0) & (q <= 1), loc - scale * log_of(1.0 - within((q >= 0) & (q <= 1), q, 0.0)), np.nan))
