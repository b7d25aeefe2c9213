"""Inverses, determinants, solutions of linear systems and powers of matrices, over the last two dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.lax import linalg as lax_linalg
from funcgrad.scipy import linalg as scipy_linalg
from funcgrad.torch import return_types
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.decompositions import LinAlgError, checked, matrices, squares
from funcgrad.torch.ops.promotion import summable, together
from funcgrad.torch.tensor import Tensor, concrete, make

# ---- inverses ----


@operation("LinalgInvExBackward0", method=False, saves="result", name="inv")
def _inv(input: Operand) -> Any:
    return fnp.linalg.inv(squares(input, "linalg.inv"))


def inv(A: Tensor, *, out: Any = None) -> Tensor:
    """The inverse matrices. Raises LinAlgError for singular ones."""
    return checked(lambda: _inv(A, out=out), A, lambda: _singular("linalg.inv", A))


def _zero_pivot(A: Tensor) -> int:
    """Where elimination first meets a zero on the diagonal, counted from 1."""
    a = concrete(A, "torch.linalg")
    for i in np.ndindex(*a.shape[:-2]):
        for k in range(1, a.shape[-1] + 1):
            if np.linalg.matrix_rank(a[i][:, :k]) < k:
                return k
    return a.shape[-1]


def _singular(name: str, A: Tensor) -> str:
    return (
        f"{name}: The diagonal element {_zero_pivot(A)} is zero, the inversion could not be completed because the input matrix "
        "is singular."
    )


def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """(inverse, info); info is not 0 for singular matrices, whose inverse is given as nan unless `check_errors`."""
    try:
        return return_types.linalg_inv_ex(inv(A), make(np.zeros(A.shape[:-2], np.int32)))
    except LinAlgError:
        if check_errors:
            raise
        a = concrete(A, "torch.linalg.inv_ex")
        found, info = np.full(a.shape, np.nan, a.dtype), np.zeros(a.shape[:-2], np.int32)
        for i in np.ndindex(*a.shape[:-2]):
            try:
                found[i] = np.linalg.inv(a[i])
            except np.linalg.LinAlgError:
                info[i] = _zero_pivot(make(a[i]))
        return return_types.linalg_inv_ex(make(found), make(info))


@operation("LinalgPinvBackward0", method=False, saves="result", name="pinv")
def _pinv(A: Operand, atol: Any, rtol: Any, hermitian: bool) -> Any:
    x = matrices(A, "linalg.pinv")
    if 0 in x.shape:
        return fnp.swapaxes(x, -1, -2)
    if rtol is None:
        rtol = 0.0 if atol else max(x.shape[-2:]) * float(np.finfo(x.dtype).eps)
    if not atol:
        return fnp.linalg.pinv(x, rtol=rtol, hermitian=hermitian)
    u, s, vh = fnp.linalg.svd(x, full_matrices=False)
    large = s > fnp.maximum(rtol * s[..., :1], atol)
    scale = fnp.where(large, 1 / fnp.where(large, s, 1), 0)
    return fnp.matmul(fnp.conj(fnp.swapaxes(vh, -1, -2)) * scale[..., None, :], fnp.conj(fnp.swapaxes(u, -1, -2)))


def _number(x: Any) -> Any:
    return x.item() if isinstance(x, Tensor) else x


def pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None, out: Any = None
) -> Tensor:
    """The Moore-Penrose inverse; singular values up to max(atol, rtol * largest) count as zero."""
    return _pinv(A, _number(atol), _number(rcond if rtol is None else rtol), hermitian, out=out)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """As `linalg.pinv`."""
    return pinv(input, rtol=rcond)


# ---- determinants ----


@operation("LinalgDetBackward0", saves="result")
def det(A: Operand) -> Any:
    """The determinants."""
    return fnp.linalg.det(squares(A, "linalg.det"))


@operation(method=False, saves="result", result=return_types.linalg_slogdet)
def linalg_slogdet(A: Operand) -> Any:
    """(sign, logarithm of the absolute value) of the determinants."""
    return tuple(fnp.linalg.slogdet(squares(A, "linalg.slogdet")))


def slogdet(input: Tensor, *, out: Any = None) -> Any:
    """(sign, logarithm of the absolute value) of the determinants."""
    return return_types.slogdet(*linalg_slogdet(input, out=out))


@operation("WhereBackward0")
def logdet(input: Operand) -> Any:
    """The logarithms of the determinants; nan for negative ones."""
    sign, size = fnp.linalg.slogdet(squares(input, "logdet"))
    if input.dtype.kind == "c":
        return size + fnp.log(sign)
    return fnp.where(sign < 0, np.nan, size)


# ---- linear systems ----


def _columns(a: Any, b: Any) -> bool:
    """Whether b is a stack of vectors rather than of matrices, by PyTorch's rule."""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1]))


@operation("LinalgSolveExBackward0", method=False, saves="result", name="linalg_solve")
def _solve(A: Operand, B: Operand, left: bool) -> Any:
    squares(A, "linalg.solve")
    if A.dtype != B.dtype:
        raise RuntimeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type {A.dtype} and B of type {B.dtype}"
        )
    vector = _columns(A, B)
    b = B[..., None] if vector else B
    if not left:
        return fnp.swapaxes(_solved(fnp.swapaxes(A, -1, -2), fnp.swapaxes(b, -1, -2)), -1, -2)
    found = _solved(A, b)
    return found[..., 0] if vector else found


def _solved(a: Any, b: Any) -> Any:
    if b.shape[-2] != a.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({a.shape[-2]}x{a.shape[-1]} and "
            f"{b.shape[-2]}x{b.shape[-1]})"
        )
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if 0 in (*lead, *a.shape[-2:], *b.shape[-2:]):
        return fnp.zeros((*lead, *b.shape[-2:]), b.dtype)
    return fnp.linalg.solve(a, b)


def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Any = None) -> Tensor:
    """X of A X = B, or of X A = B unless `left`; B holds vectors or matrices. Raises LinAlgError for singular A."""
    return checked(
        lambda: _solve(A, B, left, out=out),
        A,
        lambda: "torch.linalg.solve: The solver failed because the input matrix is singular.",
    )


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """(result, info): as `solve`, with a zero for each matrix. Raises LinAlgError for singular A."""
    found = solve(A, B, left=left)
    return return_types.linalg_solve_ex(found, make(np.zeros(A.shape[:-2], np.int32)))


@operation("LinalgSolveTriangularBackward0", method=False, saves="result")
def solve_triangular(A: Operand, B: Operand, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """X of A X = B, or of X A = B unless `left`, for triangular A."""
    lead = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    a, b = fnp.broadcast_to(A, (*lead, *A.shape[-2:])), fnp.broadcast_to(B, (*lead, *B.shape[-2:]))
    if 0 in b.shape:
        return b
    return lax_linalg.triangular_solve(a, b, left_side=left, lower=not upper, unit_diagonal=unitriangular)


@operation(saves="result", result=return_types.triangular_solve)
def triangular_solve(
    input: Operand, A: Operand, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """(solution, copy of A): X of A X = input for triangular A, or of A^T X = input."""
    lead = np.broadcast_shapes(A.shape[:-2], input.shape[:-2])
    a, b = fnp.broadcast_to(A, (*lead, *A.shape[-2:])), fnp.broadcast_to(input, (*lead, *input.shape[-2:]))
    found = lax_linalg.triangular_solve(
        a, b, left_side=True, lower=not upper, transpose_a=transpose, unit_diagonal=unitriangular
    )
    return found, fnp.copy(a)


@operation("LinalgLuSolveBackward0", method=False, saves="result", name="linalg_lu_solve")
def _lu_solve(LU: Operand, pivots: Operand, B: Operand, left: bool, adjoint: bool) -> Any:
    lead = np.broadcast_shapes(LU.shape[:-2], B.shape[:-2])
    packed = fnp.broadcast_to(LU, (*lead, *LU.shape[-2:]))
    rows = fnp.broadcast_to(pivots, (*lead, pivots.shape[-1])) - np.int32(1)
    b = fnp.broadcast_to(B, (*lead, *B.shape[-2:]))
    if left:
        return scipy_linalg.lu_solve((packed, rows), b, 2 if adjoint else 0)
    # X A = B is A^T X^T = B^T; with the adjoint, conj(A) X^T = B^T.
    if adjoint:
        found = fnp.conj(scipy_linalg.lu_solve((packed, rows), fnp.conj(fnp.swapaxes(b, -1, -2)), 0))
    else:
        found = scipy_linalg.lu_solve((packed, rows), fnp.swapaxes(b, -1, -2), 1)
    return fnp.swapaxes(found, -1, -2)


def linalg_lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False, out: Any = None
) -> Tensor:
    """X of A X = B (X A = B unless `left`; A^H with `adjoint`), from the factors that `linalg.lu_factor` gives of A."""
    return _lu_solve(LU, pivots, B, left, adjoint, out=out)


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Any = None) -> Tensor:
    """X of A X = b, from the factors of A."""
    return _lu_solve(LU_data, LU_pivots, b, True, False, out=out)


@operation("LinalgLstsqBackward0", method=False)
def _least_squares(A: Operand, B: Operand, rcond: float) -> Any:
    vector = _columns(A, B)
    b = B[..., None] if vector else B
    found = fnp.matmul(fnp.linalg.pinv(A, rtol=rcond), b)
    missed = fnp.abs(b - fnp.matmul(A, found))
    residuals = fnp.sum(missed * missed, axis=-2)
    return (found[..., 0] if vector else found), residuals


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """(solution, residuals, rank, singular values) of the least squares of A X - B.

    As LAPACK's drivers: residuals only for tall matrices of full rank, rank not by "gels", singular values by "gelsd", "gelss".
    """
    driver = driver or "gelsy"
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver}"
        )
    m, n = A.shape[-2:]
    cut = float(np.finfo(A._array.dtype).eps * max(m, n)) if rcond is None else float(rcond)
    solution, residuals = _least_squares(A, B, cut)
    values = np.linalg.svd(concrete(A, "torch.linalg.lstsq"), compute_uv=False)
    rank = (values > cut * values[..., :1]).sum(-1)
    nothing = make(np.empty(0, values.dtype))
    full = m > n and driver != "gelsy" and (driver == "gels" or bool((rank == n).all()))
    return return_types.linalg_lstsq(
        solution,
        residuals if full else residuals.flatten()[:0],
        make(np.empty(0, np.int64)) if driver == "gels" else make(np.asarray(rank, np.int64)),
        make(values) if driver in ("gelsd", "gelss") else nothing,
    )


# ---- powers and functions ----


@operation(method=False, saves="result")
def linalg_matrix_exp(A: Operand) -> Any:
    """The exponentials of square matrices."""
    x = squares(A, "linalg.matrix_exp")
    return scipy_linalg.expm(x) if x.size else x


matrix_exp = linalg_matrix_exp
Tensor.matrix_exp = matrix_exp  # type: ignore[attr-defined]


def matrix_power(A: Tensor, n: int, *, out: Any = None) -> Tensor:
    """The product of n copies of a square matrix; of its inverse for negative n."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            "linalg.matrix_power: A must be batches of square matrices, but they are "
            f"{' by '.join(map(str, A.shape[-2:]))} matrices"
        )
    return _power(A, n, out=out)


@operation(lambda A, n: "CloneBackward0" if n == 1 else "MmBackward0" if A.ndim == 2 else "UnsafeViewBackward0",
           method=False)  # fmt: skip
def _power(A: Operand, n: int) -> Any:
    return fnp.linalg.matrix_power(A, n) if A.size else A


# ---- tensors as matrices ----


@operation("ReshapeAliasBackward0", method=False, saves="result")
def tensorinv(A: Operand, ind: int = 2) -> Any:
    """The inverse for tensordot over the first `ind` dimensions."""
    return fnp.linalg.tensorinv(A, ind)


@operation("ReshapeAliasBackward0", method=False, saves="result")
def tensorsolve(A: Operand, B: Operand, dims: tuple[int, ...] | None = None) -> Any:
    """X of tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first."""
    return fnp.linalg.tensorsolve(A, B, dims)


@operation("SumBackward1", method=False)
def vecdot(x: Operand, y: Operand, *, dim: int = -1) -> Any:
    """Sums of products of vectors along a dimension, the first conjugated."""
    a, b = together(x, y)
    return fnp.sum(fnp.conj(a) * b if a.dtype.kind == "c" else a * b, axis=dim)


@operation("CatBackward0", method=False, name="linalg_vander")
def _powers(x: Operand, count: int) -> Any:
    x = summable(fnp.atleast_1d(x))
    parts = [fnp.ones_like(x)]
    for _ in range(count - 1):
        parts.append(parts[-1] * x)
    return fnp.stack(parts[:count], axis=-1)


def _count(x: Tensor, given: int | None) -> int:
    return given if given is not None else x.shape[-1] if x.ndim else 1


def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers 0 to N - 1 of each element along a new last dimension."""
    return _powers(x, _count(x, N))


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each element along a new last dimension, falling unless `increasing`."""
    found = _powers(x, _count(x, N))
    return found if increasing else found.flip(-1)


inverse = inv
for _name, _function in {
    "inverse": inv, "pinverse": pinverse, "slogdet": slogdet, "lu_solve": lu_solve, "matrix_power": matrix_power,
}.items():  # fmt: skip
    setattr(Tensor, _name, _function)
