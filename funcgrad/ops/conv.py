"""Convolution as three bilinear primitives: the value, and what it pulls back to the input and to the kernel.

conv(x, w), conv_input(y, w) and conv_kernel(x, y) are the three partial derivatives of one trilinear form, so each one's
derivatives are the other two, to any order, with the same parameters. x is (N, C, *space), w (O, C / groups, *window),
y (N, O, *out). Padding is a pair for each axis and may be negative; dilation is the kernel's. JAX's other settings are composed
of these in lax/convolution.py: an input dilation is conv_input, batch groups are groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Routine
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import convert, reshape, transpose
from funcgrad.ops.families import array, register

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Params = dict[str, Any]


def extent(window: int, dilation: int) -> int:
    """How many places a dilated window spans."""
    return (window - 1) * dilation + 1 if window else 0


def out_size(n: int, window: int, stride: int, pads: tuple[int, int], dilation: int = 1) -> int:
    """How many windows fit into an axis of size n with its padding; 0 if none."""
    return max((n + sum(pads) - extent(window, dilation)) // stride + 1, 0)


def out_space(space: Shape, window: Shape, strides: Shape, padding: Pairs, dilation: Shape) -> Shape:
    """The spatial shape of a convolution's result."""
    return tuple(map(out_size, space, window, strides, padding, dilation))


# ---- evaluation: patches of the padded input, and products of matrices ----


def _padded(x: np.ndarray, padding: Pairs) -> np.ndarray:
    """x with its spatial axes padded by zeros, or cut where the padding is negative."""
    if not any(a or b for a, b in padding):
        return x
    space = x.shape[2:]
    out = np.zeros((*x.shape[:2], *(max(n + a + b, 0) for n, (a, b) in zip(space, padding, strict=True))), x.dtype)
    to, source = _inside(space, padding)
    out[to] = x[source]
    return out


def _inside(space: Shape, padding: Pairs) -> tuple[Any, Any]:
    """The places of the values that stay, as indices: of the padded array, and of the array itself."""
    starts = [min(max(-a, 0), n) for n, (a, _) in zip(space, padding, strict=True)]
    stops = [max(min(n, n + b), s) for n, s, (_, b) in zip(space, starts, padding, strict=True)]
    to = [slice(s + a, t + a) if t > s else slice(0, 0) for s, t, (a, _) in zip(starts, stops, padding, strict=True)]
    return (..., *to), (..., *[slice(s, t) for s, t in zip(starts, stops, strict=True)])


def _patches(x: np.ndarray, window: Shape, out: Shape, params: Params) -> np.ndarray:
    """(N, groups, C / groups * window, out) of the padded input: every place's window as a column."""
    n, c, groups = x.shape[0], x.shape[1], params["groups"]
    shape = (n, c, *window, *out)
    steps = x.strides[2:]
    inner = [s * d for s, d in zip(steps, params["dilation"], strict=True)]
    outer = [s * t for s, t in zip(steps, params["strides"], strict=True)]
    if 0 in shape:
        seen = np.zeros(shape, x.dtype)
    else:
        seen = np.lib.stride_tricks.as_strided(x, shape, (*x.strides[:2], *inner, *outer), writeable=False)
    return seen.reshape(n, groups, c // groups * math.prod(window), math.prod(out))


def _working(*xs: Any) -> tuple[np.dtype, list[np.ndarray]]:
    """The result's dtype, and the arrays in the dtype in which the products are computed (half precision: single)."""
    arrays = [np.asarray(x) for x in xs]
    dtype = np.result_type(*arrays)
    return dtype, [a.astype(np.float32 if dtype == np.float16 else dtype, copy=False) for a in arrays]


def _conv_impl(x: Any, w: Any, **params: Any) -> Any:
    dtype, (x, w) = _working(x, w)
    groups, window = params["groups"], w.shape[2:]
    out = out_space(x.shape[2:], window, params["strides"], params["padding"], params["dilation"])
    columns = _patches(_padded(x, params["padding"]), window, out, params)
    found = np.matmul(w.reshape(groups, w.shape[0] // groups, columns.shape[2]), columns)
    return found.reshape(x.shape[0], w.shape[0], *out).astype(dtype, copy=False)


def _input_impl(y: Any, w: Any, *, space: Shape, **params: Any) -> Any:
    dtype, (y, w) = _working(y, w)
    groups, window, out, n = params["groups"], w.shape[2:], y.shape[2:], y.shape[0]
    inner = w.shape[1] * math.prod(window)
    weights = w.reshape(groups, w.shape[0] // groups, inner).swapaxes(1, 2)
    columns = np.matmul(weights, y.reshape(n, groups, w.shape[0] // groups, math.prod(out)))
    columns = columns.reshape(n, groups * w.shape[1], *window, *out)
    padding, strides, dilation = params["padding"], params["strides"], params["dilation"]
    total = np.zeros(
        (n, groups * w.shape[1], *(max(s + a + b, 0) for s, (a, b) in zip(space, padding, strict=True))), y.dtype
    )
    for place in np.ndindex(*window) if math.prod(out) else ():
        at: Any = [
            slice(p * d, p * d + (m - 1) * s + 1, s)
            for p, d, m, s in zip(place, dilation, out, strides, strict=True)
        ]  # fmt: skip
        total[tuple([..., *at])] += columns[(slice(None), slice(None), *place)]
    found = np.zeros((*total.shape[:2], *space), y.dtype)
    to, source = _inside(space, padding)
    found[source] = total[to]
    return found.astype(dtype, copy=False)


def _kernel_impl(x: Any, y: Any, *, window: Shape, **params: Any) -> Any:
    dtype, (x, y) = _working(x, y)
    groups, n, out = params["groups"], x.shape[0], y.shape[2:]
    columns = _patches(_padded(x, params["padding"]), window, out, params)
    rows = y.reshape(n, groups, y.shape[1] // groups, math.prod(out))
    left = rows.transpose(1, 2, 0, 3).reshape(groups, rows.shape[2], -1)
    right = columns.transpose(1, 0, 3, 2).reshape(groups, -1, columns.shape[2])
    found = np.matmul(left, right)
    return found.reshape(y.shape[1], x.shape[1] // groups, *window).astype(dtype, copy=False)


# ---- types ----


def _conv_type(
    x: ArrayType, w: ArrayType, *, strides: Shape, padding: Pairs, dilation: Shape, groups: int
) -> ArrayType:
    if x.ndim != w.ndim or x.ndim != len(strides) + 2 or x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise TypeError(
            f"a convolution in {groups} group(s) was asked of {x} with kernel {w}: the input needs groups * "
            "(the kernel's second size) channels, the kernel a first size that the groups divide, and both one rank."
        )
    out = out_space(x.shape[2:], w.shape[2:], strides, padding, dilation)
    return array_type((x.shape[0], w.shape[0], *out), np.result_type(x.dtype, w.dtype))


def _input_type(y: ArrayType, w: ArrayType, *, space: Shape, groups: int, **params: Any) -> ArrayType:
    out = out_space(space, w.shape[2:], params["strides"], params["padding"], params["dilation"])
    if y.shape[1:] != (w.shape[0], *out):
        raise TypeError(
            f"a transposed convolution to space {space} with kernel {w} was asked of {y}; it needs an input of "
            f"{w.shape[0]} channels and space {out}."
        )
    return array_type((y.shape[0], w.shape[1] * groups, *space), np.result_type(y.dtype, w.dtype))


def _kernel_type(x: ArrayType, y: ArrayType, *, window: Shape, groups: int, **params: Any) -> ArrayType:
    return array_type((y.shape[1], x.shape[1] // groups, *window), np.result_type(x.dtype, y.dtype))


# ---- derivatives: each primitive is linear in both arguments, and the other two are its transposes ----


def _plain(params: Params) -> Params:
    return {k: params[k] for k in ("strides", "padding", "dilation", "groups")}


def _bilinear(name: str, impl: Callable[..., Any], type_rule: Callable[..., Any], transposes: Callable[..., list[Any]],
              batch: Callable[..., Any], samples: Callable[..., Any], kernel: Routine) -> Primitive:  # fmt: skip
    def jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: Params) -> Any:
        (a, b), (ta, tb) = args, tangents
        terms = [] if ta is None else [primitive(ta, b, **params)]
        if tb is not None:
            terms.append(primitive(a, tb, **params))
        return convert(terms[0] if len(terms) == 1 else terms[0] + terms[1], type_of(ans).dtype)

    def vjp(ct: Any, ans: Any, args: Sequence[Any], params: Params, wanted: Sequence[bool]) -> list[Any]:
        found = transposes(ct, args, params, wanted)
        return [None if f is None else convert(f, type_of(a).dtype) for f, a in zip(found, args, strict=True)]

    primitive = register(Primitive(name, impl, type_rule, jvp, vjp, batch, samples=samples, kernel=kernel))
    return primitive


def _conv_transposes(ct: Any, args: Sequence[Any], params: Params, wanted: Sequence[bool]) -> list[Any]:
    x, w = args
    return [
        conv_input(ct, w, space=type_of(x).shape[2:], **params) if wanted[0] else None,
        conv_kernel(x, ct, window=type_of(w).shape[2:], **params) if wanted[1] else None,
    ]


def _input_transposes(ct: Any, args: Sequence[Any], params: Params, wanted: Sequence[bool]) -> list[Any]:
    y, w = args
    plain = _plain(params)
    return [
        conv(ct, w, **plain) if wanted[0] else None,
        conv_kernel(ct, y, window=type_of(w).shape[2:], **plain) if wanted[1] else None,
    ]


def _kernel_transposes(ct: Any, args: Sequence[Any], params: Params, wanted: Sequence[bool]) -> list[Any]:
    x, y = args
    plain = _plain(params)
    return [
        conv_input(y, ct, space=type_of(x).shape[2:], **plain) if wanted[0] else None,
        conv(x, ct, **plain) if wanted[1] else None,
    ]


# ---- batches: into the batch axis where that is possible, else into the channels and groups ----


def _into_first(x: Any) -> Any:
    """(B, N, ...) as (B N, ...)."""
    shape = type_of(x).shape
    return reshape(x, shape=(shape[0] * shape[1], *shape[2:]))


def _out_of_first(x: Any, size: int) -> Any:
    shape = type_of(x).shape
    return reshape(x, shape=(size, shape[0] // size, *shape[1:]))


def _into_second(x: Any, groups: int = 1) -> Any:
    """(B, N, groups * c, ...) as (N, groups * B * c, ...)."""
    b, n, c, *rest = type_of(x).shape
    x = reshape(x, shape=(b, n, groups, c // groups, *rest))
    order = (1, 2, 0, 3, *range(4, 4 + len(rest)))
    return reshape(transpose(x, permutation=order), shape=(n, b * c, *rest))


def _out_of_second(x: Any, size: int, groups: int = 1) -> Any:
    """(N, groups * B * c, ...) as (B, N, groups * c, ...)."""
    n, c, *rest = type_of(x).shape
    x = reshape(x, shape=(n, groups, size, c // (size * groups), *rest))
    order = (2, 0, 1, 3, *range(4, 4 + len(rest)))
    return reshape(transpose(x, permutation=order), shape=(size, n, c // size, *rest))


def _grouped_first(x: Any, groups: int) -> Any:
    """(B, groups * o, ...) as (groups * B * o, ...)."""
    b, o, *rest = type_of(x).shape
    x = reshape(x, shape=(b, groups, o // groups, *rest))
    order = (1, 0, 2, *range(3, 3 + len(rest)))
    return reshape(transpose(x, permutation=order), shape=(b * o, *rest))


def _out_of_grouped_first(x: Any, size: int, groups: int) -> Any:
    o, *rest = type_of(x).shape
    x = reshape(x, shape=(groups, size, o // (size * groups), *rest))
    order = (1, 0, 2, *range(3, 3 + len(rest)))
    return reshape(transpose(x, permutation=order), shape=(size, o // size, *rest))


def _wider(params: Params, size: int) -> Params:
    return {**params, "groups": params["groups"] * size}


def _conv_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> Any:
    (x, w), g = args, params["groups"]
    if all(batched):
        return _out_of_second(conv(_into_second(x), _into_first(w), **_wider(params, size)), size), True
    if batched[0]:
        return _out_of_first(conv(_into_first(x), w, **params), size), True
    return _out_of_second(conv(x, _grouped_first(w, g), **params), size, g), True


def _input_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> Any:
    (y, w), g = args, params["groups"]
    if all(batched):
        return _out_of_second(conv_input(_into_second(y), _into_first(w), **_wider(params, size)), size), True
    if batched[0]:
        return _out_of_first(conv_input(_into_first(y), w, **params), size), True
    return _out_of_second(conv_input(y, _into_second(w), **params), size, g), True


def _kernel_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> Any:
    (x, y), g = args, params["groups"]
    if all(batched):
        return _out_of_first(conv_kernel(_into_second(x), _into_second(y), **_wider(params, size)), size), True
    if batched[0]:
        return _out_of_second(conv_kernel(_into_second(x, g), y, **params), size), True
    return _out_of_grouped_first(conv_kernel(x, _into_second(y, g), **params), size, g), True


# ---- rows ----

_PLAIN = {"strides": (1,), "padding": ((1, 0),), "dilation": (1,), "groups": 1}
_GROUPED = {"strides": (2, 1), "padding": ((1, 1), (-1, 2)), "dilation": (1, 2), "groups": 2}


def _conv_samples(rng: np.random.Generator) -> list[Any]:
    return [
        ((array(rng, (2, 3, 5)), array(rng, (4, 3, 2))), _PLAIN),
        ((array(rng, (2, 4, 5, 4)), array(rng, (2, 2, 3, 2))), _GROUPED),
    ]


def _input_samples(rng: np.random.Generator) -> list[Any]:
    return [
        ((array(rng, (2, 4, 5)), array(rng, (4, 3, 2))), {**_PLAIN, "space": (5,)}),
        ((array(rng, (2, 2, 3, 3)), array(rng, (2, 2, 3, 2))), {**_GROUPED, "space": (5, 4)}),
    ]


def _kernel_samples(rng: np.random.Generator) -> list[Any]:
    return [
        ((array(rng, (2, 3, 5)), array(rng, (2, 4, 5))), {**_PLAIN, "window": (2,)}),
        ((array(rng, (2, 4, 5, 4)), array(rng, (2, 2, 3, 3))), {**_GROUPED, "window": (3, 2)}),
    ]


conv: Primitive = _bilinear(
    "conv", _conv_impl, _conv_type, _conv_transposes, _conv_batch, _conv_samples, Routine("convolution", "value")
)
conv_input: Primitive = _bilinear(
    "conv_input",
    _input_impl,
    _input_type,
    _input_transposes,
    _input_batch,
    _input_samples,
    Routine("convolution", "input"),
)
conv_kernel: Primitive = _bilinear(
    "conv_kernel",
    _kernel_impl,
    _kernel_type,
    _kernel_transposes,
    _kernel_batch,
    _kernel_samples,
    Routine("convolution", "kernel"),
)
