"""Scaled dot-product attention as one row, so that no matrix of all queries by all keys need be in memory.

attention(q, k, v[, mask]) with q (B, H, T, D), k (B, H, S, D), v (B, H, S, E) gives softmax(scale q k^T + mask) v and the
logarithm of each row's sum (0 for a row that may look nowhere, whose output is 0). attention_back computes the weights again from
that. Derivatives in forward mode and of the second order are ordinary products of whole matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Routine
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim, broadcast_to, reduce_sum, reshape
from funcgrad.ops.dot import dot_general
from funcgrad.ops.elementwise import exp, select
from funcgrad.ops.families import array, register, zeros_like
from funcgrad.ops.pointwise import unbroadcast

Params = dict[str, Any]
BATCH = ((0, 1), (0, 1))
CHUNK = 128
"""Queries that NumPy takes at a time."""


def allowed(t: int, s: int, start: int = 0) -> np.ndarray:
    """Where query `start + i` may look under a causal mask: keys up to its own place."""
    return np.arange(s) <= start + np.arange(t)[:, None]


def _part(mask: Any, start: int, stop: int) -> Any:
    return mask if mask.shape[2] == 1 else mask[:, :, start:stop]


def _scores(q: np.ndarray, k: np.ndarray, mask: Any, start: int, stop: int, params: Params) -> np.ndarray:
    s = np.matmul(q[:, :, start:stop] * q.dtype.type(params["scale"]), k.swapaxes(2, 3))
    if mask is not None:
        s += _part(mask, start, stop)
    if params["causal"]:
        s[..., ~allowed(stop - start, k.shape[2], start)] = -np.inf
    return s


def _impl(*args: Any, **params: Any) -> Any:
    q, k, v, *rest = (np.asarray(a) for a in args)
    mask = rest[0] if rest else None
    out, total = np.zeros((*q.shape[:3], v.shape[3]), q.dtype), np.zeros(q.shape[:3], q.dtype)
    for start in range(0, q.shape[2] if k.shape[2] else 0, CHUNK):
        here = slice(start, start + CHUNK)
        s = _scores(q, k, mask, start, min(start + CHUNK, q.shape[2]), params)
        peak = s.max(-1, keepdims=True)
        with np.errstate(all="ignore"):
            p = np.exp(s - np.where(peak == -np.inf, 0, peak))
            added = p.sum(-1, keepdims=True)
            dead = added == 0
            out[:, :, here] = np.matmul(p / np.where(dead, 1, added), v)
            total[:, :, here] = np.where(dead, 0, np.log(added) + peak)[..., 0]
    return out, total


def _back_impl(*args: Any, **params: Any) -> Any:
    q, k, v, total, delta, g, *rest = (np.asarray(a) for a in args)
    mask = rest[0] if rest else None
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    scale = q.dtype.type(params["scale"])
    for start in range(0, q.shape[2] if k.shape[2] else 0, CHUNK):
        here = slice(start, start + CHUNK)
        s = _scores(q, k, mask, start, min(start + CHUNK, q.shape[2]), params)
        p = np.exp(s - total[:, :, here, None])
        ds = p * (np.matmul(g[:, :, here], v.swapaxes(2, 3)) - delta[:, :, here, None]) * scale
        dq[:, :, here] = np.matmul(ds, k)
        dk += np.matmul(ds.swapaxes(2, 3), q[:, :, here])
        dv += np.matmul(p.swapaxes(2, 3), g[:, :, here])
    return dq, dk, dv


def _type(q: ArrayType, k: ArrayType, v: ArrayType, *mask: ArrayType, **params: Any) -> Any:
    lead, (t, d), s = q.shape[:2], q.shape[2:], k.shape[2]
    fits = k.shape == (*lead, s, d) and v.shape[:3] == (*lead, s)
    fits = fits and all(
        m.ndim == 4 and all(n in (1, w) for n, w in zip(m.shape, (*lead, t, s), strict=True)) for m in mask
    )
    if not fits or len({x.dtype for x in (q, k, v, *mask)}) != 1:
        raise TypeError(
            f"attention was asked of query {q}, key {k}, value {v}{f' and mask {mask[0]}' if mask else ''}; it takes "
            "(B, H, T, D), (B, H, S, D), (B, H, S, E) and a mask that broadcasts to (B, H, T, S), of one dtype."
        )
    return array_type((*lead, t, v.shape[3]), q.dtype), array_type((*lead, t), q.dtype)


def _back_type(q: ArrayType, k: ArrayType, v: ArrayType, *rest: ArrayType, **params: Any) -> Any:
    return tuple(array_type(x.shape, x.dtype) for x in (q, k, v))


# ---- with whole matrices: forward mode, and second derivatives ----


def _rows_by_rows(x: Any, y: Any) -> Any:
    """x y^T."""
    return dot_general(x, y, dims=(((3,), (3,)), BATCH))


def _by_columns(x: Any, y: Any) -> Any:
    """x y."""
    return dot_general(x, y, dims=(((3,), (2,)), BATCH))


def _columns_by_columns(x: Any, y: Any) -> Any:
    """x^T y."""
    return dot_general(x, y, dims=(((2,), (2,)), BATCH))


def _column(x: Any) -> Any:
    return reshape(x, shape=(*type_of(x).shape, 1))


def _weights(q: Any, k: Any, total: Any, mask: Sequence[Any], params: Params) -> Any:
    s = _rows_by_rows(q, k) * params["scale"] - _column(total)
    for m in mask:
        s = s + m
    p = exp(s)
    if params["causal"]:
        p = select(allowed(type_of(q).shape[2], type_of(k).shape[2]), p, np.zeros((), type_of(q).dtype))
    return p


def _added(*terms: Any) -> Any:
    found = None
    for term in terms:
        if term is not None:
            found = term if found is None else found + term
    return found


def _both(f: Any, x: Any, tx: Any, y: Any, ty: Any) -> Any:
    """The tangent of a bilinear f(x, y); None if it is zero."""
    return _added(None if tx is None else f(tx, y), None if ty is None else f(x, ty))


def _score_tangent(q: Any, tq: Any, k: Any, tk: Any, tm: Any, params: Params) -> Any:
    moved = _both(_rows_by_rows, q, tq, k, tk)
    return _added(None if moved is None else moved * params["scale"], tm)


def _jvp(tangents: Sequence[Any], outs: Sequence[Any], args: Sequence[Any], params: Params) -> list[Any]:
    (q, k, v, *mask), (tq, tk, tv, *tm) = args, tangents
    p = _weights(q, k, outs[1], mask, params)
    ts = _score_tangent(q, tq, k, tk, tm[0] if tm else None, params)
    moved = [None if tv is None else _by_columns(p, tv), None]
    if ts is not None:
        tp = p * ts
        mean = reduce_sum(tp, axes=(3,))
        moved = [_added(moved[0], _by_columns(tp - p * _column(mean), v)), mean]
    return moved


def _back_jvp(tangents: Sequence[Any], outs: Sequence[Any], args: Sequence[Any], params: Params) -> list[Any]:
    (q, k, v, total, delta, g, *mask), (tq, tk, tv, tl, td, tg, *tm) = args, tangents
    scale = params["scale"]
    p = _weights(q, k, total, mask, params)
    inner = _rows_by_rows(g, v) - _column(delta)
    ds = p * inner
    ts = _added(_score_tangent(q, tq, k, tk, tm[0] if tm else None, params), None if tl is None else -_column(tl))
    tp = None if ts is None else p * ts
    t_inner = _added(_both(_rows_by_rows, g, tg, v, tv), None if td is None else -_column(td))
    tds = _added(None if tp is None else tp * inner, None if t_inner is None else p * t_inner)
    scaled = lambda x: None if x is None else x * scale  # noqa: E731
    return [
        scaled(_both(_by_columns, ds, tds, k, tk)),
        scaled(_both(_columns_by_columns, ds, tds, q, tq)),
        _both(_columns_by_columns, p, tp, g, tg),
    ]


def _vjp(
    cts: Sequence[Any], outs: Sequence[Any], args: Sequence[Any], params: Params, wanted: Sequence[bool]
) -> list[Any]:
    q, k, v, *mask = args
    out, total = outs
    g = zeros_like(out) if cts[0] is None else cts[0]
    delta = reduce_sum(g * out, axes=(3,))
    if cts[1] is not None:
        delta = delta - cts[1]
    found = list(attention_back(q, k, v, total, delta, g, *mask, **params)) if any(wanted[:3]) else [None] * 3
    if mask:
        found.append(None)
        if wanted[3]:
            p = _weights(q, k, total, mask, params)
            found[3] = unbroadcast(p * (_rows_by_rows(g, v) - _column(delta)), mask[0])
    return found


# ---- batches go into axis 0 ----


def _merged(size: int, batched: Sequence[bool], args: Sequence[Any], masks: int) -> list[Any]:
    found = []
    examples = type_of(args[0]).shape[1 if batched[0] else 0]
    for i, (a, b) in enumerate(zip(args, batched, strict=True)):
        shape = type_of(a).shape
        if not b:
            if i >= masks and shape[0] == 1:
                found.append(a)
                continue
            a = broadcast_in_dim(a, shape=(size, *shape), dims=tuple(range(1, len(shape) + 1)))
        shape = type_of(a).shape
        if i >= masks and shape[1] == 1:
            a = broadcast_to(a, (shape[0], examples, *shape[2:]))
            shape = type_of(a).shape
        found.append(reshape(a, shape=(shape[0] * shape[1], *shape[2:])))
    return found


def _parted(outs: Sequence[Any], size: int) -> list[Any]:
    return [reshape(o, shape=(size, type_of(o).shape[0] // size, *type_of(o).shape[1:])) for o in outs]


def _batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> Any:
    outs = attention(*_merged(size, batched, args, 3), **params)
    return _parted(outs, size), [True] * 2


def _back_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> Any:
    outs = attention_back(*_merged(size, batched, args, 6), **params)
    return _parted(outs, size), [True] * 3


# ---- rows ----


def _samples(rng: np.random.Generator) -> list[Any]:
    q, k, v = array(rng, (2, 2, 3, 4)), array(rng, (2, 2, 5, 4)), array(rng, (2, 2, 5, 3))
    return [
        ((q, k, v), {"scale": 0.5, "causal": True}),
        ((q, k, v, array(rng, (2, 1, 3, 5))), {"scale": 0.7, "causal": False}),
    ]


def _back_samples(rng: np.random.Generator) -> list[Any]:
    found = []
    for args, params in _samples(rng):
        total = array(rng, (2, 2, 3), 2.0, 3.0)
        found.append(((*args[:3], total, array(rng, (2, 2, 3)), array(rng, (2, 2, 3, 3)), *args[3:]), params))
    return found


attention: Primitive = register(
    Primitive(
        "attention",
        _impl,
        _type,
        _jvp,
        _vjp,
        _batch,
        multiple=True,
        samples=_samples,
        kernel=Routine("scaled dot product", "value"),
    )
)
attention_back: Primitive = register(
    Primitive(
        "attention_back",
        _back_impl,
        _back_type,
        _back_jvp,
        None,
        _back_batch,
        multiple=True,
        samples=_back_samples,
        kernel=Routine("scaled dot product", "back"),
    )
)
