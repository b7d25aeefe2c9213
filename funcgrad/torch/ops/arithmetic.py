"""Arithmetic of two operands."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.torch.operation import Operand, operation


@operation(promote="arithmetic", inplace=True)
def add(input: Operand, other: Operand, *, alpha: Operand = 1) -> Any:
    """input + alpha * other."""
    return input + other if type(alpha) is int else input + alpha * other


@operation(promote="arithmetic", inplace=True)
def sub(input: Operand, other: Operand, *, alpha: Operand = 1) -> Any:
    """input - alpha * other."""
    return input - other if type(alpha) is int else input - alpha * other


@operation(promote="arithmetic", inplace=True)
def mul(input: Operand, other: Operand) -> Any:
    """input * other."""
    return input * other


@operation(promote="float", inplace=True, name="div")
def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> Any:
    """input / other."""
    return fnp.true_divide(input, other)
