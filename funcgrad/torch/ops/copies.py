"""Copies: clone, copy_, filling, and conversion of dtypes."""

from __future__ import annotations

import copy as copying
import warnings
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.ops.basics import convert
from funcgrad.torch import dtypes
from funcgrad.torch.operation import Operand, operation, write_in_place
from funcgrad.torch.tensor import Tensor, address, concrete, make, memory_of


def _clone_look(x: np.ndarray, memory_format: Any) -> np.ndarray:
    if memory_format is dtypes.channels_last and x.ndim == 4:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    if memory_format is dtypes.channels_last_3d and x.ndim == 5:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 4, 1)).transpose(0, 4, 1, 2, 3)
    keeps = memory_format in (None, dtypes.preserve_format) and not (x.size > 1 and 0 in x.strides)
    return np.array(x, order="K" if keeps else "C")


@operation(look=_clone_look)
def clone(input: Operand, *, memory_format: Any = None) -> Any:
    """A copy that gradients flow through."""
    return input


@operation("CopyBackwards", method=False)
def copy(input: Operand, other: Operand) -> Any:
    """`other` in the shape and dtype of `input`: the body of `copy_`."""
    return convert(fnp.broadcast_to(other, input.shape), input.dtype)


@operation("ToCopyBackward0", method=False, look=lambda x, dtype: x.astype(dtype.numpy))
def to_copy(input: Operand, dtype: Any) -> Any:
    """A copy in another dtype."""
    return convert(input, dtype.numpy)


@operation(lambda input, value: f"FillBackward{3 if isinstance(value, Tensor) else 2}", method=False)
def filled(input: Operand, value: Operand) -> Any:
    """One value everywhere: the body of `fill_`."""
    return fnp.full(input.shape, 0, input.dtype) + convert(fnp.asarray(value), input.dtype)


@operation("ZeroBackward0", method=False)
def zeroed(input: Operand) -> Any:
    """Zeros: the body of `zero_`."""
    return fnp.zeros(input.shape, input.dtype)


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Writes the values of `src`, broadcast and converted, into the tensor; gradients go to `src`."""
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'src' (position 1) must be Tensor, not {type(src).__name__}")
    try:
        np.broadcast_shapes(self._array.shape, src._array.shape)
        fits = len(src._array.shape) <= len(self._array.shape)
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"The size of tensor a ({self._array.shape[-1] if self.ndim else 1}) must match the size of tensor b "
            f"({src._array.shape[-1] if src.ndim else 1}) at non-singleton dimension {max(self.ndim - 1, 0)}: cannot copy "
            f"{list(src._array.shape)} into {list(self._array.shape)}"
        )
    return write_in_place(copy.operation, self, [self, src])


def fill_(self: Tensor, value: Any) -> Tensor:
    """Writes one value everywhere."""
    return write_in_place(filled.operation, self, [self, value], uniform=True)


def zero_(self: Tensor) -> Tensor:
    """Writes zeros everywhere."""
    return write_in_place(zeroed.operation, self, [self], uniform=True)


def as_dtype(self: Tensor, kind: dtypes.dtype) -> Tensor:
    """The tensor in a dtype: itself if it has that already."""
    return self if self._array.dtype == dtypes.numpy_dtype(kind) else to_copy(self, _as_own(kind))


def _as_own(kind: Any) -> dtypes.dtype:
    return kind if isinstance(kind, dtypes.dtype) else dtypes.from_numpy_dtype(dtypes.numpy_dtype(kind))


def to(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False,
       memory_format: Any = None, other: Any = None) -> Tensor:  # fmt: skip
    """The tensor in another dtype (or the dtype of another tensor); itself where nothing changes, unless `copy`."""
    for a in (*args, other):
        if isinstance(a, Tensor):
            dtype = a.dtype
        elif isinstance(a, dtypes.dtype) or a in (float, int, bool, complex):
            dtype = a
        elif isinstance(a, (str, dtypes.device)):
            device = a
    if device is not None:
        dtypes.device(device)
    if dtype is not None and self._array.dtype != dtypes.numpy_dtype(dtype):
        return to_copy(self, _as_own(dtype))
    return clone(self) if copy else self


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, as "torch.FloatTensor"; with a dtype or such a name, the tensor converted."""
    if dtype is None:
        return f"torch.{self.dtype.title}Tensor"
    if isinstance(dtype, str):
        title = dtype.removeprefix("torch.").removesuffix("Tensor")
        dtype = next(d for d in dtypes.ALL if d.title == title)
    return as_dtype(self, dtype)


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of another one."""
    return as_dtype(self, other.dtype)


def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself: all memory is the CPU's."""
    return self


def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """Raises RuntimeError: there is no GPU here."""
    dtypes.device("cuda")
    raise AssertionError


def _conversion(kind: dtypes.dtype, name: str) -> Any:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return as_dtype(self, kind)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The tensor as {kind}."
    return method


_CONVERSIONS = {
    "float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16, "int": dtypes.int32, "long": dtypes.int64,
    "short": dtypes.int16, "char": dtypes.int8, "byte": dtypes.uint8, "bool": dtypes.bool_, "cfloat": dtypes.complex64,
    "cdouble": dtypes.complex128,
}  # fmt: skip
for _name, _dtype in _CONVERSIONS.items():
    setattr(Tensor, _name, _conversion(_dtype, _name))
for _method in (copy_, fill_, zero_, to, type_as, cpu, cuda):
    setattr(Tensor, _method.__name__, _method)
Tensor.type = type_  # type: ignore[attr-defined]


# ---- Python's own copies ----


def _copied(self: Tensor) -> Tensor:
    made: Any = object.__new__(type(self))
    made.__dict__.update(self.__dict__)
    made._accumulator = made._hooks = made._post_hooks = None
    return made


def _deep_copied_memory(array: np.ndarray, memo: dict[int, Any]) -> np.ndarray:
    """The array in a copy of all the memory that it lies in, which what shares it shares again."""
    whole = memory_of(array)
    if not whole.flags.forc or whole.dtype.itemsize != array.dtype.itemsize:
        return np.array(array, order="K")
    if id(whole) not in memo:
        memo[id(whole)] = np.array(whole, order="K")
    copy = memo[id(whole)].ravel(order="K").view(array.dtype)
    return np.ndarray(array.shape, array.dtype, copy, address(array) - address(whole), array.strides)


def _attributes(self: Tensor) -> dict[str, Any]:
    """What the user has set on the tensor."""
    return {k: v for k, v in self.__dict__.items() if k not in Tensor.__annotations__}


def deep_copied(self: Tensor, memo: dict[int, Any], bare: bool = False) -> Tensor:
    """`copy.deepcopy` of a leaf. With `bare`, without its gradient and without attributes, as PyTorch copies parameters."""
    known = memo.get(id(self))
    if known is not None:
        return known
    if self.grad_fn is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were "
            "attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    made: Any = object.__new__(type(self))
    made.__dict__.update(make(_deep_copied_memory(concrete(self, "copy.deepcopy"), memo)).__dict__)
    made._counter = memo.setdefault(id(self._counter), made._counter)
    made._requires_grad = self._requires_grad
    memo[id(self)] = made
    if not bare:
        made._grad = copying.deepcopy(self._grad, memo)
        made.__dict__.update(copying.deepcopy(_attributes(self), memo))
    return made


def _reduced(self: Tensor) -> tuple[Any, ...]:
    if self.grad_fn is not None:
        array, flag = concrete(self, "pickle"), True
    else:
        array, flag = concrete(self, "pickle"), self._requires_grad
    for hook in (self._hooks or {}).values():
        warnings.warn(f"backward hook {hook!r} on tensor will not be serialized.", UserWarning, stacklevel=3)
    return _rebuilt, (type(self), np.array(array, order="K"), flag), _attributes(self) or None


def _rebuilt(kind: type, array: np.ndarray, requires_grad: bool) -> Tensor:
    made: Any = object.__new__(kind)
    made.__dict__.update(make(array).__dict__)
    made._requires_grad = requires_grad
    return made


setattr(Tensor, "__copy__", _copied)  # noqa: B010
setattr(Tensor, "__deepcopy__", deep_copied)  # noqa: B010
setattr(Tensor, "__reduce_ex__", lambda self, protocol: _reduced(self))  # noqa: B010
