"""Primitives under funcgrad.numpy's statistics and sets: bins, tallies, quantiles and places of unique values.

All but `lookup` and `tally`, which are each other's transposes, are flat. Leading axes are a batch: where a table goes
with every example, `lead` says how many axes the table and the indices share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim
from funcgrad.ops.families import array, flat, linear

_INT = np.dtype(np.int64)


def _lines(x: np.ndarray, lead: int) -> np.ndarray:
    """x with its `lead` leading axes as one and the others as one."""
    return x.reshape(math.prod(x.shape[:lead]), math.prod(x.shape[lead:]))


def _pair_batch(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    def batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
        lifted = []
        for a, b in zip(args, batched, strict=True):
            shape = type_of(a).shape
            dims = tuple(range(1, len(shape) + 1))
            lifted.append(a if b else broadcast_in_dim(a, shape=(size, *shape), dims=dims))
        return primitive()(*lifted, **{**params, "lead": params["lead"] + 1}), True

    return batch


# ---- bins ----


def _digitize(x: Any, bins: Any, *, side: str, lead: int) -> np.ndarray:
    x, bins = np.asarray(x), np.asarray(bins)
    rows = zip(_lines(x, lead), _lines(bins, lead), strict=True)
    return np.array([np.searchsorted(b, a, side) for a, b in rows], np.int64).reshape(x.shape)  # type: ignore[call-overload]


digitize: Primitive = flat(
    "digitize",
    _digitize,
    lambda x, bins, *, side, lead: array_type(x.shape, _INT),
    _pair_batch(lambda: digitize),
    lambda rng: [((array(rng, (3, 4)), np.linspace(-1, 1, 5)), {"side": s, "lead": 0}) for s in ("left", "right")],
)

# ---- table[index] and its transpose ----


def _rows(index: np.ndarray, lead: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of all lines into one flat table, and which of them are inside it."""
    lines = _lines(index, lead)
    inside = (lines >= 0) & (lines < length)
    return np.where(inside, lines, 0) + np.arange(len(lines))[:, None] * length, inside


def _lookup(table: Any, index: Any, *, lead: int) -> np.ndarray:
    table, index = np.asarray(table), np.asarray(index)
    places, inside = _rows(index, lead, table.shape[lead])
    if not table.size:
        return np.zeros(index.shape, table.dtype)
    return np.where(inside, table.ravel()[places], table.dtype.type(0)).reshape(index.shape)


def _tally(weights: Any, index: Any, *, length: int, lead: int) -> np.ndarray:
    weights, index = np.asarray(weights), np.asarray(index)
    shape = (*index.shape[:lead], length)
    places, inside = _rows(index, lead, length)
    out = np.zeros(math.prod(shape), weights.dtype)
    np.add.at(out, places[inside], _lines(weights, lead)[inside])
    return out.reshape(shape)


lookup: Primitive = linear(
    "lookup",
    _lookup,
    lambda table, index, *, lead: array_type(index.shape, table.dtype),
    lambda ct, args, params: tally(ct, args[1], length=type_of(args[0]).shape[-1], lead=params["lead"]),
    _pair_batch(lambda: lookup),
    lambda rng: [
        ((array(rng, (5,)), rng.integers(-1, 6, (3, 4))), {"lead": 0}),
        ((array(rng, (2, 5)), rng.integers(0, 5, (2, 3))), {"lead": 1}),
    ],
)
"""table[index] of a 1-d table; 0 outside it."""

tally: Primitive = linear(
    "tally",
    _tally,
    lambda weights, index, *, length, lead: array_type((*index.shape[:lead], length), weights.dtype),
    lambda ct, args, params: lookup(ct, args[1], lead=params["lead"]),
    _pair_batch(lambda: tally),
    lambda rng: [
        ((array(rng, (3, 4)), rng.integers(-1, 6, (3, 4))), {"length": 5, "lead": 0}),
        ((array(rng, (2, 3)), rng.integers(0, 5, (2, 3))), {"length": 5, "lead": 1}),
    ],
)
"""The sum of the weights at each index; indices outside the length count for nothing."""

# ---- the order of values along the last axis ----

order: Primitive = flat(
    "order",
    lambda x: np.argsort(x, axis=-1, kind="stable"),
    lambda x: array_type(x.shape, _INT),
    lambda size, batched, args, params: (order(*args), True),
    lambda rng: [((array(rng, (3, 7)),), {})],
)

# ---- quantiles along the last axis ----

_OFFSETS = {
    "linear": (1.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0), "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8), "interpolated_inverted_cdf": (0.0, 1.0), "lower": (1.0, 1.0),
    "higher": (1.0, 1.0), "midpoint": (1.0, 1.0), "nearest": (1.0, 1.0), "inverted_cdf": (0.0, 1.0),
    "averaged_inverted_cdf": (0.0, 1.0),
}  # fmt: skip
QUANTILE_METHODS = tuple(_OFFSETS)


def _quantiles(x: Any, *, levels: tuple[float, ...], method: str, ignore_nan: bool) -> tuple[np.ndarray, ...]:
    x, q = np.sort(np.asarray(x), axis=-1), np.array(levels)
    bad = np.isnan(x).sum(-1, keepdims=True) if x.dtype.kind == "f" else np.zeros((*x.shape[:-1], 1), np.int64)
    n = x.shape[-1] - bad
    a, b = _OFFSETS[method]
    at = np.clip(n * q + (a + q * (1 - a - b)) - 1, 0, np.maximum(n - 1, 0))
    if method in ("linear", "lower", "higher", "midpoint", "nearest"):
        at = np.maximum(n - 1, 0) * q
    low, high = np.floor(at).astype(np.int64), np.ceil(at).astype(np.int64)
    part = at - low
    if method in ("lower", "higher", "nearest"):
        chosen = {"lower": np.floor, "higher": np.ceil, "nearest": np.rint}[method](at).astype(np.int64)
        low = high = chosen
    elif method != "linear" and "inverted" in method and method != "interpolated_inverted_cdf":
        part = np.where((part > 0) | (n * q < 1), 1.0, 0.5 if method.startswith("averaged") else 0.0)
        high = np.minimum(low + 1, np.maximum(n - 1, 0))
        high = np.where(n * q < 1, 0, high)
    elif method == "midpoint":
        part = np.where(part > 0, 0.5, 0.0)
    found = [np.take_along_axis(x, i, -1) for i in (low, high)]
    if x.dtype.kind == "f":
        empty = (n == 0) if ignore_nan else (bad > 0)
        found = [np.where(empty, x.dtype.type(np.nan), v) for v in found]
    return found[0], found[1], part


def _quantiles_type(x: ArrayType, *, levels: tuple[float, ...], **params: Any) -> tuple[ArrayType, ...]:
    shape = (*x.shape[:-1], len(levels))
    return (array_type(shape, x.dtype), array_type(shape, x.dtype), array_type(shape, np.dtype(float)))


quantile_parts: Primitive = flat(
    "quantile_parts",
    _quantiles,
    _quantiles_type,
    lambda size, batched, args, params: (quantile_parts(*args, **params), True),
    lambda rng: [
        ((array(rng, (3, 7)),), {"levels": (0.1, 0.5), "method": m, "ignore_nan": False}) for m in QUANTILE_METHODS
    ],
    multiple=True,
)
"""The order statistics below and above each level, and the share of the upper one."""

# ---- sets: places of the values in the flat input, -1 where there are fewer than `size` ----


def _padded(values: np.ndarray, size: int, fill: int) -> np.ndarray:
    out = np.full(size, fill, np.int64)
    out[: min(size, len(values))] = values[:size]
    return out


def _unique(x: Any, *, size: int) -> tuple[np.ndarray, ...]:
    x = np.asarray(x)
    found: list[list[np.ndarray]] = [[], [], []]
    for line in _lines(x, x.ndim - 1):
        _, index, inverse, counts = np.unique(line, return_index=True, return_inverse=True, return_counts=True)
        found[0].append(_padded(index, size, -1))
        found[1].append(inverse)
        found[2].append(_padded(counts, size, 0))
    lead = x.shape[:-1]
    tails = (size, x.shape[-1], size)
    return tuple(np.array(f, np.int64).reshape(*lead, t) for f, t in zip(found, tails, strict=True))


unique_places: Primitive = flat(
    "unique_places",
    _unique,
    lambda x, *, size: tuple(array_type((*x.shape[:-1], n), _INT) for n in (size, x.shape[-1], size)),
    lambda size, batched, args, params: (unique_places(*args, **params), True),
    lambda rng: [((rng.integers(0, 4, (2, 6)) * 1.0,), {"size": n}) for n in (3, 6)],
    multiple=True,
)
"""First places of the sorted unique values of each line, the inverse, and the counts."""


def _set_one(x: np.ndarray, y: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Places of the result in x followed by y, and for an intersection the places in y."""
    nothing = np.zeros(0, np.int64)
    if kind == "intersection":
        return np.intersect1d(x, y, return_indices=True)[1:]
    if kind == "difference":
        values, index = np.unique(x, return_index=True)
        return index[~np.isin(values, y)], nothing
    both = np.concatenate([x, y])
    values, index = np.unique(both, return_index=True)
    return index[~(np.isin(values, x) & np.isin(values, y))], nothing


def _set(x: Any, y: Any, *, kind: str, size: int, lead: int) -> tuple[np.ndarray, ...]:
    x, y = np.asarray(x), np.asarray(y)
    found = [_set_one(a, b, kind) for a, b in _pairs(x, y, lead)]
    shape = (*x.shape[:lead], size)
    return tuple(np.array([_padded(f[i], size, -1) for f in found], np.int64).reshape(shape) for i in (0, 1))


def _pairs(x: np.ndarray, y: np.ndarray, lead: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return zip(_lines(x, lead), _lines(y, lead), strict=True)


set_places: Primitive = flat(
    "set_places",
    _set,
    lambda x, y, *, kind, size, lead: (array_type((*x.shape[:lead], size), _INT),) * 2,
    _pair_batch(lambda: set_places),
    lambda rng: [
        ((rng.integers(0, 6, 5), rng.integers(0, 6, 4)), {"kind": kind, "size": 4, "lead": 0})
        for kind in ("intersection", "difference", "symmetric")
    ],
    multiple=True,
)

member: Primitive = flat(
    "member",
    lambda x, y, *, lead: np.array(
        [np.isin(a, b) for a, b in _pairs(np.asarray(x), np.asarray(y), lead)], bool
    ).reshape(np.shape(x)),
    lambda x, y, *, lead: array_type(x.shape, np.dtype(bool)),
    _pair_batch(lambda: member),
    lambda rng: [((rng.integers(0, 6, (3, 4)), rng.integers(0, 6, 3)), {"lead": 0})],
)
