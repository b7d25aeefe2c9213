"""The negative binomial distribution: failures before the `n`-th success."""

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
    known = is_whole(y) & (y >= 0)
    safe = within(known, y, 0.0)
    ways = s.lgamma(safe + n) - s.lgamma(n) - s.lgamma(safe + 1.0)
    return wrap(within(known, ways + log_times(n, p) + log1p_times(safe, -p), -np.inf))


def pmf(k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return exp_of(logpmf(k, n, p, loc))
