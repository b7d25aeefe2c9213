"""Convolutions of each channel by a window of its own: planes, gone over a row of results and a tap at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from funcgrad.compile import vectors
from funcgrad.compile.conv_text import indented, kernel, vector
from funcgrad.compile.conv_types import Geometry, RoutineStep
from funcgrad.compile.windows import halved, rows_of_windows, seen, spread_rows
from funcgrad.core.program import Var

WORDS = [
    "pool", "height", "width", "out_height", "out_width", "kernel_y", "kernel_x", "pad_y", "pad_x", "dilation_y",
    "dilation_x", "scratch_row", "channels", "images",
]  # fmt: skip
_TAP = "(remainder_of(u, channels) * kernel_y + ky) * kernel_x + kx"


@lru_cache(maxsize=64)
def forward(kind: str, stride_y: int, stride_x: int) -> str:
    """The convolution. A unit is a plane of an image."""
    body = rows_of_windows(
        kind, stride_y, stride_x,
        [f"store_{kind}(y, out_row + o, load_{kind}(y, out_row + o) + load_{kind}(w, {_TAP}) * {seen(kind, stride_x)})"],
        ["for o in range(out_width):", f"    store_{kind}(y, out_row + o, {kind}(0))"], [],
    )  # fmt: skip
    return kernel(WORDS, ["x", "w", "y"], body)


@lru_cache(maxsize=64)
def backward(kind: str, stride_y: int, stride_x: int) -> str:
    """What it pulls back to its input. A unit is a plane of an image."""
    value = f"load_{kind}(w, {_TAP}) * load_{kind}(y, out_row + o)"
    return kernel(WORDS, ["y", "w", "dx"], spread_rows(kind, stride_y, stride_x, value))


@lru_cache(maxsize=64)
def gradient(kind: str, stride_y: int, stride_x: int) -> str:
    """What it pulls back to its windows. A unit is a channel, over all images in their order."""
    at = "(u * kernel_y + ky) * kernel_x + kx"
    split, half = halved(kind, stride_x)
    lanes = vector(kind)[1]
    body = [
        f"room = quotient_of(width + {2 * lanes - 1}, {2 * lanes}) * {lanes}",
        "halves = scratch + scratch_row",
        "for u in range(lo, hi):",
        "    for z in range(kernel_y * kernel_x):",
        f"        store_{kind}(dw, u * kernel_y * kernel_x + z, {kind}(0))",
        "    for image in range(images):",
        "        plane = (image * channels + u) * height * width",
        "        for oy in range(out_height):",
        *indented([
            "out_row = ((image * channels + u) * out_height + oy) * out_width",
            "for ky in range(kernel_y):",
            f"    iy = oy * {stride_y} - pad_y + ky * dilation_y",
            "    for once in range(i64(iy >= 0) * i64(iy < height)):",
            *indented(split, 2),
            "        for kx in range(kernel_x):",
            "            shift = kx * dilation_x - pad_x",
            f"            first = quotient_of(max(0 - shift, 0) + {stride_x - 1}, {stride_x})",
            f"            last = min(quotient_of(max(width - shift + {stride_x - 1}, 0), {stride_x}), out_width)",
            "            from_x = plane + iy * width + shift",
            *indented(half, 3),
            f"            line = {kind}(0)",
            "            for o in range(first, last):",
            f"                line = any_order_add(line, {seen(kind, stride_x)} * load_{kind}(y, out_row + o))",
            f"            store_{kind}(dw, {at}, load_{kind}(dw, {at}) + line)",
        ], 3),
    ]  # fmt: skip
    return kernel(WORDS, ["x", "y", "dw"], body)


def step(g: Geometry, text: Callable[[str, int, int], str], inputs: list[Var], out: Var,
         by_channel: bool = False) -> list[RoutineStep] | None:  # fmt: skip
    """The step of one of the kernels above."""
    words = [
        vectors.scratch_pool(), g.height, g.width, g.out_height, g.out_width, *g.kernel, g.pads[0][0], g.pads[1][0], *g.dilation,
        0, g.groups, g.images,
    ]  # fmt: skip
    if (g.width + 128) * g.strides[1] * 8 + 4096 > vectors.SLOT_BYTES:
        return None
    units = g.groups if by_channel else g.groups * g.images
    work = g.out_height * g.out_width * g.taps / 2.0 * (g.images if by_channel else 1)
    return [RoutineStep(text(g.kind, *g.strides), [*inputs, out], words, units, inputs, [out], "depthwise", work)]
