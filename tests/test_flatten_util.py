"""ravel_pytree against concatenation by hand, on arrays and on tracers."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.flatten_util import ravel_pytree
from funcgrad.ops.basics import reduce_sum

TREE = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": (np.array([1, 2]), 3.5, None), "z": np.zeros((0, 2))}


def same(have, want):
    for h, w in zip(fg.tree.leaves(have), fg.tree.leaves(want), strict=True):
        assert np.asarray(h).dtype == np.asarray(w).dtype
        np.testing.assert_array_equal(h, w)
    assert fg.tree.structure(have) == fg.tree.structure(want)


def test_mixed_dtypes_promote_and_come_back():
    flat, unravel = ravel_pytree(TREE)
    assert flat.dtype == np.float64
    assert isinstance(flat, fg.Array)
    np.testing.assert_array_equal(flat, [1, 2, 3.5, 0, 1, 2, 3, 4, 5])
    same(unravel(flat), TREE)


@pytest.mark.parametrize(
    "value", [np.float32(2.0), 3.0, np.arange(4)[::2], [np.ones(2, np.complex64), np.ones(3, np.float32)], True]
)
def test_leaves_of_all_kinds(value):
    flat, unravel = ravel_pytree(value)
    assert flat.ndim == 1
    same(unravel(flat), value)


def test_the_empty_tree():
    for empty in ((), {}, None, [()]):
        flat, unravel = ravel_pytree(empty)
        assert flat.shape == (0,)
        assert flat.dtype == np.float64
        assert unravel(flat) == empty


def test_traced():
    def f(t):
        flat, unravel = ravel_pytree(t)
        return unravel(flat * 2.0), flat

    t = {"w": np.arange(4.0).reshape(2, 2), "b": np.float32([1.0, 2.0])}
    doubled, flat = fg.jit(f)(t)
    same(doubled, fg.tree.map(lambda v: v * np.float32(2), t))
    np.testing.assert_array_equal(flat, [1, 2, 0, 1, 2, 3])
    vector, unravel = ravel_pytree(t)
    total = lambda v: reduce_sum(unravel(v)["w"] * unravel(v)["w"], axes=(0, 1))
    np.testing.assert_array_equal(fg.grad(total)(vector), [0, 0, 0, 2, 4, 6])
    batched = fg.vmap(lambda v: unravel(v)["b"])(np.stack([vector, vector + 1]))
    np.testing.assert_array_equal(batched, np.float32([[1, 2], [2, 3]]))


def test_errors():
    _, unravel = ravel_pytree(TREE)
    with pytest.raises(ValueError, match=r"shape \(9,\).*f64\[3\]"):
        unravel(np.zeros(3))
    with pytest.raises(TypeError, match="dtype float64"):
        unravel(np.zeros(9, np.float32))
    with pytest.raises(TypeError, match=r"\['x'\]"):
        ravel_pytree({"x": "text"})
