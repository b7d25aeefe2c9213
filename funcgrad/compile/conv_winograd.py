"""Winograd's convolutions F(4x4, 3x3) of float32: 36 multiplications for 16 results of 9 products each.

Tiles of 6 x 6 pixels and the kernels are transformed by small matrices; between them are 36 products of matrices over channels.
Points 0, 1, -1, 2, -2 and infinity: the error is 1e-5 to 2e-5 of the largest result (tests/test_convolution_native.py), ten to
thirty times that of the direct sum. The setting `allow_winograd` switches it off for Programs that are compiled afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from funcgrad.compile import vectors
from funcgrad.compile.conv_text import Lines, block_rows, indented, kernel, pack_rows, product, zeros
from funcgrad.compile.conv_types import Geometry, RoutineStep, allow_winograd, scratch_var, tile
from funcgrad.core.program import Var

POINTS = 36
TILE = 4
LANES = 16
PANEL = 32
TILES = 28
"""Tiles of a block at most: their transforms stay in the cache."""
MANY = 384
"""Channels from which all tiles are transformed before a panel of weights is taken at a time."""
MOST_TILES = 32 << 20
ROOM = vectors.SLOT_BYTES - 4096


def numbers(**values: float) -> Lines:
    """Vectors of one number each, by name."""
    return [f"{name} = spread_f32x16(f32({value}))" for name, value in values.items()]


def input_line(d: Sequence[str], t: Sequence[str], n: str) -> Lines:
    """Six values along a line, transformed."""
    d0, d1, d2, d3, d4, d5 = d
    return [
        f"{t[0]} = four * {d0} - five * {d2} + {d4}",
        f"e{n} = {d4} - four * {d2}", f"f{n} = {d3} - four * {d1}", f"{t[1]} = e{n} + f{n}", f"{t[2]} = e{n} - f{n}",
        f"g{n} = {d4} - {d2}", f"h{n} = two * ({d3} - {d1})", f"{t[3]} = g{n} + h{n}", f"{t[4]} = g{n} - h{n}",
        f"{t[5]} = four * {d1} - five * {d3} + {d5}",
    ]  # fmt: skip


def _output_line(m: Sequence[str], o: Sequence[str], n: str) -> Lines:
    m0, m1, m2, m3, m4, m5 = m
    return [
        f"e{n} = {m1} + {m2}", f"f{n} = {m1} - {m2}", f"g{n} = {m3} + {m4}", f"h{n} = {m3} - {m4}",
        f"{o[0]} = {m0} + e{n} + g{n}", f"{o[1]} = f{n} + two * h{n}", f"{o[2]} = e{n} + four * g{n}",
        f"{o[3]} = f{n} + eight * h{n} + {m5}",
    ]  # fmt: skip


def _kernel_line(g: Sequence[str], u: Sequence[str], n: str) -> Lines:
    g0, g1, g2 = g
    return [
        f"{u[0]} = quarter * {g0}",
        f"e{n} = sixth * ({g0} + {g2})", f"f{n} = sixth * {g1}", f"{u[1]} = zero - e{n} - f{n}", f"{u[2]} = f{n} - e{n}",
        f"g{n} = small * {g0} + sixth * {g2}", f"h{n} = twelfth * {g1}", f"{u[3]} = g{n} + h{n}", f"{u[4]} = g{n} - h{n}",
        f"{u[5]} = one * {g2}",
    ]  # fmt: skip


# ---- the kernels' transforms ----


def _kernel_tiles(turned: bool, first: str, many: str, target: tuple[str, str]) -> Lines:
    """Transforms the windows from channels `first` to `first` + `many` (a multiple of 16) to a panel: 16 x 16 numbers are turned
    in registers, so that the panel's channels are lanes. `turned`: the panel is over the windows' inputs, read backwards."""
    together = 1 if turned else LANES
    if turned:
        source, step = f"(c0 * outs + panel * {PANEL} + v) * 9", "9"
    else:
        source, step = f"((panel * {PANEL} + v) * channels + c0) * 9 + q * {LANES}", "channels * 9"
    lines = []
    for i in range(3):
        for j in range(3):
            k = 8 - (3 * i + j) if turned else 3 * i + j
            lines.append(f"g{i}{j} = load_f32x16(turning, (i * 9 + {k}) * {LANES})")
    for j in range(3):
        lines += _kernel_line([f"g{i}{j}" for i in range(3)], [f"t{i}{j}" for i in range(6)], f"a{j}")
    for i in range(6):
        lines += _kernel_line([f"t{i}{j}" for j in range(3)], [f"u{i}{j}" for j in range(6)], f"b{i}")
        lines += [
            f"store_f32x16({target[0]}, (({target[1]}) + {6 * i + j} * channels + c0 + i) * {PANEL} + v, u{i}{j})"
            for j in range(6)
        ]
    return [
        f"for part in range(quotient_of({many}, {together})):",
        f"    c0 = {first} + part * {together}",
        f"    for vector in range({PANEL // LANES}):",
        f"        v = vector * {LANES}",
        f"        for q in range({1 if turned else 9}):",
        f"            pack_f32x16(w + ({source}) * 4, {step}, outs - panel * {PANEL} - v, {9 if turned else LANES}, "
        f"turning + q * {LANES * LANES * 4}, {LANES}, {LANES})",
        f"        for i in range({together}):",
        *indented(lines, 3),
    ]


_KERNEL_NUMBERS = {"zero": 0.0, "one": 1.0, "quarter": 1 / 4, "sixth": 1 / 6, "twelfth": 1 / 12, "small": 1 / 24}
_PIXEL_NUMBERS = {"two": 2.0, "four": 4.0, "five": 5.0, "eight": 8.0}


@lru_cache(maxsize=4)
def weights(turned: bool) -> str:
    """Windows (out, in, 3, 3) transformed, (panel, 36, in, 32). A unit is 16 input channels of a panel."""
    body = [
        "turning = scratch + 0",
        *numbers(**_KERNEL_NUMBERS),
        "for u in range(lo, hi):",
        "    panel = quotient_of(u, chunks)",
        f"    start = remainder_of(u, chunks) * {LANES}",
        *indented(_kernel_tiles(turned, "start", str(LANES), ("spectrum", f"panel * {POINTS} * channels"))),
    ]
    return kernel(["pool", "channels", "outs", "chunks"], ["w", "spectrum"], body)


# ---- the convolution ----

WORDS = [
    "pool", "channels", "height", "width", "outs", "out_height", "out_width", "block", "blocks", "across", "count", "panels",
    "pad_y", "left", "pitch", "packed", "spectrum_at", "sums_at", "result_at", "tiles",
]  # fmt: skip
"""block: rows of tiles of a unit; across: tiles along a row; count: tiles of a unit."""


def _forwards(channels: int, pointer: str, number: str) -> Lines:
    """Transforms the block's tiles: `ty` and `tx`; `number` is where a tile's numbers go, of `count`."""
    lines = []
    for i in range(6):
        d = [f"d{i}{j}" for j in range(6)]
        lines += [f"d{i}{j} = load_f32x16(rows_of_input, at + {i} * pitch + {j * channels})" for j in range(6)]
        lines += input_line(d, [f"t{i}{j}" for j in range(6)], f"a{i}")
    for j in range(6):
        lines += input_line([f"t{i}{j}" for i in range(6)], [f"v{i}{j}" for i in range(6)], f"b{j}")
        lines += [f"store_f32x16({pointer}, ({6 * i + j} * count + t) * {channels} + c, v{i}{j})" for i in range(6)]
    return [
        "top = first - pad_y",
        *zeros("f32", "rows_of_input", "packed"),
        *pack_rows("f32", "top", "(block * 4 + 2)", "channels", "rows_of_input", "left", "pitch", "channels", "channels",
                   "height * width", "width", "(input + image * channels * height * width * 4)", "height"),
        "for ty in range(block):",
        "    for tx in range(across):",
        *indented([
            f"t = {number}",
            f"for cv in range({channels // LANES}):",
            f"    c = cv * {LANES}",
            f"    at = ty * 4 * pitch + tx * {4 * channels} + c",
            *indented(lines),
        ], 2),
    ]  # fmt: skip


def _products(rows: int, channels: int, spectrum: str, weight: tuple[str, str], first: str, total: str) -> Lines:
    """The 36 products of matrices: `here_tiles` tiles from `first` on (of `total`) with a panel."""
    sums = product(
        "f32", rows, PANEL // LANES, channels, [("c", str(channels))], spectrum, weight[0],
        f"(point * {total} + {first} + x) * {channels} + c", f"(({weight[1]}) + point * {channels} + c) * {PANEL}", None,
        f"store_f32x16(sums, (point * room + x + {{t}}) * {PANEL} + {{v}}, {{value}})",
    )  # fmt: skip
    return [
        f"for point in range({POINTS}):",
        "    for tile in range(tiles):",
        f"        x = min(tile * {rows}, room - {rows})",
        *indented(sums, 2),
    ]


def _backwards(number: str) -> Lines:
    """Transforms the sums of a block's tiles back, and its pixels into channels."""
    lines = []
    for i in range(6):
        lines += [f"m{i}{j} = load_f32x16(sums, ({6 * i + j} * room + t) * {PANEL} + v)" for j in range(6)]
        lines += _output_line([f"m{i}{j}" for j in range(6)], [f"p{i}{j}" for j in range(4)], f"c{i}")
    for j in range(4):
        lines += _output_line([f"p{i}{j}" for i in range(6)], [f"o{i}{j}" for i in range(4)], f"d{j}")
        lines += [f"store_f32x16(result, to + ({i} * across * 4 + {j}) * {PANEL}, o{i}{j})" for i in range(4)]
    return [
        "for ty in range(block):",
        "    for tx in range(across):",
        f"        for vector in range({PANEL // LANES}):",
        *indented([
            f"t = {number}", f"v = vector * {LANES}", f"to = (ty * 4 * across * 4 + tx * 4) * {PANEL} + v", *lines,
        ], 3),
        "for row in range(here):",
        f"    for q in range(quotient_of(out_width + {LANES - 1}, {LANES})):",
        *[
            f"        unpack_f32x16(result + ((row * across * 4 + q * {LANES}) * {PANEL} + {v}) * 4, {PANEL}, out_width - q * "
            f"{LANES}, y + ((image * outs + panel * {PANEL} + {v}) * out_height * out_width + (first + row) * out_width + q * "
            f"{LANES}) * 4, out_height * out_width, outs - panel * {PANEL} - {v})"
            for v in range(0, PANEL, LANES)
        ],
    ]  # fmt: skip


_BLOCK = [
    "image = quotient_of(u, blocks)", "first = remainder_of(u, blocks) * block * 4", "here = min(block * 4, out_height - first)",
]  # fmt: skip


@lru_cache(maxsize=64)
def convolution(rows: int, channels: int) -> str:
    """The convolution in blocks of rows of tiles: transform, multiply, transform back, for one panel of channels at a time."""
    body = [
        "rows_of_input = scratch + 0", "spectrum = scratch + spectrum_at", "sums = scratch + sums_at",
        "result = scratch + result_at", "room = count + 0",
        *numbers(**_PIXEL_NUMBERS),
        "for u in range(lo, hi):",
        *indented([
            *_BLOCK,
            *_forwards(channels, "spectrum", "ty * across + tx"),
            "for panel in range(panels):",
            *indented([
                *_products(rows, channels, "spectrum", ("w", f"panel * {POINTS} * {channels}"), "0", "count"),
                *_backwards("ty * across + tx"),
            ]),
        ]),
    ]  # fmt: skip
    return kernel(WORDS, ["input", "w", "y"], body)


# ---- with many channels: all images' tiles first, then a panel of weights at a time ----


@lru_cache(maxsize=64)
def transform(channels: int) -> str:
    """The tiles of all images transformed, (36, tile, channel). A unit is an image."""
    body = [
        "rows_of_input = scratch + 0",
        *numbers(**_PIXEL_NUMBERS),
        "for u in range(lo, hi):",
        *indented(
            ["image = u + 0", "first = 0", *_forwards(channels, "spectrum", "u * block * across + ty * across + tx")]
        ),
    ]
    return kernel(WORDS, ["input", "spectrum"], body)


@lru_cache(maxsize=64)
def multiply(rows: int, channels: int, turned: bool) -> str:
    """A panel of weights, transformed in scratch memory, times every tile; `blocks`: images, `count`: their tiles together."""
    body = [
        "weight = scratch + spectrum_at", "sums = scratch + sums_at", "result = scratch + result_at",
        "turning = scratch + sums_at",
        *numbers(**_KERNEL_NUMBERS, **_PIXEL_NUMBERS),
        "for panel in range(lo, hi):",
        *indented([
            *_kernel_tiles(turned, "0", "channels", ("weight", "0")),
            "for part in range(quotient_of(blocks + pad_y - 1, pad_y)):",
            *indented([
                "start = min(part * pad_y, blocks - pad_y)",
                "room = pad_y * block * across",
                *_products(rows, channels, "spectrum", ("weight", "0"), "start * block * across", "count"),
                "for within in range(pad_y):",
                *indented([
                    "image = start + within", "first = 0", "here = out_height + 0",
                    *_backwards("within * block * across + ty * across + tx"),
                ]),
            ]),
        ]),
    ]  # fmt: skip
    return kernel(WORDS, ["w", "spectrum", "y"], body)


def fits(g: Geometry, channels: int, outs: int, window_out: tuple[int, int]) -> bool:
    """Whether Winograd is allowed and faster: 3 x 3 of float32 without strides, with enough channels and places."""
    return (
        allow_winograd[0]
        and g.kind == "f32"
        and g.groups == 1
        and g.kernel == (3, 3)
        and g.strides == (1, 1)
        and g.dilation == (1, 1)
        and channels % LANES == 0
        and channels >= 32
        and outs >= 32
        and channels * outs <= 1 << 21
        and min(window_out) >= TILE
    )


def steps(g: Geometry, x: Var, w: Var, y: Var, turned: bool) -> list[RoutineStep] | None:
    """The steps of y = conv(x, w), or with `turned` of what y pulls back: then x is the cotangent and g is seen from there."""
    channels, outs = (g.outs, g.channels) if turned else (g.channels, g.outs)
    height, width = (g.out_height, g.out_width) if turned else (g.height, g.width)
    out_height, out_width = (g.height, g.width) if turned else (g.out_height, g.out_width)
    pad_y, left = (2 - g.pads[0][0], 2 - g.pads[1][0]) if turned else (g.pads[0][0], g.pads[1][0])
    if min(pad_y, left) < 0:
        return None
    across, down, panels = -(-out_width // TILE), -(-out_height // TILE), -(-outs // PANEL)
    sizes = [channels, height, width, outs, out_height, out_width]
    if channels >= MANY:
        found = _by_panels(g.images, sizes, across, down, panels, pad_y, left, (x, w, y), turned)
        if found is not None:
            return found
    block = _block(down, across, TILES if channels <= 128 else TILES // 2)
    count, pixels = block * across, max(across * 4 + 2, width + left)
    pitch = pixels * channels
    packed_vectors = -(-(block * 4 + 2) * pitch // LANES)
    spectrum_at = (packed_vectors + (channels + 2)) * LANES * 4
    sums_at = spectrum_at + POINTS * count * channels * 4
    result_at = sums_at + POINTS * count * PANEL * 4
    if result_at + (block * 4 * across * 4 + LANES) * PANEL * 4 > ROOM:
        return None
    chunks = -(-channels // LANES)
    spectrum = scratch_var("f32", panels * POINTS * channels * PANEL + 64)
    words = [vectors.scratch_pool(), channels, outs, chunks]
    first = RoutineStep(weights(turned), [w, spectrum], words, panels * chunks, [w], [spectrum], "winograd weights",
                        LANES * PANEL * POINTS / 8)  # fmt: skip
    blocks = -(-down // block)
    rows = tile(count, block_rows())
    words = [
        vectors.scratch_pool(), *sizes, block, blocks, across, count, panels, pad_y, left, pitch, packed_vectors, spectrum_at,
        sums_at, result_at, -(-count // rows),
    ]  # fmt: skip
    work = POINTS * count * channels * outs / 16 * 1.5
    source = convolution(rows, channels)
    return [
        first,
        RoutineStep(source, [x, spectrum, y], words, g.images * blocks, [x, spectrum], [y], "winograd", work),
    ]


def _by_panels(images: int, sizes: list[int], across: int, down: int, panels: int, pad_y: int, left: int,
               values: tuple[Var, Var, Var], turned: bool) -> list[RoutineStep] | None:  # fmt: skip
    """The steps where weights are many and tiles few: their transforms are made once, a panel of weights' by its own unit."""
    x, w, y = values
    channels, width = sizes[0], sizes[2]
    tiles = across * down
    together = max(min(64 // tiles, images), 1)
    room, count = together * tiles, images * tiles
    pitch = max(across * 4 + 2, width + left) * channels
    packed_vectors = -(-(down * 4 + 2) * pitch // LANES)
    sums_at = POINTS * channels * PANEL * 4
    result_at = sums_at + POINTS * room * PANEL * 4
    if (
        max(result_at + (down * 4 * across * 4 + LANES) * PANEL * 4, (packed_vectors + channels + 2) * LANES * 4) > ROOM
        or POINTS * count * channels * 4 > MOST_TILES
    ):
        return None
    spectrum = scratch_var("f32", POINTS * count * channels + 64)
    rows = tile(room, block_rows())
    pool = vectors.scratch_pool()
    words = [pool, *sizes, down, images, across, count, panels, pad_y, left, pitch, packed_vectors, 0, 0, 0, 0]
    first = RoutineStep(transform(channels), [x, spectrum], words, images, [x], [spectrum], "winograd tiles",
                        POINTS * tiles * channels / 4)  # fmt: skip
    words = [
        pool,
        *sizes,
        down,
        images,
        across,
        count,
        panels,
        together,
        left,
        pitch,
        0,
        0,
        sums_at,
        result_at,
        -(-room // rows),
    ]
    work = POINTS * count * channels * PANEL / 16 * 1.5
    source = multiply(rows, channels, turned)
    return [
        first,
        RoutineStep(source, [w, spectrum, y], words, panels, [w, spectrum], [y], "winograd", work),
    ]


def _block(down: int, across: int, most: int) -> int:
    """Rows of tiles of a unit: as many as hold at most so many tiles, without an empty row at the end if possible."""
    largest = max(most // across, 1)
    return min(range(1, min(largest, down) + 1), key=lambda n: (-(-down // n) * n - down, -n))
