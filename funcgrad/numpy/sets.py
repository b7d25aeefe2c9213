"""Sets: the unique family, unions, intersections, differences and membership.

The size of a set depends on values, so a traced call needs JAX's size=; fill_value= pads the rest (its default is the
smallest value, as in JAX). Values keep their derivative: each comes from its first place in the input.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.shaping import flatten
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert, reshape
from funcgrad.ops.shape import concatenate
from funcgrad.ops.special_forms import stop_gradient_op
from funcgrad.ops.statistics import lookup, member, set_places, unique_places


def _size(name: str, size: Any, *arrays: Any) -> int | None:
    """size as an int; None for plain arrays without it. Raises TypeError if a traced call has none."""
    if size is not None:
        return operator.index(size)
    if any(type(a) is Tracer for a in arrays):
        raise TypeError(
            f"funcgrad.numpy.{name} of a traced array has a shape that depends on its values; say size= (and fill_value=)."
        )
    return None


def _values(x: Any, places: Any, fill: Any, default: Any) -> Any:
    """x at the places, the fill (or the value at the place `default`) where the place is -1."""
    dtype = type_of(x).dtype
    filler = lookup(x, np.asarray(0) if default is None else default, lead=0) if fill is None else convert(fill, dtype)
    missing = places < 0
    return e.select(missing, filler, lookup(x, places, lead=0))


def _first(places: Any) -> Any:
    return lookup(places, np.asarray(0), lead=0)


def _unique(name: str, ar: Any, size: Any, fill: Any) -> tuple[Any, Any, Any, Any]:
    """Padded (values, first places, inverse in ar's shape, counts)."""
    ar = array_operand(ar)
    line, found = flatten(ar), _size(name, size, ar)
    if found is None:
        found = len(np.unique(line))
    places, inverse, counts = unique_places(stop_gradient_op(line), size=found)
    start = _first(places) if found else np.asarray(-1)
    index = e.select(places < 0, start, places)
    return _values(line, places, fill, start), index, reshape(inverse, shape=type_of(ar).shape), counts


@implements(np.unique, extras=("size", "fill_value"))
def unique(ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
           axis: int | None = None, *, equal_nan: bool = True, sorted: bool = True, size: int | None = None,
           fill_value: Any = None) -> Any:  # fmt: skip
    """The sorted unique values, and if asked their first places, the inverse and their counts.

    Traced or with size=: of the flattened array, cut or padded to `size` values. Raises TypeError for a traced array
    without size=, or with axis= or equal_nan=False.
    """
    if axis is not None and not (axis == 0 and type_of(array_operand(ar)).ndim == 1):
        raise TypeError("funcgrad.numpy.unique has axis= only for plain arrays without size=; flatten the array.")
    if not equal_nan:
        raise TypeError("funcgrad.numpy.unique has equal_nan=False only for plain arrays without size=.")
    values, index, inverse, counts = _unique("unique", ar, size, fill_value)
    extra = [v for v, asked in ((index, return_index), (inverse, return_inverse), (counts, return_counts)) if asked]
    return (wrap(values), *[wrap(v) for v in extra]) if extra else wrap(values)


@implements(np.unique_values, extras=("size", "fill_value"))
def unique_values(x: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The unique values of x (sorted, if traced or with size=). TypeError for a traced array without size=."""
    return wrap(_unique("unique_values", x, size, fill_value)[0])


@implements(np.unique_counts, extras=("size", "fill_value"))
def unique_counts(x: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """A named tuple (values, counts); counts of padding are 0. TypeError for a traced array without size=."""
    values, _, _, counts = _unique("unique_counts", x, size, fill_value)
    return _COUNTS(wrap(values), wrap(counts))


@implements(np.unique_inverse, extras=("size", "fill_value"))
def unique_inverse(x: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """A named tuple (values, inverse_indices), the inverse of x's shape. TypeError for a traced array without size=."""
    values, _, inverse, _ = _unique("unique_inverse", x, size, fill_value)
    return _INVERSE(wrap(values), wrap(inverse))


@implements(np.unique_all, extras=("size", "fill_value"))
def unique_all(x: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """A named tuple (values, indices, inverse_indices, counts). TypeError for a traced array without size=."""
    values, index, inverse, counts = _unique("unique_all", x, size, fill_value)
    return _ALL(wrap(values), wrap(index), wrap(inverse), wrap(counts))


_COUNTS = type(np.unique_counts(np.zeros(1)))
_INVERSE = type(np.unique_inverse(np.zeros(1)))
_ALL = type(np.unique_all(np.zeros(1)))


def _shared(*arrays: Any) -> list[Any]:
    lines = [flatten(a) for a in arrays]
    dtype = np.result_type(*[type_of(v).dtype for v in lines])
    return [convert(v, dtype) for v in lines]


@implements(np.union1d, extras=("size", "fill_value"))
def union1d(ar1: Any, ar2: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The sorted unique values of both arrays, cut or padded to `size`. TypeError for traced arrays without size=."""
    return wrap(_unique("union1d", concatenate(*_shared(ar1, ar2), axis=0), size, fill_value)[0])


def _set(name: str, kind: str, x: Any, y: Any, size: int | None, fill: Any) -> tuple[Any, Any, Any]:
    """Padded values, and places in x followed by y and, of an intersection, in y."""
    found = _size(name, size, x, y)
    if found is None:
        found = type_of(x).size + type_of(y).size
    places, second = set_places(stop_gradient_op(x), stop_gradient_op(y), kind=kind, size=found, lead=0)
    if size is None:
        keep = int((places >= 0).sum())
        places, second = places[:keep], second[:keep]
        found = keep
    both = concatenate(x, y, axis=0)
    return _values(both, places, fill, _first(places) if found else None), places, second


@implements(np.intersect1d, extras=("size", "fill_value"))
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False, *,
                size: int | None = None, fill_value: Any = None) -> Any:  # fmt: skip
    """The sorted unique values that both arrays have, cut or padded to `size`; if asked also their first places, which
    are the arrays' sizes in padding. TypeError for traced arrays without size=."""
    x, y = _shared(ar1, ar2)
    values, first, second = _set("intersect1d", "intersection", x, y, size, fill_value)
    if not return_indices:
        return wrap(values)
    pads = [e.select(p < 0, type_of(a).size, p) for p, a in ((first, x), (second, y))]
    return wrap(values), wrap(pads[0]), wrap(pads[1])


@implements(np.setdiff1d, extras=("size", "fill_value"))
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None,
              fill_value: Any = None) -> Any:  # fmt: skip
    """The sorted unique values of ar1 that ar2 does not have, cut or padded to `size`; padding is 0 by default, as in
    JAX. assume_unique=True (plain arrays) keeps ar1's order. TypeError for traced arrays without size=."""
    x, y = _shared(ar1, ar2)
    fill = 0 if fill_value is None else fill_value
    return wrap(_set("setdiff1d", "difference", x, y, size, fill)[0])


@implements(np.setxor1d, extras=("size", "fill_value"))
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None,
             fill_value: Any = None) -> Any:  # fmt: skip
    """The sorted unique values that exactly one array has, cut or padded to `size`. TypeError for traced arrays
    without size=."""
    x, y = _shared(ar1, ar2)
    return wrap(_set("setxor1d", "symmetric", x, y, size, fill_value)[0])


@implements(np.isin)
def isin(element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *,
         kind: str | None = None) -> Any:  # fmt: skip
    """For each element whether it is among the test elements (or is not, if invert): bool of element's shape."""
    found = member(array_operand(element), flatten(test_elements), lead=0)
    return e.logical_not(found) if invert else found
