"""Order statistics: medians, k-th values, modes and quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.torch import return_types
from funcgrad.torch.modes import state
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.promotion import supported
from funcgrad.torch.ops.reductions import picked
from funcgrad.torch.ops.views import wrap_dim
from funcgrad.torch.tensor import Tensor, concrete


def _ordered(x: Any, axis: int, rank: Any, keepdim: bool) -> tuple[Any, Any]:
    """(values, indices) of the element with this rank along a dimension."""
    if not x.ndim:
        return x, fnp.zeros((), np.int64)
    order = fnp.argsort(x, axis=axis, stable=True)
    at = fnp.take_along_axis(order, rank, axis) if hasattr(rank, "shape") else lax.index_in_dim(order, rank, axis)
    return picked(x, fnp.squeeze(at, axis), axis, keepdim)


def _median_rank(x: Any, axis: int, skip: bool) -> Any:
    n = x.shape[axis]
    missing = fnp.sum((x != x).astype(np.int64), axis=axis, keepdims=True)
    if skip:
        return fnp.maximum((n - missing - 1) // 2, 0)
    # nan sorts last: with one of them the median is nan.
    return fnp.where(missing > 0, n - 1, (n - 1) // 2)


def _shared(x: Any, value: Any) -> Any:
    """A value that some elements equal, as their mean: they share its gradient."""
    at = (x == value) | ((x != x) & (value != value))
    mean = fnp.sum(fnp.where(at, x, 0)) / fnp.sum(at.astype(x.dtype))
    return lax.stop_gradient(value - mean) + mean if x.dtype.kind == "f" else value


def _median(name: str, skip: bool) -> Any:
    @operation(f"{name.capitalize()}Backward0", name=name + "_all", method=False, saves="result")
    def everything(input: Operand) -> Any:
        supported(f"{name}_cpu", input.dtype, "uif")
        flat = fnp.ravel(input)
        if not flat.size:
            # PyTorch's median of nothing: nan, and of integers their least.
            return fnp.full((), np.nan if flat.dtype.kind == "f" else np.iinfo(flat.dtype).min, flat.dtype)
        value = _ordered(flat, 0, _median_rank(flat, 0, skip), False)[0]
        return _shared(input, lax.stop_gradient(value))

    @operation(f"{name.capitalize()}Backward1", name=name + "_dim", method=False, result=getattr(return_types, name))
    def along(input: Operand, dim: int, keepdim: bool = False) -> Any:
        axis = wrap_dim(dim, input.ndim)
        return _ordered(input, axis, _median_rank(input, axis, skip) if input.ndim else 0, keepdim)

    def function(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
        return everything(input) if dim is None else along(input, dim, keepdim)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{name}(input): the lower median of all; {name}(input, dim, keepdim): (values, indices) along a dimension."
    )
    setattr(Tensor, name, function)
    return function


median = _median("median", False)
nanmedian = _median("nanmedian", True)


@operation(result=return_types.kthvalue)
def kthvalue(input: Operand, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the k-th smallest element, counted from 1."""
    axis = wrap_dim(dim, input.ndim)
    if input.ndim and not 1 <= k <= input.shape[axis]:
        raise RuntimeError("kthvalue(): selected number k out of range for dimension " + str(axis))
    return _ordered(input, axis, k - 1, keepdim)


@operation(result=return_types.mode)
def mode(input: Operand, dim: int = -1, keepdim: bool = False) -> Any:
    """(values, indices) of the most frequent element, the smallest of these; the last index where it stands."""
    axis = wrap_dim(dim, input.ndim)
    if not input.ndim:
        return input, fnp.zeros((), np.int64)
    x = fnp.moveaxis(input, axis, -1)
    same = x[..., :, None] == x[..., None, :]
    counts = fnp.sum(same.astype(np.int64), axis=-1)
    best = counts == fnp.max(counts, axis=-1, keepdims=True)
    top = x.astype(np.float64) if x.dtype.kind in "biu" else lax.stop_gradient(x)
    least = fnp.min(fnp.where(best, top, np.inf), axis=-1, keepdims=True)
    n = x.shape[-1]
    at = fnp.max(fnp.where(top == least, fnp.arange(n), -1), axis=-1)
    return picked(input, at, axis, keepdim)


def _quantiles(name: str, f: Any) -> Any:
    @operation("SqueezeBackward4", method=False, name=name)
    def step(input: Operand, q: Any, dim: int | None, keepdim: bool, interpolation: str) -> Any:
        levels = np.asarray(q, input.dtype)
        if input.ndim:
            return f(input, levels, axis=dim, keepdims=keepdim, method=interpolation)
        return f(fnp.reshape(input, (1,)), levels, axis=0, method=interpolation)

    def function(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear",
                 out: Any = None) -> Tensor:  # fmt: skip
        if dim is not None:
            wrap_dim(dim, input.ndim)
        if isinstance(q, Tensor):
            if q.requires_grad and state.grad:
                raise NotImplementedError(f"{name}() has no derivative by q here; pass q.detach().")
            levels = concrete(q, f"torch.{name}")
            q = tuple(levels.tolist()) if levels.ndim else levels.item()
        else:
            levels = np.asarray(q)
        if not ((levels >= 0) & (levels <= 1)).all():
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        return step(input, q, dim, keepdim, interpolation, out=out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{name}: the q-th quantile along a dimension or of all; several levels make a leading dimension."
    )
    setattr(Tensor, name, function)
    return function


quantile = _quantiles("quantile", fnp.quantile)
nanquantile = _quantiles("nanquantile", fnp.nanquantile)
