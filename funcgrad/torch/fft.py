"""`torch.fft`: discrete Fourier transforms, by those of the NumPy room."""

from __future__ import annotations

from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad.torch import dtypes
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.creation import finish
from funcgrad.torch.tensor import Tensor


@operation("FftC2CBackward0", method=False)
def fft(input: Operand, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The transform along one dimension."""
    return fnp.fft.fft(input, n, dim, norm)


@operation("FftC2CBackward0", method=False)
def ifft(input: Operand, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse transform along one dimension."""
    return fnp.fft.ifft(input, n, dim, norm)


@operation("FftR2CBackward0", method=False)
def rfft(input: Operand, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The transform of real numbers: the half that says all."""
    return fnp.fft.rfft(input, n, dim, norm)


@operation("FftC2RBackward0", method=False)
def irfft(input: Operand, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `rfft`."""
    return fnp.fft.irfft(input, n, dim, norm)


@operation("FftC2RBackward0", method=False)
def hfft(input: Operand, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The transform of a Hermitian signal, which is real."""
    return fnp.fft.hfft(input, n, dim, norm)


@operation("FftR2CBackward0", method=False)
def ihfft(input: Operand, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `hfft`."""
    return fnp.fft.ihfft(input, n, dim, norm)


@operation("FftC2CBackward0", method=False)
def fftn(input: Operand, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The transform along several dimensions, all by default."""
    return fnp.fft.fftn(input, s, dim, norm)


@operation("FftC2CBackward0", method=False)
def ifftn(input: Operand, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `fftn`."""
    return fnp.fft.ifftn(input, s, dim, norm)


@operation("FftR2CBackward0", method=False)
def rfftn(input: Operand, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """As `fftn`, of real numbers: the last dimension has the half that says all."""
    return fnp.fft.rfftn(input, s, dim, norm)


@operation("FftC2RBackward0", method=False)
def irfftn(input: Operand, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `rfftn`."""
    return fnp.fft.irfftn(input, s, dim, norm)


def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`fftn` of the last two dimensions."""
    return fftn(input, s, dim, norm)


def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `fft2`."""
    return ifftn(input, s, dim, norm)


def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfftn` of the last two dimensions."""
    return rfftn(input, s, dim, norm)


def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `rfft2`."""
    return irfftn(input, s, dim, norm)


@operation("RollBackward0", method=False)
def fftshift(input: Operand, dim: Any = None) -> Any:
    """The frequency 0 moved to the middle."""
    return fnp.fft.fftshift(input, dim)


@operation("RollBackward0", method=False)
def ifftshift(input: Operand, dim: Any = None) -> Any:
    """The inverse of `fftshift`."""
    return fnp.fft.ifftshift(input, dim)


def _frequencies(values: np.ndarray, dtype: Any, requires_grad: bool, device: Any) -> Tensor:
    kind = dtypes.numpy_or_default(dtype)
    return finish(values.astype(kind), requires_grad, device=device)


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The frequencies of `fft` for n samples at distance d, in cycles per unit of d."""
    return _frequencies(np.fft.fftfreq(n, d), dtype, requires_grad, device)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The frequencies of `rfft`."""
    return _frequencies(np.fft.rfftfreq(n, d), dtype, requires_grad, device)
