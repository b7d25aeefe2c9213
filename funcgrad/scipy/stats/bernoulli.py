"""The Bernoulli distribution: 1 with probability `p`, else 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.ops import elementwise as e
from funcgrad.scipy.stats.arguments import exp_of, floats, log1p_times, log_times, within


def logpmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, p, loc = floats(k, p, loc)
    y = k - loc
    known = (y == 0) | (y == 1)
    safe = within(known, y, 0.0)
    return wrap(within(known, log_times(safe, p) + log1p_times(1.0 - safe, -p), -np.inf))


def pmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return exp_of(logpmf(k, p, loc))


def cdf(k: Any, p: Any) -> Any:
    """The probability of at most k; nan for p outside [0, 1]."""
    k, p = floats(k, p)
    found = e.select(k < 0, 0.0, e.select(k < 1, 1.0 - p, 1.0))
    return wrap(within((p >= 0) & (p <= 1), found, np.nan))


def ppf(q: Any, p: Any) -> Any:
    """The least k in {0, 1} with cdf(k) >= q; nan for q or p outside [0, 1]."""
    q, p = floats(q, p)
    valid = (p >= 0) & (p <= 1) & (q >= 0) & (q <= 1)
    return wrap(within(valid, e.select(q <= 1.0 - p, 0.0, 1.0), np.nan))
