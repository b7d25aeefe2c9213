"""Users' numba functions as native steps of compiled programs: in loops, threads and `.njit`, and what they raise."""

import os
from collections import namedtuple

import numpy as np
import pytest
from numba_cases import X, bump, compiled, hosts, like, numba, orbit, same, strictly

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax


@numba.njit
def scaled(x, rate):
    return x * rate


@numba.njit
def vandal(x, y):
    x[:] = 7.0
    return x, y[0]


def called(x, rate):
    return fg.numba_call(orbit, (like(x.shape, x.dtype), like((), x.dtype)), x, rate)


# ---- values ----


@pytest.mark.parametrize("dtype", ["complex128", "float16"])
def test_what_has_no_kernel_kind_stays_a_host_call(dtype):
    x = np.arange(3).astype(dtype)
    f = lambda x: fg.numba_call(copied, like(x.shape, x.dtype), x)
    assert hosts(f, x) == ["host call: njit_call"]
    if dtype == "complex128":  # numba has no arrays of float16
        same(fg.jit(f)(x), x)


@numba.njit
def copied(x):
    return x.copy()


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint8", "bool"])
def test_elements_of_many_dtypes(dtype):
    f, x = fg.numba_elementwise(scaled), np.arange(6).reshape(2, 3).astype(dtype)
    for rate in (x[:, :1], np.float32(2)):
        same(fg.jit(f)(x, rate), f(x, rate))
        assert hosts(f, x, rate) == []
    g = lambda x: f(x.T, x[1, 2])
    same(fg.jit(g)(x), g(x))


@numba.njit
def turned(x):
    return x.T


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint64", "bool"])
def test_whole_arrays_of_many_dtypes_and_orders(dtype):
    x = np.arange(24).reshape(3, 8).astype(dtype)
    f = lambda x: fg.numba_call(copied, like(x.shape, x.dtype), x)
    g = lambda x: fg.numba_call(turned, like((3, 4), x.dtype), x[:, ::2].T)
    for each, expected in ((f, x), (g, x[:, ::2])):
        same(fg.jit(each)(x), expected)
        assert hosts(each, x) == []


def test_several_results_derivatives_and_batches_are_native():
    rate = np.float64(3.2)
    same(fg.jit(called)(X, rate), called(X, rate))
    assert hosts(called, X, rate) == []
    total = lambda x, r: called(x, r)[1] ** 2 + called(x, r)[0][0]
    slope = fg.grad(total, argnums=(0, 1))
    for a, b in zip(fg.jit(slope)(X, rate), slope(X, rate), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)
    assert hosts(slope, X, rate) == []
    table, rates = np.linspace(0, 1, 15).reshape(3, 5), np.array([1.0, 2.0, 3.0])
    for axes, args in (((0, None), (table, rate)), ((None, 0), (X, rates)), ((0, 0), (table, rates))):
        f = fg.vmap(called, axes)
        same(fg.jit(f)(*args), f(*args))
        assert hosts(f, *args) == []
    nested = fg.vmap(fg.vmap(called, (None, 0)), (0, None))
    same(fg.jit(nested)(table, rates), nested(table, rates))
    assert nested(table, rates)[0].shape == (3, 3, 5) and hosts(nested, table, rates) == []
    single = [[called(x, r)[1] for r in rates] for x in table]
    np.testing.assert_array_equal(fg.jit(nested)(table, rates)[1], single)


@pytest.mark.parametrize("method", ["expand_dims", "broadcast_all"])
def test_batches_in_one_call(method):
    @numba.njit
    def plus(x, y):
        return x + y

    f = fg.vmap(lambda x, y: fg.numba_call(plus, like(x.shape, x.dtype), x, y, vmap_method=method), (0, None))
    x = np.arange(6.0).reshape(2, 3)
    same(fg.jit(f)(x, X[:3]), x + X[:3])
    assert hosts(f, x, X[:3]) == []
    with pytest.raises(NotImplementedError, match="numba_call: copied was called under vmap with vmap_method=None"):
        fg.jit(fg.vmap(lambda x: fg.numba_call(copied, like((3,), x.dtype), x, vmap_method=None)))(x)
    with pytest.raises(ValueError, match="numba_call of copied: vmap_method must be one of"):
        fg.numba_call(copied, like((3,), x.dtype), x, vmap_method="loop")


Pair = namedtuple("Pair", "left right")


def test_pytrees_that_numba_knows():
    @numba.njit
    def exchanged(pair, rest):
        return Pair(pair.right, pair.left), (rest[0][0] + 1,)

    f = lambda x, n: fg.numba_call(exchanged, (Pair(x, x), (like((), "int64"),)), Pair(x, 2 * x), ((n,), None))
    same(fg.jit(f)(X, np.int64(3)), (Pair(2 * X, X), (np.int64(4),)))
    assert hosts(f, X, np.int64(3)) == []

    @numba.njit
    def listed(x):
        return [x, x]

    g = lambda x: fg.numba_call(listed, [x, x], x)
    same(fg.jit(g)(X), [X, X])
    assert hosts(g, X) == ["host call: njit_call"]


def test_inputs_are_not_overwritten():
    def f(x):
        y = x * 1.0
        first, second = fg.numba_call(vandal, (like(x.shape, x.dtype), like((), x.dtype)), y, x), y
        return first, second, fg.numba_call(vandal, (like(x.shape, x.dtype), like((), x.dtype)), x, y)

    x = X.copy()
    (a, b), y, (c, d) = fg.jit(f)(x)
    assert hosts(f, x) == []
    for have, want in ((x, X), (y, X), (a, np.full(5, 7.0)), (c, a), (b, X[0]), (d, X[0])):
        np.testing.assert_array_equal(have, want)


def test_empty_arrays_and_numbers():
    f = fg.numba_elementwise(bump)
    assert fg.jit(f)(np.zeros((0, 3))).shape == (0, 3)
    assert fg.jit(f)(0.5) == f(0.5) and fg.jit(f)(0.5).shape == () and hosts(f, 0.5) == []
    g = lambda x: fg.numba_call(copied, like(x.shape, x.dtype), x)
    assert fg.jit(g)(np.zeros((2, 0))).shape == (2, 0)
    assert fg.jit(fg.vmap(strictly))(np.zeros((0, 3))).shape == (0, 3)
    h = lambda x: fg.numba_call(scaled, like((), "float64"), x, 2)
    assert fg.jit(h)(1.5) == 3.0 and hosts(h, 1.5) == []


# ---- loops ----


def test_loops_are_native():
    f, rate = fg.numba_elementwise(bump), 3.2

    def scanned(x):
        def step(c, y):
            c = called(f(c) * 0.3, rate)[0] + y
            return c, fnp.sum(c)

        return lax.scan(step, x, np.linspace(0, 1e-3, 50))

    def counted(x):
        return lax.while_loop(lambda c: fnp.sum(c[0]) < 40, lambda c: (strictly(c[0]) + 0.01, c[1] + 1), (x, 0))

    def chosen(x, flag):
        return lax.cond(flag, strictly, lambda x: f(x), x)

    for g, args in ((scanned, (X,)), (counted, (X,)), (chosen, (X, True)), (chosen, (X, False))):
        assert hosts(g, *args) == []
        for a, b in zip(fg.tree.leaves(fg.jit(g)(*args)), fg.tree.leaves(g(*args)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)
    slope = fg.grad(lambda x: fnp.sum(scanned(x)[1]))
    assert hosts(slope, X) == []
    np.testing.assert_allclose(fg.jit(slope)(X), slope(X), rtol=1e-11)


# ---- threads ----


def test_the_same_bits_for_any_number_of_threads():
    f = fg.jit(lambda x, t: (fg.numba_elementwise(bump)(x), fg.vmap(called, (0, None))(t, 3.2)))
    x, t = np.random.default_rng(0).normal(size=20_001), np.random.default_rng(1).uniform(size=(40, 30))
    found = []
    for n in (1, 2):
        fg.set_num_threads(n)
        found.append(f(x, t))
    same(*found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork():
    f = fg.jit(lambda x: strictly(fg.numba_elementwise(bump)(x)))
    x = np.linspace(0, 1, 5000)
    expected = np.asarray(f(x))
    child = os.fork()
    if not child:
        good = np.array_equal(f(x), expected) and np.array_equal(fg.jit(strictly)(x), 2 * x)
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- called from other compiled code ----


def test_inside_of_njit_and_prange():
    def f(x, rate):
        c, _ = lax.scan(lambda c, _: (called(c, rate)[0] * 0.3, None), fg.numba_elementwise(bump)(x), None, length=7)
        return c, fnp.sum(c)

    inner = compiled(f, X, 3.2).njit

    @numba.njit(parallel=True)
    def many(table, rate):
        out, sums = np.empty_like(table), np.empty(len(table))
        for i in numba.prange(len(table)):
            out[i], sums[i] = inner(table[i], rate)
        return out, sums

    table = np.random.default_rng(0).uniform(size=(50, 5))
    expected = [fg.jit(f)(row, 3.2) for row in table]
    same(many(table, 3.2), (np.stack([e[0] for e in expected]), np.stack([e[1] for e in expected])))


def test_loops_and_choices_inside_of_njit():
    def small(x):
        return lax.fori_loop(0, 10, lambda i, c: c * 0.5 + i, x)

    def large(x, n):
        y = lax.while_loop(lambda c: fnp.sum(c) < 50.0, lambda c: called(c, 3.0)[0] + 1.0, x)
        return lax.switch(n, [strictly, lambda v: v + 1, fg.numba_elementwise(bump)], y)

    assert compiled(small, 1.0).njit(1.0) == fg.jit(small)(1.0)
    inner = compiled(large, X, 0).njit
    for n in range(3):
        same(inner(X, n), fg.jit(large)(X, n))


# ---- looking at such programs ----


def both(x):
    return called(fg.numba_elementwise(bump)(x), 3.0)


def test_what_is_printed_and_measured():
    found = fg.stages(both)(X)
    assert "njit_elementwise: bump by k" in found.schedule and "njit_call: orbit by k" in found.schedule
    assert any("fn is" in text and "bump" in text for text in found.kernels.values())
    profile = fg.profile(fg.jit(both), repeat=2)(X)
    same(profile.result, fg.jit(both)(X))
    assert fg.memory_plan(both)(X).account.host == 40 + 8 + 40 + 8
    with fg.debug_nans(True), pytest.raises(FloatingPointError, match="Operation 'njit_elementwise' made it"):
        fg.jit(fg.numba_elementwise(born))(np.array([1.0, 2.0]))
    before = fg.compile_log()
    fg.jit(lambda x: fg.numba_elementwise(born)(x))(X)
    assert fg.compile_log()["compiled"] == before["compiled"]


@numba.njit(error_model="numpy")
def born(x):
    return (x - x) / (x - x)


@pytest.mark.parametrize("kernels", [True, False])
def test_the_printed_module_has_the_function_as_python(kernels):
    table = np.linspace(0, 1, 15).reshape(3, 5)
    f = lambda x: fg.vmap(both)(x)[0] * 2
    f.__name__ = "printed"
    text = fg.source(f, kernels=kernels)(table)
    assert "def bump(" in text and "def orbit(" in text and "funcgrad" not in text.split('"""', 2)[2]
    space: dict = {}
    exec(str(text), space)
    np.testing.assert_allclose(space["printed"](table), f(table), rtol=1e-13)


def test_tiered_programs():
    f = fg.jit(both, tiered=True)
    expected = both(X)
    for _ in range(3):
        for a, b in zip(f(X), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)
    with pytest.raises(ValueError, match="negative"):
        fg.jit(strictly, tiered=True)(-X)
