"""The parts of first-order optimisers: momentum, weight decay, and scaling by moments of past gradients.

Formulas are optax's by default; keyword arguments give torch.optim's where the two differ.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.optim import checks
from funcgrad.optim.base import (
    GradientTransformation,
    cast_like,
    count_zero,
    increment,
    squared,
    stateless,
    zeros_like_tree,
)
from funcgrad.optim.masking import masked


def moment(values: Any, moments: Any, decay: Any) -> Any:
    """The exponential moving average of trees: decay * moments + (1 - decay) * values."""

    def blend(v: Any, m: Any) -> Any:
        return cast_like(decay, v) * m + cast_like(1 - decay, v) * v

    return tree.map(blend, values, moments)


def corrected(moments: Any, decay: Any, count: Any) -> Any:
    """Averages that began at 0, divided by the sum of their weights after `count` steps."""
    scale = 1 / (1 - decay**count)  # One division in all, not one for each number.
    return tree.map(lambda m: m * cast_like(scale, m), moments)


def real_zeros(params: Any, value: Any = 0.0) -> Any:
    """A tree of zeros (or of another value) with the shapes of `params`, real also where these are complex."""
    return tree.map(lambda p: fnp.full_like(fnp.real(p), value), params)


def _stored(moments: Any, dtype: Any) -> Any:
    return moments if dtype is None else tree.map(lambda m: m.astype(dtype), moments)


class TraceState(NamedTuple):
    """The running sum of updates, and the count of steps if `dampening` needs it (else None)."""

    trace: Any
    count: Any = None


def trace(decay: Any, nesterov: bool = False, accumulator_dtype: Any = None, *, dampening: Any = 0.0,
          ) -> GradientTransformation:  # fmt: skip
    """Momentum: t = decay * t + (1 - dampening) * u, which is the new update, or u + decay * t with `nesterov`.

    As in torch, the first step is not dampened. `accumulator_dtype` is that of the state (None: the parameters').
    Raises ValueError for a decay or a dampening outside [0, 1], and for nesterov with dampening.
    """
    checks.fraction("trace", decay=decay, dampening=dampening)
    damped = type(dampening) not in (int, float) or dampening != 0
    if nesterov and damped:
        raise ValueError(f"trace: nesterov momentum needs dampening=0, got {dampening!r}.")

    def init(params: Any) -> TraceState:
        return TraceState(zeros_like_tree(params, accumulator_dtype), count_zero() if damped else None)

    def update(updates: Any, state: TraceState, params: Any = None) -> tuple[Any, TraceState]:
        share = fnp.where(state.count == 0, 1.0, 1 - dampening) if damped else 1

        def accumulate(u: Any, t: Any) -> Any:
            fresh = u if not damped else cast_like(share, u) * u
            return fresh + cast_like(decay, u) * cast_like(t, u)

        total = tree.map(accumulate, updates, state.trace)
        new = tree.map(lambda u, t: u + cast_like(decay, u) * t, updates, total) if nesterov else total
        return new, TraceState(_stored(total, accumulator_dtype), increment(state.count) if damped else None)

    return GradientTransformation(init, update)


def add_decayed_weights(weight_decay: Any = 0.0, mask: Any = None) -> GradientTransformation:
    """Adds weight_decay * params to updates. `mask`: as in `masked`, the parameters that decay.

    Before the scaling it is L2 regularisation (torch's Adam), after it decoupled decay (AdamW).
    Raises ValueError for a negative weight_decay.
    """
    checks.nonnegative("add_decayed_weights", weight_decay=weight_decay)

    def add(updates: Any, params: Any) -> Any:
        checks.needs_params("add_decayed_weights", params)
        return tree.map(lambda u, p: u + cast_like(weight_decay, u) * p, updates, params)

    whole = stateless(add)
    return whole if mask is None else masked(whole, mask)


class ScaleByAdamState(NamedTuple):
    """The count of steps, the averages of updates and of their squares, and with amsgrad the largest of the latter."""

    count: Any
    mu: Any
    nu: Any
    nu_max: Any = None


def scale_by_adam(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None, *,
                  nesterov: bool = False, amsgrad: bool = False) -> GradientTransformation:  # fmt: skip
    """Adam (Kingma and Ba 2015): m̂ / (sqrt(v̂ + eps_root) + eps), with m and v averages of u and |u|².

    eps is where torch has it. nesterov: as optax's. amsgrad: divides by the largest v so far, as torch does (before its bias is
    corrected; `scale_by_amsgrad` is optax's, after it). mu_dtype: the dtype in which m is kept.
    Raises ValueError for b1, b2 outside [0, 1) and negative eps.
    """
    return _adam("scale_by_adam", b1, b2, (eps, eps_root), mu_dtype, nesterov, "raw" if amsgrad else None)


def scale_by_amsgrad(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, mu_dtype: Any = None,
                     ) -> GradientTransformation:  # fmt: skip
    """AMSGrad (Reddi et al. 2018) as optax has it: Adam that divides by the largest bias-corrected v so far."""
    return _adam("scale_by_amsgrad", b1, b2, (eps, eps_root), mu_dtype, False, "corrected")


def _adam(where: str, b1: Any, b2: Any, epsilons: tuple[Any, Any], mu_dtype: Any, nesterov: bool,
          largest: str | None) -> GradientTransformation:  # fmt: skip
    """Adam and its kin; `largest` is which v the maximum is taken of."""
    eps, eps_root = epsilons
    checks.decay_rate(where, b1=b1, b2=b2)
    checks.nonnegative(where, eps=eps, eps_root=eps_root)

    def init(params: Any) -> ScaleByAdamState:
        high = real_zeros(params) if largest else None
        return ScaleByAdamState(count_zero(), zeros_like_tree(params, mu_dtype), real_zeros(params), high)

    def update(updates: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, ScaleByAdamState]:
        count = increment(state.count)
        mu = moment(updates, tree.map(cast_like, state.mu, updates), b1)
        nu = moment(tree.map(squared, updates), state.nu, b2)
        mean = corrected(mu, b1, count)
        if nesterov:
            mean = moment(corrected(updates, b1, count), corrected(mu, b1, increment(count)), b1)
        power, high = corrected(nu, b2, count), None
        if largest:
            high = tree.map(fnp.maximum, state.nu_max, nu if largest == "raw" else power)
            power = corrected(high, b2, count) if largest == "raw" else high
        new = tree.map(lambda m, v: m / (fnp.sqrt(v + cast_like(eps_root, v)) + cast_like(eps, v)), mean, power)
        return new, ScaleByAdamState(count, _stored(mu, mu_dtype), nu, high)

    return GradientTransformation(init, update)


class ScaleByRmsState(NamedTuple):
    """The average of squares; that of updates if centered, the count of steps if bias is corrected (else None)."""

    nu: Any
    mu: Any = None
    count: Any = None


def scale_by_rms(decay: Any = 0.9, eps: Any = 1e-8, initial_scale: Any = 0.0, eps_in_sqrt: bool = True,
                 bias_correction: bool = False, *, centered: bool = False) -> GradientTransformation:  # fmt: skip
    """RMSProp (Hinton 2012): u / sqrt(v + eps), with v an average of |u|² that begins at `initial_scale`.

    eps_in_sqrt=False: u / (sqrt(v) + eps), as torch has it. centered: v minus the squared average of u, the variance.
    Raises ValueError for a decay outside [0, 1) and negative eps or initial_scale.
    """
    checks.decay_rate("scale_by_rms", decay=decay)
    checks.nonnegative("scale_by_rms", eps=eps, initial_scale=initial_scale)

    def init(params: Any) -> ScaleByRmsState:
        mu = zeros_like_tree(params) if centered else None
        return ScaleByRmsState(real_zeros(params, initial_scale), mu, count_zero() if bias_correction else None)

    def update(updates: Any, state: ScaleByRmsState, params: Any = None) -> tuple[Any, ScaleByRmsState]:
        nu = moment(tree.map(squared, updates), state.nu, decay)
        mu = moment(updates, state.mu, decay) if centered else None
        count = increment(state.count) if bias_correction else None
        power, mean = (corrected(m, decay, count) if bias_correction else m for m in (nu, mu))
        if centered:
            power = tree.map(lambda v, m: fnp.maximum(v - squared(m), 0), power, mean)  # rounding may end below 0
        new = tree.map(lambda u, v: u / _root(v, eps, eps_in_sqrt), updates, power)
        return new, ScaleByRmsState(nu, mu, count)

    return GradientTransformation(init, update)


def _root(v: Any, eps: Any, eps_in_sqrt: bool) -> Any:
    eps = cast_like(eps, v)
    return fnp.sqrt(v + eps) if eps_in_sqrt else fnp.sqrt(v) + eps


class ScaleByRssState(NamedTuple):
    """The sums of squares of all updates so far."""

    sum_of_squares: Any


def scale_by_rss(initial_accumulator_value: Any = 0.1, eps: Any = 1e-7, *, eps_in_sqrt: bool = True,
                 ) -> GradientTransformation:  # fmt: skip
    """Adagrad (Duchi et al. 2011): u / sqrt(s + eps), s the sum of |u|² so far; 0 where s is 0.

    eps_in_sqrt=False: u / (sqrt(s) + eps), as torch has it. Raises ValueError for negative arguments.
    """
    checks.nonnegative("scale_by_rss", initial_accumulator_value=initial_accumulator_value, eps=eps)

    def init(params: Any) -> ScaleByRssState:
        return ScaleByRssState(real_zeros(params, initial_accumulator_value))

    def update(updates: Any, state: ScaleByRssState, params: Any = None) -> tuple[Any, ScaleByRssState]:
        sums = tree.map(lambda u, s: s + squared(u), updates, state.sum_of_squares)

        def divide(u: Any, s: Any) -> Any:
            return u / _root(fnp.where(s > 0, s, fnp.ones_like(s)), eps, eps_in_sqrt)  # where s is 0, so is u

        return tree.map(divide, updates, sums), ScaleByRssState(sums)

    return GradientTransformation(init, update)


class ScaleByLionState(NamedTuple):
    """The average of updates."""

    mu: Any


def scale_by_lion(b1: Any = 0.9, b2: Any = 0.99, mu_dtype: Any = None) -> GradientTransformation:
    """Lion (Chen et al. 2023): the sign of b1 * m + (1 - b1) * u, with m the average of u of rate b2.

    mu_dtype: the dtype in which m is kept. Raises ValueError for b1, b2 outside [0, 1).
    """
    checks.decay_rate("scale_by_lion", b1=b1, b2=b2)

    def init(params: Any) -> ScaleByLionState:
        return ScaleByLionState(zeros_like_tree(params, mu_dtype))

    def update(updates: Any, state: ScaleByLionState, params: Any = None) -> tuple[Any, ScaleByLionState]:
        mu = tree.map(cast_like, state.mu, updates)
        new = tree.map(fnp.sign, moment(updates, mu, b1))
        return new, ScaleByLionState(_stored(moment(updates, mu, b2), mu_dtype))

    return GradientTransformation(init, update)
