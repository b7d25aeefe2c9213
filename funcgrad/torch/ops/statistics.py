"""Covariances, differences of samples, parts of floating-point numbers: functions of `torch` that stand on others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch import return_types
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.cumulative import cumsum
from funcgrad.torch.ops.promotion import floating
from funcgrad.torch.ops.views import wrap_dim
from funcgrad.torch.tensor import Tensor


@operation("SqueezeBackward0")
def cov(input: Operand, *, correction: int = 1, fweights: Operand = None, aweights: Operand = None) -> Any:
    """The covariances of variables (rows) by observations (columns), which may have counts and weights."""
    if input.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    x = floating(fnp.atleast_2d(input))
    weights = None
    if fweights is not None:
        weights = fweights.astype(x.dtype)
    if aweights is not None:
        given = aweights.astype(x.dtype)
        weights = given if weights is None else weights * given
    if weights is None:
        total: Any = x.shape[1]
        mean = fnp.sum(x, axis=1, keepdims=True) / total
        norm = total - correction
        away = x - mean
        scaled = away
    else:
        total = fnp.sum(weights)
        mean = fnp.sum(x * weights, axis=1, keepdims=True) / total
        norm = total - correction
        if aweights is not None and correction:
            norm = total - correction * fnp.sum(weights * aweights) / total
        away = x - mean
        scaled = away * weights
    found = fnp.matmul(scaled, fnp.conj(away).T)
    found = (
        found / fnp.maximum(norm, 0)
        if weights is not None
        else found / np.float64(max(norm, 0)).astype(found.real.dtype)
    )
    return fnp.squeeze(found) if input.ndim < 2 or found.size == 1 else found


@operation("ClampBackward1")
def corrcoef(input: Operand) -> Any:
    """The correlation coefficients of variables (rows)."""
    x = floating(fnp.atleast_2d(input))
    away = x - fnp.mean(x, axis=1, keepdims=True)
    found = fnp.matmul(away, fnp.conj(away).T)
    size = fnp.sqrt(fnp.real(fnp.diagonal(found)))
    found = found / size[:, None] / size[None, :]
    if found.dtype.kind != "c":
        found = fnp.where(found > 1, 1, fnp.where(found < -1, -1, found))
    return fnp.squeeze(found) if input.ndim < 2 or found.size == 1 else found


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """Integrals by trapezoids from the first sample up to each of the others."""
    left, right = y.narrow(dim, 0, y.size(dim) - 1), y.narrow(dim, 1, y.size(dim) - 1)
    if x is None:
        return cumsum((left + right) * (dx / 2), dim)
    steps = (
        x.diff(dim=dim)
        if x.ndim == y.ndim
        else x.diff().reshape([-1 if i == dim % y.ndim else 1 for i in range(y.ndim)])
    )
    return cumsum((left + right) * steps / 2, dim)


@operation("CatBackward0", method=False)
def _gradient(input: Operand, axes: tuple[int, ...], spacing: tuple[float, ...], edge_order: int) -> Any:
    x = floating(input)
    found = fnp.gradient(x, *spacing, axis=axes, edge_order=edge_order)
    return [f.astype(x.dtype) for f in (found if isinstance(found, (list, tuple)) else [found])]


def gradient(input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:
    """Estimates of partial derivatives from samples: central differences, one-sided at the ends.

    spacing: a number (1 by default), one for each dimension, or the coordinates of the samples of each.
    """
    listed: Sequence[int] = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    axes = tuple(wrap_dim(d, input.ndim) for d in listed)
    if spacing is None or isinstance(spacing, (int, float)):
        steps: tuple[Any, ...] = (1 if spacing is None else spacing,) * len(axes)
    else:
        steps = tuple(tuple(s.tolist()) if isinstance(s, Tensor) and s.ndim else s for s in spacing)
        steps = tuple(s.item() if isinstance(s, Tensor) else s for s in steps)
    if len(steps) != len(axes):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar or a list of length {len(axes)} but got a list of "
            f"length {len(steps)}"
        )
    return tuple(_gradient(input, axes, steps, edge_order))


@operation(result=return_types.frexp)
def frexp(input: Operand) -> Any:
    """(mantissa, exponent) with input = mantissa * 2**exponent and 0.5 <= |mantissa| < 1."""
    if input.dtype.kind != "f":
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return tuple(fnp.frexp(input))
