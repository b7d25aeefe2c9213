"""The recorder: what a trace of an imperative function reads and writes.

While it runs, every tensor from outside that an operation meets becomes an input of the trace: its `_array` is a tracer until
the trace is over. Writes, new gradients and tensors that Python keeps become outputs, applied to the tensors after each run.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.core.tracing import Trace, Tracer
from funcgrad.core.types import SCALAR_TYPES, array_type
from funcgrad.torch.modes import state
from funcgrad.torch.tensor import Tensor
from funcgrad.torch.views import aliases, replay, root_of


@dataclass(eq=False)
class Entry:
    """A tensor from outside as it was before the trace. `leaf`: its number among the leaves of the arguments, if it is one."""

    tensor: Tensor
    leaf: int | None
    array: np.ndarray
    view: Any
    tracer: Tracer | None
    version: int
    writer: Any
    node: Any
    output_nr: int
    requires_grad: bool
    grad: Tensor | None

    def at(self, leaves: Sequence[Any]) -> Tensor:
        """The tensor that stands here in a call with these leaves."""
        return self.tensor if self.leaf is None else leaves[self.leaf]

    def forget(self) -> None:
        """Drops what only the trace needed, so that a kept trace holds no data."""
        self.array = self.view = self.tracer = self.writer = self.node = self.grad = None  # type: ignore[assignment]
        if self.leaf is not None:
            self.tensor = None  # type: ignore[assignment]


@dataclass(eq=False)
class Number:
    """A Python number that is read anew at each call: `owner[key]`, the learning rate of an optimiser say."""

    owner: Any
    key: Any
    kind: type
    tracer: Tracer


@dataclass(eq=False)
class Recorder:
    """The state of one trace."""

    trace: Trace
    entries: dict[int, Entry] = field(default_factory=dict)
    numbers: list[Number] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    """Entries and Numbers in the order of the trace's inputs."""
    written: dict[int, Entry] = field(default_factory=dict)
    created: list[weakref.ref[Tensor]] = field(default_factory=list)
    guards: list[tuple[Callable[[], Any], Any]] = field(default_factory=list)
    """Functions and what they gave while tracing: another answer means another trace."""
    grads_set: set[int] = field(default_factory=set)
    """Tensors (by id) whose `.grad` the trace has set: what it was before no longer matters."""

    # ---- what operations tell ----

    def lift(self, tensors: list[Any], arrays: list[Any]) -> list[Any]:
        """The arrays of operands, those from outside as inputs of the trace."""
        for i, t in enumerate(tensors):
            if t is not None and type(t._array) is not Tracer:
                self.take(t)
                arrays[i] = t._array
        return arrays

    def argument(self, tensor: Tensor, leaf: int) -> None:
        """Makes an argument an input. It stands for itself, even if it looks into the memory of another tensor."""
        if id(tensor) not in self.entries:
            self._enter(tensor, True, leaf)
            tensor._view = None

    def take(self, tensor: Tensor) -> None:
        """Makes a tensor from outside an input; those made in the trace are constants of it and stay."""
        if id(tensor) in self.entries and tensor._view is None:
            return
        root = root_of(tensor)
        if root._origin is not self and id(root) not in self.entries:
            self._enter(root, True)
        if tensor is not root and tensor._origin is not self and id(tensor) not in self.entries:
            self._enter(tensor, False)
            aliases(root).add(tensor)
        if tensor is not root and type(root._array) is Tracer:
            tensor._array = replay(tensor._view.steps, root._array)

    def _enter(self, tensor: Tensor, lifted: bool, leaf: int | None = None) -> None:
        array = tensor._array
        entry = Entry(
            tensor, leaf, array, tensor._view, None, tensor._counter.value, tensor._counter.writer, tensor._node,
            tensor._output_nr, tensor._requires_grad, tensor._grad,
        )  # fmt: skip
        self.entries[id(tensor)] = entry
        if lifted:
            entry.tracer = tensor._array = self.trace.input(array_type(array.shape, array.dtype))
            self.inputs.append(entry)

    def number(self, owner: Any, key: Any) -> Any:
        """`owner[key]`: a float as an input that is read at each call, anything else as it is, guarded."""
        value = owner[key]
        if type(value) is not float:
            self.guards.append((lambda: owner[key], value))
            return value
        for known in self.numbers:
            if known.owner is owner and known.key == key:
                return known.tracer
        tracer = self.trace.input(SCALAR_TYPES[float])
        made = Number(owner, key, float, tracer)
        self.numbers.append(made)
        self.inputs.append(made)
        return tracer

    def note_write(self, tensor: Tensor) -> None:
        """A tensor is about to be written to."""
        self.take(tensor)
        root = root_of(tensor)
        if root._origin is not self:
            self.written[id(root)] = self.entries[id(root)]

    def note_grad(self, tensor: Tensor, setting: bool = False) -> None:
        """The `.grad` of a tensor is about to be read, or set to something that does not depend on what it was."""
        if tensor._origin is self:
            return
        self.take(tensor)
        if setting:
            self.grads_set.add(id(tensor))
        elif id(tensor) not in self.grads_set:
            self.grads_set.add(id(tensor))
            if self.entries[id(tensor)].leaf is None:
                self.guards.append((lambda: id(tensor._grad), id(tensor._grad)))

    def note_created(self, tensor: Tensor) -> None:
        """A tensor was made in the trace."""
        tensor._origin = self
        self.created.append(weakref.ref(tensor))

    def guard(self, ask: Callable[[], Any]) -> Any:
        """The answer of `ask`, which every later call asks again."""
        answer = ask()
        self.guards.append((ask, answer))
        return answer

    # ---- after the trace ----

    def restore(self) -> None:
        """Puts everything from outside back to what it was before the trace."""
        for entry in self.entries.values():
            t = entry.tensor
            t._array, t._view = entry.array, entry.view
            t._counter.value, t._counter.writer = entry.version, entry.writer
            t._node, t._output_nr, t._requires_grad = entry.node, entry.output_nr, entry.requires_grad
            t._grad = entry.grad

    def escaped(self, known: set[int]) -> list[Tensor]:
        """Tensors made in the trace that Python still holds, other than the `known` ones (by id)."""
        alive = [r() for r in self.created]
        return [t for t in alive if t is not None and id(t) not in known and type(t._array) is Tracer]


def current() -> Recorder | None:
    """The recorder of this thread's imperative trace, if there is one."""
    return state.recorder
