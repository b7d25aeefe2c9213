"""Donated arguments: their memory serves for outputs where that is safe, and only there."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp


def place(x):
    return np.asarray(x).__array_interface__["data"][0]


def fresh(n=20_000, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=n))


def test_an_elementwise_update_is_done_in_place():
    step = fg.jit(lambda p, g: p - 0.1 * g, donate_argnums=0)
    for _ in range(3):
        p, g = fresh(), fresh(seed=1)
        want, at = np.asarray(p) - 0.1 * np.asarray(g), place(p)
        out = step(p, g)
        assert place(out) == at
        np.testing.assert_allclose(out, want)


def test_a_loop_of_donated_trees_stays_where_it_is():
    step = fg.jit(lambda s: fg.tree.map(lambda a: a * 0.5 + 1.0, s), donate_argnames="s")
    state = {"a": fresh(), "b": fresh(9)}
    want = {k: np.asarray(v).copy() for k, v in state.items()}
    at = {k: place(v) for k, v in state.items()}
    for _ in range(5):
        state = step(state)
        want = {k: v * 0.5 + 1.0 for k, v in want.items()}
    assert {k: place(v) for k, v in state.items()} == at
    for k in want:
        np.testing.assert_allclose(state[k], want[k])


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("reads elements in another order", lambda p: p[::-1] + p),
        ("is reduced and read again", lambda p: p / jnp.sum(p)),
        ("is read after the output is written", lambda p: (jnp.exp(p), jnp.sort(p) + 1.0)),
        ("feeds a scan", lambda p: jnp.cumsum(p) * p),
    ],
)
def test_where_it_is_not_safe_the_result_is_right_all_the_same(name, f):
    p = fresh()
    want = fg.tree.map(np.asarray, f(np.asarray(p).copy()))
    for _ in range(2):
        have = fg.jit(f, donate_argnums=(0,))(fresh())
        fg.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), have, want)


def test_arguments_that_are_not_donated_are_left_alone():
    p, g = fresh(), fresh(seed=1)
    kept = np.asarray(g).copy()
    fg.jit(lambda p, g: (p + g, p - g), donate_argnums=0)(p, g)
    np.testing.assert_array_equal(g, kept)


def test_views_and_read_only_arrays_are_not_written_to():
    x = np.random.default_rng(0).normal(size=(200, 200))
    x.flags.writeable = False
    before = x.copy()
    step = fg.jit(lambda p: p * 2.0, donate_argnums=0)
    np.testing.assert_allclose(step(x), before * 2)
    np.testing.assert_allclose(step(x.T), before.T * 2)
    np.testing.assert_array_equal(x, before)


def test_a_donated_argument_under_grad_is_not_touched():
    p = fresh(50)
    before = np.asarray(p).copy()
    fg.grad(lambda p: jnp.sum(fg.jit(lambda q: q * q, donate_argnums=0)(p)))(p)
    np.testing.assert_array_equal(p, before)
