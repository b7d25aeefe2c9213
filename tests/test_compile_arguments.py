"""Arguments of compiled programs, of all kinds: layouts, numbers, none, wrong ones; and results that nobody else changes."""

import gc
import sys
import warnings
import weakref

import numpy as np
import pytest
from running_cases import marks
from running_cases import same_threads as same_threads

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import execute, native

pytestmark = marks


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


def test_a_warm_call_counts_references_as_python_does():
    jitted, x, y = fg.jit(lambda x: x * 2.0), np.ones(3), np.ones(4)
    for _ in range(3):
        jitted(x), jitted(y)
    counts = [sys.getrefcount(obj) for obj in (0, 1, 2, x, y, np.dtype(float))]
    for _ in range(500):
        jitted(x)  # after y: not the types of the last Program, which the native side says by a number
        jitted(y)
    after = [sys.getrefcount(obj) for obj in (0, 1, 2, x, y, np.dtype(float))]
    assert all(abs(a - b) < 50 for a, b in zip(counts, after, strict=True)), (counts, after)


def test_frames_go_with_their_program():
    jitted, x = fg.jit(lambda x: x * 2.0 + 1.0), np.ones(3)
    jitted(x), jitted(x)
    made = execute.compiled(jitted.trace(x).program)
    words = weakref.ref(made.frames[0].words)
    del made
    jitted.clear_cache()
    gc.collect()
    assert words() is None
