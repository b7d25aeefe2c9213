"""x[index] and x.at[index] for tracers and Arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from funcgrad.core.array import Array, unwrap, wrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of
from funcgrad.numpy.index_plan import Plan, plan, slice_length
from funcgrad.numpy.wrapping import any_traced, operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_to, convert, reshape, transpose
from funcgrad.ops.index import dynamic_update_slice, gather, scatter
from funcgrad.ops.shape import rev, slice_

_MODES = {
    None: None,
    "clip": "clip",
    "drop": "drop",
    "fill": "drop",
    "wrap": "wrap",
    "promise_in_bounds": "raise",
    "raise": "raise",
}


def take_slices(x: Any, slices: tuple[slice, ...]) -> Any:
    """x[slices] for slices of whole numbers, one per axis; negative steps reverse."""
    shape = shape_of(x)
    if all(s == slice(0, n, 1) for s, n in zip(slices, shape, strict=True)):
        return x
    starts, limits, strides, turned = [], [], [], []
    for axis, s in enumerate(slices):
        n = slice_length(s)
        first, last = s.start, s.start + (n - 1) * s.step
        if s.step < 0:
            first, last = last, first
            turned.append(axis)
        starts.append(first if n else 0)
        limits.append(last + 1 if n else 0)
        strides.append(abs(s.step))
    found = slice_(x, starts=tuple(starts), limits=tuple(limits), strides=tuple(strides))
    return rev(found, axes=tuple(turned)) if turned else found


def _ordered(x: Any, p: Plan) -> Any:
    if p.order != tuple(range(len(p.order))):
        x = transpose(x, permutation=p.order)
    return x if shape_of(x) == p.shape else reshape(x, shape=p.shape)


def read(x: Any, index: Any, mode: str = "raise") -> Any:
    """x[index] by primitives; `mode` is that of `gather`."""
    if _has_false(index):
        return read(read(x, None), (slice(0, 0), *_without_false(index)), mode)
    p = plan(index, shape_of(x))
    found = take_slices(x, p.slices)
    if p.indices:
        found = gather(found, *p.indices, axes=p.axes, mode=mode)
    return _ordered(found, p)


def _entries(index: Any) -> tuple[Any, ...]:
    return index if type(index) is tuple else (index,)


def _has_false(index: Any) -> bool:
    return any(i is False or (isinstance(i, np.bool_) and not i) for i in _entries(index))


def _without_false(index: Any) -> tuple[Any, ...]:
    return tuple(i for i in _entries(index) if i is not False and not isinstance(i, np.bool_))


def write(x: Any, index: Any, value: Any, op: str, mode: str) -> Any:
    """x with `op` (set, add, mul, min, max) applied at x[index]; `value` broadcasts to the shape of x[index]."""
    if _has_false(index):
        return x
    p = plan(index, shape_of(x))
    value = convert(broadcast_to(_squeezed(value, p.shape), p.shape), dtype_of(x))
    inner = take_slices(x, p.slices)
    if p.indices:
        inner_shape = shape_of(inner)
        index_shape = np.broadcast_shapes(*[shape_of(i) for i in p.indices])
        rest = tuple(n for a, n in enumerate(inner_shape) if a not in p.axes)
        before = tuple((index_shape + rest)[o] for o in p.order)
        updates = reshape(value, shape=before)
        inverse = tuple(int(i) for i in np.argsort(p.order))
        updates = transpose(updates, permutation=inverse)
        inner = scatter(inner, updates, *p.indices, axes=p.axes, op=op, mode=mode)
    else:
        updates = reshape(value, shape=shape_of(inner))
        inner = updates if op == "set" else _COMBINE[op](inner, updates)
    return _put_back(x, inner, p.slices)


_COMBINE: dict[str, Callable[..., Any]] = {"add": e.add, "mul": e.mul, "min": e.minimum, "max": e.maximum}


def _squeezed(value: Any, shape: tuple[int, ...]) -> Any:
    # NumPy lets a value have extra leading axes of length 1.
    have = shape_of(value)
    extra = len(have) - len(shape)
    if extra > 0 and all(n == 1 for n in have[:extra]):
        return reshape(value, shape=have[extra:])
    try:
        fits = np.broadcast_shapes(have, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"x.at[index] was given a value of shape {have}, which does not broadcast to x[index] of shape {shape}."
        )
    return value


def _put_back(x: Any, inner: Any, slices: tuple[slice, ...]) -> Any:
    shape = shape_of(x)
    if shape_of(inner) == shape and all(s.step == 1 for s in slices):
        return inner
    if 0 in shape_of(inner):
        return x
    if all(s.step == 1 or slice_length(s) == 1 for s in slices):
        return dynamic_update_slice(x, inner, *[s.start for s in slices])
    grid = np.ix_(*[np.arange(s.start, s.stop, s.step) for s in slices])
    return scatter(x, inner, *grid, axes=tuple(range(len(shape))), op="set", mode="raise")


class _Place:
    """x.at[index]: what can be done at a place of an immutable array. Every method returns a new array.

    mode: what an index out of bounds does. Writes: "drop" (the default: left out), "clip", "promise_in_bounds".
    Reads: "promise_in_bounds" (the default: IndexError where values are known), "clip", "fill", "wrap".
    indices_are_sorted, unique_indices: promises that JAX takes as hints; results do not depend on them.
    """

    __slots__ = ("_index", "_x")

    def __init__(self, x: Any, index: Any):
        self._x, self._index = x, index

    def _write(self, value: Any, op: str, mode: str | None) -> Any:
        x = unwrap(self._x)
        chosen = _mode(mode) or "drop"
        index = _wrapped(self._index, shape_of(x)) if chosen == "wrap" else self._index
        return wrap(write(x, index, operand(value), op, "raise" if chosen == "wrap" else chosen))

    def set(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: str | None = None,
            out_sharding: None = None) -> Any:  # fmt: skip
        """x with x[index] = values."""
        return self._write(values, "set", mode)

    def add(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False,
            mode: str | None = None) -> Any:  # fmt: skip
        """x with x[index] += values; repeated places add up."""
        return self._write(values, "add", mode)

    def subtract(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False,
                 mode: str | None = None) -> Any:  # fmt: skip
        """x with x[index] -= values; repeated places add up."""
        return self._write(e.neg(operand(values)), "add", mode)

    def multiply(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False,
                 mode: str | None = None) -> Any:  # fmt: skip
        """x with x[index] *= values; repeated places multiply up."""
        return self._write(values, "mul", mode)

    mul = multiply

    def divide(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False,
               mode: str | None = None) -> Any:  # fmt: skip
        """x with x[index] /= values."""
        return wrap(e.div(unwrap(self._x), _Place(np.ones(shape_of(self._x)), self._index)._write(values, "mul", mode)))

    def power(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False,
              mode: str | None = None) -> Any:  # fmt: skip
        """x with x[index] **= values."""
        exponents = _Place(np.ones(shape_of(self._x), dtype_of(operand(values))), self._index)._write(
            values, "mul", mode
        )
        return wrap(e.power(unwrap(self._x), unwrap(exponents)))

    def min(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False,
            mode: str | None = None) -> Any:  # fmt: skip
        """x with x[index] = minimum(x[index], values)."""
        return self._write(values, "min", mode)

    def max(self, values: Any, *, indices_are_sorted: bool = False, unique_indices: bool = False,
            mode: str | None = None) -> Any:  # fmt: skip
        """x with x[index] = maximum(x[index], values)."""
        return self._write(values, "max", mode)

    def apply(self, func: Callable[[Any], Any], *, indices_are_sorted: bool = False, unique_indices: bool = False,
              mode: str | None = None) -> Any:  # fmt: skip
        """x with x[index] = func(x[index])."""
        return self._write(func(self.get(mode="clip" if mode is None else mode)), "set", mode)

    def get(self, *, indices_are_sorted: bool = False, unique_indices: bool = False, mode: str | None = None,
            fill_value: Any = None) -> Any:  # fmt: skip
        """x[index]; with mode "fill", indices out of bounds give `fill_value` (nan, or the least integer)."""
        x = unwrap(self._x)
        if fill_value is not None and mode is None:
            mode = "fill"
        if mode == "fill":
            inside = read(np.ones(shape_of(x), bool), self._index, "drop")
            fill = missing_value(dtype_of(x)) if fill_value is None else operand(fill_value)
            return wrap(e.select(inside, read(x, self._index, "clip"), convert(fill, dtype_of(x))))
        chosen = _mode(mode) or "raise"
        if chosen == "wrap":
            return wrap(read(x, _wrapped(self._index, shape_of(x))))
        return wrap(read(x, self._index, chosen))


def missing_value(dtype: np.dtype) -> Any:
    """What "fill" gives where there is nothing: nan, the least signed, the largest unsigned integer, True."""
    if dtype.kind in "fc":
        return np.nan
    if dtype.kind == "b":
        return True
    return np.iinfo(dtype).min if dtype.kind == "i" else np.iinfo(dtype).max


def _mode(mode: str | None) -> str | None:
    if mode not in _MODES:
        raise ValueError(f"x.at[index]: mode must be one of {', '.join(repr(m) for m in _MODES if m)}, got {mode!r}.")
    return _MODES[mode]


def _wrapped(index: Any, shape: tuple[int, ...]) -> Any:
    entries = _entries(index)
    if any(i is None or i is Ellipsis for i in entries):
        raise NotImplementedError("mode='wrap' with newaxis or ellipsis in the index; write the index in full.")
    return tuple(
        i if isinstance(i, slice) else e.remainder(operand(i), n) for i, n in zip(entries, shape, strict=False)
    )


class _At:
    """The `.at` of an array."""

    __slots__ = ("_x",)

    def __init__(self, x: Any):
        self._x = x

    def __getitem__(self, index: Any) -> _Place:
        return _Place(self._x, index)


def _array_getitem(self: Array, index: Any) -> Any:
    if type(index) is Tracer or (type(index) is tuple and any_traced(index)):
        return read(self.view(np.ndarray), index)
    return np.ndarray.__getitem__(self, index)


def _tracer_iter(self: Tracer) -> Iterator[Any]:
    if not self.shape:
        raise TypeError("iteration over a 0-d traced array; it has no axis.")
    return (read(self, i) for i in range(self.shape[0]))


setattr(Tracer, "__getitem__", lambda self, index: read(self, index))  # noqa: B010
setattr(Tracer, "__iter__", _tracer_iter)  # noqa: B010
setattr(Tracer, "at", property(_At))  # noqa: B010
setattr(Array, "__getitem__", _array_getitem)  # noqa: B010
setattr(Array, "at", property(_At))  # noqa: B010
