"""Discrete distributions. Errors as in `continuous.py`; Poisson and binomial values follow JAX's distributions, not
its bits (see `ops/samplers.py`), the others are JAX's values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import Array, wrap
from funcgrad.core.tracing import type_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_to, convert, reshape, transpose
from funcgrad.ops.random import random_binomial, random_poisson
from funcgrad.ops.reduce import argmax
from funcgrad.ops.shape import slice_axis
from funcgrad.random.arguments import (
    Shape,
    ShapeLike,
    check_key,
    float_of,
    integer_of,
    parameter_shape,
    raw_uniform,
    shape_of,
    values,
)
from funcgrad.random.draws import raw_gumbel
from funcgrad.random.indexing import largest


def _floats(x: Any) -> Any:
    x = array_operand(x)
    return x if type_of(x).dtype.kind == "f" else convert(x, np.float64)


def bernoulli(key: Any, p: Any = 0.5, shape: ShapeLike | None = None, mode: str = "low") -> Array:
    """True with probability `p`. mode "high" draws two uniform values each, which makes small p exact.

    Raises TypeError if p is not floating, ValueError for another mode or a p that does not broadcast to `shape`.
    """
    key, p = check_key("bernoulli", key), array_operand(p)
    kind = type_of(p).dtype
    if kind.kind != "f":
        raise TypeError(f"random.bernoulli takes a floating p, got {type_of(p)}.")
    if mode not in ("low", "high"):
        raise ValueError(f'random.bernoulli has mode "low" and "high", got {mode!r}.')
    sizes = parameter_shape("bernoulli", shape, p)
    if mode == "low":
        return wrap(raw_uniform(key, sizes, kind) < p)
    both = raw_uniform(key, (2, *sizes), kind)
    u1, u2 = (reshape(slice_axis(both, i, i + 1, 0), shape=sizes) for i in (0, 1))
    return wrap(u2 * kind.type(2.0 ** -np.finfo(kind).nmant) < p - u1)


def rademacher(key: Any, shape: ShapeLike = (), dtype: Any = None) -> Array:
    """-1 or 1 with even odds, int64 by default; any numeric dtype."""
    key, sizes = check_key("rademacher", key), shape_of("rademacher", shape)
    kind = np.dtype(int if dtype is None else dtype)
    return wrap(convert(2 * convert(raw_uniform(key, sizes, np.dtype(float)) < 0.5, kind) - 1, kind))


def geometric(key: Any, p: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """The number of trials of success probability `p` up to and with the first success: integers from 1."""
    key, kind, p = check_key("geometric", key), integer_of("geometric", dtype), _floats(p)
    sizes = parameter_shape("geometric", shape, p)
    u = raw_uniform(key, sizes, type_of(p).dtype)
    u = e.select(u == 0, type_of(p).dtype.type(1), u)
    return wrap(convert(e.floor(e.log(u) / e.log1p(-p)) + 1, kind))


def poisson(key: Any, lam: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """Poisson values of rate `lam`, int64 by default; -1 where the rate is negative or nan."""
    key, kind, lam = check_key("poisson", key), integer_of("poisson", dtype), convert(array_operand(lam), np.float64)
    sizes = parameter_shape("poisson", shape, lam)
    return wrap(random_poisson(key, broadcast_to(lam, sizes), dtype=kind))


def binomial(key: Any, n: Any, p: Any, shape: ShapeLike | None = None, dtype: Any = None) -> Array:
    """The number of successes in `n` trials of probability `p`, as floats; nan where n < 0 or p is not in [0, 1]."""
    key, kind = check_key("binomial", key), float_of("binomial", dtype)
    n, p = values(np.dtype(np.float64), n, p)
    sizes = parameter_shape("binomial", shape, n, p)
    return wrap(convert(random_binomial(key, broadcast_to(n, sizes), broadcast_to(p, sizes)), kind))


def categorical(key: Any, logits: Any, axis: int = -1, shape: ShapeLike | None = None, replace: bool = True,
                mode: str | None = None) -> Array:  # fmt: skip
    """int64 indices along `axis` of unnormalised log probabilities `logits`, with `mode` as in `gumbel`.

    `shape` ends with (or broadcasts) the shape of logits without the axis; what comes before it are more draws.
    replace=False draws these without replacement. Raises ValueError for other shapes or more draws than categories.
    """
    key, logits = check_key("categorical", key), _floats(logits)
    have = type_of(logits).shape
    at = range(len(have))[axis]
    batch = (*have[:at], *have[at + 1 :])
    sizes = batch if shape is None else shape_of("categorical", shape)
    if len(sizes) < len(batch) or np.broadcast_shapes(sizes, batch) != sizes:
        raise ValueError(f"random.categorical was asked for shape {sizes}, to which {batch} does not broadcast.")
    lead = sizes[: len(sizes) - len(batch)]
    kind = type_of(logits).dtype
    if replace:
        own = sizes[len(lead) :]
        whole = (*lead, *own[:at], have[at], *own[at:])
        return wrap(argmax(raw_gumbel(key, whole, kind, mode) + logits, axis=len(lead) + at))
    return wrap(_without_replacement(key, logits, at, lead, sizes, mode))


def _without_replacement(key: Any, logits: Any, at: int, lead: Shape, sizes: Shape, mode: str | None) -> Any:
    have, draws = type_of(logits).shape, math.prod(lead)
    if draws > have[at]:
        raise ValueError(f"random.categorical cannot draw {draws} of {have[at]} categories without replacement.")
    noisy = logits + raw_gumbel(key, have, type_of(logits).dtype, mode)
    n = len(have)
    found = largest(transpose(noisy, permutation=(*(i for i in range(n) if i != at), at)), draws)
    return reshape(transpose(found, permutation=(n - 1, *range(n - 1))), shape=sizes)
