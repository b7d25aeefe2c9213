"""lax.linalg's names: matrices over the last two axes, leading axes are a stack. Strict: dtypes are not promoted."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy import linalg
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e
from funcgrad.ops import linalg as rows
from funcgrad.ops.lu import lu as lu_row
from funcgrad.ops.lu import pivots_to_permutation
from funcgrad.ops.shape import slice_axis


def _inexact(name: str, *arrays: Any) -> tuple[Any, ...]:
    found = tuple(array_operand(a) for a in arrays)
    dtypes = {dtype_of(a) for a in found}
    if len(dtypes) > 1 or dtype_of(found[0]).kind not in "fc":
        listed = ", ".join(str(dtype_of(a)) for a in found)
        raise TypeError(f"lax.linalg.{name} needs floating or complex arrays of one dtype, got {listed}.")
    return found


def _square(name: str, x: Any) -> Any:
    (x,) = _inexact(name, x)
    shape = shape_of(x)
    if len(shape) < 2 or shape[-1] != shape[-2]:
        raise ValueError(f"lax.linalg.{name} needs square matrices over the last two axes, got shape {shape}.")
    return x


def _only(name: str, **options: Any) -> None:
    for option, value in options.items():
        if value is not None:
            raise NotImplementedError(f"lax.linalg.{name}: {option}={value!r} is not offered; leave it out.")


def hermitian_of_half(x: Any, lower: bool) -> Any:
    """The Hermitian matrices whose lower (or upper) triangle is that of x."""
    n = shape_of(x)[-1]
    strict = np.tril(np.ones((n, n), bool), -1)
    half = e.select(strict if lower else strict.T, x, 0.0)
    return half + rows.adjoint(half) + e.select(np.eye(n, dtype=bool), x, 0.0)


def cholesky(x: Any, *, symmetrize_input: bool = True) -> Any:
    """The lower triangular L with x = L @ L^H; of (x + x^H) / 2, or of x's lower triangle if not symmetrize_input.

    Raises LinAlgError for matrices that are not positive definite.
    """
    x = _square("cholesky", x)
    return wrap(rows.cholesky(x if symmetrize_input else hermitian_of_half(x, True)))


def cholesky_update(r_matrix: Any, w_vector: Any) -> Any:
    """The upper triangular R' with R'^T R' = R^T R + w w^T, for real R (n, n) and w (n,)."""
    r, w = _inexact("cholesky_update", r_matrix, w_vector)
    joined = rows.matmul2(rows.turn(r), r) + rows.as_column(w) * rows.as_row(w)
    return wrap(rows.adjoint(rows.cholesky(joined)))


def eigh(x: Any, *, lower: bool = True, symmetrize_input: bool = True, sort_eigenvalues: bool = True,
         subset_by_index: tuple[int, int] | None = None, implementation: None = None) -> tuple[Any, Any]:  # fmt: skip
    """Eigenvectors (columns) and eigenvalues of Hermitian matrices: of (x + x^H) / 2, or of one triangle of x.

    The eigenvalues ascend, whatever sort_eigenvalues allows. subset_by_index: from the first up to, not including, the second.
    """
    x = _square("eigh", x)
    _only("eigh", implementation=implementation)
    w, v = linalg.eigh(rows.hermitian(x) if symmetrize_input else hermitian_of_half(x, lower))
    if subset_by_index is not None:
        rank = len(shape_of(w))
        w, v = (slice_axis(array_operand(a), *subset_by_index, axis) for a, axis in ((w, rank - 1), (v, rank)))
    return wrap(v), wrap(w)


def eig(x: Any, *, compute_left_eigenvectors: bool = True, compute_right_eigenvectors: bool = True,
        enable_eigvec_derivs: bool = False, implementation: None = None, use_magma: None = None) -> list[Any]:  # fmt: skip
    """Eigenvalues, then left, then right eigenvectors of general matrices, complex; the ones that were asked for.

    Left eigenvectors are the columns v with v^H x = w v^H, of length 1. Both kinds have derivatives, with or without
    enable_eigvec_derivs, which permits them; eigenvectors keep their phase.
    """
    x = _square("eig", x)
    _only("eig", implementation=implementation, use_magma=use_magma)
    complex_x = basics.convert(x, np.result_type(dtype_of(x), np.complex64))
    w, v = linalg.eig(complex_x)
    found = [w]
    if compute_left_eigenvectors:
        left = rows.adjoint(rows.inverse(array_operand(v)))
        found.append(wrap(left / linalg.norm(left, axis=-2, keepdims=True)))
    return found + [v] if compute_right_eigenvectors else found


def svd(x: Any, *, full_matrices: bool = True, compute_uv: bool = True, subset_by_index: tuple[int, int] | None = None,
        algorithm: None = None) -> Any:  # fmt: skip
    """u, s, vh with x = u @ diag(s) @ vh, or s alone; s descends.

    Traced matrices that are not square need full_matrices=False, which subset_by_index (from, up to) needs as well.
    """
    (x,) = _inexact("svd", x)
    _only("svd", algorithm=algorithm)
    if subset_by_index is None:
        found = linalg.svd(x, full_matrices, compute_uv)
        return tuple(found) if compute_uv else found
    if full_matrices and compute_uv:
        raise ValueError("lax.linalg.svd: subset_by_index needs full_matrices=False.")
    u, s, vh = [array_operand(a) for a in linalg.svd(x, False)]
    rank = len(shape_of(x))
    u, s, vh = (slice_axis(a, *subset_by_index, n) for a, n in ((u, rank - 1), (s, rank - 2), (vh, rank - 2)))
    return (wrap(u), wrap(s), wrap(vh)) if compute_uv else wrap(s)


def qr(x: Any, *, pivoting: bool = False, full_matrices: bool = True, use_magma: None = None) -> tuple[Any, Any]:
    """q, r with x = q @ r. Traced matrices with more rows than columns need full_matrices=False; pivoting is not offered."""
    (x,) = _inexact("qr", x)
    _only("qr", pivoting=pivoting or None, use_magma=use_magma)
    return tuple(linalg.qr(x, "complete" if full_matrices else "reduced"))  # type: ignore[return-value]


def lu(x: Any) -> tuple[Any, Any, Any]:
    """The packed LU decomposition with row pivots: (LU, pivots, permutation), the last two int32.

    L is unit lower triangular; x[..., permutation, :] = L @ U.
    """
    (x,) = _inexact("lu", x)
    packed, pivots = lu_row(x)
    return wrap(packed), wrap(pivots), wrap(pivots_to_permutation(pivots, size=shape_of(x)[-2]))


def lu_pivots_to_permutation(pivots: Any, permutation_size: int) -> Any:
    """The int32 permutation of `permutation_size` rows that successive exchanges with rows `pivots` make."""
    found = array_operand(pivots)
    if dtype_of(found).kind not in "iu" or shape_of(found)[-1] > permutation_size:
        raise ValueError(
            f"lu_pivots_to_permutation needs at most {permutation_size} integer pivots, got {dtype_of(found)} of shape "
            f"{shape_of(found)}."
        )
    return wrap(pivots_to_permutation(found, size=int(permutation_size)))


def triangular_solve(a: Any, b: Any, *, left_side: bool = False, lower: bool = False, transpose_a: bool = False,
                     conjugate_a: bool = False, unit_diagonal: bool = False) -> Any:  # fmt: skip
    """x of op(a) x = b, or x op(a) = b unless left_side, for triangular a (..., n, n); the other triangle is not read.

    op: the transpose if transpose_a, the conjugate if conjugate_a. `b` has a's leading axes; it may be a vector (..., n).
    """
    a, b = _inexact("triangular_solve", _square("triangular_solve", a), b)
    shape = shape_of(a)
    vector = len(shape_of(b)) == len(shape) - 1
    if vector:
        b = rows.as_column(b) if left_side else rows.as_row(b)
    if shape_of(b)[:-2] != shape[:-2] or shape_of(b)[-2 if left_side else -1] != shape[-1]:
        raise ValueError(f"triangular_solve: shapes {shape} and {shape_of(b)} do not fit with left_side={left_side}.")
    if conjugate_a and dtype_of(a).kind == "c":
        a = basics.conj(a)
    options = {"lower": bool(lower), "unit": bool(unit_diagonal)}
    if left_side:
        found = rows.triangular_solve(a, b, transposed=bool(transpose_a), **options)
    else:
        found = rows.turn(rows.triangular_solve(a, rows.turn(b), transposed=not transpose_a, **options))
    return wrap(basics.reshape(found, shape=shape[:-1]) if vector else found)


def _reflector(a: Any, i: int) -> Any:
    """Column i of packed reflectors (..., m, k), with 1 at place i and 0 before it, as a column."""
    rank, m = len(shape_of(a)), shape_of(a)[-2]
    column = slice_axis(a, i, i + 1, rank - 1)
    below, here = np.arange(m)[:, None] > i, (np.arange(m)[:, None] == i).astype(dtype_of(a))
    return e.select(below, column, 0.0) + here


def _reflect(a: Any, taus: Any, i: int, x: Any, adjoint: bool = False) -> Any:
    """H_i x of matrices x, with H_i = 1 - tau_i v_i v_i^H; its adjoint has conj(tau)."""
    v = _reflector(a, i)
    tau = rows.as_column(slice_axis(taus, i, i + 1, len(shape_of(taus)) - 1))
    if adjoint and dtype_of(a).kind == "c":
        tau = basics.conj(tau)
    return x - tau * v * rows.matmul2(rows.adjoint(v), x)


def householder_product(a: Any, taus: Any) -> Any:
    """The first n columns of H_0 H_1 ... H_(k-1), the reflectors packed in the columns of a (..., m, n) as by LAPACK."""
    a, taus = _inexact("householder_product", a, taus)
    m, n = shape_of(a)[-2:]
    if m < n or shape_of(taus)[:-1] != shape_of(a)[:-2] or shape_of(taus)[-1] > n:
        raise ValueError(f"householder_product: shapes {shape_of(a)} and {shape_of(taus)} do not fit.")
    q = basics.broadcast_to(np.eye(m, n, dtype=dtype_of(a)), shape_of(a))
    for i in reversed(range(shape_of(taus)[-1])):
        q = _reflect(a, taus, i, q)
    return wrap(q)


def ormqr(a: Any, taus: Any, c: Any, *, left: bool = True, transpose: bool = False) -> Any:
    """q c (or c q unless left; q^H for q if transpose) for the whole q (m, m) of reflectors packed in a (..., m, k)."""
    a, taus, c = _inexact("ormqr", a, taus, c)
    if not left:
        # c q = (q^H c^H)^H
        return wrap(rows.adjoint(array_operand(ormqr(a, taus, rows.adjoint(c), transpose=not transpose))))
    order = range(shape_of(taus)[-1])
    for i in order if transpose else reversed(order):
        c = _reflect(a, taus, i, c, adjoint=transpose)
    return wrap(c)


def symmetric_product(a_matrix: Any, c_matrix: Any, *, alpha: float = 1.0, beta: float = 0.0,
                      symmetrize_output: bool = False) -> Any:  # fmt: skip
    """alpha * a @ a^T + beta * c, for c symmetric. The result is whole, whether or not symmetrize_output asks for that."""
    a, c = _inexact("symmetric_product", a_matrix, c_matrix)
    product = rows.matmul2(a, rows.turn(a)) * alpha
    return wrap(product + c * beta if beta else product)


def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool = False) -> Any:
    """x of a x = b for matrices with diagonals dl (below; dl[0] is not read), d and du (above; du[-1] is not read).

    The matrices (..., n, n) are made whole: memory grows with n * n.
    """
    _only("tridiagonal_solve", perturb_singular=perturb_singular or None)
    dl, d, du, b = _inexact("tridiagonal_solve", dl, d, du, b)
    n = shape_of(d)[-1]
    if shape_of(dl) != shape_of(d) or shape_of(du) != shape_of(d) or shape_of(b)[:-1] != shape_of(d):
        shapes = [shape_of(x) for x in (dl, d, du, b)]
        raise ValueError(f"tridiagonal_solve needs diagonals (..., n) and b (..., n, k), got shapes {shapes}.")
    place = np.arange(n)
    bands = ((dl, -1), (d, 0), (du, 1))
    whole = [e.select(place[None, :] - place[:, None] == k, rows.as_column(x), 0.0) for x, k in bands]
    return wrap(rows.solve(whole[0] + whole[1] + whole[2], b))
