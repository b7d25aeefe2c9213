"""Losses: pure bodies, each with the reduction "none", "mean" or "sum" at its end."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import nn
from funcgrad.scipy import special
from funcgrad.torch.operation import Operand, operation


def reduced(loss: Any, reduction: str) -> Any:
    """The loss of each element, their mean or their sum. Raises ValueError for another reduction."""
    if reduction == "mean":
        return fnp.mean(loss)
    if reduction == "sum":
        return fnp.sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


@operation("MseLossBackward0", promote="float", method=False)
def mse_loss(input: Operand, target: Operand, weight: Operand = None, reduction: str = "mean") -> Any:
    """(input - target)**2."""
    d = input - target
    return reduced(d * d if weight is None else weight * d * d, reduction)


@operation("L1LossBackward0", promote="float", method=False)
def l1_loss(input: Operand, target: Operand, weight: Operand = None, reduction: str = "mean") -> Any:
    """|input - target|."""
    d = fnp.abs(input - target)
    return reduced(d if weight is None else weight * d, reduction)


@operation("SmoothL1LossBackward0", promote="float", method=False)
def smooth_l1_loss(input: Operand, target: Operand, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Square near 0, absolute value from beta on."""
    d = input - target
    if beta == 0:
        return reduced(fnp.abs(d), reduction)
    size = fnp.abs(d)
    return reduced(fnp.where(size < beta, 0.5 * d * d / beta, size - 0.5 * beta), reduction)


@operation("HuberLossBackward0", promote="float", method=False)
def huber_loss(
    input: Operand, target: Operand, weight: Operand = None, reduction: str = "mean", delta: float = 1.0
) -> Any:
    """Square near 0, slope delta from delta on."""
    d = input - target
    size = fnp.abs(d)
    loss = fnp.where(size <= delta, 0.5 * d * d, delta * (size - 0.5 * delta))
    return reduced(loss if weight is None else weight * loss, reduction)


@operation("BinaryCrossEntropyBackward0", promote="float", method=False)
def bce_step(input: Operand, target: Operand, weight: Operand = None, reduction: str = "mean") -> Any:
    """-(t log x + (1 - t) log(1 - x)), the logarithms at least -100."""
    low = math.exp(-100)
    log_x = fnp.where(input < low, -100.0, fnp.log(fnp.where(input < low, 1, input)))
    log_1x = fnp.where(1 - input < low, -100.0, fnp.log(fnp.where(1 - input < low, 1, 1 - input)))
    loss = -(target * log_x + (1 - target) * log_1x)
    return reduced(loss if weight is None else weight * loss, reduction)


@operation("BinaryCrossEntropyWithLogitsBackward0", promote="float", method=False)
def bce_with_logits(
    input: Operand, target: Operand, weight: Operand = None, reduction: str = "mean", pos_weight: Operand = None
) -> Any:
    """Binary cross-entropy of sigmoid(input), without overflow."""
    softplus_neg = fnp.logaddexp(-input, 0.0)
    if pos_weight is None:
        loss = (1 - target) * input + softplus_neg
    else:
        loss = (1 - target) * input + (1 + (pos_weight - 1) * target) * softplus_neg
    return reduced(loss if weight is None else weight * loss, reduction)


def _picked(logs: Any, target: Any, weight: Any, ignore: int) -> tuple[Any, Any]:
    """(loss, weight) of each target: logs (N, C, ...), target (N, ...)."""
    classes = logs.ndim - target.ndim and (1 if logs.ndim > 1 else 0)
    valid = target != ignore
    safe = fnp.where(valid, target, 0)
    chosen = fnp.squeeze(fnp.take_along_axis(logs, fnp.expand_dims(safe, classes), classes), classes)
    w = fnp.where(valid, 1.0 if weight is None else weight[safe], 0).astype(logs.dtype)
    return -chosen * w, w


@operation("NllLossBackward0", method=False)
def nll_step(
    input: Operand, target: Operand, weight: Operand = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """-weight[t] * input[t] for the class t of each target."""
    loss, w = _picked(input, target, weight, ignore_index)
    return fnp.sum(loss) / fnp.sum(w) if reduction == "mean" else reduced(loss, reduction)


@operation("NllLossBackward0", method=False)
def smoothed_step(
    input: Operand, target: Operand, weight: Operand, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    """Cross-entropy with part of the probability spread over all classes; input are log-probabilities."""
    loss, w = _picked(input, target, weight, ignore_index)
    classes = 1 if input.ndim > 1 else 0
    count = input.shape[classes]
    spread = -(
        input if weight is None else input * weight.reshape([-1 if i == classes else 1 for i in range(input.ndim)])
    )
    all_classes = fnp.where(target != ignore_index, fnp.sum(spread, axis=classes), 0)
    both = (1 - smoothing) * loss + smoothing / count * all_classes
    return fnp.sum(both) / fnp.sum(w) if reduction == "mean" else reduced(both, reduction)


@operation("DivBackward1", promote="float", method=False)
def soft_cross_entropy(input: Operand, target: Operand, weight: Operand, reduction: str, smoothing: float) -> Any:
    """Cross-entropy with target probabilities (N, C, ...)."""
    classes = 1 if input.ndim > 1 else 0
    logs = nn.log_softmax(input, axis=classes)
    t = target * (1 - smoothing) + smoothing / input.shape[classes] if smoothing else target
    scale = 1 if weight is None else weight.reshape([-1 if i == classes else 1 for i in range(input.ndim)])
    loss = -fnp.sum(logs * t * scale, axis=classes)
    return fnp.sum(loss) / (loss.size or 1) if reduction == "mean" else reduced(loss, reduction)


@operation("KlDivBackward0", promote="float", method=False)
def kl_step(input: Operand, target: Operand, log_target: bool) -> Any:
    """target * (log target - input), element by element."""
    return fnp.exp(target) * (target - input) if log_target else special.xlogy(target, target) - target * input


@operation("MeanBackward0", promote="float", method=False)
def poisson_nll_loss(input: Operand, target: Operand, log_input: bool = True, full: bool = False, eps: float = 1e-8,
                     reduction: str = "mean") -> Any:  # fmt: skip
    """The negative log-likelihood of Poisson counts."""
    loss = fnp.exp(input) - target * input if log_input else input - target * fnp.log(input + eps)
    if full:
        safe = fnp.where(target > 1, target, 1)
        stirling = safe * fnp.log(safe) - safe + 0.5 * fnp.log(2 * math.pi * safe)
        loss = loss + fnp.where(target > 1, stirling, 0)
    return reduced(loss, reduction)


@operation("MeanBackward0", promote="float", method=False)
def gaussian_nll_loss(input: Operand, target: Operand, var: Operand, full: bool = False, eps: float = 1e-6,
                      reduction: str = "mean") -> Any:  # fmt: skip
    """The negative log-likelihood of a normal distribution."""
    if var.ndim and var.shape != input.shape and var.shape == input.shape[:-1]:
        var = fnp.expand_dims(var, -1)
    v = fnp.where(var < eps, eps, var)
    d = input - target
    loss = 0.5 * (fnp.log(v) + d * d / v)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


@operation("MeanBackward0", promote="float", method=False)
def hinge_embedding_loss(input: Operand, target: Operand, margin: float = 1.0, reduction: str = "mean") -> Any:
    """input where the target is 1, max(0, margin - input) where it is -1."""
    far = fnp.where(margin - input > 0, margin - input, 0)
    return reduced(fnp.where(target != 1, far, 0) + fnp.where(target != -1, input, 0), reduction)


@operation("MeanBackward0", promote="float", method=False)
def margin_ranking_loss(
    input1: Operand, input2: Operand, target: Operand, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """max(0, -target * (input1 - input2) + margin)."""
    d = -target * (input1 - input2) + margin
    return reduced(fnp.where(d > 0, d, 0), reduction)


@operation("SoftMarginLossBackward0", promote="float", method=False)
def soft_margin_loss(input: Operand, target: Operand, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * input))."""
    return reduced(fnp.logaddexp(-target * input, 0.0), reduction)


@operation("MultiMarginLossBackward0", method=False)
def multi_margin_loss(input: Operand, target: Operand, p: int = 1, margin: float = 1.0, weight: Operand = None,
                      reduction: str = "mean") -> Any:  # fmt: skip
    """The mean over the other classes of max(0, margin - x[t] + x[i])**p."""
    x = input if input.ndim > 1 else input[None]
    t = target.reshape(-1)
    own = fnp.take_along_axis(x, t[:, None], 1)
    d = fnp.maximum(margin - own + x, 0.0)
    d = d if p == 1 else d * d
    d = d if weight is None else d * weight[t][:, None]
    others = fnp.arange(x.shape[1]) != t[:, None]
    loss = fnp.sum(fnp.where(others, d, 0), axis=1) / x.shape[1]
    return reduced(loss if input.ndim > 1 else loss[0], reduction)


@operation("MultilabelMarginLossBackward0", method=False)
def multilabel_margin_loss(input: Operand, target: Operand, reduction: str = "mean") -> Any:
    """Hinge losses between the labels (a list ended by -1) and all other classes."""
    x = input if input.ndim > 1 else input[None]
    t = target if target.ndim > 1 else target[None]
    n = x.shape[1]
    live = fnp.cumprod((t >= 0).astype(np.int64), axis=1) > 0
    safe = fnp.where(live, t, 0)
    is_label = fnp.any((safe[:, :, None] == fnp.arange(n)) & live[:, :, None], axis=1)
    own = fnp.take_along_axis(x, safe, 1)
    d = fnp.maximum(1 - (own[:, :, None] - x[:, None, :]), 0.0)
    loss = fnp.sum(fnp.where(live[:, :, None] & ~is_label[:, None, :], d, 0), axis=(1, 2)) / n
    return reduced(loss if input.ndim > 1 else loss[0], reduction)


@operation("MeanBackward0", promote="float", method=False)
def multilabel_soft_margin_loss(
    input: Operand, target: Operand, weight: Operand = None, reduction: str = "mean"
) -> Any:
    """Binary cross-entropy of each label, averaged over the labels."""
    loss = target * fnp.logaddexp(-input, 0.0) + (1 - target) * fnp.logaddexp(input, 0.0)
    loss = loss if weight is None else loss * weight
    return reduced(fnp.mean(loss, axis=-1), reduction)


@operation("MeanBackward0", method=False)
def cosine_embedding_loss(
    input1: Operand, input2: Operand, target: Operand, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """1 - cosine for target 1, max(0, cosine - margin) for target -1."""
    eps = 1e-12
    dot = fnp.sum(input1 * input2, axis=-1)
    cosine = dot / fnp.sqrt((fnp.sum(input1 * input1, axis=-1) + eps) * (fnp.sum(input2 * input2, axis=-1) + eps))
    apart = fnp.maximum(cosine - margin, 0.0)
    return reduced(fnp.where(target == 1, 1 - cosine, fnp.where(target == -1, apart, 0)), reduction)


@operation("MeanBackward0", promote="float", method=False)
def triplet_margin_loss(
    anchor: Operand,
    positive: Operand,
    negative: Operand,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin)."""

    def distance(a: Any, b: Any) -> Any:
        d = fnp.abs(a - b + eps)
        return fnp.sqrt(fnp.sum(d * d, axis=-1)) if p == 2 else fnp.sum(d**p, axis=-1) ** (1 / p)

    far = distance(anchor, negative)
    if swap:
        far = fnp.minimum(far, distance(positive, negative))
    d = distance(anchor, positive) - far + margin
    return reduced(fnp.where(d > 0, d, 0), reduction)
