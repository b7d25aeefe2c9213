"""The door between `jit` and the imperative room, which lies below it and puts itself here when it is imported.

A jitted function that turns out to use Tensors (among its arguments, or by closing over them) is compiled as an imperative step.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any


class ImperativeFound(BaseException):
    """Raised at the first operation on a Tensor inside of a pure trace. No `except Exception` of a user's stops it."""


@dataclass(frozen=True, slots=True)
class Door:
    """holds(values): whether one is a Tensor. watch(): a context in which operations on Tensors raise ImperativeFound.
    compile(fun): the imperative step."""

    holds: Callable[[Any], bool]
    watch: Callable[[], AbstractContextManager[Any]]
    compile: Callable[[Callable[..., Any]], Callable[..., Any]]


doors: list[Door] = []
"""The imperative room's door once it is imported."""


def watching() -> AbstractContextManager[Any]:
    """The context in which `jit` traces."""
    return doors[0].watch() if doors else nullcontext()
