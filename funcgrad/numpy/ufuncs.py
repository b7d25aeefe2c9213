"""The smooth ufuncs: arithmetic, powers, exponentials, logarithms, trigonometric and hyperbolic functions.

Every function takes arrays, tracers, numbers or lists of them, broadcasts as NumPy does, and gives an Array of NumPy's
dtype (integers become floats where NumPy makes them so). Shapes that do not broadcast raise ValueError, or TypeError
when traced. The keywords out, where and dtype are NumPy's; see `elementwise.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.numpy.elementwise import converted, ufunc
from funcgrad.numpy.operators import power_of
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import conj as conj_op
from funcgrad.ops.number_parts import exponent

# ---- arithmetic ----


@ufunc(np.add)
def add(x: Any, y: Any, /) -> Any:
    """x + y, elementwise; for booleans, x or y."""
    return e.add(x, y)


@ufunc(np.subtract)
def subtract(x: Any, y: Any, /) -> Any:
    """x - y, elementwise."""
    return e.sub(x, y)


@ufunc(np.multiply)
def multiply(x: Any, y: Any, /) -> Any:
    """x * y, elementwise; for booleans, x and y."""
    return e.mul(x, y)


@ufunc(np.divide)
def divide(x: Any, y: Any, /) -> Any:
    """x / y, elementwise; integers give floats."""
    return e.div(x, y)


@ufunc(np.floor_divide)
def floor_divide(x: Any, y: Any, /) -> Any:
    """floor(x / y), elementwise, of the promoted dtype; its derivative is zero."""
    return e.floor_divide(x, y)


@ufunc(np.remainder)
def remainder(x: Any, y: Any, /) -> Any:
    """x - floor(x / y) * y, elementwise: the sign is that of y."""
    return e.remainder(x, y)


@ufunc(np.fmod)
def fmod(x: Any, y: Any, /) -> Any:
    """x - trunc(x / y) * y, elementwise: the sign is that of x."""
    return e.fmod(x, y)


@ufunc(np.divmod)
def divmod(x: Any, y: Any, /) -> Any:
    """floor_divide(x, y) and remainder(x, y), as a pair."""
    return e.floor_divide(x, y), e.remainder(x, y)


@ufunc(np.negative)
def negative(x: Any, /) -> Any:
    """-x, elementwise. Raises TypeError for booleans."""
    return e.neg(x)


@ufunc(np.positive)
def positive(x: Any, /) -> Any:
    """+x: the array itself. Raises TypeError for booleans."""
    converted(np.positive, x)
    return x


@ufunc(np.absolute)
def absolute(x: Any, /) -> Any:
    """|x|, elementwise, real for complex x. The derivative at 0 is 0."""
    return e.magnitude(x)


@ufunc(np.fabs)
def fabs(x: Any, /) -> Any:
    """|x| as a float, elementwise. Raises TypeError for complex x. The derivative at 0 is 0."""
    return e.absolute(*converted(np.fabs, x))


@ufunc(np.sign)
def sign(x: Any, /) -> Any:
    """-1, 0 or 1 by the sign of x; x / |x| for complex x, which alone has a derivative."""
    if type_of(x).dtype.kind != "c":
        return e.sign(x)
    size = e.magnitude(x)
    return e.select(size == 0, 0.0, x / e.select(size == 0, 1.0, size))


@ufunc(np.reciprocal)
def reciprocal(x: Any, /) -> Any:
    """1 / x, elementwise, of x's dtype (integers divide as integers, as in NumPy)."""
    return e.reciprocal(x)


@ufunc(np.square)
def square(x: Any, /) -> Any:
    """x * x, elementwise."""
    return e.square(x)


@ufunc(np.power)
def power(x: Any, y: Any, /) -> Any:
    """x ** y, elementwise. A Python number y is static: its derivative has no logarithm.

    Raises ValueError for an integer x to a negative Python int.
    """
    return power_of(x, y)


@ufunc(np.float_power)
def float_power(x: Any, y: Any, /) -> Any:
    """x ** y computed in float64, or complex128 for complex input."""
    return e.power(*converted(np.float_power, x, y))


@ufunc(np.maximum)
def maximum(x: Any, y: Any, /) -> Any:
    """The larger of x and y, elementwise; nan wins. Ties share the derivative evenly."""
    return e.maximum(x, y)


@ufunc(np.minimum)
def minimum(x: Any, y: Any, /) -> Any:
    """The smaller of x and y, elementwise; nan wins. Ties share the derivative evenly."""
    return e.minimum(x, y)


@ufunc(np.fmax)
def fmax(x: Any, y: Any, /) -> Any:
    """The larger of x and y, elementwise; a nan loses to a number."""
    return e.fmax(x, y)


@ufunc(np.fmin)
def fmin(x: Any, y: Any, /) -> Any:
    """The smaller of x and y, elementwise; a nan loses to a number."""
    return e.fmin(x, y)


@ufunc(np.copysign)
def copysign(x: Any, y: Any, /) -> Any:
    """|x| with the sign of y, elementwise; integers give floats."""
    return e.copysign(x, y)


@ufunc(np.conjugate)
def conjugate(x: Any, /) -> Any:
    """The complex conjugate of x; a real x is itself."""
    return conj_op(x) if type_of(x).dtype.kind == "c" else converted(np.conjugate, x)[0]


conj = conjugate
abs = absolute
true_divide = divide
mod = remainder
pow = power


# ---- exponentials and logarithms: integers give floats ----


@ufunc(np.sqrt)
def sqrt(x: Any, /) -> Any:
    """The square root of x; nan for negative real x. The derivative at 0 is inf."""
    return e.sqrt(x)


@ufunc(np.cbrt)
def cbrt(x: Any, /) -> Any:
    """The real cube root of x."""
    return e.cbrt(x)


@ufunc(np.exp)
def exp(x: Any, /) -> Any:
    """e ** x."""
    return e.exp(x)


@ufunc(np.exp2)
def exp2(x: Any, /) -> Any:
    """2 ** x."""
    return e.exp2(x)


@ufunc(np.expm1)
def expm1(x: Any, /) -> Any:
    """e ** x - 1, exact near 0."""
    return e.expm1(x)


@ufunc(np.log)
def log(x: Any, /) -> Any:
    """The natural logarithm of x: -inf at 0, nan for negative real x."""
    return e.log(x)


@ufunc(np.log2)
def log2(x: Any, /) -> Any:
    """The logarithm to base 2."""
    return e.log2(x)


@ufunc(np.log10)
def log10(x: Any, /) -> Any:
    """The logarithm to base 10."""
    return e.log10(x)


@ufunc(np.log1p)
def log1p(x: Any, /) -> Any:
    """log(1 + x), exact near 0."""
    return e.log1p(x)


@ufunc(np.logaddexp)
def logaddexp(x: Any, y: Any, /) -> Any:
    """log(e ** x + e ** y) without overflow."""
    return e.logaddexp(x, y)


@ufunc(np.logaddexp2)
def logaddexp2(x: Any, y: Any, /) -> Any:
    """log2(2 ** x + 2 ** y) without overflow."""
    return e.logaddexp2(x, y)


# ---- trigonometric functions, in radians: integers give floats ----


@ufunc(np.sin)
def sin(x: Any, /) -> Any:
    """The sine of x."""
    return e.sin(x)


@ufunc(np.cos)
def cos(x: Any, /) -> Any:
    """The cosine of x."""
    return e.cos(x)


@ufunc(np.tan)
def tan(x: Any, /) -> Any:
    """The tangent of x."""
    return e.tan(x)


@ufunc(np.arcsin)
def arcsin(x: Any, /) -> Any:
    """The inverse sine of x in [-1, 1]; nan outside."""
    return e.asin(x)


@ufunc(np.arccos)
def arccos(x: Any, /) -> Any:
    """The inverse cosine of x in [-1, 1]; nan outside."""
    return e.acos(x)


@ufunc(np.arctan)
def arctan(x: Any, /) -> Any:
    """The inverse tangent of x."""
    return e.atan(x)


@ufunc(np.arctan2)
def arctan2(y: Any, x: Any, /) -> Any:
    """The angle of the point (x, y), in (-pi, pi]. Its derivative at the origin is 0."""
    return e.atan2(y, x)


@ufunc(np.hypot)
def hypot(x: Any, y: Any, /) -> Any:
    """sqrt(x ** 2 + y ** 2) without overflow. Its derivative at the origin is 0."""
    return e.hypot(x, y)


@ufunc(np.deg2rad)
def deg2rad(x: Any, /) -> Any:
    """Degrees as radians."""
    return converted(np.deg2rad, x)[0] * (math.pi / 180)


@ufunc(np.rad2deg)
def rad2deg(x: Any, /) -> Any:
    """Radians as degrees."""
    return converted(np.rad2deg, x)[0] * (180 / math.pi)


@ufunc(np.radians)
def radians(x: Any, /) -> Any:
    """Degrees as radians."""
    return converted(np.radians, x)[0] * (math.pi / 180)


@ufunc(np.degrees)
def degrees(x: Any, /) -> Any:
    """Radians as degrees."""
    return converted(np.degrees, x)[0] * (180 / math.pi)


# ---- hyperbolic functions: integers give floats ----


@ufunc(np.sinh)
def sinh(x: Any, /) -> Any:
    """The hyperbolic sine of x."""
    return e.sinh(x)


@ufunc(np.cosh)
def cosh(x: Any, /) -> Any:
    """The hyperbolic cosine of x."""
    return e.cosh(x)


@ufunc(np.tanh)
def tanh(x: Any, /) -> Any:
    """The hyperbolic tangent of x."""
    return e.tanh(x)


@ufunc(np.arcsinh)
def arcsinh(x: Any, /) -> Any:
    """The inverse hyperbolic sine of x."""
    return e.asinh(x)


@ufunc(np.arccosh)
def arccosh(x: Any, /) -> Any:
    """The inverse hyperbolic cosine of x >= 1; nan below."""
    return e.acosh(x)


@ufunc(np.arctanh)
def arctanh(x: Any, /) -> Any:
    """The inverse hyperbolic tangent of x in (-1, 1)."""
    return e.atanh(x)


asin = arcsin
acos = arccos
atan = arctan
atan2 = arctan2
asinh = arcsinh
acosh = arccosh
atanh = arctanh


# ---- the parts of a number ----


@ufunc(np.ldexp)
def ldexp(x: Any, y: Any, /) -> Any:
    """x * 2 ** y for integers y. Raises TypeError for y that are not integers."""
    x, y = converted(np.ldexp, x, y)
    half = y // 2
    # Two factors, since 2 ** y itself may overflow where the product does not.
    for part in (half, y - half):
        x = x * e.exp2(e.astype_like(part, x))
    return x


@ufunc(np.frexp)
def frexp(x: Any, /) -> Any:
    """(mantissa, exponent) with x == mantissa * 2 ** exponent and |mantissa| in [0.5, 1), or both zero."""
    (x,) = converted(np.frexp, x)
    power = exponent(x)
    return ldexp(x, -power), power


@ufunc(np.modf)
def modf(x: Any, /) -> Any:
    """(fraction, whole) with x == fraction + whole, both with the sign of x."""
    (x,) = converted(np.modf, x)
    whole = e.trunc(x)
    infinite = e.is_inf(x)
    return e.copysign(e.select(infinite, 0.0, x - e.select(infinite, 0.0, whole)), x), whole


@ufunc(np.heaviside)
def heaviside(x: Any, y: Any, /) -> Any:
    """0 where x < 0, y where x == 0, 1 where x > 0, nan where x is nan. Its derivative in x is zero."""
    x, y = converted(np.heaviside, x, y)
    return e.select(e.is_nan(x), math.nan, e.select(x == 0, y, e.astype_like(x > 0, y)))
