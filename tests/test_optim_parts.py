"""Optimisers in scan, vmap and derivatives, with traced numbers, of complex parameters; their small parts; documentation."""

import importlib

import numpy as np
import pytest
from test_optim import PARAMS, STEPS, close, gradient, loss, run

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax, optim, tree


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


def test_labels_of_any_kind():
    optimizer = optim.multi_transform({"a": optim.sgd(1.0), 1: optim.adam(1.0)}, {"w": "a", "b": 1})
    updates, _ = fg.jit(optimizer.update)(PARAMS, optimizer.init(PARAMS))
    close(updates["w"], tree.map(lambda w: -w, PARAMS["w"]))


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


def imperative_rules(o, h):
    """Rules with every number traced, as an imperative optimiser makes them: the rate and others change, the program does not."""
    lr, decay, one, two, eps = h["lr"], h["decay"], h["one"], h["two"], h["eps"]
    return [
        o.sgd(lr, one, dampening=h["decay"], weight_decay=decay),
        o.adam(lr, one, two, eps, amsgrad=True, weight_decay=decay),
        o.adamw(lr, one, two, eps, weight_decay=decay),
        o.adagrad(lr, decay, eps, lr_decay=decay, weight_decay=decay, eps_in_sqrt=False),
        o.rmsprop(lr, two, eps, eps_in_sqrt=False, centered=True, momentum=one, momentum_before_rate=True),
        o.adamax(lr, one, two, eps, weight_decay=decay),
        o.nadam(lr, one, two, eps, momentum_decay=decay, weight_decay=decay, decoupled_weight_decay=True),
        o.radam(lr, one, two, eps, correct_eps=True, weight_decay=decay),
        o.adadelta(lr, two, eps, decay),
        o.rprop(lr, one, 1 + decay, eps, 1.0),
        o.asgd(lr, decay, one, 3.0, weight_decay=decay),
        o.lbfgs(lr, 5, linesearch=None, first_norm=1),
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(12))
def test_every_number_may_be_traced(index):
    numbers = {"lr": 0.01, "decay": 0.1, "one": 0.8, "two": 0.95, "eps": 1e-3}
    params = [np.array([1.0, -2.0, 3.0], np.float32), np.array([[0.5]], np.float32)]

    def steps(update):
        x, state = params, fg.jit(lambda p, h: imperative_rules(optim, h)[index].init(p))(params, numbers)
        for lr in (0.01, 0.02, 0.005):
            updates, state = update([p * p - 1 for p in x], state, x, {**numbers, "lr": lr})
            x = optim.apply_updates(x, updates)
        return x

    compiled = fg.jit(lambda g, s, p, h: imperative_rules(optim, h)[index].update(g, s, p))
    known = steps(lambda g, s, p, h: imperative_rules(optim, h)[index].update(g, s, p))
    found = steps(compiled)
    assert [p.dtype for p in found] == [np.float32] * 2
    close(found, known, 1e-5)
    assert compiled._cache_size() == 1
