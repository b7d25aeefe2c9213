"""Pooling by windows of 2 x 2, 2 apart, as small networks have it: rows of 14 or 7 results are shorter than a loop is worth, so
both rows of a window go through registers, 16 results at a time, with masks at the end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from funcgrad.compile import vectors
from funcgrad.compile.conv_text import Lines, indented, kernel, vector
from funcgrad.compile.conv_types import Params, RoutineStep
from funcgrad.core.program import Var

WORDS = ["pool", "height", "width", "out_height", "out_width"]


def _rows(kind: str, body: Sequence[str]) -> Lines:
    """Goes over 16 results at a time, `count` of them there, whose windows are a, b in the upper row and c, d in the lower."""
    name, lanes, size = vector(kind)
    step = lanes * size
    return [
        "for u in range(lo, hi):",
        "    for oy in range(out_height):",
        f"        for q in range(quotient_of(out_width + {lanes - 1}, {lanes})):",
        *indented([
            f"count = min(out_width - q * {lanes}, {lanes})",
            f"corner = ((u * height + 2 * oy) * width + q * {2 * lanes}) * {size}",
            f"at = ((u * out_height + oy) * out_width + q * {lanes}) * {size}",
            f"split_{name}(x + corner, 2 * count, scratch, scratch + {step})",
            f"split_{name}(x + corner + width * {size}, 2 * count, scratch + {2 * step}, scratch + {3 * step})",
            *[f"{v} = load_{name}(scratch, {i * lanes})" for i, v in enumerate("abcd")],
            *body,
        ], 3),
    ]  # fmt: skip


@lru_cache(maxsize=4)
def extreme(kind: str, largest: bool) -> str:
    """The largest (smallest) value of each window. A unit is a plane."""
    name, lanes, size = vector(kind)
    join = "maximum" if largest else "minimum"
    body = [
        f"store_{name}(scratch, {4 * lanes}, {join}({join}(a, b), {join}(c, d)))",
        f"put_{name}(scratch + {4 * lanes * size}, y + at, count)",
    ]
    return kernel(WORDS, ["x", "y"], _rows(kind, body))


@lru_cache(maxsize=4)
def place(kind: str, largest: bool) -> str:
    """The value of each window at the place of its extreme, the first one (a nan, if there is one); zeros elsewhere."""
    name, lanes, size = vector(kind)
    step, sign = lanes * size, ">" if largest else "<"

    def better(new: str, old: str) -> str:
        return f"({new} {sign} {old}) | (({new} != {new}) & ({old} == {old}))"

    body = [
        f"put_{name}(source + at, scratch + {4 * step}, count)",
        f"given = load_{name}(scratch, {4 * lanes})",
        f"nothing = spread_{name}({kind}(0.0))",
        f"is_b = {better('b', 'a')}",
        "best_b = where(is_b, b, a)",
        f"is_c = {better('c', 'best_b')}",
        "best_c = where(is_c, c, best_b)",
        f"is_d = {better('d', 'best_c')}",
        "later = is_c | is_d",
        f"store_{name}(scratch, {4 * lanes}, where(is_b | later, nothing, given))",
        f"store_{name}(scratch, {5 * lanes}, where(later, nothing, where(is_b, given, nothing)))",
        f"store_{name}(scratch, {6 * lanes}, where(is_d, nothing, where(is_c, given, nothing)))",
        f"store_{name}(scratch, {7 * lanes}, where(is_d, given, nothing))",
        f"merge_{name}(scratch + {4 * step}, scratch + {5 * step}, dx + corner, 2 * count)",
        f"merge_{name}(scratch + {6 * step}, scratch + {7 * step}, dx + corner + width * {size}, 2 * count)",
    ]
    return kernel(WORDS, ["source", "x", "dx"], _rows(kind, body))


def step(form: str, params: Params, inputs: Sequence[Var], out: Var, space: tuple[int, ...], result: tuple[int, ...],
         units: int) -> RoutineStep | None:  # fmt: skip
    """The step of a maximum or minimum, or of what it pulls back; None for other windows and dtypes."""
    dtypes = {v.type.dtype.char for v in (*inputs, out)}
    plain = all(
        params[name][-2:] == value
        for name, value in {"window": (2, 2), "strides": (2, 2), "dilation": (1, 1), "padding": ((0, 0),) * 2}.items()
    )
    if form not in ("extreme", "place") or not plain or len(dtypes) != 1 or not dtypes <= {"f", "d"}:
        return None
    if form == "place" and space != (2 * result[0], 2 * result[1]):
        return None
    kind = "f32" if "f" in dtypes else "f64"
    text = (extreme if form == "extreme" else place)(kind, bool(params.get("largest", True)))
    words = [vectors.scratch_pool(), *space, *result]
    work = result[0] * -(-result[1] // vector(kind)[1]) * (60.0 if form == "place" else 30.0)
    return RoutineStep(text, [*inputs, out], words, units, list(inputs), [out], f"window_{form}", work)
