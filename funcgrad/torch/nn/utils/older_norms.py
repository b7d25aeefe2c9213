"""The older `weight_norm` and `spectral_norm`: hooks that compute the weight before each forward."""

from __future__ import annotations

import warnings
from typing import Any

from funcgrad.torch.modes import no_grad
from funcgrad.torch.nn.module import Module
from funcgrad.torch.nn.parameter import Parameter, UninitializedParameter
from funcgrad.torch.nn.utils import norms


class WeightNorm:
    """The hook of `weight_norm`: sets the weight from its lengths `<name>_g` and directions `<name>_v`."""

    title = "weight_norm"

    def __init__(self, name: str, dim: int):
        self.name, self.dim = name, dim

    def compute_weight(self, module: Module) -> Any:
        """The weight of the present lengths and directions."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return norms.from_length_and_direction(g, v, self.dim)

    def remove(self, module: Module) -> None:
        """Makes the weight a parameter again."""
        with no_grad():
            weight = self.compute_weight(module)
        for name in (self.name, f"{self.name}_g", f"{self.name}_v"):
            delattr(module, name)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


class SpectralNorm:
    """The hook of `spectral_norm`: sets the weight from `<name>_orig` and the singular vectors `<name>_u`, `<name>_v`."""

    title = "spectral_norm"

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12):
        norms.check_iterations(n_power_iterations)
        self.name, self.dim, self.n_power_iterations, self.eps = name, dim, n_power_iterations, eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Any:
        """The weight divided by its largest singular value, after some steps of the power method."""
        weight, u, v = (getattr(module, f"{self.name}_{end}") for end in ("orig", "u", "v"))
        matrix = norms.as_matrix(weight, self.dim)
        steps = self.n_power_iterations if do_power_iteration else 0
        u, v = norms.power_step(matrix, u, v, self.eps, steps, "v")
        return weight / u.dot(matrix.mv(v))

    def remove(self, module: Module) -> None:
        """Makes the weight a parameter again."""
        with no_grad():
            weight = self.compute_weight(module, False)
        for name in (self.name, f"{self.name}_u", f"{self.name}_v", f"{self.name}_orig"):
            delattr(module, name)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def _hook_of(module: Module, kind: type, name: str) -> Any:
    """The number of the hook of this kind on a parameter, or None."""
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:  # type: ignore[attr-defined]
            return number
    return None


def _weight(module: Module, kind: Any, name: str) -> Any:
    if _hook_of(module, kind, name) is not None:
        raise RuntimeError(f"Cannot register two {kind.title} hooks on the same parameter {name}")
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`{kind.__name__}` cannot be applied as parameter `{name}` is None")
    if isinstance(weight, UninitializedParameter):
        raise ValueError(
            f"The module passed to `{kind.__name__}` can't have uninitialized parameters. Make sure to run the dummy forward "
            "before applying it"
        )
    return weight


def _remove(module: Module, kind: Any, name: str) -> Module:
    number = _hook_of(module, kind, name)
    if number is None:
        raise ValueError(f"{kind.title} of '{name}' not found in {module}")
    module._forward_pre_hooks.pop(number).remove(module)
    return module


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Makes a weight the product of lengths `<name>_g` and directions `<name>_v` over all dimensions but `dim`.

    Deprecated in PyTorch for `parametrizations.weight_norm`, with a FutureWarning. Raises RuntimeError the second time.
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    weight = _weight(module, WeightNorm, name)
    hook = WeightNorm(name, -1 if dim is None else dim)
    with no_grad():
        lengths = norms.norm_except(weight, hook.dim)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(lengths.detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Makes a weight with `weight_norm` a plain parameter again. Raises ValueError if it has none."""
    return _remove(module, WeightNorm, name)


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Module:  # fmt: skip
    """Divides a weight by its largest singular value, as a matrix with rows along `dim` (None: the outputs).

    Raises RuntimeError the second time, ValueError for less than one iteration.
    """
    hook = SpectralNorm(name, n_power_iterations, norms.default_dim(module) if dim is None else dim, eps)
    weight = _weight(module, SpectralNorm, name)
    with no_grad():
        matrix = norms.as_matrix(weight, hook.dim)
        u, v = (norms.unit_vector(n, matrix, eps) for n in matrix.shape)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.data)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Makes a weight with `spectral_norm` a plain parameter again. Raises ValueError if it has none."""
    return _remove(module, SpectralNorm, name)
