"""The `checkpoint` primitive: its reverse mode keeps the inputs only and runs the function again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from funcgrad.core.primitive import LinearMap
from funcgrad.core.program import Equation, Program
from funcgrad.core.tracing import run, trace_program, type_of
from funcgrad.core.types import ArrayType
from funcgrad.ops.families import general
from funcgrad.transforms.call import INLINE, call, linear_map, program_text
from funcgrad.transforms.jvp import linearize_flat
from funcgrad.transforms.split import active_inputs, rematerialized, restrict, without_effects
from funcgrad.transforms.vmap import vmap_flat

Policy = Callable[..., bool] | None
"""policy(primitive, *input types, **params): whether the outputs of such an equation are saved. None: nothing is."""


def _impl(*values: Any, program: Program, name: str, policy: Policy) -> list[Any]:
    return run(program, *values)


def _types(*types: ArrayType, program: Program, name: str, policy: Policy) -> tuple[ArrayType, ...]:
    return program.out_types


def _parts(program: Program, own: tuple[bool, ...], policy: Policy) -> tuple[Program, Program]:
    """(forward with what the policy saves, backward that runs the rest again). Kept on the Program."""
    key = ("rematerialized", own, policy)
    if key not in program.cache:

        def saveable(eq: Equation) -> bool:
            return policy is not None and bool(policy(eq.primitive, *[a.type for a in eq.inputs], **eq.params))

        forward, again = rematerialized(program, own, saveable)
        backward = without_effects(again)
        backward.cache["recompute"] = True  # The compiler must not share its equations with the forward run.
        program.cache[key] = forward, backward
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
    forward, backward = _parts(program, tuple(own), params["policy"])
    found = list(call(*values, program=forward, name=name))
    count = len(program.outputs)
    # One equation that needs the cotangents: no later pass can move the second run to the forward side.
    linear = partial(call, *values, *found[count:], program=backward, name=f"reverse of {name}")
    return found[:count], linear_map(mode, linear, program, own)


def _batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> tuple[Any, list[bool]]:
    program = params["program"]
    flags: list[bool] = []

    def whole(*values: Any) -> list[Any]:
        outs, out_flags = vmap_flat(partial(run, program), size, batched, values, program.name)
        flags[:] = out_flags
        return outs

    return bind_checkpoint(whole, args, params["name"], params["policy"]), flags


def bind_checkpoint(f: Any, args: Sequence[Any], name: str, policy: Policy) -> list[Any]:
    """Traces flat `f` at the types of `args` and applies it as one checkpointed equation."""
    program, captured = trace_program(f, [type_of(a) for a in args], name)
    return list(checkpoint(*captured, *args, program=program, name=name, policy=policy))


checkpoint = general(
    "checkpoint", _impl, _types, batch=_batch, linearize=_linearize, multiple=True, text=program_text, kernel=INLINE
)
