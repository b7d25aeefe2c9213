"""More parts of first-order optimisers: kin of Adam, and rules that choose the length of their steps themselves.

As in scaling.py, formulas are optax's by default and keyword arguments give torch.optim's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.optim import checks
from funcgrad.optim.base import GradientTransformation, cast_like, count_zero, increment, squared, zeros_like_tree
from funcgrad.optim.scaling import ScaleByAdamState, corrected, moment, real_zeros


def scale_by_adamax(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> GradientTransformation:
    """AdaMax (Kingma and Ba 2015, section 7.1): m̂ / v, with v the larger of b2 * v and |u| + eps.

    Raises ValueError for b1, b2 outside [0, 1) and a negative eps.
    """
    checks.decay_rate("scale_by_adamax", b1=b1, b2=b2)
    checks.nonnegative("scale_by_adamax", eps=eps)

    def init(params: Any) -> ScaleByAdamState:
        return ScaleByAdamState(count_zero(), zeros_like_tree(params), real_zeros(params))

    def larger(u: Any, v: Any) -> Any:
        return fnp.maximum(fnp.abs(u) + cast_like(eps, v), cast_like(b2, v) * v)

    def update(updates: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, ScaleByAdamState]:
        count = increment(state.count)
        mu, nu = moment(updates, state.mu, b1), tree.map(larger, updates, state.nu)
        new = tree.map(lambda m, v: m / v, corrected(mu, b1, count), nu)
        return new, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


class ScaleByNadamState(NamedTuple):
    """The count of steps, the averages of updates and of their squares, and the product of all b1 so far (a float64 scalar)."""

    count: Any
    mu: Any
    nu: Any
    mu_product: Any


def scale_by_nadam(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, *, momentum_decay: Any = 4e-3,
                   ) -> GradientTransformation:  # fmt: skip
    """Adam with Nesterov's momentum as Dozat (2016) has it, and torch: step t has b1 * (1 - 0.96 ** (t * momentum_decay) / 2).

    optax's, where b1 stays as it is, is scale_by_adam(nesterov=True).
    Raises ValueError for b1, b2 outside [0, 1), and for a negative eps or momentum_decay.
    """
    checks.decay_rate("scale_by_nadam", b1=b1, b2=b2)
    checks.nonnegative("scale_by_nadam", eps=eps, momentum_decay=momentum_decay)

    def init(params: Any) -> ScaleByNadamState:
        return ScaleByNadamState(
            count_zero(), zeros_like_tree(params), real_zeros(params), fnp.ones((), dtype="float64")
        )

    def rate(count: Any) -> Any:
        return b1 * (1 - 0.5 * 0.96 ** (count * momentum_decay))

    def update(updates: Any, state: ScaleByNadamState, params: Any = None) -> tuple[Any, ScaleByNadamState]:
        count = increment(state.count)
        mu, nu = moment(updates, state.mu, b1), moment(tree.map(squared, updates), state.nu, b2)
        now, following = rate(count), rate(increment(count))
        product = (state.mu_product * now).astype("float64")
        fresh, old = (1 - now) / (1 - product), following / (1 - product * following)

        def step(u: Any, m: Any, v: Any) -> Any:
            return (cast_like(fresh, u) * u + cast_like(old, u) * m) / (fnp.sqrt(v) + cast_like(eps, v))

        new = tree.map(step, updates, mu, corrected(nu, b2, count))
        return new, ScaleByNadamState(count, mu, nu, product)

    return GradientTransformation(init, update)


def scale_by_radam(b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8, eps_root: Any = 0.0, threshold: Any = 5.0, *,
                   nesterov: bool = False, correct_eps: bool = False) -> GradientTransformation:  # fmt: skip
    """Rectified Adam (Liu et al. 2020): Adam's steps once their variance is known well enough, those of momentum before.

    threshold: the length of the average of squares from which on it is trusted. nesterov: as in optax. correct_eps: the bias
    of sqrt(v) + eps is corrected, as in torch, rather than that of v. Raises ValueError for b1, b2 outside [0, 1) and negative
    numbers.
    """
    checks.decay_rate("scale_by_radam", b1=b1, b2=b2)
    checks.nonnegative("scale_by_radam", eps=eps, eps_root=eps_root, threshold=threshold)

    def init(params: Any) -> ScaleByAdamState:
        return ScaleByAdamState(count_zero(), zeros_like_tree(params), real_zeros(params))

    def update(updates: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, ScaleByAdamState]:
        count = increment(state.count)
        mu, nu = moment(updates, state.mu, b1), moment(tree.map(squared, updates), state.nu, b2)
        mean = corrected(mu, b1, count)
        if nesterov:
            mean = moment(corrected(updates, b1, count), corrected(mu, b1, increment(count)), b1)
        rectified, factor = _rectification(b2, count, threshold)
        weight = 1 - b2**count

        def step(m: Any, v: Any) -> Any:
            small, bias = cast_like(eps, v), cast_like(weight, v)
            root = fnp.sqrt(v if correct_eps else v / bias + cast_like(eps_root, v)) + small
            root = root / fnp.sqrt(bias) if correct_eps else root
            return fnp.where(rectified, cast_like(factor, v) * m / root, m)

        return tree.map(step, mean, nu), ScaleByAdamState(count, mu, nu)

    return GradientTransformation(init, update)


def _rectification(b2: Any, count: Any, threshold: Any) -> tuple[Any, Any]:
    """Whether the average of squares is long enough, and the factor r by which Adam's step is then multiplied."""
    longest = 2 / (1 - b2) - 1
    length = longest - 2 * count * b2**count / (1 - b2**count)
    rectified = length >= threshold
    safe = fnp.where(rectified & (length > 4), length, longest)  # keeps nan out of derivatives of the unused branch
    ratio = ((safe - 4) * (safe - 2) * longest) / ((longest - 4) * (longest - 2) * safe)
    return rectified, fnp.sqrt(ratio)


class ScaleByAdadeltaState(NamedTuple):
    """The averages of squares of updates as they came, and as they went."""

    e_g: Any
    e_x: Any


def scale_by_adadelta(rho: Any = 0.9, eps: Any = 1e-6) -> GradientTransformation:
    """Adadelta (Zeiler 2012): u * sqrt(x + eps) / sqrt(g + eps), g and x averages of squares of what came and of what went.

    Raises ValueError for rho outside [0, 1] and a negative eps.
    """
    checks.fraction("scale_by_adadelta", rho=rho)
    checks.nonnegative("scale_by_adadelta", eps=eps)

    def init(params: Any) -> ScaleByAdadeltaState:
        return ScaleByAdadeltaState(real_zeros(params), real_zeros(params))

    def step(u: Any, g: Any, x: Any) -> Any:
        return fnp.sqrt(x + cast_like(eps, x)) / fnp.sqrt(g + cast_like(eps, g)) * u

    def update(updates: Any, state: ScaleByAdadeltaState, params: Any = None) -> tuple[Any, ScaleByAdadeltaState]:
        e_g = moment(tree.map(squared, updates), state.e_g, rho)
        new = tree.map(step, updates, e_g, state.e_x)
        return new, ScaleByAdadeltaState(e_g, moment(tree.map(squared, new), state.e_x, rho))

    return GradientTransformation(init, update)


class ScaleByRpropState(NamedTuple):
    """The length of each parameter's step, and the last updates (0 where the sign had changed)."""

    step_sizes: Any
    prev_updates: Any


def scale_by_rprop(learning_rate: Any, eta_minus: Any = 0.5, eta_plus: Any = 1.2, min_step_size: Any = 1e-6,
                   max_step_size: Any = 50.0) -> GradientTransformation:  # fmt: skip
    """Rprop (Riedmiller and Braun 1993), as torch has it: signs of updates times lengths that grow while the sign stays.

    learning_rate: the length at first. A parameter whose sign changed rests for a step. optax's rprop is a step late.
    Raises ValueError unless 0 < eta_minus <= 1 <= eta_plus and 0 <= min_step_size <= max_step_size, TypeError for complex
    parameters.
    """
    where = "scale_by_rprop"
    checks.nonnegative(where, learning_rate=learning_rate, min_step_size=min_step_size)
    checks.positive(where, eta_minus=eta_minus, eta_plus=eta_plus, max_step_size=max_step_size)
    checks.ascending(where, eta_minus=eta_minus, one=1, eta_plus=eta_plus)
    checks.ascending(where, min_step_size=min_step_size, max_step_size=max_step_size)

    def init(params: Any) -> ScaleByRpropState:
        checks.real("rprop", params)
        return ScaleByRpropState(tree.map(lambda p: fnp.full_like(p, learning_rate), params), zeros_like_tree(params))

    def length(u: Any, last: Any, size: Any) -> Any:
        turn, grow, shrink = fnp.sign(u * last), cast_like(eta_plus, u), cast_like(eta_minus, u)
        factor = fnp.where(turn > 0, grow, fnp.where(turn < 0, shrink, fnp.ones_like(u)))
        return fnp.clip(size * factor, cast_like(min_step_size, u), cast_like(max_step_size, u))

    def update(updates: Any, state: ScaleByRpropState, params: Any = None) -> tuple[Any, ScaleByRpropState]:
        sizes = tree.map(length, updates, state.prev_updates, state.step_sizes)
        kept = tree.map(lambda u, last: fnp.where(u * last < 0, fnp.zeros_like(u), u), updates, state.prev_updates)
        return tree.map(lambda u, size: fnp.sign(u) * size, kept, sizes), ScaleByRpropState(sizes, kept)

    return GradientTransformation(init, update)


class AveragedSGDState(NamedTuple):
    """The count of steps, the step and the weight of the next one (float64 scalars), and the averaged parameters."""

    count: Any
    eta: Any
    mu: Any
    ax: Any


def averaged_sgd(learning_rate: Any, lambd: Any = 1e-4, alpha: Any = 0.75, t0: Any = 1e6) -> GradientTransformation:
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992), as torch has it: updates are -eta * (u + lambd * params).

    learning_rate: a number or a schedule; eta falls from it as (1 + lambd * learning_rate * t) ** -alpha. The average over
    steps from t0 on is the state's `ax`. `update` needs params. Raises ValueError for a negative learning_rate, lambd or t0.
    """
    checks.learning_rate("averaged_sgd", learning_rate)
    checks.nonnegative("averaged_sgd", lambd=lambd, t0=t0)

    def rate(count: Any) -> Any:
        return learning_rate(count) if callable(learning_rate) else learning_rate

    def init(params: Any) -> AveragedSGDState:
        count, one = count_zero(), fnp.ones((), dtype="float64")
        return AveragedSGDState(count, rate(count) * one, one, zeros_like_tree(params))

    def update(updates: Any, state: AveragedSGDState, params: Any = None) -> tuple[Any, AveragedSGDState]:
        checks.needs_params("averaged_sgd", params)
        count = increment(state.count)

        def step(u: Any, p: Any) -> Any:
            return -cast_like(state.eta, u) * (u + cast_like(lambd, u) * p)

        def average(a: Any, p: Any, s: Any) -> Any:
            return a + cast_like(state.mu, a) * (p + s - a)

        new = tree.map(step, updates, params)
        lr = rate(state.count)
        eta = (lr / (1 + lambd * lr * count) ** alpha * fnp.ones_like(state.eta)).astype("float64")
        mu = (1 / fnp.maximum(1, count - t0)).astype("float64")
        return new, AveragedSGDState(count, eta, mu, tree.map(average, state.ax, params, new))

    return GradientTransformation(init, update)
