"""Functions of one operand, element by element: a row of the table for each that is one function of the NumPy room."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax, nn
from funcgrad.core.tracing import type_of
from funcgrad.ops import elementwise
from funcgrad.scipy import special
from funcgrad.torch import dtypes
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.promotion import floating, supported
from funcgrad.torch.tensor import Tensor


def _row(name: str, f: Callable[[Any], Any], doc: str, *, saves: str = "inputs", promote: str | None = "float",
         title: str | None = None, inplace: bool = True) -> Any:  # fmt: skip
    def body(input: Operand) -> Any:
        return f(input)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return operation(title, promote=promote, saves=saves, inplace=inplace, name=name)(body)


def _integers_as_they_are(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: x if x.dtype.kind in "iu" else f(x)


exp = _row("exp", fnp.exp, "e**input.", saves="result")
exp2 = _row("exp2", fnp.exp2, "2**input.", saves="result")
expm1 = _row("expm1", fnp.expm1, "e**input - 1, exact near 0.", saves="result")
log = _row("log", fnp.log, "The natural logarithm.")
log2 = _row("log2", fnp.log2, "The logarithm to base 2.")
log10 = _row("log10", fnp.log10, "The logarithm to base 10.")
log1p = _row("log1p", fnp.log1p, "log(1 + input), exact near 0.", title="Log1PBackward0")
sqrt = _row("sqrt", fnp.sqrt, "The square root.", saves="result")
rsqrt = _row("rsqrt", lax.rsqrt, "1 / sqrt(input).", saves="result")
reciprocal = _row("reciprocal", lax.reciprocal, "1 / input.", saves="result")
sin = _row("sin", fnp.sin, "The sine.")
cos = _row("cos", fnp.cos, "The cosine.")
tan = _row("tan", fnp.tan, "The tangent.", saves="result")
asin = _row("asin", fnp.arcsin, "The inverse of sin.")
acos = _row("acos", fnp.arccos, "The inverse of cos.")
atan = _row("atan", fnp.arctan, "The inverse of tan.")
sinh = _row("sinh", fnp.sinh, "The hyperbolic sine.")
cosh = _row("cosh", fnp.cosh, "The hyperbolic cosine.")
tanh = _row("tanh", fnp.tanh, "The hyperbolic tangent.", saves="result")
asinh = _row("asinh", fnp.arcsinh, "The inverse of sinh.")
acosh = _row("acosh", fnp.arccosh, "The inverse of cosh.")
atanh = _row("atanh", fnp.arctanh, "The inverse of tanh.")
sinc = _row("sinc", fnp.sinc, "sin(pi x) / (pi x).")
sigmoid = _row("sigmoid", nn.sigmoid, "1 / (1 + exp(-input)).", saves="result")
erf = _row("erf", special.erf, "The error function.")
erfc = _row("erfc", special.erfc, "1 - erf.")
erfinv = _row("erfinv", special.erfinv, "The inverse of erf.")
lgamma = _row(
    "lgamma",
    lambda x: fnp.where(x == -np.inf, np.inf, special.gammaln(x)),
    "The logarithm of |gamma|; infinity at both ends.",
)
digamma = _row("digamma", special.digamma, "The derivative of lgamma.")
i0 = _row("i0", special.i0, "The modified Bessel function of order 0.")
deg2rad = _row("deg2rad", fnp.deg2rad, "Degrees as radians.", title="Deg2RadBackward0")
rad2deg = _row("rad2deg", fnp.rad2deg, "Radians as degrees.", title="Rad2DegBackward0")
neg = _row("neg", lambda x: -_no_bool(x, "Negation, the `-` operator,"), "-input.", promote=None)
abs = _row("abs", fnp.abs, "The absolute value; its derivative at 0 is 0.", promote=None)
sign = _row("sign", lambda x: x if x.dtype.kind == "b" else _sign(x), "-1, 0 or 1; 0 of nan.", promote=None)
sgn = _row(
    "sgn",
    lambda x: _direction(x),
    "input / |input|, 0 at 0.",
    promote=None,
)
square = _row(
    "square",
    lambda x: x * x if x.dtype.kind != "b" else x.astype(np.int64),
    "input * input.",
    promote=None,
    title="PowBackward0",
)
floor = _row("floor", _integers_as_they_are(fnp.floor), "Rounded down.", promote=None)
ceil = _row("ceil", _integers_as_they_are(fnp.ceil), "Rounded up.", promote=None)
trunc = _row("trunc", _integers_as_they_are(fnp.trunc), "Rounded toward 0.", promote=None)
frac = _row("frac", lambda x: x - lax.stop_gradient(fnp.trunc(x)), "What trunc takes away.", promote=None)
conj_physical = _row(
    "conj_physical", lambda x: fnp.conj(x) if x.dtype.kind == "c" else x, "The complex conjugate.", promote=None
)
relu = _row("relu", elementwise.relu, "max(input, 0); its derivative at 0 is 0.", saves="result", promote=None)


def _no_bits(x: Any) -> Any:
    return x.astype(np.int64) if x.dtype.kind == "b" else x


def _sign(x: Any) -> Any:
    found = fnp.sign(x)
    return fnp.where(x == x, found, 0) if x.dtype.kind == "f" else found


def _direction(x: Any) -> Any:
    if x.dtype.kind != "c":
        return x if x.dtype.kind == "b" else _sign(x)
    size = fnp.abs(x)
    return fnp.where(size == 0, 0, x / fnp.where(size == 0, 1, size))


def _no_bool(x: Any, what: str) -> Any:
    if x.dtype == np.bool_:
        raise RuntimeError(
            f"{what} on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
            f"`logical_not()` operator "
            "instead."
        )
    return x


@operation(lambda input, decimals: f"RoundBackward{int(decimals != 0)}", inplace=True)
def round(input: Operand, *, decimals: int = 0) -> Any:
    """Rounded to the nearest, halves to even; to `decimals` places."""
    return input if input.dtype.kind in "iu" else fnp.round(input, decimals)


@operation(inplace=True)
def nan_to_num(
    input: Operand, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Numbers in the places of nan and the infinities: 0 and the largest and smallest of the dtype by default."""
    if input.dtype.kind not in "fc":
        return input
    return fnp.nan_to_num(input, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


@operation(lambda input, min, max: "ClampBackward0" if any(isinstance(b, Tensor) for b in (min, max)) else "ClampBackward1",
           promote="arithmetic", inplace=True)  # fmt: skip
def clamp(input: Operand, min: Operand = None, max: Operand = None) -> Any:
    """Limited to [min, max]; the derivative at the bounds is 1."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    kind = dtypes.result_dtype([type_of(v) for v in (input, min, max) if v is not None])
    if kind.kind == "c":
        raise RuntimeError("clamp is not supported for complex types")
    supported("clamp_min_scalar_cpu" if max is None else "clamp_scalar_cpu", kind, "uif")
    low = input if min is None else fnp.where(input < min, min, input)
    return low if max is None else fnp.where(low > max, max, low)


@operation(lambda input, min: f"ClampMinBackward{int(isinstance(min, Tensor))}", promote="arithmetic", inplace=True)
def clamp_min(input: Operand, min: Operand) -> Any:
    """At least min."""
    return fnp.where(input < min, min, input)


@operation(lambda input, max: f"ClampMaxBackward{int(isinstance(max, Tensor))}", promote="arithmetic", inplace=True)
def clamp_max(input: Operand, max: Operand) -> Any:
    """At most max."""
    return fnp.where(input > max, max, input)


@operation(promote="float", inplace=True)
def logit(input: Operand, eps: float | None = None) -> Any:
    """log(x / (1 - x)) of x limited to [eps, 1 - eps]."""
    x = input if eps is None else fnp.where(input < eps, eps, fnp.where(input > 1 - eps, 1 - eps, input))
    return fnp.log(x / (1 - x))


@operation(promote=None, method=False, name="polygamma")
def polygamma(n: int, input: Operand) -> Any:
    """The n-th derivative of digamma."""
    return special.polygamma(n, floating(input))


def _polygamma_method(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    return polygamma(n, self)


Tensor.polygamma = _polygamma_method  # type: ignore[attr-defined]


@operation(promote="float", inplace=True)
def mvlgamma(input: Operand, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension p."""
    total = fnp.full_like(input, 0.25 * p * (p - 1) * math.log(math.pi))
    for j in range(p):
        total = total + special.gammaln(input - 0.5 * j)
    return total


# ---- complex ----


@operation()
def angle(input: Operand) -> Any:
    """The angle of complex numbers; pi for negative reals."""
    return fnp.angle(floating(input))


@operation("ConjBackward0", name="conj", method=False)
def _conj(input: Operand) -> Any:
    return fnp.conj(input)


def conj(input: Tensor) -> Tensor:
    """The complex conjugate; real tensors as they are."""
    return _conj(input) if input.is_complex() else input


def positive(input: Tensor) -> Tensor:
    """input itself. Raises RuntimeError for booleans."""
    if input._array.dtype == np.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@operation(promote="float", method=False)
def complex(real: Operand, imag: Operand) -> Any:
    """real + i imag."""
    return lax.complex(*fnp.broadcast_arrays(real, imag))


@operation(promote="float", method=False)
def polar(abs: Operand, angle: Operand) -> Any:
    """abs * exp(i angle)."""
    return lax.complex(*fnp.broadcast_arrays(abs * fnp.cos(angle), abs * fnp.sin(angle)))


absolute, clip, fix, negative, arcsin, arccos, arctan = abs, clamp, trunc, neg, asin, acos, atan
arcsinh, arccosh, arctanh, expit = asinh, acosh, atanh, sigmoid
for _name, _known in {
    "absolute": "abs", "clip": "clamp", "fix": "trunc", "negative": "neg", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
}.items():  # fmt: skip
    setattr(Tensor, _name, getattr(Tensor, _known))
    setattr(Tensor, _name + "_", getattr(Tensor, _known + "_"))

Tensor.conj, Tensor.positive = conj, positive  # type: ignore[attr-defined]
