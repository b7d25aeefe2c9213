"""funcgrad.lax against jax.lax: values, dtypes, jit and derivatives; and its strictness."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax

X = np.random.default_rng(0).permutation(12).reshape(3, 4) / 12 + 0.2
Y = np.random.default_rng(1).permutation(12).reshape(3, 4) / 12 + 0.3
N = np.arange(-6, 6).reshape(3, 4)
M = np.array([[1, 2, 3, 4], [-1, -2, -3, -4], [5, 6, 7, 8]])
Z = X + 1j * Y
CASES = [
    *[(name, (X,), {}) for name in (
        "neg abs floor ceil exp exp2 expm1 log log1p sqrt rsqrt cbrt square reciprocal sin cos tan sinh cosh tanh asinh "
        "atan sign is_finite erf erfc lgamma digamma logistic stop_gradient bessel_i0e bessel_i1e round conj"
    ).split()],
    *[(name, (X * 0.7,), {}) for name in ("asin", "acos", "atanh", "erf_inv")],
    ("acosh", (X + 1,), {}),
    *[(name, (X, Y), {}) for name in (
        "add sub mul div rem pow max min atan2 nextafter eq ne lt le gt ge complex igamma igammac"
    ).split()],
    *[(name, (N, M), {}) for name in "add sub mul div rem max bitwise_and bitwise_or bitwise_xor eq lt".split()],
    *[(name, (N, np.abs(M)), {}) for name in ("shift_left", "shift_right_logical", "shift_right_arithmetic")],
    ("bitwise_not", (N,), {}), ("population_count", (N,), {}), ("sign", (N,), {}), ("abs", (N,), {}),
    *[(name, (Z,), {}) for name in ("abs", "sign", "exp", "log", "sqrt", "real", "imag", "conj", "sin", "tanh")],
    ("betainc", (X + 1, Y + 1, X * 0.5), {}), ("zeta", (X + 2, Y), {}), ("polygamma", (X * 0 + 1, Y), {}),
    ("round", (N / 2, 1), {}), ("round", (N / 2, 0), {}), ("integer_pow", (X, 3), {}), ("integer_pow", (X, -2), {}),
    ("clamp", (0.4, X, 0.9), {}), ("clamp", (Y - 0.2, X, Y), {}), ("select", (X > Y, X, Y), {}),
    ("select_n", (X > Y, X, Y), {}), ("select_n", (np.abs(N).astype(np.int32) % 3, X, Y, X * Y), {}),
    ("convert_element_type", (X, np.float32), {}), ("convert_element_type", (X * 9, np.int32), {}),
    ("reduce_precision", (X, 5, 4), {}),
    ("broadcast", (X, (2, 5)), {}), ("broadcast_in_dim", (X, (3, 2, 4), (0, 2)), {}), ("iota", (np.float32, 5), {}),
    ("broadcasted_iota", (np.int32, (2, 3), 1), {}), ("full", ((2, 3), 1.5), {}), ("full_like", (X, 2), {}),
    ("reshape", (X, (2, 6)), {}), ("reshape", (X, (12,), (1, 0)), {}), ("transpose", (X, (1, 0)), {}),
    ("squeeze", (X[None, :, None], (0, 2)), {}), ("expand_dims", (X, (0, 3)), {}), ("concatenate", ([X, Y], 1), {}),
    ("pad", (X, 0.5, [(1, -1, 0), (0, 2, 1)]), {}), ("rev", (X, (0, 1)), {}), ("split", (X, (1, 3)), {"axis": 1}),
    ("slice", (X, (0, 1), (3, 4), (2, 1)), {}), ("slice_in_dim", (X, 1, 4), {"axis": 1, "stride": 2}),
    ("slice_in_dim", (X, -3, -1), {"axis": 1}), ("index_in_dim", (X, -1, 1, False), {}),
    ("dynamic_slice", (X, (1, 9), (2, 2)), {}), ("dynamic_slice", (X, (-1, -3), (1, 2)), {}),
    ("dynamic_slice_in_dim", (X, 2, 2), {"axis": 1}), ("dynamic_index_in_dim", (X, 2, 0, False), {}),
    ("dynamic_update_slice", (X, Y[:2, :2], (1, 5)), {}), ("dynamic_update_slice_in_dim", (X, Y[:1], 2, 0), {}),
    ("dynamic_update_index_in_dim", (X, Y[0], 1, 0), {}),
    *[(name, (X, (1,)), {}) for name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min")],
    *[(name, (N, (0, 1)), {}) for name in ("reduce_and", "reduce_or", "reduce_xor")],
    ("argmax", (X, 1, np.int32), {}), ("argmin", (X, 0, np.int64), {}),
    *[(name, (X,), {"axis": 1, "reverse": r}) for r in (False, True) for name in (
        "cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")],
    ("dot", (X, Y.T), {}), ("dot", (X[0], Y[0]), {}), ("batch_matmul", (X[None], Y.T[None]), {}),
    ("dot_general", (X, Y, (((1,), (1,)), ((0,), (0,)))), {}),
    ("index_take", (X, (np.array([2, 0]),), (0,)), {}),
]  # fmt: skip
IDS = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]
FLAT = {"full_like", "nextafter", "zeta", "polygamma", "betainc", "igamma", "igammac", "sign", "reduce_precision"}


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def split_arrays(args):
    """The float arrays among the arguments, and a function that puts others in their place."""
    at = [i for i, a in enumerate(args) if isinstance(a, np.ndarray) and a.dtype == np.float64]
    return [args[i] for i in at], lambda values: [values[at.index(i)] if i in at else a for i, a in enumerate(args)]


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES, ids=IDS)
def test_as_jax(jax, name, args, kwargs):
    ours, theirs = getattr(lax, name), getattr(jax.lax, name)
    want = theirs(*jax.tree.map(lambda a: jax.numpy.asarray(a) if isinstance(a, np.ndarray) else a, args), **kwargs)
    arrays, put = split_arrays(args)
    results = [ours(*args, **kwargs), fg.jit(lambda *a: ours(*put(a), **kwargs))(*arrays)]
    for have in results:
        for a, b in zip(jax.tree.leaves(have), jax.tree.leaves(want), strict=True):
            assert a.shape == b.shape
            assert np.asarray(a).dtype == b.dtype
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-10, atol=1e-12)
    if arrays and name not in FLAT and all(np.asarray(w).dtype == np.float64 for w in jax.tree.leaves(want)):
        slopes = fg.vjp(lambda *a: ours(*put(a), **kwargs), *arrays)[1](fg.tree.map(np.ones_like, results[0]))
        expected = jax.vjp(lambda *a: theirs(*put(a), **kwargs), *arrays)[1](jax.tree.map(jax.numpy.ones_like, want))
        for a, b in zip(slopes, expected, strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-7, atol=1e-9)


GATHERS = [
    (np.array([[0], [2], [7]]), dict(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,)), (1, 4)),
    (np.array([[0, 1], [2, 3]]), dict(offset_dims=(1, 2), collapsed_slice_dims=(), start_index_map=(0, 1)), (2, 2)),
    (np.array([[1], [3]]), dict(offset_dims=(0,), collapsed_slice_dims=(1,), start_index_map=(1,)), (3, 1)),
    (np.array([[[1], [0]]]), dict(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,)), (1, 3)),
]


@pytest.mark.parametrize("mode", ["clip", "fill"])
@pytest.mark.parametrize(("starts", "numbers", "sizes"), GATHERS)
def test_gather_and_scatter_as_jax(jax, starts, numbers, sizes, mode):
    ours = lax.gather(X, starts, lax.GatherDimensionNumbers(**numbers), sizes, mode=mode)
    theirs = jax.lax.gather(X, starts, jax.lax.GatherDimensionNumbers(**numbers), sizes, mode=mode)
    np.testing.assert_allclose(ours, np.asarray(theirs))
    names = dict(
        update_window_dims=numbers["offset_dims"],
        inserted_window_dims=numbers["collapsed_slice_dims"],
        scatter_dims_to_operand_dims=numbers["start_index_map"],
    )
    updates = np.arange(1.0, ours.size + 1).reshape(ours.shape) / 7
    for name in ("scatter_add", "scatter_mul", "scatter_min", "scatter_max"):
        have = getattr(lax, name)(X, starts, updates, lax.ScatterDimensionNumbers(**names), mode=mode)
        want = getattr(jax.lax, name)(X, starts, updates, jax.lax.ScatterDimensionNumbers(**names), mode=mode)
        np.testing.assert_allclose(have, np.asarray(want), err_msg=name)


def test_reduce_with_any_associative_function():
    found = lax.reduce((X, N), (0.0, 0), lambda a, b: (a[0] + b[0], a[1] * 0 + fg.numpy.maximum(a[1], b[1])), (1,))
    np.testing.assert_allclose(found[0], X.sum(1))
    np.testing.assert_array_equal(found[1], np.maximum(N.max(1), 0))
    np.testing.assert_allclose(lax.reduce(X[:, :3], 1.0, lax.mul, (0, 1)), X[:, :3].prod())
    np.testing.assert_allclose(lax.reduce(np.ones((2, 0)), 3.0, lax.add, (1,)), [3.0, 3.0])


def test_strictness():
    with pytest.raises(
        TypeError, match=r"lax.add needs arguments of one dtype, got float64, float32[\s\S]*convert_element_type"
    ):
        lax.add(X, X.astype(np.float32))
    with pytest.raises(TypeError, match=r"one shape or 0-d, got \(3, 4\), \(4,\)"):
        lax.mul(X, X[0])
    with pytest.raises(TypeError, match=r"one dtype"):
        lax.dot_general(X, N, (((1,), (1,)), ((), ())))
    assert lax.add(X.astype(np.float32), 2.0).dtype == np.float32
    with pytest.raises(ValueError, match="rounding_method"):
        lax.round(X, 7)
