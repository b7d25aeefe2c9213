"""What an optimiser is: a pair of pure functions (init, update), as in optax, and how pairs are chained.

Place: numpy room. scaling.py, clipping.py, masking.py and lbfgs.py make the parts, optimizers.py chains them under their names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.optim import checks


class GradientTransformation(NamedTuple):
    """A pair of pure functions: `state = init(params)` and `updates, state = update(updates, state, params=None)`.

    Updates, params and states are pytrees, so that both work under jit, vmap and as the carry of a scan.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


class GradientTransformationExtraArgs(GradientTransformation):
    """One whose `update` also takes keyword arguments (`value=`, `grad=`, `value_fn=`): each part takes those it knows."""


class EmptyState(NamedTuple):
    """The state of a transformation that remembers nothing."""


def init_empty(params: Any) -> EmptyState:
    """The `init` of a transformation without state."""
    return EmptyState()


def stateless(f: Callable[[Any, Any], Any]) -> GradientTransformation:
    """The transformation of `f(updates, params) -> updates`, without state."""

    def update(updates: Any, state: EmptyState, params: Any = None) -> tuple[Any, EmptyState]:
        return f(updates, params), state

    return GradientTransformation(init_empty, update)


def identity() -> GradientTransformation:
    """Leaves updates as they are."""
    return stateless(lambda updates, params: updates)


def set_to_zero() -> GradientTransformation:
    """Makes all updates 0: what freezes parameters in `multi_transform`."""
    return stateless(lambda updates, params: tree.map(fnp.zeros_like, updates))


def with_extra_args_support(transform: GradientTransformation) -> GradientTransformationExtraArgs:
    """The same transformation with an `update` that lets keyword arguments of other parts pass by."""
    if isinstance(transform, GradientTransformationExtraArgs):
        return transform

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        return transform.update(updates, state, params)

    return GradientTransformationExtraArgs(transform.init, update)


def chain(*transforms: GradientTransformation) -> GradientTransformationExtraArgs:
    """Applies transformations from left to right; the state is the tuple of their states.

    Keyword arguments of `update` (`value=`, `grad=`, `value_fn=`) go to the parts that take them. Raises TypeError for a
    part that is no pair (init, update), ValueError for a state of another chain.
    """
    for i, part in enumerate(transforms):
        if not isinstance(part, tuple) or len(part) != 2 or not all(callable(f) for f in part):
            raise TypeError(f"chain: argument {i} must be a pair (init, update) of functions, got {part!r}.")
    parts = [with_extra_args_support(t) for t in transforms]

    def init(params: Any) -> tuple[Any, ...]:
        return tuple(p.init(params) for p in parts)

    def update(updates: Any, state: tuple[Any, ...], params: Any = None, **extra: Any) -> tuple[Any, tuple[Any, ...]]:
        if type(state) is not tuple or len(state) != len(parts):
            raise ValueError(
                f"chain: update of {len(parts)} transformations needs a tuple of {len(parts)} states, "
                f"got {tree.structure(state)}; write state = optimizer.init(params) with the same optimizer."
            )
        states = []
        for part, one in zip(parts, state, strict=True):
            updates, new = part.update(updates, one, params, **extra)
            states.append(new)
        return updates, tuple(states)

    return GradientTransformationExtraArgs(init, update)


def apply_updates(params: Any, updates: Any) -> Any:
    """`params + updates`, leaf by leaf, in the dtypes of `params`.

    Raises ValueError for trees of different structure and for leaves of different shape.
    """

    def add(path: Any, p: Any, u: Any) -> Any:
        if shape_of(p) != shape_of(u):
            raise ValueError(
                f"apply_updates: an update must have its parameter's shape; at {tree.keystr(path) or 'the root'} "
                f"params has {shape_of(p)} and updates has {shape_of(u)}."
            )
        return fnp.asarray(p + cast_like(u, p))

    return tree.map_with_path(add, params, updates)


def cast_like(value: Any, leaf: Any) -> Any:
    """A value in the dtype of a leaf, so that a float64 hyperparameter leaves float32 updates float32."""
    if type(value) in (int, float):
        return value  # a Python number takes the dtype of what it meets
    kind = dtype_of(leaf)
    return value if dtype_of(value) == kind else fnp.asarray(value).astype(kind)


def zeros_like_tree(params: Any, dtype: Any = None) -> Any:
    """A tree of zeros with the shapes and dtypes of `params`, or of one dtype."""
    return tree.map(lambda p: fnp.zeros_like(p, dtype=dtype), params)


def count_zero() -> Any:
    """A count of steps at its start."""
    return fnp.zeros((), dtype="int32")


def increment(count: Any) -> Any:
    """The next count; it stays at the largest integer of its dtype rather than wrap around."""
    return fnp.where(count < 2**31 - 1, count + 1, count)


def global_norm(updates: Any) -> Any:
    """The Euclidean norm of all leaves taken together: a scalar, 0.0 for a tree without leaves."""
    squares = [fnp.sum(squared(leaf)) for leaf in tree.leaves(updates)]
    return fnp.sqrt(sum(squares[1:], start=squares[0])) if squares else fnp.zeros(())


def squared(x: Any) -> Any:
    """|x|², real also for complex x."""
    return fnp.real(x) ** 2 + fnp.imag(x) ** 2 if dtype_of(x).kind == "c" else x * x


def scale(step_size: Any) -> GradientTransformation:
    """Multiplies updates by a number of either sign."""
    return stateless(lambda updates, params: tree.map(lambda u: cast_like(step_size, u) * u, updates))


class ScaleByScheduleState(NamedTuple):
    """How many steps were taken: a 0-d int array."""

    count: Any


def scale_by_schedule(step_size_fn: checks.Schedule) -> GradientTransformation:
    """Multiplies updates by `step_size_fn(count)`, where count is 0 at the first step."""
    if not callable(step_size_fn):
        raise TypeError(f"scale_by_schedule: step_size_fn must be a function of the count, got {step_size_fn!r}.")

    def init(params: Any) -> ScaleByScheduleState:
        return ScaleByScheduleState(count_zero())

    def update(updates: Any, state: ScaleByScheduleState, params: Any = None) -> tuple[Any, ScaleByScheduleState]:
        size = step_size_fn(state.count)
        new = tree.map(lambda u: cast_like(size, u) * u, updates)
        return new, ScaleByScheduleState(increment(state.count))

    return GradientTransformation(init, update)


def scale_by_learning_rate(learning_rate: Any, *, flip_sign: bool = True) -> GradientTransformation:
    """Multiplies updates by minus a learning rate (a number or a schedule), or by plus it without `flip_sign`.

    Raises ValueError for a negative rate.
    """
    checks.learning_rate("scale_by_learning_rate", learning_rate)
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    return scale(sign * learning_rate)
