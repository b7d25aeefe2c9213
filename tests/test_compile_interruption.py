"""Ctrl-C while a compiled program runs: it is left soon, and the next call starts anew."""

import contextlib
import os
import signal
import threading
import time

import numpy as np
import pytest
from running_cases import compiled, marks
from running_cases import same_threads as same_threads

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import blas, execute, native
from funcgrad.ops.views import contiguous

pytestmark = marks


@contextlib.contextmanager
def interrupted(after):
    """Ctrl-C after so many seconds; the block must be left by KeyboardInterrupt, and soon."""
    timer = threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    start = time.perf_counter()
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            yield
        took = time.perf_counter() - start
    finally:
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, before)
    assert took < after + 1.5, f"left after {took:.2f} s"  # 0.1 s where nothing else runs


def long_elementwise(x):
    for _ in range(400):
        x = fnp.sin(x) + fnp.exp(-x)
    return x


def long_products(x):
    for _ in range(3000):
        x = fnp.tanh(x @ x)
    return x


LONG = {
    "one kernel": (long_elementwise, np.linspace(0, 1, 6_000_000, dtype=np.float32)),
    "a chain of products": (long_products, np.random.default_rng(0).normal(size=(640, 640)) / 30),
}


@pytest.fixture(scope="module")
def long_jitted():
    """The functions of LONG, compiled but never run."""
    jitted = {name: fg.jit(f) for name, (f, _) in LONG.items()}
    for name, (_, x) in LONG.items():
        assert execute.executable(jitted[name].trace(x).program) is not None
    return jitted


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", LONG)
def test_ctrl_c(name, threads, long_jitted):
    native.native().set_threads(threads)
    (f, x), jitted = LONG[name], long_jitted[name]
    small = x[:1000] if x.ndim == 1 else x[:8, :8]
    with fg.disable_jit():
        want = f(small)
    warm = compiled(jitted, x).warm(frozenset())
    for call in (lambda: jitted(x), lambda: warm((x,))):
        with interrupted(0.3):
            call()
        np.testing.assert_allclose(jitted(small), want, rtol=1e-3 if x.dtype == np.float32 else 1e-6)


def test_the_call_after_ctrl_c_starts_anew():
    # The same program, left in the middle, must not go on from there.
    def f(x, n):
        for _ in range(40):
            x = fnp.tanh(x @ x)
        return x * n

    x = np.random.default_rng(0).normal(size=(400, 400)) / 20
    jitted = fg.jit(f)
    want = np.asarray(jitted(x, 2.0))
    found = compiled(jitted, x, 2.0)
    for _ in range(2):
        with interrupted(0.15):
            while True:
                jitted(x, 3.0)
        np.testing.assert_array_equal(jitted(x, 2.0), want)
    assert len(found.frames) == 1


@pytest.mark.parametrize(
    ("m", "n", "k"), [(9000, 9000, 9000), (200_000, 3000, 500), (100, 10**6, 10**4), (600, 600, 10**6)]
)
def test_no_piece_of_a_large_product_takes_long(m, n, k):
    found = blas.product("f64", contiguous((m, k)), contiguous((k, n)), (((1,), (0,)), ((), ())))
    assert found is not None and found.units > 8
    assert found.work * 8 <= 256 * 256 * max(k, 1 << 17)  # multiplications of a tile


def test_large_tiles_cover_a_product(monkeypatch):
    monkeypatch.setattr(blas, "_tile", lambda m, n, k: (96, 80))
    x, y = np.random.default_rng(0).normal(size=(2, 333, 333))
    np.testing.assert_allclose(fg.jit(lambda a, b: a @ b.T)(x, y), x @ y.T, atol=1e-10)


def test_ctrl_c_in_a_program_with_host_calls():
    def wait(x):
        time.sleep(0.05)
        return np.asarray(x) + 1

    @fg.jit
    def f(x):
        for _ in range(100):
            x = fg.pure_callback(wait, fg.ShapeDtypeStruct((3,), np.float64), x * 1.0)
        return x

    assert execute.executable(f.trace(np.zeros(3)).program) is not None
    with interrupted(0.3):
        f(np.zeros(3))
    g = fg.jit(lambda x: fnp.sin(x))
    np.testing.assert_allclose(g(np.ones(3)), np.sin(np.ones(3)))
