"""Reductions over all or some dimensions, with PyTorch's dtypes, named results and gradients at ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax, nn
from funcgrad.torch import dtypes, return_types
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.arithmetic import maximum, minimum
from funcgrad.torch.ops.promotion import as_dtype, floating, summable, supported
from funcgrad.torch.ops.views import wrap_dim
from funcgrad.torch.tensor import Tensor

Dim = Any


def axes_of(dim: Any, ndim: int) -> tuple[int, ...] | None:
    """Dimensions as axes from the front; None for all. Raises IndexError and, for repeated ones, RuntimeError."""
    if dim is None or (isinstance(dim, (tuple, list)) and len(dim) == 0):
        return None
    listed = [dim] if isinstance(dim, (int, np.integer)) else list(dim)
    found = tuple(wrap_dim(int(d), ndim) for d in listed)
    for d in found:
        if found.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return found if ndim else ()


def _overload(name: str) -> Any:
    return lambda input, dim, *rest: f"{name}Backward{0 if dim is None else 1}"


@operation(_overload("Sum"))
def sum(input: Operand, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over all or the given dimensions; of integers in int64."""
    x = summable(input, dtype)
    return fnp.sum(x, axis=axes_of(dim, input.ndim), keepdims=keepdim, dtype=x.dtype)


@operation()
def nansum(input: Operand, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum with nan as 0."""
    x = summable(input, dtype)
    if x.dtype.kind == "c":
        raise RuntimeError("nansum on CPU does not support complex inputs")
    return fnp.sum(fnp.where(x != x, 0, x), axis=axes_of(dim, input.ndim), keepdims=keepdim)


def _mean(x: Any, dim: Any, keepdim: bool, name: str = "mean") -> Any:
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            f"{name}(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. "
            f"Got: {x.dtype}"
        )
    axes = axes_of(dim, x.ndim)
    count = math.prod(x.shape if axes is None else [x.shape[a] for a in axes])
    return fnp.sum(x, axis=axes, keepdims=keepdim) / (count if count else math.nan)


@operation(_overload("Mean"))
def mean(input: Operand, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over all or the given dimensions."""
    return _mean(as_dtype(input, dtype), dim, keepdim)


@operation("MeanBackward1")
def nanmean(input: Operand, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of what is not nan."""
    x = as_dtype(input, dtype)
    axes = axes_of(dim, x.ndim)
    total = fnp.sum(fnp.where(x != x, 0, x), axis=axes, keepdims=keepdim)
    return total / fnp.sum((x == x).astype(x.dtype), axis=axes, keepdims=keepdim)


@operation(_overload("Prod"))
def prod(input: Operand, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product over all dimensions or one."""
    x = summable(input, dtype)
    return fnp.prod(x, axis=axes_of(dim, input.ndim), keepdims=keepdim, dtype=x.dtype)


def _deviations(x: Any, dim: Any, unbiased: Any, correction: Any, keepdim: bool) -> Any:
    if x.dtype.kind not in "fc":
        raise RuntimeError("std and var only support floating point and complex dtypes")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    axes = axes_of(dim, x.ndim)
    count = math.prod(x.shape if axes is None else [x.shape[a] for a in axes])
    less = (1 if unbiased is None or unbiased else 0) if correction is None else correction
    d = x - fnp.mean(x, axis=axes, keepdims=True)
    squares = fnp.real(d) ** 2 + fnp.imag(d) ** 2 if x.dtype.kind == "c" else d * d
    total = fnp.sum(squares, axis=axes, keepdims=keepdim)
    return total / (count - less) if count > less else total / 0.0


def _root(v: Any) -> Any:
    # The derivative of the root of 0 is taken as 0, the smallest of those that it may have.
    return fnp.where(v == 0, 0, fnp.sqrt(fnp.where(v == 0, 1, v)))


@operation("VarBackward0")
def var(input: Operand, dim: Dim = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The variance, divided by n - correction (1 by default)."""
    return _deviations(input, dim, unbiased, correction, keepdim)


@operation("StdBackward0", saves="result")
def std(input: Operand, dim: Dim = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The standard deviation, by n - correction (1 by default); its derivative at equal values is 0."""
    return _root(_deviations(input, dim, unbiased, correction, keepdim))


@operation("VarMeanBackward0", method=False)
def var_mean(
    input: Operand, dim: Dim = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> Any:
    """(variance, mean)."""
    axis = None if isinstance(dim, bool) else dim
    return _deviations(input, dim, unbiased, correction, keepdim), _mean(input, axis, keepdim)


@operation("StdMeanBackward0", method=False)
def std_mean(
    input: Operand, dim: Dim = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
) -> Any:
    """(standard deviation, mean)."""
    axis = None if isinstance(dim, bool) else dim
    return _root(_deviations(input, dim, unbiased, correction, keepdim)), _mean(input, axis, keepdim)


# ---- largest and smallest ----


def _nonempty(x: Any, name: str, dim: Any = None) -> None:
    if isinstance(dim, tuple):
        dim = next((d for d in dim if x.shape[d] == 0), dim[0]) if dim else None
    if 0 in x.shape and (dim is None or x.shape[dim] == 0):
        if dim is None:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim."
            )
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")


@operation(saves="result")
def amax(input: Operand, dim: Dim = (), keepdim: bool = False) -> Any:
    """The largest value; equal ones share the gradient."""
    _nonempty(input, "amax", axes_of(dim, input.ndim) or None)
    supported("max_values_cpu", input.dtype, "buif")
    return fnp.max(input, axis=axes_of(dim, input.ndim), keepdims=keepdim)


@operation(saves="result")
def amin(input: Operand, dim: Dim = (), keepdim: bool = False) -> Any:
    """The smallest value; equal ones share the gradient."""
    _nonempty(input, "amin", axes_of(dim, input.ndim) or None)
    supported("min_values_cpu", input.dtype, "buif")
    return fnp.min(input, axis=axes_of(dim, input.ndim), keepdims=keepdim)


@operation(saves="result", result=return_types.aminmax)
def aminmax(input: Operand, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """(smallest, largest)."""
    axes = axes_of(dim, input.ndim)
    if 0 in (input.shape if axes is None else [input.shape[a] for a in axes]):
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
        )
    return fnp.min(input, axis=axes, keepdims=keepdim), fnp.max(input, axis=axes, keepdims=keepdim)


def picked(x: Any, at: Any, axis: int, keepdim: bool) -> tuple[Any, Any]:
    """(values, indices) at one index of a dimension each; gradients go there only."""
    if not x.ndim:
        return x, at
    values = fnp.take_along_axis(x, fnp.expand_dims(at, axis), axis)
    return (values, fnp.expand_dims(at, axis)) if keepdim else (fnp.squeeze(values, axis), at)


def _position(x: Any, axis: int, f: Any) -> Any:
    return f(x, axis=axis) if x.ndim else fnp.zeros((), np.int64)


def _extreme(name: str, full: Any, arg: Any, pairwise: Any) -> Any:
    @operation(f"{name.capitalize()}Backward1", saves="result", name=name + "_all", method=False)
    def everything(input: Operand) -> Any:
        _nonempty(input, name)
        supported(f"{name}_all", input.dtype, "buif")
        return full(input)

    @operation(f"{name.capitalize()}Backward0", name=name + "_dim", method=False, result=getattr(return_types, name))
    def along(input: Operand, dim: int, keepdim: bool = False) -> Any:
        axis = wrap_dim(dim, input.ndim)
        supported(f"{name}_cpu", input.dtype, "buif")
        _nonempty(input, name, axis if input.ndim else None)
        return picked(input, _position(input, axis, arg), axis, keepdim)

    def function(
        input: Tensor, *args: Any, dim: Any = None, keepdim: bool = False, other: Any = None, out: Any = None
    ) -> Any:
        if args and isinstance(args[0], Tensor):
            return pairwise(input, args[0], out=out)
        if other is not None:
            return pairwise(input, other, out=out)
        if args:
            dim, keepdim = args[0], args[1] if len(args) > 1 else keepdim
        return everything(input, out=out) if dim is None else along(input, dim, keepdim, out=out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"{name}(input): the {name}imum of all; {name}(input, dim, keepdim): (values, indices) along one dimension; "
        f"{name}(input, other): of each pair."
    )
    setattr(Tensor, name, function)
    return function


max = _extreme("max", fnp.max, fnp.argmax, maximum)
min = _extreme("min", fnp.min, fnp.argmin, minimum)


@operation()
def argmax(input: Operand, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the largest value is: in the flattened tensor, or along a dimension."""
    return _argument("argmax", input, dim, keepdim, fnp.argmax)


@operation()
def argmin(input: Operand, dim: int | None = None, keepdim: bool = False) -> Any:
    """Where the smallest value is: in the flattened tensor, or along a dimension."""
    return _argument("argmin", input, dim, keepdim, fnp.argmin)


def _argument(name: str, x: Any, dim: int | None, keepdim: bool, f: Any) -> Any:
    if x.dtype.kind == "b":
        raise RuntimeError(f"{name}(): does not support bool input")
    supported(f"{name}_cpu", x.dtype, "uif")
    if dim is None and 0 in x.shape:
        raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
    if not x.ndim:
        return fnp.zeros((), np.int64)
    if dim is None:
        found = f(fnp.ravel(x), axis=0)
        return fnp.reshape(found, (1,) * x.ndim) if keepdim else found
    axis = wrap_dim(dim, x.ndim)
    found = f(x, axis=axis)
    return fnp.expand_dims(found, axis) if keepdim else found


@operation()
def all(input: Operand, dim: Dim = None, keepdim: bool = False) -> Any:
    """Whether all are not zero."""
    return _as_bytes(input, fnp.all(input, axis=axes_of(dim, input.ndim), keepdims=keepdim))


@operation()
def any(input: Operand, dim: Dim = None, keepdim: bool = False) -> Any:
    """Whether one is not zero."""
    return _as_bytes(input, fnp.any(input, axis=axes_of(dim, input.ndim), keepdims=keepdim))


def _as_bytes(x: Any, found: Any) -> Any:
    # Before PyTorch had booleans, uint8 stood for them.
    return found.astype(np.uint8) if x.dtype == np.uint8 else found


@operation()
def count_nonzero(input: Operand, dim: Dim = None) -> Any:
    """How many are not zero."""
    return fnp.sum((input != 0).astype(np.int64), axis=axes_of(dim, input.ndim))


# ---- norms ----


def norm_of(x: Any, p: Any, axes: tuple[int, ...] | None, keepdim: bool) -> Any:
    """The p-norm of the elements; its derivative at 0 is 0."""
    size = fnp.abs(x)
    if p in ("fro", 2, 2.0, None):
        return _root(fnp.sum(size * size, axis=axes, keepdims=keepdim))
    if p == 1:
        return fnp.sum(size, axis=axes, keepdims=keepdim)
    if p == 0:
        return fnp.sum((size != 0).astype(size.dtype), axis=axes, keepdims=keepdim)
    if math.isinf(p):
        return (fnp.max if p > 0 else fnp.min)(size, axis=axes, keepdims=keepdim)
    total = fnp.sum(fnp.power(fnp.where(size == 0, 0, size), p), axis=axes, keepdims=keepdim)
    safe = fnp.where(total == 0, 1, total)
    return fnp.where(total == 0, 0, fnp.power(safe, 1 / p))


@operation(lambda input, p, *rest: "SumBackward1" if p == "nuc" else "LinalgVectorNormBackward0", saves="result")
def norm(input: Operand, p: Any = "fro", dim: Dim = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The p-norm over all or the given dimensions ("fro" is 2, "nuc" the sum of singular values)."""
    x = as_dtype(input, dtype)
    if x.dtype.kind not in "fc":
        kind = dtypes.from_numpy_dtype(x.dtype).title
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {kind}")
    if p == "nuc":
        return fnp.linalg.norm(x, "nuc", axis=axes_of(dim, x.ndim), keepdims=keepdim)
    return norm_of(x, p, axes_of(dim, x.ndim), keepdim)


@operation("DistBackward0", promote="float", saves="result")
def dist(input: Operand, other: Operand, p: float = 2) -> Any:
    """The p-norm of input - other."""
    return norm_of(input - other, p, None, False)


@operation("RenormBackward0", inplace=True)
def renorm(input: Operand, p: float, dim: int, maxnorm: float) -> Any:
    """Slices along a dimension, scaled down to a p-norm of at most `maxnorm`."""
    axis = wrap_dim(dim, input.ndim)
    others = tuple(i for i in range(input.ndim) if i != axis)
    size = norm_of(input, p, others, True)
    return input * fnp.where(size > maxnorm, maxnorm / (size + 1e-7), 1)


@operation(saves="result")
def logsumexp(input: Operand, dim: Dim, keepdim: bool = False) -> Any:
    """log(sum(exp(input))) without overflow."""
    x, axes = floating(input), axes_of(dim, input.ndim)
    if x.dtype.kind != "c":
        return nn.logsumexp(x, axis=axes, keepdims=keepdim)
    peak = lax.stop_gradient(fnp.max(fnp.real(x), axis=axes, keepdims=True))
    peak = fnp.where(fnp.isfinite(peak), peak, 0)
    total = fnp.log(fnp.sum(fnp.exp(x - peak), axis=axes, keepdims=keepdim))
    return total + (peak if keepdim else fnp.reshape(peak, total.shape))


def reduced_shape(shape: Sequence[int], axes: Sequence[int] | None) -> tuple[int, ...]:
    """The shape with the axes as 1."""
    return tuple(1 if axes is None or i in axes else n for i, n in enumerate(shape))
