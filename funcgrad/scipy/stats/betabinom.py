"""The beta-binomial distribution: binomial with a probability from beta(a, b)."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.scipy.stats.arguments import exp_of, floats, is_whole, log_beta, within


def logpmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, n, a, b, loc = floats(k, n, a, b, loc)
    y = k - loc
    known = is_whole(y) & (y >= 0) & (y <= n)
    safe = within(known, y, 0.0)
    ways = -e.log1p(n) - log_beta(n - safe + 1.0, safe + 1.0)
    return wrap(within(known, ways + log_beta(safe + a, n - safe + b) - log_beta(a, b), -np.inf))


def pmf(k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return exp_of(logpmf(k, n, a, b, loc))
