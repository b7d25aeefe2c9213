"""Python's operators on tensors."""

from __future__ import annotations

from typing import Any

from funcgrad.core.types import SCALARS
from funcgrad.torch.operation import write_in_place
from funcgrad.torch.ops import arithmetic
from funcgrad.torch.tensor import Tensor


def _accepted(other: Any) -> bool:
    return isinstance(other, Tensor) or type(other) in SCALARS or hasattr(other, "dtype")


def binary(function: Any) -> Any:
    """The operator `self function other`."""

    def operator(self: Tensor, other: Any) -> Any:
        return function(self, other) if _accepted(other) else NotImplemented

    return operator


def reflected(function: Any) -> Any:
    """The operator `other function self`."""

    def operator(self: Tensor, other: Any) -> Any:
        return function(other, self) if _accepted(other) else NotImplemented

    return operator


def inplace(function: Any) -> Any:
    """The operator `self function= other`."""
    made = function.operation

    def operator(self: Tensor, other: Any) -> Any:
        return write_in_place(made, self, made.bound((self, other), {})) if _accepted(other) else NotImplemented

    return operator


for _name, _function in {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
}.items():
    setattr(Tensor, f"__{_name}__", binary(_function))
    setattr(Tensor, f"__r{_name}__", reflected(_function))
    setattr(Tensor, f"__i{_name}__", inplace(_function))
