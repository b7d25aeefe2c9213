"""Rows that the compiler does by code of its own (core/lowering.py, Routine): which module makes their native steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.compile import attention, conv, windows
from funcgrad.compile.conv_types import RoutineStep
from funcgrad.core.lowering import Routine
from funcgrad.core.program import Var

LOWERINGS: dict[str, Callable[[str, dict[str, Any], Sequence[Var], Sequence[Var]], list[RoutineStep] | None]] = {
    "convolution": lambda form, params, inputs, outs: conv.lower(form, params, inputs, outs[0]),
    "scaled dot product": attention.lower,
    "window": lambda form, params, inputs, outs: windows.lower(form, params, inputs, outs[0]),
}


def lower(
    routine: Routine, params: dict[str, Any], inputs: Sequence[Var], outs: Sequence[Var]
) -> list[RoutineStep] | None:
    """The native steps of an equation, in terms of its inputs, which lie in C order; None where NumPy does it."""
    return LOWERINGS[routine.family](routine.form, params, inputs, outs)
