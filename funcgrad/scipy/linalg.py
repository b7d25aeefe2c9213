"""jax.scipy.linalg's names: decompositions and solvers over the last two axes, leading axes are a stack.

`overwrite_a`, `overwrite_b` and `check_finite` are SciPy's permissions to write into an argument or to look for nan first.
Arrays are immutable and nan passes through, so no result depends on them; they stand here for the signature's sake, as in JAX.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.lax import linalg as lax_linalg
from funcgrad.lax.linalg import hermitian_of_half
from funcgrad.numpy import linalg
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import basics
from funcgrad.ops import linalg as rows
from funcgrad.ops.lu import factors, permuted_rows, pivots_to_permutation
from funcgrad.ops.lu import lu as lu_row
from funcgrad.ops.shape import slice_axis
from funcgrad.scipy.matrix_functions import expm as expm
from funcgrad.scipy.matrix_functions import expm_frechet as expm_frechet
from funcgrad.scipy.matrix_functions import polar as polar
from funcgrad.scipy.special_matrices import block_diag as block_diag
from funcgrad.scipy.special_matrices import circulant as circulant
from funcgrad.scipy.special_matrices import companion as companion
from funcgrad.scipy.special_matrices import convolution_matrix as convolution_matrix
from funcgrad.scipy.special_matrices import dft as dft
from funcgrad.scipy.special_matrices import fiedler as fiedler
from funcgrad.scipy.special_matrices import hadamard as hadamard
from funcgrad.scipy.special_matrices import hankel as hankel
from funcgrad.scipy.special_matrices import helmert as helmert
from funcgrad.scipy.special_matrices import hilbert as hilbert
from funcgrad.scipy.special_matrices import invhilbert as invhilbert
from funcgrad.scipy.special_matrices import invpascal as invpascal
from funcgrad.scipy.special_matrices import leslie as leslie
from funcgrad.scipy.special_matrices import pascal as pascal
from funcgrad.scipy.special_matrices import toeplitz as toeplitz


def _matrices(name: str, a: Any, square: bool = False) -> Any:
    a = array_operand(a)
    shape = shape_of(a)
    if len(shape) < 2 or (square and shape[-1] != shape[-2]):
        kind = "square matrices" if square else "matrices"
        raise ValueError(f"scipy.linalg.{name} needs {kind} over the last two axes, got shape {shape}.")
    return a if dtype_of(a).kind in "fc" else basics.convert(a, np.float64)


def _system(name: str, a: Any, b: Any) -> tuple[Any, Any, bool]:
    """Square matrices and right-hand sides of one dtype and equal leading axes; and whether b was one vector."""
    a, b = _matrices(name, a, True), array_operand(b)
    vector = len(shape_of(b)) == 1
    if vector:
        b = rows.as_column(b)
    if len(shape_of(b)) < 2 or shape_of(b)[-2] != shape_of(a)[-1]:
        raise ValueError(f"scipy.linalg.{name}: a of shape {shape_of(a)} and b of shape {shape_of(b)} do not fit.")
    lead = np.broadcast_shapes(shape_of(a)[:-2], shape_of(b)[:-2])
    dtype = np.result_type(dtype_of(a), dtype_of(b))
    a = basics.convert(basics.broadcast_to(a, lead + shape_of(a)[-2:]), dtype)
    b = basics.convert(basics.broadcast_to(b, lead + shape_of(b)[-2:]), dtype)
    return a, b, vector


def _solution(x: Any, vector: bool) -> Any:
    return wrap(basics.reshape(x, shape=shape_of(x)[:-1]) if vector else x)


# ---- Cholesky ----


def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The triangular factor of positive definite matrices: a = L @ L^H if `lower`, else a = R^H @ R.

    Only that triangle of `a` is read, the other one of the result is 0. Raises LinAlgError if `a` is not positive definite.
    """
    a = _matrices("cholesky", a, True)
    found = array_operand(lax_linalg.cholesky(a if lower else rows.adjoint(a), symmetrize_input=False))
    return wrap(found if lower else rows.adjoint(found))


def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, bool]:
    """`cholesky(a, lower)` and `lower`: what cho_solve takes."""
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """x of a x = b, from cho_factor(a); `b` is a vector (n,) or matrices (..., n, k)."""
    factor, lower = c_and_lower
    c, b, vector = _system("cho_solve", factor, b)
    left = c if lower else rows.adjoint(c)
    inner = rows.triangular_solve(left, b, lower=True, transposed=False, unit=False)
    return _solution(
        rows.triangular_solve(rows.adjoint(left), inner, lower=False, transposed=False, unit=False), vector
    )


# ---- LU ----


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """The packed factors L (below the diagonal, ones on it) and U of matrices (..., n, n), and the int32 row pivots."""
    packed, pivots = lu_row(_matrices("lu_factor", a))
    return wrap(packed), wrap(pivots)


def lu_solve(lu_and_piv: tuple[Any, Any], b: Any, trans: int = 0, overwrite_b: bool = False,
             check_finite: bool = True) -> Any:  # fmt: skip
    """x of a x = b, from lu_factor(a); with trans 1 of a^T x = b, with 2 of a^H x = b."""
    packed, b, vector = _system("lu_solve", lu_and_piv[0], b)
    if trans not in (0, 1, 2):
        raise ValueError(f"scipy.linalg.lu_solve: trans must be 0, 1 or 2, got {trans!r}.")
    shape = shape_of(packed)
    pivots = basics.broadcast_to(array_operand(lu_and_piv[1]), shape[:-1])
    order = pivots_to_permutation(pivots, size=shape[-1])
    if trans == 0:
        inner = rows.triangular_solve(packed, permuted_rows(order, b), lower=True, transposed=False, unit=True)
        return _solution(rows.triangular_solve(packed, inner, lower=False, transposed=False, unit=False), vector)
    if trans == 2 and dtype_of(packed).kind == "c":
        packed = basics.conj(packed)
    inner = rows.triangular_solve(packed, b, lower=False, transposed=True, unit=False)
    inner = rows.triangular_solve(packed, inner, lower=True, transposed=True, unit=True)
    return _solution(permuted_rows(_inverse_order(order), inner), vector)


def _inverse_order(order: Any) -> Any:
    """The inverse of permutations (..., n)."""
    n = shape_of(order)[-1]
    places = rows.as_row(order) == np.arange(n, dtype=np.int32)[:, None]
    return basics.reduce_sum(
        basics.convert(places, np.int32) * np.arange(n, dtype=np.int32), axes=(len(shape_of(places)) - 1,)
    )


def lu(a: Any, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """p, l, u with a = p @ l @ u for matrices (..., m, n); or p @ l, u if permute_l."""
    a = _matrices("lu", a)
    m, n = shape_of(a)[-2:]
    packed, pivots = lu_row(a)
    left, right = factors(packed)
    rank, k = len(shape_of(a)), min(m, n)
    left, right = slice_axis(left, 0, k, rank - 1), slice_axis(right, 0, k, rank - 2)
    order = pivots_to_permutation(pivots, size=m)
    if permute_l:
        return wrap(permuted_rows(_inverse_order(order), left)), wrap(right)
    places = rows.as_row(order) == np.arange(m, dtype=np.int32)[:, None]
    return wrap(basics.convert(places, rows.real_dtype(dtype_of(a)))), wrap(left), wrap(right)


# ---- solving ----

_ASSUMED = ("gen", "sym", "her", "pos")


def solve(a: Any, b: Any, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
          debug: bool = False, check_finite: bool = True, assume_a: str = "gen") -> Any:  # fmt: skip
    """x of a x = b; `b` is a vector (n,) or matrices (..., n, k).

    assume_a: what is promised of a: "pos" (positive definite: only one triangle is read, the lower one if `lower`), or
    "gen", "sym", "her", which are solved alike. Raises ValueError for another one, LinAlgError for singular matrices.
    """
    if assume_a not in _ASSUMED:
        raise ValueError(f"scipy.linalg.solve: assume_a must be one of {', '.join(_ASSUMED)}, got {assume_a!r}.")
    if debug:
        raise NotImplementedError("scipy.linalg.solve: debug=True is not offered; leave it out.")
    if assume_a == "pos":
        return cho_solve(cho_factor(a, lower), b)
    a, b, vector = _system("solve", a, b)
    return _solution(rows.solve(a, b), vector)


_TRANSPOSED = {0: 0, "N": 0, 1: 1, "T": 1, 2: 2, "C": 2}


def solve_triangular(a: Any, b: Any, trans: int | str = 0, lower: bool = False, unit_diagonal: bool = False,
                     overwrite_b: bool = False, debug: Any = None, check_finite: bool = True) -> Any:  # fmt: skip
    """x of a x = b for triangular a; trans 1 or "T": of a^T x = b; 2 or "C": of a^H x = b. The other triangle is not read."""
    if trans not in _TRANSPOSED:
        raise ValueError(f"scipy.linalg.solve_triangular: trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}.")
    if debug is not None:
        raise NotImplementedError("scipy.linalg.solve_triangular: debug is not offered; leave it out.")
    a, b, vector = _system("solve_triangular", a, b)
    kind = _TRANSPOSED[trans]
    if kind == 2 and dtype_of(a).kind == "c":
        a = basics.conj(a)
    found = rows.triangular_solve(a, b, lower=bool(lower), transposed=kind > 0, unit=bool(unit_diagonal))
    return _solution(found, vector)


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The inverse matrices."""
    return linalg.inv(_matrices("inv", a, True))


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """The determinants, shape (...); the derivative is exact for singular matrices too."""
    return linalg.det(_matrices("det", a, True))


# ---- orthogonal decompositions ----


def qr(a: Any, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False,
       check_finite: bool = True) -> tuple[Any, ...]:  # fmt: skip
    """(q, r) with a = q @ r; mode "economic" gives min(m, n) columns of q, "r" gives (r,). pivoting is not offered.

    Traced matrices with more rows than columns need mode "economic". `lwork` is LAPACK's and must be None.
    """
    modes = {"full": "complete", "economic": "reduced", "r": "r"}
    if mode not in modes:
        raise ValueError(f"scipy.linalg.qr: mode must be 'full', 'economic' or 'r', got {mode!r}.")
    if pivoting or lwork is not None:
        raise NotImplementedError(
            f"scipy.linalg.qr: pivoting={pivoting}, lwork={lwork} are not offered; leave them out."
        )
    a = _matrices("qr", a)
    if mode == "r":
        # SciPy's r keeps all rows; those below the n-th are 0.
        return (wrap(_with_rows(array_operand(linalg.qr(a, "r")), shape_of(a)[-2])),)
    return tuple(linalg.qr(a, modes[mode]))


def _with_rows(r: Any, m: int) -> Any:
    """`r` with rows of zeros up to m rows."""
    lead, k = shape_of(r)[:-2], shape_of(r)[-2]
    if k == m:
        return r
    eye = basics.broadcast_to(np.eye(m, k, dtype=dtype_of(r)), (*lead, m, k))
    return rows.matmul2(eye, r)


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False,
        check_finite: bool = True, lapack_driver: str = "gesdd") -> Any:  # fmt: skip
    """u, s, vh with a = u @ diag(s) @ vh, or s alone. Traced matrices that are not square need full_matrices=False."""
    if lapack_driver != "gesdd":
        raise NotImplementedError(f"scipy.linalg.svd: lapack_driver {lapack_driver!r} is not offered, only 'gesdd'.")
    found = linalg.svd(_matrices("svd", a), full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


def eigh(a: Any, b: Any = None, lower: bool = True, eigvals_only: bool = False, overwrite_a: bool = False,
         overwrite_b: bool = False, turbo: bool = True, eigvals: None = None, type: int = 1,
         check_finite: bool = True) -> Any:  # fmt: skip
    """Ascending eigenvalues and eigenvectors (columns) of Hermitian a v = w v, or of a v = w b v for positive definite b.

    One triangle of a (and b) is read. Then v^H b v = 1. `turbo` is LAPACK's choice of algorithm.
    Only type 1 and all eigenvalues are offered (NotImplementedError).
    """
    if type != 1 or eigvals is not None:
        raise NotImplementedError(f"scipy.linalg.eigh: type={type}, eigvals={eigvals} are not offered; leave them out.")
    a = _matrices("eigh", a, True)
    uplo = "L" if lower else "U"
    if b is None:
        w, v = linalg.eigh(a, uplo)
        return w if eigvals_only else (w, v)
    # With b = L L^H: L^-1 a L^-H y = w y, and v = L^-H y.
    left = array_operand(cholesky(b, True)) if lower else rows.adjoint(array_operand(cholesky(b, False)))
    left, whole, _ = _system("eigh", left, hermitian_of_half(a, lower))
    half = rows.triangular_solve(left, whole, lower=True, transposed=False, unit=False)
    inner = rows.triangular_solve(left, rows.adjoint(half), lower=True, transposed=False, unit=False)
    w, y = linalg.eigh(inner)
    if eigvals_only:
        return w
    return w, wrap(
        rows.triangular_solve(rows.adjoint(left), array_operand(y), lower=False, transposed=False, unit=False)
    )
