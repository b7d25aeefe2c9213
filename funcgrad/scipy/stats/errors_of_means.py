"""The standard error of the mean."""

from __future__ import annotations

import math
from typing import Any

from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of
from funcgrad.numpy.axes import axes_of
from funcgrad.numpy.reductions import std
from funcgrad.numpy.wrapping import array_operand


def sem(a: Any, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False) -> Any:
    """The standard deviation (with n - ddof) along an axis over the root of n. Only nan_policy "propagate" is offered."""
    if nan_policy != "propagate":
        raise NotImplementedError(f"stats.sem: nan_policy={nan_policy!r} is not offered, only 'propagate'.")
    x = array_operand(a)
    count = math.prod(shape_of(x)[i] for i in axes_of(axis, len(shape_of(x)), "sem"))
    return wrap(std(x, axis, ddof=ddof, keepdims=keepdims) / math.sqrt(count))
