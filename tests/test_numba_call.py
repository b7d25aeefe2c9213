"""Users' numba functions inside of traced programs: values, derivatives, vmap, dtypes, errors."""

import math

import numpy as np
import pytest
from numba_cases import numba, orbit

import funcgrad as fg
import funcgrad.numpy as fnp

SCALE = 0.5


@numba.njit
def bump(x):
    return math.exp(-SCALE * x * x) * math.erf(x) + max(x, 0.25)


def plain_bump(x):
    return fnp.exp(-SCALE * x * x) * fg.scipy.special.erf(x) + fnp.maximum(x, 0.25)


@numba.njit
def branching(x):
    if x > 0:
        return x * x
    return -x


@numba.njit
def slope_of_branching(x):
    return 2 * x if x > 0 else -1.0


@numba.njit
def weighted(x, n):
    return helper(x) * n


@numba.njit
def helper(x):
    return math.log(x) + np.sin(x)


def plain_orbit(x, rate):
    total = 0.0 * x
    for _ in range(3):
        x = rate * x * (1.0 - x)
        total = total + x
    return total, fnp.sum(total)


def called(x, rate):
    like = fg.ShapeDtypeStruct
    return fg.numba_call(orbit, (like(x.shape, x.dtype), like((), x.dtype)), x, rate)


POINTS = np.linspace(-2, 2, 7)


@pytest.mark.parametrize("compile", [lambda f: f, fg.jit], ids=["plain", "jit"])
def test_a_numba_function_element_by_element(compile):
    f, rtol = fg.numba_elementwise(bump), 1e-13
    total, plain_total = lambda x: fnp.sum(f(x) ** 2), lambda x: fnp.sum(plain_bump(x) ** 2)
    np.testing.assert_allclose(compile(f)(POINTS), plain_bump(POINTS), rtol)
    np.testing.assert_allclose(compile(fg.grad(total))(POINTS), fg.grad(plain_total)(POINTS), rtol)
    np.testing.assert_allclose(compile(fg.hessian(total))(POINTS), fg.hessian(plain_total)(POINTS), 1e-12, 1e-14)
    found = compile(lambda x, t: fg.jvp(f, (x,), (t,)))(POINTS, POINTS[::-1].copy())
    np.testing.assert_allclose(found, fg.jvp(plain_bump, (POINTS,), (POINTS[::-1],)), rtol)
    np.testing.assert_allclose(compile(fg.vmap(fg.grad(f)))(POINTS), fg.vmap(fg.grad(plain_bump))(POINTS), rtol)
    square = POINTS[:6].reshape(2, 3)
    np.testing.assert_array_equal(compile(fg.vmap(f))(square), compile(f)(square))


def test_values_are_those_of_numba():
    @numba.njit
    def other(x):
        return x + 1.0

    other(1.0)
    other.py_func.__code__ = (lambda x: x * 7.0).__code__  # numba does not see it, but a trace would
    f = fg.numba_elementwise(other)
    assert f(1.0) == 2.0 and fg.grad(f)(1.0) == 7.0 and fg.value_and_grad(f)(1.0)[0] == 2.0


def test_dtypes_and_broadcasting_of_a_numba_function():
    f = fg.numba_elementwise(weighted)
    x, n = np.array([[1.0], [2.0]], np.float32), np.array([1, 2, 3], np.int16)
    found = f(x, n)
    expected = np.vectorize(weighted)(x, n)
    assert found.shape == (2, 3) and found.dtype == np.result_type(x, n)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    slope = fg.grad(lambda x: fnp.sum(f(x, n)))(x)
    np.testing.assert_allclose(slope, (1 / x + np.cos(x)) * 6, rtol=1e-5)
    batched = fg.vmap(f, in_axes=(0, None))(x[:, 0], n)
    np.testing.assert_array_equal(batched, found)
    assert fg.numba_elementwise(bump)(2).shape == ()


def test_a_given_derivative():
    f = fg.numba_elementwise(branching, derivative=slope_of_branching)
    np.testing.assert_array_equal(fg.vmap(fg.grad(f))(POINTS), np.where(POINTS > 0, 2 * POINTS, -1))
    g = fg.numba_elementwise(weighted, derivative=(lambda x, n: n * 100.0, None))
    assert fg.jit(fg.grad(g))(1.0, 3.0) == 300.0
    assert fg.grad(g, argnums=1)(1.0, 3.0) == 0.0
    with pytest.raises(TypeError, match="1 derivatives were given for 2 arguments"):
        fg.grad(fg.numba_elementwise(weighted, derivative=helper))(1.0, 3.0)


def test_a_derivative_that_cannot_be_traced():
    f = fg.numba_elementwise(branching)
    np.testing.assert_array_equal(f(POINTS), np.where(POINTS > 0, POINTS**2, -POINTS))
    with pytest.raises(
        TypeError, match="numba_elementwise of branching: its derivative could not be traced .* derivative="
    ):
        fg.grad(lambda x: fnp.sum(f(x)))(POINTS)
    with pytest.raises(TypeError, match="numba_elementwise needs a function compiled by numba.njit"):
        fg.numba_elementwise(math.sin)


@pytest.mark.parametrize("compile", [lambda f: f, fg.jit], ids=["plain", "jit"])
def test_a_numba_function_of_whole_arrays(compile):
    x, rate = np.linspace(0.1, 0.9, 5), np.float64(3.2)
    for have, want in zip(compile(called)(x, rate), plain_orbit(x, rate), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-14)
    pick = lambda f: lambda x, r: f(x, r)[1] ** 2 + f(x, r)[0][0]
    for order in (fg.grad, fg.hessian):
        found = compile(order(pick(called), argnums=(0, 1)))(x, rate)
        want = order(pick(plain_orbit), argnums=(0, 1))(x, rate)
        for a, b in zip(fg.tree.leaves(found), fg.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)
    rates = np.array([1.0, 2.0, 3.0])
    found = compile(fg.vmap(fg.grad(pick(called)), (None, 0)))(x, rates)
    np.testing.assert_allclose(found, fg.vmap(fg.grad(pick(plain_orbit)), (None, 0))(x, rates), rtol=1e-12)


def test_a_given_derivative_of_whole_arrays():
    @numba.njit
    def running(x):
        out = np.empty_like(x)
        total = 0.0
        for i in range(len(x)):
            total += x[i] ** 2
            out[i] = total
        x[:] = 0  # its own copy
        return out

    def apply(x, **options):
        return fg.numba_call(running, fg.ShapeDtypeStruct(x.shape, x.dtype), x, **options)

    def derivative(primals, tangents):
        return fnp.cumsum(2 * primals[0] * tangents[0])

    x = np.arange(1.0, 5.0)
    found = fg.jit(fg.grad(lambda x: apply(x, derivative=derivative)[-1]))(x)
    np.testing.assert_array_equal(found, 2 * x)
    np.testing.assert_array_equal(x, np.arange(1.0, 5.0))
    with pytest.raises(TypeError, match="numba_call of running: its derivative could not be traced"):
        fg.grad(lambda x: apply(x)[-1])(x)
    with pytest.raises(TypeError, match="declared to return"):
        fg.numba_call(running, fg.ShapeDtypeStruct((2,), "float32"), x)
