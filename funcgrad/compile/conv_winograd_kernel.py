"""What a Winograd convolution pulls back to its windows: the transpose of conv_winograd.py's F(4x4, 3x3) in the windows.

Tiles of 6 x 6 of the input are transformed as there, tiles of 4 x 4 of the cotangent by the transpose of the results' transform;
36 products of matrices sum over all tiles, and the transpose of the windows' transform gives their 3 x 3: a quarter of the direct
sum's multiplications. The error is at most 1e-5 of the largest result (tests/test_convolution_native.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from funcgrad.compile import vectors
from funcgrad.compile.conv_text import Lines, block_rows, indented, kernel, pack_rows, product, zeros
from funcgrad.compile.conv_types import Geometry, RoutineStep, scratch_var, tile
from funcgrad.compile.conv_winograd import LANES, PANEL, POINTS, ROOM, TILE, fits, input_line, numbers
from funcgrad.core.program import Var

TOGETHER = 48
"""Tiles summed at a time: what they need of both operands stays in the first cache."""
PACKED = 512 << 10
"""Bytes of packed rows that a unit may have."""
MOST = 160 << 20
"""Bytes of all transformed tiles; a convolution with more of them is done directly."""


def _cotangent_line(d: Sequence[str], t: Sequence[str], n: str) -> Lines:
    """Four cotangents along a line, as six."""
    d0, d1, d2, d3 = d
    return [
        f"{t[0]} = one * {d0}", f"e{n} = {d0} + {d2}", f"f{n} = {d1} + {d3}", f"{t[1]} = e{n} + f{n}",
        f"{t[2]} = e{n} - f{n}", f"g{n} = {d0} + four * {d2}", f"h{n} = two * ({d1} + four * {d3})", f"{t[3]} = g{n} + h{n}",
        f"{t[4]} = g{n} - h{n}", f"{t[5]} = one * {d3}",
    ]  # fmt: skip


def _window_line(u: Sequence[str], g: Sequence[str], n: str) -> Lines:
    """Six sums along a line, as three numbers of the window."""
    u0, u1, u2, u3, u4, u5 = u
    return [
        f"e{n} = {u1} + {u2}", f"g{n} = {u3} + {u4}", f"{g[0]} = quarter * {u0} - sixth * e{n} + small * g{n}",
        f"{g[1]} = sixth * ({u2} - {u1}) + twelfth * ({u3} - {u4})", f"{g[2]} = sixth * (g{n} - e{n}) + {u5}",
    ]  # fmt: skip


WORDS = [
    "pool", "channels", "height", "width", "block", "blocks", "down", "across", "count", "pad_y", "left", "pitch", "packed",
]  # fmt: skip
"""block: rows of tiles of a unit; blocks: units of an image; down, across: tiles of an image; count: of all images."""


@lru_cache(maxsize=64)
def tiles(size: int, channels: int, wide: int) -> str:
    """Transforms tiles of `size` x `size`, 4 apart, to (chunk of `wide` channels, 36, tile, channel).

    A unit is a block of rows of tiles of an image."""
    line = input_line if size == TILE + 2 else _cotangent_line
    lines: Lines = []
    for i in range(size):
        d = [f"d{i}{j}" for j in range(size)]
        lines += [f"d{i}{j} = load_f32x16(rows, at + {i} * pitch + {j * channels})" for j in range(size)]
        lines += line(d, [f"t{i}{j}" for j in range(6)], f"a{i}")
    for j in range(6):
        lines += line([f"t{i}{j}" for i in range(size)], [f"v{i}{j}" for i in range(6)], f"b{j}")
        lines += [f"store_f32x16(spectrum, to + {6 * i + j} * count * {wide}, v{i}{j})" for i in range(6)]
    body = [
        "rows = scratch + 0",
        *numbers(one=1.0, two=2.0, four=4.0, five=5.0),
        "for u in range(lo, hi):",
        *indented([
            "image = quotient_of(u, blocks)",
            "above = remainder_of(u, blocks) * block",
            f"first = above * {TILE} - pad_y",
            *zeros("f32", "rows", "packed"),
            *pack_rows("f32", "first", f"(block * {TILE} + {size - TILE})", "channels", "rows", "left", "pitch", "channels",
                       "channels", "height * width", "width", "(input + image * channels * height * width * 4)", "height"),
            "for ty in range(min(block, down - above)):",
            "    for tx in range(across):",
            *indented([
                "number = (image * down + above + ty) * across + tx",
                f"for cv in range({channels // LANES}):",
                f"    c = cv * {LANES}",
                f"    at = ty * {TILE} * pitch + tx * {TILE * channels} + c",
                f"    to = (quotient_of(c, {wide}) * {POINTS} * count + number) * {wide} + remainder_of(c, {wide})",
                *indented(lines),
            ], 2),
        ]),
    ]  # fmt: skip
    return kernel(WORDS, ["input", "spectrum"], body)


def _windows(stored: int, wide: int) -> Lines:
    """The sums of a unit as windows: 16 input channels of 16 output channels at a time, as rows of 144 numbers."""
    lines: Lines = []
    for i in range(6):
        lines += [f"u{i}{j} = load_f32x16(sums, from_sum + {(6 * i + j) * stored * PANEL})" for j in range(6)]
        lines += _window_line([f"u{i}{j}" for j in range(6)], [f"p{i}{j}" for j in range(3)], f"a{i}")
    for j in range(3):
        lines += _window_line([f"p{i}{j}" for i in range(6)], [f"g{i}{j}" for i in range(3)], f"b{j}")
        lines += [f"store_f32x16(turning, (i * 9 + {3 * i + j}) * {LANES}, g{i}{j})" for i in range(3)]
    return [
        f"for part in range({wide // LANES}):",
        f"    for v in range({PANEL // LANES}):",
        *indented([
            f"for i in range({LANES}):",
            f"    from_sum = (part * {LANES} + i) * {PANEL} + v * {LANES}",
            *indented(lines),
            "for q in range(9):",
            f"    unpack_f32x16(turning + q * {LANES * LANES * 4}, {LANES}, {LANES}, w + ((panel * {PANEL} + v * {LANES}) * "
            f"channels * 9 + (chunk * {wide} + part * {LANES}) * 9 + q * {LANES}) * 4, channels * 9, {LANES})",
        ], 2),
    ]  # fmt: skip


@lru_cache(maxsize=64)
def products(rows: int, wide: int) -> str:
    """The sums over all tiles and the windows they give. A unit is a panel of output channels with a chunk of input channels."""
    stored = -(-wide // rows) * rows
    sums = product(
        "f32", rows, PANEL // LANES, 1, [("t", "many")], "tiles", "cotangents", f"from_tile + t * {wide} + part * {rows}",
        f"from_cotangent + t * {PANEL}", [f"load_f32x16(sums, to + {{t}} * {PANEL} + {{v}})"],
        f"store_f32x16(sums, to + {{t}} * {PANEL} + {{v}}, {{value}})",
    )  # fmt: skip
    body = [
        "sums = scratch + 0",
        f"turning = scratch + {POINTS * stored * PANEL * 4}",
        *numbers(quarter=1 / 4, sixth=1 / 6, twelfth=1 / 12, small=1 / 24),
        "for u in range(lo, hi):",
        *indented([
            "panel = quotient_of(u, chunks)",
            "chunk = remainder_of(u, chunks)",
            *zeros("f32", "sums", str(POINTS * stored * PANEL // LANES)),
            f"for point in range({POINTS}):",
            f"    for start in range(quotient_of(count + {TOGETHER - 1}, {TOGETHER})):",
            *indented([
                f"many = min({TOGETHER}, count - start * {TOGETHER})",
                f"from_tile = ((chunk * {POINTS} + point) * count + start * {TOGETHER}) * {wide}",
                f"from_cotangent = ((panel * {POINTS} + point) * count + start * {TOGETHER}) * {PANEL}",
                f"for part in range({stored // rows}):",
                f"    to = (point * {stored} + part * {rows}) * {PANEL}",
                *indented(sums),
            ], 2),
            *_windows(stored, wide),
        ]),
    ]  # fmt: skip
    return kernel(["pool", "channels", "count", "chunks"], ["tiles", "cotangents", "w"], body)


def _tile_step(g: Geometry, size: int, source: Var, target: Var, wide: int) -> RoutineStep | None:
    """The step that transforms the tiles of the input (6 x 6) or of the cotangent (4 x 4)."""
    channels, height, width, pad_y, left = (
        (g.channels, g.height, g.width, g.pads[0][0], g.pads[1][0])
        if size == TILE + 2
        else (g.outs, g.out_height, g.out_width, 0, 0)
    )
    down, across = -(-g.out_height // TILE), -(-g.out_width // TILE)
    pitch = max(across * TILE + size - TILE, width + left) * channels
    block = max([n for n in range(1, down + 1) if (n * TILE + size - TILE) * pitch * 4 <= PACKED], default=1)
    block = -(-down // -(-down // block))
    packed = -(-(block * TILE + size - TILE) * pitch // LANES)
    if (packed + channels + 2) * LANES * 4 > ROOM:
        return None
    blocks = -(-down // block)
    words = [
        vectors.scratch_pool(), channels, height, width, block, blocks, down, across, g.images * down * across, pad_y, left,
        pitch, packed,
    ]  # fmt: skip
    work = POINTS * block * across * channels / 4
    label = "winograd tiles"
    return RoutineStep(
        tiles(size, channels, wide), [source, target], words, g.images * blocks, [source], [target], label, work
    )


def steps(g: Geometry, x: Var, y: Var, w: Var) -> list[RoutineStep] | None:
    """The steps of w = conv_kernel(x, y); None where the direct kernel does it."""
    count = g.images * -(-g.out_height // TILE) * -(-g.out_width // TILE)
    if (
        not fits(g, g.channels, g.outs, (g.out_height, g.out_width))
        or g.outs % PANEL
        or POINTS * count * (g.channels + g.outs) * 4 > MOST
    ):
        return None
    wide = next(n for n in (64, 32, 16) if g.channels % n == 0)
    rows = tile(wide, block_rows())
    chunks, panels = g.channels // wide, g.outs // PANEL
    # Rows beyond the channels of a chunk are summed and left: the last tile's are read behind the array.
    tiled = scratch_var("f32", POINTS * count * g.channels + 64)
    pulled = scratch_var("f32", POINTS * count * g.outs + 64)
    first = _tile_step(g, TILE + 2, x, tiled, wide)
    second = _tile_step(g, TILE, y, pulled, PANEL)
    if first is None or second is None:
        return None
    words = [vectors.scratch_pool(), g.channels, count, chunks]
    work = POINTS * (count + 16) * wide * PANEL / 16 * 1.2
    last = RoutineStep(
        products(rows, wide), [tiled, pulled, w], words, panels * chunks, [tiled, pulled], [w], "winograd", work
    )
    return [first, second, last]
