"""pad against NumPy: every mode, plain, under jit, derivatives, vmap."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.testing import check_grads

X = np.random.default_rng(0).permutation(12).reshape(3, 4) / 3.0
CASES = [
    *[({"pad_width": w, "mode": m}) for m in (
        "constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap",
    ) for w in (1, (2, 1), ((1, 2), (0, 3)), ((2, 0),))],
    {"pad_width": 7, "mode": "reflect"}, {"pad_width": 9, "mode": "wrap"}, {"pad_width": ((0, 0), (0, 0))},
    {"pad_width": 2, "constant_values": ((1.0, 2.0), (3.0, 4.0))}, {"pad_width": (1, 2), "constant_values": 5},
    {"pad_width": 3, "mode": "linear_ramp", "end_values": ((1, 2), (3, 4))}, {"pad_width": 2, "mode": "mean", "stat_length": 2},
    {"pad_width": 2, "mode": "maximum", "stat_length": ((1, 2), (3, 1))},
    {"pad_width": 2, "mode": "reflect", "reflect_type": "odd"},
    {"pad_width": (5, 2), "mode": "symmetric", "reflect_type": "odd"},
]  # fmt: skip


@pytest.mark.parametrize("kwargs", CASES, ids=str)
def test_pad_as_numpy(kwargs):
    want = np.pad(X, **kwargs)
    f = lambda x: jnp.pad(x, **kwargs)
    np.testing.assert_allclose(f(X), want)
    np.testing.assert_allclose(fg.jit(f)(X), want, rtol=1e-12)
    np.testing.assert_allclose(fg.vmap(f)(X[None])[0], want, rtol=1e-12)
    check_grads(f, (X,), 1)


def test_integers_round_as_numpy():
    n = np.arange(12).reshape(3, 4)
    for mode in ("mean", "linear_ramp", "constant"):
        np.testing.assert_array_equal(fg.jit(lambda x, mode=mode: jnp.pad(x, 3, mode))(n), np.pad(n, 3, mode))


def test_what_pad_refuses():
    with pytest.raises(ValueError, match="mode 'nearest'"):
        fg.jit(lambda x: jnp.pad(x, 1, "nearest"))(X)
    with pytest.raises(ValueError, match="must not be negative"):
        fg.jit(lambda x: jnp.pad(x, -1))(X)
    with pytest.raises(ValueError, match="reflect_type must be"):
        fg.jit(lambda x: jnp.pad(x, 1, "reflect", reflect_type="other"))(X)
