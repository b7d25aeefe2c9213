"""`torch.nn.grad`: the gradients of convolutions as functions: the derived ones, taken at the place that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.torch.autograd.backward import grad
from funcgrad.torch.modes import enable_grad, state
from funcgrad.torch.nn import functional as F
from funcgrad.torch.ops.creation import zeros
from funcgrad.torch.tensor import Tensor


def _of_input(
    convolution: Callable[..., Any], size: Any, weight: Any, grad_output: Any, options: tuple[Any, ...]
) -> Tensor:
    differentiable = state.grad
    with enable_grad():
        x = zeros(*size, dtype=weight.dtype).requires_grad_()
        return grad(convolution(x, weight, None, *options), x, grad_output, create_graph=differentiable)[0]


def _of_weight(
    convolution: Callable[..., Any], input: Any, size: Any, grad_output: Any, options: tuple[Any, ...]
) -> Tensor:
    differentiable = state.grad
    with enable_grad():
        w = zeros(*size, dtype=input.dtype).requires_grad_()
        return grad(convolution(input, w, None, *options), w, grad_output, create_graph=differentiable)[0]


def conv1d_input(input_size: Any, weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                 groups: int = 1) -> Tensor:  # fmt: skip
    """The gradient of conv1d with respect to its input, of shape `input_size`."""
    return _of_input(F.conv1d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv1d_weight(input: Tensor, weight_size: Any, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                  groups: int = 1) -> Tensor:  # fmt: skip
    """The gradient of conv1d with respect to its weight, of shape `weight_size`."""
    return _of_weight(F.conv1d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv2d_input(input_size: Any, weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                 groups: int = 1) -> Tensor:  # fmt: skip
    """The gradient of conv2d with respect to its input, of shape `input_size`."""
    return _of_input(F.conv2d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv2d_weight(input: Tensor, weight_size: Any, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                  groups: int = 1) -> Tensor:  # fmt: skip
    """The gradient of conv2d with respect to its weight, of shape `weight_size`."""
    return _of_weight(F.conv2d, input, weight_size, grad_output, (stride, padding, dilation, groups))


def conv3d_input(input_size: Any, weight: Tensor, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                 groups: int = 1) -> Tensor:  # fmt: skip
    """The gradient of conv3d with respect to its input, of shape `input_size`."""
    return _of_input(F.conv3d, input_size, weight, grad_output, (stride, padding, dilation, groups))


def conv3d_weight(input: Tensor, weight_size: Any, grad_output: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                  groups: int = 1) -> Tensor:  # fmt: skip
    """The gradient of conv3d with respect to its weight, of shape `weight_size`."""
    return _of_weight(F.conv3d, input, weight_size, grad_output, (stride, padding, dilation, groups))
