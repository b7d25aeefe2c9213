"""torch.nn.functional's paddings and resamplings of images as pure functions: pad, interpolate, grid_sample, pixel_shuffle."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.nn.axes import Shape, moved
from funcgrad.nn.pooling import adaptive_avg_pool
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_in_dim, convert, reshape, transpose
from funcgrad.ops.index import gather
from funcgrad.ops.shape import concatenate, rev, slice_axis
from funcgrad.ops.shape import pad as pad_row

# ---- padding ----


def _edges(x: Any, axis: int, before: int, after: int, mode: str) -> Any:
    n = shape_of(x)[axis]
    if mode == "reflect":
        left = rev(slice_axis(x, 1, before + 1, axis), axes=(axis,))
        right = rev(slice_axis(x, n - 1 - after, n - 1, axis), axes=(axis,))
    elif mode == "replicate":
        left, right = (_repeated(slice_axis(x, a, a + 1, axis), k, axis) for a, k in ((0, before), (n - 1, after)))
    else:
        left, right = slice_axis(x, n - before, n, axis), slice_axis(x, 0, after, axis)
    return concatenate(left, x, right, axis=axis)


def _repeated(x: Any, count: int, axis: int) -> Any:
    shape = tuple(count if i == axis else n for i, n in enumerate(shape_of(x)))
    return broadcast_in_dim(x, shape=shape, dims=tuple(range(len(shape))))


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """x with values added (or cut, where negative) at the ends of its last axes.

    Args:
        pad: (before, after) of the last axis, then of the one before it, and so on.
        mode: "constant", with `value` (0 by default), "reflect", "replicate" or "circular".

    Raises ValueError for an odd number of entries, an unknown mode, and more than the mode can take from the input.
    """
    x = array_operand(input)
    rank, widths = len(shape_of(x)), [int(p) for p in pad]
    if len(widths) % 2 or len(widths) > 2 * rank:
        raise ValueError(f"pad: the widths must be pairs for at most {rank} axes, got {tuple(widths)}.")
    pairs = [(widths[i], widths[i + 1]) for i in range(0, len(widths), 2)]
    pairs = [(0, 0)] * (rank - len(pairs)) + pairs[::-1]
    if mode == "constant":
        if any(n + a + b < 0 for n, (a, b) in zip(shape_of(x), pairs, strict=True)):
            raise ValueError(f"pad: {tuple(widths)} cuts more than there is from shape {shape_of(x)}.")
        low, high = (tuple(p[i] for p in pairs) for i in (0, 1))
        fill = np.asarray(0 if value is None else value, dtype_of(x))
        return wrap(pad_row(x, fill, low=low, high=high, interior=(0,) * rank))
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}.")
    if value is not None and value != 0:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}.")
    for axis, (a, b) in enumerate(pairs):
        n = shape_of(x)[axis]
        most = {"reflect": n - 1, "replicate": max(a, b) if n else 0, "circular": n}[mode]
        if max(a, b) > most or n + min(a, 0) + min(b, 0) < 1:
            raise ValueError(
                f"pad: mode {mode!r} can add at most {most} to axis {axis} of shape {shape_of(x)}, got {(a, b)}."
            )
        if a < 0 or b < 0:
            x = slice_axis(x, max(-a, 0), n - max(-b, 0), axis)
        if a > 0 or b > 0:
            x = _edges(x, axis, max(a, 0), max(b, 0), mode)
    return wrap(x)


# ---- interpolation: along one axis after the other ----

_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}


def _places(n: int, m: int, scale: float | None, align_corners: bool, real: Any) -> np.ndarray:
    """For each of m places of the result its place among n, with half-pixel centres unless `align_corners`."""
    at = np.arange(m).astype(real)
    if align_corners:
        return at * real((n - 1) / (m - 1) if m > 1 else 0.0)
    step = real(1.0 / scale if scale is not None else n / m)
    return step * (at + real(0.5)) - real(0.5)


def _nearest(n: int, m: int, scale: float | None, exact: bool) -> np.ndarray:
    step = np.float32(1.0 / scale if scale is not None else n / m)
    at = np.arange(m, dtype=np.float32)
    return np.minimum(np.floor((at + np.float32(0.5) if exact else at) * step).astype(np.int64), n - 1)


def _taken(x: Any, places: np.ndarray, axis: int) -> Any:
    return moved(gather(x, places, axes=(axis,), mode="clip"), 0, axis)


def _weighted(x: Any, axis: int, taps: Sequence[tuple[np.ndarray, np.ndarray]]) -> Any:
    """The sum of values along an axis taken at some places, each times its weights."""
    rank = len(shape_of(x))
    total: Any = None
    for places, weights in taps:
        seen = _taken(x, places, axis) * weights.astype(dtype_of(x)).reshape(-1, *(1,) * (rank - 1 - axis))
        total = seen if total is None else total + seen
    return total


def _linear(x: Any, axis: int, m: int, scale: float | None, align_corners: bool) -> Any:
    n, real = shape_of(x)[axis], _real(x)
    at = np.maximum(_places(n, m, scale, align_corners, real), 0)
    low = np.minimum(np.floor(at).astype(np.int64), n - 1)
    part = at - low
    return _weighted(x, axis, [(low, 1 - part), (np.minimum(low + 1, n - 1), part)])


def _cubic_weights(t: Any) -> list[Any]:
    """The four weights of cubic convolution with a = -0.75, at distances 1 + t, t, 1 - t, 2 - t."""
    a = -0.75
    near = lambda d: ((a + 2) * d - (a + 3)) * d * d + 1  # noqa: E731
    far = lambda d: ((a * d - 5 * a) * d + 8 * a) * d - 4 * a  # noqa: E731
    return [far(1 + t), near(t), near(1 - t), far(2 - t)]


def _cubic(x: Any, axis: int, m: int, scale: float | None, align_corners: bool) -> Any:
    n = shape_of(x)[axis]
    at = _places(n, m, scale, align_corners, _real(x))
    low = np.floor(at).astype(np.int64)
    weights = _cubic_weights(at - low)
    return _weighted(x, axis, [(np.clip(low + k - 1, 0, n - 1), w) for k, w in enumerate(weights)])


def _real(x: Any) -> Any:
    return np.float64 if dtype_of(x) == np.float64 else np.float32


def _repeat_each(x: Any, axis: int, times: int) -> Any:
    shape = shape_of(x)
    n = len(shape)
    dims = tuple(i if i <= axis else i + 1 for i in range(n))
    wide = broadcast_in_dim(x, shape=(*shape[: axis + 1], times, *shape[axis + 1 :]), dims=dims)
    return reshape(wide, shape=(*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


def _sizes(space: Shape, size: Any, scale_factor: Any, recompute: bool | None) -> tuple[Shape, list[float | None]]:
    rank = len(space)
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"interpolate needs either size or scale_factor, got size={size!r}, scale_factor={scale_factor!r}."
        )
    name, given = ("size", size) if size is not None else ("scale_factor", scale_factor)
    each = tuple(given) if isinstance(given, (tuple, list)) else (given,) * rank
    if len(each) != rank:
        raise ValueError(f"interpolate: {name} must be one number or {rank} numbers, got {given!r}.")
    scaled = each if size is not None else [np.floor(n * v) for n, v in zip(space, each, strict=True)]
    target = tuple(int(v) for v in scaled)
    if any(m < 1 for m in target):
        raise ValueError(
            f"interpolate: the result's size must be positive, got {target} from {space} with {name}={given!r}."
        )
    keep = size is None and not recompute
    return target, [float(v) if keep else None for v in each]


def interpolate(input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Any:  # fmt: skip
    """(N, C, space...) resampled to `size`, or by `scale_factor`.

    Args:
        mode: "nearest", "nearest-exact", "linear" (one spatial axis), "bilinear" (two), "trilinear" (three), "bicubic" (two),
            "area".
        align_corners: whether corner values stay corners; for the linear and cubic modes.
        recompute_scale_factor: whether places follow from the sizes rather than from scale_factor.
        antialias: not offered.

    Raises ValueError for modes that do not fit the rank, NotImplementedError for antialias.
    """
    x = array_operand(input)
    space = shape_of(x)[2:]
    if antialias:
        raise NotImplementedError("interpolate(antialias=True) is not offered; leave it out.")
    if len(space) not in (1, 2, 3) or 0 in space:
        raise ValueError(
            f"interpolate takes (N, C, 1 to 3 spatial axes) with values along them, got shape {shape_of(x)}."
        )
    target, scales = _sizes(space, size, scale_factor, recompute_scale_factor)
    if mode in ("nearest", "nearest-exact", "area"):
        if align_corners is not None:
            raise ValueError(f"interpolate: align_corners is for the linear and cubic modes, not for {mode!r}.")
        if mode == "area":
            return adaptive_avg_pool(x, target, len(space))
        for axis, (n, m, s) in enumerate(zip(space, target, scales, strict=True), 2):
            if m % n == 0 and s in (None, m // n):
                x = _repeat_each(x, axis, m // n) if m != n else x
            else:
                x = _taken(x, _nearest(n, m, s, mode == "nearest-exact"), axis)
        return wrap(x)
    if _LINEAR.get(mode) != len(space) and not (mode == "bicubic" and len(space) == 2):
        raise ValueError(
            f"interpolate: mode {mode!r} does not fit {len(space)} spatial axes; there are 'nearest', 'nearest-exact', 'area', "
            "'linear' (1), 'bilinear' (2), 'bicubic' (2), 'trilinear' (3)."
        )
    along: Callable[..., Any] = _cubic if mode == "bicubic" else _linear
    for axis, (m, s) in enumerate(zip(target, scales, strict=True), 2):
        x = along(x, axis, m, s, bool(align_corners))
    return wrap(x)


# ---- sampling at computed places ----


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool = False) -> Any:
    """The places (N, H, W, 2), or (N, D, H, W, 3), that affine maps theta (N, 2, 3) or (N, 3, 4) give the pixels of `size`."""
    t = array_operand(theta)
    rank = len(size) - 2
    if rank not in (2, 3) or shape_of(t) != (size[0], rank, rank + 1):
        raise ValueError(
            f"affine_grid: theta must be (N, 2, 3) or (N, 3, 4) for size {tuple(size)}, got {shape_of(t)}."
        )
    dtype = dtype_of(t)
    lines = [_grid_line(n, align_corners, dtype) for n in size[2:]]
    base = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(tuple(size[2:]), dtype)], -1)
    count = int(np.prod(size[2:]))
    flat = reshape(transpose(t, permutation=(0, 2, 1)), shape=(size[0], 1, rank + 1, rank))
    products = reshape(base.reshape(1, count, rank + 1, 1) * flat, shape=(size[0], count, rank + 1, rank))
    total = sum(slice_axis(products, k, k + 1, 2) for k in range(rank + 1))
    return wrap(reshape(total, shape=(size[0], *size[2:], rank)))


def _grid_line(n: int, align_corners: bool, dtype: np.dtype) -> np.ndarray:
    line = np.linspace(-1, 1, n, dtype=dtype) if n > 1 else np.zeros(1, dtype)
    return line if align_corners or n <= 1 else line * dtype.type((n - 1) / n)


def _unscaled(at: Any, n: int, align_corners: bool) -> Any:
    """A place in [-1, 1] as a place among n pixels."""
    return (at + 1.0) * (0.5 * (n - 1)) if align_corners else ((at + 1.0) * n - 1.0) * 0.5


def _reflected(at: Any, n: int, align_corners: bool) -> Any:
    low, span = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
    if span <= 0:
        return at * 0.0
    away = e.absolute(at - low)
    turns = e.floor(away / span)
    rest = away - turns * span
    even = e.eq(e.remainder(turns, 2.0), 0.0)
    return e.select(even, rest + low, span - rest + low)


def _bounded(at: Any, n: int, padding_mode: str, align_corners: bool) -> Any:
    if padding_mode == "reflection":
        at = _reflected(at, n, align_corners)
    if padding_mode != "zeros":
        # Outside, and at nan, the derivative with respect to the place is 0.
        inside = e.logical_and(e.gt(at, 0.0), e.lt(at, n - 1.0))
        at = e.select(
            inside, at, e.select(e.ge(at, n - 1.0), np.asarray(n - 1.0, dtype_of(at)), np.asarray(0.0, dtype_of(at)))
        )
    return at


def _look(x: Any, places: Sequence[Any]) -> Any:
    """The values (N, out..., C) of x (N, C, space...) at integer places, 0 outside."""
    space = shape_of(x)[2:]
    n, rank = shape_of(x)[0], len(space)
    flat: Any = np.zeros((), np.int64)
    inside: Any = np.ones((), bool)
    for size, at in zip(space, places, strict=True):
        inside = e.logical_and(inside, e.logical_and(e.ge(at, 0), e.lt(at, size)))
        flat = flat * size + e.clamp(0, at, size - 1)
    batch = np.arange(n).reshape(n, *(1,) * rank)
    pixels = reshape(x, shape=(n, shape_of(x)[1], int(np.prod(space))))
    found = gather(pixels, batch, flat, axes=(0, 2), mode="clip")
    shown = reshape(inside, shape=(*shape_of(inside), 1))
    return e.select(shown, found, np.zeros((), dtype_of(x)))


def _integer(at: Any) -> Any:
    return convert(at, np.int64)


def _sample_linear(x: Any, at: Sequence[Any]) -> Any:
    floors = [e.floor(a) for a in at]
    parts = [a - f for a, f in zip(at, floors, strict=True)]
    total: Any = None
    for corner in itertools.product((0, 1), repeat=len(at)):
        weight: Any = None
        for up, part in zip(corner, parts, strict=True):
            factor = part if up else 1.0 - part
            weight = factor if weight is None else weight * factor
        seen = _look(x, [_integer(f) + up for f, up in zip(floors, corner, strict=True)])
        seen = seen * reshape(weight, shape=(*shape_of(weight), 1))
        total = seen if total is None else total + seen
    return total


def _sample_cubic(x: Any, at: Sequence[Any], padding_mode: str, align_corners: bool) -> Any:
    floors = [e.floor(a) for a in at]
    weights = [_cubic_weights(a - f) for a, f in zip(at, floors, strict=True)]
    total: Any = None
    for i, j in itertools.product(range(4), repeat=2):
        places = [
            _bounded(f + float(k - 1), n, padding_mode, align_corners)
            for f, k, n in zip(floors, (i, j), shape_of(x)[2:], strict=True)
        ]
        weight = weights[0][i] * weights[1][j]
        seen = _look(x, [_integer(p) for p in places]) * reshape(weight, shape=(*shape_of(weight), 1))
        total = seen if total is None else total + seen
    return total


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> Any:
    """(N, C, H, W) read at the places `grid` (N, H', W', 2), or (N, C, D, H, W) at (N, D', H', W', 3).

    Args:
        grid: (x, y) or (x, y, z) in [-1, 1] for each place of the result.
        mode: "bilinear", "nearest" or, for images, "bicubic".
        padding_mode: what lies outside: "zeros", "border" or "reflection".
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges.

    Returns:
        An array (N, C, H', W') or (N, C, D', H', W'). Raises ValueError for shapes and modes that do not fit.
    """
    x, g = array_operand(input), array_operand(grid)
    rank = len(shape_of(x)) - 2
    if (
        rank not in (2, 3)
        or len(shape_of(g)) != rank + 2
        or shape_of(g)[-1] != rank
        or shape_of(g)[0] != shape_of(x)[0]
    ):
        raise ValueError(
            f"grid_sample takes (N, C, H, W) with a grid (N, H', W', 2), or both with a depth and 3, got {shape_of(x)} and "
            f"{shape_of(g)}."
        )
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and rank == 3):
        raise ValueError(f"grid_sample: mode must be 'bilinear', 'nearest' or, for images, 'bicubic', got {mode!r}.")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"grid_sample: padding_mode must be 'zeros', 'border' or 'reflection', got {padding_mode!r}.")
    parts = [reshape(slice_axis(g, k, k + 1, rank + 1), shape=shape_of(g)[:-1]) for k in reversed(range(rank))]
    at = [_unscaled(p, n, align_corners) for p, n in zip(parts, shape_of(x)[2:], strict=True)]
    if mode == "bicubic":
        found = _sample_cubic(x, at, padding_mode, align_corners)
    else:
        at = [_bounded(a, n, padding_mode, align_corners) for a, n in zip(at, shape_of(x)[2:], strict=True)]
        found = _look(x, [_integer(e.rint(a)) for a in at]) if mode == "nearest" else _sample_linear(x, at)
    return wrap(moved(found, len(shape_of(found)) - 1, 1))


# ---- channels as pixels ----


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., C r^2, H, W) as (..., C, H r, W r). Raises ValueError unless r^2 divides the channels."""
    x, r = array_operand(input), int(upscale_factor)
    *lead, c, h, w = shape_of(x)
    if r < 1 or c % (r * r):
        raise ValueError(f"pixel_shuffle: the channels must be a multiple of {r} * {r}, got shape {shape_of(x)}.")
    k = len(lead)
    x = reshape(x, shape=(*lead, c // (r * r), r, r, h, w))
    x = transpose(x, permutation=(*range(k), k, k + 3, k + 1, k + 4, k + 2))
    return wrap(reshape(x, shape=(*lead, c // (r * r), h * r, w * r)))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., C, H r, W r) as (..., C r^2, H, W). Raises ValueError unless r divides the sizes."""
    x, r = array_operand(input), int(downscale_factor)
    *lead, c, h, w = shape_of(x)
    if r < 1 or h % r or w % r:
        raise ValueError(f"pixel_unshuffle: height and width must be multiples of {r}, got shape {shape_of(x)}.")
    k = len(lead)
    x = reshape(x, shape=(*lead, c, h // r, r, w // r, r))
    x = transpose(x, permutation=(*range(k), k, k + 2, k + 4, k + 1, k + 3))
    return wrap(reshape(x, shape=(*lead, c * r * r, h // r, w // r)))
