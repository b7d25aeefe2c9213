"""Functions of matrices: the exponential, its derivative, the polar decomposition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.api.derivatives import jvp
from funcgrad.core.array import wrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e
from funcgrad.ops import linalg as rows
from funcgrad.ops.decompositions import svd
from funcgrad.ops.reduce import reduce_max
from funcgrad.ops.special_forms import stop_gradient_op

_THETA = 5.371920351148152
"""The 1-norm up to which the Pade approximant of degree 13 is exact to double precision (Higham, 2005)."""

_PADE = [math.factorial(26 - k) / (math.factorial(k) * math.factorial(13 - k)) for k in range(14)]
_PADE = [c / _PADE[13] for c in _PADE]


def _square(name: str, a: Any) -> Any:
    a = array_operand(a)
    shape = shape_of(a)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"scipy.linalg.{name} needs square matrices over the last two axes, got shape {shape}.")
    return a if dtype_of(a).kind in "fc" else basics.convert(a, np.float64)


def _squarings(a: Any) -> Any:
    """How often each matrix is halved, as floats of shape (...): constant to derivatives."""
    n = len(shape_of(a))
    sums = basics.reduce_sum(e.magnitude(stop_gradient_op(a)), axes=(n - 2,))
    norm = reduce_max(sums, axes=(n - 2,)) if shape_of(a)[-1] else basics.reduce_sum(sums, axes=(n - 2,))
    return e.ceil(e.log2(e.maximum(norm / _THETA, 1.0)))


def _known(x: Any) -> Any:
    """The value underneath, or None where the trace has types only."""
    while type(x) is Tracer and x.owner.mode != "abstract":
        x = x.value
    return None if type(x) is Tracer else np.asarray(x)


def _spread(s: Any) -> Any:
    """A number for each matrix, shaped to meet the matrices."""
    return basics.reshape(s, shape=(*shape_of(s), 1, 1))


def _pade(a: Any) -> tuple[Any, Any]:
    """Odd and even part of the approximant's numerator; the denominator is even - odd."""
    eye = np.eye(shape_of(a)[-1], dtype=dtype_of(a))
    a2 = rows.matmul2(a, a)
    a4 = rows.matmul2(a2, a2)
    a6 = rows.matmul2(a4, a2)
    powers = (a6, a4, a2)

    def series(high: list[float], low: list[float]) -> Any:
        upper = sum(c * p for c, p in zip(high, powers, strict=True))
        return rows.matmul2(a6, upper) + sum(c * p for c, p in zip(low, (*powers, eye), strict=True))

    b = _PADE
    odd = rows.matmul2(a, series([b[13], b[11], b[9]], [b[7], b[5], b[3], b[1]]))
    return odd, series([b[12], b[10], b[8]], [b[6], b[4], b[2], b[0]])


def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int = 16) -> Any:
    """The matrix exponential of (..., n, n), by scaling and squaring of a Pade approximant.

    upper_triangular: a promise, by which a triangular system is solved. A matrix whose norm needs more than max_squarings
    (static) gives nan. Where the norm is not known (under jit and vmap) max_squarings products are in the program.
    """
    a = _square("expm", A)
    if not math.prod(shape_of(a)):
        return wrap(a)
    count = _squarings(a)
    known = _known(count)
    factor = e.exp2(-e.minimum(count, float(max_squarings)))
    scaled = a * _spread(basics.convert(factor, dtype_of(a)))
    odd, even = _pade(scaled)
    if upper_triangular:
        result = rows.triangular_solve(even - odd, even + odd, lower=False, transposed=False, unit=False)
    else:
        result = rows.solve(even - odd, even + odd)
    steps = max_squarings if known is None else int(min(max_squarings, np.max(known)))
    for i in range(steps):
        more = _spread(count > i)
        # A finished matrix is not squared, so that it cannot overflow into the derivative.
        base = result if known is not None and np.all(known > i) else e.select(more, result, 0.0)
        result = e.select(more, rows.matmul2(base, base), result)
    return wrap(e.select(_spread(count > max_squarings), np.nan, result))


def expm_frechet(A: Any, E: Any, *, method: str | None = None, compute_expm: bool = True) -> Any:
    """expm(A) and its derivative in the direction E, or the derivative alone. The method is SciPy's default (None)."""
    if method not in (None, "SPS"):
        raise NotImplementedError(f"scipy.linalg.expm_frechet: method {method!r} is not offered; leave it out.")
    a, direction = _square("expm_frechet", A), _square("expm_frechet", E)
    if shape_of(a) != shape_of(direction):
        raise ValueError(f"scipy.linalg.expm_frechet: shapes {shape_of(a)} and {shape_of(direction)} differ.")
    dtype = np.result_type(dtype_of(a), dtype_of(direction))
    value, slope = jvp(expm, (basics.convert(a, dtype),), (basics.convert(direction, dtype),))
    return (value, slope) if compute_expm else slope


def polar(a: Any, side: str = "right", *, method: str = "qdwh", eps: float | None = None,
          max_iterations: int | None = None) -> tuple[Any, Any]:  # fmt: skip
    """u, p with orthonormal u and positive semidefinite p: a = u @ p for side "right", a = p @ u for "left".

    Computed from the SVD, whichever of "qdwh" and "svd" is named; `eps` and `max_iterations` belong to an iteration and must
    be None. "right" needs at least as many rows as columns, "left" at most (NotImplementedError).
    """
    if side not in ("left", "right"):
        raise ValueError(f"scipy.linalg.polar: side must be 'left' or 'right', got {side!r}.")
    if method not in ("qdwh", "svd") or eps is not None or max_iterations is not None:
        raise NotImplementedError(f"scipy.linalg.polar: method={method!r}, eps={eps}, max_iterations={max_iterations}.")
    x = array_operand(a)
    m, n = shape_of(x)[-2:]
    if (m < n) if side == "right" else (m > n):
        raise NotImplementedError(
            f"scipy.linalg.polar: side={side!r} for shape {shape_of(x)}; take the adjoint and the other side."
        )
    u, s, vh = svd(x if dtype_of(x).kind in "fc" else basics.convert(x, np.float64))
    s = rows.as_row(basics.convert(s, dtype_of(u)))
    p = rows.matmul2(rows.adjoint(vh) * s, vh) if side == "right" else rows.matmul2(u * s, rows.adjoint(u))
    return wrap(rows.matmul2(u, vh)), wrap(p)
