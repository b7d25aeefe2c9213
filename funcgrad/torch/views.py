"""Views: tensors that look into the memory of another one.

A view knows its root and the steps from there, each an operation with its arguments. NumPy keeps the memory shared; for
traced values, which have no memory, a write to one is replayed through the steps to the root and to all other views.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.core.tracing import Tracer, shape_of
from funcgrad.ops.elementwise import select
from funcgrad.torch.modes import state
from funcgrad.torch.node import edge_of
from funcgrad.torch.tensor import Tensor
from funcgrad.transforms.vjp import vjp_flat

if TYPE_CHECKING:
    from funcgrad.torch.operation import Operation

Step = tuple[Any, tuple[Any, ...]]
"""An operation on one tensor and its other arguments."""


class View:
    """How a tensor looks into the memory of `root`, by `steps`. `tracks`: whether gradients know (not of what `detach()` gives).

    base, path: the tensor whose history the view follows, and the steps from there: `root`, or the detached tensor that it is
    a view of.
    creation: "" or why it may not be written to while gradients are recorded: "no_grad", "inference", "multi", "function".
    version: the version of the root that the view's own node belongs to. shown: whether it says that it is a view, as what
    `detach()` gives does not.
    """

    __slots__ = ("base", "creation", "path", "root", "shown", "steps", "tracks", "version")

    def __init__(
        self,
        root: Tensor,
        steps: tuple[Step, ...],
        tracks: bool,
        creation: str,
        version: int,
        base: Tensor,
        path: tuple[Step, ...],
    ):
        self.root, self.steps, self.tracks, self.creation, self.version = root, steps, tracks, creation, version
        self.base, self.path = base, path
        self.shown = tracks or not steps[-1][0].is_alias

    def tracked(self) -> bool:
        """Whether the view requires grad because its root does."""
        return self.tracks and self.base.requires_grad

    def history(self, tensor: Tensor) -> Any:
        """The node of the view: a new one from the root's history if the memory was written to since."""
        if (
            self.tracks
            and tensor._counter.value != self.version
            and (tensor._node is not None or self.base.requires_grad)
        ):
            if self.creation:
                self.refuse(tensor, "its base or another view of its base has been")
            self.version = tensor._counter.value
            set_history(tensor, replay_node[0](self.base, self.path))
        return tensor._node

    def refuse(self, tensor: Tensor, modified: str) -> None:
        """Raises the RuntimeError for a view that may not be written to, nor its base, while gradients are recorded."""
        if self.creation in _MODES:
            advice = (
                _ADVICE.replace("no_grad block", "inference_mode block") if self.creation == "inference" else _ADVICE
            )
            raise RuntimeError(
                f"A view was created in {_MODES[self.creation]} mode and {modified} modified inplace with grad "
                f"mode enabled. {advice}"
            )
        producer = "None" if tensor._node is None else tensor._node.title.split("Backward")[0]
        what = f"Output {tensor._output_nr} of {producer} is a view and {modified} modified inplace."
        raise RuntimeError(f"{what} {_FROM_FUNCTION if self.creation == 'function' else _FROM_SPLIT}")


def set_history(tensor: Tensor, node: Any) -> None:
    """Gives a tensor another history. What `retain_grad` asked for moves along; hooks stay where they were."""
    old: Any = tensor._node
    if tensor._retains and old is not None and old.retained is not None:
        reference = old.retained.pop(tensor._output_nr, None)
        if reference is not None:
            node.retain(0, reference)
    tensor._node, tensor._output_nr, tensor._requires_grad = node, 0, True


_MODES = {"no_grad": "no_grad", "inference": "inference"}
_ADVICE = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by "
    "moving both the view and "
    "the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want "
    "the inplace to be tracked)."
)
_FROM_FUNCTION = (
    "This view was created inside a custom Function (or because an input was returned as-is) and the autograd logic to handle "
    "view+inplace would override the custom backward associated with the custom Function, leading to incorrect "
    "gradients. You can "
    "fix this by cloning the output of the custom Function."
)
_FROM_SPLIT = (
    "This view is the output of a function that returns multiple views. Such functions do not allow the output views to be "
    "modified inplace. You should replace the inplace operation by an out-of-place one."
)

replay_node: list[Any] = [None]
"""Makes the node of a view anew (`AsStridedBackward0`); set by `operation.py`, whose operation it is."""


def set_view(result: Tensor, source: Tensor, operation: Operation, arguments: tuple[Any, ...], tracks: bool = True,
             creation: str = "") -> None:  # fmt: skip
    """Makes `result` a view of `source`: they share memory and version counter."""
    known = source._view
    counter = source._counter
    step: Step = (operation, arguments)
    root, steps = (source, (step,)) if known is None else (known.root, (*known.steps, step))
    base, path = source, (step,)
    if known is not None and known.tracks:
        base, path = known.base, (*known.path, step)
        creation = "" if operation.is_alias else creation or known.creation
    if not tracks and root._node is not None and type(root._array) is not Tracer and state.recorder is None:
        root = owner_without_history(root)
        base, path = root, steps
    if not creation and tracks:
        creation = "" if state.grad else "inference" if state.inference else "no_grad"
    result._counter = counter
    result._inference = source._inference
    result._view = View(root, steps, tracks, creation, counter.value, base, path)
    if type(result._array) is Tracer or state.functional or state.recorder is not None:
        aliases(root).add(result)


def owner_without_history(root: Tensor) -> Tensor:
    """A tensor over the memory of `root`, for what `detach()` gives: that must not keep the graph behind `root` alive."""
    counter = root._counter
    found = None if counter.owner is None else counter.owner()
    if found is None:
        found = object.__new__(Tensor)
        found._array, found._counter, found._inference = root._array, counter, root._inference
        counter.owner = weakref.ref(found)
    return found


def aliases(root: Tensor) -> weakref.WeakSet[Tensor]:
    """The views of a root that must follow when a traced value is written."""
    found = root.__dict__.get("_aliases")
    if found is None:
        found = root.__dict__["_aliases"] = weakref.WeakSet()
    return found


def replay(steps: Sequence[Step], value: Any) -> Any:
    """A view of an array or tracer by its steps."""
    for operation, arguments in steps:
        value = operation.look(value, arguments)
    return value


def put(steps: Sequence[Step], base: Any, value: Any) -> Any:
    """The base with the part that the steps look at replaced, for traced values."""
    if not steps:
        return value
    (operation, arguments), rest = steps[0], steps[1:]
    inner = operation.look(base, arguments)
    changed = put(rest, inner, value)
    return _placed(operation, arguments, base, changed)


def _placed(operation: Any, arguments: tuple[Any, ...], base: Any, value: Any) -> Any:
    # A view picks elements, so its transpose puts them back; of ones it tells where they went.
    like = np.zeros(shape_of(base), np.float64)
    look = lambda x: [operation.look(x, arguments)]  # noqa: E731
    outs, pull = vjp_flat(look, [like], "put")
    where = pull([np.ones(shape_of(outs[0]))])[0]
    kind = base.dtype
    _, place = vjp_flat(look, [np.zeros(shape_of(base), kind if kind.kind in "fc" else np.float64)], "put")
    if kind.kind not in "fc":
        value = value.astype(np.float64)
    moved = place([value])[0]
    moved = moved if kind.kind in "fc" else moved.astype(kind)
    if type(where) is np.ndarray and (where == 1).all():
        return moved
    return select(where != 0, moved, base)


def write_traced(tensor: Tensor, value: Any) -> None:
    """Puts a traced value into a tensor and into all that share its memory."""
    view = tensor._view
    root = tensor if view is None else view.root
    if view is None:
        root._array = value
    else:
        root._array = put(view.steps, root._array, value)
    for other in list(root.__dict__.get("_aliases") or ()):
        other._array = replay(other._view.steps, root._array)
    if view is not None:
        tensor._array = replay(view.steps, root._array)


def root_of(tensor: Tensor) -> Tensor:
    """The tensor that owns the memory."""
    return tensor if tensor._view is None else tensor._view.root


__all__ = ["View", "edge_of", "put", "replay", "root_of", "set_view", "write_traced"]
