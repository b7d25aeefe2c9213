"""Rows that the compiler does by code of its own (core/lowering.py, Routine): which module makes their native steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.compile import attention, conv, cumulative, indexing, njit_calls, windows
from funcgrad.compile.conv_types import RoutineStep
from funcgrad.core.lowering import Routine
from funcgrad.core.program import Atom, Var

Steps = list[RoutineStep] | None


def _vars(inputs: Sequence[Atom]) -> list[Var]:
    return [a for a in inputs if isinstance(a, Var)]


LOWERINGS: dict[str, Callable[[str, dict[str, Any], Sequence[Atom], Sequence[Var]], Steps]] = {
    "convolution": lambda form, params, inputs, outs: conv.lower(form, params, _vars(inputs), outs[0]),
    "scaled dot product": lambda form, params, inputs, outs: attention.lower(form, params, _vars(inputs), outs),
    "window": lambda form, params, inputs, outs: windows.lower(form, params, _vars(inputs), outs[0]),
    "indexing": lambda form, params, inputs, outs: indexing.lower(form, params, inputs, outs[0]),
    "njit": njit_calls.lower,
    "cumulative": lambda form, params, inputs, outs: cumulative.lower(form, params, inputs, outs[0]),
}


def lower(routine: Routine, params: dict[str, Any], inputs: Sequence[Atom], outs: Sequence[Var]) -> Steps:
    """The native steps of an equation, in terms of its inputs, which lie in C order (or are a number, where the row allows
    that); None where NumPy does it."""
    return LOWERINGS[routine.family](routine.form, params, inputs, outs)
