"""Primitives that call Python: `debug_callback`, an effect without outputs, and `pure_callback`, a function of arrays.

An effect is kept by every pass and runs in the order in which it was recorded. One whose arguments are not traced is
recorded all the same while an abstract trace runs, so that it happens at each call and not only while tracing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.primitive import LinearMap
from funcgrad.core.tracing import innermost_abstract, newest_trace, type_of
from funcgrad.core.types import ArrayType, array_type, value_type
from funcgrad.ops.basics import broadcast_in_dim, reshape
from funcgrad.ops.families import general

Callback = Callable[..., Any]
VMAP_METHODS = (None, "sequential", "expand_dims", "broadcast_all")


class PerExample:
    """A callback of single examples as one of a batch: called once for each, its results (if any) stacked."""

    def __init__(self, callback: Callback, size: int, batched: Sequence[bool], outputs: Sequence[ArrayType]):
        self.callback, self.size, self.batched, self.outputs = callback, size, tuple(batched), tuple(outputs)
        self.__name__ = callback_name(callback)

    def __call__(self, *values: Any) -> list[Any]:
        found = [
            checked(
                self.callback(*[v[i] if b else v for v, b in zip(values, self.batched, strict=True)]),
                self.outputs,
                f"pure_callback: {self.__name__}",
            )
            for i in range(self.size)
        ]
        return [
            np.stack([row[k] for row in found]) if found else np.zeros((0, *t.shape), t.dtype)
            for k, t in enumerate(self.outputs)
        ]


class Once:
    """A callback that is called once for a batch, with the batched values as they are."""

    def __init__(self, callback: Callback):
        self.callback = callback
        self.__name__ = callback_name(callback)

    def __call__(self, *values: Any) -> None:
        self.callback(*values)


def callback_name(callback: Callback) -> str:
    """The name of a callback for messages and printed Programs."""
    return getattr(callback, "__name__", None) or type(callback).__name__


def _own(value: Any) -> Any:
    """An argument that a callback may keep: a compiled program reuses the memory of what it passes."""
    return wrap(value.copy() if isinstance(value, np.ndarray) else value)


# ---- debug_callback ----


def emit(*args: Any, callback: Callback, ordered: bool) -> None:
    """Applies `debug_callback` in the innermost abstract trace, or in that of its arguments if this is newer."""
    abstract, newest = innermost_abstract(), newest_trace(args)
    if abstract is not None and (newest is None or newest.order < abstract.order):
        abstract.process(debug_callback, args, {"callback": callback, "ordered": ordered})
    else:
        debug_callback(*args, callback=callback, ordered=ordered)


def _debug_impl(*values: Any, callback: Callback, ordered: bool) -> tuple[()]:
    # Asked here and not in `bind`, where it would cost every other primitive.
    trace = innermost_abstract()
    if trace is not None:
        return trace.process(debug_callback, values, {"callback": callback, "ordered": ordered})
    callback(*map(_own, values))
    return ()


def _debug_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    if isinstance(params["callback"], Once):
        return debug_callback(*args, **params), []
    each = PerExample(params["callback"], size, batched, ())
    return debug_callback(*args, callback=each, ordered=params["ordered"]), []


debug_callback = general(
    "debug_callback",
    _debug_impl,
    lambda *types, callback, ordered: (),
    batch=_debug_batch,
    flat=True,
    multiple=True,
    effect=True,
)

# ---- pure_callback ----


def checked(results: Sequence[Any] | None, outputs: Sequence[ArrayType], what: str) -> list[np.ndarray]:
    """What a callback returned, as arrays. Raises TypeError, which begins with `what`, unless they are as declared."""
    if not outputs:
        return []
    found = [np.asarray(r) for r in results or ()]
    have = [value_type(r) for r in found]
    if have != list(outputs):
        raise TypeError(
            f"{what} was declared to return {_listed(outputs)}, and returned {_listed(have)}; "
            "correct result_shape_dtypes, or convert the result inside the callback."
        )
    return found


def check_vmap_method(method: str | None, what: str) -> None:
    """Raises NotImplementedError, which begins with `what`, if nothing was said of vmap."""
    if method is None:
        raise NotImplementedError(
            f"{what} was called under vmap with vmap_method=None; pass vmap_method="
            "'sequential' (one call per example), 'expand_dims' or 'broadcast_all' (one call with a leading batch axis)."
        )


def _listed(types: Sequence[ArrayType]) -> str:
    return ", ".join(map(str, types)) or "nothing"


def _pure_impl(*values: Any, callback: Callback, outputs: Sequence[ArrayType], vmap_method: str | None) -> Any:
    return tuple(checked(callback(*map(_own, values)), outputs, f"pure_callback: {callback_name(callback)}"))


def _linearize(
    mode: str, own: Sequence[bool], values: Sequence[Any], params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    # The error comes only where a derivative arrives: a callback beside the differentiated path is a constant.
    def no_derivative(moving: list[Any]) -> NoReturn:
        raise ValueError(
            f"pure_callback: the derivative of {callback_name(params['callback'])} was asked for, and a callback has "
            "none; wrap the call in a function with funcgrad.custom_vjp or funcgrad.custom_jvp, or pass it "
            "funcgrad.stop_gradient(x) if it is a constant."
        )

    return list(pure_callback(*values, **params)), LinearMap(no_derivative, no_derivative)


def _pure_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    callback, outputs, method = params["callback"], params["outputs"], params["vmap_method"]
    check_vmap_method(method, f"pure_callback: {callback_name(callback)}")
    stacked = tuple(array_type((size, *t.shape), t.dtype) for t in outputs)
    if method == "sequential":
        callback = PerExample(callback, size, batched, outputs)
    else:
        front = 1 if method == "expand_dims" else size
        args = [a if b else with_front(a, front) for a, b in zip(args, batched, strict=True)]
    return pure_callback(*args, callback=callback, outputs=stacked, vmap_method=method), [True] * len(outputs)


def with_front(x: Any, size: int) -> Any:
    """A value with a batch axis of this size in front."""
    shape = type_of(x).shape
    if size == 1:
        return reshape(x, shape=(1, *shape))
    return broadcast_in_dim(x, shape=(size, *shape), dims=tuple(range(1, len(shape) + 1)))


pure_callback = general(
    "pure_callback",
    _pure_impl,
    lambda *types, callback, outputs, vmap_method: outputs,
    batch=_pure_batch,
    linearize=_linearize,
    multiple=True,
    strong=True,
)
