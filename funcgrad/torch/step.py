"""Whole-step compilation: a function that uses Tensors, modules and optimisers imperatively, as one Program.

Traced once per types, flags and guards: tensors it reads are inputs, tensors it writes are outputs that are put back in place.
A run moves version counters as the un-jitted function would. If results still require grad, the Program is differentiated
as an operation would be, so that backward() outside of it works too.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api import jit as api_jit
from funcgrad.api.arguments import function_name
from funcgrad.api.imperative import Door, ImperativeFound, doors
from funcgrad.core.program import Program
from funcgrad.core.tracing import Trace, Tracer, build_program, trace_context, type_of
from funcgrad.torch.modes import state
from funcgrad.torch.node import FREED, NO_EDGE, Node, OperationNode, edge_of, node_class
from funcgrad.torch.operation import Operation, OperationPlan
from funcgrad.torch.plans import compiled_runner
from funcgrad.torch.recorder import Entry, Number, Recorder
from funcgrad.torch.saved import Saved
from funcgrad.torch.tensor import Tensor, make, wrap
from funcgrad.torch.views import root_of

ARGUMENT, STATIC = "argument", "static"


@dataclass(eq=False)
class Effect:
    """What a run does to tensors from outside, beside giving results. `output` is a number among the Program's outputs."""

    writes: list[tuple[Entry, int]]
    versions: list[tuple[Entry, int]]
    grads: list[tuple[Entry, int | None]]
    flags: list[tuple[Entry, bool]]
    escaped: list[tuple[Tensor, int]]


@dataclass(eq=False)
class TracedStep:
    """One trace of a step: valid while its guards hold."""

    program: Program
    sources: list[Any]
    """For each input of the Program: an Entry, a Number, or the number of an argument's leaf."""
    out_tree: tree.PyTreeDef
    results: list[tuple[str, Any]]
    """For each leaf of the result: ("tensor", output), ("same", entry) or ("static", value)."""
    effect: Effect
    guards: list[tuple[Callable[[], Any], Any]]
    flags: tuple[bool, ...]
    differentiable: list[int]
    """Outputs of the Program that are results which require grad."""
    run: Callable[..., Sequence[Any]]
    plans: dict[Any, Any]
    reusable: bool = True

    def holds(self) -> bool:
        """Whether the guards say what they said while tracing."""
        for ask, answer in self.guards:
            found = ask()
            if found is not answer and found != answer:
                return False
        return self.flags == self.current_flags()

    def current_flags(self) -> tuple[bool, ...]:
        """requires_grad of the tensors from outside."""
        return tuple([s.tensor._requires_grad for s in self.sources if type(s) is Entry and s.leaf is None])


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
        self.last: tuple[Any, TracedStep] | None = None

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<compiled step {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if state.recorder is not None or api_jit.jit_disabled():
            return self.fun(*args, **kwargs)
        leaves, in_tree = tree.flatten((args, kwargs))
        key = (in_tree, state.grad, state.inference, *[_leaf_key(v) for v in leaves])
        tensors = [id(v) for v in leaves if isinstance(v, Tensor)]
        if len(set(tensors)) < len(tensors):
            key = (*key, *[tensors.index(i) for i in tensors])
        for traced in self.traces.get(key, ()):
            if traced.holds():
                return self._run(traced, leaves)
        traced, outcome = self._trace(in_tree, leaves)
        if traced.reusable:
            self.traces.setdefault(key, []).insert(0, traced)
        return self._run(traced, leaves, outcome)

    def programs(self) -> list[Program]:
        """The Programs traced so far."""
        return [t.program for known in self.traces.values() for t in known]

    # ---- tracing ----

    def _trace(self, in_tree: tree.PyTreeDef, leaves: Sequence[Any]) -> tuple[TracedStep, Any]:
        trace = Trace("abstract", self.name)
        recorder = Recorder(trace)
        given: list[Any] = []
        moved: list[tuple[int, Tracer]] = []
        for i, leaf in enumerate(leaves):
            if type(leaf) is float or isinstance(leaf, (np.ndarray, np.generic)):
                tracer = trace.input(type_of(leaf))
                moved.append((i, tracer))
                given.append(tracer)
            else:
                given.append(leaf)
        with trace_context(trace):
            state.recorder = recorder
            try:
                for i, leaf in enumerate(leaves):
                    if isinstance(leaf, Tensor):
                        recorder.argument(leaf, i)
                args, kwargs = tree.unflatten(in_tree, given)
                result = self.fun(*args, **kwargs)
                del args, kwargs
                made = self._finish(trace, recorder, moved, leaves, result)
            finally:
                state.recorder = None
                recorder.restore()
        for entry in recorder.entries.values():
            entry.forget()
        return made, result

    def _finish(self, trace: Trace, recorder: Recorder, moved: list[tuple[int, Tracer]], leaves: Sequence[Any],
                result: Any) -> TracedStep:  # fmt: skip
        outputs: list[Any] = []

        def output(value: Any) -> int:
            outputs.append(value)
            return len(outputs) - 1

        found, out_tree = tree.flatten(result)
        results: list[tuple[str, Any]] = []
        differentiable: list[int] = []
        for leaf in found:
            if isinstance(leaf, Tensor) and id(leaf) in recorder.entries:
                results.append(("same", recorder.entries[id(leaf)]))
            elif isinstance(leaf, (Tensor, Tracer)):
                number = output(leaf._array if isinstance(leaf, Tensor) else leaf)
                if isinstance(leaf, Tensor) and leaf.requires_grad and leaf.grad_fn is not None:
                    if is_freed(leaf.grad_fn):
                        results.append(("freed", number))
                        leaf._node = None
                        continue
                    differentiable.append(number)
                    leaf._node = None
                results.append(("tensor" if isinstance(leaf, Tensor) else "array", number))
            else:
                results.append(("static", leaf))
        effect = self._effect(recorder, output, found)
        inputs = [*[t for _, t in moved], *[s.tracer for s in recorder.inputs]]
        program, captured = build_program(trace, inputs, trace.records, outputs)
        if captured:
            raise RuntimeError(f"{self.name} uses values of an outer trace; compile the outer function instead.")
        sources = [*[i for i, _ in moved], *recorder.inputs]
        flags = tuple([s.requires_grad for s in recorder.inputs if type(s) is Entry and s.leaf is None])
        return TracedStep(program, sources, out_tree, results, effect, recorder.guards, flags, differentiable,
                          compiled_runner(program), {}, not effect.escaped)  # fmt: skip

    def _effect(self, recorder: Recorder, output: Callable[[Any], int], found: Sequence[Any]) -> Effect:
        writes = [(e, output(e.tensor._array)) for e in recorder.written.values()]
        versions: dict[int, tuple[Entry, int]] = {}
        grads: list[tuple[Entry, int | None]] = []
        flags: list[tuple[Entry, bool]] = []
        # A result that is a view holds on to its root, which Python sees only through it.
        known = {id(t) for v in found for t in ((v, root_of(v)) if isinstance(v, Tensor) else (v,))}
        for e in recorder.entries.values():
            t = e.tensor
            if t._counter.value != e.version:
                versions[id(t._counter)] = (e, t._counter.value - e.version)
            if t._node is not e.node and t._view is None:
                raise RuntimeError(
                    f"{self.name} leaves history on a tensor of shape {list(e.array.shape)} that was made outside, by a write "
                    "in grad mode. Write under torch.no_grad(), or write a detached value."
                )
            if t._requires_grad != e.requires_grad and t._node is e.node:
                flags.append((e, t._requires_grad))
            if t._grad is not e.grad:
                grads.append((e, None if t._grad is None else output(t._grad._array)))
                known.add(id(t._grad))
        if any(t is not None and id(t) not in known for t in (r() for r in recorder.created)):
            gc.collect(0)
        escaped = [(t, output(t._array)) for t in recorder.escaped(known)]
        return Effect(writes, list(versions.values()), grads, flags, escaped)

    # ---- running ----

    def _run(self, traced: TracedStep, leaves: Sequence[Any], outcome: Any = None) -> Any:
        values = []
        for s in traced.sources:
            kind = type(s)
            if kind is Entry:
                values.append((s.tensor if s.leaf is None else leaves[s.leaf])._array)
            elif kind is Number:
                values.append(s.owner[s.key])
            else:
                values.append(leaves[s])
        node = None
        if traced.differentiable and state.grad:
            outs, node = self._differentiable(traced, values, leaves)
        else:
            outs = traced.run(*values)
        _apply(traced.effect, outs, leaves)
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


def is_freed(node: Any) -> bool:
    """Whether backward has gone through a node or through what it leads to."""
    seen = {node}
    stack = [node]
    while stack:
        n = stack.pop()
        if isinstance(n, OperationNode) and n.saved is None:
            return True
        for target, _ in n.next_functions:
            if target is not None and target not in seen:
                seen.add(target)
                stack.append(target)
    return False


def _step_body() -> None:
    raise AssertionError("a step is traced by CompiledStep, not by an operation")


_STEP = Operation(_step_body, "CompiledFunctionBackward", None, "inputs", None, None, None, "compiled_step")


def _apply(effect: Effect, outs: Sequence[Any], leaves: Sequence[Any]) -> None:
    for entry, number in effect.writes:
        np.copyto(entry.at(leaves)._array, outs[number])
    for entry, moved in effect.versions:
        entry.at(leaves)._counter.value += moved
    for entry, grad in effect.grads:
        entry.at(leaves)._grad = None if grad is None else wrap(outs[grad])
    for entry, flag in effect.flags:
        entry.at(leaves)._requires_grad = flag
    for tensor, number in effect.escaped:
        tensor._array = wrap(outs[number])._array
        tensor._origin = None
        # What is recorded of it belongs to the trace and holds no values.
        tensor._node = None
        tensor._requires_grad = tensor._requires_grad and tensor._accumulator is not None


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
