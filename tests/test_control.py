"""Control flow against JAX: values and derivatives, un-jitted, jitted and batched, nested in each other; and its errors."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

RNG = np.random.default_rng(0)
X = RNG.normal(size=3)
W = RNG.normal(size=(3, 3))
XS = RNG.normal(size=(5, 3))


def rnn(m, np_, lax_):
    def step(h, x):
        h = np_.tanh(h @ m + x)
        return h, {"sum": np_.sum(h), "square": h * h}

    h, ys = lax_.scan(step, np_.zeros(3), XS)
    return np_.sum(h) + np_.sum(ys["sum"]) + np_.sum(ys["square"] ** 2)


def backwards(x, np_, lax_):
    last, ys = lax_.scan(lambda c, t: (c * np_.cos(t) + x, c), x, XS, reverse=True)
    return np_.sum(last * 2) + np_.sum(np_.sin(ys))


def without_xs(x, np_, lax_):
    return np_.sum(lax_.scan(lambda c, _: (np_.sin(c) + 1, None), x, None, length=4)[0])


def choice(x, np_, lax_):
    return lax_.cond(np_.sum(x) > 0, lambda v: np_.sum(np_.sin(v)), lambda v: np_.sum(v**2), x)


def four_ways(x, np_, lax_):
    branches = [lambda v: v, lambda v: v * v, np_.sin, lambda v: np_.zeros(3)]
    return sum(np_.sum(lax_.switch(i, branches, x) * (i + 1)) for i in (-1, 1, 2, 9))


def counted(x, np_, lax_):
    return np_.sum(lax_.fori_loop(1, 6, lambda i, v: v * np_.cos(v) + i, x))


def newton(x, np_, lax_):
    a = np_.abs(x[0]) + 2.0
    return lax_.while_loop(lambda y: np_.abs(y * y - a) > 1e-9, lambda y: 0.5 * (y + a / y), a)


def mapped(x, np_, lax_):
    return np_.sum(lax_.map(lambda r: np_.sin(r) * np_.sum(x), XS))


def nested(x, np_, lax_):
    def step(c, row):
        c = lax_.cond(np_.sum(c) > 1.0, lambda v: v * 0.5, lambda v: v + row, c)
        c = lax_.fori_loop(0, 2, lambda i, v: np_.sin(v) + i, c)
        return c, lax_.scan(lambda s, r: (s + r * c[0], s), 0.0, row)[0]

    last, ys = lax_.scan(step, x, XS)
    return np_.sum(last) + np_.sum(ys)


PROGRAMS = {
    "rnn": (rnn, W), "backwards": (backwards, X), "without xs": (without_xs, X), "cond": (choice, X),
    "other branch": (choice, -abs(X)),
    "switch": (four_ways, X), "fori_loop": (counted, X), "newton": (newton, X), "map": (mapped, X), "nested": (nested, X),
}  # fmt: skip


@pytest.fixture(params=PROGRAMS)
def case(request):
    f, x = PROGRAMS[request.param]
    return (lambda v: f(v, jnp, lax)), (lambda v: f(v, jax.numpy, jax.lax)), x


def close(have, want, rtol=1e-8):
    np.testing.assert_allclose(np.asarray(have), np.asarray(want), rtol=rtol, atol=1e-10)


def test_values(case):
    ours, theirs, x = case
    close(ours(x), theirs(x))
    close(fg.jit(ours)(x), theirs(x))


def test_gradients_in_both_modes(case):
    ours, theirs, x = case
    # JAX has no reverse mode of a while loop: its forward mode says what the gradient is.
    want = jax.jacfwd(theirs)(x)
    for have in (fg.grad(ours), fg.jacfwd(ours), fg.jit(fg.grad(ours)), fg.jit(fg.jacfwd(ours)), fg.grad(fg.jit(ours))):
        close(have(x), want)


def test_batches(case):
    ours, theirs, x = case
    xs = np.stack([x, 0.5 * x, -x])
    close(fg.vmap(ours)(xs), jax.vmap(theirs)(xs))
    close(fg.jit(fg.vmap(fg.grad(ours)))(xs), jax.vmap(jax.jacfwd(theirs))(xs))
    close(fg.grad(lambda v: jnp.sum(fg.vmap(ours)(v)))(xs), jax.vmap(jax.jacfwd(theirs))(xs))


def test_second_derivatives(case):
    ours, theirs, x = case
    want = jax.jacfwd(jax.jacfwd(theirs))(x)
    close(fg.hessian(ours)(x), want, 1e-7)
    close(fg.jacrev(fg.grad(ours))(x), want, 1e-7)


def test_a_traced_number_of_steps():
    f = fg.jit(lambda n, x: lax.fori_loop(0, n, lambda i, v: v * 1.5, x))
    close(f(3, X), X * 1.5**3)
    close(f(5, X), X * 1.5**5)
    g = fg.jit(fg.grad(lambda x, n: jnp.sum(lax.fori_loop(0, n, lambda i, v: v * v, x))))
    close(g(X, 2), 4 * X**3)


def test_a_bound_makes_reverse_mode_of_any_order_under_jit():
    def f(x):
        return lax.while_loop(lambda v: v < 100.0, lambda v: v * v + 1.0, x, max_steps=20)

    x = 1.5
    free = lambda v: lax.while_loop(lambda u: u < 100.0, lambda u: u * u + 1.0, v)
    close(fg.jit(fg.grad(f))(x), fg.grad(free)(x))
    close(fg.jit(fg.grad(fg.grad(f)))(x), fg.grad(fg.grad(free))(x))
    close(fg.jit(fg.grad(fg.grad(free)))(x), fg.grad(fg.grad(free))(x))


def test_higher_orders_of_loops_of_unknown_length_inside_jit():
    def f(x):
        return lax.while_loop(lambda v: jnp.sum(v) < 100.0, lambda v: v * v * x + 1.0, x)

    ours = lambda x: jnp.sum(f(x) * x)
    theirs = lambda x: jax.numpy.sum(
        jax.lax.while_loop(lambda v: jax.numpy.sum(v) < 100.0, lambda v: v * v * x + 1.0, x) * x
    )
    x = np.array([1.5, 0.3])
    want = jax.jacfwd(jax.jacfwd(theirs))(x)
    for g in (fg.hessian(ours), fg.jacrev(fg.jacrev(ours)), fg.jacfwd(fg.grad(ours)), fg.jacrev(fg.jacfwd(ours))):
        close(fg.jit(g)(x), want)
    close(
        fg.jit(fg.vmap(fg.hessian(ours)))(np.stack([x, 2 * x])),
        jax.vmap(jax.jacfwd(jax.jacfwd(theirs)))(np.stack([x, 2 * x])),
    )
    third = jax.jacfwd(jax.jacfwd(jax.jacfwd(theirs)))(x)
    close(fg.jit(fg.jacrev(fg.jacrev(fg.grad(ours))))(x), third)
    close(fg.jit(fg.jacfwd(fg.jacrev(fg.grad(ours))))(x), third)
    power = lambda n: lambda x: jnp.sum(lax.fori_loop(0, n, lambda i, v: v * v, x))
    close(fg.jit(lambda x, n: fg.hessian(power(n))(x))(x, 2), np.diag(12 * x**2))


def test_an_operand_of_none_is_an_operand():
    for m in (fg.lax, jax.lax):
        assert float(m.cond(True, lambda _: 1.0, lambda _: 2.0, operand=None)) == 1.0
        assert float(m.switch(1, [lambda _: 1.0, lambda _: 2.0], operand=None)) == 2.0
        assert float(m.cond(False, lambda: 1.0, lambda: 2.0)) == 2.0


@pytest.mark.parametrize("size", [1, 2, 5, 7, 9])
def test_map_in_batches(size):
    f = lambda np_: lambda t: {"y": np_.sin(t["a"]) * np_.sum(t["b"]), "z": t["a"]}
    xs = {"a": RNG.normal(size=7), "b": RNG.normal(size=(7, 2))}
    have = lax.map(f(jnp), xs, batch_size=size)
    want = jax.lax.map(f(jax.numpy), xs, batch_size=size)
    for key in ("y", "z"):
        close(have[key], want[key])
        close(fg.jit(lambda xs: lax.map(f(jnp), xs, batch_size=size))(xs)[key], want[key])
    loss = lambda b: jnp.sum(lax.map(f(jnp), {**xs, "b": b}, batch_size=size)["y"] ** 2)
    close(fg.grad(loss)(xs["b"]), fg.grad(lambda b: jnp.sum(lax.map(f(jnp), {**xs, "b": b})["y"] ** 2))(xs["b"]))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        lax.map(f(jnp), xs, batch_size=0)


def test_no_steps_and_empty_arrays():
    carry, ys = lax.scan(lambda c, x: (c + x, c), 1.0, np.zeros(0))
    assert float(carry) == 1.0
    assert np.shape(ys) == (0,)
    close(lax.fori_loop(3, 1, lambda i, v: v * 0, X), X)
    close(fg.grad(lambda x: jnp.sum(lax.scan(lambda c, r: (c * x, None), x, np.zeros((0, 2)))[0]))(X), np.ones(3))


def test_numbers_in_the_carry_take_the_bodys_dtype():
    out = lax.fori_loop(0, 3, lambda i, v: v + np.float32(0.5), 0.0)
    assert out.dtype == np.float32
    assert float(out) == 1.5


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: lax.scan(lambda c, x: (c[:2], x), X, XS), TypeError, r"\(the value itself\) +f64\[3\] +f64\[2\]"),
        (lambda: lax.scan(lambda c, x: ({"a": c}, x), X, XS), TypeError, "carry must keep its structure"),
        (lambda: lax.scan(lambda c, x: c, X, XS), TypeError, r"must return a pair \(carry, y\)"),
        (lambda: lax.scan(lambda c, x: (c, x), X, (XS, XS[:2])), ValueError, "must agree on the number of steps"),
        (lambda: lax.scan(lambda c, x: (c, x), X, XS, length=4), ValueError, "length=4"),
        (lambda: lax.scan(lambda c, x: (c, x), X, 3.0), ValueError, "needs a leading axis"),
        (lambda: lax.scan(lambda c, x: (c, x), X, None, length=-1), ValueError, "must not be negative, got -1"),
        (lambda: lax.scan(lambda c: c, X, XS), TypeError, "argument"),
        (lambda: lax.while_loop(lambda v: v, lambda v: v, X), TypeError, "cond_fun must return one boolean"),
        (lambda: lax.while_loop(lambda v: True, lambda v: v.astype(np.float32), X), TypeError, r"f64\[3\] +f32\[3\]"),
        (lambda: lax.cond(X > 0, lambda: 1, lambda: 2), TypeError, "predicate must be a scalar"),
        (lambda: lax.cond(True, lambda x: x, lambda x: (x, x), X), TypeError, "same structure"),
        (lambda: lax.cond(True, lambda x: x[:1], lambda x: x, X), TypeError, "same types"),
        (lambda: lax.switch(1.5, [lambda: 1, lambda: 2]), TypeError, "scalar integer"),
        (lambda: lax.switch(0, []), ValueError, "at least one branch"),
    ],
)  # fmt: skip
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(n, reverse):
    a, b = RNG.normal(size=(n, 2)), RNG.normal(size=(n, 2))

    def pairs(np_, lax_):
        # The composition of affine maps, which does not commute.
        combine = lambda p, q: {"a": p["a"] * q["a"], "b": q["a"] * p["b"] + q["b"]}
        return lambda a, b: lax_.associative_scan(combine, {"a": a, "b": b}, reverse=reverse)

    ours, theirs = pairs(jnp, lax), pairs(jax.numpy, jax.lax)
    want = theirs(a, b)
    for have in (ours(a, b), fg.jit(ours)(a, b)):
        close(have["a"], want["a"])
        close(have["b"], want["b"])
    ct = lambda f, np_: lambda a: np_.sum(np_.sin(f(a, b)["b"]))
    close(fg.grad(ct(ours, jnp))(a), jax.grad(ct(theirs, jax.numpy))(a))
    close(fg.vmap(ours, 1, 1)(a, b)["b"], want["b"])


def test_associative_scan_along_other_axes_and_of_booleans():
    x = RNG.normal(size=(3, 5))
    close(lax.associative_scan(jnp.add, x, axis=-1), np.cumsum(x, 1))
    close(lax.associative_scan(jnp.maximum, x, axis=1), np.maximum.accumulate(x, 1))
    np.testing.assert_array_equal(
        lax.associative_scan(jnp.logical_or, x[0] > 0.5), np.logical_or.accumulate(x[0] > 0.5)
    )
    with pytest.raises(ValueError, match="axis 2 is not there"):
        lax.associative_scan(jnp.add, x, axis=2)
    with pytest.raises(ValueError, match="sizes along axis 0 must be equal"):
        lax.associative_scan(lambda p, q: p, (x, x[:2]))
    with pytest.raises(TypeError, match="must return the structure of elems"):
        lax.associative_scan(lambda p, q: (p, q), x)
