"""Student's t distribution with `df` degrees of freedom."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats


def logpdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The logarithm of the density at x."""
    x, df, loc, scale = floats(x, df, loc, scale)
    z = (x - loc) / scale
    norm = s.lgamma(0.5 * df) - s.lgamma(0.5 * (df + 1.0)) + 0.5 * e.log(math.pi * df) + e.log(scale)
    return wrap(-norm - 0.5 * (df + 1.0) * e.log1p(z * z / df))


def pdf(x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, df, loc, scale))
