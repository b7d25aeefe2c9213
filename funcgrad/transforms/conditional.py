"""The `cond` primitive: one of several Programs, chosen by an integer, applied to the other arguments (cond and switch)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.core.lowering import Choice
from funcgrad.core.primitive import LinearMap
from funcgrad.core.program import Program
from funcgrad.core.tracing import Tracer, run, trace_program, type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import reshape
from funcgrad.ops.elementwise import select
from funcgrad.ops.families import general
from funcgrad.transforms.call import call, linear_map, run_program
from funcgrad.transforms.split import derivative
from funcgrad.transforms.vmap import vmap_all

Programs = tuple[Program, ...]


def _chosen(index: Any, programs: Programs) -> Program:
    return programs[min(max(int(index), 0), len(programs) - 1)]


def _impl(index: Any, *operands: Any, programs: Programs, name: str) -> list[Any]:
    return run_program(_chosen(index, programs), operands)


def _plain(index: Any, *operands: Any, programs: Any, name: str, kinds: Any) -> list[Any]:
    chosen = programs[min(max(int(index), 0), len(programs) - 1)]
    return [np.array(v, dtype) for v, (_, dtype) in zip(chosen(*operands), kinds)]  # noqa: B905


def _types(index: ArrayType, *operands: ArrayType, programs: Programs, name: str) -> tuple[ArrayType, ...]:
    return tuple(array_type(t.shape, t.dtype) for t in programs[0].out_types)


def _linearize(
    mode: str, own: Sequence[bool], values: Sequence[Any], params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    index, *operands = values
    programs: Programs = params["programs"]
    count = len(programs[0].outputs)
    if type(index) is not Tracer:
        program = _chosen(index, programs)
        forward, linear = derivative(program, mode, tuple(own[1:]))
        found = list(call(*operands, program=forward, name=params["name"]))
        inner = linear_map(
            mode, partial(call, *found[count:], program=linear, name=f"{mode} of {params['name']}"), program, own[1:]
        )
        return found[:count], _shifted(inner)
    pairs = [derivative(p, mode, tuple(own[1:])) for p in programs]
    kinds = [[a.type for a in forward.outputs[count:]] for forward, _ in pairs]
    forwards = tuple(_with_residuals(i, forward, kinds, count) for i, (forward, _) in enumerate(pairs))
    total = sum(map(len, kinds))
    linears = tuple(_of_all_residuals(i, linear, kinds, total) for i, (_, linear) in enumerate(pairs))
    found = list(cond(index, *operands, programs=forwards, name=params["name"]))
    apply = partial(cond, index, *found[count:], programs=linears, name=f"{mode} of {params['name']}")
    return found[:count], _shifted(linear_map(mode, apply, programs[0], own[1:]))


def _shifted(inner: LinearMap) -> LinearMap:
    """The derivative by the operands as one by (index, operands): the index has none."""
    if inner.pull is not None:
        pull = inner.pull
        return LinearMap(None, lambda cts: [None, *pull(cts)])
    push = inner.push
    assert push is not None
    return LinearMap(lambda tangents: push(tangents[1:]), None)


def _with_residuals(number: int, forward: Program, kinds: Sequence[Sequence[ArrayType]], count: int) -> Program:
    """A branch whose outputs have room for the residuals of every branch, zeros for those of the others."""

    def branch(*operands: Any) -> list[Any]:
        found = run(forward, *operands)
        outs = found[:count]
        for i, types in enumerate(kinds):
            outs += found[count:] if i == number else [np.zeros(t.shape, t.dtype) for t in types]
        return outs

    return trace_program(branch, forward.in_types, forward.name)[0]


def _of_all_residuals(number: int, linear: Program, kinds: Sequence[Sequence[ArrayType]], total: int) -> Program:
    """The linear part of a branch as a function of the residuals of all branches."""
    start = sum(len(k) for k in kinds[:number])

    def branch(*values: Any) -> list[Any]:
        return run(linear, *values[start : start + len(kinds[number])], *values[total:])

    moving = linear.in_types[len(kinds[number]) :]
    return trace_program(branch, [*[t for k in kinds for t in k], *moving], linear.name)[0]


def _batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> tuple[list[Any], bool]:
    index, *operands = args
    bodies = []
    for p in params["programs"]:
        key = ("batch of a branch", size, tuple(batched[1:]))
        if key not in p.cache:
            whole = lambda *values, p=p: vmap_all(partial(run, p), size, batched[1:], values, p.name)  # noqa: E731
            types = [
                array_type((size, *t.shape), t.dtype) if b else t for t, b in zip(p.in_types, batched[1:], strict=True)
            ]
            p.cache[key] = trace_program(whole, types, p.name)[0]
        bodies.append(p.cache[key])
    if not batched[0]:
        return list(cond(index, *operands, programs=tuple(bodies), name=params["name"])), True
    # Each example takes its own branch: all are computed, then chosen from.
    results = [call(*operands, program=b, name=params["name"]) for b in bodies]
    outs = list(results[-1])
    for i in range(len(bodies) - 2, -1, -1):
        for k, value in enumerate(results[i]):
            rank = len(type_of(value).shape)
            here = reshape(index, shape=(size, *(1,) * (rank - 1))) <= i
            outs[k] = select(here, value, outs[k])
    return outs, True


cond = general("cond", _impl, _types, batch=_batch, linearize=_linearize, multiple=True, kernel=Choice(), plain=_plain)
