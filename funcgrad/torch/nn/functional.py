"""`torch.nn.functional`: the operations of networks under PyTorch's names and signatures, with their checks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from funcgrad.torch.inplace import check_write, rebase, store
from funcgrad.torch.modes import state
from funcgrad.torch.nn.rare_functions import conv_tbc as conv_tbc
from funcgrad.torch.nn.rare_functions import fractional_max_pool2d as fractional_max_pool2d
from funcgrad.torch.nn.rare_functions import fractional_max_pool2d_with_indices as fractional_max_pool2d_with_indices
from funcgrad.torch.nn.rare_functions import fractional_max_pool3d as fractional_max_pool3d
from funcgrad.torch.nn.rare_functions import fractional_max_pool3d_with_indices as fractional_max_pool3d_with_indices
from funcgrad.torch.nn.rare_functions import lp_pool3d as lp_pool3d
from funcgrad.torch.nn.sequence_losses import ctc_loss as ctc_loss
from funcgrad.torch.nn.sequence_losses import pdist as pdist
from funcgrad.torch.nn.sequence_losses import triplet_margin_with_distance_loss as triplet_margin_with_distance_loss
from funcgrad.torch.operation import write_in_place
from funcgrad.torch.ops import activations, losses, networks
from funcgrad.torch.ops import linalg as _linalg
from funcgrad.torch.ops import unary as _unary
from funcgrad.torch.ops.activations import celu as celu
from funcgrad.torch.ops.activations import glu as glu
from funcgrad.torch.ops.activations import hardshrink as hardshrink
from funcgrad.torch.ops.activations import log_softmax as _log_softmax
from funcgrad.torch.ops.activations import logsigmoid as logsigmoid
from funcgrad.torch.ops.activations import prelu as prelu
from funcgrad.torch.ops.activations import softmax as _softmax
from funcgrad.torch.ops.activations import softplus as softplus
from funcgrad.torch.ops.activations import softshrink as softshrink
from funcgrad.torch.ops.activations import softsign as softsign
from funcgrad.torch.ops.activations import tanhshrink as tanhshrink
from funcgrad.torch.ops.copies import copy_
from funcgrad.torch.ops.linalg import cosine_similarity as cosine_similarity
from funcgrad.torch.ops.linalg import pairwise_distance as pairwise_distance
from funcgrad.torch.ops.losses import cosine_embedding_loss as cosine_embedding_loss
from funcgrad.torch.ops.losses import gaussian_nll_loss as gaussian_nll_loss
from funcgrad.torch.ops.losses import hinge_embedding_loss as hinge_embedding_loss
from funcgrad.torch.ops.losses import margin_ranking_loss as margin_ranking_loss
from funcgrad.torch.ops.losses import multilabel_margin_loss as multilabel_margin_loss
from funcgrad.torch.ops.losses import multilabel_soft_margin_loss as multilabel_soft_margin_loss
from funcgrad.torch.ops.losses import poisson_nll_loss as poisson_nll_loss
from funcgrad.torch.ops.losses import smooth_l1_loss as _smooth_l1
from funcgrad.torch.ops.losses import soft_margin_loss as soft_margin_loss
from funcgrad.torch.ops.losses import triplet_margin_loss as triplet_margin_loss
from funcgrad.torch.ops.networks import affine_grid as affine_grid
from funcgrad.torch.ops.networks import avg_pool1d as avg_pool1d
from funcgrad.torch.ops.networks import avg_pool2d as avg_pool2d
from funcgrad.torch.ops.networks import avg_pool3d as avg_pool3d
from funcgrad.torch.ops.networks import bilinear as bilinear
from funcgrad.torch.ops.networks import channel_shuffle as channel_shuffle
from funcgrad.torch.ops.networks import conv1d as conv1d
from funcgrad.torch.ops.networks import conv2d as conv2d
from funcgrad.torch.ops.networks import conv3d as conv3d
from funcgrad.torch.ops.networks import conv_transpose1d as conv_transpose1d
from funcgrad.torch.ops.networks import conv_transpose2d as conv_transpose2d
from funcgrad.torch.ops.networks import conv_transpose3d as conv_transpose3d
from funcgrad.torch.ops.networks import fold as fold
from funcgrad.torch.ops.networks import grid_sample as grid_sample
from funcgrad.torch.ops.networks import group_norm as group_norm
from funcgrad.torch.ops.networks import interpolate as interpolate
from funcgrad.torch.ops.networks import local_response_norm as local_response_norm
from funcgrad.torch.ops.networks import max_pool1d as max_pool1d
from funcgrad.torch.ops.networks import max_pool2d as max_pool2d
from funcgrad.torch.ops.networks import max_pool3d as max_pool3d
from funcgrad.torch.ops.networks import normalize as normalize
from funcgrad.torch.ops.networks import pad as pad
from funcgrad.torch.ops.networks import pixel_shuffle as pixel_shuffle
from funcgrad.torch.ops.networks import pixel_unshuffle as pixel_unshuffle
from funcgrad.torch.ops.networks import rms_norm as _rms_norm
from funcgrad.torch.ops.networks import unfold as unfold
from funcgrad.torch.ops.random import next_key
from funcgrad.torch.ops.unary import sigmoid as sigmoid
from funcgrad.torch.ops.unary import tanh as tanh
from funcgrad.torch.tensor import Tensor, concrete, make


def _fitting(function: Any, input: Tensor, inplace: bool, *arguments: Any) -> Tensor:
    made = function.operation
    return write_in_place(made, input, made.bound((input, *arguments), {})) if inplace else function(input, *arguments)


# ---- activations ----


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(input, 0)."""
    return _fitting(_unary.relu, input, inplace)


def relu_(input: Tensor) -> Tensor:
    """relu in place."""
    return relu(input, True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """leaky_relu in place."""
    return leaky_relu(input, negative_slope, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """elu in place."""
    return elu(input, alpha, True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """celu in place."""
    return _fitting(activations.elu, input, True, alpha, 1.0, 1.0 / alpha)


def selu_(input: Tensor) -> Tensor:
    """selu in place."""
    return selu(input, True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """hardtanh in place."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """threshold in place."""
    return _fitting(activations.threshold, input, True, threshold, value)


def rrelu_(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Tensor:
    """rrelu in place."""
    return rrelu(input, lower, upper, training, True)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Limited to [0, 6]."""
    return _fitting(activations.relu6, input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where positive, else negative_slope * input."""
    return _fitting(activations.leaky_relu, input, inplace, negative_slope)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where positive, else alpha * (exp(input) - 1)."""
    return _fitting(activations.elu, input, inplace, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising elu."""
    return _fitting(activations.elu, input, inplace, 1.6732632423543772, 1.0507009873554805)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """input times the normal distribution function of it, or (approximate="tanh") nearly so."""
    return activations.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """input * sigmoid(input)."""
    return _fitting(activations.silu, input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * tanh(softplus(input))."""
    return _fitting(activations.mish, input, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Limited to [min_val, max_val]."""
    return _fitting(activations.hardtanh, input, inplace, min_val, max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(input + 3) / 6."""
    return _fitting(activations.hardsigmoid, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """input * hardsigmoid(input)."""
    return _fitting(activations.hardswish, input, inplace)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """input where above the threshold, else value."""
    return _fitting(activations.threshold, input, inplace, threshold, value)


def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """leaky_relu with a random slope for each negative value in training, the mean slope else."""
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slopes: Any = make(np.empty(input._array.shape, input._array.dtype)).uniform_(lower, upper)  # type: ignore[attr-defined]
    result: Any = (input > 0).where(input, input * slopes) if False else _where(input > 0, input, input * slopes)  # type: ignore[operator]
    return copy_(input, result) if inplace else result


def _where(condition: Any, a: Tensor, b: Tensor) -> Tensor:
    return a.where(condition, b)  # type: ignore[attr-defined]


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(input), scaled to sum 1 along a dimension."""
    return _softmax(input, _implicit(input, dim, "softmax"), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(input)) without overflow."""
    return _log_softmax(input, _implicit(input, dim, "log_softmax"), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-input)."""
    return softmax(-input, dim, dtype=dtype)  # type: ignore[operator]


def _implicit(input: Tensor, dim: int | None, name: str) -> int:
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
            UserWarning,
            stacklevel=3,
        )
        return 0 if input.ndim in (0, 1, 3) else 1
    return dim


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """softmax of logits with Gumbel noise (Jang et al., 2017); `hard` gives one-hot values with the soft gradient."""
    noise: Any = make(np.empty(logits._array.shape, logits._array.dtype)).exponential_()  # type: ignore[attr-defined]
    soft = softmax((logits - noise.log()) / tau, dim)
    if not hard:
        return soft
    at = soft.max(dim, keepdim=True)[1]  # type: ignore[attr-defined]
    one: Any = make(np.zeros(logits._array.shape, logits._array.dtype)).scatter_(dim, at, 1.0)  # type: ignore[attr-defined]
    return one - soft.detach() + soft  # type: ignore[attr-defined]


# ---- linear, tables, noise ----


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input @ weight.T + bias: shapes (..., in), (out, in), (out)."""
    if input.ndim == 2 and bias is not None:
        return _linalg.addmm(bias, input, weight.t())  # type: ignore[attr-defined]
    if input.ndim == 2:
        return _linalg.mm(input, weight.t())  # type: ignore[attr-defined]
    return networks.linear_step(input, weight, bias)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of the table `weight` (count, size). `max_norm` scales rows that are used down in place first.

    Raises IndexError for an index outside of the table.
    """
    array = input._array
    if array.dtype.kind not in "iu":
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{input.type()} "
            "instead (while checking arguments for embedding)"
        )
    if scale_grad_by_freq:
        raise NotImplementedError(
            "embedding: scale_grad_by_freq=True is not supported; scale the gradient in a hook of the weight."
        )
    count = weight._array.shape[0]
    if type(array) is np.ndarray and array.size and (array.max() >= count or array.min() < 0):
        raise IndexError(f"index out of range in self: an index of {int(array.max())} in a table of {count} rows")
    if max_norm is not None:
        before, state.grad = state.grad, False
        rows = np.unique(concrete(input, "embedding"))
        table = concrete(weight, "embedding")
        size = np.linalg.norm(table[rows], norm_type, axis=1)
        factor = np.where(size > max_norm, max_norm / (size + 1e-7), 1)
        fresh = table.copy()
        fresh[rows] *= factor[:, None].astype(table.dtype)
        store(weight, fresh)
        state.grad = before
    padding = None if padding_idx is None else padding_idx % count
    return networks.embedding_step(input, weight, padding)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of rows of a table over bags: the rows of a matrix of indices, or stretches from `offsets` on."""
    if input.ndim == 2:
        rows: Any = embedding(input, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
        bags = np.repeat(np.arange(input.shape[0]), input.shape[1])
        flat, flat_input = rows.reshape(-1, weight.shape[1]), concrete(input, "embedding_bag").reshape(-1)
        count = input.shape[0]
    else:
        assert offsets is not None, "offsets has to be a 1D Tensor but got None"
        starts = concrete(offsets, "embedding_bag")
        count = len(starts) - include_last_offset
        flat_input = concrete(input, "embedding_bag")
        bags = np.searchsorted(starts[:count], np.arange(len(flat_input)), side="right") - 1
        flat = embedding(input, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        flat = flat * per_sample_weights.reshape(-1, 1)  # type: ignore[attr-defined]
    if padding_idx is not None:
        keep = np.flatnonzero(flat_input != padding_idx)
        flat, bags = flat[make(keep)], bags[keep]
    target: Any = make(np.zeros((count, weight._array.shape[1]), weight._array.dtype))
    at: Any = make(bags.astype(np.int64))
    if mode == "max":
        spread = at.reshape(-1, 1).expand(-1, weight._array.shape[1])
        return target.scatter_reduce(0, spread, flat, "amax", include_self=False)
    total = target.index_add(0, at, flat)
    if mode == "sum":
        return total
    sizes = np.maximum(np.bincount(bags, minlength=count), 1)[:, None]
    return total / make(sizes.astype(weight._array.dtype))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Vectors with 1 at the class and 0 elsewhere, int64. Raises RuntimeError for classes out of range."""
    array = tensor._array
    if array.dtype != np.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if num_classes == -1:
        array = concrete(tensor, "one_hot")
        num_classes = int(array.max()) + 1 if array.size else 0
    if type(array) is np.ndarray and array.size:
        if array.min() < 0:
            raise RuntimeError("Class values must be non-negative.")
        if array.max() >= num_classes:
            raise RuntimeError(
                f"Class values must be smaller than num_classes: got {int(array.max())} with num_classes={num_classes}."
            )
    classes: Any = make(np.arange(num_classes))
    return (tensor.unsqueeze(-1) == classes).to(make(np.zeros(0, np.int64)).dtype)  # type: ignore[attr-defined]


def _probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _noised(step: Any, input: Tensor, p: float, training: bool, inplace: bool, *more: Any) -> Tensor:
    _probability(p)
    if not training or p == 0:
        return input
    if not inplace:
        return step(input, next_key(None), p, *more)
    check_write(input)
    return step.operation.call([input, next_key(None), p, *more], input)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training each value 0 with probability p, the others divided by 1 - p."""
    return _noised(networks.dropout_step, input, p, training, inplace)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """dropout of whole channels."""
    return _noised(networks.feature_dropout_step, input, p, training, inplace)


dropout2d = dropout3d = dropout1d


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """dropout that keeps mean and variance after selu."""
    return _noised(networks.alpha_dropout_step, input, p, training, inplace, False)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout of whole channels."""
    return _noised(networks.alpha_dropout_step, input, p, training, inplace, True)


# ---- pools ----


def _pooled_size(size: Any, input: Tensor, rank: int) -> Any:
    if isinstance(size, int):
        return (size,) * rank
    return tuple(input._array.shape[-rank + i] if s is None else int(s) for i, s in enumerate(size))


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means of `output_size` windows."""
    return networks.adaptive_avg_pool(input, _pooled_size(output_size, input, 1), 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means of `output_size` windows in two dimensions."""
    return networks.adaptive_avg_pool(input, _pooled_size(output_size, input, 2), 2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means of `output_size` windows in three dimensions."""
    return networks.adaptive_avg_pool(input, _pooled_size(output_size, input, 3), 3)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest values of `output_size` windows."""
    return networks.adaptive_max_pool(input, _pooled_size(output_size, input, 1), return_indices, 1)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest values of `output_size` windows in two dimensions."""
    return networks.adaptive_max_pool(input, _pooled_size(output_size, input, 2), return_indices, 2)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest values of `output_size` windows in three dimensions."""
    return networks.adaptive_max_pool(input, _pooled_size(output_size, input, 3), return_indices, 3)


def _with_indices(rank: int) -> Any:
    pool = (max_pool1d, max_pool2d, max_pool3d)[rank - 1]

    def function(
        input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode, True)

    function.__name__ = function.__qualname__ = f"max_pool{rank}d_with_indices"
    function.__doc__ = "(The largest value of each window, its place in the flattened image.)"
    return function


max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = map(_with_indices, (1, 2, 3))


def adaptive_max_pool1d_with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """(The largest values of `output_size` windows, their places.)"""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """(The largest values of `output_size` windows in two dimensions, their places.)"""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """(The largest values of `output_size` windows in three dimensions, their places.)"""
    return adaptive_max_pool3d(input, output_size, True)


def _unpooled(rank: int) -> Any:
    def function(
        input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
    ) -> Tensor:
        kernel, step = _pooled_size(kernel_size, input, rank), _pooled_size(stride or kernel_size, input, rank)
        pads = _pooled_size(padding, input, rank)
        if output_size is None:
            space = input._array.shape[-rank:]
            size = tuple((n - 1) * s - 2 * p + k for n, s, p, k in zip(space, step, pads, kernel, strict=True))
        else:
            size = tuple(output_size)[-rank:]
        return networks.max_unpool(input, indices, size)

    function.__name__ = function.__qualname__ = f"max_unpool{rank}d"
    function.__doc__ = "Values put back where a max pool had found them; zeros elsewhere."
    return function


max_unpool1d, max_unpool2d, max_unpool3d = _unpooled(1), _unpooled(2), _unpooled(3)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The norm of each window."""
    return networks.lp_pool(input, float(norm_type), kernel_size, stride, ceil_mode, 1)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The norm of each window in two dimensions."""
    return networks.lp_pool(input, float(norm_type), kernel_size, stride, ceil_mode, 2)


# ---- norms ----


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel brought to mean 0 and variance 1: of the batch in training (moving the running statistics), else
    the running ones.

    Raises ValueError in training for one value per channel.
    """
    if training:
        shape = input._array.shape
        if input.numel() // max(shape[1], 1) == 1 and input.numel():
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    found = networks.batch_norm_step(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return _with_statistics(found, running_mean, running_var)


def _with_statistics(found: Any, running_mean: Tensor | None, running_var: Tensor | None) -> Tensor:
    if len(found) == 1 or running_mean is None or running_var is None:
        return found[0]
    before, state.grad = state.grad, False
    copy_(running_mean, found[1])
    copy_(running_var, found[2])
    state.grad = before
    return found[0]


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each example brought to mean 0 and variance 1."""
    if use_input_stats and int(np.prod(input._array.shape[2:], dtype=np.int64)) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    found = networks.instance_norm_step(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    return _with_statistics(found, running_mean, running_var)


def layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """The last dimensions brought to mean 0 and variance 1, then scaled and moved."""
    shape = tuple(normalized_shape) if not isinstance(normalized_shape, int) else (normalized_shape,)
    if input._array.shape[-len(shape) :] != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, "
            f"{', '.join(map(str, shape))}], but got input of size"
            f"{list(input._array.shape)}"
        )
    return networks.layer_norm(input, shape, weight, bias, eps)


def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """The last dimensions divided by the root of their mean square, then scaled."""
    return _rms_norm(input, tuple(normalized_shape), weight, eps)


# ---- attention ----


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query key^T / sqrt(E) + mask) value for tensors (..., L, E), (..., S, E), (..., S, V).

    attn_mask: booleans (False hides) or numbers that are added; not together with is_causal.
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(times, -3), value.repeat_interleave(times, -3)  # type: ignore[attr-defined]
    if dropout_p > 0:
        factor = query.shape[-1] ** -0.5 if scale is None else scale
        scores: Any = (query * factor) @ key.transpose(-2, -1)  # type: ignore[operator]
        if is_causal:
            hidden: Any = make(~np.tril(np.ones(scores.shape[-2:], bool)))
            scores = scores.masked_fill(hidden, float("-inf"))
        if attn_mask is not None:
            boolean = attn_mask._array.dtype == np.bool_
            scores = scores.masked_fill(~attn_mask, float("-inf")) if boolean else scores + attn_mask  # type: ignore[operator]
        return dropout(scores.softmax(-1), dropout_p) @ value  # type: ignore[operator]
    return networks.attention_step(query, key, value, attn_mask, is_causal, scale)


# ---- losses ----


def _same_sizes(input: Tensor, target: Tensor) -> None:
    if input._array.shape != target._array.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will likely lead to "
            "incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def _reduction(size_average: Any, reduce: Any, reduction: str) -> str:
    if size_average is None and reduce is None:
        return reduction
    return "none" if reduce is False else "sum" if size_average is False else "mean"


def mse_loss(input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
             weight: Tensor | None = None) -> Tensor:  # fmt: skip
    """(input - target)**2."""
    _same_sizes(input, target)
    return losses.mse_loss(input, target, weight, _reduction(size_average, reduce, reduction))


def l1_loss(input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
            weight: Tensor | None = None) -> Tensor:  # fmt: skip
    """|input - target|; the derivative at 0 is 0."""
    _same_sizes(input, target)
    return losses.l1_loss(input, target, weight, _reduction(size_average, reduce, reduction))


def smooth_l1_loss(input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
                   beta: float = 1.0) -> Tensor:  # fmt: skip
    """Square near 0, absolute value from beta on."""
    _same_sizes(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return _smooth_l1(input, target, _reduction(size_average, reduce, reduction), beta)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Square near 0, slope delta from delta on."""
    _same_sizes(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    return losses.huber_loss(input, target, weight, reduction, delta)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) for x in [0, 1].

    Raises ValueError for sizes that differ, RuntimeError outside of [0, 1].
    """
    if target._array.shape != input._array.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is "
            f"deprecated. Please ensure they "
            "have the same size."
        )
    array = input._array
    if type(array) is np.ndarray and array.size and not ((array >= 0) & (array <= 1)).all():
        raise RuntimeError("all elements of input should be between 0 and 1")
    return losses.bce_step(input, target, weight, _reduction(size_average, reduce, reduction))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of sigmoid(input), without overflow. Raises ValueError for sizes that differ."""
    if target._array.shape != input._array.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    return losses.bce_with_logits(input, target, weight, _reduction(size_average, reduce, reduction), pos_weight)


def _check_classes(target: Tensor, count: int, ignore_index: int) -> None:
    array = target._array
    if type(array) is np.ndarray and array.size:
        wrong = array[((array < 0) | (array >= count)) & (array != ignore_index)]
        if wrong.size:
            raise IndexError(
                f"Target {int(wrong.reshape(-1)[0])} is out of bounds for {count} classes (0 to {count - 1})."
            )


def _check_weight(weight: Tensor | None, input: Tensor) -> None:
    """Raises RuntimeError unless there is a weight for each class, or none at all."""
    classes = input._array.shape[1 if input.ndim > 1 else 0] if input.ndim else 0
    if weight is not None and weight._array.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: "
            f"{list(weight._array.shape)}"
        )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """-weight[t] * input[t] of log-probabilities (N, C, ...) and classes (N, ...). The mean is weighted.

    IndexError for a bad class.
    """
    if input.ndim > 1 and input._array.shape[0] != target._array.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({input._array.shape[0]}) to match target batch_size ({target._array.shape[0]})."
        )
    if target._array.dtype.kind not in "iu":
        raise RuntimeError(f"expected scalar type Long but found {target.dtype.title}")
    _check_weight(weight, input)
    _check_classes(target, input._array.shape[1 if input.ndim > 1 else 0], ignore_index)
    return losses.nll_step(input, target, weight, ignore_index, _reduction(size_average, reduce, reduction))


def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, ignore_index: int = -100,
                  reduce: Any = None, reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:  # fmt: skip
    """nll_loss(log_softmax(input), target), or the cross-entropy with probabilities where the target has the input's shape."""
    how = _reduction(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    _check_weight(weight, input)
    if target._array.dtype.kind in "fc" and target._array.shape == input._array.shape:
        return losses.soft_cross_entropy(input, target, weight, how, float(label_smoothing))
    classes = 1 if input.ndim > 1 else 0
    if target._array.dtype.kind in "fc":
        raise RuntimeError(
            f"expected scalar type Long but found {target.dtype.title}; class labels are integers, see .long()"
        )
    logs = _log_softmax(input, classes)
    if not label_smoothing:
        return nll_loss(logs, target, weight, None, ignore_index, None, how)
    _check_classes(target, input._array.shape[classes], ignore_index)
    return losses.smoothed_step(logs, target, weight, ignore_index, how, float(label_smoothing))


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """cross_entropy of linear(input, linear_weight, linear_bias), for inputs (N, in) or (in,).

    linear_weight: (C, in) or (C, d1, ..., dK, in) for targets (N, d1, ..., dK); linear_bias the same without `in`, or (C,).
    Raises NotImplementedError for options, which in PyTorch choose how the scores are cut into chunks.
    """
    if options is not None:
        raise NotImplementedError("linear_cross_entropy: options are not supported; write options=None.")
    *shape, width = linear_weight.shape
    scores: Any = linear(input, linear_weight.reshape(-1, width))  # type: ignore[attr-defined]
    scores = scores.reshape(*scores.shape[:-1], *shape)
    if linear_bias is not None:
        scores = scores + linear_bias.reshape(*linear_bias.shape, *(1,) * (len(shape) - linear_bias.ndim))  # type: ignore[attr-defined]
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(scores, target, weight, None, ignored, None, reduction, label_smoothing)


def kl_div(input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
           log_target: bool = False) -> Tensor:  # fmt: skip
    """target * (log target - input) of log-probabilities; reduction "batchmean" divides the sum by the batch size."""
    loss: Any = losses.kl_step(input, target, log_target)
    how = _reduction(size_average, reduce, reduction)
    if how not in ("none", "mean", "sum", "batchmean"):
        raise ValueError(f"{how} is not a valid value for reduction")
    if how == "batchmean":
        return loss.sum() / input._array.shape[0]
    if how == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' "
            "divides only by the batch "
            "size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
        return loss.mean()
    return loss.sum() if how == "sum" else loss


def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
                      size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Tensor:  # fmt: skip
    """The mean over the other classes of max(0, margin - x[t] + x[i])**p."""
    return losses.multi_margin_loss(input, target, p, margin, weight, _reduction(size_average, reduce, reduction))


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None
) -> Tensor:
    """As `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` by the nearest value; deprecated in PyTorch, with a warning."""
    return _upsampled("upsample_nearest", input, size, scale_factor, "nearest", None)


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` with mode="bilinear" and align_corners=True; deprecated in PyTorch, with a warning."""
    return _upsampled("upsample_bilinear", input, size, scale_factor, "bilinear", True)


def _upsampled(name: str, input: Tensor, size: Any, scale_factor: Any, mode: str, align: bool | None) -> Tensor:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.", UserWarning, stacklevel=3
    )
    return interpolate(input, size, scale_factor, mode, align)


native_channel_shuffle = channel_shuffle

_ = rebase
