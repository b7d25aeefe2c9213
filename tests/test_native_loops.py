"""Loops inside the executor: nested, hoisted, as one kernel, interrupted; compared with Python loops and with JAX."""

import itertools
import os
import signal
import threading
import time

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.compile import native

jax = pytest.importorskip("jax")

RNG = np.random.default_rng(7)


def close(a, b, tol=1e-9):
    first, second = jax.tree_util.tree_leaves(a), jax.tree_util.tree_leaves(b)
    assert len(first) == len(second)
    for x, y in zip(first, second, strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tol, atol=tol)


def kinds(fun, *args):
    return [s.kind for s in fg.stages(fun)(*args).steps]


def in_x64(f, *args):
    with jax.enable_x64(True):
        return jax.tree_util.tree_map(np.asarray, f(*args))


# ---- native at all ----


def nested(np_, lax_, x, n):
    """A choice and a backward scan in a while in a scan."""

    def outer(c, xi):
        def body(s):
            k, v = s
            v = lax_.cond(v.sum() > 3.0, lambda v: v * 0.5, lambda v: v + xi, v)
            v, ys = lax_.scan(lambda c, y: (c * 1.01 + y, c[::-1]), v, np_.stack([v, v * 2, v * 3]), reverse=True)
            return k + 1, v + ys.sum(0) * 0.1

        k, v = lax_.while_loop(lambda s: (s[0] < n) & (s[1].sum() < 50.0), body, (0, c))
        return v, (k, lax_.switch(k, [lambda v: v.sum(), lambda v: v.max() + 1, lambda v: v @ v], v))

    return lax_.scan(outer, x, np_.arange(5.0))


def test_nested_control_flow_runs_natively_and_is_what_jax_gives():
    x = np.array([1.0, 2.0, 3.0])
    f = lambda x: nested(jnp, lax, x, 4)
    assert not fg.stages(f)(x).host_calls
    want = in_x64(jax.jit(lambda x: nested(jax.numpy, jax.lax, x, 4)), x)
    close(fg.jit(f)(x), want)
    close(f(x), want)


@pytest.mark.parametrize("n", [1, 2, 3, 700])
@pytest.mark.parametrize("size", [3, 5000])
def test_fori_loop_of_any_length(n, size):
    x = RNG.standard_normal(size)
    want = x
    for i in range(n):
        want = np.sin(want) + 0.5 * want[::-1] + 1e-3 * i
    found = fg.jit(lambda x: lax.fori_loop(0, n, lambda i, v: jnp.sin(v) + 0.5 * v[::-1] + 1e-3 * i, x))(x)
    close(found, want)


@pytest.mark.parametrize("stop", [-1, 0, 1, 2, 9])
def test_while_loop_of_any_length(stop):
    f = fg.jit(lambda x, stop: lax.while_loop(lambda s: s[0] < stop, lambda s: (s[0] + 1, jnp.cos(s[1])), (0, x)))
    count, x = f(np.ones(4), stop)
    want = np.ones(4)
    for _ in range(max(stop, 0)):
        want = np.cos(want)
    assert count == max(stop, 0)
    close(x, want)


@pytest.mark.parametrize("index", [-3, 0, 1, 2, 7])
def test_an_index_out_of_range_is_clamped_natively(index):
    f = fg.jit(lambda i, x: lax.switch(i, [lambda x: x + 1, lambda x: x * 2, lambda x: -x], x))
    assert "choice" in kinds(f, index, np.ones(3))
    close(f(index, np.ones(3)), [np.ones(3) + 1, np.ones(3) * 2, -np.ones(3)][min(max(index, 0), 2)])


def test_the_first_carry_stays_as_it_was_and_results_are_new():
    x = np.ones(3)
    f = fg.jit(lambda x: lax.fori_loop(0, 3, lambda i, c: (c[1], c[0] + 1), (x, x)))
    a, b = f(x), f(x)
    close(x, np.ones(3))
    close(a, (np.ones(3) * 2, np.ones(3) * 3))
    close(b, (np.ones(3) * 2, np.ones(3) * 3))


def test_slices_that_are_views_and_numbers_as_carries():
    x = RNG.standard_normal((4, 6))
    f = lambda np_, lax_: lambda x: lax_.scan(lambda c, r: (c * 0.5 + r[1:3].sum(), r[::-1] * c), 1.0, x.T[1:])
    close(fg.jit(f(jnp, lax))(x), in_x64(jax.jit(f(jax.numpy, jax.lax)), x))


def test_a_body_with_a_host_call_still_works():
    x = np.array([3.0, 1.0, 2.0])
    f = lambda x: lax.scan(lambda c, i: (jnp.sort(c) + i, c[0]), x, jnp.arange(3.0))
    close(fg.jit(f)(x), f(x))


def test_the_same_bits_for_any_number_of_threads():
    x = RNG.standard_normal((300, 300)).astype(np.float32)
    f = fg.jit(lambda x: lax.fori_loop(0, 4, lambda i, c: jnp.sin(c) @ x * 0.01 + c, x))
    results = []
    for n in (1, 2, 3):
        native.native().set_threads(n)
        results.append(np.asarray(f(x)))
    native.native().set_threads(native.allowed_threads())
    assert all(r.tobytes() == results[0].tobytes() for r in results)


def test_many_threads_run_one_loop_at_once():
    f = fg.jit(lambda x: lax.while_loop(lambda v: v[0] < 1000.0, lambda v: v * 1.01 + 1.0, x))
    starts = [np.full(4, float(n)) for n in range(8)]
    want = [np.asarray(f(s)) for s in starts]
    found = [[] for _ in starts]

    def work(n):
        found[n] = [np.asarray(f(starts[n])) for _ in range(50)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for w, results in zip(want, found, strict=True):
        assert all(r.tobytes() == w.tobytes() for r in results)


# ---- one kernel ----


def mlp(np_, lax_, grad):
    def loss(ps, x, y):
        for w, b in ps[:-1]:
            x = np_.tanh(x @ w + b)
        w, b = ps[-1]
        return np_.mean((x @ w + b - y) ** 2)

    def train(ps, x, y):
        def step(ps, _):
            value, gs = grad(loss)(ps, x, y)
            return [(w - 0.03 * gw, b - 0.03 * gb) for (w, b), (gw, gb) in zip(ps, gs, strict=True)], value

        return lax_.scan(step, ps, None, length=30)

    return train


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(2, 16, 16, 1), (3, 7, 2), (1, 5, 9, 3)])
def test_training_of_a_small_network_is_one_kernel(dtype, sizes):
    ps = [
        ((RNG.standard_normal((a, b)) / np.sqrt(a)).astype(dtype), np.zeros(b, dtype))
        for a, b in itertools.pairwise(sizes)
    ]
    x, y = RNG.standard_normal((11, sizes[0])).astype(dtype), RNG.standard_normal((11, sizes[-1])).astype(dtype)
    train = mlp(jnp, lax, fg.value_and_grad)
    assert kinds(train, ps, x, y) == ["kernel"]
    want = in_x64(jax.jit(mlp(jax.numpy, jax.lax, jax.value_and_grad)), ps, x, y)
    close(fg.jit(train)(ps, x, y), want, 2e-5 if dtype == np.float32 else 1e-10)


def lorenz(lax_, length):
    def step(s, _):
        x, y, z = s
        return (x + 0.01 * 10.0 * (y - x), y + 0.01 * (x * (28.0 - z) - y), z + 0.01 * (x * y - 8 / 3 * z)), x

    def f(s):
        last, xs = lax_.scan(step, s, None, length=length)
        return last[0] + xs[length // 2]

    return f


def test_gradient_through_lorenz_steps():
    s = (1.0, 2.0, 3.0)
    for length in (1, 50, 301):
        close(fg.jit(fg.grad(lorenz(lax, length)))(s), in_x64(jax.jit(jax.grad(lorenz(jax.lax, length))), s), 1e-8)


def test_kalman_filter_as_one_kernel():
    def run(np_, lax_, ys):
        a, q = np.array([[1.0, 0.1], [0.0, 1.0]]), 0.01 * np.eye(2)

        def step(carry, y):
            m, p = carry
            m, p = a @ m, a @ p @ a.T + q
            s = p[0, 0] + 0.1
            k = p[:, 0] / s
            m, p = m + k * (y - m[0]), p - np_.outer(k, p[0])
            return (m, p), (m, np_.log(s))

        return lax_.scan(step, (np_.zeros(2), np_.eye(2)), ys)

    ys = RNG.standard_normal(200)
    f = lambda ys: run(jnp, lax, ys)
    assert kinds(f, ys).count("host") == 0
    close(fg.jit(f)(ys), in_x64(jax.jit(lambda ys: run(jax.numpy, jax.lax, ys)), ys))


def test_booleans_integers_and_arrays_of_constants_in_a_small_loop():
    table = np.arange(5) * 3

    def run(np_, lax_, x):
        def step(c, i):
            flag, n, v = c
            v = np_.where(flag, v + table * n, v - 1.5)
            return (~flag & (i > 1), n + i, v), (flag, v.sum() > 0, n)

        return lax_.scan(step, (np_.asarray(True), np_.asarray(2), x), np_.arange(6))

    x = RNG.standard_normal(5)
    close(fg.jit(lambda x: run(jnp, lax, x))(x), in_x64(jax.jit(lambda x: run(jax.numpy, jax.lax, x)), x))


def inner_loops(np_, lax_, x):
    """Loops and choices in a loop, with slices backwards and constants."""
    table = np.array([[0.5, -1.0, 2.0], [1.0, 0.25, -0.5]])

    def step(c, r):
        def inner(v, q):
            v = lax_.cond(v.sum() > 0.5, lambda v: v * 0.5 + q[1:], lambda v: np_.sin(v) + r[0], v)
            return v, (v[0] * q, q.sum())

        v, ys = lax_.scan(
            inner, c[1] + table[1], np_.stack([r, r * 2, -r]) @ np.arange(12.0).reshape(3, 4), reverse=True
        )
        k = np_.where(c[0] >= 3, 0, c[0] + 1)
        v = lax_.switch(k - 1, [lambda v: v, lambda v: v[::-1] + table[0], lambda v: -v], v)
        return (k, v * 0.9), (ys, v)

    return lax_.scan(step, (0, x), np_.outer(np_.arange(6.0), x))


def test_loops_and_choices_inside_a_small_loop_are_in_its_kernel():
    x = RNG.standard_normal(3)
    f = lambda x: inner_loops(jnp, lax, x)
    # One product leaves it.
    assert set(kinds(f, x)) == {"kernel", "gemm"}
    want = in_x64(jax.jit(lambda x: inner_loops(jax.numpy, jax.lax, x)), x)
    close(fg.jit(f)(x), want)
    total = lambda run: lambda x: sum(y.sum() for y in jax.tree_util.tree_leaves(run(x)[1]))
    slope = in_x64(jax.jit(jax.grad(total(lambda x: inner_loops(jax.numpy, jax.lax, x)))), x)
    close(fg.jit(fg.grad(total(f)))(x), slope)


@pytest.mark.parametrize("count", [0, 1, 7, 100_003])
def test_a_small_while_runs_in_bursts(count):
    f = fg.jit(lambda x, n: lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 0.999 + s[0]), (0, x)))
    shown = str(fg.stages(f)(np.ones(2), count).schedule)
    assert "up to" in shown
    want = np.ones(2)
    for i in range(count):
        want = want * 0.999 + i
    steps, x = f(np.ones(2), count)
    assert steps == count
    close(x, want)


def test_jit_of_a_loop_is_no_slower_than_a_loop_of_jitted_steps():
    body = lambda v: jnp.sin(v) * 1.01 + v[::-1]
    x = np.ones(50)
    step, whole = fg.jit(body), fg.jit(lambda v: lax.fori_loop(0, 300, lambda i, v: body(v), v))

    def timed(call):
        call()
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    def by_hand():
        v = x
        for _ in range(300):
            v = step(v)

    assert min(timed(lambda: whole(x)) for _ in range(5)) < min(timed(by_hand) for _ in range(5))


# ---- out of the loop ----


def recurrent(np_, lax_, p, xs):
    wx, wh, wo, b = p

    def step(h, x):
        h = np_.tanh(x @ wx + h @ wh + b)
        return h, h @ wo

    last, ys = lax_.scan(step, np_.zeros((xs.shape[1], wh.shape[0])), xs)
    return np_.sum(ys**2) + np_.sum(last)


def test_products_leave_a_recurrent_network():
    t, n, d, h = 12, 5, 6, 70
    p = [RNG.standard_normal(s) / 8 for s in ((d, h), (h, h), (h, 3), (h,))]
    xs = RNG.standard_normal((t, n, d))
    f = fg.value_and_grad(lambda p, xs: recurrent(jnp, lax, p, xs), argnums=(0, 1))
    want = in_x64(
        jax.jit(jax.value_and_grad(lambda p, xs: recurrent(jax.numpy, jax.lax, p, xs), argnums=(0, 1))), p, xs
    )
    close(fg.jit(f)(p, xs), want)
    steps = fg.stages(f)(p, xs).steps
    products = [s for s in steps if s.kind == "gemm"]
    assert len(products) == 7, "x Wx, h Wo, its two gradients, and those by Wx, Wh and x"
    for s in steps:
        assert s.kind != "host"
        if "loop" in s.title:
            inside = "\n".join(s.bodies) if s.kind == "loop" else ""
            assert inside.count("gemm") <= 1, "only the product with the carry stays"


def test_sums_of_products_over_steps_keep_their_start():
    def run(np_, lax_, w, xs):
        def step(c, x):
            total, v = c
            v = np_.sin(v) + x
            return (total + np_.outer(v, x), v), None

        return lax_.scan(step, (w, np_.zeros(3)), xs, reverse=True)[0]

    w, xs = RNG.standard_normal((3, 3)), RNG.standard_normal((7, 3))
    close(
        fg.jit(lambda w, xs: run(jnp, lax, w, xs))(w, xs),
        in_x64(jax.jit(lambda w, xs: run(jax.numpy, jax.lax, w, xs)), w, xs),
    )


def test_second_derivatives_through_a_hoisted_loop():
    p = [RNG.standard_normal(s) / 2 for s in ((2, 3), (3, 3), (3, 1), (3,))]
    xs = RNG.standard_normal((4, 2, 2))
    f = fg.jit(fg.hessian(lambda p, xs: recurrent(jnp, lax, p, xs)))
    want = in_x64(jax.jit(jax.hessian(lambda p, xs: recurrent(jax.numpy, jax.lax, p, xs))), p, xs)
    close(f(p, xs), want)
    batch = RNG.standard_normal((3, 4, 2, 2))
    g = fg.jit(fg.vmap(fg.grad(lambda p, xs: recurrent(jnp, lax, p, xs)), in_axes=(None, 0)))
    want = in_x64(
        jax.jit(jax.vmap(jax.grad(lambda p, xs: recurrent(jax.numpy, jax.lax, p, xs)), in_axes=(None, 0))), p, batch
    )
    close(g(p, batch), want)


# ---- interrupted ----


def interrupted(f, x, after=0.5):
    fg.stages(f)(x)  # compiled before the clock runs
    timer = threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(KeyboardInterrupt) as caught:
        f(x)
    assert time.perf_counter() - begin < after + 1.0
    return caught.value


@pytest.mark.parametrize("size", [2, 100_000])
def test_an_interrupted_loop_gives_its_carry(size):
    f = fg.jit(lambda x: lax.fori_loop(0, 10**9, lambda i, c: {"v": c["v"] + 1.0, "last": i}, {"v": x, "last": 0}))
    error = interrupted(f, np.zeros(size))
    assert error.step > 0
    assert (error.carry["v"] == error.step).all() and error.carry["last"] == error.step - 1
    # What was interrupted can be called again.
    error = interrupted(f, np.full(size, 5.0))
    assert (error.carry["v"] == error.step + 5.0).all()


def test_interrupted_while_and_nested_loops():
    f = fg.jit(lambda x: lax.while_loop(lambda s: s[0] >= 0, lambda s: (s[0] + 1, s[1] + 2.0), (0, x)))
    error = interrupted(f, np.zeros(3))
    assert error.carry[0] == error.step and (error.carry[1] == 2.0 * error.step).all()
    inner = lambda c: lax.fori_loop(0, 10**6, lambda i, v: v + 1, c)
    g = fg.jit(lambda x: lax.scan(lambda c, _: (inner(c), None), x, None, length=10**6)[0])
    error = interrupted(g, np.zeros(2))
    assert (error.carry == error.step * 1e6).all()


# ---- looking into them ----


def test_stages_profile_and_source_of_loops():
    x = RNG.standard_normal((200, 200))
    f = lambda x: lax.scan(lambda c, r: (lax.cond(c[0] > 0, jnp.sin, jnp.cos, c @ x), r), x[0], x)
    shown = str(fg.stages(f)(x))
    assert "loop" in shown and "choice" in shown and "branch 1" in shown
    profiled = fg.profile(f)(x)
    close(profiled.result, f(x))


def mixed(x):
    total, rows = lax.scan(lambda c, r: (lax.cond(c[0] > 0, jnp.sin, jnp.cos, c @ x), r * c), x[0], x, reverse=True)
    count, v = lax.while_loop(lambda s: (s[0] < 5) & (s[1].sum() < 9), lambda s: (s[0] + 1, s[1] * 1.5), (0, total))
    none = lax.scan(lambda c, r: (c + r, c), v, jnp.zeros((0, 3)))[1]
    small = lax.fori_loop(0, 4, lambda i, c: c * 0.5 + i, v[1])
    return rows, count, v, none, small, lax.switch(count, [jnp.sin, jnp.cos, jnp.tan], v)


def mixed_grad(x):
    return fg.grad(lambda x: jnp.sum(lax.scan(lambda c, r: (jnp.tanh(c @ x + r), c), x[0], x)[1]))(x)


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("fun", [mixed, mixed_grad])
def test_the_source_of_loops_stands_alone(fun, kernels):
    x = RNG.standard_normal((3, 3)) / 2
    text = str(fg.source(fun, kernels=kernels)(x))
    assert "funcgrad." not in text.replace("funcgrad.source", "")
    assert "for i in" in text
    scope: dict = {}
    exec(compile(text, "<source>", "exec"), scope)
    close(scope[fun.__name__](x), fg.jit(fun)(x))
    close(scope[fun.__name__](x), fun(x))


def test_a_nan_inside_a_loop_is_found():
    f = fg.jit(lambda x: lax.scan(lambda c, r: (c - 1.0, jnp.sqrt(c)), x, None, length=5)[1])
    with fg.debug_nans(True), pytest.raises(FloatingPointError, match="'sqrt'"):
        f(2.0)
