"""Connectionist temporal classification (Graves et al., 2006) as a pure function.

Place: numpy room. Only the forward recursion over prefixes is written; its derivative, the backward recursion, is derived.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.core.tracing import shape_of

_NEVER = -np.inf


def ctc_log_likelihoods(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0) -> Any:
    """The logarithm of the probability of each target sequence, summed over all its alignments: shape (N,).

    log_probs: (T, N, C), logarithms of the probabilities of C symbols at each time. targets: (N, S) integers, of which the first
    `target_lengths` (N,) count. input_lengths: (N,), the times that count. blank: the symbol that says nothing. A sequence that
    no alignment gives has -inf, with the derivative 0. Raises ValueError for shapes that do not fit and a blank out of range.
    """
    times, batch, symbols = shape_of(log_probs)
    if shape_of(targets)[:1] != (batch,) or len(shape_of(targets)) != 2:
        raise ValueError(f"ctc needs targets of shape ({batch}, S), got {shape_of(targets)}.")
    if not 0 <= blank < symbols:
        raise ValueError(f"ctc: blank must name one of {symbols} symbols, got {blank}.")
    longest = shape_of(targets)[1]
    # Blanks before, between and after the symbols: the states of an alignment.
    blanks = fnp.full((batch, longest), blank, dtype=targets.dtype)
    pairs = fnp.stack([blanks, targets], axis=2).reshape(batch, 2 * longest)
    states = fnp.concatenate([pairs, fnp.full((batch, 1), blank, dtype=targets.dtype)], axis=1)
    # A blank may be left out between two different symbols.
    leap = fnp.concatenate(
        [fnp.zeros((batch, 2), dtype=bool), (states[:, 2:] != states[:, :-2]) & (states[:, 2:] != blank)], axis=1
    )[:, : 2 * longest + 1]
    within = fnp.arange(times)[:, None] < input_lengths
    emitted = fnp.take_along_axis(log_probs, fnp.broadcast_to(states, (times, *shape_of(states))), 2)

    def advance(prefix: Any, now: Any) -> Any:
        emit, alive = now
        one = _shifted(prefix, 1)
        two = fnp.where(leap, _shifted(prefix, 2), _NEVER)
        following = emit + _log_sum([prefix, one, two])
        return fnp.where(alive[:, None], following, prefix), None

    # Before the first time the alignment stands on the first blank: going on or staying there are its first states.
    start = fnp.where(fnp.arange(2 * longest + 1) == 0, 0.0, _NEVER).astype(log_probs.dtype)
    prefix, _ = lax.scan(advance, fnp.broadcast_to(start, (batch, 2 * longest + 1)), (emitted, within))
    last = (2 * target_lengths)[:, None]
    on_blank = fnp.take_along_axis(prefix, last, 1)[:, 0]
    on_symbol = fnp.take_along_axis(prefix, fnp.maximum(last - 1, 0), 1)[:, 0]
    return _log_sum([on_blank, fnp.where(target_lengths > 0, on_symbol, _NEVER)])


def _shifted(prefix: Any, by: int) -> Any:
    """Rows moved by some states, -inf at their beginning."""
    batch, width = shape_of(prefix)
    by = min(by, width)
    return fnp.concatenate([fnp.full((batch, by), _NEVER, dtype=prefix.dtype), prefix[:, : width - by]], axis=1)


def _log_sum(parts: list[Any]) -> Any:
    """log(sum(exp)) of some arrays; where all are -inf it is -inf, with the derivative 0."""
    most = parts[0]
    for part in parts[1:]:
        most = fnp.maximum(most, part)
    most = lax.stop_gradient(most)
    possible = most > _NEVER
    most = fnp.where(possible, most, 0.0)
    total = fnp.exp(parts[0] - most)
    for part in parts[1:]:
        total = total + fnp.exp(part - most)
    return fnp.where(possible, fnp.log(fnp.where(possible, total, 1.0)) + most, _NEVER)
