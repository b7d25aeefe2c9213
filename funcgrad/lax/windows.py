"""lax's reductions of windows: sums and extremes are rows of ops/window.py, any other function folds shifted slices."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.core.array import Array, wrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of
from funcgrad.lax import elementwise as le
from funcgrad.lax.convolution import conv_pads
from funcgrad.numpy import ufuncs
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import broadcast_to, convert
from funcgrad.ops.conv import extent
from funcgrad.ops.shape import pad, slice_
from funcgrad.ops.window import lowest, window_extreme, window_scatter, window_sum, windows

Shape = tuple[int, ...]
Padding = str | Sequence[tuple[int, int]]


def _settings(name: str, shape: Shape, window: Sequence[int], strides: Sequence[int] | None, padding: Padding,
              base: Sequence[int] | None, dilation: Sequence[int] | None) -> tuple[dict[str, Any], Shape]:  # fmt: skip
    rank = len(shape)
    given = {"window_dimensions": window, "window_strides": strides, "base_dilation": base, "window_dilation": dilation}
    found: dict[str, Shape] = {}
    for key, value in given.items():
        whole = (1,) * rank if value is None else tuple(int(v) for v in value)
        if len(whole) != rank or any(v < 1 for v in whole):
            raise TypeError(
                f"lax.{name}: {key} needs {rank} positive entries for an operand of shape {shape}, got {value!r}."
            )
        found[key] = whole
    spread = tuple(extent(n, d) for n, d in zip(shape, found["base_dilation"], strict=True))
    spans = tuple(extent(k, d) for k, d in zip(found["window_dimensions"], found["window_dilation"], strict=True))
    pads = conv_pads(padding, spread, spans, found["window_strides"])
    return {
        "window": found["window_dimensions"], "strides": found["window_strides"], "padding": pads,
        "dilation": found["window_dilation"],
    }, found["base_dilation"]  # fmt: skip


def _spread(x: Any, fill: Any, base: Shape) -> Any:
    if all(b == 1 for b in base):
        return x
    zeros = (0,) * len(base)
    return pad(x, fill, low=zeros, high=zeros, interior=tuple(b - 1 for b in base))


def _known(value: Any) -> Any:
    """The number that an initial value is, or None if it is traced."""
    return None if type(value) is Tracer else np.asarray(value)[()]


def reduce_window(operand: Any, init_value: Any, computation: Callable[[Any, Any], Any], window_dimensions: Sequence[int],
                  window_strides: Sequence[int] | None = None, padding: Padding = "VALID",
                  base_dilation: Sequence[int] | None = None, window_dilation: Sequence[int] | None = None) -> Any:  # fmt: skip
    """The values of each window of the padded operand joined by `computation`, an associative function with `init_value`.

    Args:
        operand: an array, or a tree of arrays of one shape. init_value: a number for each, which is also the padding.
        computation: takes and returns two trees like `init_value`; sums, maxima and minima of numbers have fast rows.
        window_dimensions, window_strides, base_dilation, window_dilation: an entry for every axis.
        padding: "VALID", "SAME", "SAME_LOWER" or a pair (low, high) for every axis.

    Returns:
        A tree like `operand`. Raises TypeError for settings that do not fit its rank.
    """
    leaves, treedef = tree.flatten(operand)
    xs = [array_operand(x) for x in leaves]
    starts = [array_operand(v) for v in tree.leaves(init_value)]
    if len(starts) != len(xs) or any(shape_of(s) for s in starts):
        raise TypeError(
            f"lax.reduce_window: init_value must hold one number for each of the {len(xs)} operand(s), got {init_value!r}."
        )
    shape = shape_of(xs[0])
    params, base = _settings(
        "reduce_window", shape, window_dimensions, window_strides, padding, base_dilation, window_dilation
    )
    starts = [convert(s, dtype_of(x)) for s, x in zip(starts, xs, strict=True)]
    xs = [_spread(x, s, base) for x, s in zip(xs, starts, strict=True)]
    if len(xs) == 1:
        found = _fast(xs[0], _known(starts[0]), computation, params)
        if found is not None:
            return tree.unflatten(treedef, [wrap(found)])
    return _folded(xs, starts, treedef, computation, params)


def _fast(x: Any, start: Any, computation: Any, params: dict[str, Any]) -> Any:
    dtype = dtype_of(x)
    if start is None or dtype.kind == "b":
        return None
    if computation in (le.add, ufuncs.add) and start == 0:
        return window_sum(x, **params)
    if dtype.kind == "c":
        return None
    for largest, functions in ((True, (le.max, ufuncs.maximum)), (False, (le.min, ufuncs.minimum))):
        if computation in functions and start == lowest(dtype, largest):
            return window_extreme(x, largest=largest, **params)
    return None


def _folded(xs: list[Any], starts: list[Any], treedef: Any, computation: Any, params: dict[str, Any]) -> Any:
    padding = params["padding"]
    none = (0,) * len(padding)
    out = windows(shape_of(xs[0]), params)
    low, high = tuple(a for a, _ in padding), tuple(b for _, b in padding)
    total = tree.unflatten(treedef, [broadcast_to(s, out) for s in starts])
    if 0 in out:
        return tree.map(wrap, total)
    wide = [pad(x, s, low=low, high=high, interior=none) for x, s in zip(xs, starts, strict=True)]
    for place in itertools.product(*map(range, params["window"])):
        first = tuple(p * d for p, d in zip(place, params["dilation"], strict=True))
        limits = tuple(f + (n - 1) * s + 1 for f, n, s in zip(first, out, params["strides"], strict=True))
        seen = [slice_(x, starts=first, limits=limits, strides=params["strides"]) for x in wide]
        total = computation(total, tree.unflatten(treedef, seen))
    return tree.map(lambda v: wrap(v) if type(v) is not Array else v, total)


def select_and_scatter_add(source: Any, operand: Any, select_prim: Callable[[Any, Any], Any], window_dimensions: Sequence[int],
                           window_strides: Sequence[int], padding: Padding) -> Any:  # fmt: skip
    """Zeros like `operand`, to which each value of `source` is added where `select_prim` (lax.ge or lax.le) chooses in its
    window of the operand: the place of the largest (smallest) value, the first of equal ones.

    Raises ValueError for another `select_prim`, TypeError for a source that has not one value for each window.
    """
    if select_prim not in (le.ge, le.le):
        raise ValueError(f"lax.select_and_scatter_add: select_prim must be lax.ge or lax.le, got {select_prim!r}.")
    x, y = array_operand(operand), array_operand(source)
    params, _ = _settings("select_and_scatter_add", shape_of(x), window_dimensions, window_strides, padding, None, None)
    if shape_of(y) != windows(shape_of(x), params):
        raise TypeError(
            f"lax.select_and_scatter_add: source must have a value for each window, {windows(shape_of(x), params)}, got "
            f"shape {shape_of(y)}."
        )
    return wrap(window_scatter(y, x, largest=select_prim is le.ge, **params))
