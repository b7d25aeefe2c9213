"""Decompositions of matrices: eigh, eig, svd, qr, pinv. See ops/linalg.py for the sources of the formulas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import convert, reduce_sum
from funcgrad.ops.dot import matmul2
from funcgrad.ops.elementwise import select
from funcgrad.ops.families import array, register
from funcgrad.ops.linalg import (
    adjoint,
    as_column,
    as_row,
    check_square,
    definite,
    diagonal_of,
    gaps,
    hermitian,
    inverse,
    real_dtype,
    real_part,
    sample_matrix,
    square_samples,
    stacked,
    triangular_solve,
    turn,
)

# ---- eigenvalues of Hermitian matrices ----


def _eigh_impl(a: Any) -> Any:
    a = np.asarray(a)
    return tuple(np.linalg.eigh((a + np.swapaxes(a, -1, -2).conj()) * 0.5))


def _eigh_type(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    check_square("eigh", a)
    return array_type(a.shape[:-1], real_dtype(a.dtype)), array_type(a.shape, a.dtype)


def _eigh_jvp(tangents: Sequence[Any], outs: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    w, v = outs
    inner = matmul2(adjoint(v), matmul2(hermitian(tangents[0]), v))
    return [real_part(diagonal_of(inner)), matmul2(v, inner * convert(gaps(w), dtype_of(v)))]


eigh: Primitive = register(
    Primitive(
        "eigh",
        _eigh_impl,
        _eigh_type,
        _eigh_jvp,
        batch=stacked(lambda: eigh),
        multiple=True,
        samples=square_samples(definite),
    )
)

# ---- eigenvalues of general matrices: always complex ----


def _eig_impl(a: Any) -> Any:
    dtype = np.result_type(np.asarray(a).dtype, np.complex64)
    w, v = np.linalg.eig(a)
    return w.astype(dtype), v.astype(dtype)


def _eig_type(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    check_square("eig", a)
    dtype = np.result_type(a.dtype, np.complex64)
    return array_type(a.shape[:-1], dtype), array_type(a.shape, dtype)


def _eig_jvp(tangents: Sequence[Any], outs: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    w, v = outs
    inner = matmul2(inverse(v), matmul2(convert(tangents[0], dtype_of(v)), v))
    moved = matmul2(v, inner * gaps(w))
    # Eigenvectors keep length 1; their phase is held, which no eigenvalue depends on.
    along = adjoint(v)
    overlap = convert(real_part(reduce_sum(turn(along) * moved, axes=(len(shape_of(v)) - 2,))), dtype_of(v))
    return [diagonal_of(inner), moved - v * as_row(overlap)]


def _real_spectrum(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return array(rng, shape) * 0.1 + np.diag([1.0, 3.0, 6.0])


eig: Primitive = register(
    Primitive(
        "eig",
        _eig_impl,
        _eig_type,
        _eig_jvp,
        batch=stacked(lambda: eig),
        multiple=True,
        samples=square_samples(_real_spectrum),
    )
)

# ---- singular values (thin) ----


def _svd_type(a: ArrayType) -> tuple[ArrayType, ArrayType, ArrayType]:
    *lead, m, n = a.shape
    k = min(m, n)
    return (
        array_type((*lead, m, k), a.dtype),
        array_type((*lead, k), real_dtype(a.dtype)),
        array_type((*lead, k, n), a.dtype),
    )


def _svd_jvp(tangents: Sequence[Any], outs: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    (t,) = tangents
    u, s, vh = outs
    dtype = dtype_of(u)
    v, uh = adjoint(vh), adjoint(u)
    inner = matmul2(uh, matmul2(t, v))
    apart, row, column = convert(gaps(s * s), dtype), convert(as_row(s), dtype), convert(as_column(s), dtype)
    left = inner * row + column * adjoint(inner)
    right = column * inner + adjoint(inner) * row
    du, dv = matmul2(u, apart * left), matmul2(v, apart * right)
    if dtype.kind == "c":
        # The phase that U and V share stays with U.
        eye = np.eye(shape_of(s)[-1], dtype=bool)
        skew = select(eye, (inner - adjoint(inner)) * 0.5, 0.0) / row
        du = du + matmul2(u, skew)
    m, n = shape_of(u)[-2], shape_of(v)[-2]
    k = shape_of(s)[-1]
    if m > k:
        tv = matmul2(t, v)
        du = du + (tv - matmul2(u, matmul2(uh, tv))) / row
    if n > k:
        tu = matmul2(adjoint(t), u)
        dv = dv + (tu - matmul2(v, matmul2(vh, tu))) / row
    return [du, real_part(diagonal_of(inner)), adjoint(dv)]


svd: Primitive = register(
    Primitive(
        "svd",
        lambda a: tuple(np.linalg.svd(a, full_matrices=False)),
        _svd_type,
        _svd_jvp,
        batch=stacked(lambda: svd),
        multiple=True,
        samples=lambda rng: [((sample_matrix(rng, *s),), {}) for s in ((3, 3), (4, 3), (3, 4), (2, 4, 3))],
    )
)

# ---- QR (thin, at least as many rows as columns) ----


def _qr_type(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    *lead, m, n = a.shape
    if m < n:
        raise TypeError(f"the qr primitive needs at least as many rows as columns, got {a}.")
    return array_type((*lead, m, n), a.dtype), array_type((*lead, n, n), a.dtype)


def _qr_jvp(tangents: Sequence[Any], outs: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    (t,) = tangents
    q, r = outs
    # t R^-1, by solving from the right.
    moved = turn(triangular_solve(r, turn(t), lower=False, transposed=True, unit=False))
    inner = matmul2(adjoint(q), moved)
    n = shape_of(r)[-1]
    lower = select(np.tril(np.ones((n, n), bool), -1), inner, 0.0)
    spin = lower - adjoint(lower)
    if dtype_of(q).kind == "c":
        spin = spin + select(np.eye(n, dtype=bool), inner - convert(real_part(inner), dtype_of(q)), 0.0)
    return [matmul2(q, spin - inner) + moved, matmul2(inner - spin, r)]


qr: Primitive = register(
    Primitive(
        "qr",
        lambda a: tuple(np.linalg.qr(a)),
        _qr_type,
        _qr_jvp,
        batch=stacked(lambda: qr),
        multiple=True,
        samples=lambda rng: [((sample_matrix(rng, *s),), {}) for s in ((3, 3), (4, 3), (2, 4, 3))],
    )
)

# ---- the pseudo-inverse ----


def _pinv_type(a: ArrayType, *, rtol: Any, hermitian: bool) -> ArrayType:
    return array_type((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)


def _pinv_impl(a: Any, *, rtol: Any, hermitian: bool) -> Any:
    return np.linalg.pinv(a, rcond=rtol, hermitian=hermitian)


def _pinv_jvp(tangents: Sequence[Any], p: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    (t,), (a,) = tangents, args
    th, ph = adjoint(t), adjoint(p)
    first = matmul2(p, matmul2(ph, th))
    second = matmul2(th, matmul2(ph, p))
    return (
        -matmul2(p, matmul2(t, p)) + (first - matmul2(first, matmul2(a, p))) + (second - matmul2(p, matmul2(a, second)))
    )


pinv: Primitive = register(
    Primitive(
        "pinv",
        _pinv_impl,
        _pinv_type,
        _pinv_jvp,
        batch=stacked(lambda: pinv),
        samples=lambda rng: [
            ((sample_matrix(rng, *s) + 0 * array(rng, s),), {"rtol": 1e-15, "hermitian": False})
            for s in ((3, 3), (4, 3), (3, 4))
        ],
    )
)
