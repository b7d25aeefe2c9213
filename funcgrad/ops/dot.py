"""dot_general: every contraction of two arrays (matmul, einsum, tensordot) is this one bilinear primitive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Contraction
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import convert, transpose
from funcgrad.ops.families import array, register

Axes = tuple[int, ...]
Dims = tuple[tuple[Axes, Axes], tuple[Axes, Axes]]
"""((lhs contracting, rhs contracting), (lhs batch, rhs batch)), as in jax.lax.dot_general."""


def free_axes(ndim: int, *used: Axes) -> Axes:
    """The axes that are neither contracted nor batched."""
    taken = {a for axes in used for a in axes}
    return tuple(i for i in range(ndim) if i not in taken)


def _impl(x: Any, y: Any, *, dims: Dims) -> Any:
    (xc, yc), (xb, yb) = dims
    x, y = np.asarray(x), np.asarray(y)
    if not xb and x.ndim == 2 == y.ndim and len(xc) == 1:
        return np.matmul(x if xc == (1,) else x.T, y if yc == (0,) else y.T)
    xf, yf = free_axes(x.ndim, xc, xb), free_axes(y.ndim, yc, yb)
    batch = [x.shape[a] for a in xb]
    rows, columns = [x.shape[a] for a in xf], [y.shape[a] for a in yf]
    inner = math.prod(x.shape[a] for a in xc)
    left = x.transpose((*xb, *xf, *xc)).reshape((*batch, math.prod(rows), inner))
    right = y.transpose((*yb, *yc, *yf)).reshape((*batch, inner, math.prod(columns)))
    return np.matmul(left, right).reshape((*batch, *rows, *columns))


def _type(x: ArrayType, y: ArrayType, *, dims: Dims) -> ArrayType:
    (xc, yc), (xb, yb) = dims
    pairs = [*zip(xc, yc, strict=True), *zip(xb, yb, strict=True)]
    if any(x.shape[a] != y.shape[b] for a, b in pairs):
        raise TypeError(
            f"dot_general was asked to contract {x} along axes {xc} with {y} along axes {yc} (batch axes {xb}, {yb}); "
            "the sizes of each pair of axes must be equal."
        )
    shape = (
        *(x.shape[a] for a in xb),
        *(x.shape[a] for a in free_axes(x.ndim, xc, xb)),
        *(y.shape[a] for a in free_axes(y.ndim, yc, yb)),
    )
    return array_type(shape, np.result_type(x.dtype, y.dtype))


def _jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    (x, y), (tx, ty) = args, tangents
    terms = ([] if tx is None else [dot_general(tx, y, **params)]) + (
        [] if ty is None else [dot_general(x, ty, **params)]
    )
    return convert(terms[0] if len(terms) == 1 else terms[0] + terms[1], type_of(ans).dtype)


def _left_cotangent(ct: Any, x: Any, y: Any, dims: Dims) -> Any:
    # ct has axes (batch, x free, y free); contracted with y's free axes it has (batch, x free, y's contracted).
    (xc, yc), (xb, yb) = dims
    nx, ny = type_of(x).ndim, type_of(y).ndim
    xf, yf = free_axes(nx, xc, xb), free_axes(ny, yc, yb)
    ct_batch = tuple(range(len(xb)))
    ct_yf = tuple(range(len(xb) + len(xf), len(xb) + len(xf) + len(yf)))
    found = dot_general(ct, y, dims=((ct_yf, yf), (ct_batch, yb)))
    by_y = sorted(range(len(yc)), key=lambda i: yc[i])
    have = (*xb, *xf, *(xc[i] for i in by_y))
    order = tuple(have.index(i) for i in range(nx))
    found = found if order == tuple(range(nx)) else transpose(found, permutation=order)
    return convert(found, type_of(x).dtype)


def _vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
    x, y = args
    dims = params["dims"]
    (xc, yc), (xb, yb) = dims
    left = _left_cotangent(ct, x, y, dims) if wanted[0] else None
    if not wanted[1]:
        return [left, None]
    rows = len(free_axes(type_of(x).ndim, xc, xb))
    n, b = type_of(ct).ndim, len(xb)
    swapped = (*range(b), *range(b + rows, n), *range(b, b + rows))
    turned = ct if swapped == tuple(range(n)) else transpose(ct, permutation=swapped)
    return [left, _left_cotangent(turned, y, x, ((yc, xc), (yb, xb)))]


def _batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    x, y = args
    (xc, yc), (xb, yb) = params["dims"]
    up = lambda axes: tuple(a + 1 for a in axes)  # noqa: E731
    if all(batched):
        return dot_general(x, y, dims=((up(xc), up(yc)), ((0, *up(xb)), (0, *up(yb))))), True
    if batched[0]:
        out = dot_general(x, y, dims=((up(xc), yc), (up(xb), yb)))
        at = len(xb)
    else:
        out = dot_general(x, y, dims=((xc, up(yc)), (xb, up(yb))))
        at = type_of(x).ndim - len(xc)
    n = type_of(out).ndim
    return (out if at == 0 else transpose(out, permutation=(at, *(i for i in range(n) if i != at)))), True


def _samples(rng: np.random.Generator) -> list[Any]:
    return [
        ((array(rng, (3, 4)), array(rng, (4, 2))), {"dims": (((1,), (0,)), ((), ()))}),
        ((array(rng, (4, 3)), array(rng, (2, 4))), {"dims": (((0,), (1,)), ((), ()))}),
        ((array(rng, (2, 3, 4)), array(rng, (4, 2, 3))), {"dims": (((1, 2), (2, 0)), ((0,), (1,)))}),
        ((array(rng, (3,)), array(rng, (2,))), {"dims": (((), ()), ((), ()))}),
        ((array(rng, (3,)), array(rng, (3,))), {"dims": (((0,), (0,)), ((), ()))}),
    ]


def _text(args: Sequence[str], types: Sequence[ArrayType], params: dict[str, Any]) -> str | None:
    (xc, yc), (xb, yb) = params["dims"]
    nx, ny = (t.ndim for t in types)
    k = len(xb)
    if k:
        if not xb == yb == tuple(range(k)) or nx != k + 2 or ny != k + 2 or len(xc) != 1:
            return None
        left = args[0] if xc == (k + 1,) else f"np.swapaxes({args[0]}, -1, -2)"
        return f"{left} @ {args[1] if yc == (k,) else f'np.swapaxes({args[1]}, -1, -2)'}"
    if len(xc) != 1 or not 1 <= nx <= 2 or not 1 <= ny <= 2:
        return f"np.tensordot({args[0]}, {args[1]}, axes=({xc}, {yc}))"
    left = args[0] if xc == (nx - 1,) else f"{args[0]}.T"
    return f"{left} @ {args[1] if yc == (0,) else f'{args[1]}.T'}"


dot_general: Primitive = register(
    Primitive("dot_general", _impl, _type, _jvp, _vjp, _batch, samples=_samples, text=_text, kernel=Contraction())
)


def matmul2(x: Any, y: Any) -> Any:
    """x @ y over the last two axes of arrays with equal leading axes."""
    n = type_of(x).ndim
    lead = tuple(range(n - 2))
    return dot_general(x, y, dims=(((n - 1,), (n - 2,)), (lead, lead)))
