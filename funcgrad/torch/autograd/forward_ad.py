"""`autograd.forward_ad`: dual tensors. A tangent goes with a tensor through every operation while a dual level is open.

The tangent of an operation's result is itself an operation on tensors, derived from the body, so it can be recorded for
backward: forward over reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad.torch import operation as operations
from funcgrad.torch.modes import state
from funcgrad.torch.ops.views import detach
from funcgrad.torch.tensor import Tensor
from funcgrad.torch.views import set_view


class UnpackedDualTensor(NamedTuple):
    """A dual tensor in its parts; the tangent is None for a tensor without."""

    primal: Tensor
    tangent: Tensor | None


class dual_level:
    """The block in which dual tensors live. Levels do not nest."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error: object) -> None:
        exit_dual_level()

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with dual_level():
                return f(*args, **kwargs)

        return decorated


def enter_dual_level() -> int:
    """Opens the level. Raises RuntimeError if it is open."""
    if state.dual_level >= 0:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    state.dual_level = 0
    state.dual_epoch = object()
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Closes the level: all tangents are gone."""
    if state.dual_level < 0:
        raise RuntimeError("Trying to exit a forward AD level that was not entered")
    state.dual_level = -1
    state.dual_epoch = None


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A view of `tensor` that carries `tangent`. Raises RuntimeError outside of a level or for shapes that differ."""
    if state.dual_level < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    if tensor._array.dtype.kind not in "fc":
        raise ValueError(f"Expected primal to be floating point or complex, but got: {tensor.dtype}")
    if tangent._array.shape != tensor._array.shape:
        raise RuntimeError(
            f"Expected tangent to have the same shape as the primal: got {list(tangent._array.shape)} and "
            f"{list(tensor._array.shape)}"
        )
    dual = _view_as(tensor)
    set_tangent(dual, tangent)
    return dual


def _view_as(tensor: Tensor) -> Tensor:
    dual: Any = tensor.view(tensor._array.shape) if tensor.requires_grad else detach(tensor)  # type: ignore[attr-defined]
    if not tensor.requires_grad:
        dual._view = None
        set_view(dual, tensor, detach.operation, ())  # type: ignore[attr-defined]
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """(primal, tangent) of a tensor; the primal is a view of it, recorded for backward, without tangent."""
    if state.dual_level < 0:
        return UnpackedDualTensor(tensor, None)
    tangent = tangent_of(tensor)
    if tangent is None:
        return UnpackedDualTensor(tensor, None)
    primal = _view_as(tensor)
    primal._tangent = None
    return UnpackedDualTensor(primal, tangent)


def tangent_of(tensor: Any) -> Tensor | None:
    """The tangent of a tensor at the open level; None without."""
    known = tensor._tangent if isinstance(tensor, Tensor) else None
    return known[1] if known is not None and known[0] is state.dual_epoch else None


def set_tangent(tensor: Tensor, tangent: Tensor) -> None:
    """Gives a tensor a tangent at the open level."""
    tensor._tangent = (state.dual_epoch, tangent)


def push(made: Any, plan: Any, tensors: Sequence[Any], arrays: Sequence[Any], results: Sequence[Tensor]) -> None:
    """The tangents of an operation's results from those of its arguments."""
    tangents = [tangent_of(t) for t in tensors]
    moving = tuple(i for i, t in enumerate(tangents) if t is not None and t._array.dtype.kind in "fc")
    if not moving:
        return
    forward = made.pushed(plan, moving)
    primals = [arrays[i] if t is None else _without_tangent(t) for i, t in enumerate(tensors)]
    found = forward(*primals, *[tangents[i] for i in moving])
    smooth = [r for r in results if r._array.dtype.kind in "fc"]
    for r, t in zip(smooth, found, strict=True):
        set_tangent(r, t)


def _without_tangent(tensor: Tensor) -> Tensor:
    # Level and tangent are taken off for the inner operation; history stays, so that backward goes through it.
    plain = object.__new__(type(tensor)) if type(tensor) is Tensor else object.__new__(Tensor)
    plain.__dict__.update(tensor.__dict__)
    plain._tangent = None
    if tensor._node is None and tensor._requires_grad and tensor._view is None:
        operations_accumulator = operations.edge_of(tensor)[0]
        plain._accumulator = tensor._accumulator
        plain.__dict__["_kept"] = operations_accumulator
    return plain


operations.push_tangents.append(push)
__all__ = [
    "UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "tangent_of", "unpack_dual",
]  # fmt: skip
