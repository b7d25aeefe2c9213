"""The `while` primitive: a body applied as long as a condition on the carry holds.

Forward mode carries tangents along. Reverse mode needs to know how many steps there were: where the values are known it counts
them and becomes a scan; inside a jitted function it runs once more, saving every carry as it goes (`while_pull`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.core.lowering import Inline
from funcgrad.core.primitive import LinearMap
from funcgrad.core.program import Program
from funcgrad.core.tracing import Tracer, run, trace_program, type_of
from funcgrad.core.types import ArrayType, array_type, is_inexact
from funcgrad.errors import MissingRuleError
from funcgrad.ops.basics import reshape
from funcgrad.ops.elementwise import select
from funcgrad.ops.families import general, instantiate, zeros_like
from funcgrad.ops.reduce import reduce_or
from funcgrad.transforms.call import run_program
from funcgrad.transforms.jvp import jvp_flat
from funcgrad.transforms.loop import plain_while, while_as_loop
from funcgrad.transforms.scan import batched_body, reached, scan
from funcgrad.transforms.split import active_inputs, derivative
from funcgrad.transforms.vmap import stack_copies, vmap_flat

Values = Sequence[Any]


def _split(args: Values, params: dict[str, Any]) -> tuple[Values, Values, Values]:
    """(constants of the condition, constants of the body, carry)."""
    a, b = params["cond_consts"], params["cond_consts"] + params["body_consts"]
    return args[:a], args[a:b], args[b:]


def _impl(*args: Any, cond: Program, body: Program, cond_consts: int, body_consts: int, name: str) -> list[Any]:
    params = {"cond": cond, "body": body, "cond_consts": cond_consts, "body_consts": body_consts, "name": name}
    return run_program(while_as_loop(params), args)


def _types(*types: ArrayType, cond: Program, body: Program, cond_consts: int, body_consts: int, name: str) -> Any:
    return tuple(array_type(t.shape, t.dtype) for t in types[cond_consts + body_consts :])


def _dependent(body: Program, own: Sequence[bool], consts: int) -> tuple[bool, ...]:
    flags = list(own)
    while True:
        new = [a or b for a, b in zip(flags[consts:], reached(body, flags), strict=True)]
        if new == flags[consts:]:
            return tuple(flags)
        flags[consts:] = new


def _linearize(mode: str, own: Sequence[bool], values: Values, params: dict[str, Any]) -> tuple[list[Any], LinearMap]:
    _for_cond, fixed, state = _split(values, params)
    skip = params["cond_consts"]
    body: Program = params["body"]
    dependent = _dependent(body, own[skip:], len(fixed))
    if mode == "forward":
        outs = list(while_(*values, **params))
        return outs, LinearMap(lambda ts: _push(values, params, dependent, ts), None)
    length = _steps(values, params)
    if length is not None:
        options = {
            "consts": len(fixed),
            "carry": len(state),
            "length": length,
            "reverse": False,
            "name": params["name"],
        }
        assert scan.linearize is not None
        outs, linear = scan.linearize(mode, list(dependent), [*fixed, *state], {"program": body, **options})
        pull = linear.pull
        return outs, LinearMap(None, lambda cts: [*[None] * skip, *pull(cts)])
    outs = list(while_(*values, **params))

    def pull_again(cts: list[Any]) -> list[Any]:
        given = instantiate(cts, outs)
        active = active_inputs(body, dependent)
        found = iter(while_pull(*values, *given, dependent=dependent, **params))
        return [*[None] * skip, *[next(found) if a else None for a in active]]

    return outs, LinearMap(None, pull_again)


def _steps(values: Values, params: dict[str, Any]) -> int | None:
    """How often the body runs, where the values underneath all traces are known; else None."""
    plain = []
    for v in values:
        while type(v) is Tracer:
            if v.owner.mode == "abstract":
                return None
            v = v.value
        plain.append(v)
    for_cond, fixed, state = _split(plain, params)
    count = 0
    while bool(run_program(params["cond"], (*for_cond, *state))[0]):
        state = run_program(params["body"], (*fixed, *state))
        count += 1
    return count


def _push(values: Values, params: dict[str, Any], dependent: tuple[bool, ...], tangents: list[Any]) -> list[Any]:
    """Output tangents: the loop again, with tangents in the carry."""
    for_cond, fixed, state = _split(values, params)
    skip, n = len(for_cond), len(fixed)
    body: Program = params["body"]
    active = active_inputs(body, dependent)
    filled = [
        zeros_like(v) if t is None else t
        for v, t, a in zip([*fixed, *state], tangents[skip:], active, strict=True)
        if a
    ]
    held, moving = filled[: sum(active[:n])], filled[sum(active[:n]) :]
    types = [type_of(v) for v in (*fixed, *held, *state, *moving)]

    def joint(*args: Any) -> list[Any]:
        consts, hs = args[:n], args[n : n + len(held)]
        carry, ms = args[n + len(held) : n + len(held) + len(state)], args[n + len(held) + len(state) :]
        supply = iter([*hs, *ms])
        primals = [*consts, *carry]
        ts = [next(supply) if a else zeros_like(p) for a, p in zip(active, primals, strict=True)]
        ts = [t if is_inexact(type_of(p).dtype) else None for t, p in zip(ts, primals, strict=True)]
        outs, moved = jvp_flat(partial(run, body), primals, ts, params["name"])
        return [*outs, *[m for m, a in zip(moved, active[n:], strict=True) if a]]

    def condition(*args: Any) -> list[Any]:
        return run(params["cond"], *args[: skip + len(state)])

    joint_body = trace_program(joint, types, params["name"])[0]
    cond_types = [*[type_of(v) for v in (*for_cond, *state)], *[type_of(m) for m in moving]]
    joint_cond = trace_program(condition, cond_types, params["name"])[0]
    found = while_(
        *for_cond, *fixed, *held, *state, *moving, cond=joint_cond, body=joint_body, cond_consts=skip,
        body_consts=n + len(held), name=f"forward of {params['name']}",
    )  # fmt: skip
    supply = iter(found[len(state) :])
    return [next(supply) if a else None for a in active[n:]]


def _pull_impl(*args: Any, dependent: tuple[bool, ...], **params: Any) -> list[Any]:
    body: Program = params["body"]
    count = len(body.outputs)
    for_cond, fixed, state = _split(args[:-count], params)
    cts = list(args[-count:])
    n = len(fixed)
    forward, linear = derivative(body, "reverse", dependent)
    saved = []
    while bool(run_program(params["cond"], (*for_cond, *state))[0]):
        found = run_program(forward, (*fixed, *state))
        state = found[:count]
        saved.append(found[count:])
    active = active_inputs(body, dependent)
    smooth = [is_inexact(t.dtype) for t in body.out_types]
    consts = sum(active[:n])
    sums = [np.zeros(t.shape, t.dtype) for t, a in zip(body.in_types[:n], active[:n], strict=True) if a]
    while saved:
        found = run_program(linear, (*saved.pop(), *[c for c, s in zip(cts, smooth, strict=True) if s]))
        sums = [s + f for s, f in zip(sums, found[:consts], strict=True)]
        moved = iter(found[consts:])
        cts = [next(moved) if a else np.zeros_like(c) for c, a in zip(cts, active[n:], strict=True)]
    return [*sums, *[c for c, a in zip(cts, active[n:], strict=True) if a]]


def _pull_types(*types: ArrayType, dependent: tuple[bool, ...], **params: Any) -> Any:
    body: Program = params["body"]
    active = active_inputs(body, dependent)
    return tuple(array_type(t.shape, t.dtype) for t, a in zip(body.in_types, active, strict=True) if a)


def _pull_linearize(mode: str, own: Sequence[bool], values: Values, params: dict[str, Any]) -> Any:
    raise MissingRuleError(
        f"the reverse mode of while_loop ({params['name']}) inside a jitted function is differentiated once more, "
        "and how many steps there are is not known; give it a bound with while_loop(..., max_steps=), or do without jit."
    )


def _pull_batch(size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]) -> tuple[list[Any], bool]:
    # The examples take different numbers of steps: one after the other.
    found = []
    for i in range(size):
        example = [a[i] if b else a for a, b in zip(args, batched, strict=True)]
        found.append(while_pull(*example, **params))
    return [_stack(column) for column in zip(*found, strict=True)], True


def _stack(values: Sequence[Any]) -> Any:
    shape = type_of(values[0]).shape
    first = reshape(values[0], shape=(1, *shape))
    out = stack_copies(reshape(first, shape=shape), len(values)) * 0
    rank = len(shape) + 1
    for i, v in enumerate(values):
        here = np.arange(len(values)).reshape(-1, *(1,) * (rank - 1)) == i
        out = select(here, v, out)
    return out


def _batch(size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]) -> tuple[list[Any], list[bool]]:
    a, n = params["cond_consts"], params["body_consts"]
    for_cond, fixed, state = _split(args, params)
    cond_flags, body_flags = list(batched[:a]), list(batched[a:])
    body, flags, _ = batched_body(params["body"], size, body_flags, n, len(state))
    if not any(_outcome(params["cond"], size, [*cond_flags, *flags[n:]])):
        lifted = [
            stack_copies(s, size) if f and not b else s
            for s, f, b in zip(state, flags[n:], body_flags[n:], strict=True)
        ]
        cond = _batched_condition(params["cond"], size, [*cond_flags, *flags[n:]])
        outs = while_(*for_cond, *fixed, *lifted, **{**params, "cond": cond, "body": body})
        return list(outs), flags[n:]
    # Examples end at different steps: the loop runs while any is left, and those that are done keep their carry.
    every = [*body_flags[:n], *[True] * len(state)]
    whole, _, _ = batched_body(params["body"], size, every, n, len(state))
    going = _batched_condition(params["cond"], size, [*cond_flags, *[True] * len(state)])
    lifted = [s if b else stack_copies(s, size) for s, b in zip(state, body_flags[n:], strict=True)]

    def step(*values: Any) -> list[Any]:
        conds, consts, carry = values[:a], values[a : a + n], values[a + n :]
        (left,) = run(going, *conds, *carry)
        moved = run(whole, *consts, *carry)
        return [
            select(reshape(left, shape=(size, *(1,) * (len(type_of(c).shape) - 1))), m, c)
            for m, c in zip(moved, carry, strict=True)
        ]

    def any_left(*values: Any) -> list[Any]:
        (left,) = run(going, *values)
        return [reduce_or(left, axes=(0,))]

    types = [type_of(v) for v in (*for_cond, *fixed, *lifted)]
    step_program = trace_program(step, types, params["name"])[0]
    cond_program = trace_program(any_left, [*types[:a], *types[a + n :]], params["name"])[0]
    outs = while_(
        *for_cond, *for_cond, *fixed, *lifted, cond=cond_program, body=step_program, cond_consts=a, body_consts=a + n,
        name=params["name"],
    )  # fmt: skip
    return list(outs), [True] * len(state)


def _outcome(cond: Program, size: int, flags: Sequence[bool]) -> list[bool]:
    return reached(cond, flags)


def _batched_condition(cond: Program, size: int, flags: Sequence[bool]) -> Program:
    """The condition on batches; its result is one for each example if it depends on what is batched."""
    types = [array_type((size, *t.shape), t.dtype) if b else t for t, b in zip(cond.in_types, flags, strict=True)]
    whole = lambda *values: vmap_flat(partial(run, cond), size, flags, values, cond.name)[0]  # noqa: E731
    return trace_program(whole, types, cond.name)[0]


while_ = general(
    "while",
    _impl,
    _types,
    batch=_batch,
    linearize=_linearize,
    multiple=True,
    kernel=Inline(while_as_loop),
    plain=plain_while,
)
while_pull = general("while_pull", _pull_impl, _pull_types, batch=_pull_batch, linearize=_pull_linearize, multiple=True)
