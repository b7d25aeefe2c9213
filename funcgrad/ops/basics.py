"""The linear primitives on which broadcasting rests: reshape, broadcast, sum, transpose, conversion, real and imag."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Pointwise, Reduction
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import shape_of, type_of
from funcgrad.core.types import ArrayType, array_type, is_inexact
from funcgrad.ops.families import array, batch_unary, flat, linear, shift, unary_samples
from funcgrad.ops.views import BROADCAST, RESHAPE, TRANSPOSE

Shape = tuple[int, ...]


def _keep(x: ArrayType, **params: Any) -> ArrayType:
    return array_type(x.shape, x.dtype)


# ---- reshape ----


def _reshape_type(x: ArrayType, *, shape: Shape) -> ArrayType:
    if math.prod(shape) != x.size:
        raise TypeError(
            f"reshape was asked for shape {shape}, which holds {math.prod(shape)} values; got {x} with {x.size}."
        )
    return array_type(shape, x.dtype)


reshape: Primitive = linear(
    "reshape",
    lambda x, *, shape: np.reshape(x, shape),
    _reshape_type,
    lambda ct, args, params: reshape(ct, shape=type_of(args[0]).shape),
    batch_unary(lambda: reshape, lambda size, shape: {"shape": (size, *shape)}),
    unary_samples([{"shape": (12,)}, {"shape": (2, 6)}]),
    kernel=RESHAPE,
)

# ---- transpose ----


def _invert(permutation: Shape) -> Shape:
    inverse = [0] * len(permutation)
    for new, old in enumerate(permutation):
        inverse[old] = new
    return tuple(inverse)


transpose: Primitive = linear(
    "transpose",
    lambda x, *, permutation: np.transpose(x, permutation),
    lambda x, *, permutation: array_type(tuple(x.shape[p] for p in permutation), x.dtype),
    lambda ct, args, params: transpose(ct, permutation=_invert(params["permutation"])),
    batch_unary(lambda: transpose, lambda size, permutation: {"permutation": (0, *shift(permutation))}),
    lambda rng: [((array(rng, (2, 3, 4)),), {"permutation": (2, 0, 1)})],
    kernel=TRANSPOSE,
)

# ---- broadcast_in_dim ----

_SMALL = 4096


def _broadcast_impl(x: Any, *, shape: Shape, dims: Shape) -> Any:
    if type(x) is not np.ndarray:
        x = np.asarray(x)
    if math.prod(shape) <= _SMALL:
        # np.broadcast_to costs 3 us; filling a small array costs a tenth of that.
        out = np.empty(shape, x.dtype)
        out[...] = x.reshape(_aligned(x.shape, shape, dims)) if dims else x
        return out
    return np.broadcast_to(x.reshape(_aligned(x.shape, shape, dims)), shape)


def _aligned(have: Shape, shape: Shape, dims: Shape) -> Shape:
    aligned = [1] * len(shape)
    for size, d in zip(have, dims, strict=True):
        aligned[d] = size
    return tuple(aligned)


def _broadcast_type(x: ArrayType, *, shape: Shape, dims: Shape) -> ArrayType:
    if len(dims) != x.ndim or any(n not in (1, shape[d]) for n, d in zip(x.shape, dims, strict=True)):
        raise TypeError(
            f"broadcast_in_dim was asked to put {x} on axes {dims} of shape {shape}; the sizes do not match."
        )
    return array_type(shape, x.dtype)


def _broadcast_transpose(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    have = type_of(args[0]).shape
    kept = {d for n, d in zip(have, params["dims"], strict=True) if n == params["shape"][d]}
    axes = tuple(a for a in range(len(params["shape"])) if a not in kept)
    return reshape(reduce_sum(ct, axes=axes) if axes else ct, shape=have)


def _broadcast_text(args: Sequence[str], types: Sequence[ArrayType], params: dict[str, Any]) -> str:
    shape, dims = params["shape"], params["dims"]
    first = dims[0] if dims else len(shape)
    # NumPy adds the leading axes itself.
    new = tuple(i for i in range(first, len(shape)) if i not in dims)
    return f"np.broadcast_to({f'np.expand_dims({args[0]}, {new})' if new else args[0]}, {shape})"


broadcast_in_dim: Primitive = linear(
    "broadcast_in_dim",
    _broadcast_impl,
    _broadcast_type,
    _broadcast_transpose,
    batch_unary(
        lambda: broadcast_in_dim, lambda size, shape, dims: {"shape": (size, *shape), "dims": (0, *shift(dims))}
    ),
    lambda rng: [
        ((array(rng, (3,)),), {"shape": (2, 3), "dims": (1,)}),
        ((array(rng, (3, 1)),), {"shape": (3, 2, 4), "dims": (0, 1)}),
        ((array(rng, ()),), {"shape": (80, 80), "dims": ()}),
    ],
    text=_broadcast_text,
    kernel=BROADCAST,
)


def broadcast_to(x: Any, shape: Shape) -> Any:
    """`x` with NumPy's broadcasting to `shape`; `x` itself if it has that shape already."""
    have = shape_of(x)
    if have == shape:
        return x
    return broadcast_in_dim(x, shape=shape, dims=tuple(range(len(shape) - len(have), len(shape))))


# ---- reduce_sum ----


def reduced(shape: Shape, axes: Shape) -> Shape:
    """A shape without some of its axes."""
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def expand(ct: Any, like: Any, axes: Shape) -> Any:
    """A reduced value put back along the reduced axes of `like`."""
    shape = shape_of(like)
    return broadcast_in_dim(ct, shape=shape, dims=tuple(i for i in range(len(shape)) if i not in axes))


def _sum_impl(x: Any, *, axes: Shape) -> Any:
    # The array's own method costs half of np.sum; dtype= keeps small integers and float16 as they are.
    x = np.asarray(x)
    return np.add.reduce(x, axis=axes, dtype=x.dtype)


def _sum_text(args: Sequence[str], types: Sequence[ArrayType], params: dict[str, Any]) -> str:
    (kind,), axes = types, params["axes"]
    where = "" if axes == tuple(range(kind.ndim)) else f", axis={axes[0] if len(axes) == 1 else axes}"
    same = kind.dtype.kind in "fc" or kind.dtype in (np.int64, np.uint64)
    return f"np.sum({args[0]}{where}{'' if same else f', dtype={args[0]}.dtype'})"


reduce_sum: Primitive = linear(
    "reduce_sum",
    _sum_impl,
    lambda x, *, axes: array_type(reduced(x.shape, axes), x.dtype),
    lambda ct, args, params: expand(ct, args[0], params["axes"]),
    batch_unary(lambda: reduce_sum, lambda size, axes: {"axes": shift(axes)}),
    unary_samples([{"axes": (0,)}, {"axes": (0, 1)}, {"axes": ()}]),
    text=_sum_text,
    kernel=Reduction("add", "zero", "fiuc"),
)

# ---- conversion, real, imag ----


def _convert_impl(x: Any, *, dtype: np.dtype) -> Any:
    x = np.asarray(x)
    return (x.real if x.dtype.kind == "c" and dtype.kind != "c" else x).astype(dtype)


_convert_type = lambda x, *, dtype: array_type(x.shape, dtype)  # noqa: E731


def _convert_text(args: Sequence[str], types: Sequence[ArrayType], params: dict[str, Any]) -> str:
    (kind,), dtype = types, params["dtype"]
    value = f"np.real({args[0]})" if kind.dtype.kind == "c" and dtype.kind != "c" else args[0]
    return f"np.asarray({value}).astype(np.{dtype.type.__name__})"


convert_inexact: Primitive = linear(
    "convert",
    _convert_impl,
    _convert_type,
    lambda ct, args, params: convert(ct, type_of(args[0]).dtype),
    batch_unary(lambda: convert_inexact, lambda size, dtype: {"dtype": dtype}),
    unary_samples([{"dtype": np.dtype(np.complex128)}, {"dtype": np.dtype(np.float64)}]),
    strong=True,
    text=_convert_text,
    kernel=Pointwise("{0}", kinds="fiub"),
)

convert_flat: Primitive = flat(
    "convert_flat",
    _convert_impl,
    _convert_type,
    batch_unary(lambda: convert_flat, lambda size, dtype: {"dtype": dtype}),
    unary_samples([{"dtype": np.dtype(np.int32)}, {"dtype": np.dtype(bool)}]),
    text=_convert_text,
    kernel=Pointwise("{0}", kinds="fiub"),
)


def convert(x: Any, dtype: Any) -> Any:
    """`x` as a strong array of `dtype`. Between inexact dtypes it is linear (complex to real keeps the real part)."""
    dtype = np.dtype(dtype)
    if type(x) is np.ndarray and x.dtype == dtype:
        return x
    kind = type_of(x)
    if kind.dtype == dtype and not kind.weak:
        return x
    if is_inexact(kind.dtype) and is_inexact(dtype):
        return convert_inexact(x, dtype=dtype)
    return convert_flat(x, dtype=dtype)


def _part_type(x: ArrayType) -> ArrayType:
    return array_type(x.shape, np.zeros((), x.dtype).real.dtype)


def complex_samples(rng: np.random.Generator) -> list[Any]:
    """One complex matrix."""
    return [((array(rng, (3, 4)) + 1j * array(rng, (3, 4)),), {})]


real: Primitive = linear(
    "real",
    lambda x: np.real(x),
    _part_type,
    lambda ct, args, params: convert(ct, type_of(args[0]).dtype),
    batch_unary(lambda: real, lambda size: {}),
    complex_samples,
)

imag: Primitive = linear(
    "imag",
    lambda x: np.imag(x),
    _part_type,
    lambda ct, args, params: convert(ct, type_of(args[0]).dtype) * -1j,
    batch_unary(lambda: imag, lambda size: {}),
    complex_samples,
)

# ---- copies, which the linear transposes below need ----

conj: Primitive = linear(
    "conj",
    lambda x: np.conj(x),
    _keep,
    # Transposition is over the complex numbers as pairs of reals seen through JAX's convention: conj is its own.
    lambda ct, args, params: conj(ct),
    batch_unary(lambda: conj, lambda size: {}),
    complex_samples,
)
