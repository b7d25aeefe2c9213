"""The softmax family, one_hot and standardize, with jax.nn's names and signatures."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.nn import short_derivatives
from funcgrad.numpy.axes import Axis, axes_of, finish, kept_shape, masked
from funcgrad.numpy.wrapping import array_operand, operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert, reduce_sum, reshape
from funcgrad.ops.reduce import reduce_max
from funcgrad.ops.special_forms import stop_gradient_op


def _floating(x: Any) -> Any:
    x = array_operand(x)
    return x if dtype_of(x).kind in "fc" else convert(x, np.float64)


def _peak(x: Any, axes: tuple[int, ...]) -> Any:
    """The maximum, kept as axes of size 1, constant to derivatives."""
    shape = kept_shape(shape_of(x), axes)
    if 0 in [shape_of(x)[a] for a in axes]:
        return np.zeros(shape, dtype_of(x))
    return reshape(reduce_max(stop_gradient_op(x), axes=axes), shape=shape)


def _filled(x: Any, axes: tuple[int, ...]) -> bool:
    """Whether the axes have elements, all real."""
    return 0 not in [shape_of(x)[a] for a in axes] and dtype_of(x).kind == "f"


def _summed(x: Any, axes: tuple[int, ...]) -> Any:
    return reshape(reduce_sum(x, axes=axes), shape=kept_shape(shape_of(x), axes))


def _count(x: Any, axes: tuple[int, ...], where: Any) -> Any:
    """How many values are included, in x's real dtype, kept as axes of size 1."""
    return _summed(masked(np.ones(shape_of(x), dtype_of(x).type(0).real.dtype), where, 0), axes)


def _lowered(x: Any, axes: tuple[int, ...], where: Any) -> tuple[Any, Any, Any]:
    """x less its maximum, the exponentials of that, and their sums (1 where nothing is included, so that no nan arises).

    What is left out is -inf before anything is raised: its exponential might overflow, and 0 * inf is no derivative.
    """
    x = masked(x, where, -np.inf)
    peak = _peak(x, axes)
    if where is None:
        lowered = x - peak
        raised = e.exp(lowered)
        return lowered, raised, _summed(raised, axes)
    empty = _count(x, axes, where) == 0
    lowered = x - e.select(empty, 0.0, peak)
    raised = e.exp(lowered)
    return lowered, raised, e.select(empty, 1.0, _summed(raised, axes))


def softmax(x: Any, axis: Axis = -1, where: Any = None) -> Any:
    """exp(x) / sum(exp(x)) along `axis`; where `where` is false the result is 0. Shape as `x`, dtype floating."""
    x = _floating(x)
    axes = axes_of(axis, len(shape_of(x)), "softmax")
    if where is None and _filled(x, axes):
        return wrap(short_derivatives.softmax(x, axes))
    _, raised, total = _lowered(x, axes, where)
    return wrap(masked(raised / total, where, 0))


def log_softmax(x: Any, axis: Axis = -1, where: Any = None) -> Any:
    """log(softmax(x)) along `axis`; where `where` is false the result is -inf. Shape as `x`, dtype floating."""
    x = _floating(x)
    axes = axes_of(axis, len(shape_of(x)), "log_softmax")
    if where is None and _filled(x, axes):
        return wrap(short_derivatives.log_softmax(x, axes))
    lowered, _, total = _lowered(x, axes, where)
    return wrap(masked(lowered - e.log(total), where, -np.inf))


def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, return_sign: bool = False,
              where: Any = None) -> Any:  # fmt: skip
    """log(sum(b * exp(a))) along `axis` without overflow, with the sign of the sum apart if `return_sign`.

    Without `return_sign` a negative sum gives nan.
    """
    x = _floating(a)
    if b is not None:
        weights = _floating(b)
        x = e.select(weights == 0, -np.inf, x)
    axes = axes_of(axis, len(shape_of(x)), "logsumexp")
    x = masked(x, where, -np.inf)
    top = _peak(x, axes)
    top = e.select(e.is_finite(top), top, 0.0)
    raised = e.exp(x - top)
    total = _summed(raised if b is None else weights * raised, axes)
    size = e.magnitude(total) if return_sign else total
    out = finish(reshape(e.log(size) + top, shape=_dropped(shape_of(x), axes)), x, axes, keepdims)
    if not return_sign:
        return wrap(out)
    return wrap(out), wrap(finish(reshape(e.sign(total), shape=_dropped(shape_of(x), axes)), x, axes, keepdims))


def logmeanexp(x: Any, axis: Axis = None, where: Any = None, keepdims: bool = False) -> Any:
    """log(mean(exp(x))) along `axis`, of the values where `where`, without overflow."""
    x = _floating(x)
    axes = axes_of(axis, len(shape_of(x)), "logmeanexp")
    count = reshape(_count(x, axes, where), shape=_dropped(shape_of(x), axes))
    return wrap(
        array_operand(logsumexp(x, axes, None, keepdims, False, where)) - e.log(finish(count, x, axes, keepdims))
    )


def _dropped(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: int = -1) -> Any:
    """For each label a line of zeros with a one at its place (all zeros for a label out of range).

    Args:
        x: integer labels of any shape.
        num_classes: the length of the new axis.
        dtype: of the result, float64 by default.
        axis: where the new axis goes.
    """
    labels = array_operand(x)
    rank = len(shape_of(labels)) + 1
    place = axis % rank if -rank <= axis < rank else None
    if place is None:
        raise np.exceptions.AxisError(f"one_hot: axis={axis} is out of range for a result of {rank} axes.")
    shape = shape_of(labels)
    apart = reshape(labels, shape=(*shape[:place], 1, *shape[place:]))
    classes = np.arange(num_classes).reshape((num_classes,) + (1,) * (rank - 1 - place))
    return wrap(convert(e.eq(apart, classes), np.dtype(np.float64 if dtype is None else dtype)))


def standardize(x: Any, axis: Axis = -1, mean: Any = None, variance: Any = None, epsilon: Any = 1e-5,
                where: Any = None, *, algorithm: str = "fast") -> Any:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) along `axis`, with the data's own mean and variance unless given.

    algorithm: "fast" takes the mean of squares less the square of the mean, never negative; "stable" the mean of squared
    deviations. Raises ValueError for another name.
    """
    if algorithm not in ("fast", "stable"):
        raise ValueError(f"standardize: algorithm must be 'fast' or 'stable', got {algorithm!r}.")
    x = _floating(x)
    axes = axes_of(axis, len(shape_of(x)), "standardize")
    count = _count(x, axes, where)

    def average(values: Any) -> Any:
        return _summed(masked(values, where, 0), axes) / count

    centre = average(x) if mean is None else operand(mean)
    if variance is None:
        if algorithm == "stable":
            variance = average(e.square(x - centre))
        else:
            spread = average(e.square(x)) - e.square(centre)
            variance = e.select(spread > 0, spread, e.select(spread == spread, 0.0, spread))
    return wrap((x - centre) / e.sqrt(operand(variance) + epsilon))
