"""Sorting against NumPy: values, jit, derivatives, ties, nan."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.testing import check_grads

X = np.random.default_rng(0).permutation(24).reshape(2, 3, 4) / 10.0
TIES = np.array([2.0, 1.0, 2.0, np.nan, 1.0, -np.inf])
CASES = [
    ("sort", (X,), {}), ("sort", (X, 0), {}), ("sort", (X, None), {}), ("argsort", (X, 1), {}), ("argsort", (X, None), {}),
    ("sort", (TIES,), {}), ("argsort", (TIES,), {"stable": True}), ("lexsort", ((X[0, 0], np.array([1, 0, 1, 0])),), {}),
    ("sort", (np.zeros((0, 3)), 0), {}), ("sort", (np.arange(5)[::-2],), {}), ("sort_complex", (X[0] + 1j,), {}),
    ("searchsorted", (np.sort(X, None), X[0]), {}), ("searchsorted", (np.array([1.0, 1, 2]), 1.0), {"side": "right"}),
    ("searchsorted", (np.array([1.0, 1, 2]), np.array([0.0, 1, 3])), {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_as_numpy(name, args, kwargs):
    want = getattr(np, name)(*args, **kwargs)
    ours = getattr(jnp, name)
    np.testing.assert_array_equal(ours(*args, **kwargs), want)
    have = fg.jit(lambda first: ours(first, *args[1:], **kwargs))(args[0])
    np.testing.assert_array_equal(have, want)
    assert have.dtype == want.dtype


def test_derivatives_and_vmap():
    check_grads(lambda x: jnp.sort(x, 1), (X,), 2)
    check_grads(lambda x: jnp.sort(x, descending=True), (X,), 1)
    np.testing.assert_array_equal(fg.vmap(jnp.sort)(X), np.sort(X))
    np.testing.assert_array_equal(fg.vmap(jnp.argsort)(X[0]), np.argsort(X[0]))


def test_descending_is_stable():
    x = np.array([1.0, 2.0, 1.0, 2.0])
    np.testing.assert_array_equal(jnp.argsort(x, descending=True), [1, 3, 0, 2])
    np.testing.assert_array_equal(fg.jit(lambda x: jnp.sort(x, descending=True))(x), [2, 2, 1, 1])


def test_partition_puts_the_kth_in_place():
    for f in (lambda x: jnp.partition(x, 5, None), lambda x: x.ravel()[jnp.argpartition(x, 5, None)]):
        assert fg.jit(f)(X)[5] == np.sort(X, None)[5]
