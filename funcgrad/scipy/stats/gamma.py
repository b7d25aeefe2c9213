"""The gamma distribution of shape `a`, from `loc` on. By `a` cdf and sf have a first derivative only."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats, log_share, log_times, within


def logpdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, a, loc, scale = floats(x, a, loc, scale)
    z = (x - loc) / scale
    safe = within(z >= 0, z, 1.0)
    found = log_times(a - 1.0, safe) - safe - s.lgamma(a) - e.log(scale)
    return wrap(within(z >= 0, found, -np.inf))


def pdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, a, loc, scale))


def cdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, a, loc, scale = floats(x, a, loc, scale)
    z = (x - loc) / scale
    return wrap(s.igamma(a, within(z >= 0, z, 0.0)))


def logcdf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, a, loc, scale = floats(x, a, loc, scale)
    z = (x - loc) / scale
    safe = within(z >= 0, z, 0.0)
    return wrap(log_share(s.igamma(a, safe), s.igammac(a, safe)))


def sf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    x, a, loc, scale = floats(x, a, loc, scale)
    z = (x - loc) / scale
    return wrap(s.igammac(a, within(z >= 0, z, 0.0)))


def logsf(x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, a, loc, scale = floats(x, a, loc, scale)
    z = (x - loc) / scale
    safe = within(z >= 0, z, 0.0)
    return wrap(log_share(s.igammac(a, safe), s.igamma(a, safe)))
