"""lax's elementwise functions: strict about dtypes and shapes, as jax.lax is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of, type_of
from funcgrad.core.types import SCALARS
from funcgrad.numpy.wrapping import operand
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e


def same_types(name: str, *values: Any) -> tuple[Any, ...]:
    """Operands of equal dtype and of equal shape or 0-d; Python numbers take the others' dtype.

    Raises TypeError naming the function, the dtypes or the shapes.
    """
    found = [operand(v) for v in values]
    strong = [v for v in found if not type_of(v).weak]
    dtypes = {dtype_of(v) for v in strong}
    if len(dtypes) > 1:
        listed = ", ".join(str(dtype_of(v)) for v in found)
        raise TypeError(
            f"lax.{name} needs arguments of one dtype, got {listed}; convert them with lax.convert_element_type, or use "
            "funcgrad.numpy, which promotes."
        )
    shapes = {shape_of(v) for v in found if shape_of(v)}
    if len(shapes) > 1:
        listed = ", ".join(str(shape_of(v)) for v in found)
        raise TypeError(f"lax.{name} needs arguments of one shape or 0-d, got {listed}; broadcast them first.")
    if dtypes:
        dtype = dtypes.pop()
        found = [basics.convert(v, dtype) if type_of(v).weak else v for v in found]
    elif all(type(v) in SCALARS for v in found):
        found = [np.asarray(v) for v in found]
    return tuple(found)


def _unary(name: str, function: Callable[..., Any], text: str) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        (value,) = same_types(name, x)
        return wrap(function(value))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{text}, elementwise. Shape and dtype as `x`, unless said otherwise."
    return call


def _binary(name: str, function: Callable[..., Any], text: str) -> Callable[[Any, Any], Any]:
    def call(x: Any, y: Any) -> Any:
        return wrap(function(*same_types(name, x, y)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{text}, elementwise. Raises TypeError for unequal dtypes or shapes (0-d excepted)."
    return call


neg = _unary("neg", e.neg, "-x")
abs = _unary("abs", e.magnitude, "The absolute value |x|, real")
floor = _unary("floor", e.floor, "The largest integer at most x")
ceil = _unary("ceil", e.ceil, "The smallest integer at least x")
exp = _unary("exp", e.exp, "e to the x")
exp2 = _unary("exp2", e.exp2, "2 to the x")
expm1 = _unary("expm1", e.expm1, "exp(x) - 1, accurate near 0")
log = _unary("log", e.log, "The natural logarithm")
log1p = _unary("log1p", e.log1p, "log(1 + x), accurate near 0")
sqrt = _unary("sqrt", e.sqrt, "The square root")
rsqrt = _unary("rsqrt", lambda x: e.reciprocal(e.sqrt(x)), "1 / sqrt(x)")
cbrt = _unary("cbrt", e.cbrt, "The cube root")
square = _unary("square", e.square, "x * x")
reciprocal = _unary("reciprocal", e.reciprocal, "1 / x")
sin = _unary("sin", e.sin, "The sine of x in radians")
cos = _unary("cos", e.cos, "The cosine of x in radians")
tan = _unary("tan", e.tan, "The tangent of x in radians")
asin = _unary("asin", e.asin, "The arcsine")
acos = _unary("acos", e.acos, "The arccosine")
atan = _unary("atan", e.atan, "The arctangent")
sinh = _unary("sinh", e.sinh, "The hyperbolic sine")
cosh = _unary("cosh", e.cosh, "The hyperbolic cosine")
tanh = _unary("tanh", e.tanh, "The hyperbolic tangent")
asinh = _unary("asinh", e.asinh, "The inverse hyperbolic sine")
acosh = _unary("acosh", e.acosh, "The inverse hyperbolic cosine")
atanh = _unary("atanh", e.atanh, "The inverse hyperbolic tangent")
is_finite = _unary("is_finite", e.is_finite, "Whether x is neither infinite nor nan (bool)")
real = _unary("real", lambda x: basics.real(x) if dtype_of(x).kind == "c" else x, "The real part, real")
imag = _unary("imag", lambda x: basics.imag(x) if dtype_of(x).kind == "c" else x * 0, "The imaginary part, real")
bitwise_not = _unary("bitwise_not", e.bitwise_not, "Every bit turned")

add = _binary("add", e.add, "x + y")
sub = _binary("sub", e.sub, "x - y")
mul = _binary("mul", e.mul, "x * y")
pow = _binary("pow", e.power, "x to the y")
max = _binary("max", e.maximum, "The larger")
min = _binary("min", e.minimum, "The smaller")
atan2 = _binary("atan2", e.atan2, "The angle of the point (y, x), called as atan2(x=ordinate, y=abscissa)")
nextafter = _binary("nextafter", e.nextafter, "The next number from x towards y")
eq = _binary("eq", e.eq, "x == y (bool)")
ne = _binary("ne", e.ne, "x != y (bool)")
lt = _binary("lt", e.lt, "x < y (bool)")
le = _binary("le", e.le, "x <= y (bool)")
gt = _binary("gt", e.gt, "x > y (bool)")
ge = _binary("ge", e.ge, "x >= y (bool)")
bitwise_and = _binary("bitwise_and", e.bitwise_and, "The bits set in both")
bitwise_or = _binary("bitwise_or", e.bitwise_or, "The bits set in either")
bitwise_xor = _binary("bitwise_xor", e.bitwise_xor, "The bits set in one")
complex = _binary("complex", e.make_complex, "x + iy")


def conj(x: Any, input_dtype: Any = None) -> Any:
    """The complex conjugate, elementwise; always complex. `input_dtype` is for JAX's own use and must be None."""
    if input_dtype is not None:
        raise NotImplementedError("lax.conj: input_dtype is not offered; convert the argument.")
    (value,) = same_types("conj", x)
    if dtype_of(value).kind != "c":
        return wrap(basics.convert(value, np.result_type(dtype_of(value), np.complex64)))
    return wrap(basics.conj(value))


def sign(x: Any) -> Any:
    """-1, 0 or 1 by the sign of x (x / |x| for complex x), elementwise; dtype as `x`."""
    (value,) = same_types("sign", x)
    if dtype_of(value).kind != "c":
        return wrap(e.sign(value))
    size = e.magnitude(value)
    return wrap(e.select(size == 0, 0.0, value / e.select(size == 0, 1.0, size)))


def round(x: Any, rounding_method: int = 0) -> Any:
    """The nearest integer, as a float; halves away from zero (0) or to even (1)."""
    (value,) = same_types("round", x)
    if rounding_method == 1:
        return wrap(e.rint(value))
    if rounding_method != 0:
        raise ValueError(
            f"lax.round: rounding_method must be 0 (away from zero) or 1 (to even), got {rounding_method!r}."
        )
    whole = e.trunc(value)
    return wrap(whole + e.select(e.absolute(value - whole) >= 0.5, e.sign(value), 0.0))


def div(x: Any, y: Any) -> Any:
    """x / y, elementwise; for integers rounded towards zero."""
    a, b = same_types("div", x, y)
    if dtype_of(a).kind not in "iu":
        return wrap(e.div(a, b))
    quotient = e.floor_divide(a, b)
    inexact = (quotient * b != a) & ((a < 0) != (b < 0))
    return wrap(quotient + basics.convert(inexact, dtype_of(a)))


def rem(x: Any, y: Any) -> Any:
    """The remainder of div, with the sign of x, elementwise."""
    return wrap(e.fmod(*same_types("rem", x, y)))


def integer_pow(x: Any, y: int) -> Any:
    """x to a static integer power, elementwise."""
    (value,) = same_types("integer_pow", x)
    return wrap(e.integer_pow(value, n=int(y)))


def clamp(min: Any, x: Any, max: Any) -> Any:
    """x, at least `min` and at most `max`; the bounds are 0-d or of x's shape."""
    low, value, high = same_types("clamp", min, x, max)
    return wrap(e.clamp(value, low, high))


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """`on_true` where `pred`, else `on_false`; all of one shape (`pred` may be 0-d)."""
    a, b = same_types("select", on_true, on_false)
    return wrap(e.select(operand(pred), a, b))


def select_n(which: Any, *cases: Any) -> Any:
    """The case whose number `which` gives, elementwise; a boolean `which` chooses between two."""
    found = same_types("select_n", *cases)
    chosen = operand(which)
    if dtype_of(chosen).kind == "b":
        if len(found) > 2:
            raise TypeError(f"lax.select_n: a boolean `which` chooses between 2 cases, got {len(found)}.")
        return wrap(e.select(chosen, found[-1], found[0]))
    result = found[-1]
    for n in range(len(found) - 2, -1, -1):
        result = e.select(chosen <= n, found[n], result)
    return wrap(result)


def population_count(x: Any) -> Any:
    """The number of bits that are set, in two's complement, elementwise; dtype as `x`."""
    (value,) = same_types("population_count", x)
    dtype = dtype_of(value)
    return wrap(basics.convert(e.population_count(basics.convert(value, f"u{dtype.itemsize}")), dtype))


def shift_left(x: Any, y: Any) -> Any:
    """x shifted left by y bits, elementwise."""
    return wrap(e.shift_left(*same_types("shift_left", x, y)))


def shift_right_arithmetic(x: Any, y: Any) -> Any:
    """x shifted right by y bits, keeping its sign, elementwise."""
    return wrap(e.shift_right(*same_types("shift_right_arithmetic", x, y)))


def shift_right_logical(x: Any, y: Any) -> Any:
    """x shifted right by y bits, filled with zeros, elementwise."""
    a, b = same_types("shift_right_logical", x, y)
    dtype = dtype_of(a)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    shifted = e.shift_right(basics.convert(a, unsigned), basics.convert(b, unsigned))
    return wrap(basics.convert(shifted, dtype))


def convert_element_type(operand: Any, new_dtype: Any) -> Any:
    """`operand` converted to another dtype, elementwise."""
    (value,) = same_types("convert_element_type", operand)
    return wrap(basics.convert(value, np.dtype(new_dtype)))
