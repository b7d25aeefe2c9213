"""numpy.linalg's names: on the last two axes, leading axes are a stack. Differentiable in both modes, to any order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.core.types import is_inexact
from funcgrad.numpy import products
from funcgrad.numpy.axes import axes_of
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.shape import moveaxis
from funcgrad.numpy.shape import swapaxes as _swapaxes
from funcgrad.numpy.taking import diagonal as _diagonal
from funcgrad.numpy.taking import trace as _trace
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import basics
from funcgrad.ops import decompositions as dec
from funcgrad.ops import elementwise as e
from funcgrad.ops import linalg as rows
from funcgrad.ops.reduce import reduce_max, reduce_min
from funcgrad.ops.shape import slice_axis

# NumPy's own named tuples; it gives them no public name.
_ONE = np.eye(1)
EighResult: Any = type(np.linalg.eigh(_ONE))
EigResult: Any = type(np.linalg.eig(_ONE))
QRResult: Any = type(np.linalg.qr(_ONE))
SlogdetResult: Any = type(np.linalg.slogdet(_ONE))
SVDResult: Any = type(np.linalg.svd(_ONE))


def _matrices(name: str, a: Any) -> Any:
    a = array_operand(a)
    if len(shape_of(a)) < 2:
        raise np.linalg.LinAlgError(f"{name} needs at least 2 axes, got an array of shape {shape_of(a)}.")
    return a if is_inexact(dtype_of(a)) else basics.convert(a, np.float64)


def _squares(name: str, a: Any) -> Any:
    a = _matrices(name, a)
    if shape_of(a)[-1] != shape_of(a)[-2]:
        raise np.linalg.LinAlgError(f"{name} needs square matrices over the last two axes, got shape {shape_of(a)}.")
    return a


def _lower(a: Any, uplo: str) -> Any:
    """The Hermitian matrix whose lower (or upper) triangle is that of `a`, as LAPACK reads it."""
    if uplo.upper() not in ("L", "U"):
        raise ValueError(f"UPLO must be 'L' or 'U', got {uplo!r}.")
    n = shape_of(a)[-1]
    strict = np.tril(np.ones((n, n), bool), -1)
    half = e.select(strict if uplo.upper() == "L" else strict.T, a, 0.0)
    on_diagonal = e.select(np.eye(n, dtype=bool), a, 0.0)
    return half + rows.adjoint(half) + on_diagonal


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """The lower (or upper) triangular factor of positive definite matrices (..., n, n)."""
    found = rows.cholesky(_lower(_squares("cholesky", a), "U" if upper else "L"))
    return rows.adjoint(found) if upper else found


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """x of a x = b for matrices (..., n, n); `b` is a vector (n,) or matrices (..., n, k)."""
    a, b = _squares("solve", a), array_operand(b)
    vector = len(shape_of(b)) == 1
    if vector:
        b = basics.reshape(b, shape=(*shape_of(b), 1))
    lead = np.broadcast_shapes(shape_of(a)[:-2], shape_of(b)[:-2])
    dtype = np.result_type(dtype_of(a), dtype_of(b))
    a = basics.convert(basics.broadcast_to(a, lead + shape_of(a)[-2:]), dtype)
    b = basics.convert(basics.broadcast_to(b, lead + shape_of(b)[-2:]), dtype)
    found = rows.solve(a, b)
    return basics.reshape(found, shape=shape_of(found)[:-1]) if vector else found


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse matrices."""
    return rows.inverse(_squares("inv", a))


@implements(np.linalg.det)
def det(a: Any) -> Any:
    """The determinants, shape (...); the derivative is exact for singular matrices too."""
    return rows.det(_squares("det", a))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """Sign and logarithm of the absolute value of the determinants."""
    return SlogdetResult(*rows.slogdet(_squares("slogdet", a)))


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Ascending eigenvalues (..., n) and eigenvectors (columns) of Hermitian matrices, read from one triangle."""
    return EighResult(*dec.eigh(_lower(_squares("eigh", a), UPLO)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, ascending."""
    return eigh(a, UPLO).eigenvalues


@implements(np.linalg.eig)
def eig(a: Any) -> Any:
    """Eigenvalues and eigenvectors (columns of length 1) of general matrices; complex when traced."""
    return EigResult(*dec.eig(_squares("eig", a)))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """The eigenvalues of general matrices; complex when traced."""
    return eig(a).eigenvalues


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """u, s, vh with a = u @ diag(s) @ vh, or s alone. `hermitian` is a promise, which allows a faster algorithm.

    Traced non-square matrices need full_matrices=False: the other columns are not determined by `a`.
    """
    a = _matrices("svd", a)
    m, n = shape_of(a)[-2:]
    if compute_uv and full_matrices and m != n:
        raise NotImplementedError(
            f"svd of traced matrices of shape {shape_of(a)} with full_matrices=True: the additional columns have no "
            "derivative; pass full_matrices=False."
        )
    u, s, vh = dec.svd(a)
    return SVDResult(u, s, vh) if compute_uv else s


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Any:
    """The singular values, descending."""
    return dec.svd(_matrices("svdvals", x))[1]


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """q, r with a = q @ r, q's columns orthonormal, r upper triangular; mode "r" gives r alone.

    Traced matrices with more rows than columns need mode "reduced" or "r". Raises ValueError for another mode.
    """
    a = _matrices("qr", a)
    m, n = shape_of(a)[-2:]
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr of traced matrices: mode must be 'reduced', 'complete' or 'r', got {mode!r}.")
    if mode == "complete" and m > n:
        raise NotImplementedError(
            f"qr of traced matrices of shape {shape_of(a)} with mode='complete': the additional columns have no derivative; "
            "use mode='reduced'."
        )
    if m >= n:
        q, r = dec.qr(a)
    else:
        axis = len(shape_of(a)) - 1
        q, r = dec.qr(slice_axis(a, 0, m, axis))
        r = concatenate([r, rows.matmul2(rows.adjoint(q), slice_axis(a, m, n, axis))], -1)
    return r if mode == "r" else QRResult(q, r)


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """The Moore-Penrose inverse; singular values below rtol (static) times the largest count as zero."""
    a = _matrices("pinv", a)
    cut = rtol if rtol is not None else rcond
    if cut is None:
        cut = max(shape_of(a)[-2:]) * np.finfo(dtype_of(a)).eps if rtol is not None else 1e-15
    return dec.pinv(a, rtol=float(cut), hermitian=bool(hermitian))


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, Any, Any, Any]:
    """The least-squares solution of a x = b for one matrix (m, n): (x, residuals, rank, singular values).

    When traced, residuals have their full shape whatever the rank.
    """
    a, b = _matrices("lstsq", a), array_operand(b)
    m, n = shape_of(a)
    cut = float(np.finfo(dtype_of(a)).eps * max(m, n)) if rcond is None else float(rcond)
    vector = len(shape_of(b)) == 1
    right = basics.reshape(b, shape=(m, 1)) if vector else b
    x = products.matmul(dec.pinv(a, rtol=cut, hermitian=False), right)
    miss = e.square(e.magnitude(right - products.matmul(a, x)))
    residuals = basics.reduce_sum(miss, axes=(0,)) if m > n else np.zeros(0, dtype_of(miss))
    s = dec.svd(a)[1]
    rank = _count(s > cut * reduce_max(s, axes=(0,)))
    return (basics.reshape(x, shape=(n,)) if vector else x), residuals, rank, s


def _count(mask: Any) -> Any:
    return basics.reduce_sum(basics.convert(mask, np.int64), axes=(len(shape_of(mask)) - 1,))


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """The number of singular values above `tol`, or above rtol times the largest."""
    a = _matrices("matrix_rank", A)
    s = svdvals(a)
    if tol is None:
        factor = max(shape_of(a)[-2:]) * np.finfo(dtype_of(s)).eps if rtol is None else array_operand(rtol)
        tol = reduce_max(s, axes=(len(shape_of(s)) - 1,)) * factor
    tol = array_operand(tol)
    return _count(s > basics.reshape(tol, shape=(*shape_of(tol), 1)))


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """The matrices to a static integer power, by repeated squaring."""
    a = _squares("matrix_power", a)
    if n < 0:
        a, n = inv(a), -n
    shape = shape_of(a)
    if n == 0:
        eye = np.eye(shape[-1], dtype=dtype_of(a))
        return basics.broadcast_in_dim(eye, shape=shape, dims=(len(shape) - 2, len(shape) - 1))
    result = None
    while n:
        if n & 1:
            result = a if result is None else rows.matmul2(result, a)
        n >>= 1
        if n:
            a = rows.matmul2(a, a)
    return result


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any], *, out: None = None) -> Any:
    """The product of several matrices (the ends may be vectors) in the order with the fewest multiplications."""
    found = [array_operand(a) for a in arrays]
    if len(found) < 2:
        raise ValueError(f"multi_dot needs at least two arrays, got {len(found)}.")
    letters = [chr(97 + i) for i in range(len(found) + 1)]
    terms = [letters[i] + letters[i + 1] for i in range(len(found))]
    if len(shape_of(found[0])) == 1:
        terms[0] = terms[0][1]
    if len(shape_of(found[-1])) == 1:
        terms[-1] = terms[-1][0]
    ends = terms[0][:-1] + terms[-1][1:]
    return products.einsum(f"{','.join(terms)}->{ends}", *found, optimize="optimal")


# ---- norms ----


def _absolute(x: Any) -> Any:
    return e.magnitude(array_operand(x))


def _two_norm(size: Any, axes: tuple[int, ...]) -> Any:
    # The square root has an infinite slope at 0, the norm's own subgradient there is 0.
    total = basics.reduce_sum(e.square(size), axes=axes)
    zero = total == 0
    return e.select(zero, 0.0, e.sqrt(e.select(zero, 1.0, total)))


def _vector_norm(size: Any, axes: tuple[int, ...], order: Any) -> Any:
    if order is None or order == 2:
        return _two_norm(size, axes)
    if order == math.inf:
        return reduce_max(size, axes=axes)
    if order == -math.inf:
        return reduce_min(size, axes=axes)
    if order == 0:
        return basics.reduce_sum(basics.convert(size != 0, dtype_of(size)), axes=axes)
    if order == 1:
        return basics.reduce_sum(size, axes=axes)
    total = basics.reduce_sum(e.power(size, float(order)), axes=axes)
    return e.power(total, 1.0 / order)


def _matrix_norm(x: Any, size: Any, order: Any) -> Any:
    """Over the last two axes."""
    n = len(shape_of(size))
    if order in (None, "fro", "f"):
        return _two_norm(size, (n - 2, n - 1))
    if order in (2, -2, "nuc"):
        s = dec.svd(x)[1]
        last = (len(shape_of(s)) - 1,)
        return {2: reduce_max, -2: reduce_min, "nuc": basics.reduce_sum}[order](s, axes=last)
    if order in (1, -1, math.inf, -math.inf):
        sums = basics.reduce_sum(size, axes=(n - 2 if abs(order) == 1 else n - 1,))
        return (reduce_max if order > 0 else reduce_min)(sums, axes=(n - 2,))
    raise ValueError(f"norm: order {order!r} is none of a matrix: None, 'fro', 'nuc', 1, -1, 2, -2, inf, -inf.")


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors along one axis or of matrices along two; by default the 2-norm of all values.

    The derivative of the 2-norm at 0 is 0. Raises ValueError for an order that does not exist.
    """
    x = array_operand(x)
    x = x if is_inexact(dtype_of(x)) else basics.convert(x, np.float64)
    n = len(shape_of(x))
    if axis is None and ord is None:
        axes = tuple(range(n))
        found = _two_norm(_absolute(x), axes)
    else:
        if axis is None and n not in (1, 2):
            raise ValueError(f"norm: with an order and without axis the array must have 1 or 2 axes, got {n}.")
        given = tuple(range(n)) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
        axes = axes_of(tuple(given), n, "norm")
        if len(axes) == 1:
            found = _vector_norm(_absolute(x), axes, ord)
        elif len(axes) == 2:
            # The two axes in the order that was asked for: rows first.
            moved = moveaxis(x, tuple(a % n for a in given), (-2, -1))
            found = _matrix_norm(moved, _absolute(moved), ord)
        else:
            raise ValueError(f"norm: axis must name one or two axes, got {axis!r}.")
    kept = tuple(1 if i in axes else m for i, m in enumerate(shape_of(x)))
    return basics.reshape(found, shape=kept) if keepdims else found


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """The vector norm over one or more axes (default: all)."""
    x = array_operand(x)
    axes = axes_of(axis, len(shape_of(x)), "vector_norm")
    size = _absolute(x if is_inexact(dtype_of(x)) else basics.convert(x, np.float64))
    found = _vector_norm(size, axes, ord)
    kept = tuple(1 if i in axes else m for i, m in enumerate(shape_of(x)))
    return basics.reshape(found, shape=kept) if keepdims else found


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """The matrix norm over the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The condition number: the norm of `x` times that of its inverse; by default from the singular values."""
    x = _matrices("cond", x)
    if p in (None, 2, -2):
        s = svdvals(x)
        last = (len(shape_of(s)) - 1,)
        largest, smallest = reduce_max(s, axes=last), reduce_min(s, axes=last)
        return smallest / largest if p == -2 else largest / smallest
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))


# ---- tensors as matrices ----


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of `a` for tensordot over its first `ind` axes."""
    a = array_operand(a)
    if ind <= 0:
        raise ValueError(f"tensorinv: ind must be positive, got {ind}.")
    left, right = shape_of(a)[:ind], shape_of(a)[ind:]
    flat = basics.reshape(a, shape=(math.prod(left), math.prod(right)))
    return basics.reshape(inv(flat), shape=(*right, *left))


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """x of tensordot(a, x, x.ndim) = b; `axes` of `a` are first moved to its end."""
    a, b = array_operand(a), array_operand(b)
    if axes is not None:
        a = moveaxis(a, tuple(axes), tuple(range(len(shape_of(a)) - len(axes), len(shape_of(a)))))
    rest = shape_of(a)[len(shape_of(b)) :]
    size = math.prod(rest)
    found = solve(basics.reshape(a, shape=(size, size)), basics.reshape(b, shape=(size,)))
    return basics.reshape(found, shape=rest)


# ---- the array API's names, over the last two axes ----


@implements(np.linalg.matmul)
def matmul(x1: Any, x2: Any, /) -> Any:
    """As funcgrad.numpy.matmul."""
    return products.matmul(x1, x2)


@implements(np.linalg.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """The last two axes swapped."""
    return _swapaxes(x, -1, -2)


@implements(np.linalg.outer)
def outer(x1: Any, x2: Any, /) -> Any:
    """The products of every pair of values of two vectors."""
    return products.outer(x1, x2)


@implements(np.linalg.tensordot)
def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Any:
    """As funcgrad.numpy.tensordot."""
    return products.tensordot(x1, x2, axes)


@implements(np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """As funcgrad.numpy.vecdot."""
    return products.vecdot(x1, x2, axis=axis)


@implements(np.linalg.cross)
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """The vector product of vectors of 3 components."""
    return products.cross(x1, x2, axis=axis)


@implements(np.linalg.diagonal)
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of matrices (..., n, m)."""
    return _diagonal(x, offset, -2, -1)


@implements(np.linalg.trace)
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The traces of matrices (..., n, m)."""
    return _trace(x, offset, -2, -1, dtype)
