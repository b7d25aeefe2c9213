"""LU decomposition with row pivots, and pivots as a permutation. LAPACK's getrf, through SciPy, evaluates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import convert
from funcgrad.ops.dot import matmul2
from funcgrad.ops.elementwise import select
from funcgrad.ops.families import flat, register, scipy_linalg
from funcgrad.ops.linalg import as_column, sample_matrix, stacked, triangular_solve, turn
from funcgrad.ops.shape import pad, slice_axis

_INDEX = np.dtype(np.int32)

# ---- pivots: row i was exchanged with row pivots[i], in order ----


def _permutation_impl(pivots: Any, *, size: int) -> np.ndarray:
    pivots = np.asarray(pivots)
    rows = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    found = np.tile(np.arange(size, dtype=_INDEX), (len(rows), 1))
    for places, swaps in zip(found, rows, strict=True):
        for i, p in enumerate(swaps):
            places[i], places[p] = places[p], places[i]
    return found.reshape(*pivots.shape[:-1], size)


pivots_to_permutation: Primitive = flat(
    "pivots_to_permutation",
    _permutation_impl,
    lambda pivots, *, size: array_type((*pivots.shape[:-1], size), _INDEX),
    lambda size, batched, args, params: (pivots_to_permutation(*args, **params), True),
    lambda rng: [((np.array([2, 2, 3], _INDEX),), {"size": 4}), ((np.array([[1, 1], [0, 1]], _INDEX),), {"size": 2})],
)


def permuted_rows(permutation: Any, x: Any) -> Any:
    """The rows of matrices in the order of a permutation (..., m), as a product: linear, and stacked as `x` is."""
    m = shape_of(x)[-2]
    matrix = as_column(permutation) == np.arange(m, dtype=_INDEX)
    return matmul2(convert(matrix, dtype_of(x)), x)


# ---- the decomposition ----


def _lu_impl(a: Any) -> tuple[Any, Any]:
    a = np.asarray(a)
    *lead, m, n = a.shape
    k = min(m, n)
    found = np.zeros(a.shape, a.dtype)
    pivots = np.zeros((*lead, k), _INDEX)
    if a.size:
        (getrf,) = scipy_linalg.get_lapack_funcs(("getrf",), (a,))
        for place in np.ndindex(*lead):
            found[place], pivots[place], _ = getrf(a[place])
    return found, pivots


def _lu_type(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    if a.ndim < 2:
        raise TypeError(f"lu needs matrices over the last two axes, got {a}.")
    *lead, m, n = a.shape
    return array_type(a.shape, a.dtype), array_type((*lead, min(m, n)), _INDEX)


def _squared(x: Any, n: int) -> Any:
    """The leading n x n part of matrices, filled with zeros where they are smaller."""
    rank = len(shape_of(x))
    for axis in (rank - 2, rank - 1):
        have = shape_of(x)[axis]
        if have > n:
            x = slice_axis(x, 0, n, axis)
        elif have < n:
            none = (0,) * rank
            x = pad(x, 0.0, low=none, high=tuple(n - have if i == axis else 0 for i in range(rank)), interior=none)
    return x


def factors(lu: Any) -> tuple[Any, Any]:
    """The square factors of packed matrices (..., m, n): L (m, m) unit lower, U (n, n) upper with ones below row m."""
    m, n = shape_of(lu)[-2:]
    dtype = dtype_of(lu)
    left = select(np.tril(np.ones((m, m), bool), -1), _squared(lu, m), 0.0) + np.eye(m, dtype=dtype)
    right = select(np.triu(np.ones((n, n), bool)), _squared(lu, n), 0.0)
    return left, right + np.diag(np.arange(n) >= m).astype(dtype)


def _lu_jvp(tangents: Sequence[Any], outs: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    # P dA = dL U + L dU, so L^-1 P dA U^-1 = L^-1 dL + dU U^-1: a strictly lower and an upper triangle.
    lu, pivots = outs
    m, n = shape_of(lu)[-2:]
    left, right = factors(lu)
    moved = permuted_rows(pivots_to_permutation(pivots, size=m), tangents[0])
    inner = triangular_solve(left, moved, lower=True, transposed=False, unit=True)
    inner = turn(triangular_solve(right, turn(inner), lower=False, transposed=True, unit=False))
    below = np.tril(np.ones((m, n), bool), -1)
    to_left, to_right = select(below, inner, 0.0), select(below, 0.0, inner)
    return [matmul2(left, to_left) + matmul2(to_right, right), None]


lu: Primitive = register(
    Primitive(
        "lu",
        _lu_impl,
        _lu_type,
        _lu_jvp,
        batch=stacked(lambda: lu),
        multiple=True,
        samples=lambda rng: [
            ((sample_matrix(rng, *s)[..., ::-1, :],), {}) for s in ((3, 3), (4, 3), (3, 4), (2, 3, 3))
        ],
    )
)
