"""Optimisers under their names: chains of the parts, with optax's arguments and defaults.

What torch.optim has besides is a keyword argument: `weight_decay` (where optax has none), `maximize`, `dampening`, `amsgrad`,
`lr_decay`, `eps_in_sqrt=False`. With the same settings, numbers are those of torch.optim and of optax.
"""

from __future__ import annotations

from typing import Any

from funcgrad.optim import checks
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
    needed = type(weight_decay) not in (int, float) or weight_decay != 0
    return parts + ([add_decayed_weights(weight_decay)] if needed else [])


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
