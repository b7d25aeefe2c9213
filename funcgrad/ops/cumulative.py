"""Running maxima, minima and log-sums along one axis, from either end.

A running extreme has the derivative of the value it holds: the last of equal ones, as in PyTorch. Its rows stand on
`pick_along`, which moves values along an axis, and on the positions, which have no derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Routine
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim
from funcgrad.ops.elementwise import exp, logaddexp, select
from funcgrad.ops.families import array, batch_unary, flat, general, linear, shift, unary_samples
from funcgrad.ops.shape import concatenate, rev, slice_axis

_same = lambda x, *, axis, reverse: array_type(x.shape, x.dtype)  # noqa: E731
_along_samples = unary_samples([{"axis": 0, "reverse": False}, {"axis": 1, "reverse": True}])

# ---- moving values along an axis ----


def _batched_both(size: int, batched: Sequence[bool], args: Sequence[Any]) -> list[Any]:
    return [
        a if b else broadcast_in_dim(a, shape=(size, *type_of(a).shape), dims=shift(range(type_of(a).ndim)))
        for a, b in zip(args, batched, strict=True)
    ]


def _pick_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    return pick_along(*_batched_both(size, batched, args), axis=params["axis"] + 1), True


def _drop_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    return drop_along(*_batched_both(size, batched, args), axis=params["axis"] + 1, size=params["size"]), True


def _drop_impl(x: Any, index: Any, *, axis: int, size: int) -> Any:
    x = np.asarray(x)
    out = np.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    places = list(np.indices(x.shape, sparse=True))
    places[axis] = index
    np.add.at(out, tuple(places), x)
    return out


def _drop_type(x: ArrayType, index: ArrayType, *, axis: int, size: int) -> ArrayType:
    return array_type((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)


def _samples(rng: np.random.Generator, **params: Any) -> list[Any]:
    return [((array(rng, (3, 4)), rng.integers(0, 3, (3, 4))), {"axis": 0, **params})]


pick_along = linear(
    "pick_along",
    lambda x, index, *, axis: np.take_along_axis(np.asarray(x), index, axis),
    lambda x, index, *, axis: array_type(index.shape, x.dtype),
    lambda ct, args, params: drop_along(ct, args[1], axis=params["axis"], size=type_of(args[0]).shape[params["axis"]]),
    _pick_batch,
    _samples,
    kernel=Routine("indexing", "pick"),
)

drop_along: Primitive = linear(
    "drop_along",
    _drop_impl,
    _drop_type,
    lambda ct, args, params: pick_along(ct, args[1], axis=params["axis"]),
    _drop_batch,
    lambda rng: _samples(rng, size=5),
    kernel=Routine("indexing", "drop"),
)

# ---- running extremes ----


def _from_end(f: Callable[[Any], Any], x: Any, axis: int, reverse: bool) -> Any:
    return np.flip(f(np.flip(x, axis)), axis) if reverse else f(x)


def _running(ufunc: np.ufunc) -> Callable[..., Any]:
    def impl(x: Any, *, axis: int, reverse: bool) -> Any:
        return _from_end(lambda v: ufunc.accumulate(v, axis=axis), np.asarray(x), axis, reverse)

    return impl


def _running_position(ufunc: np.ufunc) -> Callable[..., Any]:
    def impl(x: Any, *, axis: int, reverse: bool) -> Any:
        x = np.asarray(x)
        n = x.shape[axis]
        count = np.arange(n).reshape([n if i == axis else 1 for i in range(x.ndim)])

        def positions(v: np.ndarray) -> np.ndarray:
            # A nan is its own extreme: it is not equal to itself, and everything after it is nan.
            held = (v == ufunc.accumulate(v, axis=axis)) | np.isnan(v)
            return np.maximum.accumulate(np.where(held, count, 0), axis=axis)

        found = _from_end(positions, x, axis, reverse)
        return n - 1 - found if reverse else found

    return impl


def _along_batch(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    return batch_unary(primitive, lambda size, axis, reverse: {"axis": axis + 1, "reverse": reverse})


def _extreme(name: str, ufunc: np.ufunc) -> Primitive:
    position = flat(
        f"{name}_position",
        _running_position(ufunc),
        lambda x, *, axis, reverse: array_type(x.shape, np.dtype(np.int64)),
        _along_batch(lambda: position),
        _along_samples,
    )

    def jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
        return pick_along(tangents[0], position(args[0], **params), axis=params["axis"])

    def vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
        axis = params["axis"]
        return [drop_along(ct, position(args[0], **params), axis=axis, size=type_of(args[0]).shape[axis])]

    primitive = general(
        name,
        _running(ufunc),
        _same,
        jvp=jvp,
        vjp=vjp,
        batch=_along_batch(lambda: primitive),
        samples=_along_samples,
        kernel=Routine("cumulative", name[3:]),
    )
    return primitive


cummax = _extreme("cummax", np.maximum)
cummin = _extreme("cummin", np.minimum)

# ---- running log of a sum of exponentials ----


def _oriented(value: Any, params: dict[str, Any]) -> Any:
    return rev(value, axes=(params["axis"],)) if params["reverse"] else value


def _levels(x: Any, axis: int) -> list[tuple[int, Any, Any]]:
    # Hillis and Steele's scan: each level joins the value `step` places before. (step, share of it, share of here).
    n = type_of(x).shape[axis]
    levels, step = [], 1
    while step < n:
        head, here = slice_axis(x, 0, step, axis), slice_axis(x, step, n, axis)
        before = slice_axis(x, 0, n - step, axis)
        total = logaddexp(before, here)
        levels.append((step, _share(before, total), _share(here, total)))
        x = concatenate(head, total, axis=axis)
        step *= 2
    return levels


def _share(part: Any, total: Any) -> Any:
    # exp(part - total) <= 1; equal infinities count as all of it.
    same = part == total
    return select(same, 1.0, exp(select(same, 0.0, part - total)))


def _log_jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    axis = params["axis"]
    t = _oriented(tangents[0], params)
    n = type_of(t).shape[axis]
    for step, before, here in _levels(_oriented(args[0], params), axis):
        moved = slice_axis(t, 0, n - step, axis) * before + slice_axis(t, step, n, axis) * here
        t = concatenate(slice_axis(t, 0, step, axis), moved, axis=axis)
    return _oriented(t, params)


def _log_vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
    axis = params["axis"]
    ct = _oriented(ct, params)
    shape = type_of(ct).shape
    n = shape[axis]
    for step, before, here in reversed(_levels(_oriented(args[0], params), axis)):
        tail = slice_axis(ct, step, n, axis)
        gap = np.zeros((*shape[:axis], step, *shape[axis + 1 :]), type_of(ct).dtype)
        kept = concatenate(slice_axis(ct, 0, step, axis), tail * here, axis=axis)
        ct = kept + concatenate(tail * before, gap, axis=axis)
    return [_oriented(ct, params)]


cumlogsumexp: Primitive = general(
    "cumlogsumexp",
    _running(np.logaddexp),
    _same,
    jvp=_log_jvp,
    vjp=_log_vjp,
    batch=_along_batch(lambda: cumlogsumexp),
    samples=_along_samples,
    kernel=Routine("cumulative", "logaddexp"),
)
