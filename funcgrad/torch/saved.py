"""Saved tensors: what a node keeps for backward, with the version that it must still have then.

An input is kept as the Tensor it is; an output as its memory and counter only, since the output refers to the node.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.tracing import source_text
from funcgrad.torch.counter import VersionCounter
from funcgrad.torch.modes import state
from funcgrad.torch.tensor import Tensor, make

Source = Any


class Saved:
    """One saved tensor of a node. `output` is its number if it is an output of the node, -1 if it is an input."""

    __slots__ = ("__weakref__", "array", "counter", "hooks", "output", "packed", "tensor", "version")

    def __init__(self, tensor: Tensor, output: int = -1):
        counter = tensor._counter
        self.output = output
        self.hooks: Any = None
        if tensor._inference and not state.inference:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
                "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in "
                "autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
            )
        self.counter = counter
        self.version = counter.value
        if output < 0:
            self.tensor: Tensor | None = tensor
            self.array = None
        else:
            self.tensor = None
            self.array = tensor._array
        if state.saved_hooks:
            self.register(*state.saved_hooks[-1], tensor)
        if state.copies_saved:
            counter.savers = [*(counter.savers or ()), weakref.ref(self)]

    # ---- hooks ----

    def register(self, pack: Callable[[Any], Any], unpack: Callable[[Any], Any], tensor: Tensor) -> None:
        """Replaces the tensor by what `pack` makes of it."""
        given = tensor if self.output < 0 else alias(tensor._array, tensor._counter)
        version = self.counter.value
        before, state.grad = state.grad, False
        hooks, state.saved_hooks = state.saved_hooks, []
        try:
            self.packed = pack(given)
        finally:
            state.grad, state.saved_hooks = before, hooks
        if self.counter.value != version:
            raise RuntimeError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be "
                "modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if "
                "you need to "
                "perform in-place operations on the input to a pack hook."
            )
        # The history of an input is remembered, its memory is the hook's.
        self.hooks = (unpack, None if self.output >= 0 else _history(tensor))
        self.tensor = self.array = None

    def _unpacked(self, node: Any) -> Tensor:
        unpack, history = self.hooks
        before, state.grad = state.grad, False
        try:
            found = unpack(self.packed)
        finally:
            state.grad = before
        if not isinstance(found, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                + type(found).__name__
            )
        made = alias(found._array, found._counter)
        if self.output >= 0:
            made._node, made._output_nr, made._requires_grad = node, self.output, True
        elif history is not None:
            made._node, made._output_nr, made._requires_grad, made._accumulator = history
        return made

    def keep_copy(self) -> None:
        """Keeps a copy of the values in place of the tensor, whose memory is about to be written to."""
        tensor = self.tensor
        if self.hooks is not None:
            return
        source = self.array if tensor is None else tensor._array
        copied = source.copy() if isinstance(source, np.ndarray) else source
        self.packed = alias(copied, VersionCounter())
        self.hooks = (lambda kept: kept, None if tensor is None else _history(tensor))
        self.tensor = self.array = None

    # ---- reading ----

    def read(self, node: Any) -> Any:
        """The array, after the check of the version."""
        if self.hooks is not None:
            return self._unpacked(node)._array
        if self.counter.value != self.version:
            raise RuntimeError(_modified(self, node))
        tensor = self.tensor
        return self.array if tensor is None else tensor._array

    def unpack(self, node: Any) -> Tensor:
        """The tensor with its history, after the check of the version."""
        if self.hooks is not None:
            return self._unpacked(node)
        if self.counter.value != self.version:
            raise RuntimeError(_modified(self, node))
        if self.tensor is not None:
            return self.tensor
        made = alias(self.array, self.counter)
        if node is not None:
            made._node, made._output_nr, made._requires_grad = node, self.output, True
        return made


def alias(array: Any, counter: Any) -> Tensor:
    """A tensor over the same memory and counter, without history."""
    made = make(array)
    made._counter = counter
    made._inference = False
    return made


def _history(tensor: Tensor) -> tuple[Any, int, bool, Any]:
    node = tensor.grad_fn
    if node is None and tensor._requires_grad:
        # Unpacked, it must add to the gradient of the very same leaf.
        return None, 0, True, tensor._accumulator
    return node, tensor._output_nr, tensor._requires_grad, None


def _modified(saved: Saved, node: Any) -> str:
    tensor = saved.tensor
    array: Any = saved.array if tensor is None else tensor._array
    title = make(array).dtype.title
    producer = None if tensor is None else tensor.grad_fn
    if tensor is None:
        producer, number = node, saved.output
    else:
        number = tensor._output_nr
    where = "" if producer is None else f", which is output {number} of {producer.title.split('Backward')[0]},"
    text = (
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[torch.{title}Tensor {list(array.shape)}]{where} is at version {saved.counter.value}; expected version "
        f"{saved.version} instead."
    )
    if state.anomaly:
        text += " Hint: the backtrace further above shows the operation that failed to compute its gradient."
    else:
        text += (
            " Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
            "torch.autograd.set_detect_anomaly(True)."
        )
    if node is not None and node.source is not None:
        text += f"\nIt was saved by {node.title} at {source_text(node.source)}"
    if saved.counter.writer is not None:
        text += f"\nand last written to at {source_text(saved.counter.writer)}."
    return (
        text
        + " Write out of place there (y = y + 1 instead of y += 1), or clone the tensor before the operation that saves it."
    )
