"""embedding and the dropout family as pure functions; randomness comes from a key of funcgrad.random."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import reshape
from funcgrad.ops.index import gather
from funcgrad.ops.special_forms import stop_gradient_op
from funcgrad.random.discrete import bernoulli


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """The rows of `weight` (count, size) that the integers `input` name, shape input.shape + (size,).

    `padding_idx` (negative ones count from the end) names a row that gets no derivative. Raises TypeError for indices that are
    not integers, ValueError for a padding_idx out of range, IndexError for indices out of range where they are known.
    """
    places, w = array_operand(input), array_operand(weight)
    if dtype_of(places).kind not in "iu" or len(shape_of(w)) != 2:
        raise TypeError(
            f"embedding takes integer indices and a weight (count, size), got {dtype_of(places)} and shape {shape_of(w)}."
        )
    found = gather(w, places, axes=(0,), mode="raise")
    if padding_idx is None:
        return wrap(found)
    count = shape_of(w)[0]
    if not -count <= padding_idx < count:
        raise ValueError(f"embedding: padding_idx must name one of {count} rows, got {padding_idx}.")
    hidden = reshape(e.eq(places, padding_idx % count), shape=(*shape_of(places), 1))
    return wrap(e.select(hidden, stop_gradient_op(found), found))


def _probability(function: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{function}: the probability to drop must be between 0 and 1, got {p}.")
    return float(p)


def dropout(input: Any, key: Any, p: float = 0.5) -> Any:
    """x with each value 0 with probability p, the others divided by 1 - p; `key` says which."""
    x, p = array_operand(input), _probability("dropout", p)
    return _dropped(x, key, p, shape_of(x))


def feature_dropout(input: Any, key: Any, p: float = 0.5) -> Any:
    """dropout of whole channels of (N, C, ...): dropout1d, dropout2d and dropout3d."""
    x, p = array_operand(input), _probability("feature_dropout", p)
    return _dropped(x, key, p, (*shape_of(x)[:2], *(1,) * (len(shape_of(x)) - 2)))


def _dropped(x: Any, key: Any, p: float, shape: tuple[int, ...]) -> Any:
    if p == 0:
        return wrap(x)
    kept = array_operand(bernoulli(key, 1 - p, shape))
    scale = np.asarray(0.0 if p == 1 else 1 / (1 - p), dtype_of(x))
    return wrap(x * e.select(kept, scale, np.zeros((), dtype_of(x))))


_SELU_FLOOR = 1.7580993408473766
"""What selu tends to at minus infinity, negated: scale * alpha."""


def alpha_dropout(input: Any, key: Any, p: float = 0.5, feature: bool = False) -> Any:
    """dropout that keeps mean and variance of what selu gives: dropped values become selu's floor, then all are rescaled."""
    x, p = array_operand(input), _probability("alpha_dropout", p)
    if p in (0.0, 1.0):
        return wrap(x if p == 0 else x * np.zeros((), dtype_of(x)))
    shape = (*shape_of(x)[:2], *(1,) * (len(shape_of(x)) - 2)) if feature else shape_of(x)
    kept = array_operand(bernoulli(key, 1 - p, shape))
    a = 1 / np.sqrt((1 - p) * (1 + p * _SELU_FLOOR**2))
    floor = np.asarray(-_SELU_FLOOR, dtype_of(x))
    return wrap(e.select(kept, x, floor) * float(a) + float(a * p * _SELU_FLOOR))
