"""Checks of hyperparameters, made when an optimiser is built. Traced values have none to check and pass."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.core.tracing import Tracer, dtype_of, shape_of

Schedule = Callable[[Any], Any]
"""A function from the count of steps taken (0 at the first update) to a value."""


def _require(where: str, name: str, value: Any, wanted: str, test: Callable[[float], bool]) -> None:
    if type(value) is Tracer:
        if shape_of(value) != ():
            raise ValueError(f"{where}: {name} must be {wanted}, got an array of shape {shape_of(value)}.")
        return
    number = isinstance(value, (int, float, np.number, np.ndarray)) and not isinstance(value, bool)
    if not number or np.shape(value) != () or np.asarray(value).dtype.kind not in "iuf":
        kind = f"an array of shape {np.shape(value)}" if isinstance(value, np.ndarray) else repr(value)
        raise TypeError(f"{where}: {name} must be {wanted}, got {kind}.")
    if not test(float(value)):
        raise ValueError(f"{where}: {name} must be {wanted}, got {float(value):g}.")


def nonnegative(where: str, **values: Any) -> None:
    """Raises unless each value is a finite number >= 0 (or traced)."""
    for name, value in values.items():
        _require(where, name, value, "a number >= 0", lambda v: 0 <= v < math.inf)


def positive(where: str, **values: Any) -> None:
    """Raises unless each value is a finite number > 0 (or traced)."""
    for name, value in values.items():
        _require(where, name, value, "a number > 0", lambda v: 0 < v < math.inf)


def decay_rate(where: str, **values: Any) -> None:
    """Raises unless each value is a number in [0, 1) (or traced), as averages need."""
    for name, value in values.items():
        _require(where, name, value, "a number in [0, 1)", lambda v: 0 <= v < 1)


def fraction(where: str, **values: Any) -> None:
    """Raises unless each value is a number in [0, 1] (or traced)."""
    for name, value in values.items():
        _require(where, name, value, "a number in [0, 1]", lambda v: 0 <= v <= 1)


def learning_rate(where: str, value: Any) -> None:
    """Raises unless the value is a schedule or a finite number >= 0 (or traced)."""
    if not callable(value):
        wanted = "a number >= 0, or a schedule (a function of the step count)"
        _require(where, "learning_rate", value, wanted, lambda v: 0 <= v < math.inf)


def whole(where: str, least: int, **values: Any) -> None:
    """Raises unless each value is an integer, at least `least`."""
    for name, value in values.items():
        try:
            number = operator.index(value)
        except TypeError:
            raise TypeError(f"{where}: {name} must be an integer >= {least}, got {value!r}.") from None
        if number < least:
            raise ValueError(f"{where}: {name} must be an integer >= {least}, got {number}.")


def ascending(where: str, **values: Any) -> None:
    """Raises ValueError unless the numbers stand in ascending order; traced ones are passed over."""
    known = {name: float(value) for name, value in values.items() if type(value) is not Tracer}
    numbers = list(known.values())
    if numbers != sorted(numbers):
        order = " <= ".join(name if name != "one" else "1" for name in known)
        raise ValueError(
            f"{where}: needs {order}, got {', '.join(f'{n}={v:g}' for n, v in known.items() if n != 'one')}."
        )


def real(where: str, params: Any) -> None:
    """Raises TypeError for complex parameters."""
    for path, leaf in tree.leaves_with_path(params):
        if dtype_of(leaf).kind == "c":
            raise TypeError(
                f"{where} is for real parameters, got {dtype_of(leaf)} at {tree.keystr(path) or 'the root'}; "
                "give it the real and the imaginary parts as two arrays."
            )


def needs_params(where: str, params: Any) -> None:
    """Raises ValueError where `params` were not handed to `update`."""
    if params is None:
        raise ValueError(f"{where} needs the parameters; write update(updates, state, params).")
