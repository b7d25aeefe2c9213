"""The binomial distribution: successes in `n` trials of probability `p`."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats, is_whole, log1p_times, log_times, within


def logpmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, n, p, loc = floats(k, n, p, loc)
    y = k - loc
    known = is_whole(y) & (y >= 0) & (y <= n)
    safe = within(known, y, 0.0)
    ways = s.lgamma(n + 1.0) - s.lgamma(safe + 1.0) - s.lgamma(n - safe + 1.0)
    return wrap(within(known, ways + log_times(safe, p) + log1p_times(n - safe, -p), -np.inf))


def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return exp_of(logpmf(k, n, p, loc))
