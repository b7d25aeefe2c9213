"""What the functions of this folder are written with, besides + - * / and comparisons.

As plain Python these work on NumPy scalars and arrays, so every function here can be tried and tested without a
compiler. `lowering.py` runs the same functions on its own values to get LLVM, and `source.py` holds numba's text of
the same names for a vendored kernel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

f32 = np.float32
f64 = np.float64
inf = float("inf")
nan = float("nan")


def bits(x: Any) -> Any:
    """The bits of a float32 as an int32, of a float64 as an int64."""
    return np.asarray(x).view(np.int32 if np.asarray(x).dtype == np.float32 else np.int64)[()]


def f32_of_bits(i: Any) -> Any:
    """The float32 whose bits are the low 32 bits of an integer."""
    return np.asarray(i).astype(np.int64).astype(np.int32).view(np.float32)[()]


def f64_of_bits(i: Any) -> Any:
    """The float64 whose bits are those of an int64."""
    return np.asarray(i).astype(np.int64).view(np.float64)[()]


def select(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y; both are always computed, so a loop over it vectorises."""
    return np.where(condition, x, y)[()]


def poly(x: Any, coefficients: tuple[float, ...]) -> Any:
    """c[0] + c[1] x + c[2] x² + ... by Horner's rule, in the type of x."""
    kind = np.asarray(x).dtype.type
    result = kind(coefficients[-1])
    for c in coefficients[-2::-1]:
        result = result * x + kind(c)
    return result


def entry(numbers: tuple[float, ...], k: Any) -> Any:
    """The k-th of some float64 numbers, for a whole float64 k, as in the steps of `repeat`."""
    return np.array(numbers)[np.asarray(k).astype(np.int64)][()]


def sqrt(x: Any) -> Any:
    """The square root, correctly rounded."""
    return np.sqrt(x)


def copysign(x: Any, y: Any) -> Any:
    """The magnitude of x with the sign of y."""
    return np.copysign(x, y)


def rarely(far: Any, slow: Callable[[Any], Any], x: Any, y: Any) -> Any:
    """y, but slow(x) where `far` holds: those few lanes leave the vector code."""
    result = np.array(y)
    if np.any(far):
        result[far] = slow(np.asarray(x)[far])
    return result[()]


def repeat(count: Any, step: Callable[..., Any], x: Any, high: Any, low: Any) -> Any:
    """high, low = step(k, x, high, low) for k = 1.0, 2.0, ... up to count, in code for rare lanes; count is finite.

    x, a number or a tuple of them, is the same in every step.
    """
    for k in range(1, int(np.max(count, initial=0.0)) + 1):
        further = step(np.float64(k), x, high, low)
        high, low = select(k <= count, further[0], high), select(k <= count, further[1], low)
    return high, low


def libm_sin(x: Any) -> Any:
    """The sine of an angle of any size."""
    return np.sin(np.float64(x)).astype(np.asarray(x).dtype)


def libm_cos(x: Any) -> Any:
    """The cosine of an angle of any size."""
    return np.cos(np.float64(x)).astype(np.asarray(x).dtype)


def libm_tan(x: Any) -> Any:
    """The tangent of an angle of any size."""
    return np.tan(np.float64(x)).astype(np.asarray(x).dtype)
