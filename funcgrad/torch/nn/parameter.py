"""Parameters: tensors that modules register."""

from __future__ import annotations

from typing import Any

import numpy as np

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

    def __repr__(self) -> str:
        return "Parameter containing:\n" + Tensor.__repr__(self)


class Buffer(Tensor, metaclass=ParameterMeta):
    """A tensor that, set as an attribute of a module, is one of its buffers."""

    persistent = True


class UninitializedParameter(Parameter):
    """The parameter of a lazy module before its first call."""
