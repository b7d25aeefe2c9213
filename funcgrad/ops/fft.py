"""The discrete Fourier transform as one linear primitive of four kinds, evaluated by numpy.fft.

fft, ifft: complex to complex of the same shape. rfft: real to half the frequencies of the last of `axes`. irfft: back to a
real signal of `length` along that axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import conj, convert, real
from funcgrad.ops.families import array, batch_unary, linear, shift
from funcgrad.ops.shape import pad

Shape = tuple[int, ...]


def _complex(dtype: np.dtype) -> np.dtype:
    return np.result_type(dtype, np.complex64)


def _impl(x: Any, *, kind: str, axes: Shape, length: int) -> Any:
    x = np.asarray(x)
    lengths = [x.shape[a] for a in axes]
    if kind == "irfft":
        lengths[-1] = length
    return getattr(np.fft, kind + "n")(x, lengths, axes)


def _type(x: ArrayType, *, kind: str, axes: Shape, length: int) -> ArrayType:
    shape = list(x.shape)
    if kind == "rfft":
        shape[axes[-1]] = shape[axes[-1]] // 2 + 1
        return array_type(tuple(shape), _complex(x.dtype))
    if kind == "irfft":
        shape[axes[-1]] = length
        return array_type(tuple(shape), np.zeros((), _complex(x.dtype)).real.dtype)
    return array_type(x.shape, _complex(x.dtype))


def _transpose(ct: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    kind, axes = params["kind"], params["axes"]
    x, last = args[0], axes[-1]
    if kind in ("fft", "ifft"):
        # The matrix of the transform is symmetric, and transposition does not conjugate.
        return convert(fourier(ct, **params), dtype_of(x))
    rank = len(shape_of(x))
    if kind == "rfft":
        missing = shape_of(x)[last] - shape_of(ct)[last]
        none, after = (0,) * rank, tuple(missing if i == last else 0 for i in range(rank))
        whole = pad(ct, 0.0, low=none, high=after, interior=none)
        return convert(real(fourier(whole, kind="fft", axes=axes, length=0)), dtype_of(x))
    # Frequencies between the first and the Nyquist one stand for two.
    n = params["length"]
    half = n // 2 + 1
    weights = np.full(half, 2.0)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    weights = weights / math.prod(n if a == last else shape_of(x)[a] for a in axes)
    shaped = weights.reshape([-1 if i == last else 1 for i in range(rank)]).astype(dtype_of(ct))
    # The conjugate is JAX's convention for what depends on real and imaginary parts apart.
    return convert(conj(fourier(ct, kind="rfft", axes=axes, length=0) * shaped), dtype_of(x))


def _samples(rng: np.random.Generator) -> list[Any]:
    x, z = array(rng, (3, 4)), array(rng, (3, 5)) + 1j * array(rng, (3, 5))
    return [
        ((z,), {"kind": "fft", "axes": (1,), "length": 0}),
        ((z,), {"kind": "ifft", "axes": (0, 1), "length": 0}),
        ((x,), {"kind": "rfft", "axes": (1,), "length": 0}),
        ((x.T,), {"kind": "rfft", "axes": (0, 1), "length": 0}),
        ((z,), {"kind": "irfft", "axes": (1,), "length": 8}),
        ((z,), {"kind": "irfft", "axes": (0, 1), "length": 9}),
    ]


fourier: Primitive = linear(
    "fourier",
    _impl,
    _type,
    _transpose,
    batch_unary(
        lambda: fourier, lambda size, kind, axes, length: {"kind": kind, "axes": shift(axes), "length": length}
    ),
    _samples,
    strong=True,
)
