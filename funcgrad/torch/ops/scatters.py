"""Copies of a tensor with a part replaced, and what writes a diagonal or reduces slices into places."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch.operation import Operand, operation, write_in_place
from funcgrad.torch.ops.gathering import check_index, scatter_reduce_step
from funcgrad.torch.ops.shapes import select
from funcgrad.torch.ops.views import expand, wrap_dim
from funcgrad.torch.tensor import Tensor


def _along(dim: int, what: Any) -> tuple[Any, ...]:
    return (slice(None),) * dim + (what,)


def _check_part(name: str, src: Tensor, part: tuple[int, ...]) -> None:
    if src._array.shape != part:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src._array.shape)}, "
            f"slice size = {list(part)} (in {name}); use src.expand({list(part)}) to repeat it."
        )


@operation(method=False, name="select_scatter")
def select_scatter_step(input: Operand, src: Operand, dim: int, index: int) -> Any:
    """input with one slice replaced."""
    return input.at[_along(dim, index)].set(src.astype(input.dtype))


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with the slice at one index of a dimension replaced by `src`, which has that slice's shape."""
    part = select(input, dim, index)
    d = wrap_dim(dim, input.ndim)
    _check_part("select_scatter", src, part._array.shape)
    return select_scatter_step(input, src, d, int(index) % input._array.shape[d])


@operation(method=False, name="slice_scatter")
def slice_scatter_step(input: Operand, src: Operand, dim: int, start: int, stop: int, step: int) -> Any:
    """input with a range of a dimension replaced."""
    return input.at[_along(dim, slice(start, stop, step))].set(src.astype(input.dtype))


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Tensor:
    """A copy with `input[start:end:step]` along a dimension replaced by `src`, which has that part's shape."""
    d = wrap_dim(dim, input.ndim)
    if step <= 0:
        raise ValueError("slice step must be positive")
    first, stop, _ = slice(start, end, step).indices(input._array.shape[d])
    shape = list(input._array.shape)
    shape[d] = len(range(first, stop, step))
    _check_part("slice_scatter", src, tuple(shape))
    return slice_scatter_step(input, src, d, first, max(stop, first), step)


@operation(method=False, name="diagonal_scatter")
def diagonal_scatter_step(input: Operand, src: Operand, offset: int, dim1: int, dim2: int) -> Any:
    """input with a diagonal replaced."""
    rows, columns = _diagonal(input.shape[dim1], input.shape[dim2], offset)
    front = fnp.moveaxis(input, (dim1, dim2), (0, 1))
    written = front.at[rows, columns].set(fnp.moveaxis(src, -1, 0).astype(input.dtype))
    return fnp.moveaxis(written, (0, 1), (dim1, dim2))


def _diagonal(rows: int, columns: int, offset: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.arange(max(min(rows + min(offset, 0), columns - max(offset, 0)), 0))
    return first - min(offset, 0), first + max(offset, 0)


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy with a diagonal of two dimensions replaced by `src`, which has the shape of `input.diagonal(...)`."""
    a, b = wrap_dim(dim1, input.ndim), wrap_dim(dim2, input.ndim)
    part = np.diagonal(np.empty(input._array.shape, np.int8), offset, a, b)
    _check_part("diagonal_scatter", src, part.shape)
    return diagonal_scatter_step(input, src, offset, a, b)


@operation(method=False, name="as_strided_scatter")
def as_strided_scatter_step(input: Operand, src: Operand, places: Any, size: tuple[int, ...]) -> Any:
    """input with the elements at flat places replaced."""
    at = np.array(places, dtype=np.int64).reshape(size)
    return input.reshape(-1).at[at].set(src.astype(input.dtype)).reshape(input.shape)


def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A copy with the elements that `input.as_strided(size, stride, storage_offset)` sees replaced by `src`."""
    size = tuple(int(n) for n in size)
    _check_part("as_strided_scatter", src, size)
    places = np.full(size, int(storage_offset or 0))
    for axis, (n, s) in enumerate(zip(size, stride, strict=True)):
        places += (np.arange(n) * int(s)).reshape(-1, *[1] * (len(size) - axis - 1))
    if places.size and places.max() >= input._array.size:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)} and storage offset {storage_offset or 0} reach out of "
            f"bounds for a tensor of {input._array.size} elements"
        )
    return as_strided_scatter_step(input, src, tuple(places.reshape(-1).tolist()), size)


@operation(method=False, name="fill_diagonal")
def fill_diagonal_step(input: Operand, fill_value: Operand, wrap: bool) -> Any:
    """input with its main diagonal filled."""
    flat = input.reshape(-1)
    columns = input.shape[1]
    if input.ndim > 2:
        at = np.arange(columns) * sum(columns**k for k in range(input.ndim))
    else:
        last = input.size if wrap else min(input.shape[0], columns) * (columns + 1)
        at = np.arange(0, min(last, input.size), columns + 1)
    return flat.at[at].set(fnp.asarray(fill_value).astype(input.dtype)).reshape(input.shape)


def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Writes a number on the main diagonal of a matrix (with `wrap` again below each square), or of a cube of any rank."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self._array.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    return write_in_place(fill_diagonal_step.operation, self, [self, fill_value, bool(wrap)])


def _reduced(self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str) -> list[Any]:
    """The arguments of the scatter that an index_reduce is."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    d = wrap_dim(dim, self.ndim)
    check_index(index, self._array.shape[d], d, "index_reduce")
    shape = [1] * self.ndim
    shape[d] = -1
    places = expand(index.reshape(shape), *source._array.shape)
    return [self, d, places, source, reduce]


def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy with slices of `source` combined into the slices at `index`: reduce is "prod", "mean", "amax" or "amin"."""
    return scatter_reduce_step(*_reduced(input, dim, index, source, reduce), include_self)


def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place version of `index_reduce`."""
    arguments = [*_reduced(self, dim, index, source, reduce), include_self]
    return write_in_place(scatter_reduce_step.operation, self, arguments)


for _method in (
    select_scatter, slice_scatter, diagonal_scatter, as_strided_scatter, fill_diagonal_, index_reduce, index_reduce_,
):  # fmt: skip
    setattr(Tensor, _method.__name__, _method)
