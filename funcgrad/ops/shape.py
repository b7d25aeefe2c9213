"""Linear primitives that move values: slices, padding, concatenation, reversal, and slices at computed starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Assembly, Layout, Params
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim, convert, reduce_sum
from funcgrad.ops.elementwise import select
from funcgrad.ops.families import array, batch_unary, linear, shift, unary_samples
from funcgrad.ops.views import REVERSE, SLICE, concatenated, contiguous

Shape = tuple[int, ...]

# ---- slice ----


def _slices(starts: Shape, limits: Shape, strides: Shape) -> tuple[slice, ...]:
    return tuple(slice(a, b, s) for a, b, s in zip(starts, limits, strides, strict=True))


def _slice_type(x: ArrayType, *, starts: Shape, limits: Shape, strides: Shape) -> ArrayType:
    if any(not 0 <= a <= b <= n for a, b, n in zip(starts, limits, x.shape, strict=True)) or any(
        s < 1 for s in strides
    ):
        raise TypeError(f"slice was asked for {starts} to {limits} by {strides} of {x}; that is not inside it.")
    return array_type(tuple(-(-(b - a) // s) for a, b, s in zip(starts, limits, strides, strict=True)), x.dtype)


def _slice_transpose(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    have, out = type_of(args[0]).shape, type_of(ct).shape
    starts, strides = params["starts"], params["strides"]
    ends = tuple(
        n - (a + (m - 1) * s + 1) if m else n - a for n, a, m, s in zip(have, starts, out, strides, strict=True)
    )
    interior = tuple(s - 1 if m > 1 else 0 for s, m in zip(strides, out, strict=True))
    return pad(ct, 0.0, low=starts, high=ends, interior=interior)


def _slice_text(args: Sequence[str], types: Sequence[ArrayType], params: dict[str, Any]) -> str:
    parts = []
    for a, b, s, n in zip(params["starts"], params["limits"], params["strides"], types[0].shape, strict=True):
        parts.append(f"{a or ''}:{'' if b == n else b}{'' if s == 1 else f':{s}'}")
    return f"{args[0]}[{', '.join(parts) or '()'}]"


slice_: Primitive = linear(
    "slice",
    lambda x, *, starts, limits, strides: x[_slices(starts, limits, strides)],
    _slice_type,
    _slice_transpose,
    batch_unary(
        lambda: slice_,
        lambda size, starts, limits, strides: {
            "starts": (0, *starts),
            "limits": (size, *limits),
            "strides": (1, *strides),
        },
    ),
    unary_samples(
        [
            {"starts": (0, 1), "limits": (3, 4), "strides": (1, 1)},
            {"starts": (1, 0), "limits": (3, 4), "strides": (1, 2)},
            {"starts": (2, 1), "limits": (2, 4), "strides": (1, 3)},
        ]
    ),
    text=_slice_text,
    kernel=SLICE,
)


def slice_axis(x: Any, start: int, stop: int, axis: int) -> Any:
    """x[..., start:stop, ...] along one axis."""
    shape = type_of(x).shape
    starts = tuple(start if i == axis else 0 for i in range(len(shape)))
    limits = tuple(stop if i == axis else n for i, n in enumerate(shape))
    return slice_(x, starts=starts, limits=limits, strides=(1,) * len(shape))


# ---- pad: negative low and high cut, interior spreads ----


def _padded(shape: Shape, low: Shape, high: Shape, interior: Shape) -> Shape:
    return tuple(
        max(a + b + (n + (n - 1) * i if n else 0), 0) for n, a, b, i in zip(shape, low, high, interior, strict=True)
    )


def _pad_places(shape: Shape, out: Shape, low: Shape, interior: Shape) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    to, source = [], []
    for n, m, a, i in zip(shape, out, low, interior, strict=True):
        step = i + 1
        first = -(-max(-a, 0) // step)
        last = min(n, -(-(m - a) // step)) if m > a else first
        last = max(last, first)
        to.append(slice(a + first * step, a + (last - 1) * step + 1 if last > first else a + first * step, step))
        source.append(slice(first, last))
    return tuple(to), tuple(source)


def _pad_impl(x: Any, value: Any, *, low: Shape, high: Shape, interior: Shape) -> Any:
    x = np.asarray(x)
    out = np.full(_padded(x.shape, low, high, interior), value, x.dtype)
    to, source = _pad_places(x.shape, out.shape, low, interior)
    out[to] = x[source]
    return out


def _pad_type(x: ArrayType, value: ArrayType, *, low: Shape, high: Shape, interior: Shape) -> ArrayType:
    return array_type(_padded(x.shape, low, high, interior), x.dtype)


def _unpad(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    low, high, interior = params["low"], params["high"], params["interior"]
    # Cut what was added, put back what was cut, then take every (interior + 1)-th value.
    whole = pad(ct, 0.0, low=tuple(-n for n in low), high=tuple(-n for n in high), interior=(0,) * len(low))
    shape = type_of(whole).shape
    return slice_(whole, starts=(0,) * len(shape), limits=shape, strides=tuple(i + 1 for i in interior))


def _pad_transpose(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    from_x = _unpad(ct, args, params)
    total = _total(ct)
    return [from_x, total - _total(from_x)]


def _total(x: Any) -> Any:
    return reduce_sum(x, axes=tuple(range(type_of(x).ndim)))


def _pad_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    x, value = args
    low, high, interior = ((0, *params[k]) for k in ("low", "high", "interior"))
    if not batched[1]:
        return pad(x, value, low=low, high=high, interior=interior), True
    if not batched[0]:
        x = broadcast_in_dim(x, shape=(size, *type_of(x).shape), dims=shift(range(type_of(x).ndim)))
    padded = pad(x, 0, low=low, high=high, interior=interior)
    inside = _pad_impl(np.ones(type_of(x).shape[1:], bool), False, **params)
    fill = broadcast_in_dim(value, shape=type_of(padded).shape, dims=(0,))
    return select(inside, padded, fill), True


def _pad_text(args: Sequence[str], types: Sequence[ArrayType], params: dict[str, Any]) -> str | None:
    if any(params["interior"]) or min((*params["low"], *params["high"]), default=0) < 0:
        return None
    widths = tuple(zip(params["low"], params["high"], strict=True))
    return f"np.pad({args[0]}, {widths}, constant_values={args[1]})" if widths else None


def _pad_parts(types: Sequence[ArrayType], params: Params) -> list[tuple[int, Layout, Layout]]:
    """The part of the argument that stays, and where it goes in the padded array."""
    x, low, interior = types[0], params["low"], params["interior"]
    out = contiguous(_padded(x.shape, low, params["high"], interior))
    to, source = _pad_places(x.shape, out.shape, low, interior)
    if any(s.stop <= s.start for s in source):
        return []
    have = contiguous(x.shape)
    shape = tuple(s.stop - s.start for s in source)
    target = Layout(
        shape,
        tuple(s * t.step for s, t in zip(out.strides, to, strict=True)),
        sum(s * t.start for s, t in zip(out.strides, to, strict=True)),
    )
    return [
        (0, target, Layout(shape, have.strides, sum(s * t.start for s, t in zip(have.strides, source, strict=True))))
    ]


pad: Primitive = linear(
    "pad",
    _pad_impl,
    _pad_type,
    _pad_transpose,
    _pad_batch,
    lambda rng: [
        ((array(rng, (3, 4)), 0.5), {"low": (1, 0), "high": (0, 2), "interior": (0, 1)}),
        ((array(rng, (3, 4)), np.float64(0.25)), {"low": (-1, 1), "high": (1, -2), "interior": (1, 2)}),
    ],
    operands=2,
    text=_pad_text,
    kernel=Assembly(_pad_parts, fill=1),
)

# ---- concatenate ----


def _concatenate_impl(*xs: Any, axis: int) -> Any:
    out = np.concatenate(xs, axis)
    return out if out.flags.c_contiguous else np.ascontiguousarray(out)


def _concatenate_type(*xs: ArrayType, axis: int) -> ArrayType:
    first = xs[0].shape
    for x in xs:
        if len(x.shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(x.shape, first, strict=True)) if i != axis
        ):
            raise TypeError(
                f"concatenate along axis {axis} was asked of shapes {', '.join(str(t.shape) for t in xs)}; "
                "they must be equal in every other axis."
            )
    total = sum(x.shape[axis] for x in xs)
    return array_type((*first[:axis], total, *first[axis + 1 :]), np.result_type(*[x.dtype for x in xs]))


def _concatenate_transpose(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> list[Any]:
    axis, at, cts = params["axis"], 0, []
    for a in args:
        n = type_of(a).shape[axis]
        cts.append(convert(slice_axis(ct, at, at + n, axis), type_of(a).dtype))
        at += n
    return cts


def _concatenate_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    lifted = [
        a if b else broadcast_in_dim(a, shape=(size, *type_of(a).shape), dims=shift(range(type_of(a).ndim)))
        for a, b in zip(args, batched, strict=True)
    ]
    return concatenate(*lifted, axis=params["axis"] + 1), True


concatenate: Primitive = linear(
    "concatenate",
    _concatenate_impl,
    _concatenate_type,
    _concatenate_transpose,
    _concatenate_batch,
    lambda rng: [((array(rng, (2, 3)), array(rng, (2, 1))), {"axis": 1}), ((array(rng, (4,)),), {"axis": 0})],
    operands=None,
    kernel=Assembly(concatenated),
)

# ---- reversal ----

rev: Primitive = linear(
    "rev",
    lambda x, *, axes: np.flip(x, axes),
    lambda x, *, axes: array_type(x.shape, x.dtype),
    lambda ct, args, params: rev(ct, axes=params["axes"]),
    batch_unary(lambda: rev, lambda size, axes: {"axes": shift(axes)}),
    unary_samples([{"axes": (0,)}, {"axes": (0, 1)}]),
    kernel=REVERSE,
)
