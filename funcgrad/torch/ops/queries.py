"""Questions about tensors and dtypes, exchange by DLPack, and settings that scripts ask for."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.api import settings
from funcgrad.compile import machine
from funcgrad.core.tracing import type_of
from funcgrad.torch import dtypes
from funcgrad.torch.tensor import Tensor, concrete, make


def is_tensor(obj: Any) -> bool:
    """Whether an object is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is floating."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input.is_complex()


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element of a tensor is not zero."""
    return bool(input)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether shapes are equal."""
    return input._array.shape == other._array.shape


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype that an operation on two tensors or numbers computes in."""
    types = [type_of(t._array if isinstance(t, Tensor) else t) for t in (tensor1, tensor2)]
    return dtypes.from_numpy_dtype(dtypes.result_dtype(types))


def promote_types(type1: dtypes.dtype, type2: dtypes.dtype) -> dtypes.dtype:
    """The smallest dtype that both go into."""
    return dtypes.from_numpy_dtype(dtypes.promote_dtypes(type1.numpy, type2.numpy))


class _Capsule:
    """A bare DLPack capsule as the object that NumPy asks for one."""

    def __init__(self, capsule: Any):
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array: NumPy, PyTorch, JAX and all that speak DLPack, or a capsule.

    `copy=True` takes a copy, `copy=False` raises where the other library cannot share. Raises RuntimeError for what speaks
    no DLPack, and for a capsule that was used before.
    """
    if device is not None:
        dtypes.device(device)
    bare = type(ext_tensor).__name__ == "PyCapsule"
    if not bare and getattr(ext_tensor, "__dlpack__", None) is None:
        raise RuntimeError(
            f"from_dlpack received an invalid capsule: {type(ext_tensor).__name__} has no __dlpack__; write torch.tensor(...)."
        )
    try:
        array = np.from_dlpack(_Capsule(ext_tensor) if bare else ext_tensor, copy=False if copy is False else None)
    except ValueError as error:
        if not bare:
            raise
        raise RuntimeError(
            "from_dlpack received an invalid capsule. Note that DLTensor capsules can be consumed only once."
        ) from error
    return make(np.array(array, order="K") if copy else array)


def _dlpack(self: Tensor, **options: Any) -> Any:
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return concrete(self, "__dlpack__").__dlpack__(**{k: v for k, v in options.items() if v is not None})


def _dlpack_device(self: Tensor) -> tuple[int, int]:
    return (1, 0)


setattr(Tensor, "__dlpack__", _dlpack)  # noqa: B010
setattr(Tensor, "__dlpack_device__", _dlpack_device)  # noqa: B010


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return input._array.dtype.kind not in "ub"


def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return input.is_inference()


def is_conj(input: Tensor) -> bool:
    """False: conjugates are computed at once, not put off."""
    return False


def is_neg(input: Tensor) -> bool:
    """False: negations are computed at once, not put off."""
    return False


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself, see `is_conj`."""
    return input


def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself, see `is_neg`."""
    return input


def is_distributed(input: Tensor) -> bool:
    """False: a tensor is in one process."""
    return False


def get_device(input: Tensor) -> int:
    """-1: the CPU."""
    return -1


def typename(obj: Any) -> str:
    """The name of an object's type, with its module."""
    if isinstance(obj, Tensor):
        return obj.type()  # type: ignore[attr-defined]
    kind = obj if isinstance(obj, type) else type(obj)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """False: there is no GPU to pin memory for."""
    return False


def is_shared(self: Tensor) -> bool:
    """False: memory is not shared with other processes, but by fork."""
    return False


def dim_order(self: Tensor) -> tuple[int, ...]:
    """The dimensions from the one with the largest stride to that with the smallest."""
    return tuple(sorted(range(self.ndim), key=lambda d: -self.stride()[d]))


for _query in (
    is_signed, is_inference, is_conj, is_neg, resolve_conj, resolve_neg, is_distributed, get_device, is_nonzero, is_same_size,
    is_pinned, is_shared, dim_order,
):  # fmt: skip
    if _query.__name__ not in Tensor.__dict__:
        setattr(Tensor, _query.__name__, _query)


def get_num_threads() -> int:
    """How many threads compiled programs use."""
    return _threads[0]


def set_num_threads(n: int) -> None:
    """Sets how many threads compiled programs use."""
    if not isinstance(n, int) or n <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    settings.set_num_threads(n)
    _threads[0] = n


_threads = [machine.cpus()]
