"""Attention as native steps over blocks: the softmax goes along as keys come (running maxima and sums), so no row is stored.

Forward, and for the queries' cotangent, a unit is a block of queries, which are the lanes of its vectors: keys and values are
read where they lie, maxima and sums need nothing across lanes. For the keys' and values' cotangents a unit is a block of keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from funcgrad.compile import vectors
from funcgrad.compile.conv_text import Lines, indented, kernel, product, vector, zeros
from funcgrad.compile.conv_types import RoutineStep, tile
from funcgrad.core.program import Var

WORDS = [
    "pool", "heads", "queries", "keys", "blocks", "parts", "scale", "mask_batch", "mask_head", "mask_query", "tiles", "second_at",
    "scores_at", "other_at", "mask_at", "lines_at", "sums_at", "more_at",
]  # fmt: skip
"""blocks: units of a head; parts: of the other side that a unit goes through one after the other; `*_at`: bytes from scratch."""
PART = 64
LANE_VECTORS = 2


def _lanes(kind: str, body: str) -> Lines:
    """A line for each lane `l` of a block."""
    return [f"for l in range({LANE_VECTORS * vector(kind)[1]}):", f"    {body}"]


def _packed(kind: str, source: str, start: str, count: str, depth: int, target: str) -> Lines:
    """Rows of a matrix as lanes: (depth, lane) from (row, depth)."""
    name, lanes, size = vector(kind)
    width = LANE_VECTORS * lanes
    return [
        f"for v in range({LANE_VECTORS}):",
        f"    for q in range({-(-depth // lanes)}):",
        f"        pack_{name}({source} + (({start} + v * {lanes}) * {depth} + q * {lanes}) * {size}, {depth}, {count} - v * "
        f"{lanes}, {depth} - q * {lanes}, {target} + (q * {lanes * width} + v * {lanes}) * {size}, {width}, {lanes})",
    ]


def _unpacked(kind: str, source: str, target: str, start: str, count: str, depth: int) -> Lines:
    """(depth, lane) back into rows of a matrix."""
    name, lanes, size = vector(kind)
    width = LANE_VECTORS * lanes
    return [
        f"for v in range({LANE_VECTORS}):",
        f"    for q in range({-(-depth // lanes)}):",
        f"        unpack_{name}({source} + (q * {lanes * width} + v * {lanes}) * {size}, {width}, {depth} - q * {lanes}, "
        f"{target} + (({start} + v * {lanes}) * {depth} + q * {lanes}) * {size}, {depth}, {count} - v * {lanes})",
    ]


def _scores(kind: str, rows: int, depth: int, a: str, first: str, b: str, target: str) -> Lines:
    """target (row, lane) = rows of `a` from `first` on times (depth, lane) of b, for the part's rows."""
    name, lanes, _ = vector(kind)
    width = LANE_VECTORS * lanes
    sums = product(
        kind, rows, LANE_VECTORS, depth, [("d", str(depth))], a, b, f"({first} + x) * {depth} + d", f"d * {width}", None,
        f"store_{name}({target}, (x + {{t}}) * {width} + {{v}}, {{value}})",
    )  # fmt: skip
    return ["for tile in range(tiles):", f"    x = min(tile * {rows}, here - {rows})", *indented(sums)]


def _gathered(kind: str, depth: int, a: str, first: str, b: str, target: str) -> Lines:
    """target (depth, lane) += the part's rows of `a`, transposed, times (row, lane) of b."""
    name, lanes, _ = vector(kind)
    width, most = LANE_VECTORS * lanes, tile(depth, 12)
    lines: Lines = []
    start = 0
    while start < depth:
        rows = min(most, depth - start)
        lines += product(
            kind, rows, LANE_VECTORS, 1, [("j", "here")], a, b, f"({first} + j) * {depth} + {start}", f"j * {width}",
            [f"load_{name}({target}, ({start} + {{t}}) * {width} + {{v}})"],
            f"store_{name}({target}, ({start} + {{t}}) * {width} + {{v}}, {{value}})",
        )  # fmt: skip
        start += rows
    return lines


def _by_query(kind: str, rows: int, masked: bool, causal: bool) -> Lines:
    """Adds the mask to scores (key, query lane) and cuts what lies after a query."""
    name, lanes, size = vector(kind)
    width = LANE_VECTORS * lanes
    lines: Lines = []
    if masked:
        at = "batch * mask_batch + head * mask_head"
        lines += [
            f"for v in range({LANE_VECTORS}):",
            f"    for q in range(quotient_of(here + {lanes - 1}, {lanes})):",
            f"        pack_{name}(mask + ({at} + (start + v * {lanes}) * mask_query + first + q * {lanes}) * {size}, mask_query, "
            f"count - v * {lanes}, here - q * {lanes}, turned + (q * {lanes * width} + v * {lanes}) * {size}, {width}, {lanes})",
            f"for i in range(here * {width}):",
            f"    store_{kind}(scores, i, load_{kind}(scores, i) + load_{kind}(turned, i))",
        ]
    if causal:
        lines += [
            "for j in range(max(start - first + 1, 0), here):",
            f"    for l in range({width}):",
            f"        at = j * {width} + l",
            f"        store_{kind}(scores, at, where(first + j <= start + l, load_{kind}(scores, at), {kind}(0.0 - inf)))",
        ]
    return lines


def _head(kind: str, width: int) -> Lines:
    return [
        "row = quotient_of(u, blocks)",
        "batch = quotient_of(row, heads)",
        "head = remainder_of(row, heads)",
        f"start = remainder_of(u, blocks) * {width}",
    ]


def _parts(of: str, causal: bool) -> Lines:
    """The loop over parts of the keys; under a causal mask only those that a query of the block may see."""
    return [
        f"for part in range({f'min(parts, quotient_of((start + count - 1) * parts, {of}) + 1)' if causal else 'parts'}):",
        f"    first = quotient_of(part * {of}, parts)",
        f"    here = quotient_of((part + 1) * {of}, parts) - first",
    ]


@lru_cache(maxsize=64)
def forward(kind: str, rows: int, depth: int, deep: int, masked: bool, causal: bool) -> str:
    """Outputs and logarithms of sums of a block of queries. depth and deep: sizes of keys and of values."""
    _, lanes, size = vector(kind)
    width = LANE_VECTORS * lanes
    scale = f"{kind}(number(scale))"
    body = [
        "query = scratch + 0", "scores = scratch + scores_at", "turned = scratch + mask_at", "sums = scratch + sums_at",
        "peak = scratch + lines_at", f"added = scratch + lines_at + {width * size}",
        f"factor = scratch + lines_at + {2 * width * size}",
        f"safe = scratch + lines_at + {3 * width * size}",
        "for u in range(lo, hi):",
        *indented([
            *_head(kind, width),
            f"count = min({width}, queries - start)",
            *_packed(kind, f"(q_ + row * queries * {depth} * {size})", "start", "count", depth, "query"),
            f"for i in range({depth * width}):",
            f"    store_{kind}(query, i, load_{kind}(query, i) * {scale})",
            *zeros(kind, "sums", str(deep * LANE_VECTORS)),
            *_lanes(kind, f"store_{kind}(peak, l, {kind}(0.0 - inf))"),
            *_lanes(kind, f"store_{kind}(added, l, {kind}(0.0))"),
            f"key = k_ + row * keys * {depth * size}",
            f"value = v_ + row * keys * {deep * size}",
            *_parts("keys", causal),
            *indented([
                *_scores(kind, rows, depth, "key", "first", "query", "scores"),
                *_by_query(kind, rows, masked, causal),
                *_lanes(kind, f"store_{kind}(factor, l, load_{kind}(peak, l))"),
                "for j in range(here):",
                f"    for l in range({width}):",
                f"        store_{kind}(peak, l, maximum(load_{kind}(peak, l), load_{kind}(scores, j * {width} + l)))",
                f"for l in range({width}):",
                f"    highest = load_{kind}(peak, l)",
                f"    store_{kind}(safe, l, where(highest == {kind}(0.0 - inf), {kind}(0.0), highest))",
                *_lanes(kind, f"store_{kind}(factor, l, exp_{kind}(load_{kind}(factor, l) - load_{kind}(safe, l)))"),
                *_lanes(kind, f"store_{kind}(added, l, load_{kind}(added, l) * load_{kind}(factor, l))"),
                "for j in range(here):",
                f"    for l in range({width}):",
                f"        raised = exp_{kind}(load_{kind}(scores, j * {width} + l) - load_{kind}(safe, l))",
                f"        store_{kind}(scores, j * {width} + l, raised)",
                f"        store_{kind}(added, l, load_{kind}(added, l) + raised)",
                f"for d in range({deep}):",
                f"    for l in range({width}):",
                f"        store_{kind}(sums, d * {width} + l, load_{kind}(sums, d * {width} + l) * load_{kind}(factor, l))",
                *_gathered(kind, deep, "value", "first", "scores", "sums"),
            ]),
            f"for l in range({width}):",
            f"    divisor = load_{kind}(added, l)",
            f"    store_{kind}(factor, l, {kind}(1.0) / where(divisor == {kind}(0.0), {kind}(1.0), divisor))",
            f"for d in range({deep}):",
            f"    for l in range({width}):",
            f"        store_{kind}(sums, d * {width} + l, load_{kind}(sums, d * {width} + l) * load_{kind}(factor, l))",
            *_unpacked(kind, "sums", f"(out + row * queries * {deep} * {size})", "start", "count", deep),
            "for l in range(count):",
            f"    whole = load_{kind}(added, l)",
            f"    level = where(whole == {kind}(0.0), {kind}(0.0), load_{kind}(peak, l) + log_{kind}(whole))",
            f"    store_{kind}(total, row * queries + start + l, level)",
        ]),
    ]  # fmt: skip
    pointers = ["q_", "k_", "v_", *(["mask"] if masked else []), "out", "total"]
    return kernel(WORDS, pointers, body)


@lru_cache(maxsize=64)
def backward_queries(kind: str, rows: int, depth: int, deep: int, masked: bool, causal: bool) -> str:
    """The queries' cotangent, for a block of queries."""
    _, lanes, size = vector(kind)
    width = LANE_VECTORS * lanes
    scale = f"{kind}(number(scale))"
    body = [
        "query = scratch + 0", "scores = scratch + scores_at", "turned = scratch + mask_at", "sums = scratch + sums_at",
        "given = scratch + second_at", "slopes = scratch + other_at", "level = scratch + lines_at",
        f"less = scratch + lines_at + {width * size}",
        "for u in range(lo, hi):",
        *indented([
            *_head(kind, width),
            f"count = min({width}, queries - start)",
            *_packed(kind, f"(q_ + row * queries * {depth} * {size})", "start", "count", depth, "query"),
            f"for i in range({depth * width}):",
            f"    store_{kind}(query, i, load_{kind}(query, i) * {scale})",
            *_packed(kind, f"(g_ + row * queries * {deep} * {size})", "start", "count", deep, "given"),
            *zeros(kind, "sums", str(depth * LANE_VECTORS)),
            *zeros(kind, "level", str(LANE_VECTORS)), *zeros(kind, "less", str(LANE_VECTORS)),
            "for l in range(count):",
            f"    store_{kind}(level, l, load_{kind}(total, row * queries + start + l))",
            f"    store_{kind}(less, l, load_{kind}(delta, row * queries + start + l))",
            f"key = k_ + row * keys * {depth * size}",
            f"value = v_ + row * keys * {deep * size}",
            *_parts("keys", causal),
            *indented([
                *_scores(kind, rows, depth, "key", "first", "query", "scores"),
                *_by_query(kind, rows, masked, causal),
                *_scores(kind, rows, deep, "value", "first", "given", "slopes"),
                "for j in range(here):",
                f"    for l in range({width}):",
                f"        weight = exp_{kind}(load_{kind}(scores, j * {width} + l) - load_{kind}(level, l))",
                f"        slope = weight * (load_{kind}(slopes, j * {width} + l) - load_{kind}(less, l))",
                f"        store_{kind}(slopes, j * {width} + l, slope)",
                *_gathered(kind, depth, "key", "first", "slopes", "sums"),
            ]),
            f"for i in range({depth * width}):",
            f"    store_{kind}(sums, i, load_{kind}(sums, i) * {scale})",
            *_unpacked(kind, "sums", f"(out + row * queries * {depth} * {size})", "start", "count", depth),
        ]),
    ]  # fmt: skip
    pointers = ["q_", "k_", "v_", "total", "delta", "g_", *(["mask"] if masked else []), "out"]
    return kernel(WORDS, pointers, body)


@lru_cache(maxsize=64)
def backward_keys(kind: str, rows: int, depth: int, deep: int, masked: bool, causal: bool) -> str:
    """The cotangents of a block of keys and values; parts are of the queries."""
    _, lanes, size = vector(kind)
    width = LANE_VECTORS * lanes
    scale = f"{kind}(number(scale))"
    # A query's place in the kernel's first loop is at or after the block's first key.
    begin = "quotient_of(start * parts, queries)" if causal else "0"
    more = f" + load_{kind}(mask, mask_row + l)" if masked else ""
    cut = "first + j >= start + l" if causal else ""
    weight = f"exp_{kind}(load_{kind}(scores, j * {width} + l){more} - level)"
    if causal:
        weight = f"where({cut}, {weight}, {kind}(0.0))"
    body = [
        "key = scratch + 0", "scores = scratch + scores_at", "slopes = scratch + other_at", "value = scratch + second_at",
        "sums = scratch + sums_at", "more = scratch + more_at",
        "for u in range(lo, hi):",
        *indented([
            *_head(kind, width),
            f"count = min({width}, keys - start)",
            *_packed(kind, f"(k_ + row * keys * {depth} * {size})", "start", "count", depth, "key"),
            f"for i in range({depth * width}):",
            f"    store_{kind}(key, i, load_{kind}(key, i) * {scale})",
            *_packed(kind, f"(v_ + row * keys * {deep} * {size})", "start", "count", deep, "value"),
            *zeros(kind, "sums", str(depth * LANE_VECTORS)), *zeros(kind, "more", str(deep * LANE_VECTORS)),
            f"query = q_ + row * queries * {depth * size}",
            f"given = g_ + row * queries * {deep * size}",
            f"for part in range({begin}, parts):",
            *indented([
                "first = quotient_of(part * queries, parts)",
                "here = quotient_of((part + 1) * queries, parts) - first",
                *_scores(kind, rows, depth, "query", "first", "key", "scores"),
                *_scores(kind, rows, deep, "given", "first", "value", "slopes"),
                "for j in range(here):",
                f"    level = load_{kind}(total, row * queries + first + j)",
                f"    less = load_{kind}(delta, row * queries + first + j)",
                *(["    mask_row = batch * mask_batch + head * mask_head + (first + j) * mask_query + start"] if masked else []),
                f"    for l in range({'count' if masked else width}):",
                f"        weight = {weight}",
                f"        store_{kind}(scores, j * {width} + l, weight)",
                f"        store_{kind}(slopes, j * {width} + l, weight * (load_{kind}(slopes, j * {width} + l) - less))",
                *_gathered(kind, deep, "given", "first", "scores", "more"),
                *_gathered(kind, depth, "query", "first", "slopes", "sums"),
            ]),
            f"for i in range({depth * width}):",
            f"    store_{kind}(sums, i, load_{kind}(sums, i) * {scale})",
            *_unpacked(kind, "sums", f"(out_k + row * keys * {depth} * {size})", "start", "count", depth),
            *_unpacked(kind, "more", f"(out_v + row * keys * {deep} * {size})", "start", "count", deep),
        ]),
    ]  # fmt: skip
    pointers = ["q_", "k_", "v_", "total", "delta", "g_", *(["mask"] if masked else []), "out_k", "out_v"]
    return kernel(WORDS, pointers, body)


def lower(form: str, params: dict[str, Any], inputs: Sequence[Var], outs: Sequence[Var]) -> list[RoutineStep] | None:
    """The native steps of a row of ops/attention.py on arrays in C order; None where NumPy does it."""
    q, k, v = (x.type for x in inputs[:3])
    if q.dtype.char not in "fd" or any(x.type.dtype != q.dtype or not x.type.size for x in (*inputs, *outs)):
        return None
    kind = "f32" if q.dtype.char == "f" else "f64"
    _, lanes, size = vector(kind)
    b, heads, queries, depth = q.shape
    keys, deep, width = k.shape[2], v.shape[3], LANE_VECTORS * lanes
    masked = len(inputs) == (4 if form == "value" else 7)
    sizes = [depth + lanes, deep + lanes, PART, PART, PART + lanes, 4, max(depth, deep) + lanes, deep + lanes]
    places = [0]
    for n in sizes:
        places.append(places[-1] + n * width * size)
    if places[-1] > vectors.SLOT_BYTES - 4096 or max(depth, deep) > 512:
        return None
    at = dict(zip(["first", "second", "scores", "other", "mask", "lines", "sums", "more"], places, strict=False))
    strides = _mask_strides(inputs[-1].type.shape) if masked else [0, 0, 0]

    def step(
        text: Any, name: str, mine: int, others: int, pointers: Sequence[Var], written: Sequence[Var]
    ) -> RoutineStep:
        blocks, parts = -(-mine // width), -(-others // PART)
        rows, largest = tile(min(others // parts, PART), 12), -(-others // parts)
        words = [
            vectors.scratch_pool(), heads, queries, keys, blocks, parts, float(params["scale"]), *strides, -(-largest // rows),
            *(at[name] for name in ("second", "scores", "other", "mask", "lines", "sums", "more")),
        ]  # fmt: skip
        source = text(kind, rows, depth, deep, masked, bool(params["causal"]))
        work = width * others * (depth + deep) / 8.0
        return RoutineStep(
            source, [*pointers, *written], words, b * heads * blocks, list(pointers), list(written), name, work
        )

    if form == "value":
        return [step(forward, "attention forward", queries, keys, inputs, outs)]
    return [
        step(backward_queries, "attention queries", queries, keys, inputs, outs[:1]),
        step(backward_keys, "attention keys", keys, queries, inputs, outs[1:]),
    ]


def _mask_strides(shape: tuple[int, ...]) -> list[int]:
    """Numbers between a mask's batches, heads and queries; 0 along an axis of size 1."""
    b, h, t, s = shape
    return [h * t * s if b > 1 else 0, t * s if h > 1 else 0, s if t > 1 else 0]
