"""lax.fft: the discrete Fourier transforms over the last axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.lax.settings import FftType
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import convert
from funcgrad.ops.fft import fourier


def fft(x: Any, fft_type: FftType | str, fft_lengths: Sequence[int]) -> Any:
    """The transform `fft_type` (a FftType or its name) over the last len(fft_lengths) axes of lengths `fft_lengths`.

    RFFT takes a real array; the others take a complex one (real numbers are converted). For IRFFT the last length is the
    result's. Raises ValueError for lengths that are not those of `x`, TypeError for a complex array to RFFT.
    """
    value = array_operand(x)
    kind = FftType[fft_type.upper()] if isinstance(fft_type, str) else FftType(fft_type)
    lengths = tuple(int(n) for n in fft_lengths)
    shape = shape_of(value)
    have = shape[len(shape) - len(lengths) :] if lengths else ()
    want = (*lengths[:-1], lengths[-1] // 2 + 1) if kind is FftType.IRFFT and lengths else lengths
    if len(lengths) > len(shape) or have != want:
        raise ValueError(f"lax.fft: {kind.name} with fft_lengths={lengths} needs last axes {want}, got shape {shape}.")
    if kind is FftType.RFFT and dtype_of(value).kind == "c":
        raise TypeError(f"lax.fft: RFFT needs a real array, got {dtype_of(value)}.")
    if dtype_of(value).kind not in "fc":
        raise TypeError(f"lax.fft needs a floating or complex array, got {dtype_of(value)}.")
    if not lengths:
        return wrap(value)
    if kind is not FftType.RFFT and dtype_of(value).kind != "c":
        value = convert(value, np.result_type(dtype_of(value), np.complex64))
    axes = tuple(range(len(shape) - len(lengths), len(shape)))
    length = lengths[-1] if kind is FftType.IRFFT else 0
    return wrap(fourier(value, kind=kind.name.lower(), axes=axes, length=length))
