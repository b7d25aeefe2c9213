"""Sets of funcgrad.numpy: NumPy's on plain arrays, JAX's size= and fill_value= when traced."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.numpy import sets as s

A = np.array([3.0, 1.0, 3.0, 7.0, 1.0, 5.0])
B = np.array([5.0, 2.0, 3.0, 2.0])
SIZED = [
    ("unique", (A,), {"size": 4}),
    ("unique", (A,), {"size": 2}),
    ("unique", (A,), {"size": 6, "fill_value": -1.0}),
    ("unique", (A.reshape(2, 3),), {"size": 6, "return_index": True, "return_inverse": True, "return_counts": True}),
    ("unique_values", (A,), {"size": 5}),
    ("unique_counts", (A,), {"size": 5}),
    ("unique_inverse", (A.reshape(3, 2),), {"size": 5}),
    ("unique_all", (A,), {"size": 5}),
    ("union1d", (A, B), {"size": 5}),
    ("union1d", (A, B), {"size": 8, "fill_value": 9.0}),
    ("intersect1d", (A, B), {"size": 4, "fill_value": 9.0}),
    ("intersect1d", (A, B), {"size": 2, "return_indices": True}),
    ("setdiff1d", (A, B), {"size": 3}),
    ("setxor1d", (A, B), {"size": 5, "fill_value": 0.5}),
    ("isin", (A, B), {}),
    ("isin", (A.reshape(2, 3), B), {"invert": True}),
]
IDS = [f"{i}-{c[0]}" for i, c in enumerate(SIZED)]


@pytest.mark.parametrize(("name", "args", "kwargs"), SIZED, ids=IDS)
def test_equal_to_jax(name, args, kwargs):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    expected = getattr(jax.numpy, name)(*args, **kwargs)
    f = lambda *a: getattr(s, name)(*a, **kwargs)
    for found in (f(*args), fg.jit(f)(*args)):
        for a, b in zip(fg.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("name", "args", "kwargs"), SIZED, ids=IDS)
def test_vmap_is_a_loop(name, args, kwargs):
    f = lambda *a: fg.tree.leaves(getattr(s, name)(*a, **kwargs))
    batches = [np.stack([a, np.flip(a), a % 3]) for a in args]
    for found, *each in zip(fg.vmap(f)(*batches), *[f(*row) for row in zip(*batches, strict=True)], strict=True):
        np.testing.assert_array_equal(found, np.stack(each))


@pytest.mark.parametrize("name", ["unique", "unique_values", "unique_counts", "unique_inverse", "unique_all"])
def test_plain_arrays(name):
    for x in (A, A.reshape(2, 3), np.zeros(0), np.array(2.0), A[::2]):
        found, expected = getattr(s, name)(x), getattr(np, name)(x)
        for a, b in zip(fg.tree.leaves(found), fg.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(np.sort(a.ravel()), np.sort(np.ravel(b)))


@pytest.mark.parametrize("name", ["union1d", "intersect1d", "setdiff1d", "setxor1d"])
def test_plain_pairs(name):
    np.testing.assert_array_equal(getattr(s, name)(A, B), getattr(np, name)(A, B))
    exact = getattr(np, name)(A, B)
    np.testing.assert_array_equal(getattr(s, name)(A, B, size=len(exact)), exact)


def test_derivative_goes_to_the_first_place():
    _, pull = fg.vjp(lambda x: s.unique(x, size=4), A)
    np.testing.assert_array_equal(pull(np.array([1.0, 2.0, 3.0, 4.0]))[0], [2, 1, 0, 4, 0, 3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fg.jit(s.unique)(A), "size="),
        (lambda: fg.jit(s.unique_all)(A), "size="),
        (lambda: fg.jit(s.union1d)(A, B), "size="),
        (lambda: fg.jit(s.intersect1d)(A, B), "size="),
        (lambda: fg.jit(lambda x: s.unique(x, axis=1, size=2))(A.reshape(2, 3)), "axis="),
    ],
)
def test_errors(call, message):
    with pytest.raises(TypeError, match=message):
        call()
