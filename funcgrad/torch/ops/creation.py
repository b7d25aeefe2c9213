"""Creation: tensors from Python values and from nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.torch import dtypes
from funcgrad.torch.tensor import Tensor, concrete, make


def finish(array: np.ndarray, requires_grad: bool = False) -> Tensor:
    """A new tensor over an array."""
    made = make(array)
    if requires_grad:
        made.requires_grad = True
    return made


def as_array(data: Any, dtype: Any) -> np.ndarray:
    """Data as a new array of the dtype that PyTorch gives it."""
    if isinstance(data, Tensor):
        array = np.array(concrete(data, "torch.tensor"))
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
    else:
        array = np.array(_plain(data))
        if array.dtype == object:
            raise TypeError(f"new(): data must be numbers in lists of equal length, got {data!r:.200}")
        if dtype is None and array.dtype.kind in "fc" and not _has_numpy(data):
            kind = dtypes.get_default_dtype() if array.dtype.kind == "f" else dtypes.default_complex()
            array = array.astype(kind.numpy)
    return array if dtype is None else array.astype(dtypes.numpy_dtype(dtype))


def _plain(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        return [_plain(d) for d in data]
    return concrete(data, "torch.tensor") if isinstance(data, Tensor) else data


def _has_numpy(data: Any) -> bool:
    if isinstance(data, (list, tuple)):
        return any(_has_numpy(d) for d in data[:1])
    return isinstance(data, (np.ndarray, np.generic, Tensor))


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new leaf with a copy of the data: numbers, nested lists, arrays."""
    if device is not None:
        dtypes.device(device)
    array = as_array(data, dtype)
    dtypes.from_numpy_dtype(array.dtype)
    return finish(array, requires_grad)
