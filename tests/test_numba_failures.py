"""What users' numba functions raise inside of compiled programs, where they are native steps."""

import math
import threading

import numpy as np
import pytest
from numba_cases import X, bump, compiled, hosts, like, numba, same, strictly

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax


@numba.njit
def picky(x):
    if x < 0:
        raise ValueError("a negative number came")
    return math.sqrt(x)


@numba.njit(error_model="python")
def inverse(x):
    return 1.0 / x


def test_one_element_raises():
    for fn, value, error, text in (
        (inverse, 0.0, ZeroDivisionError, "division by zero"),
        (picky, -1.0, ValueError, "a negative number came"),
    ):
        f = fg.jit(lambda x: fnp.sin(fg.numba_elementwise(fn)(x * 1.0)))
        fn(1.0)  # compiled with its own way to divide, not with that of ufuncs
        assert hosts(f, np.ones(3)) == []
        good, bad = np.ones(5000), np.ones(5000)
        bad[3210] = value
        for _ in range(2):
            same(f(good), np.sin(good))
            with pytest.raises(error, match=text):
                f(bad)


def test_a_whole_function_raises_in_the_midst_of_host_calls():
    seen = []

    def f(x):
        y = fnp.sort(x)
        z = strictly(y) + 1
        fg.debug.callback(lambda v: seen.append(float(v[0])), z)
        return fnp.sort(z)[::-1]

    g = fg.jit(f)
    same(g(X), 2 * X[::-1] + 1)
    with pytest.raises(ValueError, match="negative"):
        g(-X)
    same(g(X), 2 * X[::-1] + 1)
    assert len(seen) == 2


def test_results_that_are_not_as_declared():
    half = lambda x: fg.numba_call(shortened, like(x.shape, x.dtype), x)
    same(fg.jit(half)(np.ones(1)), np.ones(1))
    with pytest.raises(TypeError, match=r"shortened was declared to return f64\[4\], and returned f64\[2\]; correct"):
        fg.jit(half)(np.ones(4))
    with pytest.raises(TypeError, match=r"declared to return f32\[4\], and returned f64\[2\]"):
        fg.jit(lambda x: fg.numba_call(shortened, like(x.shape, "float32"), x))(np.ones(4))
    with pytest.raises(TypeError, match="declared to return the structure"):
        fg.jit(lambda x: fg.numba_call(shortened, (x, x), x))(np.ones(4))


@numba.njit
def shortened(x):
    return x[: (len(x) + 1) // 2]


def test_a_function_that_numba_cannot_compile():
    @numba.njit
    def wrong(x):
        return x.no_such_thing

    with pytest.raises(numba.core.errors.TypingError, match="no_such_thing"):
        fg.jit(lambda x: fg.numba_call(wrong, like(x.shape, x.dtype), x))(X)


def test_a_function_with_threads_of_its_own_stays_a_host_call():
    @numba.njit(parallel=True)
    def total(x):
        s = 0.0
        for i in numba.prange(len(x)):
            s += x[i]
        return s

    @numba.njit
    def twice(x):
        return 2 * total(x)

    f = lambda x: fg.numba_call(twice, like((), "float64"), x)
    assert hosts(f, X) == ["host call: njit_call"]
    with pytest.raises(NotImplementedError, match="'njit_call' is a host call"):
        _ = compiled(f, X).njit


@numba.njit
def moody(x):
    if np.random.random() < 0.5:
        raise ValueError("not now")
    return x


@numba.njit
def draws(seed):
    np.random.seed(seed)
    found = np.random.random(), np.random.random()
    np.random.seed(seed)
    return found


def test_what_the_host_can_do_again_raises_nothing():
    f = fg.jit(lambda x: fg.numba_elementwise(moody)(x) * 2)
    patient = next(n for n in range(50) if draws(n)[0] < 0.5 < draws(n)[1])
    for _ in range(3):
        draws(patient)
        assert f(np.ones(1))[0] == 2.0
    impatient = next(n for n in range(50) if max(draws(n)) < 0.5)
    draws(impatient)
    with pytest.raises(ValueError, match="not now"):
        f(np.ones(1))


def test_an_exception_in_a_loop_is_the_users_own():
    def scanned(x):
        return lax.scan(lambda c, _: (strictly(c) - 3.0, c), x, None, length=100)[0]

    with pytest.raises(ValueError) as raised:
        fg.jit(scanned)(np.full(3, 2.9))
    assert raised.value.args[0] == "negative" and raised.value.args[1] < 0
    f = fg.jit(scanned)
    for _ in range(2):
        same(f(np.full(3, 3.0)), np.full(3, 3.0))
        with pytest.raises(ValueError, match="negative"):
            f(np.full(3, 2.9))
    # Without its function's values the loop would never end.
    forever = fg.jit(lambda x: lax.while_loop(lambda c: True, lambda c: strictly(c) - 3.0, x))
    for _ in range(2):
        with pytest.raises(ValueError, match="negative"):
            forever(np.full(3, 2.9))


def test_calls_at_once_of_which_some_raise():
    f = fg.jit(lambda x: strictly(fg.numba_elementwise(bump)(x) - 1))
    good, bad = np.full(2000, 2.0), np.full(2000, -2.0)
    expected, wrong = np.asarray(f(good)), []

    def work(n):
        for k in range(60):
            if (n + k) % 2:
                if not np.array_equal(f(good), expected):
                    wrong.append("value")
                continue
            try:
                f(bad)
            except ValueError:
                continue
            wrong.append("silence")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_failure_inside_of_njit_and_cfunc():
    inner = compiled(lambda x: fg.numba_elementwise(picky)(x) + 1, 1.0)

    @numba.njit
    def outer(x):
        return inner_njit(x)

    inner_njit = inner.njit
    assert outer(4.0) == 3.0
    with pytest.raises(RuntimeError, match="a numba function inside of it raised"):
        outer(-4.0)
    c = inner.cfunc()
    assert c.ctypes(4.0) == 3.0 and math.isnan(c.ctypes(-4.0)) and c.ctypes(9.0) == 4.0


def test_donated_arguments():
    f = fg.jit(lambda x: fg.numba_elementwise(picky)(x + 1) - 1, donate_argnums=0)
    for _ in range(3):
        np.testing.assert_allclose(f(np.full(4000, 8.0)), np.full(4000, 2.0))
    with pytest.raises(ValueError, match="a negative number came"):
        f(np.full(4000, -2.0))
