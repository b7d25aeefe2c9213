"""Schedules: functions from the count of steps taken to a value, by which learning rates and other numbers change.

They are optax's; torch's lr_scheduler of the same shape is named in the docstring. Counts may be traced; values are float64
scalars, which an optimiser takes in the dtype of what it scales.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.optim import checks
from funcgrad.optim.checks import Schedule


def constant_schedule(value: Any) -> Schedule:
    """The same value at every step."""
    return lambda count: value


def polynomial_schedule(init_value: Any, end_value: Any, power: Any, transition_steps: int, transition_begin: int = 0,
                        ) -> Schedule:  # fmt: skip
    """From init_value to end_value along (1 - t)**power, t in [0, 1] over transition_steps from transition_begin.

    Raises ValueError for transition_steps < 1 and negative transition_begin.
    """
    checks.whole("polynomial_schedule", 1, transition_steps=transition_steps)
    checks.whole("polynomial_schedule", 0, transition_begin=transition_begin)

    def schedule(count: Any) -> Any:
        t = fnp.clip(fnp.asarray(count) - transition_begin, 0, transition_steps) / transition_steps
        return end_value + (init_value - end_value) * (1 - t) ** power

    return schedule


def linear_schedule(init_value: Any, end_value: Any, transition_steps: int, transition_begin: int = 0) -> Schedule:
    """From init_value to end_value in a straight line (torch's LinearLR). Raises as polynomial_schedule."""
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def piecewise_constant_schedule(init_value: Any, boundaries_and_scales: Mapping[int, Any] | None = None) -> Schedule:
    """init_value, multiplied by a factor from each boundary on: {30: 0.1, 80: 0.1} (torch's MultiStepLR and StepLR).

    Raises ValueError for a negative factor or boundary.
    """
    steps = dict(boundaries_and_scales or {})
    for boundary, factor in steps.items():
        checks.whole("piecewise_constant_schedule", 0, boundary=boundary)
        checks.nonnegative("piecewise_constant_schedule", scale=factor)

    def schedule(count: Any) -> Any:
        value = fnp.asarray(init_value) * 1.0
        for boundary, factor in sorted(steps.items()):
            value = fnp.where(fnp.asarray(count) >= boundary, value * factor, value)
        return value

    return schedule


def exponential_decay(init_value: Any, transition_steps: int, decay_rate: Any, transition_begin: int = 0,
                      staircase: bool = False, end_value: Any = None) -> Schedule:  # fmt: skip
    """init_value * decay_rate ** (steps / transition_steps), the steps counted from transition_begin (torch's ExponentialLR).

    staircase: the exponent rounded down (torch's StepLR). end_value: where the decay (or growth) stops.
    Raises ValueError for transition_steps < 1, a negative transition_begin, and decay_rate <= 0.
    """
    checks.whole("exponential_decay", 1, transition_steps=transition_steps)
    checks.whole("exponential_decay", 0, transition_begin=transition_begin)
    checks.positive("exponential_decay", decay_rate=decay_rate)

    def schedule(count: Any) -> Any:
        exponent = fnp.maximum(fnp.asarray(count) - transition_begin, 0) / transition_steps
        value = init_value * decay_rate ** (fnp.floor(exponent) if staircase else exponent)
        if end_value is None:
            return value
        return fnp.where(decay_rate < 1, fnp.maximum(value, end_value), fnp.minimum(value, end_value))

    return schedule


def inverse_time_decay(init_value: Any, decay_rate: Any) -> Schedule:
    """init_value / (1 + decay_rate * count), the `lr_decay` of torch's Adagrad. Raises ValueError for a negative rate."""
    checks.nonnegative("inverse_time_decay", decay_rate=decay_rate)
    return lambda count: init_value / (1 + decay_rate * fnp.asarray(count))


def cosine_decay_schedule(init_value: Any, decay_steps: int, alpha: Any = 0.0, exponent: Any = 1.0) -> Schedule:
    """From init_value to alpha * init_value along half a cosine, raised to `exponent` (torch's CosineAnnealingLR).

    Raises ValueError for decay_steps < 1.
    """
    checks.whole("cosine_decay_schedule", 1, decay_steps=decay_steps)

    def schedule(count: Any) -> Any:
        share = fnp.clip(fnp.asarray(count), 0, decay_steps) / decay_steps
        return init_value * (alpha + (1 - alpha) * (0.5 + 0.5 * fnp.cos(math.pi * share)) ** exponent)

    return schedule


def warmup_cosine_decay_schedule(init_value: Any, peak_value: Any, warmup_steps: int, decay_steps: int,
                                 end_value: Any = 0.0, exponent: Any = 1.0) -> Schedule:  # fmt: skip
    """A straight line from init_value to peak_value in warmup_steps, then half a cosine to end_value.

    decay_steps: the steps of both together. Raises ValueError for warmup_steps < 0 and decay_steps <= warmup_steps.
    """
    checks.whole("warmup_cosine_decay_schedule", 0, warmup_steps=warmup_steps)
    checks.whole("warmup_cosine_decay_schedule", warmup_steps + 1, decay_steps=decay_steps)
    half = cosine_decay_schedule(1.0, decay_steps - warmup_steps, 0.0, exponent)

    def decay(count: Any) -> Any:
        return end_value + (peak_value - end_value) * half(count)

    if warmup_steps == 0:
        return decay
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), decay], [warmup_steps])


def warmup_constant_schedule(init_value: Any, peak_value: Any, warmup_steps: int) -> Schedule:
    """A straight line from init_value to peak_value, then that. Raises ValueError for warmup_steps < 1."""
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_exponential_decay_schedule(init_value: Any, peak_value: Any, warmup_steps: int, transition_steps: int,
                                      decay_rate: Any, transition_begin: int = 0, staircase: bool = False,
                                      end_value: Any = None) -> Schedule:  # fmt: skip
    """A straight line from init_value to peak_value in warmup_steps, then `exponential_decay`. Raises as that."""
    checks.whole("warmup_exponential_decay_schedule", 1, warmup_steps=warmup_steps)
    decay = exponential_decay(peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value)
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), decay], [warmup_steps])


def piecewise_interpolate_schedule(interpolate_type: str, init_value: Any,
                                   boundaries_and_scales: Mapping[float, Any] | None = None) -> Schedule:  # fmt: skip
    """From init_value through init_value times a factor at the first boundary, that times the next at the next, and so on.

    interpolate_type: "linear", or "cosine" for half cosines. Boundaries need not be whole; after the last the value stays.
    Raises ValueError for another type, and for a factor < 0.
    """
    where = "piecewise_interpolate_schedule"
    if interpolate_type not in ("linear", "cosine"):
        raise ValueError(f'{where}: interpolate_type must be "linear" or "cosine", got {interpolate_type!r}.')
    points = [(0.0, init_value)]
    for boundary, factor in sorted(dict(boundaries_and_scales or {}).items()):
        checks.nonnegative(where, scale=factor)
        points.append((boundary, points[-1][1] * factor))

    def schedule(count: Any) -> Any:
        count = fnp.asarray(count)
        value = fnp.asarray(points[-1][1]) * 1.0
        for (first, start), (last, end) in reversed(list(itertools.pairwise(points))):
            value = fnp.where(count < last, _between(interpolate_type, start, end, count, first, last), value)
        return value

    return schedule


def _between(kind: str, start: Any, end: Any, count: Any, first: float, last: float) -> Any:
    """From start to end while count goes from first to last; end at once where last <= first."""
    share = fnp.clip((count - first) / (last - first), 0, 1) if last > first else 1.0
    rest = 0.5 + 0.5 * fnp.cos(math.pi * share) if kind == "cosine" else 1 - share
    return end + (start - end) * rest


def cosine_onecycle_schedule(transition_steps: int, peak_value: Any, pct_start: float = 0.3, div_factor: float = 25.0,
                             final_div_factor: float = 1e4, *, ends_on_last: bool = False, three_phase: bool = False,
                             ) -> Schedule:  # fmt: skip
    """One cycle (Smith and Topin 2018): up from peak / div_factor in the first pct_start of the steps, then down, both along
    half cosines, to peak / (div_factor * final_div_factor).

    ends_on_last=False: the top is at int(pct_start * transition_steps) and the end at transition_steps, as in optax. True: one
    step earlier, the top unrounded: torch's OneCycleLR(total_steps=transition_steps). three_phase: as in torch, down to where it
    began in as many steps as up, then to the end.
    Raises ValueError for transition_steps < 1, pct_start outside [0, 1], factors <= 0.
    """
    checks.whole("cosine_onecycle_schedule", 1, transition_steps=transition_steps)
    checks.fraction("cosine_onecycle_schedule", pct_start=pct_start)
    checks.positive("cosine_onecycle_schedule", div_factor=div_factor, final_div_factor=final_div_factor)
    return _onecycle(
        "cosine", transition_steps, peak_value, pct_start, div_factor, final_div_factor, ends_on_last, three_phase
    )


def linear_onecycle_schedule(transition_steps: int, peak_value: Any, pct_start: float = 0.3, pct_final: float | None = 0.85,
                             div_factor: float = 25.0, final_div_factor: float = 1e4, *, ends_on_last: bool = False,
                             three_phase: bool = False) -> Schedule:  # fmt: skip
    """One cycle along straight lines: up, down to where it began until pct_final of the steps, then to the end, as in optax.

    pct_final=None: down to the end at once (or with three_phase after as many steps as up), as torch's OneCycleLR with
    anneal_strategy="linear"; other arguments and errors as in `cosine_onecycle_schedule`.
    """
    where = "linear_onecycle_schedule"
    checks.whole(where, 1, transition_steps=transition_steps)
    checks.fraction(where, pct_start=pct_start)
    checks.positive(where, div_factor=div_factor, final_div_factor=final_div_factor)
    if pct_final is None:
        return _onecycle(
            "linear", transition_steps, peak_value, pct_start, div_factor, final_div_factor, ends_on_last, three_phase
        )
    checks.fraction(where, pct_final=pct_final)
    if ends_on_last or three_phase:
        raise ValueError(f"{where}: ends_on_last and three_phase are torch's; write pct_final=None with them.")
    bounds: dict[float, Any] = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1 / div_factor,
    }
    return piecewise_interpolate_schedule(
        "linear", peak_value / div_factor, bounds | {transition_steps: 1 / final_div_factor}
    )


def _onecycle(kind: str, steps: int, peak: Any, pct_start: float, div_factor: float, final_div_factor: float,
              ends_on_last: bool, three_phase: bool) -> Schedule:  # fmt: skip
    early = 1 if ends_on_last else 0
    top = float(pct_start * steps) - 1 if ends_on_last else int(pct_start * steps)
    bounds = {max(top, 0.0): div_factor}
    if three_phase:
        bounds |= {2 * top: 1 / div_factor, steps - early: 1 / final_div_factor}
    else:
        bounds[steps - early] = 1 / (div_factor * final_div_factor)
    return piecewise_interpolate_schedule(kind, peak / div_factor, bounds)


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Each schedule until its boundary, then the next, which counts from there.

    Raises ValueError unless there is one boundary fewer than schedules, in ascending order.
    """
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            f"join_schedules: {len(schedules)} schedules need {max(len(schedules) - 1, 0)} boundaries, "
            f"got {len(boundaries)}."
        )
    if any(a > b for a, b in itertools.pairwise(boundaries)):
        raise ValueError(f"join_schedules: boundaries must ascend, got {list(boundaries)}.")

    def schedule(count: Any) -> Any:
        count = fnp.asarray(count)
        value = schedules[0](count)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            value = fnp.where(count < boundary, value, following(fnp.maximum(count - boundary, 0)))
        return value

    return schedule
