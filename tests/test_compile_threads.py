"""Compiled programs and threads: many that call one program at once, any number of workers that share its ranges."""

import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from running_cases import marks
from running_cases import same_threads as same_threads

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import native

pytestmark = marks


# ---- many threads at once ----


def in_threads(count, work):
    """Runs `work(n)` in so many threads, all at once; raises what one of them raised."""
    barrier, errors = threading.Barrier(count), []

    def run(n):
        barrier.wait()
        try:
            work(n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def host_double(x):
    return np.asarray(x) * 2


def softmax(x):
    e = fnp.exp(x - fnp.max(x, axis=-1, keepdims=True))
    return e / fnp.sum(e, axis=-1, keepdims=True)


def with_host_call(x):
    y = fnp.sin(x) + 1.0
    z = fg.pure_callback(host_double, fg.ShapeDtypeStruct(x.shape, x.dtype), y)
    return fnp.cumsum(z * x, axis=-1)


CONCURRENT = {
    "elementwise": (lambda x: fnp.exp(x) * x, (9,)),
    "large elementwise": (lambda x: fnp.exp(x) * x, (300_000,)),
    "softmax": (softmax, (200, 300)),
    "chain of products": (lambda x: fnp.tanh(x @ x) @ x, (96, 96)),
    "two outputs": (lambda x: (fnp.sum(x, 0), fnp.sort(x, 0)), (50, 60)),
    "host call": (with_host_call, (40, 30)),
}


@pytest.mark.parametrize(("f", "shape"), CONCURRENT.values(), ids=CONCURRENT.keys())
def test_many_threads_call_one_function(f, shape):
    jitted = fg.jit(f)
    inputs = [np.random.default_rng(n).normal(size=shape) for n in range(6)]
    with fg.disable_jit():
        want = [f(x) for x in inputs]

    def work(n):
        for _ in range(15):
            got = jitted(inputs[n])
            for g, w in zip(got, want[n], strict=True) if type(got) is tuple else [(got, want[n])]:
                np.testing.assert_allclose(g, w, rtol=1e-10, atol=1e-12)

    in_threads(6, work)


def test_threads_that_compile_at_once():
    x = np.linspace(0, 1, 1000)

    def work(n):
        for k in range(4):
            f = fg.jit(lambda v: fnp.sin(v * k) + n)
            np.testing.assert_allclose(f(x), np.sin(x * k) + n, rtol=1e-12)

    in_threads(6, work)


def test_threads_use_different_frames():
    # Each call waits in its host call until all are there: with one frame for two of them, one would see the other's values.
    barrier = threading.Barrier(4, timeout=20)

    def meet(x):
        barrier.wait()
        return np.asarray(x)

    f = fg.jit(lambda x: fnp.exp(fg.pure_callback(meet, fg.ShapeDtypeStruct((50,), np.float64), x + 1.0)) * x)
    inputs = [np.linspace(0, n, 50) for n in range(4)]
    out = [None] * 4

    def work(n):
        out[n] = f(inputs[n])

    in_threads(4, work)
    for x, got in zip(inputs, out, strict=True):
        np.testing.assert_allclose(got, np.exp(x + 1) * x, rtol=1e-12)


# ---- any number of workers ----

RNG = np.random.default_rng(5)
BIT_EQUAL = {
    "elementwise": (lambda x: fnp.exp(x) * x + 1, RNG.normal(size=500_001)),
    "softmax rows": (softmax, RNG.normal(size=(700, 501))),
    "full sum": (fnp.sum, RNG.normal(size=1_000_003)),
    "full sum of float32": (lambda x: fnp.sum(fnp.sin(x)), RNG.normal(size=777_777).astype(np.float32)),
    "sum of products": (lambda x: fnp.vdot(x, fnp.cos(x)), RNG.normal(size=600_011)),
    "maximum and mean": (lambda x: (fnp.max(x), fnp.mean(x), fnp.var(x)), RNG.normal(size=(1003, 701))),
    "column sums": (lambda x: fnp.sum(x * x, axis=0), RNG.normal(size=(3001, 257))),
    "sums of many short rows": (
        lambda x: (fnp.sum(x * x, axis=0), x + 1),
        RNG.normal(size=(50_001, 7)).astype(np.float32),
    ),
    "row sums": (lambda x: fnp.sum(x * x, axis=1), RNG.normal(size=(257, 3001))),
    "sums over outer axes": (lambda x: fnp.sum(x, axis=(0, 2)), RNG.normal(size=(67, 53, 101))),
    "matmul": (lambda x: x @ x.T, RNG.normal(size=(515, 257))),
    "matmul of float32": (lambda x: fnp.tanh(x @ x), RNG.normal(size=(301, 301)).astype(np.float32)),
    "batched matmul": (lambda x: x @ fnp.swapaxes(x, 1, 2), RNG.normal(size=(40, 65, 33))),
    "transpose": (lambda x: x.T + 1, RNG.normal(size=(900, 700))),
    "gradient": (fg.grad(lambda x: fnp.sum(fnp.log(fnp.sum(fnp.exp(x), 0)))), RNG.normal(size=(700, 301))),
}


@pytest.mark.parametrize(("f", "x"), BIT_EQUAL.values(), ids=BIT_EQUAL.keys())
def test_results_do_not_depend_on_the_number_of_threads(f, x):
    runtime, results = native.native(), []
    for threads in (1, 2, 4, 2, 1):
        runtime.set_threads(threads)
        for _ in range(3):
            results.append([np.asarray(r).tobytes() for r in fg.tree.leaves(fg.jit(f)(x))])
    assert all(r == results[0] for r in results)
    with fg.disable_jit():
        for a, b in zip(fg.tree.leaves(fg.jit(f)(x)), fg.tree.leaves(f(x)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4 if x.dtype == np.float32 else 1e-9)


def workers():
    """The workers that live: threads of the process beside those that Python knows by other names."""
    return [t for t in threading.enumerate() if t.name.startswith("funcgrad-")]


def test_threads_that_are_no_longer_wanted_end():
    runtime = native.native()
    f, x = fg.jit(lambda x: fnp.exp(x) * 2.0), np.linspace(0, 1, 400_000)
    for n in (4, 3, 1, 4, 2):
        runtime.set_threads(n)
        f(x)
        until = time.time() + 5
        while len(workers()) != n - 1 and time.time() < until:
            time.sleep(0.01)
        assert len(workers()) == n - 1
    with pytest.raises(ValueError, match="at least 1, got 0"):
        runtime.set_threads(0)


def test_a_system_without_more_threads(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    runtime = native.native()
    runtime.set_threads(1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    runtime.set_threads(3)
    x = np.linspace(0, 1, 400_000)
    np.testing.assert_allclose(fg.jit(lambda x: fnp.exp(x) * 2.5)(x), np.exp(x) * 2.5, rtol=1e-12)


def other_process(code, **env):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_numba_num_threads_of_the_environment():
    code = """
    import threading, numpy as np, funcgrad as fg, funcgrad.numpy as fnp
    from funcgrad.compile import native
    fg.jit(lambda x: fnp.exp(x))(np.ones(300_000))
    print(native.native().threads, sum(t.name.startswith("funcgrad-") for t in threading.enumerate()))
    """
    for n in ("1", "3"):
        assert other_process(code, NUMBA_NUM_THREADS=n) == [n, str(int(n) - 1)]


def test_set_num_threads_of_numba():
    pytest.importorskip("numba")
    code = """
    import numpy as np, funcgrad as fg, funcgrad.numpy as fnp, numba
    from funcgrad.compile import native
    x = np.ones(300_000)
    fg.jit(lambda x: fnp.exp(x))(x)
    print(native.native().threads)
    try:
        print(numba.threading_layer())
    except ValueError:
        print("none")  # numba's threads were not started by us
    numba.set_num_threads(1)
    fg.jit(lambda x: fnp.exp(x) + 1)(x)
    print(native.native().threads)
    native.native().set_threads(2)
    fg.jit(lambda x: fnp.exp(x) + 2)(x)  # numba's setting has not changed since
    print(native.native().threads)
    numba.set_num_threads(3)
    fg.jit(lambda x: fnp.exp(x) + 3)(x)
    print(native.native().threads)
    """
    assert other_process(code, NUMBA_NUM_THREADS="3") == ["3", "none", "1", "2", "3"]
