"""Parameters: tensors that modules register."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.torch import dtypes
from funcgrad.torch.ops.copies import deep_copied
from funcgrad.torch.ops.views import detach
from funcgrad.torch.tensor import Tensor, TensorMeta, check_may_require_grad, make


class ParameterMeta(TensorMeta):
    """Makes `isinstance(x, Parameter)` PyTorch's, and `Parameter(data)` share the data's memory."""

    def __call__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        source = make(np.zeros(0, np.float32)) if data is None else data
        if not isinstance(source, Tensor):
            raise TypeError(
                f"Parameter expects a Tensor, got {type(source).__name__}; write Parameter(torch.tensor(...))."
            )
        if requires_grad:
            check_may_require_grad(source)
        made: Any = object.__new__(cls)  # type: ignore[arg-type]
        made.__dict__.update(detach(source).__dict__)
        made._view = None
        made._requires_grad = bool(requires_grad)
        return made


class Parameter(Tensor, metaclass=ParameterMeta):
    """A tensor that, set as an attribute of a module, is one of its parameters. Requires grad unless told otherwise."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deep_copied(self, memo, bare=True)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + Tensor.__repr__(self)


class Buffer(Tensor, metaclass=ParameterMeta):
    """A tensor that, set as an attribute of a module, is one of its buffers."""

    persistent = True


class UninitializedMeta(ParameterMeta):
    """Makes tensors of lazy modules, which have a dtype but no shape yet."""

    def __call__(cls, requires_grad: bool | None = None, device: Any = None, dtype: Any = None) -> Any:  # type: ignore[override]
        if device is not None:
            dtypes.device(device)
        made: Any = object.__new__(cls)  # type: ignore[arg-type]
        kind = dtypes.get_default_dtype() if dtype is None else dtype
        made.__dict__.update(make(np.zeros(0, kind.numpy)).__dict__)
        made._requires_grad = issubclass(cls, Parameter) if requires_grad is None else bool(requires_grad)
        return made


class Uninitialized:
    """What parameters and buffers without a shape have in common: `materialize`, and errors for all else."""

    cls_to_become: type
    __dict__: dict[str, Any]

    @property
    def _array(self) -> Any:
        raise ValueError(
            f"Attempted to use an uninitialized parameter: this {type(self).__name__} belongs to a lazy module. Call the module "
            "with a batch first, so that it learns its shape."
        )

    @property
    def data(self) -> Tensor:
        """An empty tensor of its dtype."""
        return make(self.__dict__["_array"])

    @data.setter
    def data(self, value: Tensor) -> None:
        self.__dict__["_array"] = value._array[:0] if value.ndim else np.zeros(0, value._array.dtype)

    @property
    def dtype(self) -> dtypes.dtype:
        return dtypes.from_numpy_dtype(self.__dict__["_array"].dtype)

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` "
            "when trying to load an uninitialized parameter into an initialized one. Call `forward` to initialize the "
            "parameters before accessing their attributes."
        )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Becomes an ordinary parameter or buffer of this shape, with any values."""
        kind = self.dtype if dtype is None else dtype
        self.__dict__["_array"] = np.zeros(tuple(shape), kind.numpy)
        self.__class__ = self.cls_to_become  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made: Any = type(self)(self.__dict__["_requires_grad"], dtype=self.dtype)  # type: ignore[call-arg]
        return memo.setdefault(id(self), made)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(Uninitialized, Parameter, metaclass=UninitializedMeta):  # type: ignore[misc]
    """The parameter of a lazy module before its first call."""

    cls_to_become = Parameter


class UninitializedBuffer(Uninitialized, Buffer, metaclass=UninitializedMeta):  # type: ignore[misc]
    """The buffer of a lazy module before its first call."""

    cls_to_become = Tensor


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(param, Uninitialized)
