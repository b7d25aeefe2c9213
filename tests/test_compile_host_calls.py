"""Host calls inside of compiled programs: Python that calls back, keeps or overwrites what it is given, or raises."""

import contextlib

import numpy as np
import pytest
from running_cases import compiled, marks
from running_cases import same_threads as same_threads

import funcgrad as fg
import funcgrad.numpy as fnp

pytestmark = marks


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
