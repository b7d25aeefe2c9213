"""Scans whose reverse mode stays within a stated memory: `segmented`, and the primitive `budget_scan`.

A segmented scan is a scan of checkpointed scans. A `budget_scan` is a scan until its reverse mode is asked for. That cuts
time into blocks (revolve.py): forward (`scan_keep`) it keeps the carry before some blocks, backward (`scan_again`) it runs from
a kept carry to a block and then through it, saving, and back. Blocks are compiled; the schedule is a loop in Python around them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.core.lowering import Inline
from funcgrad.core.primitive import LinearMap
from funcgrad.core.program import Program, eliminate_dead_code
from funcgrad.core.tracing import run, trace_program, type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import reshape
from funcgrad.ops.families import general
from funcgrad.ops.shape import concatenate, slice_axis
from funcgrad.transforms.call import call, run_program
from funcgrad.transforms.checkpoint import bind_checkpoint
from funcgrad.transforms.revolve import Plan, binomial_schedule, first_states, plan_blocks
from funcgrad.transforms.scan import ScanDerivative, batched_scan, scan, scan_derivative, swap_front
from funcgrad.transforms.split import without_effects
from funcgrad.transforms.vjp import instantiate, vjp_flat
from funcgrad.transforms.vmap import stack_copies, vmap_all

Values = Sequence[Any]
Params = dict[str, Any]
PLAIN = ("program", "consts", "carry", "length", "reverse", "name")
"""The parameters that a scan has too."""

# ---- segments ----


def segmented(values: Values, segments: int, **params: Any) -> list[Any]:
    """A scan as a scan of at most `segments` checkpointed scans: reverse mode keeps the carry at each segment's start, and what
    the steps of one segment save."""
    consts, carry, length, reverse = params["consts"], params["carry"], params["length"], params["reverse"]
    fixed, state, xs = values[:consts], list(values[consts : consts + carry]), values[consts + carry :]
    size = max(-(-length // segments), 1)
    count, left = divmod(length, size)

    def part(steps: int) -> Callable[..., list[Any]]:
        run_part = lambda *args: list(scan(*args, **{**params, "length": steps}))  # noqa: E731
        return lambda *args: bind_checkpoint(run_part, args, params["name"], None)

    first, last = (left, length) if reverse else (0, count * size)
    blocks = [
        reshape(slice_axis(x, first, last, 0) if left else x, shape=(count, size, *type_of(x).shape[1:])) for x in xs
    ]
    types = [*[type_of(v) for v in (*fixed, *state)], *[_slice_type(b) for b in blocks]]
    body, captured = trace_program(part(size), types, params["name"])
    assert not captured
    outs = list(scan(*fixed, *state, *blocks, **{**params, "program": body, "length": count}))
    ys = [reshape(y, shape=(count * size, *type_of(y).shape[2:])) for y in outs[carry:]]
    if not left:
        return [*outs[:carry], *ys]
    a, b = (0, left) if reverse else (count * size, length)
    ends = part(left)(*fixed, *outs[:carry], *[slice_axis(x, a, b, 0) for x in xs])
    pairs = [(e, y) if reverse else (y, e) for e, y in zip(ends[carry:], ys, strict=True)]
    return [*ends[:carry], *[concatenate(*pair, axis=0) for pair in pairs]]


def _slice_type(x: Any) -> ArrayType:
    kind = type_of(x)
    return array_type(kind.shape[1:], kind.dtype)


# ---- the forward side ----


def _plain(params: Params) -> Params:
    return {k: params[k] for k in PLAIN}


def _as_scan(params: Params) -> Program:
    """A Program that is one scan: how an undifferentiated budget_scan is compiled."""
    program: Program = params["program"]
    key = ("as a scan", params["length"], params["reverse"], params["consts"], params["carry"])
    if key not in program.cache:
        first = params["consts"] + params["carry"]
        types = [t if i < first else array_type((params["length"], *t.shape), t.dtype)
                 for i, t in enumerate(program.in_types)]  # fmt: skip
        program.cache[key] = trace_program(lambda *v: list(scan(*v, **_plain(params))), types, params["name"])[0]
    return program.cache[key]


def _nbytes(types: Sequence[ArrayType]) -> int:
    return sum(t.size * t.dtype.itemsize for t in types)


def plan_for(d: ScanDerivative, length: int, budget: int) -> Plan:
    """The plan for a body's derivative. Raises ValueError if not even one step's save fits."""
    step, carry = _nbytes(d.stacked_types), _nbytes(d.program.in_types[d.consts : d.consts + d.carry])
    # A kept carry is held twice: as the forward side left it, and in the buffer that the way back overwrites.
    found = plan_blocks(length, 2 * carry, step, budget)
    if found is None:
        raise ValueError(
            f"scan: checkpoint asks for reverse mode within {budget} bytes, and one step of {d.program.name} alone saves {step}; "
            f"give it at least that much, and {2 * carry} bytes more for each carry to be kept."
        )
    return found


def _linearize(mode: str, own: Sequence[bool], values: Values, params: Params) -> tuple[list[Any], LinearMap]:
    assert scan.linearize is not None
    plain = _plain(params)
    if mode == "forward" or not params["length"]:
        return scan.linearize(mode, own, values, plain)
    d = scan_derivative(params["program"], mode, own, params["consts"], params["carry"])
    plan = plan_for(d, params["length"], params["budget"])
    if plan.count == 1:
        return scan.linearize(mode, own, values, plain)
    outs, linear = _linearize_keep(mode, own, values, {**plain, "plan": plan})
    return outs[: len(params["program"].outputs)], linear


def _linearize_keep(mode: str, own: Sequence[bool], values: Values, params: Params) -> tuple[list[Any], LinearMap]:
    assert scan.linearize is not None
    program: Program = params["program"]
    count = len(program.outputs)
    outs = list(scan_keep(*values, **params))
    if mode == "forward":
        # Nobody asks how the kept carries move: the way back has them from the values.
        linear = scan.linearize(mode, own, values, _plain(params))[1]
        assert linear.push is not None
        push = linear.push
        return outs, LinearMap(lambda ts: [*push(ts), *[None] * (len(outs) - count)], None)
    d = scan_derivative(program, mode, own, params["consts"], params["carry"])
    again = {**params, "dependent": tuple(d.dependent)}

    def pull(cts: list[Any]) -> list[Any]:
        given = instantiate([cts[i] for i in _received(d)], [outs[i] for i in _received(d)])
        found = dict(zip(_places(d), scan_again(*values, *outs[count:], *given, **again), strict=True))
        return [found.get(i) for i in range(len(values))]

    return outs, LinearMap(None, pull)


def _received(d: ScanDerivative) -> list[int]:
    """The outputs whose cotangents the way back takes: moving carries, inexact ys."""
    return [*d.moving_carry(), *[i for i in range(d.carry, len(d.smooth)) if d.smooth[i]]]


def _places(d: ScanDerivative) -> list[int]:
    """The inputs whose cotangents the way back gives: those of constants, carry, xs."""
    carries = [d.consts + i for i in d.moving_carry()]
    return [*d.active_of(0, d.consts), *carries, *d.active_of(d.consts + d.carry, len(d.program.inputs))]


def _keep_types(*types: ArrayType, plan: Plan, **params: Any) -> tuple[ArrayType, ...]:
    outs = scan.type_rule(*types, **params)
    kept = len(first_states(plan.count, plan.kept))
    return (*outs, *[array_type((kept, *t.shape), t.dtype) for t in outs[: params["carry"]]])


class _Blocks:
    """The blocks of one run: where each lies in xs and ys, in the order of time, and what runs it."""

    def __init__(self, values: Values, plan: Plan, params: Params):
        consts, carry = params["consts"], params["carry"]
        self.fixed = list(values[:consts])
        self.start = list(values[consts : consts + carry])
        self.xs = [np.asarray(x) for x in values[consts + carry :]]
        self.plan, self.params = plan, params

    def bounds(self, number: int) -> tuple[int, int]:
        first = number * self.plan.block
        last = min(first + self.plan.block, self.plan.length)
        return (self.plan.length - last, self.plan.length - first) if self.params["reverse"] else (first, last)

    def run(self, program: Program, number: int, state: Values) -> list[Any]:
        """The outputs of a block's scan of `program`, from `state`."""
        a, b = self.bounds(number)
        made = _as_scan({**self.params, "program": program, "length": b - a})
        return run_program(made, (*self.fixed, *state, *[x[a:b] for x in self.xs]))

    def advance(self, state: Values, start: int, stop: int) -> list[Any]:
        """The carry before block `stop`, from that before `start`."""
        bare = _carry_only(self.params["program"], self.params["carry"])
        for number in range(start, stop):
            state = self.run(bare, number, state)
        return list(state)


def _carry_only(program: Program, carry: int) -> Program:
    """A body without its ys and its effects: what a second run needs."""
    if "carry only" not in program.cache:
        quiet = without_effects(program)
        program.cache["carry only"] = eliminate_dead_code(
            Program(quiet.inputs, quiet.equations, quiet.outputs[:carry], quiet.constants, quiet.name)
        )
    return program.cache["carry only"]


def _keep_impl(*values: Any, plan: Plan, **params: Any) -> list[Any]:
    carry: int = params["carry"]
    program: Program = params["program"]
    blocks = _Blocks(values, plan, params)
    state = blocks.start
    ys = [np.empty((plan.length, *t.shape), t.dtype) for t in program.out_types[carry:]]
    stops = first_states(plan.count, plan.kept)
    kept = [np.empty((len(stops), *type_of(s).shape), type_of(s).dtype) for s in state]
    places = {block: n for n, block in enumerate(stops)}
    for number in range(plan.count):
        if number in places:
            for buffer, value in zip(kept, state, strict=True):
                buffer[places[number]] = value
        outs = blocks.run(program, number, state)
        state = outs[:carry]
        a, b = blocks.bounds(number)
        for y, part in zip(ys, outs[carry:], strict=True):
            y[a:b] = part
    return [*state, *ys, *kept]


# ---- the way back ----


def _again_types(*types: ArrayType, plan: Plan, dependent: tuple[bool, ...], **params: Any) -> tuple[ArrayType, ...]:
    d = scan_derivative(params["program"], "reverse", dependent, params["consts"], params["carry"])
    return tuple(array_type(types[i].shape, types[i].dtype) for i in _places(d))


def _back_through(d: ScanDerivative, params: Params, length: int) -> Program:
    """(constants, carry, xs, sums for constants, cotangents of carry and ys) of a block -> (sums, cotangents of carry and xs)."""
    program, consts, carry = d.program, d.consts, d.carry
    key = ("back through a block", d.mode, d.dependent, length, params["reverse"])
    if key in program.cache:
        return program.cache[key]
    quiet, count = without_effects(d.forward), len(program.outputs)
    slim = eliminate_dead_code(
        Program(
            quiet.inputs, quiet.equations, quiet.outputs[:carry] + quiet.outputs[count:], quiet.constants, quiet.name
        )
    )
    stacked = lambda t: array_type((length, *t.shape), t.dtype)  # noqa: E731
    first, outs = consts + carry, program.out_types
    types = [t if i < first else stacked(t) for i, t in enumerate(program.in_types)]
    states = [*[program.in_types[i] for i in d.active_of(0, consts)], *[outs[i] for i in d.moving_carry()]]
    received = [stacked(outs[i]) for i in _received(d) if i >= carry]

    def back(*args: Any) -> list[Any]:
        values, start = args[: len(types)], args[len(types) : len(types) + len(states)]
        xs, own = values[first:], {**_plain(params), "length": length}
        stacks = list(scan(*values, **{**own, "program": slim}))[carry:]
        fixed = [values[i] for kind, i in d.residuals if kind == "const"]
        sliced = [xs[i] for kind, i in d.residuals if kind == "xs"]
        turned = {"consts": len(fixed), "carry": len(start), "reverse": not params["reverse"], "program": d.body}
        return list(scan(*fixed, *start, *stacks, *sliced, *args[len(types) + len(states) :], **{**own, **turned}))

    program.cache[key] = trace_program(back, [*types, *states, *received], f"reverse of {params['name']}")[0]
    return program.cache[key]


def _again_impl(*args: Any, plan: Plan, dependent: tuple[bool, ...], **params: Any) -> list[Any]:
    carry: int = params["carry"]
    d = scan_derivative(params["program"], "reverse", dependent, params["consts"], carry)
    inputs = len(d.program.inputs)
    blocks = _Blocks(args[:inputs], plan, params)
    first = args[inputs : inputs + carry]
    moving = len(d.moving_carry())
    state_cts, y_cts = list(args[inputs + carry :][:moving]), args[inputs + carry + moving :]
    sums = [np.zeros(t.shape, t.dtype) for t in (d.program.in_types[i] for i in d.active_of(0, d.consts))]
    back = [*sums, *state_cts]
    x_ids = [i - d.consts - carry for i in d.active_of(d.consts + carry, inputs)]
    x_cts = [np.empty(blocks.xs[i].shape, blocks.xs[i].dtype) for i in x_ids]
    kept = _Kept(blocks.start, first, plan.kept)
    for action, at, to in binomial_schedule(plan.count, plan.kept):
        if action == "keep":
            if not kept.restore():
                kept.push(blocks.advance(kept.top(), at, to))
            continue
        a, b = blocks.bounds(to)
        state = blocks.advance(kept.top(), at, to)
        values = (*blocks.fixed, *state, *[x[a:b] for x in blocks.xs], *back, *[y[a:b] for y in y_cts])
        found = run_program(_back_through(d, params, b - a), values)
        back = found[: len(back)]
        for x_ct, part in zip(x_cts, found[len(back) :], strict=True):
            x_ct[a:b] = part
        if at == to:
            kept.pop()
    return [*back, *x_cts]


class _Kept:
    """The stack of kept carries: the first one, then rows of buffers. Those of the forward side are read, not written over."""

    def __init__(self, start: Values, given: Values, most: int):
        self.start, self.given = start, given
        self.available = len(given[0]) if given else 0
        """How many of the forward side's carries are still to be taken, all on the first way down the stack."""
        self.first = self.available
        self.height = 0
        self.own = [np.empty((max(most - 1, 0), *np.shape(s)), np.asarray(s).dtype) for s in start]
        self.from_given = [False] * most

    def restore(self) -> bool:
        """Puts the forward side's next carry on the stack, if there is one left."""
        if self.height >= self.first or not self.available:
            self.available = 0
            return False
        self.available -= 1
        self.from_given[self.height] = True
        self.height += 1
        return True

    def push(self, state: Values) -> None:
        for buffer, value in zip(self.own, state, strict=True):
            buffer[self.height] = value
        self.from_given[self.height] = False
        self.height += 1

    def pop(self) -> None:
        self.available = 0
        self.height -= 1

    def top(self) -> Values:
        if self.height <= 0:
            return self.start
        rows = self.given if self.from_given[self.height - 1] else self.own
        return [r[self.height - 1] for r in rows]


def _linearize_again(mode: str, own: Sequence[bool], values: Values, params: Params) -> tuple[list[Any], LinearMap]:
    """Higher orders: the same function written as the reverse mode of a segmented scan, which every transform knows."""
    carry: int = params["carry"]
    d = scan_derivative(params["program"], "reverse", params["dependent"], params["consts"], carry)
    inputs, places = len(d.program.inputs), _places(d)

    def whole(*args: Any) -> list[Any]:
        given = dict(zip(_received(d), args[inputs + carry :], strict=True))

        def partly(*moving: Any) -> list[Any]:
            full = list(args[:inputs])
            for i, v in zip(places, moving, strict=True):
                full[i] = v
            return segmented(full, max(math.isqrt(params["length"]), 1), **_plain(params))

        points = [args[i] for i in places]
        outs, pull = vjp_flat(partly, points, params["name"])
        return instantiate(pull([given.get(i) for i in range(len(outs))]), points)

    program, captured = trace_program(whole, [type_of(v) for v in values], f"reverse of {params['name']}")
    assert not captured
    assert call.linearize is not None
    return call.linearize(mode, own, values, {"program": program, "name": program.name})


def _held(types: Sequence[ArrayType], params: Params) -> int:
    # What the plan says, less the carries that the forward side kept: those are among the arguments and results.
    plan: Plan = params["plan"]
    carry = _nbytes(params["program"].out_types[: params["carry"]])
    return plan.bytes - len(first_states(plan.count, plan.kept)) * carry


# ---- batches ----


def _batch(size: int, batched: Sequence[bool], args: Values, params: Params) -> Any:
    return batched_scan(budget_scan, size, batched, args, params)


def _batch_keep(size: int, batched: Sequence[bool], args: Values, params: Params) -> Any:
    return batched_scan(scan_keep, size, batched, args, params)


def _batch_again(size: int, batched: Sequence[bool], args: Values, params: Params) -> Any:
    # A cotangent belongs to its example, so whatever has one is batched.
    program, consts, carry = params["program"], params["consts"], params["carry"]
    d = scan_derivative(program, "reverse", params["dependent"], consts, carry)
    inputs = len(program.inputs)
    wanted = [b or d.active[i] or consts <= i < consts + carry for i, b in enumerate(batched[:inputs])]
    wanted += [True] * (len(args) - inputs)
    lifted = [stack_copies(a, size) if w and not b else a for a, b, w in zip(args, batched, wanted, strict=True)]
    stacked = [
        consts + carry <= i < inputs + carry or i >= inputs + carry + len(d.moving_carry()) for i in range(len(args))
    ]
    turned = [swap_front(a) if w and s else a for a, w, s in zip(lifted, wanted, stacked, strict=True)]
    key = ("batch of the way back", size, tuple(wanted))
    if key not in program.cache:
        whole = lambda *values: vmap_all(partial(run, program), size, wanted[:inputs], values, program.name)  # noqa: E731
        types = [
            array_type((size, *t.shape), t.dtype) if w else t
            for t, w in zip(program.in_types, wanted[:inputs], strict=True)
        ]
        program.cache[key] = trace_program(whole, types, program.name)[0]
    outs = list(scan_again(*turned, **{**params, "program": program.cache[key]}))
    return [swap_front(o) if i >= consts + carry else o for i, o in zip(_places(d), outs, strict=True)], True


budget_scan = general(
    "budget_scan",
    lambda *values, budget, **params: scan.impl(*values, **params),
    lambda *types, budget, **params: scan.type_rule(*types, **params),
    batch=_batch,
    linearize=_linearize,
    multiple=True,
    kernel=Inline(_as_scan),
)
scan_keep = general(
    "scan_keep", _keep_impl, _keep_types, batch=_batch_keep, linearize=_linearize_keep, multiple=True, workspace=_held
)
scan_again = general(
    "scan_again",
    _again_impl,
    _again_types,
    batch=_batch_again,
    linearize=_linearize_again,
    multiple=True,
    workspace=_held,
)
