"""The engine: walks the graph from the roots back, without recursion, in PyTorch's order.

A node runs when all that read its outputs have run; of those that may run, the one made last. Gradients are plain arrays,
made Tensors only for hooks and where they must stay differentiable (`create_graph`).
"""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer
from funcgrad.torch.modes import state
from funcgrad.torch.node import AccumulateGrad, Edge, Node
from funcgrad.torch.tensor import Tensor, wrap

FIRST = -1
"""Where in the heap a node stands that runs as soon as it may: leaves do."""


class Slot:
    """The gradient of one output of one node, summed up so far. `fresh`: nobody else refers to its memory."""

    __slots__ = ("fresh", "tensor", "value")

    def __init__(self, value: Any, fresh: bool, tensor: Tensor | None):
        self.value, self.fresh, self.tensor = value, fresh, tensor


def run_backward(
    roots: Sequence[Edge],
    grads: Sequence[Tensor],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Edge] | None = None,
    accumulate: bool = True,
) -> list[Any]:
    """Runs the graph from `roots` with the given gradients.

    With `inputs`, only what leads to them runs; gradients of these edges are returned (None where nothing arrived), and,
    if `accumulate`, leaves among them add to their `.grad` as well.
    """
    return _Task(roots, grads, retain_graph, create_graph, inputs, accumulate).run()


class _Task:
    def __init__(self, roots: Sequence[Edge], grads: Sequence[Tensor], retain: bool, create: bool,
                 inputs: Sequence[Edge] | None, accumulate: bool):  # fmt: skip
        self.retain, self.create, self.accumulate = retain, create, accumulate
        self.buffers: dict[Node, dict[int, Slot]] = {}
        self.wanted: dict[tuple[Node, int], int] = {}
        self.found: list[Any] = [None] * len(inputs or ())
        self.same: dict[int, int] = {}
        for i, edge in enumerate(inputs or ()):
            if edge in self.wanted:
                self.same[i] = self.wanted[edge]
            elif edge[0] is not None:
                self.wanted[edge] = i
        self.roots = list(dict.fromkeys(node for node, _ in roots))
        self.dependencies = _dependencies(self.roots)
        self.needed = None if inputs is None else self._leading()
        for (node, number), grad in zip(roots, grads, strict=True):
            self._add(node, number, grad._array, False, grad if create else None)

    def _leading(self) -> set[Node]:
        """Nodes that must run so that the wanted gradients arrive. A node whose own output is wanted need not run itself."""
        ends = {node for node, _ in self.wanted}
        needed: set[Node] = set()
        done: set[Node] = set()
        stack: list[tuple[Node, bool]] = [(node, False) for node in self.roots]
        while stack:
            node, after = stack.pop()
            if after:
                if any(n in needed or n in ends for n, _ in node.next_functions):
                    needed.add(node)
            elif node not in done:
                done.add(node)
                stack.append((node, True))
                stack += [(n, False) for n, _ in node.next_functions if n is not None and n not in done]
        if self.accumulate:
            needed |= {n for n in ends if isinstance(n, AccumulateGrad)}
        return needed

    def run(self) -> list[Any]:
        heap: list[tuple[int, int, Node]] = []
        waiting = self.dependencies
        for node in self.roots:
            if not waiting[node]:
                heapq.heappush(heap, _entry(node))
        before, outer = state.grad, state.task
        state.grad, state.task = self.create, self
        try:
            while heap:
                node = heapq.heappop(heap)[2]
                edges = node.next_functions
                slots = self.buffers.pop(node, None)
                if slots is not None:
                    self._run_node(node, slots)
                for target, _ in edges:
                    if target is not None:
                        left = waiting[target] = waiting[target] - 1
                        if not left:
                            heapq.heappush(heap, _entry(target))
        finally:
            state.grad, state.task = before, outer
        for i, j in self.same.items():
            self.found[i] = self.found[j]
        return self.found

    def _run_node(self, node: Node, slots: dict[int, Slot]) -> None:
        if node.tensor_hooks is not None or node.pre_hooks is not None or node.retained is not None:
            self._before(node, slots)
        elif type(node) is AccumulateGrad and node.variable._hooks:
            self._hooked(node, slots, 0, node.variable._hooks)
        if self.wanted:
            for number, slot in slots.items():
                i = self.wanted.get((node, number))
                if i is not None:
                    self.found[i] = slot
        if self.needed is not None and node not in self.needed:
            return
        if type(node) is AccumulateGrad:
            own = slots.get(0)
            if own is not None:
                node.accumulate(own.value, own.fresh, own.tensor)
                if node.post_hooks:
                    _after(node, [None], [wrap(own.value) if own.tensor is None else own.tensor])
            return
        if self.create or node.post_hooks or state.anomaly:
            self._run_tensors(node, slots)
        else:
            values: list[Any] = [None] * node.n_outputs
            for number, slot in slots.items():
                values[number] = slot.value
            outs, fresh = node.run(values)
            for (target, number), value, new in zip(node.next_functions, outs, fresh, strict=True):
                if target is not None and value is not None:
                    self._add(target, number, value, new, None)
        if not self.retain:
            node.release()

    def _run_tensors(self, node: Node, slots: dict[int, Slot]) -> None:
        given: list[Tensor | None] = [None] * node.n_outputs
        for number, slot in slots.items():
            given[number] = wrap(slot.value) if slot.tensor is None else slot.tensor
        kept = list(given) if node.post_hooks else given
        if state.anomaly:
            outs = _watched(node, given)
        else:
            outs = node.run_tensors(given)
        if node.post_hooks:
            outs = _after(node, list(outs), kept)
        for (target, number), out in zip(node.next_functions, outs, strict=True):
            if target is not None and out is not None:
                self._add(target, number, out._array, False, out if self.create else None)

    def _add(self, node: Node, number: int, value: Any, fresh: bool, tensor: Tensor | None) -> None:
        slots = self.buffers.setdefault(node, {})
        known = slots.get(number)
        if known is None:
            slots[number] = Slot(value, fresh, tensor)
        elif tensor is not None:
            known.tensor = tensor if known.tensor is None else known.tensor + tensor  # type: ignore[operator]
            known.value = known.tensor._array  # type: ignore[union-attr]
            known.fresh = False
        elif (
            known.fresh
            and type(known.value) is np.ndarray
            and type(value) is np.ndarray
            and known.value.flags.writeable
        ):
            state.quiet.run(np.add, known.value, value, known.value)
        else:
            traced = type(known.value) is Tracer or type(value) is Tracer
            known.value = known.value + value if traced else np.asarray(state.quiet.run(np.add, known.value, value))
            known.fresh = True

    # ---- hooks ----

    def _before(self, node: Node, slots: dict[int, Slot]) -> None:
        """Tensor hooks, pre-hooks, then the stores of `retain_grad`."""
        for number, hooks in (node.tensor_hooks or {}).items():
            if number in slots:
                self._hooked(node, slots, number, hooks)
        if node.pre_hooks:
            given: Any = tuple(self._tensor(slots.get(i)) for i in range(node.n_outputs))
            for hook in list(node.pre_hooks.values()):
                answer = hook(given)
                if answer is not None:
                    given = tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
            for i, g in enumerate(given):
                if g is not None:
                    slots[i] = Slot(g._array, False, g if self.create else None)
        for number, reference in (node.retained or {}).items():
            tensor, slot = reference(), slots.get(number)
            if tensor is not None and slot is not None:
                grad = self._tensor(slot)
                assert grad is not None
                if tensor._grad is not None:
                    tensor._grad = tensor._grad + grad
                elif self.create or type(grad._array) is Tracer:
                    tensor._grad = grad
                else:
                    tensor._grad = wrap(np.array(grad._array))

    def _tensor(self, slot: Slot | None) -> Tensor | None:
        if slot is None:
            return None
        slot.fresh = False
        return wrap(slot.value) if slot.tensor is None else slot.tensor

    def _hooked(self, node: Node, slots: dict[int, Slot], number: int, hooks: Any) -> None:
        slot = slots.get(number)
        if slot is None:
            return
        grad = self._tensor(slot)
        assert grad is not None
        for hook in list(hooks.values()):
            answer = hook(grad)
            if answer is not None:
                _check_replacement(hook, grad, answer)
                grad = answer
        slots[number] = Slot(grad._array, False, grad if self.create else None)


def _check_replacement(hook: Any, grad: Tensor, answer: Any) -> None:
    name = getattr(hook, "__name__", "hook")
    if not isinstance(answer, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(answer).__name__}'")
    if answer._array.shape != grad._array.shape:
        raise RuntimeError(
            f"hook '{name}' has changed the size of value: it got {list(grad._array.shape)} and returned "
            f"{list(answer._array.shape)}"
        )
    if answer._array.dtype != grad._array.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {grad.dtype}, got {answer.dtype}); return .to(grad.dtype)"
        )


def _after(node: Node, outs: list[Any], given: list[Any]) -> list[Any]:
    result: Any = tuple(outs)
    for hook in list((node.post_hooks or {}).values()):
        answer = hook(result, tuple(given))
        if answer is not None:
            result = tuple(answer) if isinstance(answer, (tuple, list)) else (answer,)
    return list(result)


def _watched(node: Node, given: list[Tensor | None]) -> Sequence[Tensor | None]:
    """Runs a node in anomaly mode: an error or a nan names the lines of its forward."""
    state.anomaly_nodes.append(node)
    try:
        try:
            outs = node.run_tensors(given)
        except Exception:
            _warn_of(node)
            raise
        if state.anomaly_checks_nan:
            for i, out in enumerate(outs):
                if out is not None and type(out._array) is np.ndarray and np.isnan(out._array).any():
                    _warn_of(node)
                    raise RuntimeError(f"Function '{node.title}' returned nan values in its {i}th output.")
        return outs
    finally:
        state.anomaly_nodes.pop()


def _warn_of(node: Node) -> None:
    lines = (node._metadata or {}).get("traceback_")
    if lines is None:
        text = (
            f"Error detected in {node.title}. No forward pass information available. Enable detect anomaly during forward pass "
            "for more information."
        )
    else:
        text = f"Error detected in {node.title}. Traceback of forward call that caused the error:\n" + "".join(lines)
    warnings.warn(text, UserWarning, stacklevel=2)


def _entry(node: Node) -> tuple[int, int, Node]:
    return (0 if type(node) is AccumulateGrad else 1, -node.sequence, node)


def _dependencies(roots: Sequence[Node]) -> dict[Node, int]:
    """How many edges of the graph below the roots lead to each node."""
    counts: dict[Node, int] = dict.fromkeys(roots, 0)
    stack = list(roots)
    while stack:
        for target, _ in stack.pop().next_functions:
            if target is not None:
                known = counts.get(target)
                if known is None:
                    counts[target] = 1
                    stack.append(target)
                else:
                    counts[target] = known + 1
    return counts
