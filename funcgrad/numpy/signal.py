"""Windows, and bits packed into bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import Array, wrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.shaping import axis_back, axis_last, axis_of, flatten
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert, reduce_sum, reshape
from funcgrad.ops.shape import pad, slice_axis


def _window(name: str, M: Any) -> Any:
    if type(M) is Tracer:
        raise TypeError(f"funcgrad.numpy.{name} needs a length that is known when it is traced; mark M static in jit.")
    return M


def bartlett(M: int) -> Array:
    """The triangular window of M points, float64. Raises TypeError for a traced M."""
    return wrap(np.bartlett(_window("bartlett", M)))


def blackman(M: int) -> Array:
    """The Blackman window of M points, float64. Raises TypeError for a traced M."""
    return wrap(np.blackman(_window("blackman", M)))


def hamming(M: int) -> Array:
    """The Hamming window of M points, float64. Raises TypeError for a traced M."""
    return wrap(np.hamming(_window("hamming", M)))


def hanning(M: int) -> Array:
    """The Hann window of M points, float64. Raises TypeError for a traced M."""
    return wrap(np.hanning(_window("hanning", M)))


def kaiser(M: int, beta: Any) -> Array:
    """The Kaiser window of M points and shape beta, which may be traced; float64. Raises TypeError for a traced M."""
    M = _window("kaiser", M)
    if type(beta) is not Tracer:
        return wrap(np.kaiser(M, beta))
    place = 2.0 * np.arange(M) / max(M - 1, 1) - 1.0
    if M == 1:
        return wrap(np.ones(1) + np.multiply(beta, 0.0))
    i0 = dispatch[np.i0]
    return wrap(i0(beta * np.sqrt(1 - place * place)) / i0(beta))


def _order(name: str, bitorder: str) -> np.ndarray:
    if bitorder not in ("big", "little"):
        raise ValueError(f'funcgrad.numpy.{name} has bitorder "big" and "little", got {bitorder!r}.')
    shifts = np.arange(8, dtype=np.uint8)
    return shifts[::-1].copy() if bitorder == "big" else shifts


@implements(np.packbits)
def packbits(a: Any, /, axis: int | None = None, bitorder: str = "big") -> Any:
    """uint8 bytes of eight booleans or integers (bits: not 0) along an axis, or of the flattened array; zeros pad."""
    a = array_operand(a)
    shifts = _order("packbits", bitorder)
    if type_of(a).dtype.kind not in "bui":
        raise TypeError(f"funcgrad.numpy.packbits takes booleans or integers, got {type_of(a)}.")
    a = flatten(a) if axis is None else a
    at = 0 if axis is None else axis_of("packbits", a, axis)
    bits = convert(e.ne(axis_last(a, at), 0), np.uint8)
    shape = type_of(bits).shape
    lead = (0,) * (len(shape) - 1)
    bits = pad(bits, np.uint8(0), low=(*lead, 0), high=(*lead, -shape[-1] % 8), interior=(*lead, 0))
    eights = reshape(bits, shape=(*shape[:-1], -(-shape[-1] // 8), 8))
    return axis_back(reduce_sum(e.shift_left(eights, shifts), axes=(len(shape),)), at)


@implements(np.unpackbits)
def unpackbits(a: Any, /, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Any:
    """The bits of uint8 values as uint8 0 and 1, along an axis or of the flattened array; count= of them (negative:
    so many less). Raises TypeError for another dtype."""
    a = array_operand(a)
    shifts = _order("unpackbits", bitorder)
    if type_of(a).dtype != np.uint8:
        raise TypeError(f"funcgrad.numpy.unpackbits takes uint8, got {type_of(a)}.")
    a = flatten(a) if axis is None else a
    at = 0 if axis is None else axis_of("unpackbits", a, axis)
    a = axis_last(a, at)
    shape = type_of(a).shape
    bits = e.bitwise_and(e.shift_right(reshape(a, shape=(*shape, 1)), shifts), np.uint8(1))
    n = 8 * shape[-1]
    bits = reshape(bits, shape=(*shape[:-1], n))
    if count is not None:
        wanted = count if count >= 0 else max(n + count, 0)
        if wanted > n:
            lead = (0,) * (len(shape) - 1)
            bits = pad(bits, np.uint8(0), low=(*lead, 0), high=(*lead, wanted - n), interior=(*lead, 0))
        bits = slice_axis(bits, 0, wanted, len(shape) - 1)
    return axis_back(bits, at)
