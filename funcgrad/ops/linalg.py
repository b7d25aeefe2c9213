"""Linear algebra on the last two axes; leading axes are a stack. NumPy's LAPACK evaluates.

Rows give the jvp; reverse mode is its transposition (transforms/vjp.py). Formulas: Giles (2008), "An extended collection of
matrix derivative results"; Murray (2016), arXiv:1602.07527, for Cholesky; Townsend (2016) for the SVD; Golub and Pereyra
(1973) for the pseudo-inverse; Walter and Lehmann (2010), section 3.3, for QR.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim, conj, convert, expand, real, reduce_sum, reshape, transpose
from funcgrad.ops.dot import matmul2
from funcgrad.ops.elementwise import select
from funcgrad.ops.families import array, register

Batch = tuple[Any, Any]

# ---- matrix helpers, on values or tracers ----


def adjoint(x: Any) -> Any:
    """The conjugate transpose of the last two axes."""
    turned = turn(x)
    return conj(turned) if dtype_of(x).kind == "c" else turned


def turn(x: Any) -> Any:
    """The transpose of the last two axes."""
    n = len(shape_of(x))
    return transpose(x, permutation=(*range(n - 2), n - 1, n - 2))


def hermitian(x: Any) -> Any:
    return (x + adjoint(x)) * 0.5


def diagonal_of(x: Any) -> Any:
    shape = shape_of(x)
    eye = np.eye(shape[-2], shape[-1], dtype=bool)
    return reduce_sum(select(eye, x, 0.0), axes=(len(shape) - 1,))


def as_row(v: Any) -> Any:
    """A vector over the last axis as a row of a matrix."""
    shape = shape_of(v)
    return reshape(v, shape=(*shape[:-1], 1, shape[-1]))


def as_column(v: Any) -> Any:
    return reshape(v, shape=(*shape_of(v), 1))


def gaps(w: Any) -> Any:
    """1 / (w_j - w_i), and 0 on the diagonal."""
    n = shape_of(w)[-1]
    eye = np.eye(n, dtype=bool)
    return select(eye, 0.0, 1.0 / select(eye, 1.0, as_row(w) - as_column(w)))


def real_part(x: Any) -> Any:
    return real(x) if dtype_of(x).kind == "c" else x


def real_dtype(dtype: np.dtype) -> np.dtype:
    return np.zeros((), dtype).real.dtype


def check_square(name: str, x: ArrayType) -> None:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise TypeError(f"{name} needs square matrices over the last two axes, got {x}.")


def stacked(primitive: Callable[[], Primitive]) -> Callable[..., Batch]:
    """The batch rule of a primitive whose arguments are stacks of equal leading shape: one more leading axis."""

    def batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Batch:
        lifted = [
            a if b else broadcast_in_dim(a, shape=(size, *shape_of(a)), dims=tuple(range(1, len(shape_of(a)) + 1)))
            for a, b in zip(args, batched, strict=True)
        ]
        return primitive()(*lifted, **params), True

    return batch


def sample_matrix(rng: np.random.Generator, *shape: int) -> np.ndarray:
    n, m = shape[-2:]
    return array(rng, shape) * 0.4 + np.eye(n, m) * np.arange(2, 2 + m)


def definite(rng: np.random.Generator, *shape: int) -> np.ndarray:
    x = array(rng, shape)
    return x @ np.swapaxes(x, -1, -2) * 0.3 + np.eye(shape[-1]) * np.arange(1, shape[-1] + 1)


def square_samples(make: Callable[..., Any], **params: Any) -> Callable[..., Any]:
    return lambda rng: [((make(rng, 3, 3),), params), ((make(rng, 2, 3, 3),), params)]


# ---- Cholesky ----


def _cholesky_impl(a: Any) -> Any:
    a = np.asarray(a)
    return np.linalg.cholesky((a + np.swapaxes(a, -1, -2).conj()) * 0.5)


def _same(name: str) -> Callable[..., ArrayType]:
    def rule(a: ArrayType, **params: Any) -> ArrayType:
        check_square(name, a)
        return array_type(a.shape, a.dtype)

    return rule


def _cholesky_jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    inner = triangular_solve(ans, hermitian(tangents[0]), lower=True, transposed=False, unit=False)
    inner = adjoint(triangular_solve(ans, adjoint(inner), lower=True, transposed=False, unit=False))
    n = shape_of(ans)[-1]
    return matmul2(
        ans, inner * (np.tril(np.ones((n, n), real_dtype(dtype_of(ans)))) - 0.5 * np.eye(n)).astype(dtype_of(ans))
    )


cholesky: Primitive = register(
    Primitive(
        "cholesky", _cholesky_impl, _same("cholesky"), _cholesky_jvp, batch=stacked(lambda: cholesky),
        samples=square_samples(definite),
    )
)  # fmt: skip

# ---- solving ----


def _solve_type(a: ArrayType, b: ArrayType, **params: Any) -> ArrayType:
    check_square("solve", a)
    if b.ndim < 2 or b.shape[:-1] != a.shape[:-1]:
        raise TypeError(f"solve needs matrices (..., n, n) and (..., n, k) with equal leading axes, got {a} and {b}.")
    return array_type(b.shape, np.result_type(a.dtype, b.dtype))


def _solve_jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    ta, tb = tangents
    right = None if ta is None else -matmul2(ta, ans)
    if tb is not None:
        right = tb if right is None else tb + right
    return solve(args[0], convert(right, dtype_of(ans)))


def _solve_vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
    to_b = solve(turn(args[0]), ct)
    to_a = convert(-matmul2(to_b, turn(ans)), dtype_of(args[0])) if wanted[0] else None
    return [to_a, convert(to_b, dtype_of(args[1]))]


solve: Primitive = register(
    Primitive(
        "solve", lambda a, b: np.linalg.solve(a, b), _solve_type, _solve_jvp, _solve_vjp, stacked(lambda: solve),
        samples=lambda rng: [((sample_matrix(rng, 3, 3), array(rng, (3, 2))), {})],
    )
)  # fmt: skip


def _triangle(a: Any, lower: bool, unit: bool) -> Any:
    n = shape_of(a)[-1]
    mask = np.tril(np.ones((n, n), bool), -1 if unit else 0)
    return select(mask if lower else mask.T, a, 0.0)


def _triangular_impl(a: Any, b: Any, *, lower: bool, transposed: bool, unit: bool) -> Any:
    a = np.asarray(a)
    a = np.tril(a, -1 if unit else 0) if lower else np.triu(a, 1 if unit else 0)
    if unit:
        a = a + np.eye(a.shape[-1], dtype=a.dtype)
    return np.linalg.solve(np.swapaxes(a, -1, -2) if transposed else a, b)


def _triangular_jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    ta, tb = tangents
    right = None
    if ta is not None:
        moved = _triangle(ta, params["lower"], params["unit"])
        right = -matmul2(turn(moved) if params["transposed"] else moved, ans)
    if tb is not None:
        right = tb if right is None else tb + right
    return triangular_solve(args[0], convert(right, dtype_of(ans)), **params)


def _triangular_vjp(
    ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]
) -> list[Any]:
    flipped = {**params, "transposed": not params["transposed"]}
    to_b = triangular_solve(args[0], ct, **flipped)
    product = matmul2(ans, turn(to_b)) if params["transposed"] else matmul2(to_b, turn(ans))
    to_a = convert(-_triangle(product, params["lower"], params["unit"]), dtype_of(args[0])) if wanted[0] else None
    return [to_a, convert(to_b, dtype_of(args[1]))]


def _triangular_samples(rng: np.random.Generator) -> list[Any]:
    a, b = sample_matrix(rng, 3, 3), array(rng, (3, 2))
    choices = [(True, False, False), (False, True, False), (True, True, True)]
    return [((a, b), {"lower": x, "transposed": t, "unit": u}) for x, t, u in choices]


triangular_solve: Primitive = register(
    Primitive(
        "triangular_solve", _triangular_impl, _solve_type, _triangular_jvp, _triangular_vjp,
        batch=stacked(lambda: triangular_solve), samples=_triangular_samples,
    )
)  # fmt: skip

# ---- determinants ----


def inverse(a: Any) -> Any:
    """The inverse matrices, by solve."""
    shape = shape_of(a)
    eye = np.eye(shape[-1], dtype=dtype_of(a))
    return solve(a, broadcast_in_dim(eye, shape=shape, dims=(len(shape) - 2, len(shape) - 1)))


def _traced_product(x: Any, y: Any) -> Any:
    """The trace of x @ y."""
    product = x * turn(y)
    n = len(shape_of(product))
    return reduce_sum(product, axes=(n - 2, n - 1))


def _cofactors_impl(a: Any) -> Any:
    # det(a) inv(a)^T, exact for singular matrices as well: by the SVD, products of the other singular values.
    u, s, vh = np.linalg.svd(a)
    n = s.shape[-1]
    others = np.stack([np.prod(np.delete(s, i, -1), -1) for i in range(n)], -1) if n else s
    sign = np.linalg.det(u) * np.linalg.det(vh)
    return sign[..., None, None] * ((u * others[..., None, :]) @ vh).conj()


def _cofactors_jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    inv = turn(inverse(args[0]))
    trace = _traced_product(tangents[0], turn(inv))
    shape = shape_of(ans)
    spread = expand(trace, ans, (len(shape) - 2, len(shape) - 1))
    return ans * spread - matmul2(inv, matmul2(turn(tangents[0]), ans))


cofactors: Primitive = register(
    Primitive(
        "cofactors", _cofactors_impl, _same("det"), _cofactors_jvp, batch=stacked(lambda: cofactors),
        samples=square_samples(sample_matrix),
    )
)  # fmt: skip


def _det_type(a: ArrayType) -> ArrayType:
    check_square("det", a)
    return array_type(a.shape[:-2], a.dtype)


det: Primitive = register(
    Primitive(
        "det",
        lambda a: np.linalg.det(a),
        _det_type,
        lambda tangents, ans, args, params: _traced_product(tangents[0], turn(cofactors(args[0]))),
        batch=stacked(lambda: det),
        samples=square_samples(sample_matrix),
    )
)


def _slogdet_type(a: ArrayType) -> tuple[ArrayType, ArrayType]:
    check_square("slogdet", a)
    return array_type(a.shape[:-2], a.dtype), array_type(a.shape[:-2], real_dtype(a.dtype))


def _slogdet_jvp(tangents: Sequence[Any], outs: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    sign, _ = outs
    trace = _traced_product(inverse(args[0]), tangents[0])
    if dtype_of(sign).kind != "c":
        return [None, trace]
    size = real(trace)
    return [sign * (trace - convert(size, dtype_of(sign))), size]


slogdet: Primitive = register(
    Primitive(
        "slogdet", lambda a: tuple(np.linalg.slogdet(a)), _slogdet_type, _slogdet_jvp, batch=stacked(lambda: slogdet),
        multiple=True, samples=square_samples(sample_matrix),
    )
)  # fmt: skip
