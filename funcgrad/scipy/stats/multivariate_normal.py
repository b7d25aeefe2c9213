"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e
from funcgrad.ops import linalg as rows
from funcgrad.scipy.stats.arguments import exp_of, floats


def logpdf(x: Any, mean: Any, cov: Any, allow_singular: None = None) -> Any:
    """The logarithm of the density at x (..., n), for a mean (..., n) and positive definite cov (..., n, n); shape (...).

    Numbers as cov stand for that multiple of the identity; with a number as mean all values are independent.
    allow_singular is not offered. Raises LinAlgError if cov is not positive definite.
    """
    if allow_singular is not None:
        raise NotImplementedError("multivariate_normal.logpdf: allow_singular is not offered; leave it out.")
    x, mean, cov = floats(x, mean, cov)
    d = x - mean
    if not shape_of(mean):
        return wrap(-0.5 * d * d / cov - 0.5 * (math.log(2 * math.pi) + e.log(cov)))
    n = shape_of(mean)[-1]
    if not shape_of(cov):
        squares = basics.reduce_sum(d * d, axes=(len(shape_of(d)) - 1,))
        return wrap(-0.5 * squares / cov - 0.5 * n * (math.log(2 * math.pi) + e.log(cov)))
    if shape_of(cov)[-2:] != (n, n) or shape_of(d)[-1] != n:
        raise ValueError(
            f"multivariate_normal: x {shape_of(x)}, mean {shape_of(mean)} and cov {shape_of(cov)} do not fit."
        )
    left = rows.cholesky(cov)
    y = _whitened(left, d)
    log_det = basics.reduce_sum(e.log(rows.diagonal_of(left)), axes=(len(shape_of(left)) - 2,))
    squares = basics.reduce_sum(y * y, axes=(len(shape_of(y)) - 1,))
    return wrap(-0.5 * squares - 0.5 * n * math.log(2 * math.pi) - log_det)


def _whitened(left: Any, d: Any) -> Any:
    """L^-1 d for vectors d (..., n): all in one system where there is one L."""
    n = shape_of(d)[-1]
    if len(shape_of(left)) == 2:
        columns = rows.turn(basics.reshape(d, shape=(math.prod(shape_of(d)[:-1]), n)))
        found = rows.triangular_solve(left, columns, lower=True, transposed=False, unit=False)
        return basics.reshape(rows.turn(found), shape=shape_of(d))
    lead = np.broadcast_shapes(shape_of(left)[:-2], shape_of(d)[:-1])
    left, d = basics.broadcast_to(left, (*lead, n, n)), basics.broadcast_to(d, (*lead, n))
    found = rows.triangular_solve(left, rows.as_column(d), lower=True, transposed=False, unit=False)
    return basics.reshape(found, shape=(*lead, n))


def pdf(x: Any, mean: Any, cov: Any) -> Any:
    """The density at x (..., n); shape (...)."""
    return exp_of(logpdf(x, mean, cov))
