"""Convolutions of volumes as convolutions of images: the places of the window along the depth become channels.

The rows of ops/conv.py take any rank, but the compiler has kernels for one and two spatial axes. Gathering the depth makes as
many copies of the input as the window is deep; NumPy gathers the whole window.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.ops.basics import reshape, transpose
from funcgrad.ops.conv import Pairs, Shape, conv, conv_input, out_space
from funcgrad.ops.shape import concatenate, pad, slice_

DEPTH_FIRST = (0, 2, 1, 3, 4)
"""(N, C, D, H, W) as (N, D, C, H, W), and back."""


def convolve(x: Any, w: Any, *, strides: Shape, padding: Pairs, dilation: Shape, groups: int) -> Any:
    """`conv` of any rank, for volumes by images."""
    params = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    if len(strides) != 3:
        return conv(x, w, **params)
    n, c, depth, *plane = shape_of(x)
    o, inner, taps, *window = shape_of(w)
    out = out_space((depth, *plane), (taps, *window), strides, padding, dilation)
    if not math.prod((n, c, depth, *plane, o, inner, taps, *window, *out)):
        return conv(x, w, **params)
    (low, high), step, spread = padding[0], strides[0], dilation[0]
    x = _padded(transpose(x, permutation=DEPTH_FIRST), low, high, 0)
    seen = [_every(x, tap * spread, out[0], step) for tap in range(taps)]
    parts = [reshape(part, shape=(n, out[0], c, 1, *plane)) for part in seen]
    images = parts[0] if taps == 1 else concatenate(*parts, axis=3)
    found = conv(
        reshape(images, shape=(n * out[0], c * taps, *plane)), reshape(w, shape=(o, inner * taps, *window)),
        strides=strides[1:], padding=padding[1:], dilation=dilation[1:], groups=groups,
    )  # fmt: skip
    return transpose(reshape(found, shape=(n, out[0], o, *out[1:])), permutation=DEPTH_FIRST)


def convolve_input(
    y: Any, w: Any, *, space: Shape, strides: Shape, padding: Pairs, dilation: Shape, groups: int
) -> Any:
    """`conv_input` of any rank, for volumes by images: the transpose of `convolve`."""
    params = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    n, o, *out = shape_of(y)
    inner, taps, *window = shape_of(w)[1:]
    depth, plane = space[0], space[1:]
    if len(strides) != 3 or not math.prod((n, o, *out, inner, taps, *window, *space)):
        return conv_input(y, w, space=space, **params)
    (low, high), step, spread = padding[0], strides[0], dilation[0]
    c, total = inner * groups, depth + low + high
    images = reshape(transpose(y, permutation=DEPTH_FIRST), shape=(n * out[0], o, *out[1:]))
    found = conv_input(
        images, reshape(w, shape=(o, inner * taps, *window)), space=tuple(plane), strides=strides[1:], padding=padding[1:],
        dilation=dilation[1:], groups=groups,
    )  # fmt: skip
    parts = reshape(found, shape=(n, out[0], c, taps, *plane))
    added: Any = None
    for tap in range(taps):
        part = slice_(parts, starts=(0, 0, 0, tap, 0, 0), limits=(n, out[0], c, tap + 1, *plane), strides=(1,) * 6)
        before = tap * spread
        part = reshape(part, shape=(n, out[0], c, *plane))
        # The places that this tap has in the padded depth.
        part = _padded(part, before, total - before - ((out[0] - 1) * step + 1), step - 1)
        added = part if added is None else added + part
    # Cut by a slice where that is enough: it is a view.
    added = _every(added, low, depth, 1) if min(low, high) >= 0 else _padded(added, -low, -high, 0)
    return transpose(added, permutation=DEPTH_FIRST)


def _padded(x: Any, low: int, high: int, interior: int) -> Any:
    """(N, D, ...) with zeros around and between its D; negative numbers cut."""
    if low == high == interior == 0:
        return x
    rest = (0,) * (len(shape_of(x)) - 2)
    return pad(x, np.zeros((), dtype_of(x)), low=(0, low, *rest), high=(0, high, *rest), interior=(0, interior, *rest))


def _every(x: Any, start: int, count: int, step: int) -> Any:
    """`count` of D of (N, D, ...), from `start` on."""
    n, _, *rest = shape_of(x)
    last = start + (count - 1) * step + 1
    return slice_(
        x, starts=(0, start, *(0,) * len(rest)), limits=(n, last, *rest), strides=(1, step, *(1,) * len(rest))
    )
