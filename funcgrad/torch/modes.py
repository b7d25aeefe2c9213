"""Modes of a thread: whether gradients are recorded, inference mode, and what else watches operations.

One thread-local holds them, so an operation reads one object. A new thread begins with the defaults, as PyTorch's do.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

import numpy as np


class _State(threading.local):
    """The modes of this thread."""

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.recorder: Any = None
        """The whole-step trace that lifts the tensors it meets to inputs (see `step.py`); None outside of one."""
        self.saved_hooks: list[tuple[Any, Any]] = []
        self.saved_hooks_disabled: str | None = None
        self.anomaly = False
        self.anomaly_checks_nan = True
        self.anomaly_nodes: list[Any] = []
        self.functional = 0
        """How many functional transforms (`torch.func`) are running."""
        self.randomness = "same"
        """What random operations may do inside of `vmap`."""
        self.dual_level = -1
        self.dual_epoch: Any = None
        """What tells the tangents of the open level from those of earlier ones."""
        self.task: Any = None
        """The backward that is running."""
        self.copies_saved = False
        """Whether a write copies what was saved of the tensor (`allow_mutation_on_saved_tensors`)."""
        self.quiet = contextvars.Context()
        """A context in which NumPy does not warn: entering it costs a tenth of what numpy.errstate does."""
        self.quiet.run(np.seterr, all="ignore")


state = _State()


class Mode:
    """A change of one mode, as context manager or decorator of functions and generators."""

    field = "grad"
    value: Any = True

    def __enter__(self) -> Any:
        self._before = getattr(state, self.field)
        setattr(state, self.field, self.value)
        return None

    def __exit__(self, *error: object) -> None:
        setattr(state, self.field, self._before)

    def clone(self) -> Mode:
        """A mode of its own for each call of a decorated function, which may be recursive."""
        return type(self)()

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.isclass(f):
            raise TypeError(
                f"{type(self).__name__} decorates functions, got the class {f.__name__}; decorate its methods."
            )
        if inspect.isgeneratorfunction(f):
            return self._generator(f)

        @functools.wraps(f)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return f(*args, **kwargs)

        return decorated

    def _generator(self, f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            inner = f(*args, **kwargs)
            send: Callable[[], Any] = lambda: next(inner)  # noqa: E731
            try:
                while True:
                    try:
                        with self.clone():
                            item = send()
                    except StopIteration as stop:
                        return stop.value
                    try:
                        sent = yield item
                    except GeneratorExit:
                        inner.close()
                        raise
                    except BaseException as error:
                        send = functools.partial(inner.throw, error)
                    else:
                        send = functools.partial(inner.send, sent)
            finally:
                with self.clone():
                    inner.close()

        return decorated


class no_grad(Mode):
    """Nothing is recorded for backward within. Usable as `with torch.no_grad():`, `@torch.no_grad()` and `@torch.no_grad`."""

    value = False

    def __new__(cls, f: Any = None) -> Any:
        made = object.__new__(cls)
        return made if f is None else made(f)


class enable_grad(Mode):
    """Operations are recorded within, also inside `no_grad`."""

    value = True

    def __new__(cls, f: Any = None) -> Any:
        made = object.__new__(cls)
        return made if f is None else made(f)


class set_grad_enabled(Mode):
    """Sets recording on or off: at once when called as a function, until the end of the block as a context manager."""

    def __init__(self, mode: bool):
        self.value = self.mode = bool(mode)
        self._before = state.grad
        state.grad = self.value

    def __enter__(self) -> None:
        state.grad = self.value

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        state.grad = self._before
        return Mode.__call__(self, f)

    def clone(self) -> Mode:
        return set_grad_enabled(self.value)


def is_grad_enabled() -> bool:
    """Whether operations are recorded in this thread."""
    return state.grad


class inference_mode(Mode):
    """Like `no_grad`, and new tensors have no version counter and can never be recorded. `inference_mode(False)` undoes it."""

    def __new__(cls, mode: Any = True) -> Any:
        made = object.__new__(cls)
        if callable(mode):
            made.mode = True
            return made(mode)
        return made

    def __init__(self, mode: Any = True):
        self.mode = bool(mode)

    def __enter__(self) -> None:
        self._before = (state.inference, state.grad)
        state.inference = self.mode
        state.grad = not self.mode

    def __exit__(self, *error: object) -> None:
        state.inference, state.grad = self._before

    def clone(self) -> Mode:
        return inference_mode(self.mode)


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on in this thread."""
    return state.inference
