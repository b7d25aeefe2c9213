"""The Cauchy distribution with median `loc` and half width at half maximum `scale`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.scipy.stats.arguments import exp_of, floats, log_share, within


def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-e.log1p(z * z) - e.log(scale) - math.log(math.pi))


def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, loc, scale))


def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(e.atan2(1.0, -z) / math.pi)


def logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(log_share(e.atan2(1.0, -z) / math.pi, e.atan2(1.0, z) / math.pi))


def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(e.atan2(1.0, z) / math.pi)


def logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(log_share(e.atan2(1.0, z) / math.pi, e.atan2(1.0, -z) / math.pi))


def ppf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of cdf; nan for q outside [0, 1]."""
    q, loc, scale = floats(q, loc, scale)
    inside = (q >= 0) & (q <= 1)
    return wrap(within(inside, loc + scale * e.tan(math.pi * (q - 0.5)), np.nan))


def isf(q: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of sf; nan for q outside [0, 1]."""
    q, loc, scale = floats(q, loc, scale)
    inside = (q >= 0) & (q <= 1)
    return wrap(within(inside, loc - scale * e.tan(math.pi * (q - 0.5)), np.nan))
