"""Counting and looking up: digitize, bincount, histograms and interp."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.shaping import flatten, floats, part
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import elementwise as e
from funcgrad.ops import statistics as ops
from funcgrad.ops.basics import convert, reduce_sum, reshape
from funcgrad.ops.reduce import reduce_max, reduce_min
from funcgrad.ops.shape import concatenate, rev
from funcgrad.ops.special_forms import stop_gradient_op


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """int64 numbers of the bins that x falls into, of x's shape. Traced bins must increase (known ones may decrease)."""
    x, bins = array_operand(x), array_operand(bins)
    n = type_of(bins).size
    falling = type(bins) is not Tracer and n > 1 and bins[0] > bins[-1]
    if falling:
        return n - ops.digitize(x, rev(bins, axes=(0,)), side="right" if right else "left", lead=0)
    return ops.digitize(x, bins, side="left" if right else "right", lead=0)


@implements(np.bincount, extras=("length",))
def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often each integer from 0 on occurs in x, or the sum of the weights there.

    length= (JAX's) fixes the number of counts; larger values are dropped, negative ones count as 0. It is needed for
    a traced x: TypeError without it.
    """
    x = flatten(x)
    if length is None:
        if type(x) is Tracer:
            raise TypeError(
                "funcgrad.numpy.bincount of a traced array has a shape that depends on its values; say length=."
            )
        length = max(int(x.max()) + 1 if x.size else 0, operator.index(minlength))
    places = e.maximum(convert(x, np.int64), 0)
    values = np.ones(type_of(x).shape, np.int64) if weights is None else convert(flatten(weights), np.float64)
    return ops.tally(values, places, length=operator.index(length), lead=0)


def _edges(a: Any, bins: Any, limits: Any) -> Any:
    """Bin edges of a 1-d a: given ones, or evenly between limits or the data's extremes."""
    if isinstance(bins, str):
        raise TypeError(f"funcgrad.numpy.histogram of a traced array takes a number of bins or edges, not {bins!r}.")
    if type(bins) is Tracer or np.ndim(bins):
        return array_operand(bins)
    n = operator.index(bins)
    if n < 1:
        raise ValueError(f"funcgrad.numpy.histogram takes at least one bin, got {n}.")
    if limits is not None:
        low, high = limits
    elif not type_of(a).size:
        low, high = 0.0, 1.0
    else:
        low, high = reduce_min(a, axes=(0,)), reduce_max(a, axes=(0,))
    low, high = convert(low, np.float64), convert(high, np.float64)
    flat = e.eq(low, high)
    low, high = e.select(flat, low - 0.5, low), e.select(flat, high + 0.5, high)
    share = np.arange(n + 1) / n
    return e.select(share == 1, high, low + (high - low) * share)


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """The edges (bins + 1) that `histogram` uses. A traced array takes a number of bins or edges: TypeError for a name."""
    return _edges(flatten(a), bins, range)


def _bins_of(values: Any, edges: Any) -> Any:
    """The bin of each value, -1 outside; the last bin is closed on both sides."""
    n = type_of(edges).size - 1
    place = ops.digitize(values, edges, side="right", lead=0) - 1
    last = reshape(part(edges, n, n + 1), shape=())
    place = e.select(e.eq(values, last), n - 1, place)
    return e.select((place < 0) | (place >= n), -1, place)


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None) -> Any:
    """(counts, edges) of the flattened values; sums of weights with weights, a density with density=True.

    Differentiable in the weights and the edges. Raises as `histogram_bin_edges`.
    """
    a = flatten(a)
    edges = _edges(a, bins, range)
    values = np.ones(type_of(a).shape, np.int64) if weights is None else flatten(weights)
    counts = ops.tally(values, _bins_of(stop(a), stop(edges)), length=type_of(edges).size - 1, lead=0)
    if density:
        widths = part(edges, 1, None) - part(edges, 0, -1)
        counts = floats(counts)
        counts = counts / widths / reduce_sum(counts, axes=(0,))
    return counts, edges


def stop(x: Any) -> Any:
    """x as a constant to derivatives."""
    return stop_gradient_op(x)


@implements(np.histogramdd)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> Any:
    """(counts, edges) of points (n, d), or of a list of d coordinate arrays: counts have d axes. Raises ValueError if
    bins or range do not have d entries."""
    columns = _columns(sample)
    d = len(columns)
    each = list(bins) if isinstance(bins, (list, tuple)) else [bins] * d
    limits = [None] * d if range is None else list(range)
    if len(each) != d or len(limits) != d:
        raise ValueError(f"funcgrad.numpy.histogramdd of {d} columns got {len(each)} bins and {len(limits)} ranges.")
    edges = [_edges(c, b, r) for c, b, r in zip(columns, each, limits, strict=True)]
    place: Any = 0
    outside: Any = False
    shape = tuple(type_of(g).size - 1 for g in edges)
    for c, g, n in zip(columns, edges, shape, strict=True):
        found = _bins_of(stop(c), stop(g))
        outside = e.logical_or(outside, found < 0)
        place = place * n + found
    # NumPy counts in floats here.
    values = np.ones(type_of(columns[0]).shape) if weights is None else floats(flatten(weights))
    size = int(np.prod(shape))
    counts = reshape(ops.tally(values, e.select(outside, -1, place), length=size, lead=0), shape=shape)
    if density:
        counts = counts / reduce_sum(counts, axes=tuple(np.arange(d).tolist()))
        for i, g in enumerate(edges):
            widths = part(g, 1, None) - part(g, 0, -1)
            counts = counts / reshape(widths, shape=tuple(shape[i] if j == i else 1 for j, _ in enumerate(shape)))
    return counts, edges


def _columns(sample: Any) -> list[Any]:
    if isinstance(sample, (list, tuple)):
        return [flatten(c) for c in sample]
    sample = array_operand(sample)
    if type_of(sample).ndim == 1:
        return [sample]
    return [flatten(part(sample, i, i + 1, 1)) for i in np.arange(type_of(sample).shape[1]).tolist()]


@implements(np.histogram2d)
def histogram2d(x: Any, y: Any, bins: Any = 10, range: Any = None, density: bool | None = None,
                weights: Any = None) -> Any:  # fmt: skip
    """(counts, x edges, y edges) of pairs; bins: a number, edges for both, or [for x, for y]."""
    single = isinstance(bins, (int, np.integer)) or (not isinstance(bins, Tracer) and len(bins) not in (1, 2))
    pair = [bins, bins] if single or type(bins) is Tracer else list(bins) * (2 // len(bins))
    counts, edges = histogramdd([x, y], pair, range, density, weights)
    return counts, edges[0], edges[1]


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    period = e.magnitude(period)
    x, xp = e.remainder(x, period), e.remainder(xp, period)
    order = ops.order(xp)
    xp, fp = (ops.lookup(v, order, lead=0) for v in (xp, fp))
    xp = concatenate(part(xp, -1, None) - period, xp, part(xp, 0, 1) + period, axis=0)
    return x, xp, concatenate(part(fp, -1, None), fp, part(fp, 0, 1), axis=0)


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Piecewise linear interpolation of points (xp, fp), xp increasing, at x; outside them left and right, which
    default to the outer values. period makes xp and x periodic. Raises ValueError if xp and fp do not match."""
    x, xp, fp = floats(x), floats(xp), floats(fp)
    n = type_of(xp).size
    if type_of(xp).ndim != 1 or type_of(xp).shape != type_of(fp).shape or not n:
        raise ValueError(
            f"funcgrad.numpy.interp takes 1-d xp and fp of one length; got {type_of(xp)} and {type_of(fp)}."
        )
    if period is not None:
        left = right = None
        x, xp, fp = _periodic(x, xp, fp, array_operand(period))
        n += 2
    first, last = (reshape(part(v, i, i + 1), shape=()) for v, i in ((fp, 0), (fp, n - 1)))
    low, high = (reshape(part(xp, i, i + 1), shape=()) for i in (0, n - 1))
    at = e.minimum(e.maximum(ops.digitize(stop(x), stop(xp), side="right", lead=0), 1), max(n - 1, 1))
    x0, x1, f0, f1 = (ops.lookup(v, i, lead=0) for v in (xp, fp) for i in (at - 1, at))
    width = x1 - x0
    slope = (f1 - f0) / e.select(width == 0, 1.0, width)
    inside = e.select(width == 0, f0, f0 + slope * (x - x0))
    out = e.select(x >= high, last, e.select(x < low, first, inside))
    out = out if left is None else e.select(x < low, left, out)
    return out if right is None else e.select(x > high, right, out)
