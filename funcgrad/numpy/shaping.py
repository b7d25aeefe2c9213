"""Small helpers of the statistics and polynomial files: axes, slices and flattening of operands through primitives."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import convert, reshape, transpose
from funcgrad.ops.shape import slice_axis


def axis_of(name: str, x: Any, axis: Any) -> int:
    """An axis of x from 0 on. Raises numpy.exceptions.AxisError if there is none."""
    n = type_of(x).ndim
    found = operator.index(axis)
    if not -n <= found < n:
        raise np.exceptions.AxisError(f"{name} was asked for axis {axis} of {type_of(x)}, which has {n} axes.")
    return found % n


def flatten(x: Any) -> Any:
    """x as a 1-d array or tracer."""
    x = array_operand(x)
    kind = type_of(x)
    return x if kind.ndim == 1 else reshape(x, shape=(kind.size,))


def floats(x: Any) -> Any:
    """x as an inexact array or tracer: integers become float64."""
    x = array_operand(x)
    return x if type_of(x).dtype.kind in "fc" else convert(x, np.float64)


def axis_last(x: Any, axis: int) -> Any:
    """x with one axis moved to the end."""
    n = type_of(x).ndim
    return x if axis == n - 1 else transpose(x, permutation=(*(i for i in range(n) if i != axis), axis))


def axis_back(x: Any, axis: int) -> Any:
    """x with its last axis moved to `axis`."""
    n = type_of(x).ndim
    return x if axis == n - 1 else transpose(x, permutation=(*range(axis), n - 1, *range(axis, n - 1)))


def part(x: Any, start: int | None, stop: int | None, axis: int = 0) -> Any:
    """x[start:stop] along one axis, with Python's meaning of negative and missing bounds."""
    first, last, _ = slice(start, stop).indices(type_of(x).shape[axis])
    return slice_axis(x, first, max(first, last), axis)


def refuse(name: str, **options: Any) -> None:
    """Raises TypeError for options that a traced call does not have."""
    for option, value in options.items():
        if value is not None:
            raise TypeError(f"funcgrad.numpy.{name} of a traced array has no {option}=; leave it out.")
