"""The Poisson distribution with mean `mu`."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats, is_whole, log_times, within


def logpmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, mu, loc = floats(k, mu, loc)
    y = k - loc
    known = is_whole(y) & (y >= 0)
    safe = within(known, y, 0.0)
    return wrap(within(known, log_times(safe, mu) - s.lgamma(safe + 1.0) - mu, -np.inf))


def pmf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return exp_of(logpmf(k, mu, loc))


def cdf(k: Any, mu: Any, loc: Any = 0) -> Any:
    """The probability of at most k."""
    k, mu, loc = floats(k, mu, loc)
    y = k - loc
    safe = e.floor(within(y >= 0, y, 0.0))
    return wrap(within(y >= 0, s.igammac(safe + 1.0, mu), 0.0))
