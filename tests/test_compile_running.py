"""Running compiled programs: many threads, fork, any number of workers, Ctrl-C, errors, too little memory, odd arguments."""

import contextlib
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import blas, execute, executor, native, plan
from funcgrad.ops.views import contiguous

pytestmark = [
    pytest.mark.skipif(native.native() is None, reason="this machine runs no machine code of ours"),
    # JAX, where an earlier test imported it, warns at every fork.
    pytest.mark.filterwarnings("ignore:os.fork"),
]


@pytest.fixture(autouse=True)
def same_threads():
    """Each test finds and leaves the number of threads as it was, on two at least."""
    before = native.native().threads
    native.native().set_threads(max(before, 2))
    yield
    native.native().set_threads(before)


def compiled(jitted, *args):
    """The compiled form of a jitted function for these arguments."""
    found = execute.compiled(jitted.trace(*args).program)
    assert found is not None
    return found


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


def test_a_callback_calls_its_own_function():
    def again(x):
        return f(np.asarray(x) - 1.0) if x[0] > 0 else np.asarray(x)

    @fg.jit
    def f(x):
        return fg.pure_callback(again, fg.ShapeDtypeStruct((3,), np.float64), x * 1.0) + x

    np.testing.assert_allclose(f(np.full(3, 4.0)), np.full(3, 4.0 + 3 + 2 + 1 + 0 + 0))


def test_what_a_callback_keeps_does_not_change():
    kept = []

    @fg.jit
    def f(x):
        y = fnp.sin(x) * 2.0
        fg.debug.callback(kept.append, y)
        return fnp.cos(y)

    for n in range(4):
        f(np.full(5, float(n)))
    for n in range(4):
        np.testing.assert_allclose(kept[n], np.sin(np.full(5, float(n))) * 2)


def test_a_callback_that_writes_into_its_argument_changes_nothing():
    def vandal(x):
        with contextlib.suppress(ValueError, TypeError):
            np.asarray(x)[...] = 7.0
        return np.zeros(5)

    @fg.jit
    def f(x):
        y = fnp.sin(x) * 2.0
        z = fg.pure_callback(vandal, fg.ShapeDtypeStruct((5,), np.float64), y)
        w = fg.pure_callback(vandal, fg.ShapeDtypeStruct((5,), np.float64), x)
        return y + z + w + x

    x = np.linspace(0, 1, 5)
    before = x.copy()
    np.testing.assert_allclose(f(x), np.sin(before) * 2 + before)
    np.testing.assert_array_equal(x, before)


# ---- after fork ----


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


def test_arrays_of_an_unknown_layout(monkeypatch):
    monkeypatch.setattr(native, "offsets_hold", lambda: False)
    monkeypatch.setattr(native, "_runtime", [])
    f = fg.jit(lambda x: fnp.exp(x) - 4.0)
    with pytest.warns(UserWarning, match="cannot run machine code here .*unknown way.*NumPy runs every program"):
        np.testing.assert_allclose(f(np.ones(3)), np.exp(np.ones(3)) - 4.0)
    np.testing.assert_allclose(f(np.ones(3)), np.exp(np.ones(3)) - 4.0)  # warned of once
    assert execute.compiled(f.trace(np.ones(3)).program) is None


@pytest.mark.parametrize("field", ["data", "ndim", "sizes", "descr", "flags", "items", "count"])
def test_the_layout_of_arrays_is_looked_at(field, monkeypatch):
    assert native.offsets_hold()
    monkeypatch.setattr(native._Offsets, field, getattr(native._Offsets, field) - 8 if field != "data" else 24)
    assert not native.offsets_hold()


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


# ---- Ctrl-C ----


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


# ---- errors in host calls ----


def test_a_host_call_that_raises():
    fail = [True]

    def fussy(x):
        if fail[0]:
            raise LookupError("not today")
        return np.asarray(x) * 2

    @fg.jit
    def f(x):
        y = fnp.exp(x) + 1.0
        z = fg.pure_callback(fussy, fg.ShapeDtypeStruct((300,), np.float64), y)
        return fnp.sum(z * y)

    x = np.linspace(0, 1, 300)
    want = np.sum(2 * (np.exp(x) + 1) ** 2)
    for _ in range(4):
        fail[0] = True
        with pytest.raises(LookupError, match="not today"):
            f(x)
        fail[0] = False
        np.testing.assert_allclose(f(x), want)
    assert len(compiled(f, x).frames) == 1


def test_a_callback_of_the_wrong_shape():
    f = fg.jit(lambda x: fg.pure_callback(lambda v: v[:2], fg.ShapeDtypeStruct((3,), np.float64), x * 1.0) + 1.0)
    for _ in range(2):
        with pytest.raises(TypeError, match="was declared to return"):
            f(np.ones(3))


# ---- memory ----


def test_more_memory_than_there_is():
    def outer(x):
        huge = x[:, None] * x[None, :]  # the large one
        return fnp.sum(fnp.sort(huge, axis=0)[::2], axis=1)

    f = fg.jit(outer)
    x = np.ones(1_500_000)
    for _ in range(2):
        with pytest.raises(MemoryError) as found:
            f(x)
        message = str(found.value)
        assert "outer needs" in message and "GB" in message and "f64[1500000,1500000]" in message, message
        assert os.path.basename(__file__) in message and "(outer)" in message, message
    np.testing.assert_allclose(f(np.arange(4.0)), outer_of_four())


def outer_of_four():
    x = np.arange(4.0)
    return np.sum(np.sort(x[:, None] * x[None, :], axis=0)[::2], axis=1)


def test_a_result_larger_than_memory():
    def result(x):
        return fnp.exp(x[:, None] + x[None, :])

    f = fg.jit(result)
    with pytest.raises(
        MemoryError, match=r"result needs 18000.00 GB \(0.00 GB for intermediate.*\n.*exp at .*\(result\)"
    ):
        f(np.ones(1_500_000))
    np.testing.assert_allclose(f(np.zeros(2)), np.ones((2, 2)))


def test_memory_that_the_system_would_promise_and_not_have(monkeypatch):
    f = fg.jit(lambda x: fnp.sort(fnp.sin(x)) + 1.0)
    x = np.zeros(1 << 22)
    monkeypatch.setattr(executor, "LARGE", 1 << 20)
    monkeypatch.setattr(executor, "available_memory", lambda: 48 << 20)
    with pytest.raises(MemoryError, match="The largest arrays:\n  f64"):
        f(x)
    monkeypatch.setattr(executor, "available_memory", lambda: None)  # not known: the system decides
    np.testing.assert_array_equal(f(x), np.ones(1 << 22))
    monkeypatch.setattr(executor, "available_memory", lambda: 1)  # the frame is there already
    np.testing.assert_array_equal(f(x), np.ones(1 << 22))


def test_memory_that_is_left(tmp_path, monkeypatch):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    monkeypatch.setattr(plan, "_ROOT", tmp_path)
    assert plan.available_memory() is None
    write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable:   50 kB\nSwapFree: 7 kB\nHugePages_Total: 0\n")
    assert plan.available_memory() == 57 * 1024
    write("sys/fs/cgroup/memory.max", "max\n")
    write("sys/fs/cgroup/memory.current", "5000\n")
    assert plan.available_memory() == 57 * 1024
    write("sys/fs/cgroup/memory.max", "20000\n")
    assert plan.available_memory() == 15_000
    write("sys/fs/cgroup/memory.stat", "anon 9\nactive_file 100\ninactive_file 20\n")
    assert plan.available_memory() == 15_120
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n")
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n")
    assert plan.available_memory() == 8_000


def test_the_memory_of_this_machine():
    if sys.platform.startswith("linux"):
        assert (1 << 20) < plan.available_memory() < (1 << 50)


def test_an_arena_is_freed_with_its_program():
    f = fg.jit(lambda x: fnp.cumsum(fnp.sort(x) * 2.0) + 1.0)
    x = np.ones(1000)
    f(x)
    f(x)
    found = compiled(f, x)
    assert len(found.frames) == 1
    arena = weakref.ref(found.frames[0].arena)
    del f, found
    gc.collect()
    assert arena() is None


# ---- arguments of all kinds ----


def both(x, y):
    return fnp.tanh(x) * 2.0 + y, fnp.sum(x * y), (x + y).T


A, B = np.linspace(0, 1, 12).reshape(3, 4), np.linspace(2, 3, 12).reshape(3, 4)


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


class Sub(np.ndarray):
    """A subclass of another library."""


LAYOUTS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "misaligned": unaligned,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": read_only,
    "subclass": lambda x: x.view(Sub),
    "Array": fg.numpy.asarray,
    "masked memory": lambda x: np.broadcast_to(x, (2, *x.shape))[1],
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.int8, np.bool_])
@pytest.mark.parametrize("second", LAYOUTS)
@pytest.mark.parametrize("first", ["C order", "misaligned", "big-endian"])
def test_layouts_of_arguments(first, second, dtype):
    f = fg.jit(both)
    x, y = (A * 5).astype(dtype), (B * 5).astype(dtype)
    a, b = LAYOUTS[first](x), LAYOUTS[second](y)
    with fg.disable_jit():
        want = f(x, y)
    f(x, y)  # so that the following calls find the program ready
    for one, two in [(a, b), (x, b), (a, y), (b, a), (x, y)]:
        again = f(one, two)
        expected = want if one is not b else [np.asarray(w) for w in _plain(both, y, x)]
        for got, w in zip(again, expected, strict=True):
            assert got.dtype == w.dtype and got.shape == w.shape and got.dtype.isnative
            np.testing.assert_allclose(got, w, rtol=1e-6)
    np.testing.assert_array_equal(a, x)
    np.testing.assert_array_equal(b, y)


def _plain(f, *args):
    with fg.disable_jit():
        return f(*args)


def test_broadcast_arguments():
    x = np.broadcast_to(np.arange(4.0), (3, 4))
    np.testing.assert_allclose(fg.jit(lambda v: fnp.sum(v * 2.0, 0))(x), np.arange(4.0) * 6)


@pytest.mark.parametrize(
    "value", [2.5, 3, True, np.float32(2.5), np.float64(2.5), np.int8(3), np.array(2.5), np.array(3)]
)
def test_scalars(value):
    f = fg.jit(lambda v: (v * 2, v + np.float32(1.0), fnp.sin(v * 1.0)))
    for _ in range(3):
        for got, want in zip(f(value), _plain(f, value), strict=True):
            assert np.shape(got) == () and np.asarray(got).dtype == np.asarray(want).dtype
            np.testing.assert_allclose(got, want, rtol=1e-6)


def test_kinds_of_numbers_in_turn():
    f = fg.jit(lambda v: v * 2)
    for _ in range(3):
        for value in (1.5, np.float32(1.5), np.array(1.5), 3, np.array([1.5]), np.int32(3), True, 1.5 + 2j):
            np.testing.assert_allclose(f(value), np.asarray(value) * 2)


def test_large_python_integers():
    f = fg.jit(lambda v: v + 1)
    assert int(f(2**62)) == 2**62 + 1
    with pytest.raises((OverflowError, TypeError)):
        f(2**70)
    assert int(f(5)) == 6


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)])
def test_empty(shape):
    f = fg.jit(lambda v: (fnp.exp(v) + 1, fnp.sum(v), fnp.sum(v, axis=-1), v.T @ v if v.ndim == 2 else v * v))
    x = np.zeros(shape)
    for _ in range(3):
        for got, want in zip(f(x), _plain(f, x), strict=True):
            assert got.shape == want.shape and got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)


def test_no_arguments_and_no_outputs():
    f = fg.jit(lambda: fnp.arange(5.0) * 2)
    for _ in range(3):
        np.testing.assert_array_equal(f(), np.arange(5.0) * 2)
    assert fg.jit(lambda x: ())(np.ones(3)) == ()
    assert fg.jit(lambda x: None)(np.ones(3)) is None


def test_results_are_new_arrays():
    f = fg.jit(lambda x: (x, x + 0.0, x.T, x.reshape(-1)))
    x = np.arange(6.0).reshape(2, 3)
    for _ in range(3):
        results = f(x)
        for r in results:
            assert not np.shares_memory(r, x)
        x[0, 0] += 1.0
        assert all(np.asarray(r).ravel()[0] == x[0, 0] - 1 for r in results)


KEEPERS = {
    "the result": lambda r: r,
    "a plain array": np.asarray,
    "a view": lambda r: r.view(np.ndarray)[::-1][::-1],
    "a row": lambda r: np.asarray(r.reshape(100, -1)[50:]),
    "a real part": lambda r: r.real,
    "a memoryview": lambda r: memoryview(np.asarray(r)),  # type: ignore[arg-type]
    "bytes": lambda r: np.frombuffer(np.asarray(r).data, np.uint8).view(r.dtype),
    "an iterator": lambda r: np.asarray(r).flat,
    "a subclass": lambda r: np.asarray(r).view(Sub),
    "torch": lambda r: pytest.importorskip("torch").from_numpy(np.asarray(r)),
}


@pytest.mark.parametrize("keep", KEEPERS.values(), ids=KEEPERS.keys())
def test_what_is_kept_of_a_large_result_does_not_change(keep):
    # The memory of large results is used again, but not while anything looks at it.
    f = fg.jit(lambda x: x * 2.0)
    kept = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch: the array is not writable
        for n in range(12):
            kept.append(keep(f(np.full(100_000, float(n)))))
    for n, k in enumerate(kept):
        assert np.all(np.asarray(k) == 2.0 * n)


@pytest.mark.parametrize(
    ("pair", "f"),
    [
        (lambda c: (c, c), lambda a, b: a * 2 + b[::-1]),
        (lambda c: (c[1:], c[:-1]), lambda a, b: a * 2 + b),
        (lambda c: (c[:-1], c[1:]), lambda a, b: a * 2 + b),
        (lambda c: (c, np.frombuffer(c.data)), lambda a, b: a * 2 + b[::-1]),
        (lambda c: (np.frombuffer(c.data), np.frombuffer(c.data)), lambda a, b: a * 2 + b[::-1]),
    ],
)
def test_a_donated_argument_that_shares_its_memory_with_another(pair, f):
    jitted = fg.jit(f, donate_argnums=0)
    for _ in range(3):
        one, two = pair(np.random.default_rng(0).normal(size=30_001))
        want = f(one.copy(), two.copy())
        np.testing.assert_allclose(jitted(one, two), want)


def test_one_array_twice():
    f = fg.jit(lambda x, y: (x + y, x * y))
    x = np.arange(5.0)
    for _ in range(3):
        np.testing.assert_array_equal(f(x, x)[0], x + x)
        np.testing.assert_array_equal(f(x, x[:])[1], x * x)


def test_wrong_arguments_at_a_warm_call():
    f = fg.jit(lambda x, y: x @ y)
    x, y = np.ones((2, 3)), np.ones((3, 2))
    f(x, y)
    f(x, y)
    with pytest.raises((TypeError, ValueError)):
        f(x, np.ones((4, 2)))
    with pytest.raises(TypeError):
        f(x, "text")
    np.testing.assert_array_equal(f(x, y), x @ y)
    np.testing.assert_array_equal(f(x.astype(np.float32), y), x @ y)
    np.testing.assert_array_equal(f(x[:1], y), x[:1] @ y)


def test_wrong_numbers_of_arguments_at_a_warm_call():
    # Their arrays have just the types that the program takes, for results too.
    f = fg.jit(lambda x, y: x + y)
    x, y, z = np.arange(4.0), np.ones(4), np.full(4, 9.0)
    for _ in range(3):
        np.testing.assert_array_equal(f(x, y), x + y)
        with pytest.raises(TypeError):
            f(x)
        with pytest.raises(TypeError):
            f(x, y, z)
        with pytest.raises(TypeError):
            f()
    np.testing.assert_array_equal(z, np.full(4, 9.0))
