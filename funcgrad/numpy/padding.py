"""pad: an array with values added at its edges, in NumPy's modes."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy.joining import concatenate
from funcgrad.numpy.shape import moveaxis
from funcgrad.numpy.wrapping import array_operand, dispatch, implements
from funcgrad.ops import basics
from funcgrad.ops import shape as moves
from funcgrad.ops.index import gather

_BY_INDEX = ("edge", "reflect", "symmetric", "wrap")
_BY_STATISTIC = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}


def _pairs(value: Any, count: int) -> list[tuple[Any, Any]]:
    """NumPy's ways of giving (before, after) for each axis: one number, one pair, or a pair for each."""
    if isinstance(value, dict):
        full = [(0, 0)] * count
        for axis, pair in value.items():
            full[axis] = pair if isinstance(pair, (tuple, list)) else (pair, pair)
        return [(a, b) for a, b in full]
    rows = (
        [list(row) if isinstance(row, (tuple, list, np.ndarray)) else row for row in value]
        if _is_sequence(value)
        else value
    )
    if not isinstance(rows, list):
        return [(rows, rows)] * count
    if all(not isinstance(r, list) for r in rows):
        pair = (rows[0], rows[-1])
        return [pair] * count
    spread = [(r[0], r[-1]) for r in rows]
    return spread * count if len(spread) == 1 else spread


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _along(x: Any, places: np.ndarray, axis: int) -> Any:
    return moveaxis(gather(x, places, axes=(axis,), mode="raise"), 0, axis)


def _fill(x: Any, before: int, after: int, values: tuple[Any, Any], axis: int) -> Any:
    shape = shape_of(x)
    rank = len(shape)

    def side(x: Any, low: int, high: int, value: Any) -> Any:
        at = lambda n: tuple(n if i == axis else 0 for i in range(rank))  # noqa: E731
        value = basics.convert(array_operand(value), dtype_of(x))
        return moves.pad(x, value, low=at(low), high=at(high), interior=(0,) * rank)

    return side(side(x, before, 0, values[0]), 0, after, values[1])


def _ramp(x: Any, count: int, end: Any, axis: int, first: bool) -> Any:
    """`count` values from `end` towards the edge, the edge left out."""
    n = shape_of(x)[axis]
    edge = moves.slice_axis(x, 0, 1, axis) if first else moves.slice_axis(x, n - 1, n, axis)
    steps = np.arange(count) / max(count, 1)
    steps = steps if first else steps[::-1]
    line = steps.reshape([-1 if i == axis else 1 for i in range(len(shape_of(x)))])
    value = array_operand(end) + (edge - array_operand(end)) * line
    return basics.convert(dispatch[np.floor](value) if dtype_of(x).kind in "iu" else value, dtype_of(x))


def _statistic(x: Any, mode: str, length: Any, axis: int, first: bool) -> Any:
    n = shape_of(x)[axis]
    count = n if length is None else min(int(length), n)
    part = moves.slice_axis(x, 0, count, axis) if first else moves.slice_axis(x, n - count, n, axis)
    found = dispatch[_BY_STATISTIC[mode]](part, axis=axis, keepdims=True)
    return basics.convert(dispatch[np.round](found) if dtype_of(x).kind in "iu" else found, dtype_of(x))


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """`array` with (before, after) values added along each axis.

    Args:
        array: any array.
        pad_width: one number, one pair, a pair for each axis, or a dict of axes; static.
        mode: "constant" (constant_values=), "edge", "linear_ramp" (end_values=), "maximum", "mean", "median", "minimum" (each
            stat_length=), "reflect", "symmetric" (each reflect_type="even" or "odd"), "wrap", "empty" (zeros).

    Raises ValueError for an unknown mode or keyword.
    """
    x = array_operand(array)
    rank = len(shape_of(x))
    widths = [(int(a), int(b)) for a, b in _pairs(pad_width, rank)]
    if any(w < 0 for pair in widths for w in pair):
        raise ValueError(f"pad: widths must not be negative, got {pad_width!r}.")
    allowed = {
        "constant": "constant_values",
        "linear_ramp": "end_values",
        "reflect": "reflect_type",
        "symmetric": "reflect_type",
    }
    option = "stat_length" if mode in _BY_STATISTIC else allowed.get(mode)
    unknown = set(kwargs) - {option}
    if (
        not isinstance(mode, str)
        or mode not in ("constant", "empty", "linear_ramp", *_BY_INDEX, *_BY_STATISTIC)
        or unknown
    ):
        raise ValueError(f"pad of a traced array: mode {mode!r} with keywords {sorted(kwargs)} is not one of NumPy's.")
    values = (
        _pairs(kwargs.get(str(option), None if option == "stat_length" else 0), rank)
        if option != "reflect_type"
        else []
    )
    for axis, (before, after) in enumerate(widths):
        if before == after == 0:
            continue
        if mode in ("constant", "empty"):
            x = _fill(x, before, after, values[axis] if values else (0, 0), axis)
        elif mode in _BY_INDEX:
            x = _reflected(x, before, after, axis, mode, kwargs.get("reflect_type", "even"))
        elif mode == "linear_ramp":
            ends = values[axis]
            x = concatenate([_ramp(x, before, ends[0], axis, True), x, _ramp(x, after, ends[1], axis, False)], axis)
        else:
            sides = [_statistic(x, mode, length, axis, i == 0) for i, length in enumerate(values[axis])]
            parts = [_along(s, np.zeros(w, int), axis) for s, w in zip(sides, (before, after), strict=True)]
            x = concatenate([parts[0], x, parts[1]], axis)
    return x


def _reflected(x: Any, before: int, after: int, axis: int, mode: str, reflect_type: str) -> Any:
    n = shape_of(x)[axis]
    if reflect_type == "even":
        return _along(x, np.pad(np.arange(n), (before, after), mode), axis)  # type: ignore[call-overload]
    if reflect_type != "odd":
        raise ValueError(f"pad: reflect_type must be 'even' or 'odd', got {reflect_type!r}.")
    # An odd extension is linear in the values: NumPy's own padding of unit vectors gives its coefficients.
    weights = np.stack([np.pad(row, (before, after), mode, reflect_type="odd") for row in np.eye(n)], 1)  # type: ignore[call-overload]
    product = dispatch[np.tensordot](basics.convert(weights, dtype_of(x)), x, axes=((1,), (axis,)))
    return moveaxis(product, 0, axis)
