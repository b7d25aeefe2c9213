"""Scaled dot-product attention, a plain composition: with jit, its parts fuse as other code does."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.nn.distributions import logsumexp, softmax
from funcgrad.numpy.products import einsum
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert, reshape, transpose

Window = int | tuple[int, int] | None


def _check(query: Any, key: Any, value: Any) -> None:
    q, k, v = shape_of(query), shape_of(key), shape_of(value)
    if len(q) != 4 or len(k) != 4 or k != v or q[0] != k[0] or q[3] != k[3] or not k[2] or q[2] % k[2]:
        raise ValueError(
            f"dot_product_attention got query {q}, key {k}, value {v}; it takes (B, T, N, H) and twice (B, S, K, H), or all "
            "three without B, where N is a multiple of K."
        )
    if not dtype_of(query) == dtype_of(key) == dtype_of(value):
        raise TypeError(
            f"dot_product_attention needs query, key and value of one dtype, got {dtype_of(query)}, {dtype_of(key)}, "
            f"{dtype_of(value)}; convert them with astype."
        )


def _broadcastable(name: str, x: Any, shape: tuple[int, ...]) -> Any:
    x = array_operand(x)
    have = shape_of(x)
    full = (1,) * (4 - len(have)) + have
    if len(have) > 4 or any(n not in (1, m) for n, m in zip(full, shape, strict=True)):
        raise ValueError(f"dot_product_attention: {name} of shape {have} does not broadcast to (B, N, T, S) = {shape}.")
    return reshape(x, shape=full)


def _allowed(shape: tuple[int, ...], is_causal: bool, window: Window, keys: Any, queries: Any) -> list[Any]:
    """The masks, broadcastable to (B, N, T, S), of the places where a query may look."""
    _, _, t, s = shape
    row, column = np.arange(t)[:, None], np.arange(s)[None, :]
    found: list[Any] = []
    if is_causal:
        found.append(column <= row)
    if window is not None:
        left, right = (window, window) if isinstance(window, int) else window
        found.append((column >= row - left) & (column <= row + right))
    if keys is not None:
        found.append(e.lt(column, reshape(_lengths("key_value_seq_lengths", keys, shape), shape=(shape[0], 1, 1, 1))))
    if queries is not None:
        found.append(e.lt(row, reshape(_lengths("query_seq_lengths", queries, shape), shape=(shape[0], 1, 1, 1))))
    return found


def _lengths(name: str, lengths: Any, shape: tuple[int, ...]) -> Any:
    found = array_operand(lengths)
    if shape_of(found) != shape[:1] or dtype_of(found).kind not in "iu":
        raise ValueError(
            f"dot_product_attention: {name} must be integers of shape {shape[:1]}, got {dtype_of(found)}{shape_of(found)}."
        )
    return found


def dot_product_attention(query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, *,
                          scale: Any = None, is_causal: bool = False, query_seq_lengths: Any = None,
                          key_value_seq_lengths: Any = None, local_window_size: Window = None,
                          implementation: str | None = None, return_residual: bool = False) -> Any:  # fmt: skip
    """softmax(query key^T * scale + bias) value for each head.

    Args:
        query: (B, T, N, H) or (T, N, H). key, value: (B, S, K, H) or (S, K, H); each of the K heads serves N / K queries.
        bias: added to the logits; broadcastable to (B, N, T, S). mask: bool of that shape, false where not to look.
        scale: of the logits, 1 / sqrt(H) by default.
        is_causal: whether query t looks at keys up to t only.
        query_seq_lengths, key_value_seq_lengths: integers (B,); later places are left out, later outputs are 0.
        local_window_size: how many keys to the (left, right) of its own place a query looks at; an int means both.
        implementation: None or "xla", both of which are this composition.
        return_residual: whether to return (output, logsumexp of the logits, shape (B, T, N)) instead of the output.

    Returns:
        An array of the query's shape and dtype. Raises ValueError for shapes that do not fit, TypeError for unequal dtypes.
    """
    if implementation not in (None, "xla"):
        raise NotImplementedError(
            f"dot_product_attention: implementation must be None or 'xla', got {implementation!r}."
        )
    q, k, v = array_operand(query), array_operand(key), array_operand(value)
    single = len(shape_of(q)) == 3
    if single:
        q, k, v = (reshape(x, shape=(1, *shape_of(x))) for x in (q, k, v))
    _check(q, k, v)
    b, t, n, h = shape_of(q)
    s, heads = shape_of(k)[1:3]
    shape = (b, n, t, s)
    # Logits and weights of half precision are computed in single.
    kind = np.promote_types(dtype_of(q), np.float32)
    grouped = reshape(convert(q, kind), shape=(b, t, heads, n // heads, h))
    logits = reshape(array_operand(einsum("btkgh,bskh->bkgts", grouped, convert(k, kind))), shape=shape)
    logits = logits * convert(array_operand(1 / math.sqrt(h) if scale is None else scale), kind)
    if bias is not None:
        logits = convert(logits + _broadcastable("bias", bias, shape), kind)
    masks = _allowed(shape, is_causal, local_window_size, key_value_seq_lengths, query_seq_lengths)
    if mask is not None:
        masks.append(_mask(mask, shape))
    for allowed in masks:
        # Large and finite, so that a query that may look nowhere has equal weights and no nan.
        logits = e.select(allowed, logits, np.asarray(-0.7 * np.finfo(kind).max, kind))
    weights = convert(reshape(array_operand(softmax(logits)), shape=(b, heads, n // heads, t, s)), dtype_of(q))
    out = reshape(array_operand(einsum("bkgts,bskh->btkgh", weights, v)), shape=(b, t, n, h))
    if query_seq_lengths is not None:
        lengths = reshape(array_operand(query_seq_lengths), shape=(b, 1, 1, 1))
        out = e.select(e.lt(np.arange(t)[:, None, None], lengths), out, np.zeros((), dtype_of(q)))
    results = [out]
    if return_residual:
        results.append(convert(transpose(array_operand(logsumexp(logits, -1)), permutation=(0, 2, 1)), dtype_of(q)))
    found = tuple(wrap(reshape(r, shape=shape_of(r)[1:]) if single else r) for r in results)
    return found if return_residual else found[0]


def _mask(mask: Any, shape: tuple[int, ...]) -> Any:
    found = _broadcastable("mask", mask, shape)
    if dtype_of(found) != np.bool_:
        raise TypeError(
            f"dot_product_attention: mask must be bool, got {dtype_of(found)}; an additive mask goes into bias."
        )
    return found
