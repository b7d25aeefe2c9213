"""Polynomials, windows and packed bits of funcgrad.numpy against NumPy, with derivatives."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.numpy import polynomials as p
from funcgrad.numpy import signal
from funcgrad.numpy.operators import dispatch

rng = np.random.default_rng(1)
C = rng.uniform(0.5, 2.0, 5)
S = rng.uniform(0.5, 2.0, 3)
X = np.linspace(-1, 2, 8)
SMOOTH = [
    (p.poly, (S,), {}),
    (p.polyadd, (C, S), {}),
    (p.polysub, (S, C), {}),
    (p.polymul, (C, S), {}),
    (p.polyder, (C,), {}),
    (p.polyder, (C,), {"m": 2}),
    (p.polyint, (C,), {}),
    (p.polyint, (C,), {"m": 2, "k": [1.0, 2.0]}),
    (p.polyval, (C, X.reshape(2, 4)), {}),
    (p.polyval, (C, np.array(0.5)), {}),
    (p.vander, (C,), {}),
    (p.vander, (C,), {"N": 3, "increasing": True}),
    (p.polyfit, (X, np.sin(X)), {"deg": 3}),
    (p.polyfit, (X, np.stack([np.sin(X), np.exp(X)], 1)), {"deg": 2, "w": np.arange(1.0, 9.0)}),
]


def _derivatives(g, args, rtol=1e-6):
    tangents = tuple(np.asarray(np.cos(np.arange(a.size))).reshape(a.shape) for a in args)
    step = 1e-6
    up, down = (g(*[a + s * t for a, t in zip(args, tangents, strict=True)]) for s in (step, -step))
    slope = (np.asarray(up) - np.asarray(down)) / (2 * step)
    _, tangent = fg.jvp(g, args, tangents)
    np.testing.assert_allclose(tangent, slope, rtol=rtol, atol=1e-6)
    out, pull = fg.vjp(g, *args)
    ct = np.asarray(np.sin(1 + np.arange(out.size))).reshape(out.shape)
    total = sum((c * t).sum() for c, t in zip(pull(ct), tangents, strict=True))
    np.testing.assert_allclose(total, (ct * slope).sum(), rtol=rtol, atol=1e-6)


@pytest.mark.parametrize(("f", "args", "kwargs"), SMOOTH, ids=[f"{i}-{c[0].__name__}" for i, c in enumerate(SMOOTH)])
def test_values_and_derivatives(f, args, kwargs):
    g = lambda *a: f(*a, **kwargs)
    expected = getattr(np, f.__name__)(*args, **kwargs)
    found = fg.jit(g)(*args)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(g(*args), expected)
    _derivatives(g, args)
    batched = fg.vmap(g)(*[np.stack([a, 1.5 * a]) for a in args])
    np.testing.assert_allclose(batched, np.stack([g(*args), g(*[1.5 * a for a in args])]), rtol=1e-8)


def test_polydiv():
    quotient, rest = fg.jit(p.polydiv)(C, S)
    expected = np.polydiv(C, S)
    np.testing.assert_allclose(quotient, expected[0])
    np.testing.assert_allclose(rest[-2:], expected[1][-2:])
    np.testing.assert_allclose(rest[:-2], 0, atol=1e-12)
    _derivatives(lambda u, v: p.polydiv(u, v)[0], (C, S))
    short = fg.jit(p.polydiv)(S, C)
    np.testing.assert_array_equal(short[1], S)


def test_roots():
    np.testing.assert_array_equal(p.roots(C), np.roots(C))
    np.testing.assert_array_equal(np.sort(p.roots(C, strip_zeros=False)), np.sort(np.roots(C).astype(complex)))
    assert p.roots(np.array([2.0]), strip_zeros=False).shape == (0,)
    with pytest.raises(TypeError, match="strip_zeros=False"):
        fg.jit(p.roots)(C)


@pytest.mark.skipif(np.linalg.eigvals not in dispatch, reason="needs numpy.linalg.eigvals on tracers")
def test_traced_roots():
    found = fg.jit(lambda c: p.roots(c, strip_zeros=False))(C)
    np.testing.assert_allclose(np.sort(found), np.sort(np.roots(C)))


def test_windows():
    for name in ("bartlett", "blackman", "hamming", "hanning"):
        np.testing.assert_array_equal(getattr(signal, name)(7), getattr(np, name)(7))
        with pytest.raises(TypeError, match="static"):
            fg.jit(getattr(signal, name))(7)
    np.testing.assert_array_equal(signal.kaiser(7, 2.0), np.kaiser(7, 2.0))


@pytest.mark.skipif(np.i0 not in dispatch, reason="needs numpy.i0 on tracers")
def test_kaiser_of_a_traced_beta():
    for n in (1, 6, 7):
        np.testing.assert_allclose(fg.jit(lambda b, n=n: signal.kaiser(n, b))(2.5), np.kaiser(n, 2.5))


@pytest.mark.parametrize("bitorder", ["big", "little"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_bits(bitorder, axis):
    for shape in ((3, 11), (16, 2), (0, 4)):
        bits = rng.integers(0, 3, shape)
        pack = lambda b: signal.packbits(b, axis=axis, bitorder=bitorder)
        packed = np.packbits(bits, axis=axis, bitorder=bitorder)
        np.testing.assert_array_equal(fg.jit(pack)(bits), packed)
        assert fg.jit(pack)(bits).dtype == np.uint8
        # NumPy leaves the padding of an empty input uninitialised.
        for count in (None, 5, -3, 40) if packed.size else (None,):
            kwargs = {"axis": axis, "count": count, "bitorder": bitorder}
            expected = np.unpackbits(packed, **kwargs)
            np.testing.assert_array_equal(
                fg.jit(lambda b, kwargs=kwargs: signal.unpackbits(b, **kwargs))(packed), expected
            )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fg.jit(lambda a: p.polyder(a, -1))(C), ValueError, "m >= 0"),
        (lambda: fg.jit(lambda a: p.polyint(a, 3, [1.0, 2.0]))(C), ValueError, "constants"),
        (lambda: fg.jit(lambda a: p.polyfit(a, a, 2, full=True))(C), TypeError, "full="),
        (lambda: fg.jit(p.vander)(np.ones((2, 2))), ValueError, "1-d"),
        (lambda: fg.jit(p.poly)(np.ones((2, 3))), ValueError, "square"),
        (lambda: fg.jit(signal.packbits)(C), TypeError, "integers"),
        (lambda: fg.jit(signal.unpackbits)(np.arange(3)), TypeError, "uint8"),
        (lambda: fg.jit(lambda a: signal.packbits(a, bitorder="x"))(np.arange(3)), ValueError, "bitorder"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
