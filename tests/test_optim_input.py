"""Bad arguments of optimisers, schedules and line searches: what the errors say."""

import re
from typing import Any

import numpy as np
import pytest

from funcgrad import optim

ONES = {"a": np.ones(2)}
WRONG: Any = 0.1


def call_zoom(**given):
    search = optim.scale_by_zoom_linesearch(5)
    return search.update(np.ones(2), search.init(np.ones(2)), np.ones(2), **given)


ERRORS = {
    "sgd: learning_rate must be a number >= 0, or a schedule (a function of the step count), got -0.1.": (
        lambda: optim.sgd(-0.1)
    ),
    "adam: learning_rate must be a number >= 0, or a schedule (a function of the step count), got 'fast'.": (
        lambda: optim.adam("fast")
    ),
    "adam: learning_rate must be a number >= 0, or a schedule (a function of the step count), got nan.": (
        lambda: optim.adam(float("nan"))
    ),
    "lion: learning_rate must be a number >= 0, or a schedule (a function of the step count), got an array of "
    "shape (2,).": lambda: optim.lion(np.ones(2)),
    "adamw: b2 must be a number in [0, 1), got 1.": lambda: optim.adamw(0.1, b2=1.0),
    "adam: eps must be a number >= 0, got -1.": lambda: optim.adam(0.1, eps=-1),
    "adamw: weight_decay must be a number >= 0, got -0.1.": lambda: optim.adamw(0.1, weight_decay=-0.1),
    "rmsprop: decay must be a number in [0, 1), got 1.5.": lambda: optim.rmsprop(0.1, 1.5),
    "rmsprop: nesterov=True needs a momentum; write rmsprop(..., momentum=0.9).": (
        lambda: optim.rmsprop(0.1, nesterov=True)
    ),
    "sgd: nesterov=True needs a momentum; write sgd(..., momentum=0.9).": lambda: optim.sgd(0.1, nesterov=True),
    "sgd: dampening=0.5 needs a momentum; write sgd(..., momentum=0.9).": lambda: optim.sgd(0.1, dampening=0.5),
    "trace: nesterov momentum needs dampening=0, got 0.5.": lambda: optim.sgd(0.1, 0.9, True, dampening=0.5),
    "sgd: momentum must be a number in [0, 1], got -0.9.": lambda: optim.sgd(0.1, -0.9),
    "adagrad: lr_decay is for a constant learning rate; let the schedule decay instead.": (
        lambda: optim.adagrad(optim.constant_schedule(0.1), lr_decay=0.1)
    ),
    "adamax: eps must be a number >= 0, got -1.": lambda: optim.adamax(0.1, eps=-1),
    "nadam: eps_root and mu_dtype are for optax's formula; leave them out with momentum_decay.": (
        lambda: optim.nadam(0.1, eps_root=1e-3, momentum_decay=0.1)
    ),
    "scale_by_nadam: momentum_decay must be a number >= 0, got -0.1.": lambda: optim.nadam(0.1, momentum_decay=-0.1),
    "radam: b2 must be a number in [0, 1), got 1.": lambda: optim.radam(0.1, b2=1),
    "scale_by_adadelta: rho must be a number in [0, 1], got 1.1.": lambda: optim.adadelta(rho=1.1),
    "scale_by_rprop: learning_rate must be a number >= 0, got -1.": lambda: optim.rprop(-1.0),
    "scale_by_rprop: needs eta_minus <= 1 <= eta_plus, got eta_minus=1.5, eta_plus=1.2.": lambda: optim.rprop(0.1, 1.5),
    "scale_by_rprop: needs min_step_size <= max_step_size, got min_step_size=1, max_step_size=0.5.": (
        lambda: optim.rprop(0.1, min_step_size=1.0, max_step_size=0.5)
    ),
    "rprop is for real parameters, got complex128 at ['a']; give it the real and the imaginary parts as two arrays.": (
        lambda: optim.rprop(0.1).init({"a": np.ones(2, complex)})
    ),
    "asgd: lambd must be a number >= 0, got -1.": lambda: optim.asgd(0.1, -1),
    "averaged_sgd needs the parameters; write update(updates, state, params).": (
        lambda: optim.asgd(0.1).update(ONES, optim.asgd(0.1).init(ONES))
    ),
    "clip: max_delta must be a number > 0, got 0.": lambda: optim.clip(0.0),
    "clip_by_global_norm: max_norm must be a number > 0, got -1.": lambda: optim.clip_by_global_norm(-1),
    "scale_by_schedule: step_size_fn must be a function of the count, got 0.1.": lambda: optim.scale_by_schedule(WRONG),
    "chain: argument 1 must be a pair (init, update) of functions, got 0.1.": (
        lambda: optim.chain(optim.identity(), WRONG)
    ),
    "chain: update of 1 transformations needs a tuple of 1 states": (
        lambda: optim.sgd(0.1).update(ONES, optim.EmptyState())
    ),
    "add_decayed_weights needs the parameters; write update(updates, state, params).": (
        lambda: optim.adamw(0.1).update(ONES, optim.adamw(0.1).init(ONES))
    ),
    "apply_updates: an update must have its parameter's shape; at ['a'] params has (2,) and updates has (2, 1).": (
        lambda: optim.apply_updates(ONES, {"a": np.ones((2, 1))})
    ),
    "masked: the mask must have Python booleans as leaves, got 1 at ['a'].": (
        lambda: optim.masked(optim.identity(), {"a": 1}).init(ONES)
    ),
    "multi_transform: no transformation for the label 'b' at ['a']; there are 'c', 1.": (
        lambda: optim.multi_transform({"c": optim.identity(), 1: optim.identity()}, {"a": "b"}).init(ONES)
    ),
    "cosine_decay_schedule: decay_steps must be an integer >= 1, got 0.": lambda: optim.cosine_decay_schedule(0.1, 0),
    "polynomial_schedule: transition_steps must be an integer >= 1, got 0.1.": (
        lambda: optim.linear_schedule(0.1, 0.2, WRONG)
    ),
    "warmup_cosine_decay_schedule: decay_steps must be an integer >= 11, got 10.": (
        lambda: optim.warmup_cosine_decay_schedule(0.0, 0.1, 10, 10)
    ),
    "exponential_decay: decay_rate must be a number > 0, got 0.": lambda: optim.exponential_decay(0.1, 5, 0.0),
    "piecewise_constant_schedule: scale must be a number >= 0, got -1.": (
        lambda: optim.piecewise_constant_schedule(0.1, {5: -1})
    ),
    "cosine_onecycle_schedule: pct_start must be a number in [0, 1], got 30.": (
        lambda: optim.cosine_onecycle_schedule(100, 0.1, 30)
    ),
    'piecewise_interpolate_schedule: interpolate_type must be "linear" or "cosine", got \'square\'.': (
        lambda: optim.piecewise_interpolate_schedule("square", 0.1)
    ),
    "linear_onecycle_schedule: ends_on_last and three_phase are torch's; write pct_final=None with them.": (
        lambda: optim.linear_onecycle_schedule(50, 0.1, three_phase=True)
    ),
    "cyclic_schedule: mode must be one of triangular, triangular2, exp_range, got 'square'.": (
        lambda: optim.cyclic_schedule(0.1, 0.2, mode="square")
    ),
    "cosine_restarts_schedule: growth must be an integer >= 1, got 0.": (
        lambda: optim.cosine_restarts_schedule(0.1, 5, 0)
    ),
    "reduce_on_plateau: factor must be a number in [0, 1), got 1.": lambda: optim.reduce_on_plateau(1.0),
    "join_schedules: 2 schedules need 1 boundaries, got 0.": lambda: optim.join_schedules([abs, abs], []),
    "join_schedules: boundaries must ascend, got [5, 3].": lambda: optim.join_schedules([abs] * 3, [5, 3]),
    "scale_by_lbfgs: memory_size must be an integer >= 1, got 0.": lambda: optim.lbfgs(memory_size=0),
    "scale_by_lbfgs: first_norm must be 1 or 2, got 3.": lambda: optim.lbfgs(first_norm=3),
    "lbfgs is for real parameters; give it the real and the imaginary parts as two arrays.": (
        lambda: optim.lbfgs().init(np.ones(2, complex))
    ),
    "scale_by_zoom_linesearch needs value, value_fn; write update(updates, state, params, value=value, grad=grad, "
    "value_fn=f), with value and grad those of f at params.": lambda: call_zoom(grad=np.ones(2)),
    "scale_by_zoom_linesearch: needs slope_rtol < curv_rtol < 1, got 0.0001 and 1.5.": (
        lambda: optim.scale_by_zoom_linesearch(5, curv_rtol=1.5)
    ),
    'scale_by_zoom_linesearch: initial_guess_strategy must be "one" or "keep", got \'two\'.': (
        lambda: optim.scale_by_zoom_linesearch(5, initial_guess_strategy="two")
    ),
    "scale_by_zoom_linesearch: increase_factor must be above 1, got 0.5.": (
        lambda: optim.scale_by_zoom_linesearch(5, increase_factor=0.5)
    ),
    "scale_by_backtracking_linesearch: decrease_factor must be below 1, got 1.5.": (
        lambda: optim.scale_by_backtracking_linesearch(5, decrease_factor=1.5)
    ),
    "value_and_grad_from_state needs a state with a line search and its gradient, got 0 of them.": (
        lambda: optim.value_and_grad_from_state(np.sum)(np.ones(2), state=optim.sgd(0.1).init(np.ones(2)))
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors_say_what_to_write(text):
    with pytest.raises((ValueError, TypeError), match=re.escape(text)):
        ERRORS[text]()
