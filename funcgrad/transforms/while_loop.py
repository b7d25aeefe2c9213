"""The `while` primitive: a body applied as long as a condition on the carry holds.

Forward mode carries tangents along. Reverse mode needs to know how many steps there were: where the values are known it counts
them and becomes a scan; inside a jitted function it runs once more, saving every carry as it goes (`while_pull`). Higher
orders inside a jitted function wait until it runs, when the values are known (`derivative_at_run`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.core.lowering import Inline
from funcgrad.core.primitive import LinearMap, Primitive
from funcgrad.core.program import Program
from funcgrad.core.tracing import Tracer, run, trace_program, type_of
from funcgrad.core.types import ArrayType, array_type, is_inexact
from funcgrad.ops.basics import reshape
from funcgrad.ops.elementwise import select
from funcgrad.ops.families import general, instantiate, zeros_like
from funcgrad.ops.reduce import reduce_or
from funcgrad.transforms.call import run_program
from funcgrad.transforms.jvp import jvp_flat, linearize_flat
from funcgrad.transforms.loop import plain_while, while_as_loop
from funcgrad.transforms.scan import batched_body, reached, scan
from funcgrad.transforms.split import active_inputs, derivative, without_effects
from funcgrad.transforms.vjp import vjp_flat
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
    cond, body = without_effects(params["cond"]), without_effects(params["body"])
    while bool(run_program(cond, (*for_cond, *state))[0]):
        state = run_program(body, (*fixed, *state))
        count += 1
    return count


def _push(values: Values, params: dict[str, Any], dependent: tuple[bool, ...], tangents: list[Any]) -> list[Any]:
    """Output tangents: the loop again, with tangents in the carry."""
    for_cond, fixed, state = _split(values, params)
    skip, n = len(for_cond), len(fixed)
    # The values were computed before, with the effects.
    cond, body = without_effects(params["cond"]), without_effects(params["body"])
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
        return run(cond, *args[: skip + len(state)])

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
    cond, body = without_effects(params["cond"]), without_effects(params["body"])
    count = len(body.outputs)
    for_cond, fixed, state = _split(args[:-count], params)
    cts = list(args[-count:])
    n = len(fixed)
    forward, linear = derivative(body, "reverse", dependent)
    saved = []
    while bool(run_program(cond, (*for_cond, *state))[0]):
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


def _known(values: Values) -> bool:
    """Whether there are plain values underneath all traces."""
    for v in values:
        while type(v) is Tracer:
            if v.owner.mode == "abstract":
                return False
            v = v.value
    return True


def _pull_linearize(
    mode: str, own: Sequence[bool], values: Values, params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    options = {k: v for k, v in params.items() if k != "dependent"}
    options["cond"], options["body"] = without_effects(params["cond"]), without_effects(params["body"])
    body: Program = params["body"]
    skip, count = params["cond_consts"], len(body.outputs)
    active = [False] * skip + active_inputs(body, params["dependent"])

    def pulled(*args: Any) -> list[Any]:
        points, cts = args[:-count], args[-count:]
        partly, moving = _restricted(lambda *full: while_(*full, **options), active, points)
        _, pull = vjp_flat(partly, moving, params["name"])
        return instantiate(pull(cts), moving)

    if _known(values):
        return _linearize_at(mode, pulled, values, params["name"])
    return _linearize_later(mode, while_pull, values, params)


def _restricted(f: Callable[..., Any], active: Sequence[bool], values: Values) -> tuple[Callable[..., Any], list[Any]]:
    """A flat function of its active arguments only, and these."""

    def partly(*varying: Any) -> Any:
        supply = iter(varying)
        return f(*[next(supply) if on else v for on, v in zip(active, values, strict=True)])

    return partly, [v for v, on in zip(values, active, strict=True) if on]


def _linearize_at(mode: str, f: Callable[..., Any], values: Values, name: str) -> tuple[list[Any], LinearMap]:
    """The derivative of a flat function where the values are known, so that its loops have known lengths."""
    if mode == "forward":
        outs, push = linearize_flat(f, values, name)
        return outs, LinearMap(push, None)
    outs, pull = vjp_flat(f, values, name)
    return outs, LinearMap(None, pull)


# ---- derivatives that wait for the values ----


def _linearize_later(
    mode: str, primitive: Primitive, values: Values, params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    """The derivative of a primitive that needs values, inside of a Program: taken when that runs (`derivative_at_run`)."""
    types = [type_of(v) for v in values]
    program = trace_program(lambda *args: list(primitive(*args, **params)), types, params["name"])[0]
    outs = list(primitive(*values, **params))
    smooth = [is_inexact(t.dtype) for t in types]

    def apply(moving: list[Any]) -> list[Any]:
        likes = values if mode == "forward" else outs
        given = [
            m for m, like in zip(instantiate(moving, likes), likes, strict=True) if is_inexact(type_of(like).dtype)
        ]
        found = iter(derivative_at_run(*values, *given, program=program, mode=mode, name=params["name"]))
        targets = smooth if mode == "reverse" else [is_inexact(type_of(o).dtype) for o in outs]
        return [next(found) if on else None for on in targets]

    return outs, LinearMap(apply, None) if mode == "forward" else LinearMap(None, apply)


def _at_run(program: Program, mode: str, name: str, *args: Any) -> list[Any]:
    """(inputs of the Program, tangents or cotangents) -> cotangents or tangents."""
    n = len(program.inputs)
    values, moving = args[:n], iter(args[n:])
    active = [is_inexact(t.dtype) for t in program.in_types]
    smooth = [is_inexact(t.dtype) for t in program.out_types]
    partly, points = _restricted(partial(run, program), active, values)
    if mode == "forward":
        moved = jvp_flat(partly, points, list(moving), name)[1]
        return [m for m, s in zip(moved, smooth, strict=True) if s]
    _, pull = vjp_flat(partly, points, name)
    return instantiate(pull([next(moving) if s else None for s in smooth]), points)


def _at_run_impl(*args: Any, program: Program, mode: str, name: str) -> list[Any]:
    with np.errstate(all="ignore"):
        return _at_run(program, mode, name, *args)


def _at_run_types(*types: ArrayType, program: Program, mode: str, name: str) -> tuple[ArrayType, ...]:
    found = program.out_types if mode == "forward" else program.in_types
    return tuple([array_type(t.shape, t.dtype) for t in found if is_inexact(t.dtype)])


def _at_run_linearize(
    mode: str, own: Sequence[bool], values: Values, params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    if _known(values):
        return _linearize_at(
            mode, partial(_at_run, params["program"], params["mode"], params["name"]), values, params["name"]
        )
    return _linearize_later(mode, derivative_at_run, values, params)


def _pull_batch(size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]) -> tuple[list[Any], bool]:
    return _one_by_one(while_pull, size, batched, args, params)


def _at_run_batch(size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]) -> tuple[list[Any], bool]:
    return _one_by_one(derivative_at_run, size, batched, args, params)


def _one_by_one(
    primitive: Primitive, size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]
) -> tuple[list[Any], bool]:
    # The examples take different numbers of steps: one after the other.
    found = []
    for i in range(size):
        example = [a[i] if b else a for a, b in zip(args, batched, strict=True)]
        found.append(primitive(*example, **params))
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
while_pull = general(
    "while_pull",
    _pull_impl,
    _pull_types,
    batch=_pull_batch,
    linearize=_pull_linearize,
    multiple=True,
)
derivative_at_run = general(
    "derivative_at_run",
    _at_run_impl,
    _at_run_types,
    batch=_at_run_batch,
    linearize=_at_run_linearize,
    multiple=True,
)
