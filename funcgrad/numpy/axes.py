"""The axis, keepdims and where arguments of reductions, in one place."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.numpy.wrapping import operand
from funcgrad.ops.basics import reshape
from funcgrad.ops.elementwise import select

Axis = int | Sequence[int] | None


def axes_of(axis: Axis, ndim: int, name: str) -> tuple[int, ...]:
    """`axis` as sorted non-negative axes; None is all of them. Raises AxisError, or ValueError for a repeated axis."""
    if axis is None:
        return tuple(range(ndim))
    found = []
    for a in axis if isinstance(axis, (tuple, list)) else (axis,):
        found.append(axis_of(a, ndim, name))
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: axis={axis!r} names an axis of a {ndim}-d array twice.")
    return tuple(sorted(found))


def axis_of(axis: Any, ndim: int, name: str) -> int:
    """One axis as a non-negative int. Raises AxisError (a ValueError and IndexError) if the array has no such axis."""
    n = operator.index(axis)
    if not -ndim <= n < ndim:
        raise np.exceptions.AxisError(f"{name}: axis={axis} was asked of a {ndim}-d array.")
    return n % ndim


def kept_shape(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """A shape with some of its axes of size 1: the shape of a reduction with keepdims=True."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def finish(result: Any, like: Any, axes: Sequence[int], keepdims: bool) -> Any:
    """A reduction of `like`, with its reduced axes put back as ones if `keepdims`."""
    return reshape(result, shape=kept_shape(type_of(like).shape, axes)) if keepdims else result


def masked(x: Any, where: Any, fill: Any) -> Any:
    """x where `where`, and `fill` elsewhere; x itself if `where` is True or None."""
    if where is None or where is True:
        return x
    return select(operand(where), x, np.asarray(fill, type_of(x).dtype))


def count_of(shape: Sequence[int], axes: Sequence[int]) -> int:
    """How many values a reduction of `shape` along `axes` joins into one."""
    return math.prod(shape[a] for a in axes)
