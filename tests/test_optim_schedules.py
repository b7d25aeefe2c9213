"""Schedules against those of optax and of torch.optim.lr_scheduler."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import optim

SCHEDULES = {
    "constant": lambda s: s.constant_schedule(0.3),
    "polynomial": lambda s: s.polynomial_schedule(0.3, 0.01, 2.5, 30, 5),
    "linear": lambda s: s.linear_schedule(0.0, 0.3, 20),
    "piecewise": lambda s: s.piecewise_constant_schedule(0.3, {30: 0.1, 10: 0.5}),
    "exponential": lambda s: s.exponential_decay(0.3, 7, 0.8, 4),
    "staircase": lambda s: s.exponential_decay(0.3, 7, 0.8, staircase=True, end_value=0.1),
    "growth": lambda s: s.exponential_decay(0.3, 7, 1.2, end_value=0.5),
    "cosine": lambda s: s.cosine_decay_schedule(0.3, 40, 0.1, 1.5),
    "warmup": lambda s: s.warmup_cosine_decay_schedule(0.05, 0.3, 10, 45, 0.01),
    "no warmup": lambda s: s.warmup_cosine_decay_schedule(0.05, 0.3, 0, 45),
    "warmup exponent": lambda s: s.warmup_cosine_decay_schedule(0.0, 0.3, 10, 45, 0.0, 2.0),
    "onecycle": lambda s: s.cosine_onecycle_schedule(45, 0.3, 0.33, 10.0, 100.0),
    "warmup constant": lambda s: s.warmup_constant_schedule(0.05, 0.3, 10),
    "warmup exponential": lambda s: s.warmup_exponential_decay_schedule(0.05, 0.3, 10, 7, 0.5, 3, True, 0.05),
    "linear onecycle": lambda s: s.linear_onecycle_schedule(45, 0.3, 0.33, 0.7, 10.0, 100.0),
    "interpolated": lambda s: s.piecewise_interpolate_schedule("cosine", 0.3, {20: 0.5, 10: 2.0, 41: 0.1}),
    "interpolated, nothing": lambda s: s.piecewise_interpolate_schedule("linear", 0.3),
    "sgdr": lambda s: s.sgdr_schedule(
        [
            {"init_value": 0.0, "peak_value": 0.3, "decay_steps": 20, "warmup_steps": 5, "end_value": 0.01},
            {"init_value": 0.01, "peak_value": 0.2, "decay_steps": 25, "warmup_steps": 2},
        ]
    ),
    "joined": lambda s: s.join_schedules(
        [s.linear_schedule(0.0, 1.0, 10), s.constant_schedule(1.0), s.exponential_decay(1.0, 5, 0.5)], [10, 25]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_those_of_optax(name):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    ours = SCHEDULES[name](optim)
    with jax.enable_x64(True):
        theirs = [float(SCHEDULES[name](optax)(c)) for c in range(60)]
    np.testing.assert_allclose([float(ours(c)) for c in range(60)], theirs, rtol=1e-6, atol=1e-12)
    counts = np.arange(60, dtype=np.int32)
    np.testing.assert_allclose(fg.vmap(fg.jit(lambda c: 1.0 * ours(c)))(counts), theirs, rtol=1e-6, atol=1e-12)


TORCH_RATES = {
    "StepLR": (
        lambda: optim.exponential_decay(0.3, 7, 0.5, staircase=True),
        lambda s, o: s.StepLR(o, 7, 0.5),
    ),
    "MultiStepLR": (
        lambda: optim.piecewise_constant_schedule(0.3, {10: 0.1, 30: 0.1}),
        lambda s, o: s.MultiStepLR(o, [10, 30], 0.1),
    ),
    "ExponentialLR": (lambda: optim.exponential_decay(0.3, 1, 0.9), lambda s, o: s.ExponentialLR(o, 0.9)),
    "LinearLR": (lambda: optim.linear_schedule(0.03, 0.3, 15), lambda s, o: s.LinearLR(o, 0.1, 1.0, 15)),
    "CosineAnnealingLR": (
        lambda: optim.cosine_decay_schedule(0.3, 50, 0.1),
        lambda s, o: s.CosineAnnealingLR(o, 50, 0.03),
    ),
    "OneCycleLR": (
        lambda: optim.cosine_onecycle_schedule(50, 0.3, 0.35, ends_on_last=True),
        lambda s, o: s.OneCycleLR(o, 0.3, 50, pct_start=0.35),
    ),
    "OneCycleLR, three phases": (
        lambda: optim.cosine_onecycle_schedule(50, 0.3, 0.35, ends_on_last=True, three_phase=True),
        lambda s, o: s.OneCycleLR(o, 0.3, 50, pct_start=0.35, three_phase=True),
    ),
    "OneCycleLR, linear": (
        lambda: optim.linear_onecycle_schedule(50, 0.3, 0.2, None, ends_on_last=True),
        lambda s, o: s.OneCycleLR(o, 0.3, 50, pct_start=0.2, anneal_strategy="linear"),
    ),
    "OneCycleLR, linear, three phases": (
        lambda: optim.linear_onecycle_schedule(50, 0.3, 0.2, None, 20.0, 50.0, ends_on_last=True, three_phase=True),
        lambda s, o: s.OneCycleLR(
            o,
            0.3,
            50,
            pct_start=0.2,
            anneal_strategy="linear",
            three_phase=True,
            div_factor=20.0,
            final_div_factor=50.0,
        ),
    ),
    "PolynomialLR": (
        lambda: optim.polynomial_schedule(0.3, 0.0, 1.5, 30),
        lambda s, o: s.PolynomialLR(o, 30, 1.5),
    ),
    "ConstantLR": (
        lambda: optim.piecewise_constant_schedule(0.1, {12: 3.0}),
        lambda s, o: s.ConstantLR(o, 1 / 3, 12),
    ),
    "SequentialLR": (
        lambda: optim.join_schedules(
            [optim.linear_schedule(0.03, 0.3, 10), optim.exponential_decay(0.3, 1, 0.9)], [10]
        ),
        lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 10), s.ExponentialLR(o, 0.9)], [10]),
    ),
    "CosineAnnealingLR, back and forth": (
        lambda: optim.cosine_annealing_schedule(0.3, 15, 0.02),
        lambda s, o: s.CosineAnnealingLR(o, 15, 0.02),
    ),
    "CosineAnnealingWarmRestarts": (
        lambda: optim.cosine_restarts_schedule(0.3, 7, end_value=0.02),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 7, eta_min=0.02),
    ),
    "CosineAnnealingWarmRestarts, growing": (
        lambda: optim.cosine_restarts_schedule(0.3, 5, 3),
        lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 3),
    ),
    "CyclicLR": (
        lambda: optim.cyclic_schedule(0.1, 0.5, 7, 4),
        lambda s, o: s.CyclicLR(o, 0.1, 0.5, 7, 4, cycle_momentum=False),
    ),
    "CyclicLR, halved": (
        lambda: optim.cyclic_schedule(0.1, 0.5, 6, mode="triangular2"),
        lambda s, o: s.CyclicLR(o, 0.1, 0.5, 6, mode="triangular2", cycle_momentum=False),
    ),
    "CyclicLR, exponential": (
        lambda: optim.cyclic_schedule(0.1, 0.5, 6, 3, "exp_range", 0.97),
        lambda s, o: s.CyclicLR(o, 0.1, 0.5, 6, 3, "exp_range", 0.97, cycle_momentum=False),
    ),
}


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("name", TORCH_RATES)
def test_schedules_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    ours, theirs = TORCH_RATES[name]
    optimizer = torch.optim.SGD([torch.zeros(1)], 0.3)
    scheduler, rates = theirs(torch.optim.lr_scheduler, optimizer), []
    for _ in range(49):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    schedule = ours()
    np.testing.assert_allclose([float(schedule(c)) for c in range(49)], rates, rtol=1e-9, atol=1e-15)
    counts = np.arange(49, dtype=np.int32)
    np.testing.assert_allclose(fg.vmap(fg.jit(lambda c: 1.0 * schedule(c)))(counts), rates, rtol=1e-9, atol=1e-15)


VALUES = [
    5.0,
    4.0,
    4.5,
    4.2,
    4.0,
    3.99,
    3.0,
    3.0,
    3.1,
    3.2,
    3.3,
    3.4,
    2.0,
    2.5,
    2.6,
    2.7,
    2.8,
    2.9,
    3.0,
    3.0,
    3.0,
    3.0,
    1.0,
]
PLATEAUS = [(0.1, 3, 1e-2, 0.0, 0, 0.0), (0.5, 2, 0.0, 0.05, 3, 0.2), (0.5, 1, 1e-4, 0.0, 1, 1e-3)]


@pytest.mark.parametrize("settings", PLATEAUS)
def test_plateaus_are_those_of_optax_and_torch(settings):
    factor, patience, rtol, atol, cooldown, least = settings
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    torch = pytest.importorskip("torch")
    ours = optim.reduce_on_plateau(factor, patience, rtol, atol, cooldown, min_scale=least)
    theirs = optax.contrib.reduce_on_plateau(factor, patience, rtol, atol, cooldown, min_scale=least)
    optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
    mode, threshold = ("rel", rtol) if rtol else ("abs", atol)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "min", factor, patience - 1, threshold, mode, cooldown, least, eps=0
    )
    state, update = ours.init(np.ones(1)), fg.jit(ours.update)
    with jax.enable_x64(True):
        expected, scales = theirs.init(jax.numpy.ones(1)), []
        for value in VALUES:
            updates, state = update(np.ones(1), state, value=value)
            found, expected = theirs.update(jax.numpy.ones(1), expected, value=value)
            plateau.step(value)
            np.testing.assert_allclose(updates, np.asarray(found))
            np.testing.assert_allclose(updates[0], optimizer.param_groups[0]["lr"])
            scales.append(float(updates[0]))
    assert len(set(scales)) > 2
