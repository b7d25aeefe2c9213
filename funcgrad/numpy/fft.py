"""numpy.fft's names: discrete Fourier transforms along one or more axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.shape import roll
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import basics
from funcgrad.ops.fft import fourier
from funcgrad.ops.shape import pad, slice_axis


def _resized(x: Any, n: int, axis: int) -> Any:
    """`x` cut or filled with zeros to length n along an axis."""
    have = shape_of(x)[axis]
    if n < 1:
        raise ValueError(f"fft: the number of points must be at least 1, got {n}.")
    if have > n:
        return slice_axis(x, 0, n, axis)
    none, rank = (0,) * len(shape_of(x)), len(shape_of(x))
    after = tuple(n - have if i == axis else 0 for i in range(rank))
    return pad(x, 0, low=none, high=after, interior=none) if have < n else x


def _scale(norm: str | None, count: int, inverse: bool) -> float:
    """What NumPy's own scaling (1 forwards, 1/n backwards) is multiplied by."""
    if norm not in (None, "backward", "ortho", "forward"):
        raise ValueError(f"fft: norm must be 'backward', 'ortho' or 'forward', got {norm!r}.")
    if norm in (None, "backward"):
        return 1.0
    root = math.sqrt(count) if norm == "ortho" else float(count)
    return root if inverse else 1 / root


def _transform(a: Any, s: Sequence[int | None] | None, axes: Sequence[int] | None, norm: str | None, kind: str) -> Any:
    x = array_operand(a)
    rank = len(shape_of(x))
    if axes is None:
        axes = range(rank) if s is None else range(rank - len(s), rank)
    chosen = [axis_of(i, rank, kind) for i in axes]
    if not chosen:
        return x
    if dtype_of(x).kind not in "fc":
        x = basics.convert(x, np.float64)
    lengths = [shape_of(x)[i] for i in chosen]
    if kind == "irfft":
        lengths[-1] = 2 * (lengths[-1] - 1)
    if s is not None:
        if len(s) != len(chosen):
            raise ValueError(f"fft: s={s!r} and axes={tuple(axes)} must have the same length.")
        whole = [shape_of(x)[i] for i in chosen]
        lengths = [w if n in (None, -1) else int(n) for n, w in zip(s, whole, strict=True)]  # type: ignore[arg-type]
    if kind == "rfft" and dtype_of(x).kind == "c":
        raise TypeError(f"{kind} needs a real array, got {dtype_of(x)}; use fft.")
    for n, i in zip(lengths, chosen, strict=True):
        x = _resized(x, n // 2 + 1 if kind == "irfft" and i == chosen[-1] else n, i)
    found = fourier(x, kind=kind, axes=tuple(chosen), length=lengths[-1] if kind == "irfft" else 0)
    scale = _scale(norm, math.prod(lengths), kind in ("ifft", "irfft"))
    return found if scale == 1.0 else found * scale


def _one(n: int | None) -> list[int | None] | None:
    return None if n is None else [n]


@implements(np.fft.fft)
def fft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
    """The transform along one axis, first cut or filled with zeros to length n. Complex."""
    return _transform(a, _one(n), (axis,), norm, "fft")


@implements(np.fft.ifft)
def ifft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
    """The inverse transform along one axis. Complex."""
    return _transform(a, _one(n), (axis,), norm, "ifft")


@implements(np.fft.rfft)
def rfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
    """The transform of a real array: frequencies 0 to n // 2. Raises TypeError for a complex one."""
    return _transform(a, _one(n), (axis,), norm, "rfft")


@implements(np.fft.irfft)
def irfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
    """The inverse of rfft, of length n (default: even). Real."""
    return _transform(a, _one(n), (axis,), norm, "irfft")


@implements(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Any:
    """The transform along several axes (default: all)."""
    return _transform(a, s, axes, norm, "fft")


@implements(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Any:
    """The inverse transform along several axes."""
    return _transform(a, s, axes, norm, "ifft")


@implements(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Any:
    """The transform of a real array along several axes; the last one is halved."""
    return _transform(a, s, axes, norm, "rfft")


@implements(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: str | None = None, out: None = None) -> Any:
    """The inverse of rfftn."""
    return _transform(a, s, axes, norm, "irfft")


@implements(np.fft.fft2)
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: None = None) -> Any:
    """The transform along two axes."""
    return _transform(a, s, axes, norm, "fft")


@implements(np.fft.ifft2)
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: None = None) -> Any:
    """The inverse transform along two axes."""
    return _transform(a, s, axes, norm, "ifft")


@implements(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: None = None) -> Any:
    """The transform of a real array along two axes."""
    return _transform(a, s, axes, norm, "rfft")


@implements(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None, out: None = None) -> Any:
    """The inverse of rfft2."""
    return _transform(a, s, axes, norm, "irfft")


_SWAPPED = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


@implements(np.fft.hfft)
def hfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
    """The real transform of a signal with Hermitian symmetry, of which half is given."""
    x = array_operand(a)
    x = basics.conj(x) if dtype_of(x).kind == "c" else x
    return _transform(x, _one(n), (axis,), _SWAPPED.get(norm, norm), "irfft")


@implements(np.fft.ihfft)
def ihfft(a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None) -> Any:
    """The inverse of hfft."""
    return basics.conj(_transform(a, _one(n), (axis,), _SWAPPED.get(norm, norm), "rfft"))


def fftfreq(n: int, d: Any = 1.0, device: Any = None) -> Any:
    """The frequencies of fft's n results for sample spacing d, in cycles per unit of d."""
    return wrap(np.fft.fftfreq(n)) / array_operand(d)


def rfftfreq(n: int, d: Any = 1.0, device: Any = None) -> Any:
    """The frequencies of rfft's results for n samples of spacing d."""
    return wrap(np.fft.rfftfreq(n)) / array_operand(d)


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """`x` rolled so that frequency 0 is in the middle."""
    return _shifted(x, axes, 1)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """The inverse of fftshift."""
    return _shifted(x, axes, -1)


def _shifted(x: Any, axes: Any, sign: int) -> Any:
    x = array_operand(x)
    rank = len(shape_of(x))
    listed = range(rank) if axes is None else axes if isinstance(axes, (tuple, list)) else (axes,)
    chosen = tuple(axis_of(a, rank, "fftshift") for a in listed)
    return roll(x, tuple(sign * (shape_of(x)[a] // 2) for a in chosen), chosen) if chosen else x
