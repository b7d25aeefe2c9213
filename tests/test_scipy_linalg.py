"""funcgrad.scipy.linalg against scipy.linalg and jax.scipy.linalg: values, jit, vmap, both modes to second order."""

import numpy as np
import pytest
import scipy.linalg

import funcgrad as fg
from funcgrad.scipy import linalg as sl

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 2 * np.eye(3)
SWAPPED = A[[2, 0, 1]]
S = A @ A.T + np.eye(3)
C = A + 1j * RNG.normal(size=(3, 3))
H = C @ C.conj().T + np.eye(3)
TALL, WIDE = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 4))
B, V = RNG.normal(size=(3, 2)), RNG.normal(size=3)
SYMMETRIC = lambda a: a + a.T
DEFINITE = lambda a: a @ a.conj().T + np.eye(3)
CASES = {
    "cholesky": (lambda m, a: m.cholesky(DEFINITE(a)), [A]),
    "cholesky lower": (lambda m, a: m.cholesky(DEFINITE(a), lower=True), [C]),
    "cho_solve": (lambda m, a, b: m.cho_solve(m.cho_factor(DEFINITE(a)), b), [A, B]),
    "cho_solve lower": (lambda m, a, b: m.cho_solve(m.cho_factor(DEFINITE(a), lower=True), b), [C, V]),
    "lu_factor": (lambda m, a: m.lu_factor(a)[0], [SWAPPED]),
    **{f"lu_solve {t}": (lambda m, a, b, t=t: m.lu_solve(m.lu_factor(a), b, trans=t), [SWAPPED, B]) for t in (0, 1, 2)},
    "lu_solve complex": (lambda m, a, b: m.lu_solve(m.lu_factor(a), b, trans=2), [C[::-1], V]),
    "lu": (lambda m, a: m.lu(a), [SWAPPED]), "lu tall": (lambda m, a: m.lu(a), [TALL]), "lu wide": (lambda m, a: m.lu(a), [WIDE]),
    "lu permuted": (lambda m, a: m.lu(a, permute_l=True), [SWAPPED]),
    "solve": (lambda m, a, b: m.solve(a, b), [A, B]), "solve vector": (lambda m, a, b: m.solve(a, b), [C, V]),
    "solve pos": (lambda m, a, b: m.solve(DEFINITE(a), b, assume_a="pos"), [A, V]),
    "solve pos lower": (lambda m, a, b: m.solve(DEFINITE(a), b, lower=True, assume_a="pos"), [A, B]),
    "solve sym": (lambda m, a, b: m.solve(SYMMETRIC(a), b, assume_a="sym"), [A, B]),
    **{f"solve_triangular {t} {low}": (lambda m, a, b, t=t, low=low: m.solve_triangular(a, b, t, low), [A, B])
       for t, low in ((0, False), (1, True), ("N", True), ("T", False))},
    "solve_triangular C": (lambda m, a, b: m.solve_triangular(a, b, "C", lower=True), [C, V]),
    "solve_triangular unit": (lambda m, a, b: m.solve_triangular(a, b, unit_diagonal=True), [A, B]),
    "inv": (lambda m, a: m.inv(a), [A]), "det": (lambda m, a: m.det(a), [C]),
    "qr": (lambda m, a: m.qr(a, mode="economic")[0] ** 2, [TALL]), "qr r": (lambda m, a: abs(m.qr(a, mode="r")[0]), [TALL]),
    "qr full": (lambda m, a: abs(m.qr(a)[1]), [A]),
    "svd": (lambda m, a: (lambda u, s, v: (u * s**3) @ v)(*m.svd(a, full_matrices=False)), [TALL]),
    "svd values": (lambda m, a: m.svd(a, compute_uv=False), [WIDE]),
    "eigh": (lambda m, a: (lambda w, v: (v * w**2) @ v.T)(*m.eigh(SYMMETRIC(a))), [A]),
    "eigh upper": (lambda m, a: m.eigh(a, lower=False, eigvals_only=True), [A]),
    "expm": (lambda m, a: m.expm(a), [A]), "expm small": (lambda m, a: m.expm(a * 0.01), [A]),
    "expm large": (lambda m, a: m.expm(a * 6), [A * 0.7]), "expm complex": (lambda m, a: m.expm(a), [C]),
    "expm_frechet": (lambda m, a, d: m.expm_frechet(a, d), [A, B @ B.T]),
    "polar": (lambda m, a: m.polar(a), [TALL]), "polar left": (lambda m, a: m.polar(a, side="left"), [WIDE]),
    "toeplitz": (lambda m, c, r: m.toeplitz(c, r), [V, WIDE[0]]), "toeplitz one": (lambda m, c: m.toeplitz(c), [C[0]]),
    "hankel": (lambda m, c, r: m.hankel(c, r), [V, WIDE[0]]), "hankel one": (lambda m, c: m.hankel(c), [V]),
    "circulant": (lambda m, c: m.circulant(c), [V]), "companion": (lambda m, c: m.companion(c), [WIDE[0] + 3]),
    **{f"convolution {mode} {n}": (lambda m, a, n=n, mode=mode: m.convolution_matrix(a, n, mode), [V])
       for mode in ("full", "same", "valid") for n in (2, 5)},
    "leslie": (lambda m, f, s: m.leslie(f, s), [WIDE[0], V]), "fiedler": (lambda m, a: m.fiedler(a), [V]),
    "block_diag": (lambda m, a, b, c: m.block_diag(a, b[:, 0], c), [A, B, WIDE]),
}  # fmt: skip


def close(a, b, **kwargs):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), **{"rtol": 1e-9, "atol": 1e-10, **kwargs})


@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives(case):
    f, args = CASES[case]
    ours = lambda *a: f(sl, *a)
    have, want = ours(*args), f(scipy.linalg, *args)
    leaves = list(want) if isinstance(want, tuple) else [want]
    for found in (have, fg.jit(ours)(*args)):
        for a, b in zip(fg.tree.leaves(found), leaves, strict=True):
            assert a.shape == np.shape(b)
            close(a, b)
    batched = fg.vmap(ours)(*[np.stack([a, a * 1.0625]) for a in args])
    fg.tree.map(lambda a, b: close(a[0], b), batched, have)
    if case != "fiedler":  # its diagonal is a kink
        fg.testing.check_grads(ours, args, 2, atol=5e-4, rtol=5e-4)


JAX_CASES = ["cho_solve lower", "lu_solve 1", "lu", "lu tall", "solve_triangular C", "svd", "eigh", "expm", "toeplitz"]


@pytest.mark.parametrize("case", JAX_CASES)
def test_slopes_as_jax(case):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    f, args = CASES[case]
    want = jax.vjp(lambda *a: f(jax.scipy.linalg, *a), *args)[1](jax.tree.map(
        jax.numpy.ones_like, f(jax.scipy.linalg, *[jax.numpy.asarray(a) for a in args])))  # fmt: skip
    ours = lambda *a: f(sl, *a)
    for a, b in zip(fg.vjp(ours, *args)[1](fg.tree.map(np.ones_like, ours(*args))), want, strict=True):
        close(a, b, rtol=1e-7)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize(("a", "b"), [(S, DEFINITE(TALL[:3])), (H, S)])
def test_generalised_eigenvalues(a, b, lower):
    w, v = sl.eigh(a, b, lower=lower)
    close(w, scipy.linalg.eigh(a, b, lower=lower, eigvals_only=True))
    close(a @ v, b @ v * w)
    close(v.conj().T @ b @ v, np.eye(3))
    close(fg.jit(lambda x, y: sl.eigh(x, y, lower=lower, eigvals_only=True))(a, b), w)
    fg.testing.check_grads(
        lambda x, y: sl.eigh(x + x.conj().T, DEFINITE(y), eigvals_only=True), (a, b), 2, atol=1e-3, rtol=1e-3
    )


def test_expm_of_stacks_triangles_and_large_norms():
    stack = np.stack([A * 0.01, A, A * 8])
    want = np.stack([scipy.linalg.expm(a) for a in stack])
    for f in (sl.expm, fg.jit(sl.expm), fg.vmap(sl.expm)):
        close(f(stack), want, rtol=1e-11)
    upper = np.triu(A)
    for f in (lambda a: sl.expm(a, upper_triangular=True), fg.jit(lambda a: sl.expm(a, upper_triangular=True))):
        close(f(upper), scipy.linalg.expm(upper))
    assert np.isnan(sl.expm(A * 100, max_squarings=2)).all()
    assert np.isnan(fg.jit(lambda a: sl.expm(a, max_squarings=2))(A * 100)).all()
    assert sl.expm(np.zeros((0, 0))).shape == (0, 0)
    assert sl.expm(A.astype(np.float32)).dtype == np.float32
    # The slope where some matrices of a stack need more squarings than others.
    close(fg.grad(lambda a: sl.expm(a).sum())(stack), np.stack([fg.grad(lambda a: sl.expm(a).sum())(a) for a in stack]))


def test_stacks_broadcast():
    a, b = np.stack([A, S]), RNG.normal(size=(5, 1, 3, 2))
    want = np.linalg.solve(a, b)
    for f in (sl.solve, lambda x, y: sl.lu_solve(sl.lu_factor(x), y)):
        close(f(a, b), want)
        close(fg.jit(f)(a, b), want)


@pytest.mark.parametrize(
    ("call", "want"),
    [
        (lambda m: m.hilbert(3), None), (lambda m: m.invhilbert(3), None), (lambda m: m.hadamard(4), None),
        (lambda m: m.hadamard(2, np.float32), None), (lambda m: m.helmert(4), None), (lambda m: m.helmert(3, full=True), None),
        (lambda m: m.dft(5), None), (lambda m: m.dft(4, "sqrtn"), None), (lambda m: m.dft(3, "n"), None),
        *[(lambda m, k=k: m.pascal(4, k), None) for k in ("symmetric", "lower", "upper")],
        *[(lambda m, k=k: m.invpascal(4, k), None) for k in ("symmetric", "lower", "upper")],
        (lambda m: m.block_diag(), np.zeros((1, 0))), (lambda m: m.block_diag(1, [2, 3]), None),
    ],
)  # fmt: skip
def test_matrices_of_a_size(call, want):
    close(call(sl), call(scipy.linalg) if want is None else want, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: sl.solve(TALL, V), ValueError, r"square matrices[\s\S]*\(4, 3\)"),
        (lambda: sl.solve(A, WIDE.T), ValueError, "do not fit"),
        (lambda: sl.solve(A, V, assume_a="banded"), ValueError, "assume_a"),
        (lambda: sl.solve(A, V, debug=True), NotImplementedError, "debug"),
        (lambda: sl.cholesky(-S), np.linalg.LinAlgError, "ositive definite"),
        (lambda: sl.lu_solve(sl.lu_factor(A), V, trans=3), ValueError, "trans"),
        (lambda: sl.solve_triangular(A, V, "X"), ValueError, "trans"),
        (lambda: sl.qr(A, mode="raw"), ValueError, "mode"),
        (lambda: sl.qr(A, pivoting=True), NotImplementedError, "pivoting"),
        (lambda: sl.svd(A, lapack_driver="gesvd"), NotImplementedError, "lapack_driver"),
        (lambda: sl.eigh(A, type=2), NotImplementedError, "type=2"),
        (lambda: sl.expm(TALL), ValueError, "square"),
        (lambda: sl.expm_frechet(A, np.eye(2)), ValueError, "differ"),
        (lambda: sl.expm_frechet(A, A, method="blockEnlarge"), NotImplementedError, "method"),
        (lambda: sl.polar(WIDE), NotImplementedError, "other side"),
        (lambda: sl.polar(A, side="up"), ValueError, "side"),
        (lambda: sl.companion([1.0]), ValueError, "at least 2"),
        (lambda: sl.leslie(V, V), ValueError, "one shorter"),
        (lambda: sl.convolution_matrix(V, 0), ValueError, "at least 1"),
        (lambda: sl.convolution_matrix(V, 2, "odd"), ValueError, "mode"),
        (lambda: sl.block_diag(np.ones((1, 1, 1))), ValueError, "at most 2"),
        (lambda: sl.dft(3, "half"), ValueError, "scale"),
        (lambda: sl.pascal(3, "round"), ValueError, "kind"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
