"""Optimisers under their names: chains of the parts, with optax's arguments and defaults.

What torch.optim has besides is a keyword argument: `weight_decay` (where optax has none), `maximize`, `dampening`, `amsgrad`,
`lr_decay`, `eps_in_sqrt=False`. With the same settings, numbers are those of torch.optim and of optax.
"""

from __future__ import annotations

from typing import Any

from funcgrad.optim import checks
from funcgrad.optim.adaptive import (
    averaged_sgd,
    scale_by_adadelta,
    scale_by_adamax,
    scale_by_nadam,
    scale_by_radam,
    scale_by_rprop,
)
from funcgrad.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    chain,
    scale,
    scale_by_learning_rate,
)
from funcgrad.optim.scaling import (
    add_decayed_weights,
    scale_by_adam,
    scale_by_amsgrad,
    scale_by_lion,
    scale_by_rms,
    scale_by_rss,
    trace,
)
from funcgrad.optim.schedules import inverse_time_decay

Optimizer = GradientTransformationExtraArgs


def _before(maximize: bool, weight_decay: Any) -> list[GradientTransformation]:
    """What torch does to gradients first: change of sign to maximise, L2 regularisation."""
    parts: list[GradientTransformation] = [scale(-1)] if maximize else []
    return parts + ([add_decayed_weights(weight_decay)] if _is_needed(weight_decay) else [])


def _is_needed(weight_decay: Any) -> bool:
    """Whether there may be decay: an array or a traced number might be anything."""
    return type(weight_decay) not in (int, float) or weight_decay != 0


def _decayed(maximize: bool, weight_decay: Any, decoupled: bool, middle: GradientTransformation,
             learning_rate: Any) -> Optimizer:  # fmt: skip
    """Weight decay before `middle` as L2 regularisation, or decoupled from it after it."""
    after = [add_decayed_weights(weight_decay)] if decoupled and _is_needed(weight_decay) else []
    before = _before(maximize, 0 if decoupled else weight_decay)
    return chain(*before, middle, *after, scale_by_learning_rate(learning_rate))


def sgd(learning_rate: Any, momentum: Any = None, nesterov: bool = False, accumulator_dtype: Any = None, *,
        dampening: Any = 0.0, weight_decay: Any = 0.0, maximize: bool = False) -> Optimizer:  # fmt: skip
    """Stochastic gradient descent.

    learning_rate: a number or a schedule, here and below. momentum, nesterov, dampening, accumulator_dtype: as in `trace`.
    weight_decay: L2 regularisation, before momentum. maximize: ascends instead.
    Raises ValueError for negative numbers, and for nesterov, dampening or accumulator_dtype without momentum.
    """
    checks.learning_rate("sgd", learning_rate)
    checks.nonnegative("sgd", weight_decay=weight_decay)
    parts = _before(maximize, weight_decay)
    if momentum is None:
        given = {"nesterov": nesterov, "accumulator_dtype": accumulator_dtype, "dampening": dampening}
        for name, value in given.items():
            if value is not None and value is not False and not (type(value) in (int, float) and value == 0):
                raise ValueError(f"sgd: {name}={value!r} needs a momentum; write sgd(..., momentum=0.9).")
        return chain(*parts, scale_by_learning_rate(learning_rate))
    checks.fraction("sgd", momentum=momentum)
    momentum_part = trace(momentum, nesterov, accumulator_dtype, dampening=dampening)
    return chain(*parts, momentum_part, scale_by_learning_rate(learning_rate))


def adam(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None, *,
         nesterov: bool = False, amsgrad: bool = False, weight_decay: Any = 0.0, maximize: bool = False,
         ) -> Optimizer:  # fmt: skip
    """Adam (Kingma and Ba 2015); the arguments of `scale_by_adam`, and:

    weight_decay: L2 regularisation, as in torch's Adam (`adamw` decouples it). maximize: ascends instead.
    Raises ValueError for numbers out of their range.
    """
    checks.learning_rate("adam", learning_rate)
    checks.decay_rate("adam", b1=b1, b2=b2)
    checks.nonnegative("adam", eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    middle = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov, amsgrad=amsgrad)
    return chain(*_before(maximize, weight_decay), middle, scale_by_learning_rate(learning_rate))


def amsgrad(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None,
            ) -> Optimizer:  # fmt: skip
    """AMSGrad as optax has it (torch's is adam(..., amsgrad=True)). Raises ValueError for numbers out of their range."""
    checks.learning_rate("amsgrad", learning_rate)
    return chain(scale_by_amsgrad(b1, b2, eps, eps_root, mu_dtype), scale_by_learning_rate(learning_rate))


def adamw(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None,
          weight_decay: Any = 1e-4, mask: Any = None, *, nesterov: bool = False, amsgrad: bool = False,
          maximize: bool = False) -> Optimizer:  # fmt: skip
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019); the arguments of `scale_by_adam`, and:

    weight_decay: 1e-4 as in optax (torch's default is 1e-2). mask: as in `masked`, the parameters that decay.
    maximize: ascends instead. Raises ValueError for numbers out of their range.
    """
    checks.learning_rate("adamw", learning_rate)
    checks.decay_rate("adamw", b1=b1, b2=b2)
    checks.nonnegative("adamw", eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    return chain(
        *_before(maximize, 0),
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov, amsgrad=amsgrad),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def rmsprop(learning_rate: Any, decay: Any = 0.9, eps: Any = 1e-8, initial_scale: Any = 0.0, eps_in_sqrt: bool = True,
            centered: bool = False, momentum: Any = None, nesterov: bool = False, bias_correction: bool = False, *,
            momentum_before_rate: bool = False, weight_decay: Any = 0.0, maximize: bool = False) -> Optimizer:  # fmt: skip
    """RMSProp (Hinton 2012); the arguments of `scale_by_rms`, and:

    momentum, nesterov: `trace` of the steps; after the learning rate as in optax, or before it as in torch, which differs where a
    schedule changes the rate. weight_decay: L2 regularisation. maximize: ascends instead.
    torch's RMSprop(alpha=...) is rmsprop(decay=alpha, eps_in_sqrt=False, momentum_before_rate=True), by default alpha=0.99.
    Raises ValueError for numbers out of their range, and for nesterov or momentum_before_rate without momentum.
    """
    checks.learning_rate("rmsprop", learning_rate)
    checks.decay_rate("rmsprop", decay=decay)
    checks.nonnegative("rmsprop", eps=eps, initial_scale=initial_scale, weight_decay=weight_decay)
    for name, value in {"nesterov": nesterov, "momentum_before_rate": momentum_before_rate}.items():
        if value and momentum is None:
            raise ValueError(f"rmsprop: {name}=True needs a momentum; write rmsprop(..., momentum=0.9).")
    middle = scale_by_rms(decay, eps, initial_scale, eps_in_sqrt, bias_correction, centered=centered)
    steps = [scale_by_learning_rate(learning_rate)]
    if momentum is not None:
        steps.insert(0 if momentum_before_rate else 1, trace(momentum, nesterov))
    return chain(*_before(maximize, weight_decay), middle, *steps)


def adagrad(learning_rate: Any, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7, *, eps_in_sqrt: bool = True,
            lr_decay: Any = 0.0, weight_decay: Any = 0.0, maximize: bool = False) -> Optimizer:  # fmt: skip
    """Adagrad (Duchi et al. 2011); the arguments of `scale_by_rss`, and:

    lr_decay: divides the rate by 1 + lr_decay * count. weight_decay: L2 regularisation. maximize: ascends instead.
    torch's Adagrad is adagrad(initial_accumulator_value=0, eps=1e-10, eps_in_sqrt=False).
    Raises ValueError for negative numbers, and for lr_decay with a schedule.
    """
    checks.learning_rate("adagrad", learning_rate)
    checks.nonnegative("adagrad", initial_accumulator_value=initial_accumulator_value, eps=eps, lr_decay=lr_decay,
                       weight_decay=weight_decay)  # fmt: skip
    if type(lr_decay) not in (int, float) or lr_decay != 0:
        if callable(learning_rate):
            raise ValueError("adagrad: lr_decay is for a constant learning rate; let the schedule decay instead.")
        learning_rate = inverse_time_decay(learning_rate, lr_decay)
    middle = scale_by_rss(initial_accumulator_value, eps, eps_in_sqrt=eps_in_sqrt)
    return chain(*_before(maximize, weight_decay), middle, scale_by_learning_rate(learning_rate))


def lion(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.99, mu_dtype: Any = None, weight_decay: Any = 1e-3, mask: Any = None, *,
         maximize: bool = False) -> Optimizer:  # fmt: skip
    """Lion (Chen et al. 2023): steps of the sign of momentum, with decoupled weight decay.

    b1, b2, mu_dtype: as in `scale_by_lion`. mask: as in `masked`, the parameters that decay. maximize: ascends instead.
    Raises ValueError for numbers out of their range.
    """
    checks.learning_rate("lion", learning_rate)
    checks.decay_rate("lion", b1=b1, b2=b2)
    checks.nonnegative("lion", weight_decay=weight_decay)
    return chain(
        *_before(maximize, 0),
        scale_by_lion(b1, b2, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def adamax(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, *, weight_decay: Any = 0.0,
           maximize: bool = False) -> Optimizer:  # fmt: skip
    """AdaMax (Kingma and Ba 2015); b1, b2, eps: as in `scale_by_adamax`.

    weight_decay: L2 regularisation. maximize: ascends instead. Raises ValueError for numbers out of their range.
    """
    checks.learning_rate("adamax", learning_rate)
    checks.decay_rate("adamax", b1=b1, b2=b2)
    checks.nonnegative("adamax", eps=eps, weight_decay=weight_decay)
    return _decayed(maximize, weight_decay, False, scale_by_adamax(b1, b2, eps), learning_rate)


def adamaxw(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, weight_decay: Any = 1e-4, mask: Any = None,
            ) -> Optimizer:  # fmt: skip
    """AdaMax with decoupled weight decay; mask: as in `masked`, the parameters that decay. Raises as `adamax`."""
    checks.learning_rate("adamaxw", learning_rate)
    checks.nonnegative("adamaxw", weight_decay=weight_decay)
    decay = add_decayed_weights(weight_decay, mask)
    return chain(scale_by_adamax(b1, b2, eps), decay, scale_by_learning_rate(learning_rate))


def nadam(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None, *,
          momentum_decay: Any = None, weight_decay: Any = 0.0, decoupled_weight_decay: bool = False,
          maximize: bool = False) -> Optimizer:  # fmt: skip
    """NAdam (Dozat 2016): Adam with Nesterov's momentum.

    momentum_decay: None for optax's formula (adam(..., nesterov=True)), a number for torch's (its default is 4e-3), as in
    `scale_by_nadam`, without eps_root and mu_dtype. weight_decay: L2 regularisation, or decoupled. maximize: ascends instead.
    Raises ValueError for numbers out of their range, and for eps_root or mu_dtype with momentum_decay.
    """
    checks.learning_rate("nadam", learning_rate)
    checks.decay_rate("nadam", b1=b1, b2=b2)
    checks.nonnegative("nadam", eps=eps, eps_root=eps_root, weight_decay=weight_decay)
    middle = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=True)
    if momentum_decay is not None:
        if mu_dtype is not None or type(eps_root) not in (int, float) or eps_root != 0:
            raise ValueError(
                "nadam: eps_root and mu_dtype are for optax's formula; leave them out with momentum_decay."
            )
        middle = scale_by_nadam(b1, b2, eps, momentum_decay=momentum_decay)
    return _decayed(maximize, weight_decay, decoupled_weight_decay, middle, learning_rate)


def nadamw(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None,
           weight_decay: Any = 1e-4, mask: Any = None) -> Optimizer:  # fmt: skip
    """adamw(..., nesterov=True), under optax's name for it."""
    return adamw(learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov=True)


def radam(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, threshold: Any = 5.0, *,
          nesterov: bool = False, correct_eps: bool = False, weight_decay: Any = 0.0,
          decoupled_weight_decay: bool = False, maximize: bool = False) -> Optimizer:  # fmt: skip
    """Rectified Adam (Liu et al. 2020); the arguments of `scale_by_radam`, and:

    weight_decay: L2 regularisation, or decoupled. maximize: ascends instead. torch's RAdam is radam(correct_eps=True).
    Raises ValueError for numbers out of their range.
    """
    checks.learning_rate("radam", learning_rate)
    checks.decay_rate("radam", b1=b1, b2=b2)
    checks.nonnegative("radam", eps=eps, eps_root=eps_root, threshold=threshold, weight_decay=weight_decay)
    middle = scale_by_radam(b1, b2, eps, eps_root, threshold, nesterov=nesterov, correct_eps=correct_eps)
    return _decayed(maximize, weight_decay, decoupled_weight_decay, middle, learning_rate)


def adadelta(learning_rate: Any = None, rho: Any = 0.9, eps: Any = 1e-6, weight_decay: Any = 0.0,
             weight_decay_mask: Any = None, *, maximize: bool = False) -> Optimizer:  # fmt: skip
    """Adadelta (Zeiler 2012); rho, eps: as in `scale_by_adadelta`.

    learning_rate: None is 1. weight_decay: L2 regularisation, of the parameters of weight_decay_mask (as in `masked`) if given.
    maximize: ascends instead. Raises ValueError for numbers out of their range.
    """
    rate = 1.0 if learning_rate is None else learning_rate
    checks.learning_rate("adadelta", rate)
    checks.nonnegative("adadelta", eps=eps, weight_decay=weight_decay)
    decay = [add_decayed_weights(weight_decay, weight_decay_mask)] if _is_needed(weight_decay) else []
    return chain(*_before(maximize, 0), *decay, scale_by_adadelta(rho, eps), scale_by_learning_rate(rate))


def rprop(learning_rate: Any, eta_minus: Any = 0.5, eta_plus: Any = 1.2, min_step_size: Any = 1e-6,
          max_step_size: Any = 50.0, *, maximize: bool = False) -> Optimizer:  # fmt: skip
    """Rprop (Riedmiller and Braun 1993), for gradients of the whole data; the arguments of `scale_by_rprop`, and:

    maximize: ascends instead. Raises as `scale_by_rprop`.
    """
    middle = scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)
    return chain(*_before(maximize, 0), middle, scale(-1.0))


def asgd(learning_rate: Any, lambd: Any = 1e-4, alpha: Any = 0.75, t0: Any = 1e6, *, weight_decay: Any = 0.0,
         maximize: bool = False) -> Optimizer:  # fmt: skip
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992); the arguments of `averaged_sgd`, and:

    weight_decay: L2 regularisation. maximize: ascends instead. The averaged parameters are `state[-1].ax`.
    Raises ValueError for numbers out of their range.
    """
    checks.learning_rate("asgd", learning_rate)
    checks.nonnegative("asgd", lambd=lambd, t0=t0, weight_decay=weight_decay)
    return chain(*_before(maximize, weight_decay), averaged_sgd(learning_rate, lambd, alpha, t0))
