"""The modified Bessel functions of the first kind, of orders 0 and 1: each is the other's derivative's partner."""

from __future__ import annotations

from typing import Any

from funcgrad.core.primitive import Primitive
from funcgrad.ops.elementwise import select
from funcgrad.ops.families import scipy_special
from funcgrad.ops.pointwise import elementwise, float_dtype, reals


def _slope_of_i1(g: Any, ans: Any, x: Any) -> Any:
    # i0(x) - i1(x) / x, which is 1/2 at 0.
    zero = x == 0
    return g * (bessel_i0(x) - select(zero, 0.5, ans / select(zero, 1.0, x)))


bessel_i0: Primitive = elementwise(
    "bessel_i0", lambda x: scipy_special.i0(x), [lambda g, ans, x: g * bessel_i1(x)], reals(0.2, 2.0), dtype=float_dtype
)
bessel_i1: Primitive = elementwise(
    "bessel_i1", lambda x: scipy_special.i1(x), [_slope_of_i1], reals(0.2, 2.0), dtype=float_dtype
)
