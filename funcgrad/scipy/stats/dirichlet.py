"""The Dirichlet distribution of positive weights `alpha` (m,)."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.ops.reduce import reduce_and
from funcgrad.ops.shape import concatenate
from funcgrad.scipy.stats.arguments import exp_of, floats, within


def logpdf(x: Any, alpha: Any) -> Any:
    """The logarithm of the density at x (m, ...), or (m - 1, ...) without the last share; shape (...).

    -inf for shares that are not positive or do not sum to 1 within 1e-6. Raises ValueError for another first axis.
    """
    x, alpha = floats(x, alpha)
    have, count = shape_of(x), shape_of(alpha)
    if len(count) != 1 or not have or have[0] not in (count[0], count[0] - 1):
        raise ValueError(f"dirichlet: x of shape {have} needs {count} or one less as its first axis.")
    if have[0] != count[0]:
        last = 1.0 - basics.reduce_sum(x, axes=(0,))
        x = concatenate(x, basics.reshape(last, shape=(1, *have[1:])), axis=0)
    positive = reduce_and(x > 0, axes=(0,))
    inside = positive & (e.absolute(basics.reduce_sum(x, axes=(0,)) - 1.0) < 1e-6)
    weights = basics.reshape(alpha, shape=count + (1,) * (len(have) - 1))
    parts = (weights - 1.0) * e.log(within(x > 0, x, 1.0))
    norm = basics.reduce_sum(s.lgamma(alpha), axes=(0,)) - s.lgamma(basics.reduce_sum(alpha, axes=(0,)))
    return wrap(within(inside, basics.reduce_sum(parts, axes=(0,)) - norm, -np.inf))


def pdf(x: Any, alpha: Any) -> Any:
    """The density at x (m, ...) or (m - 1, ...); shape (...)."""
    return exp_of(logpdf(x, alpha))
