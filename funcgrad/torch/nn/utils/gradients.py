"""Gradients and parameters of a module as a whole."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

from funcgrad.torch.modes import no_grad
from funcgrad.torch.ops.creation import tensor
from funcgrad.torch.ops.joining import cat, stack
from funcgrad.torch.tensor import Tensor


def get_total_norm(
    tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: Any = None
) -> Tensor:
    """The norm of all tensors together."""
    given = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not given:
        return tensor(0.0)
    total = stack([t.norm(norm_type) for t in given]).norm(norm_type)  # type: ignore[attr-defined]
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot "
            f"be clipped. To disable this "
            "error and scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                    foreach: Any = None) -> Tensor:  # fmt: skip
    """Scales gradients in place so that their norm together is at most `max_norm`; gives the norm before."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    grads = [p.grad for p in given if p.grad is not None]
    with no_grad():
        total = get_total_norm(grads, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(given, max_norm, total)
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any, foreach: Any = None) -> None:
    """Scales gradients in place by max_norm / total_norm, if that is below 1: for norms that are known."""
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    with no_grad():
        ratio: Any = float(max_norm) / (total_norm + 1e-6)
        factor = ratio.clamp(max=1.0)
        for p in given:
            if p.grad is not None:
                p.grad.mul_(factor)


def clip_grad_norm(parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                   foreach: Any = None) -> Tensor:  # fmt: skip
    """As `clip_grad_norm_`; deprecated in PyTorch, with a FutureWarning."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: Any = None) -> None:
    """Limits the elements of gradients in place to [-clip_value, clip_value]."""
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    with no_grad():
        for p in given:
            if p.grad is not None:
                p.grad.clamp_(min=-float(clip_value), max=float(clip_value))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters in one vector."""
    return cat([p.reshape(-1) for p in parameters])  # type: ignore[attr-defined]


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Writes the parts of one vector into parameters."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    at = 0
    for p in parameters:
        n = p.numel()
        p.data = vec[at : at + n].view_as(p).data  # type: ignore[index]
        at += n
