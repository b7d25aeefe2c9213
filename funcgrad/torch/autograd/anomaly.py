"""Anomaly mode: forward lines on every node, and an error at the first nan of backward."""

from __future__ import annotations

from typing import Any

from funcgrad.torch.modes import Mode, state


class detect_anomaly(Mode):
    """Within, nodes remember their lines, and backward raises RuntimeError for the function that makes a nan."""

    field = "anomaly"

    def __init__(self, check_nan: bool = True):
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self._before = (state.anomaly, state.anomaly_checks_nan)
        state.anomaly, state.anomaly_checks_nan = True, self.check_nan

    def __exit__(self, *error: object) -> None:
        state.anomaly, state.anomaly_checks_nan = self._before

    def clone(self) -> Mode:
        return detect_anomaly(self.check_nan)


class set_detect_anomaly(detect_anomaly):
    """Sets anomaly mode on or off: at once as a function, until the end of the block as a context manager."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self._before = (state.anomaly, state.anomaly_checks_nan)
        self.check_nan = check_nan
        state.anomaly, state.anomaly_checks_nan = mode, check_nan

    def __enter__(self) -> None:
        return None


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on in this thread."""
    return state.anomaly


def is_anomaly_check_nan_enabled() -> Any:
    """Whether anomaly mode looks for nan."""
    return state.anomaly_checks_nan
