"""Derivatives of a whole Program as Programs: the joint one is traced, then split at its linear part.

What depends on the cotangents (or tangents) is the linear part; the values that it reads from the rest are the
residuals. The split is one pass of reachability, no partial evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.core.program import Equation, Program, Var, eliminate_dead_code
from funcgrad.core.tracing import run, trace_program
from funcgrad.core.types import ArrayType, is_inexact
from funcgrad.transforms.jvp import linearize_flat
from funcgrad.transforms.residuals import lighter
from funcgrad.transforms.vjp import instantiate, vjp_flat


def split(joint: Program, leading: int, outputs: int) -> tuple[Program, Program]:
    """(forward, linear) of a joint Program whose first `leading` inputs and `outputs` outputs are the forward's own.

    forward: inputs -> outputs + residuals; linear: residuals + the other inputs -> the other outputs.
    """
    moving: set[Var] = set(joint.inputs[leading:])
    first, second = [], []
    for eq in joint.equations:
        if moving.isdisjoint(a for a in eq.inputs if isinstance(a, Var)):
            first.append(eq)
        else:
            second.append(eq)
            moving.update(eq.outputs)
    tail = joint.outputs[outputs:]
    read = dict.fromkeys(a for eq in second for a in eq.inputs if isinstance(a, Var))
    read.update(dict.fromkeys(a for a in tail if isinstance(a, Var)))
    constants = {v for v, _ in joint.constants}
    residuals = tuple(v for v in read if v not in moving and v not in constants)
    forward = Program(
        joint.inputs[:leading], tuple(first), joint.outputs[:outputs] + residuals, joint.constants, joint.name
    )
    backward = Program(residuals + joint.inputs[leading:], tuple(second), tail, joint.constants, joint.name)
    return _trim(forward), _trim(backward)


def rematerialized(
    program: Program, dependent: Sequence[bool], saveable: Callable[[Equation], bool]
) -> tuple[Program, Program]:
    """(forward, backward) in reverse mode where only outputs of `saveable` equations are kept; the rest is run again.

    forward: inputs -> outputs + saved values; backward: inputs + saved values + cotangents -> input cotangents.
    """
    n, k = len(program.inputs), len(program.outputs)
    joint = _joint(program, "reverse", dependent)
    moving: set[Var] = set(joint.inputs[n:])
    first: list[Equation] = []
    saved: list[Var] = []
    for eq in joint.equations:
        if not moving.isdisjoint(a for a in eq.inputs if isinstance(a, Var)):
            moving.update(eq.outputs)
            continue
        first.append(eq)
        if saveable(eq):
            saved += eq.outputs
    done = set(saved)
    again = tuple(eq for eq in joint.equations if not done.issuperset(eq.outputs))
    backward = _trim(
        Program(joint.inputs[:n] + joint.inputs[n:], again, joint.outputs[k:], joint.constants, joint.name)
    )
    used = {a for eq in backward.equations for a in eq.inputs} | set(backward.outputs)
    kept = tuple(v for v in saved if v in used)
    backward = Program(
        joint.inputs[:n] + kept + joint.inputs[n:], backward.equations, backward.outputs, backward.constants, joint.name
    )
    forward = Program(joint.inputs[:n], tuple(first), joint.outputs[:k] + kept, joint.constants, joint.name)
    return _trim(forward), backward


def _trim(program: Program) -> Program:
    program = eliminate_dead_code(program)
    used = {a for eq in program.equations for a in eq.inputs} | set(program.outputs)
    constants = tuple(pair for pair in program.constants if pair[0] in used)
    return Program(program.inputs, program.equations, program.outputs, constants, program.name)


def active_inputs(program: Program, dependent: Sequence[bool]) -> list[bool]:
    """Which inputs of a Program take part in a derivative: the dependent ones of inexact dtype."""
    return [d and is_inexact(t.dtype) for d, t in zip(dependent, program.in_types, strict=True)]


def restrict(
    program: Program, active: Sequence[bool], values: Sequence[Any]
) -> tuple[Callable[..., list[Any]], list[Any]]:
    """The Program as a flat function of its active inputs, the others held at `values`; and the active values."""

    def partly(*varying: Any) -> list[Any]:
        supply = iter(varying)
        return run(program, *[next(supply) if on else v for on, v in zip(active, values, strict=True)])

    return partly, [v for v, on in zip(values, active, strict=True) if on]


def _inexact(types: Sequence[ArrayType]) -> list[ArrayType]:
    return [t for t in types if is_inexact(t.dtype)]


def derivative(program: Program, mode: str, dependent: Sequence[bool]) -> tuple[Program, Program]:
    """(forward with residuals, linear part) of a Program in mode "reverse" or "forward".

    The linear part goes between the dependent inexact inputs and the inexact outputs. Kept on the Program.
    """
    key = (mode, tuple(dependent))
    if key not in program.cache:
        joint = _joint(program, mode, dependent)
        program.cache[key] = lighter(*split(joint, len(program.inputs), len(program.outputs)), len(program.outputs))
    return program.cache[key]


def _joint(program: Program, mode: str, dependent: Sequence[bool]) -> Program:
    """inputs, cotangents (or tangents) -> outputs, input cotangents (or output tangents), in one Program."""
    n = len(program.inputs)
    active = active_inputs(program, dependent)
    smooth = [is_inexact(t.dtype) for t in program.out_types]
    own_types = [t for t, a in zip(program.in_types, active, strict=True) if a]
    moving_types = _inexact(program.out_types) if mode == "reverse" else own_types

    def joint(*values: Any) -> list[Any]:
        moving = iter(values[n:])
        partly, points = restrict(program, active, values[:n])
        if mode == "reverse":
            outs, pull = vjp_flat(partly, points, program.name)
            return outs + instantiate(pull([next(moving) if s else None for s in smooth]), points)
        outs, push = linearize_flat(partly, points, program.name)
        kept = [(t, o) for t, o, s in zip(push(list(moving)), outs, smooth, strict=True) if s]
        return outs + instantiate([t for t, _ in kept], [o for _, o in kept])

    traced, captured = trace_program(joint, [*program.in_types, *moving_types], program.name)
    assert not captured
    return traced


def without_effects(program: Program) -> Program:
    """The Program without its effects, those inside its loops and branches too: what runs again must not print again."""
    if "quiet" not in program.cache:
        equations = [
            Equation(eq.primitive, eq.inputs, {k: _quiet(v) for k, v in eq.params.items()}, eq.outputs, eq.source)
            for eq in program.equations
            if not eq.primitive.effect
        ]
        program.cache["quiet"] = Program(
            program.inputs, tuple(equations), program.outputs, program.constants, program.name
        )
    return program.cache["quiet"]


def _quiet(value: Any) -> Any:
    if isinstance(value, Program):
        return without_effects(value)
    if isinstance(value, tuple) and value and all(isinstance(v, Program) for v in value):
        return tuple([without_effects(v) for v in value])
    return value
