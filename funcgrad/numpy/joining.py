"""Functions that join and cut arrays: concatenate, stack, split, tile, repeat, block."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer, dtype_of, shape_of, type_of
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.shape import atleast_1d, atleast_2d, atleast_3d, expand_dims, ravel, whole_shape
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import basics
from funcgrad.ops.index import gather
from funcgrad.ops.shape import concatenate as join
from funcgrad.ops.shape import slice_axis


def _listed(arrays: Any, name: str) -> list[Any]:
    if type(arrays) is Tracer or isinstance(arrays, np.ndarray):
        whole: Any = arrays
        return list(whole)
    if isinstance(arrays, (list, tuple)) and len(arrays):
        return [array_operand(a) for a in arrays]
    raise ValueError(f"{name} needs at least one array, got {arrays!r}.")


def _common(arrays: Sequence[Any], dtype: Any) -> list[Any]:
    target = np.dtype(dtype) if dtype is not None else np.result_type(*[dtype_of(a) for a in arrays])
    return [basics.convert(a, target) for a in arrays]


@implements(np.concatenate)
def concatenate(arrays: Sequence[Any], /, axis: int | None = 0, *, dtype: Any = None) -> Any:
    """The arrays, equal in every other axis, one after the other along `axis` (None: each as one line)."""
    found = _listed(arrays, "concatenate")
    if axis is None:
        found, axis = [ravel(a) for a in found], 0
    if not shape_of(found[0]):
        raise ValueError("concatenate: 0-d arrays cannot be concatenated; use stack.")
    return join(*_common(found, dtype), axis=axis_of(axis, len(shape_of(found[0])), "concatenate"))


concat = concatenate


@implements(np.stack)
def stack(arrays: Sequence[Any], axis: int = 0, *, dtype: Any = None) -> Any:
    """Arrays of one shape along a new axis. Raises ValueError for different shapes."""
    found = _listed(arrays, "stack")
    shapes = {shape_of(a) for a in found}
    if len(shapes) > 1:
        raise ValueError(f"stack needs arrays of one shape, got {', '.join(map(str, sorted(shapes)))}.")
    axis = axis_of(axis, len(shape_of(found[0])) + 1, "stack")
    return join(*[expand_dims(a, axis) for a in _common(found, dtype)], axis=axis)


@implements(np.vstack)
def vstack(tup: Sequence[Any], *, dtype: Any = None) -> Any:
    """Arrays one below the other: along axis 0, lines as rows."""
    return concatenate([atleast_2d(a) for a in _listed(tup, "vstack")], 0, dtype=dtype)


@implements(np.hstack)
def hstack(tup: Sequence[Any], *, dtype: Any = None) -> Any:
    """Arrays side by side: along axis 1, lines along axis 0."""
    found = [atleast_1d(a) for a in _listed(tup, "hstack")]
    return concatenate(found, 0 if len(shape_of(found[0])) == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Sequence[Any]) -> Any:
    """Arrays along axis 2."""
    return concatenate([atleast_3d(a) for a in _listed(tup, "dstack")], 2)


@implements(np.column_stack)
def column_stack(tup: Sequence[Any]) -> Any:
    """Lines as columns, matrices side by side."""
    found = _listed(tup, "column_stack")
    columns = [basics.reshape(a, shape=(math.prod(shape_of(a)), 1)) if len(shape_of(a)) < 2 else a for a in found]
    return concatenate(columns, 1)


@implements(np.block)
def block(arrays: Any) -> Any:
    """An array from nested lists of blocks: the innermost lists along the last axis, the next along the one before."""

    def depth(node: Any) -> int:
        return 1 + max(depth(n) for n in node) if isinstance(node, list) else 0

    def rank(node: Any) -> int:
        return max(rank(n) for n in node) if isinstance(node, list) else len(shape_of(array_operand(node)))

    levels = depth(arrays)
    ndim = max(levels, rank(arrays))

    def build(node: Any, level: int) -> Any:
        if isinstance(node, list):
            return concatenate([build(n, level - 1) for n in node], -level)
        leaf = array_operand(node)
        return basics.reshape(leaf, shape=(1,) * (ndim - len(shape_of(leaf))) + shape_of(leaf))

    return build(arrays, levels)


def _cuts(sections: Any, n: int, name: str, uneven: bool) -> list[int]:
    """The inner borders of the pieces along an axis of length n."""
    if isinstance(sections, (list, tuple, np.ndarray)):
        return [operator.index(i) for i in sections]
    count = operator.index(sections)
    if count < 1:
        raise ValueError(f"{name}: the number of pieces must be at least 1, got {count}.")
    if n % count and not uneven:
        raise ValueError(f"{name}: an axis of length {n} cannot be cut into {count} equal pieces; use array_split.")
    sizes = [n // count + (i < n % count) for i in range(count)]
    return [sum(sizes[: i + 1]) for i in range(count - 1)]


def _split(ary: Any, sections: Any, axis: int, name: str, uneven: bool) -> list[Any]:
    ary = array_operand(ary)
    axis = axis_of(axis, len(shape_of(ary)), name)
    n = shape_of(ary)[axis]
    cuts = [slice(None, c).indices(n)[1] for c in _cuts(sections, n, name, uneven)]
    return [slice_axis(ary, a, max(a, b), axis) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """`ary` cut along `axis` into equal pieces, or at the given indices."""
    return _split(ary, indices_or_sections, axis, "split", False)


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """As `split`, with pieces of almost equal size where they cannot be equal."""
    return _split(ary, indices_or_sections, axis, "array_split", True)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """As `split` along axis 1 (axis 0 of a line)."""
    return _split(ary, indices_or_sections, 0 if len(shape_of(array_operand(ary))) == 1 else 1, "hsplit", False)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """As `split` along axis 0."""
    return _split(ary, indices_or_sections, 0, "vsplit", False)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """As `split` along axis 2."""
    return _split(ary, indices_or_sections, 2, "dsplit", False)


@implements(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """The slices of `x` along `axis`, without that axis."""
    x = array_operand(x)
    shape = shape_of(x)
    axis = axis_of(axis, len(shape), "unstack")
    rest = (*shape[:axis], *shape[axis + 1 :])
    return tuple(basics.reshape(slice_axis(x, i, i + 1, axis), shape=rest) for i in range(shape[axis]))


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """`A` repeated `reps` times along each axis (aligned from the right)."""
    a = array_operand(A)
    counts = tuple(operator.index(r) for r in reps) if isinstance(reps, (tuple, list, np.ndarray)) else (reps,)
    rank = max(len(counts), len(shape_of(a)))
    counts = (1,) * (rank - len(counts)) + counts
    shape = (1,) * (rank - len(shape_of(a))) + shape_of(a)
    spread = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    dims = tuple(2 * i + 1 for i in range(rank))
    wide = basics.broadcast_in_dim(basics.reshape(a, shape=shape), shape=spread, dims=dims)
    return basics.reshape(wide, shape=tuple(c * n for c, n in zip(counts, shape, strict=True)))


@implements(np.repeat, extras=("total_repeat_length",))
def repeat(a: Any, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None) -> Any:
    """Each value of `a` repeated along `axis` (None: as one line).

    `total_repeat_length` fixes the length of the result: what is too long is cut, the last value fills what is missing.
    Under tracing `repeats` must have values. Raises TypeError if it has none.
    """
    a = array_operand(a)
    if axis is None:
        a, axis = ravel(a), 0
    axis = axis_of(axis, len(shape_of(a)), "repeat")
    if type(repeats) is Tracer:
        raise TypeError(
            f"repeat: the result's shape depends on the values of repeats, which are traced ({repeats.type}); "
            "make them a static argument."
        )
    counts = np.broadcast_to(np.asarray(repeats), (shape_of(a)[axis],))
    places = np.repeat(np.arange(len(counts)), counts)
    if total_repeat_length is not None:
        places = np.concatenate([places, np.full(max(total_repeat_length - len(places), 0), len(counts) - 1)])
        places = places[:total_repeat_length].astype(int)
    rank = len(shape_of(a))
    found = gather(a, places, axes=(axis,), mode="raise")
    order = (*range(1, axis + 1), 0, *range(axis + 1, rank))
    return found if axis == 0 else basics.transpose(found, permutation=order)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """`a` as one line, repeated or cut to fill `new_shape`."""
    line = ravel(array_operand(a))
    shape = (new_shape,) if isinstance(new_shape, int) else tuple(new_shape)
    want, have = math.prod(shape), type_of(line).size
    if have == 0:
        return np.zeros(shape, dtype_of(line))
    whole = tile(line, -(-want // have)) if want else line
    return basics.reshape(slice_axis(whole, 0, want, 0), shape=whole_shape(shape, want, "resize"))
