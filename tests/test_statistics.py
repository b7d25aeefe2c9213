"""The statistics of funcgrad.numpy: NumPy's values when traced, derivatives against finite differences, vmap = loop."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.numpy import differences as d
from funcgrad.numpy import histograms as h
from funcgrad.numpy import statistics as s

rng = np.random.default_rng(0)
X = rng.permutation(15).reshape(3, 5) + rng.uniform(0.1, 0.9, (3, 5))
V = rng.normal(size=7)
W = rng.normal(size=4)
HOLES = np.where(X > 11, np.nan, X)
METHODS = [
    "linear", "lower", "higher", "midpoint", "nearest", "hazen", "weibull", "median_unbiased", "normal_unbiased",
    "interpolated_inverted_cdf", "inverted_cdf", "averaged_inverted_cdf",
]  # fmt: skip

# (function, differentiable arguments, keywords): the arguments are traced.
SMOOTH = [
    *[(s.quantile, (X,), {"q": q, "axis": 1, "method": m}) for m in METHODS for q in (0.3, 0.5, 0.0, 1.0)],
    (s.quantile, (X,), {"q": np.array([[0.1, 0.5]]), "axis": (0, 1), "keepdims": True}),
    (s.percentile, (X,), {"q": [10, 99], "axis": 0}),
    (s.median, (X,), {}),
    (s.median, (X[:, :4],), {"axis": 1, "keepdims": True}),
    (s.median, (X.T,), {"axis": (0, 1)}),
    (s.cov, (X,), {}),
    (s.cov, (X, X[::-1] ** 2), {"rowvar": False, "bias": True}),
    (s.cov, (V,), {"fweights": np.array([1, 2, 3, 1, 1, 1, 2]), "aweights": np.arange(1.0, 8.0)}),
    (s.cov, (V,), {"aweights": np.arange(1.0, 8.0), "ddof": 1}),
    (s.corrcoef, (X,), {}),
    (d.diff, (X,), {}),
    (d.diff, (X,), {"n": 2, "axis": 0}),
    (d.diff, (X,), {"prepend": 0.0, "append": np.ones((3, 2))}),
    (d.ediff1d, (X,), {"to_begin": np.array([1.0, 2.0]), "to_end": 3.0}),
    (d.gradient, (X,), {"axis": 1}),
    (d.gradient, (V,), {"edge_order": 2}),
    (d.trapezoid, (X,), {"dx": 0.5, "axis": 0}),
    (d.trapezoid, (X, np.sort(X[0])), {}),
    (d.unwrap, (V * 9,), {}),
    (d.unwrap, (X,), {"axis": 0, "period": 5.0, "discont": 3.0}),
    *[(f, (a, b), {"mode": m}) for f in (d.convolve, d.correlate) for m in ("full", "same", "valid")
      for a, b in ((V, W), (W, V), (V[:3], V))],
    (h.interp, (np.array([-1.0, 0.3, 1.7, 9.0]), np.array([0.0, 1.0, 2.5]), np.array([1.0, 3.0, -2.0])), {}),
    (h.interp, (np.array([[-1.0, 0.3]]), np.array([0.0, 1.0]), np.array([1.0, 3.0])), {"left": 7.0, "right": 8.0}),
    (h.interp, (np.array([-1.0, 0.3]), np.array([0.0]), np.array([2.0])), {}),
]  # fmt: skip
IDS = [f"{i}-{c[0].__name__}" for i, c in enumerate(SMOOTH)]


@pytest.mark.parametrize(("f", "args", "kwargs"), SMOOTH, ids=IDS)
def test_values_and_derivatives(f, args, kwargs):
    expected = getattr(np, f.__name__)(*args, **kwargs)
    g = lambda *a: f(*a, **kwargs)
    found = fg.jit(g)(*args)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(f(*args, **kwargs), expected)
    tangents = tuple(np.asarray(np.cos(np.arange(a.size))).reshape(a.shape) for a in args)
    step = 1e-6
    up, down = (g(*[a + s * t for a, t in zip(args, tangents, strict=True)]) for s in (step, -step))
    slope = (np.asarray(up) - np.asarray(down)) / (2 * step)
    _, tangent = fg.jvp(g, args, tangents)
    np.testing.assert_allclose(tangent, slope, rtol=1e-6, atol=1e-7)
    out, pull = fg.vjp(g, *args)
    ct = np.asarray(np.sin(1 + np.arange(out.size))).reshape(out.shape)
    total = sum((c * t).sum() for c, t in zip(pull(ct), tangents, strict=True))
    np.testing.assert_allclose(total, (ct * slope).sum(), rtol=1e-6, atol=1e-7)
    batched = fg.vmap(g)(*[np.stack([a, 2 * a]) for a in args])
    both = np.stack([g(*args), g(*[2 * a for a in args])])
    np.testing.assert_allclose(batched, both, rtol=1e-12, atol=1e-12)


B = np.array([0.0, 1.0, 2.5, 7.0])
FLAT = [
    (h.digitize, (X, B), {}),
    (h.digitize, (X, B), {"right": True}),
    (h.histogram_bin_edges, (X,), {"bins": 4}),
    (h.histogram, (X,), {"bins": 4}),
    (h.histogram, (X,), {"bins": 4, "range": (2.0, 9.0), "density": True}),
    (h.histogram, (X, B), {}),
    (h.histogram2d, (V, V**2), {"bins": 3}),
    (h.histogram2d, (V, V**2), {"bins": [3, B]}),
    (h.histogramdd, (X,), {"bins": 2}),
    (h.histogramdd, (X,), {"bins": (2, 3, 2, 1, 2), "density": True}),
    (s.nanmedian, (HOLES,), {"axis": 1}),
    (s.nanquantile, (HOLES,), {"q": 0.3, "axis": 0}),
    (s.nanpercentile, (HOLES,), {"q": 30.0, "method": "hazen"}),
    (s.median, (HOLES,), {"axis": 1}),
    (s.median, (np.array([np.inf, np.inf, 1.0, np.inf]),), {}),
    (s.median, (np.arange(4),), {}),
    (s.quantile, (X.astype(np.float32),), {"q": 0.3}),
    (s.quantile, (np.arange(6),), {"q": 0.3, "method": "lower"}),
    (s.cov, (X[:2] + 1j * X[1:],), {}),
    (s.corrcoef, (X[:2] + 1j * X[1:],), {}),
    (d.diff, (np.array([True, False, False]),), {}),
    (d.gradient, (X,), {}),
    (h.interp, (np.array([-3.0, 0.3, 11.7]), np.array([5.0, 1.0, 2.5]), V[:3]), {"period": 6.0}),
]  # fmt: skip


@pytest.mark.parametrize(("f", "args", "kwargs"), FLAT, ids=[f"{i}-{c[0].__name__}" for i, c in enumerate(FLAT)])
def test_values(f, args, kwargs):
    found = fg.jit(lambda *a: f(*a, **kwargs))(*args)
    expected = getattr(np, f.__name__)(*args, **kwargs)
    for a, b in zip(*[fg.tree.leaves(v) for v in (found, expected)], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_derivative_of_a_median_with_ties_is_shared():
    x = np.array([1.0, 2.0, 2.0, 2.0, 5.0])
    np.testing.assert_allclose(fg.grad(s.median)(x), [0, 1 / 3, 1 / 3, 1 / 3, 0])
    np.testing.assert_allclose(fg.grad(s.median)(np.array([1.0, 2.0, 4.0, 4.0])), [0, 0.5, 0.25, 0.25])
    np.testing.assert_allclose(fg.grad(s.nanmedian)(np.array([1.0, np.nan, 3.0, 7.0])), [0, 0, 1, 0])


def test_bincount():
    x = np.array([1, 0, 3, 1, 9, -2])
    np.testing.assert_array_equal(h.bincount(x, length=4), [2, 2, 0, 1])
    np.testing.assert_array_equal(fg.jit(lambda x: h.bincount(x, length=4))(x), [2, 2, 0, 1])
    np.testing.assert_array_equal(h.bincount(x[:5], minlength=12), np.bincount(x[:5], minlength=12))
    w = np.arange(6.0)
    count = lambda w: h.bincount(x, w, length=4)
    np.testing.assert_array_equal(count(w), [6, 3, 0, 2])
    _, pull = fg.vjp(count, w)
    np.testing.assert_array_equal(pull(np.array([1.0, 2.0, 3.0, 4.0]))[0], [2, 1, 4, 2, 0, 1])
    xs = np.stack([x, x + 1])
    np.testing.assert_array_equal(fg.vmap(lambda x: h.bincount(x, length=4))(xs), [h.bincount(v, length=4) for v in xs])
    with pytest.raises(TypeError, match="length="):
        fg.jit(h.bincount)(x)


def test_weights_of_a_histogram():
    f = lambda w: h.histogram(V, bins=3, weights=w)[0]
    w = np.arange(7.0)
    np.testing.assert_allclose(fg.jit(f)(w), f(w))
    out, pull = fg.vjp(f, w)
    np.testing.assert_allclose((pull(out)[0] * w).sum(), (out * out).sum())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fg.jit(s.quantile)(X, 0.5), TypeError, "static"),
        (lambda: fg.jit(lambda x: s.quantile(x, 0.5, method="closest_observation"))(X), ValueError, "methods"),
        (lambda: fg.jit(lambda x: s.quantile(x, 1.5))(X), ValueError, "between"),
        (lambda: fg.jit(lambda x: s.median(x, out=X))(X), TypeError, "out="),
        (lambda: fg.jit(lambda x: h.histogram(x, bins="auto"))(X), TypeError, "number of bins"),
        (lambda: fg.jit(lambda x: d.convolve(x, x))(X), ValueError, "1-d"),
        (lambda: fg.jit(lambda x: d.diff(x, n=-1))(X), ValueError, "n >= 0"),
        (lambda: fg.jit(lambda x: d.gradient(x, 1.0, 2.0, 3.0))(X), TypeError, "spacings"),
        (lambda: fg.jit(lambda x: h.interp(x, V, W))(X), ValueError, "one length"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
