"""funcgrad.numpy.linalg: NumPy's values, plain and under jit; both modes to second order; vmap; errors."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.testing import check_grads

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
S = A @ A.T + np.eye(3)
T = RNG.normal(size=(4, 3))
W = RNG.normal(size=(3, 4))
STACK = RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3)
C = A + 1j * RNG.normal(size=(3, 3))
B, V = RNG.normal(size=(3, 2)), RNG.normal(size=3)
L = jnp.linalg
SMOOTH = {
    "cholesky": (lambda a: L.cholesky(a @ a.T + 0.0), (A,)),
    "cholesky upper": (lambda a: L.cholesky(a @ a.T, upper=True), (A,)),
    "solve matrix": (L.solve, (A, B)), "solve vector": (L.solve, (A, V)), "solve stack": (L.solve, (STACK, B)),
    "solve complex": (L.solve, (C, B)), "inv": (L.inv, (STACK,)), "inv complex": (L.inv, (C,)), "det": (L.det, (STACK,)),
    "det complex": (L.det, (C,)), "slogdet": (lambda a: L.slogdet(a)[1], (STACK,)),
    "slogdet complex": (lambda a: tuple(L.slogdet(a)), (C,)),
    "eigvalsh": (lambda a: L.eigvalsh(a + a.T), (S,)),
    "eigh": (lambda a: (lambda w, v: v * w @ v.T)(*L.eigh(a + a.T)), (S,)),
    "eigvals": (lambda a: jnp.sum(jnp.abs(L.eigvals(a)) ** 2), (A,)),
    "svdvals": (L.svdvals, (T,)), "svd tall": (lambda a: (lambda u, s, v: (u * s**2) @ v)(*L.svd(a, False)), (T,)),
    "svd wide": (lambda a: (lambda u, s, v: (u * s**2) @ v)(*L.svd(a, False)), (W,)),
    "qr": (lambda a: tuple(L.qr(a)), (T,)), "qr wide": (lambda a: tuple(L.qr(a)), (W,)), "qr r": (lambda a: L.qr(a, "r"), (T,)),
    "pinv tall": (L.pinv, (T,)), "pinv wide": (L.pinv, (W,)), "lstsq": (lambda a, b: L.lstsq(a, b)[0], (T, RNG.normal(size=4))),
    "power": (lambda a: L.matrix_power(a, 3), (A,)), "power -2": (lambda a: L.matrix_power(a, -2), (STACK,)),
    "power 0": (lambda a: L.matrix_power(a, 0), (A,)), "multi_dot": (lambda a, b, c: L.multi_dot([a, b, c]), (V, A, B)),
    "norm": (L.norm, (T,)), "norm complex": (L.norm, (C,)), "norm keepdims": (lambda a: L.norm(a, axis=1, keepdims=True), (T,)),
    **{f"norm vector {o}": (lambda v, o=o: L.norm(v, o), (V,)) for o in (1, 2, 3, np.inf, -np.inf, 0.5)},
    **{f"norm matrix {o}": (lambda a, o=o: L.norm(a, o), (A,)) for o in (1, -1, 2, -2, "fro", "nuc", np.inf, -np.inf)},
    "norm axes": (lambda a: L.norm(a, 1, axis=(2, 0)), (STACK,)),
    "vector_norm": (lambda a: L.vector_norm(a, axis=(0, 2)), (STACK,)),
    "matrix_norm": (L.matrix_norm, (STACK,)), "cond": (L.cond, (A,)), "cond 1": (lambda a: L.cond(a, 1), (A,)),
    "tensorinv": (lambda a: L.tensorinv(a, 1), (A,)), "tensorsolve": (lambda a, b: L.tensorsolve(a, b), (A.reshape(3, 3), V)),
    "trace": (L.trace, (STACK,)), "diagonal": (L.diagonal, (STACK,)), "outer": (L.outer, (V, V + 1)),
    "cross": (L.cross, (V, B.T)), "matrix_transpose": (L.matrix_transpose, (STACK,)), "vecdot": (L.vecdot, (V, A)),
}  # fmt: skip


@pytest.mark.parametrize("case", SMOOTH)
def test_values_and_derivatives(case):
    f, args = SMOOTH[case]
    want = f(*args)
    fg.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), fg.jit(f)(*args), want)
    batched = fg.vmap(f)(*[a[None] for a in args])
    fg.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-9, atol=1e-11), batched, want)
    check_grads(f, args, 2, atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize(
    "name", ["cholesky", "inv", "det", "slogdet", "eigh", "eigvalsh", "svd", "qr", "pinv", "matrix_rank"]
)
def test_traced_values_are_numpys_up_to_signs(name):
    want = getattr(np.linalg, name)(S)
    have = fg.jit(getattr(L, name))(S)
    for a, b in zip(*[x if isinstance(x, tuple) else (x,) for x in (have, want)], strict=True):
        np.testing.assert_allclose(np.abs(a), np.abs(b), rtol=1e-8, atol=1e-10)
    if isinstance(want, tuple):
        assert have._fields == want._fields


def test_det_of_a_singular_matrix_has_its_cofactors():
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    np.testing.assert_allclose(fg.grad(L.det)(singular), [[4, -2], [-2, 1]], atol=1e-12)


def test_errors():
    with pytest.raises(np.linalg.LinAlgError, match=r"inv needs square matrices[\s\S]*\(4, 3\)"):
        fg.jit(L.inv)(T)
    with pytest.raises(np.linalg.LinAlgError, match=r"at least 2 axes"):
        fg.jit(L.det)(V)
    with pytest.raises(NotImplementedError, match="full_matrices=False"):
        fg.jit(L.svd)(T)
    with pytest.raises(NotImplementedError, match="mode='reduced'"):
        fg.jit(lambda a: L.qr(a, "complete"))(T)
    with pytest.raises(ValueError, match="UPLO"):
        fg.jit(lambda a: L.eigh(a, "X"))(S)
    with pytest.raises(ValueError, match="order 7"):
        fg.jit(lambda a: L.norm(a, 7))(A)
