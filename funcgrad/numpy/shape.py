"""Functions that change the shape or the order of the axes: reshape, transpose, broadcast, squeeze, flip, roll."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of
from funcgrad.numpy.axes import axes_of, axis_of
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import basics
from funcgrad.ops.shape import concatenate as _concatenate
from funcgrad.ops.shape import rev, slice_axis

Shape = int | Sequence[int]


def whole_shape(shape: Any, size: int, name: str) -> tuple[int, ...]:
    """A shape argument as a tuple, its -1 resolved. Raises ValueError if it cannot hold `size` values."""
    given = tuple(operator.index(n) for n in shape) if isinstance(shape, (tuple, list)) else (operator.index(shape),)
    if given.count(-1) > 1:
        raise ValueError(f"{name}: shape {given} has more than one -1.")
    if -1 in given:
        known = math.prod(n for n in given if n != -1)
        if known == 0 or size % known:
            raise ValueError(f"{name}: an array of {size} values cannot take shape {given}.")
        given = tuple(size // known if n == -1 else n for n in given)
    if math.prod(given) != size:
        raise ValueError(f"{name}: an array of {size} values cannot take shape {given}.")
    return given


def permuted(x: Any, permutation: Sequence[int]) -> Any:
    """`x` with its axes in this order; `x` itself if they are in it."""
    order = tuple(permutation)
    return x if order == tuple(range(len(order))) else basics.transpose(x, permutation=order)


@implements(np.reshape)
def reshape(a: Any, /, shape: Shape, order: str = "C", *, copy: bool | None = None) -> Any:
    """`a` with another shape of equal size; one -1 stands for what is left. order "C" or "F" (the axes run backwards).

    Raises ValueError for a shape that does not hold as many values.
    """
    a = array_operand(a)
    target = whole_shape(shape, math.prod(shape_of(a)), "reshape")
    if order == "F":
        turned = basics.reshape(permuted(a, range(len(shape_of(a)))[::-1]), shape=target[::-1])
        return permuted(turned, range(len(target))[::-1])
    if order not in ("C", "A"):
        raise ValueError(f"reshape: order must be 'C', 'F' or 'A', got {order!r}.")
    return basics.reshape(a, shape=target)


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """`a` as one axis."""
    return reshape(a, (-1,) if math.prod(shape_of(array_operand(a))) else (0,), order=order)


@implements(np.transpose)
def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    """`a` with its axes in the order `axes` (default: reversed)."""
    a = array_operand(a)
    n = len(shape_of(a))
    order = tuple(range(n))[::-1] if axes is None else tuple(axis_of(i, n, "transpose") for i in axes)
    if sorted(order) != list(range(n)):
        raise ValueError(f"transpose: axes={axes!r} is not a permutation of the axes of a {n}-d array.")
    return permuted(a, order)


permute_dims = transpose


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """`x` with its last two axes swapped. Raises ValueError for fewer than two."""
    x = array_operand(x)
    if len(shape_of(x)) < 2:
        raise ValueError(f"matrix_transpose: the array must have at least 2 axes, got shape {shape_of(x)}.")
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """`a` with two axes swapped."""
    a = array_operand(a)
    order = list(range(len(shape_of(a))))
    i, j = axis_of(axis1, len(order), "swapaxes"), axis_of(axis2, len(order), "swapaxes")
    order[i], order[j] = order[j], order[i]
    return permuted(a, order)


@implements(np.moveaxis)
def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """`a` with the axes `source` moved to `destination`; the others keep their order."""
    a = array_operand(a)
    n = len(shape_of(a))
    sources = [axis_of(s, n, "moveaxis") for s in (source if isinstance(source, Sequence) else (source,))]
    targets = [
        axis_of(d, n, "moveaxis") for d in (destination if isinstance(destination, Sequence) else (destination,))
    ]
    if len(sources) != len(targets):
        raise ValueError(
            f"moveaxis: source={source!r} and destination={destination!r} must have the same number of axes."
        )
    order = [i for i in range(n) if i not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return permuted(a, order)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """`a` with `axis` moved before the axis `start`."""
    a = array_operand(a)
    n = len(shape_of(a))
    axis = axis_of(axis, n, "rollaxis")
    start = start + n if start < 0 else start
    if not 0 <= start <= n:
        raise np.exceptions.AxisError(f"rollaxis: start={start} was asked of a {n}-d array.")
    return moveaxis(a, axis, start - 1 if axis < start else start)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: int | Sequence[int]) -> Any:
    """`a` with new axes of size 1 at the positions `axis` of the result."""
    a = array_operand(a)
    shape = shape_of(a)
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    new = axes_of(tuple(given), len(shape) + len(given), "expand_dims")
    rest = iter(shape)
    return basics.reshape(a, shape=tuple(1 if i in new else next(rest) for i in range(len(shape) + len(new))))


@implements(np.squeeze)
def squeeze(a: Any, axis: int | Sequence[int] | None = None) -> Any:
    """`a` without its axes of size 1, or without the ones named. Raises ValueError if one of these is not of size 1."""
    a = array_operand(a)
    shape = shape_of(a)
    gone = [i for i, n in enumerate(shape) if n == 1] if axis is None else axes_of(axis, len(shape), "squeeze")
    for i in gone:
        if shape[i] != 1:
            raise ValueError(f"squeeze: axis {i} of shape {shape} has size {shape[i]}, not 1.")
    return basics.reshape(a, shape=tuple(n for i, n in enumerate(shape) if i not in gone))


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Shape) -> Any:
    """`array` broadcast to `shape`. Raises ValueError if it does not fit."""
    array = array_operand(array)
    target = (shape,) if isinstance(shape, int) else tuple(shape)
    try:
        fits = np.broadcast_shapes(shape_of(array), target) == target
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"broadcast_to: an array of shape {shape_of(array)} does not broadcast to shape {target}.")
    return basics.broadcast_to(array, target)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> list[Any]:
    """The arrays broadcast against each other."""
    arrays = [array_operand(a) for a in args]
    shape = np.broadcast_shapes(*[shape_of(a) for a in arrays])
    return [basics.broadcast_to(a, shape) for a in arrays]


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to. Raises ValueError if they do not."""
    return np.broadcast_shapes(*shapes)


@implements(np.flip)
def flip(m: Any, axis: int | Sequence[int] | None = None) -> Any:
    """`m` reversed along `axis` (default: all axes)."""
    m = array_operand(m)
    axes = axes_of(axis if axis is None or isinstance(axis, int) else tuple(axis), len(shape_of(m)), "flip")
    return rev(m, axes=axes) if axes else m


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """`m` reversed along axis 1."""
    return flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """`m` reversed along axis 0."""
    return flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """`m` turned by `k` right angles in the plane of two axes, from the first to the second."""
    m = array_operand(m)
    n = len(shape_of(m))
    first, second = (axis_of(a, n, "rot90") for a in axes)
    if first == second:
        raise ValueError(f"rot90: axes={tuple(axes)} must be two different axes.")
    k %= 4
    if k == 2:
        return flip(m, (first, second))
    if k == 1:
        return swapaxes(flip(m, second), first, second)
    return flip(swapaxes(m, first, second), second) if k == 3 else m


@implements(np.roll)
def roll(a: Any, shift: Any, axis: int | Sequence[int] | None = None) -> Any:
    """`a` rolled by static `shift` along `axis`; without an axis, as one line."""
    a = array_operand(a)
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), shape_of(a))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    shifts = shift if isinstance(shift, (tuple, list, np.ndarray)) else (shift,) * len(axes)
    if len(shifts) == 1:
        shifts = tuple(shifts) * len(axes)
    for s, ax in zip(shifts, axes * len(shifts) if len(axes) == 1 else axes, strict=True):
        a = _roll_axis(a, operator.index(s), axis_of(ax, len(shape_of(a)), "roll"))
    return a


def _roll_axis(a: Any, shift: int, axis: int) -> Any:
    n = shape_of(a)[axis]
    shift = shift % n if n else 0
    if shift == 0:
        return a
    return _concatenate(slice_axis(a, n - shift, n, axis), slice_axis(a, 0, n - shift, axis), axis=axis)


def _at_least(name: str, arrays: Sequence[Any], shaped: Any) -> Any:
    found = [wrap(shaped(array_operand(a))) for a in arrays]
    return found[0] if len(found) == 1 else found


@implements(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """Each array with at least one axis."""
    return _at_least("atleast_1d", arys, lambda a: a if shape_of(a) else basics.reshape(a, shape=(1,)))


@implements(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """Each array with at least two axes; new ones in front."""
    return _at_least("atleast_2d", arys, lambda a: basics.reshape(a, shape=(1,) * (2 - len(shape_of(a))) + shape_of(a)))


@implements(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """Each array with at least three axes: (n,) becomes (1, n, 1) and (m, n) becomes (m, n, 1)."""

    def shaped(a: Any) -> Any:
        shape = shape_of(a)
        return basics.reshape(a, shape={0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}.get(len(shape), shape))

    return _at_least("atleast_3d", arys, shaped)


def ndim(a: Any) -> int:
    """The number of axes."""
    return len(shape(a))


def shape(a: Any) -> tuple[int, ...]:
    """The shape."""
    return shape_of(array_operand(a))


def size(a: Any, axis: int | None = None) -> int:
    """The number of values, or the length of one axis."""
    found = shape(a)
    return math.prod(found) if axis is None else found[axis_of(axis, len(found), "size")]


for _numpy, _ours in ((np.ndim, ndim), (np.shape, shape), (np.size, size)):
    implements(_numpy)(_ours)
