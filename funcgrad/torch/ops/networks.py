"""Operations of networks on images, sequences and tables: pure bodies of the `nn` room as operations on tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.nn import convolution, normalization, pooling, regularization, resampling
from funcgrad.nn.scaled_attention import scaled_dot_product_attention
from funcgrad.torch.operation import Operand, operation

# ---- linear ----


@operation(
    lambda input, weight, bias: "AddmmBackward0" if bias is not None and input.ndim == 2 else "LinearBackward0",
    method=False,
)
def linear_step(input: Operand, weight: Operand, bias: Operand = None) -> Any:
    """input @ weight.T + bias."""
    if input.shape[-1] != weight.shape[-1]:
        rows = int(np.prod(input.shape[:-1], dtype=np.int64))
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and {weight.shape[-1]}x{weight.shape[0]})"
        )
    if input.dtype != weight.dtype:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {input.dtype} and {weight.dtype}")
    out = fnp.matmul(input, weight.T)
    return out if bias is None else out + bias


@operation("AddBackward0", method=False)
def bilinear(input1: Operand, input2: Operand, weight: Operand, bias: Operand = None) -> Any:
    """input1^T weight[k] input2 + bias[k] for each k."""
    out = fnp.einsum("...i,kij,...j->...k", input1, weight, input2)
    return out if bias is None else out + bias


# ---- convolutions ----


def _spatial(name: str, f: Any, title: str = "ConvolutionBackward0") -> Any:
    def body(input: Operand, weight: Operand, bias: Operand = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
             groups: int = 1) -> Any:  # fmt: skip
        return f(input, weight, bias, stride, padding, dilation, groups)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f.__doc__
    return operation(title, method=False, name=name)(body)


conv1d = _spatial("conv1d", convolution.conv1d)
conv2d = _spatial("conv2d", convolution.conv2d)
conv3d = _spatial("conv3d", convolution.conv3d)


def _transposed(name: str, f: Any) -> Any:
    def body(input: Operand, weight: Operand, bias: Operand = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
             groups: int = 1, dilation: Any = 1) -> Any:  # fmt: skip
        return f(input, weight, bias, stride, padding, output_padding, groups, dilation)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f.__doc__
    return operation("ConvolutionBackward0", method=False, name=name)(body)


conv_transpose1d = _transposed("conv_transpose1d", convolution.conv_transpose1d)
conv_transpose2d = _transposed("conv_transpose2d", convolution.conv_transpose2d)
conv_transpose3d = _transposed("conv_transpose3d", convolution.conv_transpose3d)


@operation("Im2ColBackward0", method=False, name="im2col")
def unfold(input: Operand, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images as columns."""
    return convolution.unfold(input, kernel_size, dilation, padding, stride)


@operation("Col2ImBackward0", method=False, name="col2im")
def fold(
    input: Operand, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """Columns summed back to their places in images."""
    return convolution.fold(input, output_size, kernel_size, dilation, padding, stride)


# ---- pools ----


def _max_pool(rank: int, f: Any) -> Any:
    name = f"max_pool{rank}d"

    def body(input: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
             return_indices: bool = False) -> Any:  # fmt: skip
        return f(input, kernel_size, stride or None, padding, dilation, ceil_mode, return_indices)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f.__doc__
    return operation(f"MaxPool{rank}DWithIndicesBackward0", method=False, name=name)(body)


max_pool1d = _max_pool(1, pooling.max_pool1d)
max_pool2d = _max_pool(2, pooling.max_pool2d)
max_pool3d = _max_pool(3, pooling.max_pool3d)


@operation("AvgPool1DBackward0", method=False)
def avg_pool1d(input: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Any:  # fmt: skip
    """The mean of each window."""
    return pooling.avg_pool1d(input, kernel_size, stride or None, padding, ceil_mode, count_include_pad)


def _avg_pool(rank: int, f: Any) -> Any:
    name = f"avg_pool{rank}d"

    def body(input: Operand, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
             count_include_pad: bool = True, divisor_override: int | None = None) -> Any:  # fmt: skip
        return f(input, kernel_size, stride or None, padding, ceil_mode, count_include_pad, divisor_override)

    body.__name__ = body.__qualname__ = name
    body.__doc__ = f.__doc__
    return operation(f"AvgPool{rank}DBackward0", method=False, name=name)(body)


avg_pool2d = _avg_pool(2, pooling.avg_pool2d)
avg_pool3d = _avg_pool(3, pooling.avg_pool3d)


@operation(
    lambda input, output_size, rank: (
        "MeanBackward1" if output_size in (1, (1,) * rank) else f"AdaptiveAvgPool{rank}DBackward0"
    ),
    method=False,
)
def adaptive_avg_pool(input: Operand, output_size: Any, rank: int) -> Any:
    """The means of as many windows as `output_size` says."""
    if output_size in (1, (1,) * rank):
        return fnp.mean(input, axis=tuple(range(-rank, 0)), keepdims=True)
    return pooling.adaptive_avg_pool(input, output_size, rank)


@operation("AdaptiveMaxPool2DBackward0", method=False)
def adaptive_max_pool(input: Operand, output_size: Any, return_indices: bool, rank: int) -> Any:
    """The largest values of as many windows as `output_size` says."""
    return pooling.adaptive_max_pool(input, output_size, return_indices, rank)


@operation("MaxUnpool2DBackward0", method=False)
def max_unpool(input: Operand, indices: Operand, output_size: Any) -> Any:
    """Values put back where a pool had found them."""
    return pooling.max_unpool(input, indices, output_size)


@operation("PowBackward0", method=False)
def lp_pool(input: Operand, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool, rank: int) -> Any:
    """The norm of each window."""
    return pooling.lp_pool(input, norm_type, kernel_size, stride or None, ceil_mode, rank)


# ---- norms ----


@operation("NativeBatchNormBackward0", method=False)
def batch_norm_step(input: Operand, running_mean: Operand, running_var: Operand, weight: Operand, bias: Operand, training: bool,
                    momentum: float, eps: float) -> Any:  # fmt: skip
    """(output, new running mean, new running variance)."""
    fixed = [None if r is None else lax.stop_gradient(r) for r in (running_mean, running_var)]
    out, mean, var = normalization.batch_norm(input, fixed[0], fixed[1], weight, bias, training, momentum, eps)
    if not training or mean is None:
        return (out,)
    return out, lax.stop_gradient(mean), lax.stop_gradient(var)


@operation("NativeBatchNormBackward0", method=False)
def instance_norm_step(input: Operand, running_mean: Operand, running_var: Operand, weight: Operand, bias: Operand,
                       use_input_stats: bool, momentum: float, eps: float) -> Any:  # fmt: skip
    """(output, new running mean, new running variance)."""
    fixed = [None if r is None else lax.stop_gradient(r) for r in (running_mean, running_var)]
    out, mean, var = normalization.instance_norm(
        input, fixed[0], fixed[1], weight, bias, use_input_stats, momentum, eps
    )
    return (out,) if mean is None else (out, lax.stop_gradient(mean), lax.stop_gradient(var))


@operation("NativeLayerNormBackward0", method=False)
def layer_norm(
    input: Operand, normalized_shape: Any, weight: Operand = None, bias: Operand = None, eps: float = 1e-5
) -> Any:
    """The last dimensions brought to mean 0 and variance 1, then scaled and moved."""
    return normalization.layer_norm(input, normalized_shape, weight, bias, eps)


@operation("FusedRmsNormBackward0", method=False)
def rms_norm(input: Operand, normalized_shape: Any, weight: Operand = None, eps: float | None = None) -> Any:
    """The last dimensions divided by the root of their mean square, then scaled."""
    return normalization.rms_norm(input, normalized_shape, weight, eps)


@operation("NativeGroupNormBackward0", method=False)
def group_norm(input: Operand, num_groups: int, weight: Operand = None, bias: Operand = None, eps: float = 1e-5) -> Any:
    """Groups of channels brought to mean 0 and variance 1, then scaled and moved."""
    return normalization.group_norm(input, num_groups, weight, bias, eps)


@operation("DivBackward0", method=False)
def local_response_norm(input: Operand, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Divided by what neighbouring channels hold."""
    return normalization.local_response_norm(input, size, alpha, beta, k)


@operation("DivBackward0", method=False)
def normalize(input: Operand, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """Divided by the p-norm along a dimension, or by eps where that is larger."""
    return normalization.normalize(input, p, dim, eps)


# ---- resampling ----


@operation(
    lambda input, pad, mode, value: (
        "ConstantPadNdBackward0" if mode == "constant" else f"{mode.capitalize()}Pad2DBackward0"
    ),
    method=False,
)
def pad(input: Operand, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Values added (or cut, where negative) at the ends of the last dimensions."""
    return resampling.pad(input, pad, mode, value)


@operation(
    lambda input, size, scale_factor, mode, *rest: f"Upsample{mode.capitalize()}{input.ndim - 2}DBackward1",
    method=False,
)
def interpolate(
    input: Operand,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Images in another size."""
    return resampling.interpolate(input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)


@operation("GridSampler2DBackward0", method=False)
def grid_sample(input: Operand, grid: Operand, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool | None = None) -> Any:  # fmt: skip
    """Images read at the places of a grid."""
    return resampling.grid_sample(input, grid, mode, padding_mode, bool(align_corners))


@operation("AffineGridGeneratorBackward0", method=False)
def affine_grid(theta: Operand, size: Any, align_corners: bool | None = None) -> Any:
    """The grid of an affine map."""
    return resampling.affine_grid(theta, size, bool(align_corners))


@operation("PixelShuffleBackward0", method=False)
def pixel_shuffle(input: Operand, upscale_factor: int) -> Any:
    """Channels as finer pixels."""
    return resampling.pixel_shuffle(input, upscale_factor)


@operation("PixelUnshuffleBackward0", method=False)
def pixel_unshuffle(input: Operand, downscale_factor: int) -> Any:
    """Pixels as more channels."""
    return resampling.pixel_unshuffle(input, downscale_factor)


@operation("ReshapeAliasBackward0", method=False)
def channel_shuffle(input: Operand, groups: int) -> Any:
    """Channels dealt out over groups."""
    n, c, *space = input.shape
    return fnp.swapaxes(input.reshape(n, groups, c // groups, *space), 1, 2).reshape(input.shape)


# ---- tables and noise ----


@operation("EmbeddingBackward0", method=False, name="embedding")
def embedding_step(input: Operand, weight: Operand, padding_idx: int | None) -> Any:
    """Rows of a table; no gradient goes to row `padding_idx`."""
    return regularization.embedding(input, weight, padding_idx)


@operation("MulBackward0", method=False)
def dropout_step(input: Operand, rng_key: Operand, p: float) -> Any:
    """Each value 0 with probability p, the others divided by 1 - p."""
    return regularization.dropout(input, rng_key, p)


@operation("MulBackward0", method=False)
def feature_dropout_step(input: Operand, rng_key: Operand, p: float) -> Any:
    """Whole channels 0 with probability p."""
    return regularization.feature_dropout(input, rng_key, p)


@operation("AddBackward0", method=False)
def alpha_dropout_step(input: Operand, rng_key: Operand, p: float, feature: bool) -> Any:
    """Dropout that keeps mean and variance after selu."""
    return regularization.alpha_dropout(input, rng_key, p, feature)


# ---- attention ----


@operation("ScaledDotProductAttentionBackward0", method=False)
def attention_step(
    query: Operand, keys: Operand, values: Operand, attn_mask: Operand, is_causal: bool, scale: float | None
) -> Any:
    """softmax(query keys^T * scale + attn_mask) values over the last two dimensions; (..., T, E)."""
    return scaled_dot_product_attention(query, keys, values, attn_mask, 0.0, is_causal, scale)
