"""Lazy modules: those that learn the size of their input from the first one, and are ordinary modules from then on."""

from __future__ import annotations

import inspect
from typing import Any

from funcgrad.torch import dtypes
from funcgrad.torch.modes import no_grad
from funcgrad.torch.nn import images
from funcgrad.torch.nn.layers import Linear
from funcgrad.torch.nn.module import Module
from funcgrad.torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from funcgrad.torch.ops.creation import tensor
from funcgrad.torch.tensor import Tensor


def _initialize(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """The hook of the first call."""
    module.initialize_parameters(*args, **kwargs)
    if module.has_uninitialized_params():
        raise RuntimeError(f"module {module._get_name()} has not been fully initialized")
    for hooks, key in module.__dict__.pop("_first_hooks"):
        hooks.pop(key, None)
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become


def _take_shapes(module: Any, state_dict: Any, prefix: str, *rest: Any) -> None:
    """The hook of loading: what is not yet initialized takes the shape of what is loaded."""
    for name, own in [*module._parameters.items(), *module._buffers.items()]:
        given = state_dict.get(prefix + name)
        if is_lazy(own) and given is not None and not is_lazy(given):
            own.materialize(given.shape)


class LazyModuleMixin:
    """What makes a module lazy; comes before the module's class among the bases.

    A subclass sets `cls_to_become`, makes `UninitializedParameter`s in `__init__`, calls `be_lazy()` there, and gives them a
    shape in `initialize_parameters`, which gets the arguments of the first call.
    """

    cls_to_become: Any = None

    def be_lazy(self: Any) -> None:
        """Registers the hooks that the first call and loading need."""
        first = self.register_forward_pre_hook(_initialize, with_kwargs=True)
        load = self.register_load_state_dict_pre_hook(_take_shapes)
        self._first_hooks = [(self._forward_pre_hooks, first.id), (self._load_state_dict_pre_hooks, load.id)]

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Gives the parameters their shapes and first values."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self: Any) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(is_lazy(t) for t in (*self._parameters.values(), *self._buffers.values()))


class LazyLinear(LazyModuleMixin, Linear):
    """Linear whose `in_features` is the last dimension of its first input."""

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        Module.__init__(self)
        self.in_features, self.out_features = 0, out_features
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.register_parameter("bias", UninitializedParameter(device=device, dtype=dtype) if bias else None)
        self.be_lazy()

    def initialize_parameters(self, input: Tensor) -> None:
        """Takes the size of the input. Raises AssertionError if loaded weights have another one."""
        size = input.shape[-1]
        if self.has_uninitialized_params():
            with no_grad():
                self.in_features = size
                self.weight.materialize((self.out_features, size))
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))
                self.reset_parameters()
        if self.weight.shape[-1] != size:
            raise AssertionError(
                f"The in_features inferred from input: {size} is not equal to in_features from self.weight: "
                f"{self.weight.shape[-1]}"
            )
        self.in_features = size


def _channels(module: Any, input: Tensor, rank: int) -> int:
    """The number of channels of a batched or a single input."""
    if input.ndim not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {type(module).__name__}, but got input of size: "
            f"{input.shape}"
        )
    return input.shape[1] if input.ndim == rank + 2 else input.shape[0]


class _LazyConv(LazyModuleMixin, images._Conv):
    """Base of the lazy convolutions."""

    def __init__(self, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any):
        first = type(self).cls_to_become.__init__
        given = inspect.signature(first).bind(self, 0, out_channels, kernel_size, *args, **kwargs).arguments
        made = {name: given.get(name) for name in ("device", "dtype")}
        # A convolution with the fewest channels checks the options; its weight is thrown away.
        first(**{**given, "in_channels": given.get("groups", 1), "bias": False})
        self.in_channels = 0
        self.weight = UninitializedParameter(**made)
        if given.get("bias", True):
            self.bias = UninitializedParameter(**made)
        self.be_lazy()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Takes the channels of the input. Raises RuntimeError for inputs of other rank, ValueError where groups do not fit."""
        self.in_channels = _channels(self, input, self.rank)
        if not self.has_uninitialized_params():
            return
        if self.in_channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        with no_grad():
            own, other = self.in_channels, self.out_channels
            ends = (own, other // self.groups) if self.transposed else (other, own // self.groups)
            self.weight.materialize((*ends, *self.kernel_size))
            if self.bias is not None:
                self.bias.materialize((other,))
            self.reset_parameters()


class _LazyNorm(LazyModuleMixin, images._RunningNorm):
    """Base of the lazy norms with running statistics."""

    def __init__(self, eps: float = 1e-5, momentum: Any = 0.1, affine: bool = True, track_running_stats: bool = True,
                 device: Any = None, dtype: Any = None, *, bias: bool = True):  # fmt: skip
        type(self).cls_to_become.__init__(self, 0, eps, momentum, False, False)
        self.affine, self.track_running_stats = affine, track_running_stats
        made: dict[str, Any] = {"device": device, "dtype": dtype}
        if self.affine:
            self.weight = UninitializedParameter(**made)
            if bias:
                self.bias = UninitializedParameter(**made)
        if self.track_running_stats:
            self.running_mean = UninitializedBuffer(**made)
            self.running_var = UninitializedBuffer(**made)
            self.num_batches_tracked = tensor(0, dtype=dtypes.int64)
        self.be_lazy()

    def initialize_parameters(self, input: Tensor) -> None:
        """Takes the channels of the input."""
        self._check(input)
        single = not isinstance(self, images._BatchNorm) and input.ndim < self.ranks[-1]
        self.num_features = input.shape[0] if single else input.shape[1]
        if self.has_uninitialized_params():
            for t in (self.weight, self.bias, self.running_mean, self.running_var):
                if t is not None:
                    t.materialize((self.num_features,))
            with no_grad():
                self.reset_parameters()


class LazyConv1d(_LazyConv, images.Conv1d):
    """Conv1d whose `in_channels` is that of its first input."""

    cls_to_become = images.Conv1d


class LazyConv2d(_LazyConv, images.Conv2d):
    """Conv2d whose `in_channels` is that of its first input."""

    cls_to_become = images.Conv2d


class LazyConv3d(_LazyConv, images.Conv3d):
    """Conv3d whose `in_channels` is that of its first input."""

    cls_to_become = images.Conv3d


class LazyConvTranspose1d(_LazyConv, images.ConvTranspose1d):
    """ConvTranspose1d whose `in_channels` is that of its first input."""

    cls_to_become = images.ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, images.ConvTranspose2d):
    """ConvTranspose2d whose `in_channels` is that of its first input."""

    cls_to_become = images.ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, images.ConvTranspose3d):
    """ConvTranspose3d whose `in_channels` is that of its first input."""

    cls_to_become = images.ConvTranspose3d


class LazyBatchNorm1d(_LazyNorm, images.BatchNorm1d):
    """BatchNorm1d whose `num_features` is that of its first input."""

    cls_to_become = images.BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, images.BatchNorm2d):
    """BatchNorm2d whose `num_features` is that of its first input."""

    cls_to_become = images.BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, images.BatchNorm3d):
    """BatchNorm3d whose `num_features` is that of its first input."""

    cls_to_become = images.BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, images.InstanceNorm1d):
    """InstanceNorm1d whose `num_features` is that of its first input."""

    cls_to_become = images.InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, images.InstanceNorm2d):
    """InstanceNorm2d whose `num_features` is that of its first input."""

    cls_to_become = images.InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, images.InstanceNorm3d):
    """InstanceNorm3d whose `num_features` is that of its first input."""

    cls_to_become = images.InstanceNorm3d
