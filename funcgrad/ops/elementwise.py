"""Elementwise primitives: one row each. Kinks and ties have PyTorch's values, the minimum-norm subgradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Params, Pointwise
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType
from funcgrad.ops.basics import convert, imag, real
from funcgrad.ops.families import array, infix
from funcgrad.ops.pointwise import bool_dtype, elementwise, integers, promoted_dtype, reals, ufunc_dtype

# ---- choice and comparison ----


select: Primitive = elementwise(
    "select",
    lambda c, x, y: np.where(c, x, y),
    [None, lambda g, ans, c, x, y: select(c, g, 0.0), lambda g, ans, c, x, y: select(c, 0.0, g)],
    lambda rng: [((array(rng, (3, 1)) > 0, array(rng, (3, 4)), array(rng, (4,))), {})],
    dtype=lambda types: promoted_dtype(types[1:]),
    kernel=Pointwise("{where}({0}, {1}, {2})", kinds="fiub", conditions=1),
)

_pairs: Any = lambda rng: [((rng.integers(0, 3, (3, 4)) * 1.0, rng.integers(0, 3, (4,)) * 1.0), {})]  # noqa: E731

eq: Primitive = elementwise(
    "eq",
    np.equal,
    None,
    _pairs,
    dtype=bool_dtype,
    text=infix("=="),
    kernel=Pointwise("{0} == {1}", kinds="fiub", compares=True),
)
ne: Primitive = elementwise(
    "ne",
    np.not_equal,
    None,
    _pairs,
    dtype=bool_dtype,
    text=infix("!="),
    kernel=Pointwise("{0} != {1}", kinds="fiub", compares=True),
)
lt: Primitive = elementwise(
    "lt",
    np.less,
    None,
    _pairs,
    dtype=bool_dtype,
    text=infix("<"),
    kernel=Pointwise("{0} < {1}", kinds="fiub", compares=True),
)
le: Primitive = elementwise(
    "le",
    np.less_equal,
    None,
    _pairs,
    dtype=bool_dtype,
    text=infix("<="),
    kernel=Pointwise("{0} <= {1}", kinds="fiub", compares=True),
)
gt: Primitive = elementwise(
    "gt",
    np.greater,
    None,
    _pairs,
    dtype=bool_dtype,
    text=infix(">"),
    kernel=Pointwise("{0} > {1}", kinds="fiub", compares=True),
)
ge: Primitive = elementwise(
    "ge",
    np.greater_equal,
    None,
    _pairs,
    dtype=bool_dtype,
    text=infix(">="),
    kernel=Pointwise("{0} >= {1}", kinds="fiub", compares=True),
)

is_finite: Primitive = elementwise(
    "is_finite",
    np.isfinite,
    None,
    reals(),
    dtype=bool_dtype,
    kernel=Pointwise("{absolute}({0}) < {inf}", compares=True),
)
is_nan: Primitive = elementwise(
    "is_nan", np.isnan, None, reals(), dtype=bool_dtype, kernel=Pointwise("{0} != {0}", compares=True)
)
is_inf: Primitive = elementwise(
    "is_inf", np.isinf, None, reals(), dtype=bool_dtype, kernel=Pointwise("{absolute}({0}) == {inf}", compares=True)
)
signbit: Primitive = elementwise(
    "signbit",
    np.signbit,
    None,
    reals(),
    dtype=bool_dtype,
    kernel=Pointwise("{copysign}({one}, {0}) < {zero}", compares=True),
)
logical_and: Primitive = elementwise(
    "logical_and",
    np.logical_and,
    None,
    _pairs,
    dtype=bool_dtype,
    kernel=Pointwise("({0} != {zero}) & ({1} != {zero})", kinds="fiub", compares=True),
)
logical_or: Primitive = elementwise(
    "logical_or",
    np.logical_or,
    None,
    _pairs,
    dtype=bool_dtype,
    kernel=Pointwise("({0} != {zero}) | ({1} != {zero})", kinds="fiub", compares=True),
)
logical_xor: Primitive = elementwise(
    "logical_xor",
    np.logical_xor,
    None,
    _pairs,
    dtype=bool_dtype,
    kernel=Pointwise("({0} != {zero}) ^ ({1} != {zero})", kinds="fiub", compares=True),
)
logical_not: Primitive = elementwise(
    "logical_not",
    np.logical_not,
    None,
    reals(),
    dtype=bool_dtype,
    kernel=Pointwise("{0} == {zero}", kinds="fiub", compares=True),
)

# ---- integers and bits ----

bitwise_and: Primitive = elementwise(
    "bitwise_and", np.bitwise_and, None, integers(0, 99, 2), text=infix("&"), kernel=Pointwise("{0} & {1}", kinds="iub")
)
bitwise_or: Primitive = elementwise(
    "bitwise_or", np.bitwise_or, None, integers(0, 99, 2), text=infix("|"), kernel=Pointwise("{0} | {1}", kinds="iub")
)
bitwise_xor: Primitive = elementwise(
    "bitwise_xor", np.bitwise_xor, None, integers(0, 99, 2), text=infix("^"), kernel=Pointwise("{0} ^ {1}", kinds="iub")
)
bitwise_not: Primitive = elementwise(
    "bitwise_not", np.bitwise_not, None, integers(0, 99), kernel=Pointwise("~{0}", kinds="iub")
)
shift_left: Primitive = elementwise("shift_left", np.left_shift, None, integers(0, 9, 2))
shift_right: Primitive = elementwise("shift_right", np.right_shift, None, integers(0, 9, 2))
population_count: Primitive = elementwise("population_count", np.bitwise_count, None, integers(0, 99))
gcd: Primitive = elementwise("gcd", np.gcd, None, integers(1, 99, 2))
lcm: Primitive = elementwise("lcm", np.lcm, None, integers(1, 99, 2))

# ---- rounding: flat everywhere ----

floor: Primitive = elementwise("floor", np.floor, None, reals(), kernel=Pointwise("{floor}({0})"))
ceil: Primitive = elementwise("ceil", np.ceil, None, reals(), kernel=Pointwise("{ceil}({0})"))
trunc: Primitive = elementwise("trunc", np.trunc, None, reals(), kernel=Pointwise("{trunc}({0})"))
rint: Primitive = elementwise("rint", np.rint, None, reals(), kernel=Pointwise("{rint}({0})"))
sign: Primitive = elementwise(
    "sign",
    np.sign,
    None,
    reals(),
    kernel=Pointwise(
        "{where}({0} == {0}, {where}({0} > {zero}, {one}, {where}({0} < {zero}, -{one}, {zero})), {0})", cost=3
    ),
)
floor_divide: Primitive = elementwise(
    "floor_divide", np.floor_divide, None, reals(0.5, 3.0, 2), kernel=Pointwise("{floor_divide}({0}, {1})", cost=20)
)
nextafter: Primitive = elementwise("nextafter", np.nextafter, None, reals(n=2))
spacing: Primitive = elementwise("spacing", np.spacing, None, reals())

# ---- arithmetic ----

add: Primitive = elementwise(
    "add",
    np.add,
    [lambda g, ans, x, y: g, lambda g, ans, x, y: g],
    reals(n=2, cplx=True),
    text=infix("+"),
    kernel=Pointwise("{0} + {1}", kinds="fiuc"),
)
sub: Primitive = elementwise(
    "sub",
    np.subtract,
    [lambda g, ans, x, y: g, lambda g, ans, x, y: -g],
    reals(n=2, cplx=True),
    text=infix("-"),
    kernel=Pointwise("{0} - {1}", kinds="fiuc"),
)
mul: Primitive = elementwise(
    "mul",
    np.multiply,
    [lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x],
    reals(n=2, cplx=True),
    text=infix("*"),
    kernel=Pointwise("{0} * {1}", kinds="fiuc"),
)
div: Primitive = elementwise(
    "div",
    np.true_divide,
    [lambda g, ans, x, y: g / y, lambda g, ans, x, y: -((g / y) * ans)],
    reals(0.5, 2.0, 2, cplx=True),
    text=infix("/"),
    kernel=Pointwise("{0} / {1}", cost=4),
)
neg: Primitive = elementwise(
    "neg",
    np.negative,
    [lambda g, ans, x: -g],
    reals(cplx=True),
    text=lambda args, types, params: f"-{args[0]}",
    kernel=Pointwise("-{0}", kinds="fiuc"),
)
reciprocal: Primitive = elementwise(
    "reciprocal",
    np.reciprocal,
    [lambda g, ans, x: -g * ans * ans],
    reals(0.5, 2.0, cplx=True),
    kernel=Pointwise("{one} / {0}", cost=4),
)
square: Primitive = elementwise(
    "square", np.square, [lambda g, ans, x: g * (2 * x)], reals(cplx=True), kernel=Pointwise("{0} * {0}", kinds="fiuc")
)
absolute: Primitive = elementwise(
    "abs", np.absolute, [lambda g, ans, x: g * sign(x)], reals(), kernel=Pointwise("{absolute}({0})")
)
fmod: Primitive = elementwise(
    "fmod",
    np.fmod,
    [lambda g, ans, x, y: g, lambda g, ans, x, y: -g * trunc(x / y)],
    reals(0.5, 3.0, 2),
    kernel=Pointwise("{fmod}({0}, {1})", cost=20),
)
remainder: Primitive = elementwise(
    "remainder",
    np.remainder,
    [lambda g, ans, x, y: g, lambda g, ans, x, y: -g * floor(x / y)],
    reals(0.5, 3.0, 2),
    kernel=Pointwise("{remainder}({0}, {1})", cost=20),
)
copysign: Primitive = elementwise(
    "copysign",
    np.copysign,
    [lambda g, ans, x, y: select(signbit(x) == signbit(y), g, -g) * (x != 0), None],
    reals(n=2),
    kernel=Pointwise("{copysign}({0}, {1})"),
)


def _integer_power(x: Any, *, n: int) -> Any:
    return np.power(x, n) if n >= 0 else np.reciprocal(np.power(x, -n))


def _integer_power_text(params: Params) -> str | None:
    # Squarings that the machine code shares; beyond them the general power.
    def power_of(n: int) -> str:
        if n == 1:
            return "{0}"
        half = power_of(n // 2)
        return f"({half} * {half})" if n % 2 == 0 else f"({half} * {half} * {{0}})"

    n = params["n"]
    if n == 0 or abs(n) > 32:
        return None
    return power_of(n) if n > 0 else f"{{one}} / {power_of(-n)}"


integer_pow: Primitive = elementwise(
    "integer_pow",
    _integer_power,
    [lambda g, ans, x, *, n: g * (n * integer_pow(x, n=n - 1)) if n else g * 0.0],
    lambda rng: [((array(rng, (3, 4), 0.5, 2.0),), {"n": n}) for n in (3, 0, -2, 1)],
    dtype=ufunc_dtype(np.square),
    text=lambda args, types, params: f"np.power({args[0]}, {params['n']})" if params["n"] >= 0 else None,
    kernel=Pointwise(_integer_power_text, kinds="fc", cost=3),
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


power: Primitive = elementwise(
    "pow",
    np.power,
    [_pow_base, _pow_exponent],
    reals(0.3, 2.0, 2, cplx=True),
    kernel=Pointwise("{pow}({0}, {1})", cost=30),
)


def _larger(g: Any, x: Any, y: Any) -> Any:
    return select(x == y, 0.5 * g, select(x > y, g, 0.0))


_extreme_samples = reals(n=2)
relu: Primitive = elementwise(
    "relu",
    lambda x: np.maximum(x, 0),
    [lambda g, ans, x: select(gt(ans, 0), g, 0.0)],
    reals(),
    dtype=lambda types: promoted_dtype(types),
    kernel=Pointwise("{where}({0} <= {zero}, {zero}, {0})", kinds="fiu", cost=2),
)
maximum: Primitive = elementwise(
    "max",
    np.maximum,
    [lambda g, ans, x, y: _larger(g, x, y), lambda g, ans, x, y: _larger(g, y, x)],
    _extreme_samples,
    kernel=Pointwise("{maximum}({0}, {1})", kinds="fiu", cost=2),
)
minimum: Primitive = elementwise(
    "min",
    np.minimum,
    [lambda g, ans, x, y: _larger(g, y, x), lambda g, ans, x, y: _larger(g, x, y)],
    _extreme_samples,
    kernel=Pointwise("{minimum}({0}, {1})", kinds="fiu", cost=2),
)
fmax: Primitive = elementwise(
    "fmax",
    np.fmax,
    [
        lambda g, ans, x, y: select(is_nan(y), g, _larger(g, x, y)),
        lambda g, ans, x, y: select(is_nan(x), g, _larger(g, y, x)),
    ],
    _extreme_samples,
    kernel=Pointwise("{where}({0} != {0}, {1}, {where}({1} != {1}, {0}, {maximum}({0}, {1})))", cost=4),
)
fmin: Primitive = elementwise(
    "fmin",
    np.fmin,
    [
        lambda g, ans, x, y: select(is_nan(y), g, _larger(g, y, x)),
        lambda g, ans, x, y: select(is_nan(x), g, _larger(g, x, y)),
    ],
    _extreme_samples,
    kernel=Pointwise("{where}({0} != {0}, {1}, {where}({1} != {1}, {0}, {minimum}({0}, {1})))", cost=4),
)
clamp: Primitive = elementwise(
    "clamp",
    lambda x, low, high: np.minimum(np.maximum(x, low), high),
    [
        lambda g, ans, x, low, high: select((x >= low) & (x <= high), g, 0.0),
        lambda g, ans, x, low, high: select((x < low) & (low < high), g, 0.0),
        lambda g, ans, x, low, high: select((x > high) | (low > high), g, 0.0),
    ],
    lambda rng: [((array(rng, (3, 4)), array(rng, (4,), -1.5, -0.5), array(rng, (3, 1), 0.5, 1.5)), {})],
    dtype=promoted_dtype,
    kernel=Pointwise("{minimum}({maximum}({0}, {1}), {2})", cost=4),
)

# ---- powers, exponentials and logarithms ----

sqrt: Primitive = elementwise(
    "sqrt",
    np.sqrt,
    [lambda g, ans, x: g / (2 * ans)],
    reals(0.2, 3.0, cplx=True),
    kernel=Pointwise("{sqrt}({0})", cost=6),
)
cbrt: Primitive = elementwise(
    "cbrt", np.cbrt, [lambda g, ans, x: g / (3 * ans * ans)], reals(0.2, 3.0), kernel=Pointwise("{cbrt}({0})", cost=15)
)
exp: Primitive = elementwise(
    "exp", np.exp, [lambda g, ans, x: g * ans], reals(cplx=True), kernel=Pointwise("{exp}({0})", cost=15)
)
exp2: Primitive = elementwise(
    "exp2",
    np.exp2,
    [lambda g, ans, x: g * (ans * math.log(2))],
    reals(cplx=True),
    kernel=Pointwise("{exp2}({0})", cost=15),
)
expm1: Primitive = elementwise(
    "expm1", np.expm1, [lambda g, ans, x: g * (ans + 1)], reals(cplx=True), kernel=Pointwise("{expm1}({0})", cost=15)
)
log: Primitive = elementwise(
    "log", np.log, [lambda g, ans, x: g / x], reals(0.2, 3.0, cplx=True), kernel=Pointwise("{log}({0})", cost=15)
)
log2: Primitive = elementwise(
    "log2",
    np.log2,
    [lambda g, ans, x: g / (x * math.log(2))],
    reals(0.2, 3.0, cplx=True),
    kernel=Pointwise("{log2}({0})", cost=15),
)
log10: Primitive = elementwise(
    "log10",
    np.log10,
    [lambda g, ans, x: g / (x * math.log(10))],
    reals(0.2, 3.0, cplx=True),
    kernel=Pointwise("{log10}({0})", cost=15),
)
log1p: Primitive = elementwise(
    "log1p",
    np.log1p,
    [lambda g, ans, x: g / (1 + x)],
    reals(-0.5, 3.0, cplx=True),
    kernel=Pointwise("{log1p}({0})", cost=15),
)


def _share(g: Any, x: Any, y: Any, scale: float = 1.0) -> Any:
    # exp(x) / (exp(x) + exp(y)); equal infinities share evenly instead of giving nan.
    d = select(x == y, 0.0, y - x)
    return g / (1 + exp(d * scale))


logaddexp: Primitive = elementwise(
    "logaddexp",
    np.logaddexp,
    [lambda g, ans, x, y: _share(g, x, y), lambda g, ans, x, y: _share(g, y, x)],
    reals(n=2),
    kernel=Pointwise("{logaddexp}({0}, {1})", cost=35),
)
logaddexp2: Primitive = elementwise(
    "logaddexp2",
    np.logaddexp2,
    [lambda g, ans, x, y: _share(g, x, y, math.log(2)), lambda g, ans, x, y: _share(g, y, x, math.log(2))],
    reals(n=2),
)

# ---- trigonometric and hyperbolic functions ----

sin: Primitive = elementwise(
    "sin", np.sin, [lambda g, ans, x: g * cos(x)], reals(cplx=True), kernel=Pointwise("{sin}({0})", cost=15)
)
cos: Primitive = elementwise(
    "cos", np.cos, [lambda g, ans, x: -g * sin(x)], reals(cplx=True), kernel=Pointwise("{cos}({0})", cost=15)
)
tan: Primitive = elementwise(
    "tan",
    np.tan,
    [lambda g, ans, x: g * (1 + ans * ans)],
    reals(-1.2, 1.2, cplx=True),
    kernel=Pointwise("{tan}({0})", cost=15),
)
asin: Primitive = elementwise(
    "asin",
    np.arcsin,
    [lambda g, ans, x: g / sqrt((1 - x) * (1 + x))],
    reals(-0.9, 0.9, cplx=True),
    kernel=Pointwise("{asin}({0})", cost=15),
)
acos: Primitive = elementwise(
    "acos",
    np.arccos,
    [lambda g, ans, x: -g / sqrt((1 - x) * (1 + x))],
    reals(-0.9, 0.9, cplx=True),
    kernel=Pointwise("{acos}({0})", cost=15),
)
atan: Primitive = elementwise(
    "atan",
    np.arctan,
    [lambda g, ans, x: g / (1 + x * x)],
    reals(-0.9, 0.9, cplx=True),
    kernel=Pointwise("{atan}({0})", cost=15),
)
sinh: Primitive = elementwise(
    "sinh", np.sinh, [lambda g, ans, x: g * cosh(x)], reals(cplx=True), kernel=Pointwise("{sinh}({0})", cost=15)
)
cosh: Primitive = elementwise(
    "cosh", np.cosh, [lambda g, ans, x: g * sinh(x)], reals(cplx=True), kernel=Pointwise("{cosh}({0})", cost=15)
)
tanh: Primitive = elementwise(
    "tanh", np.tanh, [lambda g, ans, x: g * (1 - ans * ans)], reals(cplx=True), kernel=Pointwise("{tanh}({0})", cost=15)
)
asinh: Primitive = elementwise(
    "asinh",
    np.arcsinh,
    [lambda g, ans, x: g / sqrt(x * x + 1)],
    reals(-0.9, 0.9, cplx=True),
    kernel=Pointwise("{asinh}({0})", cost=15),
)
acosh: Primitive = elementwise(
    "acosh",
    np.arccosh,
    [lambda g, ans, x: g / (sqrt(x - 1) * sqrt(x + 1))],
    reals(1.2, 3.0, cplx=True),
    kernel=Pointwise("{acosh}({0})", cost=15),
)
atanh: Primitive = elementwise(
    "atanh",
    np.arctanh,
    [lambda g, ans, x: g / ((1 - x) * (1 + x))],
    reals(-0.9, 0.9, cplx=True),
    kernel=Pointwise("{atanh}({0})", cost=15),
)


def _ratio(g: Any, top: Any, bottom: Any) -> Any:
    # top / bottom, and 0 where bottom is 0: the minimum-norm subgradient at the origin.
    empty = bottom == 0
    return g * select(empty, 0.0, top / select(empty, 1.0, bottom))


atan2: Primitive = elementwise(
    "atan2",
    np.arctan2,
    [lambda g, ans, y, x: _ratio(g, x, x * x + y * y), lambda g, ans, y, x: _ratio(g, -y, x * x + y * y)],
    reals(0.3, 2.0, 2),
    kernel=Pointwise("{atan2}({0}, {1})", cost=20),
)
hypot: Primitive = elementwise(
    "hypot",
    np.hypot,
    [lambda g, ans, x, y: _ratio(g, x, ans), lambda g, ans, x, y: _ratio(g, y, ans)],
    reals(0.3, 2.0, 2),
    kernel=Pointwise("{hypot}({0}, {1})", cost=10),
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


make_complex: Primitive = elementwise(
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
