"""The `loop` primitive: what scan and while_loop are to the compiler. Made when a Program is compiled, never differentiated.

A `while` becomes its condition on the first carry, and a loop whose body ends with the condition on the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Loop
from funcgrad.core.primitive import Primitive
from funcgrad.core.program import Equation, Program, Var
from funcgrad.core.types import ArrayType, array_type
from funcgrad.transforms.call import call, run_program

CARRY = "structure of the carry"
"""Where the cache of a body keeps the tree of its carry, and whether that is (number of the step, what the user has), for who is
told of an interrupted loop."""


def _impl(
    *args: Any, program: Program, consts: int, carry: int, length: int | None, reverse: bool, name: str
) -> list[Any]:
    fixed, state = args[:consts], list(args[consts : consts + carry])
    if length is None:
        going = bool(args[-1])
        while going:
            *state, more = run_program(program, (*fixed, *state))
            going = bool(more)
        return state
    xs = tuple(np.asarray(x) for x in args[consts + carry :])
    ys = [np.empty((length, *t.shape), t.dtype) for t in program.out_types[carry:]]
    for i in range(length - 1, -1, -1) if reverse else range(length):
        outs = run_program(program, (*fixed, *state, *[x[i] for x in xs]))
        state = list(outs[:carry])
        for y, value in zip(ys, outs[carry:], strict=True):
            y[i] = value
    return [*state, *ys]


def _types(
    *types: ArrayType, program: Program, consts: int, carry: int, length: int | None, reverse: bool, name: str
) -> tuple[ArrayType, ...]:
    outs = program.out_types
    if length is None:
        return tuple(array_type(t.shape, t.dtype) for t in outs[:carry])
    return (*outs[:carry], *[array_type((length, *t.shape), t.dtype) for t in outs[carry:]])


def plain_scan(
    *args: Any, program: Any, consts: int, carry: int, length: int, reverse: bool, name: str, kinds: Any
) -> list[Any]:
    """A scan as the printed source has it."""
    fixed, state, xs = args[:consts], args[consts : consts + carry], args[consts + carry :]
    ys = [np.empty(shape, dtype) for shape, dtype in kinds[carry:]]
    for i in range(length - 1, -1, -1) if reverse else range(length):
        outs = program(*fixed, *state, *[x[i] for x in xs])
        state = outs[:carry]
        for y, value in zip(ys, outs[carry:]):  # noqa: B905
            y[i] = value
    return [*[np.array(s, dtype) for s, (_, dtype) in zip(state, kinds)], *ys]  # noqa: B905


def plain_while(
    *args: Any, cond: Any, body: Any, cond_consts: int, body_consts: int, name: str, kinds: Any
) -> list[Any]:
    """A while as the printed source has it."""
    fixed, state = args[cond_consts : cond_consts + body_consts], args[cond_consts + body_consts :]
    while cond(*args[:cond_consts], *state)[0]:
        state = body(*fixed, *state)
    return [np.array(s, dtype) for s, (_, dtype) in zip(state, kinds)]  # noqa: B905


def _plain(
    *args: Any, program: Any, consts: int, carry: int, length: int | None, reverse: bool, name: str, kinds: Any
) -> list[Any]:
    if length is not None:
        return plain_scan(
            *args, program=program, consts=consts, carry=carry, length=length, reverse=reverse, name=name, kinds=kinds
        )
    fixed, state, going = args[:consts], args[consts : consts + carry], args[-1]
    while going:
        *state, going = program(*fixed, *state)
    return [np.array(s, dtype) for s, (_, dtype) in zip(state, kinds)]  # noqa: B905


loop = Primitive("loop", _impl, _types, multiple=True, strong=True, kernel=Loop(), plain=_plain)


def application(primitive: Primitive, inputs: Sequence[Any], **params: Any) -> Equation:
    """An equation with new outputs."""
    types = primitive.out_types([a.type for a in inputs], params)
    return Equation(primitive, tuple(inputs), params, tuple(Var(t) for t in types))


def scan_as_loop(params: dict[str, Any]) -> Program:
    """A scan with these parameters as the Program of one loop."""
    body, first = params["program"], params["consts"] + params["carry"]
    types = [t if i < first else array_type((params["length"], *t.shape), t.dtype) for i, t in enumerate(body.in_types)]
    inputs = tuple(Var(t) for t in types)
    eq = application(loop, inputs, **params)
    return Program(inputs, (eq,), eq.outputs, (), params["name"])


def while_as_loop(params: dict[str, Any]) -> Program:
    """A while with these parameters as its condition, then a loop."""
    cond, body, a, n = params["cond"], params["body"], params["cond_consts"], params["body_consts"]
    name = params["name"]
    key = ("loop of a while", id(cond), a, n)
    if key in body.cache:
        return body.cache[key][0]
    inputs = tuple(Var(t) for t in (*cond.in_types[:a], *body.in_types))
    begin = application(call, (*inputs[:a], *inputs[a + n :]), program=cond, name=name)
    given = tuple(Var(t) for t in (*cond.in_types[:a], *body.in_types))
    step = application(call, given[a:], program=body, name=name)
    again = application(call, (*given[:a], *step.outputs), program=cond, name=name)
    whole = Program(given, (step, again), (*step.outputs, *again.outputs), (), name)
    if CARRY in body.cache:
        whole.cache[CARRY] = body.cache[CARRY]
    eq = application(
        loop, (*inputs, *begin.outputs), program=whole, consts=a + n, carry=len(body.outputs), length=None, reverse=False,
        name=name,
    )  # fmt: skip
    # The condition is kept alive with the key that names it by its id.
    body.cache[key] = Program(inputs, (begin, eq), eq.outputs, (), name), cond
    return body.cache[key][0]
