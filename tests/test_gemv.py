"""Products of matrices and vectors in compiled programs: every way that both can lie, and the same bits for any threads."""

import ctypes

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import blas, execute, gemv, native

pytestmark = pytest.mark.skipif(
    native.native() is None or blas.openblas() is None,
    reason="this machine runs no machine code of ours, or has no BLAS",
)
rng = np.random.default_rng(0)

WAYS = {
    "A @ v": lambda a, v, w: a @ v,
    "w @ A": lambda a, v, w: w @ a,
    "A.T @ w": lambda a, v, w: a.T @ w,
    "v @ A.T": lambda a, v, w: v @ a.T,
    "A @ column": lambda a, v, w: a @ v.reshape(-1, 1),
    "row @ A": lambda a, v, w: w.reshape(1, -1) @ a,
    "part of A @ v": lambda a, v, w: a[1:, 2:] @ v[2:],
    "w @ part of A": lambda a, v, w: w[1:] @ a[1:, 2:],
    "A @ every other of v": lambda a, v, w: a[:, : v.size // 2] @ v[: v.size // 2 * 2 : 2],
    "batch": lambda a, v, w: fnp.stack([a, 2 * a]) @ v,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(way, dtype):
    for m, n in ((5, 3), (64, 64), (100, 37), (3, 1000), (1000, 9), (2, 2), (1, 7), (7, 1), (700, 900)):
        args = [rng.normal(size=s).astype(dtype) for s in ((m, n), n, m)]
        got = np.asarray(fg.jit(WAYS[way])(*args))
        with np.errstate(all="ignore"):
            want = np.asarray(WAYS[way](*[a.astype(np.float64) for a in args]))
        assert got.dtype == dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, atol=(3e-6 if dtype == np.float32 else 1e-14) * np.sqrt(max(m, n)) * 4)


def test_infinities_and_nans_stay_where_they_belong():
    a, v = np.ones((40, 30), np.float32), np.ones(30, np.float32)
    a[3, 4], a[5, 6] = np.inf, np.nan
    got = np.asarray(fg.jit(lambda a, v: a @ v)(a, v))
    assert got[3] == np.inf and np.isnan(got[5])
    assert np.all(np.delete(got, [3, 5]) == 30)


@pytest.mark.parametrize("way", ["A @ v", "w @ A", "A.T @ w", "v @ A.T"])
def test_any_number_of_threads_gives_the_same_bits(way):
    args = [rng.normal(size=s).astype(np.float32) for s in ((1500, 1300), 1300, 1500)]
    f = fg.jit(WAYS[way])
    before = native.native().threads
    try:
        found = []
        for threads in (1, 2, 3):
            fg.set_num_threads(threads)
            found.append(np.asarray(f(*args)).tobytes())
    finally:
        fg.set_num_threads(before)
    assert len(set(found)) == 1


def test_a_gradient():
    a, v = rng.normal(size=(60, 50)), rng.normal(size=50)
    slope, other = fg.jit(fg.grad(lambda a, v: fnp.sum((a @ v) ** 2), argnums=(0, 1)))(a, v)
    np.testing.assert_allclose(slope, 2 * np.outer(a @ v, v))
    np.testing.assert_allclose(other, 2 * a.T @ (a @ v))


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("along", [True, False])
def test_the_function_alone(kind, right, along):
    """A matrix with a longer leading dimension; what is around the result stays."""
    dtype, real = (np.float32, ctypes.c_float) if kind == "f32" else (np.float64, ctypes.c_double)
    i, p = ctypes.c_int, ctypes.c_void_p
    call = ctypes.CFUNCTYPE(None, i, i, i, i, i, i, real, p, i, p, i, real, p, i)(gemv.gemv_address(kind, right, along))
    for count, length in ((1, 1), (6, 5), (17, 33), (4, 0), (0, 4)):
        whole = rng.normal(size=(count, length + 3) if along else (length, count + 3)).astype(dtype)
        part = whole[:, :length] if along else whole[:, :count].T
        vector, out = rng.normal(size=length).astype(dtype), np.full(count + 1, 7, dtype)
        first, second = (whole, vector) if right else (vector, whole)
        m, n = (count, 1) if right else (1, count)
        call(101, 0, 0, m, n, length, 1.0, first.ctypes.data, whole.shape[1], second.ctypes.data, whole.shape[1], 0.0,
             out.ctypes.data, n)  # fmt: skip
        np.testing.assert_allclose(out[:-1], part @ vector, atol=1e-5 if kind == "f32" else 1e-13)
        assert out[-1] == 7


def test_it_stands_in_the_program():
    f = fg.jit(lambda a, v: a @ v)
    a, v = np.ones((30, 20)), np.ones(20)
    entries = execute.executable(f.trace(a, v).program).entries
    assert gemv.gemv_address("f64", True, True) in entries[0].words
    assert blas.gemm_address("f64") not in entries[0].words
