"""Whole-step compilation: a function that uses Tensors, modules and optimisers imperatively, as one Program.

Traced once per types, flags and guards (traced_step.py): tensors it reads are inputs, tensors it writes are updated in place.
A run moves version counters as the un-jitted function would. If results still require grad, the Program is differentiated
as an operation would be, so that backward() outside of it works too. `repeat` and `scan` run many steps in one call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api import jit as api_jit
from funcgrad.api.arguments import function_name
from funcgrad.api.imperative import Door, ImperativeFound, doors
from funcgrad.compile.in_place import Updater
from funcgrad.core.program import Program
from funcgrad.torch import step_loop
from funcgrad.torch.compiled import compiled_runner
from funcgrad.torch.modes import state
from funcgrad.torch.node import FREED, NO_EDGE, Node, edge_of, node_class
from funcgrad.torch.operation import Operation, OperationPlan
from funcgrad.torch.recorder import Entry
from funcgrad.torch.saved import Saved
from funcgrad.torch.tensor import Tensor, make, wrap
from funcgrad.torch.traced_step import TracedStep, trace_step


class CompiledStep:
    """What `torch.compile(f)` gives: `f`, traced at the first call for each combination of types, then run as one Program.

    Tensors in the arguments, in closures and globals, in modules and optimisers are inputs. Floats among the arguments are
    inputs, other Python values are part of the key. Raises ConcretizationTypeError where Python needs a traced value.
    """

    def __init__(self, fun: Callable[..., Any]):
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.name = function_name(fun)
        self.traces: dict[Any, list[TracedStep]] = {}
        self.loops: dict[Any, Updater] = {}
        """The loops of `repeat` and `scan`, by trace, length and what moves."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<compiled step {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.recorder is not None or api_jit.jit_disabled():
            return self.fun(*args, **kwargs)
        leaves, in_tree = tree.flatten((args, kwargs))
        key = _key(in_tree, leaves)
        known = self._known(key)
        if known is not None:
            return self._run(known, leaves)
        traced, outcome = trace_step(self.fun, self.name, in_tree, leaves)
        if traced.reusable:
            self.traces.setdefault(key, []).insert(0, traced)
        return self._run(traced, leaves, outcome)

    def repeat(self, times: int, *args: Any, **kwargs: Any) -> Any:
        """Calls the step `times` times with the same arguments, all but the first and last in one native loop.

        Returns what the calls return, stacked along a new first axis and detached. What a step changes in Python (a counter, a
        list) changes in the first calls only, as in every compiled step. Raises ValueError if `times` is negative.
        """
        return step_loop.repeat(self, times, args, kwargs)

    def scan(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the step once for each index of the first axis of the tensors and arrays among the arguments (batches, say), all
        but the first and last in one native loop. Other arguments are the same for each. Returns as `repeat`.

        Raises ValueError if there is nothing with a first axis, or the axes differ in length.
        """
        return step_loop.scan(self, args, kwargs)

    def trace_of(self, in_tree: tree.PyTreeDef, leaves: Sequence[Any]) -> TracedStep | None:
        """The trace that a call with these arguments would run now, if there is one."""
        return self._known(_key(in_tree, leaves))

    def _known(self, key: Any) -> TracedStep | None:
        return next((t for t in self.traces.get(key, ()) if t.holds()), None)

    def programs(self) -> list[Program]:
        """The Programs traced so far."""
        return [t.program for known in self.traces.values() for t in known]

    # ---- running ----

    def _run(self, traced: TracedStep, leaves: Sequence[Any], outcome: Any = None) -> Any:
        values = traced.values(leaves)
        node = None
        if traced.differentiable and state.grad:
            outs, node = self._differentiable(traced, values, leaves)
            for k, i in traced.update.pairs:
                np.copyto(values[i], outs[k])
        else:
            outs = traced.update(values)
        traced.effect.apply(outs, leaves)
        results: list[Any] = []
        first = None if outcome is None else tree.leaves(outcome)
        for i, (what, value) in enumerate(traced.results):
            if what in ("tensor", "freed"):
                made = wrap(outs[value])
                if first is not None:
                    # Python may have kept the tensor that the trace returned: it is this one.
                    first[i]._array, first[i]._origin, first[i]._node, first[i]._requires_grad = (
                        made._array,
                        None,
                        None,
                        False,
                    )
                    first[i]._view = None
                    made = first[i]
                if node is not None and value in traced.differentiable:
                    made._node, made._output_nr, made._requires_grad = node, value, True
                elif what == "freed":
                    made._node, made._requires_grad = FreedNode(), True
                results.append(made)
            else:
                results.append(outs[value] if what == "array" else value.at(leaves) if what == "same" else value)
        return tree.unflatten(traced.out_tree, results)

    def _differentiable(
        self, traced: TracedStep, values: Sequence[Any], leaves: Sequence[Any]
    ) -> tuple[Sequence[Any], Any]:
        """A run whose results require grad: the Program with the backward that is derived from it."""
        given = [s.at(leaves) if type(s) is Entry else None for s in traced.sources]
        wanted = tuple(
            i for i, t in enumerate(given) if t is not None and t.requires_grad and values[i].dtype.kind in "fc"
        )
        plan: Any = traced.plans.get(wanted)
        if plan is None:
            plan = traced.plans[wanted] = OperationPlan(traced.program, wanted, False)
            plan.node_type, plan.multiple, plan.arguments = node_class("CompiledFunctionBackward"), True, ()
            places = [i for i, t in enumerate(given) if t is not None]
            plan.edges = tuple(places.index(i) for i in wanted)
            plan.run = compiled_runner(plan.program)
        outs = plan.run(*values)
        tensors = [t for t in given if t is not None]
        node = plan.node_type()
        node.plan, node.operation, node.private = plan, _STEP, outs[plan.n_outputs :]
        node.n_outputs = plan.n_outputs
        node.next_functions = tuple([edge_of(t) if i in plan.edges else NO_EDGE for i, t in enumerate(tensors)])
        node.saved = [values[i] if (t := given[i]) is None else Saved(t) for i in plan.saved_inputs]
        node.saved += [Saved(make(np.asarray(outs[i]))) for i in plan.saved_outputs]
        return outs, node


class FreedNode(Node):
    """The history of a result whose backward ran inside of the step: a second one finds it freed, as un-jitted."""

    title = "CompiledFunctionBackward"

    def run_tensors(self, grads: Any) -> Any:
        raise RuntimeError(FREED)


def _step_body() -> None:
    raise AssertionError("a step is traced by CompiledStep, not by an operation")


_STEP = Operation(_step_body, "CompiledFunctionBackward", None, "inputs", None, None, None, "compiled_step")


def _key(in_tree: tree.PyTreeDef, leaves: Sequence[Any]) -> tuple[Any, ...]:
    """What a trace is for: the form of the arguments, types and flags, and which of them are one tensor."""
    key = (in_tree, state.grad, state.inference, *[_leaf_key(v) for v in leaves])
    tensors = [id(v) for v in leaves if isinstance(v, Tensor)]
    if len(set(tensors)) < len(tensors):
        key = (*key, *[tensors.index(i) for i in tensors])
    return key


def _leaf_key(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return leaf._array.shape, leaf._array.dtype, leaf.requires_grad, leaf.is_leaf
    if type(leaf) is float:
        return float
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.shape, leaf.dtype
    return type(leaf), leaf


class _Watch:
    """Stands for a recorder while a pure function is traced: an operation on Tensors is found by asking it."""

    def lift(self, tensors: Any, arrays: Any) -> Any:
        """An operation has begun."""
        raise ImperativeFound

    take = note_write = note_grad = number = guard = lift  # type: ignore[assignment]

    def note_created(self, tensor: Tensor) -> None:
        """A tensor was made."""
        raise ImperativeFound


@contextmanager
def _watch() -> Iterator[None]:
    before = state.recorder
    if before is None:
        state.recorder = _Watch()
    try:
        yield
    finally:
        state.recorder = before


def _holds(values: Any) -> bool:
    return any(isinstance(v, Tensor) for v in tree.leaves(values))


doors[:] = [Door(_holds, _watch, CompiledStep)]


def compile(model: Any = None, **options: Any) -> Any:
    """`torch.compile`: the function or module as a CompiledStep. Options of PyTorch's (mode, fullgraph, dynamic, backend) choose
    between compilers and graph breaks that do not exist here, so they change nothing; unknown ones raise TypeError."""
    unknown = options.keys() - {"fullgraph", "dynamic", "backend", "mode", "options", "disable"}
    if unknown:
        raise TypeError(f"compile() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    if model is None:
        return functools.partial(compile, **options)
    return model if options.get("disable") else CompiledStep(model)
