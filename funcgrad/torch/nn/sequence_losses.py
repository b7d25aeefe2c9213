"""Functions of `torch.nn.functional` that need a look at data or several operations: CTC, triplets, pairs of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.nn.ctc import ctc_log_likelihoods
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.linalg import pairwise_distance
from funcgrad.torch.ops.reductions import norm_of
from funcgrad.torch.tensor import Tensor, concrete, make


@operation("CtcLossBackward0", method=False, name="ctc_loss")
def _ctc(log_probs: Operand, targets: Operand, input_lengths: Operand, target_lengths: Operand, blank: int,
         zero_infinity: bool) -> Any:  # fmt: skip
    """The loss of each sequence, infinite (or 0) where no alignment is possible."""
    likelihood = ctc_log_likelihoods(log_probs, targets, input_lengths, target_lengths, blank)
    possible = likelihood > -np.inf
    within = (fnp.arange(log_probs.shape[0])[:, None] < input_lengths)[:, :, None]
    # PyTorch takes log_probs to be log_softmax's result: its gradient is that with respect to what went in there. So it has
    # exp(log_probs) in it, and is nan where the loss is infinite.
    mass = fnp.sum(fnp.exp(fnp.where(within, log_probs, -np.inf)), axis=(0, 2))
    loss = -fnp.where(possible, likelihood, 0) + (mass - lax.stop_gradient(mass))
    return fnp.where(possible, loss, 0 if zero_infinity else -fnp.log(mass * fnp.where(possible, 1, 0)))


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> Tensor:  # fmt: skip
    """Connectionist temporal classification: minus the log-probability of targets over all alignments.

    log_probs: (T, N, C) or (T, C), from log_softmax. targets: (N, S), or all in a row; (S,) if not batched. Lengths: tensors or
    sequences of ints, (N,), or numbers. reduction "mean" divides by the target lengths first. zero_infinity: infeasible targets
    give 0 and no gradient rather than infinity and nan. Raises RuntimeError for lengths and labels out of range, ValueError for
    another reduction.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    scores: Any = log_probs if log_probs.ndim == 3 else log_probs.unsqueeze(1)  # type: ignore[attr-defined]
    times, batch, symbols = scores.shape
    inputs = _lengths(input_lengths, "input_lengths", batch, times)
    counts = _lengths(target_lengths, "target_lengths", batch, None)
    if not 0 <= blank < symbols:
        raise RuntimeError(f"blank must be in label range: got {blank} with {symbols} labels")
    rows = _padded_targets(targets, counts, symbols)
    losses: Any = _ctc(scores, make(rows), make(inputs), make(counts), int(blank), bool(zero_infinity))
    if reduction == "mean":
        return (losses / make(np.maximum(counts, 1).astype(scores._array.dtype))).mean()
    if reduction == "sum":
        return losses.sum()
    return losses if log_probs.ndim == 3 else losses[0]


def _lengths(given: Any, name: str, batch: int, most: int | None) -> np.ndarray:
    array = np.atleast_1d(concrete(given, "ctc_loss") if isinstance(given, Tensor) else np.asarray(given))
    if array.dtype.kind not in "iu":
        raise RuntimeError(f"{name} must be integral")
    if array.shape != (batch,):
        raise RuntimeError(f"{name} must be of size batch_size: got {array.shape} for a batch of {batch}")
    for value in array:
        if value < 0:
            raise RuntimeError(f"Expected {name} to have value at least 0, but got value {value}")
        if most is not None and value > most:
            raise RuntimeError(f"Expected {name} to have value at most {most}, but got value {value}")
    return array.astype(np.int64)


def _padded_targets(targets: Tensor, counts: np.ndarray, symbols: int) -> np.ndarray:
    """The targets as rows (N, S), S the longest; each label is checked."""
    array = concrete(targets, "ctc_loss")
    longest, total = int(counts.max(initial=0)), int(counts.sum())
    rows = np.zeros((len(counts), longest), np.int64)
    inside = np.arange(longest) < counts[:, None]
    if array.ndim == 1:
        if array.size != total:
            raise RuntimeError(
                f"Expected tensor to have size {total} at dimension 0, but got size {array.size} for argument #2 'targets' "
                "(while checking arguments for ctc_loss)"
            )
        rows[inside] = array
    else:
        if array.shape[0] != len(counts) or array.shape[1] < longest:
            dim, size = (0, len(counts)) if array.shape[0] != len(counts) else (1, longest)
            raise RuntimeError(
                f"Expected tensor to have size at least {size} at dimension {dim}, but got size {array.shape[dim]} for "
                "argument #2 'targets' (while checking arguments for ctc_loss)"
            )
        rows[inside] = array[:, :longest][inside]
    wrong = rows[(rows < 0) | (rows >= symbols)]
    if wrong.size:
        raise RuntimeError(
            f"ctc_loss: target {int(wrong[0])} is out of bounds for {symbols} labels (0 to {symbols - 1})"
        )
    return rows


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) for any distance (None: `pairwise_distance`).

    swap: the smaller of the distances of the negative to the anchor and to the positive counts. Raises ValueError for another
    reduction, a margin that is not positive, and inputs of different rank.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor "
            f"{anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    far: Any = distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    loss = (distance(anchor, positive) - far + margin).clamp(min=0)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


@operation("PdistBackward0", saves="result", method=False)
def pdist(input: Operand, p: float = 2.0) -> Any:
    """The p-norms of the differences of all pairs of rows i < j: (n, d) gives (n * (n - 1) / 2,).

    Raises RuntimeError for tensors that are no matrices of floating numbers and for a negative p.
    """
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if input.dtype.kind != "f":
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = np.triu_indices(input.shape[0], 1)
    return norm_of(input[first] - input[second], p, (-1,), False)
