"""Batch norm in evaluation mode taken into the layer before it."""

from __future__ import annotations

import copy
from typing import Any

from funcgrad.torch.nn.module import Module
from funcgrad.torch.nn.parameter import Parameter


def _fused(weight: Any, bias: Any, mean: Any, var: Any, eps: float, scale: Any, shift: Any, shape: list[int]) -> Any:
    factor = (var + eps).rsqrt() if scale is None else scale * (var + eps).rsqrt()
    moved = (-mean if bias is None else bias - mean) * factor
    moved = moved if shift is None else moved + shift
    kind, needs = (weight, weight.requires_grad) if bias is None else (bias, bias.requires_grad)
    new = (weight * factor.reshape(shape)).to(weight.dtype)
    return Parameter(new.detach(), weight.requires_grad), Parameter(moved.to(kind.dtype).detach(), needs)


def fuse_conv_bn_weights(conv_w: Any, conv_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any,
                         transpose: bool = False) -> Any:  # fmt: skip
    """(weight, bias) of the convolution that computes a convolution and a batch norm; transpose: of a transposed one."""
    shape = [1, -1] if transpose else [-1, 1]
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape + [1] * (conv_w.ndim - 2))


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> Any:
    """(weight, bias) of the linear layer that computes a linear layer and a batch norm."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def _check(layer: Module, bn: Any) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A copy of a convolution that does the batch norm behind it too; both must be in evaluation mode."""
    _check(conv, bn)
    made = copy.deepcopy(conv)
    made.weight, made.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return made


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A copy of a linear layer that does the batch norm behind it too; both must be in evaluation mode."""
    _check(linear, bn)
    if bn.num_features not in (1, linear.out_features):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got linear.out_features="
            f"{linear.out_features} and bn.num_features={bn.num_features}"
        )
    made = copy.deepcopy(linear)
    made.weight, made.bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return made
