"""Differences, integrals and convolutions along an axis: diff, ediff1d, gradient, trapezoid, unwrap, convolve, correlate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.numpy.shaping import axis_of, flatten, floats, part
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_to, conj, convert, reduce_sum, reshape
from funcgrad.ops.reduce import cumsum
from funcgrad.ops.shape import concatenate, pad, rev


def _side(value: Any, like: Any, axis: int) -> Any:
    """prepend= and append= of diff: a scalar becomes one slice."""
    value = array_operand(value)
    shape = type_of(like).shape
    return value if type_of(value).ndim else broadcast_to(value, (*shape[:axis], 1, *shape[axis + 1 :]))


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    """The n-th difference along an axis, after prepending and appending values. ValueError for n < 0 or a 0-d array."""
    a = array_operand(a)
    if n < 0 or not type_of(a).ndim:
        raise ValueError(f"funcgrad.numpy.diff takes n >= 0 and an array with an axis; got n={n} and {type_of(a)}.")
    if n == 0:
        return a
    at = axis_of("diff", a, axis)
    sides = [None if v is np._NoValue else _side(v, a, at) for v in (prepend, append)]
    parts = [v for v in (sides[0], a, sides[1]) if v is not None]
    a = concatenate(*parts, axis=at) if len(parts) > 1 else a
    step = e.ne if type_of(a).dtype == bool else e.sub
    for _ in range(n):
        a = step(part(a, 1, None, at), part(a, 0, -1, at))
    return a


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of the flattened array, with values before and after them, of the array's dtype."""
    ary = flatten(ary)
    dtype = type_of(ary).dtype
    parts = [part(ary, 1, None) - part(ary, 0, -1)]
    parts = [*([convert(flatten(to_begin), dtype)] if to_begin is not None else []), *parts]
    parts = [*parts, *([convert(flatten(to_end), dtype)] if to_end is not None else [])]
    return concatenate(*parts, axis=0) if len(parts) > 1 else parts[0]


def _along(x: Any, rank: int, axis: int) -> Any:
    return reshape(x, shape=tuple(type_of(x).size if i == axis else 1 for i in range(rank)))


def _gradient(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    n, rank = type_of(f).shape[axis], type_of(f).ndim
    if n < edge_order + 1:
        raise ValueError(f"funcgrad.numpy.gradient needs {edge_order + 1} values along axis {axis}, got {n}.")
    at = lambda i, j: part(f, i, j, axis)  # noqa: E731
    if type_of(spacing).ndim:
        if type_of(spacing).shape != (n,):
            raise ValueError(
                f"funcgrad.numpy.gradient takes {n} coordinates along axis {axis}, got {type_of(spacing)}."
            )
        steps = _along(part(spacing, 1, None) - part(spacing, 0, -1), rank, axis)
    else:
        steps = broadcast_to(spacing, tuple(n - 1 if i == axis else 1 for i in range(rank)))
    left, right = part(steps, 0, -1, axis), part(steps, 1, None, axis)
    inner = (
        -right / (left * (left + right)) * at(0, -2)
        + (right - left) / (left * right) * at(1, -1)
        + left / (right * (left + right)) * at(2, None)
    )
    h0, h1 = part(steps, 0, 1, axis), part(steps, -1, None, axis)
    if edge_order == 1:
        first, last = (at(1, 2) - at(0, 1)) / h0, (at(-1, None) - at(-2, -1)) / h1
    else:
        k0, k1 = part(steps, 1, 2, axis), part(steps, -2, -1, axis)
        first = (
            -(2 * h0 + k0) / (h0 * (h0 + k0)) * at(0, 1)
            + (h0 + k0) / (h0 * k0) * at(1, 2)
            - h0 / (k0 * (h0 + k0)) * at(2, 3)
        )
        last = (
            h1 / (k1 * (k1 + h1)) * at(-3, -2)
            - (h1 + k1) / (k1 * h1) * at(-2, -1)
            + (2 * h1 + k1) / (h1 * (k1 + h1)) * at(-1, None)
        )
    return concatenate(first, inner, last, axis=axis)


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Central differences along each axis (a tuple of arrays for several axes), one-sided at the ends.

    varargs: nothing, one spacing for all axes, or for each axis a spacing or 1-d coordinates. Raises TypeError for a
    wrong number of these, ValueError for edge_order not 1 or 2 or too few values.
    """
    f = floats(f)
    n = type_of(f).ndim
    axes = tuple(range(n)) if axis is None else tuple(axis_of("gradient", f, a) for a in np.atleast_1d(axis))
    given = varargs or (1.0,)
    if len(given) not in (1, len(axes)):
        raise TypeError(f"funcgrad.numpy.gradient takes 0, 1 or {len(axes)} spacings, got {len(given)}.")
    if edge_order not in (1, 2):
        raise ValueError(f"funcgrad.numpy.gradient has edge_order 1 and 2, got {edge_order}.")
    spacings = [array_operand(v) for v in (given if len(given) == len(axes) else given * len(axes))]
    found = tuple(_gradient(f, s, a, edge_order) for a, s in zip(axes, spacings, strict=True))
    return found[0] if len(found) == 1 else found


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The integral of y along an axis by the trapezoidal rule, over coordinates x or steps dx."""
    y = array_operand(y)
    at = axis_of("trapezoid", y, axis)
    if x is None:
        d = dx
    else:
        x = array_operand(x)
        d = diff(x, axis=at if type_of(x).ndim > 1 else 0)
        d = _along(d, type_of(y).ndim, at) if type_of(x).ndim == 1 else d
    return reduce_sum(d * (part(y, 1, None, at) + part(y, 0, -1, at)) / 2.0, axes=(at,))


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * math.pi) -> Any:
    """p with jumps along an axis of more than max(discont, period / 2) changed by multiples of the period."""
    p = array_operand(p)
    at = axis_of("unwrap", p, axis)
    steps = diff(p, axis=at)
    whole = type_of(steps).dtype.kind in "iu" and isinstance(period, int)
    half = period // 2 if whole else period / 2
    wrapped = e.remainder(steps + half, period) - half
    if not whole or period % 2 == 0:
        wrapped = e.select((wrapped == -half) & (steps > 0), half, wrapped)
    small = e.absolute(steps) < (half if discont is None else discont)
    correction = e.select(small, 0, wrapped - steps)
    correction = cumsum(correction, axis=at, reverse=False)
    return concatenate(part(p, 0, 1, at) + 0 * part(correction, 0, 1, at), part(p, 1, None, at) + correction, axis=at)


def _full(a: Any, v: Any) -> Any:
    """The full convolution: the outer product with its rows shifted by one more each, summed."""
    n, m = type_of(a).size, type_of(v).size
    outer = reshape(a, shape=(n, 1)) * reshape(v, shape=(1, m))
    wide = pad(outer, type_of(outer).dtype.type(0), low=(0, 0), high=(0, n), interior=(0, 0))
    skewed = reshape(part(reshape(wide, shape=(n * (n + m),)), 0, n * (n + m - 1)), shape=(n, n + m - 1))
    return reduce_sum(skewed, axes=(0,))


def _convolve(name: str, a: Any, v: Any, mode: str) -> Any:
    n, m = type_of(a).size, type_of(v).size
    if not n or not m or type_of(a).ndim != 1 or type_of(v).ndim != 1:
        raise ValueError(
            f"funcgrad.numpy.{name} takes two 1-d arrays that are not empty; got {type_of(a)}, {type_of(v)}."
        )
    if mode not in ("full", "same", "valid"):
        raise ValueError(f'funcgrad.numpy.{name} has modes "full", "same" and "valid", got {mode!r}.')
    out = _full(a, v) if n <= m else _full(v, a)
    small, large = min(n, m), max(n, m)
    if mode == "full":
        return out
    if mode == "same":
        return part(out, (small - 1) // 2, (small - 1) // 2 + large)
    return part(out, small - 1, large)


def _line(x: Any) -> Any:
    x = array_operand(x)
    return x if type_of(x).ndim else reshape(x, shape=(1,))


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """The convolution of two 1-d arrays; mode "full", "same" or "valid". Raises ValueError for others or empty ones."""
    return _convolve("convolve", _line(a), _line(v), mode)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """The cross-correlation sum_n a[n + k] conj(v[n]) of two 1-d arrays; modes and errors as in `convolve`."""
    a, v = _line(a), _line(v)
    v = conj(v) if type_of(v).dtype.kind == "c" else v
    n, m = type_of(a).size, type_of(v).size
    if mode == "same" and n < m and n % 2 == 0:
        # NumPy swaps the arrays and turns the result, which moves the middle of an even overlap.
        return rev(_convolve("correlate", rev(a, axes=(0,)), v, mode), axes=(0,))
    return _convolve("correlate", a, rev(v, axes=(0,)), mode)
