"""Activations, softmax and what networks apply element by element. Functional forms; `nn.functional` names them."""

from __future__ import annotations

import math
from typing import Any

import funcgrad.numpy as fnp
from funcgrad import nn
from funcgrad.scipy import special
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.promotion import as_dtype
from funcgrad.torch.ops.views import wrap_dim


@operation("LeakyReluBackward0", method=False)
def leaky_relu(input: Operand, negative_slope: float = 0.01) -> Any:
    """input where positive, else negative_slope * input."""
    return fnp.where(input > 0, input, input * negative_slope)


@operation("HardtanhBackward0", method=False)
def hardtanh(input: Operand, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """Limited to [min_val, max_val]; the derivative at both kinks is 0."""
    return fnp.where(input <= min_val, min_val, fnp.where(input >= max_val, max_val, input))


@operation("HardtanhBackward0", method=False)
def relu6(input: Operand) -> Any:
    """Limited to [0, 6]."""
    return fnp.where(input <= 0, 0, fnp.where(input >= 6, 6, input))


@operation("EluBackward0", method=False)
def elu(input: Operand, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    """input where positive, else alpha * (exp(input) - 1)."""
    low = alpha * fnp.expm1(fnp.where(input > 0, 0, input) * input_scale)
    return scale * fnp.where(input > 0, input, low)


def selu(input: Any) -> Any:
    """The self-normalising elu (Klambauer et al., 2017)."""
    return elu(input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def celu(input: Any, alpha: float = 1.0) -> Any:
    """Continuously differentiable elu: input where positive, else alpha * (exp(input / alpha) - 1)."""
    return elu(input, alpha, 1.0, 1.0 / alpha)


@operation("GeluBackward0", method=False)
def gelu(input: Operand, approximate: str = "none") -> Any:
    """input * P(N(0, 1) <= input), or its approximation by tanh."""
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * input * input * input)
        return 0.5 * input * (1 + fnp.tanh(inner))
    if approximate != "none":
        raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate}")
    return 0.5 * input * (1 + special.erf(input * math.sqrt(0.5)))


@operation("SiluBackward0", method=False)
def silu(input: Operand) -> Any:
    """input * sigmoid(input)."""
    return input * nn.sigmoid(input)


@operation("MishBackward0", method=False)
def mish(input: Operand) -> Any:
    """input * tanh(softplus(input))."""
    return input * fnp.tanh(fnp.logaddexp(input, 0.0))


@operation("SoftplusBackward0", method=False)
def softplus(input: Operand, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * input)) / beta; input itself where beta * input > threshold."""
    scaled = input * beta
    return fnp.where(scaled > threshold, input, fnp.logaddexp(fnp.where(scaled > threshold, 0, scaled), 0.0) / beta)


@operation("DivBackward0", method=False)
def softsign(input: Operand) -> Any:
    """input / (1 + |input|)."""
    return input / (1 + fnp.abs(input))


@operation("HardsigmoidBackward0", method=False)
def hardsigmoid(input: Operand) -> Any:
    """relu6(input + 3) / 6."""
    return fnp.where(input <= -3, 0, fnp.where(input >= 3, 1, input / 6 + 0.5))


@operation("HardswishBackward0", method=False)
def hardswish(input: Operand) -> Any:
    """input * hardsigmoid(input)."""
    return fnp.where(input <= -3, 0, fnp.where(input >= 3, input, input * (input / 6 + 0.5)))


@operation("LogSigmoidBackward0", method=False)
def logsigmoid(input: Operand) -> Any:
    """log(sigmoid(input))."""
    return -fnp.logaddexp(-input, 0.0)


@operation("ThresholdBackward0", method=False)
def threshold(input: Operand, threshold: float, value: float) -> Any:
    """input where above the threshold, else value."""
    return fnp.where(input > threshold, input, value)


@operation("PreluKernelBackward0", method=True)
def prelu(input: Operand, weight: Operand) -> Any:
    """input where positive, else weight * input, one weight for all or for each channel (dimension 1)."""
    w = weight
    if w.size != 1:
        w = w.reshape([-1 if i == 1 else 1 for i in range(input.ndim)])
    return fnp.where(input > 0, input, w.reshape(()) * input if w.size == 1 else w * input)


@operation("SoftshrinkBackward0", method=False)
def softshrink(input: Operand, lambd: float = 0.5) -> Any:
    """Moved toward 0 by lambd, 0 within."""
    return fnp.where(input > lambd, input - lambd, fnp.where(input < -lambd, input + lambd, input * 0))


@operation("HardshrinkBackward0")
def hardshrink(input: Operand, lambd: float = 0.5) -> Any:
    """0 within [-lambd, lambd]."""
    return fnp.where((input > lambd) | (input < -lambd), input, 0)


@operation("SubBackward0", method=False)
def tanhshrink(input: Operand) -> Any:
    """input - tanh(input)."""
    return input - fnp.tanh(input)


@operation("GluBackward0", method=False)
def glu(input: Operand, dim: int = -1) -> Any:
    """The first half of a dimension times the sigmoid of the second."""
    axis = wrap_dim(dim, input.ndim)
    if not input.ndim or input.shape[axis] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {axis} is size {input.shape[axis] if input.ndim else 0}"
        )
    a, b = fnp.split(input, 2, axis=axis)
    return a * nn.sigmoid(b)


@operation("SoftmaxBackward0", saves="result", name="softmax")
def softmax(input: Operand, dim: int | None = None, dtype: Any = None) -> Any:
    """exp(input), scaled to sum 1 along a dimension."""
    x = as_dtype(input, dtype)
    if x.dtype.kind not in "f":
        raise RuntimeError(
            f"\"softmax_lastdim_kernel_impl\" not implemented for '{x.dtype}'; convert by .float() first."
        )
    return nn.softmax(x, axis=_softmax_dim(dim, x.ndim)) if x.ndim else fnp.ones_like(x)


@operation("LogSoftmaxBackward0", saves="result", name="log_softmax")
def log_softmax(input: Operand, dim: int | None = None, dtype: Any = None) -> Any:
    """log(softmax(input)) without overflow."""
    x = as_dtype(input, dtype)
    if x.dtype.kind not in "f":
        raise RuntimeError(
            f"\"log_softmax_lastdim_kernel_impl\" not implemented for '{x.dtype}'; convert by .float() first."
        )
    return nn.log_softmax(x, axis=_softmax_dim(dim, x.ndim)) if x.ndim else fnp.zeros_like(x)


def _softmax_dim(dim: int | None, ndim: int) -> int:
    if dim is None:
        return 0 if ndim in (0, 1, 3) else 1
    return wrap_dim(dim, ndim)
