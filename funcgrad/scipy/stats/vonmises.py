"""The von Mises distribution of concentration `kappa`, about the angle 0."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops.bessel import bessel_i0e
from funcgrad.scipy.stats.arguments import exp_of, floats


def logpdf(x: Any, kappa: Any) -> Any:
    """The logarithm of the density at x."""
    x, kappa = floats(x, kappa)
    return wrap(kappa * (e.cos(x) - 1.0) - e.log(2.0 * math.pi * bessel_i0e(kappa)))


def pdf(x: Any, kappa: Any) -> Any:
    """The density at x."""
    return exp_of(logpdf(x, kappa))
