"""Arithmetic of two and three operands."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.core.tracing import type_of
from funcgrad.scipy import special
from funcgrad.torch import dtypes
from funcgrad.torch.operation import Operand, TensorOrNumber, operation
from funcgrad.torch.ops.promotion import as_dtype, floating
from funcgrad.torch.tensor import Tensor


def _scaled(other: Any, alpha: Any) -> Any:
    return other if type(alpha) is int and alpha == 1 else alpha * other


@operation(promote="arithmetic", inplace=True)
def add(input: Operand, other: Operand, *, alpha: Operand = 1) -> Any:
    """input + alpha * other."""
    return fnp.logical_or(input, other) if _is_bool(input, other) else input + _scaled(other, alpha)


def _is_bool(*values: Any) -> bool:
    return all(type_of(v).dtype == np.bool_ for v in values)


@operation(promote="arithmetic", inplace=True)
def sub(input: Operand, other: Operand, *, alpha: Operand = 1) -> Any:
    """input - alpha * other. Raises RuntimeError for booleans."""
    if _is_bool(input, other):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    return input - _scaled(other, alpha)


@operation(promote="arithmetic")
def rsub(input: Operand, other: Operand, *, alpha: Operand = 1) -> Any:
    """other - alpha * input."""
    return other - _scaled(input, alpha)


@operation(promote="arithmetic", inplace=True)
def mul(input: Operand, other: Operand) -> Any:
    """input * other."""
    return fnp.logical_and(input, other) if _is_bool(input, other) else input * other


def _divided(input: Any, other: Any, mode: str | None) -> Any:
    if mode is None:
        return fnp.true_divide(floating(input) if type_of(input).shape or not type_of(input).weak else input, other)
    if mode == "floor":
        return fnp.floor_divide(input, other)
    if mode == "trunc":
        kind = dtypes.result_dtype([type_of(input), type_of(other)])
        if dtypes.category(kind) >= 2:
            return fnp.trunc(fnp.true_divide(input, other))
        quotient = fnp.floor_divide(input, other)
        return quotient + ((quotient < 0) & (quotient * other != input))
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'")


@operation(lambda input, other, rounding_mode: "DivBackward0" if rounding_mode is None else "DivBackward1",
           promote="arithmetic", inplace=True)  # fmt: skip
def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Any:
    """input / other, rounded down ("floor") or toward zero ("trunc") if asked for."""
    return _divided(input, other, rounding_mode)


@operation("NotImplemented", promote="arithmetic", inplace=True)
def floor_divide(input: Operand, other: Operand) -> Any:
    """input / other, rounded down."""
    return fnp.floor_divide(input, other)


@operation(promote="arithmetic", inplace=True)
def remainder(input: Operand, other: Operand) -> Any:
    """What is left of a division that rounds down: has the sign of `other`."""
    return fnp.remainder(input, other)


@operation(promote="arithmetic", inplace=True)
def fmod(input: Operand, other: Operand) -> Any:
    """What is left of a division that rounds toward zero: has the sign of `input`."""
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
    return fnp.power(input, exponent)


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


@operation("PowBackward1", promote=None)
def float_power(input: Operand, exponent: Operand) -> Any:
    """input ** exponent in float64 (complex128 for complex operands)."""
    wide = np.complex128 if "c" in (type_of(input).dtype.kind, type_of(exponent).dtype.kind) else np.float64
    return fnp.power(fnp.asarray(input).astype(wide), fnp.asarray(exponent).astype(wide))


@operation(promote="float", inplace=True)
def atan2(input: Operand, other: Operand) -> Any:
    """The angle of the point (other, input), in (-pi, pi]."""
    return fnp.arctan2(input, other)


@operation(promote="float", inplace=True, saves="result")
def hypot(input: Operand, other: Operand) -> Any:
    """sqrt(input**2 + other**2) without overflow."""
    return fnp.hypot(input, other)


@operation(promote="arithmetic")
def maximum(input: Operand, other: Operand) -> Any:
    """The larger of each pair; nan if one is; equal ones share the gradient."""
    return fnp.maximum(input, other)


@operation(promote="arithmetic")
def minimum(input: Operand, other: Operand) -> Any:
    """The smaller of each pair; nan if one is; equal ones share the gradient."""
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
           promote="arithmetic", inplace=True)  # fmt: skip
def lerp(input: Operand, end: Operand, weight: Operand) -> Any:
    """input + weight * (end - input)."""
    return input + weight * (end - input)


@operation(promote="arithmetic", inplace=True)
def addcmul(input: Operand, tensor1: Operand, tensor2: Operand, *, value: Operand = 1) -> Any:
    """input + value * tensor1 * tensor2."""
    return input + _scaled(tensor1 * tensor2, value)


@operation(promote="arithmetic", inplace=True)
def addcdiv(input: Operand, tensor1: Operand, tensor2: Operand, *, value: Operand = 1) -> Any:
    """input + value * tensor1 / tensor2."""
    return input + _scaled(fnp.true_divide(tensor1, tensor2), value)


@operation(promote="float", inplace=True)
def copysign(input: Operand, other: Operand) -> Any:
    """|input| with the sign of other."""
    return fnp.copysign(input, other)


@operation(promote="arithmetic", inplace=True)
def nextafter(input: Operand, other: Operand) -> Any:
    """The next number after input in the direction of other."""
    return fnp.nextafter(input, other)


@operation(promote="arithmetic", inplace=True)
def heaviside(input: Operand, values: Operand) -> Any:
    """0 below zero, `values` at zero, 1 above."""
    return fnp.heaviside(floating(input), values).astype(type_of(input).dtype)


@operation(promote="arithmetic", inplace=True)
def gcd(input: Operand, other: Operand) -> Any:
    """The greatest common divisor of integers."""
    return fnp.gcd(input, other)


@operation(promote="arithmetic", inplace=True)
def lcm(input: Operand, other: Operand) -> Any:
    """The least common multiple of integers."""
    return fnp.lcm(input, other)


@operation("MulBackward0", promote="float", inplace=True)
def ldexp(input: Operand, other: Operand) -> Any:
    """input * 2**other."""
    return input * fnp.exp2(other)


@operation(promote="float", inplace=True)
def xlogy(input: Operand, other: Operand) -> Any:
    """input * log(other), 0 where input is 0."""
    return special.xlogy(input, other)


@operation(promote="float")
def logaddexp(input: Operand, other: Operand) -> Any:
    """log(exp(input) + exp(other)) without overflow."""
    return fnp.logaddexp(input, other)


@operation(promote="float")
def logaddexp2(input: Operand, other: Operand) -> Any:
    """log2(2**input + 2**other) without overflow."""
    return fnp.logaddexp2(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_and(input: Operand, other: Operand) -> Any:
    """Bits set in both (of booleans: both)."""
    return fnp.bitwise_and(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_or(input: Operand, other: Operand) -> Any:
    """Bits set in one of them."""
    return fnp.bitwise_or(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_xor(input: Operand, other: Operand) -> Any:
    """Bits set in just one of them."""
    return fnp.bitwise_xor(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_left_shift(input: Operand, other: Operand) -> Any:
    """input * 2**other of integers."""
    return fnp.left_shift(input, other)


@operation(promote="arithmetic", inplace=True)
def bitwise_right_shift(input: Operand, other: Operand) -> Any:
    """input / 2**other of integers, rounded down."""
    return fnp.right_shift(input, other)


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
_ = lax
