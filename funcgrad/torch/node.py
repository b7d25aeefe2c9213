"""Nodes of the graph: what `grad_fn` gives. A node knows where its inputs' gradients go and how to make them.

`next_functions` has an entry for each tensor input: (node, number of that node's output), or (None, 0).
"""

from __future__ import annotations

import itertools
import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.core.tracing import Tracer
from funcgrad.torch.broadcast import check_output
from funcgrad.torch.modes import state
from funcgrad.torch.saved import Saved
from funcgrad.torch.tensor import Tensor, make, wrap

sequence = itertools.count()
Edge = tuple[Any, int]


class GradientEdge(NamedTuple):
    """Where a tensor's gradient goes, as `autograd.graph.get_gradient_edge` gives it; `autograd.grad` takes it as an input."""

    node: Any
    output_nr: int
    ownership_token: None = None


NO_EDGE: Edge = (None, 0)

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). "
    "Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if "
    "you need to backward through the graph a second time or if you need to access saved tensors after calling backward."
)


_NATIVE = frozenset({"AccumulateGrad", "CopyBackwards", "CopySlices"})
"""Nodes that PyTorch shows with their C++ namespace."""


class RemovableHandle:
    """What registering a hook gives: `remove()` takes the hook away again. A context manager too."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any):
        self.id = next(self._ids)
        self._hooks = weakref.ref(hooks) if isinstance(hooks, HookDict) else lambda: hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        """Removes the hook; a second time does nothing."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class HookDict(dict[int, Any]):
    """Hooks by the number of their handle, in order of registration."""

    __slots__ = ("__weakref__",)


class Node:
    """A step of backward. Subclasses carry PyTorch's names."""

    title = "Node"
    next_functions: tuple[Edge, ...] = ()
    source: Any = None
    """(code, instruction) of the user's line that made it."""
    n_outputs = 1
    tensor_hooks: dict[int, HookDict] | None = None
    """By number of output: the hooks of the tensors it made."""
    retained: dict[int, Any] | None = None
    pre_hooks: HookDict | None = None
    post_hooks: HookDict | None = None
    _metadata: dict[str, Any] | None = None
    out_types: Sequence[Any] = ()

    def __init__(self) -> None:
        self.sequence = next(sequence)
        if state.anomaly:
            note_anomaly(self)

    def name(self) -> str:
        """PyTorch's name, as "MulBackward0"."""
        return "torch::autograd::" + self.title if self.title in _NATIVE else self.title

    @property
    def metadata(self) -> dict[str, Any]:
        """A dict for the user; anomaly mode puts `traceback_` and `parent_` here."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    def _sequence_nr(self) -> int:
        return self.sequence

    def __repr__(self) -> str:
        return f"<{self.title} object at {hex(id(self))}>"

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Calls fn(grad_inputs, grad_outputs) after the node has run; what it returns replaces the gradients."""
        if self.post_hooks is None:
            self.post_hooks = HookDict()
        return RemovableHandle(self.post_hooks, fn)

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Calls fn(grad_outputs) before the node runs; what it returns replaces them."""
        if self.pre_hooks is None:
            self.pre_hooks = HookDict()
        return RemovableHandle(self.pre_hooks, fn)

    def hook_output(self, number: int, fn: Callable[..., Any]) -> RemovableHandle:
        """A tensor hook on one output."""
        if self.tensor_hooks is None:
            self.tensor_hooks = {}
        return RemovableHandle(self.tensor_hooks.setdefault(number, HookDict()), fn)

    def retain(self, number: int, tensor: Any) -> None:
        """Has the gradient of an output stored in `.grad` of the (weakly referred to) tensor."""
        if self.retained is None:
            self.retained = {}
        self.retained[number] = tensor

    # ---- what the engine calls ----

    def run(self, grads: list[Any]) -> tuple[Sequence[Any], Sequence[bool]]:
        """Gradients of the inputs from gradients of the outputs (None is zero), as arrays, and which of them are new memory."""
        tensors = self.run_tensors([None if g is None else wrap(g) for g in grads])
        return [None if t is None else t._array for t in tensors], (False,) * len(tensors)

    def run_tensors(self, grads: list[Tensor | None]) -> Sequence[Tensor | None]:
        """The same with Tensors, recorded if gradients are."""
        raise NotImplementedError

    def release(self) -> None:
        """Drops what was saved for backward."""

    def __call__(self, *grads: Any) -> Any:
        given = [g if isinstance(g, Tensor) or g is None else make(np.asarray(g)) for g in grads]
        found = tuple(self.run_tensors(given))
        return found[0] if len(found) == 1 else found


class AccumulateGrad(Node):
    """The node of a leaf: adds to its `.grad`."""

    title = "AccumulateGrad"

    def __init__(self, variable: Tensor):
        self.sequence = next(sequence)
        self.variable = variable

    @property
    def out_types(self) -> Any:  # type: ignore[override]
        return (self.variable._array,)

    def run_tensors(self, grads: list[Tensor | None]) -> Sequence[Tensor | None]:
        grad = grads[0]
        if grad is not None:
            self.accumulate(grad._array, False, grad if state.grad else None)
        return ()

    def accumulate(self, array: Any, fresh: bool, tensor: Tensor | None) -> None:
        """Adds a gradient; `tensor` is given if it has to stay differentiable."""
        variable = self.variable
        if not variable._requires_grad:
            return
        known = variable._grad
        recorder = state.recorder
        if recorder is not None:
            recorder.note_grad(variable)
        if tensor is not None:
            variable._grad = _plus(known, tensor)
        elif known is None:
            variable._grad = _stored(array, fresh, variable)
        elif type(known._array) is Tracer or type(array) is Tracer or known.requires_grad:
            add_to_grad[0](known, array)
        else:
            if known._array.shape != array.shape:  # of a leaf turned in place between two backward passes
                check_output(known._array.shape, [known._array.shape, array.shape])
            np.add(known._array, array, out=known._array, casting="unsafe")
            known._counter.value += 1
        hooks = variable._post_hooks
        if hooks:
            before, state.grad = state.grad, False
            try:
                for hook in list(hooks.values()):
                    hook(variable)
            finally:
                state.grad = before


add_to_grad: list[Callable[[Tensor, Any], None]] = []
"""Adds to a tensor where one of both is traced; set by `inplace.py`."""


def _plus(known: Tensor | None, grad: Tensor) -> Tensor:
    if known is None:
        return grad if grad.grad_fn is not None or not grad._requires_grad else grad.clone()  # type: ignore[attr-defined]
    return known + grad  # type: ignore[operator]


def _stored(array: Any, fresh: bool, variable: Tensor) -> Tensor:
    """A gradient as a tensor of its own, dense and in the order of the variable."""
    if type(array) is np.ndarray:
        like = variable._array
        if not fresh or not array.flags.c_contiguous:
            array = np.array(array, order="K" if type(like) is np.ndarray and not like.flags.c_contiguous else "C")
    made = wrap(array)
    made._inference = state.inference
    return made


class OperationNode(Node):
    """The node of an operation of `ops/`: runs the backward Program of its plan."""

    plan: Any
    saved: Any
    private: Any
    operation: Any

    def run(self, grads: list[Any]) -> tuple[Sequence[Any], Sequence[bool]]:
        saved = self.saved
        if saved is None:
            raise RuntimeError(FREED)
        plan = self.plan
        values = [s.read(self) if type(s) is Saved else s for s in saved]
        outs = plan.backward(*values, *self.private, *self._cotangents(grads))
        return self._spread(outs), self._spread(plan.fresh)

    def _cotangents(self, grads: list[Any]) -> list[Any]:
        given = []
        for g, t in zip(grads, self.plan.out_types, strict=True):
            if t.dtype.kind in "fc":
                if g is None:
                    g = np.zeros(t.shape, t.dtype)
                elif g.dtype != t.dtype:
                    g = g.astype(t.dtype)
                given.append(g)
        return given

    def _spread(self, found: Sequence[Any]) -> list[Any]:
        out: list[Any] = [None] * len(self.next_functions)
        for i, value in zip(self.plan.edges, found, strict=True):
            out[i] = value
        return out

    def run_tensors(self, grads: list[Tensor | None]) -> Sequence[Tensor | None]:
        if not state.grad:
            values, _ = self.run([None if g is None else g._array for g in grads])
            return [None if v is None else wrap(v) for v in values]
        if self.saved is None:
            raise RuntimeError(FREED)
        values = [s.unpack(self) if type(s) is Saved else s for s in self.saved]
        cts = [
            make(np.zeros(t.shape, t.dtype)) if g is None else g
            for g, t in zip(grads, self.plan.out_types, strict=True)
            if t.dtype.kind in "fc"
        ]
        return self._spread(self.operation.second(self.plan)(*values, *cts))

    def release(self) -> None:
        # Numbers are not freed: what needs no tensor can be run again.
        if self.plan.keeps and (self.private or any(type(s) is Saved for s in self.saved or ())):
            self.saved = None
            self.private = ()

    # ---- what users look at ----

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_saved_"):
            slot = self._slot(name[len("_saved_") :])
            if type(slot) is Saved:
                return slot.unpack(self)
            return wrap(slot) if name == "_saved_other" and slot is not None else slot
        if name.startswith("_raw_saved_"):
            slot = self._slot(name[len("_raw_saved_") :])
            return RawSaved(slot, self)
        raise AttributeError(f"'{self.title}' object has no attribute '{name}'")

    def _slot(self, name: str) -> Any:
        known, where = self.operation.slot(name, self)
        if known == "static":
            return where
        if self.saved is None:
            raise RuntimeError(FREED)
        ids = [*self.plan.saved_inputs, *[-1 - o for o in self.plan.saved_outputs]]
        return self.saved[ids.index(where)] if where in ids else None


class RawSaved:
    """A slot of a node, for hooks of its own."""

    def __init__(self, slot: Any, node: Node):
        self._slot, self._node = slot, node

    def register_hooks(self, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
        """Packs the slot at once; backward gets what `unpack` makes of it. Raises RuntimeError for a second pair."""
        slot = self._slot
        if self._node.saved is None or type(slot) is not Saved:  # type: ignore[attr-defined]
            raise RuntimeError("Calling register_hooks on a saved tensor after it has been freed. " + FREED)
        if slot.hooks is not None:
            raise RuntimeError("Calling register_hooks on a saved tensor whose hooks have already been set. ")
        slot.register(pack, unpack, slot.unpack(self._node))


def accumulator(tensor: Tensor) -> AccumulateGrad:
    """The AccumulateGrad node of a leaf, one for all its uses."""
    known = tensor._accumulator
    node = None if known is None else known()
    if node is None:
        node = AccumulateGrad(tensor)
        tensor._accumulator = weakref.ref(node)
    return node


def edge_of(tensor: Tensor) -> Edge:
    """Where the gradient of a tensor goes."""
    node = tensor._node if tensor._view is None else tensor._view.history(tensor)
    if node is not None:
        return node, tensor._output_nr
    if tensor._requires_grad:
        return accumulator(tensor), 0
    return NO_EDGE


def node_class(title: str) -> type[OperationNode]:
    """A class of nodes by PyTorch's name."""
    found = _classes.get(title)
    if found is None:
        found = _classes[title] = type(title, (OperationNode,), {"title": title})
    return found


_classes: dict[str, type[OperationNode]] = {}


def note_anomaly(node: Node) -> None:
    """Remembers the lines that made a node, and the node whose backward made it."""
    node.metadata["traceback_"] = traceback.format_stack()[:-2]
    if state.anomaly_nodes:
        node.metadata["parent_"] = state.anomaly_nodes[-1]
