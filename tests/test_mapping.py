"""vectorize, apply_along_axis, ufunc, printing, files and grids of funcgrad.numpy, against NumPy and JAX."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4))
T = RNG.normal(size=(2, 3, 4))


def everywhere(f, *args):
    """f plain, under jit and under vmap: all must agree. Gives the plain result."""
    want = f(*args)
    fg.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), fg.jit(f)(*args), want)
    batched = fg.vmap(f)(*[np.stack([a, a]) for a in args])
    fg.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-12), batched, want)
    return want


@pytest.mark.parametrize(
    ("signature", "f", "shapes"),
    [
        (None, lambda a, b: a * b + 1, [(3, 1), (1, 4)]),
        (None, lambda a, b: (a + b, a - b), [(), (2, 3)]),
        ("(n),(n)->()", lambda a, b: a @ b, [(5, 3), (3,)]),
        ("(n,m),(m)->(n)", lambda a, b: a @ b, [(5, 1, 2, 3), (4, 3)]),
        ("(n),(m)->(n,m),()", lambda a, b: (jnp.outer(a, b), a.sum()), [(2, 1, 3), (1, 4, 2)]),
        ("(3),(3)->(3)", jnp.cross, [(2, 3), (3,)]),
        ("(n)->()", lambda a: jnp.max(a), [(1, 1, 4)]),
    ],
)
def test_vectorize_as_numpy(signature, f, shapes):
    args = [RNG.normal(size=s) for s in shapes]
    have = everywhere(jnp.vectorize(f, signature=signature), *args)
    loop = np.vectorize(lambda *a: fg.tree.map(np.asarray, f(*a)), signature=signature)
    fg.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), have, loop(*args))
    fg.testing.check_grads(jnp.vectorize(f, signature=signature), args, 1)


def test_vectorize_leaves_out_what_is_excluded():
    f = jnp.vectorize(lambda x, powers, scale=1.0: scale * sum(x**p for p in powers), excluded={1, "scale"})
    np.testing.assert_allclose(f(X, [1, 2], scale=3.0), 3 * (X + X**2))
    g = jnp.vectorize(lambda a, b=None: a if b is None else a + b)
    np.testing.assert_allclose(g(X, b=X[:, :1]), X + X[:, :1])
    np.testing.assert_allclose(g(X, None), X)
    np.testing.assert_allclose(jnp.vectorize(lambda m, v, k: k * (m @ v), excluded=[2], signature="(n,n),(n)->(n)")(
        np.eye(4), X, 2.0), 2 * X)  # fmt: skip


def test_vectorize_calls_the_function_once():
    calls = []
    jnp.vectorize(lambda a: calls.append(1) or a + 1)(X)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: jnp.vectorize(jnp.sum, signature="n->()"), ValueError, "not a gufunc signature"),
        (lambda: jnp.vectorize(jnp.sum, excluded={-1}), ValueError, "positions"),
        (lambda: jnp.vectorize(jnp.sum, excluded="ab"), TypeError, "set of positions"),
        (lambda: jnp.vectorize(lambda a: jnp.ones(3))(X), ValueError, r"gave shape \(3,\) for 0-d"),
        (lambda: jnp.vectorize(lambda a: a, signature="(n)->(n),()")(X), TypeError, "2 results"),
        (lambda: jnp.vectorize(lambda a: a, signature="(n)->(m,m)")(X), ValueError, "core dimensions are"),
        (lambda: jnp.vectorize(lambda a: a[:2], signature="(n)->(n)")(X), ValueError, "has 2 for n, not 4"),
        (lambda: jnp.vectorize(lambda a: X, signature="(n)->(n)")(X), ValueError, "its signature says"),
        (lambda: jnp.vectorize(jnp.add, signature="(n),(n)->(n)")(X, X[:, :3]), ValueError, "has 3 for n, not 4"),
        (lambda: jnp.vectorize(jnp.add, signature="(n),(n)->(n)")(X), TypeError, "2 arguments are in its signature"),
        (lambda: jnp.vectorize(jnp.add, signature="(n),(n)->(n)")(X, None), ValueError, "None came"),
    ],
)
def test_vectorize_errors(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize(
    "f", [lambda v: v.sum(), lambda v: v[::-1] * 2, lambda v: v[:2, None] * v[:1], lambda v, k=3: v[0] * k]
)
def test_apply_along_axis(f, axis):
    have = everywhere(lambda x: jnp.apply_along_axis(f, axis, x), T)
    np.testing.assert_allclose(have, np.apply_along_axis(f, axis, T))
    fg.testing.check_grads(lambda x: jnp.apply_along_axis(f, axis, x), (T,), 1)
    np.testing.assert_allclose(fg.jit(lambda x: np.apply_along_axis(f, axis, x))(T), have)


def test_apply_along_axis_passes_arguments_on_and_checks_the_axis():
    np.testing.assert_allclose(jnp.apply_along_axis(lambda v, k, *, c: k * v + c, 0, X, 2.0, c=1.0), 2 * X + 1)
    with pytest.raises(np.exceptions.AxisError, match="apply_along_axis"):
        jnp.apply_along_axis(jnp.sum, 2, X)


def test_apply_over_axes():
    f = lambda x: jnp.apply_over_axes(jnp.sum, x, (0, -1))
    np.testing.assert_allclose(everywhere(f, T), np.apply_over_axes(np.sum, T, (0, -1)))
    np.testing.assert_allclose(jnp.apply_over_axes(jnp.cumsum, T, 1), np.cumsum(T, 1))
    fg.testing.check_grads(f, (T,), 1)
    with pytest.raises(ValueError, match="keep the"):
        jnp.apply_over_axes(lambda a, axis: jnp.sum(a), T, (0,))


# ---- ufunc ----


def pair(identity=None):
    return jnp.frompyfunc(lambda a, b: a - 2 * b, 2, 1, identity=identity)


@pytest.fixture(scope="module")
def theirs():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax.numpy.frompyfunc(lambda a, b: a - 2 * b, 2, 1), jax.numpy


@pytest.mark.parametrize(
    "call",
    [
        lambda u, xp: u(xp.asarray(X), xp.asarray(X[0])),
        lambda u, xp: u.reduce(xp.asarray(X)),
        lambda u, xp: u.reduce(xp.asarray(T), axis=1, keepdims=True),
        lambda u, xp: u.reduce(xp.asarray(X), axis=1, initial=2.0),
        lambda u, xp: u.reduce(xp.asarray(X), axis=1, initial=2.0, where=xp.asarray(X > 0)),
        lambda u, xp: u.reduce(xp.asarray(X), axis=None),
        lambda u, xp: u.accumulate(xp.asarray(X), axis=1),
        lambda u, xp: u.reduceat(xp.asarray(X), xp.asarray([0, 2, 1]), axis=1),
        lambda u, xp: u.outer(xp.asarray(X[0]), xp.asarray(X)),
        lambda u, xp: u.at(xp.asarray(X), xp.asarray([1, 1, 2]), 2.0, inplace=False),
    ],
)
def test_ufunc_as_jax(theirs, call):
    np.testing.assert_allclose(call(pair(), jnp), np.asarray(call(*theirs)), rtol=1e-12)


def test_ufunc_is_traceable_and_says_what_it_is():
    u = pair()
    for f in (
        u.reduce,
        lambda x: u.reduce(x, None),
        u.accumulate,
        lambda x: u.outer(x, x),
        lambda x: u.reduceat(x, [0, 2], 1),
    ):
        everywhere(f, X)
        fg.testing.check_grads(f, (X,), 1)
    assert (u.nin, u.nout, u.nargs, u.identity) == (2, 1, 3, None)
    assert isinstance(u, jnp.ufunc)
    np.testing.assert_allclose(pair(1.0).reduce(np.ones((0, 2))), [1, 1])
    with pytest.raises(ValueError, match="has no identity"):
        u.reduce(np.ones((0, 2)))
    with pytest.raises(NotImplementedError, match="inplace=False"):
        u.at(X, [0], 1.0)
    with pytest.raises(TypeError, match="takes 2 arguments, got 1"):
        u(X)
    with pytest.raises(TypeError, match="nout=2"):
        jnp.frompyfunc(lambda a: a, 1, 2)(X)
    with pytest.raises(ValueError, match="reduce needs a function of 2"):
        jnp.frompyfunc(lambda a: a, 1, 1).reduce(X)


PAIRS = ["add", "subtract", "multiply", "maximum", "divide", "logaddexp", "hypot", "fmod"]


@pytest.mark.parametrize("name", PAIRS)
def test_the_rooms_own_functions_have_the_methods(name):
    ours, numpys = getattr(jnp, name), getattr(np, name)
    x, y = np.abs(X) + 0.5, np.abs(T[0, 0]) + 0.5
    cases = [("outer", (x, y)), ("reduce", (x,)), ("accumulate", (x, 1)), ("reduceat", (x, [0, 2, 1], 1))]
    for method, args in cases:
        f = lambda v: getattr(ours, method)(v, *args[1:])
        np.testing.assert_allclose(everywhere(f, x), getattr(numpys, method)(*args), rtol=1e-12)
        fg.testing.check_grads(f, (x,), 1)
    changed = x.copy()
    numpys.at(changed, [0, 2, 0], y)
    np.testing.assert_allclose(ours.at(x, [0, 2, 0], y, inplace=False), changed)
    assert (ours.nin, ours.nout, ours.identity) == (2, 1, numpys.identity)


# ---- text, files, grids ----


def test_text():
    x = jnp.arange(3.0) / 7
    assert jnp.array_repr(x, precision=2) == "Array([0.  , 0.14, 0.29])"
    assert jnp.array_str(x, precision=2) == np.array_str(np.arange(3) / 7, precision=2)
    assert jnp.array2string(x, separator=", ", precision=1) == "[0. , 0.1, 0.3]"
    with jnp.printoptions(precision=1):
        assert jnp.get_printoptions()["precision"] == 1
        assert jnp.array_str(x) == "[0.  0.1 0.3]"
    seen = []
    fg.grad(lambda v: seen.append(jnp.array_str(v, precision=1)) or v.sum())(x)
    assert seen == ["[0.  0.1 0.3]"]
    with pytest.raises(fg.errors.ConcretizationTypeError):
        fg.jit(jnp.array_repr)(x)


def test_scalars_and_iterables():
    for v, scalar, many in [(1, True, False), (np.float32(1), True, False), (jnp.array(1), True, False),
                            (X, False, True), ([1], False, True), ("a", True, True)]:  # fmt: skip
        assert jnp.isscalar(v) is scalar
        assert jnp.iterable(v) is many
    seen = fg.make_expr(lambda v: v * float(jnp.isscalar(v[0, 0]) + 2 * jnp.iterable(v) + 4 * jnp.iterable(v[0, 0])))
    np.testing.assert_allclose(fg.core.tracing.run(seen(X), X)[0], 3 * X)


def test_files(tmp_path):
    x = jnp.array(X)
    jnp.save(tmp_path / "x.npy", x)
    found = jnp.load(tmp_path / "x.npy")
    assert type(found) is fg.Array
    np.testing.assert_array_equal(found, X)
    for write in (jnp.savez, jnp.savez_compressed):
        fg.grad(lambda v: write(tmp_path / "y.npz", v, name=v * 2) or v.sum())(x)
        with jnp.load(tmp_path / "y.npz") as both:
            np.testing.assert_array_equal(both["arr_0"], X)
            np.testing.assert_array_equal(both["name"], 2 * X)
    jnp.save(tmp_path / "words.npy", np.array(["a", "bc"]))
    assert list(jnp.load(tmp_path / "words.npy")) == ["a", "bc"]
    X.tofile(tmp_path / "raw")
    np.testing.assert_array_equal(jnp.fromfile(tmp_path / "raw"), X.ravel())


def test_grids():
    np.testing.assert_array_equal(jnp.mgrid[0:2, 1:4], np.mgrid[0:2, 1:4])
    for a, b in zip(jnp.ogrid[0:2, 0:1:3j], np.ogrid[0:2, 0:1:3j], strict=True):
        np.testing.assert_array_equal(a, b)
    assert jnp.s_[1:, ::2] == np.s_[1:, ::2]
    assert jnp.index_exp[1] == (1,)
    for ours, numpys in ((jnp.r_, np.r_), (jnp.c_, np.c_)):
        np.testing.assert_array_equal(ours[X[0], X[1]], numpys[X[0], X[1]])
        np.testing.assert_array_equal(everywhere(lambda a, b: ours[a, b], X, X + 1), numpys[X, X + 1])
        np.testing.assert_array_equal(everywhere(lambda a, b: ours[a, b], X[0], X[1]), numpys[X[0], X[1]])
    np.testing.assert_array_equal(fg.jit(lambda v: jnp.r_[v, 0:2, 5.0])(X[0]), np.r_[X[0], 0:2, 5.0])
    with pytest.raises(TypeError, match="directive"):
        fg.jit(lambda v: jnp.r_["0,2", v])(X[0])
