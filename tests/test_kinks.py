"""Derivatives at kinks and ties: PyTorch's values, in both modes and under every transform."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import nn

INF = np.inf
CASES = {
    "abs at 0": (jnp.abs, 0.0, 0.0),
    "norm at 0": (lambda x: jnp.linalg.norm(jnp.stack([x, x])), 0.0, 0.0),
    "complex abs at 0": (lambda x: jnp.abs(x + 0j), 0.0, 0.0),
    "sign": (jnp.sign, 0.3, 0.0),
    "floor": (jnp.floor, 0.3, 0.0),
    "round": (jnp.round, 0.3, 0.0),
    "clip at its lower bound": (lambda x: jnp.clip(x, 0.0, 1.0), 0.0, 1.0),
    "clip at its upper bound": (lambda x: jnp.clip(x, 0.0, 1.0), 1.0, 1.0),
    "clip outside": (lambda x: jnp.clip(x, 0.0, 1.0), 2.0, 0.0),
    "relu at 0": (nn.relu, 0.0, 0.0),
    "relu6 at 0": (nn.relu6, 0.0, 0.0),
    "relu6 at 6": (nn.relu6, 6.0, 0.0),
    "hard_tanh at 1": (nn.hard_tanh, 1.0, 0.0),
    "leaky_relu at 0": (nn.leaky_relu, 0.0, 0.01),
    "elu at 0": (nn.elu, 0.0, 1.0),
    "maximum tied": (lambda x: jnp.maximum(x, 1.0), 1.0, 0.5),
    "minimum tied": (lambda x: jnp.minimum(1.0, x), 1.0, 0.5),
    "max of ties": (lambda x: jnp.max(jnp.stack([x, x * 0 + 1.0, x * 0])), 1.0, 0.5),
    "min of ties": (lambda x: jnp.min(jnp.stack([x, x * 0 + 1.0, x * 0 + 4.0])), 1.0, 0.5),
    "median of ties": (lambda x: jnp.median(jnp.stack([x, x * 0 + 1.0, x * 0 + 1.0])), 1.0, 1 / 3),
    "sqrt at 0": (jnp.sqrt, 0.0, INF),
    "log at 0": (jnp.log, 0.0, INF),
    "asin at 1": (jnp.arcsin, 1.0, INF),
    "x ** 0.5 at 0": (lambda x: x**0.5, 0.0, INF),
    "x ** 2 at 0": (lambda x: x**2, 0.0, 0.0),
    "x ** y at x = 0, by y": (lambda y: jnp.power(0.0, y), 2.0, 0.0),
    "log of a negative": (jnp.log, -1.0, -1.0),
    "std of equal values": (lambda x: jnp.std(jnp.stack([x, x])), 1.0, 0.0),
    "prod with one zero": (lambda x: jnp.prod(jnp.stack([x, x * 0 + 2.0, x * 0 + 3.0])), 0.0, 6.0),
    "hypot at 0": (lambda x: jnp.hypot(x, x), 0.0, 0.0),
}
WAYS = {
    "grad": lambda f: fg.grad(f),
    "jvp": lambda f: lambda x: fg.jvp(f, (x,), (1.0,))[1],
    "jit of grad": lambda f: fg.jit(fg.grad(f)),
    "grad of jit": lambda f: fg.grad(fg.jit(f)),
    "jvp of jit": lambda f: lambda x: fg.jvp(fg.jit(f), (x,), (1.0,))[1],
    "vmap of grad": lambda f: lambda x: fg.vmap(fg.grad(f))(np.array([x]))[0],
    "checkpoint": lambda f: fg.grad(fg.checkpoint(f)),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_the_value_is_pytorchs(case, way):
    f, point, want = CASES[case]
    assert float(WAYS[way](f)(point)) == pytest.approx(want)


def test_a_mask_afterwards_does_not_protect():
    slope = fg.grad(lambda x: jnp.where(x > 0, jnp.log(x), 0.0))(0.0)
    assert np.isnan(slope)


def test_the_index_takes_it_all_for_sort():
    close = np.testing.assert_allclose
    close(fg.grad(lambda x: jnp.sort(x)[0])(np.array([2.0, 1.0, 1.0])), [0.0, 1.0, 0.0])
    close(fg.grad(jnp.prod)(np.array([0.0, 2.0, 3.0])), [6.0, 0.0, 0.0])
    close(fg.grad(jnp.max)(np.array([3.0, 3.0, 1.0, 3.0])), [1 / 3, 1 / 3, 0.0, 1 / 3])
