"""Views: operations whose result looks into the memory of their operand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.torch import dtypes
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.tensor import Tensor


def wrap_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front. Raises IndexError as PyTorch does."""
    bound = max(ndim, 1)
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return dim % bound


# ---- alias ----


@operation(view="alias", look=lambda x: x[...])
def detach(input: Operand) -> Any:
    """The same values and memory without history."""
    return input


# ---- basic indexing, one step for each dimension, as PyTorch records it ----


def _select_look(x: np.ndarray, dim: int, index: int) -> np.ndarray:
    return x[(slice(None),) * dim + (index, ...)]


@operation(view=True, look=_select_look, method=False, name="select")
def select_step(input: Operand, dim: int, index: Operand) -> Any:
    """The slice at one index of a dimension, both counted from the front."""
    return lax.dynamic_index_in_dim(input, index, dim, keepdims=False)


def _slice_look(x: np.ndarray, dim: int, start: int, length: int, step: int) -> np.ndarray:
    return x[(slice(None),) * dim + (slice(start, start + (length - 1) * step + 1 if length else start, step),)]


@operation(view=True, look=_slice_look, method=False, name="slice")
def slice_step(input: Operand, dim: int, start: Operand, length: int, step: int) -> Any:
    """`length` elements of a dimension from `start` on."""
    if length == 0:
        return lax.slice_in_dim(input, 0, 0, axis=dim)
    part = lax.dynamic_slice_in_dim(input, start, (length - 1) * step + 1, axis=dim)
    return part if step == 1 else lax.slice_in_dim(part, 0, part.shape[dim], step, axis=dim)


@operation(view=True, look=lambda x, dim: np.expand_dims(x, dim), method=False, name="unsqueeze")
def unsqueeze_step(input: Operand, dim: int) -> Any:
    """A new dimension of size 1."""
    return fnp.expand_dims(input, dim)


# ---- shape ----


@operation(view=True, look=lambda x, shape: np.reshape(x, shape), method=False, name="view")
def view_step(input: Operand, shape: tuple[int, ...]) -> Any:
    """Another shape over the same memory."""
    return fnp.reshape(input, shape)


@operation("ReshapeAliasBackward0", view=True, look=lambda x, shape: np.reshape(x, shape), method=False)
def reshape_alias(input: Operand, shape: tuple[int, ...]) -> Any:
    """`view` as `reshape` does it where elements do not lie one after the other."""
    return fnp.reshape(input, shape)


@operation("UnsafeViewBackward0", method=False, name="reshape_copy")
def reshape_copy(input: Operand, shape: tuple[int, ...]) -> Any:
    """Another shape, in new memory."""
    return fnp.reshape(input, shape)


@operation(
    view=True,
    look=lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1) if x.ndim else x[...],
    method=False,
    name="transpose",
)
def transpose_step(input: Operand, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged."""
    return fnp.swapaxes(input, dim0, dim1) if input.ndim else fnp.reshape(input, ())


@operation(view=True, look=lambda x, dims: np.transpose(x, dims), method=False, name="permute")
def permute_step(input: Operand, dims: tuple[int, ...]) -> Any:
    """Dimensions in another order."""
    return fnp.transpose(input, dims)


def _expand_look(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    looked = np.broadcast_to(x, shape)
    # NumPy forbids writing to all of these; here only those with overlapping elements are refused, when written to.
    looked.setflags(write=x.flags.writeable)
    return looked


@operation(view=True, look=_expand_look, method=False, name="expand")
def expand_step(input: Operand, shape: tuple[int, ...]) -> Any:
    """Repeated along dimensions of size 1, without memory."""
    return fnp.broadcast_to(input, shape)


def full_shape(shape: Sequence[int], size: int) -> tuple[int, ...]:
    """A shape with its -1 filled in. Raises RuntimeError if it cannot hold `size` elements."""
    known = [int(n) for n in shape]
    listed = list(known)
    if known.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    rest = int(np.prod([n for n in known if n != -1], dtype=np.int64))
    if -1 in known:
        if rest == 0 or size % rest:
            raise RuntimeError(f"shape '{listed}' is invalid for input of size {size}")
        known[known.index(-1)] = size // rest
    elif rest != size:
        raise RuntimeError(f"shape '{listed}' is invalid for input of size {size}")
    return tuple(known)


def _shape_argument(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


@operation("ViewBackward1", view=True, look=lambda x, dtype: x.view(dtype.numpy), method=False, name="view_dtype")
def view_dtype(input: Operand, dtype: Any) -> Any:
    """The same bytes as another dtype."""
    return lax.bitcast_convert_type(input, dtype.numpy)


def view(self: Tensor, *shape: Any, dtype: Any = None) -> Tensor:
    """The same memory in another shape, or as another dtype. Raises RuntimeError where the strides do not allow it: "
    "use reshape."""
    kind = dtype if dtype is not None else shape[0] if len(shape) == 1 and isinstance(shape[0], dtypes.dtype) else None
    if kind is not None:
        return view_dtype(self, kind)
    wanted = full_shape(_shape_argument(shape), self.numel())
    array = self._array
    if type(array) is np.ndarray and array.size:
        looked = array.reshape(wanted)
        if not np.may_share_memory(looked, array):
            raise RuntimeError(
                "view size is not compatible with input tensor's size and stride (at least one dimension spans across "
                "two contiguous "
                "subspaces). Use .reshape(...) instead."
            )
    return view_step(self, wanted)


def reshape(self: Tensor, *shape: Any) -> Tensor:
    """Another shape: a view where the strides allow it, else a copy."""
    wanted = full_shape(_shape_argument(shape), self.numel())
    array = self._array
    if type(array) is np.ndarray and array.size and not np.may_share_memory(array.reshape(wanted), array):
        return reshape_copy(self, wanted)
    return view_step(self, wanted) if self.is_contiguous() else reshape_alias(self, wanted)


def transpose(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """Dimensions dim0 and dim1 exchanged, as a view."""
    return transpose_step(self, wrap_dim(dim0, self.ndim), wrap_dim(dim1, self.ndim))


def expand(self: Tensor, *sizes: Any) -> Tensor:
    """Repeated along dimensions of size 1 to the given sizes (-1: as it is), as a view without memory of its own."""
    wanted = list(_shape_argument(sizes))
    have = self._array.shape
    offset = len(wanted) - len(have)
    if offset < 0:
        raise RuntimeError(
            f"expand({self.dtype}{list(have)}, size={wanted}): the number of sizes provided ({len(wanted)}) must be "
            f"greater or equal to "
            f"the number of dimensions in the tensor ({len(have)})"
        )
    for i, n in enumerate(wanted):
        own = have[i - offset] if i >= offset else 1
        if n == -1 and i >= offset:
            wanted[i] = own
        elif own not in (1, n):
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({own}) at non-singleton dimension {i}.  "
                f"Target sizes: {wanted}.  Tensor sizes: {list(have)}"
            )
    return expand_step(self, tuple(wanted))


Tensor.view = view  # type: ignore[attr-defined]
Tensor.reshape = reshape  # type: ignore[attr-defined]
Tensor.transpose = transpose  # type: ignore[attr-defined]
Tensor.expand = expand  # type: ignore[attr-defined]
