"""More views: what reorders, drops, adds and splits dimensions, in terms of the steps of `views.py`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.torch.inplace import check_write
from funcgrad.torch.modes import state
from funcgrad.torch.node import node_class
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.copies import clone
from funcgrad.torch.ops.views import (
    detach,
    expand,
    full_shape,
    permute_step,
    reshape,
    select_step,
    slice_step,
    transpose,
    unsqueeze_step,
    view,
    wrap_dim,
)
from funcgrad.torch.tensor import Tensor, concrete, element_strides
from funcgrad.torch.views import View, set_view


def ints(args: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes or dimensions given one by one or as one sequence."""
    listed = args[0] if len(args) == 1 and isinstance(args[0], (tuple, list)) else args
    return tuple(int(a) for a in listed)


# ---- order of dimensions ----


def permute(self: Tensor, *dims: Any) -> Tensor:
    """Dimensions in another order, as a view."""
    if not dims:
        raise TypeError('permute() missing 1 required positional arguments: "dims"')
    wanted = ints(dims)
    if len(wanted) != self.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of "
            f"dimensions i.e. input.dim() = {self.ndim} is not equal to len(dims) = {len(wanted)}"
        )
    found = tuple(wrap_dim(d, self.ndim) for d in wanted)
    if len(set(found)) < len(found):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return permute_step(self, found)


@operation("TBackward0", view=True, look=lambda x: x.T, name="t", method=False)
def t_step(input: Operand) -> Any:
    """A matrix with its dimensions exchanged."""
    return fnp.transpose(input)


def t(self: Tensor) -> Tensor:
    """The transpose of a matrix; tensors with fewer dimensions as they are."""
    if self.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return t_step(self)


def movedim(self: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to other places; the rest keep their order."""
    src = [source] if isinstance(source, int) else list(source)
    dst = [destination] if isinstance(destination, int) else list(destination)
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({src} dims) should contain the same number of dims "
            f"as destination ({dst} dims)"
        )
    order = np.moveaxis(
        np.empty((1,) * self.ndim), [wrap_dim(s, self.ndim) for s in src], [wrap_dim(d, self.ndim) for d in dst]
    )
    del order
    rest = [d for d in range(self.ndim) if d not in [wrap_dim(s, self.ndim) for s in src]]
    found: list[int] = []
    places = {wrap_dim(d, self.ndim): wrap_dim(s, self.ndim) for s, d in zip(src, dst, strict=True)}
    supply = iter(rest)
    for d in range(self.ndim):
        found.append(places[d] if d in places else next(supply))
    return permute_step(self, tuple(found))


def _matrix_transpose(self: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    if self.ndim < 2:
        raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor.")
    return transpose(self, -2, -1)


def _all_transposed(self: Tensor) -> Tensor:
    """All dimensions in reverse order."""
    return permute_step(self, tuple(reversed(range(self.ndim)))) if self.ndim != 2 else t_step(self)


def adjoint(self: Tensor) -> Tensor:
    """The conjugated matrix transpose."""
    turned = _matrix_transpose(self)
    return turned.conj() if turned.is_complex() else turned  # type: ignore[attr-defined]


# ---- fewer and more dimensions ----


@operation(lambda input, dims: f"SqueezeBackward{0 if dims is None else 1 if len(dims) == 1 else 2}",
           view=True, look=lambda x, dims: np.squeeze(x, dims), method=False, name="squeeze")  # fmt: skip
def squeeze_step(input: Operand, dims: Any) -> Any:
    """Without the dimensions of size 1 among these (None: all)."""
    return fnp.squeeze(input, dims)


def squeeze(self: Tensor, dim: Any = None) -> Tensor:
    """Without dimensions of size 1: all, or those named that have that size."""
    if dim is None:
        return squeeze_step(self, None)
    listed = [dim] if isinstance(dim, int) else list(dim)
    dims = tuple(d for d in (wrap_dim(d, self.ndim) for d in listed) if self.ndim and self._array.shape[d] == 1)
    return squeeze_step(self, dims)


def unsqueeze(self: Tensor, dim: int) -> Tensor:
    """With a new dimension of size 1."""
    bound = self.ndim + 1
    if not -bound <= dim < bound:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})")
    return unsqueeze_step(self, dim % bound)


def flatten(self: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim as one: a view where possible."""
    shape = self._array.shape
    if not shape:
        return reshape(self, 1)
    first, last = wrap_dim(start_dim, self.ndim), wrap_dim(end_dim, self.ndim)
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if first == last:
        return self
    return reshape(self, *shape[:first], int(np.prod(shape[first : last + 1], dtype=np.int64)), *shape[last + 1 :])


def unflatten(self: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """One dimension as several."""
    d = wrap_dim(dim, self.ndim)
    shape = self._array.shape
    try:
        wanted = full_shape(sizes, shape[d])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} ({shape[d]}) in the input tensor"
        ) from None
    return view(self, *shape[:d], *wanted, *shape[d + 1 :])


def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Expanded to the shape of another tensor."""
    return expand(self, *other._array.shape)


def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of another tensor."""
    return view(self, *other._array.shape)


def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """In the shape of another tensor."""
    return reshape(self, *other._array.shape)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Tensors expanded to their common shape."""
    given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    shape = broadcast_shapes(*[x._array.shape for x in given])
    return tuple(expand(x, *shape) for x in given)


def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that shapes broadcast to."""
    try:
        return np.broadcast_shapes(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes])
    except ValueError:
        raise RuntimeError("Shape mismatch: objects cannot be broadcast to a single shape") from None


# ---- parts ----


def select(self: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one index of a dimension, as a view."""
    if not self.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, self.ndim)
    n = self._array.shape[d]
    i = int(index)
    if not -n <= i < n:
        raise IndexError(
            f"select(): index {i} out of range for tensor of size {list(self._array.shape)} at dimension {d}"
        )
    return select_step(self, d, i % n)


def narrow(self: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """`length` elements of a dimension from `start` on, as a view."""
    if not self.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, self.ndim)
    n = self._array.shape[d]
    first = int(start)
    if not -n <= first <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {first})")
    first = first + n if first < 0 else first
    if first + length > n:
        raise RuntimeError(f"start ({first}) + length ({length}) exceeds dimension size ({n}).")
    return slice_step(self, d, first, int(length), 1)


@operation(
    view=True, look=lambda x, offset, dim1, dim2: np.diagonal(x, offset, dim1, dim2), method=False, name="diagonal"
)
def diagonal_step(input: Operand, offset: int, dim1: int, dim2: int) -> Any:
    """The diagonal of two dimensions, as the last dimension."""
    return fnp.diagonal(input, offset, dim1, dim2)


def diagonal(self: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions as the last dimension, as a view."""
    made = diagonal_step(self, offset, wrap_dim(dim1, self.ndim), wrap_dim(dim2, self.ndim))
    if type(made._array) is np.ndarray:
        # NumPy gives diagonals that may not be written to; the memory is the tensor's own.
        made._array.setflags(write=self._array.flags.writeable)
    return made


def _split_look(x: np.ndarray, sizes: Sequence[int], dim: int) -> list[np.ndarray]:
    return np.split(x, np.cumsum(sizes)[:-1], axis=dim)


def _split_body(x: Any, sizes: Sequence[int], dim: int) -> list[Any]:
    ends = np.cumsum(sizes)
    return [lax.slice_in_dim(x, int(e - s), int(e), axis=dim) for s, e in zip(sizes, ends, strict=True)]


@operation("SplitBackward0", view="multi", look=_split_look, method=False, name="split")
def split_step(input: Operand, sizes: tuple[int, ...], dim: int) -> Any:
    """Parts of these sizes along a dimension, each a view."""
    return _split_body(input, sizes, dim)


@operation("SplitWithSizesBackward0", view="multi", look=_split_look, method=False, name="split_with_sizes")
def split_with_sizes_step(input: Operand, sizes: tuple[int, ...], dim: int) -> Any:
    """Parts of these sizes along a dimension, each a view."""
    return _split_body(input, sizes, dim)


def _unbind_look(x: np.ndarray, dim: int) -> list[np.ndarray]:
    rows = np.moveaxis(x, dim, 0)
    return [rows[i, ...] for i in range(len(rows))]  # the dots keep an element a view


@operation("UnbindBackward0", view="multi", look=_unbind_look, method=False, name="unbind")
def unbind_step(input: Operand, dim: int) -> Any:
    """The slices along a dimension, each a view."""
    return [lax.index_in_dim(input, i, dim, keepdims=False) for i in range(input.shape[dim])]


def _equal_parts(n: int, size: int) -> tuple[int, ...]:
    return tuple(min(size, n - start) for start in range(0, n, size)) or (0,)


def split(self: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of one size (the last may be smaller) or of a list of sizes along a dimension, as views."""
    if not self.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, self.ndim)
    n = self._array.shape[d]
    if isinstance(split_size_or_sections, int):
        if split_size_or_sections < 0 or (split_size_or_sections == 0 and n):
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={split_size_or_sections}")
        return split_step(self, _equal_parts(n, split_size_or_sections or 1), d)
    sizes = ints((split_size_or_sections,))
    if sum(sizes) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {d}), but got "
            f"split_sizes={list(sizes)}"
        )
    return split_with_sizes_step(self, sizes, d)


def chunk(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of equal size (the last may be smaller) along a dimension, as views."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    if not self.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, self.ndim)
    n = self._array.shape[d]
    if not n:
        return split_with_sizes_step(self, (0,) * chunks, d)
    return split_step(self, _equal_parts(n, max(-(-n // chunks), 1)), d)


def tensor_split(self: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts cut at indices, or a number of parts of nearly equal size, as views."""
    d = wrap_dim(dim, self.ndim)
    n = self._array.shape[d]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        sizes = [n // k + (i < n % k) for i in range(k)]
        ends = list(np.cumsum([0, *sizes]))
    else:
        cuts = [min(max(i + n if i < 0 else i, 0), n) for i in indices_or_sections]
        ends = [0, *cuts, n]
    return tuple(slice_step(self, d, int(a), max(int(b - a), 0), 1) for a, b in itertools.pairwise(ends))


def hsplit(self: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Parts along the second dimension (the first of a vector)."""
    return tensor_split(self, indices_or_sections, 0 if self.ndim == 1 else 1)


def vsplit(self: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Parts along the first dimension."""
    return tensor_split(self, indices_or_sections, 0)


def dsplit(self: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Parts along the third dimension."""
    return tensor_split(self, indices_or_sections, 2)


def unbind(self: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dimension, as views."""
    found = unbind_step(self, wrap_dim(dim, self.ndim))
    return found if isinstance(found, tuple) else (found,)


def _iterate(self: Tensor) -> Any:
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(unbind(self, 0))


def _unfold_look(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis=dim, writeable=True)
    return windows[(slice(None),) * dim + (slice(None, None, step),)]


@operation(view=True, look=_unfold_look, method=False, name="unfold")
def unfold_step(input: Operand, dim: int, size: int, step: int) -> Any:
    """Windows along a dimension, their elements as the last dimension."""
    count = (input.shape[dim] - size) // step + 1
    at = np.arange(count)[:, None] * step + np.arange(size)
    taken = fnp.take(input, at, axis=dim)
    return fnp.moveaxis(taken, dim + 1, -1)


def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements, `step` apart, along a dimension; their elements are the last dimension of the view."""
    dim = wrap_dim(dimension, self.ndim)
    n = self._array.shape[dim] if self.ndim else 1
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {dim} is {n} but size is {size}")
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not self.ndim:
        return strided_step(self, (size,), (1,), 0)
    return unfold_step(self, dim, size, step)


def _strided_look(x: np.ndarray, size: Any, stride: Any, offset: int) -> np.ndarray:
    steps = [s * x.itemsize for s in stride]
    return np.ndarray(size, x.dtype, x.reshape(-1).view(np.ndarray), offset * x.itemsize, steps)


@operation(view=True, look=_strided_look, method=False, name="as_strided")
def strided_step(input: Operand, size: Any, stride: Any, offset: int) -> Any:
    """Elements of a contiguous tensor by strides."""
    at = np.full(size, offset, np.int64)
    for d, (n, s) in enumerate(zip(size, stride, strict=True)):
        at = at + (np.arange(n) * s).reshape([-1 if i == d else 1 for i in range(len(size))])
    return fnp.ravel(input)[at]


def as_strided(self: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """Elements of the tensor's memory by sizes, strides and offset (in elements), as a view. The tensor must be contiguous."""
    if not self.is_contiguous():
        raise RuntimeError("as_strided: the tensor must be contiguous; call .contiguous() first")
    sizes, strides, start = ints((size,)), ints((stride,)), self.storage_offset()
    if len(sizes) != len(strides):
        raise RuntimeError(f"mismatch in length of strides and shape: {len(strides)} and {len(sizes)}")
    if any(s < 0 for s in strides):
        raise RuntimeError(
            f"as_strided: Negative strides are not supported at the moment, got strides: {list(strides)}"
        )
    first = 0 if storage_offset is None else storage_offset - start
    last = first + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    if 0 not in sizes and (first < 0 or last >= self.numel()):
        raise RuntimeError(
            f"setStorage: sizes {list(sizes)}, strides {list(strides)}, storage offset {first + start} are out of bounds for "
            f"the {self.numel()} elements of the tensor"
        )
    return strided_step(self, sizes, strides, first)


# ---- real and complex ----


@operation("ViewAsRealBackward0", view=True, look=lambda x: x.view(x.real.dtype).reshape((*x.shape, 2)))
def view_as_real(input: Operand) -> Any:
    """A complex tensor as pairs of its real and imaginary parts."""
    return fnp.stack([fnp.real(input), fnp.imag(input)], axis=-1)


@operation("ViewAsComplexBackward0", view=True,
           look=lambda x: np.ascontiguousarray(x).view(np.result_type(x.dtype, np.complex64))[..., 0])  # fmt: skip
def view_as_complex(input: Operand) -> Any:
    """Pairs of real numbers as complex numbers."""
    return lax.complex(input[..., 0], input[..., 1])


@operation("SelectBackward0", view=True, look=lambda x: x.real, method=False, name="real")
def real_step(input: Operand) -> Any:
    """The real parts."""
    return fnp.real(input)


@operation("SelectBackward0", view=True, look=lambda x: x.imag, method=False, name="imag")
def imag_step(input: Operand) -> Any:
    """The imaginary parts."""
    return fnp.imag(input)


def real(input: Tensor) -> Tensor:
    """The real parts, as a view; real tensors as they are."""
    return real_step(input) if input.is_complex() else input


def imag(input: Tensor) -> Tensor:
    """The imaginary parts, as a view. Raises RuntimeError for real tensors."""
    if not input.is_complex():
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return imag_step(input)


# ---- memory ----


def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in C order, else a copy in which they do."""
    return self if self.is_contiguous() else to_contiguous(self)


@operation("CloneBackward0", look=np.ascontiguousarray, method=False)
def to_contiguous(input: Operand) -> Any:
    """A copy in C order."""
    return input


def detach_(self: Tensor) -> Tensor:
    """Cuts the history of the tensor in place. Raises RuntimeError for views."""
    if self._is_view():
        raise RuntimeError("Can't detach views in-place. Use detach() instead.")
    self._node, self._output_nr, self._requires_grad, self._retains = None, 0, False, False
    return self


def _get_data(self: Tensor) -> Tensor:
    made = detach(self)
    made._counter = type(self._counter)()
    return made


def _set_data(self: Tensor, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self.requires_grad and value._array.dtype.kind not in "fc":
        raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
    if state.recorder is not None:
        state.recorder.note_write(self)
    self._array = value._array
    if self._view is not None and not self._view.tracks:
        self._view = None


_TURNED = {
    "TBackward0": "TBackward1",
    "TransposeBackward0": "TransposeBackward1",
    "UnsqueezeBackward0": "UnsqueezeBackward1",
    "SqueezeBackward0": "SqueezeBackward3",
    "SqueezeBackward1": "SqueezeBackward4",
    "SqueezeBackward2": "SqueezeBackward5",
}
"""The nodes of views, and those of their in-place forms."""


def _turned(self: Tensor, made: Tensor) -> Tensor:
    """Makes the tensor what a view of it is: the in-place forms of reordering."""
    node: Any = made.grad_fn
    if node is not None:
        node.__class__ = node_class(_TURNED.get(node.title, node.title))
        self._node, self._output_nr = node, made._output_nr
    before = self._array
    self._array = made._array
    if self._view is not None:
        # Under no_grad too the tensor stays the view that it was, with a step more; its node is made anew when asked for.
        old, self._view = self._view, made._view
        self._view.creation, self._view.shown, self._view.tracks = old.creation, old.shown, old.tracks
        self._view.version = -1 if node is None else self._counter.value + 1
    del before
    self._counter.value += 1
    return self


def _inplace(function: Any) -> Any:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_write(self, elements=False)
        return _turned(self, function(self, *args, **kwargs))

    method.__name__ = function.__name__ + "_"
    method.__doc__ = f"In-place version of `{function.__name__}`."
    return method


def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Another shape in place; new elements are not initialised. Raises RuntimeError for tensors that require grad."""
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = ints(sizes)
    flat = concrete(self, "resize_").reshape(-1)
    need = int(np.prod(shape, dtype=np.int64))
    if need <= flat.size:
        self._array = flat[:need].reshape(shape)
    else:
        grown = np.zeros(need, flat.dtype)
        grown[: flat.size] = flat
        self._array = grown.reshape(shape)
    return self


_METHODS = [permute, t, movedim, adjoint, squeeze, unsqueeze, flatten, unflatten, expand_as, view_as, reshape_as, select, narrow,
            diagonal, split, chunk, tensor_split, hsplit, vsplit, dsplit, unbind, unfold, as_strided, contiguous,
            detach_, resize_]  # fmt: skip
for _method in _METHODS:
    setattr(Tensor, _method.__name__, _method)
moveaxis = Tensor.moveaxis = movedim  # type: ignore[attr-defined]
swapaxes = swapdims = Tensor.swapaxes = Tensor.swapdims = transpose  # type: ignore[attr-defined]
broadcast_to = Tensor.broadcast_to = expand  # type: ignore[attr-defined]
split_with_sizes = Tensor.split_with_sizes = split  # type: ignore[attr-defined]
for _method in (squeeze, unsqueeze, t, transpose):
    setattr(Tensor, _method.__name__ + "_", _inplace(_method))
Tensor.swapaxes_ = Tensor.swapdims_ = Tensor.transpose_  # type: ignore[attr-defined]


def ravel(self: Tensor) -> Tensor:
    """Flattened: a view where possible."""
    return reshape(self, -1)


Tensor.ravel = ravel  # type: ignore[attr-defined]
Tensor.T = property(_all_transposed)  # type: ignore[attr-defined]
Tensor.mT = property(_matrix_transpose)  # type: ignore[attr-defined]
Tensor.H = property(lambda self: adjoint(self))  # type: ignore[attr-defined]
Tensor.mH = property(adjoint)  # type: ignore[attr-defined]
Tensor.real = property(real)  # type: ignore[attr-defined]
Tensor.imag = property(imag)  # type: ignore[attr-defined]
Tensor.data = property(_get_data, _set_data)  # type: ignore[attr-defined]
setattr(Tensor, "__iter__", _iterate)  # noqa: B010
_ = clone, View, set_view, element_strides
