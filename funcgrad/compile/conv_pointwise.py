"""Convolutions by windows of one place without strides: products of matrices, on arrays as they lie, with pixels as lanes."""

from __future__ import annotations

from functools import lru_cache

from funcgrad.compile import vectors
from funcgrad.compile.conv_text import indented, kernel, product, vector
from funcgrad.compile.conv_types import Geometry, RoutineStep, tile
from funcgrad.core.program import Var

WORDS = ["pool", "groups", "inner", "outer", "plane", "blocks", "panels", "tiles"]
"""inner: channels that are summed over; outer: those of the result; panels: of pixels in a unit; tiles: of result channels."""
LANE_VECTORS = 2


@lru_cache(maxsize=64)
def multiply(kind: str, rows: int, channels: int, turned: bool) -> str:
    """The results of a block of pixels of a group. channels: of a row of weights; turned: the sum is over rows of weights."""
    name, lanes, size = vector(kind)
    width = LANE_VECTORS * lanes
    sums = product(
        kind, rows, LANE_VECTORS, 1 if turned else channels, [("c", "inner")], "weight", "source",
        f"c * {channels} + o" if turned else f"o * {channels} + c", "c * plane + p", None,
        f"store_{name}(y, at + (o + {{t}}) * plane + p + {{v}}, {{value}})",
    )  # fmt: skip
    body = [
        "for u in range(lo, hi):",
        *indented([
            "row = quotient_of(u, blocks)",
            "group = remainder_of(row, groups)",
            "block = remainder_of(u, blocks)",
            f"weight = w + group * inner * outer * {size}",
            f"source = input + row * inner * plane * {size}",
            "at = row * outer * plane",
            "for panel in range(panels):",
            f"    p = min((block * panels + panel) * {width}, plane - {width})",
            "    for tile in range(tiles):",
            f"        o = min(tile * {rows}, outer - {rows})",
            *indented(sums, 2),
        ]),
    ]  # fmt: skip
    return kernel(WORDS, ["input", "w", "y"], body)


def steps(g: Geometry, source: Var, w: Var, target: Var, turned: bool) -> list[RoutineStep] | None:
    """The step of target = conv(source, w), or with `turned` of what pulls back to the input; None where this is not such a case."""
    plane = g.height * g.width
    width = LANE_VECTORS * g.lanes
    plain = g.taps == 1 and g.strides == (1, 1) and not any(map(any, g.pads))
    if not plain or plane < width:
        return None
    inner, outer = (g.outs, g.channels) if turned else (g.channels, g.outs)
    count = -(-plane // width)
    blocks = -(-count // max(count // 4, 1)) if g.images * g.groups < 16 else 1
    panels = -(-count // blocks)
    rows = tile(outer, 14)
    words = [vectors.scratch_pool(), g.groups, inner, outer, plane, blocks, panels, -(-outer // rows)]
    work = panels * width * inner * outer / 16
    text = multiply(g.kind, rows, g.channels, turned)
    return [RoutineStep(text, [source, w, target], words, g.images * g.groups * blocks, [source, w], [target], "pointwise", work)]
