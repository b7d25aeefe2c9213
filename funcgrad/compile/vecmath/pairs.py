"""Arithmetic on pairs: numbers of twice float64's precision, as the sum of a float64 and a small rest.

For rare lanes where terms nearly cancel. Every product in here is exact, its factors cut into halves, and a rounded one is cut by
a bit before anything is added to it: whether a compiler contracts products into fused multiply-adds changes nothing.
"""

from typing import Any

from funcgrad.compile.vecmath.helpers import bits, f64_of_bits
from funcgrad.compile.vecmath.powers import head_f64


def exact_product_f64(a: Any, b: Any) -> Any:
    """a b as a pair."""
    a1, b1 = head_f64(a), head_f64(b)
    a2, b2 = a - a1, b - b1
    high = f64_of_bits(bits(a * b) & -2)
    return high, (((a1 * b1 - high) + a1 * b2) + a2 * b1) + a2 * b2


def exact_sum_f64(a: Any, b: Any) -> Any:
    """a + b as a pair; neither may be a bare product, unless that is exact."""
    high = a + b
    other = high - a
    return high, (a - (high - other)) + (b - other)


def tidy_f64(high: Any, low: Any) -> Any:
    """The pair with the same sum whose second part is below the last bit of the first."""
    total = high + low
    return total, low - (total - high)


def pair_plus_f64(high: Any, low: Any, other: Any, rest: Any) -> Any:
    """The sum of two pairs."""
    total, lost = exact_sum_f64(high, other)
    return tidy_f64(total, lost + (low + rest))


def pair_times_f64(high: Any, low: Any, x: Any) -> Any:
    """A pair times a number."""
    product, lost = exact_product_f64(high, x)
    return tidy_f64(product, lost + low * x)


def pair_product_f64(high: Any, low: Any, other: Any, rest: Any) -> Any:
    """The product of two pairs."""
    product, lost = exact_product_f64(high, other)
    return tidy_f64(product, lost + (high * rest + low * other))


def pair_quotient_f64(high: Any, low: Any, other: Any, rest: Any) -> Any:
    """The quotient of two pairs."""
    quotient = high / other
    product, lost = exact_product_f64(quotient, other)
    return tidy_f64(quotient, ((((high - product) - lost) + low) - quotient * rest) / other)
