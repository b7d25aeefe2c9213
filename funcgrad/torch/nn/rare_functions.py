"""Functions of `torch.nn.functional` that few need: fractional max pools, lp_pool3d, conv_tbc."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops import networks
from funcgrad.torch.ops.random import rand
from funcgrad.torch.tensor import Tensor, concrete, make


def _each(value: Any, rank: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


@operation(
    lambda input, places, shape: f"FractionalMaxPool{len(shape)}DBackward0", method=False, name="fractional_max_pool"
)
def _pooled(input: Operand, places: Operand, shape: tuple[int, ...]) -> Any:
    """(largest values, where they lie): input (N, C, ...), places (N, C, outputs, window) in the flattened images."""
    rank = len(shape)
    n, c, outputs, window = places.shape
    flat = fnp.reshape(input, (n, c, -1))
    inside = fnp.reshape(fnp.take_along_axis(flat, fnp.reshape(places, (n, c, outputs * window)), 2), places.shape)
    best = fnp.take_along_axis(places, fnp.argmax(inside, axis=-1)[..., None], 3)[..., 0]
    found = fnp.take_along_axis(flat, best, 2)
    return fnp.reshape(found, (*input.shape[:-rank], *shape)), fnp.reshape(best, (*input.shape[:-rank], *shape))


def _starts(samples: np.ndarray, size: int, outputs: int, window: int) -> np.ndarray:
    """Where the windows of one axis begin, by a random number for each channel: (N, C, outputs)."""
    step = samples.dtype.type((size - window) / (outputs - 1)) if outputs > 1 else samples.dtype.type(0)
    u = samples[..., None]
    found = ((np.arange(outputs, dtype=samples.dtype) + u) * step).astype(np.int64) - (u * step).astype(np.int64)
    found[..., -1] = size - window
    return found


def _fractional(rank: int, input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any) -> Any:
    name = f"fractional_max_pool{rank}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(f"{name}: Expected {rank + 1}D or {rank + 2}D tensor, but got: {list(input.shape)}")
    space, kernel = tuple(input.shape[-rank:]), _each(kernel_size, rank)
    if output_size is None:
        shape = tuple(int(n * r) for n, r in zip(space, _each(output_ratio, rank), strict=True))
    else:
        shape = _each(output_size, rank)
    for n, m, k in zip(space, shape, kernel, strict=True):
        if m + k - 1 > n or m < 1:
            raise RuntimeError(f"{name}: pool size {k} too large relative to input size {n} for an output of {m}")
    batch: Any = input if input.ndim == rank + 2 else input.unsqueeze(0)  # type: ignore[attr-defined]
    if samples is None:
        samples = rand(*batch.shape[:2], rank, dtype=input.dtype)
    if tuple(samples.shape) != (*batch.shape[:2], rank):
        raise RuntimeError(
            f"{name}: Expect _random_samples to have shape {(*batch.shape[:2], rank)}, got {tuple(samples.shape)}"
        )
    drawn = concrete(samples, name)
    # The random numbers of 2d come width first, those of 3d depth first.
    order = range(rank) if rank == 3 else reversed(range(rank))
    places: Any = np.zeros((*batch.shape[:2], *(1,) * (2 * rank)), np.int64)
    for axis, at in enumerate(order):
        rows = _starts(drawn[..., at], space[axis], shape[axis], kernel[axis])[..., None] + np.arange(kernel[axis])
        spread = [1] * (2 * rank)
        spread[axis], spread[rank + axis] = shape[axis], kernel[axis]
        places = places * space[axis] + rows.reshape(*rows.shape[:2], *spread)
    flat = np.ascontiguousarray(places).reshape(*batch.shape[:2], int(np.prod(shape)), int(np.prod(kernel)))
    values, indices = _pooled(batch, make(flat), shape)
    return (values, indices) if batch is input else (values.squeeze(0), indices.squeeze(0))


def fractional_max_pool2d_with_indices(input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                                       return_indices: bool = False, _random_samples: Any = None) -> Any:  # fmt: skip
    """(largest values, their places) of windows that lie where random numbers say (Graham, 2014): (N, C, H, W) or (C, H, W).

    output_size, or output_ratio of the input's. _random_samples: (N, C, 2) in [0, 1). Raises ValueError without both sizes,
    RuntimeError for windows that do not fit.
    """
    return _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d_with_indices(input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                                       return_indices: bool = False, _random_samples: Any = None) -> Any:  # fmt: skip
    """As `fractional_max_pool2d_with_indices` for (N, C, D, H, W) or (C, D, H, W), with _random_samples (N, C, 3)."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                          return_indices: bool = False, _random_samples: Any = None) -> Any:  # fmt: skip
    """`fractional_max_pool2d_with_indices`, without the places unless return_indices says so."""
    found = _fractional(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]


def fractional_max_pool3d(input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                          return_indices: bool = False, _random_samples: Any = None) -> Any:  # fmt: skip
    """`fractional_max_pool3d_with_indices`, without the places unless return_indices says so."""
    found = _fractional(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """The norm of each window in three dimensions."""
    return networks.lp_pool(input, float(norm_type), kernel_size, stride, ceil_mode, 3)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Convolution of sequences (T, N, C) by a weight (K, C, D), with zeros at both ends: (T + 2 * pad - K + 1, N, D)."""
    if input.ndim != 3 or weight.ndim != 3 or bias.ndim != 1:
        raise RuntimeError(
            f"conv_tbc: Input must have 3 dims: time, batch, in_channel; weight 3 and bias 1, got {input.ndim}, {weight.ndim} "
            f"and {bias.ndim}"
        )
    x, w = input.permute(1, 2, 0), weight.permute(2, 1, 0)  # type: ignore[attr-defined]
    return networks.conv1d(x, w, bias, 1, pad).permute(2, 0, 1)
