"""Reductions and cumulative functions: NumPy's values, dtypes and errors, plain and traced; derivatives; ties."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.core.array import Array, wrap
from funcgrad.numpy import cumulative, flat_ufuncs, nan_reductions, reductions, ufuncs
from funcgrad.ops import cumulative as rows
from funcgrad.testing import check_grads

rng = np.random.default_rng(0)
X = rng.permutation(np.arange(24.0)).reshape(2, 3, 4) / 7 - 1.3
GAPS = X.copy()
GAPS[0, 1, 2] = GAPS[1, 0, 0] = np.nan
MASK = rng.uniform(size=(2, 3, 4)) < 0.7
MASK[:, 0, :] = True

AXES = [{}, {"axis": 0}, {"axis": -1}, {"axis": (0, 2)}, {"axis": 1, "keepdims": True}, {"keepdims": True}]
MANY = ["sum", "prod", "max", "min", "mean", "std", "var", "all", "any", "ptp", "count_nonzero", "amax", "amin",
        "nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanstd", "nanvar"]  # fmt: skip
SINGLE = ["argmax", "argmin", "nanargmax", "nanargmin"]
RUNNING = ["cumsum", "cumprod", "nancumsum", "nancumprod"]
SMOOTH = ["sum", "prod", "max", "min", "mean", "std", "var", "ptp", "nansum", "nanprod", "nanmax", "nanmin", "nanmean",
          "nanstd", "nanvar"]  # fmt: skip


def ours(name):
    module = next(m for m in (reductions, nan_reductions, cumulative) if name in vars(m))
    return vars(module)[name]


def same(have, want, **kwargs):
    assert isinstance(have, (Array, int))
    assert np.shape(have) == np.shape(want)
    assert np.asarray(have).dtype == np.asarray(want).dtype
    np.testing.assert_allclose(np.asarray(have), want, **(kwargs or {"rtol": 1e-13, "atol": 1e-15}))


def agree(name, x, *args, **kwargs):
    """Plain, traced, and NumPy's own function on a tracer."""
    f, np_f = ours(name), getattr(np, name)
    want = np_f(x, *args, **kwargs)
    for g in (f, fg.jit(lambda v: f(v, *args, **kwargs)), fg.jit(lambda v: np_f(v, *args, **kwargs))):
        same(g(x, *args, **kwargs) if g is f else g(x), want)


CALLS = (
    [(n, k) for n in MANY for k in AXES]
    + [(n, k) for n in SINGLE for k in AXES if not isinstance(k.get("axis"), tuple)]  # type: ignore[attr-defined]
    + [(n, k) for n in RUNNING for k in ({}, {"axis": 0}, {"axis": -1})]
)


@pytest.mark.parametrize(("name", "kwargs"), CALLS)
def test_values(name, kwargs):
    agree(name, GAPS if name.startswith("nan") else X, **kwargs)
    agree(name, np.asfortranarray(X)[:, ::-1], **kwargs)
    if "axis" not in kwargs:
        agree(name, np.float64(1.5).reshape(()), **kwargs)


@pytest.mark.parametrize("name", [*MANY, *SINGLE, *RUNNING])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float32", "complex128"])
def test_dtypes(name, dtype):
    if dtype == "bool" and name == "ptp":
        pytest.skip("NumPy refuses to subtract booleans")
    agree(name, (X * 3).astype(dtype), axis=1)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "std", "var", "all", "any", "nansum", "nanmean", "nanvar"])
def test_where(name):
    agree(name, X, axis=1, where=MASK)
    agree(name, X, axis=(0, 1), where=MASK[0, :, :1], keepdims=True)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "nansum", "nanprod", "nanmax", "nanmin"])
def test_initial(name):
    agree(name, X, axis=1, initial=0.5)
    agree(name, X, axis=1, initial=0.5, where=MASK)
    agree(name, X[:, :0], axis=1, initial=0.5)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "std", "var", "cumsum", "cumprod", "nansum"])
def test_dtype_argument(name):
    agree(name, X.astype(np.float32), axis=1, dtype=np.float64)


@pytest.mark.parametrize("name", ["std", "var", "nanstd", "nanvar"])
def test_degrees_of_freedom_and_given_mean(name):
    agree(name, X, axis=1, ddof=1)
    agree(name, X, axis=1, correction=1)
    agree(name, X, axis=1, mean=X.mean(1, keepdims=True))
    with pytest.raises(ValueError, match="correction"):
        fg.jit(lambda x: ours(name)(x, ddof=1, correction=1))(X)


def test_empty_sums_and_refusals():
    for name in ("sum", "prod", "all", "any", "count_nonzero"):
        agree(name, np.zeros((0, 3)), axis=0)
    for name in ("max", "min", "argmax", "ptp"):
        with pytest.raises(ValueError, match="no values"):
            fg.jit(lambda x, name=name: ours(name)(x, axis=0))(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="initial"):
        fg.jit(lambda x: reductions.max(x, where=MASK))(X)
    with pytest.raises(np.exceptions.AxisError, match="axis=3"):
        fg.jit(lambda x: reductions.sum(x, axis=3))(X)
    with pytest.raises(ValueError, match="twice"):
        fg.jit(lambda x: reductions.sum(x, axis=(0, -3)))(X)
    with pytest.raises(TypeError, match="out"):
        fg.jit(lambda x: reductions.sum(x, 0, None, np.zeros((3, 4))))(X)
    with pytest.raises(TypeError, match="out"):
        fg.jit(lambda x: np.sum(x, out=np.zeros(())))(X)


def test_average():
    w = rng.uniform(0.5, 1, 3)
    agree("average", X)
    agree("average", X, axis=1, weights=w)
    agree("average", X, axis=1, weights=w, keepdims=True)
    agree("average", X, weights=np.abs(X) + 1)
    agree("average", np.arange(6), weights=np.arange(6))
    for f in (reductions.average, fg.jit(lambda a, **k: reductions.average(a, axis=1, weights=w, returned=True))):
        have = f(X, axis=1, weights=w, returned=True) if f is reductions.average else f(X)
        for a, b in zip(have, np.average(X, axis=1, weights=w, returned=True), strict=True):
            same(a, b)
    check_grads(lambda x, w: reductions.average(x, 1, w), (X, w), 2, atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="weights"):
        fg.jit(lambda x: reductions.average(x, axis=0, weights=w))(X)


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name):
    for kwargs in ({"axis": 1}, {"axis": (0, 2), "keepdims": True}, {}):
        check_grads(lambda x, k=kwargs: ours(name)(x, **k), (X,), 2, atol=1e-3, rtol=1e-3)
    if name.startswith("nan"):
        found = np.asarray(fg.grad(lambda x: ours(name)(x))(GAPS))
        assert np.isfinite(found).all()
        assert (found[np.isnan(GAPS)] == 0).all()


@pytest.mark.parametrize("name", [*SMOOTH, "argmax", "all", "count_nonzero", *RUNNING])
def test_vmap_is_a_loop(name):
    f = ours(name)
    want = np.stack([np.asarray(f(row, axis=0)) for row in X])
    np.testing.assert_allclose(np.asarray(fg.vmap(lambda row: f(row, axis=0))(X)), want, rtol=1e-12, atol=1e-14)


def test_ties_and_equal_values():
    np.testing.assert_array_equal(fg.grad(reductions.max)(np.array([1.0, 3.0, 3.0])), [0, 0.5, 0.5])
    np.testing.assert_array_equal(fg.grad(reductions.std)(np.full(3, 2.0)), [0, 0, 0])
    np.testing.assert_array_equal(fg.grad(nan_reductions.nanstd)(np.full(3, 2.0)), [0, 0, 0])
    np.testing.assert_array_equal(fg.grad(reductions.prod)(np.array([0.0, 2.0, 3.0])), [6, 0, 0])
    assert fg.jit(lambda x: nan_reductions.nanargmax(x))(np.full(3, np.nan)) == -1
    assert np.isnan(fg.jit(nan_reductions.nanmax)(np.full(3, np.nan)))


def test_complex_variance_is_real():
    z = X + 1j * X[::-1]
    agree("var", z, axis=1)
    agree("std", z, axis=1)
    check_grads(lambda z: reductions.var(z, axis=1), (z,), 1, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("ufunc", "method"), [
    (np.add, "reduce"), (np.multiply, "reduce"), (np.maximum, "reduce"), (np.minimum, "reduce"),
    (np.logical_and, "reduce"), (np.logical_or, "reduce"), (np.logaddexp, "reduce"),
    (np.add, "accumulate"), (np.multiply, "accumulate"), (np.maximum, "accumulate"), (np.minimum, "accumulate"),
    (np.logaddexp, "accumulate"),
])  # fmt: skip
def test_methods_of_ufuncs(ufunc, method):
    f = getattr(ufunc, method)
    same(fg.jit(f)(X), f(X))
    same(fg.jit(lambda x: f(x, axis=1))(X), f(X, axis=1))
    own = getattr(next(vars(m)[ufunc.__name__] for m in (ufuncs, flat_ufuncs) if ufunc.__name__ in vars(m)), method)
    same(wrap(own(X, axis=1)), f(X, axis=1))
    same(fg.jit(own)(X), f(X))


def test_none_is_not_given():
    same(reductions.sum(X, where=None, initial=None), X.sum())
    same(reductions.max(X, where=None, initial=None), X.max())
    same(fg.jit(lambda x: reductions.sum(x, where=None, initial=None))(X), X.sum())


def test_outer_and_unknown_methods():
    a, b = X[0, 0], X[0, :, 0]
    same(fg.jit(lambda x: np.subtract.outer(x, b))(a), np.subtract.outer(a, b))
    same(fg.jit(lambda x: np.subtract.outer(b, x))(a), np.subtract.outer(b, a))
    same(ufuncs.subtract.outer(b, a), np.subtract.outer(b, a))
    same(fg.jit(lambda x: ufuncs.power.outer(x, 2))(b), np.power.outer(b, 2))
    with pytest.raises(TypeError, match="subtract.accumulate"):
        fg.jit(np.subtract.accumulate)(X)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_cumulative_functions_of_the_standard(name):
    agree(name, X[0, 0])
    agree(name, X, axis=1)
    agree(name, X, axis=-1, include_initial=True)
    agree(name, X.astype(np.float32), axis=1, dtype=np.float64)
    with pytest.raises(ValueError, match="axis"):
        fg.jit(ours(name))(X)


@pytest.mark.parametrize("name", RUNNING)
def test_derivatives_of_running_sums_and_products(name):
    check_grads(lambda x: ours(name)(x, axis=1), (X,), 2, atol=1e-3, rtol=1e-3)
    if name.startswith("nan"):
        assert np.isfinite(np.asarray(fg.grad(lambda x: reductions.sum(ours(name)(x)))(GAPS))).all()


def test_running_extremes_and_log_sums():
    x = np.array([1.0, 3.0, 3.0, 2.0, np.nan, 4.0])
    np.testing.assert_array_equal(rows.cummax(x, axis=0, reverse=False), [1, 3, 3, 3, np.nan, np.nan])
    np.testing.assert_array_equal(rows.cummin(x[:4], axis=0, reverse=True), [1, 2, 2, 2])
    found = fg.grad(lambda v: reductions.sum(rows.cummax(v, axis=0, reverse=False)))(x[:4])
    np.testing.assert_array_equal(found, [1, 1, 2, 0])
    far = np.array([-800.0, 0.0, 800.0, -np.inf])
    found = fg.jacrev(lambda v: rows.cumlogsumexp(v, axis=0, reverse=False))(far)
    np.testing.assert_allclose(found, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]])
    ahead = fg.jacfwd(lambda v: rows.cumlogsumexp(v, axis=0, reverse=True))(X[0, 0])
    behind = fg.jacrev(lambda v: rows.cumlogsumexp(v, axis=0, reverse=True))(X[0, 0])
    np.testing.assert_allclose(ahead, behind, rtol=1e-12)
