"""The kernels of convolutions, as text.

A unit is a block of rows of one image. It packs the input rows that it needs into (row, pixel, channel) with zeros around them,
in scratch memory that the cache holds, multiplies a few pixels by a panel of output channels at a time with the sums in
registers, and turns the result back into (channel, pixel). No patches are ever stored. Weights are packed before, by a kernel
of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

from funcgrad.compile import machine

Lines = list[str]


def indented(lines: Sequence[str], by: int = 1) -> Lines:
    """Lines moved to the right."""
    return ["    " * by + line for line in lines]


def kernel(words: Sequence[str], pointers: Sequence[str], body: Sequence[str]) -> str:
    """A kernel that reads pointers, then words, takes scratch memory and goes through its range."""
    names = [f"{name} = word(args, {i})" for i, name in enumerate([*pointers, *words])]
    lines = [*names, "scratch = scratch_take(pool)", *body, "scratch_give(pool, scratch)"]
    return "def kernel(args, lo, hi):\n" + "\n".join(indented(lines)) + "\n"


def vector(kind: str) -> tuple[str, int, int]:
    """The vector kind for a number's kind, its lanes, and the bytes of a number."""
    return ("f32x16", 16, 4) if kind == "f32" else ("f64x8", 8, 8)


def zeros(kind: str, pointer: str, count: str) -> Lines:
    """Fills with zeros: `count` vectors."""
    name, lanes, _ = vector(kind)
    zero = f"spread_{name}({kind}(0.0))"
    return [f"for z in range({count}):", f"    store_{name}({pointer}, z * {lanes}, {zero})"]


def block_rows() -> int:
    """Numbers of `a` in a block of sums at most: 28 vectors of sums, or, where `tiles` takes six at a time, twice six."""
    return 14 if "avx512f" in machine.features() else 12


def tiles(rows: int, panels: int) -> list[tuple[range, range]]:
    """A block of sums in parts that the registers of this CPU hold: all of it, or up to six vectors, which are twelve registers
    of sixteen where a register is half a vector."""
    if "avx512f" in machine.features():
        return [(range(rows), range(panels))]
    wide = max(6 // rows, 1)
    return [(down, across) for across in _shares(panels, wide) for down in _shares(rows, 6)]


def _shares(count: int, most: int) -> list[range]:
    """A number of things in equal parts."""
    parts = -(-count // most)
    return [range(*pair) for pair in itertools.pairwise([count * n // parts for n in range(parts + 1)])]


def product(kind: str, rows: int, panels: int, step: int, loops: Sequence[tuple[str, str]], a: str, b: str,
            a_index: str, b_index: str, start: Sequence[str] | None, store: str) -> Lines:  # fmt: skip
    """Sums over nested loops of `rows` numbers of `a`, `step` apart, times `panels` vectors of `b`; `store` has places for the
    row {t} and vector {v} and for the value."""
    name, lanes, _ = vector(kind)
    zero = f"spread_{name}({kind}(0.0))"
    lines: Lines = []
    for down, across in tiles(rows, panels):
        sums = [(t, v, f"s{t}_{v}") for t in down for v in across]
        lines += [f"{s} = {zero if start is None else start[0].format(t=t, v=v * lanes)}" for t, v, s in sums]
        for depth, (index, count) in enumerate(loops):
            lines += indented([f"for {index} in range({count}):"], depth)
        inner = [f"ai = {a_index}", f"bi = {b_index}"]
        inner += [f"b{v} = load_{name}({b}, bi + {v * lanes})" for v in across]
        for t in down:
            inner.append(f"a{t} = spread_{name}(load_{kind}({a}, ai + {t * step}))")
            inner += [f"s{t}_{v} = s{t}_{v} + a{t} * b{v}" for v in across]
        lines += indented(inner, len(loops))
        lines += [store.format(t=t, v=v * lanes, value=s) for t, v, s in sums]
    return lines


# ---- packing ----


def pack_rows(kind: str, first: str, count: str, size: str, row: str, left: str, pitch: str, channels: str, step: str,
              plane: str, width: str, source: str, height: str) -> Lines:  # fmt: skip
    """Packs the rows first .. first + count of an image (those outside it are left as they are) as (row, pixel, channel)."""
    name, lanes, size_of = vector(kind)
    return [
        f"for pc in range(quotient_of({channels} + {lanes - 1}, {lanes})):",
        f"    for py in range(max({first}, 0), min({first} + {count}, {height})):",
        f"        for px in range(quotient_of({width} + {lanes - 1}, {lanes})):",
        f"            packed_from = {source} + (pc * {lanes} * {plane} + py * {width} + px * {lanes}) * {size_of}",
        f"            place = (py - {first}) * {pitch} + (px * {lanes} + {left}) * {step} + pc * {lanes}",
        f"            packed_to = {row} + place * {size_of}",
        f"            pack_{name}(packed_from, {plane}, {channels} - pc * {lanes}, {width} - px * {lanes}, packed_to, {step}, "
        f"min({lanes}, {size} - pc * {lanes}))",
    ]


WEIGHT_WORDS = ["pool", "out", "inner", "taps", "panels", "turned"]
"""out: channels that a panel runs over; inner: the others; taps: of the window; panels: in a group."""


@lru_cache(maxsize=64)
def weights(kind: str, panel: int, turned: bool) -> str:
    """Packs (out, in, window) into (group, panel, window, in, channels of the panel); `turned`: the panels are over `in`.

    A unit is a panel of a group.
    """
    name, lanes, size = vector(kind)
    if turned:
        source = (
            f"w + ((group * inner + c) * out * taps + (panel * {panel} + v * {lanes}) * taps + q * {lanes}) * {size}"
        )
        row_step, together = "taps", "1"
    else:
        source = f"w + ((group * out + panel * {panel} + v * {lanes}) * inner * taps + c * taps + q * {lanes}) * {size}"
        row_step, together = "inner * taps", str(lanes)
    body = [
        "for u in range(lo, hi):",
        "    group = quotient_of(u, panels)",
        "    panel = remainder_of(u, panels)",
        f"    for v in range({panel // lanes}):",
        f"        for part in range(quotient_of(inner + {together} - 1, {together})):",
        f"            c = part * {together}",
        f"            many = min({together}, inner - c)",
        f"            for q in range(quotient_of(many * taps + {lanes - 1}, {lanes})):",
        f"                pack_{name}({source}, {row_step}, out - panel * {panel} - v * {lanes}, "
        f"many * taps - q * {lanes}, scratch + q * {lanes * lanes * size}, {lanes}, {lanes})",
        "            for k in range(taps):",
        "                for i in range(many):",
        f"                    store_{name}(packed, ((u * taps + k) * inner + c + i) * {panel} + v * {lanes}, "
        f"load_{name}(scratch, (i * taps + k) * {lanes}))",
    ]
    return kernel(WEIGHT_WORDS, ["w", "packed"], body)


# ---- the direct kernels ----

DIRECT_WORDS = [
    "pool", "groups", "channels", "height", "width", "outs", "out_height", "out_width", "block", "blocks", "panels",
    "kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x", "dilation_y", "dilation_x",
    "pitch", "packed", "result_at", "tiles", "left", "pixel",
]  # fmt: skip
"""block: rows of a unit; blocks: units of an image; pitch: numbers of a packed row; packed: vectors of the packed rows;
result_at: bytes from scratch to the results; tiles: of pixels along a row; left: pixels of padding before a packed row;
pixel: numbers from one packed pixel to the next."""


def _result(kind: str, panel: int, rows_here: str, width: str, plane: str) -> Lines:
    """Turns a panel's results for whole rows back into channels."""
    name, lanes, size = vector(kind)
    lines = [f"for q in range(quotient_of({rows_here} * {width} + {lanes - 1}, {lanes})):"]
    for v in range(0, panel, lanes):
        lines += [
            f"    unpack_{name}(result + (q * {lanes * panel} + {v}) * {size}, {panel}, {rows_here} * {width} - q * {lanes}, "
            f"y + ((image * outs + panel * {panel} + {v}) * {plane} + first * {width} + q * {lanes}) * {size}, {plane}, "
            f"outs - panel * {panel} - {v})",
        ]
    return lines


@lru_cache(maxsize=64)
def direct(kind: str, rows: int, panels: int, step: int) -> str:
    """The convolution of blocks of rows; `step`: numbers between the inputs of neighbouring results, stride * pixel."""
    name, lanes, size = vector(kind)
    panel = panels * lanes
    sums = product(
        kind, rows, panels, step, [("ky", "kernel_y"), ("kx", "kernel_x"), ("c", "channels")], "rows_of_input", "w",
        "at + ky * dilation_y * pitch + kx * dilation_x * pixel + c",
        f"wat + ((ky * kernel_x + kx) * channels + c) * {panel}", None,
        f"store_{name}(result, (row * out_width + x + {{t}}) * {panel} + {{v}}, {{value}})",
    )  # fmt: skip
    body = [
        "rows_of_input = scratch + 0",
        "result = scratch + result_at",
        "for u in range(lo, hi):",
        *indented([
            "image = quotient_of(u, blocks)",
            "first = remainder_of(u, blocks) * block",
            "group = remainder_of(image, groups)",
            "here = min(block, out_height - first)",
            "top = first * stride_y - pad_y",
            *zeros(kind, "rows_of_input", "packed"),
            *pack_rows(kind, "top", "((here - 1) * stride_y + (kernel_y - 1) * dilation_y + 1)", "channels", "rows_of_input",
                       "left", "pitch", "channels", "pixel", "height * width", "width",
                       f"(input + image * channels * height * width * {size})", "height"),
            "for panel in range(panels):",
            *indented([
                f"wat = (group * panels + panel) * kernel_y * kernel_x * channels * {panel}",
                "for row in range(here):",
                "    for tile in range(tiles):",
                *indented([
                    f"x = min(tile * {rows}, out_width - {rows})",
                    f"at = row * stride_y * pitch + x * {step}",
                    *sums,
                ], 2),
                *_result(kind, panel, "here", "out_width", "out_height * out_width"),
            ]),
        ]),
    ]  # fmt: skip
    return kernel(DIRECT_WORDS, ["input", "w", "y"], body)


@lru_cache(maxsize=64)
def transposed(kind: str, rows: int, panels: int, channels: int, pixel: int) -> str:
    """What the convolution pulls back to its input, in blocks of the input's rows: each phase of the strides is a convolution of
    the cotangent with the taps that reach it. `height` and `width` are the cotangent's, `channels` its channels in a group."""
    name, lanes, size = vector(kind)
    panel = panels * lanes
    sums = product(
        kind, rows, panels, pixel, [("ky", "many_y"), ("kx", "many_x"), ("c", "channels")], "rows_of_input", "w",
        "at - ky * dilation_y * pitch - kx * dilation_x * pixel + c",
        f"wat + (((tap_y + ky * stride_y) * kernel_x + tap_x + kx * stride_x) * channels + c) * {panel}", None,
        f"store_{name}(result, (row * out_width + phase + (x + {{t}}) * stride_x) * {panel} + {{v}}, {{value}})",
    )  # fmt: skip
    body = [
        "rows_of_input = scratch + 0",
        "result = scratch + result_at",
        "for u in range(lo, hi):",
        *indented([
            "image = quotient_of(u, blocks)",
            "first = remainder_of(u, blocks) * block",
            "group = remainder_of(image, groups)",
            "here = min(block, out_height - first)",
            # Floored, though it may be negative.
            "top = quotient_of(first + pad_y - (kernel_y - 1) * dilation_y + 65536 * stride_y, stride_y) - 65536",
            "bottom = quotient_of(first + here - 1 + pad_y, stride_y)",
            *zeros(kind, "rows_of_input", "packed"),
            *pack_rows(kind, "top", "(bottom - top + 1)", "channels", "rows_of_input", "left", "pitch", "channels", "pixel",
                       "height * width", "width", f"(input + image * channels * height * width * {size})", "height"),
            "for panel in range(panels):",
            *indented([
                f"wat = (group * panels + panel) * kernel_y * kernel_x * channels * {panel}",
                "for row in range(here):",
                *indented([
                    "tap_y = remainder_of(first + row + pad_y, stride_y)",
                    "many_y = quotient_of(max(kernel_y - tap_y, 0) + stride_y - 1, stride_y)",
                    "from_y = quotient_of(first + row + pad_y - tap_y, stride_y) - top",
                    "for phase in range(stride_x):",
                    *indented([
                        "tap_x = remainder_of(phase + pad_x, stride_x)",
                        "many_x = quotient_of(max(kernel_x - tap_x, 0) + stride_x - 1, stride_x)",
                        "from_x = quotient_of(phase + pad_x - tap_x, stride_x) + left",
                        "count = quotient_of(out_width - phase + stride_x - 1, stride_x)",
                        "for tile in range(tiles):",
                        *indented([
                            f"x = min(tile * {rows}, count - {rows})",
                            "at = from_y * pitch + (from_x + x) * pixel",
                            *sums,
                        ]),
                    ]),
                ]),
                *_result(kind, panel, "here", "out_width", "out_height * out_width"),
            ]),
        ]),
    ]  # fmt: skip
    return kernel(DIRECT_WORDS, ["input", "w", "y"], body).replace("range(channels)", f"range({channels})")


# ---- what a convolution pulls back to its kernel ----

GRADIENT_WORDS = [
    "pool", "groups", "channels", "height", "width", "outs", "out_height", "out_width", "block", "images", "parts",
    "stored", "kernel_y", "kernel_x", "stride_y", "stride_x", "pad_y", "pad_x", "dilation_y", "dilation_x", "pitch",
    "packed", "second_at", "second", "tiles", "panels", "spans", "per", "left", "pixel",
]  # fmt: skip
"""images: (image, group) pairs, shared out over `parts` units; stored: rows of a tap's sums."""


@lru_cache(maxsize=64)
def gradient(kind: str, rows: int, panels: int) -> str:
    """Partial sums (part, group, panel of out, window, in, out), each over its own images: products of two packed blocks of rows.

    A unit is `per` panels of a group of a part (a group has `spans` such): its sums stay in the cache from image to image.
    """
    name, lanes, size = vector(kind)
    panel = panels * lanes
    sums = product(
        kind, rows, panels, 1, [("oy", "here"), ("ox", "out_width")], "rows_of_input", "rows_of_output",
        "at + oy * stride_y * pitch + ox * stride_x * pixel", f"(oy * out_width + ox) * {panel}",
        [f"load_{name}(sums, to + {{t}} * {panel} + {{v}})"], f"store_{name}(sums, to + {{t}} * {panel} + {{v}}, {{value}})",
    )  # fmt: skip
    body = [
        "rows_of_input = scratch + 0",
        "rows_of_output = scratch + second_at",
        "for u in range(lo, hi):",
        *indented([
            "part = quotient_of(u, spans * groups)",
            "group = remainder_of(quotient_of(u, spans), groups)",
            "low = remainder_of(u, spans) * per",
            "high = min(low + per, panels)",
            f"each = kernel_y * kernel_x * stored * {panel}",
            "all = (part * groups + group) * panels",
            "for z in range((all + low) * each, (all + high) * each):",
            f"    store_{kind}(sums, z, {kind}(0.0))",
            "for number in range(quotient_of(part * images, parts), quotient_of((part + 1) * images, parts)):",
            *indented([
                "image = number * groups + group",
                "for b in range(quotient_of(out_height + block - 1, block)):",
                *indented([
                    "first = b * block",
                    "here = min(block, out_height - first)",
                    "top = first * stride_y - pad_y",
                    *zeros(kind, "rows_of_input", "packed"),
                    *pack_rows(kind, "top", "((here - 1) * stride_y + (kernel_y - 1) * dilation_y + 1)", "channels",
                               "rows_of_input", "left", "pitch", "channels", "pixel", "height * width", "width",
                               f"(input + image * channels * height * width * {size})", "height"),
                    "for panel in range(low, high):",
                    *indented([
                        f"some = min(outs - panel * {panel}, {panel})",
                        *zeros(kind, "rows_of_output", "second"),
                        *pack_rows(kind, "first", "here", "some", "rows_of_output", "0", f"out_width * {panel}", "some",
                                   str(panel),
                                   "out_height * out_width", "out_width",
                                   f"(y + (image * outs + panel * {panel}) * out_height * out_width * {size})", "out_height"),
                        "for ky in range(kernel_y):",
                        "    for kx in range(kernel_x):",
                        "        for tile in range(tiles):",
                        *indented([
                            f"at = ky * dilation_y * pitch + kx * dilation_x * pixel + tile * {rows}",
                            f"to = (all + panel) * each + ((ky * kernel_x + kx) * stored + tile * {rows}) * {panel}",
                            *sums,
                        ], 3),
                    ]),
                ]),
            ]),
        ]),
    ]  # fmt: skip
    return kernel(GRADIENT_WORDS, ["input", "y", "sums"], body)


TOTAL_WORDS = ["pool", "groups", "channels", "outs", "taps", "parts", "panels", "wide", "stored", "blocks"]
"""wide: output channels of a panel; blocks: vectors of output channels of a group."""


@lru_cache(maxsize=64)
def total(kind: str) -> str:
    """Adds the partial sums in their order and puts them into (out, in, window). A unit is a vector of output channels."""
    name, lanes, size = vector(kind)
    body = [
        "for u in range(lo, hi):",
        *indented([
            "group = quotient_of(u, blocks)",
            f"o = remainder_of(u, blocks) * {lanes}",
            "for c in range(channels):",
            "    for k in range(taps):",
            "        at = (((group * panels + quotient_of(o, wide)) * taps + k) * stored + c) * wide + remainder_of(o, wide)",
            f"        added = spread_{name}({kind}(0.0))",
            "        for p in range(parts):",
            f"            added = added + load_{name}(sums, p * groups * panels * taps * stored * wide + at)",
            f"        store_{name}(scratch, k * {lanes}, added)",
            f"    for q in range(quotient_of(taps + {lanes - 1}, {lanes})):",
            f"        unpack_{name}(scratch + q * {lanes * lanes * size}, {lanes}, taps - q * {lanes}, w + "
            f"((group * outs + o) * channels * taps + c * taps + q * {lanes}) * {size}, channels * taps, outs - o)",
        ]),
    ]  # fmt: skip
    return kernel(TOTAL_WORDS, ["sums", "w"], body)
