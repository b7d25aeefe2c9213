"""Reductions of windows that slide over an array, and what pooling's derivatives need.

window_sum and window_spread are each other's transposes. window_extreme is the largest (smallest) value of each window;
window_scatter adds a value for each window to the place where its extreme was first found, window_gather reads there: each
other's transposes too. All take `window`, `strides`, `padding` (pairs, may be negative) and `dilation` for every axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Routine
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim
from funcgrad.ops.conv import out_space
from funcgrad.ops.families import array, linear, register

Shape = tuple[int, ...]
Params = dict[str, Any]
SETTINGS = ("window", "strides", "padding", "dilation")


def windows(shape: Shape, params: Params) -> Shape:
    """The shape of the result: how many windows fit along each axis."""
    return out_space(shape, params["window"], params["strides"], params["padding"], params["dilation"])


def lowest(dtype: np.dtype, largest: bool = True) -> Any:
    """What is below (above, unless `largest`) every value of a dtype."""
    if dtype.kind == "f":
        return dtype.type(-np.inf if largest else np.inf)
    if dtype.kind == "b":
        return dtype.type(not largest)
    info = np.iinfo(dtype)
    return dtype.type(info.min if largest else info.max)


def _padded(x: np.ndarray, fill: Any, padding: Sequence[tuple[int, int]]) -> np.ndarray:
    if not any(a or b for a, b in padding):
        return x
    out = np.full([max(n + a + b, 0) for n, (a, b) in zip(x.shape, padding, strict=True)], fill, x.dtype)
    to, source = _inside(x.shape, padding)
    out[to] = x[source]
    return out


def _inside(shape: Shape, padding: Sequence[tuple[int, int]]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The places of the values that stay: in the padded array, and in the array itself."""
    to, source = [], []
    for n, (a, b) in zip(shape, padding, strict=True):
        start = min(max(-a, 0), n)
        stop = max(min(n, n + b), start)
        source.append(slice(start, stop))
        to.append(slice(start + a, stop + a) if stop > start else slice(0, 0))
    return tuple(to), tuple(source)


def _cut(total: np.ndarray, shape: Shape, padding: Sequence[tuple[int, int]]) -> np.ndarray:
    """The unpadded part of an array."""
    if not any(a or b for a, b in padding):
        return total
    found = np.zeros(shape, total.dtype)
    to, source = _inside(shape, padding)
    found[source] = total[to]
    return found


def places(out: Shape, params: Params) -> Iterator[tuple[slice, ...]]:
    """For each place of the window, in C order, the slices of the padded array that all windows have there."""
    if 0 in out:
        return
    for place in np.ndindex(*params["window"]):
        yield tuple(
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, n, s in zip(place, params["dilation"], out, params["strides"], strict=True)
        )


def _sum_impl(x: Any, **params: Any) -> Any:
    x = np.asarray(x)
    out = windows(x.shape, params)
    x = _padded(x, 0, params["padding"])
    total = np.zeros(out, x.dtype)
    for at in places(out, params):
        total += x[at]
    return total


def _spread_impl(y: Any, *, shape: Shape, **params: Any) -> Any:
    y = np.asarray(y)
    padding = params["padding"]
    total = np.zeros([max(n + a + b, 0) for n, (a, b) in zip(shape, padding, strict=True)], y.dtype)
    for at in places(y.shape, params):
        total[at] += y
    return _cut(total, shape, padding)


def _search(x: np.ndarray, largest: bool, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """The extreme of each window (nan if there is one), and the number of the place where it is first found."""
    out = windows(x.shape, params)
    inside = _padded(np.ones(x.shape, bool), False, params["padding"])
    x = _padded(x, lowest(x.dtype, largest), params["padding"])
    best, number = np.full(out, lowest(x.dtype, largest), x.dtype), np.full(out, -1, np.int32)
    for n, at in enumerate(places(out, params)):
        seen = x[at]
        better = seen > best if largest else seen < best
        # The first place inside the array counts even if its value is the lowest there is.
        better |= (number < 0) & inside[at]
        if x.dtype.kind == "f":
            better |= np.isnan(seen) & ~np.isnan(best)
        best = np.where(better, seen, best)
        number[better] = n
    return best, number


def _extreme_impl(x: Any, *, largest: bool, **params: Any) -> Any:
    return _search(np.asarray(x), largest, params)[0]


def _scatter_impl(source: Any, x: Any, *, largest: bool, **params: Any) -> Any:
    source, x = np.asarray(source), np.asarray(x)
    _, number = _search(x, largest, params)
    padding = params["padding"]
    total = np.zeros([max(n + a + b, 0) for n, (a, b) in zip(x.shape, padding, strict=True)], source.dtype)
    for n, at in enumerate(places(number.shape, params)):
        total[at] += np.where(number == n, source, source.dtype.type(0))
    return _cut(total, x.shape, padding)


def _gather_impl(t: Any, x: Any, *, largest: bool, **params: Any) -> Any:
    t, x = np.asarray(t), np.asarray(x)
    _, number = _search(x, largest, params)
    t = _padded(t, 0, params["padding"])
    found = np.zeros(number.shape, t.dtype)
    for n, at in enumerate(places(number.shape, params)):
        found = np.where(number == n, t[at], found)
    return found


def _index_impl(x: Any, *, largest: bool, **params: Any) -> Any:
    x = np.asarray(x)
    _, number = _search(x, largest, params)
    flat = np.arange(x.size, dtype=np.int64).reshape(x.shape)
    flat = _padded(flat, 0, params["padding"])
    found = np.zeros(number.shape, np.int64)
    for n, at in enumerate(places(number.shape, params)):
        found = np.where(number == n, flat[at], found)
    return found


# ---- types, batches ----


def _windows_type(x: ArrayType, **params: Any) -> ArrayType:
    return array_type(windows(x.shape, params), x.dtype)


def _up(params: Params) -> Params:
    """The parameters for values with a batch axis in front."""
    new = {k: (1, *params[k]) for k in ("window", "strides", "dilation")}
    return {**params, **new, "padding": ((0, 0), *params["padding"])}


def _batch_one(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> Any:
    return window_sum(args[0], **_up(params)), True


def _batch_spread(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> Any:
    return window_spread(args[0], **{**_up(params), "shape": (size, *params["shape"])}), True


def _both(size: int, batched: Sequence[bool], args: Sequence[Any]) -> list[Any]:
    return [
        a if b else broadcast_in_dim(a, shape=(size, *type_of(a).shape), dims=tuple(range(1, type_of(a).ndim + 1)))
        for a, b in zip(args, batched, strict=True)
    ]


def _extreme_vjp(ct: Any, ans: Any, args: Sequence[Any], params: Params, wanted: Sequence[bool]) -> list[Any]:
    return [window_scatter(ct, args[0], **params)]


# ---- rows ----

_FIRST = {"window": (2, 3), "strides": (1, 2), "padding": ((1, 0), (1, 1)), "dilation": (2, 1)}
_SECOND = {"window": (2, 2), "strides": (2, 1), "padding": ((0, 0), (-1, 0)), "dilation": (1, 2)}


def _samples(**more: Any) -> Any:
    return lambda rng: [((array(rng, (4, 5)),), {**p, **more}) for p in (_FIRST, _SECOND)]


def _pair_samples(source: bool) -> Any:
    def samples(rng: np.random.Generator) -> list[Any]:
        found = []
        for largest, p in ((True, _FIRST), (False, _SECOND)):
            x = array(rng, (4, 5))
            first = array(rng, windows((4, 5), p) if source else (4, 5))
            found.append(((first, x), {**p, "largest": largest}))
        return found

    return samples


window_sum: Primitive = linear(
    "window_sum",
    _sum_impl,
    _windows_type,
    lambda ct, args, params: window_spread(ct, shape=type_of(args[0]).shape, **params),
    _batch_one,
    _samples(),
    kernel=Routine("window", "sum"),
)
window_spread: Primitive = linear(
    "window_spread",
    _spread_impl,
    lambda y, *, shape, **params: array_type(shape, y.dtype),
    lambda ct, args, params: window_sum(ct, **{k: params[k] for k in SETTINGS}),
    _batch_spread,
    lambda rng: [((array(rng, windows((4, 5), p)),), {**p, "shape": (4, 5)}) for p in (_FIRST, _SECOND)],
    kernel=Routine("window", "spread"),
)
window_scatter: Primitive = linear(
    "window_scatter",
    _scatter_impl,
    lambda source, x, **params: array_type(x.shape, source.dtype),
    lambda ct, args, params: window_gather(ct, args[1], **params),
    lambda size, batched, args, params: (window_scatter(*_both(size, batched, args), **_up(params)), True),
    _pair_samples(True),
    kernel=Routine("window", "place"),
)
window_gather: Primitive = linear(
    "window_gather",
    _gather_impl,
    lambda t, x, **params: array_type(windows(x.shape, params), t.dtype),
    lambda ct, args, params: window_scatter(ct, args[1], **params),
    lambda size, batched, args, params: (window_gather(*_both(size, batched, args), **_up(params)), True),
    _pair_samples(False),
)
window_extreme: Primitive = register(
    Primitive(
        "window_extreme",
        _extreme_impl,
        _windows_type,
        lambda tangents, ans, args, params: window_gather(tangents[0], args[0], **params),
        _extreme_vjp,
        lambda size, batched, args, params: (window_extreme(args[0], **_up(params)), True),
        samples=_samples(largest=True),
        kernel=Routine("window", "extreme"),
    )
)
window_index: Primitive = register(
    Primitive(
        "window_index",
        _index_impl,
        lambda x, **params: array_type(windows(x.shape, params), np.dtype(np.int64)),
        flat=True,
        strong=True,
        # The places count from the start of the batch: each example's own count from its start.
        batch=lambda size, batched, args, params: (_own_places(window_index(args[0], **_up(params)), args[0]), True),
        samples=_samples(largest=True),
        kernel=Routine("window", "index"),
    )
)
"""The flat place in x of each window's extreme."""


def _own_places(found: Any, x: Any) -> Any:
    shape = type_of(x).shape
    starts = np.arange(shape[0]) * int(np.prod(shape[1:]))
    return found - starts.reshape(-1, *(1,) * (len(shape) - 1))
