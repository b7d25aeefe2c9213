"""Optimisers against torch.optim and optax over 50 steps."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import optim, tree

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
    "adagrad, no eps": (
        lambda o: o.adagrad(0.1, 0, 0.0, eps_in_sqrt=False),
        lambda t, p: t.Adagrad(p, 0.1, eps=0.0),
    ),
    "adamax": (lambda o: o.adamax(0.05), lambda t, p: t.Adamax(p, 0.05)),
    "adamax decay": (
        lambda o: o.adamax(0.05, 0.8, 0.9, 1e-3, weight_decay=0.1, maximize=True),
        lambda t, p: t.Adamax(p, 0.05, (0.8, 0.9), 1e-3, weight_decay=0.1, maximize=True),
    ),
    "nadam": (lambda o: o.nadam(0.02, momentum_decay=4e-3), lambda t, p: t.NAdam(p, 0.02)),
    "nadam decay": (
        lambda o: o.nadam(0.02, 0.8, 0.9, 1e-3, momentum_decay=0.5, weight_decay=0.1, maximize=True),
        lambda t, p: t.NAdam(p, 0.02, (0.8, 0.9), 1e-3, 0.1, 0.5, maximize=True),
    ),
    "nadam decoupled": (
        lambda o: o.nadam(0.02, momentum_decay=4e-3, weight_decay=0.1, decoupled_weight_decay=True),
        lambda t, p: t.NAdam(p, 0.02, weight_decay=0.1, decoupled_weight_decay=True),
    ),
    "radam": (lambda o: o.radam(0.05, correct_eps=True), lambda t, p: t.RAdam(p, 0.05)),
    "radam decay": (
        lambda o: o.radam(0.05, 0.8, 0.95, 1e-2, correct_eps=True, weight_decay=0.1, maximize=True),
        lambda t, p: t.RAdam(p, 0.05, (0.8, 0.95), 1e-2, 0.1, maximize=True),
    ),
    "radam decoupled": (
        lambda o: o.radam(0.05, b2=0.9, correct_eps=True, weight_decay=0.1, decoupled_weight_decay=True),
        lambda t, p: t.RAdam(p, 0.05, (0.9, 0.9), weight_decay=0.1, decoupled_weight_decay=True),
    ),
    "radam never rectified": (
        lambda o: o.radam(0.05, b2=0.5, correct_eps=True),
        lambda t, p: t.RAdam(p, 0.05, (0.9, 0.5)),
    ),
    "adadelta": (lambda o: o.adadelta(), lambda t, p: t.Adadelta(p)),
    "adadelta decay": (
        lambda o: o.adadelta(0.5, 0.8, 1e-3, 0.1, maximize=True),
        lambda t, p: t.Adadelta(p, 0.5, 0.8, 1e-3, 0.1, maximize=True),
    ),
    "rprop": (lambda o: o.rprop(0.01), lambda t, p: t.Rprop(p, 0.01)),
    "rprop limits": (
        lambda o: o.rprop(0.1, 0.6, 1.5, 1e-3, 0.05, maximize=True),
        lambda t, p: t.Rprop(p, 0.1, (0.6, 1.5), (1e-3, 0.05), maximize=True),
    ),
    "asgd": (lambda o: o.asgd(0.1), lambda t, p: t.ASGD(p, 0.1)),
    "asgd decay": (
        lambda o: o.asgd(0.1, 0.1, 0.6, 10, weight_decay=0.1),
        lambda t, p: t.ASGD(p, 0.1, 0.1, 0.6, 10, 0.1),
    ),
    "asgd maximize": (
        lambda o: o.asgd(1e-3, maximize=True),
        lambda t, p: t.ASGD(p, 1e-3, maximize=True),
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


def test_rates_and_averages_of_asgd_as_torch():
    torch = pytest.importorskip("torch")
    x = torch.tensor([1.0, -2.0], dtype=torch.float64)
    theirs = torch.optim.ASGD([x], 0.1, 0.02, t0=4)
    rates = torch.optim.lr_scheduler.ExponentialLR(theirs, 0.9)
    ours = optim.asgd(optim.exponential_decay(0.1, 1, 0.9), 0.02, t0=4)
    params = np.array([1.0, -2.0])
    state = ours.init(params)
    for _ in range(10):
        x.grad = 2 * x
        updates, state = ours.update(2 * params, state, params)
        params = optim.apply_updates(params, updates)
        theirs.step()
        rates.step()
    np.testing.assert_allclose(params, x.numpy(), rtol=1e-6)
    np.testing.assert_allclose(state[-1].ax, theirs.state[x]["ax"].numpy(), rtol=1e-6)
    assert abs(params[0] - state[-1].ax[0]) > 0.01, "parameters are averaged"


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
    "adamax": lambda o: o.adamax(0.05, b2=0.9, eps=1e-3),
    "adamaxw": lambda o: o.adamaxw(0.05, weight_decay=0.1, mask=MASK),
    "nadam": lambda o: o.nadam(0.05, b1=0.8, eps_root=1e-6),
    "nadamw": lambda o: o.nadamw(0.05, weight_decay=0.1, mask=MASK),
    "radam": lambda o: o.radam(0.05, b2=0.9, eps=1e-3, eps_root=1e-4),
    "radam nesterov": lambda o: o.radam(0.05, threshold=7.0, nesterov=True),
    "adadelta": lambda o: o.adadelta(0.8, 0.95, 1e-3, 0.1, MASK),
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
