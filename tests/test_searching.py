"""where, nonzero, take, put, insert and the index arrays: values as NumPy's, jit, vmap, derivatives; size= as JAX's."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy
import funcgrad.numpy.methods
from funcgrad.errors import NonConcreteBooleanIndexError
from funcgrad.numpy import index_arrays as ia
from funcgrad.numpy import searching as s
from funcgrad.numpy import taking as t
from funcgrad.testing import check_grads

X = np.random.default_rng(0).permutation(12).reshape(3, 4) / 4.0 - 1.2
X3 = np.random.default_rng(1).permutation(60).reshape(3, 4, 5) / 7.0 - 3.1
K = np.array([2, 0, -1])
P = np.array([[2, 0, 1, 1], [0, 0, 2, 1]])
M = X > 0
J = np.array([0, 1, 0])

# (name, ours, numpy's): functions of one float array.
SMOOTH = [
    ("where", lambda x: s.where(M, x, 2 * x), lambda x: np.where(M, x, 2 * x)),
    ("where_number", lambda x: s.where(x[0] > 0, x, 1), lambda x: np.where(x[0] > 0, x, 1)),
    ("where_ints", lambda x: s.where([[1], [0], [2]], x, x[:1]), lambda x: np.where([[1], [0], [2]], x, x[:1])),
    ("compress", lambda x: s.compress([True, False, True], x, 0), lambda x: np.compress([True, False, True], x, 0)),
    ("compress_flat", lambda x: s.compress([0, 1, 1], x), lambda x: np.compress([0, 1, 1], x)),  # type: ignore[arg-type]
    ("extract", lambda x: s.extract(M, x), lambda x: np.extract(M, x)),
    ("select", lambda x: s.select([x > 1, M], [x**2, -x], 3.0), lambda x: np.select([x > 1, M], [x**2, -x], 3.0)),
    ("choose", lambda x: s.choose(J[:, None], [x, -x]), lambda x: np.choose(J[:, None], [x, -x])),
    ("choose_wrap", lambda x: s.choose([5, -1, 0, 1], [x[0], 1.0], mode="wrap"),
     lambda x: np.choose([5, -1, 0, 1], [x[0], 1.0], mode="wrap")),
    ("choose_clip", lambda x: s.choose([5, -1, 0, 1], [x, x + 1], mode="clip"),
     lambda x: np.choose([5, -1, 0, 1], [x, x + 1], mode="clip")),
    ("piecewise", lambda x: s.piecewise(x, [x < 0, x > 1], [lambda v: v**2, lambda v: -v, 7.0]),
     lambda x: np.piecewise(x, [x < 0, x > 1], [lambda v: v**2, lambda v: -v, 7.0])),
    ("piecewise_one", lambda x: s.piecewise(x, x > 0, [lambda v, a: a * v], 3.0),
     lambda x: np.piecewise(x, [x > 0], [lambda v, a: a * v], 3.0)),
    ("piecewise_overlap", lambda x: s.piecewise(x, [x > 0, x > 1], [1.0, lambda v: 2 * v]),
     lambda x: np.piecewise(x, [x > 0, x > 1], [1.0, lambda v: 2 * v])),
    ("take", lambda x: t.take(x, K, axis=1), lambda x: np.take(x, K, axis=1)),
    ("take_flat", lambda x: t.take(x, P), lambda x: np.take(x, P)),
    ("take_clip", lambda x: t.take(x, [-9, 1, 9], 1, mode="clip"), lambda x: np.take(x, [-9, 1, 9], 1, mode="clip")),
    ("take_wrap", lambda x: t.take(x, [-9, 1, 9], 0, mode="wrap"), lambda x: np.take(x, [-9, 1, 9], 0, mode="wrap")),
    ("take_one", lambda x: t.take(x, 1, 0), lambda x: np.take(x, 1, 0)),
    ("take_along", lambda x: t.take_along_axis(x, P, 0), lambda x: np.take_along_axis(x, P, 0)),
    ("take_along_one", lambda x: t.take_along_axis(x, P[:1], 0), lambda x: np.take_along_axis(x, P[:1], 0)),
    ("take_along_flat", lambda x: t.take_along_axis(x, K, None), lambda x: np.take_along_axis(x, K, None)),
    ("insert", lambda x: t.insert(x, 1, x[0], 0), lambda x: np.insert(x, 1, x[0], 0)),
    ("insert_column", lambda x: t.insert(x, 1, x[:, 0], 1), lambda x: np.insert(x, 1, x[:, 0], 1)),
    ("insert_many", lambda x: t.insert(x, [1, 3, 1], x[:, :3], 1), lambda x: np.insert(x, [1, 3, 1], x[:, :3], 1)),
    ("insert_in_list", lambda x: t.insert(x, [1], x[:, :2], 1), lambda x: np.insert(x, [1], x[:, :2], 1)),
    ("insert_flat", lambda x: t.insert(x, -2, 5), lambda x: np.insert(x, -2, 5)),
    ("insert_slice", lambda x: t.insert(x, slice(0, 3), x[0, :3]), lambda x: np.insert(x, slice(0, 3), x[0, :3])),
    ("delete", lambda x: t.delete(x, 1, 0), lambda x: np.delete(x, 1, 0)),
    ("delete_many", lambda x: t.delete(x, [0, 2, -1], 1), lambda x: np.delete(x, [0, 2, -1], 1)),
    ("delete_flat", lambda x: t.delete(x, slice(1, 9, 2)), lambda x: np.delete(x, slice(1, 9, 2))),
    ("delete_mask", lambda x: t.delete(x, M[0], 1), lambda x: np.delete(x, M[0], 1)),
    ("append", lambda x: t.append(x, x[:1] * 2), lambda x: np.append(x, x[:1] * 2)),
    ("append_axis", lambda x: t.append(x, x[:1] * 2, 0), lambda x: np.append(x, x[:1] * 2, 0)),
    ("diagonal", lambda x: t.diagonal(x), np.diagonal),
    ("diagonal_off", lambda x: t.diagonal(x, -1, 1, 0), lambda x: np.diagonal(x, -1, 1, 0)),
    ("diagonal_none", lambda x: t.diagonal(x, 7), lambda x: np.diagonal(x, 7)),
    ("trace", lambda x: t.trace(x, 1), lambda x: np.trace(x, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "ours", "theirs"), SMOOTH, ids=[c[0] for c in SMOOTH])
def test_values_jit_vmap_and_derivatives(name, ours, theirs):
    want = np.asarray(theirs(X))
    for have in (ours(X), fg.jit(ours)(X), fg.jit(ours)(X.T.copy().T)):
        assert have.dtype == want.dtype
        np.testing.assert_array_equal(have, want)
    if "where_number" not in name:
        np.testing.assert_array_equal(fg.vmap(ours)(np.stack([X, X])), np.stack([want, want]))
    check_grads(ours, (X,), 1)
    np.testing.assert_array_equal(fg.jit(theirs)(X), want) if "piecewise" not in name else None


def test_diagonals_of_three_axes():
    for args in [(0, 0, 1), (1, 2, 0), (-2, -1, 1)]:
        np.testing.assert_array_equal(fg.jit(lambda x, a=args: t.diagonal(x, *a))(X3), np.diagonal(X3, *args))
        np.testing.assert_array_equal(fg.jit(lambda x, a=args: t.trace(x, *a))(X3), np.trace(X3, *args))
    np.testing.assert_array_equal(fg.jit(lambda x: t.trace(x, dtype=np.float32))(X), np.trace(X, dtype=np.float32))


# (name, ours, what NumPy does in place)
WRITES = [
    ("put", lambda x, v: t.put(x, [0, -1, 5], v, inplace=False), lambda x, v: np.put(x, [0, -1, 5], v)),
    ("put_wrap", lambda x, v: t.put(x, [14, 2], v, "wrap", inplace=False), lambda x, v: np.put(x, [14, 2], v, "wrap")),
    ("put_clip", lambda x, v: t.put(x, [44, -9], v, "clip", inplace=False), lambda x, v: np.put(x, [44, -9], v, "clip")),
    ("place", lambda x, v: t.place(x, M, v, inplace=False), lambda x, v: np.place(x, M, v)),
    ("fill_diagonal", lambda x, v: t.fill_diagonal(x, v, inplace=False), lambda x, v: np.fill_diagonal(x, v)),
    ("put_along_axis", lambda x, v: t.put_along_axis(x, K[:, None], v[0], 1, inplace=False),
     lambda x, v: np.put_along_axis(x, K[:, None], v[0], 1)),
    ("put_along_flat", lambda x, v: t.put_along_axis(x, K, v[:1], None, inplace=False),
     lambda x, v: np.put_along_axis(x, K, v[:1], None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "ours", "theirs"), WRITES, ids=[c[0] for c in WRITES])
def test_writing_gives_a_new_array(name, ours, theirs):
    v = np.array([7.5, 8.5])
    want, x = X.copy(), X.copy()
    theirs(want, v)
    for f in (ours, fg.jit(ours)):
        np.testing.assert_array_equal(f(x, v), want)
    np.testing.assert_array_equal(fg.vmap(ours)(np.stack([X, X]), np.stack([v, v])), np.stack([want, want]))
    np.testing.assert_array_equal(x, X)
    check_grads(ours, (X, v), 1)
    with pytest.raises(ValueError, match="inplace=False"):
        fg.jit(theirs)(X, v)


def test_fill_diagonal_of_other_shapes():
    for shape, again in [((7, 3), False), ((7, 3), True), ((3, 7), False), ((3, 3, 3), False), ((0, 3), False)]:
        want = np.zeros(shape)
        np.fill_diagonal(want, [1.0, 2.0], again)
        f = fg.jit(lambda x, again=again: t.fill_diagonal(x, [1.0, 2.0], again, inplace=False))
        np.testing.assert_array_equal(f(np.zeros(shape)), want)
    for shape in [(3,), (2, 2, 3)]:
        with pytest.raises(ValueError, match="fill_diagonal"):
            t.fill_diagonal(np.zeros(shape), 1.0, inplace=False)


SIZED = [
    ("nonzero", (M,), {"size": 3}), ("nonzero", (M,), {"size": 20, "fill_value": -1}),
    ("nonzero", (M,), {"size": 9, "fill_value": (5, 6)}), ("nonzero", (np.zeros((2, 0)),), {"size": 2}),
    ("flatnonzero", (X,), {"size": 15}), ("argwhere", (M,), {"size": 8, "fill_value": 9}), ("where", (M,), {"size": 7}),
    ("compress", (M[0], X), {"axis": 1, "size": 3}), ("extract", (M, X), {"size": 9, "fill_value": 4.5}),
    ("extract", (M, X), {"size": 2}),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(SIZED)))
def test_size_as_in_jax(case):
    jax = pytest.importorskip("jax")
    name, args, options = SIZED[case]
    want = getattr(jax.numpy, name)(*args, **options)
    ours = getattr(s, name)
    for have in (ours(*args, **options), fg.jit(lambda *a: ours(*a, **options))(*args)):
        fg.tree.map(lambda h, w: np.testing.assert_allclose(h, np.asarray(w), rtol=1e-6), have, want)
    batched = fg.vmap(lambda *a: ours(*a, **options))(*[np.stack([a, a]) for a in args])
    fg.tree.map(lambda h, w: np.testing.assert_allclose(h[1], np.asarray(w), rtol=1e-6), batched, want)


@pytest.mark.parametrize("name", ["nonzero", "flatnonzero", "argwhere", "where"])
def test_places_without_size(name):
    ours, theirs = getattr(s, name), getattr(np, name)
    fg.tree.map(np.testing.assert_array_equal, ours(X), theirs(X))
    with pytest.raises(NonConcreteBooleanIndexError, match="size="):
        fg.jit(ours)(X)
    # Where the tracer has values, the places are known.
    place = (lambda x: ours(x)[0]) if name in ("nonzero", "where") else ours
    np.testing.assert_array_equal(fg.grad(lambda x: (x.ravel()[place(x)] * 2).sum())(X).shape, X.shape)


def test_take_and_put_outside_of_bounds():
    np.testing.assert_array_equal(t.take(X, [0, 9], 1, mode="fill")[:, 1], np.full(3, np.nan))
    np.testing.assert_array_equal(fg.jit(lambda x: t.take(x, [-1, -5], 1, fill_value=2.0))(X)[:, 1], np.full(3, 2.0))
    found = fg.jit(lambda x: t.take_along_axis(x, P + 2, 0, fill_value=-1.0))(X)
    np.testing.assert_array_equal(found, np.where(P + 2 < 3, np.take_along_axis(X, np.minimum(P + 2, 2), 0), -1.0))
    np.testing.assert_array_equal(t.put(X, [99], 1.0, "drop", inplace=False), X)
    for f in (lambda x: t.take(x, 99), lambda x: t.put(x, 99, 1.0, inplace=False)):
        for call in (f, fg.jit(f)):
            with pytest.raises(IndexError):
                call(X)
    with pytest.raises((IndexError, ValueError)):
        fg.jit(lambda x: s.choose([-1, 0, 0, 0], [x, x]))(X)
    with pytest.raises(ValueError, match="mode"):
        t.put(X, 0, 1.0, "clap", inplace=False)


def test_traced_places():
    np.testing.assert_array_equal(fg.jit(lambda x, i: t.take(x, i, 1))(X, K), np.take(X, K, 1))
    drop = fg.jit(lambda x, i: t.delete(x, i, 1, assume_unique_indices=True))
    np.testing.assert_array_equal(drop(X, np.array([3, 0])), np.delete(X, [3, 0], 1))
    for f in (lambda i: t.delete(X, i, 1), lambda i: t.insert(X, i, 0.0, 1)):
        with pytest.raises(TypeError, match="static"):
            fg.jit(f)(1)


def test_trim_zeros():
    x = np.array([0.0, 0, 1, 0, 2, 0])
    for trim in ("fb", "f", "b"):
        np.testing.assert_array_equal(t.trim_zeros(x, trim), np.trim_zeros(x, trim))
        f = lambda x, trim=trim: (t.trim_zeros(x, trim) ** 2).sum()
        np.testing.assert_array_equal(fg.grad(f)(x), 2 * x)
        have = fg.vjp(lambda x, trim=trim: t.trim_zeros(x, trim), np.zeros(3))[0]
        assert have.shape == np.trim_zeros(np.zeros(3), trim).shape
    with pytest.raises(NonConcreteBooleanIndexError):
        fg.jit(t.trim_zeros)(x)


INDEX = [
    ("diag_indices", (3,)), ("diag_indices", (2, 3)), ("tril_indices", (4, -1, 3)), ("triu_indices", (4, 1)),
    ("diag_indices_from", (np.ones((3, 3)),)), ("tril_indices_from", (X, 1)), ("triu_indices_from", (X, -1)),
    ("ix_", ([0, 2], [1, 3])), ("ix_", ([True, False, True], [1])), ("unravel_index", ([3, 11], (3, 4))),
    ("unravel_index", (7, (3, 4), "F")), ("ravel_multi_index", (([0, 2], [1, 3]), (3, 4))),
    ("ravel_multi_index", (([0, 5], [-1, 9]), (3, 4), "wrap")),
    ("ravel_multi_index", (([0, 5], [-1, 9]), (3, 4), ("clip", "wrap"), "F")),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(INDEX)))
def test_index_arrays(case):
    name, args = INDEX[case]
    ours, want = getattr(ia, name), getattr(np, name)(*args)
    fg.tree.map(np.testing.assert_array_equal, ours(*args), want)
    if name.endswith("from"):
        traced = fg.jit(lambda x: ours(x, *args[1:]))(args[0])
        fg.tree.map(np.testing.assert_array_equal, traced, want)


def test_index_arrays_of_tracers():
    a, b = np.array([0, 2]), np.array([1, 3, 0])
    np.testing.assert_array_equal(fg.jit(lambda i, j: fg.numpy.asarray(X)[ia.ix_(i, j)])(a, b), X[np.ix_(a, b)])
    for order in "CF":
        have = fg.jit(lambda i, order=order: ia.unravel_index(i, (3, 4), order))(np.array([3, 11]))
        fg.tree.map(np.testing.assert_array_equal, have, np.unravel_index([3, 11], (3, 4), order))
    f = fg.jit(lambda i, j: ia.ravel_multi_index((i, j), (3, 4), mode="clip"))
    np.testing.assert_array_equal(f([0, 7], [-1, 2]), np.ravel_multi_index(([0, 7], [-1, 2]), (3, 4), mode="clip"))
    with pytest.raises(TypeError, match="clip"):
        fg.jit(lambda i: ia.ravel_multi_index((i, i), (3, 4)))(a)
    with pytest.raises(NonConcreteBooleanIndexError):
        fg.jit(lambda m: ia.ix_(m))(M[0])
    fg.tree.map(np.testing.assert_array_equal, ia.mask_indices(3, np.triu, 1), np.mask_indices(3, np.triu, 1))
    assert ia.mask_indices(3, np.triu, 1, size=2)[0].shape == (2,)


def test_errors_say_what_to_write():
    cases = [
        (ValueError, "both", lambda x: s.where(x > 0, x)), (ValueError, "size=", lambda x: s.where(x > 0, x, x, size=3)),
        (TypeError, "boolean", lambda x: s.select([x], [x])), (ValueError, "axis", lambda x: s.nonzero(x[0, 0], size=1)),
        (ValueError, "functions", lambda x: s.piecewise(x, [x > 0], [1, 2, 3])),
        (TypeError, "integers", lambda x: t.take(x, x)), (ValueError, "two different", lambda x: t.diagonal(x, 0, 1, 1)),
        (ValueError, "2-d", lambda x: ia.tril_indices_from(x[0])), (ValueError, "1-d", lambda x: ia.ix_(x)),
    ]  # fmt: skip
    for error, text, f in cases:
        with pytest.raises(error, match=text):
            fg.jit(f)(X)


@pytest.mark.parametrize("x", [np.float64(0.5), np.zeros((0, 3)), X[::2, ::-1], np.zeros((2, 0))], ids=str)
def test_scalars_empty_and_strided_arrays(x):
    x = np.asarray(x)
    cases = [
        (lambda a: s.where(a > 0, a, -1.0), np.where(x > 0, x, -1.0)), (lambda a: t.append(a, 2.0), np.append(x, 2.0)),
        (lambda a: s.select([a > 1], [a]), np.select([x > 1], [x])), (lambda a: t.insert(a, 0, 4.0), np.insert(x, 0, 4.0)),
        (lambda a: t.take(a, np.zeros(0, int)), np.take(x, np.zeros(0, int))),
        (lambda a: s.piecewise(a, [a > 0], [lambda v: v + 1]), np.piecewise(x, [x > 0], [lambda v: v + 1])),
        (lambda a: s.extract(a > 0, a, size=2, fill_value=0.0), np.resize(np.append(np.extract(x > 0, x), [0, 0]), 2)),
        (lambda a: t.place(a, a > 0, 3.0, inplace=False), np.where(x > 0, 3.0, x)),
    ]  # fmt: skip
    for f, want in cases:
        have = fg.jit(f)(x)
        assert have.dtype == want.dtype
        np.testing.assert_array_equal(have, want)
