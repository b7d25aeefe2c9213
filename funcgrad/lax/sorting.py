"""lax's sorts and the largest and smallest values. The derivative goes to the selected values."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy import sorting
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.taking import take_along_axis
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import convert
from funcgrad.ops.shape import slice_axis


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """`operand` in ascending order along `dimension`, nan last; several arrays of one shape by the first `num_keys` of them.

    operand: an array, or a tuple or list of arrays of one shape; gives an array or a tuple. Every sort is stable, so
    is_stable=False, which allows another order of equal keys, gives the same.
    Raises ValueError for unequal shapes or a number of keys that is not between 1 and the number of arrays.
    """
    if not isinstance(operand, (tuple, list)):
        if num_keys != 1:
            raise ValueError(f"lax.sort: num_keys={num_keys} was asked of one array.")
        x = array_operand(operand)
        return wrap(sorting.sort(x, axis_of(dimension, len(shape_of(x)), "sort"), stable=True))
    found = [array_operand(x) for x in operand]
    shapes = {shape_of(x) for x in found}
    if len(shapes) != 1:
        raise ValueError(f"lax.sort needs arrays of one shape, got {[shape_of(x) for x in found]}.")
    if not 1 <= num_keys <= len(found):
        raise ValueError(f"lax.sort: num_keys must be between 1 and {len(found)}, got {num_keys}.")
    axis = axis_of(dimension, len(shapes.pop()), "sort")
    # lexsort takes the most important key last.
    order = sorting.lexsort(found[num_keys - 1 :: -1], axis)
    return tuple(wrap(take_along_axis(x, order, axis)) for x in found)


def sort_key_val(keys: Any, values: Any, dimension: int = -1, is_stable: bool = True) -> tuple[Any, Any]:
    """`keys` in ascending order along `dimension`, and `values` (of their shape) in the same order; stable."""
    return sort((keys, values), dimension, is_stable, num_keys=1)


def top_k(operand: Any, k: int, *, axis: int = -1) -> tuple[Any, Any]:
    """The k largest values along `axis` in descending order, nan first, and their int32 indices; of equal ones the first.

    Raises ValueError for k < 0 or above the size of that axis.
    """
    x = array_operand(operand)
    axis = axis_of(axis, len(shape_of(x)), "top_k")
    n = shape_of(x)[axis]
    if not 0 <= k <= n:
        raise ValueError(f"lax.top_k: k must be between 0 and {n}, the size of axis {axis}, got {k}.")
    if dtype_of(x).kind == "c":
        raise TypeError("lax.top_k: complex numbers have no order.")
    chosen = slice_axis(array_operand(sorting.argsort(x, axis, descending=True)), 0, k, axis)
    return wrap(take_along_axis(x, chosen, axis)), wrap(convert(chosen, np.int32))


def _approximate(name: str, operand: Any, k: int, dimension: int, recall: float, aggregate: bool) -> tuple[Any, Any]:
    if not 0.0 < recall <= 1.0:
        raise ValueError(f"lax.{name}: recall_target must be in (0, 1], got {recall}.")
    if not aggregate:
        raise NotImplementedError(
            f"lax.{name}: aggregate_to_topk=False asks for parts of a result that is found whole."
        )
    x = array_operand(operand)
    if dtype_of(x).kind != "f":
        raise TypeError(f"lax.{name} needs a floating array, got {dtype_of(x)}.")
    return top_k(x if name == "approx_max_k" else -x, k, axis=dimension)


def approx_max_k(operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95,
                 reduction_input_size_override: int = -1, aggregate_to_topk: bool = True) -> tuple[Any, Any]:  # fmt: skip
    """The k largest values along a dimension and their indices, found exactly: every recall_target is met.

    reduction_input_size_override sets the accuracy of an approximation and has nothing to set here.
    """
    return _approximate("approx_max_k", operand, k, reduction_dimension, recall_target, aggregate_to_topk)


def approx_min_k(operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95,
                 reduction_input_size_override: int = -1, aggregate_to_topk: bool = True) -> tuple[Any, Any]:  # fmt: skip
    """As `approx_max_k`, the smallest values, ascending."""
    values, indices = _approximate("approx_min_k", operand, k, reduction_dimension, recall_target, aggregate_to_topk)
    return -values, indices
