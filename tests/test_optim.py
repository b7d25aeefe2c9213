"""Optimisers against torch.optim and optax over 50 steps, their parts in jit, vmap and scan, schedules, and errors."""

import importlib

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
    "rmsprop centered": lambda o: o.rmsprop(0.01, eps=1e-4, centered=True, eps_in_sqrt=False),
    "rmsprop corrected": lambda o: o.rmsprop(0.01, eps=1e-4, bias_correction=True),
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
        {"a": o.adam(0.05), "b": o.sgd(0.1, momentum=0.9), "frozen": o.set_to_zero()},
        {"w": ["a", "b"], "b": ["b", "frozen"]},
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


def test_every_public_name_is_documented():
    for name in dir(importlib.import_module("funcgrad.optim")):
        value = getattr(optim, name)
        if name[0] != "_" and callable(value) and name != "Schedule":
            assert value.__doc__, name
