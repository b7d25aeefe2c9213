"""round, clip, nan_to_num, sinc, i0, complex parts and comparisons: NumPy's values, plain and traced; derivatives."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.core.array import Array
from funcgrad.numpy import scalar_functions as s
from funcgrad.testing import check_grads

X = np.array([[-1.25, -0.0, 0.4], [1.5, 2.5, 33.335]])
HARD = np.array([np.nan, np.inf, -np.inf, 0.0, -2.0])
Z = X + 1j * X[::-1]
N = np.array([-15, 0, 25, 1234])


def agree(name, *args, **kwargs):
    f, np_f = getattr(s, name), getattr(np, name)
    want = np_f(*args, **kwargs)
    first, rest = args[0], args[1:]
    traced = [fg.jit(lambda x: f(x, *rest, **kwargs)), fg.jit(lambda x: np_f(x, *rest, **kwargs))]
    for have in (f(*args, **kwargs), *[g(first) for g in traced]):
        assert isinstance(have, (Array, bool, np.bool_))
        assert np.shape(have) == np.shape(want)
        assert np.asarray(have).dtype == np.asarray(want).dtype
        np.testing.assert_allclose(np.asarray(have), want, rtol=1e-14, atol=1e-300)


CALLS = [
    *[("round", v, d) for v in (X, N, X.astype(np.float32), Z) for d in (0, 1, 2, -1)],
    ("around", X, 1), ("round", 2.675), ("fix", X), ("fix", N), ("round", np.array([True])),
    *[("clip", v, lo, hi) for v in (X, X.astype(np.float32)) for lo, hi in ((-1, 1), (0.4, None), (None, 1.5), (2, 1))],
    ("clip", N, 0, 20), ("clip", N, 0.5, 20), ("clip", N.astype(np.int8), 0, None), ("clip", HARD, -1, 1),
    ("clip", HARD, -1, None), ("clip", X, X[0], X[1]), ("clip", X, np.nan, None), ("clip", N, None, np.arange(4)),
    ("nan_to_num", HARD), ("nan_to_num", HARD.astype(np.float32), True, 1.0, 2.0, 3.0), ("nan_to_num", N),
    ("nan_to_num", np.append(HARD, 1.0).view(complex)),
    ("sinc", X), ("sinc", N), ("sinc", X.astype(np.float32)), ("sinc", np.linspace(-0.05, 0.05, 9)),
    ("real", Z), ("imag", Z), ("real", X), ("imag", X), ("angle", Z), ("angle", Z, True), ("angle", X),
    ("iscomplex", Z), ("isreal", Z), ("iscomplex", X), ("isreal", N), ("iscomplexobj", Z), ("isrealobj", Z),
    ("isneginf", HARD), ("isposinf", HARD), ("isclose", HARD, HARD), ("isclose", HARD, HARD, 1e-5, 1e-8, True),
    ("isclose", X, X + 1e-7), ("isclose", X, X * (1 + 1e-6)), ("isclose", Z, Z), ("isclose", N, N + 1),
    ("isclose", np.array([np.inf, 1.0, -np.inf]), np.array([1.0, np.inf, np.inf])),
    ("allclose", X, X), ("allclose", X, X + 1), ("array_equal", X, X), ("array_equal", X, X[:1]),
    ("array_equal", HARD, HARD), ("array_equal", HARD, HARD, True), ("array_equiv", X[0], np.stack([X[0], X[0]])),
    ("array_equiv", X, X[:, :2]),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=[f"{c[0]}-{i}" for i, c in enumerate(CALLS)])
def test_values(call):
    with np.errstate(all="ignore"):
        agree(*call)


def test_keywords_of_clip():
    agree("clip", X, min=0.0)
    agree("clip", X, min=0.0, max=1.0)
    agree("clip", X, max=1.0)
    agree("clip", X, a_min=0.0, a_max=1.0)
    np.testing.assert_array_equal(fg.jit(s.clip)(X), X)
    with pytest.raises(ValueError, match="twice"):
        fg.jit(lambda x: s.clip(x, 0.0, min=1.0))(X)
    with pytest.raises(TypeError, match="out"):
        fg.jit(lambda x: s.clip(x, 0.0, 1.0, np.zeros(3)))(X)


def test_the_bessel_function():
    np.testing.assert_allclose(fg.jit(s.i0)(X), np.i0(X), rtol=1e-12)
    np.testing.assert_allclose(s.i0(N / 10), np.i0(N / 10), rtol=1e-14)
    check_grads(s.i0, (X[:1],), 2, atol=1e-4, rtol=1e-4)
    assert fg.grad(fg.grad(s.i0))(0.0) == 0.5
    with pytest.raises(TypeError, match="complex"):
        fg.jit(s.i0)(Z)


def test_derivatives():
    away = np.array([-1.3, 0.2, 0.7, 2.2])
    for f in (lambda x: s.clip(x, -1, 1), lambda x: s.clip(x, min=0.5), s.sinc, s.nan_to_num):
        check_grads(f, (away,), 2, atol=1e-4, rtol=1e-4)
    for f in (s.real, s.imag, s.angle):
        check_grads(f, (away + 0.5j,), 2, atol=1e-4, rtol=1e-4)
    assert fg.grad(s.sinc)(0.0) == 0.0
    np.testing.assert_allclose(fg.grad(fg.grad(s.sinc))(0.0), -(np.pi**2) / 3, rtol=1e-14)
    edge = 0.05 / np.pi
    np.testing.assert_allclose(
        fg.grad(fg.grad(s.sinc))(edge * 0.999), fg.grad(fg.grad(s.sinc))(edge * 1.001), rtol=1e-4
    )
    assert fg.grad(lambda x: s.clip(x, 0.0, 1.0))(1.0) == 1.0
    assert fg.grad(lambda x: s.clip(x, 0.0))(0.0) == 1.0
    assert fg.grad(s.round)(1.2) == 0.0
    assert fg.grad(lambda x: round(x, 1) * x)(1.26) == 1.3
    assert fg.grad(fg.jit(s.nan_to_num))(np.nan) == 0.0
