"""Optimisers against torch.optim and optax over 50 steps, their parts in jit, vmap and scan, schedules, and errors."""

import importlib
import re

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax, optim, tree

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
Y = np.sin(X @ RNG.normal(size=(3, 2)))
PARAMS = {
    "w": [RNG.normal(size=(3, 4)) * 0.5, RNG.normal(size=(4, 2)) * 0.5],
    "b": [np.zeros(4), np.zeros(2)],
}
STEPS = 50


def loss(params):
    hidden = fnp.tanh(X.astype(params["b"][0].dtype) @ params["w"][0] + params["b"][0])
    return fnp.mean((hidden @ params["w"][1] + params["b"][1] - Y.astype(params["b"][0].dtype)) ** 2)


gradient = fg.jit(fg.grad(loss))


def run(optimizer, params=PARAMS, steps=STEPS, jit=True):
    """The parameters after some steps; every step is one call of a jitted function."""

    def step(params, state):
        updates, state = optimizer.update(fg.grad(loss)(params), state, params)
        return optim.apply_updates(params, updates), state

    step = fg.jit(step) if jit else step
    state = optimizer.init(params)
    for _ in range(steps):
        params, state = step(params, state)
    return params


def close(a, b, rtol=1e-6):
    for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=rtol * 1e-3)


def run_torch(make, scheduler=None):
    torch = pytest.importorskip("torch")
    leaves, treedef = tree.flatten(PARAMS)
    tensors = [torch.tensor(leaf) for leaf in leaves]
    optimizer = make(torch.optim, tensors)
    rates = scheduler and scheduler(torch.optim.lr_scheduler, optimizer)
    for _ in range(STEPS):
        grads = gradient(treedef.unflatten([t.detach().numpy() for t in tensors]))
        for t, g in zip(tensors, tree.leaves(grads), strict=True):
            t.grad = torch.tensor(np.array(g))
        optimizer.step()
        if rates:
            rates.step()
    return treedef.unflatten([t.detach().numpy() for t in tensors])


def run_optax(make):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    with jax.enable_x64(True):
        optimizer = make(optax)
        update = jax.jit(optimizer.update)
        params = tree.map(jax.numpy.asarray, PARAMS)
        state = optimizer.init(params)
        for _ in range(STEPS):
            grads = tree.map(lambda g: jax.numpy.asarray(np.array(g)), gradient(tree.map(np.asarray, params)))
            updates, state = update(grads, state, params)
            params = optax.apply_updates(params, updates)
        return tree.map(np.asarray, params)


TORCH = {
    "sgd": (lambda o: o.sgd(0.1), lambda t, p: t.SGD(p, 0.1)),
    "sgd weight decay": (
        lambda o: o.sgd(0.1, weight_decay=0.02, maximize=True),
        lambda t, p: t.SGD(p, 0.1, weight_decay=0.02, maximize=True),
    ),
    "sgd momentum": (
        lambda o: o.sgd(0.1, 0.9, weight_decay=0.02),
        lambda t, p: t.SGD(p, 0.1, momentum=0.9, weight_decay=0.02),
    ),
    "sgd nesterov": (lambda o: o.sgd(0.1, 0.9, True), lambda t, p: t.SGD(p, 0.1, momentum=0.9, nesterov=True)),
    "sgd dampening": (
        lambda o: o.sgd(0.1, 0.9, dampening=0.4),
        lambda t, p: t.SGD(p, 0.1, momentum=0.9, dampening=0.4),
    ),
    "adam": (lambda o: o.adam(0.05), lambda t, p: t.Adam(p, 0.05)),
    "adam eps, decay": (
        lambda o: o.adam(0.05, 0.8, 0.95, 1e-3, weight_decay=0.1, maximize=True),
        lambda t, p: t.Adam(p, 0.05, (0.8, 0.95), 1e-3, weight_decay=0.1, maximize=True),
    ),
    "adam amsgrad": (
        lambda o: o.adam(0.05, b2=0.9, amsgrad=True),
        lambda t, p: t.Adam(p, 0.05, (0.9, 0.9), amsgrad=True),
    ),
    "adamw": (lambda o: o.adamw(0.05, weight_decay=0.1), lambda t, p: t.AdamW(p, 0.05, weight_decay=0.1)),
    "adamw amsgrad": (
        lambda o: o.adamw(0.05, b2=0.9, weight_decay=0.1, amsgrad=True, maximize=True),
        lambda t, p: t.AdamW(p, 0.05, (0.9, 0.9), weight_decay=0.1, amsgrad=True, maximize=True),
    ),
    "rmsprop": (
        lambda o: o.rmsprop(0.01, 0.99, eps_in_sqrt=False),
        lambda t, p: t.RMSprop(p, 0.01),
    ),
    "rmsprop centered": (
        lambda o: o.rmsprop(0.01, 0.9, 1e-4, eps_in_sqrt=False, centered=True, momentum=0.8, weight_decay=0.1),
        lambda t, p: t.RMSprop(p, 0.01, 0.9, 1e-4, weight_decay=0.1, momentum=0.8, centered=True),
    ),
    "adagrad": (
        lambda o: o.adagrad(0.1, 0, 1e-10, eps_in_sqrt=False),
        lambda t, p: t.Adagrad(p, 0.1),
    ),
    "adagrad decay": (
        lambda o: o.adagrad(0.1, 0.2, 1e-3, eps_in_sqrt=False, lr_decay=0.05, weight_decay=0.1, maximize=True),
        lambda t, p: t.Adagrad(
            p, 0.1, lr_decay=0.05, weight_decay=0.1, initial_accumulator_value=0.2, eps=1e-3, maximize=True
        ),
    ),
    "lbfgs": (
        lambda o: o.lbfgs(0.5, 100, linesearch=None, first_norm=1),
        lambda t, p: Closed(t.LBFGS(p, 0.5, max_iter=1)),
    ),
}
"""Settings, and torch's spelling of them."""


class Closed:
    """torch's LBFGS behind `step()` without arguments: gradients are already there."""

    def __init__(self, optimizer):
        self.step = lambda: optimizer.step(lambda: 0.0)


@pytest.mark.parametrize("name", TORCH)
def test_numbers_are_those_of_torch(name):
    ours, theirs = TORCH[name]
    close(run(ours(optim)), run_torch(theirs))


def test_torch_with_a_schedule():
    ours = optim.rmsprop(optim.exponential_decay(0.02, 1, 0.95), 0.99, eps_in_sqrt=False, momentum=0.9,
                         momentum_before_rate=True)  # fmt: skip
    theirs = run_torch(lambda t, p: t.RMSprop(p, 0.02, momentum=0.9), lambda s, opt: s.ExponentialLR(opt, 0.95))
    close(run(ours), theirs)


def test_clipping_as_torch():
    torch = pytest.importorskip("torch")
    grads = gradient(PARAMS)
    tensors = [torch.zeros(g.shape, dtype=torch.float64) for g in tree.leaves(grads)]
    for t, g in zip(tensors, tree.leaves(grads), strict=True):
        t.grad = torch.tensor(np.array(g))
    norm = torch.nn.utils.clip_grad_norm_(tensors, 0.1)
    np.testing.assert_allclose(float(optim.global_norm(grads)), float(norm))
    clipped, _ = optim.clip_by_global_norm(0.1, eps=1e-6).update(grads, optim.EmptyState())
    close(tree.leaves(clipped), [t.grad.numpy() for t in tensors], 1e-12)


MASK = {"w": True, "b": [False, True]}

OPTAX = {
    "sgd": lambda o: o.sgd(0.1, 0.9),
    "sgd nesterov": lambda o: o.sgd(0.1, 0.9, nesterov=True),
    "adam": lambda o: o.adam(0.05, eps=1e-4, eps_root=1e-6),
    "adam nesterov": lambda o: o.adam(0.05, nesterov=True),
    "amsgrad": lambda o: o.amsgrad(0.05, b2=0.9),
    "adamw": lambda o: o.adamw(0.05, weight_decay=0.1, mask=MASK),
    "rmsprop": lambda o: o.rmsprop(0.01, eps=1e-4, initial_scale=0.1),
    "rmsprop momentum": lambda o: o.rmsprop(o.linear_schedule(0.02, 0.0, 40), momentum=0.8, nesterov=True),
    "rmsprop centered": lambda o: o.rmsprop(0.01, eps=1e-4, centered=True, bias_correction=True, eps_in_sqrt=False),
    "adagrad": lambda o: o.adagrad(0.1),
    "lion": lambda o: o.lion(0.003, weight_decay=0.1, mask=lambda p: tree.map(lambda leaf: leaf.ndim > 1, p)),
    "lbfgs": lambda o: o.lbfgs(0.5, memory_size=4, linesearch=None),
    "lbfgs, no scaling": lambda o: o.lbfgs(0.1, memory_size=4, scale_init_precond=False, linesearch=None),
    "chain": lambda o: o.chain(
        o.clip(0.05), o.clip_by_global_norm(0.1), o.add_decayed_weights(0.01), o.trace(0.9), o.scale(0.5),
        o.scale_by_adam(), o.scale_by_learning_rate(o.cosine_decay_schedule(0.1, 40)),
    ),
    "masked": lambda o: o.chain(o.masked(o.scale_by_rms(), MASK), o.scale_by_schedule(lambda c: -0.01 / (1.0 + c))),
    "two kinds": lambda o: o.multi_transform(
        {"a": o.adam(0.05), 1: o.sgd(0.1, momentum=0.9), "frozen": o.set_to_zero()}, {"w": ["a", 1], "b": [1, "frozen"]}
    ),
}  # fmt: skip
"""Optimisers that are spelled alike in both."""


@pytest.mark.parametrize("name", OPTAX)
def test_numbers_are_those_of_optax(name):
    close(run(OPTAX[name](optim)), run_optax(OPTAX[name]))


@pytest.mark.parametrize("name", OPTAX)
def test_jit_changes_nothing(name):
    optimizer = OPTAX[name](optim)
    close(run(optimizer, steps=5), run(optimizer, steps=5, jit=False), 1e-9)


@pytest.mark.parametrize("name", OPTAX)
def test_float32_stays_float32(name):
    optimizer = OPTAX[name](optim)
    single = tree.map(lambda p: p.astype(np.float32), PARAMS)
    state = optimizer.init(single)
    kinds = [np.asarray(s).dtype for s in tree.leaves(state)]
    updates, after = fg.jit(optimizer.update)(gradient(single), state, single)
    updates, after = fg.jit(optimizer.update)(updates, after, single)
    assert {np.asarray(u).dtype for u in tree.leaves(updates)} == {np.dtype(np.float32)}
    assert [np.asarray(s).dtype for s in tree.leaves(after)] == kinds
    assert {k.name for k in kinds} <= {"float32", "int32"}
    assert tree.structure(after) == tree.structure(state)


def test_state_is_a_carry_of_scan():
    optimizer = optim.chain(optim.clip_by_global_norm(0.5), optim.adamw(optim.linear_schedule(0.1, 0.0, 30)))

    @fg.jit
    def train(params):
        def step(carry, _):
            params, state = carry
            value, grads = fg.value_and_grad(loss)(params)
            updates, state = optimizer.update(grads, state, params)
            return (optim.apply_updates(params, updates), state), value

        return lax.scan(step, (params, optimizer.init(params)), None, STEPS)

    (params, state), values = train(PARAMS)
    close(params, run(optimizer))
    assert int(state[1][0].count) == STEPS and values[-1] < values[0]


def test_vmap_over_parameters_and_learning_rates():
    def train(params, rate):
        optimizer = optim.sgd(rate, 0.9)
        state = optimizer.init(params)
        for _ in range(3):
            updates, state = optimizer.update(fg.grad(loss)(params), state, params)
            params = optim.apply_updates(params, updates)
        return params

    rates = np.array([0.1, 0.01])
    many = fg.vmap(train, in_axes=(None, 0))(PARAMS, rates)
    for i, rate in enumerate(rates):
        close(tree.map(lambda p: p[i], many), run(optim.sgd(float(rate), 0.9), steps=3), 1e-9)


def test_a_learning_rate_has_a_derivative():
    def final(rate):
        optimizer = optim.adam(rate)
        params, state = PARAMS, optimizer.init(PARAMS)
        for _ in range(3):
            updates, state = optimizer.update(fg.grad(loss)(params), state, params)
            params = optim.apply_updates(params, updates)
        return loss(params)

    slope, step = fg.grad(final)(0.05), 1e-6
    np.testing.assert_allclose(slope, (final(0.05 + step) - final(0.05 - step)) / (2 * step), rtol=1e-5)


def test_complex_parameters():
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    z = np.array([1 + 2j, -0.5j])
    ours, theirs = optim.adam(0.1), optax.adam(0.1)
    state, with_jax = ours.init(z), theirs.init(z)
    for g in (z, z * 1j - 1, 0.3 * z):
        updates, state = ours.update(g, state)
        with jax.enable_x64(True):
            expected, with_jax = theirs.update(jax.numpy.asarray(g), with_jax)
        np.testing.assert_allclose(updates, np.asarray(expected), rtol=1e-6)
    assert state[0].nu.dtype == np.float64


def test_the_accumulators_dtypes():
    single = optim.adam(0.1, mu_dtype="float32")
    updates, state = single.update(gradient(PARAMS), single.init(PARAMS), PARAMS)
    assert state[0].mu["b"][0].dtype == np.float32 and updates["b"][0].dtype == np.float64
    momentum = optim.sgd(0.1, 0.9, accumulator_dtype="float32")
    assert momentum.update(gradient(PARAMS), momentum.init(PARAMS))[1][0].trace["b"][0].dtype == np.float32


def test_small_pieces():
    updates = {"a": fnp.array([3.0, -4.0]), "none": None}
    assert optim.global_norm(updates) == 5 and optim.global_norm({}) == 0
    none = optim.EmptyState()
    assert optim.clip(3.5).update(updates, none)[0]["a"].tolist() == [3, -3.5]
    same = optim.clip_by_global_norm(5.0).update(updates, none)[0]
    assert same["a"].tolist() == [3, -4] and same["none"] is None
    half = optim.clip_by_global_norm(2.5).update(updates, none)[0]
    assert half["a"].tolist() == [1.5, -2]
    zero = optim.clip_by_global_norm(1.0).update({"a": np.zeros(2)}, none)[0]
    assert zero["a"].tolist() == [0, 0]
    assert optim.identity().update(updates, none)[0] is updates
    assert optim.set_to_zero().update(updates, none)[0]["a"].tolist() == [0, 0]
    assert optim.scale_by_learning_rate(0.5, flip_sign=False).update(updates, none)[0]["a"].tolist() == [1.5, -2]
    assert optim.scale_by_rss(0.0).update({"a": np.zeros(1)}, optim.ScaleByRssState({"a": np.zeros(1)}))[0]["a"] == 0


def test_chain_hands_arguments_to_those_who_take_them():
    seen = []

    def update(updates, state, params=None, *, value, **others):
        seen.append((value, others))
        return updates, state

    watcher = optim.GradientTransformationExtraArgs(lambda params: optim.EmptyState(), update)
    chained = optim.chain(optim.scale(2.0), optim.chain(optim.masked(watcher, True)))
    updates, _ = chained.update(np.ones(2), chained.init(np.ones(2)), None, value=3, more=4)
    assert updates.tolist() == [2, 2] and seen == [(3, {"more": 4})]


# --- schedules ---------------------------------------------------------------------------------------------------------

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


# --- line searches -----------------------------------------------------------------------------------------------------


def rosenbrock(x, scale=100.0):
    return fnp.sum(scale * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def minimize(optimizer, f, x, steps, jit=True, **extra):
    """The last point, and what the line search found at each step."""

    def step(x, state):
        value, grad = optim.value_and_grad_from_state(f)(x, state=state, **extra)
        updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=f, **extra)
        return optim.apply_updates(x, updates), state

    step = fg.jit(step) if jit else step
    state, found = optimizer.init(x), []
    for _ in range(steps):
        x, state = step(x, state)
        found.append(state[-1])
    return x, found


def test_lbfgs_minimizes():
    start = np.array([-1.2, 1.0, -0.5, 0.8])
    x, found = minimize(optim.lbfgs(), rosenbrock, start, 45)
    np.testing.assert_allclose(x, 1.0, rtol=1e-6)
    assert sum(int(s.evaluations) for s in found[:30]) < 50
    values = [float(rosenbrock(start)), *[float(s.value) for s in found]]
    assert all(b <= a * (1 + 1e-6) for a, b in zip(values, values[1:], strict=False))
    same, _ = minimize(optim.lbfgs(), rosenbrock, start, 4, jit=False)
    np.testing.assert_allclose(same, minimize(optim.lbfgs(), rosenbrock, start, 4)[0], rtol=1e-9)


def test_lbfgs_in_one_compiled_loop_batched_in_float32():
    optimizer = optim.lbfgs(memory_size=5)

    def solve(x):
        def step(carry):
            x, state = carry
            value, grad = optim.value_and_grad_from_state(rosenbrock)(x, state=state)
            updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=rosenbrock)
            return optim.apply_updates(x, updates), state

        return lax.while_loop(lambda c: c[1][0].count < 60, step, (x, optimizer.init(x)))[0]

    starts = np.array([[-1.2, 1.0], [0.5, -2.0]], np.float32)
    ends = fg.jit(fg.vmap(solve))(starts)
    assert ends.dtype == np.float32
    np.testing.assert_allclose(ends, 1.0, rtol=2e-3)


def test_lbfgs_ends_where_torchs_strong_wolfe_does():
    torch = pytest.importorskip("torch")
    matrix = RNG.normal(size=(30, 5))
    target = matrix @ np.arange(5.0) + RNG.normal(size=30)
    w = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.LBFGS([w], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-10)
    A, b = torch.tensor(matrix), torch.tensor(target)

    def closure():
        theirs.zero_grad()
        value = torch.nn.functional.softplus(A @ w - b).pow(2).sum()
        value.backward()
        return value

    theirs.step(closure)
    f = lambda x: fnp.sum(fnp.logaddexp(matrix @ x - target, 0.0) ** 2) + 0.0
    x, _ = minimize(optim.lbfgs(), f, np.zeros(5), 40)
    np.testing.assert_allclose(f(x), float(closure()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("guess", ["one", "keep"])
@pytest.mark.parametrize("length", [1e-3, 0.1, 1.0, 50.0])
def test_zoom_meets_the_strong_wolfe_conditions(guess, length):
    f = lambda x: fnp.sum(fnp.cosh(x)) + 0.1 * x[0] * x[1] - x[2]
    x = fnp.array([1.0, -2.0, 0.5])
    value, grad = fg.value_and_grad(f)(x)
    search = optim.scale_by_zoom_linesearch(30, curv_rtol=0.3, approx_dec_rtol=None, initial_guess_strategy=guess)
    updates, state = search.update(-length * grad, search.init(x), x, value=value, grad=grad, value_fn=f)
    t, d = float(state.learning_rate), -length * grad
    after, grad_after = fg.value_and_grad(f)(x + t * d)
    assert bool(state.success) and int(state.evaluations) <= 12
    assert after <= value + 1e-4 * t * fnp.vdot(grad, d) and abs(fnp.vdot(grad_after, d)) <= -0.3 * fnp.vdot(grad, d)
    np.testing.assert_allclose(updates, t * d)
    np.testing.assert_allclose(state.value, after)
    np.testing.assert_allclose(state.grad, grad_after)


def test_zoom_at_its_limits():
    f = lambda x: -fnp.sum(x)
    x, g = np.ones(2), -np.ones(2)
    given = {"value": -2.0, "grad": g, "value_fn": f}
    search = optim.scale_by_zoom_linesearch(10, max_learning_rate=8.0)
    updates, state = search.update(-g, search.init(x), x, **given)
    assert updates.tolist() == [8, 8] and not state.success and int(state.evaluations) == 4
    uphill, state = search.update(g, search.init(x), x, **given)
    assert uphill.tolist() == [0, 0] and int(state.evaluations) == 0 and float(state.value) == -2
    walled = lambda x: fnp.where(x[0] > 1.5, fnp.nan, -fnp.log(x[0]) + x[0] ** 2)
    one = np.ones(1) * 0.1
    value, grad = fg.value_and_grad(walled)(one)
    updates, state = search.update(-grad, search.init(one), one, value=value, grad=grad, value_fn=walled)
    assert bool(state.success) and float(state.value) < value


def test_backtracking_is_optaxs():
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    settings = {"max_backtracking_steps": 40, "decrease_factor": 0.6, "increase_factor": 2.0, "store_grad": True}
    make = lambda o: o.chain(o.sgd(0.05), o.scale_by_backtracking_linesearch(**settings))
    ours, found = minimize(make(optim), rosenbrock, np.array([-1.2, 1.0]), 25)
    with jax.enable_x64(True):
        f = lambda x: 100.0 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        solver, x = make(optax), jax.numpy.array([-1.2, 1.0])
        state = solver.init(x)
        for s in found:
            value, grad = jax.value_and_grad(f)(x)
            updates, state = solver.update(grad, state, x, value=value, grad=grad, value_fn=f)
            x = optax.apply_updates(x, updates)
            np.testing.assert_allclose(s.learning_rate, float(state[-1].learning_rate), rtol=1e-6)
        np.testing.assert_allclose(ours, np.asarray(x), rtol=1e-6)


def test_backtracking_that_finds_nothing_stays():
    search = optim.scale_by_backtracking_linesearch(3)
    x = np.ones(2)
    updates, state = search.update(x, search.init(x), x, value=2.0, grad=x, value_fn=fnp.sum)
    assert updates.tolist() == [0, 0] and not state.success and int(state.evaluations) == 4 and float(state.value) == 2
    assert state.grad is None


def test_value_fn_gets_the_arguments_it_names():
    f = lambda x, scale: rosenbrock(x, scale)
    x, _ = minimize(optim.lbfgs(), f, np.array([-1.2, 1.0]), 30, scale=10.0)
    np.testing.assert_allclose(x, 1.0, rtol=1e-5)


def test_what_the_search_knows_is_not_computed_again():
    x = np.array([0.5, 2.0])
    state = (optim.LinesearchState(fnp.array(1.0), fnp.array(7.0), fnp.array([8.0, 9.0]), 1, True),)
    value, grad = optim.value_and_grad_from_state(rosenbrock)(x, state=state)
    assert value == 7 and grad.tolist() == [8, 9]
    fresh = optim.value_and_grad_from_state(rosenbrock)(x, state=optim.lbfgs().init(x))
    np.testing.assert_allclose(fresh[1], fg.grad(rosenbrock)(x))


# --- bad input ---------------------------------------------------------------------------------------------------------

ONES = {"a": np.ones(2)}


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
    "clip: max_delta must be a number > 0, got 0.": lambda: optim.clip(0.0),
    "clip_by_global_norm: max_norm must be a number > 0, got -1.": lambda: optim.clip_by_global_norm(-1),
    "scale_by_schedule: step_size_fn must be a function of the count, got 0.1.": lambda: optim.scale_by_schedule(0.1),
    "chain: argument 1 must be a pair (init, update) of functions, got 0.1.": (
        lambda: optim.chain(optim.identity(), 0.1)
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
    "polynomial_schedule: transition_steps must be an integer >= 1, got 2.5.": (
        lambda: optim.linear_schedule(0.1, 0.2, 2.5)
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
    "scale_by_backtracking_linesearch: decrease_factor must be below 1, got 1.5.": (
        lambda: optim.scale_by_backtracking_linesearch(5, decrease_factor=1.5)
    ),
    "value_and_grad_from_state needs a state with a line search and its gradient, got 0 of them.": (
        lambda: optim.value_and_grad_from_state(rosenbrock)(np.ones(2), state=optim.sgd(0.1).init(np.ones(2)))
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_errors_say_what_to_write(text):
    with pytest.raises((ValueError, TypeError), match=re.escape(text)):
        ERRORS[text]()


def test_every_public_name_is_documented():
    for name in dir(importlib.import_module("funcgrad.optim")):
        value = getattr(optim, name)
        if name[0] != "_" and callable(value) and name != "Schedule":
            assert value.__doc__, name
