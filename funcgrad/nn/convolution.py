"""torch.nn.functional's convolutions as pure functions of arrays: (N, C, space...) by (out, in / groups, window...)."""

from __future__ import annotations

import itertools
import math
from typing import Any

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.nn.axes import Shape, Size, along_channels, per_axis, with_batch, without_batch
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import reshape
from funcgrad.ops.conv import extent, out_space
from funcgrad.ops.shape import concatenate, pad, slice_
from funcgrad.ops.volumes import convolve, convolve_input


def _pads(function: str, padding: Any, window: Shape, strides: Shape, dilation: Shape) -> tuple[tuple[int, int], ...]:
    if not isinstance(padding, str):
        return tuple((p, p) for p in per_axis(function, "padding", padding, len(window), 0))
    if padding == "valid":
        return ((0, 0),) * len(window)
    if padding != "same":
        raise ValueError(f"{function}: padding must be numbers, 'valid' or 'same', got {padding!r}.")
    if any(s != 1 for s in strides):
        raise ValueError(
            f"{function}: padding='same' needs stride 1, got stride {strides}; write the padding as numbers."
        )
    totals = [extent(k, d) - 1 for k, d in zip(window, dilation, strict=True)]
    return tuple((t // 2, t - t // 2) for t in totals)


def _operands(function: str, x: Any, weight: Any, bias: Any, rank: int) -> tuple[Any, Any, bool]:
    x, w = array_operand(x), array_operand(weight)
    x, added = with_batch(function, x, rank)
    if len(shape_of(w)) != rank + 2:
        raise ValueError(f"{function}: weight must have {rank + 2} axes, got shape {shape_of(w)}.")
    if dtype_of(x) != dtype_of(w) or (bias is not None and dtype_of(bias) != dtype_of(x)):
        kinds = [str(dtype_of(v)) for v in (x, w, bias) if v is not None]
        raise TypeError(
            f"{function}: input, weight and bias need one dtype, got {', '.join(kinds)}; convert with astype."
        )
    return x, w, added


def _finish(out: Any, bias: Any, function: str, added: bool) -> Any:
    if bias is not None:
        b = array_operand(bias)
        if shape_of(b) != shape_of(out)[1:2]:
            raise ValueError(f"{function}: bias must have shape {shape_of(out)[1:2]}, got {shape_of(b)}.")
        out = out + along_channels(b, out)
    return wrap(without_batch(out, added))


def _conv(
    rank: int, x: Any, weight: Any, bias: Any, stride: Size, padding: Size | str, dilation: Size, groups: int
) -> Any:
    function = f"conv{rank}d"
    x, w, added = _operands(function, x, weight, bias, rank)
    window, space = shape_of(w)[2:], shape_of(x)[2:]
    strides, spread = per_axis(function, "stride", stride, rank), per_axis(function, "dilation", dilation, rank)
    pads = _pads(function, padding, window, strides, spread)
    if groups < 1 or shape_of(w)[0] % groups or shape_of(x)[1] != shape_of(w)[1] * groups:
        raise ValueError(
            f"{function}: weight of shape {shape_of(w)} in {groups} group(s) takes {shape_of(w)[1] * max(groups, 1)} channels "
            f"and gives a multiple of {groups}; got an input of shape {shape_of(x)} with {shape_of(x)[1]} channels."
        )
    for n, k, d, p in zip(space, window, spread, pads, strict=True):
        if extent(k, d) > n + sum(p):
            raise ValueError(
                f"{function}: the kernel of size {window} (dilated: {tuple(map(extent, window, spread))}) is larger than the "
                f"padded input of size {tuple(n + sum(p) for n, p in zip(space, pads, strict=True))}."
            )
    out = convolve(x, w, strides=strides, padding=pads, dilation=spread, groups=groups)
    return _finish(out, bias, function, added)


def conv1d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size | str = 0, dilation: Size = 1,
           groups: int = 1) -> Any:  # fmt: skip
    """The convolution of (N, C, L) or (C, L) with (O, C / groups, K). `padding` may be "same" (stride 1) or "valid".

    Raises ValueError for channel counts that do not fit and for a kernel larger than the padded input.
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size | str = 0, dilation: Size = 1,
           groups: int = 1) -> Any:  # fmt: skip
    """The convolution of (N, C, H, W) or (C, H, W) with (O, C / groups, KH, KW); see conv1d."""
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size | str = 0, dilation: Size = 1,
           groups: int = 1) -> Any:  # fmt: skip
    """The convolution of (N, C, D, H, W) or (C, D, H, W) with (O, C / groups, KD, KH, KW); see conv1d."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(rank: int, x: Any, weight: Any, bias: Any, stride: Size, padding: Size, output_padding: Size,
                    groups: int, dilation: Size) -> Any:  # fmt: skip
    function = f"conv_transpose{rank}d"
    x, w, added = _operands(function, x, weight, bias, rank)
    window, space = shape_of(w)[2:], shape_of(x)[2:]
    strides, spread = per_axis(function, "stride", stride, rank), per_axis(function, "dilation", dilation, rank)
    pads, more = (
        per_axis(function, "padding", padding, rank, 0),
        per_axis(function, "output_padding", output_padding, rank, 0),
    )
    if groups < 1 or shape_of(x)[1] != shape_of(w)[0] or shape_of(w)[0] % groups:
        raise ValueError(
            f"{function}: weight of shape {shape_of(w)} (in, out / groups, window) in {groups} group(s) takes {shape_of(w)[0]} "
            f"channels; got an input of shape {shape_of(x)} with {shape_of(x)[1]} channels."
        )
    if any(m >= max(s, d) for m, s, d in zip(more, strides, spread, strict=True)):
        raise ValueError(
            f"{function}: output_padding must be smaller than stride or dilation, got {more} with stride {strides} and "
            f"dilation {spread}."
        )
    spans = tuple(map(extent, window, spread))
    out = tuple((n - 1) * s - 2 * p + k + m for n, s, p, k, m in zip(space, strides, pads, spans, more, strict=True))
    if any(n < 1 for n in out):
        raise ValueError(f"{function}: an input of size {space} would give an output of size {out}; pad less.")
    pairs = tuple((p, p - m) for p, m in zip(pads, more, strict=True))
    found = convolve_input(x, w, space=out, strides=strides, padding=pairs, dilation=spread, groups=groups)
    return _finish(found, bias, function, added)


def conv_transpose1d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size = 0,
                     output_padding: Size = 0, groups: int = 1, dilation: Size = 1) -> Any:  # fmt: skip
    """The transpose of conv1d, from (N, C, L) by (C, O / groups, K)."""
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size = 0,
                     output_padding: Size = 0, groups: int = 1, dilation: Size = 1) -> Any:  # fmt: skip
    """The transpose of conv2d, from (N, C, H, W) by (C, O / groups, KH, KW)."""
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(input: Any, weight: Any, bias: Any = None, stride: Size = 1, padding: Size = 0,
                     output_padding: Size = 0, groups: int = 1, dilation: Size = 1) -> Any:  # fmt: skip
    """The transpose of conv3d, from (N, C, D, H, W) by (C, O / groups, KD, KH, KW)."""
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)


# ---- windows as columns ----


def _column_settings(function: str, kernel_size: Size, dilation: Size, padding: Size, stride: Size) -> list[Shape]:
    return [
        per_axis(function, "kernel_size", kernel_size, 2), per_axis(function, "stride", stride, 2),
        per_axis(function, "padding", padding, 2, 0), per_axis(function, "dilation", dilation, 2),
    ]  # fmt: skip


def unfold(input: Any, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Any:
    """The windows of (N, C, H, W) as columns, (N, C * KH * KW, places); without N if the input has none."""
    x, added = with_batch("unfold", array_operand(input), 2)
    window, strides, pads, spread = _column_settings("unfold", kernel_size, dilation, padding, stride)
    n, c, *space = shape_of(x)
    out = out_space(tuple(space), window, strides, tuple((p, p) for p in pads), spread)
    if 0 in out:
        raise ValueError(f"unfold: windows of size {window} do not fit into the padded input of size {tuple(space)}.")
    x = pad(x, 0.0, low=(0, 0, *pads), high=(0, 0, *pads), interior=(0, 0, 0, 0))
    pieces = []
    for place in itertools.product(*map(range, window)):
        first = [p * d for p, d in zip(place, spread, strict=True)]
        limits = [f + (m - 1) * s + 1 for f, m, s in zip(first, out, strides, strict=True)]
        piece = slice_(x, starts=(0, 0, *first), limits=(n, c, *limits), strides=(1, 1, *strides))
        pieces.append(reshape(piece, shape=(n, c, 1, math.prod(out))))
    columns = reshape(concatenate(*pieces, axis=2), shape=(n, c * math.prod(window), math.prod(out)))
    return wrap(without_batch(columns, added))


def fold(
    input: Any, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Any:
    """Columns (N, C * KH * KW, places) summed back to their places, (N, C, *output_size): the transpose of unfold."""
    x = array_operand(input)
    added = len(shape_of(x)) == 2
    x = reshape(x, shape=(1, *shape_of(x))) if added else x
    window, strides, pads, spread = _column_settings("fold", kernel_size, dilation, padding, stride)
    size = per_axis("fold", "output_size", output_size, 2)
    out = out_space(size, window, strides, tuple((p, p) for p in pads), spread)
    n, rows, count = shape_of(x) if len(shape_of(x)) == 3 else (0, 0, -1)
    if count != math.prod(out) or rows % math.prod(window):
        raise ValueError(
            f"fold: windows of size {window} over {size} are {math.prod(out)} columns of a multiple of {math.prod(window)} "
            f"values; got an input of shape {shape_of(input)}."
        )
    c = rows // math.prod(window)
    columns = reshape(x, shape=(n, c, math.prod(window), *out))
    total: Any = None
    wide = [m + 2 * p for m, p in zip(size, pads, strict=True)]
    for number, place in enumerate(itertools.product(*map(range, window))):
        piece = slice_(columns, starts=(0, 0, number, 0, 0), limits=(n, c, number + 1, *out), strides=(1,) * 5)
        low = [q * d for q, d in zip(place, spread, strict=True)]
        high = [w - a - ((m - 1) * s + 1) for w, a, m, s in zip(wide, low, out, strides, strict=True)]
        inner = [s - 1 if m > 1 else 0 for s, m in zip(strides, out, strict=True)]
        placed = {"low": (0, 0, *low), "high": (0, 0, *high), "interior": (0, 0, *inner)}
        spread_out = pad(reshape(piece, shape=(n, c, *out)), 0.0, **placed)
        total = spread_out if total is None else total + spread_out
    starts = (0, 0, *pads)
    limits = (n, c, *(m + p for m, p in zip(size, pads, strict=True)))
    return wrap(without_batch(slice_(total, starts=starts, limits=limits, strides=(1,) * 4), added))
