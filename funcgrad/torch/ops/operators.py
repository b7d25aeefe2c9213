"""Python's operators on tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer
from funcgrad.core.types import SCALARS
from funcgrad.torch.operation import write_in_place
from funcgrad.torch.ops import arithmetic, comparison, linalg, unary
from funcgrad.torch.tensor import Tensor


def _accepted(other: Any) -> bool:
    return isinstance(other, Tensor) or type(other) in SCALARS or isinstance(other, (np.generic, Tracer))


def _binary(function: Any) -> Any:
    def operator(self: Tensor, other: Any) -> Any:
        return function(self, other) if _accepted(other) else NotImplemented

    return operator


def _reflected(function: Any) -> Any:
    def operator(self: Tensor, other: Any) -> Any:
        return function(other, self) if _accepted(other) else NotImplemented

    return operator


def _inplace(function: Any) -> Any:
    made = function.operation

    def operator(self: Tensor, other: Any) -> Any:
        return write_in_place(made, self, made.bound((self, other), {})) if _accepted(other) else NotImplemented

    return operator


def _unary(function: Any) -> Any:
    return lambda self: function(self)


_BINARY = {
    "add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "truediv": arithmetic.div,
    "floordiv": arithmetic.floor_divide, "mod": arithmetic.remainder, "pow": arithmetic.pow,
    "and": arithmetic.bitwise_and, "or": arithmetic.bitwise_or, "xor": arithmetic.bitwise_xor,
    "lshift": arithmetic.bitwise_left_shift, "rshift": arithmetic.bitwise_right_shift,
}  # fmt: skip
for _name, _function in _BINARY.items():
    setattr(Tensor, f"__{_name}__", _binary(_function))
    setattr(Tensor, f"__i{_name}__", _inplace(_function))
    setattr(Tensor, f"__r{_name}__", _reflected(_function))
# PyTorch records the commuting ones with the tensor first, and a difference as its own node.
for _name in ("add", "mul", "and", "or", "xor"):
    setattr(Tensor, f"__r{_name}__", _binary(_BINARY[_name]))
setattr(Tensor, "__rsub__", _binary(arithmetic.rsub))  # noqa: B010


def _rtruediv(self: Tensor, other: Any) -> Any:
    return unary.reciprocal(self) * other if _accepted(other) else NotImplemented


def _invert(self: Tensor) -> Tensor:
    if self._array.dtype.kind not in "bui":
        raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
    return comparison.bitwise_not(self)


def _matmul(self: Tensor, other: Any) -> Any:
    return linalg.matmul(self, other) if isinstance(other, Tensor) else NotImplemented


setattr(Tensor, "__rtruediv__", _rtruediv)  # noqa: B010
setattr(Tensor, "__matmul__", _matmul)  # noqa: B010
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", _binary(getattr(comparison, _name)))
for _name, _function in {
    "neg": unary.neg,
    "abs": unary.abs,
    "pos": unary.positive,
    "invert": _invert,
}.items():
    setattr(Tensor, f"__{_name}__", _unary(_function))
# With __eq__ set, Python would take the hash away.
setattr(Tensor, "__hash__", lambda self: id(self))  # noqa: B010
