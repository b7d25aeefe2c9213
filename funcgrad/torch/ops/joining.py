"""Joining, repeating and turning."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch import dtypes
from funcgrad.torch.operation import Operand, Operands, operation
from funcgrad.torch.ops.promotion import as_dtype
from funcgrad.torch.ops.shapes import ints, unsqueeze
from funcgrad.torch.ops.views import expand, reshape, wrap_dim
from funcgrad.torch.tensor import Tensor, concrete, make


def _common(tensors: Sequence[Any]) -> list[Any]:
    kind = tensors[0].dtype
    for t in tensors[1:]:
        kind = dtypes.promote_dtypes(kind, t.dtype)
    return [as_dtype(t, kind) for t in tensors]


@operation(method=False)
def cat(tensors: Operands, dim: int = 0) -> Any:
    """Tensors one after the other along a dimension."""
    if not tensors:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    given = [t for t in _common(tensors) if t.shape != (0,)] or _common(tensors)[:1]
    axis = wrap_dim(dim, given[0].ndim)
    for i, t in enumerate(given):
        if t.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
        if t.ndim != given[0].ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {given[0].ndim} and {t.ndim}")
        for d, (n, m) in enumerate(zip(given[0].shape, t.shape, strict=True)):
            if d != axis and n != m:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {n} but got size {m} for "
                    f"tensor number {i} in "
                    "the list."
                )
    return fnp.concatenate(given, axis=axis)


@operation(method=False)
def stack(tensors: Operands, dim: int = 0) -> Any:
    """Tensors of one shape along a new dimension."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, t in enumerate(tensors):
        if t.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 and "
                f"{list(t.shape)} at entry {i}"
            )
    return fnp.stack(_common(tensors), axis=wrap_dim(dim, tensors[0].ndim + 1))


Tensor.stack_rows = staticmethod(stack)  # type: ignore[attr-defined]
concat = concatenate = cat


def _at_least(x: Tensor, n: int) -> Tensor:
    while x.ndim < n:
        x = unsqueeze(x, 0 if n < 3 or x.ndim < 2 else -1)
    return x


def atleast_1d(*tensors: Any) -> Any:
    """With at least one dimension."""
    return _each(tensors, 1)


def atleast_2d(*tensors: Any) -> Any:
    """With at least two dimensions."""
    return _each(tensors, 2)


def atleast_3d(*tensors: Any) -> Any:
    """With at least three dimensions."""
    return _each(tensors, 3)


def _each(tensors: tuple[Any, ...], n: int) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return _at_least(tensors[0], n)
    return tuple(_at_least(x, n) for x in (tensors[0] if len(tensors) == 1 else tensors))


def hstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """Side by side: along the second dimension (the first of vectors)."""
    given = [_at_least(x, 1) for x in tensors]
    return cat(given, 0 if given[0].ndim == 1 else 1, out=out)


def vstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """One below the other: along the first dimension."""
    return cat([_at_least(x, 2) for x in tensors], 0, out=out)


row_stack = vstack


def dstack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """Behind one another: along the third dimension."""
    return cat([_at_least(x, 3) for x in tensors], 2, out=out)


def column_stack(tensors: Sequence[Tensor], *, out: Any = None) -> Tensor:
    """Vectors as columns, matrices side by side."""
    return cat([reshape(x, -1, 1) if x.ndim <= 1 else x for x in tensors], 1, out=out)


def repeat(self: Tensor, *sizes: Any) -> Tensor:
    """The tensor so many times along each dimension, as a copy."""
    wanted = ints(sizes)
    if len(wanted) < self.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    return tile_step(self, wanted)


@operation("RepeatBackward0", method=False)
def tile_step(input: Operand, sizes: tuple[int, ...]) -> Any:
    """Repeated along each dimension."""
    return fnp.tile(input, sizes)


def tile(self: Tensor, *dims: Any) -> Tensor:
    """As `repeat`, with missing sizes taken as 1."""
    wanted = ints(dims)
    return tile_step(self, (1,) * (self.ndim - len(wanted)) + wanted)


@operation("IndexSelectBackward0", method=False)
def _repeat_each(input: Operand, repeats: Any, dim: int) -> Any:
    return fnp.repeat(input, np.asarray(repeats), axis=dim)


def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Each element (or slice along a dimension) so many times in a row."""
    if repeats is None:
        counts = concrete(input, "repeat_interleave")
        return make(np.repeat(np.arange(len(counts)), counts))
    x = reshape(input, -1) if dim is None else input
    given = concrete(repeats, "repeat_interleave").tolist() if isinstance(repeats, Tensor) else repeats
    fixed = tuple(given) if isinstance(given, list) else int(given)
    return _repeat_each(x, fixed, 0 if dim is None else wrap_dim(dim, x.ndim))


@operation(variadic=True)
def flip(input: Operand, dims: Any) -> Any:
    """The order of elements reversed along dimensions."""
    return fnp.flip(input, tuple(wrap_dim(d, input.ndim) for d in ((dims,) if isinstance(dims, int) else dims)))


def fliplr(input: Tensor) -> Tensor:
    """The second dimension reversed."""
    return flip(input, (1,))


def flipud(input: Tensor) -> Tensor:
    """The first dimension reversed."""
    return flip(input, (0,))


@operation()
def roll(input: Operand, shifts: Any, dims: Any = None) -> Any:
    """Elements moved along dimensions; what leaves at one end comes back at the other."""
    return fnp.roll(input, shifts, axis=dims)


@operation()
def rot90(input: Operand, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turned by 90 degrees k times in the plane of two dimensions."""
    return fnp.rot90(input, k, tuple(dims))


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinates of a grid: "ij" (the default) or "xy" order of dimensions."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    xs = list(given)
    swapped = indexing == "xy" and len(xs) > 1
    if swapped:
        xs[0], xs[1] = xs[1], xs[0]
    shape = [x.numel() for x in xs]
    made = [expand(reshape(x, *[-1 if i == d else 1 for i in range(len(xs))]), *shape) for d, x in enumerate(xs)]
    if swapped:
        made[0], made[1] = made[1], made[0]
    return tuple(made)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, as rows."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(g, -1) for g in meshgrid(*tensors, indexing="ij")], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of r elements of a vector, as rows."""
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    at = np.array(list(choose(range(input.numel()), r)), np.int64).reshape(-1, r)
    return input[make(at)]  # type: ignore[index]


@operation("CatBackward0", method=False, name="block_diag")
def _block_diag(tensors: Operands) -> Any:
    given = _common([fnp.atleast_2d(t) for t in tensors])
    width = sum(t.shape[1] for t in given)
    rows, at = [], 0
    for t in given:
        rows.append(fnp.pad(t, ((0, 0), (at, width - at - t.shape[1]))))
        at += t.shape[1]
    return fnp.concatenate(rows, axis=0)


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of a larger one."""
    return _block_diag(list(tensors))


for _method in (repeat, tile, repeat_interleave, fliplr, flipud):
    setattr(Tensor, _method.__name__, _method)
