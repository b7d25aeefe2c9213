"""Products made of something else: those with a small result and a long contraction of a batch, those of one term elementwise."""

import numpy as np
import pytest
from compile_cases import assert_same, program_of, reals, run_guarded, steps_of

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile import execute, native


def matrices(length, dtype, m=20, n=33):
    rng = np.random.default_rng(length)
    return rng.normal(size=(length, m)).astype(dtype), rng.normal(size=(length, n)).astype(dtype)


FORMS = {
    "x.T @ y": lambda x, y: x.T @ y,
    "sum over the last axes": lambda x, y: jnp.einsum("ak,bk->ab", x.T, y.T),
    "three axes": lambda x, y: jnp.einsum("kab,kc->abc", x.reshape(-1, 4, x.shape[1] // 4), y),
}


@pytest.mark.parametrize("length", [2047, 2048, 12_289, 100_003])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_of_tall_matrices(form, length, dtype):
    x, y = matrices(length, dtype)
    f = FORMS[form]
    want = np.asarray(f(x.astype(np.longdouble), y.astype(np.longdouble)), dtype=np.float64)
    got = fg.jit(f)(x, y)
    assert got.dtype == dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=200 * np.finfo(dtype).eps * np.sqrt(length))


def test_they_are_cut_and_others_are_not():
    def text(length, n):
        x, y = matrices(length, np.float32, 8, n)
        return str(fg.stages(lambda x, y: x.T @ y)(x, y)).partition("== simplified ==")[2].partition("== schedule")[0]

    assert "reduce_sum" in text(2048, 8)
    assert "reduce_sum" not in text(2047, 8)
    assert "reduce_sum" not in text(2048, 65)


def test_the_number_of_threads_does_not_change_a_bit():
    x, y = matrices(70_001, np.float32)
    f = fg.jit(lambda x, y: x.T @ y)
    found, before = [], native.native().threads
    try:
        for threads in (1, 2, 3):
            fg.set_num_threads(threads)
            found.append(f(x, y).tobytes())
    finally:
        fg.set_num_threads(before)
    assert len(set(found)) == 1


def test_their_gradient():
    x, y = matrices(8_500, np.float64, 3, 2)
    got = fg.jit(fg.grad(lambda x, y: jnp.sum((x.T @ y) ** 2), (0, 1)))(x, y)
    product = x.T @ y
    np.testing.assert_allclose(got[0], 2 * y @ product.T, atol=1e-9)
    np.testing.assert_allclose(got[1], 2 * x @ product, atol=1e-9)


def test_nan_and_infinity_stay():
    x, y = matrices(8_192, np.float32, 2, 2)
    x[17, 0], y[8_000, 1] = np.nan, np.inf
    got = fg.jit(lambda x, y: x.T @ y)(x, y)
    assert np.isnan(got[0]).all() and np.isfinite(got[1, 0]) and not np.isfinite(got[1, 1])


# ---- one term ----

COLUMNS, ROWS = reals(4, 5, 1), reals(4, 1, 6, seed=1)


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (jnp.outer, (reals(5), reals(7))),
        (jnp.matmul, (COLUMNS, ROWS)),
        (lambda a, b: jnp.einsum("bik,bkj->bji", a, b), (COLUMNS, ROWS)),
        (lambda a, b: jnp.tensordot(a, b, 0), (COLUMNS, reals(3))),
        (lambda a, b: jnp.exp(a) @ b + 1.0, (reals(6, 1), reals(1, 3))),
        (jnp.matmul, (reals(0, 1), reals(1, 3))),
        (jnp.dot, (reals(1), reals(1))),
        (fg.vmap(fg.grad(lambda w, x: jnp.sum(jnp.tanh(x @ w))), (None, 0)), (reals(5, 3), reals(8, 5))),
    ],
)
def test_sums_of_one_term_are_elementwise(f, args):
    compiled = steps_of(f, *args)
    assert not any(e.label == "gemm" and e.words[5] == 1 for e in compiled.entries)
    program = program_of(f, *args)
    assert_same(run_guarded(program, list(args)), execute.interpret(program, args))


@pytest.mark.parametrize("length", [2047, 2048, 5000, 20_001])
def test_long_products_are_cut_into_parts(length):
    x, y = reals(length, 8), reals(length, 6, seed=1)
    compiled = steps_of(lambda x, y: x.T @ y, x, y)
    product = compiled.entries[0]
    assert product.label == "gemm" and (product.units > 1) == (length >= 2048)
    program = program_of(lambda x, y: x.T @ y, x, y)
    assert_same(run_guarded(program, [x, y]), [x.T @ y], 1e-11)
