"""Products of block-scaled matrices, with jax.nn's names: each block of the contracted axis has a scale of its own.

The small formats of such hardware (8-bit and 4-bit floats) are no NumPy dtypes; their values are, rounded here and kept in the
dtype of what was given. So a network sees the same quantisation on a CPU as there.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad import lax
from funcgrad import numpy as jnp
from funcgrad.api.custom import custom_vjp
from funcgrad.api.derivatives import vjp
from funcgrad.core.array import Array
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.number_parts import exponent


@dataclass(frozen=True, slots=True)
class _Format:
    """A floating format: digits after the point, the exponent of the smallest normal number, the largest number."""

    digits: int
    lowest: int
    largest: float


_FORMATS = {"float8_e4m3fn": _Format(3, -6, 448.0), "float4_e2m1fn": _Format(1, 0, 6.0)}


@dataclass(frozen=True, slots=True, eq=False)
class BlockScaleConfig:
    """How scaled_dot_general quantises an operand; made by get_scaled_dot_general_config."""

    mode: str
    block_size: int
    data_type: str
    scale_type: str
    global_scale: Any


def get_scaled_dot_general_config(mode: str, global_scale: Any = None) -> BlockScaleConfig:
    """The quantisation "mxfp8" (blocks of 32, power-of-two scales) or "nvfp4" (blocks of 16, and one global scale).

    global_scale: float32 of shape (1,), for nvfp4 only, 1 by default. Raises ValueError for another mode.
    """
    if mode == "mxfp8":
        if global_scale is not None:
            raise ValueError("get_scaled_dot_general_config: mxfp8 has no global_scale; only nvfp4 has.")
        return BlockScaleConfig(mode, 32, "float8_e4m3fn", "float8_e8m0fnu", None)
    if mode == "nvfp4":
        scale = np.ones(1, np.float32) if global_scale is None else global_scale
        return BlockScaleConfig(mode, 16, "float4_e2m1fn", "float8_e4m3fn", scale)
    raise ValueError(f"get_scaled_dot_general_config: mode must be 'mxfp8' or 'nvfp4', got {mode!r}.")


def scaled_matmul(lhs: Any, rhs: Any, lhs_scales: Any, rhs_scales: Any,
                  preferred_element_type: Any = np.float32) -> Array:  # fmt: skip
    """lhs (B, M, K) times rhs (B, N, K), each value times its block's scale: (B, M, N) of preferred_element_type.

    lhs_scales (B, M, S) and rhs_scales (B, N, S), where S divides K into blocks of equal size. Raises ValueError for other
    shapes.
    """
    arrays = [array_operand(a) for a in (lhs, rhs, lhs_scales, rhs_scales)]
    a, b, a_scales, b_scales = shapes = [shape_of(x) for x in arrays]
    fits = all(len(s) == 3 for s in shapes) and a[0] == b[0] and a[2] == b[2] and a_scales[2] == b_scales[2]
    if not fits or a_scales[:2] != a[:2] or b_scales[:2] != b[:2] or not a_scales[2] or a[2] % a_scales[2]:
        raise ValueError(
            f"scaled_matmul got lhs {a}, rhs {b}, lhs_scales {a_scales}, rhs_scales {b_scales}; it takes (B, M, K), (B, N, K), "
            "(B, M, S), (B, N, S), where S divides K."
        )
    size = a[2] // a_scales[2]
    left, right = (x * jnp.repeat(s, size, axis=-1) for x, s in zip(arrays[:2], arrays[2:], strict=True))
    return jnp.einsum("bmk,bnk->bmn", left, right).astype(preferred_element_type)


def _rounded(x: Any, form: _Format) -> Any:
    """x as the format's nearest number, ties to even, those beyond its largest as that."""
    power = jnp.maximum(exponent(array_operand(x)) - 1, form.lowest) - form.digits
    return jnp.clip(jnp.ldexp(jnp.rint(jnp.ldexp(x, -power)), power), -form.largest, form.largest)


def _quantized(x: Any, config: BlockScaleConfig, contracted: Sequence[int]) -> Any:
    """x rounded in blocks along its contracted axes, taken together in their order, and scaled back."""
    shape, size = shape_of(array_operand(x)), config.block_size
    axes = [i for i in range(len(shape)) if i in contracted]
    order = [i for i in range(len(shape)) if i not in contracted] + axes
    length = math.prod(shape[i] for i in axes)
    if not length or length % size:
        raise ValueError(
            f"scaled_dot_general: {config.mode} needs axes of a multiple of {size} values to contract, also those of the "
            f"gradient; axes {tuple(axes)} of shape {shape} have {length}."
        )
    moved = jnp.transpose(x, order)
    blocks, back = jnp.reshape(moved, (-1, size)), [order.index(i) for i in range(len(order))]
    form = _FORMATS[config.data_type]
    if config.scale_type == "float8_e8m0fnu":
        scale = _power_of_two_above(jnp.max(jnp.abs(blocks), axis=-1, keepdims=True) / form.largest)
    else:
        blocks = blocks / config.global_scale
        scale = _rounded(jnp.max(jnp.abs(blocks), axis=-1, keepdims=True) / form.largest, _FORMATS[config.scale_type])
    # A block of scale 0 is all zeros then, whatever it is divided by.
    found = _rounded(blocks / jnp.where(scale == 0, 1, scale), form) * scale
    if config.global_scale is not None:
        found = found * config.global_scale
    return jnp.transpose(jnp.reshape(found, moved.shape), back).astype(dtype_of(array_operand(x)))


def _power_of_two_above(x: Any) -> Any:
    power = exponent(array_operand(x))
    whole = jnp.ldexp(x, -power) == 0.5
    return jnp.ldexp(jnp.ones_like(x), jnp.clip(jnp.where(x == 0, -127, power - whole), -127, 127))


def _within_reach(x: Any, config: BlockScaleConfig) -> Any:
    """Where nvfp4 does not cut x off; mxfp8's scales reach every value."""
    if config.global_scale is None:
        return True
    return jnp.abs(x) <= config.global_scale * _FORMATS[config.data_type].largest * _FORMATS[config.scale_type].largest


def scaled_dot_general(lhs: Any, rhs: Any, dimension_numbers: Any, preferred_element_type: Any = np.float32,
                       configs: Sequence[BlockScaleConfig] | None = None,
                       implementation: str | None = None) -> Array:  # fmt: skip
    """lax.dot_general of operands quantised in blocks along the contracted axes.

    Args:
        lhs, rhs, dimension_numbers: as of lax.dot_general.
        preferred_element_type: the dtype of the result.
        configs: of lhs, of rhs and of the result's gradient, from get_scaled_dot_general_config; None: nothing is quantised.
        implementation: JAX's former choice of a backend; any is met by a DeprecationWarning, as there.

    Returns:
        The product. Its derivative takes quantisation for the identity: with mxfp8 it is a product of quantised values again,
        with nvfp4 a plain one, 0 where an operand was cut off. Raises ValueError where blocks do not fit.
    """
    if implementation is not None:
        warnings.warn(
            "scaled_dot_general: implementation is not needed; leave it out.", DeprecationWarning, stacklevel=2
        )
    (xc, yc), (xb, yb) = dimension_numbers
    dims = ((tuple(xc), tuple(yc)), (tuple(xb), tuple(yb)))

    def plain(x: Any, y: Any) -> Any:
        return lax.dot_general(x, y, dims, preferred_element_type=preferred_element_type)

    if configs is None:
        return plain(lhs, rhs)
    if len(configs) != 3:
        raise ValueError(f"scaled_dot_general: configs are three, of lhs, rhs and the gradient; got {len(configs)}.")
    left, right, back = configs

    def product(x: Any, y: Any) -> Any:
        return plain(_quantized(x, left, dims[0][0]), _quantized(y, right, dims[0][1]))

    def forward(x: Any, y: Any) -> tuple[Any, Any]:
        return product(x, y), (x, y)

    def backward(saved: tuple[Any, Any], g: Any) -> tuple[Any, Any]:
        x, y = saved
        if back.mode == "nvfp4":
            by_x, by_y = vjp(plain, x, y)[1](g)
            return jnp.where(_within_reach(x, left), by_x, 0), jnp.where(_within_reach(y, right), by_y, 0)
        x_kept = [i for i in range(len(shape_of(array_operand(x)))) if i not in dims[0][0] + dims[1][0]]
        y_kept = [i for i in range(len(shape_of(array_operand(y)))) if i not in dims[0][1] + dims[1][1]]
        lead = len(dims[1][0])
        of_x = range(lead, lead + len(x_kept))
        of_y = range(lead + len(x_kept), lead + len(x_kept) + len(y_kept))
        by_x = vjp(lambda x: plain(x, _quantized(y, right, y_kept)), x)[1](_quantized(g, back, of_y))[0]
        by_y = vjp(lambda y: plain(_quantized(x, left, x_kept), y), y)[1](_quantized(g, back, of_x))[0]
        return by_x, by_y

    rule = custom_vjp(product)
    rule.defvjp(forward, backward)
    return rule(lhs, rhs)
