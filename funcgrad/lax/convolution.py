"""lax's convolutions: JAX's settings, composed of the three rows of ops/conv.py by transposes, reshapes and padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.lax.settings import check_precision
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import convert, reshape, transpose
from funcgrad.ops.conv import extent, out_size
from funcgrad.ops.shape import pad, rev
from funcgrad.ops.volumes import convolve, convolve_input

Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]
Padding = str | Sequence[tuple[int, int]]


class ConvDimensionNumbers(NamedTuple):
    """Which axes are what: (batch, feature, space...) of lhs and of the result, (out feature, in feature, space...) of rhs."""

    lhs_spec: Sequence[int]
    rhs_spec: Sequence[int]
    out_spec: Sequence[int]


ConvGeneralDilatedDimensionNumbers = None | ConvDimensionNumbers | tuple[str, str, str]
"""What `dimension_numbers` of a convolution may be."""


def conv_dimension_numbers(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any
) -> ConvDimensionNumbers:
    """Dimension numbers as axes. Strings such as ("NHWC", "HWIO", "NHWC") name them; None is batch, features, space.

    Raises TypeError for what names no dimensions, ValueError for strings that do not fit each other or the shapes.
    """
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    if len(lhs_shape) != len(rhs_shape):
        raise TypeError(f"a convolution needs lhs and rhs of one rank, got shapes {lhs_shape} and {rhs_shape}.")
    if dimension_numbers is None:
        iota = tuple(range(len(lhs_shape)))
        return ConvDimensionNumbers(iota, iota, iota)
    if not isinstance(dimension_numbers, (list, tuple)):
        raise TypeError(
            f"dimension_numbers must be None, a ConvDimensionNumbers or three strings, got {dimension_numbers!r}."
        )
    if len(dimension_numbers) != 3:
        raise ValueError(f"dimension_numbers needs three entries (lhs, rhs, result), got {dimension_numbers!r}.")
    lhs, rhs, out = dimension_numbers
    for name, text, needed in (("lhs", lhs, "NC"), ("rhs", rhs, "OI"), ("result", out, "NC")):
        if len(text) != len(lhs_shape) or len(set(text)) != len(text) or not set(needed) <= set(text):
            raise ValueError(
                f"dimension_numbers: the {name}'s {text!r} must have {len(lhs_shape)} different letters, '{needed[0]}' and "
                f"'{needed[1]}' among them."
            )
    space = [c for c in rhs if c not in "OI"]
    if set(lhs) - set("NC") != set(space) or set(out) - set("NC") != set(space):
        raise ValueError(
            f"dimension_numbers {tuple(dimension_numbers)!r} do not name the same spatial axes three times."
        )
    axes = lambda text, first: tuple(text.index(c) for c in (*first, *space))  # noqa: E731
    return ConvDimensionNumbers(axes(lhs, "NC"), axes(rhs, "OI"), axes(out, "NC"))


def _same_padding(n: int, window: int, stride: int, lower: bool) -> tuple[int, int]:
    total = max((-(-n // stride) - 1) * stride + window - n, 0)
    small, large = total // 2, total - total // 2
    return (large, small) if lower else (small, large)


def padtype_to_pads(in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int],
                    padding: Any) -> list[tuple[int, int]]:  # fmt: skip
    """The pairs (low, high) that "SAME", "SAME_LOWER" or "VALID" stand for. Raises ValueError for another name."""
    name = str(padding).upper() if isinstance(padding, str) else padding
    if name == "VALID":
        return [(0, 0)] * len(tuple(in_shape))
    if name in ("SAME", "SAME_LOWER"):
        lower = name == "SAME_LOWER"
        return [
            _same_padding(int(n), int(w), int(s), lower)
            for n, w, s in zip(in_shape, window_shape, window_strides, strict=True)
        ]
    raise ValueError(f"padding must be 'SAME', 'SAME_LOWER', 'VALID' or pairs (low, high), got {padding!r}.")


def _per_axis(name: str, given: Sequence[int] | None, rank: int) -> Shape:
    found = (1,) * rank if given is None else tuple(int(s) for s in given)
    if len(found) != rank:
        raise TypeError(f"{name} must have an entry for each of the {rank} spatial axes, got {given!r}.")
    if any(s < 1 for s in found):
        raise TypeError(f"{name} must be positive, got {given!r}.")
    return found


def conv_pads(padding: Padding, space: Shape, window: Shape, strides: Shape) -> Pairs:
    """Padding as a pair for each axis, whatever way it was written."""
    rank = len(space)
    if isinstance(padding, str):
        return tuple(padtype_to_pads(space, window, strides, padding))
    pairs = tuple((int(a), int(b)) for a, b in padding)
    if len(pairs) != rank:
        raise TypeError(f"padding must have a pair (low, high) for each of the {rank} spatial axes, got {padding!r}.")
    return pairs


def _to(x: Any, spec: Sequence[int]) -> Any:
    order = tuple(spec)
    return x if order == tuple(range(len(order))) else transpose(x, permutation=order)


def _from(x: Any, spec: Sequence[int]) -> Any:
    order = [0] * len(spec)
    for new, old in enumerate(spec):
        order[old] = new
    return _to(x, order)


def _checked(lhs: Any, rhs: Any, groups: int, batch_groups: int, preferred: Any) -> tuple[Any, Any]:
    x, w = array_operand(lhs), array_operand(rhs)
    if len(shape_of(x)) != len(shape_of(w)) or len(shape_of(x)) < 2:
        raise TypeError(
            f"a convolution needs lhs and rhs of one rank, at least 2, got shapes {shape_of(x)} and {shape_of(w)}."
        )
    if dtype_of(x) != dtype_of(w):
        raise TypeError(
            f"conv_general_dilated needs lhs and rhs of one dtype, got {dtype_of(x)} and {dtype_of(w)}; convert one with astype."
        )
    if groups < 1 or batch_groups < 1:
        raise ValueError(
            f"feature_group_count and batch_group_count must be positive, got {groups} and {batch_groups}."
        )
    if groups > 1 and batch_groups > 1:
        raise ValueError(
            f"only one of feature_group_count and batch_group_count can be above 1, got {groups} and {batch_groups}."
        )
    return (x, w) if preferred is None else (convert(x, preferred), convert(w, preferred))


def _check_channels(x: Shape, w: Shape, groups: int, batch_groups: int) -> None:
    if w[1] * groups != x[1]:
        raise ValueError(
            f"lhs has {x[1]} feature channels, but rhs of shape {w} (out, in, space) in {groups} group(s) takes "
            f"{w[1] * groups}; their in-features times feature_group_count must equal lhs's features."
        )
    if w[0] % groups or w[0] % batch_groups or x[0] % batch_groups:
        raise ValueError(
            f"rhs's {w[0]} out-features and lhs's batch of {x[0]} must be divisible by the group counts "
            f"(feature_group_count={groups}, batch_group_count={batch_groups})."
        )


def conv_general_dilated(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Padding,
                         lhs_dilation: Sequence[int] | None = None, rhs_dilation: Sequence[int] | None = None,
                         dimension_numbers: Any = None, feature_group_count: int = 1, batch_group_count: int = 1,
                         precision: Any = None, preferred_element_type: Any = None, out_sharding: Any = None) -> Any:  # fmt: skip
    """The n-dimensional convolution (in the sense of networks: no flip) with every setting of XLA's.

    Args:
        lhs: the input; axes as `dimension_numbers` say, by default (batch, features, space...).
        rhs: the kernel, by default (out features, in features / groups, space...), of lhs's dtype.
        window_strides: one for each spatial axis. padding: "SAME", "SAME_LOWER", "VALID" or pairs (low, high), also negative.
        lhs_dilation, rhs_dilation: the distance of neighbours in the input and in the kernel; 1 is none.
        dimension_numbers: None, a ConvDimensionNumbers, or three strings such as ("NHWC", "HWIO", "NHWC").
        feature_group_count, batch_group_count: groups of features, or of the batch, that are convolved apart.
        precision: JAX's choice for hardware; a CPU computes in full.
        preferred_element_type: the dtype to compute in and return.
        out_sharding: None; there is one device.

    Returns:
        An array with the axes of `dimension_numbers`. Raises TypeError for ranks and dtypes that differ, ValueError for channel
        counts that do not fit.
    """
    check_precision("conv_general_dilated", precision)
    if out_sharding is not None:
        raise NotImplementedError(f"conv_general_dilated: out_sharding={out_sharding!r} is not offered; leave it out.")
    groups, batch_groups = int(feature_group_count), int(batch_group_count)
    lhs, rhs = _checked(lhs, rhs, groups, batch_groups, preferred_element_type)
    numbers = conv_dimension_numbers(shape_of(lhs), shape_of(rhs), dimension_numbers)
    x, w = _to(lhs, numbers.lhs_spec), _to(rhs, numbers.rhs_spec)
    _check_channels(shape_of(x), shape_of(w), groups, batch_groups)
    space, window = shape_of(x)[2:], shape_of(w)[2:]
    strides = _per_axis("window_strides", window_strides, len(space))
    spread, dilation = (
        _per_axis(n, d, len(space)) for n, d in (("lhs_dilation", lhs_dilation), ("rhs_dilation", rhs_dilation))
    )
    if isinstance(padding, str) and any(s > 1 for s in spread):
        raise ValueError(
            f"padding {padding!r} means nothing for a dilated input; write pairs (low, high), or use conv_transpose."
        )
    pads = conv_pads(padding, space, tuple(extent(k, d) for k, d in zip(window, dilation, strict=True)), strides)
    if batch_groups > 1:
        x, groups = _batch_to_features(x, batch_groups), batch_groups
    if any(s > 1 for s in spread):
        out = _spread_conv(x, w, strides, pads, spread, dilation, groups)
    else:
        out = convolve(x, w, strides=strides, padding=pads, dilation=dilation, groups=groups)
    return wrap(_from(out, numbers.out_spec))


def _batch_to_features(x: Any, groups: int) -> Any:
    """(groups * n, C, ...) as (n, groups * C, ...): groups of the batch are groups of features."""
    n, c, *space = shape_of(x)
    x = reshape(x, shape=(groups, n // groups, c, *space))
    x = transpose(x, permutation=(1, 0, *range(2, 3 + len(space))))
    return reshape(x, shape=(n // groups, groups * c, *space))


def _spread_conv(x: Any, w: Any, strides: Shape, pads: Pairs, spread: Shape, dilation: Shape, groups: int) -> Any:
    """A convolution whose input is dilated: a transposed one where nothing else is strided, else of the spread input."""
    rank, space, window = len(spread), shape_of(x)[2:], shape_of(w)[2:]
    if all(s == 1 for s in strides) and all(space) and all(window):
        spans = [extent(k, d) for k, d in zip(window, dilation, strict=True)]
        out = tuple(
            out_size(extent(n, s), k, 1, p, d)
            for n, s, k, p, d in zip(space, spread, window, pads, dilation, strict=True)
        )
        back = tuple((k - 1 - a, k - 1 - b) for k, (a, b) in zip(spans, pads, strict=True))
        if all(out):
            turned = _turned(w, groups)
            return convolve_input(x, turned, space=out, strides=spread, padding=back, dilation=dilation, groups=groups)
    zeros = (0,) * (rank + 2)
    wide = pad(x, np.zeros((), dtype_of(x)), low=zeros, high=zeros, interior=(0, 0, *(s - 1 for s in spread)))
    return convolve(wide, w, strides=strides, padding=pads, dilation=dilation, groups=groups)


def _turned(w: Any, groups: int) -> Any:
    """A kernel (groups * o, i, ...) with its space flipped and its features exchanged: (groups * i, o, ...)."""
    o, i, *window = shape_of(w)
    rank = len(window)
    if rank:
        w = rev(w, axes=tuple(range(2, 2 + rank)))
    w = reshape(w, shape=(groups, o // groups, i, *window))
    w = transpose(w, permutation=(0, 2, 1, *range(3, 3 + rank)))
    return reshape(w, shape=(groups * i, o // groups, *window))


def conv(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: str, precision: Any = None,
         preferred_element_type: Any = None) -> Any:  # fmt: skip
    """conv_general_dilated of (batch, features, space...) and (out features, in features, space...) without dilation."""
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, precision=precision, preferred_element_type=preferred_element_type
    )


def conv_with_general_padding(lhs: Any, rhs: Any, window_strides: Sequence[int], padding: Padding,
                              lhs_dilation: Sequence[int] | None, rhs_dilation: Sequence[int] | None,
                              precision: Any = None, preferred_element_type: Any = None) -> Any:  # fmt: skip
    """conv_general_dilated with its default axes and no groups."""
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


_DEFAULTS = {
    2: ("NC", "IO", "NC"),
    3: ("NHC", "HIO", "NHC"),
    4: ("NHWC", "HWIO", "NHWC"),
    5: ("NHWDC", "HWDIO", "NHWDC"),
}


def _transposed_pads(window: int, stride: int, padding: str | tuple[int, int]) -> tuple[int, int]:
    """The padding of the spread input for which the transposed convolution undoes a convolution padded so."""
    if padding == "SAME":
        total = window + stride - 2
        low = window - 1 if stride > window - 1 else -(-total // 2)
    elif padding == "VALID":
        total, low = window + stride - 2 + max(window - stride, 0), window - 1
    elif isinstance(padding, tuple):
        a, b = (window - 1 - p for p in padding)
        return a, b
    else:
        raise ValueError(f"conv_transpose: padding must be 'SAME', 'VALID' or pairs (low, high), got {padding!r}.")
    return low, total - low


def conv_transpose(lhs: Any, rhs: Any, strides: Sequence[int], padding: Padding, rhs_dilation: Sequence[int] | None = None,
                   dimension_numbers: Any = None, transpose_kernel: bool = False, precision: Any = None,
                   preferred_element_type: Any = None, use_consistent_padding: bool = False) -> Any:  # fmt: skip
    """The convolution of the input spread by `strides`, by default over (batch, space..., features).

    Args:
        lhs, rhs: input and kernel, axes as `dimension_numbers` say: ("NHWC", "HWIO", "NHWC") by default.
        strides: of the convolution that this one transposes. rhs_dilation: of the kernel.
        padding: "SAME" or "VALID" of that convolution, or the pairs (low, high) to pad the spread input with; pairs of that
            convolution if `use_consistent_padding`.
        transpose_kernel: whether to flip the kernel and exchange its features, so that this is the exact transpose.
        precision, preferred_element_type: as in conv_general_dilated.
    """
    x, w = array_operand(lhs), array_operand(rhs)
    rank = len(shape_of(x))
    if dimension_numbers is None:
        if rank not in _DEFAULTS:
            raise ValueError(f"conv_transpose has default dimension_numbers for rank 2 to 5, got shape {shape_of(x)}.")
        dimension_numbers = _DEFAULTS[rank]
    numbers = conv_dimension_numbers(shape_of(x), shape_of(w), dimension_numbers)
    window = [shape_of(w)[a] for a in tuple(numbers.rhs_spec)[2:]]
    dilation = _per_axis("rhs_dilation", rhs_dilation, rank - 2)
    pads: Any = padding
    if use_consistent_padding or padding in ("SAME", "VALID"):
        each: list[Any] = [padding] * len(window) if isinstance(padding, str) else [tuple(p) for p in padding]
        spans = [extent(k, d) for k, d in zip(window, dilation, strict=True)]
        pads = [_transposed_pads(k, s, p) for k, s, p in zip(spans, strides, each, strict=True)]
    if transpose_kernel:
        out_features, in_features, *space = numbers.rhs_spec
        order = list(range(rank))
        order[out_features], order[in_features] = in_features, out_features
        w = transpose(rev(w, axes=tuple(space)), permutation=tuple(order))
    return conv_general_dilated(
        x,
        w,
        (1,) * (rank - 2),
        pads,
        strides,
        dilation,
        numbers,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
