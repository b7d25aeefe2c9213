"""The logistic distribution about `loc`."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats, log_of, within


def logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(-2.0 * e.logaddexp(0.5 * z, -0.5 * z) - e.log(scale))


def pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, loc, scale))


def cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(s.logistic(z))


def sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    x, loc, scale = floats(x, loc, scale)
    z = (x - loc) / scale
    return wrap(s.logistic(-z))


def ppf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of cdf; nan for x outside [0, 1]."""
    x, loc, scale = floats(x, loc, scale)
    inside = (x >= 0) & (x <= 1)
    safe = within(inside, x, 0.5)
    return wrap(within(inside, loc + scale * (log_of(safe) - log_of(1.0 - safe)), np.nan))


def isf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The inverse of sf; nan for x outside [0, 1]."""
    x, loc, scale = floats(x, loc, scale)
    inside = (x >= 0) & (x <= 1)
    safe = within(inside, x, 0.5)
    return wrap(within(inside, loc - scale * (log_of(safe) - log_of(1.0 - safe)), np.nan))
