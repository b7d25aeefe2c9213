"""Reductions."""

from __future__ import annotations

from typing import Any

import funcgrad.numpy as fnp
from funcgrad.torch.operation import Operand, operation


@operation(lambda input, dim, keepdim, dtype: "SumBackward0" if dim is None else "SumBackward1")
def sum(input: Operand, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over all or the given dimensions."""
    return fnp.sum(input, axis=dim, keepdims=keepdim)
