"""Creation functions and dtypes: NumPy's values and dtypes, with traced values and bounds, and their derivatives."""

import pickle

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.core.array import Array
from funcgrad.numpy import creation as c
from funcgrad.numpy import dtypes as d
from funcgrad.numpy import reductions
from funcgrad.testing import check_grads

X = np.array([[1.5, -2.0, 0.25], [3.0, 4.0, 5.5]])


def same(have, want, **kwargs):
    assert isinstance(have, Array)
    assert have.shape == np.shape(want)
    assert have.dtype == np.asarray(want).dtype
    np.testing.assert_allclose(np.asarray(have), want, **(kwargs or {"rtol": 0}))


PLAIN = [
    ("array", [[1, 2], [3, 4]]), ("array", 2.5), ("array", [1, 2.5], np.float32), ("asarray", X),
    ("ascontiguousarray", X.T),
    ("zeros", 3), ("zeros", (2, 3), np.int8), ("ones", (2,)), ("full", (2, 2), 7), ("full", 3, [1, 2, 3]),
    ("arange", 5), ("arange", 2, 9, 3), ("arange", 0.0, 1.0, 0.25), ("arange", 3, 0), ("arange", 1, 4, 1, np.float32),
    ("linspace", 0, 1, 5), ("linspace", X, 2, 4), ("linspace", 0, 10, 4, False), ("logspace", 0, 2, 3),
    ("geomspace", 1, 1000, 4), ("eye", 3), ("eye", 2, 4, 1), ("identity", 3), ("tri", 3, 4, -1), ("tril", X),
    ("triu", X, 1),
    ("indices", (2, 3)), ("diag", X), ("diag", X[0], 1), ("diagflat", X), ("copy", X), ("astype", X, np.int32),
    ("zeros_like", X), ("ones_like", X, np.int64), ("full_like", X, 3), ("fromstring", "1 2 3"),
]  # fmt: skip


@pytest.mark.parametrize("call", PLAIN, ids=[f"{call[0]}-{i}" for i, call in enumerate(PLAIN)])
def test_plain_values(call):
    name, *args = call
    kwargs = {"sep": " "} if name == "fromstring" else {}
    same(getattr(c, name)(*args, **kwargs), getattr(np, name)(*args, **kwargs))


TRACED = [
    ("asarray", X), ("copy", X), ("astype", X, np.int32), ("astype", X, np.float32), ("zeros_like", X),
    ("ones_like", X, np.float32), ("full_like", X, 3), ("full_like", X, 2.5, np.int32), ("tril", X), ("triu", X, 1),
    ("tril", np.arange(24.0).reshape(2, 3, 4), -1), ("triu", X[0]), ("tril", X.astype(np.int8)), ("diag", X),
    ("diag", X, 1), ("diag", X, -1), ("diag", X, 5), ("diag", X[0]), ("diag", X[0], 2), ("diag", X[0], -1),
    ("diagflat", X, 1),
    ("linspace", 0.5, 2.0, 5), ("linspace", 0.5, 2.0, 4, False), ("linspace", X, 2.0, 4), ("linspace", 0, 7, 5),
    ("linspace", 1.0, 5.0, 1), ("linspace", 1.0, 5.0, 0), ("logspace", 0.5, 2.0, 5),
    ("logspace", 0.5, 2.0, 5, True, 2.0),
    ("geomspace", 1.0, 100.0, 4), ("geomspace", -1.0, -100.0, 4), ("geomspace", 2.0, 100.0, 4, False),
    ("linspace", np.float32(1), np.float32(3), 7), ("linspace", 1 + 1j, 3.0, 5),
]  # fmt: skip


@pytest.mark.parametrize("call", TRACED, ids=[f"{call[0]}-{i}" for i, call in enumerate(TRACED)])
def test_traced_values(call):
    name, first, *rest = call
    want = getattr(np, name)(first, *rest)
    same(fg.jit(lambda x: getattr(c, name)(x, *rest))(first), want, rtol=1e-6 if want.dtype == np.float32 else 1e-13)
    if name != "asarray":
        found = fg.jit(lambda x: getattr(np, name)(x, *rest))(first)
        same(found, want, rtol=1e-6 if want.dtype == np.float32 else 1e-13)


def test_lists_that_hold_tracers():
    f = lambda x: c.array([[x, 2.0], [3, x * x]])
    same(fg.jit(f)(3.0), [[3.0, 2.0], [3.0, 9.0]])
    np.testing.assert_array_equal(fg.jacrev(f)(3.0), [[1, 0], [0, 6]])
    same(fg.jit(lambda x: c.array((x, X[0]), np.float32))(X[1]), np.stack([X[1], X[0]]).astype(np.float32))
    same(fg.jit(lambda x: c.array(x, ndmin=3))(X), X[None])
    same(fg.jit(lambda x: c.asarray([x, 1]))(2), [2, 1])
    same(fg.jit(lambda x: reductions.sum([x, 1.5]))(2.0), np.float64(3.5))
    same(fg.vmap(lambda x: c.array([x, 1.0]))(X[0]), [[1.5, 1], [-2, 1], [0.25, 1]])
    with pytest.raises(ValueError, match="different shapes"):
        fg.jit(lambda x: c.array([x, [1.0, 2.0]]))(2.0)
    with pytest.raises(ValueError, match="device"):
        c.zeros(3, device="gpu:0")


def test_sizes_must_have_values():
    for f in (c.zeros, lambda n: c.zeros((2, n)), c.eye, lambda n: c.full((n, 2), 1.0)):
        with pytest.raises(TypeError, match="static"):
            fg.jit(f)(3)
    with pytest.raises(TypeError, match="float"):
        fg.jit(c.arange)(3)
    assert fg.grad(lambda x: reductions.sum(c.arange(x, 5.0)))(0.5) == 5.0


def test_derivatives():
    check_grads(lambda a, b: c.linspace(a, b, 5), (0.5, 2.0), 2)
    check_grads(lambda a, b: c.geomspace(a, b, 5), (0.5, 2.0), 2, atol=1e-4, rtol=1e-4)
    check_grads(lambda a, b: c.logspace(a, b, 4), (0.1, 0.4), 2, atol=1e-3, rtol=1e-3)
    for f in (c.tril, c.triu, c.diag, c.diagflat, lambda x: c.diag(x, 1)):
        check_grads(f, (X,), 2)
    check_grads(lambda v: c.full((2, 3), v), (1.5,), 1)
    found = fg.vmap(c.diag)(np.stack([X, X * 2]))
    np.testing.assert_array_equal(found, [np.diag(X), np.diag(X * 2)])


@pytest.mark.parametrize("kwargs", [{}, {"indexing": "ij"}, {"sparse": True}, {"sparse": True, "indexing": "ij"}])
def test_meshgrid(kwargs):
    a, b, e = np.arange(3.0), np.arange(2), np.arange(4)
    for xs in ((a,), (a, b), (a, b, e)):
        want = np.meshgrid(*xs, **kwargs)
        for f in (c.meshgrid, np.meshgrid):
            have = fg.jit(lambda *v, f=f: tuple(f(*v, **kwargs)))(*xs)
            for x, y in zip(have, want, strict=True):
                same(x, y)
    assert all(isinstance(v, Array) for v in c.meshgrid(a, b))
    with pytest.raises(ValueError, match="indexing"):
        fg.jit(lambda v: c.meshgrid(v, indexing="yx"))(a)


def test_other_sources():
    same(
        c.fromfunction(lambda i, j: i * 10 + j, (2, 3), dtype=int),
        np.fromfunction(lambda i, j: i * 10 + j, (2, 3), dtype=int),
    )
    same(c.frombuffer(X.tobytes()), X.ravel())
    same(c.fromiter(iter([1, 2]), d.float32), np.array([1, 2], np.float32))
    same(c.from_dlpack(X), X)
    assert len(c.indices((2, 3), sparse=True)) == 2
    same(c.empty(3), np.zeros(3))
    same(c.empty_like(X, np.int32), np.zeros((2, 3), np.int32))
    same(c.zeros_like(X, shape=(4,)), np.zeros(4))
    step = fg.jit(lambda a: c.linspace(a, 2.0, 5, retstep=True))(1.0)[1]
    assert step == 0.25
    same(fg.jit(lambda a: c.linspace(a, 2.0, 4, axis=-1))(X), np.linspace(X, 2.0, 4, axis=-1), rtol=1e-14)
    same(fg.jit(lambda a: c.linspace(a, 5.0, 4, dtype=int))(0.0), np.linspace(0.0, 5.0, 4, dtype=int))


NAMES = ["bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
         "float64", "complex64", "complex128"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_dtype_names(name):
    kind, np_kind = getattr(d, name), getattr(np, name)
    assert np.dtype(kind) == np.dtype(np_kind)
    assert kind == np_kind
    assert np.dtype(np_kind) == kind
    assert kind != np.dtype("S3")
    assert hash(kind) == hash(np_kind)
    assert pickle.loads(pickle.dumps(kind)) == kind
    same(kind(3), np.asarray(3, np_kind))
    same(fg.jit(lambda x: kind(x))(X), X.astype(np_kind))
    same(c.zeros(2, kind), np.zeros(2, np_kind))
    same(c.array([1, 0]).astype(kind), np.array([1, 0]).astype(np_kind))
    assert d.issubdtype(kind, np.generic)
    assert d.issubdtype(kind, d.floating) == np.issubdtype(np_kind, np.floating)
    assert d.isdtype(kind, "real floating") == np.isdtype(np.dtype(np_kind), "real floating")
    assert (d.finfo if np.dtype(kind).kind in "fc" else d.iinfo if np.dtype(kind).kind in "iu" else d.dtype)(kind)


def test_promotion():
    assert d.result_type(d.int8, 1) == np.int8
    assert d.result_type(np.float32(1), 1.0) == np.float32
    assert d.result_type(d.int32, d.float32) == np.float64
    seen = []
    fg.jit(lambda x, y: seen.append((d.result_type(x, y), d.result_type(x, 2.0))) or x)(np.float32(1), 2)
    assert seen == [(np.dtype(np.float32), np.dtype(np.float32))]
    assert d.promote_types(d.int8, "uint8") == np.int16
    assert d.can_cast(d.int8, d.int16)
    assert not d.can_cast(X, d.float32)
    assert d.can_cast(X, d.float32, "same_kind")
    with pytest.raises(TypeError):
        d.can_cast(3, d.int8)
    assert isinstance(c.zeros(2), d.ndarray)
    assert d.newaxis is None
    assert (d.pi, d.e, d.inf) == (np.pi, np.e, np.inf)
