"""`torch.nn.utils.init`: modules whose parameters' first values do not matter."""

from __future__ import annotations

import inspect
from typing import Any

from funcgrad.torch.nn.module import Module
from funcgrad.torch.ops.random import get_rng_state, set_rng_state


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """A module whose parameters hold any values, and for which no random numbers of the program are used up.

    Raises RuntimeError for what is no Module class or takes no `device`.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    before = get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        set_rng_state(before)
