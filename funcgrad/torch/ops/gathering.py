"""Gathering and scattering along dimensions by index tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch.operation import Operand, operation, write_in_place
from funcgrad.torch.ops.promotion import as_dtype
from funcgrad.torch.ops.views import reshape, wrap_dim
from funcgrad.torch.tensor import Tensor, concrete, make


def check_index(index: Any, size: int, dim: int, name: str, negative: bool = False) -> None:
    """Raises RuntimeError for an index tensor of the wrong dtype or with values out of range (seen where values are known)."""
    if index._array.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    array = index._array
    if type(array) is np.ndarray and array.size:
        low, high = int(array.min()), int(array.max())
        if high >= size or low < (-size if negative else 0):
            wrong = high if high >= size else low
            raise (IndexError if name in ("index_select", "take") else RuntimeError)(
                f"index {wrong} is out of bounds for dimension {dim} with size {size}"
                if name != "index_select"
                else f"index out of range in self: {wrong} of {size}"
            )


def _places(shape: tuple[int, ...], index: Any, dim: int) -> tuple[Any, ...]:
    """The full index of gather and scatter: `index` in one dimension, its own position in the others."""
    grid = [
        np.arange(n).reshape([-1 if i == d else 1 for i in range(len(index.shape))]) for d, n in enumerate(index.shape)
    ]
    return tuple(index if d == dim else grid[d] for d in range(len(index.shape)))


@operation(method=False, name="gather")
def gather_step(input: Operand, dim: int, index: Operand) -> Any:
    """Elements at an index along one dimension each."""
    if not input.ndim:
        return fnp.broadcast_to(input, index.shape)
    return input[_places(input.shape, index, dim)]


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Any = None) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on."""
    d = wrap_dim(dim, input.ndim)
    if index.ndim != input.ndim and not (input.ndim == 0 or index.ndim == 0):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for k, (n, m) in enumerate(zip(index._array.shape, input._array.shape, strict=False)):
        if k != d and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {k} expected index {list(index._array.shape)} to be no larger than self "
                f"{list(input._array.shape)} apart from dimension {d}"
            )
    check_index(index, input._array.shape[d] if input.ndim else 1, d, "gather")
    return gather_step(input, d, index, out=out)


def _scattered(input: Any, dim: int, index: Any, src: Any, mode: str) -> Any:
    value = src
    if hasattr(src, "shape") and src.ndim:
        value = src[tuple(slice(0, n) for n in index.shape)]
    value = as_dtype(value, input.dtype) if hasattr(value, "dtype") else value
    at = (input if input.ndim else input.reshape(1)).at[
        _places(input.shape, index if index.ndim else index.reshape(1), dim)
    ]
    found = getattr(at, mode)(value)
    return found if input.ndim else found.reshape(())


@operation(inplace=True, method=False, name="scatter")
def scatter_step(input: Operand, dim: int, index: Operand, src: Operand) -> Any:
    """The tensor with elements at an index along one dimension replaced."""
    return _scattered(input, dim, index, src, "set")


@operation(inplace=True, method=False, name="scatter_add")
def scatter_add_step(input: Operand, dim: int, index: Operand, src: Operand) -> Any:
    """The tensor with elements at an index along one dimension added to."""
    return _scattered(input, dim, index, src, "add")


def _scatter_arguments(self: Tensor, dim: int, index: Tensor, name: str) -> int:
    d = wrap_dim(dim, self.ndim)
    check_index(index, self._array.shape[d] if self.ndim else 1, d, name)
    return d


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None,
            out: Any = None) -> Tensor:  # fmt: skip
    """A copy in which input[index[i][j]][j] = src[i][j] (for dim 0); `reduce` "add" or "multiply" combines instead."""
    if reduce is not None:
        return scatter_(input.clone(), dim, index, src, value=value, reduce=reduce)  # type: ignore[attr-defined]
    return scatter_step(
        input, _scatter_arguments(input, dim, index, "scatter"), index, value if src is None else src, out=out
    )


def scatter_(
    self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """In-place version of `scatter`."""
    d = _scatter_arguments(self, dim, index, "scatter")
    given = value if src is None else src
    if reduce is None:
        return write_in_place(scatter_step.operation, self, [self, d, index, given])
    if reduce == "add":
        return write_in_place(scatter_add_step.operation, self, [self, d, index, given])
    if reduce == "multiply":
        return write_in_place(scatter_reduce_step.operation, self, [self, d, index, given, "prod", True])
    raise RuntimeError("reduce argument must be either add or multiply.")


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy with input[index[i][j]][j] += src[i][j] (for dim 0)."""
    return scatter_add_step(input, _scatter_arguments(input, dim, index, "scatter_add"), index, src)


def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """In-place version of `scatter_add`."""
    d = _scatter_arguments(self, dim, index, "scatter_add")
    return write_in_place(scatter_add_step.operation, self, [self, d, index, src])


@operation(inplace=True, method=False, name="scatter_reduce", saves="result")
def scatter_reduce_step(input: Operand, dim: int, index: Operand, src: Operand, reduce: str, include_self: bool) -> Any:
    """Elements that go to one place combined by sum, prod, mean, amax or amin, with what was there if `include_self`."""
    x = input if input.ndim else input.reshape(1)
    at = _places(x.shape, index if index.ndim else index.reshape(1), dim)
    value = (
        as_dtype(src, x.dtype)[tuple(slice(0, n) for n in index.shape)] if hasattr(src, "shape") and src.ndim else src
    )
    ones = fnp.zeros(x.shape, x.dtype).at[at].add(fnp.ones(index.shape, x.dtype))
    touched = ones > 0
    start = {"sum": 0, "mean": 0, "prod": 1, "amax": -np.inf, "amin": np.inf}[reduce]
    if x.dtype.kind in "iu" and reduce in ("amax", "amin"):
        info = np.iinfo(x.dtype)
        start = info.min if reduce == "amax" else info.max
    base = x if include_self else fnp.where(touched, np.asarray(start).astype(x.dtype), x)
    how = {"sum": "add", "mean": "add", "prod": "multiply", "amax": "max", "amin": "min"}[reduce]
    found = getattr(base.at[at], how)(value)
    if reduce == "mean":
        count = ones + (1 if include_self else 0)
        count = fnp.where(touched, count, 1)
        found = found / count if x.dtype.kind in "fc" else fnp.floor_divide(found, count)
    return found if input.ndim else found.reshape(())


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy with elements that go to one place combined: reduce is "sum", "prod", "mean", "amax" or "amin"."""
    return scatter_reduce_step(
        input, _scatter_arguments(input, dim, index, "scatter_reduce"), index, src, reduce, include_self
    )


def scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """In-place version of `scatter_reduce`."""
    d = _scatter_arguments(self, dim, index, "scatter_reduce")
    return write_in_place(scatter_reduce_step.operation, self, [self, d, index, src, reduce, include_self])


# ---- whole slices ----


@operation(method=False, name="index_select")
def index_select_step(input: Operand, dim: int, index: Operand) -> Any:
    """Slices at an index vector along a dimension."""
    return fnp.take(input, index, axis=dim) if input.ndim else input


def index_select(input: Tensor, dim: int, index: Tensor, *, out: Any = None) -> Tensor:
    """Slices at an index vector along a dimension."""
    d = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    check_index(index, input._array.shape[d] if input.ndim else 1, d, "index_select")
    return index_select_step(input, d, index, out=out)


def _slices(dim: int, index: Any) -> tuple[Any, ...]:
    return (slice(None),) * dim + (index,)


@operation(inplace=True, method=False, name="index_add")
def index_add_step(input: Operand, dim: int, index: Operand, source: Operand, *, alpha: Operand = 1) -> Any:
    """Slices at an index vector added to."""
    given = as_dtype(source, input.dtype)
    return input.at[_slices(dim, index)].add(given if type(alpha) is int and alpha == 1 else given * alpha)


@operation(inplace=True, method=False, name="index_copy")
def index_copy_step(input: Operand, dim: int, index: Operand, source: Operand) -> Any:
    """Slices at an index vector replaced."""
    return input.at[_slices(dim, index)].set(source)


@operation(inplace=True, method=False, name="index_fill")
def index_fill_step(input: Operand, dim: int, index: Operand, value: Operand) -> Any:
    """Slices at an index vector filled with one value."""
    return input.at[_slices(dim, index)].set(value if not hasattr(value, "dtype") else as_dtype(value, input.dtype))


def _whole(step: Any, name: str) -> tuple[Any, Any]:
    def function(self: Tensor, dim: int, index: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        d = wrap_dim(dim, self.ndim)
        check_index(index, self._array.shape[d], d, name)
        return step(self, d, index, *args, **kwargs)

    def inplace(self: Tensor, dim: int, index: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        d = wrap_dim(dim, self.ndim)
        check_index(index, self._array.shape[d], d, name)
        made = step.operation
        return write_in_place(made, self, made.bound((self, d, index, *args), kwargs))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = step.__doc__
    inplace.__name__ = inplace.__qualname__ = name + "_"
    inplace.__doc__ = f"In-place version of `{name}`."
    setattr(Tensor, name, function)
    setattr(Tensor, name + "_", inplace)
    return function, inplace


index_add, _ = _whole(index_add_step, "index_add")
index_copy, _ = _whole(index_copy_step, "index_copy")
index_fill, _ = _whole(index_fill_step, "index_fill")


@operation(method=False, name="take")
def take_step(input: Operand, index: Operand) -> Any:
    """Elements of the flattened tensor."""
    return fnp.ravel(input)[index]


def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor."""
    check_index(index, input.numel(), 0, "take", True)
    return take_step(input, index)


@operation("GatherBackward0", method=False, name="take_along_dim")
def take_along_step(input: Operand, indices: Operand, dim: int) -> Any:
    """Elements at indices along a dimension, with broadcasting."""
    return fnp.take_along_axis(input, indices, dim)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None, *, out: Any = None) -> Tensor:
    """Elements at indices along a dimension (of the flattened tensor without one); other dimensions broadcast."""
    if dim is None:
        return take_along_step(reshape(input, -1), reshape(indices, -1), 0, out=out)
    return take_along_step(input, indices, wrap_dim(dim, input.ndim), out=out)


def masked_select(input: Tensor, mask: Tensor, *, out: Any = None) -> Tensor:
    """The elements where the mask is true, as a vector."""
    x, m = broadcast_pair(input, mask)
    found = x[m]  # type: ignore[index]
    return found if out is None else out.resize_(found.shape).copy_(found)


def broadcast_pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors expanded to their common shape."""
    shape = np.broadcast_shapes(x._array.shape, y._array.shape)
    return x.expand(shape), y.expand(shape)  # type: ignore[attr-defined]


@operation(inplace=True, method=False, name="masked_scatter")
def masked_scatter_step(input: Operand, mask: Operand, source: Operand) -> Any:
    """Elements of the source, in order, where the mask is true."""
    if not source.size:
        return input
    m = fnp.broadcast_to(mask, input.shape)
    at = fnp.cumsum(fnp.ravel(m).astype(np.int64)) - 1
    picked = fnp.ravel(source)[fnp.clip(at, 0, source.size - 1)]
    return fnp.where(m, picked.reshape(input.shape), input)


def _check_source(self: Tensor, mask: Tensor, source: Tensor) -> None:
    """Raises RuntimeError unless the source has the tensor's dtype and enough elements for the mask over its shape."""
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got "
            f"{self.dtype} and {source.dtype}; write source.to({self.dtype})."
        )
    if type(mask._array) is np.ndarray and source.numel() < self.numel():
        if source.numel() < int(np.broadcast_to(mask._array, self._array.shape).sum()):
            raise RuntimeError("masked_scatter: Number of elements of source < number of ones in mask")


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with elements of the source, in order, where the mask is true; tensor and mask broadcast together.

    Raises RuntimeError if the dtypes of tensor and source differ, or if the source has too few elements.
    """
    x, m = broadcast_pair(input, mask)
    _check_source(x, m, source)
    return masked_scatter_step(x, m, source)


def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """In-place version of `masked_scatter`; the mask broadcasts to the tensor's shape."""
    places = mask.expand(self._array.shape)  # type: ignore[attr-defined]
    _check_source(self, places, source)
    return write_in_place(masked_scatter_step.operation, self, [self, places, source])


@operation(inplace=True, method=False, name="put")
def put_step(input: Operand, index: Operand, source: Operand, accumulate: bool) -> Any:
    """Elements of the flattened tensor replaced or added to."""
    at = fnp.ravel(input).at[index]
    return (at.add(source) if accumulate else at.set(source)).reshape(input.shape)


def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """Writes elements of the flattened tensor."""
    return write_in_place(put_step.operation, self, [self, index, source, accumulate])


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with elements of the flattened tensor replaced or added to."""
    return put_step(input, index, source, accumulate)


def nonzero(input: Tensor, *, out: Any = None, as_tuple: bool = False) -> Any:
    """Where elements are not zero: one row of indices each, or (as_tuple) one vector for each dimension."""
    found = np.nonzero(np.atleast_1d(concrete(input, "torch.nonzero")))
    if as_tuple:
        return tuple(make(f.astype(np.int64)) for f in found)
    rows = np.stack(found, axis=1).astype(np.int64) if input.ndim else np.zeros((len(found[0]), 0), np.int64)
    return make(rows)


argwhere = nonzero
for _method in (gather, scatter, scatter_, scatter_add, scatter_add_, scatter_reduce, scatter_reduce_, index_select, take,
                take_along_dim, masked_select, masked_scatter, masked_scatter_, put, put_, nonzero):  # fmt: skip
    setattr(Tensor, _method.__name__, _method)
Tensor.argwhere = nonzero  # type: ignore[attr-defined]
