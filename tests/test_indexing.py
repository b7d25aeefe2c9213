"""x[index] and x.at[index] against NumPy: values, derivatives, jit, vmap."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import NonConcreteBooleanIndexError
from funcgrad.testing import check_grads

X = np.random.default_rng(0).permutation(60).reshape(3, 4, 5) / 10.0
K = np.array([0, 2, -1])
J = np.array([[1], [2]])
S = np.s_
INDICES = [
    S[0], S[-1], S[1:], S[::-1], S[2::-2], S[..., 1], S[:, None], S[None, ..., None], S[1, 2, 3], S[()], S[...],
    S[:, 1:3, ::2], S[0, :, -1], S[5:2], S[K], S[:, K], S[..., K], S[K, K], S[K, :, K], S[:, K, K], S[0, K], S[0, :, K],
    S[:, 1, K], S[K, None, 1:3], S[J, K, 0], S[J, :, K], S[[0, 2]], S[:, [0, 1], [2, 3]], S[X > 3], S[X[:, :, 0] > 2],
    S[:, X[0, :, 0] > 1], S[True], S[False], S[np.int64(1)], S[np.array(1)], S[:, np.array(1), 0], S[np.zeros(0, int)],
    S[1:, K[:2], ::-1], S[:, ::-1, K], S[None, K, None, 0], S[K[:, None, None], J, 0], S[[]],
]  # fmt: skip
IDS = [str(i).replace("\n", "")[:40] for i in range(len(INDICES))]


@pytest.mark.parametrize("index", INDICES, ids=IDS)
def test_reading(index):
    want = X[index]
    program = fg.make_expr(lambda x: x[index])(X)
    assert program.out_types[0].shape == want.shape
    np.testing.assert_array_equal(fg.jit(lambda x: x[index])(X), want)
    batch = np.stack([X, 2 * X])
    np.testing.assert_array_equal(fg.vmap(lambda x: x[index])(batch), np.stack([b[index] for b in batch]))
    ct = np.arange(want.size, dtype=float).reshape(want.shape)
    slope = np.zeros_like(X)
    np.add.at(slope, index, ct)
    np.testing.assert_allclose(fg.vjp(lambda x: x[index], X)[1](ct)[0], slope)


@pytest.mark.parametrize("index", INDICES, ids=IDS)
def test_writing(index):
    value = np.asarray(X[index]) * 0 + 7.5
    table = {
        "set": lambda y, v: y.__setitem__(index, v),
        "add": lambda y, v: np.add.at(y, index, v),
        "multiply": lambda y, v: np.multiply.at(y, index, v),
        "min": lambda y, v: np.minimum.at(y, index, v),
        "max": lambda y, v: np.maximum.at(y, index, v),
    }
    for name, numpy_write in table.items():
        want = X.copy()
        numpy_write(want, value)

        def ours(x, v, name=name):
            return getattr(jnp.asarray(x).at[index], name)(v)

        np.testing.assert_allclose(ours(jnp.asarray(X), value), want)
        np.testing.assert_allclose(fg.jit(ours)(X, value), want)
        np.testing.assert_allclose(fg.vmap(ours)(X[None], value[None])[0], want)
        if value.size:
            check_grads(ours, (X, value + np.arange(value.size).reshape(value.shape) * 0.013), 1, atol=1e-4, rtol=1e-4)


def test_traced_indices():
    take = lambda x, i: x[:, i]
    for i in (2, -1, K, J):
        np.testing.assert_array_equal(fg.jit(take)(X, i), X[:, i])
    np.testing.assert_array_equal(fg.vmap(take, (None, 0))(X, K), np.stack([X[:, i] for i in K]))
    np.testing.assert_array_equal(fg.vmap(lambda x, i: x.at[i].set(0.0))(X, K)[1, 2], np.zeros(5))
    table = jnp.asarray(X)
    np.testing.assert_array_equal(fg.jit(lambda i: table[i])(1), X[1])
    np.testing.assert_array_equal(fg.jit(lambda i: table[0, i])(K), X[0, K])


def test_broadcasting_and_dtypes_of_writes():
    x = jnp.zeros((2, 3), np.float32)
    assert x.at[0].set(1).dtype == np.float32
    np.testing.assert_array_equal(x.at[:, 1:].add(np.array([1.0, 2.0])), [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(x.at[0].set(np.ones((1, 1, 3))), [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(x.at[0, 0].subtract(2.0).at[0, 1].apply(jnp.cos), [[-2, 1, 0], [0, 0, 0]])
    np.testing.assert_allclose((x + 2).at[0].divide(4.0).at[1].power(3.0), [[0.5] * 3, [8.0] * 3])
    np.testing.assert_array_equal(x, np.zeros((2, 3)))


def test_duplicates_keep_the_last_write_and_its_derivative():
    slope = fg.grad(lambda v: jnp.sum(jnp.zeros(3).at[np.array([1, 1, 0])].set(v) * np.array([1.0, 10.0, 100.0])))
    np.testing.assert_array_equal(slope(np.array([1.0, 2.0, 3.0])), [0, 10, 1])


def test_modes_out_of_bounds():
    x = jnp.arange(3.0)
    far = np.array([5, 1])
    np.testing.assert_array_equal(x.at[far].set(9.0), [0, 9, 2])
    np.testing.assert_array_equal(x.at[far].set(9.0, mode="clip"), [0, 9, 9])
    np.testing.assert_array_equal(x.at[far].get(mode="clip"), [2, 1])
    np.testing.assert_array_equal(x.at[far].get(mode="fill"), [np.nan, 1])
    np.testing.assert_array_equal(x.at[far].get(fill_value=-1), [-1, 1])
    np.testing.assert_array_equal(x.at[far].get(mode="wrap"), [2, 1])
    np.testing.assert_array_equal(jnp.arange(3).at[far].get(mode="fill"), [np.iinfo(np.int64).min, 1])
    with pytest.raises(IndexError):
        x.at[far].get()
    with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 3"):
        fg.jit(lambda x: x[3])(x)


def test_what_cannot_be_an_index():
    with pytest.raises(NonConcreteBooleanIndexError, match=r"bool\[3,4,5\][\s\S]*where\(mask, x, other\)[\s\S]*size=n"):
        fg.jit(lambda x: x[x > 1])(X)
    with pytest.raises(TypeError, match=r"slice with a traced bound of type i64\[\]~[\s\S]*dynamic_slice"):
        fg.jit(lambda x, n: x[:n])(X, 2)
    with pytest.raises(IndexError, match="too many indices"):
        fg.jit(lambda x: x[0, 0, 0, 0])(X)
    with pytest.raises(IndexError, match="integer or boolean dtype"):
        fg.jit(lambda x: x[x[0, 0, 0]])(X)
    with pytest.raises(ValueError, match=r"value of shape \(2,\)[\s\S]*x\[index\] of shape \(4, 5\)"):
        jnp.asarray(X).at[0].set(np.ones(2))
    with pytest.raises(ValueError, match="mode must be one of"):
        jnp.asarray(X).at[0].set(1.0, mode="nearest")


def test_masks_with_values_and_concrete_slices_inside_grad():
    slope = fg.grad(lambda x: jnp.sum(x[x > 3] ** 2))(X)
    np.testing.assert_allclose(slope, np.where(X > 3, 2 * X, 0))
    assert fg.grad(lambda n: jnp.sum(jnp.ones(5)[: int(n)]) * n)(3.0) == 3.0


def test_iteration_and_unpacking():
    a, b = fg.jit(lambda x: tuple(row * 2 for row in x))(np.arange(2.0))
    assert (a, b) == (0.0, 2.0)
    assert len(list(fg.jit(lambda x: list(x))(X))) == 3
