"""ShapeDtypeStruct: what stands for an array where only its type matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type


@dataclass(frozen=True, slots=True)
class ShapeDtypeStruct:
    """Shape and dtype of an array that need not exist; stands for one in `eval_shape`, `lower` and `make_expr`."""

    shape: tuple[int, ...]
    dtype: Any
    weak_type: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))


def struct_of(t: ArrayType) -> ShapeDtypeStruct:
    """The stand-in for arrays of a type."""
    return ShapeDtypeStruct(t.shape, t.dtype, t.weak)


def leaf_type(leaf: Any) -> ArrayType:
    """The type of an array, number, tracer, or anything with `shape` and `dtype`."""
    if isinstance(leaf, ShapeDtypeStruct):
        return array_type(leaf.shape, leaf.dtype, leaf.weak_type)
    return type_of(leaf)
