"""Initializers of parameters, with jax.nn.initializers' names: each is, or makes, a function (key, shape, dtype)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import random
from funcgrad.core.array import wrap
from funcgrad.numpy.wrapping import operand

Initializer = Callable[..., Any]
Axes = int | Sequence[int]


def zeros(key: Any, shape: Sequence[int], dtype: Any = np.float64) -> Any:
    """All zeros; the key is not used."""
    return wrap(np.zeros(tuple(shape), dtype))


def ones(key: Any, shape: Sequence[int], dtype: Any = np.float64) -> Any:
    """All ones; the key is not used."""
    return wrap(np.ones(tuple(shape), dtype))


def constant(value: Any, dtype: Any = np.float64) -> Initializer:
    """An initializer that fills with one value."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return wrap(np.full(tuple(shape), value, dtype))

    return init


def uniform(scale: Any = 1e-2, dtype: Any = np.float64) -> Initializer:
    """An initializer uniform in [0, scale)."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.uniform(key, tuple(shape), dtype) * _as(scale, dtype)

    return init


def normal(stddev: Any = 1e-2, dtype: Any = np.float64) -> Initializer:
    """An initializer normal with mean 0."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.normal(key, tuple(shape), dtype) * _as(stddev, dtype)

    return init


def truncated_normal(stddev: Any = 1e-2, dtype: Any = np.float64, lower: Any = -2.0, upper: Any = 2.0) -> Initializer:
    """An initializer normal with mean 0, cut at `lower` and `upper` standard deviations."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.truncated_normal(key, lower, upper, tuple(shape), dtype) * _as(stddev, dtype)

    return init


def _as(value: Any, dtype: Any) -> Any:
    return np.asarray(operand(value), dtype)


def _fans(shape: Sequence[int], in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> tuple[float, float]:
    if len(shape) <= 1:
        raise ValueError(
            f"variance_scaling needs a shape of at least 2 axes to tell inputs from outputs, got {tuple(shape)}."
        )

    def length(axes: Axes) -> int:
        return math.prod(shape[a] for a in ((axes,) if isinstance(axes, int) else axes))

    inputs, outputs = length(in_axis), length(out_axis)
    receptive = math.prod(shape) / inputs / outputs / length(batch_axis)
    return inputs * receptive, outputs * receptive


def variance_scaling(scale: Any, mode: str, distribution: str, in_axis: Axes = -2, out_axis: Axes = -1,
                     batch_axis: Sequence[int] = (), dtype: Any = np.float64) -> Initializer:  # fmt: skip
    """An initializer whose variance is scale / fan.

    mode: which fan: "fan_in", "fan_out", "fan_avg", "fan_geo_avg". distribution: "truncated_normal" (corrected for the cut at
    two standard deviations), "normal" or "uniform". Raises ValueError for other names.
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        fan_in, fan_out = _fans(shape, in_axis, out_axis, batch_axis)
        fans = {
            "fan_in": fan_in,
            "fan_out": fan_out,
            "fan_avg": (fan_in + fan_out) / 2,
            "fan_geo_avg": math.sqrt(fan_in * fan_out),
        }
        if mode not in fans:
            raise ValueError(f"variance_scaling: mode must be one of {', '.join(fans)}, got {mode!r}.")
        variance = np.asarray(scale / fans[mode], dtype)
        if distribution == "truncated_normal":
            # .879 is the standard deviation of the unit normal cut at -2 and 2.
            return random.truncated_normal(key, -2.0, 2.0, tuple(shape), dtype) * (
                np.sqrt(variance) / np.asarray(0.87962566103423978, dtype)
            )
        if distribution == "normal":
            return random.normal(key, tuple(shape), dtype) * np.sqrt(variance)
        if distribution == "uniform":
            return random.uniform(key, tuple(shape), dtype, -1) * np.sqrt(3 * variance)
        raise ValueError(
            f"variance_scaling: distribution must be truncated_normal, normal or uniform, got {distribution!r}."
        )

    return init


def _family(scale: float, mode: str, distribution: str, text: str) -> Callable[..., Initializer]:
    def make(
        in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Sequence[int] = (), dtype: Any = np.float64
    ) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__doc__ = text
    return make


glorot_uniform = _family(1.0, "fan_avg", "uniform", "Glorot and Bengio (2010), uniform.")
glorot_normal = _family(1.0, "fan_avg", "truncated_normal", "Glorot and Bengio (2010), truncated normal.")
lecun_uniform = _family(1.0, "fan_in", "uniform", "LeCun et al. (1998), uniform.")
lecun_normal = _family(1.0, "fan_in", "truncated_normal", "LeCun et al. (1998), truncated normal.")
he_uniform = _family(2.0, "fan_in", "uniform", "He et al. (2015), uniform.")
he_normal = _family(2.0, "fan_in", "truncated_normal", "He et al. (2015), truncated normal.")
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = np.float64) -> Initializer:
    """An initializer of matrices with orthonormal rows or columns, uniform over them (Saxe et al. 2013)."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        if len(shape) < 2:
            raise ValueError(f"orthogonal needs a shape of at least 2 axes, got {tuple(shape)}.")
        columns = shape[column_axis]
        rows = math.prod(shape) // columns
        tall = (max(rows, columns), min(rows, columns))
        a = np.asarray(random.normal(key, tall, dtype))
        q, r = np.linalg.qr(a)
        q = q * np.sign(np.diag(r))
        q = (q.T if rows < columns else q).reshape(*np.delete(shape, column_axis), columns)
        return wrap(np.asarray(scale, dtype) * np.moveaxis(q, -1, column_axis))

    return init


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = np.float64) -> Initializer:
    """An initializer of convolution kernels: orthogonal at the middle place, 0 elsewhere (Xiao et al. 2018).

    Shapes have 3, 4 or 5 axes: space..., inputs, outputs, with at least as many outputs as inputs.
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        if len(shape) not in (3, 4, 5):
            raise ValueError(f"delta_orthogonal needs a shape of 3, 4 or 5 axes, got {tuple(shape)}.")
        if shape[-1] < shape[-2]:
            raise ValueError(f"delta_orthogonal needs shape[-1] >= shape[-2], got {tuple(shape)}.")
        matrix = operand(orthogonal(scale, column_axis, dtype)(key, (shape[-1], shape[-1])))
        middle = tuple((n - 1) // 2 for n in shape[:-2])
        return wrap(_placed(matrix, tuple(shape), middle, dtype))

    return init
