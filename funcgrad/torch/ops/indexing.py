"""Indexing: `x[...]` and `x[...] = v`. Basic steps are views; index tensors and masks copy."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch.operation import Operand, Operands, operation, write_in_place
from funcgrad.torch.ops.copies import copy_
from funcgrad.torch.ops.views import detach, select_step, slice_step, unsqueeze_step
from funcgrad.torch.tensor import Tensor, concrete, make


def _at(where: Any, indices: Any) -> tuple[Any, ...]:
    """The index of the NumPy room: `where` has a None for each index tensor and a full slice elsewhere."""
    supply = iter(indices)
    return tuple(next(supply) if w else slice(None) for w in where)


@operation(method=False)
def index(input: Operand, where: Any, indices: Operands) -> Any:
    """Elements at index tensors; `where` says for each dimension whether there is one."""
    return input[_at(where, indices)]


@operation(method=False)
def index_put(input: Operand, where: Any, indices: Operands, values: Operand, accumulate: bool = False) -> Any:
    """The tensor with elements at index tensors replaced, or added to."""
    at = input.at[_at(where, indices)]
    values = values.astype(input.dtype) if not isinstance(values, (int, float, complex)) else values
    return at.add(values) if accumulate else at.set(values)


def _index_tensor(i: Any) -> Tensor | None:
    if isinstance(i, Tensor):
        return i
    if isinstance(i, (list, np.ndarray, range)):
        return make(
            np.asarray(
                i if not isinstance(i, list) else [concrete(x, "index") if isinstance(x, Tensor) else x for x in i]
            )
        )
    return None


def _normalized(x: Tensor, key: Any) -> list[Any]:
    items = list(key) if isinstance(key, tuple) else [key]
    consumed = 0
    for i in items:
        if i is None or i is Ellipsis or isinstance(i, bool):
            continue
        array = i._array if isinstance(i, Tensor) else None
        consumed += array.ndim if array is not None and array.dtype.kind == "b" else 1
    if consumed > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    ellipses = [n for n, i in enumerate(items) if i is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    fill = [slice(None)] * (x.ndim - consumed)
    if ellipses:
        n = ellipses[0]
        return [*items[:n], *fill, *items[n + 1 :]]
    return items + fill


def _basic(x: Tensor, key: Any) -> tuple[Tensor, list[Tensor | None]]:
    """Takes the basic steps of an index; gives the view and, for each of its dimensions, the index tensor that is left."""
    rest: list[Tensor | None] = []
    dim = 0
    for i in _normalized(x, key):
        size = x._array.shape[dim] if dim < x.ndim else 1
        if i is None or isinstance(i, (bool, np.bool_)):
            x = unsqueeze_step(x, dim)
            rest.append(None if i is None else make(np.zeros(int(i), np.int64)))
            dim += 1
        elif isinstance(i, (int, np.integer)) or (isinstance(i, Tensor) and not i._array.shape and _is_plain_int(i)):
            n = int(i)
            if not -size <= n < size:
                raise IndexError(f"index {n} is out of bounds for dimension {dim} with size {size}")
            x = select_step(x, dim, n % size)
        elif isinstance(i, slice):
            start, stop, step = slice(*[None if v is None else int(v) for v in (i.start, i.stop, i.step)]).indices(size)
            if i.step is not None and int(i.step) <= 0:
                raise ValueError("step must be greater than zero")
            length = max(0, -(-(stop - start) // step))
            if length != size or step != 1:
                x = slice_step(x, dim, min(start, size), length, step)
            rest.append(None)
            dim += 1
        elif isinstance(i, Tensor) and not i.ndim and i._array.dtype.kind == "b":
            x = unsqueeze_step(x, dim)
            rest.append(make(np.zeros(int(concrete(i, "a boolean mask")), np.int64)))
            dim += 1
        else:
            tensor = _index_tensor(i)
            if tensor is None:
                raise TypeError(
                    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
                    f"{type(i).__name__})"
                )
            rest += _split_mask(x, tensor, dim)
            dim += max(tensor.ndim, 1) if tensor._array.dtype.kind == "b" else 1
    while rest and rest[-1] is None:
        rest.pop()
    return x, rest


def _is_plain_int(i: Tensor) -> bool:
    return i._array.dtype.kind in "iu" and type(i._array) is np.ndarray


def _split_mask(x: Tensor, tensor: Tensor, dim: int) -> list[Tensor | None]:
    """A mask as the index tensors of its true elements; other index tensors as they are, after a check of their values."""
    kind = tensor._array.dtype.kind
    if kind == "b":
        shape = x._array.shape[dim : dim + tensor.ndim]
        if tensor._array.shape != shape:
            raise IndexError(
                f"The shape of the mask {list(tensor._array.shape)} at index 0 does not match the shape of the indexed tensor "
                f"{list(x._array.shape)} at index {dim}"
            )
        return [make(n) for n in np.nonzero(concrete(tensor, "a boolean mask"))]
    if kind not in "iu":
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    size = x._array.shape[dim]
    array = tensor._array
    if type(array) is np.ndarray and array.size:
        low, high = int(array.min()), int(array.max())
        if high >= size or low < -size:
            raise IndexError(
                f"index {high if high >= size else low} is out of bounds for dimension {dim} with size {size}"
            )
    return [tensor]


def getitem(self: Tensor, key: Any) -> Any:
    """x[key]: a view for ints, slices, None and `...`; a copy for index tensors and masks."""
    looked, rest = _basic(self, key)
    if not rest:
        return _alias(self) if looked is self else looked
    where = tuple(r is not None for r in rest)
    return index(looked, where, [r for r in rest if r is not None])


def _alias(x: Tensor) -> Tensor:
    from_all: Tensor = slice_step(x, 0, 0, x._array.shape[0], 1) if x.ndim else x.view(())  # type: ignore[attr-defined]
    return from_all


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """x[key] = value, in place: gradients go to the value, and no longer to what was there."""
    looked, rest = _basic(self, key)
    if not isinstance(value, Tensor):
        value = make(np.asarray(value, self._array.dtype))
    if rest:
        where = tuple(r is not None for r in rest)
        write_in_place(index_put.operation, looked, [looked, where, [r for r in rest if r is not None], value, False])
        return
    shape = looked._array.shape
    while value.ndim > len(shape) and value._array.shape[0] == 1:
        value = select_step(value, 0, 0)
    copy_(looked, value)


def index_put_tensor(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with elements at a tuple of index tensors replaced, or added to."""
    looked, rest = _basic(self, tuple(slice(None) if i is None else i for i in indices))
    return index_put(looked, tuple(r is not None for r in rest), [r for r in rest if r is not None], values, accumulate)


def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """In-place version of `index_put`."""
    looked, rest = _basic(self, tuple(slice(None) if i is None else i for i in indices))
    where = tuple(r is not None for r in rest)
    write_in_place(index_put.operation, looked, [looked, where, [r for r in rest if r is not None], values, accumulate])
    return self


Tensor.index_put = index_put_tensor  # type: ignore[attr-defined]
Tensor.index_put_ = index_put_  # type: ignore[attr-defined]
setattr(Tensor, "__getitem__", getitem)  # noqa: B010
setattr(Tensor, "__setitem__", setitem)  # noqa: B010
_ = detach, fnp
