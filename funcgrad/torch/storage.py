"""Storages: the memory under tensors, as scripts look at it (`x.untyped_storage().data_ptr()` says whether two share it)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from funcgrad.torch import dtypes
from funcgrad.torch.tensor import Tensor, concrete, memory_of


class UntypedStorage:
    """The bytes of the memory that a tensor and its views lie in."""

    def __init__(self, array: np.ndarray):
        self._bytes = array.reshape(-1).view(np.uint8) if array.flags.c_contiguous else _flat(array).view(np.uint8)

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._bytes.__array_interface__["data"][0])

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._bytes.size

    size = nbytes
    __len__ = nbytes

    def element_size(self) -> int:
        """1: bytes."""
        return 1

    def tolist(self) -> list[int]:
        """The bytes as integers."""
        return self._bytes.tolist()

    def __getitem__(self, at: Any) -> Any:
        return self._bytes[at].tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self._bytes.tolist())

    def __eq__(self, other: object) -> Any:
        return isinstance(other, UntypedStorage) and self.data_ptr() == other.data_ptr()

    def __hash__(self) -> int:
        return hash(self.data_ptr())

    @property
    def device(self) -> dtypes.device:
        """The CPU."""
        return dtypes.device("cpu")


class TypedStorage:
    """The numbers of the memory that a tensor and its views lie in."""

    def __init__(self, array: np.ndarray, kind: dtypes.dtype):
        self._array, self.dtype = array, kind

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._array)

    def data_ptr(self) -> int:
        """The address of the first number."""
        return self.untyped().data_ptr()

    def size(self) -> int:
        """How many numbers there are."""
        return self._array.size

    __len__ = size

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._array.nbytes

    def element_size(self) -> int:
        """The bytes of one number."""
        return self._array.itemsize

    def tolist(self) -> list[Any]:
        """The numbers, in the order of memory."""
        return self._array.tolist()

    def __getitem__(self, at: Any) -> Any:
        return self._array[at].tolist()

    def __setitem__(self, at: Any, value: Any) -> None:
        self._array[at] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self._array.tolist())

    def __repr__(self) -> str:
        numbers = "\n".join(f" {n}" for n in self._array.tolist())
        return f"{numbers}\n[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {self._array.size}]"


def _flat(array: np.ndarray) -> np.ndarray:
    """The memory that an array lies in, one number after the other."""
    return memory_of(array).ravel(order="K").view(array.dtype)


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The bytes under the tensor and all that share its memory."""
    return UntypedStorage(_flat(concrete(self, "untyped_storage")))


def storage(self: Tensor) -> TypedStorage:
    """The numbers under the tensor and all that share its memory."""
    return TypedStorage(_flat(concrete(self, "storage")), self.dtype)


def is_storage(obj: Any) -> bool:
    """Whether an object is a storage."""
    return isinstance(obj, (UntypedStorage, TypedStorage))


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors are the same numbers in memory: start, shape and strides."""
    return (self.data_ptr(), self.shape, self.stride()) == (tensor.data_ptr(), tensor.shape, tensor.stride())


for _method in (untyped_storage, storage, is_set_to):
    setattr(Tensor, _method.__name__, _method)
