"""Values taken from and put at places: take, put, insert, delete, diagonals. What NumPy writes in place gives a new array."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of
from funcgrad.errors import NonConcreteBooleanIndexError
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.indexing import missing_value, read, write
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.searching import bounded, flat, true_places, truth
from funcgrad.numpy.wrapping import array_operand, implements, operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_to, convert, reshape, transpose
from funcgrad.ops.reduce import cumsum
from funcgrad.ops.shape import concatenate


def _whole(name: str, indices: Any) -> Any:
    indices = array_operand(indices)
    if dtype_of(indices).kind not in "iub":
        raise TypeError(f"{name}: indices must be integers, got {dtype_of(indices)}.")
    return convert(indices, np.int64) if dtype_of(indices) == np.bool_ else indices


@implements(np.take, extras=("fill_value", "mode", "unique_indices", "indices_are_sorted"))
def take(a: Any, indices: Any, axis: int | None = None, out: None = None, mode: str | None = None,
         unique_indices: bool = False, indices_are_sorted: bool = False, fill_value: Any = None) -> Any:  # fmt: skip
    """The values of `a` at `indices` along `axis` (None: of the flattened array).

    mode: an index out of bounds raises IndexError ("raise", the default, when the values are known), is brought to the
    nearest end ("clip", negative ones too), wraps around ("wrap"), or gives `fill_value` ("fill"; default nan, or the
    least integer). unique_indices, indices_are_sorted: JAX's hints; results do not depend on them.
    """
    a, indices = array_operand(a), _whole("take", indices)
    if axis is None:
        a, axis = flat(a), 0
    axis = axis_of(axis, len(shape_of(a)), "take")
    n, before = shape_of(a)[axis], (slice(None),) * axis
    if mode is None:
        mode = "raise" if fill_value is None else "fill"
    if mode != "fill":
        return wrap(read(a, (*before, bounded("take", indices, n, mode))))
    inside = e.bitwise_and(e.ge(indices, -n), e.lt(indices, n))
    found = read(a, (*before, e.select(inside, indices, 0)), "clip" if n else "drop")
    rest = len(shape_of(a)) - axis - 1
    inside = reshape(inside, shape=(*shape_of(inside), *(1,) * rest))
    fill = operand(missing_value(dtype_of(a)) if fill_value is None else fill_value)
    return wrap(e.select(inside, found, convert(fill, dtype_of(a))))


def _grid(name: str, arr: Any, indices: Any, axis: int) -> tuple[Any, ...]:
    """The index of arr that selects `indices` along one axis and the same place along the others."""
    shape = shape_of(arr)
    if len(shape_of(indices)) != len(shape):
        raise ValueError(f"{name}: indices of shape {shape_of(indices)} must have as many axes as the array {shape}.")
    grid: list[Any] = list(np.ogrid[tuple(slice(n) for n in shape)])
    grid[axis] = indices
    return tuple(grid)


@implements(np.take_along_axis, extras=("mode", "fill_value"))
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1, mode: str | None = None,
                    fill_value: Any = None) -> Any:  # fmt: skip
    """The values of `arr` at `indices` along `axis`, line by line; the other axes broadcast.

    mode: "raise" (the default), "clip", "wrap" or "fill" as of `take`.
    """
    arr, indices = array_operand(arr), _whole("take_along_axis", indices)
    if axis is None:
        arr, axis = flat(arr), 0
    axis = axis_of(axis, len(shape_of(arr)), "take_along_axis")
    n = shape_of(arr)[axis]
    if mode is None:
        mode = "raise" if fill_value is None else "fill"
    if mode != "fill":
        return wrap(read(arr, _grid("take_along_axis", arr, bounded("take_along_axis", indices, n, mode), axis)))
    inside = e.bitwise_and(e.ge(indices, -n), e.lt(indices, n))
    found = read(arr, _grid("take_along_axis", arr, e.select(inside, indices, 0), axis), "clip" if n else "drop")
    fill = operand(missing_value(dtype_of(arr)) if fill_value is None else fill_value)
    return wrap(e.select(inside, found, convert(fill, dtype_of(arr))))


def _functional(name: str, inplace: bool) -> None:
    if inplace:
        raise ValueError(
            f"funcgrad.numpy.{name} cannot write into its argument: arrays are immutable. Write "
            f"x = funcgrad.numpy.{name}(x, ..., inplace=False), or x = x.at[index].set(value)."
        )


_WRITES = {None: "raise", "raise": "raise", "clip": "clip", "wrap": "wrap", "fill": "drop", "drop": "drop"}


def _write_mode(name: str, mode: str | None) -> str:
    if mode not in _WRITES:
        raise ValueError(f"{name}: mode must be one of 'raise', 'clip', 'wrap', 'drop', got {mode!r}.")
    return _WRITES[mode]


def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None, inplace: bool = True, *,
                   mode: str | None = None) -> Any:  # fmt: skip
    """A new array: `arr` with `values` at `indices` along `axis`, line by line. `inplace=False` must be said, as in JAX.

    mode: an index out of bounds raises IndexError ("raise", the default), or "clip", "wrap", "drop" (left out).
    """
    _functional("put_along_axis", inplace)
    arr, indices = array_operand(arr), _whole("put_along_axis", indices)
    shape = shape_of(arr)
    line = flat(arr) if axis is None else arr
    place = axis_of(0 if axis is None else axis, len(shape_of(line)), "put_along_axis")
    chosen = _write_mode("put_along_axis", mode)
    if chosen in ("clip", "wrap"):
        indices, chosen = bounded("put_along_axis", indices, shape_of(line)[place], chosen), "raise"
    grid = _grid("put_along_axis", line, indices, place)
    return wrap(reshape(write(line, grid, operand(values), "set", chosen), shape=shape))


def put(a: Any, ind: Any, v: Any, mode: str | None = None, *, inplace: bool = True) -> Any:
    """A new array: `a` with the values `v` (repeated as needed) at the flat places `ind`. `inplace=False` must be said.

    mode: a place out of bounds raises IndexError ("raise", the default), or "clip", "wrap", "drop" (left out).
    """
    _functional("put", inplace)
    a, places = array_operand(a), flat(_whole("put", ind))
    values, count = array_operand(v), shape_of(places)[0]
    if not math.prod(shape_of(values)) or not count:
        return wrap(a)
    chosen = _write_mode("put", mode)
    if chosen in ("clip", "wrap"):
        places, chosen = bounded("put", places, math.prod(shape_of(a)), chosen), "raise"
    repeated = operand(dispatch[np.resize](values, (count,)))
    return wrap(reshape(write(flat(a), places, repeated, "set", chosen), shape=shape_of(a)))


def place(arr: Any, mask: Any, vals: Any, *, inplace: bool = True) -> Any:
    """A new array: `arr` with the values `vals`, in order and repeated, where `mask` is true. `inplace=False` must be said."""
    _functional("place", inplace)
    arr, mask, values = array_operand(arr), truth(array_operand(mask)), flat(array_operand(vals))
    if math.prod(shape_of(arr)) != math.prod(shape_of(mask)):
        raise ValueError(f"place: mask of shape {shape_of(mask)} and array of shape {shape_of(arr)} differ in size.")
    if not shape_of(values)[0]:
        raise ValueError("place: vals must have at least one value.")
    line = flat(mask)
    nth = e.sub(cumsum(convert(line, np.int64), axis=0, reverse=False), 1)
    chosen = read(values, e.remainder(nth, shape_of(values)[0]))
    return wrap(reshape(e.select(line, convert(chosen, dtype_of(arr)), flat(arr)), shape=shape_of(arr)))


def fill_diagonal(a: Any, val: Any, wrap: bool = False, *, inplace: bool = True) -> Any:
    """A new array: `a` (2-d, or more axes of one length) with `val` on its main diagonal. `inplace=False` must be said.

    wrap: in a tall matrix the diagonal begins again after each square. Raises ValueError for other shapes.
    """
    _functional("fill_diagonal", inplace)
    a, values = array_operand(a), array_operand(val)
    shape = shape_of(a)
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ValueError(f"fill_diagonal: the array must be 2-d or have axes of one length, got shape {shape}.")
    step = shape[1] + 1 if len(shape) == 2 else sum(shape[0] ** i for i in range(len(shape)))
    end = shape[1] * shape[1] if len(shape) == 2 and not wrap else math.prod(shape)
    places = np.arange(0, min(end, math.prod(shape)), step)
    return put(a, places, values, inplace=False)


for _numpy, _ours in ((np.put, put), (np.place, place), (np.fill_diagonal, fill_diagonal),
                      (np.put_along_axis, put_along_axis)):  # fmt: skip
    dispatch[_numpy] = _ours


def _static_places(name: str, obj: Any) -> Any:
    """The obj of insert and delete as NumPy takes it."""
    if type(obj) is Tracer or (isinstance(obj, (list, tuple)) and any(type(i) is Tracer for i in obj)):
        raise TypeError(f"{name}: the places must be known when the function is traced; make them a static argument.")
    return obj if isinstance(obj, slice) else np.asarray(obj) if len(np.shape(obj)) else operator.index(obj)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` with `values` inserted before the static places `obj` along `axis` (None: in the flattened array).

    The dtype is that of `arr`. Raises TypeError for traced places, IndexError for ones out of bounds.
    """
    obj = _static_places("insert", obj)
    arr, values = array_operand(arr), convert(array_operand(values), dtype_of(array_operand(arr)))
    if axis is None:
        arr, axis = flat(arr), 0
    rank = len(shape_of(arr))
    axis = axis_of(axis, rank, "insert")
    n = shape_of(arr)[axis]
    spots = np.arange(n + 1)[obj] if isinstance(obj, slice) else obj
    spots = np.flatnonzero(spots) if np.asarray(spots).dtype == np.bool_ else np.asarray(spots, int)
    if spots.size == 1:
        values = reshape(values, shape=(1,) * (rank - len(shape_of(values))) + shape_of(values))
        if spots.ndim == 0:
            # One place: the values' first axis is the one that is inserted.
            values = transpose(values, permutation=(*range(1, axis + 1), 0, *range(axis + 1, rank)))
    count = spots.size if spots.size != 1 else shape_of(values)[axis]
    values = broadcast_to(values, tuple(count if i == axis else k for i, k in enumerate(shape_of(arr))))
    sources = np.insert(np.arange(n), spots if spots.ndim else int(spots), n + np.arange(count))
    return wrap(read(concatenate(arr, values, axis=axis), (*(slice(None),) * axis, sources)))


@implements(np.delete, extras=("assume_unique_indices",))
def delete(arr: Any, obj: Any, axis: int | None = None, *, assume_unique_indices: bool = False) -> Any:
    """`arr` without the places `obj` along `axis` (None: of the flattened array).

    Traced places need assume_unique_indices=True, which promises that they differ. TypeError without it.
    """
    arr = array_operand(arr)
    if axis is None:
        arr, axis = flat(arr), 0
    axis = axis_of(axis, len(shape_of(arr)), "delete")
    n = shape_of(arr)[axis]
    if type(obj) is Tracer and assume_unique_indices:
        places = flat(_whole("delete", obj))
        kept = write(np.ones(n, bool), places, np.asarray(False), "set", "drop")
        left, _ = true_places("delete", kept, max(n - shape_of(places)[0], 0))
    else:
        left = np.delete(np.arange(n), _static_places("delete", obj))
    return wrap(read(arr, (*(slice(None),) * axis, left)))


@implements(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`arr` followed by `values` along `axis` (None: both flattened)."""
    arr, values = array_operand(arr), array_operand(values)
    if axis is None:
        arr, values, axis = flat(arr), flat(values), 0
    return dispatch[np.concatenate]([arr, values], axis)


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The diagonal `offset` of the planes of two axes, as a new last axis. Raises ValueError for fewer than two axes."""
    a = array_operand(a)
    n = len(shape_of(a))
    if n < 2:
        raise ValueError(f"diagonal: the array must have at least 2 axes, got shape {shape_of(a)}.")
    first, second = axis_of(axis1, n, "diagonal"), axis_of(axis2, n, "diagonal")
    if first == second:
        raise ValueError(f"diagonal: axis1={axis1} and axis2={axis2} must be two different axes.")
    row, column = max(-offset, 0), max(offset, 0)
    steps = np.arange(max(min(shape_of(a)[first] - row, shape_of(a)[second] - column), 0))
    turned = transpose(a, permutation=(*(i for i in range(n) if i not in (first, second)), first, second))
    return wrap(read(turned, (..., steps + row, steps + column)))


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Any:
    """The sum along the diagonal `offset` of two axes."""
    return dispatch[np.sum](diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """`filt` without its leading ("f") and trailing ("b") zeros, along `axis` (None: all axes).

    The shape depends on values: raises NonConcreteBooleanIndexError where a trace has types only.
    """
    filt = array_operand(filt)
    mask = truth(filt)
    if type(mask) is Tracer:
        raise NonConcreteBooleanIndexError(
            "funcgrad.numpy.trim_zeros of a traced array has a shape that depends on its values; trim it outside of the "
            "traced function, or multiply by a mask."
        )
    if set(trim.lower()) - {"f", "b"}:
        raise ValueError(f"trim_zeros: trim must be made of 'f' and 'b', got {trim!r}.")
    n = len(shape_of(filt))
    axes = range(n) if axis is None else [axis_of(i, n, "trim_zeros") for i in np.atleast_1d(axis)]
    index = [slice(None)] * n
    for i, places in enumerate(np.nonzero(mask)):
        if i in axes:
            low, high = (int(places.min()), int(places.max()) + 1) if len(places) else (0, 0)
            index[i] = slice(
                low if "f" in trim.lower() or not high else None, high if "b" in trim.lower() or not high else None
            )
    return wrap(read(filt, tuple(index)))
