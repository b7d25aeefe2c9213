"""The chi-squared distribution with `df` degrees of freedom: a gamma distribution."""

from __future__ import annotations

from typing import Any

from funcgrad.scipy.stats import gamma as _gamma
from funcgrad.scipy.stats.arguments import floats


def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, df, loc, scale = floats(x, df, loc, scale)
    return _gamma.logpdf(x, 0.5 * df, loc, 2.0 * scale)


def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    x, df, loc, scale = floats(x, df, loc, scale)
    return _gamma.pdf(x, 0.5 * df, loc, 2.0 * scale)


def cdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of at most x."""
    x, df, loc, scale = floats(x, df, loc, scale)
    return _gamma.cdf(x, 0.5 * df, loc, 2.0 * scale)


def logcdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of at most x."""
    x, df, loc, scale = floats(x, df, loc, scale)
    return _gamma.logcdf(x, 0.5 * df, loc, 2.0 * scale)


def sf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The probability of more than x."""
    x, df, loc, scale = floats(x, df, loc, scale)
    return _gamma.sf(x, 0.5 * df, loc, 2.0 * scale)


def logsf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the probability of more than x."""
    x, df, loc, scale = floats(x, df, loc, scale)
    return _gamma.logsf(x, 0.5 * df, loc, 2.0 * scale)
