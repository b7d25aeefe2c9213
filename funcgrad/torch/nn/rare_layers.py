"""Layers that few need: fractional max pools, LPPool3d, CrossMapLRN2d, and those of several processes in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.torch.nn import functional as F
from funcgrad.torch.nn.images import LPPool2d, _BatchNorm, tupled
from funcgrad.torch.nn.module import Module
from funcgrad.torch.tensor import Tensor


class _FractionalMaxPool(Module):
    rank: int
    function: Any

    def __init__(self, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
                 _random_samples: Tensor | None = None):  # fmt: skip
        Module.__init__(self)
        name = type(self).__name__
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        self.kernel_size, self.return_indices = tupled(kernel_size, self.rank), return_indices
        self.output_size = None if output_size is None else tupled(output_size, self.rank)
        self.output_ratio = None if output_ratio is None else tupled(output_ratio, self.rank)
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        self.register_buffer("_random_samples", _random_samples)

    def forward(self, input: Tensor) -> Any:
        return type(self).function(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest values of windows that lie where random numbers say (Graham, 2014), of (N, C, H, W)."""

    rank = 2
    function = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest values of windows that lie where random numbers say (Graham, 2014), of (N, C, D, H, W)."""

    rank = 3
    function = staticmethod(F.fractional_max_pool3d)


class LPPool3d(LPPool2d):
    """The norm of each window of volumes."""

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool3d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class CrossMapLRN2d(Module):
    """Divided by what neighbouring channels of (N, C, H, W) hold; the older name of LocalResponseNorm.

    The sums are those of the formula. PyTorch's class leaves the first channel's square in the sums of all later channels.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1):
        Module.__init__(self)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.ndim}D instead.")
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class SyncBatchNorm(_BatchNorm):
    """Batch norm over all processes of a group; here there is one process, so it is batch norm of (N, C, ...).

    Raises NotImplementedError for a process group.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, process_group: Any = None, device: Any = None, dtype: Any = None, *,
                 bias: bool = True):  # fmt: skip
        if process_group is not None:
            raise NotImplementedError("SyncBatchNorm: there is one process only; write process_group=None.")
        _BatchNorm.__init__(self, num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _check(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with every batch norm in it replaced by one of this class, with the same parameters and statistics."""
        made: Any = module
        if isinstance(module, _BatchNorm):
            made = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            for store in ("_parameters", "_buffers"):
                for name, value in module.__dict__[store].items():
                    made.__dict__[store][name] = value
            made.training = module.training
        for name, child in list(module.named_children()):
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made


class DataParallel(Module):
    """A module run on all GPUs; without one, as in PyTorch, it just calls the module. Raises RuntimeError for device_ids."""

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ):
        Module.__init__(self)
        if device_ids:
            raise RuntimeError(
                f"DataParallel: there is no GPU here, got device_ids={list(device_ids)!r}; leave it out."
            )
        self.dim, self.module = dim, module
        self.device_ids: list[Any] = []
        self.output_device = output_device

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        return self.module(*inputs, **kwargs)
