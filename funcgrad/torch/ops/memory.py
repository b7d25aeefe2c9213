"""Tensors over memory that is given: by other objects, by strides, by other tensors; and what changes a tensor's own memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.torch.dtypes import numpy_or_default
from funcgrad.torch.ops.creation import finish
from funcgrad.torch.ops.shapes import ints
from funcgrad.torch.tensor import Tensor, concrete


def empty_strided(size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
                  requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor with these sizes and strides (in elements) whose values mean nothing yet."""
    sizes, strides = ints((size,)), ints((stride,))
    if len(sizes) != len(strides):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(strides)} and {len(sizes)}")
    if any(s < 0 for s in strides):
        raise RuntimeError(f"empty_strided: strides must not be negative, got {list(strides)}")
    kind = numpy_or_default(dtype)
    count = 0 if 0 in sizes else 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    memory = np.zeros(max(count, 1), kind)
    return finish(
        np.ndarray(sizes, kind, memory, 0, [s * kind.itemsize for s in strides]), requires_grad, device=device
    )


def empty_permuted(size: Any, physical_layout: Sequence[int], *, dtype: Any = None, layout: Any = None, device: Any = None,
                   requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor of this size, its dimensions in memory in the order of `physical_layout`, the outermost first."""
    sizes = ints((size,))
    if sorted(physical_layout) != list(range(len(sizes))):
        raise RuntimeError(
            f"Duplicate or missing dim in the physical layout {list(physical_layout)} of size {list(sizes)}"
        )
    strides, step = [0] * len(sizes), 1
    for d in reversed(physical_layout):
        strides[d] = step
        step *= max(sizes[d], 1)
    return empty_strided(sizes, strides, dtype=dtype, device=device, requires_grad=requires_grad)


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A tensor over the memory of an object with Python's buffer interface. Raises ValueError for too little of it."""
    kind = numpy_or_default(dtype)
    size = memoryview(buffer).nbytes
    if size == 0 or count == 0:
        raise ValueError(f"both buffer length ({size}) and count ({count}) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({size} bytes) - 1"
        )
    if count < 0 and (size - offset) % kind.itemsize:
        raise ValueError(
            f"buffer length ({size - offset} bytes) after offset ({offset} bytes) must be a multiple of element size "
            f"({kind.itemsize})"
        )
    if count > 0 and offset + count * kind.itemsize > size:
        raise ValueError(
            f"requested buffer length ({count} * {kind.itemsize} bytes) after offset ({offset} bytes) must not be greater than "
            f"actual buffer length ({size} bytes)"
        )
    return finish(np.frombuffer(buffer, kind, count, offset), requires_grad)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Flat indices as one tensor of coordinates for each dimension of `shape`; those outside wrap around. Raises TypeError for
    floats."""
    sizes = ints((shape,))
    at = concrete(indices, "unravel_index")
    if at.dtype.kind not in "iu":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    return tuple(finish(c.astype(np.int64)) for c in np.unravel_index(at % max(math.prod(sizes), 1), sizes))


def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The coordinates of the first `size` elements that are not 0, rows of `fill_value` behind them: (size, dimensions)."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = np.argwhere(concrete(input, "nonzero_static"))[:size]
    rows = np.full((size, input.ndim), fill_value, np.int64)
    rows[: len(found)] = found
    return finish(rows)


def resize_as_(self: Tensor, other: Tensor, *, memory_format: Any = None) -> Tensor:
    """Changes the shape to that of another tensor; elements stay in the order of memory."""
    return self.resize_(other._array.shape)  # type: ignore[attr-defined]


def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over the dimensions that broadcasting from `size` would have repeated."""
    wanted = ints(size)
    have = tuple(self._array.shape)
    lead = len(have) - len(wanted)
    if lead < 0 or any(w not in (n, 1) for w, n in zip(wanted, have[lead:], strict=True)):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(have)}}}.")
    axes = [*range(lead), *[lead + i for i, w in enumerate(wanted) if w == 1 and have[lead + i] != 1]]
    return self.sum(axes).reshape(wanted) if axes else self  # type: ignore[attr-defined]


def const_data_ptr(self: Tensor) -> int:
    """The address of the first element."""
    return self.data_ptr()  # type: ignore[attr-defined]


def new(self: Tensor, *args: Any) -> Tensor:
    """A tensor of this dtype with the given sizes, or of the given values."""
    if len(args) == 1 and not isinstance(args[0], int):
        return self.new_tensor(args[0])  # type: ignore[attr-defined]
    return self.new_empty(*(args or (0,)))  # type: ignore[attr-defined]


def new_empty_strided(self: Tensor, size: Any, stride: Any, dtype: Any = None, **options: Any) -> Tensor:
    """As `empty_strided`, with the dtype of this tensor."""
    return empty_strided(size, stride, dtype=self.dtype if dtype is None else dtype, **options)


def _replaced(self: Tensor, name: str, function: Any, *others: Tensor) -> Tensor:
    if self.requires_grad:
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    arrays = [np.broadcast_to(concrete(o, name), self._array.shape) for o in others]
    values = [
        function(*v) for v in zip(*[a.reshape(-1).tolist() for a in (concrete(self, name), *arrays)], strict=True)
    ]
    return self.copy_(finish(np.array(values, self._array.dtype).reshape(self._array.shape)))  # type: ignore[attr-defined]


def apply_(self: Tensor, callable: Any) -> Tensor:
    """Replaces each element by what a Python function gives for it: slow, and without gradients."""
    return _replaced(self, "apply_", callable)


def map_(self: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """Replaces each element by function(it, the other tensor's)."""
    return _replaced(self, "map_", callable, tensor)


def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Any) -> Tensor:
    """Replaces each element by function(it, x's, y's)."""
    return _replaced(self, "map2_", callable, x, y)


for _method in (
    nonzero_static, resize_as_, sum_to_size, const_data_ptr, new, new_empty_strided, apply_, map_, map2_,
):  # fmt: skip
    setattr(Tensor, _method.__name__, _method)
