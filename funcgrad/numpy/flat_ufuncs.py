"""The ufuncs without derivative: comparisons, logic, bits and integers, rounding, and questions about floats.

Every function takes arrays, tracers, numbers or lists of them, broadcasts as NumPy does, and gives an Array of NumPy's
dtype. Shapes that do not broadcast raise ValueError, or TypeError when traced, and so do dtypes that NumPy's ufunc has
no loop for. The keywords out, where and dtype are NumPy's; see `elementwise.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.numpy.elementwise import ufunc
from funcgrad.ops import elementwise as e

# ---- comparisons: booleans ----


@ufunc(np.equal)
def equal(x: Any, y: Any, /) -> Any:
    """x == y."""
    return e.eq(x, y)


@ufunc(np.not_equal)
def not_equal(x: Any, y: Any, /) -> Any:
    """x != y."""
    return e.ne(x, y)


@ufunc(np.less)
def less(x: Any, y: Any, /) -> Any:
    """x < y."""
    return e.lt(x, y)


@ufunc(np.less_equal)
def less_equal(x: Any, y: Any, /) -> Any:
    """x <= y."""
    return e.le(x, y)


@ufunc(np.greater)
def greater(x: Any, y: Any, /) -> Any:
    """x > y."""
    return e.gt(x, y)


@ufunc(np.greater_equal)
def greater_equal(x: Any, y: Any, /) -> Any:
    """x >= y."""
    return e.ge(x, y)


# ---- logic: booleans, anything but zero is true ----


@ufunc(np.logical_and)
def logical_and(x: Any, y: Any, /) -> Any:
    """x and y."""
    return e.logical_and(x, y)


@ufunc(np.logical_or)
def logical_or(x: Any, y: Any, /) -> Any:
    """x or y."""
    return e.logical_or(x, y)


@ufunc(np.logical_xor)
def logical_xor(x: Any, y: Any, /) -> Any:
    """Either x or y, and not both."""
    return e.logical_xor(x, y)


@ufunc(np.logical_not)
def logical_not(x: Any, /) -> Any:
    """not x."""
    return e.logical_not(x)


# ---- bits and integers ----


@ufunc(np.bitwise_and)
def bitwise_and(x: Any, y: Any, /) -> Any:
    """The bits in x and in y."""
    return e.bitwise_and(x, y)


@ufunc(np.bitwise_or)
def bitwise_or(x: Any, y: Any, /) -> Any:
    """The bits in x or in y."""
    return e.bitwise_or(x, y)


@ufunc(np.bitwise_xor)
def bitwise_xor(x: Any, y: Any, /) -> Any:
    """The bits in one of x and y."""
    return e.bitwise_xor(x, y)


@ufunc(np.invert)
def invert(x: Any, /) -> Any:
    """Every bit of x inverted; logical not for booleans."""
    return e.bitwise_not(x)


@ufunc(np.left_shift)
def left_shift(x: Any, y: Any, /) -> Any:
    """x * 2 ** y in bits."""
    return e.shift_left(x, y)


@ufunc(np.right_shift)
def right_shift(x: Any, y: Any, /) -> Any:
    """x // 2 ** y in bits."""
    return e.shift_right(x, y)


@ufunc(np.bitwise_count)
def bitwise_count(x: Any, /) -> Any:
    """How many bits of |x| are set, as uint8."""
    return e.population_count(x)


@ufunc(np.gcd)
def gcd(x: Any, y: Any, /) -> Any:
    """The greatest common divisor of the integers |x| and |y|."""
    return e.gcd(x, y)


@ufunc(np.lcm)
def lcm(x: Any, y: Any, /) -> Any:
    """The lowest common multiple of the integers |x| and |y|."""
    return e.lcm(x, y)


bitwise_not = invert
bitwise_invert = invert
bitwise_left_shift = left_shift
bitwise_right_shift = right_shift


# ---- rounding ----


@ufunc(np.floor)
def floor(x: Any, /) -> Any:
    """The largest whole number <= x, of x's dtype."""
    return e.floor(x)


@ufunc(np.ceil)
def ceil(x: Any, /) -> Any:
    """The smallest whole number >= x, of x's dtype."""
    return e.ceil(x)


@ufunc(np.trunc)
def trunc(x: Any, /) -> Any:
    """x without its fraction, of x's dtype."""
    return e.trunc(x)


@ufunc(np.rint)
def rint(x: Any, /) -> Any:
    """The whole number nearest to x; halves go to the even one."""
    return e.rint(x)


# ---- questions about floats ----


@ufunc(np.isfinite)
def isfinite(x: Any, /) -> Any:
    """Whether x is neither infinite nor nan."""
    return e.is_finite(x)


@ufunc(np.isnan)
def isnan(x: Any, /) -> Any:
    """Whether x is nan."""
    return e.is_nan(x)


@ufunc(np.isinf)
def isinf(x: Any, /) -> Any:
    """Whether x is infinite."""
    return e.is_inf(x)


@ufunc(np.signbit)
def signbit(x: Any, /) -> Any:
    """Whether the sign bit of x is set (so for -0.0)."""
    return e.signbit(x)


@ufunc(np.nextafter)
def nextafter(x: Any, y: Any, /) -> Any:
    """The float after x on the way to y."""
    return e.nextafter(x, y)


@ufunc(np.spacing)
def spacing(x: Any, /) -> Any:
    """The distance from x to the next float."""
    return e.spacing(x)
