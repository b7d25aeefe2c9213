"""Cumulative sums, products and extremes."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.torch import return_types
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.promotion import floating, summable
from funcgrad.torch.ops.views import wrap_dim


@operation(inplace=True)
def cumsum(input: Operand, dim: int, *, dtype: Any = None) -> Any:
    """Sums of all elements so far along a dimension."""
    x = summable(input, dtype)
    return fnp.cumsum(x, axis=wrap_dim(dim, x.ndim), dtype=x.dtype) if x.ndim else x


@operation(inplace=True, saves="result")
def cumprod(input: Operand, dim: int, *, dtype: Any = None) -> Any:
    """Products of all elements so far along a dimension."""
    x = summable(input, dtype)
    return fnp.cumprod(x, axis=wrap_dim(dim, x.ndim), dtype=x.dtype) if x.ndim else x


@operation(saves="result")
def logcumsumexp(input: Operand, dim: int) -> Any:
    """Logarithms of sums of exponentials of all elements so far."""
    x = floating(input)
    if not x.ndim:
        return x
    axis = wrap_dim(dim, x.ndim)
    if x.dtype.kind != "c" or not x.size:
        return lax.cumlogsumexp(x, axis=axis)
    peak = lax.stop_gradient(fnp.max(fnp.real(x), axis=axis, keepdims=True))
    return fnp.log(fnp.cumsum(fnp.exp(x - peak), axis=axis)) + peak


def _running(x: Any, dim: int, best: Any, beats: Any) -> tuple[Any, Any]:
    if not x.ndim:
        return x, fnp.zeros((), int)
    axis = wrap_dim(dim, x.ndim)
    fixed = lax.stop_gradient(x)
    so_far = best(fixed, axis=axis)
    places = fnp.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    # The last element that equals the running extreme, nan included.
    at = lax.cummax(fnp.where((fixed == so_far) | (fixed != fixed), fnp.broadcast_to(places, x.shape), 0), axis=axis)
    return fnp.take_along_axis(x, at, axis), at


@operation(result=return_types.cummax)
def cummax(input: Operand, dim: int) -> Any:
    """(values, indices) of the largest element so far along a dimension."""
    return _running(input, dim, lax.cummax, None)


@operation(result=return_types.cummin)
def cummin(input: Operand, dim: int) -> Any:
    """(values, indices) of the smallest element so far along a dimension."""
    return _running(input, dim, lax.cummin, None)


@operation("TrapezoidBackward0", method=False)
def _trapezoid(y: Operand, dx: float, dim: int) -> Any:
    return fnp.trapezoid(y, dx=dx, axis=dim)


def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The integral along a dimension by trapezoids."""
    if x is None:
        return _trapezoid(y, dx, dim)
    steps = x.diff(dim=dim) if x.ndim == y.ndim else x.diff()
    left, right = y.narrow(dim, 0, y.size(dim) - 1), y.narrow(dim, 1, y.size(dim) - 1)
    return ((left + right) * steps / 2).sum(dim)


trapz = trapezoid


@operation("SubBackward0")
def diff(input: Operand, n: int = 1, dim: int = -1, prepend: Operand = None, append: Operand = None) -> Any:
    """Differences of neighbours along a dimension, n times."""
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n == 0:
        return input
    parts = [p for p in (prepend, input, append) if p is not None]
    x = fnp.concatenate(parts, axis=dim) if len(parts) > 1 else input
    return fnp.diff(x, n=n, axis=dim)
