"""The `checkpoint` primitive: its reverse mode keeps the inputs only and runs the function again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from funcgrad.core.primitive import LinearMap
from funcgrad.core.program import Program
from funcgrad.core.tracing import run, trace_program, type_of
from funcgrad.core.types import ArrayType, is_inexact
from funcgrad.ops.families import general
from funcgrad.transforms.call import call, linear_map, program_text
from funcgrad.transforms.jvp import linearize_flat
from funcgrad.transforms.split import active_inputs, restrict
from funcgrad.transforms.vjp import instantiate, vjp_flat
from funcgrad.transforms.vmap import vmap_flat


def _impl(*values: Any, program: Program, name: str) -> list[Any]:
    return run(program, *values)


def _types(*types: ArrayType, program: Program, name: str) -> tuple[ArrayType, ...]:
    return program.out_types


def _again(program: Program, own: tuple[bool, ...]) -> Program:
    """inputs, output cotangents -> input cotangents, running the Program again. Kept on the Program."""
    key = ("again", own)
    if key not in program.cache:
        n = len(program.inputs)
        active = active_inputs(program, own)
        smooth = [is_inexact(t.dtype) for t in program.out_types]

        def again(*values: Any) -> list[Any]:
            cts = iter(values[n:])
            partly, points = restrict(program, active, values[:n])
            _, pull = vjp_flat(partly, points, program.name)
            return instantiate(pull([next(cts) if s else None for s in smooth]), points)

        types = [t for t, s in zip(program.out_types, smooth, strict=True) if s]
        program.cache[key] = trace_program(again, [*program.in_types, *types], program.name)[0]
    return program.cache[key]


def _linearize(
    mode: str, own: Sequence[bool], values: Sequence[Any], params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    program, name = params["program"], params["name"]
    if mode == "forward":
        active = active_inputs(program, own)
        partly, points = restrict(program, active, values)
        outs, push = linearize_flat(partly, points, name)
        return outs, LinearMap(lambda ts: push([t for t, on in zip(ts, active, strict=True) if on]), None)
    outs = checkpoint(*values, program=program, name=name)
    # One equation that needs the cotangents: no later pass can move the second run to the forward side.
    linear = partial(call, *values, program=_again(program, tuple(own)), name=f"reverse of {name}")
    return list(outs), linear_map(mode, linear, program, own)


def _batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> tuple[Any, list[bool]]:
    program = params["program"]
    flags: list[bool] = []

    def whole(*values: Any) -> list[Any]:
        outs, out_flags = vmap_flat(partial(run, program), size, batched, values, program.name)
        flags[:] = out_flags
        return outs

    return bind_checkpoint(whole, args, params["name"]), flags


def bind_checkpoint(f: Any, args: Sequence[Any], name: str) -> list[Any]:
    """Traces flat `f` at the types of `args` and applies it as one checkpointed equation."""
    program, captured = trace_program(f, [type_of(a) for a in args], name)
    return list(checkpoint(*captured, *args, program=program, name=name))


checkpoint = general("checkpoint", _impl, _types, batch=_batch, linearize=_linearize, multiple=True, text=program_text)
