"""Samplers that need linear algebra: correlated normal vectors and random orthogonal matrices."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.array import Array, unwrap, wrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_in_dim, broadcast_to, convert, reduce_sum, transpose
from funcgrad.random.arguments import ShapeLike, check_key, float_of, parameter_shape, raw_normal, shape_of
from funcgrad.random.continuous import check_normal_parameters, normal


def _linalg(function: Callable[..., Any], x: Any) -> Any:
    found = dispatch[function](x) if type(x) is Tracer else function(x)
    return [unwrap(v) for v in found] if isinstance(found, tuple) else unwrap(found)


def _factor(cov: Any, method: str) -> Any:
    """A matrix L with L L' = cov."""
    if method == "cholesky":
        return _linalg(np.linalg.cholesky, cov)
    if method == "svd":
        u, s, _ = _linalg(np.linalg.svd, cov)
    else:
        s, u = _linalg(np.linalg.eigh, cov)
    shape = type_of(u).shape
    lead = len(shape) - 2
    return u * broadcast_in_dim(e.sqrt(s), shape=shape, dims=(*range(lead), lead + 1))


def multivariate_normal(key: Any, mean: Any, cov: Any, shape: ShapeLike | None = None, dtype: Any = None,
                        method: str = "cholesky") -> Array:  # fmt: skip
    """Normal vectors (*shape, n) of mean (..., n) and covariance (..., n, n); `shape` defaults to the leading axes'.

    `method` is how the covariance is factored: "cholesky", "eigh" or "svd". Raises ValueError for another one, a dtype
    that is not floating, or shapes that do not fit.
    """
    key = check_key("multivariate_normal", key)
    if method not in ("cholesky", "eigh", "svd"):
        raise ValueError(f'random.multivariate_normal has methods "cholesky", "eigh" and "svd", got {method!r}.')
    check_normal_parameters(mean, cov)
    mean, cov = array_operand(mean), array_operand(cov)
    shared = np.result_type(type_of(mean).dtype, type_of(cov).dtype, np.float16)
    kind = float_of("multivariate_normal", shared if dtype is None else dtype)
    mean, cov = convert(mean, shared), convert(cov, shared)
    n = type_of(mean).shape[-1]
    leading = [np.empty(type_of(mean).shape[:-1]), np.empty(type_of(cov).shape[:-2])]
    sizes = parameter_shape("multivariate_normal", shape, *leading)
    z = raw_normal(key, (*sizes, n), kind)
    rows = broadcast_in_dim(z, shape=(*sizes, n, n), dims=(*range(len(sizes)), len(sizes) + 1))
    moved = reduce_sum(broadcast_to(_factor(cov, method), (*sizes, n, n)) * rows, axes=(len(sizes) + 1,))
    return wrap(mean + moved)


def orthogonal(key: Any, n: int, shape: ShapeLike = (), dtype: Any = None, m: int | None = None) -> Array:
    """Uniformly random orthogonal matrices (*shape, n, n), or (*shape, n, m) with orthonormal rows or columns.

    A complex dtype gives unitary ones. Raises ValueError for a dtype that is neither, or for negative sizes.
    """
    key, sizes = check_key("orthogonal", key), shape_of("orthogonal", shape)
    cplx = dtype is not None and np.dtype(dtype).kind == "c"
    kind = np.dtype(dtype) if cplx else float_of("orthogonal", dtype)
    rows, columns = operator.index(n), operator.index(n if m is None else m)
    tall = shape_of("orthogonal", (*sizes, max(rows, columns), min(rows, columns)))
    q, r = _linalg(np.linalg.qr, unwrap(normal(key, tall, kind)))
    lead = len(sizes)
    eye = np.eye(tall[-1], dtype=kind)
    # The signs of r's diagonal make the factorisation unique and the distribution uniform.
    signs = e.sign(reduce_sum(r * eye, axes=(lead,)))
    x = q * broadcast_in_dim(signs, shape=tall, dims=(*range(lead), lead + 1))
    return wrap(_swap(x) if rows < columns else x)


def _swap(x: Any) -> Any:
    n = type_of(x).ndim
    return transpose(x, permutation=(*range(n - 2), n - 1, n - 2))
