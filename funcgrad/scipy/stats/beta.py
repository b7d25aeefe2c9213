"""The beta distribution on [loc, loc + scale]. By `a` and `b` cdf and sf have a first derivative only."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops.incomplete_beta import betainc
from funcgrad.scipy.stats.arguments import exp_of, floats, log_beta, log_share, log_times, within


def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, a, b, loc, scale = floats(x, a, b, loc, scale)
    z = (x - loc) / scale
    inside = (z >= 0) & (z <= 1)
    safe = within(inside, z, 0.5)
    found = log_times(a - 1.0, safe) + log_times(b - 1.0, 1.0 - safe) - log_beta(a, b) - e.log(scale)
    return wrap(within(inside, found, -np.inf))


def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, a, b, loc, scale))


def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, a, b, loc, scale = floats(x, a, b, loc, scale)
    z = (x - loc) / scale
    clipped = e.minimum(e.maximum(z, 0.0), 1.0)
    return wrap(betainc(a, b, clipped))


def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, a, b, loc, scale = floats(x, a, b, loc, scale)
    z = (x - loc) / scale
    clipped = e.minimum(e.maximum(z, 0.0), 1.0)
    return wrap(log_share(betainc(a, b, clipped), betainc(b, a, 1.0 - clipped)))


def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    x, a, b, loc, scale = floats(x, a, b, loc, scale)
    z = (x - loc) / scale
    clipped = e.minimum(e.maximum(z, 0.0), 1.0)
    return wrap(betainc(b, a, 1.0 - clipped))


def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, a, b, loc, scale = floats(x, a, b, loc, scale)
    z = (x - loc) / scale
    clipped = e.minimum(e.maximum(z, 0.0), 1.0)
    return wrap(log_share(betainc(b, a, 1.0 - clipped), betainc(a, b, clipped)))
