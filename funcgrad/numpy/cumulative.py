"""Cumulative sums, products and extremes along an axis, and the ufuncs' `accumulate` on tracers.

Results have the shape of the input (flat for axis=None) and NumPy's dtype: booleans and small integers become 64-bit.
An axis that the array has not raises AxisError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.numpy import ufuncs as u
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.reductions import mean_dtype, sum_dtype
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import cumulative as c
from funcgrad.ops import elementwise as e
from funcgrad.ops import reduce as r
from funcgrad.ops.basics import convert, reshape
from funcgrad.ops.shape import concatenate


def _running(primitive: Primitive, x: Any, axis: int | None, name: str) -> Any:
    kind = type_of(x)
    if axis is None or kind.ndim == 0:
        if axis is not None:
            axis_of(axis, 1, name)
        return primitive(reshape(x, shape=(kind.size,)), axis=0, reverse=False)
    return primitive(x, axis=axis_of(axis, kind.ndim, name), reverse=False)


def _accumulated(primitive: Primitive, a: Any, axis: int | None, dtype: Any, name: str) -> Any:
    x = array_operand(a)
    return _running(primitive, convert(x, sum_dtype(type_of(x).dtype, dtype)), axis, name)


@implements(np.cumsum)
def cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """The sums of the values up to each one along an axis; axis None flattens first."""
    return _accumulated(r.cumsum, a, axis, dtype, "cumsum")


@implements(np.cumprod)
def cumprod(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """The products of the values up to each one along an axis; axis None flattens first. Exact with zeros."""
    return _accumulated(r.cumprod, a, axis, dtype, "cumprod")


def _standard(primitive: Primitive, first: int, x: Any, axis: int | None, dtype: Any, include_initial: bool) -> Any:
    name = f"cumulative_{'prod' if first else 'sum'}"
    x = array_operand(x)
    rank = type_of(x).ndim
    if rank == 0:
        raise ValueError(f"{name} needs an array of at least one axis, got a 0-d one.")
    if axis is None and rank > 1:
        raise ValueError(f"{name} of a {rank}-d array needs axis=; reshape to one axis to run over all of it.")
    axis = axis_of(0 if axis is None else axis, rank, name)
    found = _accumulated(primitive, x, axis, dtype, name)
    if not include_initial:
        return found
    shape = type_of(found).shape
    start = np.full((*shape[:axis], 1, *shape[axis + 1 :]), first, type_of(found).dtype)
    return concatenate(start, found, axis=axis)


@implements(np.cumulative_sum)
def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, out: None = None,
                   include_initial: bool = False) -> Any:  # fmt: skip
    """`cumsum` of the array standard: axis None is for 1-d arrays only, include_initial puts a 0 in front."""
    return _standard(r.cumsum, 0, x, axis, dtype, include_initial)


@implements(np.cumulative_prod)
def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, out: None = None,
                    include_initial: bool = False) -> Any:  # fmt: skip
    """`cumprod` of the array standard: axis None is for 1-d arrays only, include_initial puts a 1 in front."""
    return _standard(r.cumprod, 1, x, axis, dtype, include_initial)


def _numbers_only(a: Any, fill: int) -> Any:
    x = array_operand(a)
    return e.select(e.is_nan(x), fill, x) if type_of(x).dtype.kind in "fc" else x


@implements(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """`cumsum` with nan as 0."""
    return _accumulated(r.cumsum, _numbers_only(a, 0), axis, dtype, "nancumsum")


@implements(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """`cumprod` with nan as 1."""
    return _accumulated(r.cumprod, _numbers_only(a, 1), axis, dtype, "nancumprod")


# ---- <ufunc>.accumulate, numpy's on a tracer and our own: along axis 0 unless told ----


def _extreme(primitive: Primitive) -> Callable[..., Any]:
    def accumulate(array: Any, axis: int = 0) -> Any:
        """The extremes of the values up to each one along an axis."""
        return wrap(_running(primitive, array_operand(array), axis, primitive.name))

    return accumulate


def _log_sums(array: Any, axis: int = 0) -> Any:
    """The log of the sum of the exponentials of the values up to each one along an axis."""
    x = array_operand(array)
    return wrap(_running(c.cumlogsumexp, convert(x, mean_dtype(type_of(x).dtype, None)), axis, "logaddexp.accumulate"))


def _along_first(function: Callable[..., Any]) -> Callable[..., Any]:
    def accumulate(array: Any, axis: int = 0, dtype: Any = None) -> Any:
        """The results of the ufunc on the values up to each one along an axis."""
        return function(array, axis=axis, dtype=dtype)

    return accumulate


for _ufunc, _own, _function in (
    (np.add, u.add, _along_first(cumsum)),
    (np.multiply, u.multiply, _along_first(cumprod)),
    (np.maximum, u.maximum, _extreme(c.cummax)),
    (np.minimum, u.minimum, _extreme(c.cummin)),
    (np.logaddexp, u.logaddexp, _log_sums),
):
    _own.accumulate = dispatch[(_ufunc, "accumulate")] = _function  # type: ignore[attr-defined]
