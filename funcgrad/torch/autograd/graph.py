"""`autograd.graph`: saved-tensor hooks, multi-tensor hooks, versions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.torch.counter import VersionCounter
from funcgrad.torch.modes import Mode, state
from funcgrad.torch.node import GradientEdge as GradientEdge
from funcgrad.torch.node import Node as Node
from funcgrad.torch.node import RemovableHandle, edge_of
from funcgrad.torch.saved import alias
from funcgrad.torch.tensor import Tensor


class saved_tensors_hooks(Mode):
    """Within, `pack_hook(tensor)` is kept in place of every tensor saved for backward, and `unpack_hook` gives it back."""

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]):
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> Any:
        if state.saved_hooks_disabled is not None:
            raise RuntimeError(state.saved_hooks_disabled)
        state.saved_hooks.append((self.pack_hook, self.unpack_hook))
        return None

    def __exit__(self, *error: object) -> None:
        state.saved_hooks.pop()

    def clone(self) -> Mode:
        return saved_tensors_hooks(self.pack_hook, self.unpack_hook)


class save_on_cpu(saved_tensors_hooks):
    """Keeps copies of saved tensors: on a CPU what offloading comes to. Writes to the originals no longer matter."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        saved_tensors_hooks.__init__(self, lambda t: alias(np.array(t._array), VersionCounter()), lambda t: t)

    def clone(self) -> Mode:
        return save_on_cpu()


class disable_saved_tensors_hooks(Mode):
    """Within, entering `saved_tensors_hooks` raises RuntimeError with this message."""

    field = "saved_hooks_disabled"

    def __init__(self, error_message: str):
        self.value = error_message

    def __enter__(self) -> None:
        if state.saved_hooks:
            raise RuntimeError(self.value)
        Mode.__enter__(self)

    def clone(self) -> Mode:
        return disable_saved_tensors_hooks(self.value)


class allow_mutation_on_saved_tensors(Mode):
    """Within, a tensor that was saved may be written to: what was saved is copied before the write."""

    field = "copies_saved"
    value = True


def increment_version(tensor: Any) -> None:
    """Counts a write that was made behind the library's back."""
    for t in [tensor] if isinstance(tensor, Tensor) else list(tensor):
        if t._inference:
            raise RuntimeError("Inference tensors do not track version counter.")
        t._counter.value += 1


class _unsafe_preserve_version_counter:
    """Puts versions back at the end of the block."""

    def __init__(self, tensors: Any):
        self.tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)

    def __enter__(self) -> None:
        self._versions = [t._counter.value for t in self.tensors]

    def __exit__(self, *error: object) -> None:
        for t, v in zip(self.tensors, self._versions, strict=True):
            t._counter.value = v


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of a tensor goes: `.node` and `.output_nr`. `autograd.grad` takes it in place of the tensor."""
    node, number = edge_of(tensor)
    if node is None:
        raise RuntimeError("It is not possible to get the gradient edge of a Tensor that does not require gradients")
    return GradientEdge(node, number)


class _MultiHandle:
    def __init__(self, handles: Sequence[RemovableHandle]):
        self.handles = handles

    def remove(self) -> None:
        """Removes the hook from all tensors."""
        for h in self.handles:
            h.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all") -> Any:
    """Calls fn with all gradients (None where none arrived) once the last has, or, mode="any", with the first of "
    "each backward."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any'), got {mode}")
    lock = threading.Lock()
    task: dict[str, Any] = {"id": None, "grads": [None] * len(tensors), "seen": 0}

    def hook(number: int) -> Callable[[Tensor], None]:
        def on_grad(grad: Tensor) -> None:
            with lock:
                if task["id"] is not state.task:
                    task.update(id=state.task, grads=[None] * len(tensors), seen=0)
                    task["expected"] = _expected(tensors)
                task["seen"] += 1
                task["grads"][number] = grad
                first, last = task["seen"] == 1, task["seen"] == task["expected"]
            if mode == "any" and first:
                fn(grad)
            elif mode == "all" and last:
                fn(list(task["grads"]))

        return on_grad

    return _MultiHandle([t.register_hook(hook(i)) for i, t in enumerate(tensors)])  # type: ignore[attr-defined]


def _expected(tensors: Sequence[Tensor]) -> int:
    """How many of the tensors the running backward reaches."""
    nodes = state.task.dependencies if state.task is not None else {}
    return sum(edge_of(t)[0] in nodes for t in tensors)
