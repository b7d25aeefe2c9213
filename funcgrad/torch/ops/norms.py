"""Norms of vectors and matrices, condition numbers and ranks: what torch.linalg has of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.decompositions import matrices
from funcgrad.torch.ops.promotion import as_dtype
from funcgrad.torch.ops.reductions import axes_of, norm_of
from funcgrad.torch.ops.solvers import LinAlgError, inv
from funcgrad.torch.ops.views import wrap_dim
from funcgrad.torch.tensor import Tensor


@operation("LinalgVectorNormBackward0", method=False, saves="result", name="vector_norm")
def _vector_norm(x: Operand, ord: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    kept = as_dtype(x, dtype)
    if kept.dtype.kind not in "fc":
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {kept.dtype}"
        )
    return norm_of(kept, ord, axes_of(dim, x.ndim), keepdim)


def vector_norm(
    x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Tensor:
    """The norm of the elements over the given dimensions (all by default); its derivative at 0 is 0."""
    return _vector_norm(x, ord, dim, keepdim, dtype, out=out)


_MATRIX = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


def _title(A: Any, ord: Any, *rest: Any) -> str:
    if ord == "fro":
        return "LinalgVectorNormBackward0"
    return "SumBackward1" if ord == "nuc" else "AmaxBackward0" if ord > 0 else "AminBackward0"


@operation(_title, method=False, saves="result", name="matrix_norm")
def _matrix_norm(A: Operand, ord: Any, dim: tuple[int, int], keepdim: bool, dtype: Any) -> Any:
    x = matrices(as_dtype(A, dtype), "linalg.matrix_norm")
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {list(dim)}")
    axes = tuple(wrap_dim(d, x.ndim) for d in dim)
    if axes[0] == axes[1]:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord not in _MATRIX:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "fro":
        return norm_of(x, 2, axes, keepdim)
    moved = fnp.moveaxis(x, axes, (-2, -1))
    found = _by_values(moved, ord) if ord in ("nuc", 2, -2) else _by_sums(moved, ord)
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return fnp.reshape(found, kept) if keepdim else found


def _by_values(x: Any, ord: Any) -> Any:
    s = fnp.linalg.svdvals(x)
    return fnp.sum(s, axis=-1) if ord == "nuc" else (fnp.max if ord > 0 else fnp.min)(s, axis=-1)


def _by_sums(x: Any, ord: Any) -> Any:
    sums = fnp.sum(fnp.abs(x), axis=-2 if abs(ord) == 1 else -1)
    return (fnp.max if ord > 0 else fnp.min)(sums, axis=-1)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Tensor:
    """The norm of matrices: "fro", "nuc" (sum of singular values), 2 (the largest), -2, or largest sums 1, inf (-1, -inf)."""
    return _matrix_norm(A, ord, tuple(dim), keepdim, dtype, out=out)


def linalg_norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Tensor:
    """The norm of vectors (one dimension) or matrices (two); without `ord` the 2-norm of the elements."""
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype, out=out)
    pair = dim if isinstance(dim, (tuple, list)) else None if dim is None else (dim,)
    if pair is None:
        if A.ndim not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D."
            )
        pair = tuple(range(A.ndim))
    if len(pair) == 1:
        if isinstance(ord, str):
            raise RuntimeError("linalg.matrix_norm: dim must be a 2-tuple. Got " + str(list(pair)))
        return vector_norm(A, ord, pair, keepdim, dtype=dtype, out=out)
    return matrix_norm(A, ord, pair, keepdim, dtype=dtype, out=out)


def cond(A: Tensor, p: Any = None, *, out: Any = None) -> Tensor:
    """The condition number by a matrix norm (None is 2); inf for singular matrices."""
    if p in (None, 2, -2):
        return _cond_by_values(A, p == -2, out=out)
    size: Any = matrix_norm(A, p)
    try:
        found = size * matrix_norm(inv(A), p)
    except LinAlgError:
        found = size * math.inf
    return found if out is None else out.copy_(found)


@operation("SqueezeBackward1", method=False)
def _cond_by_values(A: Operand, smallest_first: bool) -> Any:
    s = fnp.linalg.svdvals(matrices(A, "linalg.cond"))
    return s[..., -1] / s[..., 0] if smallest_first else s[..., 0] / s[..., -1]


@operation(method=False)
def _rank(A: Operand, atol: Operand, rtol: Operand, hermitian: bool) -> Any:
    x = matrices(A, "linalg.matrix_rank")
    if 0 in x.shape[-2:]:
        return fnp.zeros(x.shape[:-2], np.int64)
    s = fnp.abs(fnp.linalg.eigvalsh(x)) if hermitian else fnp.linalg.svdvals(x)
    if rtol is None:
        rtol = 0.0 if atol is not None else max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    bound = fnp.max(s, axis=-1) * rtol
    if atol is not None:
        bound = fnp.maximum(bound, atol)
    return fnp.sum((s > bound[..., None]).astype(np.int64), axis=-1)


def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Any = None
) -> Tensor:
    """The number of singular values above max(atol, rtol * largest); `tol` is an older name of atol."""
    return _rank(A, atol if tol is None else tol, rtol, hermitian, out=out)
