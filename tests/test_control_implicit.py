"""custom_root and custom_linear_solve against JAX: both modes, orders, batches, under jit; and what they refuse."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

RNG = np.random.default_rng(0)
A = RNG.normal(size=(4, 4)) + 4 * np.eye(4)
B = RNG.normal(size=4)


def close(have, want, rtol=1e-7):
    for a, b in zip(fg.tree.leaves(have), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=1e-9)


def newton(m, np_, lax_):
    def solve(f, x):
        def step(state):
            x, _ = state
            y, slope = m.jvp(f, (x,), (np_.ones_like(x),))
            return x - y / slope, y

        return lax_.while_loop(lambda s: np_.abs(s[1]) > 1e-13, step, (x, np_.ones_like(x)))[0]

    return solve


def cube_root(a, m, np_, lax_):
    return lax_.custom_root(lambda x: x**3 - a * a - 1.0, 1.0, newton(m, np_, lax_), lambda g, y: y / g(1.0))


def system(theta, m, np_, lax_):
    """A vector root of a tree, its tangent solved by the Jacobian."""
    f = lambda x: {"v": A @ x["v"] + np_.tanh(x["v"]) * theta - B}

    def solve(f, guess):
        step = lambda i, x: {"v": x["v"] - np_.linalg.solve(m.jacfwd(lambda v: f({"v": v})["v"])(x["v"]), f(x)["v"])}
        return lax_.fori_loop(0, 12, step, guess)

    def tangent_solve(g, y):
        flat = lambda v: g({"v": v})["v"]
        return {"v": np_.linalg.solve(m.jacobian(flat)(y["v"]), y["v"])}

    return np_.sum(lax_.custom_root(f, {"v": np_.zeros(4)}, solve, tangent_solve)["v"] ** 3)


def direct(w, m, np_, lax_):
    matrix = A * w + w * w * np_.eye(4)
    x = lax_.custom_linear_solve(
        lambda v: matrix @ v,
        np_.sin(B * w),
        lambda mv, b: np_.linalg.solve(matrix, b),
        lambda vm, b: np_.linalg.solve(matrix.T, b),
    )
    return np_.sum(x * x)


def conjugate_gradients(np_, lax_):
    def solve(mv, b):
        def step(state):
            x, r, p, rr = state
            ap = mv(p)
            alpha = rr / np_.sum(p * ap)
            r_new = r - alpha * ap
            rr_new = np_.sum(r_new * r_new)
            return x + alpha * p, r_new, r_new + (rr_new / rr) * p, rr_new

        start = (np_.zeros_like(b), b, b, np_.sum(b * b))
        return lax_.while_loop(lambda s: s[3] > 1e-26, step, start)[0]

    return solve


def symmetric(w, m, np_, lax_):
    matrix = A.T @ A + w * np_.eye(4)
    x = lax_.custom_linear_solve(lambda v: matrix @ v, B * w, conjugate_gradients(np_, lax_), symmetric=True)
    return np_.sum(np_.sin(x))


def nested(a, m, np_, lax_):
    """A root inside of a scan, and of a function with a linear solve inside."""

    def step(c, b):
        f = lambda x: (
            x**3
            + lax_.custom_linear_solve(lambda v: (2.0 + c * c) * v, x, lambda mv, y: y / mv(1.0), symmetric=True)
            - b
        )
        x = lax_.custom_root(f, 1.0, newton(m, np_, lax_), lambda g, y: y / g(1.0))
        return c + x, x

    last, xs = lax_.scan(step, a, np_.asarray([1.0, 2.0, 3.0]))
    return last * np_.sum(xs)  # fmt: skip


PROGRAMS = {"cube root": cube_root, "system": system, "direct": direct, "symmetric": symmetric, "nested": nested}


@pytest.fixture(params=PROGRAMS)
def case(request):
    f = PROGRAMS[request.param]
    return (lambda v: f(v, fg, jnp, lax)), (lambda v: f(v, jax, jax.numpy, jax.lax))


def test_values_and_first_derivatives(case):
    ours, theirs = case
    close(ours(1.3), theirs(1.3))
    close(fg.jit(ours)(1.3), theirs(1.3))
    want = jax.grad(theirs)(1.3)
    for f in (fg.grad(ours), fg.jacfwd(ours), fg.jit(fg.grad(ours)), fg.jit(fg.jacfwd(ours)), fg.grad(fg.jit(ours))):
        close(f(1.3), want)


def test_second_derivatives(case):
    ours, theirs = case
    want = jax.jacfwd(jax.jacfwd(theirs))(1.3)
    for f in (fg.grad(fg.grad(ours)), fg.jacfwd(fg.grad(ours)), fg.jit(fg.grad(fg.jacfwd(ours)))):
        close(f(1.3), want, 1e-6)


def test_batches(case):
    ours, theirs = case
    w = np.array([1.3, 0.8, 2.0])
    close(fg.vmap(ours)(w), jax.vmap(theirs)(w))
    close(fg.jit(fg.vmap(fg.grad(ours)))(w), jax.vmap(jax.grad(theirs))(w))
    close(fg.grad(lambda v: jnp.sum(fg.vmap(ours)(v)))(w), jax.vmap(jax.grad(theirs))(w))


def test_by_matrices_and_right_sides():
    def f(m, np_, lax_):
        def solve_all(matrix, b):
            solve = lambda mv, b: np_.linalg.solve(matrix, b)
            back = lambda vm, b: np_.linalg.solve(matrix.T, b)
            return np_.sum(lax_.custom_linear_solve(lambda v: matrix @ v, b, solve, back) ** 3)

        return m.grad(solve_all, (0, 1))

    want = f(jax, jax.numpy, jax.lax)(A, B)
    close(f(fg, jnp, lax)(A, B), want)
    close(fg.jit(f(fg, jnp, lax))(A, B), want)
    bs = np.stack([B, 2 * B, B - 1])
    close(fg.vmap(f(fg, jnp, lax), (None, 0))(A, bs), jax.vmap(f(jax, jax.numpy, jax.lax), (None, 0))(A, bs))


def test_auxiliary_output_has_no_derivative():
    def f(a):
        solve = lambda f, x: (jnp.sqrt(a), {"steps": jnp.asarray(7), "size": a * 2})
        x, aux = lax.custom_root(lambda x: x * x - a, 1.0, solve, lambda g, y: y / g(1.0), has_aux=True)
        return x + aux["size"] * 0 + aux["size"] - 2.0, aux["steps"]

    (value, steps), slope = fg.value_and_grad(f, has_aux=True)(4.0)
    assert (float(value), int(steps), float(slope)) == (8.0, 7, 0.25)


def test_a_tangent_solver_that_knows_the_jacobian_is_transposed_as_written():
    matrix = np.array([[2.0, 1.0], [0.0, 3.0]])

    def f(b):
        solve = lambda f, x: jnp.linalg.solve(matrix, b)
        x = lax.custom_root(lambda x: matrix @ x - b, jnp.zeros(2), solve, lambda g, y: jnp.linalg.solve(matrix, y))
        return x[0] * 3 + x[1]

    close(fg.grad(f)(np.ones(2)), np.linalg.solve(matrix.T, [3.0, 1.0]))
    close(fg.jit(fg.grad(f))(np.ones(2)), np.linalg.solve(matrix.T, [3.0, 1.0]))


def identity(mv, b):
    return b


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lax.custom_root(lambda x: (x, x), 1.0, identity, identity), TypeError, "custom_root of <lambda>: f must return"),
        (lambda: lax.custom_root(lambda x: x, 1.0, lambda f, x: jnp.ones(2), identity), TypeError, r"f64\[2\] and should be f64"),
        (lambda: lax.custom_root(lambda x: x, 1, identity, identity), TypeError, "solved in floats"),
        (lambda: lax.custom_root(lambda x: x, 1.0, lambda f, x: x, identity, True), TypeError, r"a pair \(solution, aux\)"),
        (lambda: lax.custom_linear_solve(lambda x: x[:1], B, identity), TypeError, "matvec must return the types of b"),
        (lambda: fg.grad(lambda w: lax.custom_linear_solve(lambda x: w * x, w, lambda mv, b: b / w))(2.0),
         fg.errors.MissingRuleError, "needs transpose_solve, or symmetric=True"),
    ],
)  # fmt: skip
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()
