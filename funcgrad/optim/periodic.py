"""Schedules that come back: cosines with and without restarts, triangles between two rates; and one that waits for a plateau."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import funcgrad.numpy as fnp
from funcgrad import tree
from funcgrad.core.tracing import dtype_of
from funcgrad.optim import checks
from funcgrad.optim.base import GradientTransformationExtraArgs, cast_like, count_zero
from funcgrad.optim.checks import Schedule
from funcgrad.optim.schedules import join_schedules, warmup_cosine_decay_schedule


def cosine_annealing_schedule(init_value: Any, period: int, end_value: Any = 0.0) -> Schedule:
    """A cosine from init_value to end_value in `period` steps, then back, and so on: torch's CosineAnnealingLR beyond its T_max.

    `cosine_decay_schedule` stays at the end. Raises ValueError for period < 1.
    """
    checks.whole("cosine_annealing_schedule", 1, period=period)

    def schedule(count: Any) -> Any:
        return end_value + (init_value - end_value) * (0.5 + 0.5 * fnp.cos(math.pi * fnp.asarray(count) / period))

    return schedule


def cosine_restarts_schedule(init_value: Any, period: int, growth: int = 1, end_value: Any = 0.0) -> Schedule:
    """Half cosines from init_value to end_value (SGDR, Loshchilov and Hutter 2017): the first in `period` steps, each further one
    `growth` times as long. torch's CosineAnnealingWarmRestarts. Raises ValueError for period or growth < 1.
    """
    checks.whole("cosine_restarts_schedule", 1, period=period, growth=growth)

    def schedule(count: Any) -> Any:
        count = fnp.asarray(count)
        if growth == 1:
            share = (count % period) / period
        else:
            # the restart before this count: period * (growth**n - 1) / (growth - 1), the largest not above it
            n = fnp.floor(fnp.log1p(count / period * (growth - 1)) / math.log(growth) + 1e-9)
            share = (count - period * (growth**n - 1) / (growth - 1)) / (period * growth**n)
        return end_value + (init_value - end_value) * (0.5 + 0.5 * fnp.cos(math.pi * share))

    return schedule


def sgdr_schedule(cosine_kwargs: Any) -> Schedule:
    """One `warmup_cosine_decay_schedule` after the other, from a list of dicts of their arguments, as in optax."""
    cycles = [dict(kwargs) for kwargs in cosine_kwargs]
    ends, end = [], 0
    for kwargs in cycles:
        end += kwargs["decay_steps"]
        ends.append(end)
    return join_schedules([warmup_cosine_decay_schedule(**kwargs) for kwargs in cycles], ends[:-1])


def cyclic_schedule(init_value: Any, peak_value: Any, steps_up: float = 2000, steps_down: float | None = None,
                    mode: str = "triangular", gamma: Any = 1.0) -> Schedule:  # fmt: skip
    """Triangles between two values (Smith 2017): torch's CyclicLR.

    steps_up, steps_down: of the two sides (None: as many). mode: "triangular"; "triangular2", where each height is half of the
    one before; "exp_range", where a height is multiplied by gamma ** count. Raises ValueError for another mode and sides <= 0.
    """
    heights = ("triangular", "triangular2", "exp_range")
    if mode not in heights:
        raise ValueError(f"cyclic_schedule: mode must be one of {', '.join(heights)}, got {mode!r}.")
    down = steps_up if steps_down is None else steps_down
    checks.positive("cyclic_schedule", steps_up=steps_up, steps_down=down, gamma=gamma)

    def schedule(count: Any) -> Any:
        count = fnp.asarray(count)
        cycle = fnp.floor(count / (steps_up + down))
        at = count - cycle * (steps_up + down)
        height = fnp.where(at <= steps_up, at / steps_up, (steps_up + down - at) / down)
        factor = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": gamma**count}[mode]
        return init_value + (peak_value - init_value) * height * factor

    return schedule


class ReduceLROnPlateauState(NamedTuple):
    """The factor of updates now, the best value yet, the counts of updates without a better one and left to wait."""

    scale: Any
    best_value: Any
    plateau_count: Any
    cooldown_count: Any


def reduce_on_plateau(factor: Any = 0.1, patience: int = 10, rtol: Any = 1e-4, atol: Any = 0.0, cooldown: int = 0,
                      min_scale: Any = 0.0) -> GradientTransformationExtraArgs:  # fmt: skip
    """Multiplies updates by a scale, itself multiplied by `factor` after `patience` updates whose value was not the best.

    A value is better if it is below (1 - rtol) * best - atol. After a change, values do not count for `cooldown` updates.
    `update` needs value=. The last part of a chain, as in optax; torch's ReduceLROnPlateau waits for patience + 1 values.
    Raises ValueError for a factor outside (0, 1), patience < 1, a negative cooldown, rtol, atol or min_scale.
    """
    where = "reduce_on_plateau"
    checks.whole(where, 1, patience=patience)
    checks.whole(where, 0, cooldown=cooldown)
    checks.nonnegative(where, rtol=rtol, atol=atol, min_scale=min_scale)
    checks.positive(where, factor=factor)
    checks.decay_rate(where, factor=factor)

    def init(params: Any) -> ReduceLROnPlateauState:
        kind = fnp.result_type(*tree.leaves(params))
        best = fnp.full((), fnp.inf, dtype=kind)
        return ReduceLROnPlateauState(fnp.ones((), dtype=kind), best, count_zero(), count_zero())

    def update(updates: Any, state: ReduceLROnPlateauState, params: Any = None, *, value: Any, **extra: Any,
               ) -> tuple[Any, ReduceLROnPlateauState]:  # fmt: skip
        kind = dtype_of(state.scale)
        value = fnp.asarray(value).astype(kind)
        better = value < (1 - rtol) * state.best_value - atol
        waiting = state.cooldown_count > 0
        count = fnp.where(better | waiting, 0, state.plateau_count + 1)
        reduce = count >= patience
        scale = fnp.where(reduce, fnp.maximum(state.scale * factor, min_scale), state.scale).astype(kind)
        left = fnp.where(waiting, state.cooldown_count - 1, fnp.where(reduce, cooldown, 0))
        new = ReduceLROnPlateauState(
            scale,
            fnp.where(better, value, state.best_value),
            fnp.where(reduce, 0, count).astype("int32"),
            left.astype("int32"),
        )
        return tree.map(lambda u: cast_like(scale, u) * u, updates), new

    return GradientTransformationExtraArgs(init, update)
