"""Factors of matrices: Cholesky, QR, LU, eigenvalues, singular values. All take stacks of matrices in the last two dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.lax import linalg as lax_linalg
from funcgrad.scipy import linalg as scipy_linalg
from funcgrad.torch import dtypes, return_types
from funcgrad.torch.modes import state
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.joining import cat
from funcgrad.torch.tensor import Tensor, concrete, make


class LinAlgError(RuntimeError):
    """A matrix does not have what was asked for: an inverse, a Cholesky factor, converging eigenvalues."""


def matrices(x: Any, name: str) -> Any:
    """x, checked to hold floating matrices. Raises RuntimeError."""
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if x.dtype.kind not in "fc":
        kind = dtypes.from_numpy_dtype(x.dtype).title
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {kind}")
    return x


def squares(x: Any, name: str) -> Any:
    """x, checked to hold floating square matrices. Raises RuntimeError."""
    if matrices(x, name).shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} matrices"
        )
    return x


def checked(run: Callable[[], Any], given: Tensor, failure: Callable[[], str]) -> Any:
    """What `run` gives. Raises LinAlgError if LAPACK gave up, which it says by an exception or by nan and infinities."""
    try:
        found = run()
    except np.linalg.LinAlgError:
        raise LinAlgError(failure()) from None
    first = (found[0] if isinstance(found, tuple) else found)._array
    source = given._array
    if type(first) is np.ndarray and type(source) is np.ndarray:
        if not np.isfinite(first).all() and np.isfinite(source).all():
            raise LinAlgError(failure())
    return found


def _halved(x: Any, uplo: str) -> Any:
    """Hermitian matrices with the values of one triangle and, as PyTorch's, gradients that are Hermitian again."""
    whole = (x + fnp.conj(fnp.swapaxes(x, -1, -2))) / 2
    return lax.stop_gradient(lax_linalg.hermitian_of_half(x, uplo == "L") - whole) + whole


# ---- Cholesky ----


@operation("LinalgCholeskyExBackward0", method=False, saves="result", name="linalg_cholesky")
def _cholesky(input: Operand, upper: bool) -> Any:
    return fnp.linalg.cholesky(_halved(squares(input, "linalg.cholesky"), "U" if upper else "L"), upper=upper)


@operation("CholeskyBackward0", method=False, saves="result", name="cholesky")
def _old_cholesky(input: Operand, upper: bool) -> Any:
    return fnp.linalg.cholesky(_halved(squares(input, "cholesky"), "U" if upper else "L"), upper=upper)


def _indefinite(name: str, input: Tensor) -> Callable[[], str]:
    def failure() -> str:
        a = concrete(input, name)
        for k in range(1, a.shape[-1] + 1):
            try:
                np.linalg.cholesky(a[..., :k, :k])
            except np.linalg.LinAlgError:
                break
        return (
            f"{name}: The factorization could not be completed because the input is not positive-definite (the leading minor "
            f"of order {k} is not positive-definite)."
        )

    return failure


def linalg_cholesky(input: Tensor, *, upper: bool = False, out: Any = None) -> Tensor:
    """The lower (or upper) triangular factor of positive definite matrices. Raises LinAlgError for others."""
    return checked(lambda: _cholesky(input, upper, out=out), input, _indefinite("linalg.cholesky", input))


def cholesky(input: Tensor, upper: bool = False, *, out: Any = None) -> Tensor:
    """As `linalg.cholesky`."""
    return checked(lambda: _old_cholesky(input, upper, out=out), input, _indefinite("cholesky", input))


def cholesky_ex(input: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """(L, info): the factor, and 0 or the order of the leading minor that is not positive definite, per matrix."""
    if check_errors:
        made = linalg_cholesky(input, upper=upper)
        return return_types.linalg_cholesky_ex(made, make(np.zeros(input.shape[:-2], np.int32)))
    try:
        made = linalg_cholesky(input, upper=upper)
        return return_types.linalg_cholesky_ex(made, make(np.zeros(input.shape[:-2], np.int32)))
    except LinAlgError:
        a = concrete(input, "torch.linalg.cholesky_ex")
        info = np.zeros(a.shape[:-2], np.int32)
        made_array = np.zeros(a.shape, a.dtype)
        for i in np.ndindex(*a.shape[:-2]):
            for k in range(1, a.shape[-1] + 1):
                try:
                    made_array[i][:k, :k] = np.linalg.cholesky(a[i][:k, :k])
                except np.linalg.LinAlgError:
                    info[i] = k
                    break
        return return_types.linalg_cholesky_ex(
            make(np.swapaxes(made_array, -1, -2).conj() if upper else made_array), make(info)
        )


@operation("CholeskySolveBackward0", saves="result")
def cholesky_solve(input: Operand, input2: Operand, upper: bool = False) -> Any:
    """x of A x = input, where input2 is the Cholesky factor of A."""
    return fnp.linalg.solve(_from_factor(input2, upper), input)


@operation("CholeskyInverseBackward0", saves="result")
def cholesky_inverse(input: Operand, upper: bool = False) -> Any:
    """The inverse of A, where input is the Cholesky factor of A."""
    return fnp.linalg.inv(_from_factor(input, upper))


def _from_factor(x: Any, upper: bool) -> Any:
    # The other triangle has no part in the value; PyTorch's gradient takes no notice of that.
    factor = lax.stop_gradient((fnp.triu if upper else fnp.tril)(x) - x) + x
    turned = fnp.conj(fnp.swapaxes(factor, -1, -2))
    return fnp.matmul(turned, factor) if upper else fnp.matmul(factor, turned)


# ---- QR ----


@operation("LinalgQrBackward0", method=False, saves="result", result=return_types.linalg_qr)
def _thin_qr(input: Operand) -> Any:
    """Q and R with as many columns of Q as min(m, n)."""
    return tuple(fnp.linalg.qr(matrices(input, "linalg.qr"), "reduced"))


def linalg_qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """(Q, R) with A = Q R; mode "complete" gives square Q, "r" R alone with an empty Q.

    Raises RuntimeError for another mode, and for a complete Q of tall matrices that require grad: it has no derivative.
    """
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    tall = A.ndim >= 2 and A.shape[-2] > A.shape[-1]
    if mode == "reduced" or (mode == "complete" and not tall):
        return _thin_qr(A, out=out)
    if A.requires_grad and state.grad:
        raise RuntimeError(
            "The derivative of linalg.qr is not implemented when mode='r', and the QR decomposition is not differentiable when "
            "mode='complete' and nrows > ncols. Use mode='reduced'."
        )
    if mode == "r":
        return return_types.linalg_qr(make(np.empty(0, A._array.dtype)), _thin_qr(A)[1])
    return return_types.linalg_qr(*map(make, np.linalg.qr(concrete(A, "torch.linalg.qr"), "complete")))


def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """(Q, R); `some` is mode "reduced" of `linalg.qr`, otherwise "complete"."""
    return return_types.qr(*linalg_qr(input, "reduced" if some else "complete", out=out))


@operation("LinalgHouseholderProductBackward0", method=False)
def householder_product(input: Operand, tau: Operand) -> Any:
    """The first columns of the product of Householder reflections that `geqrf` packs."""
    return lax_linalg.householder_product(input, tau)


# ---- LU ----


def _with_pivots(x: Any) -> tuple[Any, Any]:
    packed, pivots = scipy_linalg.lu_factor(x)
    return packed, pivots + np.int32(1)


@operation("LinalgLuFactorExBackward0", method=False, saves="result", result=return_types.linalg_lu_factor)
def linalg_lu_factor(A: Operand, pivot: bool = True) -> Any:
    """(LU, pivots): the packed factors and the exchanged rows, counted from 1."""
    _only_pivoted(pivot)
    return _with_pivots(matrices(A, "linalg.lu_factor"))


def _only_pivoted(pivot: bool) -> None:
    if not pivot:
        raise RuntimeError("linalg.lu: LU without pivoting is not implemented on the CPU. Write pivot=True.")


def lu(input: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """(LU, pivots), and a zero for each matrix that has a pivot everywhere if `get_infos`."""
    found = linalg_lu_factor(input, pivot)
    if not get_infos:
        return tuple(found)
    packed = concrete(found[0], "torch.lu")
    zero = np.diagonal(packed, axis1=-2, axis2=-1) == 0
    info = np.where(zero.any(-1), zero.argmax(-1) + 1, 0).astype(np.int32)
    return (*found, make(np.asarray(info)))


@operation("LinalgLuBackward0", method=False, saves="result", name="linalg_lu")
def _lu_factors(A: Operand, pivot: bool) -> Any:
    _only_pivoted(pivot)
    p, left, right = scipy_linalg.lu(matrices(A, "linalg.lu"))
    return p.astype(np.int8), left, right


def linalg_lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """(P, L, U) with A = P L U."""
    p, left, right = _lu_factors(A, pivot)
    found = return_types.linalg_lu(p.to(A.dtype), left, right)
    if out is None:
        return found
    for target, value in zip(out, found, strict=True):
        target.copy_(value)
    return out


# ---- eigenvalues ----


def _triangle(uplo: str) -> str:
    if uplo.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")
    return uplo.upper()


@operation(method=False, saves="result", result=return_types.linalg_eigh)
def linalg_eigh(A: Operand, UPLO: str = "L") -> Any:
    """(eigenvalues, eigenvectors) of Hermitian matrices, of which one triangle is read; ascending."""
    return tuple(fnp.linalg.eigh(_halved(squares(A, "linalg.eigh"), _triangle(UPLO))))


@operation("LinalgEighBackward0", method=False)
def eigvalsh(A: Operand, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, ascending."""
    return fnp.linalg.eigvalsh(_halved(squares(A, "linalg.eigvalsh"), _triangle(UPLO)))


def _complex(x: Any) -> Any:
    return x if x.dtype.kind == "c" else x.astype(np.result_type(x.dtype, np.complex64))


@operation(method=False, saves="result", result=return_types.linalg_eig)
def linalg_eig(A: Operand) -> Any:
    """(eigenvalues, eigenvectors) of square matrices, complex."""
    values, vectors = fnp.linalg.eig(squares(A, "linalg.eig"))
    return _complex(values), _complex(vectors)


@operation("LinalgEigBackward0", method=False)
def eigvals(A: Operand) -> Any:
    """The eigenvalues of square matrices, complex."""
    return _complex(fnp.linalg.eigvals(squares(A, "linalg.eigvals")))


# ---- singular values ----


@operation("LinalgSvdBackward0", method=False, saves="result", result=return_types.linalg_svd)
def _thin_svd(A: Operand) -> Any:
    return tuple(fnp.linalg.svd(matrices(A, "linalg.svd"), full_matrices=False))


@operation("LinalgSvdBackward0", method=False)
def svdvals(A: Operand) -> Any:
    """The singular values, descending."""
    return fnp.linalg.svdvals(matrices(A, "linalg.svdvals"))


def linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: None = None, out: Any = None) -> Any:
    """(U, S, Vh) with A = U diag(S) Vh. With `full_matrices` U and Vh are square; gradients take no notice of the added ones.

    `driver` is for GPUs: anything but None raises RuntimeError.
    """
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )
    found = _thin_svd(A, out=out)
    if not full_matrices or A.ndim < 2 or A.shape[-1] == A.shape[-2]:
        return found
    k = min(A.shape[-2:])
    u, _, vh = np.linalg.svd(concrete(A, "torch.linalg.svd with full_matrices=True"))
    return return_types.linalg_svd(
        cat([found[0], make(u[..., k:].copy())], -1), found[1], cat([found[2], make(vh[..., k:, :].copy())], -2)
    )


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """(U, S, V) with input = U diag(S) V^H, thin if `some`; without `compute_uv` U and V are zeros."""
    if not compute_uv:
        m, n = input.shape[-2:]
        kind, lead = input._array.dtype, tuple(input.shape[:-2])
        return return_types.svd(
            make(np.zeros((*lead, m, m), kind)), svdvals(input), make(np.zeros((*lead, n, n), kind))
        )
    u, s, vh = linalg_svd(input, not some, out=out)
    return return_types.svd(u, s, vh.mH)


_METHODS: dict[str, Any] = {"cholesky": cholesky, "qr": qr, "svd": svd, "lu": lu}
for _name, _function in _METHODS.items():
    setattr(Tensor, _name, _function)
