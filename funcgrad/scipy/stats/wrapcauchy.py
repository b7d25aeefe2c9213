"""The wrapped Cauchy distribution of concentration `c` in (0, 1), on [0, 2 pi]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.scipy.stats.arguments import exp_of, floats, within


def logpdf(x: Any, c: Any) -> Any:
    """The logarithm of the density at x."""
    x, c = floats(x, c)
    density = (1.0 - c * c) / (2.0 * math.pi * (1.0 + c * c - 2.0 * c * e.cos(x)))
    return wrap(within((x >= 0) & (x <= 2 * math.pi), e.log(density), -np.inf))


def pdf(x: Any, c: Any) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, c))
