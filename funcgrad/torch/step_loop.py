"""Many compiled steps in one native call: the traced step as the body of a loop, the tensors that it writes as the carry.

The first calls run one by one, until the step leaves everything as its trace expects to find it (`.grad` set, momentum buffers
made); so does the last, which leaves gradients and flags as a call does. Those between are one `lax.scan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.compile.in_place import Updater
from funcgrad.core.tracing import run, trace_program
from funcgrad.core.types import ArrayType
from funcgrad.lax import scan as lax_scan
from funcgrad.torch.recorder import Entry
from funcgrad.torch.tensor import Tensor, wrap
from funcgrad.torch.traced_step import TracedStep

Step = Any
"""A CompiledStep (step.py, which imports this file)."""


def repeat(step: Step, times: int, args: Any, kwargs: Any) -> Any:
    """See CompiledStep.repeat."""
    if times < 0:
        raise ValueError(f"{step.name}.repeat: the number of steps must be at least 0, got {times}.")
    if times == 0:
        raise ValueError(f"{step.name}.repeat: the results of 0 steps have no known type; ask for at least 1.")
    leaves, in_tree = tree.flatten((args, kwargs))
    return _steps(step, times, in_tree, leaves, frozenset())


def scan(step: Step, args: Any, kwargs: Any) -> Any:
    """See CompiledStep.scan."""
    leaves, in_tree = tree.flatten((args, kwargs))
    moving = frozenset(i for i, v in enumerate(leaves) if isinstance(v, (Tensor, np.ndarray)))
    shapes = [tuple(leaves[i].shape) for i in sorted(moving)]
    if not shapes or any(not s for s in shapes):
        raise ValueError(
            f"{step.name}.scan needs tensors or arrays with a first axis to go along, got shapes {shapes}."
        )
    lengths = {s[0] for s in shapes}
    if len(lengths) > 1 or lengths == {0}:
        raise ValueError(f"{step.name}.scan: the first axes must have one length of at least 1, got shapes {shapes}.")
    return _steps(step, lengths.pop(), in_tree, leaves, moving)


def _steps(step: Step, times: int, in_tree: tree.PyTreeDef, leaves: Sequence[Any], moving: frozenset[int]) -> Any:
    def call(n: int) -> Any:
        args, kwargs = tree.unflatten(in_tree, [v[n] if i in moving else v for i, v in enumerate(leaves)])
        return step(*args, **kwargs)

    results: list[list[Any]] = []
    done, traced = 0, None
    while done < times:
        if traced is not None and times - done > 2 and traced.holds():
            stop = times - 1
            results.append(_loop(step, traced, leaves, moving, done, stop))
            done, traced = stop, None
            continue
        result, out_tree = tree.flatten(call(done))
        results.append([_stackable(v) for v in result])
        done += 1
        traced = (
            step.trace_of(in_tree, [v[0] if i in moving else v for i, v in enumerate(leaves)]) if done < times else None
        )
    return tree.unflatten(out_tree, [_joined(parts) for parts in zip(*results, strict=True)])


def _stackable(value: Any) -> Any:
    if isinstance(value, Tensor):
        return np.array(value.detach()._array)[None]
    return value[None].copy() if isinstance(value, np.ndarray) else value


def _joined(parts: Sequence[Any]) -> Any:
    """The results of the steps as one: tensors stacked, anything else as the last step gave it."""
    return wrap(np.concatenate(parts)) if isinstance(parts[0], np.ndarray) else parts[-1]


def _loop(
    step: Step, traced: TracedStep, leaves: Sequence[Any], moving: frozenset[int], start: int, stop: int
) -> list[Any]:
    """Runs the steps from `start` to `stop`, and gives the leaves of their results, stacked."""
    for what, _ in traced.results:
        if what == "same":
            raise NotImplementedError(
                f"{traced.name} returns a tensor from outside of it, which a loop of steps would return as it is at the end; "
                "return a clone()."
            )
    written = {traced.sources[i].leaf for _, i in traced.update.pairs}
    if written & moving or any(e.leaf in moving for e, _ in traced.effect.grads if e.leaf is not None):
        raise NotImplementedError(
            f"{traced.name} writes to its arguments (or to their .grad), of which each step has others."
        )
    length = stop - start
    values = []
    for s, value in zip(
        traced.sources, traced.values([v[0] if i in moving else v for i, v in enumerate(leaves)]), strict=True
    ):
        at = _moving_leaf(s, moving)
        values.append(value if at is None else _array(leaves[at])[start:stop])
    key = (traced, length, moving)
    update = step.loops.get(key)
    if update is None:
        update = step.loops[key] = _updater(traced, length, moving, values)
    outs = update(values)
    for entry, moved in traced.effect.versions:
        entry.at(leaves)._counter.value += moved * length
    stacked = iter(outs[len(traced.update.pairs) :])
    return [value if what == "static" else next(stacked) for what, value in traced.results]


def _updater(traced: TracedStep, length: int, moving: frozenset[int], values: Sequence[Any]) -> Updater:
    """The loop as a Program: from the inputs of the step, some with an axis more, to the tensors written and the results."""
    program, pairs = traced.program, traced.update.pairs
    along = [i for i, s in enumerate(traced.sources) if _moving_leaf(s, moving) is not None]
    wanted = [k for what, k in traced.results if what != "static"]

    def loop(*inputs: Any) -> list[Any]:
        def body(carry: Any, x: Any) -> Any:
            given = list(inputs)
            for (_, i), c in zip(pairs, carry, strict=True):
                given[i] = c
            for i, row in zip(along, x, strict=True):
                given[i] = row
            outs = run(program, *given)
            return [outs[k] for k, _ in pairs], [outs[k] for k in wanted]

        carry, stacked = lax_scan(body, [inputs[i] for _, i in pairs], [inputs[i] for i in along], length)
        return [*carry, *stacked]

    kinds = [
        ArrayType(v.shape, t.dtype, t.weak) if i in along else t
        for i, (v, t) in enumerate(zip(values, program.in_types, strict=True))
    ]
    made, captured = trace_program(loop, kinds, f"{traced.name}.loop")
    assert not captured, "a step closes over nothing traced"
    arguments = [i for i, s in enumerate(traced.sources) if type(s) is not Entry or s.leaf is not None]
    return Updater(made, [(n, i) for n, (_, i) in enumerate(pairs)], arguments)


def _moving_leaf(source: Any, moving: frozenset[int]) -> int | None:
    """The number of the argument's leaf that a source stands for, if it is one with a row for each step."""
    at = source.leaf if type(source) is Entry else source if type(source) is int else None
    return at if at in moving else None


def _array(value: Any) -> Any:
    return value._array if isinstance(value, Tensor) else value
