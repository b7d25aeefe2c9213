"""Windows that slide over planes, as native steps: pooling and its derivatives (rows of ops/window.py).

A unit is a plane; the last two axes are its own, all before them must have windows of 1. Each tap of the window goes over a whole
row of results at a time, so that there is something to vectorise; strides stand in the text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.compile import vectors, windows_halves
from funcgrad.compile.conv_text import indented, kernel, vector
from funcgrad.compile.conv_types import RoutineStep
from funcgrad.core.program import Var

WORDS = [
    "pool",
    "height",
    "width",
    "out_height",
    "out_width",
    "kernel_y",
    "kernel_x",
    "pad_y",
    "pad_x",
    "dilation_y",
    "dilation_x",
    "low",
    "scratch_row",
]
"""low: what is below every value, as the bits of a float64; scratch_row: bytes from scratch to what a split row takes."""


HALVES = ("f32", "f64")
"""Kinds whose rows are split into even and odd places where the stride is 2: vectors then read what lies side by side."""


def seen(kind: str, stride_x: int) -> str:
    """The input's number that the current tap of window `o` sees."""
    if stride_x == 2 and kind in HALVES:
        return f"load_{kind}(halves, half + o)"
    return f"load_{kind}(x, from_x + o * {stride_x})"


def halved(kind: str, stride_x: int) -> tuple[list[str], list[str]]:
    """The lines that split a row of `x`, and those that find a tap's half and place in it."""
    if stride_x != 2 or kind not in HALVES:
        return [], []
    name, lanes, size = vector(kind)
    return [
        f"for q in range(quotient_of(width + {2 * lanes - 1}, {2 * lanes})):",
        f"    split_{name}(x + (plane + iy * width + q * {2 * lanes}) * {size}, width - q * {2 * lanes}, halves + q * "
        f"{lanes * size}, halves + (room + q * {lanes}) * {size})",
    ], [
        "parity = shift & 1",
        "half = parity * room + quotient_of(shift - parity, 2)",
    ]  # fmt: skip


def rows_of_windows(kind: str, stride_y: int, stride_x: int, taps: Sequence[str], before: Sequence[str], after: Sequence[str],
                    reads: bool = True) -> list[str]:  # fmt: skip
    """Goes over a plane's rows of results: `before` each, `taps` for each of its taps and results `o` (with `from_x`, `half` and
    `place`, the place in the plane relative to the window's corner), `after`. `reads`: whether taps ask for `seen`."""
    split, half = halved(kind, stride_x) if reads else ([], [])
    lanes = vector(kind)[1] if kind in HALVES else 16
    return [
        f"room = quotient_of(width + {2 * lanes - 1}, {2 * lanes}) * {lanes}",
        "halves = scratch + scratch_row",
        "for u in range(lo, hi):",
        "    plane = u * height * width",
        "    out_plane = u * out_height * out_width",
        "    for oy in range(out_height):",
        *indented([
            f"corner = (oy * {stride_y} - pad_y) * width - pad_x",
            "out_row = out_plane + oy * out_width",
            *before,
            "for ky in range(kernel_y):",
            f"    iy = oy * {stride_y} - pad_y + ky * dilation_y",
            # Once if the row lies inside, else not at all.
            "    for once in range(i64(iy >= 0) * i64(iy < height)):",
            *indented(split, 2),
            "        for kx in range(kernel_x):",
            "            shift = kx * dilation_x - pad_x",
            f"            first = quotient_of(max(0 - shift, 0) + {stride_x - 1}, {stride_x})",
            f"            last = min(quotient_of(max(width - shift + {stride_x - 1}, 0), {stride_x}), out_width)",
            "            place = ky * dilation_y * width + kx * dilation_x",
            "            from_x = plane + iy * width + shift",
            *indented(half, 3),
            "            for o in range(first, last):",
            *indented(taps, 4),
            *after,
        ], 2),
    ]  # fmt: skip


@lru_cache(maxsize=128)
def extreme(kind: str, stride_y: int, stride_x: int, largest: bool) -> str:
    """The largest (smallest) value of each window."""
    join = "maximum" if largest else "minimum"
    lowest = f"{kind}(number(low))" if kind[0] == "f" else f"{kind}(low)"
    body = rows_of_windows(
        kind, stride_y, stride_x,
        [f"store_{kind}(y, out_row + o, {join}(load_{kind}(y, out_row + o), {seen(kind, stride_x)}))"],
        ["for o in range(out_width):", f"    store_{kind}(y, out_row + o, {lowest})"], [],
    )  # fmt: skip
    return kernel(WORDS, ["x", "y"], body)


@lru_cache(maxsize=128)
def total(kind: str, stride_y: int, stride_x: int) -> str:
    """The sum of each window."""
    body = rows_of_windows(
        kind, stride_y, stride_x,
        [f"store_{kind}(y, out_row + o, load_{kind}(y, out_row + o) + {seen(kind, stride_x)})"],
        ["for o in range(out_width):", f"    store_{kind}(y, out_row + o, {kind}(0))"], [],
    )  # fmt: skip
    return kernel(WORDS, ["x", "y"], body)


def cleared(kind: str, body: list[str]) -> list[str]:
    """The body with the plane of `dx` set to 0 first."""
    at = body.index("    out_plane = u * out_height * out_width")
    clear = ["    for z in range(height * width):", f"        store_{kind}(dx, plane + z, {kind}(0))"]
    return [*body[:at], *clear, *body[at:]]


def spread_rows(kind: str, stride_y: int, stride_x: int, value: str) -> list[str]:
    """Adds `value`, of the result `o` and the current tap, where that tap reads it from: a row of the input after the other,
    gathered in scratch memory by their place modulo the stride."""
    lanes = vector(kind)[1] if kind in HALVES else 16
    at = "phase * room + start + o"
    if stride_x == 2 and kind in HALVES:
        name, lanes, size = vector(kind)
        write = [
            f"for q in range(quotient_of(width + {2 * lanes - 1}, {2 * lanes})):",
            f"    merge_{name}(halves + q * {lanes * size}, halves + (room + q * {lanes}) * {size}, dx + (in_row + q * "
            f"{2 * lanes}) * {size}, width - q * {2 * lanes})",
        ]  # fmt: skip
    else:
        write = [
            f"for phase in range({stride_x}):",
            f"    for i in range(quotient_of(width - phase + {stride_x - 1}, {stride_x})):",
            f"        store_{kind}(dx, in_row + i * {stride_x} + phase, load_{kind}(halves, phase * room + i))",
        ]
    return [
        f"room = quotient_of(width + {2 * lanes - 1}, {2 * lanes}) * {2 * lanes}",
        "halves = scratch + scratch_row",
        "for u in range(lo, hi):",
        "    for iy in range(height):",
        *indented([
            "in_row = (u * height + iy) * width",
            f"for z in range(room * {stride_x}):",
            f"    store_{kind}(halves, z, {kind}(0))",
            "for ky in range(kernel_y):",
            "    far = iy + pad_y - ky * dilation_y",
            f"    oy = quotient_of(far, {stride_y})",
            f"    for once in range(i64(far >= 0) * i64(oy < out_height) * i64(oy * {stride_y} == far)):",
            "        out_row = (u * out_height + oy) * out_width",
            "        for kx in range(kernel_x):",
            "            shift = kx * dilation_x - pad_x",
            f"            first = quotient_of(max(0 - shift, 0) + {stride_x - 1}, {stride_x})",
            f"            last = min(quotient_of(max(width - shift + {stride_x - 1}, 0), {stride_x}), out_width)",
            # shift modulo the stride, though it may be negative.
            f"            phase = remainder_of(shift + {stride_x} * 65536, {stride_x})",
            f"            start = quotient_of(shift - phase, {stride_x})",
            "            for o in range(first, last):",
            f"                store_{kind}(halves, {at}, load_{kind}(halves, {at}) + {value})",
            *write,
        ], 2),
    ]  # fmt: skip


@lru_cache(maxsize=128)
def spread(kind: str, stride_y: int, stride_x: int) -> str:
    """The transpose of `total`."""
    return kernel(WORDS, ["y", "dx"], spread_rows(kind, stride_y, stride_x, f"load_{kind}(y, out_row + o)"))


def _search(kind: str, stride_x: int, largest: bool) -> tuple[list[str], list[str]]:
    """The lines before and for each tap that leave the place of each window's extreme, the first one, in `found`."""
    sign = ">" if largest else "<"
    lowest = f"{kind}(number(low))" if kind[0] == "f" else f"{kind}(low)"
    before = [
        "best = scratch + 0",
        f"found = scratch + out_width * {vector_bytes(kind)}",
        "for o in range(out_width):",
        f"    store_{kind}(best, o, {lowest})",
        "    store_i64(found, o, 0 - 1)",
    ]
    nan = " | ((seen != seen) & (old == old))" if kind[0] == "f" else ""
    taps = [
        f"seen = {seen(kind, stride_x)}",
        f"old = load_{kind}(best, o)",
        "had = load_i64(found, o)",
        f"better = (seen {sign} old) | (had < 0){nan}",
        f"store_{kind}(best, o, where(better, seen, old))",
        "store_i64(found, o, where(better, place, had))",
    ]
    return before, taps


def vector_bytes(kind: str) -> int:
    """Bytes of a number of a kind."""
    return int(kind[1:]) // 8


@lru_cache(maxsize=128)
def index(kind: str, stride_y: int, stride_x: int, largest: bool) -> str:
    """The place in x of each window's extreme."""
    before, taps = _search(kind, stride_x, largest)
    at = f"plane + corner + o * {stride_x} + load_i64(found, o)"
    body = rows_of_windows(
        kind, stride_y, stride_x, taps, before, ["for o in range(out_width):", f"    store_i64(y, out_row + o, {at})"]
    )
    return kernel(WORDS, ["x", "y"], body)


@lru_cache(maxsize=128)
def spread_places(kind: str, value: str, stride_y: int, stride_x: int, largest: bool) -> str:
    """Adds the value of each window to the place of its extreme."""
    before, taps = _search(kind, stride_x, largest)
    after = [
        "for o in range(out_width):",
        "    to = load_i64(found, o)",
        f"    at = plane + corner + o * {stride_x} + to",
        "    for once in range(i64(to >= 0)):",
        f"        store_{value}(dx, at, load_{value}(dx, at) + load_{value}(source, out_row + o))",
    ]
    return kernel(
        WORDS, ["source", "x", "dx"], cleared(value, rows_of_windows(kind, stride_y, stride_x, taps, before, after))
    )


def lower(form: str, params: dict[str, Any], inputs: Sequence[Var], out: Var) -> list[RoutineStep] | None:
    """The native step of a row of ops/window.py on arrays in C order; None where NumPy does it."""
    x = {"place": inputs[-1], "spread": out}.get(form, inputs[0])
    y = {"place": inputs[0], "spread": inputs[0]}.get(form, out)
    rank = x.type.ndim
    lead = max(rank - 2, 0)
    plain = all(
        params["window"][i] == params["strides"][i] == 1 and params["padding"][i] == (0, 0) for i in range(lead)
    )
    dtype = x.type.dtype
    if not plain or rank == 0 or any(v.type.dtype.kind not in "fiu" or v.type.dtype.char == "e" for v in (x, y)):
        return None
    last = lambda name, other: tuple(params[name][lead:]) if rank > 1 else (other, params[name][0])  # noqa: E731
    window, strides, pads, dilation = (
        last("window", 1),
        last("strides", 1),
        last("padding", (0, 0)),
        last("dilation", 1),
    )
    space, result = (tuple(v.type.shape[lead:]) if rank > 1 else (1, v.type.shape[0]) for v in (x, y))
    if 16 * result[1] + (space[1] + 128) * strides[1] * 8 + 4096 > vectors.SLOT_BYTES or any(a < 0 for a, _ in pads):
        return None
    units = math.prod(x.type.shape[:lead])
    if rank > 1 and (found := windows_halves.step(form, params, inputs, out, space, result, units)) is not None:
        return [found]
    kind, value = (f"{d.kind}{8 * d.itemsize}" for d in (dtype, y.type.dtype))
    largest = bool(params.get("largest", True))
    if dtype.kind == "f":
        low = int(np.float64(-np.inf if largest else np.inf).view(np.int64))
    else:
        low = int(np.iinfo(dtype).min if largest else np.iinfo(dtype).max) & 0xFFFFFFFFFFFFFFFF
        low -= (low >> 63) << 64
    words = [
        vectors.scratch_pool(),
        *space,
        *result,
        *window,
        *(a for a, _ in pads),
        *dilation,
        low,
        16 * result[1] + 64,
    ]
    text = {
        "extreme": lambda: extreme(kind, *strides, largest), "sum": lambda: total(kind, *strides),
        "spread": lambda: spread(kind, *strides), "index": lambda: index(kind, *strides, largest),
        "place": lambda: spread_places(kind, value, *strides, largest),
    }[form]()  # fmt: skip
    work = math.prod(result) * math.prod(window) * (2.0 if form in ("place", "index") else 1.0)
    return [RoutineStep(text, [*inputs, out], words, units, list(inputs), [out], f"window_{form}", work)]
