"""torch.nn.functional.scaled_dot_product_attention as a pure function of the attention row (ops/attention.py)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.nn.distributions import softmax
from funcgrad.nn.regularization import dropout
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.attention import allowed, attention
from funcgrad.ops.basics import broadcast_in_dim, broadcast_to, convert, reshape
from funcgrad.ops.dot import dot_general

Shape = tuple[int, ...]


def _check(q: Any, k: Any, v: Any, mask: Any, is_causal: bool, enable_gqa: bool) -> None:
    shapes = [shape_of(x) for x in (q, k, v)]
    if any(len(s) < 2 for s in shapes) or len({len(s) for s in shapes}) > 1 or shapes[0][-1] != shapes[1][-1] or (
        shapes[1][-2] != shapes[2][-2]
    ):  # fmt: skip
        raise ValueError(
            "scaled_dot_product_attention takes query (..., T, D), key (..., S, D) and value (..., S, E), got "
            f"{shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    if not dtype_of(q) == dtype_of(k) == dtype_of(v) or dtype_of(q).kind != "f":
        raise TypeError(
            "scaled_dot_product_attention needs floating query, key and value of one dtype, got "
            f"{dtype_of(q)}, {dtype_of(k)}, {dtype_of(v)}; convert them with astype."
        )
    if mask is not None and is_causal:
        raise ValueError("scaled_dot_product_attention takes attn_mask or is_causal=True, not both.")
    if enable_gqa and (
        len(shapes[0]) < 3 or not shapes[1][-3] or shapes[0][-3] % shapes[1][-3] or shapes[1][-3] != shapes[2][-3]
    ):
        raise ValueError(
            f"scaled_dot_product_attention(enable_gqa=True): the query's {shapes[0]} heads must be a multiple of the key's and "
            f"value's, got {shapes[1]} and {shapes[2]}."
        )


def _four(x: Any, lead: Shape) -> Any:
    """x with leading axes `lead` as (B, H, rows, columns)."""
    shape = shape_of(x)
    x = broadcast_to(x, (*lead, *shape[-2:]))
    return reshape(x, shape=(*_pair(lead), *shape[-2:]))


def _pair(lead: Shape) -> Shape:
    return (math.prod(lead[:-1]), lead[-1]) if lead else (1, 1)


def _repeated(x: Any, times: int) -> Any:
    """Heads (axis -3) repeated, each one in place."""
    shape = shape_of(x)
    n = len(shape)
    dims = tuple(i if i <= n - 3 else i + 1 for i in range(n))
    wide = broadcast_in_dim(x, shape=(*shape[:-2], times, *shape[-2:]), dims=dims)
    return reshape(wide, shape=(*shape[:-3], shape[-3] * times, *shape[-2:]))


def _additive(mask: Any, lead: Shape, t: int, s: int, dtype: np.dtype) -> Any:
    """A mask as numbers to add, (B or 1, H or 1, T or 1, S)."""
    m = array_operand(mask)
    have = shape_of(m)
    want = (*lead, t, s)
    full = (1,) * (len(want) - len(have)) + have
    if len(have) > len(want) or any(n not in (1, w) for n, w in zip(full, want, strict=True)):
        raise ValueError(f"scaled_dot_product_attention: attn_mask of shape {have} does not broadcast to {want}.")
    if dtype_of(m) == np.bool_:
        m = e.select(m, np.zeros((), dtype), np.asarray(-np.inf, dtype))
    elif dtype_of(m) != dtype:
        raise TypeError(f"scaled_dot_product_attention: attn_mask must be bool or {dtype}, got {dtype_of(m)}.")
    m = reshape(m, shape=full)
    rows = full[-2]
    if any(n != 1 for n in full[:-2]):
        # A mask that differs along some of the leading axes only is repeated along the others that are merged with them.
        outer = full[: len(lead) - 1] if all(n == 1 for n in full[: len(lead) - 1]) else lead[:-1]
        m = broadcast_to(m, (*outer, full[len(lead) - 1], rows, s))
        return reshape(m, shape=(math.prod(outer), full[len(lead) - 1], rows, s))
    return reshape(broadcast_to(m, (*full[:-1], s)), shape=(1, 1, rows, s))


def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
                                 rng: Any = None) -> Any:  # fmt: skip
    """softmax(scale * query key^T + mask) value, without the matrix of all queries by all keys in memory.

    Args:
        query: (..., T, D). key: (..., S, D). value: (..., S, E).
        attn_mask: bool (true: may look) or numbers to add, broadcastable to (..., T, S).
        dropout_p: the probability to drop a weight; with it, whole matrices are made.
        is_causal: whether query t looks at keys up to t only.
        scale: 1 / sqrt(D) by default.
        enable_gqa: whether each head of key and value (axis -3) serves several of the query's.
        rng: the key for dropout.

    Returns:
        An array (..., T, E); 0 for a query that may look nowhere. Raises ValueError and TypeError for what does not fit.
    """
    q, k, v = array_operand(query), array_operand(key), array_operand(value)
    _check(q, k, v, attn_mask, is_causal, enable_gqa)
    if enable_gqa:
        times = shape_of(q)[-3] // shape_of(k)[-3]
        k, v = (x if times == 1 else _repeated(x, times) for x in (k, v))
    dtype, (t, d), s = dtype_of(q), shape_of(q)[-2:], shape_of(k)[-2]
    lead = np.broadcast_shapes(shape_of(q)[:-2], shape_of(k)[:-2], shape_of(v)[:-2])
    factor = 1 / math.sqrt(d) if scale is None else float(scale)
    masks = [] if attn_mask is None else [_additive(attn_mask, lead, t, s, dtype)]
    args = [_four(x, lead) for x in (q, k, v)]
    if dropout_p:
        if rng is None:
            raise ValueError(
                f"scaled_dot_product_attention(dropout_p={dropout_p}) needs rng, a key of funcgrad.random."
            )
        out = _whole(args, masks, factor, is_causal, dropout_p, rng)
    else:
        half = dtype == np.float16
        wide = [convert(a, np.float32) if half else a for a in (*args, *masks)]
        out = convert(attention(*wide, scale=factor, causal=bool(is_causal))[0], dtype)
    return wrap(reshape(out, shape=(*lead, t, shape_of(v)[-1])))


def _whole(args: list[Any], masks: list[Any], factor: float, is_causal: bool, p: float, rng: Any) -> Any:
    q, k, v = args
    batch = ((0, 1), (0, 1))
    scores: Any = dot_general(q, k, dims=(((3,), (3,)), batch)) * factor
    for m in masks:
        scores = scores + m
    if is_causal:
        scores = e.select(allowed(shape_of(q)[2], shape_of(k)[2]), scores, np.asarray(-np.inf, dtype_of(q)))
    weights = array_operand(dropout(softmax(scores), rng, p))
    return dot_general(weights, v, dims=(((3,), (2,)), batch))
