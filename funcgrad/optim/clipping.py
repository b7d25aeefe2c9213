"""Clipping of updates, by value and by norm."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.optim import checks
from funcgrad.optim.base import GradientTransformation, cast_like, global_norm, stateless


def clip(max_delta: Any) -> GradientTransformation:
    """Clips each value of the updates to [-max_delta, max_delta]. Raises ValueError unless max_delta > 0."""
    checks.positive("clip", max_delta=max_delta)

    def limit(u: Any) -> Any:
        bound = cast_like(max_delta, u)
        return fnp.clip(u, -bound, bound)

    return stateless(lambda updates, params: tree.map(limit, updates))


def clip_by_global_norm(max_norm: Any, *, eps: Any = 0.0) -> GradientTransformation:
    """Scales all updates by one factor so that their global norm is at most `max_norm`.

    The factor is max_norm / (norm + eps), at most 1; torch's clip_grad_norm_ has eps=1e-6.
    Raises ValueError unless max_norm > 0 and eps >= 0.
    """
    checks.positive("clip_by_global_norm", max_norm=max_norm)
    checks.nonnegative("clip_by_global_norm", eps=eps)

    def limit(updates: Any, params: Any) -> Any:
        factor = max_norm / fnp.maximum(global_norm(updates) + eps, max_norm)
        return tree.map(lambda u: cast_like(factor, u) * u, updates)

    return stateless(limit)
