"""Elementwise primitives: one row each. Kinks and ties have PyTorch's values, the minimum-norm subgradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType
from funcgrad.ops.basics import convert, imag, real
from funcgrad.ops.families import array
from funcgrad.ops.pointwise import bool_dtype, elementwise, integers, promoted_dtype, reals, ufunc_dtype

# ---- choice and comparison ----


select = elementwise(
    "select",
    lambda c, x, y: np.where(c, x, y),
    [None, lambda g, ans, c, x, y: select(c, g, 0.0), lambda g, ans, c, x, y: select(c, 0.0, g)],
    lambda rng: [((array(rng, (3, 1)) > 0, array(rng, (3, 4)), array(rng, (4,))), {})],
    dtype=lambda types: promoted_dtype(types[1:]),
)

_pairs = lambda rng: [((rng.integers(0, 3, (3, 4)) * 1.0, rng.integers(0, 3, (4,)) * 1.0), {})]  # noqa: E731

eq = elementwise("eq", np.equal, None, _pairs, dtype=bool_dtype)
ne = elementwise("ne", np.not_equal, None, _pairs, dtype=bool_dtype)
lt = elementwise("lt", np.less, None, _pairs, dtype=bool_dtype)
le = elementwise("le", np.less_equal, None, _pairs, dtype=bool_dtype)
gt = elementwise("gt", np.greater, None, _pairs, dtype=bool_dtype)
ge = elementwise("ge", np.greater_equal, None, _pairs, dtype=bool_dtype)

is_finite = elementwise("is_finite", np.isfinite, None, reals(), dtype=bool_dtype)
is_nan = elementwise("is_nan", np.isnan, None, reals(), dtype=bool_dtype)
is_inf = elementwise("is_inf", np.isinf, None, reals(), dtype=bool_dtype)
signbit = elementwise("signbit", np.signbit, None, reals(), dtype=bool_dtype)
logical_and = elementwise("logical_and", np.logical_and, None, _pairs, dtype=bool_dtype)
logical_or = elementwise("logical_or", np.logical_or, None, _pairs, dtype=bool_dtype)
logical_xor = elementwise("logical_xor", np.logical_xor, None, _pairs, dtype=bool_dtype)
logical_not = elementwise("logical_not", np.logical_not, None, reals(), dtype=bool_dtype)

# ---- integers and bits ----

bitwise_and = elementwise("bitwise_and", np.bitwise_and, None, integers(0, 99, 2))
bitwise_or = elementwise("bitwise_or", np.bitwise_or, None, integers(0, 99, 2))
bitwise_xor = elementwise("bitwise_xor", np.bitwise_xor, None, integers(0, 99, 2))
bitwise_not = elementwise("bitwise_not", np.bitwise_not, None, integers(0, 99))
shift_left = elementwise("shift_left", np.left_shift, None, integers(0, 9, 2))
shift_right = elementwise("shift_right", np.right_shift, None, integers(0, 9, 2))
population_count = elementwise("population_count", np.bitwise_count, None, integers(0, 99))
gcd = elementwise("gcd", np.gcd, None, integers(1, 99, 2))
lcm = elementwise("lcm", np.lcm, None, integers(1, 99, 2))

# ---- rounding: flat everywhere ----

floor = elementwise("floor", np.floor, None, reals())
ceil = elementwise("ceil", np.ceil, None, reals())
trunc = elementwise("trunc", np.trunc, None, reals())
rint = elementwise("rint", np.rint, None, reals())
sign = elementwise("sign", np.sign, None, reals())
floor_divide = elementwise("floor_divide", np.floor_divide, None, reals(0.5, 3.0, 2))
nextafter = elementwise("nextafter", np.nextafter, None, reals(n=2))
spacing = elementwise("spacing", np.spacing, None, reals())

# ---- arithmetic ----

add = elementwise("add", np.add, [lambda g, ans, x, y: g, lambda g, ans, x, y: g], reals(n=2, cplx=True))
sub = elementwise("sub", np.subtract, [lambda g, ans, x, y: g, lambda g, ans, x, y: -g], reals(n=2, cplx=True))
mul = elementwise("mul", np.multiply, [lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x], reals(n=2, cplx=True))
div = elementwise(
    "div",
    np.true_divide,
    [lambda g, ans, x, y: g / y, lambda g, ans, x, y: -g * (ans / y)],
    reals(0.5, 2.0, 2, cplx=True),
)
neg = elementwise("neg", np.negative, [lambda g, ans, x: -g], reals(cplx=True))
reciprocal = elementwise("reciprocal", np.reciprocal, [lambda g, ans, x: -g * ans * ans], reals(0.5, 2.0, cplx=True))
square = elementwise("square", np.square, [lambda g, ans, x: g * (2 * x)], reals(cplx=True))
absolute = elementwise("abs", np.absolute, [lambda g, ans, x: g * sign(x)], reals())
fmod = elementwise(
    "fmod", np.fmod, [lambda g, ans, x, y: g, lambda g, ans, x, y: -g * trunc(x / y)], reals(0.5, 3.0, 2)
)
remainder = elementwise(
    "remainder", np.remainder, [lambda g, ans, x, y: g, lambda g, ans, x, y: -g * floor(x / y)], reals(0.5, 3.0, 2)
)
copysign = elementwise(
    "copysign",
    np.copysign,
    [lambda g, ans, x, y: select(signbit(x) == signbit(y), g, -g) * (x != 0), None],
    reals(n=2),
)


def _integer_power(x: Any, *, n: int) -> Any:
    return np.power(x, n) if n >= 0 else np.reciprocal(np.power(x, -n))


integer_pow = elementwise(
    "integer_pow",
    _integer_power,
    [lambda g, ans, x, *, n: g * (n * integer_pow(x, n=n - 1)) if n else g * 0.0],
    lambda rng: [((array(rng, (3, 4), 0.5, 2.0),), {"n": n}) for n in (3, 0, -2, 1)],
    dtype=ufunc_dtype(np.square),
)


def _pow_base(g: Any, ans: Any, x: Any, y: Any) -> Any:
    # y == 0 is a constant; the inner choice keeps 0 ** (0 - 1) out of the product.
    return select(y == 0, 0.0, g * (y * power(x, select(y == 0, 1.0, y - 1))))


def _pow_exponent(g: Any, ans: Any, x: Any, y: Any) -> Any:
    # 0 ** y is constant for y >= 0; the inner choice keeps 0 * log(0) out of the product.
    constant = (x == 0) & _not_negative(y)
    return select(constant, 0.0, g * (ans * log(select(constant, 1.0, x))))


def _not_negative(y: Any) -> Any:
    return (real(y) if type_of(y).dtype.kind == "c" else y) >= 0


power = elementwise("pow", np.power, [_pow_base, _pow_exponent], reals(0.3, 2.0, 2, cplx=True))


def _larger(g: Any, x: Any, y: Any) -> Any:
    return select(x == y, 0.5 * g, select(x > y, g, 0.0))


_extreme_samples = reals(n=2)
maximum = elementwise(
    "max", np.maximum, [lambda g, ans, x, y: _larger(g, x, y), lambda g, ans, x, y: _larger(g, y, x)], _extreme_samples
)
minimum = elementwise(
    "min", np.minimum, [lambda g, ans, x, y: _larger(g, y, x), lambda g, ans, x, y: _larger(g, x, y)], _extreme_samples
)
fmax = elementwise(
    "fmax",
    np.fmax,
    [
        lambda g, ans, x, y: select(is_nan(y), g, _larger(g, x, y)),
        lambda g, ans, x, y: select(is_nan(x), g, _larger(g, y, x)),
    ],
    _extreme_samples,
)
fmin = elementwise(
    "fmin",
    np.fmin,
    [
        lambda g, ans, x, y: select(is_nan(y), g, _larger(g, y, x)),
        lambda g, ans, x, y: select(is_nan(x), g, _larger(g, x, y)),
    ],
    _extreme_samples,
)
clamp = elementwise(
    "clamp",
    lambda x, low, high: np.minimum(np.maximum(x, low), high),
    [
        lambda g, ans, x, low, high: select((x >= low) & (x <= high), g, 0.0),
        lambda g, ans, x, low, high: select((x < low) & (low < high), g, 0.0),
        lambda g, ans, x, low, high: select((x > high) | (low > high), g, 0.0),
    ],
    lambda rng: [((array(rng, (3, 4)), array(rng, (4,), -1.5, -0.5), array(rng, (3, 1), 0.5, 1.5)), {})],
    dtype=promoted_dtype,
)

# ---- powers, exponentials and logarithms ----

sqrt = elementwise("sqrt", np.sqrt, [lambda g, ans, x: g / (2 * ans)], reals(0.2, 3.0, cplx=True))
cbrt = elementwise("cbrt", np.cbrt, [lambda g, ans, x: g / (3 * ans * ans)], reals(0.2, 3.0))
exp = elementwise("exp", np.exp, [lambda g, ans, x: g * ans], reals(cplx=True))
exp2 = elementwise("exp2", np.exp2, [lambda g, ans, x: g * (ans * math.log(2))], reals(cplx=True))
expm1 = elementwise("expm1", np.expm1, [lambda g, ans, x: g * (ans + 1)], reals(cplx=True))
log = elementwise("log", np.log, [lambda g, ans, x: g / x], reals(0.2, 3.0, cplx=True))
log2 = elementwise("log2", np.log2, [lambda g, ans, x: g / (x * math.log(2))], reals(0.2, 3.0, cplx=True))
log10 = elementwise("log10", np.log10, [lambda g, ans, x: g / (x * math.log(10))], reals(0.2, 3.0, cplx=True))
log1p = elementwise("log1p", np.log1p, [lambda g, ans, x: g / (1 + x)], reals(-0.5, 3.0, cplx=True))


def _share(g: Any, x: Any, y: Any, scale: float = 1.0) -> Any:
    # exp(x) / (exp(x) + exp(y)); equal infinities share evenly instead of giving nan.
    d = select(x == y, 0.0, y - x)
    return g / (1 + exp(d * scale))


logaddexp = elementwise(
    "logaddexp", np.logaddexp, [lambda g, ans, x, y: _share(g, x, y), lambda g, ans, x, y: _share(g, y, x)], reals(n=2)
)
logaddexp2 = elementwise(
    "logaddexp2",
    np.logaddexp2,
    [lambda g, ans, x, y: _share(g, x, y, math.log(2)), lambda g, ans, x, y: _share(g, y, x, math.log(2))],
    reals(n=2),
)

# ---- trigonometric and hyperbolic functions ----

sin = elementwise("sin", np.sin, [lambda g, ans, x: g * cos(x)], reals(cplx=True))
cos = elementwise("cos", np.cos, [lambda g, ans, x: -g * sin(x)], reals(cplx=True))
tan = elementwise("tan", np.tan, [lambda g, ans, x: g * (1 + ans * ans)], reals(-1.2, 1.2, cplx=True))
asin = elementwise("asin", np.arcsin, [lambda g, ans, x: g / sqrt((1 - x) * (1 + x))], reals(-0.9, 0.9, cplx=True))
acos = elementwise("acos", np.arccos, [lambda g, ans, x: -g / sqrt((1 - x) * (1 + x))], reals(-0.9, 0.9, cplx=True))
atan = elementwise("atan", np.arctan, [lambda g, ans, x: g / (1 + x * x)], reals(-0.9, 0.9, cplx=True))
sinh = elementwise("sinh", np.sinh, [lambda g, ans, x: g * cosh(x)], reals(cplx=True))
cosh = elementwise("cosh", np.cosh, [lambda g, ans, x: g * sinh(x)], reals(cplx=True))
tanh = elementwise("tanh", np.tanh, [lambda g, ans, x: g * (1 - ans * ans)], reals(cplx=True))
asinh = elementwise("asinh", np.arcsinh, [lambda g, ans, x: g / sqrt(x * x + 1)], reals(-0.9, 0.9, cplx=True))
acosh = elementwise(
    "acosh", np.arccosh, [lambda g, ans, x: g / (sqrt(x - 1) * sqrt(x + 1))], reals(1.2, 3.0, cplx=True)
)
atanh = elementwise("atanh", np.arctanh, [lambda g, ans, x: g / ((1 - x) * (1 + x))], reals(-0.9, 0.9, cplx=True))


def _ratio(g: Any, top: Any, bottom: Any) -> Any:
    # top / bottom, and 0 where bottom is 0: the minimum-norm subgradient at the origin.
    empty = bottom == 0
    return g * select(empty, 0.0, top / select(empty, 1.0, bottom))


atan2 = elementwise(
    "atan2",
    np.arctan2,
    [lambda g, ans, y, x: _ratio(g, x, x * x + y * y), lambda g, ans, y, x: _ratio(g, -y, x * x + y * y)],
    reals(0.3, 2.0, 2),
)
hypot = elementwise(
    "hypot",
    np.hypot,
    [lambda g, ans, x, y: _ratio(g, x, ans), lambda g, ans, x, y: _ratio(g, y, ans)],
    reals(0.3, 2.0, 2),
)

# ---- complex numbers ----


def _complex_impl(x: Any, y: Any) -> Any:
    out = np.empty(
        np.broadcast_shapes(np.shape(x), np.shape(y)), np.result_type(np.asarray(x), np.asarray(y), np.complex64)
    )
    out.real, out.imag = x, y
    return out


def _complex_dtype(types: Sequence[ArrayType]) -> np.dtype:
    return np.result_type(*[t.dtype for t in types], np.complex64)


make_complex = elementwise(
    "complex",
    _complex_impl,
    [lambda g, ans, x, y: g, lambda g, ans, x, y: g * 1j],
    reals(n=2),
    dtype=_complex_dtype,
)


# ---- composites that rules of other files use ----


def magnitude(x: Any) -> Any:
    """|x| for real and complex x; the derivative at 0 is 0."""
    if type_of(x).dtype.kind == "c":
        return hypot(real(x), imag(x))
    return absolute(x)


def astype_like(x: Any, like: Any) -> Any:
    """x converted to the dtype of another value."""
    return convert(x, type_of(like).dtype)
