"""`torch.utils.checkpoint`: what a function saves for backward is computed again there, not kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.torch.autograd.graph import saved_tensors_hooks
from funcgrad.torch.modes import enable_grad, state
from funcgrad.torch.ops.random import get_rng_state, set_rng_state
from funcgrad.torch.tensor import Tensor


class CheckpointError(RuntimeError):
    """What backward raises when the second run of a checkpointed function saves other tensors than the first."""


class _Frame:
    """What one checkpointed run saved, by order: shapes and dtypes at first, tensors after the second run."""

    def __init__(self, again: Callable[[], Any]):
        self.again = again
        self.kinds: list[tuple[tuple[int, ...], Any]] = []
        self.values: list[Tensor] | None = None
        self.uses = 0

    def pack(self, tensor: Tensor) -> int:
        """Keeps a number in place of the tensor."""
        self.kinds.append((tensor._array.shape, tensor._array.dtype))
        return len(self.kinds) - 1

    def unpack(self, number: int) -> Tensor:
        """The tensor with this number, from a second run."""
        if self.values is None:
            self.values = self._recompute()
        return self.values[number]

    def _recompute(self) -> list[Tensor]:
        values: list[Tensor] = []

        def keep(tensor: Tensor) -> Tensor:
            values.append(tensor.detach())  # type: ignore[attr-defined]
            return values[-1]

        with saved_tensors_hooks(keep, lambda t: t), enable_grad():
            self.again()
        found = [(v._array.shape, v._array.dtype) for v in values]
        if len(found) != len(self.kinds):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and recomputation.\n"
                f"Number of tensors saved during forward: {len(self.kinds)}\nNumber of tensors saved during "
                f"recomputation: {len(found)}."
            )
        if found != self.kinds:
            pairs = [
                f"tensor at position {i}: {a} first, {b} then"
                for i, (a, b) in enumerate(zip(self.kinds, found, strict=True))
                if a != b
            ]
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
                "during the forward "
                "pass.\n" + "\n".join(pairs)
            )
        return values


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose saved tensors are computed again in backward. Random numbers are the same both times.

    `use_reentrant` is accepted for both values: there is one way here, which gives PyTorch's results for both. Raises
    CheckpointError if the second run saves other tensors than the first.
    """
    if context_fn is not None:
        raise NotImplementedError(
            "checkpoint: context_fn is not supported; use saved_tensors_hooks within the function."
        )
    random_state = get_rng_state() if preserve_rng_state else None

    def again() -> Any:
        if random_state is None:
            return function(*args, **kwargs)
        before = get_rng_state()
        set_rng_state(random_state)
        try:
            return function(*args, **kwargs)
        finally:
            set_rng_state(before)

    if not state.grad:
        return function(*args, **kwargs)
    frame = _Frame(again)
    with saved_tensors_hooks(frame.pack, frame.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Runs a list of functions (or a Sequential) in `segments` checkpointed stretches; the last runs as it is."""
    listed: Sequence[Callable[..., Any]] = list(functions)
    size = len(listed) // segments

    def run(start: int, stop: int) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for f in listed[start:stop]:
                x = f(x)
            return x

        return forward

    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(run(start, end), input, use_reentrant=use_reentrant, **kwargs)
    return run(end, len(listed))(input)
