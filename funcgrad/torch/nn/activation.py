"""Activations as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.torch.nn import functional as F
from funcgrad.torch.nn.module import Module
from funcgrad.torch.nn.parameter import Parameter
from funcgrad.torch.ops.creation import full
from funcgrad.torch.tensor import Tensor


def _activation(name: str, function: Callable[..., Any], doc: str, inplace: bool = False, **defaults: Any) -> Any:
    """A module class with the options of a function as attributes; PyTorch's line shows them as `shown` says."""
    names = list(defaults)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        Module.__init__(self)
        known = [*names, *(["inplace"] if inplace else [])]
        given = dict(zip(known, args, strict=False))
        unknown = kwargs.keys() - set(known)
        if unknown or len(args) > len(known):
            raise TypeError(f"{name}.__init__() got unexpected arguments {sorted(unknown) or args[len(known) :]}")
        values = {**defaults, **({"inplace": False} if inplace else {}), **given, **kwargs}
        for key, value in values.items():
            setattr(self, key, value)

    def forward(self: Any, input: Tensor) -> Tensor:
        options = {n: getattr(self, n) for n in names}
        return function(input, **options, **({"inplace": self.inplace} if inplace else {}))

    def extra_repr(self: Any) -> str:
        parts = [f"{n}={getattr(self, n)!r}" if n != "lambd" else repr(getattr(self, n)) for n in names]
        return ", ".join(parts + (["inplace=True"] if inplace and self.inplace else []))

    return type(
        name,
        (Module,),
        {"__init__": __init__, "forward": forward, "extra_repr": extra_repr, "__doc__": doc, "__module__": __name__},
    )


ReLU = _activation("ReLU", F.relu, "max(x, 0).", True)
ReLU6 = _activation("ReLU6", F.relu6, "x limited to [0, 6].", True)
LeakyReLU = _activation(
    "LeakyReLU", F.leaky_relu, "x where positive, else negative_slope * x.", True, negative_slope=0.01
)
ELU = _activation("ELU", F.elu, "x where positive, else alpha * (exp(x) - 1).", True, alpha=1.0)
SELU = _activation("SELU", F.selu, "The self-normalising ELU.", True)
CELU = _activation("CELU", F.celu, "The continuously differentiable ELU.", False, alpha=1.0)
GELU = _activation("GELU", F.gelu, "x times the normal distribution function.", False, approximate="none")
SiLU = _activation("SiLU", F.silu, "x * sigmoid(x).", True)
Mish = _activation("Mish", F.mish, "x * tanh(softplus(x)).", True)
Hardtanh = _activation("Hardtanh", F.hardtanh, "x limited to [min_val, max_val].", True, min_val=-1.0, max_val=1.0)
Hardsigmoid = _activation("Hardsigmoid", F.hardsigmoid, "relu6(x + 3) / 6.", True)
Hardswish = _activation("Hardswish", F.hardswish, "x * hardsigmoid(x).", True)
Softplus = _activation("Softplus", F.softplus, "log(1 + exp(beta x)) / beta.", False, beta=1.0, threshold=20.0)
Softsign = _activation("Softsign", F.softsign, "x / (1 + |x|).")
Softshrink = _activation("Softshrink", F.softshrink, "x moved toward 0 by lambd.", False, lambd=0.5)
Hardshrink = _activation("Hardshrink", F.hardshrink, "0 within [-lambd, lambd].", False, lambd=0.5)
Tanhshrink = _activation("Tanhshrink", F.tanhshrink, "x - tanh(x).")
LogSigmoid = _activation("LogSigmoid", F.logsigmoid, "log(sigmoid(x)).")
Sigmoid = _activation("Sigmoid", F.sigmoid, "1 / (1 + exp(-x)).")
Tanh = _activation("Tanh", F.tanh, "tanh(x).")
GLU = _activation("GLU", F.glu, "The first half of a dimension times the sigmoid of the second.", False, dim=-1)
Softmax = _activation("Softmax", F.softmax, "exp(x), scaled to sum 1.", False, dim=None)
LogSoftmax = _activation("LogSoftmax", F.log_softmax, "log(softmax(x)).", False, dim=None)
Softmin = _activation("Softmin", F.softmin, "softmax(-x).", False, dim=None)
Threshold = _activation(
    "Threshold", F.threshold, "x where above the threshold, else value.", True, threshold=0.0, value=0.0
)


class Softmax2d(Module):
    """Softmax over the channels of images."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, -3)


class RReLU(Module):
    """LeakyReLU with random slopes in training."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False):
        Module.__init__(self)
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x where positive, else a learned multiple of it."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None):
        Module.__init__(self)
        self.num_parameters = num_parameters
        self.weight = Parameter(full((num_parameters,), init, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
