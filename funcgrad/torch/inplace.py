"""Writes: which are allowed, how they count, and what they do to the history (PyTorch's rules).

A write to a view of a tensor with history rewrites the history of the whole: the root's new node is CopySlices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer, user_source
from funcgrad.torch import node as nodes
from funcgrad.torch.dtypes import from_numpy_dtype, may_write
from funcgrad.torch.modes import state
from funcgrad.torch.node import FREED, Node, edge_of
from funcgrad.torch.tensor import Tensor, address, make, wrap
from funcgrad.torch.views import put, replay, set_history, write_traced

SINGLE = (
    "unsupported operation: more than one element of the written-to tensor refers to a single memory location. Please "
    "clone() the "
    "tensor before performing the operation."
)
PARTIAL = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
    "location. Please "
    "clone() the tensor before performing the operation."
)


def check_write(tensor: Tensor, elements: bool = True) -> None:
    """Raises RuntimeError if the tensor may not be written to now (its elements, or only its shape). Nothing has been changed
    then."""
    if tensor._inference and not state.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a "
            "normal tensor "
            "before doing inplace update."
        )
    if state.grad and tensor.requires_grad:
        view = tensor._view
        if view is not None and view.tracks:
            _check_view(tensor, view)
        elif tensor._node is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    array = tensor._array
    if elements and type(array) is np.ndarray and 0 in array.strides:
        _check_expanded(array)


def _check_view(tensor: Tensor, view: Any) -> None:
    root = view.base
    if root._node is None and (root._requires_grad or tensor.requires_grad):
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    if view.creation:
        view.refuse(tensor, "is being")


def _check_expanded(array: np.ndarray) -> None:
    if array.size and any(n > 1 and s == 0 for n, s in zip(array.shape, array.strides, strict=True)):
        raise RuntimeError(SINGLE)


def check_overlap(tensor: Tensor, others: Sequence[Any]) -> None:
    """Raises RuntimeError if an argument shares part of the memory that is written to, but not all of it. As in PyTorch, only
    tensors without gaps are looked at."""
    target = tensor._array
    if type(target) is not np.ndarray:
        return
    for other in others:
        if isinstance(other, Tensor) and other is not tensor and other._counter is tensor._counter:
            source = other._array
            if (
                type(source) is not np.ndarray
                or not source.size
                or not target.size
                or not _dense(source)
                or not _dense(target)
            ):
                continue
            begin, start = address(target), address(source)
            if begin == start and source.nbytes == target.nbytes:
                if source.strides != target.strides:
                    raise RuntimeError(PARTIAL)
            elif begin < start + source.nbytes and start < begin + target.nbytes:
                raise RuntimeError(PARTIAL)


def _dense(x: np.ndarray) -> bool:
    """Whether the elements lie without gaps or overlaps, in any order of the axes."""
    expected = x.itemsize
    for stride, n in sorted((s, n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride != expected:
            return False
        expected *= n
    return True


def check_result(tensor: Tensor, shape: tuple[int, ...], kind: np.dtype) -> None:
    """Raises RuntimeError if a result of this shape and dtype does not fit into the tensor."""
    if not may_write(kind, tensor._array.dtype):
        raise RuntimeError(
            f"result type {from_numpy_dtype(kind).title} can't be cast to the desired output type {tensor.dtype.title}"
        )
    if shape != tensor._array.shape:
        raise RuntimeError(
            f"output with shape {list(tensor._array.shape)} doesn't match the broadcast shape {list(shape)}"
        )


def store(tensor: Tensor, value: Any, checked: bool = False) -> None:
    """Writes a value into the memory of a tensor and counts it. `checked`: by `check_write`."""
    recorder = state.recorder
    if recorder is not None:
        recorder.note_write(tensor)
    if state.copies_saved:
        preserve(tensor)
    array = tensor._array
    if type(array) is Tracer or type(value) is Tracer or recorder is not None:
        # A constant of a trace may be part of an equation already: it is replaced, not written to.
        write_traced(
            tensor, value if type(value) is Tracer else np.array(np.broadcast_to(value, array.shape), array.dtype)
        )
    else:
        if not checked and 0 in array.strides:
            _check_expanded(array)
        np.copyto(array, value, casting="unsafe")
    counted(tensor)


def preserve(tensor: Tensor) -> None:
    """Gives everything that was saved of this memory a copy of its own, before a write."""
    for reference in tensor._counter.savers or ():
        saved = reference()
        if saved is not None and saved.version == tensor._counter.value:
            saved.keep_copy()
    tensor._counter.savers = None


def counted(tensor: Tensor) -> None:
    """Counts a write, and remembers its line."""
    counter = tensor._counter
    counter.value += 1
    counter.writer = user_source()


def _add_to_grad(tensor: Tensor, array: Any) -> None:
    if state.recorder is not None:
        state.recorder.note_write(tensor)
    write_traced(tensor, tensor._array + array)
    tensor._counter.value += 1


nodes.add_to_grad.append(_add_to_grad)


def rebase(tensor: Tensor, node: Node) -> None:
    """Makes `node` the history of a tensor that has just been written to; of its root too if it is a view."""
    view = tensor._view
    if view is None or not view.tracks:
        set_history(tensor, node)
        return
    set_history(view.base, CopySlices(view.base, view.path, node))
    tensor._requires_grad = True
    # Its node is made anew from the base's: at once if somebody waits for its gradient, else when it is asked for.
    view.version = -1
    if tensor._retains:
        view.history(tensor)
    else:
        tensor._node = node


class CopySlices(Node):
    """The history of a tensor a part of which was written to: the gradient of that part goes through the write's own node."""

    title = "CopySlices"

    def __init__(self, root: Tensor, steps: Any, inner: Node):
        Node.__init__(self)
        self.steps, self.inner, self.freed = steps, inner, False
        self.source = inner.source
        self.next_functions = (edge_of(root), *inner.next_functions[1:])
        self.out_types = (root._array,)

    def run(self, grads: list[Any]) -> tuple[Sequence[Any], Sequence[bool]]:
        grad = grads[0]
        if self.freed:
            raise RuntimeError(FREED)
        if grad is None:
            return [None] * len(self.next_functions), (False,) * len(self.next_functions)
        if type(grad) is Tracer:
            part = replay(self.steps, grad)
            found, fresh = self.inner.run([part])
            passed = found[0]
            whole = put(self.steps, grad, part * 0 if passed is None else passed)
        else:
            whole = np.array(grad)
            part = replay(self.steps, whole)
            found, fresh = self.inner.run([np.array(part)])
            part[...] = 0 if found[0] is None else found[0]
        return [whole, *found[1:]], (True, *fresh[1:])

    def run_tensors(self, grads: list[Tensor | None]) -> Sequence[Tensor | None]:
        grad = grads[0]
        if self.freed:
            raise RuntimeError(FREED)
        if grad is None:
            return [None] * len(self.next_functions)
        if not state.grad:
            found, _ = self.run([grad._array])
            return [None if f is None else wrap(f) for f in found]
        whole: Any = grad.clone()  # type: ignore[attr-defined]
        part = whole
        for operation, arguments in self.steps:
            part = operation.apply(part, *arguments)
        inner = list(self.inner.run_tensors([part.clone()]))
        passed = inner[0]
        part.copy_(make(np.zeros(part._array.shape, part._array.dtype)) if passed is None else passed)
        return [whole, *inner[1:]]

    def release(self) -> None:
        self.freed = True
        self.inner.release()
