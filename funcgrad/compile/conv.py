"""Convolutions as native steps: which kernel of conv_text.py, over which blocks, with which scratch memory and packed weights.

Blocks follow from the shapes alone, so the bits of a result do not depend on the number of threads. Images and lines are done
natively (two spatial axes and one; ops/volumes.py makes images of volumes), by NumPy the settings that no network has: negative
padding, and strides together with dilation in the transposed direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from funcgrad.compile import conv_depthwise, conv_winograd, conv_winograd_kernel, vectors
from funcgrad.compile import conv_text as text
from funcgrad.compile.conv_types import Geometry, Params, RoutineStep, geometry, scratch_var, tile
from funcgrad.core.program import Var

ROOM = vectors.SLOT_BYTES - 4096
PACKED = 384 << 10
"""Bytes of packed input that a block may have: they stay in the cache beside the weights."""


def panels_for(outs: int, pixels: int, lanes: int) -> tuple[int, int]:
    """(vectors of a panel, pixels at a time) so that the sums fill the registers: 28 vectors."""
    if pixels <= 7 and outs > 2 * lanes:
        return 4, tile(pixels, 6)
    return (2, tile(pixels, text.block_rows())) if outs > lanes else (1, tile(pixels, text.block_rows()))


def packed_weights(g: Geometry, w: Var, panel: int, turned: bool) -> tuple[RoutineStep, Var, int]:
    """The step that packs weights, where to, and how many panels a group has."""
    out, inner = (g.channels, g.outs) if turned else (g.outs, g.channels)
    panels = -(-out // panel)
    count = g.groups * panels * g.taps * inner * panel
    packed = scratch_var(g.kind, count + 64)
    words = [vectors.scratch_pool(), out, inner, g.taps, panels, int(turned)]
    source = text.weights(g.kind, panel, turned)
    work = count / max(g.groups * panels, 1)
    return (
        RoutineStep(source, [w, packed], words, g.groups * panels, [w], [packed], "pack weights", work),
        packed,
        panels,
    )


def _block(rows: int, images: int, fits: Callable[[int], bool]) -> int:
    """Rows of a unit: as many as fit, but enough units to share out (by a rule that does not know the threads)."""
    wanted = max(1, -(-rows * images // 16)) if images < 16 else rows
    found = 1
    for n in range(1, rows + 1):
        if n <= max(wanted, 2) and fits(n):
            found = n
    return -(-rows // -(-rows // found))


def spread(count: int, g: Geometry) -> int:
    """Numbers from one packed pixel to the next: its channels, and a few more where neighbours would share a set of the cache."""
    return count + g.lanes if count * g.size % 1024 == 0 else count


def forward(g: Geometry, x: Var, w: Var, y: Var) -> list[RoutineStep] | None:
    """The steps of y = conv(x, w)."""
    if conv_winograd.fits(g, g.channels, g.outs, (g.out_height, g.out_width)):
        found = conv_winograd.steps(g, x, w, y, False)
        if found is not None:
            return found
    panels, rows = panels_for(g.outs, g.out_width, g.lanes)
    panel = panels * g.lanes
    pixel = spread(g.channels, g)
    pitch = (g.width + sum(g.pads[1])) * pixel
    tail = (g.lanes * pixel + 2 * g.lanes) * g.size

    def sizes(block: int) -> tuple[int, int]:
        taken = ((block - 1) * g.strides[0] + (g.kernel[0] - 1) * g.dilation[0] + 1) * pitch
        return -(-taken // g.lanes), (block * g.out_width + g.lanes) * panel * g.size

    def fits(block: int) -> bool:
        packed, result = sizes(block)
        return packed * g.lanes * g.size <= PACKED and packed * g.lanes * g.size + tail + result <= ROOM

    block = _block(g.out_height, g.images * g.groups, fits)
    packed, result = sizes(block)
    at = -(-(packed * g.lanes * g.size + tail) // 64) * 64
    if at + result > ROOM:
        return None
    first, weights, count = packed_weights(g, w, panel, False)
    blocks = -(-g.out_height // block)
    words = [
        vectors.scratch_pool(), g.groups, g.channels, g.height, g.width, g.outs, g.out_height, g.out_width, block, blocks, count,
        *g.kernel, *g.strides, g.pads[0][0], g.pads[1][0], *g.dilation, pitch, packed, at, -(-g.out_width // rows), g.pads[1][0],
        pixel,
    ]  # fmt: skip
    source = text.direct(g.kind, rows, panels, g.strides[1] * pixel)
    work = block * g.out_width * g.outs * g.channels * g.taps / 16
    units = g.images * g.groups * blocks
    return [first, RoutineStep(source, [x, weights, y], words, units, [x, weights], [y], "direct", work)]


def backward(g: Geometry, y: Var, w: Var, x: Var) -> list[RoutineStep] | None:
    """The steps of x = conv_input(y, w)."""
    if conv_winograd.fits(g, g.outs, g.channels, (g.height, g.width)):
        found = conv_winograd.steps(g, y, w, x, True)
        if found is not None:
            return found
    if any(s > 1 and d > 1 for s, d in zip(g.strides, g.dilation, strict=True)) or g.width < g.strides[1]:
        return None
    panels, rows = panels_for(g.channels, g.width // g.strides[1], g.lanes)
    widest = -(-g.width // g.strides[1])
    panel = panels * g.lanes
    (sy, sx), (dy, dx) = g.strides, g.dilation
    left = max(-((g.pads[1][0] - (g.kernel[1] - 1) * dx) // sx), 0)
    right = max((g.width - 1 + g.pads[1][0]) // sx - (g.out_width - 1), 0)
    pixel = spread(g.outs, g)
    pitch = (g.out_width + left + right) * pixel
    tail = (g.lanes * pixel + 2 * g.lanes) * g.size

    def sizes(block: int) -> tuple[int, int]:
        taken = ((block - 1 + (g.kernel[0] - 1) * dy) // sy + 2) * pitch
        return -(-taken // g.lanes), (block * g.width + g.lanes) * panel * g.size

    def fits(block: int) -> bool:
        packed, result = sizes(block)
        return packed * g.lanes * g.size <= PACKED and packed * g.lanes * g.size + tail + result <= ROOM

    block = _block(g.height, g.images * g.groups, fits)
    packed, result = sizes(block)
    at = -(-(packed * g.lanes * g.size + tail) // 64) * 64
    if at + result > ROOM:
        return None
    first, weights, count = packed_weights(g, w, panel, True)
    blocks = -(-g.height // block)
    words = [
        vectors.scratch_pool(), g.groups, g.outs, g.out_height, g.out_width, g.channels, g.height, g.width, block, blocks, count,
        *g.kernel, *g.strides, g.pads[0][0], g.pads[1][0], *g.dilation, pitch, packed, at, -(-widest // rows), left,
        pixel,
    ]  # fmt: skip
    source = text.transposed(g.kind, rows, panels, g.outs, pixel)
    work = block * g.width * g.outs * g.channels * g.taps / (16 * sx * sy)
    units = g.images * g.groups * blocks
    return [first, RoutineStep(source, [y, weights, x], words, units, [y, weights], [x], "transposed", work)]


UNITS = 16
"""How many units a kernel's gradient is shared out over: panels of output channels, then parts of the images."""


def kernel_gradient(g: Geometry, x: Var, y: Var, w: Var) -> list[RoutineStep] | None:
    """The steps of w = conv_kernel(x, y): partial sums over images, then their total in a fixed order."""
    found = conv_winograd_kernel.steps(g, x, y, w)
    if found is not None:
        return found
    panels = 4 if g.outs > 2 * g.lanes else 2 if g.outs > g.lanes else 1
    panel = panels * g.lanes
    rows = tile(g.channels, 6 if panels == 4 else 12)
    count, stored = -(-g.outs // panel), -(-g.channels // rows) * rows
    pixel, each = spread(g.channels, g), g.taps * stored * panel
    # A unit packs the input for itself: with few taps it takes several panels, for that to be little beside the products.
    per = min(max(9 // g.taps, 1), count)
    spans = -(-count // per)
    parts = max(min(g.images, UNITS // (g.groups * spans)), 1)
    pitch = (g.width + sum(g.pads[1])) * pixel
    tail = (g.lanes * pixel + 4 * g.lanes + rows) * g.size

    def sizes(block: int) -> tuple[int, int]:
        taken = ((block - 1) * g.strides[0] + (g.kernel[0] - 1) * g.dilation[0] + 1) * pitch
        return -(-taken // g.lanes), -(-block * g.out_width * panel // g.lanes)

    def fits(block: int) -> bool:
        return sum(sizes(block)) * g.lanes * g.size <= 2 * PACKED

    block = max([n for n in range(1, g.out_height + 1) if fits(n)], default=1)
    block = -(-g.out_height // -(-g.out_height // block))
    packed, second = sizes(block)
    at = -(-(packed * g.lanes * g.size + tail) // 64) * 64
    if at + (second + g.lanes * panel) * g.lanes * g.size > ROOM or g.taps * g.lanes > ROOM // 64:
        return None
    sums = scratch_var(g.kind, parts * g.groups * count * each + 64)
    words = [
        vectors.scratch_pool(), g.groups, g.channels, g.height, g.width, g.outs, g.out_height, g.out_width, block, g.images,
        parts, stored, *g.kernel, *g.strides, g.pads[0][0], g.pads[1][0], *g.dilation, pitch, packed, at, second,
        stored // rows, count, spans, per, g.pads[1][0], pixel,
    ]  # fmt: skip
    work = g.images * g.out_height * g.out_width * g.outs * g.channels * g.taps / (16 * parts * spans)
    source = text.gradient(g.kind, rows, panels)
    main = RoutineStep(source, [x, y, sums], words, parts * g.groups * spans, [x, y], [sums], "products", work)
    blocks = -(-g.outs // g.lanes)
    words = [vectors.scratch_pool(), g.groups, g.channels, g.outs, g.taps, parts, count, panel, stored, blocks]
    units = g.groups * blocks
    last = RoutineStep(text.total(g.kind), [sums, w], words, units, [sums], [w], "sum", parts * each / blocks)
    return [main, last]


def lower(name: str, params: Params, inputs: Sequence[Var], out: Var) -> list[RoutineStep] | None:
    """The native steps of a row of ops/conv.py on arrays in C order; None where NumPy does it."""
    a, b = inputs
    dtypes = {v.type.dtype for v in (a, b, out)}
    if len(dtypes) != 1 or any(v.type.size == 0 for v in (a, b, out)):
        return None
    x, w, y = {"value": (a, b, out), "input": (out, b, a), "kernel": (a, out, b)}[name]
    g = geometry(x.type.shape, w.type.shape, y.type.shape, dtypes.pop(), params)
    if g is None:
        return None
    if g.channels == g.outs == 1 and g.groups > 1:
        text_of = {
            "value": conv_depthwise.forward,
            "input": conv_depthwise.backward,
            "kernel": conv_depthwise.gradient,
        }[name]
        return conv_depthwise.step(g, text_of, [a, b], out, name == "kernel")
    if name == "value":
        return forward(g, x, w, y)
    return backward(g, y, w, x) if name == "input" else kernel_gradient(g, x, y, w)
