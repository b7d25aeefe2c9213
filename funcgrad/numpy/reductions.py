"""Reductions: sums, products, extremes, means, variances, truth, positions.

`axis` is an int, a tuple or None (all axes); `keepdims` leaves the reduced axes with size 1; `where` chooses the values
that take part; `initial` starts the reduction; `out` must be None when anything is traced. An axis that the array
has not raises AxisError. Ties of max and min share the derivative evenly; std of equal values has derivative 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.numpy import flat_ufuncs as f
from funcgrad.numpy import ufuncs as u
from funcgrad.numpy.axes import Axis, axes_of, axis_of, count_of, finish, masked
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.wrapping import array_operand, implements, operand
from funcgrad.ops import elementwise as e
from funcgrad.ops import reduce as r
from funcgrad.ops.basics import broadcast_to, conj, convert, real, reshape
from funcgrad.ops.special_forms import stop_gradient_op


def sum_dtype(dtype: np.dtype, asked: Any) -> np.dtype:
    """The dtype in which NumPy adds and multiplies up: small integers and booleans become 64-bit ones."""
    if asked is not None:
        return np.dtype(asked)
    if dtype.kind == "b" or (dtype.kind == "i" and dtype.itemsize < 8):
        return np.dtype(np.int64)
    return np.dtype(np.uint64) if dtype.kind == "u" else dtype


def mean_dtype(dtype: np.dtype, asked: Any) -> np.dtype:
    """The dtype in which NumPy takes means: integers and booleans become float64."""
    if asked is not None:
        return np.dtype(asked)
    return dtype if dtype.kind in "fc" else np.dtype(np.float64)


@implements(np.sum)
def sum(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None,
        where: Any = True) -> Any:  # fmt: skip
    """The sum along axes. Booleans and small integers add up as 64-bit integers; an empty sum is 0."""
    x = array_operand(a)
    x = masked(convert(x, sum_dtype(type_of(x).dtype, dtype)), where, 0)
    axes = axes_of(axis, type_of(x).ndim, "sum")
    total = finish(r.reduce_sum(x, axes=axes), x, axes, keepdims)
    return total if initial is None else total + e.astype_like(operand(initial), x)


@implements(np.prod)
def prod(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, initial: Any = None,
         where: Any = True) -> Any:  # fmt: skip
    """The product along axes. Small integers multiply as 64-bit ones; the derivative is exact where values are 0."""
    x = array_operand(a)
    x = masked(convert(x, sum_dtype(type_of(x).dtype, dtype)), where, 1)
    axes = axes_of(axis, type_of(x).ndim, "prod")
    product = finish(r.reduce_prod(x, axes=axes), x, axes, keepdims)
    return product if initial is None else product * e.astype_like(operand(initial), x)


def _extreme(name: str, a: Any, axis: Axis, keepdims: bool, initial: Any, where: Any) -> Any:
    reduce, join = (r.reduce_max, e.maximum) if name == "max" else (r.reduce_min, e.minimum)
    x = array_operand(a)
    axes = axes_of(axis, type_of(x).ndim, name)
    if initial is None:
        if where is not True and where is not None:
            raise ValueError(f"{name} with where= needs initial=, the value of an empty choice.")
        if count_of(type_of(x).shape, axes) == 0:
            raise ValueError(f"{name} was asked of no values, {type_of(x)} along {axes}; give initial=.")
        return finish(reduce(x, axes=axes), x, axes, keepdims)
    start = e.astype_like(operand(initial), x)
    if where is not True and where is not None:
        x = e.select(operand(where), x, start)
    if count_of(type_of(x).shape, axes) == 0:
        shape = tuple(n for i, n in enumerate(type_of(x).shape) if i not in axes)
        return finish(broadcast_to(start, shape), x, axes, keepdims)
    return finish(join(reduce(x, axes=axes), start), x, axes, keepdims)


@implements(np.max, np.amax)
def max(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Any = None,
        where: Any = True) -> Any:  # fmt: skip
    """The largest value along axes; nan wins. Raises ValueError for no values, or `where` without `initial`."""
    return _extreme("max", a, axis, keepdims, initial, where)


@implements(np.min, np.amin)
def min(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Any = None,
        where: Any = True) -> Any:  # fmt: skip
    """The smallest value along axes; nan wins. Raises ValueError for no values, or `where` without `initial`."""
    return _extreme("min", a, axis, keepdims, initial, where)


amax = max
amin = min


@implements(np.ptp)
def ptp(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False) -> Any:
    """Peak to peak: max - min along axes."""
    return _extreme("max", a, axis, keepdims, None, True) - _extreme("min", a, axis, keepdims, None, True)


# ---- means and variances ----


def counted(x: Any, axes: tuple[int, ...], where: Any) -> Any:
    """How many values take part along the axes, with the reduced axes kept: a Python int, or an array with `where`."""
    shape = type_of(x).shape
    if where is True or where is None:
        return count_of(shape, axes)
    chosen = convert(broadcast_to(convert(operand(where), bool), shape), np.int64)
    return finish(r.reduce_sum(chosen, axes=axes), x, axes, True)


def mean_of(x: Any, axes: tuple[int, ...], where: Any) -> Any:
    """The mean of inexact x, with the reduced axes kept. Half precision is added up in single precision."""
    half = type_of(x).dtype == np.float16
    wide = masked(convert(x, np.float32) if half else x, where, 0)
    mean = finish(r.reduce_sum(wide, axes=axes), x, axes, True) / counted(x, axes, where)
    return e.astype_like(mean, x)


def variance_of(x: Any, axes: tuple[int, ...], ddof: Any, where: Any, mean: Any = None) -> Any:
    """The variance of inexact x, with the reduced axes kept; real for complex x."""
    d = x - (mean_of(x, axes, where) if mean is None else mean)
    squares = masked(real(d * conj(d)) if type_of(d).dtype.kind == "c" else d * d, where, 0)
    total = finish(r.reduce_sum(squares, axes=axes), x, axes, True)
    return e.astype_like(total / e.maximum(counted(x, axes, where) - ddof, 0), squares)


def root_of(variance: Any) -> Any:
    """The square root, with derivative 0 where the variance is 0: the minimum-norm subgradient."""
    zero = variance == 0
    return e.select(zero, 0.0, e.sqrt(e.select(zero, 1.0, variance)))


def dropped(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """A reduction that kept its axes, without them unless `keepdims`."""
    if keepdims:
        return x
    return reshape(x, shape=tuple(n for i, n in enumerate(type_of(x).shape) if i not in axes))


@implements(np.mean)
def mean(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, *,
         where: Any = True) -> Any:  # fmt: skip
    """The arithmetic mean along axes; integers give float64, no values give nan."""
    x = array_operand(a)
    axes = axes_of(axis, type_of(x).ndim, "mean")
    return dropped(mean_of(convert(x, mean_dtype(type_of(x).dtype, dtype)), axes, where), axes, keepdims)


def correction_of(ddof: Any, correction: Any, name: str) -> Any:
    """The number to take off the count. Raises ValueError if both `ddof` and `correction` are given."""
    if correction is None:
        return ddof
    if ddof:
        raise ValueError(f"{name}: ddof={ddof} and correction={correction} say the same thing; give one of them.")
    return correction


def _variance(name: str, a: Any, axis: Axis, dtype: Any, ddof: Any, keepdims: bool, where: Any, mean: Any,
              correction: Any) -> Any:  # fmt: skip
    x = array_operand(a)
    axes = axes_of(axis, type_of(x).ndim, name)
    x = convert(x, mean_dtype(type_of(x).dtype, dtype))
    center = None if mean is None else operand(mean)
    return dropped(variance_of(x, axes, correction_of(ddof, correction, name), where, center), axes, keepdims)


@implements(np.var)
def var(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: Any = 0, keepdims: bool = False, *,
        where: Any = True, mean: Any = None, correction: Any = None) -> Any:  # fmt: skip
    """The variance along axes: squares of deviations over count - ddof. `mean` (kept axes) saves its computation."""
    return _variance("var", a, axis, dtype, ddof, keepdims, where, mean, correction)


@implements(np.std)
def std(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: Any = 0, keepdims: bool = False, *,
        where: Any = True, mean: Any = None, correction: Any = None) -> Any:  # fmt: skip
    """The standard deviation along axes, the root of `var`. Equal values have derivative 0."""
    return root_of(_variance("std", a, axis, dtype, ddof, keepdims, where, mean, correction))


@implements(np.average)
def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """The weighted mean along axes; with returned=True also the sum of the weights, of the same shape.

    `weights` has the shape of a, or of a's axes `axis`. Raises ValueError for any other.
    """
    x = array_operand(a)
    shape = type_of(x).shape
    axes = axes_of(axis, len(shape), "average")
    if weights is None:
        x = convert(x, mean_dtype(type_of(x).dtype, None))
        found, scale = mean_of(x, axes, True), np.asarray(count_of(shape, axes), type_of(x).dtype)
    else:
        w = array_operand(weights)
        along = type_of(w).shape
        if along != shape:
            if along != tuple(shape[i] for i in axes) or axis is None:
                raise ValueError(f"average: weights of shape {along} fit neither a, {shape}, nor its axes {axis}.")
            w = reshape(w, shape=tuple(n if i in axes else 1 for i, n in enumerate(shape)))
        kind = np.result_type(mean_dtype(type_of(x).dtype, None), type_of(w).dtype)
        x, w = convert(x, kind), broadcast_to(convert(w, kind), shape)
        scale = finish(r.reduce_sum(w, axes=axes), x, axes, True)
        found = finish(r.reduce_sum(x * w, axes=axes), x, axes, True) / scale
    scale = broadcast_to(scale, type_of(found).shape)
    found = dropped(found, axes, keepdims)
    return (found, dropped(scale, axes, keepdims)) if returned else found


# ---- truth, counts, positions ----


def _truth(name: str, a: Any, axis: Axis, keepdims: bool, where: Any) -> Any:
    x = masked(convert(array_operand(a), bool), where, name == "all")
    axes = axes_of(axis, type_of(x).ndim, name)
    return finish((r.reduce_and if name == "all" else r.reduce_or)(x, axes=axes), x, axes, keepdims)


@implements(np.all)
def all(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, *, where: Any = True) -> Any:
    """Whether every value along the axes is true (not zero)."""
    return _truth("all", a, axis, keepdims, where)


@implements(np.any)
def any(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, *, where: Any = True) -> Any:
    """Whether some value along the axes is true (not zero)."""
    return _truth("any", a, axis, keepdims, where)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """How many values along the axes are not zero, as int64."""
    x = convert(convert(array_operand(a), bool), np.int64)
    axes = axes_of(axis, type_of(x).ndim, "count_nonzero")
    return finish(r.reduce_sum(x, axes=axes), x, axes, keepdims)


def position(name: str, a: Any, axis: Any, keepdims: bool) -> Any:
    """argmax or argmin of one array; axis None is the position in the flattened array."""
    x = array_operand(a)
    kind = type_of(x)
    axes = axes_of(None if axis is None else axis_of(axis, kind.ndim, name), kind.ndim, name)
    if count_of(kind.shape, axes) == 0:
        raise ValueError(f"{name} was asked of no values, {kind} along {axes}.")
    primitive = r.argmax if name.endswith("argmax") else r.argmin
    found = primitive(reshape(x, shape=(kind.size,)), axis=0) if axis is None else primitive(x, axis=axes[0])
    return finish(found, x, axes, keepdims)


@implements(np.argmax)
def argmax(a: Any, axis: int | None = None, out: None = None, *, keepdims: bool = False) -> Any:
    """The position of the first largest value along an axis, int64. Raises ValueError for no values."""
    return position("argmax", a, axis, keepdims)


@implements(np.argmin)
def argmin(a: Any, axis: int | None = None, out: None = None, *, keepdims: bool = False) -> Any:
    """The position of the first smallest value along an axis, int64. Raises ValueError for no values."""
    return position("argmin", a, axis, keepdims)


# ---- <ufunc>.reduce, numpy's on a tracer and our own: along axis 0 unless told ----


def log_of_sum(x: Any, axes: tuple[int, ...]) -> Any:
    """log(sum(exp(x))) along axes, kept, without overflow; -inf for no finite value."""
    if count_of(type_of(x).shape, axes) == 0:
        return finish(r.reduce_sum(x, axes=axes), x, axes, True) - np.inf
    top = stop_gradient_op(finish(r.reduce_max(x, axes=axes), x, axes, True))
    shift = e.select(e.is_finite(top), top, 0.0)
    return e.log(finish(r.reduce_sum(e.exp(x - shift), axes=axes), x, axes, True)) + shift


def _reduce_logaddexp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    x = array_operand(a)
    x = convert(x, mean_dtype(type_of(x).dtype, None))
    axes = axes_of(axis, type_of(x).ndim, "logaddexp.reduce")
    return dropped(log_of_sum(x, axes), axes, keepdims)


def _along_first(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(a: Any, axis: Axis = 0, **options: Any) -> Any:
        """The reduction of this ufunc along axes; the options are those of the reduction's own function."""
        return function(a, axis=axis, **options)

    return reduce


for _ufunc, _own, _function in (
    (np.add, u.add, sum),
    (np.multiply, u.multiply, prod),
    (np.maximum, u.maximum, max),
    (np.minimum, u.minimum, min),
    (np.logaddexp, u.logaddexp, _reduce_logaddexp),
    (np.logical_and, f.logical_and, all),
    (np.logical_or, f.logical_or, any),
):
    _own.reduce = dispatch[(_ufunc, "reduce")] = _along_first(_function)  # type: ignore[attr-defined]
