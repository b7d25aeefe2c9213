"""torch.nn.functional's pooling as pure functions: reductions of windows (ops/window.py) with PyTorch's sizes and divisors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.nn.axes import Shape, Size, moved, per_axis, with_batch, without_batch
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import reduce_sum, reshape
from funcgrad.ops.conv import extent
from funcgrad.ops.index import gather, scatter
from funcgrad.ops.window import window_extreme, window_index, window_sum

Params = dict[str, Any]


def _out(n: int, window: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> int:
    room = n + 2 * pad - extent(window, dilation)
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    # A window that would begin in the padding after the input is left out.
    return count - 1 if ceil_mode and (count - 1) * stride >= n + pad else count


def _settings(function: str, space: Shape, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size,
              ceil_mode: bool) -> tuple[Params, Shape]:  # fmt: skip
    """Parameters of the rows for (N, C, space...), and the padding asked for."""
    rank = len(space)
    window = per_axis(function, "kernel_size", kernel_size, rank)
    strides = window if stride is None or stride == [] or stride == () else per_axis(function, "stride", stride, rank)
    pads, spread = per_axis(function, "padding", padding, rank, 0), per_axis(function, "dilation", dilation, rank)
    if any(2 * p > k for p, k in zip(pads, window, strict=True)):
        raise ValueError(
            f"{function}: padding must be at most half of the kernel size, got padding {pads} and kernel {window}."
        )
    out = [_out(n, k, s, p, d, ceil_mode) for n, k, s, p, d in zip(space, window, strides, pads, spread, strict=True)]
    if any(m < 1 for m in out):
        raise ValueError(
            f"{function}: windows of size {window} do not fit into the input of size {space} padded by {pads}."
        )
    ends = [
        (m - 1) * s + extent(k, d) - n - p
        for n, k, s, p, d, m in zip(space, window, strides, pads, spread, out, strict=True)
    ]
    return {
        "window": (1, 1, *window), "strides": (1, 1, *strides), "dilation": (1, 1, *spread),
        "padding": ((0, 0), (0, 0), *zip(pads, ends, strict=True)),
    }, pads  # fmt: skip


def _max(rank: int, x: Any, kernel_size: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool,
         return_indices: bool) -> Any:  # fmt: skip
    function = f"max_pool{rank}d"
    x, added = with_batch(function, array_operand(x), rank)
    space = shape_of(x)[2:]
    params, _ = _settings(function, space, kernel_size, stride, padding, dilation, ceil_mode)
    values = wrap(without_batch(window_extreme(x, largest=True, **params), added))
    if not return_indices:
        return values
    places = e.remainder(window_index(x, largest=True, **params), max(math.prod(space), 1))
    return values, wrap(without_batch(places, added))


def max_pool1d(input: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:  # fmt: skip
    """The largest value of each window of (N, C, L) or (C, L), with its place (int64) if `return_indices`.

    The derivative goes to the first of equal values. Raises ValueError for windows that do not fit.
    """
    return _max(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:  # fmt: skip
    """max_pool1d of (N, C, H, W); places count through the plane in C order."""
    return _max(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(input: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
               ceil_mode: bool = False, return_indices: bool = False) -> Any:  # fmt: skip
    """max_pool1d of (N, C, D, H, W)."""
    return _max(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _divisor(space: Shape, params: Params, pads: Shape, include: bool) -> np.ndarray:
    """How many values each window counts: inside the input, or inside it and the padding asked for."""
    total = np.ones((), np.int64)
    for axis, (n, p) in enumerate(zip(space, pads, strict=True)):
        window, stride, (_, end) = params["window"][2 + axis], params["strides"][2 + axis], params["padding"][2 + axis]
        start = np.arange((n + p + end - window) // stride + 1) * stride - p
        stop = np.minimum(start + window, n + p)
        if not include:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        total = np.multiply.outer(total, stop - start)
    return total


def _average(rank: int, x: Any, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool, include: bool,
             divisor: int | None) -> Any:  # fmt: skip
    function = f"avg_pool{rank}d"
    x, added = with_batch(function, array_operand(x), rank)
    params, pads = _settings(function, shape_of(x)[2:], kernel_size, stride, padding, 1, ceil_mode)
    if divisor is not None and not divisor:
        raise ValueError(f"{function}: divisor_override must not be 0; leave it out to count the values.")
    count = np.asarray(divisor) if divisor is not None else _divisor(shape_of(x)[2:], params, pads, include)
    if count.size and (count == count.flat[0]).all():
        count = count.flat[0]
    return wrap(without_batch(window_sum(x, **params) / np.asarray(count, dtype_of(x)), added))


def avg_pool1d(input: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Any:  # fmt: skip
    """The mean of each window of (N, C, L) or (C, L); zeros of the padding count if `count_include_pad`."""
    return _average(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(input: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Any:  # fmt: skip
    """avg_pool1d of (N, C, H, W); `divisor_override` divides in place of the count."""
    return _average(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool3d(input: Any, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
               count_include_pad: bool = True, divisor_override: int | None = None) -> Any:  # fmt: skip
    """avg_pool1d of (N, C, D, H, W)."""
    return _average(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def lp_pool(input: Any, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False,
            rank: int = 2) -> Any:  # fmt: skip
    """The norms of each window: (sum of x ** norm_type) ** (1 / norm_type) over `rank` spatial axes."""
    x, added = with_batch(f"lp_pool{rank}d", array_operand(input), rank)
    params, _ = _settings(f"lp_pool{rank}d", shape_of(x)[2:], kernel_size, stride, 0, 1, ceil_mode)
    total = window_sum(e.power(x, float(norm_type)), **params)
    # The sign keeps the derivative at 0 from being infinite; an odd norm of a negative sum is nan, as in PyTorch.
    raised = e.sign(total) * e.maximum(e.absolute(total), 0.0)
    return wrap(without_batch(e.power(raised, 1.0 / norm_type), added))


# ---- adaptive: windows that share the input out evenly ----


def _target(function: str, output_size: Any, space: Shape) -> Shape:
    rank = len(space)
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * rank
    if len(given) == 1:
        given = tuple(given) * rank
    found = tuple(n if m is None else int(m) for m, n in zip(given, space, strict=False))
    if len(given) != rank or any(m < 1 for m in found) or 0 in space:
        raise ValueError(f"{function}: output_size must be one or {rank} positive numbers or None, got {output_size!r}, "
                         f"for an input of size {space} without empty axes.")  # fmt: skip
    return found


def _arranged(x: Any, target: Shape, fill: Any) -> tuple[Any, Shape, list[np.ndarray]]:
    """x with the windows of each axis laid side by side in one length (filled up), that length, and where values came from."""
    lengths, tables = [], []
    for axis, m in enumerate(target, 2):
        n = shape_of(x)[axis]
        start, stop = np.arange(m) * n // m, -(-(np.arange(1, m + 1) * n) // m)
        length = int((stop - start).max())
        places = start[:, None] + np.arange(length)
        used = places < stop[:, None]
        places = np.minimum(places, n - 1).reshape(-1)
        lengths.append(length)
        tables.append(places)
        if m * length == n and used.all():
            continue
        x = moved(gather(x, places, axes=(axis,), mode="clip"), 0, axis)
        if not used.all():
            x = e.select(used.reshape(-1, *(1,) * (len(shape_of(x)) - 1 - axis)), x, np.asarray(fill, dtype_of(x)))
    return x, tuple(lengths), tables


def _side_by_side(lengths: Shape) -> Params:
    rank = len(lengths) + 2
    return {
        "window": (1, 1, *lengths),
        "strides": (1, 1, *lengths),
        "padding": ((0, 0),) * rank,
        "dilation": (1,) * rank,
    }


def adaptive_avg_pool(input: Any, output_size: Any, rank: int = 2) -> Any:
    """The means of output_size windows that share out the last `rank` axes of (N, C, space...); None keeps an axis."""
    x, added = with_batch(f"adaptive_avg_pool{rank}d", array_operand(input), rank)
    space = shape_of(x)[2:]
    target = _target(f"adaptive_avg_pool{rank}d", output_size, space)
    if all(m == 1 for m in target):
        total = reduce_sum(x, axes=tuple(range(2, rank + 2)))
        return wrap(without_batch(reshape(total, shape=(*shape_of(x)[:2], *target)) * (1 / math.prod(space)), added))
    count: Any = np.ones((), np.int64)
    for n, m in zip(space, target, strict=True):
        count = np.multiply.outer(count, -(-(np.arange(1, m + 1) * n) // m) - np.arange(m) * n // m)
    laid, lengths, _ = _arranged(x, target, 0)
    total = window_sum(laid, **_side_by_side(lengths))
    if (count == count.flat[0]).all():
        count = count.flat[0]
    return wrap(without_batch(total / np.asarray(count, dtype_of(x)), added))


def adaptive_max_pool(input: Any, output_size: Any, return_indices: bool = False, rank: int = 2) -> Any:
    """The largest values of output_size windows that share out the last `rank` axes, with their places if asked."""
    x, added = with_batch(f"adaptive_max_pool{rank}d", array_operand(input), rank)
    space = shape_of(x)[2:]
    target = _target(f"adaptive_max_pool{rank}d", output_size, space)
    laid, lengths, tables = _arranged(x, target, -np.inf if dtype_of(x).kind == "f" else np.iinfo(dtype_of(x)).min)
    params = _side_by_side(lengths)
    values = wrap(without_batch(window_extreme(laid, largest=True, **params), added))
    if not return_indices:
        return values
    flat: Any = np.zeros((), np.int64)
    for n, table in zip(space, tables, strict=True):
        flat = np.add.outer(flat * n, table)
    found = e.remainder(window_index(laid, largest=True, **params), flat.size)
    return values, wrap(without_batch(gather(flat.reshape(-1), found, axes=(0,), mode="clip"), added))


def max_unpool(input: Any, indices: Any, output_size: Shape) -> Any:
    """Zeros (N, C, *output_size) with each value of (N, C, space...) at its place in its plane, as max pooling gave it."""
    x, places = array_operand(input), array_operand(indices)
    if shape_of(x) != shape_of(places) or len(shape_of(x)) != len(output_size) + 2:
        raise ValueError(
            f"max_unpool: input {shape_of(x)} and indices {shape_of(places)} must have one shape (N, C, {len(output_size)} axes)."
        )
    n, c, *space = shape_of(x)
    size = math.prod(output_size)
    flat = reshape(places, shape=(n, c, math.prod(space)))
    zeros = np.zeros((n, c, size), dtype_of(x))
    rows, columns = np.arange(n)[:, None, None], np.arange(c)[:, None]
    updates = reshape(x, shape=(n, c, math.prod(space)))
    found = scatter(zeros, updates, rows, columns, flat, axes=(0, 1, 2), op="set", mode="raise")
    return wrap(reshape(found, shape=(n, c, *output_size)))
