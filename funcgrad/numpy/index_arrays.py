"""Arrays of indices: of diagonals and triangles, open grids, and flat places from and to places along axes."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of
from funcgrad.errors import NonConcreteBooleanIndexError
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.searching import bounded, nonzero
from funcgrad.numpy.wrapping import array_operand, implements, wrap_all
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import reshape


def diag_indices(n: int, ndim: int = 2) -> tuple[Any, ...]:
    """The index of the main diagonal of an array with `ndim` axes of length n: int64 arrays of shape (n,)."""
    return wrap_all(np.diag_indices(operator.index(n), operator.index(ndim)))


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """The index of the main diagonal of `arr`. Raises ValueError unless it has two or more axes of one length."""
    shape = shape_of(array_operand(arr))
    if len(shape) < 2 or len(set(shape)) > 1:
        raise ValueError(f"diag_indices_from: the array must have two or more axes of one length, got shape {shape}.")
    return diag_indices(shape[0], len(shape))


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """The index (rows, columns) of the lower triangle of an n by m matrix, up to its k-th diagonal."""
    return wrap_all(np.tril_indices(operator.index(n), operator.index(k), m))


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """The index (rows, columns) of the upper triangle of an n by m matrix, from its k-th diagonal."""
    return wrap_all(np.triu_indices(operator.index(n), operator.index(k), m))


def _matrix_shape(name: str, arr: Any) -> tuple[int, ...]:
    shape = shape_of(array_operand(arr))
    if len(shape) != 2:
        raise ValueError(f"{name}: the array must be 2-d, got shape {shape}.")
    return shape


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """The index (rows, columns) of the lower triangle of a matrix. Raises ValueError for other shapes."""
    rows, columns = _matrix_shape("tril_indices_from", arr)
    return tril_indices(rows, k, columns)


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """The index (rows, columns) of the upper triangle of a matrix. Raises ValueError for other shapes."""
    rows, columns = _matrix_shape("triu_indices_from", arr)
    return triu_indices(rows, k, columns)


def mask_indices(n: int, mask_func: Callable[..., Any], k: Any = 0, *, size: int | None = None) -> tuple[Any, ...]:
    """The index of the values that `mask_func(ones((n, n)), k)` leaves; `size` as of `nonzero`."""
    return nonzero(mask_func(wrap(np.ones((operator.index(n),) * 2, int)), k), size=size)


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """1-d arrays as an open grid, for x[ix_(i, j)]; booleans (not traced) stand for the places where they are true.

    Raises ValueError for other shapes, NonConcreteBooleanIndexError for traced booleans.
    """
    found = []
    for axis, a in enumerate(args):
        a = array_operand(a)
        if len(shape_of(a)) != 1:
            raise ValueError(f"ix_: arguments must be 1-d, got shape {shape_of(a)}.")
        if dtype_of(a) == np.bool_:
            if type(a) is Tracer:
                raise NonConcreteBooleanIndexError(
                    "ix_ of a traced mask has a shape that depends on its values; use funcgrad.numpy.nonzero(mask, size=n)."
                )
            a = np.flatnonzero(a)
        found.append(wrap(reshape(a, shape=(1,) * axis + shape_of(a) + (1,) * (len(args) - axis - 1))))
    return tuple(found)


def _strides(shape: Sequence[int], order: str) -> list[int]:
    if order not in ("C", "F"):
        raise ValueError(f"order must be 'C' or 'F', got {order!r}.")
    return [math.prod(shape[i + 1 :] if order == "C" else shape[:i]) for i in range(len(shape))]


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Any, ...]:
    """Flat places of an array of this static shape as places along each axis.

    Traced, negative places count from the end and places out of bounds go to the nearest end, as in JAX.
    """
    sizes = (
        (operator.index(shape),) if isinstance(shape, (int, np.integer)) else tuple(operator.index(n) for n in shape)
    )
    indices = array_operand(indices)
    total = math.prod(sizes)
    flat_places = bounded("unravel_index", e.select(e.lt(indices, 0), indices + total, indices), total, "clip")
    return tuple(
        wrap(e.remainder(e.floor_divide(flat_places, max(s, 1)), max(n, 1)))
        for s, n in zip(_strides(sizes, order), sizes, strict=True)
    )


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Sequence[int], mode: Any = "raise", order: str = "C") -> Any:
    """Places along each axis of an array of shape `dims` as flat places.

    mode: "clip" or "wrap" (or one for each axis) for places out of bounds. "raise" cannot be kept where values are not
    known: TypeError.
    """
    parts = [array_operand(i) for i in multi_index]
    modes = (mode,) * len(dims) if isinstance(mode, str) else tuple(mode)
    if "raise" in modes and any(type(p) is Tracer for p in parts):
        raise TypeError(
            "ravel_multi_index(mode='raise') of traced places cannot check them; say mode='clip' or 'wrap'."
        )
    total: Any = np.asarray(0)
    for part, n, s, m in zip(parts, dims, _strides(tuple(dims), order), modes, strict=True):
        total = e.add(total, e.mul(bounded("ravel_multi_index", part, n, m), s))
    return wrap(total)


for _numpy, _ours in (
    (np.diag_indices, diag_indices),
    (np.tril_indices, tril_indices),
    (np.triu_indices, triu_indices),
):
    dispatch[_numpy] = _ours
