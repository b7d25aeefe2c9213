"""The few indexing operations that samplers need, of known and traced values alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.ops.basics import transpose
from funcgrad.ops.index import gather
from funcgrad.ops.shape import slice_axis
from funcgrad.ops.statistics import digitize, order


def take(x: Any, indices: Any, axis: int) -> Any:
    """The slices of `x` at 1-d `indices` along an axis."""
    found = gather(x, indices, axes=(axis,), mode="clip")
    n = type_of(x).ndim
    return found if axis == 0 else transpose(found, permutation=(*range(1, axis + 1), 0, *range(axis + 1, n)))


def take_along(x: Any, indices: Any, axis: int) -> Any:
    """The values of `x` at indices of its own shape, along an axis."""
    shape = type_of(x).shape
    places = list(np.ogrid[tuple(slice(n) for n in shape)])
    places[axis] = indices
    return gather(x, *places, axes=tuple(range(len(shape))), mode="clip")


def searchsorted(sorted_values: Any, levels: Any) -> Any:
    """int64 places of `levels` among sorted values: before equal ones."""
    return digitize(levels, sorted_values, side="left", lead=0)


def largest(x: Any, k: int) -> Any:
    """Indices of the k largest values along the last axis, largest first; among equal ones the first."""
    return slice_axis(order(-x), 0, k, type_of(x).ndim - 1)
