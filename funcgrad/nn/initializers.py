"""Initializers of parameters, with jax.nn.initializers' names: each is, or makes, a function (key, shape, dtype)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import random
from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert, reshape, transpose

Initializer = Callable[..., Any]
Axes = int | Sequence[int]


def _floating(dtype: Any) -> np.dtype:
    """A dtype, float64 for None. Raises ValueError for integers."""
    found = np.dtype(np.float64 if dtype is None else dtype)
    if found.kind not in "fc":
        raise ValueError(f"initializers make floating or complex values; got dtype={found}.")
    return found


def zeros(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """All zeros, float64 by default; the key is not used."""
    return wrap(np.zeros(tuple(shape), dtype))


def ones(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """All ones, float64 by default; the key is not used."""
    return wrap(np.ones(tuple(shape), dtype))


def constant(value: Any, dtype: Any = None) -> Initializer:
    """An initializer that fills with one value."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return wrap(np.full(tuple(shape), value, dtype))

    return init


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """An initializer uniform in [0, scale)."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.uniform(key, tuple(shape), _floating(dtype)) * _scale(scale, dtype)

    return init


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """An initializer normal with mean 0; complex values have independent parts."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.normal(key, tuple(shape), _floating(dtype)) * _scale(stddev, dtype)

    return init


def truncated_normal(stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0, upper: Any = 2.0) -> Initializer:
    """An initializer normal with mean 0, cut at `lower` and `upper` standard deviations."""

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        return random.truncated_normal(key, lower, upper, tuple(shape), _floating(dtype)) * _scale(stddev, dtype)

    return init


def _scale(value: Any, dtype: Any) -> Any:
    return convert(array_operand(value), _floating(dtype))


def _fans(shape: Sequence[int], in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> tuple[float, float]:
    if in_axis == -2 and len(shape) <= 1:
        raise ValueError(
            "variance_scaling needs a shape of at least 2 axes to tell inputs from outputs, or in_axis; got "
            f"{tuple(shape)}."
        )

    def length(axes: Axes) -> int:
        return math.prod(shape[a] for a in ((axes,) if isinstance(axes, int) else axes))

    inputs, outputs = length(in_axis), length(out_axis)
    receptive = math.prod(shape) / inputs / outputs / length(batch_axis)
    return inputs * receptive, outputs * receptive


def _in_disk(key: Any, shape: Sequence[int], dtype: np.dtype, radius: Callable[[Any], Any]) -> Any:
    """Complex values of uniform angle, their distance from 0 a function of uniform values."""
    part = np.zeros((), dtype).real.dtype
    keys = random.split(key)
    level, turn = (array_operand(random.uniform(k, tuple(shape), part)) for k in (keys[0], keys[1]))
    angle = (2 * math.pi) * turn
    distance = radius(level)
    return e.make_complex(distance * e.cos(angle), distance * e.sin(angle))


def _drawn(key: Any, shape: Sequence[int], variance: Any, distribution: str) -> Any:
    """Values of that variance and its dtype (a normal is cut at two standard deviations, a complex one by its modulus)."""
    shape, kind = tuple(shape), dtype_of(variance)
    deviation = e.sqrt(variance)
    if distribution == "normal":
        return array_operand(random.normal(key, shape, kind)) * deviation
    if distribution == "uniform":
        if kind.kind == "c":
            return _in_disk(key, shape, kind, lambda u: e.sqrt(2.0 * u)) * deviation
        return array_operand(random.uniform(key, shape, kind, -1)) * e.sqrt(3.0 * variance)
    if distribution == "truncated_normal":
        if kind.kind == "c":
            cut = _in_disk(key, shape, kind, lambda u: e.sqrt(-e.log1p(u * math.expm1(-4.0))))
            return cut * (deviation / _CUT_DISK)
        return array_operand(random.truncated_normal(key, -2.0, 2.0, shape, kind)) * (deviation / _CUT_NORMAL)
    raise ValueError(
        f"variance_scaling: distribution must be truncated_normal, normal or uniform, got {distribution!r}."
    )


_CUT_NORMAL, _CUT_DISK = 0.87962566103423978, 0.95311164380491208
"""The standard deviations of the unit normal cut at -2 and 2, and of the complex one cut at modulus 2.

The second is JAX's, so that values are the same; 0.96196 would be exact.
"""


def variance_scaling(scale: Any, mode: str, distribution: str, in_axis: Axes = -2, out_axis: Axes = -1,
                     batch_axis: Axes = (), dtype: Any = None) -> Initializer:  # fmt: skip
    """An initializer whose variance is scale / fan.

    mode: which fan: "fan_in", "fan_out", "fan_avg", "fan_geo_avg". distribution: "truncated_normal" (corrected for the cut at
    two standard deviations), "normal" or "uniform". Complex values have that variance of both parts together. Raises
    ValueError for other names.
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        kind = _floating(dtype)
        fan_in, fan_out = _fans(shape, in_axis, out_axis, batch_axis)
        fans = {
            "fan_in": fan_in,
            "fan_out": fan_out,
            "fan_avg": (fan_in + fan_out) / 2,
            "fan_geo_avg": math.sqrt(fan_in * fan_out),
        }
        if mode not in fans:
            raise ValueError(f"variance_scaling: mode must be one of {', '.join(fans)}, got {mode!r}.")
        return wrap(_drawn(key, shape, _scale(scale / fans[mode], kind), distribution))

    return init


def _family(scale: float, mode: str, distribution: str, text: str) -> Callable[..., Initializer]:
    def make(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
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


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """An initializer of matrices with orthonormal rows or columns, uniform over them (Saxe et al. 2013).

    The other axes than `column_axis` are taken together as rows. Raises ValueError for a shape of fewer than 2 axes.
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        shape, kind = tuple(shape), _floating(dtype)
        if len(shape) < 2:
            raise ValueError(f"orthogonal needs a shape of at least 2 axes, got {shape}.")
        if 0 in shape:
            return wrap(np.zeros(shape, kind))
        axis = column_axis % len(shape)
        columns, others = shape[axis], (*shape[:axis], *shape[axis + 1 :])
        matrix = array_operand(random.orthogonal(key, math.prod(others), (), kind, columns))
        order = (*range(axis), len(shape) - 1, *range(axis, len(shape) - 1))
        return wrap(_scale(scale, kind) * transpose(reshape(matrix, shape=(*others, columns)), permutation=order))

    return init


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """An initializer of convolution kernels: orthogonal at the middle place, 0 elsewhere (Xiao et al. 2018).

    Shapes have 3, 4 or 5 axes: space..., inputs, outputs, with at least as many outputs as inputs.
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        shape, kind = tuple(shape), _floating(dtype)
        if len(shape) not in (3, 4, 5):
            raise ValueError(f"delta_orthogonal needs a shape of 3, 4 or 5 axes, got {shape}.")
        if shape[-1] < shape[-2]:
            raise ValueError(f"delta_orthogonal needs shape[-1] >= shape[-2], got {shape}.")
        matrix = array_operand(orthogonal(scale, column_axis, kind)(key, shape[-2:]))
        here = np.zeros(shape[:-2], bool)
        here[tuple((n - 1) // 2 for n in shape[:-2])] = True
        return wrap(e.select(here[..., None, None], matrix, np.zeros((), kind)))

    return init
