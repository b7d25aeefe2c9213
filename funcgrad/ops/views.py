"""How the views among the primitives change a layout: the `kernel` fields of reshape, transpose, broadcast, slice, reversal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from funcgrad.core.lowering import Layout, Params, View
from funcgrad.core.types import ArrayType

Shape = tuple[int, ...]


def contiguous(shape: Shape) -> Layout:
    """C order: the last axis fastest."""
    strides = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        strides[i] = strides[i + 1] * shape[i + 1]
    return Layout(shape, tuple(strides))


def is_contiguous(have: Layout) -> bool:
    """Whether the elements lie in C order without gaps (axes of size 1 do not matter)."""
    expected = 1
    for n, s in zip(reversed(have.shape), reversed(have.strides), strict=True):
        if n != 1:
            if s != expected:
                return False
            expected *= n
    return True


def _reshaped(have: Layout, params: Params) -> Layout | None:
    """The strides of a reshape without a copy: each group of axes with one product must lie at even distances."""
    shape: Shape = params["shape"]
    if math.prod(shape) == 0:
        return Layout(shape, (0,) * len(shape), have.offset)
    old = [(n, s) for n, s in zip(have.shape, have.strides, strict=True) if n != 1]
    strides = [0] * len(shape)
    i = len(old)
    j = len(shape)
    while j > 0:
        if shape[j - 1] == 1:
            j -= 1
            continue
        size, stride = old[i - 1]
        i -= 1
        first, wanted = j - 1, shape[j - 1]
        while wanted != size:
            if wanted < size:
                first -= 1
                wanted *= shape[first]
            else:
                n, s = old[i - 1]
                if s != stride * size:
                    return None
                size *= n
                i -= 1
        for axis in range(j - 1, first - 1, -1):
            strides[axis] = stride
            stride *= shape[axis]
        j = first
    return Layout(shape, tuple(strides), have.offset)


def _reshaped_axes(shape: Shape, params: Params) -> tuple[int, ...] | None:
    new: Shape = params["shape"]
    kept = [i for i, n in enumerate(shape) if n != 1]
    if [shape[i] for i in kept] != [n for n in new if n != 1]:
        return None
    supply = iter(kept)
    return tuple(-1 if n == 1 else next(supply) for n in new)


def _transposed(have: Layout, params: Params) -> Layout:
    order: Shape = params["permutation"]
    return Layout(tuple(have.shape[i] for i in order), tuple(have.strides[i] for i in order), have.offset)


def _broadcast(have: Layout, params: Params) -> Layout:
    shape: Shape = params["shape"]
    strides = [0] * len(shape)
    for n, s, d in zip(have.shape, have.strides, params["dims"], strict=True):
        strides[d] = s if n == shape[d] and n != 1 else 0
    return Layout(shape, tuple(strides), have.offset)


def _broadcast_axes(shape: Shape, params: Params) -> tuple[int, ...]:
    out: Shape = params["shape"]
    axes = [-1] * len(out)
    for i, d in enumerate(params["dims"]):
        if shape[i] == out[d]:
            axes[d] = i
    return tuple(axes)


def _sliced(have: Layout, params: Params) -> Layout:
    starts, limits, steps = params["starts"], params["limits"], params["strides"]
    shape = tuple(-(-(b - a) // s) for a, b, s in zip(starts, limits, steps, strict=True))
    offset = have.offset + sum(a * s for a, s in zip(starts, have.strides, strict=True))
    if 0 in shape:
        offset = have.offset
    return Layout(shape, tuple(s * k for s, k in zip(have.strides, steps, strict=True)), offset)


def _reversed(have: Layout, params: Params) -> Layout:
    strides, offset = list(have.strides), have.offset
    for a in params["axes"]:
        offset += strides[a] * max(have.shape[a] - 1, 0)
        strides[a] = -strides[a]
    return Layout(have.shape, tuple(strides), offset)


RESHAPE = View(_reshaped, _reshaped_axes)
TRANSPOSE = View(_transposed, lambda shape, params: tuple(params["permutation"]))
BROADCAST = View(_broadcast, _broadcast_axes)
SLICE = View(_sliced)
IDENTITY = View(lambda have, params: have, lambda shape, params: tuple(range(len(shape))))
REVERSE = View(_reversed)


def concatenated(types: Sequence[ArrayType], params: Params) -> list[tuple[int, Layout, Layout]]:
    """For each argument of concatenate: its number, where it goes in the output, and all of it."""
    axis = params["axis"]
    total = sum(t.shape[axis] for t in types)
    first = types[0].shape
    out = contiguous((*first[:axis], total, *first[axis + 1 :]))
    parts, at = [], 0
    for i, t in enumerate(types):
        if t.size:
            parts.append((i, Layout(t.shape, out.strides, at * out.strides[axis]), contiguous(t.shape)))
        at += t.shape[axis]
    return parts
