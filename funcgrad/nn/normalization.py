"""torch.nn.functional's normalisations as pure functions: what PyTorch updates in place is returned instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.nn.short_derivatives import moments, standardized
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_in_dim, convert, reduce_sum, reshape
from funcgrad.ops.window import window_sum

Axes = tuple[int, ...]


def _mean(x: Any, axes: Axes) -> Any:
    """The mean over axes, which stay with size 1."""
    shape = shape_of(x)
    count = math.prod(shape[a] for a in axes)
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return reshape(reduce_sum(x, axes=axes), shape=kept) * (1.0 / max(count, 1))


def _scaled(x: Any, weight: Any, bias: Any, shape: Axes) -> Any:
    if weight is not None:
        x = x * reshape(array_operand(weight), shape=shape)
    return x if bias is None else x + reshape(array_operand(bias), shape=shape)


def _check_parameters(function: str, want: Axes, **given: Any) -> None:
    for name, v in given.items():
        if v is not None and shape_of(array_operand(v)) != want:
            raise ValueError(f"{function}: {name} must have shape {want}, got {shape_of(array_operand(v))}.")


def batch_norm(input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> tuple[Any, Any, Any]:  # fmt: skip
    """(output, new running mean, new running variance): (N, C, ...) normalised for each channel.

    In training the batch's own mean and biased variance normalise, and the running values (if any) move by `momentum` towards
    the mean and the unbiased variance; otherwise the running values normalise and are returned as they are.

    Raises ValueError for parameters that are not one for each channel, in training for one value for each channel, otherwise
    for missing running values.
    """
    x = array_operand(input)
    shape = shape_of(x)
    if len(shape) < 2:
        raise ValueError(f"batch_norm takes (N, C, ...), got shape {shape}.")
    parameters = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check_parameters("batch_norm", shape[1:2], **parameters)
    kept = (1, shape[1], *(1,) * (len(shape) - 2))
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm outside of training needs running_mean and running_var.")
        mean, variance = (reshape(array_operand(v), shape=kept) for v in (running_mean, running_var))
        out = _scaled((x - mean) / e.sqrt(variance + eps), weight, bias, kept)
        return wrap(convert(out, dtype_of(x))), running_mean, running_var
    axes = (0, *range(2, len(shape)))
    count = math.prod(shape[a] for a in axes)
    if count == 1:
        raise ValueError(
            f"batch_norm in training needs more than one value per channel, got an input of shape {shape}."
        )
    _, mean, variance = moments(x, axes)
    out = _scaled(standardized(x, axes, eps), weight, bias, kept)
    wide = variance * (count / max(count - 1, 1))
    moved = [
        None if old is None else wrap(array_operand(old) * (1 - momentum) + reshape(new, shape=shape[1:2]) * momentum)
        for old, new in ((running_mean, mean), (running_var, wide))
    ]
    return wrap(convert(out, dtype_of(x))), moved[0], moved[1]


def layer_norm(input: Any, normalized_shape: Sequence[int] | int, weight: Any = None, bias: Any = None,
               eps: float = 1e-5) -> Any:  # fmt: skip
    """The last axes, of `normalized_shape`, brought to mean 0 and variance 1, then scaled. Raises ValueError for other axes."""
    x = array_operand(input)
    last = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(int(n) for n in normalized_shape)
    rank = len(shape_of(x))
    if not last or shape_of(x)[rank - len(last) :] != last:
        raise ValueError(
            f"layer_norm: the last axes must be normalized_shape {last}, got an input of shape {shape_of(x)}."
        )
    _check_parameters("layer_norm", last, weight=weight, bias=bias)
    whole = standardized(x, tuple(range(rank - len(last), rank)), eps)
    return wrap(convert(_scaled(whole, weight, bias, last), dtype_of(x)))


def rms_norm(input: Any, normalized_shape: Sequence[int] | int, weight: Any = None, eps: float | None = None) -> Any:
    """The last axes divided by the root of their mean square, then scaled; eps is the dtype's by default."""
    x = array_operand(input)
    last = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(int(n) for n in normalized_shape)
    rank = len(shape_of(x))
    if not last or shape_of(x)[rank - len(last) :] != last:
        raise ValueError(
            f"rms_norm: the last axes must be normalized_shape {last}, got an input of shape {shape_of(x)}."
        )
    _check_parameters("rms_norm", last, weight=weight)
    small = float(np.finfo(dtype_of(x)).eps) if eps is None else eps
    square = _mean(x * x, tuple(range(rank - len(last), rank)))
    return wrap(convert(_scaled(x / e.sqrt(square + small), weight, None, last), dtype_of(x)))


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(N, C, ...) normalised over the channels of each of `num_groups` groups together with space."""
    x = array_operand(input)
    shape = shape_of(x)
    if len(shape) < 2 or num_groups < 1 or shape[1] % num_groups:
        raise ValueError(
            f"group_norm: num_groups must divide the channels (axis 1), got {num_groups} for shape {shape}."
        )
    _check_parameters("group_norm", shape[1:2], weight=weight, bias=bias)
    parts = reshape(x, shape=(shape[0], num_groups, shape[1] // num_groups, *shape[2:]))
    out = reshape(standardized(parts, tuple(range(2, len(shape) + 1)), eps), shape=shape)
    return wrap(convert(_scaled(out, weight, bias, (shape[1], *(1,) * (len(shape) - 2))), dtype_of(x)))


def instance_norm(input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> tuple[Any, Any, Any]:  # fmt: skip
    """(output, new running mean, new running variance): each channel of each example of (N, C, space...) normalised alone.

    Without `use_input_stats` the running values normalise. Raises ValueError as batch_norm.
    """
    x = array_operand(input)
    shape = shape_of(x)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    space = tuple(range(2, len(shape)))
    count = math.prod(shape[a] for a in space)
    if len(shape) < 3 or count == 1:
        raise ValueError(f"instance_norm needs (N, C, space...) with more than one place, got shape {shape}.")
    parameters = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    _check_parameters("instance_norm", shape[1:2], **parameters)
    _, mean, variance = moments(x, space)
    out = _scaled(standardized(x, space, eps), weight, bias, (1, shape[1], *(1,) * len(space)))
    wide = variance * (count / max(count - 1, 1))
    moved = [
        None if old is None else
        wrap(array_operand(old) * (1 - momentum) + reshape(_mean(new, (0,)), shape=shape[1:2]) * momentum)
        for old, new in ((running_mean, mean), (running_var, wide))
    ]  # fmt: skip
    return wrap(convert(out, dtype_of(x))), moved[0], moved[1]


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + alpha * mean of the squares of `size` channels around it) ** beta, for (N, C, ...)."""
    x = array_operand(input)
    rank = len(shape_of(x))
    if rank < 3:
        raise ValueError(f"local_response_norm takes (N, C, space...), got shape {shape_of(x)}.")
    one = (1,) * rank
    total = window_sum(
        x * x, window=(1, size, *one[2:]), strides=one, dilation=one,
        padding=((0, 0), (size // 2, (size - 1) // 2), *((0, 0),) * (rank - 2)),
    )  # fmt: skip
    return wrap(x / e.power(total * (alpha / size) + k, beta))


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """x divided by its p-norm along an axis, or by eps where the norm is smaller."""
    x = array_operand(input)
    axis = dim % len(shape_of(x))
    kept = tuple(1 if i == axis else n for i, n in enumerate(shape_of(x)))
    if p == 2.0:
        total = e.sqrt(reduce_sum(x * x, axes=(axis,)))
    else:
        total = e.power(reduce_sum(e.power(e.absolute(x), float(p)), axes=(axis,)), 1.0 / p)
    bottom = e.maximum(reshape(total, shape=kept), eps)
    dims = tuple(range(len(kept)))
    return wrap(x / broadcast_in_dim(bottom, shape=shape_of(x), dims=dims))
