"""Indexing by arrays of integers: gather, scatter, and slices at computed starts.

gather(x, *indices, axes): the indices broadcast to one shape I and select along `axes`; the result has shape I + the other
axes of x, in order. scatter is its counterpart. Negative indices count from the end. `mode` says what an index out of
bounds does: "raise" IndexError, "clip" to the nearest one, or "drop" (reads give 0, writes are left out).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Routine
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import shape_of, type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim, broadcast_to, convert, reshape, transpose
from funcgrad.ops.elementwise import clamp, select
from funcgrad.ops.families import array, instantiate, linear, register, zeros_like

Shape = tuple[int, ...]


def _rest(ndim: int, axes: Shape) -> Shape:
    return tuple(i for i in range(ndim) if i not in axes)


def _in_front(x: np.ndarray, axes: Shape) -> np.ndarray:
    return x.transpose(*axes, *_rest(x.ndim, axes)) if axes else x


def _resolve(
    indices: Sequence[Any], sizes: Sequence[int], mode: str
) -> tuple[tuple[np.ndarray, ...], np.ndarray | None]:
    """Indices counted from the start, and where they are in bounds (None: everywhere)."""
    found = [np.asarray(i) for i in indices]
    if mode == "raise":
        return tuple(found), None
    signed = [np.where(i < 0, i + n, i) if i.dtype.kind == "i" else i for i, n in zip(found, sizes, strict=True)]
    clipped = tuple(np.clip(i, 0, max(n - 1, 0)) for i, n in zip(signed, sizes, strict=True))
    if mode == "clip":
        return clipped, None
    inside = [(i >= 0) & (i < n) for i, n in zip(signed, sizes, strict=True)]
    return clipped, np.logical_and.reduce(np.broadcast_arrays(*inside)) if inside else None


def _index_shape(indices: Sequence[ArrayType]) -> Shape:
    return np.broadcast_shapes(*[i.shape for i in indices])


# ---- gather ----


def _gather_impl(x: Any, *indices: Any, axes: Shape, mode: str) -> Any:
    x = np.asarray(x)
    places, inside = _resolve(indices, [x.shape[a] for a in axes], mode)
    found = _in_front(x, axes)[places]
    if inside is None or inside.all():
        return found
    return np.where(inside.reshape(inside.shape + (1,) * (x.ndim - len(axes))), found, np.zeros((), x.dtype))


def _gather_type(x: ArrayType, *indices: ArrayType, axes: Shape, mode: str) -> ArrayType:
    return array_type(_index_shape(indices) + tuple(x.shape[a] for a in _rest(x.ndim, axes)), x.dtype)


def _gather_transpose(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    return scatter(zeros_like(args[0]), ct, *args[1:], op="add", **params)


def _lift_indices(size: int, batched: Sequence[bool], indices: Sequence[Any]) -> list[Any]:
    """Batched indices with their examples' axes aligned, so that they broadcast with each other and the rest."""
    rank = max((len(shape_of(i)) - b for i, b in zip(indices, batched, strict=True)), default=0)
    return [
        reshape(i, shape=(size, *(1,) * (rank - len(shape_of(i)) + 1), *shape_of(i)[1:])) if b else i
        for i, b in zip(indices, batched, strict=True)
    ]


def _batch_index(size: int, batched: Sequence[bool], indices: Sequence[Any]) -> np.ndarray:
    rank = max((len(shape_of(i)) - b for i, b in zip(indices, batched, strict=True)), default=0)
    return np.arange(size).reshape(size, *(1,) * rank)


def _up(axes: Shape) -> Shape:
    return tuple(a + 1 for a in axes)


def _gather_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    x, *indices = args
    axes, mode = params["axes"], params["mode"]
    if not any(batched[1:]):
        out = gather(x, *indices, axes=_up(axes), mode=mode)
        at = len(np.broadcast_shapes(*[shape_of(i) for i in indices]))
        order = (at, *(i for i in range(len(shape_of(out))) if i != at))
        return transpose(out, permutation=order), True
    lifted = _lift_indices(size, batched[1:], indices)
    if not batched[0]:
        return gather(x, *lifted, axes=axes, mode=mode), True
    return gather(x, _batch_index(size, batched[1:], indices), *lifted, axes=(0, *_up(axes)), mode=mode), True


gather: Primitive = linear(
    "gather",
    _gather_impl,
    _gather_type,
    _gather_transpose,
    _gather_batch,
    lambda rng: [
        ((array(rng, (4, 3)), np.array([0, 2, 2, -1])), {"axes": (0,), "mode": "raise"}),
        ((array(rng, (4, 3, 2)), np.array([[0, 1], [3, 1]]), np.array([1, 0])), {"axes": (0, 2), "mode": "raise"}),
        ((array(rng, (4, 3)), np.array([0, 7, -9])), {"axes": (0,), "mode": "clip"}),
        ((array(rng, (4, 3)), np.array([0, 7, 2])), {"axes": (1,), "mode": "drop"}),
        ((array(rng, (4,)), np.array(2)), {"axes": (0,), "mode": "raise"}),
    ],
    kernel=Routine("indexing", "gather"),
)

# ---- scatter ----

_AT = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def _scatter_impl(x: Any, updates: Any, *indices: Any, axes: Shape, op: str, mode: str) -> Any:
    out = np.array(x)
    places, inside = _resolve(indices, [out.shape[a] for a in axes], mode)
    updates = np.asarray(updates)
    if inside is not None and not inside.all():
        places = tuple(p[inside] for p in np.broadcast_arrays(*places))
        updates = updates[inside]
    view = _in_front(out, axes)
    if op == "set":
        view[places] = updates
    else:
        _AT[op].at(view, places, updates)
    return out


def _scatter_type(x: ArrayType, u: ArrayType, *indices: ArrayType, axes: Shape, op: str, mode: str) -> ArrayType:
    want = _index_shape(indices) + tuple(x.shape[a] for a in _rest(x.ndim, axes))
    if u.shape != want:
        raise TypeError(f"scatter into {x} along axes {axes} needs updates of shape {want}, got {u}.")
    return array_type(x.shape, x.dtype)


def _read(value: Any, indices: Sequence[Any], params: dict[str, Any]) -> Any:
    return gather(value, *indices, axes=params["axes"], mode=params["mode"])


def _spread(mask: Any, like: Any) -> Any:
    """A value of the index shape against one of shape I + rest."""
    shape = shape_of(mask)
    return reshape(mask, shape=shape + (1,) * (len(shape_of(like)) - len(shape)))


def _last_writer(x: Any, indices: Sequence[Any], params: dict[str, Any]) -> Any:
    """Of shape I: whether this write is the one that stays, where several go to one place."""
    shape = np.broadcast_shapes(*[shape_of(i) for i in indices])
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    sizes = tuple(shape_of(x)[a] for a in params["axes"])
    flat = {"axes": tuple(range(len(sizes))), "mode": params["mode"]}
    owner = scatter(np.full(sizes, -1), numbers, *indices, op="set", **flat)
    return gather(owner, *indices, **flat) == numbers


def _count_writers(x: Any, indices: Sequence[Any], params: dict[str, Any]) -> Any:
    sizes = tuple(shape_of(x)[a] for a in params["axes"])
    shape = np.broadcast_shapes(*[shape_of(i) for i in indices])
    flat = {"axes": tuple(range(len(sizes))), "mode": params["mode"]}
    count = scatter(np.zeros(sizes, int), np.ones(shape, int), *indices, op="add", **flat)
    return gather(count, *indices, **flat)


def _extreme_shares(ans: Any, x: Any, u: Any, indices: Sequence[Any], params: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Which of x and the updates attain the result, and how many share each place."""
    dtype = type_of(ans).dtype
    from_x = convert(x == ans, dtype)
    from_u = convert(u == _read(ans, indices, params), dtype)
    count = scatter(from_x, from_u, *indices, **{**params, "op": "add"})
    return from_x, from_u, count


def _update_weights(ans: Any, x: Any, u: Any, indices: Sequence[Any], params: dict[str, Any]) -> tuple[Any, Any]:
    """For mul: d ans / d x at every place, d ans / d u for every write."""
    ones = np.ones(shape_of(x), type_of(x).dtype)
    to_x = scatter(ones, u, *indices, **params)
    several = _spread(_count_writers(x, indices, params) > 1, u)
    safe = select(several, u, 1.0)
    return to_x, select(several, _read(ans, indices, params) / safe, _read(x, indices, params))


def _scatter_jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    x, u, *indices = args
    tx, tu = instantiate(tangents[:2], args[:2])
    added = {**params, "op": "add"}
    if params["op"] in ("set", "add"):
        return scatter(tx, tu, *indices, **params)
    if params["op"] == "mul":
        to_x, to_u = _update_weights(ans, x, u, indices, params)
        return scatter(tx * to_x, tu * to_u, *indices, **added)
    from_x, from_u, count = _extreme_shares(ans, x, u, indices, params)
    return scatter(tx * from_x, tu * from_u, *indices, **added) / count


def _scatter_vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
    x, u, *indices = args
    nothing = [None] * len(indices)
    if params["op"] == "add":
        to_x, to_u = ct, _read(ct, indices, params)
    elif params["op"] == "set":
        to_x = scatter(ct, zeros_like(u), *indices, **params) if wanted[0] else None
        to_u = select(_spread(_last_writer(x, indices, params), u), _read(ct, indices, params), 0.0)
    elif params["op"] == "mul":
        weight_x, weight_u = _update_weights(ans, x, u, indices, params)
        to_x, to_u = ct * weight_x, _read(ct, indices, params) * weight_u
    else:
        from_x, from_u, count = _extreme_shares(ans, x, u, indices, params)
        share = ct / count
        to_x, to_u = share * from_x, _read(share, indices, params) * from_u
    return [to_x, None if to_u is None else convert(to_u, type_of(u).dtype), *nothing]


def _scatter_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    x, u, *indices = args
    x = x if batched[0] else broadcast_in_dim(x, shape=(size, *shape_of(x)), dims=_up(tuple(range(len(shape_of(x))))))
    u = u if batched[1] else broadcast_in_dim(u, shape=(size, *shape_of(u)), dims=_up(tuple(range(len(shape_of(u))))))
    lifted = [_batch_index(size, batched[2:], indices), *_lift_indices(size, batched[2:], indices)]
    return scatter(x, u, *lifted, axes=(0, *_up(params["axes"])), op=params["op"], mode=params["mode"]), True


def _scatter_samples(rng: np.random.Generator) -> list[Any]:
    x, u, i = array(rng, (4, 3), 0.5, 1.5), array(rng, (3, 3), 0.6, 1.4), np.array([0, 2, 2])
    cases: list[Any] = [
        ((x, u, i), {"axes": (0,), "op": op, "mode": "raise"}) for op in ("set", "add", "mul", "min", "max")
    ]
    cases.append(((x, array(rng, (3, 4)), np.array([0, 7, 2])), {"axes": (1,), "op": "set", "mode": "drop"}))
    cases.append(
        ((x, array(rng, (2,)), np.array([0, 1]), np.array([2, 0])), {"axes": (0, 1), "op": "add", "mode": "clip"})
    )
    return cases


scatter: Primitive = register(
    Primitive(
        "scatter",
        _scatter_impl,
        _scatter_type,
        _scatter_jvp,
        _scatter_vjp,
        _scatter_batch,
        samples=_scatter_samples,
        kernel=Routine("indexing", "scatter", start=0),
    )
)

# ---- slices at computed starts, clamped so that they fit ----


def _starts(shape: Shape, sizes: Shape, starts: Sequence[Any]) -> tuple[slice, ...]:
    firsts = [min(max(int(s), 0), n - m) for s, n, m in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(a, a + m) for a, m in zip(firsts, sizes, strict=True))


def _slice_impl(x: Any, *starts: Any, sizes: Shape) -> Any:
    return np.asarray(x)[_starts(x.shape, sizes, starts)]


def _slice_type(x: ArrayType, *starts: ArrayType, sizes: Shape) -> ArrayType:
    if len(sizes) != x.ndim or len(starts) != x.ndim or any(m > n for m, n in zip(sizes, x.shape, strict=True)):
        raise TypeError(f"dynamic_slice was asked for a window of shape {sizes} with {len(starts)} starts of {x}.")
    return array_type(sizes, x.dtype)


def _window(shape: Shape, sizes: Shape, starts: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Index arrays of shape (batch, *sizes), up to broadcasting, of windows at batched starts."""
    rank = len(sizes)
    found = []
    for axis, (n, m, start, b) in enumerate(zip(shape, sizes, starts, batched, strict=True)):
        first = clamp(start, 0, n - m)
        lead = reshape(first, shape=(shape_of(first)[0],) + (1,) * rank) if b else first
        found.append(lead + np.arange(m).reshape((m,) + (1,) * (rank - axis - 1)))
    return found


def _slice_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    x, *starts = args
    sizes = params["sizes"]
    if not any(batched[1:]):
        return dynamic_slice(x, 0, *starts, sizes=(size, *sizes)), True
    axes = tuple(range(len(sizes)))
    window = _window(shape_of(x)[batched[0] :], sizes, starts, batched[1:])
    if not batched[0]:
        return gather(x, *window, axes=axes, mode="clip"), True
    number = np.arange(size).reshape(size, *(1,) * len(sizes))
    return gather(x, number, *window, axes=(0, *_up(axes)), mode="clip"), True


dynamic_slice: Primitive = linear(
    "dynamic_slice",
    _slice_impl,
    _slice_type,
    lambda ct, args, params: dynamic_update_slice(zeros_like(args[0]), ct, *args[1:]),
    _slice_batch,
    lambda rng: [
        ((array(rng, (4, 3)), 1, 0), {"sizes": (2, 3)}),
        ((array(rng, (4, 3)), np.int64(7), np.int64(-2)), {"sizes": (2, 2)}),
    ],
)


def _update_impl(x: Any, update: Any, *starts: Any) -> Any:
    out = np.array(x)
    out[_starts(out.shape, np.shape(update), starts)] = update
    return out


def _update_type(x: ArrayType, update: ArrayType, *starts: ArrayType) -> ArrayType:
    if update.ndim != x.ndim or len(starts) != x.ndim or any(m > n for m, n in zip(update.shape, x.shape, strict=True)):
        raise TypeError(f"dynamic_update_slice was asked to write {update} with {len(starts)} starts into {x}.")
    return array_type(x.shape, x.dtype)


def _update_transpose(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    _, update, *starts = args
    to_update = dynamic_slice(ct, *starts, sizes=shape_of(update))
    return [dynamic_update_slice(ct, zeros_like(update), *starts), convert(to_update, type_of(update).dtype)]


def _update_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    x, update, *starts = args
    x = x if batched[0] else broadcast_in_dim(x, shape=(size, *shape_of(x)), dims=_up(tuple(range(len(shape_of(x))))))
    if not batched[1]:
        update = broadcast_to(update, (size, *shape_of(update)))
    if not any(batched[2:]):
        return dynamic_update_slice(x, update, 0, *starts), True
    sizes = shape_of(update)[1:]
    window = _window(shape_of(x)[1:], sizes, starts, batched[2:])
    number = np.arange(size).reshape(size, *(1,) * len(sizes))
    axes = tuple(range(len(sizes) + 1))
    return scatter(x, update, number, *window, axes=axes, op="set", mode="clip"), True


dynamic_update_slice: Primitive = linear(
    "dynamic_update_slice",
    _update_impl,
    _update_type,
    _update_transpose,
    _update_batch,
    lambda rng: [
        ((array(rng, (4, 3)), array(rng, (2, 2)), 1, 0), {}),
        ((array(rng, (4, 3)), array(rng, (2, 2)), np.int64(9), np.int64(-1)), {}),
    ],
    operands=2,
)
