"""L-BFGS (Liu and Nocedal 1989): a quasi-Newton method whose Hessian is known by the last few steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import lax
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.flatten_util import ravel_pytree
from funcgrad.optim import checks
from funcgrad.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    chain,
    count_zero,
    increment,
    scale,
    scale_by_learning_rate,
)
from funcgrad.optim.line_search import scale_by_zoom_linesearch


class ScaleByLBFGSState(NamedTuple):
    """Everything as vectors of all n parameters; the memory is a ring of m rows, `pairs % m` the next to be written."""

    count: Any
    """Steps taken, a 0-d int array."""
    pairs: Any
    """Pairs ever kept, a 0-d int array."""
    params: Any
    """The parameters of the last step, (n,)."""
    updates: Any
    """The gradient there, (n,)."""
    steps: Any
    """Differences of parameters, (m, n)."""
    changes: Any
    """Differences of gradients, (m, n)."""
    weights: Any
    """1 / <step, change>, and 0 in rows that are empty, (m,)."""
    gamma: Any
    """The first guess of the inverse Hessian is gamma * I; a scalar."""


def scale_by_lbfgs(memory_size: int = 10, scale_init_precond: bool = True, *, first_norm: int = 2,
                   ) -> GradientTransformation:  # fmt: skip
    """Multiplies gradients by the inverse Hessian that the last `memory_size` steps suggest.

    scale_init_precond: begin the product with gamma * I, gamma from the last step, rather than with I; before there is a step
    gamma is min(1, 1 / norm of the gradient), the norm of order `first_norm` (2 as in optax, 1 as in torch). A pair of
    differences with a curvature of 1e-10 or less is not kept, as in torch. `update` needs params.
    Raises ValueError for memory_size < 1 and other norms, TypeError for complex parameters.
    """
    checks.whole("scale_by_lbfgs", 1, memory_size=memory_size)
    if first_norm not in (1, 2):
        raise ValueError(f"scale_by_lbfgs: first_norm must be 1 or 2, got {first_norm!r}.")

    def init(params: Any) -> ScaleByLBFGSState:
        flat = _real_vector(params)
        memory = fnp.zeros((memory_size, *shape_of(flat)), dtype=dtype_of(flat))
        zeros, gamma = fnp.zeros_like(flat), fnp.ones((), dtype=dtype_of(flat))
        return ScaleByLBFGSState(count_zero(), count_zero(), zeros, zeros, memory, memory, memory[:, :0].sum(1), gamma)

    def update(updates: Any, state: ScaleByLBFGSState, params: Any = None) -> tuple[Any, ScaleByLBFGSState]:
        checks.needs_params("scale_by_lbfgs", params)
        gradient, unravel = ravel_pytree(updates)
        new = _remember(state, _real_vector(params), gradient)
        gamma = fnp.ones_like(new.gamma)
        if scale_init_precond:
            size = fnp.sum(fnp.abs(gradient)) if first_norm == 1 else fnp.sqrt(fnp.vdot(gradient, gradient))
            gamma = fnp.where(new.pairs > 0, new.gamma, 1 / fnp.maximum(size, 1))
        return unravel(_inverse_hessian_product(new, gradient, gamma)), new

    return GradientTransformation(init, update)


def _real_vector(params: Any) -> Any:
    flat = ravel_pytree(params)[0]
    if dtype_of(flat).kind == "c":
        raise TypeError("lbfgs is for real parameters; give it the real and the imaginary parts as two arrays.")
    return flat if dtype_of(flat).kind == "f" else flat.astype(np.float64)


def _remember(state: ScaleByLBFGSState, params: Any, gradient: Any) -> ScaleByLBFGSState:
    """The state with the step to `params` and the change of the gradient along it, if that shows curvature."""
    step, change = params - state.params, gradient - state.updates
    curvature = fnp.vdot(step, change)
    keep = (state.count > 0) & (curvature > 1e-10)
    row = state.pairs % shape_of(state.weights)[0]

    def put(memory: Any, value: Any) -> Any:
        return memory.at[row].set(fnp.where(keep, value, memory[row]))

    one = fnp.ones_like(curvature)
    weight = 1 / fnp.where(keep, curvature, one)
    gamma = fnp.where(keep, curvature / fnp.where(keep, fnp.vdot(change, change), one), state.gamma)
    return ScaleByLBFGSState(
        increment(state.count), state.pairs + fnp.where(keep, 1, 0).astype(state.pairs.dtype), params, gradient,
        put(state.steps, step), put(state.changes, change), put(state.weights, weight), gamma,
    )  # fmt: skip


def _inverse_hessian_product(state: ScaleByLBFGSState, vector: Any, gamma: Any) -> Any:
    """The two-loop recursion (Nocedal and Wright 2006, algorithm 7.4), from the newest pair to the oldest and back."""
    size = shape_of(state.weights)[0]
    newest_first = (state.pairs - 1 - np.arange(size)) % size
    pairs = tuple(memory[newest_first] for memory in (state.steps, state.changes, state.weights))

    def down(v: Any, pair: Any) -> Any:
        step, change, weight = pair
        alpha = weight * fnp.vdot(step, v)
        return v - alpha * change, alpha

    def up(v: Any, pair: Any) -> Any:
        (step, change, weight), alpha = pair
        return v + (alpha - weight * fnp.vdot(change, v)) * step, None

    vector, alphas = lax.scan(down, vector, pairs)
    return lax.scan(up, gamma * vector, (pairs, alphas), reverse=True)[0]


_ZOOM = scale_by_zoom_linesearch(20, initial_guess_strategy="one")


def lbfgs(learning_rate: Any = None, memory_size: int = 10, scale_init_precond: bool = True,
          linesearch: GradientTransformation | None = _ZOOM, *, first_norm: int = 2,
          ) -> GradientTransformationExtraArgs:  # fmt: skip
    """L-BFGS with a line search (by default one for the strong Wolfe conditions, of at most 20 evaluations).

        optimizer = lbfgs()
        value, grad = value_and_grad_from_state(f)(params, state=state)
        updates, state = optimizer.update(grad, state, params, value=value, grad=grad, value_fn=f)

    learning_rate: multiplies the direction before the search (None: 1). linesearch: None for steps of that rate without a search;
    `update` then takes just (grad, state, params). Others: as in `scale_by_lbfgs`. torch's LBFGS(lr, max_iter=1) without a search
    is lbfgs(lr, memory_size=100, linesearch=None, first_norm=1).
    Raises ValueError for numbers out of their range.
    """
    rate = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    parts = [scale_by_lbfgs(memory_size, scale_init_precond, first_norm=first_norm), rate]
    return chain(*parts, *([] if linesearch is None else [linesearch]))
