"""The Pareto distribution of exponent `b`, from loc + scale on."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.scipy.stats.arguments import exp_of, floats, log_of, log_share, within


def logpdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, b, loc, scale = floats(x, b, loc, scale)
    z = (x - loc) / scale
    log_z = e.log(within(z >= 1, z, 1.0))
    return wrap(within(z >= 1, e.log(b) - e.log(scale) - (b + 1.0) * log_z, -np.inf))


def pdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, b, loc, scale))


def cdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, b, loc, scale = floats(x, b, loc, scale)
    z = (x - loc) / scale
    log_z = e.log(within(z >= 1, z, 1.0))
    return wrap(-e.expm1(-b * log_z))


def logcdf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, b, loc, scale = floats(x, b, loc, scale)
    z = (x - loc) / scale
    log_z = e.log(within(z >= 1, z, 1.0))
    return wrap(log_share(-e.expm1(-b * log_z), e.exp(-b * log_z)))


def sf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    return exp_of(logsf(x, b, loc, scale))


def logsf(x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, b, loc, scale = floats(x, b, loc, scale)
    z = (x - loc) / scale
    log_z = e.log(within(z >= 1, z, 1.0))
    return wrap(-b * log_z)


def ppf(q: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of cdf; nan for q outside [0, 1]."""
    q, b, loc, scale = floats(q, b, loc, scale)
    inside = (q >= 0) & (q <= 1)
    return wrap(within(inside, loc + scale * e.exp(-log_of(1.0 - within(inside, q, 0.0)) / b), np.nan))
