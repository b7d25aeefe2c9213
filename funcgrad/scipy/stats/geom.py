"""The geometric distribution: the number of trials up to the first success, from 1 on."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.scipy.stats.arguments import exp_of, floats, is_whole, log1p_times, log_of, within


def logpmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The logarithm of the probability of k."""
    k, p, loc = floats(k, p, loc)
    y = k - loc
    known = is_whole(y) & (y >= 1)
    safe = within(known, y, 1.0)
    return wrap(within(known, log1p_times(safe - 1.0, -p) + log_of(p), -np.inf))


def pmf(k: Any, p: Any, loc: Any = 0) -> Any:
    """The probability of k."""
    return exp_of(logpmf(k, p, loc))
