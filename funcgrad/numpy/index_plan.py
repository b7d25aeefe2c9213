"""What an index expression means: x[index] as slices, then a gather, then the places of the new axes (NumPy's rules)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.core.array import unwrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of, source_text, type_of
from funcgrad.errors import NonConcreteBooleanIndexError


@dataclass(frozen=True, slots=True)
class Plan:
    """x[index] in three steps.

    slices: one per axis of x; axes that are indexed by arrays have the whole slice.
    indices, axes: integer arrays (or tracers) and the axes of x that they select along, to be gathered together.
    order: the permutation of (index axes, remaining axes) that gives NumPy's order.
    shape: the final shape, with axes of size 1 for newaxis and without the axes of static integers.
    """

    slices: tuple[slice, ...]
    indices: tuple[Any, ...]
    axes: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]


def _expand(index: Any, ndim: int, shape: tuple[int, ...]) -> list[Any]:
    """The entries of an index, one for each axis or newaxis: masks become integer arrays, Ellipsis whole slices."""
    entries: list[Any] = []
    for entry in index if type(index) is tuple else (index,):
        entry = unwrap(entry)
        if isinstance(entry, (list, tuple)):
            entry = _array_of(entry)
        if _is_mask(entry):
            entries += _mask_entries(entry)
        else:
            entries.append(entry)
    used = sum(1 for e in entries if e is not None and e is not Ellipsis)
    if sum(1 for e in entries if e is Ellipsis) > 1:
        raise IndexError("an index can have only one ellipsis ('...').")
    if used > ndim:
        raise IndexError(f"too many indices: an array of shape {shape} was indexed with {used}.")
    whole = [slice(None)] * (ndim - used)
    if Ellipsis in [e for e in entries if e is Ellipsis]:
        at = next(i for i, e in enumerate(entries) if e is Ellipsis)
        return entries[:at] + whole + entries[at + 1 :]
    return entries + whole


def _array_of(values: Any) -> Any:
    from_numbers = np.asarray(values) if len(values) else np.zeros(0, int)
    if from_numbers.dtype.kind not in "iub":
        raise IndexError(f"arrays used as indices must be of integer or boolean dtype, got {from_numbers.dtype}.")
    return from_numbers


def _is_mask(entry: Any) -> bool:
    if type(entry) is bool or isinstance(entry, np.bool_):
        return True
    return (type(entry) is Tracer or isinstance(entry, np.ndarray)) and dtype_of(entry) == np.bool_


def _mask_entries(mask: Any) -> list[Any]:
    if type(mask) is Tracer:
        raise NonConcreteBooleanIndexError(
            f"a traced boolean mask of type {mask.type}, born at {source_text(mask.source)}, was used as an index: the shape of "
            "the result would depend on its values. Use funcgrad.numpy.where(mask, x, other), sums weighted by the mask, or "
            "funcgrad.numpy.nonzero(mask, size=n)."
        )
    mask = np.asarray(mask)
    if mask.ndim == 0:
        # x[True] adds an axis of length 1; x[False], one of length 0, is `read`'s own case.
        return [None]
    return list(np.nonzero(mask))


def _is_static_int(entry: Any) -> bool:
    return isinstance(entry, (int, np.integer)) and not isinstance(entry, (bool, np.bool_))


def _static(entry: Any, size: int, axis: int) -> int:
    n = int(entry)
    if not -size <= n < size:
        raise IndexError(f"index {n} is out of bounds for axis {axis} with size {size}.")
    return n % size if size else 0


def plan(index: Any, shape: tuple[int, ...]) -> Plan:
    """The plan of x[index] for x of this shape. Raises IndexError or TypeError as NumPy does."""
    entries = _expand(index, len(shape), shape)
    has_arrays = any(_is_array(e) for e in entries)
    slices: list[slice] = []
    indices: list[Any] = []
    axes: list[int] = []
    dims: list[Any] = []  # the result's axes in order: None for newaxis, a slice's axis number, "index" once
    spots: list[int] = []  # the positions in `entries` of array indices, to see whether they are adjacent
    axis = 0
    for position, entry in enumerate(entries):
        if entry is None:
            dims.append(None)
            continue
        if isinstance(entry, slice):
            slices.append(_whole_numbers(entry, shape[axis]))
            dims.append(axis)
        elif _is_static_int(entry) and not has_arrays:
            n = _static(entry, shape[axis], axis)
            slices.append(slice(n, n + 1, 1))
        else:
            _check_index(entry)
            slices.append(slice(0, shape[axis], 1))
            indices.append(entry if not _is_static_int(entry) else np.asarray(_static(entry, shape[axis], axis)))
            axes.append(axis)
            spots.append(position)
            if "index" not in dims:
                dims.append("index")
        axis += 1
    adjacent = not spots or spots[-1] - spots[0] == len(spots) - 1
    if indices and not adjacent:
        dims.remove("index")
        dims.insert(0, "index")
    return _finish(shape, slices, indices, axes, dims)


def _is_array(entry: Any) -> bool:
    return (type(entry) is Tracer or isinstance(entry, np.ndarray)) and not isinstance(entry, np.generic)


def _check_index(entry: Any) -> None:
    if not (type(entry) is Tracer or isinstance(entry, (np.ndarray, np.generic, int))):
        raise IndexError(
            f"only integers, slices, ellipsis, newaxis and integer or boolean arrays are indices, got {type(entry).__name__}."
        )
    if type_of(entry).dtype.kind not in "iu":
        raise IndexError(f"arrays used as indices must be of integer or boolean dtype, got {type_of(entry).dtype}.")


def _whole_numbers(entry: slice, size: int) -> slice:
    parts = [_slice_bound(p) if type(p) is Tracer else p for p in (entry.start, entry.stop, entry.step)]
    return slice(*slice(*parts).indices(size))


def _slice_bound(bound: Tracer) -> int:
    if bound.owner.mode == "abstract":
        raise TypeError(
            f"a slice with a traced bound of type {bound.type} would have a shape that depends on its value; use "
            "funcgrad.lax.dynamic_slice(x, starts, sizes) with static sizes, or mark the bound static."
        )
    return int(bound)


def slice_length(s: slice) -> int:
    """How many values a slice of whole numbers takes."""
    return len(range(s.start, s.stop, s.step))


def _finish(shape: Any, slices: list[slice], indices: list[Any], axes: list[int], dims: list[Any]) -> Plan:
    index_shape = np.broadcast_shapes(*[shape_of(i) for i in indices]) if indices else ()
    lengths = [slice_length(s) for s in slices]
    rest = [a for a in range(len(shape)) if a not in axes]
    rank = len(index_shape)
    order: list[int] = []
    final: list[int] = []
    listed = [d for d in dims if isinstance(d, int)]
    # Axes taken away by static integers have length 1 here; they go last and vanish in the reshape.
    for d in dims:
        if d is None:
            final.append(1)
        elif d == "index":
            order += range(rank)
            final += index_shape
        else:
            order.append(rank + rest.index(d))
            final.append(lengths[d])
    order += [rank + rest.index(a) for a in rest if a not in listed]
    return Plan(tuple(slices), tuple(indices), tuple(axes), tuple(order), tuple(final))
