"""Elementwise functions that are not ufuncs: rounding to decimals, clip, parts of complex numbers, comparisons.

They take arrays, tracers, numbers or lists, broadcast as NumPy does, and give NumPy's dtypes. The ones that answer with
one truth value give a 0-d boolean.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.core.types import is_inexact
from funcgrad.numpy.wrapping import array_operand, implements, operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert
from funcgrad.ops.basics import imag as imag_op
from funcgrad.ops.basics import real as real_op
from funcgrad.ops.bessel import bessel_i0
from funcgrad.ops.reduce import reduce_and

# ---- rounding ----


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0, out: None = None) -> Any:
    """a rounded to `decimals` places (negative: tens, hundreds); halves go to the even digit. The derivative is 0."""
    x = array_operand(a)
    kind = type_of(x).dtype
    if kind.kind in "iu":
        if decimals >= 0:
            return x
        scale = 10**-decimals
        return convert(e.rint(x / scale) * scale, kind)
    if decimals == 0 or kind.kind == "b":
        return e.rint(x)
    scale = 10.0 ** abs(decimals)
    return e.rint(x * scale) / scale if decimals > 0 else e.rint(x / scale) * scale


around = round


@implements(np.fix)
def fix(x: Any, out: None = None) -> Any:
    """x rounded towards zero, of x's dtype. The derivative is 0."""
    return e.trunc(operand(x))


# ---- bounds ----


def _bounded(x: Any, bound: Any, lower: bool) -> Any:
    # At the bound the derivative is x's; a nan bound wins, as in numpy.maximum and numpy.minimum.
    inside = (x >= bound) if lower else (x <= bound)
    if is_inexact(type_of(x).dtype):
        inside = inside | e.is_nan(x)
    return e.select(inside, x, bound)


@implements(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, out: None = None, *, min: Any = None, max: Any = None) -> Any:
    """a with values below a_min (or min) raised to it and values above a_max (or max) lowered to it.

    None is no bound. The derivative at a bound is 1. Raises ValueError if a bound is given by both its names.
    """
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise ValueError("clip: a bound was given twice; give a_min and a_max, or min and max.")
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    x = array_operand(a) if low is None and high is None else operand(a)
    if low is not None and high is not None:
        return e.clamp(x, operand(low), operand(high))
    if low is not None:
        return _bounded(x, operand(low), True)
    return x if high is None else _bounded(x, operand(high), False)


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """x with nan as `nan`, and infinities as `posinf` and `neginf` (by default the dtype's largest numbers)."""
    v = array_operand(x)
    kind = type_of(v).dtype
    if kind.kind == "c":
        parts = [nan_to_num(p, copy, nan, posinf, neginf) for p in (real_op(v), imag_op(v))]
        return convert(e.make_complex(*[operand(p) for p in parts]), kind)
    if kind.kind != "f":
        return v
    limits = np.finfo(kind)
    high = limits.max if posinf is None else operand(posinf)
    low = limits.min if neginf is None else operand(neginf)
    found = e.select(e.is_nan(v), convert(operand(nan), kind), v)
    found = e.select(v == np.inf, convert(high, kind), found)
    return e.select(v == -np.inf, convert(low, kind), found)


# ---- smooth functions ----


@implements(np.sinc)
def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), and 1 at 0, with all derivatives there."""
    v = array_operand(x)
    u = (v if is_inexact(type_of(v).dtype) else convert(v, np.float64)) * math.pi
    # Near 0 the quotient's derivatives cancel: the series is exact to the last bit there.
    small = e.magnitude(u) < 0.05
    s, far = e.select(small, u, 0.0), e.select(small, 1.0, u)
    s = s * s
    series = 1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110))))
    return e.select(small, series, e.sin(far) / far)


@implements(np.i0)
def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind and order 0. Raises TypeError for complex x."""
    v = array_operand(x)
    if type_of(v).dtype.kind == "c":
        raise TypeError(f"i0 was asked of complex values, {type_of(v)}; it takes real ones.")
    return bessel_i0(v if type_of(v).dtype.kind == "f" else convert(v, np.float64))


# ---- complex numbers ----


@implements(np.real)
def real(val: Any) -> Any:
    """The real part; a real array is itself."""
    x = array_operand(val)
    return real_op(x) if type_of(x).dtype.kind == "c" else x


@implements(np.imag)
def imag(val: Any) -> Any:
    """The imaginary part; zeros for a real array."""
    x = array_operand(val)
    kind = type_of(x)
    return imag_op(x) if kind.dtype.kind == "c" else np.zeros(kind.shape, kind.dtype)


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """The angle of complex z, in radians in (-pi, pi], or in degrees. Its derivative at 0 is 0."""
    found = e.atan2(imag(z), real(z))
    return found * (180 / math.pi) if deg else found


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """Where the imaginary part is not zero."""
    return e.ne(imag(x), 0)


@implements(np.isreal)
def isreal(x: Any) -> Any:
    """Where the imaginary part is zero."""
    return e.eq(imag(x), 0)


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """Whether the dtype is complex, as a Python bool."""
    return type_of(operand(x)).dtype.kind == "c"


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """Whether the dtype is not complex, as a Python bool."""
    return type_of(operand(x)).dtype.kind != "c"


# ---- comparisons ----


@implements(np.isneginf)
def isneginf(x: Any, out: None = None) -> Any:
    """Where x is -inf. Raises TypeError for complex x."""
    v = operand(x)
    return e.logical_and(e.is_inf(v), e.signbit(v))


@implements(np.isposinf)
def isposinf(x: Any, out: None = None) -> Any:
    """Where x is inf. Raises TypeError for complex x."""
    v = operand(x)
    return e.logical_and(e.is_inf(v), e.logical_not(e.signbit(v)))


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Where |a - b| <= atol + rtol * |b|, or both are the same infinity, or both nan with equal_nan=True."""
    x, y = operand(a), operand(b)
    if type_of(y).dtype.kind in "biu":
        y = convert(y, np.float64)
    close = e.magnitude(x - y) <= operand(atol) + operand(rtol) * e.magnitude(y)
    found = (close & e.is_finite(y)) | e.eq(x, y)
    return found | (e.is_nan(x) & e.is_nan(y)) if equal_nan else found


def _every(x: Any) -> Any:
    return reduce_and(x, axes=tuple(range(type_of(x).ndim)))


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all values are close, in the sense of `isclose`."""
    return _every(isclose(a, b, rtol, atol, equal_nan))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """Whether the shapes and all values are equal; with equal_nan=True nan equals nan."""
    x, y = array_operand(a1), array_operand(a2)
    if type_of(x).shape != type_of(y).shape:
        return np.asarray(False)
    same = e.eq(x, y)
    return _every(same | (e.is_nan(x) & e.is_nan(y)) if equal_nan else same)


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """Whether the arrays broadcast and all values are equal."""
    x, y = array_operand(a1), array_operand(a2)
    try:
        np.broadcast_shapes(type_of(x).shape, type_of(y).shape)
    except ValueError:
        return np.asarray(False)
    return _every(e.eq(x, y))
