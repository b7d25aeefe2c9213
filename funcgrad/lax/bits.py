"""lax's functions of the bits of numbers, and the barrier to rewriting."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of
from funcgrad.lax.elementwise import same_types
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import bits
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Any:
    """The same bits read as another dtype. Its derivative is 0.

    A narrower dtype adds a last axis with the parts of each value, the least significant first; a wider one takes the last
    axis away. Raises TypeError for booleans or complex numbers (unless the dtype stays) and for a last axis that does not fit.
    """
    x = array_operand(operand)
    have, want = dtype_of(x), np.dtype(new_dtype)
    if have == want:
        return wrap(x)
    if have.kind in "bc" or want.kind in "bc":
        raise TypeError(f"lax.bitcast_convert_type reads integers and floats, got {have} as {want}.")
    return wrap(bits.bitcast(x, dtype=want))


def _integers(name: str, *values: Any) -> tuple[Any, ...]:
    found = same_types(name, *values)
    if dtype_of(found[0]).kind not in "iu":
        raise TypeError(f"lax.{name} needs integers, got {dtype_of(found[0])}.")
    return found


def clz(x: Any) -> Any:
    """The number of leading zero bits, elementwise; dtype as `x`."""
    return wrap(bits.clz(*_integers("clz", x)))


def mulhi(x: Any, y: Any, /) -> Any:
    """The upper half of the bits of the whole product of integers, elementwise; dtype as the arguments."""
    a, b = _integers("mulhi", x, y)
    dtype = dtype_of(a)
    width = dtype.itemsize * 8
    if width < 64:
        wide = np.dtype(f"{dtype.kind}8")
        return wrap(convert(e.shift_right(convert(a, wide) * convert(b, wide), wide.type(width)), dtype))
    return wrap(_mulhi64(a, b))


def _mulhi64(a: Any, b: Any) -> Any:
    dtype, half, low = dtype_of(a), np.uint64(32), np.uint64(0xFFFFFFFF)
    x, y = convert(a, np.uint64), convert(b, np.uint64)
    x0, x1, y0, y1 = x & low, e.shift_right(x, half), y & low, e.shift_right(y, half)
    middle = x1 * y0 + e.shift_right(x0 * y0, half)
    carry = x0 * y1 + (middle & low)
    high = x1 * y1 + e.shift_right(middle, half) + e.shift_right(carry, half)
    if dtype.kind == "u":
        return high
    # As signed numbers, a negative factor counted 2**64 too many of the other.
    return convert(high, dtype) - e.select(a < 0, b, 0) - e.select(b < 0, a, 0)


def optimization_barrier(operand: Any, /) -> Any:
    """The same tree of arrays, across which no rewriting of the program moves or merges anything."""
    return tree.map(lambda x: wrap(bits.optimization_barrier(array_operand(x))), operand)
