"""Making arrays: from values, of one value, ranges and grids, triangles and diagonals.

Shapes are Python ints; an abstract tracer as a size raises TracerIntegerConversionError. Values and bounds may be
traced. Results are Arrays; the default dtype is float64, or the one that numpy.array finds. `device` is None or "cpu".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import type_of
from funcgrad.numpy.wrapping import any_traced, array_operand, implements, operand
from funcgrad.ops import elementwise as el
from funcgrad.ops.basics import broadcast_in_dim, broadcast_to, convert, reduce_sum, reshape, transpose
from funcgrad.ops.shape import pad, slice_

Shape = int | Sequence[int]


def _check_device(device: Any) -> None:
    if device is not None and str(device).split(":")[0].lower() != "cpu":
        raise ValueError(f"device={device!r} was asked for; funcgrad has the CPU only: leave device out.")


def _shape(shape: Any) -> tuple[int, ...]:
    """A shape as ints; a tracer in it is asked for its value, at the user's line."""
    items = shape if isinstance(shape, (tuple, list)) or (isinstance(shape, np.ndarray) and shape.ndim) else (shape,)
    return tuple(operator.index(n) for n in items)


# ---- from values ----


def array(object: Any, dtype: Any = None, *, copy: bool | None = True, order: Any = "K", ndmin: int = 0,
          device: Any = None) -> Any:  # fmt: skip
    """An array of a number, an array, or nested lists of them, tracers too; a copy unless copy is False or None.

    `ndmin` puts axes of size 1 in front. Raises ValueError for lists of uneven lengths.
    """
    _check_device(device)
    if not any_traced((object,)):
        order = "K" if order is None else order
        return wrap(np.array(object, dtype, copy=copy or None, order=order, ndmin=ndmin))
    x = operand(object)
    if dtype is not None:
        x = convert(x, dtype)
    shape = type_of(x).shape
    return reshape(x, shape=(*(1,) * (ndmin - len(shape)), *shape)) if ndmin > len(shape) else x


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: bool | None = None, device: Any = None) -> Any:
    """As `array`, but an array that is right already is not copied."""
    return array(a, dtype, copy=copy, order="K" if order is None else order, device=device)


def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    """As `asarray`, in C order and of at least one axis."""
    if any_traced((a,)):
        return array(a, dtype, ndmin=1)
    return wrap(np.ascontiguousarray(a, dtype))


@implements(np.copy)
def copy(a: Any, order: Any = "K") -> Any:
    """A copy; a traced array, which nobody can change, is itself."""
    return array_operand(a)


@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """x as an array of another dtype; complex to real drops the imaginary part. Integers cut the fraction off."""
    _check_device(device)
    return convert(operand(x), dtype)


def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0) -> Any:
    """A 1-d array of the bytes of a buffer."""
    return wrap(np.frombuffer(buffer, dtype, count, offset))


def fromiter(iter: Any, dtype: Any, count: int = -1) -> Any:
    """A 1-d array of what an iterable yields; its items must not be abstract tracers."""
    return wrap(np.fromiter(iter, np.dtype(dtype), count))


def fromstring(string: str, dtype: Any = float, count: int = -1, *, sep: str) -> Any:
    """A 1-d array of the numbers in a text, which `sep` separates."""
    return wrap(np.fromstring(string, dtype, count, sep=sep))


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array that shares the memory of any object with `__dlpack__` (a torch tensor, a JAX array)."""
    _check_device(device)
    return wrap(np.from_dlpack(x, copy=copy))


def fromfunction(function: Callable[..., Any], shape: Sequence[int], *, dtype: Any = float, **kwargs: Any) -> Any:
    """What `function` gives for the index arrays of a grid, one array for each axis of `shape`."""
    return function(*indices(_shape(shape), dtype), **kwargs)


# ---- of one value ----


def zeros(shape: Shape, dtype: Any = None, order: Any = "C", *, device: Any = None) -> Any:
    """An array of zeros."""
    _check_device(device)
    return wrap(np.zeros(_shape(shape), dtype, order))


def ones(shape: Shape, dtype: Any = None, order: Any = "C", *, device: Any = None) -> Any:
    """An array of ones."""
    _check_device(device)
    return wrap(np.ones(_shape(shape), dtype, order))


def empty(shape: Shape, dtype: Any = None, order: Any = "C", *, device: Any = None) -> Any:
    """As `zeros`: nothing could be written into an uninitialised array, so it is a defined one, as in JAX."""
    return zeros(shape, dtype, order, device=device)


def full(shape: Shape, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None) -> Any:
    """An array of `fill_value`, broadcast to `shape`, of its dtype unless `dtype` is given."""
    _check_device(device)
    if any_traced((fill_value,)):
        value = operand(fill_value)
        value = convert(value, type_of(value).dtype if dtype is None else dtype)
        return broadcast_to(value, _shape(shape))
    return wrap(np.full(_shape(shape), fill_value, dtype, order))


def _like(a: Any, dtype: Any, shape: Any) -> tuple[Any, np.dtype]:
    kind = type_of(operand(a))
    return (kind.shape if shape is None else shape), (kind.dtype if dtype is None else np.dtype(dtype))


@implements(np.zeros_like, extras=("shape",))
def zeros_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """Zeros of the shape and dtype of a, or of those given."""
    return zeros(*_like(a, dtype, shape), device=device)


@implements(np.ones_like, extras=("shape",))
def ones_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """Ones of the shape and dtype of a, or of those given."""
    return ones(*_like(a, dtype, shape), device=device)


@implements(np.empty_like, extras=("shape", "dtype", "device"))
def empty_like(prototype: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """As `zeros_like`; see `empty`."""
    return zeros(*_like(prototype, dtype, shape), device=device)


@implements(np.full_like, extras=("shape",))
def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """`fill_value` in the shape and dtype of a, or in those given."""
    have, kind = _like(a, dtype, shape)
    return full(have, fill_value, kind, device=device)


# ---- ranges ----


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None) -> Any:
    """start, start + step, ... below stop; `arange(stop)` starts at 0. The bounds must have values: not abstract."""
    _check_device(device)
    if not any_traced((start, stop, step)):
        bounds: list[Any] = [0, start] if stop is None else [start, stop]
        return wrap(np.arange(*bounds, 1 if step is None else step, dtype))  # type: ignore[call-overload]
    first, last = (0, start) if stop is None else (start, stop)
    first, last, stride = operand(first), operand(last), operand(1 if step is None else step)
    ends = [float(v) for v in (first, last, stride)]
    count = max(math.ceil((ends[1] - ends[0]) / ends[2]), 0)
    kind = np.result_type(*[type_of(v).dtype for v in (first, last, stride)]) if dtype is None else np.dtype(dtype)
    return convert(first + np.arange(count) * stride, kind)


def _bounds(start: Any, stop: Any, *others: Any) -> tuple[Any, ...]:
    """Both ends of a range as arrays of one shape, inexact."""
    values = [operand(v) for v in (start, stop, *others)]
    types = [type_of(v) for v in values]
    kind = np.result_type(*[t.dtype for t in types], 0.0)
    shape = np.broadcast_shapes(*[t.shape for t in types])
    return tuple(broadcast_to(convert(v, kind), shape) for v in values)


def _spaced(first: Any, last: Any, num: int, endpoint: bool, between: Callable[[Any], Any]) -> Any:
    """`between(k)` for k in range(num), along a new first axis, with exact ends."""
    if num < 0:
        raise ValueError(f"num={num} samples were asked for; it must not be negative.")
    shape = type_of(first).shape
    k = np.arange(num, dtype=np.float64).reshape((num, *(1,) * len(shape))).astype(type_of(first).dtype)
    found = broadcast_to(between(k), (num, *shape))
    if num > 0:
        found = el.select(k == 0, first, found)
    return el.select(k == num - 1, last, found) if endpoint and num > 1 else found


def _placed(x: Any, dtype: Any, axis: int) -> Any:
    rank = type_of(x).ndim
    order = list(range(1, rank))
    order.insert(axis if axis >= 0 else axis + rank, 0)
    if order != list(range(rank)):
        x = transpose(x, permutation=tuple(order))
    if dtype is None:
        return x
    return convert(el.floor(x) if np.dtype(dtype).kind in "iu" else x, dtype)


@implements(np.linspace)
def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
             axis: int = 0, *, device: Any = None) -> Any:  # fmt: skip
    """`num` evenly spaced values from start to stop (without stop if not endpoint), along a new axis.

    With retstep=True also the step. Integer dtypes round down.
    """
    _check_device(device)
    first, last = _bounds(start, stop)
    parts = num - 1 if endpoint else num
    step = (last - first) / parts if parts > 0 else (last - first) * math.nan
    found = _spaced(first, last, num, endpoint, lambda k: k * step + first if parts > 0 else k * (last - first) + first)
    found = _placed(found, dtype, axis)
    return (found, step) if retstep else found


@implements(np.logspace)
def logspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None,
             axis: int = 0) -> Any:  # fmt: skip
    """base ** values evenly spaced from start to stop, along a new axis."""
    first, last, root = _bounds(start, stop, base)
    return _placed(el.power(root, linspace(first, last, num, endpoint)), dtype, axis)


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """`num` values from start to stop whose quotients are equal, along a new axis. Neither end may be 0."""
    first, last = _bounds(start, stop)
    parts = max(num - 1 if endpoint else num, 1)
    return _placed(
        _spaced(first, last, num, endpoint, lambda k: first * el.power(last / first, k / parts)), dtype, axis
    )


# ---- grids ----


def indices(dimensions: Sequence[int], dtype: Any = int, sparse: bool = False) -> Any:
    """The index arrays of a grid, stacked along a new first axis; with sparse=True a tuple of broadcastable ones."""
    found: Any = np.indices(_shape(dimensions), np.dtype(dtype), sparse)  # type: ignore[call-overload]
    return tuple(wrap(v) for v in found) if sparse else wrap(found)


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> list[Any]:
    """Coordinate arrays of the grid of 1-d arrays, as a list. indexing="xy" swaps the first two axes.

    Raises ValueError for another `indexing`.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}.")
    values = [array_operand(x) for x in xi]
    values = [reshape(v, shape=(type_of(v).size,)) for v in values]
    places = list(range(len(values)))
    if indexing == "xy" and len(values) > 1:
        places[:2] = [1, 0]
    shape = [0] * len(values)
    for v, place in zip(values, places, strict=True):
        shape[place] = type_of(v).size
    found = []
    for v, place in zip(values, places, strict=True):
        if sparse:
            found.append(reshape(v, shape=tuple(n if i == place else 1 for i, n in enumerate(shape))))
        else:
            found.append(broadcast_in_dim(v, shape=tuple(shape), dims=(place,)))
    return found


# ---- triangles and diagonals ----


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = float, order: Any = "C", *, device: Any = None) -> Any:
    """An N x M matrix (N x N if M is None) with ones on its k-th diagonal."""
    _check_device(device)
    return wrap(np.eye(N, M, k, dtype, order))


def identity(n: int, dtype: Any = None) -> Any:
    """The n x n identity matrix."""
    return wrap(np.identity(n, dtype))


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = float) -> Any:
    """An N x M matrix with ones on and below its k-th diagonal."""
    return wrap(np.tri(N, M, k, dtype))


def _triangle(m: Any, k: int, lower: bool) -> Any:
    x = array_operand(m)
    shape = type_of(x).shape
    if len(shape) == 1:
        shape = (shape[0], shape[0])
    below = np.tri(shape[-2], shape[-1], k if lower else k - 1, bool)
    return el.select(below if lower else ~below, x, np.zeros((), type_of(x).dtype))


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """The lower triangles of the last two axes: zeros above the k-th diagonal."""
    return _triangle(m, k, True)


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """The upper triangles of the last two axes: zeros below the k-th diagonal."""
    return _triangle(m, k, False)


def _matrix_of(x: Any, k: int) -> Any:
    size = type_of(x).size
    n = size + abs(k)
    line = broadcast_in_dim(x, shape=(size, size), dims=(0,))
    block = el.select(np.eye(size, dtype=bool), line, np.zeros((), type_of(x).dtype))
    edges = {"low": (max(-k, 0), max(k, 0)), "high": (max(k, 0), max(-k, 0)), "interior": (0, 0)}
    return block if n == size else pad(block, 0, **edges)


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """The k-th diagonal of a matrix, or the matrix with a 1-d array on its k-th diagonal. ValueError otherwise."""
    x = array_operand(v)
    shape = type_of(x).shape
    if len(shape) == 1:
        return _matrix_of(x, k)
    if len(shape) != 2:
        raise ValueError(f"diag takes a 1-d or 2-d array, got {type_of(x)}.")
    row, column = max(-k, 0), max(k, 0)
    n = max(min(shape[0] - row, shape[1] - column), 0)
    if n == 0:
        return wrap(np.zeros(0, type_of(x).dtype))
    block = slice_(x, starts=(row, column), limits=(row + n, column + n), strides=(1, 1))
    return reduce_sum(el.select(np.eye(n, dtype=bool), block, np.zeros((), type_of(x).dtype)), axes=(1,))


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """The matrix with all values of v, flattened, on its k-th diagonal."""
    x = array_operand(v)
    return _matrix_of(reshape(x, shape=(type_of(x).size,)), k)
