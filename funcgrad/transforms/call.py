"""The `call` primitive: a Program as one equation. `jit` is made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.core.lowering import Inline
from funcgrad.core.primitive import LinearMap
from funcgrad.core.program import Program
from funcgrad.core.tracing import run, trace_program
from funcgrad.core.types import ArrayType, array_type, is_inexact
from funcgrad.ops.families import general
from funcgrad.transforms.split import active_inputs, derivative
from funcgrad.transforms.vmap import vmap_flat

_executors: list[Callable[..., list[Any]]] = []


def run_with(execute: Callable[..., list[Any]]) -> None:
    """Sets what runs Programs un-traced: `execute(program, *values)`. The compiler, below this room, puts itself here."""
    _executors[:] = [execute]


def run_program(program: Program, values: Sequence[Any]) -> list[Any]:
    """The outputs of a Program for un-traced values, by the compiler."""
    return _executors[0](program, *values)


def _impl(*values: Any, program: Program, name: str) -> list[Any]:
    return run_program(program, values)


def _types(*types: ArrayType, program: Program, name: str) -> tuple[ArrayType, ...]:
    return program.out_types


def _linearize(
    mode: str, own: Sequence[bool], values: Sequence[Any], params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    program, name = params["program"], params["name"]
    forward, linear = derivative(program, mode, own)
    n = len(program.outputs)
    results = call(*values, program=forward, name=name)
    outs, residuals = list(results[:n]), results[n:]
    return outs, linear_map(mode, partial(call, *residuals, program=linear, name=f"{mode} of {name}"), program, own)


def linear_map(mode: str, linear: Callable[..., Sequence[Any]], program: Program, own: Sequence[bool]) -> LinearMap:
    """The LinearMap around a function between the own inexact inputs and the inexact outputs of a Program."""
    active = active_inputs(program, own)
    smooth = [is_inexact(t.dtype) for t in program.out_types]
    sources, targets = (smooth, active) if mode == "reverse" else (active, smooth)
    types = program.out_types if mode == "reverse" else program.in_types

    def apply(moving: list[Any]) -> list[Any]:
        given = [
            np.zeros(t.shape, t.dtype) if m is None else m
            for m, t, on in zip(moving, types, sources, strict=True)
            if on
        ]
        found = iter(linear(*given))
        return [next(found) if on else None for on in targets]

    return LinearMap(apply, None) if mode == "forward" else LinearMap(None, apply)


def _batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> tuple[Any, list[bool]]:
    program = params["program"]
    key = ("batch", size, tuple(batched))
    if key not in program.cache:
        flags: list[bool] = []

        def whole(*values: Any) -> list[Any]:
            outs, out_flags = vmap_flat(partial(run, program), size, batched, values, program.name)
            flags[:] = out_flags
            return outs

        types = [
            array_type((size, *t.shape), t.dtype, t.weak) if b else t
            for t, b in zip(program.in_types, batched, strict=True)
        ]
        program.cache[key] = (trace_program(whole, types, program.name)[0], flags)
    batched_program, flags = program.cache[key]
    return call(*args, program=batched_program, name=params["name"]), flags


def program_text(args: Sequence[str], types: Sequence[ArrayType], params: dict[str, Any]) -> str:
    """The text of a primitive that does nothing but run its Program."""
    return f"{params['program']}({', '.join(args)})"


INLINE = Inline(lambda params: params["program"])

call = general(
    "call", _impl, _types, batch=_batch, linearize=_linearize, multiple=True, text=program_text, kernel=INLINE
)
