"""The optimisers by PyTorch's names: each says which rule of `funcgrad.optim` it is, and what its state is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import optim as rules
from funcgrad.torch.optim.optimizer import Optimizer, check_at_least_zero, check_betas, check_lr

Chosen = tuple[Callable[..., Any], dict[str, Any]]
WAYS = {"foreach": None, "capturable": False, "differentiable": False, "fused": None}
"""Ways of PyTorch's to run the same step, with their defaults; here it always is one call over all parameters."""
FUSED = ("SGD", "Adam", "AdamW", "Adagrad")
NOT_CAPTURABLE = ("SGD", "Adagrad")


def _options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The ways that an optimiser of PyTorch's has, for its parameter groups."""
    own = {k: v for k, v in WAYS.items() if k not in ("fused", "capturable")}
    own |= {"fused": None} if name in FUSED else {}
    own |= {} if name in NOT_CAPTURABLE else {"capturable": False}
    unknown = given.keys() - own.keys()
    if unknown:
        raise TypeError(f"{name}.__init__() got an unexpected keyword argument {sorted(unknown)[0]!r}")
    if given.get("differentiable"):
        raise NotImplementedError(
            f"{name}: differentiable=True is not supported; use funcgrad.optim, whose rules are pure functions."
        )
    return own | given


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, dampening, Nesterov's momentum and weight decay."""

    def __init__(self, params: Any, lr: Any = 1e-3, momentum: float = 0, dampening: float = 0, weight_decay: float = 0,
                 nesterov: bool = False, *, maximize: bool = False, **options: Any):  # fmt: skip
        check_lr(lr)
        check_at_least_zero(momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        Optimizer.__init__(self, params, {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize, **_options("SGD", options),
        })  # fmt: skip

    def rule(self, group: dict[str, Any]) -> Chosen:
        settings = {k: group[k] for k in ("weight_decay", "maximize")}
        if group["momentum"]:
            settings |= {k: group[k] for k in ("momentum", "nesterov", "dampening")}
        return rules.sgd, settings

    def names(self, group: dict[str, Any]) -> Sequence[str]:
        if not group["momentum"]:
            return ()
        return ("momentum_buffer", "step") if group["dampening"] else ("momentum_buffer",)


class _Adam(Optimizer):
    def __init__(self, params: Any, lr: Any, betas: Any, eps: float, weight_decay: float, maximize: bool,
                 options: dict[str, Any], **own: Any):  # fmt: skip
        check_lr(lr)
        check_at_least_zero(epsilon=eps, weight_decay=weight_decay)
        check_betas(betas)
        Optimizer.__init__(self, params, {
            "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize, **own,
            **_options(type(self).__name__, options),
        })  # fmt: skip

    def _settings(self, group: dict[str, Any], *more: str) -> dict[str, Any]:
        b1, b2 = group["betas"]
        return {"b1": b1, "b2": b2, "eps": group["eps"], **{k: group[k] for k in more}}

    def names(self, group: dict[str, Any]) -> Sequence[str]:
        common = ("step", "exp_avg", "exp_avg_sq")
        return (*common, "max_exp_avg_sq") if group.get("amsgrad") else common


class Adam(_Adam):
    """Adam (Kingma & Ba, 2015)."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        **options: Any,
    ):
        own = {"amsgrad": amsgrad, "decoupled_weight_decay": decoupled_weight_decay}
        _Adam.__init__(self, params, lr, betas, eps, weight_decay, maximize, options, **own)

    def rule(self, group: dict[str, Any]) -> Chosen:
        chosen = rules.adamw if group["decoupled_weight_decay"] else rules.adam
        return chosen, self._settings(group, "amsgrad", "weight_decay", "maximize")


class AdamW(_Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019)."""

    def __init__(self, params: Any, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2,
                 amsgrad: bool = False, *, maximize: bool = False, **options: Any):  # fmt: skip
        own = {"amsgrad": amsgrad, "decoupled_weight_decay": True}
        _Adam.__init__(self, params, lr, betas, eps, weight_decay, maximize, options, **own)

    def rule(self, group: dict[str, Any]) -> Chosen:
        return rules.adamw, self._settings(group, "amsgrad", "weight_decay", "maximize")


class Adamax(_Adam):
    """Adam by the largest gradients (Kingma & Ba, 2015)."""

    def __init__(self, params: Any, lr: Any = 2e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0, *,
                 maximize: bool = False, **options: Any):  # fmt: skip
        _Adam.__init__(self, params, lr, betas, eps, weight_decay, maximize, options)

    def rule(self, group: dict[str, Any]) -> Chosen:
        return rules.adamax, self._settings(group, "weight_decay", "maximize")

    def names(self, group: dict[str, Any]) -> Sequence[str]:
        return ("step", "exp_avg", "exp_inf")


class NAdam(_Adam):
    """Adam with Nesterov's momentum (Dozat, 2016)."""

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
        **options: Any,
    ):
        check_at_least_zero(momentum_decay=momentum_decay)
        own = {"momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        _Adam.__init__(self, params, lr, betas, eps, weight_decay, maximize, options, **own)

    def rule(self, group: dict[str, Any]) -> Chosen:
        return rules.nadam, self._settings(
            group, "weight_decay", "momentum_decay", "decoupled_weight_decay", "maximize"
        )

    def names(self, group: dict[str, Any]) -> Sequence[str]:
        return ("step", "exp_avg", "exp_avg_sq", "mu_product")


class RAdam(_Adam):
    """Rectified Adam (Liu et al., 2020)."""

    def __init__(self, params: Any, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
                 decoupled_weight_decay: bool = False, *, maximize: bool = False, **options: Any):  # fmt: skip
        own = {"decoupled_weight_decay": decoupled_weight_decay}
        _Adam.__init__(self, params, lr, betas, eps, weight_decay, maximize, options, **own)

    def rule(self, group: dict[str, Any]) -> Chosen:
        return rules.radam, {
            **self._settings(group, "weight_decay", "decoupled_weight_decay", "maximize"), "correct_eps": True,
        }  # fmt: skip


class RMSprop(Optimizer):
    """RMSProp (Hinton, 2012), optionally centered and with momentum."""

    _counts = True

    def __init__(self, params: Any, lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0,
                 momentum: float = 0, centered: bool = False, *, maximize: bool = False, **options: Any):  # fmt: skip
        check_lr(lr)
        check_at_least_zero(epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        Optimizer.__init__(self, params, {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered, "weight_decay": weight_decay,
            "maximize": maximize, **_options("RMSprop", options),
        })  # fmt: skip

    def rule(self, group: dict[str, Any]) -> Chosen:
        settings = {k: group[k] for k in ("eps", "centered", "weight_decay", "maximize")}
        if group["momentum"]:
            settings |= {"momentum": group["momentum"], "momentum_before_rate": True}
        return rules.rmsprop, {**settings, "decay": group["alpha"], "eps_in_sqrt": False}

    def names(self, group: dict[str, Any]) -> Sequence[str]:
        found = ["square_avg"] + (["grad_avg"] if group["centered"] else [])
        return (*found, "momentum_buffer") if group["momentum"] else found


class Adagrad(Optimizer):
    """Adagrad (Duchi et al., 2011)."""

    _counts = True

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        **options: Any,
    ):
        check_lr(lr)
        check_at_least_zero(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        Optimizer.__init__(self, params, {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize, **_options("Adagrad", options),
        })  # fmt: skip

    def rule(self, group: dict[str, Any]) -> Chosen:
        keys = ("lr_decay", "weight_decay", "initial_accumulator_value", "eps", "maximize")
        return rules.adagrad, {**{k: group[k] for k in keys}, "eps_in_sqrt": False}

    def names(self, group: dict[str, Any]) -> Sequence[str]:
        return ("sum", "count") if group["lr_decay"] else ("sum",)


class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012)."""

    _counts = True

    _names = ("square_avg", "acc_delta")

    def __init__(self, params: Any, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0, *,
                 maximize: bool = False, **options: Any):  # fmt: skip
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_at_least_zero(epsilon=eps, weight_decay=weight_decay)
        Optimizer.__init__(self, params, {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, **_options("Adadelta", options),
        })  # fmt: skip

    def rule(self, group: dict[str, Any]) -> Chosen:
        return rules.adadelta, {k: group[k] for k in ("rho", "eps", "weight_decay", "maximize")}


class Rprop(Optimizer):
    """Rprop (Riedmiller & Braun, 1993), for gradients of the whole data."""

    _counts = True

    _names = ("step_size", "prev")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: Any = (0.5, 1.2),
        step_sizes: Any = (1e-6, 50),
        *,
        maximize: bool = False,
        **options: Any,
    ):
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        Optimizer.__init__(self, params, {
            "lr": lr, "etas": tuple(etas), "step_sizes": tuple(step_sizes), "maximize": maximize, **_options("Rprop", options),
        })  # fmt: skip

    def rule(self, group: dict[str, Any]) -> Chosen:
        (low, high), (least, most) = group["etas"], group["step_sizes"]
        return rules.rprop, {
            "eta_minus": low, "eta_plus": high, "min_step_size": least, "max_step_size": most, "maximize": group["maximize"],
        }  # fmt: skip

    def first(self, name: str, value: np.ndarray, group: dict[str, Any]) -> np.ndarray:
        return np.full_like(value, float(group["lr"])) if name == "step_size" else np.array(value)


class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak & Juditsky, 1992)."""

    _names = ("step", "eta", "mu", "ax")

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        **options: Any,
    ):
        check_lr(lr)
        check_at_least_zero(weight_decay=weight_decay)
        Optimizer.__init__(self, params, {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize,
            **_options("ASGD", options),
        })  # fmt: skip

    def rule(self, group: dict[str, Any]) -> Chosen:
        return rules.asgd, {k: group[k] for k in ("lambd", "alpha", "t0", "weight_decay", "maximize")}

    def first(self, name: str, value: np.ndarray, group: dict[str, Any]) -> np.ndarray:
        return np.full_like(value, float(group["lr"])) if name == "eta" else Optimizer.first(self, name, value, group)
