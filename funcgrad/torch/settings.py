"""Settings of a process that scripts make at their head. What cannot be so on a CPU with one engine is refused, not ignored."""

from __future__ import annotations

import warnings
from typing import Any

from funcgrad.torch import dtypes

_kept: dict[str, Any] = {"precision": "highest", "deterministic": False, "warn_only": False, "warn_always": False}


def get_default_device() -> dtypes.device:
    """The CPU."""
    return dtypes.device("cpu")


def set_default_device(device: Any) -> None:
    """Accepts the CPU, which is the default. Raises RuntimeError for another device."""
    if device is not None:
        dtypes.device(device)


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given; products are computed in float32 throughout."""
    return _kept["precision"]


def set_float32_matmul_precision(precision: str) -> None:
    """Allows products to be less exact ("high", "medium"): an allowance only, they are exact to float32 all the same."""
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current float32_matmul_precision is unchanged."
        )
    _kept["precision"] = precision


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks for results that do not change from run to run, which they never do here, whatever the number of threads."""
    _kept["deterministic"], _kept["warn_only"] = bool(mode), bool(mode and warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What was asked for by `use_deterministic_algorithms`."""
    return _kept["deterministic"]


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether `use_deterministic_algorithms` was given warn_only."""
    return _kept["warn_only"]


def get_deterministic_debug_mode() -> int:
    """0 (default), 1 (warn) or 2 (error), from `use_deterministic_algorithms`."""
    return 0 if not _kept["deterministic"] else 1 if _kept["warn_only"] else 2


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """ "default" (0), "warn" (1) or "error" (2)."""
    names = {"default": 0, "warn": 1, "error": 2}
    mode = names.get(debug_mode, -1) if isinstance(debug_mode, str) else debug_mode
    if mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(mode > 0, warn_only=mode == 1)


def set_warn_always(b: bool) -> None:
    """Whether a warning is shown each time, not once."""
    if not isinstance(b, bool):
        raise TypeError(f"setWarnOnlyOnce expects a bool, but got {type(b).__name__}")
    _kept["warn_always"] = b
    warnings.simplefilter("always" if b else "default", UserWarning)


def is_warn_always_enabled() -> bool:
    """What `set_warn_always` was given."""
    return _kept["warn_always"]


def set_flush_denormal(mode: bool) -> bool:
    """False: denormal numbers are kept, and turning that off is not supported."""
    return False


def get_num_interop_threads() -> int:
    """1: operations of one thread run one after the other."""
    return 1


def set_num_interop_threads(n: int) -> None:
    """Accepts 1, see `get_num_interop_threads`; RuntimeError for another number."""
    if n != 1:
        raise RuntimeError(f"set_num_interop_threads({n}): operations run one after the other; use set_num_threads.")
