"""Window functions, and the short-time Fourier transform that uses them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch.dtypes import numpy_or_default
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.creation import finish
from funcgrad.torch.tensor import Tensor


def _window(
    length: int, periodic: bool, dtype: Any, requires_grad: bool, device: Any, shape: Callable[[int], np.ndarray]
) -> Tensor:
    """The values of a window of some length; a periodic one is the symmetric one of length + 1 without its end."""
    if length < 0:
        raise RuntimeError(f"window requires a non-negative window_length, got window_length={length}")
    kind = numpy_or_default(dtype)
    if kind.kind != "f":
        raise RuntimeError(f"window expects floating point dtypes, got: {dtype}")
    whole = shape(length + 1 if periodic and length > 1 else length) if length else np.empty(0)
    return finish(whole[:length].astype(kind), requires_grad, device=device)


def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
                pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """(1 - cos(2 pi n / N)) / 2."""
    return _window(window_length, periodic, dtype, requires_grad, device, np.hanning)


def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
                   layout: Any = None, device: Any = None, pin_memory: bool = False,
                   requires_grad: bool = False) -> Tensor:  # fmt: skip
    """alpha - beta cos(2 pi n / N)."""
    return _window(
        window_length, periodic, dtype, requires_grad, device,
        lambda n: alpha - beta * np.cos(2 * np.pi * np.arange(n) / max(n - 1, 1)) if n > 1 else np.ones(n),
    )  # fmt: skip


def blackman_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
                    pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    return _window(window_length, periodic, dtype, requires_grad, device, np.blackman)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
                    pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """A triangle with zeros at its ends."""
    return _window(window_length, periodic, dtype, requires_grad, device, np.bartlett)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
                  device: Any = None, pin_memory: bool = False, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """I0(beta sqrt(1 - (2n/N - 1)^2)) / I0(beta) (Kaiser)."""
    return _window(window_length, periodic, dtype, requires_grad, device, lambda n: np.kaiser(n, beta))


# ---- short-time Fourier transform ----


@operation("SqueezeBackward1", method=False, name="stft")
def stft_step(input: Operand, window: Operand, n_fft: int, hop: int, center: bool, pad_mode: str, normalized: bool,
              onesided: bool) -> Any:  # fmt: skip
    """Spectra of windows along the last axis: (..., n_fft // 2 + 1 or n_fft, frames)."""
    x = input
    if center:
        side = (n_fft // 2, n_fft // 2)
        x = fnp.pad(x, [(0, 0)] * (x.ndim - 1) + [side], mode=pad_mode)
    frames = 1 + (x.shape[-1] - n_fft) // hop
    at = np.arange(n_fft) + hop * np.arange(frames)[:, None]
    pieces = x[..., at] * window
    found = fnp.fft.rfft(pieces, axis=-1) if onesided else fnp.fft.fft(pieces, axis=-1)
    found = found * (1 / np.sqrt(n_fft)) if normalized else found
    return fnp.swapaxes(found, -1, -2)


def _full_window(window: Tensor | None, length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window (ones by default) with zeros around it up to n_fft."""
    kind = np.empty(0, like._array.dtype).real.dtype
    values = np.ones(length, kind) if window is None else np.asarray(window.detach().numpy())
    if values.shape != (length,):
        raise RuntimeError(f"expected a 1D window tensor of size equal to win_length={length}, but got {values.shape}")
    left = (n_fft - length) // 2
    return finish(np.pad(values, (left, n_fft - length - left)))


def stft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
         center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
         return_complex: bool | None = None, align_to_window: bool | None = None) -> Tensor:  # fmt: skip
    """The short-time Fourier transform of signals (length,) or (batch, length): (batch, frequencies, frames), complex.

    Raises RuntimeError for windows that do not fit, and where `return_complex` is not said to be True for a real signal.
    """
    if return_complex is not True and not input.is_complex():
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further require that "
            "return_complex=True in a future PyTorch release; write return_complex=True, and torch.view_as_real for pairs."
        )
    if align_to_window is not None and center:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    if align_to_window:
        raise NotImplementedError("stft: align_to_window=True is not supported; pad the signal instead.")
    hop, length = hop_length or n_fft // 4, win_length or n_fft
    if (
        not 0 < n_fft <= input._array.shape[-1] + (2 * (n_fft // 2) if center else 0)
        or not 0 < length <= n_fft
        or hop <= 0
    ):
        raise RuntimeError(
            f"stft: expected 0 < n_fft <= {input._array.shape[-1]}, 0 < win_length <= n_fft and hop_length > 0, "
            f"but got n_fft={n_fft}, win_length={length}, hop_length={hop}"
        )
    one = (not input.is_complex()) if onesided is None else onesided
    return stft_step(input, _full_window(window, length, n_fft, input), n_fft, hop, center, pad_mode, normalized, one)


@operation("MaskedSelectBackward0", method=False, name="istft")
def istft_step(input: Operand, window: Operand, n_fft: int, hop: int, start: int, stop: int, normalized: bool, onesided: bool,
               real: bool) -> Any:  # fmt: skip
    """The signal with these spectra, by weighted overlapping sums (Griffin and Lim 1984)."""
    x = fnp.swapaxes(input, -1, -2)
    x = x * np.sqrt(n_fft) if normalized else x
    pieces = fnp.fft.irfft(x, n=n_fft, axis=-1) if onesided else fnp.fft.ifft(x, axis=-1)
    pieces = fnp.real(pieces) if real else pieces
    frames = x.shape[-2]
    total = n_fft + hop * (frames - 1)
    at = np.arange(n_fft) + hop * np.arange(frames)[:, None]
    signal = fnp.zeros((*x.shape[:-2], total), pieces.dtype).at[..., at].add(pieces * window)
    weight = fnp.zeros(total, window.dtype).at[at].add(fnp.broadcast_to(window * window, at.shape))
    cut = signal[..., start:stop] / fnp.where(weight[start:stop] > 1e-11, weight[start:stop], 1)
    short = stop - total
    return fnp.pad(cut, [(0, 0)] * (cut.ndim - 1) + [(0, short)]) if short > 0 else cut


def istft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,
          center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
          return_complex: bool = False) -> Tensor:  # fmt: skip
    """The inverse of `stft`: signals from spectra (batch, frequencies, frames). Raises RuntimeError where windows leave gaps."""
    hop, width = hop_length or n_fft // 4, win_length or n_fft
    one = (input._array.shape[-2] != n_fft) if onesided is None else onesided
    if input._array.shape[-2] != (n_fft // 2 + 1 if one else n_fft):
        raise RuntimeError(
            f"istft: expected the frequency dimension (3rd to the last) of the input tensor to match n_fft / 2 + 1 when "
            f"onesided=True, but got {input._array.shape[-2]} for n_fft={n_fft}"
        )
    real = input.detach().abs()
    full = _full_window(window, width, n_fft, real)
    total = n_fft + hop * (input._array.shape[-1] - 1)
    start = n_fft // 2 if center else 0
    stop = start + length if length is not None else total - (n_fft // 2 if center else 0)
    weight = np.zeros(total)
    at = np.arange(n_fft) + hop * np.arange(input._array.shape[-1])[:, None]
    np.add.at(weight, at, np.broadcast_to(np.asarray(full._array) ** 2, at.shape))
    if weight[start:stop].size and weight[start:stop].min() < 1e-11:
        raise RuntimeError("window overlap add min: 1; choose a window and a hop_length that leave no gaps")
    return istft_step(input, full, n_fft, hop, start, stop, normalized, one, not return_complex)


for _function in (stft, istft):
    setattr(Tensor, _function.__name__, _function)
