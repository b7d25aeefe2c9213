"""Reductions that pass over nan. Values that are nan have derivative 0; integers have no nan.

The arguments are those of `reductions.py`. Slices that are all nan give nan (0 for nansum, 1 for nanprod).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.numpy import reductions as r
from funcgrad.numpy.axes import Axis, axes_of
from funcgrad.numpy.wrapping import array_operand, implements, operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert


def _split(a: Any, where: Any = True) -> tuple[Any, Any]:
    """An array, and which of its values take part: `where` without the nan."""
    x = array_operand(a)
    if type_of(x).dtype.kind not in "fc":
        return x, where
    number = e.logical_not(e.is_nan(x))
    return x, number if where is True or where is None else e.logical_and(number, operand(where))


@implements(np.nansum)
def nansum(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False,
           initial: Any = None, where: Any = True) -> Any:  # fmt: skip
    """The sum along axes with nan as 0."""
    x, chosen = _split(a, where)
    return r.sum(x, axis, dtype, None, keepdims, 0 if initial is None else initial, chosen)


@implements(np.nanprod)
def nanprod(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False,
            initial: Any = None, where: Any = True) -> Any:  # fmt: skip
    """The product along axes with nan as 1."""
    x, chosen = _split(a, where)
    return r.prod(x, axis, dtype, None, keepdims, 1 if initial is None else initial, chosen)


def _extreme(largest: bool, a: Any, axis: Axis, keepdims: bool, initial: Any, where: Any) -> Any:
    reduce = r.max if largest else r.min
    if (where is not True and where is not None) and initial is None:
        reduce(a, axis=axis, where=where)
    x, number = _split(a)
    if number is True:
        return _reduced(reduce, x, axis, keepdims, initial, where)
    filled = e.select(number, x, -np.inf if largest else np.inf)
    found = _reduced(reduce, filled, axis, keepdims, initial, where)
    if initial is not None:
        return found
    return e.select(r.any(number, axis=axis, keepdims=keepdims), found, np.nan)


def _reduced(reduce: Any, x: Any, axis: Axis, keepdims: bool, initial: Any, where: Any) -> Any:
    if initial is None:
        return reduce(x, axis=axis, keepdims=keepdims)
    return reduce(x, axis=axis, keepdims=keepdims, initial=initial, where=where)


@implements(np.nanmax)
def nanmax(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Any = None,
           where: Any = True) -> Any:  # fmt: skip
    """The largest number along axes; nan where all are nan. Raises ValueError for no values or a lone `where`."""
    return _extreme(True, a, axis, keepdims, initial, where)


@implements(np.nanmin)
def nanmin(a: Any, axis: Axis = None, out: None = None, keepdims: bool = False, initial: Any = None,
           where: Any = True) -> Any:  # fmt: skip
    """The smallest number along axes; nan where all are nan. Raises ValueError for no values or a lone `where`."""
    return _extreme(False, a, axis, keepdims, initial, where)


def _position(name: str, a: Any, axis: Any, keepdims: bool) -> Any:
    x, number = _split(a)
    if number is True:
        return r.position(name, x, axis, keepdims)
    filled = e.select(number, x, -np.inf if name == "nanargmax" else np.inf)
    found = r.position(name, filled, axis, keepdims)
    return e.select(r.any(number, axis=axis, keepdims=keepdims), found, -1)


@implements(np.nanargmax)
def nanargmax(a: Any, axis: int | None = None, out: None = None, *, keepdims: bool = False) -> Any:
    """The position of the largest number. All nan: -1 when traced, as in JAX; ValueError otherwise, as in NumPy."""
    return _position("nanargmax", a, axis, keepdims)


@implements(np.nanargmin)
def nanargmin(a: Any, axis: int | None = None, out: None = None, *, keepdims: bool = False) -> Any:
    """The position of the smallest number. All nan: -1 when traced, as in JAX; ValueError otherwise, as in NumPy."""
    return _position("nanargmin", a, axis, keepdims)


@implements(np.nanmean)
def nanmean(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False, *,
            where: Any = True) -> Any:  # fmt: skip
    """The mean of the numbers along axes."""
    x, chosen = _split(a, where)
    return r.mean(x, axis, dtype, None, keepdims, where=chosen)


def _variance(name: str, a: Any, axis: Axis, dtype: Any, ddof: Any, keepdims: bool, where: Any, mean: Any,
              correction: Any) -> Any:  # fmt: skip
    x, chosen = _split(a, where)
    x = convert(x, r.mean_dtype(type_of(x).dtype, dtype))
    axes = axes_of(axis, type_of(x).ndim, name)
    taken = r.correction_of(ddof, correction, name)
    # The deviation of a nan must not reach the derivative: it is cut out of x before anything is computed.
    x = x if chosen is True else e.select(chosen, x, 0.0)
    found = r.variance_of(x, axes, taken, chosen, None if mean is None else operand(mean))
    # NumPy answers nan where no degree of freedom is left.
    found = e.select(r.counted(x, axes, chosen) - taken <= 0, np.nan, found)
    return r.dropped(found, axes, keepdims)


@implements(np.nanvar)
def nanvar(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: Any = 0, keepdims: bool = False, *,
           where: Any = True, mean: Any = None, correction: Any = None) -> Any:  # fmt: skip
    """The variance of the numbers along axes; nan where there are no more than ddof of them."""
    return _variance("nanvar", a, axis, dtype, ddof, keepdims, where, mean, correction)


@implements(np.nanstd)
def nanstd(a: Any, axis: Axis = None, dtype: Any = None, out: None = None, ddof: Any = 0, keepdims: bool = False, *,
           where: Any = True, mean: Any = None, correction: Any = None) -> Any:  # fmt: skip
    """The standard deviation of the numbers along axes; equal numbers have derivative 0."""
    return r.root_of(_variance("nanstd", a, axis, dtype, ddof, keepdims, where, mean, correction))
