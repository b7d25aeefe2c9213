"""The type of an array: shape, dtype, and whether it is weak. Everything in a Program has one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

SCALARS: dict[type, np.dtype] = {
    bool: np.dtype(bool),
    int: np.dtype(np.int64),
    float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}
"""Python's own numbers: weak, they take the dtype of what they meet (NEP 50)."""
WEAK_DTYPES = frozenset(SCALARS.values())
"""The dtypes that a weak value can have."""


@dataclass(frozen=True, slots=True)
class ArrayType:
    """Shape and dtype of an array. `weak` marks a value that came from Python numbers only (NEP 50)."""

    shape: tuple[int, ...]
    dtype: np.dtype
    weak: bool = False

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __str__(self) -> str:
        kind = self.dtype
        short = "bool" if kind == np.bool_ else f"{kind.kind}{kind.itemsize * 8}"
        return f"{short}[{','.join(map(str, self.shape))}]" + ("~" if self.weak else "")


@lru_cache(maxsize=8192)
def array_type(shape: tuple[int, ...], dtype: np.dtype, weak: bool = False) -> ArrayType:
    """The ArrayType for these fields, made once and shared. Raises TypeError for a dtype that holds no numbers."""
    if dtype.kind not in "biufc" and dtype.names != ("float0",):
        raise TypeError(f"expected an array of numbers, got dtype {dtype}; convert it before the call.")
    return ArrayType(shape, dtype, weak)


SCALAR_TYPES: dict[type, ArrayType] = {kind: array_type((), dtype, True) for kind, dtype in SCALARS.items()}


def is_inexact(dtype: np.dtype) -> bool:
    """Whether values of this dtype can have a derivative (floating or complex)."""
    return dtype.kind in "fc"


def value_type(value: Any) -> ArrayType:
    """The type of an array, a NumPy scalar or a Python number. Raises TypeError for anything else."""
    if type(value) is np.ndarray or isinstance(value, (np.ndarray, np.generic)):
        return array_type(value.shape, value.dtype)
    weak = SCALAR_TYPES.get(type(value))
    if weak is None:
        raise TypeError(f"expected an array or a number, got {value!r} of type {type(value).__name__}.")
    return weak
