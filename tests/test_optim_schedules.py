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
    np.testing.assert_allclose([float(schedule(c)) for c in range(49)], rates, rtol=1e-9)
