"""Functions of one operand, element by element."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.torch.operation import Operand, operation


@operation(promote="float", saves="result", inplace=True)
def tanh(input: Operand) -> Any:
    """tanh(input)."""
    return fnp.tanh(input)


@operation(promote="float", saves="result", inplace=True)
def exp(input: Operand) -> Any:
    """exp(input)."""
    return fnp.exp(input)


@operation(promote="float", inplace=True)
def sin(input: Operand) -> Any:
    """sin(input)."""
    return fnp.sin(input)


@operation(promote="float", inplace=True)
def log(input: Operand) -> Any:
    """log(input)."""
    return fnp.log(input)
