"""The few indexing operations that samplers need: NumPy on plain values, the NumPy room's own on tracers."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer
from funcgrad.numpy.operators import dispatch


def _call(function: Any, *args: Any, **kwargs: Any) -> Any:
    traced = any(type(a) is Tracer for a in args)
    return dispatch[function](*args, **kwargs) if traced else function(*args, **kwargs)


def take(x: Any, indices: Any, axis: int) -> Any:
    """The slices of `x` at 1-d `indices` along an axis."""
    return _call(np.take, x, indices, axis=axis)


def take_along(x: Any, indices: Any, axis: int) -> Any:
    """The values of `x` at indices of its own shape, along an axis."""
    return _call(np.take_along_axis, x, indices, axis)


def searchsorted(sorted_values: Any, levels: Any) -> Any:
    """int64 places of `levels` among sorted values: before equal ones."""
    return _call(np.searchsorted, sorted_values, levels)


def largest(x: Any, k: int) -> Any:
    """Indices of the k largest values along the last axis, largest first; among equal ones the first."""
    return _call(np.argsort, -x, axis=-1, stable=True)[..., :k]
