"""One trace of an imperative function: the Program it becomes, and what a run of it does to tensors from outside.

Tensors that the function reads are inputs; those it writes, new gradients and tensors that Python keeps are outputs
(recorder.py).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.compile.in_place import Updater
from funcgrad.core.program import Program
from funcgrad.core.tracing import Trace, Tracer, build_program, trace_context, type_of
from funcgrad.torch.modes import state
from funcgrad.torch.node import OperationNode
from funcgrad.torch.recorder import Entry, Number, Recorder
from funcgrad.torch.tensor import Tensor, wrap
from funcgrad.torch.views import root_of


@dataclass(eq=False)
class Effect:
    """What a run does to tensors from outside, beside giving results. `output` is a number among the Program's outputs."""

    writes: list[tuple[Entry, int]]
    versions: list[tuple[Entry, int]]
    grads: list[tuple[Entry, int | None]]
    flags: list[tuple[Entry, bool]]
    escaped: list[tuple[Tensor, int]]

    def apply(self, outs: Sequence[Any], leaves: Sequence[Any]) -> None:
        """Does it, after a run that has put the writes in place."""
        for entry, moved in self.versions:
            entry.at(leaves)._counter.value += moved
        for entry, grad in self.grads:
            entry.at(leaves)._grad = None if grad is None else wrap(outs[grad])
        for entry, flag in self.flags:
            entry.at(leaves)._requires_grad = flag
        for tensor, number in self.escaped:
            tensor._array = wrap(outs[number])._array
            tensor._origin = None
            # What is recorded of it belongs to the trace and holds no values.
            tensor._node = None
            tensor._requires_grad = tensor._requires_grad and tensor._accumulator is not None


@dataclass(eq=False)
class TracedStep:
    """One trace of a step: valid while its guards hold."""

    name: str
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
    update: Updater
    plans: dict[Any, Any] = field(default_factory=dict)
    _fetch: Callable[[Sequence[Any]], tuple[Any, ...]] | None = None

    @property
    def reusable(self) -> bool:
        """Whether it serves for another call: not if Python kept a tensor made in it, which each call makes anew."""
        return not self.effect.escaped

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

    def values(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """The arrays for a run with these leaves of the arguments."""
        if self._fetch is None:
            self._fetch = _fetcher(self.sources, self.program)
        return self._fetch(leaves)


def _fetcher(sources: Sequence[Any], program: Program) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A line of Python that gets the arrays of all sources: there may be hundreds, at every step."""
    scope: dict[str, Any] = {"asarray": np.asarray}
    parts = []
    for n, (s, kind) in enumerate(zip(sources, program.in_types, strict=True)):
        scope[f"d{n}"] = kind.dtype
        if type(s) is Entry and s.leaf is None:
            scope[f"t{n}"] = s.tensor
            parts.append(f"t{n}._array")
        elif type(s) is Entry:
            parts.append(f"leaves[{s.leaf}]._array")
        elif type(s) is Number:
            scope[f"o{n}"], scope[f"k{n}"] = s.owner, s.key
            parts.append(f"asarray(o{n}[k{n}], d{n})")
        else:
            parts.append(f"asarray(leaves[{s}], d{n})")
    exec(f"def fetch(leaves): return ({''.join(part + ', ' for part in parts)})", scope)
    return scope["fetch"]


def trace_step(
    fun: Callable[..., Any], name: str, in_tree: tree.PyTreeDef, leaves: Sequence[Any]
) -> tuple[TracedStep, Any]:
    """Runs an imperative function on tracers: the trace, and the result, whose tensors hold no values yet."""
    trace = Trace("abstract", name)
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
            result = fun(*args, **kwargs)
            del args, kwargs
            made = _finish(name, trace, recorder, moved, result)
        finally:
            state.recorder = None
            recorder.restore()
    for entry in recorder.entries.values():
        entry.forget()
    return made, result


def _finish(name: str, trace: Trace, recorder: Recorder, moved: list[tuple[int, Tracer]], result: Any) -> TracedStep:
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
    effect = _effect(name, recorder, output, found)
    inputs = [*[t for _, t in moved], *[s.tracer for s in recorder.inputs]]
    program, captured = build_program(trace, inputs, trace.records, outputs)
    if captured:
        raise RuntimeError(f"{name} uses values of an outer trace; compile the outer function instead.")
    sources = [*[i for i, _ in moved], *recorder.inputs]
    flags = tuple([s.requires_grad for s in recorder.inputs if type(s) is Entry and s.leaf is None])
    place = {id(s): i for i, s in enumerate(sources)}
    arguments = [i for i, s in enumerate(sources) if type(s) is not Entry or s.leaf is not None]
    update = Updater(program, [(k, place[id(e)]) for e, k in effect.writes], arguments)
    return TracedStep(name, program, sources, out_tree, results, effect, recorder.guards, flags, differentiable, update)


def _effect(name: str, recorder: Recorder, output: Callable[[Any], int], found: Sequence[Any]) -> Effect:
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
                f"{name} leaves history on a tensor of shape {list(e.array.shape)} that was made outside, by a write "
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
