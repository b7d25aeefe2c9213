"""The normal distribution (loc, scale) cut to [loc + a * scale, loc + b * scale]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats, log_of, within


def _log_difference(x: Any, y: Any) -> Any:
    """log(exp(x) - exp(y)), for x >= y."""
    return x + log_of(-e.expm1(-within(x > y, x - y, 0.0)))


def _log_mass(a: Any, b: Any) -> Any:
    """The logarithm of the standard normal probability of [a, b], from the side where it is not cancelled."""
    left = _log_difference(s.log_ndtr(b), s.log_ndtr(a))
    right = _log_difference(s.log_ndtr(-a), s.log_ndtr(-b))
    outside = e.minimum(0.5 * s.erfc(-a * math.sqrt(0.5)) + 0.5 * s.erfc(b * math.sqrt(0.5)), 1.0)
    return e.select(b <= 0, left, e.select(a > 0, right, log_of(1.0 - outside)))


def logpdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, a, b, loc, scale = floats(x, a, b, loc, scale)
    z = (x - loc) / scale
    found = -0.5 * z * z - 0.5 * math.log(2 * math.pi) - e.log(scale) - _log_mass(a, b)
    return wrap(within((z >= a) & (z <= b), found, -np.inf))


def pdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, a, b, loc, scale))


def cdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    return exp_of(logcdf(x, a, b, loc, scale))


def logcdf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, a, b, loc, scale = floats(x, a, b, loc, scale)
    z = (x - loc) / scale
    place = e.minimum(e.maximum(z, a), b)
    return wrap(_log_mass(a, place) - _log_mass(a, b))


def sf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    return exp_of(logsf(x, a, b, loc, scale))


def logsf(x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, a, b, loc, scale = floats(x, a, b, loc, scale)
    z = (x - loc) / scale
    place = e.minimum(e.maximum(z, a), b)
    return wrap(_log_mass(place, b) - _log_mass(a, b))
