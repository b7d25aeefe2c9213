"""The multinomial distribution: counts of `n` draws with probabilities `p` over the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of
from funcgrad.ops import basics
from funcgrad.ops import special as s
from funcgrad.scipy.stats.arguments import exp_of, floats, log_times, within


def logpmf(x: Any, n: Any, p: Any) -> Any:
    """The logarithm of the probability of counts x (..., m); shape (...). -inf where they do not sum to n."""
    x, n, p = floats(x, n, p)
    parts = log_times(x, p) - s.lgamma(x + 1.0)
    last = (len(shape_of(parts)) - 1,)
    total = basics.reduce_sum(x, axes=(len(shape_of(x)) - 1,))
    return wrap(within(total == n, s.lgamma(n + 1.0) + basics.reduce_sum(parts, axes=last), -np.inf))


def pmf(x: Any, n: Any, p: Any) -> Any:
    """The probability of counts x (..., m); shape (...)."""
    return exp_of(logpmf(x, n, p))
