"""Methods and properties of arrays: a tracer's and an Array's give what the ndarray's gives."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy
import funcgrad.numpy as jnp
import funcgrad.numpy.methods
import funcgrad.numpy.searching
import funcgrad.numpy.taking
from funcgrad.core.array import Array, wrap
from funcgrad.core.tracing import Tracer
from funcgrad.errors import ConcretizationTypeError

X = np.random.default_rng(0).permutation(12).reshape(3, 4) / 4.0 - 1.2
Z = X + 1j * X[::-1]
K = np.array([2, 0, 1])
CASES = {
    "sum": lambda x: (x.sum(), x.sum(0), x.sum(axis=(0, 1), keepdims=True)),
    "mean": lambda x: (x.mean(), x.mean(1)),
    "std": lambda x: (x.std(), x.std(0, ddof=1)),
    "var": lambda x: (x.var(), x.var(axis=-1, keepdims=True)),
    "prod": lambda x: (x.prod(), x.prod(0)),
    "max": lambda x: (x.max(), x.max(1), x.max(initial=9.0)),
    "min": lambda x: (x.min(), x.min(axis=0)),
    "argmax": lambda x: (x.argmax(), x.argmax(1)),
    "argmin": lambda x: (x.argmin(), x.argmin(axis=0)),
    "all": lambda x: ((x > -5).all(), x.all(0)),
    "any": lambda x: ((x > 5).any(), x.any(1)),
    "cumsum": lambda x: (x.cumsum(), x.cumsum(1)),
    "cumprod": lambda x: (x.cumprod(), x.cumprod(axis=0)),
    "reshape": lambda x: (x.reshape(4, 3), x.reshape((2, -1)), x.reshape(-1), x.reshape(6, 2, order="F")),
    "ravel": lambda x: (x.ravel(), x.ravel("F"), x.flatten()),
    "transpose": lambda x: (x.transpose(), x.transpose(0, 1), x.transpose((1, 0)), x.transpose(None), x.T, x.mT),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "squeeze": lambda x: (x[None].squeeze(), x[:, None].squeeze(1)),
    "astype": lambda x: (x.astype(np.float32), x.astype(int), x.astype("complex128"), x.astype(bool)),
    "copy": lambda x: x.copy(),
    "clip": lambda x: (x.clip(-0.5, 0.5), x.clip(max=0.2), x.clip(min=0.0)),
    "round": lambda x: (x.round(), x.round(1)),
    "conj": lambda x: (x.conj(), x.conjugate(), x.real, x.imag),
    "dot": lambda x: (x.dot(x.T), x.dot(x[0]), x.dot(2.0)),
    "repeat": lambda x: (x.repeat(2), x.repeat([1, 0, 2], axis=0)),
    "sizes": lambda x: np.asarray([x.nbytes, x.itemsize, x.size, x.ndim]),
}
LATER = {
    "take": (np.take, lambda x: (x.take(K), x.take(K, axis=1), x.take(5, mode="wrap"))),
    "sort": (np.sort, lambda x: (x.argsort(), x.argsort(0))),
    "diagonal": (np.diagonal, lambda x: (x.diagonal(), x.diagonal(1), x.diagonal(-1, 1, 0))),
    "trace": (np.trace, lambda x: (x.trace(), x.trace(1), x.trace(-1, 1, 0))),
    "compress": (np.compress, lambda x: (x.compress([True, False, True], 0), x.compress([False, True]))),
    "searchsorted": (np.searchsorted, lambda x: x[0].cumsum().searchsorted(0.3)),
    "choose": (np.choose, lambda x: (x > 0).astype(int).choose([1.0, 2.0])),
}  # fmt: skip


def _same(have, want):
    for h, w in zip(fg.tree.leaves(have), fg.tree.leaves(want), strict=True):
        assert np.asarray(h).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(np.asarray(h), np.asarray(w), rtol=1e-12)


def _everywhere(f, x):
    want = f(x)
    _same(f(wrap(x)), want)
    _same(fg.jit(f)(x), want)
    _same(fg.vmap(f)(x[None]), fg.tree.map(lambda v: np.asarray(v)[None], want))


@pytest.mark.parametrize("name", [n for n in CASES if n != "sizes"])
def test_a_method_gives_what_the_ndarrays_gives(name):
    _everywhere(CASES[name], X)
    _same(fg.jit(CASES[name])(X[:, ::-1]), CASES[name](X[:, ::-1]))


def test_sizes_and_complex_parts():
    _same(fg.jit(CASES["sizes"])(X), CASES["sizes"](X))
    _everywhere(CASES["conj"], Z)


@pytest.mark.parametrize("name", LATER)
def test_a_method_found_by_late_binding(name):
    from funcgrad.numpy.wrapping import dispatch

    function, f = LATER[name]
    if function not in dispatch:
        pytest.skip(f"numpy.{function.__name__} has no traced form in this build")
    _everywhere(f, X)


def test_derivatives_pass_through_methods():
    def f(x):
        return (x.T.reshape(-1).cumsum().clip(-1.0, 50.0) * x.ravel()).sum() / x.std()

    fg.testing.check_grads(f, (X,), 2)


def test_values_of_a_tracer():
    def f(x):
        assert x.tolist() == X.tolist() and x[0, 1].item() == X[0, 1] and x.item(2) == X[0, 2]
        assert x.block_until_ready() is x and x.device == "cpu"
        return x.sum()

    np.testing.assert_array_equal(fg.grad(f)(X), np.ones_like(X))
    for asked in (lambda x: x.item(), lambda x: x.tolist(), lambda x: x.astype(int).item(0)):
        with pytest.raises(ConcretizationTypeError):
            fg.jit(asked)(X[0, 0])


def test_a_view_of_a_tracer_is_refused():
    with pytest.raises(TypeError, match="astype"):
        fg.jit(lambda x: x.view(np.int64))(X)
    assert wrap(X).view(np.int64).dtype == np.int64


def test_an_array_sorts_into_a_copy():
    x = wrap(X.copy())
    np.testing.assert_array_equal(x.sort(), np.sort(X))
    np.testing.assert_array_equal(x.sort(axis=0, descending=True), np.sort(X, 0)[::-1])
    np.testing.assert_array_equal(x.sort(axis=None), np.sort(X, None))
    np.testing.assert_array_equal(x.partition(1)[:, 1], np.sort(X)[:, 1])
    np.testing.assert_array_equal(x.ptp(0), np.ptp(X, 0))
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize("name", ["fill", "put", "resize", "itemset", "setfield"])
def test_writing_methods_are_refused(name):
    for call in (lambda x: getattr(x, name)(1), lambda x: fg.jit(lambda y: getattr(y, name)(1))(x)):
        with pytest.raises(TypeError, match=r"\.at\[index\]"):
            call(wrap(X))


def test_numpys_own_functions_on_an_array():
    x = wrap(X.copy())
    calls = [
        np.sort, np.median, np.cov, lambda x: np.partition(x, 2), lambda x: np.percentile(x, 30), np.nanmedian,
        lambda x: np.concatenate([x, x]), lambda x: np.insert(x, 1, 5.0), np.sum, np.shape, lambda x: np.pad(x, 1),
        lambda x: np.apply_along_axis(np.sort, 0, x), lambda x: np.sort(a=x, axis=0),
    ]  # fmt: skip
    for call in calls:
        np.testing.assert_array_equal(call(x), call(X))
    assert type(np.sort(x)) is Array
    for write in (lambda: np.put(x, 0, 1.0), lambda: np.copyto(x, 0.0), lambda: np.fill_diagonal(x, 0.0)):
        with pytest.raises(TypeError, match="writes into x"):
            write()
    np.copyto(into := np.zeros_like(X), x)
    np.testing.assert_array_equal(into, X)
    np.testing.assert_array_equal(x, X)


def test_every_method_has_a_docstring():
    for name in (*CASES, *LATER):
        if name != "sizes":
            assert getattr(Tracer, name).__doc__


@pytest.mark.parametrize("name", ["dot", "matmul", "vdot", "inner", "vecdot", "tensordot"])
def test_products_take_jaxs_options(name):
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    f = getattr(jnp, name)
    pair = (x, x) if name in ("vdot", "inner", "vecdot") else (x, x.T)
    more = {"axes": 1} if name == "tensordot" else {}
    want = getattr(np, name)(*pair, **more)
    _same(f(*pair, precision="highest", **more), want)
    wide = f(*pair, preferred_element_type=np.float64, **more)
    assert isinstance(wide, fg.Array)
    _same(wide, want.astype(np.float64))
    _same(fg.jit(lambda a, b: f(a, b, preferred_element_type=np.float64, **more))(*pair), wide)
