"""Tensor: an array with PyTorch's state around it. No mathematics here: operations are rows of `ops/`, put on the class there.

What a tensor is: `_array` (an ndarray, whose strides are the tensor's; a tracer inside of functional transforms and
compiled steps), a version counter, and its place in the graph. Fields that most tensors leave alone are class attributes.
"""

from __future__ import annotations

import warnings
import weakref
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from funcgrad.core.tracing import Tracer
from funcgrad.torch import dtypes
from funcgrad.torch.counter import VersionCounter
from funcgrad.torch.dtypes import Size
from funcgrad.torch.modes import state

Ndarray = np.ndarray


class TensorMeta(type):
    """Makes `isinstance` and the call `Tensor(...)` PyTorch's."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.legacy(*args, **kwargs)  # type: ignore[attr-defined]


class Tensor(metaclass=TensorMeta):
    """A multi-dimensional array that records what is done with it when `requires_grad` is set."""

    _array: Any
    _counter: VersionCounter
    _requires_grad: bool = False
    _node: Any = None
    """The node that made it: `grad_fn`, unless a write to its base has replaced that."""
    _output_nr: int = 0
    _grad: Tensor | None = None
    _view: Any = None
    """How it looks into the memory of another tensor (`views.View`); None for one that owns its memory."""
    _accumulator: Any = None
    """A weak reference to the AccumulateGrad node of a leaf: the node keeps the leaf alive, not the other way round."""
    _hooks: Any = None
    _post_hooks: Any = None
    _retains: bool = False
    _inference: bool = False
    _tangent: Any = None
    """(level, tangent) of a dual tensor (`autograd/forward_ad.py`)."""
    _origin: Any = None
    """What the trace of a compiled step knows of this tensor; None outside of one."""
    __array_priority__ = 1000

    if TYPE_CHECKING:
        # The operations are put on the class by `ops/`.
        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    legacy: ClassVar[Any]
    """Makes what `Tensor(...)` asks for; set by the creation operations."""

    # ---- what it is ----

    @property
    def shape(self) -> Size:
        return Size(self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        shape = self._array.shape
        if dim is None:
            return Size(shape)
        bound = max(len(shape), 1)
        if not -bound <= dim < bound:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})"
            )
        return shape[dim]

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes.from_numpy_dtype(self._array.dtype)

    @property
    def ndim(self) -> int:
        return len(self._array.shape)

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self._array.shape)

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return int(np.prod(self._array.shape, dtype=np.int64))

    nelement = numel

    @property
    def device(self) -> dtypes.device:
        return dtypes.CPU

    @property
    def layout(self) -> dtypes.layout:
        return dtypes.strided

    @property
    def itemsize(self) -> int:
        return self._array.dtype.itemsize

    def element_size(self) -> int:
        """Bytes of one element."""
        return self._array.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.numel() * self._array.dtype.itemsize

    is_cuda = is_sparse = is_quantized = is_meta = is_mkldnn = is_mps = is_nested = is_xpu = is_vulkan = False
    is_cpu = True
    names: Any = property(lambda self: (None,) * self.ndim)

    def is_floating_point(self) -> bool:
        """Whether the dtype is floating."""
        return self._array.dtype.kind == "f"

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self._array.dtype.kind == "c"

    def is_signed(self) -> bool:
        """Whether the dtype has negative values."""
        return self._array.dtype.kind in "ifc"

    def is_inference(self) -> bool:
        """Whether it was made in inference mode."""
        return self._inference

    def stride(self, dim: int | None = None) -> Any:
        """Steps between neighbours along each dimension, in elements."""
        found = element_strides(self._array)
        return found if dim is None else found[dim]

    def storage_offset(self) -> int:
        """Where the first element lies in the memory of the base, in elements."""
        root = self._view.root if self._view is not None else self
        if type(self._array) is not Ndarray or root is self or type(root._array) is not Ndarray:
            return 0
        return (address(self._array) - address(root._array)) // max(self._array.dtype.itemsize, 1)

    def data_ptr(self) -> int:
        """The address of the first element."""
        return address(self._array) if self.numel() else 0

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether elements lie in C order without gaps (or in channels-last order, if asked for)."""
        array = self._array
        if type(array) is not Ndarray:
            return True
        if memory_format is dtypes.channels_last and array.ndim == 4:
            return array.transpose(0, 2, 3, 1).flags.c_contiguous
        return array.flags.c_contiguous

    def __len__(self) -> int:
        if not self._array.shape:
            raise TypeError("len() of a 0-d tensor")
        return self._array.shape[0]

    def __hash__(self) -> int:
        return id(self)

    # ---- its place in the graph ----

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad or (self._view is not None and self._view.tracked())

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"requires_grad must be a bool, got {type(value).__name__}")
        if self.grad_fn is not None:
            if value:
                raise RuntimeError("you can only change requires_grad flags of leaf variables.")
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
                "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if value:
            check_may_require_grad(self)
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets `requires_grad` of a leaf; on other tensors asking for True changes nothing."""
        if requires_grad and self.grad_fn is not None:
            return self
        self.requires_grad = requires_grad
        return self

    @property
    def grad_fn(self) -> Any:
        return self._node if self._view is None else self._view.history(self)

    @property
    def is_leaf(self) -> bool:
        return self.grad_fn is None

    @property
    def output_nr(self) -> int:
        return self._output_nr

    @property
    def grad(self) -> Tensor | None:
        if self._grad is None and self._requires_grad and not self._retains and self.grad_fn is not None:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
                "populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, "
                "use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access "
                "the leaf Tensor instead.",
                UserWarning,
                stacklevel=2,
            )
        if state.recorder is not None:
            state.recorder.note_grad(self)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            self._check_grad(value)
        if state.recorder is not None:
            state.recorder.note_grad(self, True)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    @property
    def grad_dtype(self) -> Any:
        """The dtype that `.grad` must have; None: any."""
        return self.__dict__.get("_grad_dtype", self.dtype)

    @grad_dtype.setter
    def grad_dtype(self, value: dtypes.dtype | None) -> None:
        if self.grad_fn is not None:
            raise RuntimeError("grad_dtype can only be set on leaf tensors.")
        if value is not None and self._grad is not None and self._grad.dtype is not value:
            raise RuntimeError(
                f"Cannot set grad_dtype to {value} because there is already a gradient of {self._grad.dtype}."
            )
        self.__dict__["_grad_dtype"] = value

    def _check_grad(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        wanted = self.grad_dtype
        if wanted is not None and value.dtype is not wanted:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{value.dtype}' to a tensor with grad_dtype '{wanted}'. "
                f"The gradient "
                "must match the tensor's grad_dtype (defaults to the tensor's dtype). Convert it by grad.to(...), or set "
                "tensor.grad_dtype first."
            )
        if value._array.shape != self._array.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value._array.shape)}' to a tensor of size "
                f"'{list(self._array.shape)}'. Please ensure that the gradient and the tensor are the same size"
            )

    def retain_grad(self) -> None:
        """Has backward fill `.grad` of a tensor that is not a leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        node = self.grad_fn
        if node is None or self._retains:
            return
        self._retains = True
        node.retain(self._output_nr, weakref.ref(self))

    @property
    def retains_grad(self) -> bool:
        return self._retains

    @property
    def _version(self) -> int:
        if self._inference:
            raise RuntimeError("Inference tensors do not track version counter.")
        return self._counter.value

    @property
    def _base(self) -> Tensor | None:
        view = self._view
        return view.base if view is not None and view.tracks else None

    def _is_view(self) -> bool:
        view = self._view
        return view is not None and view.shown

    # ---- conversions that need no operation ----

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self.numel() != 1:
            raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
        return concrete(self, "item").reshape(()).item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return concrete(self, "tolist").tolist()

    def __bool__(self) -> bool:
        if self.numel() != 1:
            kind = "no values" if self.numel() == 0 else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {kind} is ambiguous")
        return bool(concrete(self, "bool").reshape(()))

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iub" or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The values as an ndarray that shares memory. `force=True` detaches first.

        Raises RuntimeError for a tensor that requires grad, whose history NumPy could not follow.
        """
        if self.requires_grad and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return concrete(self, "numpy")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            return array.astype(dtype)
        return array.copy() if copy else array


def concrete(tensor: Tensor, asked: str) -> Any:
    """The ndarray of a tensor; inside of a trace the error of Python's conversions."""
    if state.recorder is not None:
        state.recorder.take(tensor)
    array = tensor._array
    if type(array) is Ndarray:
        return array
    return np.asarray(array.concrete(asked)) if type(array) is Tracer else np.asarray(array)


def check_may_require_grad(tensor: Tensor) -> None:
    """Raises RuntimeError for a dtype without derivatives and for inference tensors outside of inference mode."""
    if tensor._array.dtype.kind not in "fc":
        raise RuntimeError(
            "only Tensors of floating point dtype can require gradients, got "
            f"{tensor.dtype}; convert it first, e.g. by .float()."
        )
    if tensor._inference and not state.inference:
        raise RuntimeError(
            "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed. Use .clone() first."
        )


def Variable(data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    """A leaf over the memory of `data`: how tensors with gradients were made before PyTorch 0.4."""
    leaf = data.detach()  # type: ignore[attr-defined]
    leaf._view = None
    if requires_grad and not volatile:
        leaf.requires_grad = True
    return leaf


def make(array: Any) -> Tensor:
    """A tensor that owns `array`: an ndarray or a tracer."""
    tensor = object.__new__(Tensor)
    tensor._array = array
    tensor._counter = VersionCounter()
    if state.inference:
        tensor._inference = True
    if state.recorder is not None:
        state.recorder.note_created(tensor)
    return tensor


def wrap(value: Any) -> Tensor:
    """A tensor of what a Program gives: NumPy scalars and subclasses become plain arrays."""
    kind = type(value)
    if kind is not Ndarray and kind is not Tracer:
        value = value.view(Ndarray) if isinstance(value, Ndarray) else np.asarray(value)
    return make(value)


def memory_of(array: np.ndarray) -> np.ndarray:
    """The array that holds the memory of this one, as far as NumPy knows."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def address(array: np.ndarray) -> int:
    """The address of the first element."""
    return array.__array_interface__["data"][0]


def element_strides(array: Any) -> tuple[int, ...]:
    """Strides in elements; in C order for a traced value."""
    if type(array) is Ndarray:
        size = array.dtype.itemsize
        if array.size and 1 not in array.shape:
            return tuple([s // size for s in array.strides])
        return _with_gaps(array, size)
    return c_strides(array.shape)


def _with_gaps(array: np.ndarray, size: int) -> tuple[int, ...]:
    # NumPy may say anything of dimensions of size 1; PyTorch says what a contiguous tensor has.
    if array.flags.c_contiguous:
        return c_strides(array.shape)
    return tuple([s // size for s in array.strides])


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of C order."""
    found: list[int] = []
    step = 1
    for n in reversed(shape):
        found.append(step)
        step *= max(n, 1)
    return tuple(reversed(found))
