"""`torch.cuda`: says that there is no GPU, which is what scripts ask."""

from __future__ import annotations


def is_available() -> bool:
    """False: funcgrad runs on CPUs."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there is no GPU to seed."""


def manual_seed_all(seed: int) -> None:
    """Nothing: there is no GPU to seed."""


def empty_cache() -> None:
    """Nothing: there is no GPU memory."""


def synchronize(device: object = None) -> None:
    """Nothing: on a CPU every result is ready."""
