"""Products of matrices and vectors, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.core.tracing import type_of
from funcgrad.ops.basics import convert
from funcgrad.torch.operation import Operand, Operands, operation
from funcgrad.torch.ops.promotion import as_dtype, summable, together
from funcgrad.torch.ops.reductions import norm_of
from funcgrad.torch.ops.shapes import diagonal
from funcgrad.torch.ops.views import wrap_dim
from funcgrad.torch.tensor import Tensor


def _same_dtypes(a: Any, b: Any, name: str) -> None:
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype} (in {name}; convert one by .to())"
        )


def _matrices(a: Any, b: Any, name: str) -> None:
    if a.ndim != 2 or b.ndim != 2:
        which, n = ("self", a.ndim) if a.ndim != 2 else ("mat2", b.ndim)
        raise RuntimeError(
            f"{which} must be a matrix, got {n} dimensions"
            if name == "mm"
            else f"mat{1 if which == 'self' else 2} must be a matrix, got {n}-D tensor"
        )
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]})"
        )
    _same_dtypes(a, b, name)


@operation()
def mm(input: Operand, mat2: Operand) -> Any:
    """The product of two matrices, (n, m) and (m, p)."""
    _matrices(input, mat2, "mm")
    return fnp.matmul(input, mat2)


@operation()
def mv(input: Operand, vec: Operand) -> Any:
    """A matrix (n, m) times a vector (m)."""
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {vec.ndim}, {input.ndim}, {vec.ndim}")
    if input.shape[1] != vec.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({input.shape[0]}), mat ({input.shape[0]}x{input.shape[1]}), vec ({vec.shape[0]})"
        )
    _same_dtypes(input, vec, "mv")
    return fnp.matmul(input, vec)


@operation()
def dot(input: Operand, tensor: Operand) -> Any:
    """The sum of products of two vectors."""
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    if input.shape != tensor.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{input.shape[0]}] and src [{tensor.shape[0]}] to have the "
            f"same number of elements, "
            f"but got {input.shape[0]} and {tensor.shape[0]} elements respectively"
        )
    if input.dtype != tensor.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {input.dtype} and {tensor.dtype}"
        )
    return fnp.matmul(input, tensor)


@operation("VdotBackward0")
def vdot(input: Operand, other: Operand) -> Any:
    """The sum of products of two vectors, the first conjugated."""
    return fnp.matmul(fnp.conj(input), other)


@operation()
def bmm(input: Operand, mat2: Operand) -> Any:
    """Products of matrices in a batch: (b, n, m) and (b, m, p)."""
    if input.ndim != 3 or mat2.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor" if input.ndim != 3 else "batch2 must be a 3D tensor")
    if input.shape[0] != mat2.shape[0] or input.shape[2] != mat2.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{input.shape[0]}, {input.shape[2]}] but got: "
            f"[{mat2.shape[0]}, {mat2.shape[1]}]."
        )
    _same_dtypes(input, mat2, "bmm")
    return fnp.matmul(input, mat2)


@operation(
    lambda input, other: "SqueezeBackward4" if input.ndim == 1 and other.ndim == 2 else "UnsafeViewBackward0",
    method=False,
)
def matmul_batched(input: Operand, other: Operand) -> Any:
    """matmul with batch dimensions, which broadcast."""
    _same_dtypes(input, other, "matmul")
    k, m = input.shape[-1], other.shape[-2] if other.ndim > 1 else other.shape[0]
    if k != m:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, input.shape))} and {'x'.join(map(str, other.shape))})"
        )
    return fnp.matmul(input, other)


def matmul(input: Tensor, other: Tensor, *, out: Any = None) -> Tensor:
    """The product of matrices, vectors, or batches of matrices, as `@` gives it."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        wrong, n = (other, 2) if isinstance(input, Tensor) else (input, 1)
        raise TypeError(
            f"matmul(): argument '{'other' if n == 2 else 'input'}' (position {n}) must be Tensor, not {type(wrong).__name__}"
        )
    a, b = input.ndim, other.ndim
    if a == 0 or b == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a}D and {b}D")
    if a == 1 and b == 1:
        return dot(input, other, out=out)
    if a == 2 and b == 1:
        return mv(input, other, out=out)
    if a == 2 and b == 2:
        return mm(input, other, out=out)
    return matmul_batched(input, other, out=out)


Tensor.matmul = matmul  # type: ignore[attr-defined]


def _mixed(base: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta * base + alpha * product in the dtype of `base`; where beta is 0 the base does not count, not even its nan."""
    kind = base.dtype
    product = as_dtype(product, kind)
    scaled = product if type(alpha) is int and alpha == 1 else _number(alpha, kind) * product
    if type(beta) is int and beta == 1:
        return scaled | base if kind == np.bool_ else scaled + base
    factor = _number(beta, kind)
    rest = fnp.where(factor == 0, fnp.zeros((), kind), factor * base)
    return scaled | rest if kind == np.bool_ else scaled + rest


def _number(x: Any, kind: np.dtype) -> Any:
    """A factor in the dtype of what it multiplies: PyTorch cuts off the fraction for integers."""
    return x if kind.kind in "fc" and type_of(x).dtype.kind != "c" else convert(fnp.asarray(x), kind)


@operation(inplace=True)
def addmm(input: Operand, mat1: Operand, mat2: Operand, *, beta: Operand = 1, alpha: Operand = 1) -> Any:
    """beta * input + alpha * (mat1 @ mat2)."""
    _matrices(mat1, mat2, "addmm")
    return _mixed(input, fnp.matmul(mat1, mat2), beta, alpha)


@operation(inplace=True)
def addmv(input: Operand, mat: Operand, vec: Operand, *, beta: Operand = 1, alpha: Operand = 1) -> Any:
    """beta * input + alpha * (mat @ vec)."""
    return _mixed(input, fnp.matmul(mat, vec), beta, alpha)


@operation(inplace=True)
def addr(input: Operand, vec1: Operand, vec2: Operand, *, beta: Operand = 1, alpha: Operand = 1) -> Any:
    """beta * input + alpha * outer(vec1, vec2)."""
    return _mixed(input, fnp.outer(vec1, vec2), beta, alpha)


@operation(inplace=True)
def baddbmm(input: Operand, batch1: Operand, batch2: Operand, *, beta: Operand = 1, alpha: Operand = 1) -> Any:
    """beta * input + alpha * (batch1 @ batch2), matrix by matrix."""
    return _mixed(input, fnp.matmul(batch1, batch2), beta, alpha)


@operation(inplace=True)
def addbmm(input: Operand, batch1: Operand, batch2: Operand, *, beta: Operand = 1, alpha: Operand = 1) -> Any:
    """beta * input + alpha * sum of the products of the batch."""
    return _mixed(input, fnp.sum(fnp.matmul(batch1, batch2), axis=0), beta, alpha)


@operation("MulBackward0")
def outer(input: Operand, vec2: Operand) -> Any:
    """Products of all pairs of elements of two vectors."""
    a, b = together(input, vec2)
    return a[:, None] * b[None, :]


@operation("UnsafeViewBackward0")
def inner(input: Operand, other: Operand) -> Any:
    """Sums of products over the last dimensions."""
    return fnp.inner(input, other)


@operation("ViewBackward0", method=False, name="tensordot")
def _tensordot(a: Operand, b: Operand, dims: Any) -> Any:
    return fnp.tensordot(a, b, axes=dims)


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Any = None) -> Tensor:
    """Sums of products over `dims` trailing and leading dimensions, or over two lists of them."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    fixed = dims if isinstance(dims, int) else tuple(tuple(d) if isinstance(d, (list, tuple)) else d for d in dims)
    return _tensordot(a, b, fixed, out=out)


@operation("ViewBackward0", method=False, name="einsum")
def _einsum(equation: str, operands: Operands) -> Any:
    return fnp.einsum(equation, *operands)


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _from_lists(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The equation that lists of subscripts say: operand, list, operand, list, ..., and perhaps the list of the result."""

    def letters(places: Any) -> str:
        return "".join("..." if p is Ellipsis else _LETTERS[p] for p in places)

    count = len(arguments) // 2
    equation = ",".join(letters(arguments[2 * i + 1]) for i in range(count))
    if len(arguments) % 2:
        equation += "->" + letters(arguments[-1])
    return equation, arguments[: 2 * count : 2]


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products by Einstein's notation: einsum("ij,jk->ik", a, b), or einsum(a, [0, 1], b, [1, 2], [0, 2])."""
    if isinstance(equation, Tensor):
        equation, operands = _from_lists((equation, *operands))
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) else operands
    return _einsum(equation.replace(" ", ""), list(tensors))


@operation("UnsafeViewBackward0")
def kron(input: Operand, other: Operand) -> Any:
    """The Kronecker product."""
    return fnp.kron(*together(input, other))


@operation("LinalgCrossBackward0")
def cross(input: Operand, other: Operand, dim: int | None = None) -> Any:
    """Cross products of vectors of 3 along a dimension (by default the first of size 3)."""
    a, b = together(input, other)
    axis = next((i for i, n in enumerate(a.shape) if n == 3), -1) if dim is None else wrap_dim(dim, a.ndim)
    return fnp.cross(a, b, axis=axis)


@operation("LinalgCrossBackward0", method=False)
def linalg_cross(input: Operand, other: Operand, *, dim: int = -1) -> Any:
    """Cross products of vectors of 3 along a dimension; the others broadcast."""
    a, b = fnp.broadcast_arrays(*together(input, other))
    axis = wrap_dim(dim, a.ndim)
    if a.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {a.shape[axis]} and {b.shape[axis]}"
        )
    return fnp.cross(a, b, axis=axis)


def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices as the last dimension, as a view."""
    return diagonal(A, offset, dim1, dim2)


@operation()
def trace(input: Operand) -> Any:
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise RuntimeError("trace: expected a matrix, but got tensor with dim " + str(input.ndim))
    return fnp.trace(summable(input))


@operation(inplace=True)
def tril(input: Operand, diagonal: int = 0) -> Any:
    """The lower triangle; zeros above."""
    return fnp.tril(input, diagonal)


@operation(inplace=True)
def triu(input: Operand, diagonal: int = 0) -> Any:
    """The upper triangle; zeros below."""
    return fnp.triu(input, diagonal)


@operation(lambda input, diagonal: "DiagEmbedBackward0" if input.ndim == 1 else "DiagonalBackward0_copy")
def diag(input: Operand, diagonal: int = 0) -> Any:
    """The matrix with this diagonal, or the diagonal of this matrix, as a copy."""
    return fnp.diag(input, diagonal)


@operation("DiagEmbedBackward0")
def diag_embed(input: Operand, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last dimension on their diagonals."""
    n = input.shape[-1] + abs(offset)
    rows = np.arange(input.shape[-1]) + max(-offset, 0)
    columns = np.arange(input.shape[-1]) + max(offset, 0)
    made = fnp.zeros((*input.shape[:-1], n, n), input.dtype).at[..., rows, columns].set(input)
    ndim = input.ndim + 1
    return fnp.moveaxis(made, (-2, -1), (wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)))


@operation("DiagEmbedBackward0")
def diagflat(input: Operand, offset: int = 0) -> Any:
    """The matrix with the flattened tensor on its diagonal."""
    return fnp.diag(fnp.ravel(input), offset)


def multi_dot(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """The product of several matrices, in the cheapest order."""
    return _multi_dot(list(tensors), out=out)


@operation("MmBackward0", method=False, name="multi_dot")
def _multi_dot(tensors: Operands) -> Any:
    return fnp.linalg.multi_dot(tensors)


def chain_matmul(*matrices: Tensor, out: Any = None) -> Tensor:
    """As `multi_dot`."""
    return multi_dot(
        matrices[0] if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else matrices, out=out
    )


# ---- distances ----


@operation("CdistBackward0", method=False, saves="result")
def cdist(x1: Operand, x2: Operand, p: float = 2.0, compute_mode: str | None = None) -> Any:
    """p-norms of differences of all pairs of rows: (..., n, d) and (..., m, d) give (..., n, m)."""
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    return norm_of(x1[..., :, None, :] - x2[..., None, :, :], p, (-1,), False)


@operation("SumBackward1", promote="float", method=False)
def cosine_similarity(x1: Operand, x2: Operand, dim: int = 1, eps: float = 1e-8) -> Any:
    """Cosines of the angles between vectors along a dimension; norms are at least eps."""
    a, b = fnp.broadcast_arrays(x1, x2)
    axis = wrap_dim(dim, a.ndim)
    n = norm_of(a, 2, (axis,), True)
    m = norm_of(b, 2, (axis,), True)
    return fnp.sum(a / fnp.where(n < eps, eps, n) * (b / fnp.where(m < eps, eps, m)), axis=axis)


@operation("NormBackward1", promote="float", method=False, saves="result")
def pairwise_distance(x1: Operand, x2: Operand, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """p-norms of x1 - x2 + eps over the last dimension."""
    return norm_of(x1 - x2 + eps, p, (-1,), keepdim)


ger = outer
Tensor.ger = outer  # type: ignore[attr-defined]
