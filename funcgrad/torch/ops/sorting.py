"""Sorting, the largest k, unique values and counts."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch import return_types
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.views import wrap_dim
from funcgrad.torch.tensor import Tensor, concrete, make


def _order(x: Any, axis: int, descending: bool) -> Any:
    if not descending:
        return fnp.argsort(x, axis=axis, stable=True)
    # Stable in descending order: turned, sorted, turned back.
    n = x.shape[axis]
    turned = fnp.flip(x, axis)
    return n - 1 - fnp.flip(fnp.argsort(turned, axis=axis, stable=True), axis)


def _sorted(x: Any, dim: int, descending: bool) -> tuple[Any, Any]:
    if not x.ndim:
        return x, fnp.zeros((), np.int64)
    axis = wrap_dim(dim, x.ndim)
    at = _order(x, axis, descending)
    return fnp.take_along_axis(x, at, axis), at


@operation(result=return_types.sort)
def sort(input: Operand, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """(values, indices) in order along a dimension. Always stable."""
    return _sorted(input, dim, descending)


@operation()
def argsort(input: Operand, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """The indices that sort along a dimension. Always stable."""
    return _sorted(input, dim, descending)[1]


@operation("SortBackward0")
def msort(input: Operand) -> Any:
    """Sorted along the first dimension."""
    return _sorted(input, 0, False)[0]


@operation(result=return_types.topk)
def topk(input: Operand, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the k largest (or smallest) elements along a dimension, always in order."""
    if not input.ndim:
        return input, fnp.zeros((), np.int64)
    axis = wrap_dim(dim, input.ndim)
    if not 0 <= k <= input.shape[axis]:
        raise RuntimeError("selected index k out of range")
    at = fnp.take(_order(input, axis, largest), np.arange(k), axis=axis)
    return fnp.take_along_axis(input, at, axis), at


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different values (or slices along a dimension) in order; where each is, and how often, if asked for."""
    found = np.unique(concrete(input, "torch.unique"), return_inverse=True, return_counts=True, axis=dim)
    inverse = found[1].reshape(input._array.shape) if dim is None else found[1].reshape(-1)
    return _chosen(found[0], inverse, found[2], return_inverse, return_counts)


def _chosen(values: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    result = [make(values)]
    if return_inverse:
        result.append(make(inverse.astype(np.int64)))
    if return_counts:
        result.append(make(counts.astype(np.int64)))
    return result[0] if len(result) == 1 else tuple(result)


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The values (or slices) without those equal to the one before."""
    x = concrete(input, "torch.unique_consecutive")
    rows = x.reshape(-1) if dim is None else np.moveaxis(x, dim, 0)
    n = len(rows)
    flat = rows.reshape(n, -1) if n else rows.reshape(0, 1)
    new = np.ones(n, bool)
    new[1:] = (flat[1:] != flat[:-1]).any(1)
    starts = np.flatnonzero(new)
    inverse = np.cumsum(new) - 1
    counts = np.diff(np.append(starts, n))
    values = rows[starts] if dim is None else np.moveaxis(rows[starts], 0, dim)
    return _chosen(values, inverse.reshape(x.shape) if dim is None else inverse, counts, return_inverse, return_counts)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer occurs, or the sum of the weights where it does."""
    x = concrete(input, "torch.bincount")
    if x.ndim != 1 or (x.size and x.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    w = None if weights is None else concrete(weights, "torch.bincount")
    found = np.bincount(x, w, minlength)
    return make(found.astype(np.int64) if w is None else found.astype(w.dtype if w.dtype == np.float32 else np.float64))


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of `bins` equal intervals of [min, max] (of the range of the values if both are 0)."""
    x = concrete(input, "torch.histc")
    low, high = (float(x.min()), float(x.max())) if min == 0 and max == 0 and x.size else (float(min), float(max))
    if low == high:
        low, high = low - 1, high + 1
    return make(np.histogram(x, bins, (low, high))[0].astype(x.dtype))


@operation(method=False, name="searchsorted")
def _searched(sorted_sequence: Operand, input: Operand, right: bool) -> Any:
    side = "right" if right else "left"
    if sorted_sequence.ndim == 1:
        return fnp.searchsorted(sorted_sequence, input, side=side)
    less = (
        sorted_sequence[..., None, :] <= input[..., :, None]
        if right
        else sorted_sequence[..., None, :] < input[..., :, None]
    )
    return fnp.sum(less.astype(np.int64), axis=-1)


def searchsorted(sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,
                 out: Any = None, sorter: Any = None) -> Tensor:  # fmt: skip
    """Where values would have to be inserted so that the order stays: before equal ones, or (right) after them."""
    values = input if isinstance(input, Tensor) else make(np.asarray(input, sorted_sequence._array.dtype))
    sequence = sorted_sequence if sorter is None else sorted_sequence.gather(-1, sorter)  # type: ignore[attr-defined]
    found = _searched(sequence, values, right or side == "right", out=out)
    return found.to(dtype=_int32()) if out_int32 else found


def _int32() -> Any:
    return make(np.zeros(0, np.int32)).dtype


def bucketize(
    input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False, out: Any = None
) -> Tensor:
    """The number of the interval between boundaries that each value lies in."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among the test elements."""
    a = concrete(elements, "torch.isin") if isinstance(elements, Tensor) else np.asarray(elements)
    b = concrete(test_elements, "torch.isin") if isinstance(test_elements, Tensor) else np.asarray(test_elements)
    return make(np.isin(a, b, invert=invert))


for _method in (unique, unique_consecutive, bincount, histc):
    setattr(Tensor, _method.__name__, _method)
