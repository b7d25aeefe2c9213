"""The `scan` primitive: a Program applied again and again, with a carry from step to step and slices in and out.

The body's inputs are (constants, carry, slices of xs), its outputs (carry, slices of ys). Both modes of the derivative are scans
again: the forward one stacks what the linear part of the body needs, the linear one goes over the stacks (backwards in
reverse mode). What a step needs of the constants is handed over as it is, not stacked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.core.lowering import Inline
from funcgrad.core.primitive import LinearMap
from funcgrad.core.program import Atom, Program, Var
from funcgrad.core.tracing import run, trace_program, type_of
from funcgrad.core.types import ArrayType, array_type, is_inexact
from funcgrad.ops.basics import transpose
from funcgrad.ops.families import general, zeros_like
from funcgrad.transforms.call import run_program
from funcgrad.transforms.hoist import scan_as_program
from funcgrad.transforms.loop import plain_scan
from funcgrad.transforms.split import active_inputs, derivative
from funcgrad.transforms.vmap import stack_copies, vmap_flat

Values = Sequence[Any]


def _impl(*args: Any, program: Program, consts: int, carry: int, length: int, reverse: bool, name: str) -> list[Any]:
    params = {"program": program, "consts": consts, "carry": carry, "length": length, "reverse": reverse, "name": name}
    whole = scan_as_program(params)
    if whole is not None:
        return run_program(whole, args)
    # Without a step the carry is the argument itself; the caller must not get it to write into.
    ys = [np.empty((length, *t.shape), t.dtype) for t in program.out_types[carry:]]
    return [*[np.array(v) for v in args[consts : consts + carry]], *ys]


def _types(
    *types: ArrayType, program: Program, consts: int, carry: int, length: int, reverse: bool, name: str
) -> tuple[ArrayType, ...]:
    outs = program.out_types
    stacked = [array_type((length, *t.shape), t.dtype) for t in outs[carry:]]
    return (*outs[:carry], *stacked)


def reached(program: Program, flags: Sequence[bool]) -> list[bool]:
    """Which outputs of a Program depend on the flagged inputs."""
    moving = {v for v, f in zip(program.inputs, flags, strict=True) if f}
    for eq in program.equations:
        if any(isinstance(a, Var) and a in moving for a in eq.inputs):
            moving.update(eq.outputs)
    return [isinstance(a, Var) and a in moving for a in program.outputs]


def _dependent(program: Program, own: Sequence[bool], consts: int, carry: int) -> tuple[bool, ...]:
    """The inputs of the body that depend on the own ones in some step."""
    flags = list(own)
    while True:
        found = reached(program, flags)
        new = [f or r for f, r in zip(flags[consts : consts + carry], found[:carry], strict=True)]
        if new == flags[consts : consts + carry]:
            return tuple(flags)
        flags[consts : consts + carry] = new


class ScanDerivative:
    """The derivative of a scan in one mode: the forward body, and the body of the linear scan."""

    def __init__(self, program: Program, mode: str, dependent: tuple[bool, ...], consts: int, carry: int):
        self.program, self.mode, self.consts, self.carry = program, mode, consts, carry
        self.dependent = dependent
        forward, self.linear = derivative(program, mode, dependent)
        count = len(program.outputs)
        self.residuals: list[tuple[str, int]] = []
        stacked: list[Atom] = []
        places = {v: i for i, v in enumerate(forward.inputs)}
        for atom in forward.outputs[count:]:
            at = places.get(atom, -1) if isinstance(atom, Var) else -1
            if 0 <= at < consts:
                self.residuals.append(("const", at))
            elif at >= consts + carry:
                self.residuals.append(("xs", at - consts - carry))
            else:
                self.residuals.append(("stack", len(stacked)))
                stacked.append(atom)
        outputs = forward.outputs[:count] + tuple(stacked)
        self.forward = Program(forward.inputs, forward.equations, outputs, forward.constants, program.name)
        self.active = active_inputs(program, dependent)
        self.smooth = [is_inexact(t.dtype) for t in program.out_types]
        self.stacked_types = [a.type for a in stacked]
        self.body = self._linear_body()

    def moving_carry(self) -> list[int]:
        """The carries that have tangents: dependent, and inexact."""
        return [i for i in range(self.carry) if self.active[self.consts + i] and self.smooth[i]]

    def active_of(self, start: int, stop: int) -> list[int]:
        return [i for i in range(start, stop) if self.active[i]]

    def _linear_body(self) -> Program:
        """(fixed residuals [, tangents of constants], carry, stacked residuals, slices) -> (carry, slices)."""
        program, consts, carry = self.program, self.consts, self.carry
        moving = self.moving_carry()
        const_ids = self.active_of(0, consts)
        x_ids = self.active_of(consts + carry, len(program.inputs))
        in_types, out_types = program.in_types, program.out_types
        y_ids = [i for i in range(carry, len(out_types)) if self.smooth[i]]
        fixed = [in_types[i] for kind, i in self.residuals if kind == "const"]
        x_residuals = [in_types[consts + carry + i] for kind, i in self.residuals if kind == "xs"]
        carried = [out_types[i] for i in moving]
        sums = [in_types[i] for i in const_ids]
        if self.mode == "reverse":
            types = [*fixed, *sums, *carried, *self.stacked_types, *x_residuals, *[out_types[i] for i in y_ids]]
        else:
            types = [*fixed, *sums, *carried, *self.stacked_types, *x_residuals, *[in_types[i] for i in x_ids]]

        def body(*values: Any) -> list[Any]:
            supply = iter(values)
            take = lambda n: [next(supply) for _ in range(n)]  # noqa: E731
            kept, held, state = take(len(fixed)), take(len(sums)), take(len(carried))
            stack, slices, last = take(len(self.stacked_types)), take(len(x_residuals)), list(supply)
            parts = {"const": iter(kept), "stack": iter(stack), "xs": iter(slices)}
            residuals = [next(parts[kind]) for kind, _ in self.residuals]
            if self.mode == "reverse":
                cts = dict(zip([*moving, *y_ids], [*state, *last], strict=True))
                given = [cts.get(i, None) for i in range(len(out_types)) if self.smooth[i]]
                kinds = [out_types[i] for i in range(len(out_types)) if self.smooth[i]]
                filled = [np.zeros(t.shape, t.dtype) if g is None else g for g, t in zip(given, kinds, strict=True)]
                found = dict(
                    zip([i for i, a in enumerate(self.active) if a], run(self.linear, *residuals, *filled), strict=True)
                )
                sums_now = [h + found[i] for h, i in zip(held, const_ids, strict=True)]
                return [*sums_now, *[found[consts + i] for i in moving], *[found[i] for i in x_ids]]
            tangents = dict(
                zip([*const_ids, *[consts + i for i in moving], *x_ids], [*held, *state, *last], strict=True)
            )
            given = [tangents[i] for i, a in enumerate(self.active) if a]
            pushed = dict(
                zip([i for i, s in enumerate(self.smooth) if s], run(self.linear, *residuals, *given), strict=True)
            )
            return [*[pushed[i] for i in moving], *[pushed[i] for i in y_ids]]

        traced, captured = trace_program(body, types, self.program.name)
        assert not captured
        return traced


def scan_derivative(program: Program, mode: str, own: Sequence[bool], consts: int, carry: int) -> ScanDerivative:
    """The derivative of a body by the inputs that depend on the own ones. Kept on the body."""
    dependent = _dependent(program, own, consts, carry)
    key = ("derivative of a scan", mode, dependent)
    if key not in program.cache:
        program.cache[key] = ScanDerivative(program, mode, dependent, consts, carry)
    return program.cache[key]


def _linearize(mode: str, own: Sequence[bool], values: Values, params: dict[str, Any]) -> tuple[list[Any], LinearMap]:
    program, consts, carry = params["program"], params["consts"], params["carry"]
    d = scan_derivative(program, mode, own, consts, carry)
    found = list(scan(*values, **{**params, "program": d.forward}))
    count = len(program.outputs)
    outs, stacks = found[:count], found[count:]
    xs = values[consts + carry :]
    fixed = [values[i] for kind, i in d.residuals if kind == "const"]
    sliced = [xs[i] for kind, i in d.residuals if kind == "xs"]
    const_ids, moving = d.active_of(0, consts), d.moving_carry()
    x_ids = d.active_of(consts + carry, len(program.inputs))
    y_ids = [i for i in range(carry, count) if d.smooth[i]]
    again = {**params, "program": d.body, "name": f"{mode} of {params['name']}"}

    def pull(cts: list[Any]) -> list[Any]:
        filled = [zeros_like(o) if c is None else c for c, o in zip(cts, outs, strict=True)]
        start = [*[zeros_like(values[i]) for i in const_ids], *[filled[i] for i in moving]]
        turned = {**again, "consts": len(fixed), "carry": len(start), "reverse": not params["reverse"]}
        result = scan(*fixed, *start, *stacks, *sliced, *[filled[i] for i in y_ids], **turned)
        places = [*const_ids, *[consts + i for i in moving], *x_ids]
        by_input = dict(zip(places, result, strict=True))
        return [by_input.get(i) for i in range(len(values))]

    def push(tangents: list[Any]) -> list[Any]:
        filled = {i: zeros_like(values[i]) if t is None else t for i, t in enumerate(tangents) if d.active[i]}
        start = [filled[consts + i] for i in moving]
        held = [*fixed, *[filled[i] for i in const_ids]]
        turned = {**again, "consts": len(held), "carry": len(start)}
        result = scan(*held, *start, *stacks, *sliced, *[filled[i] for i in x_ids], **turned)
        by_output = dict(zip([*moving, *y_ids], result, strict=True))
        return [by_output.get(i) for i in range(count)]

    return outs, LinearMap(push, None) if mode == "forward" else LinearMap(None, pull)


def swap_front(x: Any) -> Any:
    """The first two axes exchanged: a batch of stacks as a stack of batches, and back."""
    n = len(type_of(x).shape)
    return transpose(x, permutation=(1, 0, *range(2, n)))


def batched_body(
    program: Program, size: int, flags: Sequence[bool], first: int, carry: int
) -> tuple[Program, list[bool], list[bool]]:
    """A body on batches: (Program, which inputs are batched, which outputs are), its carry (inputs from number `first` on)
    batched from the start wherever some step batches it."""
    given = list(flags)
    while True:
        out_flags: list[bool] = []

        def whole(*values: Any) -> list[Any]:
            outs, found = vmap_flat(partial(run, program), size, given, values, program.name)
            out_flags[:] = found  # noqa: B023
            for i in range(carry):
                if given[first + i] and not found[i]:
                    outs[i], out_flags[i] = stack_copies(outs[i], size), True  # noqa: B023
            return outs

        types = [
            array_type((size, *t.shape), t.dtype) if b else t for t, b in zip(program.in_types, given, strict=True)
        ]
        made, captured = trace_program(whole, types, program.name)
        assert not captured
        new = [a or b for a, b in zip(given[first : first + carry], out_flags[:carry], strict=True)]
        if new == given[first : first + carry]:
            return made, given, out_flags
        given[first : first + carry] = new


def batched_scan(
    apply: Callable[..., Sequence[Any]], size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]
) -> tuple[list[Any], list[bool]]:
    """The batch rule of a scan (`apply`, with these parameters); outputs beyond the body's are stacks of its first carries."""
    program, consts, carry = params["program"], params["consts"], params["carry"]
    key = ("scan batch", size, tuple(batched))
    if key not in program.cache:
        program.cache[key] = batched_body(program, size, batched, consts, carry)
    body, flags, out_flags = program.cache[key]
    lifted = []
    for i, (a, have, want) in enumerate(zip(args, batched, flags, strict=True)):
        if i >= consts + carry:
            lifted.append(swap_front(a) if have else a)
        else:
            lifted.append(stack_copies(a, size) if want and not have else a)
    outs = list(apply(*lifted, **{**params, "program": body}))
    every = [*out_flags, *out_flags[: len(outs) - len(out_flags)]]
    return [swap_front(o) if f and i >= carry else o for i, (o, f) in enumerate(zip(outs, every, strict=True))], every


def _batch(size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]) -> tuple[list[Any], list[bool]]:
    return batched_scan(scan, size, batched, args, params)


scan = general(
    "scan", _impl, _types, batch=_batch, linearize=_linearize, multiple=True,
    kernel=Inline(scan_as_program), plain=plain_scan,
)  # fmt: skip
