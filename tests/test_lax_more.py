"""lax's sorts, bits, layout, transforms and lax.linalg against jax.lax: values, jit, vmap and derivatives."""

import numpy as np
import pytest
import scipy.linalg

import funcgrad as fg
from funcgrad import lax

RNG = np.random.default_rng(0)
X = RNG.permutation(12).reshape(3, 4) / 12 + 0.2
TIES = RNG.integers(0, 3, (3, 4)) / 2
HOLES = np.array([[1.0, np.nan, -0.0, 0.0], [np.inf, -np.inf, np.nan, np.nan]])
N = RNG.integers(-(2**31), 2**31, (3, 4))
BIG = RNG.integers(-(2**62), 2**62, (2, 5)) * 2 + 1
Z = X + 1j * X[::-1]
S = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
D = S @ S.T
STACK = RNG.normal(size=(2, 3, 3)) + 2 * np.eye(3)
C = S + 1j * RNG.normal(size=(3, 3))
TALL, WIDE = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 4))
FFT = lax.FftType


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


SMOOTH = {
    "sort": (lambda ll, x: ll.sort(x), [X]), "sort 0": (lambda ll, x: ll.sort(x, dimension=0), [X]),
    "sort by two": (lambda ll, x: ll.sort((TIES, TIES[::-1], x), num_keys=2)[1:], [X]),
    "sort by one, 0": (lambda ll, x: ll.sort((TIES, x), 0)[1], [X]),
    "sort_key_val": (lambda ll, k, v: ll.sort_key_val(k, v), [X, X[::-1] * X]),
    "top_k": (lambda ll, x: ll.top_k(x, 2)[0], [X]), "top_k 0": (lambda ll, x: ll.top_k(x, 3, axis=0)[0], [X]),
    "approx_max_k": (lambda ll, x: ll.approx_max_k(x, 2)[0], [X]),
    "approx_min_k": (lambda ll, x: ll.approx_min_k(x, 2, 0)[0], [X]),
    "expand_dims": (lambda ll, x: ll.expand_dims(array=x, dimensions=(-1, 0)), [X]),
    "tile": (lambda ll, x: ll.tile(x, (2, 3)), [X]), "stack": (lambda ll, x, y: ll.stack([x, y], axis=-1), [X, X + 1]),
    "unstack": (lambda ll, x: ll.unstack(x, 1), [X]), "collapse": (lambda ll, x: ll.collapse(x, 1), [STACK]),
    "collapse some": (lambda ll, x: ll.collapse(x, 0, -1), [STACK]),
    "broadcast_to_rank": (lambda ll, x: ll.broadcast_to_rank(x, 4), [X]),
    "broadcast_like": (lambda ll, x: ll.broadcast_like(x, np.ones((2, 3, 4))), [X]),
    "optimization_barrier": (lambda ll, x, y: ll.optimization_barrier((x * y, y)), [X, X + 1]),
    "fft": (lambda ll, x: ll.fft(x, ll.FftType.FFT, (4,)), [Z]), "ifft": (lambda ll, x: ll.fft(x, "IFFT", (3, 4)), [Z]),
    "rfft": (lambda ll, x: ll.fft(x, ll.FftType.RFFT, (4,)), [X]), "irfft": (lambda ll, x: ll.fft(x, "irfft", (6,)), [Z]),
    "irfft odd": (lambda ll, x: ll.fft(x, ll.FftType.IRFFT, (3, 7)), [Z]),
    "dot by numbers": (lambda ll, a, b: ll.dot(a, b, dimension_numbers=(((1,), (1,)), ((), ()))), [X, X + 1]),
    "scatter_apply": (lambda ll, x: ll.scatter_apply(x, np.array([[2], [0]]), lambda v: v * v, ll.ScatterDimensionNumbers(
        (1,), (0,), (0,)), update_shape=(2, 4), unique_indices=True), [X]),
    "cholesky": (lambda ll, a: ll.linalg.cholesky(a @ a.T), [S]),
    "cholesky raw": (lambda ll, a: ll.linalg.cholesky(ll.mul(a, np.tril(np.ones((3, 3)))), symmetrize_input=False), [D]),
    "cholesky_update": (lambda ll, r, w: ll.linalg.cholesky_update(r, w), [np.linalg.cholesky(D).T, X[0, :3]]),
    "eigh": (lambda ll, a: (lambda v, w: (v * w) @ v.T)(*ll.linalg.eigh(a + a.T)), [S]),
    "eigh upper": (lambda ll, a: ll.linalg.eigh(a, lower=False, symmetrize_input=False)[1], [S]),
    "eig": (lambda ll, a: ll.abs(ll.linalg.eig(a, enable_eigvec_derivs=True)[0]).sum(), [S]),
    "svd": (lambda ll, a: ll.linalg.svd(a, full_matrices=False)[1], [TALL]),
    "svd values": (lambda ll, a: ll.linalg.svd(a, compute_uv=False), [WIDE]),
    "qr": (lambda ll, a: ll.abs(ll.linalg.qr(a, full_matrices=False)[1]), [TALL]),
    "lu": (lambda ll, a: ll.linalg.lu(a)[0], [S]), "lu stack": (lambda ll, a: ll.linalg.lu(a)[0], [STACK]),
    "lu tall": (lambda ll, a: ll.linalg.lu(a)[0], [TALL]), "lu wide": (lambda ll, a: ll.linalg.lu(a)[0], [WIDE]),
    "lu complex": (lambda ll, a: ll.linalg.lu(a)[0], [C]),
    "triangular right": (lambda ll, a, b: ll.linalg.triangular_solve(a, b, lower=True), [S, TALL]),
    "triangular left": (lambda ll, a, b: ll.linalg.triangular_solve(a, b, left_side=True), [S, WIDE]),
    "triangular transposed": (lambda ll, a, b: ll.linalg.triangular_solve(a, b, transpose_a=True, unit_diagonal=True), [S, TALL]),
    "triangular adjoint": (lambda ll, a, b: ll.linalg.triangular_solve(
        a, b, left_side=True, lower=True, transpose_a=True, conjugate_a=True), [C, C + 1]),
    "triangular vector": (lambda ll, a, b: ll.linalg.triangular_solve(a, b, left_side=True), [S, X[0, :3]]),
    "symmetric_product": (lambda ll, a, c: ll.linalg.symmetric_product(
        a, c + c.T, alpha=2.0, beta=0.5, symmetrize_output=True), [TALL.T, S]),
    "tridiagonal_solve": (lambda ll, d, b: ll.linalg.tridiagonal_solve(d * 0.1, d, d * 0.2, b), [X[0] + 1, X.T]),
    "igamma_grad_a": (lambda ll, a, x: ll.igamma_grad_a(a, x), [X * 4, X[::-1] * 3]),
    "random_gamma_grad": (lambda ll, a, x: ll.random_gamma_grad(a, x), [X * 4, X[::-1] * 3]),
}  # fmt: skip
FOR_US_ALONE = {
    "igamma_grad_a", "random_gamma_grad", "cholesky_update", "symmetric_product", "tridiagonal_solve", "scatter_apply",
    "cholesky raw",
}  # fmt: skip
"""Functions without derivatives in JAX, and one where JAX expects a symmetric tangent and we the triangle that is read."""


@pytest.mark.parametrize("case", SMOOTH)
def test_smooth_as_jax(jax, case):
    f, args = SMOOTH[case]
    ours, theirs = lambda *a: f(lax, *a), lambda *a: f(jax.lax, *a)
    want = theirs(*[jax.numpy.asarray(a) for a in args])
    close = lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-8, atol=1e-10)
    values = jax.tree.leaves(want)
    have = ours(*args)
    for found in (have, fg.jit(ours)(*args)):
        for a, b in zip(fg.tree.leaves(found), values, strict=True):
            assert (a.shape, np.asarray(a).dtype) == (b.shape, b.dtype)
            close(a, b)
    batched = fg.vmap(ours)(*[np.stack([a, a * 1.0625]) for a in args])
    fg.tree.map(lambda a, b: close(a[0], b), batched, have)
    if case not in ("igamma_grad_a", "random_gamma_grad"):
        fg.testing.check_grads(ours, args, 2, atol=1e-4, rtol=1e-4)
    if case not in FOR_US_ALONE:
        slopes = fg.vjp(ours, *args)[1](fg.tree.map(np.ones_like, have))
        expected = jax.vjp(theirs, *args)[1](jax.tree.map(jax.numpy.ones_like, want))
        for a, b in zip(slopes, expected, strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6, atol=1e-8)


FLAT = {
    **{f"sort {k}": (lambda ll, x: ll.sort(x), [v]) for k, v in {"nan": HOLES, "int": N, "bool": X > 0.6, "complex": Z}.items()},
    "sort with indices": (lambda ll, x, i: ll.sort((x, i), num_keys=1), [TIES, N]),
    "sort nan keys": (lambda ll, x, i: ll.sort([x, i]), [HOLES, np.arange(8).reshape(2, 4)]),
    "top_k ties": (lambda ll, x: ll.top_k(x, 4), [TIES]), "top_k nan": (lambda ll, x: ll.top_k(x, 3), [HOLES[:, :3]]),
    "top_k int": (lambda ll, x: ll.top_k(x, 0), [N]),
    "approx indices": (lambda ll, x: ll.approx_min_k(x, 2)[1], [X]),
    **{f"clz {d}": (lambda ll, x, d=d: ll.clz(ll.convert_element_type(x, d)), [np.array([0, 1, 2, 5, 100, 127])])
       for d in ("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64")},
    "clz negative": (lambda ll, x: ll.clz(x), [N]),
    **{f"mulhi {d}": (lambda ll, x, y, d=d: ll.mulhi(ll.convert_element_type(x, d), ll.convert_element_type(y, d)), [N, N[::-1]])
       for d in ("int32", "uint32", "int64", "uint64")},
    "mulhi big": (lambda ll, x, y: ll.mulhi(x, y), [BIG, BIG[::-1]]),
    "mulhi big unsigned": (lambda ll, x, y: ll.mulhi(ll.convert_element_type(x, "uint64"), ll.convert_element_type(y, "uint64")),
                           [BIG, BIG[::-1]]),
    "bitcast": (lambda ll, x: ll.bitcast_convert_type(x, np.int64), [X]),
    "bitcast narrow": (lambda ll, x: ll.bitcast_convert_type(x, np.uint8), [X]),
    "bitcast wide": (lambda ll, x: ll.bitcast_convert_type(ll.bitcast_convert_type(x, np.float32), np.float64), [X]),
    "bitcast same": (lambda ll, x: ll.bitcast_convert_type(x, np.complex128), [Z]),
    "shape_as_value": (lambda ll, x: ll.shape_as_value(x.shape), [X]),
    "empty": (lambda ll, x: ll.empty(x.shape, np.float32), [X]),
    "pivots": (lambda ll, x: ll.linalg.lu(x)[1:], [STACK]),
    "pivots tall": (lambda ll, x: ll.linalg.lu(x)[1:], [TALL[::-1]]),
    "permutation": (lambda ll, p: ll.linalg.lu_pivots_to_permutation(p, 5), [np.array([3, 3, 2], np.int32)]),
    "scatter_apply twice": (lambda ll, x: ll.scatter_apply(
        x, np.array([[2], [0], [7]]), lambda v: v * 2, ll.ScatterDimensionNumbers((), (0,), (0,)), update_shape=(3,)), [X[0]]),
    "precision": (lambda ll, x: ll.dot(x, x.T, precision=(ll.Precision.HIGH, ll.Precision("float32"))), [X]),
    "round": (lambda ll, x: ll.round(x, ll.RoundingMethod.TO_NEAREST_EVEN), [X * 10]),
}  # fmt: skip


@pytest.mark.parametrize("case", FLAT)
def test_flat_as_jax(jax, case):
    f, args = FLAT[case]
    want = jax.tree.leaves(f(jax.lax, *[jax.numpy.asarray(a) for a in args]))
    ours = lambda *a: f(lax, *a)
    for have in (ours(*args), fg.jit(ours)(*args)):
        for a, b in zip(fg.tree.leaves(have), want, strict=True):
            assert (a.shape, np.asarray(a).dtype) == (b.shape, b.dtype)
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12)


def test_bits_have_no_slope_and_choices_their_names(jax):
    back = lambda x: lax.bitcast_convert_type(lax.bitcast_convert_type(x, np.int64), np.float64)
    np.testing.assert_array_equal(back(X), X)
    np.testing.assert_array_equal(fg.grad(lambda x: back(x).sum())(X), 0 * X)
    for name in ("Precision", "RoundingMethod", "FftType"):
        ours, theirs = getattr(lax, name), getattr(jax.lax, name)
        assert [(m.name, m.value) for m in ours] == [(m.name, m.value) for m in theirs]
    assert lax.dtype(X) == np.float64


def test_scatter_apply_goes_in_order_where_a_place_comes_twice():
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    f = lambda x: lax.scatter_apply(x, np.array([[1], [1], [0]]), lambda v: v * v + 1, numbers, update_shape=(3,))
    x = X[0]
    np.testing.assert_allclose(f(x), [x[0] ** 2 + 1, (x[1] ** 2 + 1) ** 2 + 1, x[2], x[3]])
    np.testing.assert_allclose(fg.jit(f)(x), f(x))
    fg.testing.check_grads(f, (x,), 2)


@pytest.mark.parametrize("matrix", [TALL, S, C])
def test_reflectors(matrix):
    (packed, taus), r = scipy.linalg.qr(matrix, mode="raw")
    packed = np.ascontiguousarray(packed)
    q = scipy.linalg.qr(matrix)[0]
    np.testing.assert_allclose(lax.linalg.householder_product(packed, taus), q[:, : matrix.shape[1]], atol=1e-12)
    c = np.arange(1.0, 1 + 2 * len(q)).reshape(len(q), 2).astype(matrix.dtype)
    np.testing.assert_allclose(lax.linalg.ormqr(packed, taus, c), q @ c, atol=1e-12)
    np.testing.assert_allclose(lax.linalg.ormqr(packed, taus, c, transpose=True), q.conj().T @ c, atol=1e-12)
    np.testing.assert_allclose(
        fg.jit(lambda a: lax.linalg.ormqr(packed, taus, a, left=False))(c.T), c.T @ q, atol=1e-12
    )
    if matrix is TALL:
        fg.testing.check_grads(lax.linalg.householder_product, (packed, taus), 2)


def test_eig_from_both_sides():
    w, left, right = lax.linalg.eig(S)
    np.testing.assert_allclose(S @ right, right * w, atol=1e-12)
    np.testing.assert_allclose(left.conj().T @ S, w[:, None] * left.conj().T, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(left, axis=0), 1)
    assert len(lax.linalg.eig(S, compute_left_eigenvectors=False)) == 2


def test_subsets():
    v, w = lax.linalg.eigh(D, subset_by_index=(1, 3))
    np.testing.assert_allclose(w, np.linalg.eigvalsh(D)[1:])
    np.testing.assert_allclose(D @ v, v * w)
    u, s, vh = lax.linalg.svd(TALL, full_matrices=False, subset_by_index=(0, 1))
    np.testing.assert_allclose(s, np.linalg.svd(TALL)[1][:1])
    assert (u.shape, vh.shape) == ((4, 1), (1, 3))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lax.sort((X, X[0])), ValueError, "one shape"),
        (lambda: lax.sort((X, X), num_keys=3), ValueError, "between 1 and 2"),
        (lambda: lax.sort(X, num_keys=2), ValueError, "one array"),
        (lambda: lax.top_k(X, 5), ValueError, "between 0 and 4"),
        (lambda: lax.top_k(Z, 1), TypeError, "no order"),
        (lambda: lax.approx_max_k(X, 1, recall_target=2.0), ValueError, "recall_target"),
        (lambda: lax.approx_max_k(X, 1, aggregate_to_topk=False), NotImplementedError, "aggregate_to_topk"),
        (lambda: lax.approx_max_k(N, 1), TypeError, "floating"),
        (lambda: lax.expand_dims(X, (0, 0)), ValueError, "names a place twice"),
        (lambda: lax.linalg.tridiagonal_solve(X, X, X, X[..., None], perturb_singular=True), NotImplementedError, "perturb"),
        (lambda: lax.tile(X, (2,)), TypeError, "one number for each axis"),
        (lambda: lax.stack([X, N]), TypeError, "one shape and dtype"),
        (lambda: lax.stack([]), ValueError, "at least one"),
        (lambda: lax.collapse(X, 2, 1), ValueError, "are none"),
        (lambda: lax.broadcast_to_rank(X, 1), ValueError, "more than 1 axes"),
        (lambda: lax.bitcast_convert_type(X, bool), TypeError, "float64 as bool"),
        (lambda: fg.jit(lambda x: lax.bitcast_convert_type(x, np.complex64))(X), TypeError, "float64 as complex64"),
        (lambda: lax.bitcast_convert_type(X.astype(np.float32)[:, :3], np.float64), TypeError, "last axis must have size 2"),
        (lambda: lax.clz(X), TypeError, "integers"),
        (lambda: lax.fft(X, FFT.FFT, (3,)), ValueError, "needs last axes"),
        (lambda: lax.fft(Z, FFT.RFFT, (4,)), TypeError, "real array"),
        (lambda: lax.dot(X, X.T, precision="much"), ValueError, "no precision"),
        (lambda: lax.linalg.lu(N), TypeError, "floating or complex"),
        (lambda: lax.linalg.cholesky(TALL), ValueError, "square"),
        (lambda: lax.linalg.qr(S, pivoting=True), NotImplementedError, "pivoting"),
        (lambda: lax.linalg.triangular_solve(S, TALL, left_side=True), ValueError, "do not fit"),
        (lambda: lax.linalg.triangular_solve(S, TALL.astype(np.float32)), TypeError, "one dtype"),
        (lambda: lax.linalg.svd(S, subset_by_index=(0, 1)), ValueError, "full_matrices=False"),
        (lambda: lax.linalg.lu_pivots_to_permutation(np.arange(4), 3), ValueError, "at most 3"),
        (lambda: lax.linalg.tridiagonal_solve(X[0], X[0], X[0], X[0]), ValueError, "needs diagonals"),
        (lambda: lax.linalg.householder_product(WIDE, X[0]), ValueError, "do not fit"),
    ],
)  # fmt: skip
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
