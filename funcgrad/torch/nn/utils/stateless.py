"""`torch.nn.utils.stateless`: the older place of `torch.func.functional_call`."""

from __future__ import annotations

import warnings
from typing import Any

from funcgrad.torch import func
from funcgrad.torch.nn.module import Module


def functional_call(module: Module, parameters_and_buffers: dict[str, Any], args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False) -> Any:  # fmt: skip
    """Calls a module with other tensors in the places of its parameters and buffers.

    Deprecated in PyTorch for `torch.func.functional_call`, with a FutureWarning.
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future version of "
        "PyTorch. Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return func.functional_call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)
