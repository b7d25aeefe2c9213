"""Compiled programs in forked processes: a child has none of the workers, and whatever locks its parent held."""

import multiprocessing
import os
import signal
import threading
import warnings

import numpy as np
from running_cases import marks
from running_cases import same_threads as same_threads

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import native

pytestmark = marks


def in_child(work):
    """Runs work() in a forked child, which must end well within 20 seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_fork_while_the_pool_runs():
    f = fg.jit(lambda x: fnp.sum(fnp.exp(x) * 1.5))
    x = np.linspace(0, 1, 400_000)
    want = f(x)
    runtime = native.native()
    assert runtime.cell[0] != 0

    def child():
        assert runtime.cell[0] == 0
        assert f(x) == want
        g = fg.jit(lambda x: fnp.sum(fnp.sin(x) * 2.5))
        np.testing.assert_allclose(g(x), np.sum(np.sin(x) * 2.5))
        assert runtime.cell[0] != 0, "a pool again"
        assert f(x) == want
        in_child(lambda: np.testing.assert_equal(f(x), want))

    in_child(child)
    assert f(x) == want and runtime.cell[0] != 0


def test_fork_while_other_threads_run_and_compile():
    f = fg.jit(lambda x: fnp.exp(x) * 1.5)
    x = np.linspace(0, 1, 300_000)
    want = np.asarray(f(x))
    stop = threading.Event()

    def run():
        while not stop.is_set():
            f(x)

    def build():
        n = 0
        while not stop.is_set():
            n += 1
            fg.jit(lambda v: fnp.sin(v + n) * fnp.cos(v) if n % 2 else fnp.tanh(v) ** (2 + n % 50))(x[:n])

    threads = [threading.Thread(target=t) for t in (run, build)]
    for t in threads:
        t.start()

    def child():
        np.testing.assert_array_equal(f(x), want)
        np.testing.assert_allclose(fg.jit(lambda v: fnp.cosh(v) + 0.3)(x), np.cosh(x) + 0.3)

    try:
        for _ in range(8):
            in_child(child)
    finally:
        stop.set()
        for t in threads:
            t.join()


_square_sum = fg.jit(lambda x: fnp.sum(x * x))


def _task(n):
    return float(_square_sum(np.full(200_000, float(n))))


def test_a_pool_of_forked_processes():
    assert _task(1) == 200_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            got = pool.map_async(_task, range(6)).get(timeout=30)
    np.testing.assert_allclose(got, [200_000.0 * n * n for n in range(6)])
