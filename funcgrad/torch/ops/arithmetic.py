"""Arithmetic of two and three operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.core.tracing import type_of
from funcgrad.ops.basics import convert
from funcgrad.scipy import special
from funcgrad.torch import dtypes
from funcgrad.torch.broadcast import check_broadcast
from funcgrad.torch.operation import Operand, TensorOrNumber, operation
from funcgrad.torch.ops.promotion import as_dtype, floating, supported, together
from funcgrad.torch.tensor import Tensor


def _scaled(other: Any, alpha: Any, kind: Any = None) -> Any:
    """alpha * other; `kind`: the dtype of the result, which may not be lower than alpha's."""
    if type(alpha) is int and alpha == 1:
        return other
    if kind is None or dtypes.category(kind) >= 2:
        return alpha * other
    if dtypes.category(type_of(alpha).dtype) >= 2:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    factor = convert(fnp.asarray(alpha), kind)
    return fnp.logical_and(other, factor) if kind == np.bool_ else factor * other


def _kind(*values: Any) -> np.dtype:
    return dtypes.result_dtype([type_of(v) for v in values])


def _pair(input: Any, other: Any) -> list[Any]:
    check_broadcast([type_of(input).shape, type_of(other).shape])
    kind = _kind(input, other)
    return [_wrapped(v, kind) for v in together(input, other)]


def _wrapped(x: Any, kind: np.dtype) -> Any:
    """x; a Python int that a small integer dtype may not hold as what is left of its bits there."""
    return convert(fnp.asarray(x), kind) if type_of(x).weak and kind.kind in "iu" and kind.itemsize < 8 else x


@operation(inplace=True)
def add(input: Operand, other: Operand, *, alpha: Operand = 1) -> Any:
    """input + alpha * other."""
    input, other = _pair(input, other)
    scaled = _scaled(other, alpha, _kind(input, other))
    return fnp.logical_or(input, scaled) if _is_bool(input, other) else input + scaled


def _is_bool(*values: Any) -> bool:
    return all(type_of(v).dtype == np.bool_ for v in values)


def _difference(input: Any, other: Any, alpha: Any) -> Any:
    flags = [type_of(v).dtype == np.bool_ for v in (input, other)]
    if any(flags):
        both = "two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."
        one = (
            "a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator "
            "instead."
        )
        raise RuntimeError(f"Subtraction, the `-` operator, with {both if all(flags) else one}")
    input, other = _pair(input, other)
    return input - _scaled(other, alpha, _kind(input, other))


@operation(inplace=True)
def sub(input: Operand, other: Operand, *, alpha: Operand = 1) -> Any:
    """input - alpha * other. Raises RuntimeError for booleans."""
    return _difference(input, other, alpha)


@operation(lambda input, other, alpha: f"RsubBackward{int(not isinstance(other, Tensor))}", method=False)
def rsub(input: Operand, other: Operand, *, alpha: Operand = 1) -> Any:
    """other - alpha * input. Raises RuntimeError for booleans."""
    return _difference(other, input, alpha)


@operation(inplace=True)
def mul(input: Operand, other: Operand) -> Any:
    """input * other."""
    input, other = _pair(input, other)
    return fnp.logical_and(input, other) if _is_bool(input, other) else input * other


def _divided(input: Any, other: Any, mode: str | None) -> Any:
    if mode is None:
        return fnp.true_divide(*[v if type_of(v).weak else floating(v) for v in (input, other)])
    if mode in ("floor", "trunc"):
        supported(f"div_{mode}_cpu", _kind(input, other), "uif")
    if mode == "floor":
        return fnp.floor_divide(input, other)
    if mode == "trunc":
        kind = dtypes.result_dtype([type_of(input), type_of(other)])
        if dtypes.category(kind) >= 2:
            return fnp.trunc(fnp.true_divide(input, other))
        quotient = fnp.floor_divide(input, other)
        return quotient + ((quotient < 0) & (quotient * other != input))
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'")


@operation(lambda input, other, rounding_mode: "DivBackward0" if rounding_mode is None else "DivBackward2",
           promote="arithmetic", inplace=True)  # fmt: skip
def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Any:
    """input / other, rounded down ("floor") or toward zero ("trunc") if asked for."""
    return _divided(input, other, rounding_mode)


@operation("NotImplemented", promote="arithmetic", inplace=True)
def floor_divide(input: Operand, other: Operand) -> Any:
    """input / other, rounded down."""
    supported("div_floor_cpu", _kind(input, other), "uif")
    return fnp.floor_divide(input, other)


def _by_tensor(name: str) -> Any:
    return lambda input, other: f"{name}Backward{int(isinstance(other, Tensor))}"


@operation(lambda input, other: f"RemainderBackward{int(isinstance(input, Tensor) and isinstance(other, Tensor))}",
           promote="arithmetic", inplace=True)  # fmt: skip
def remainder(input: Operand, other: Operand) -> Any:
    """What is left of a division that rounds down: has the sign of `other`."""
    supported("remainder_cpu", _kind(input, other), "uif")
    return fnp.remainder(input, other)


@operation(_by_tensor("Fmod"), promote="arithmetic", inplace=True)
def fmod(input: Operand, other: Operand) -> Any:
    """What is left of a division that rounds toward zero: has the sign of `input`."""
    supported("fmod_cpu", _kind(input, other), "uif")
    return fnp.fmod(input, other)


def _pow_title(input: Any, exponent: Any) -> str:
    if not isinstance(exponent, Tensor):
        return "PowBackward0"
    return "PowBackward1" if isinstance(input, Tensor) else "PowBackward2"


@operation(_pow_title, promote="arithmetic", inplace=True)
def pow(input: TensorOrNumber, exponent: TensorOrNumber) -> Any:
    """input ** exponent. Raises RuntimeError for integers to negative integer powers."""
    if isinstance(exponent, (int, float, complex)):
        return _power(input, exponent)
    if dtypes.category(_kind(input, exponent)) >= 2:
        return fnp.power(input, exponent)
    # Of integers only 1 and -1 have negative powers; the others' are rounded to 0.
    negative = exponent < 0
    kept = fnp.power(input, fnp.where(negative, 0, exponent))
    inverse = fnp.where(input == 1, 1, fnp.where(input == -1, 1 - 2 * (exponent & 1), 0))
    return fnp.where(negative, inverse, kept).astype(kept.dtype)


def _power(x: Any, n: Any) -> Any:
    integers = dtypes.category(x.dtype) < 2
    if integers and type(n) is int and n < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if integers and type(n) in (float, complex):
        x = floating(x)
    if type(n) is complex and x.dtype.kind == "f":
        x = as_dtype(x, np.result_type(x.dtype, np.complex64))
    if type(n) is float and n == int(n) if type(n) is float and abs(n) < 64 else False:
        n = int(n)
    if type(n) is int and 0 <= n <= 3:
        return (fnp.ones_like(x), x, x * x, x * x * x)[n]
    return fnp.power(x, n)


@operation(_pow_title, inplace=True)
def float_power(input: Operand, exponent: Operand) -> Any:
    """input ** exponent in float64 (complex128 for complex operands)."""
    wide = np.complex128 if "c" in (type_of(input).dtype.kind, type_of(exponent).dtype.kind) else np.float64
    return fnp.power(fnp.asarray(input).astype(wide), fnp.asarray(exponent).astype(wide))


@operation(promote="float", inplace=True)
def atan2(input: Operand, other: Operand) -> Any:
    """The angle of the point (other, input), in (-pi, pi]."""
    supported("atan2_cpu", _kind(input, other), "f")
    return fnp.arctan2(input, other)


@operation(promote="float", inplace=True, saves="result")
def hypot(input: Operand, other: Operand) -> Any:
    """sqrt(input**2 + other**2) without overflow."""
    return fnp.hypot(input, other)


def _ordered(name: str, input: Any, other: Any) -> None:
    if _kind(input, other).kind == "c":
        raise RuntimeError(f"{name} not implemented for complex tensors.")


@operation(promote="arithmetic")
def maximum(input: Operand, other: Operand) -> Any:
    """The larger of each pair; nan if one is; equal ones share the gradient."""
    _ordered("maximum", input, other)
    return fnp.maximum(input, other)


@operation(promote="arithmetic")
def minimum(input: Operand, other: Operand) -> Any:
    """The smaller of each pair; nan if one is; equal ones share the gradient."""
    _ordered("minimum", input, other)
    return fnp.minimum(input, other)


@operation(promote="arithmetic")
def fmax(input: Operand, other: Operand) -> Any:
    """The larger of each pair; a number before nan."""
    return fnp.where((input >= other) | fnp.isnan(other), input, other)


@operation(promote="arithmetic")
def fmin(input: Operand, other: Operand) -> Any:
    """The smaller of each pair; a number before nan."""
    return fnp.where((input <= other) | fnp.isnan(other), input, other)


@operation(lambda input, end, weight: "LerpBackward1" if isinstance(weight, Tensor) else "LerpBackward0",
           inplace=True)  # fmt: skip
def lerp(input: Operand, end: Operand, weight: Operand) -> Any:
    """input + weight * (end - input), all of one dtype."""
    for name, given in (("end", end), ("weight", weight)):
        if not type_of(given).weak and given.dtype != input.dtype:
            want, have = (dtypes.from_numpy_dtype(v.dtype) for v in (input, given))
            raise RuntimeError(f"expected dtype {want.name} for `{name}` but got dtype {have.name}")
    supported("lerp_kernel_scalar", input.dtype, "fc")
    return input + weight * (end - input)


@operation(promote="arithmetic", inplace=True)
def addcmul(input: Operand, tensor1: Operand, tensor2: Operand, *, value: Operand = 1) -> Any:
    """input + value * tensor1 * tensor2."""
    return input + _scaled(tensor1 * tensor2, value)


@operation(promote="arithmetic", inplace=True)
def addcdiv(input: Operand, tensor1: Operand, tensor2: Operand, *, value: Operand = 1) -> Any:
    """input + value * tensor1 / tensor2."""
    return input + _scaled(fnp.true_divide(tensor1, tensor2), value)


@operation(lambda input, other: f"CopysignBackward{int(not isinstance(other, Tensor))}", promote="float", inplace=True)
def copysign(input: Operand, other: Operand) -> Any:
    """|input| with the sign of other."""
    return fnp.copysign(input, other)


@operation(promote="arithmetic", inplace=True)
def nextafter(input: Operand, other: Operand) -> Any:
    """The next number after input in the direction of other."""
    # The gradient goes to input as if nothing had been added.
    found = lax.stop_gradient(fnp.nextafter(input, other))
    return fnp.where(fnp.isfinite(input), lax.stop_gradient(found - input) + input, found)


@operation(promote="arithmetic", inplace=True)
def heaviside(input: Operand, values: Operand) -> Any:
    """0 below zero, `values` at zero, 1 above."""
    x = floating(input)
    return fnp.where(x == 0, values, fnp.where(x > 0, 1, 0)).astype(type_of(input).dtype)


@operation(promote="arithmetic", inplace=True)
def gcd(input: Operand, other: Operand) -> Any:
    """The greatest common divisor of integers."""
    return fnp.gcd(input, other)


@operation(promote="arithmetic", inplace=True)
def lcm(input: Operand, other: Operand) -> Any:
    """The least common multiple of integers."""
    return fnp.lcm(input, other)


@operation(promote="float", inplace=True)
def ldexp(input: Operand, other: Operand) -> Any:
    """input * 2**other."""
    return input * fnp.exp2(other)


def _xlogy_title(input: Any, other: Any) -> str:
    if not isinstance(other, Tensor):
        return "XlogyBackward2"
    return "XlogyBackward0" if isinstance(input, Tensor) else "XlogyBackward1"


@operation(_xlogy_title, promote="float", inplace=True)
def xlogy(input: Operand, other: Operand) -> Any:
    """input * log(other), 0 where input is 0."""
    supported("xlogy_cpu", _kind(input, other), "f")
    return special.xlogy(input, other)


@operation(promote="float")
def logaddexp(input: Operand, other: Operand) -> Any:
    """log(exp(input) + exp(other)) without overflow."""
    if type_of(input).dtype.kind != "c":
        return fnp.logaddexp(input, other)
    larger = fnp.where(fnp.real(input) >= fnp.real(other), input, other)
    smaller = fnp.where(fnp.real(input) >= fnp.real(other), other, input)
    return larger + fnp.log1p(fnp.exp(smaller - larger))


@operation(promote="float")
def logaddexp2(input: Operand, other: Operand) -> Any:
    """log2(2**input + 2**other) without overflow."""
    return fnp.logaddexp2(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_and(input: Operand, other: Operand) -> Any:
    """Bits set in both (of booleans: both)."""
    supported("bitwise_and_cpu", _kind(input, other), "bui")
    return fnp.bitwise_and(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_or(input: Operand, other: Operand) -> Any:
    """Bits set in one of them."""
    supported("bitwise_or_cpu", _kind(input, other), "bui")
    return fnp.bitwise_or(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_xor(input: Operand, other: Operand) -> Any:
    """Bits set in just one of them."""
    supported("bitwise_xor_cpu", _kind(input, other), "bui")
    return fnp.bitwise_xor(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_left_shift(input: Operand, other: Operand) -> Any:
    """input * 2**other of integers."""
    supported("lshift_cpu", _kind(input, other), "ui")
    return fnp.left_shift(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_right_shift(input: Operand, other: Operand) -> Any:
    """input / 2**other of integers, rounded down."""
    supported("rshift_cpu", _kind(input, other), "ui")
    return fnp.right_shift(input, other)


def _check_divisor(arguments: Sequence[Any]) -> None:
    """Raises RuntimeError for a division of integers by 0, for which there is no infinity."""
    if len(arguments) > 2 and arguments[2] is None:
        return
    values = [v._array if isinstance(v, Tensor) else v for v in arguments[:2]]
    if any(isinstance(v, (float, complex)) or (isinstance(v, np.ndarray) and v.dtype.kind in "fc") for v in values):
        return
    divisor = values[1]
    if (type(divisor) is np.ndarray and not divisor.all()) or (type(divisor) is int and divisor == 0):
        raise RuntimeError("ZeroDivisionError")


for _divides in (div, floor_divide, remainder, fmod):
    _divides.operation.check = _check_divisor
subtract, multiply, divide, true_divide, arctan2 = sub, mul, div, div, atan2
for _name, _function in {
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "arctan2": "atan2",
}.items():
    setattr(Tensor, _name, getattr(Tensor, _function))
    setattr(Tensor, _name + "_", getattr(Tensor, _function + "_"))
