"""Comparisons and logic: boolean results, no gradients; and choices by conditions."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.core.tracing import type_of
from funcgrad.ops.basics import convert
from funcgrad.torch import dtypes
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.promotion import supported, together
from funcgrad.torch.tensor import Tensor, concrete, make


@operation(promote="arithmetic", inplace=True)
def eq(input: Operand, other: Operand) -> Any:
    """Whether equal."""
    return input == other


@operation(promote="arithmetic", inplace=True)
def ne(input: Operand, other: Operand) -> Any:
    """Whether not equal."""
    return input != other


def _ordered(name: str, *values: Any) -> None:
    supported(f"{name}_cpu", dtypes.result_dtype([type_of(v) for v in values]), "buif")


@operation(promote="arithmetic", inplace=True)
def lt(input: Operand, other: Operand) -> Any:
    """Whether less."""
    _ordered("lt", input, other)
    return input < other


@operation(promote="arithmetic", inplace=True)
def le(input: Operand, other: Operand) -> Any:
    """Whether less or equal."""
    _ordered("le", input, other)
    return input <= other


@operation(promote="arithmetic", inplace=True)
def gt(input: Operand, other: Operand) -> Any:
    """Whether greater."""
    _ordered("gt", input, other)
    return input > other


@operation(promote="arithmetic", inplace=True)
def ge(input: Operand, other: Operand) -> Any:
    """Whether greater or equal."""
    _ordered("ge", input, other)
    return input >= other


@operation(inplace=True)
def logical_and(input: Operand, other: Operand) -> Any:
    """Whether both are not zero."""
    return fnp.logical_and(input, other)


@operation(inplace=True)
def logical_or(input: Operand, other: Operand) -> Any:
    """Whether one is not zero."""
    return fnp.logical_or(input, other)


@operation(inplace=True)
def logical_xor(input: Operand, other: Operand) -> Any:
    """Whether just one is not zero."""
    return fnp.logical_xor(input, other)


@operation(inplace=True)
def logical_not(input: Operand) -> Any:
    """Whether zero."""
    return fnp.logical_not(input)


@operation(inplace=True)
def bitwise_not(input: Operand) -> Any:
    """All bits turned (of booleans: not)."""
    supported("bitwise_not_cpu", input.dtype, "bui")
    return fnp.invert(input)


@operation(promote="arithmetic")
def isclose(input: Operand, other: Operand, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Whether |input - other| <= atol + rtol * |other|."""
    return fnp.isclose(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


def _test(name: str, f: Any, doc: str) -> Any:
    def body(input: Operand) -> Any:
        return f(input)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return operation(name=name)(body)


isnan = _test("isnan", fnp.isnan, "Whether nan.")
isinf = _test("isinf", fnp.isinf, "Whether infinite.")
isfinite = _test("isfinite", fnp.isfinite, "Whether neither infinite nor nan.")
isposinf = _test("isposinf", fnp.isposinf, "Whether plus infinity.")
isneginf = _test("isneginf", fnp.isneginf, "Whether minus infinity.")
isreal = _test("isreal", fnp.isreal, "Whether the imaginary part is zero.")
signbit = _test(
    "signbit", lambda x: fnp.signbit(x) if x.dtype.kind == "f" else x < 0, "Whether negative, -0.0 included."
)


@operation("WhereBackward0", method=False, name="where")
def where_step(condition: Operand, input: Operand, other: Operand) -> Any:
    """`input` where the condition holds, `other` elsewhere."""
    x, y = together(input, other)
    return fnp.where(condition, x, y)


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`; with the condition alone, as nonzero(as_tuple=True)."""
    if input is None and other is None:
        return tuple(make(i) for i in np.nonzero(concrete(condition, "torch.where")))
    return where_step(condition, input, other)


def _where_method(self: Tensor, condition: Tensor, other: Any) -> Any:
    """This tensor where the condition holds, else `other`."""
    return where_step(condition, self, other)


Tensor.where = _where_method  # type: ignore[attr-defined]


@operation(lambda input, mask, value: f"MaskedFillBackward{int(isinstance(value, Tensor))}", inplace=True)
def masked_fill(input: Operand, mask: Operand, value: Operand) -> Any:
    """`value` where the mask is true."""
    if mask.dtype != np.bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    kind = input.dtype
    number = convert(fnp.asarray(value), kind)
    return fnp.where(mask, number, input)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all values are equal."""
    a, b = concrete(input, "torch.equal"), concrete(other, "torch.equal")
    return a.shape == b.shape and bool((a == b).all())


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all values are close (see `isclose`)."""
    a, b = concrete(input, "torch.allclose"), concrete(other, "torch.allclose")
    return bool(np.allclose(a, b, rtol, atol, equal_nan))


Tensor.equal = equal  # type: ignore[attr-defined]
Tensor.allclose = allclose  # type: ignore[attr-defined]
greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
for _long, _short in {
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
}.items():
    setattr(Tensor, _long, getattr(Tensor, _short))
    setattr(Tensor, _long + "_", getattr(Tensor, _short + "_"))
