"""`Array`: what un-traced calls give back. A thin `numpy.ndarray` that nobody writes into by accident."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer
from funcgrad.core.types import SCALARS, array_type
from funcgrad.errors import assignment_error


class _ArrayMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return type(instance) is Tracer or type.__instancecheck__(cls, instance)


class Array(np.ndarray, metaclass=_ArrayMeta):
    """An immutable array: a numpy.ndarray for every library, with JAX's `.at[...]` added by the NumPy room.

    `x[i] = v` raises TypeError and `x += v` makes a new array, so that un-traced code means what traced code means.
    A tracer is an instance too, as in JAX.
    """

    def __setitem__(self, index: Any, value: Any) -> None:
        raise assignment_error(str(array_type(self.shape, self.dtype)), "a funcgrad.Array")

    __iadd__ = np.ndarray.__add__  # type: ignore[assignment]
    __isub__ = np.ndarray.__sub__  # type: ignore[assignment]
    __imul__ = np.ndarray.__mul__  # type: ignore[assignment]
    __itruediv__ = np.ndarray.__truediv__  # type: ignore[assignment]
    __ifloordiv__ = np.ndarray.__floordiv__  # type: ignore[assignment]
    __imod__ = np.ndarray.__mod__  # type: ignore[assignment]
    __ipow__ = np.ndarray.__pow__  # type: ignore[assignment]
    __imatmul__ = np.ndarray.__matmul__  # type: ignore[assignment]
    __iand__ = np.ndarray.__and__  # type: ignore[assignment]
    __ior__ = np.ndarray.__or__  # type: ignore[assignment]
    __ixor__ = np.ndarray.__xor__  # type: ignore[assignment]
    __ilshift__ = np.ndarray.__lshift__  # type: ignore[assignment]
    __irshift__ = np.ndarray.__rshift__  # type: ignore[assignment]

    def block_until_ready(self) -> Array:
        """The array itself: on a CPU every result is ready."""
        return self

    @property
    def weak_type(self) -> bool:
        """False: an array that has been computed has a definite dtype."""
        return False


def wrap(value: Any) -> Any:
    """A result as an Array; tracers pass."""
    kind = type(value)
    if kind is np.ndarray:
        return value.view(Array)
    if kind is Tracer or kind is Array:
        return value
    return np.asarray(value).view(Array)


def unwrap(value: Any) -> Any:
    """An argument as a plain ndarray, which NumPy computes with twice as fast; tracers and Python numbers pass."""
    kind = type(value)
    if kind is Array:
        return value.view(np.ndarray)
    if kind is Tracer or kind is np.ndarray or kind in SCALARS:
        return value
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    return value
