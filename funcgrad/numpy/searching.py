"""Choosing values by conditions: where, nonzero and its kin, select, choose, compress, extract, piecewise.

A result whose length depends on values needs JAX's size= under tracing; fill_value= pads what is missing.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of, type_of
from funcgrad.errors import NonConcreteBooleanIndexError
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.indexing import read
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.wrapping import array_operand, implements, operand, stacked
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_to, convert, reshape
from funcgrad.ops.shape import concatenate, slice_axis
from funcgrad.ops.statistics import order


def truth(x: Any) -> Any:
    """Where x is nonzero, as booleans."""
    return x if dtype_of(x) == np.bool_ else e.ne(x, np.zeros((), dtype_of(x)))


def flat(x: Any) -> Any:
    """An operand as one axis."""
    return reshape(x, shape=(math.prod(shape_of(x)),))


def true_places(name: str, mask: Any, size: int | None) -> tuple[Any, Any]:
    """(places, found): the flat places of the true values in order, and which of them are no padding.

    Without `size` there are as many as there are true values: a traced mask raises NonConcreteBooleanIndexError.
    """
    line = flat(truth(mask))
    if size is None:
        if type(line) is Tracer:
            raise NonConcreteBooleanIndexError(
                f"funcgrad.numpy.{name} of a traced array of type {type_of(mask)} has a shape that depends on its values; "
                "say size= (and fill_value=), or use the three-argument funcgrad.numpy.where(condition, x, y)."
            )
        places = np.flatnonzero(line)
        return places, np.ones(len(places), bool)
    size = operator.index(size)
    first = order(e.bitwise_not(line))
    missing = size - shape_of(first)[0]
    places = concatenate(first, np.zeros(missing, int), axis=0) if missing > 0 else slice_axis(first, 0, size, 0)
    count = dispatch[np.sum](convert(line, np.int64))
    return places, e.lt(np.arange(size), count)


@implements(np.where, extras=("size", "fill_value"))
def where(condition: Any, x: Any = None, y: Any = None, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """Values of `x` where `condition` is true, else of `y`; all three broadcast. With one argument, `nonzero`.

    Raises ValueError if only one of x and y is given, or size= with both.
    """
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise ValueError("where: give both x and y, or neither.")
    if size is not None or fill_value is not None:
        raise ValueError("where: size= and fill_value= belong to the form with one argument, where(condition).")
    return wrap(e.select(truth(array_operand(condition)), operand(x), operand(y)))


@implements(np.nonzero, extras=("size", "fill_value"))
def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Any, ...]:
    """The places of the nonzero values in C order: an int64 array for each axis.

    size: the length of the results; places beyond it are left out. fill_value: what pads them (default 0), a number or
    one for each axis. Raises NonConcreteBooleanIndexError for a traced array without size=, ValueError for 0 axes.
    """
    a = array_operand(a)
    shape = shape_of(a)
    if not shape:
        raise ValueError("nonzero: the array must have at least one axis; use atleast_1d.")
    places, found = true_places("nonzero", a, size)
    fills = fill_value if isinstance(fill_value, tuple) else (0 if fill_value is None else fill_value,) * len(shape)
    if len(fills) != len(shape):
        raise ValueError(f"nonzero: fill_value={fill_value!r} must have one value for each of {len(shape)} axes.")
    parts = []
    for axis, n in enumerate(shape):
        part = e.remainder(e.floor_divide(places, max(math.prod(shape[axis + 1 :]), 1)), max(n, 1))
        parts.append(wrap(e.select(found, part, convert(operand(fills[axis]), np.int64))))
    return tuple(parts)


@implements(np.flatnonzero, extras=("size", "fill_value"))
def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The places of the nonzero values in the flattened array; `size` and `fill_value` as of `nonzero`."""
    return nonzero(flat(array_operand(a)), size=size, fill_value=fill_value)[0]


@implements(np.argwhere, extras=("size", "fill_value"))
def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The places of the nonzero values as rows, shape (count, ndim); `size` and `fill_value` as of `nonzero`."""
    a = array_operand(a)
    if not shape_of(a):
        places, _ = true_places("argwhere", a, size)
        return wrap(np.zeros((shape_of(places)[0], 0), np.int64))
    parts = nonzero(a, size=size, fill_value=fill_value)
    return wrap(concatenate(*[reshape(operand(p), shape=(shape_of(p)[0], 1)) for p in parts], axis=1))


@implements(np.compress, extras=("size", "fill_value"))
def compress(condition: Any, a: Any, axis: int | None = None, out: None = None, *, size: int | None = None,
             fill_value: Any = 0) -> Any:  # fmt: skip
    """The slices of `a` along `axis` (None: of the flattened array) where the 1-d condition holds.

    size: the length of the result along the axis; `fill_value` pads it. A traced condition needs it.
    """
    condition, a = array_operand(condition), array_operand(a)
    if len(shape_of(condition)) != 1:
        raise ValueError(f"compress: the condition must be 1-d, got shape {shape_of(condition)}.")
    if axis is None:
        a, axis = flat(a), 0
    axis = axis_of(axis, len(shape_of(a)), "compress")
    have, n = shape_of(condition)[0], shape_of(a)[axis]
    if size is not None and have > n:
        raise ValueError(f"compress: a condition of length {have} with size= for an axis of length {n}; cut it.")
    places, found = true_places("compress", condition, size)
    index = (slice(None),) * axis
    if size is None:
        return wrap(read(a, (*index, places)))
    shape = tuple(operator.index(size) if i == axis else k for i, k in enumerate(shape_of(a)))
    fill = convert(operand(fill_value), dtype_of(a))
    if n == 0:
        return wrap(broadcast_to(fill, shape))
    shown = reshape(found, shape=tuple(k if i == axis else 1 for i, k in enumerate(shape)))
    return wrap(e.select(shown, read(a, (*index, places)), fill))


@implements(np.extract, extras=("size", "fill_value"))
def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Any:
    """The values of the flattened array where the condition is true; `size` and `fill_value` as of `compress`."""
    options = {} if size is None else {"size": size, "fill_value": fill_value}
    return compress(flat(truth(array_operand(condition))), flat(array_operand(arr)), 0, **options)


@implements(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """From the first choice whose condition is true, else `default`; all broadcast.

    Raises ValueError for lists of different lengths or empty ones, TypeError for conditions that are not boolean.
    """
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            f"select: as many conditions as choices, at least one, got {len(condlist)} and {len(choicelist)}."
        )
    conditions = [array_operand(c) for c in condlist]
    for c in conditions:
        if dtype_of(c) != np.bool_:
            raise TypeError(f"select: conditions must be boolean, got {dtype_of(c)}; compare the values.")
    result = operand(default)
    for c, choice in zip(reversed(conditions), reversed(choicelist), strict=True):
        result = e.select(c, operand(choice), result)
    return wrap(result)


@implements(np.choose)
def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Any:
    """At each place the value of choices[a]; `a` (integers) and the choices broadcast.

    mode: what an integer out of bounds does: "raise" IndexError (when the values are known), "clip" or "wrap".
    """
    a = array_operand(a)
    if dtype_of(a).kind not in "iub":
        raise TypeError(f"choose: the first argument must be integers, got {dtype_of(a)}.")
    items = [array_operand(c) for c in choices]
    shape = np.broadcast_shapes(shape_of(a), *[shape_of(c) for c in items])
    dtype = np.result_type(*[dtype_of(c) for c in items])
    table = stacked([broadcast_to(convert(c, dtype), shape) for c in items])
    place = bounded("choose", broadcast_to(convert(a, np.int64), shape), len(items), mode)
    # The gather would count a negative place from the end, which choose does not allow.
    place = e.select(e.lt(place, 0), len(items), place)
    grid = np.ogrid[tuple(slice(n) for n in shape)] if shape else ()
    return wrap(read(table, (place, *grid)))


def bounded(name: str, indices: Any, n: int, mode: str) -> Any:
    """Indices of an axis of length n by NumPy's mode: "raise" leaves them, "clip" and "wrap" bring them into bounds."""
    if mode == "raise":
        return indices
    if mode == "clip":
        return e.minimum(e.maximum(indices, 0), max(n - 1, 0))
    if mode == "wrap":
        return e.remainder(indices, max(n, 1))
    raise ValueError(f"{name}: mode must be 'raise', 'clip' or 'wrap', got {mode!r}.")


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """x mapped by the function (or number) of the last condition that is true; 0 where none is.

    One more function than conditions: the last is the default. As in JAX each function is called on all of `x`, so that
    it may be traced, and the result has the dtype of x. Raises ValueError for a wrong number of functions.
    """
    x = array_operand(x)
    single = not isinstance(condlist, (list, tuple)) and len(shape_of(array_operand(condlist))) <= len(shape_of(x))
    listed = isinstance(condlist, (list, tuple)) and bool(condlist) and not isinstance(condlist[0], (list, tuple))
    scalars = listed and all(not shape_of(array_operand(c)) for c in condlist)
    conditions = [condlist] if single or (scalars and shape_of(x)) else list(condlist)
    masks = [truth(array_operand(c)) for c in conditions]
    functions: list[Any] = list(funclist)
    if len(functions) == len(masks) + 1:
        functions = [functions[-1], *functions[:-1]]
    elif len(functions) == len(masks):
        functions = [0, *functions]
    else:
        raise ValueError(
            f"piecewise: {len(masks)} conditions need {len(masks)} or {len(masks) + 1} functions, got {len(functions)}."
        )

    def value(f: Callable[..., Any] | Any) -> Any:
        return convert(operand(f(wrap(x), *args, **kw) if callable(f) else f), dtype_of(x))

    result = broadcast_to(value(functions[0]), shape_of(x))
    for mask, f in zip(masks, functions[1:], strict=True):
        result = e.select(mask, value(f), result)
    return wrap(result)


dispatch[np.piecewise] = piecewise
