"""Copies: clone, copy_, conversion of dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ops.basics import convert
from funcgrad.torch import dtypes
from funcgrad.torch.operation import Operand, operation, write_in_place
from funcgrad.torch.tensor import Tensor, make


def _copied(x: np.ndarray, memory_format: Any) -> np.ndarray:
    return np.array(x, order="K")


@operation(look=_copied)
def clone(input: Operand, *, memory_format: Any = None) -> Any:
    """A copy that gradients flow through."""
    return input


@operation("CopyBackwards", method=False)
def copy(input: Operand, other: Operand) -> Any:
    """`other` in the shape and dtype of `input`: the body of `copy_`."""
    return convert(fnp.broadcast_to(other, input.shape), input.dtype)


@operation("ToCopyBackward0", method=False, look=lambda x, dtype: x.astype(dtype.numpy))
def to_copy(input: Operand, dtype: Any) -> Any:
    """A copy in another dtype."""
    return convert(input, dtype.numpy)


def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Writes the values of `src`, broadcast and converted, into the tensor; gradients go to `src`."""
    return write_in_place(copy.operation, self, [self, src])


Tensor.copy_ = copy_  # type: ignore[attr-defined]


def as_dtype(self: Tensor, kind: dtypes.dtype) -> Tensor:
    """The tensor in a dtype: itself if it has that already."""
    return self if self._array.dtype == kind.numpy else to_copy(self, kind)


def to(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False,
       memory_format: Any = None) -> Tensor:  # fmt: skip
    """The tensor in another dtype (or the dtype of another tensor); itself where nothing changes, unless `copy`."""
    for a in args:
        if isinstance(a, Tensor):
            dtype = a.dtype
        elif isinstance(a, dtypes.dtype):
            dtype = a
        elif isinstance(a, (str, dtypes.device)):
            device = a
    if device is not None:
        dtypes.device(device)
    if dtype is not None and self._array.dtype != dtype.numpy:
        return to_copy(self, dtype)
    return clone(self) if copy else self


Tensor.to = to  # type: ignore[attr-defined]
_ = make
