"""funcgrad.scipy.special against SciPy and JAX: values, dtypes, jit, vmap, derivatives in both modes, edges."""

import numpy as np
import pytest
import scipy.special

import funcgrad as fg
from funcgrad.errors import MissingRuleError
from funcgrad.scipy import special

X = np.random.default_rng(0).permutation(6).reshape(2, 3) / 6 + 0.2
Y = np.random.default_rng(1).permutation(6).reshape(2, 3) / 6 + 0.3
CASES = {
    **{name: (X,) for name in (
        "erf erfc erfcx expit gammaln gamma gammasgn loggamma digamma entr ndtr log_ndtr i0 i1 i0e i1e expi exp1 dawsn "
        "spence fresnel sici wofz logsumexp softmax log_softmax factorial"
    ).split()},
    **{name: (X * 0.7,) for name in "erfinv logit ndtri".split()},
    **{name: (X, Y) for name in (
        "beta betaln poch gammainc gammaincc xlogy xlog1py rel_entr kl_div boxcox boxcox1p owens_t"
    ).split()},
    "zeta": (X + 2, Y), "polygamma": (2, Y), "expn": (2, Y), "betainc": (1.5, 2.5, X * 0.7), "comb": (X + 4, Y),
    "hyp1f1": (X, Y, X * 3 - 2), "hyp2f1": (X, Y, X + 1.3, X * 0.7), "multigammaln": (X + 3, 3),
}  # fmt: skip
CONSTANT = {"polygamma": (0,), "expn": (0,), "betainc": (0, 1), "multigammaln": (1,)}
"""Arguments without derivative in JAX."""
NO_PEER = {"gammasgn", "spence"}
"""JAX has nan for gammasgn's slope, and for spence's just above 1."""


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def close(have, want, **kwargs):
    for a, b in zip(fg.tree.leaves(have), fg.tree.leaves(want), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), **kwargs)


def moving(name):
    """The function of its differentiable arguments only, and those."""
    args = CASES[name]
    at = [i for i in range(len(args)) if i not in CONSTANT.get(name, ())]

    def of(module):
        f = getattr(module, name)
        return lambda *values: f(*[values[at.index(i)] if i in at else a for i, a in enumerate(args)])

    return of, [args[i] for i in at]


@pytest.mark.parametrize("name", CASES)
def test_values_are_scipys(name):
    args = CASES[name]
    theirs = {"logsumexp": scipy.special.logsumexp, "softmax": scipy.special.softmax,
              "log_softmax": scipy.special.log_softmax}.get(name) or getattr(scipy.special, name)  # fmt: skip
    want = theirs(*args)
    have = getattr(special, name)(*args)
    assert all(type(leaf) is fg.Array for leaf in fg.tree.leaves(have))
    close(have, tuple(want) if isinstance(want, tuple) else want, rtol=1e-13, atol=1e-15)
    of, values = moving(name)
    close(fg.jit(of(special))(*values), have, rtol=1e-13)
    close(fg.vmap(of(special))(*values), np.stack([of(special)(*[v[i] for v in values]) for i in range(2)])
          if type(have) is not tuple and name != "logsumexp" else fg.vmap(of(special))(*values))  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(CASES) - {"multigammaln", "logsumexp", "softmax", "log_softmax"}))
def test_shapes_and_dtypes(name):
    f, args = getattr(special, name), CASES[name]
    for change, shape in ((lambda a: a[0, 0], ()), (lambda a: a[:0], (0, 3)), (lambda a: a[:, ::2], (2, 2))):
        given = [change(a) if isinstance(a, np.ndarray) else a for a in args]
        assert all(leaf.shape == shape for leaf in fg.tree.leaves(f(*given)))
    small = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in args]
    want = np.complex64 if name == "wofz" else np.float32
    for out in (f(*small), fg.jit(f)(*small) if name not in CONSTANT else f(*small)):
        assert all(np.asarray(leaf).dtype == want for leaf in fg.tree.leaves(out))
    close(f(*small), f(*args), rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(CASES) - NO_PEER))
def test_first_derivatives_are_jaxs_in_both_modes(jax, name):
    import jax.scipy.special as peer

    of, values = moving(name)
    have, pull = fg.vjp(of(special), *values)
    want, push_back = jax.vjp(of(peer), *values)
    close(
        pull(fg.tree.map(np.ones_like, have)), push_back(jax.tree.map(jax.numpy.ones_like, want)), rtol=2e-8, atol=1e-9
    )
    ones = [np.ones_like(v) for v in values]
    close(fg.jvp(of(special), tuple(values), tuple(ones))[1], jax.jvp(of(peer), tuple(values), tuple(ones))[1],
          rtol=2e-8, atol=1e-9)  # fmt: skip


# ---- derivatives by the parameters that have rows of their own, against mpmath's numbers (50 digits, rounded) ----


def test_derivatives_by_parameters():
    slope = lambda f, i, *args: float(fg.grad(f, i)(*args))
    assert slope(special.zeta, 0, 1.01, 0.2) == pytest.approx(-9991.83933922342, rel=1e-13)
    assert slope(special.zeta, 0, 1.5, 100.0) == pytest.approx(-1.32334154536072, rel=1e-13)
    assert slope(special.gammainc, 0, 5.0, 9.0) == pytest.approx(-0.0461226784990303, rel=1e-12)
    assert slope(special.gammaincc, 0, 5.0, 9.0) == pytest.approx(0.0461226784990303, rel=1e-12)
    assert slope(special.hyp1f1, 0, -0.5, 1.5, -7.0) == pytest.approx(-4.32234396998359, rel=1e-12)
    assert slope(special.hyp1f1, 1, 2.0, 1.1, 20.0) == pytest.approx(-24789586909.9694, rel=1e-12)
    assert slope(special.hyp2f1, 2, 1.2, 0.7, 2.3, -9.0) == pytest.approx(0.0970743841839064, rel=1e-12)
    assert slope(special.hyp2f1, 0, 0.2, -1.0, 2.3, 0.99) == pytest.approx(-0.430434782608696, rel=1e-12)
    for args, by_a, by_b in (
        ((0.3, 0.2, 0.9), -0.62701479332982, 1.6182178493114618),
        ((50.0, 70.0, 0.42), -0.0429715673606115, 0.030875252073339732),
        ((5.0, 9.0, 0.9), -4.919986635543194e-07, 9.595840332557956e-07),
        ((1.0, 1.0, 0.5), -0.34657359027997264, 0.34657359027997264),
    ):
        assert slope(special.betainc, 0, *args) == pytest.approx(by_a, rel=1e-13)
        assert slope(special.betainc, 1, *args) == pytest.approx(by_b, rel=1e-13)
    assert [slope(special.betainc, i, 2.0, 3.0, x) for i in (0, 1) for x in (0.0, 1.0)] == [0.0] * 4
    assert np.isnan(slope(special.betainc, 0, -1.0, 3.0, 0.5))


def test_slopes_without_a_peer():
    x = np.array([0.2, 0.7, 0.999, 1.001, 1.03, 1.6, 8.0])
    close(fg.vmap(fg.grad(special.spence))(x), np.log(x) / (1 - x), rtol=1e-12)
    close(fg.jvp(special.spence, (x,), (np.ones(7),))[1], np.log(x) / (1 - x), rtol=1e-12)
    close(fg.vmap(fg.grad(special.gammasgn))(np.array([-1.5, 0.5])), np.zeros(2))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_boxcox_of_an_infinite_logarithm():
    assert fg.grad(special.boxcox, (0, 1))(0.0, 0.0) == (np.inf, np.inf)
    assert fg.jvp(special.boxcox, (0.0, 0.0), (1.0, 1.0))[1] == np.inf


def test_softmax_takes_every_axis_unless_told(jax):
    import jax.scipy.special as peer

    for name in ("softmax", "log_softmax"):
        for axis in (None, 0, 1, (0, 1)):
            close(getattr(special, name)(X, axis=axis), getattr(peer, name)(X, axis=axis), rtol=1e-13)


def test_arguments_that_only_jax_needs():
    assert float(special.log_ndtr(-3.0, 2)) == float(special.log_ndtr(-3.0))
    with pytest.raises(ValueError, match="series_order must be at least 1"):
        special.log_ndtr(-3.0, series_order=0)
    assert float(special.zeta(2.0)) == pytest.approx(np.pi**2 / 6, rel=1e-15)


def nth(f, n):
    for _ in range(n):
        f = fg.grad(f)
    return f


@pytest.mark.parametrize(("f", "point", "wanted"), [
    (special.i1, 0.0, [0.5, 0.0, 3 / 8, 0.0, 5 / 16]),
    (lambda x: special.sici(x)[0], 0.0, [1.0, 0.0, -1 / 3, 0.0, 1 / 5]),
    (special.spence, 1.0, [-1.0, 0.5, -2 / 3, 1.5, -24 / 5]),
    (lambda k: special.boxcox(2.0, k), 0.0, [np.log(2) ** 2 / 2, np.log(2) ** 3 / 3, np.log(2) ** 4 / 4]),
    (lambda k: special.boxcox1p(1.0, k), 0.0, [np.log(2) ** 2 / 2, np.log(2) ** 3 / 3]),
    (lambda x: special.xlogy(x, 2.0), 0.0, [np.log(2), 0.0]),
    (lambda x: special.xlog1py(x, 2.0), 0.0, [np.log(3), 0.0]),
    (lambda x: special.expn(1, x), 1.0, [-np.exp(-1), 2 * np.exp(-1), -5 * np.exp(-1)]),
    (special.erf, 0.0, [2 / np.sqrt(np.pi), 0.0, -4 / np.sqrt(np.pi)]),
])  # fmt: skip
def test_higher_derivatives_are_exact_at_removable_points(f, point, wanted):
    for n, want in enumerate(wanted, 1):
        assert float(nth(f, n)(point)) == pytest.approx(want, rel=1e-10, abs=1e-12)
        assert float(fg.jit(nth(f, n))(point)) == pytest.approx(want, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(("f", "argument"), [
    (fg.grad(lambda a: special.betainc(a, 1.5, 0.4)), "a"),
    (fg.grad(lambda b: special.betainc(1.5, b, 0.4)), "b"),
    (lambda n: special.polygamma(n, 0.4), "n"),
    (lambda n: special.expn(n, 0.4), "n"),
    (fg.grad(lambda a: special.gammainc(a, 0.4)), "a"),
    (fg.grad(lambda x: special.zeta(x, 0.4)), "x"),
    (fg.grad(lambda a: special.hyp1f1(a, 1.5, 0.4)), "a"),
])  # fmt: skip
def test_an_unknown_derivative_is_a_loud_error(f, argument):
    for transformed in (fg.grad(f), fg.jit(fg.grad(f)), lambda x: fg.jvp(f, (x,), (1.0,))):
        with pytest.raises(MissingRuleError, match=f"has no derivative by its argument {argument}; wrap that argument"):
            transformed(2.0)


EDGES = [
    *[("xlogy", p) for p in [(0, 0.0), (0, np.inf), (0.0, -1.0), (0, np.nan), (2, 0.0), (np.nan, 1.0)]],
    *[("xlog1py", p) for p in [(0, -1.0), (0, np.inf), (0.0, -2.0), (0, np.nan), (2, -1.0)]],
    *[(n, p) for n in ("rel_entr", "kl_div") for p in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (np.nan, 1.0)]],
    *[("entr", (v,)) for v in (0.0, -1.0, np.nan, np.inf, 2.0)],
    *[(n, (v,)) for n in ("gamma", "gammasgn", "gammaln") for v in (0.0, -0.0, -1.0, -1.5, -2.5, 171.0, np.inf, np.nan)],
    *[("boxcox", p) for p in [(0.0, 2.0), (2.0, 0.0), (0.0, 0.0), (0.0, -1.0), (np.inf, 0.0), (-1.0, 0.0)]],
    *[("comb", p) for p in [(5, 2), (5, 6), (-1, 2), (5, -1), (0, 0)]],
    *[("factorial", (n,)) for n in (0, 5, -2)], *[("expn", (n, 0.0)) for n in (2, 3)], ("ndtri", (0.0,)), ("erfinv", (1.0,)),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("name", "args"), EDGES)
def test_edges_are_scipys(name, args):
    want = getattr(scipy.special, name)(*args)
    np.testing.assert_allclose(np.asarray(getattr(special, name)(*args)), want, rtol=1e-14)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_log_ndtr_and_logsumexp_do_not_overflow():
    assert float(fg.grad(special.log_ndtr)(-1000.0)) == pytest.approx(1000.001, rel=1e-8)
    assert float(special.logsumexp(np.array([1000.0, 1000.0]))) == pytest.approx(1000 + np.log(2))
    assert float(special.logsumexp(np.array([-np.inf, -np.inf]))) == -np.inf
    assert float(special.logsumexp(np.array([]))) == -np.inf


@pytest.mark.parametrize("kwargs", [
    {}, {"axis": 0}, {"axis": (0, 1), "keepdims": True}, {"axis": 1, "b": Y}, {"axis": 1, "b": Y - 0.6, "return_sign": True},
    {"axis": -1, "b": (Y > 0.6) * 1.0, "keepdims": True}, {"axis": 1, "where": Y > 0.5},
])  # fmt: skip
def test_logsumexp_as_jax(jax, kwargs):
    from jax.scipy.special import logsumexp

    close(special.logsumexp(X, **kwargs), logsumexp(X, **kwargs), rtol=1e-13)
    if not kwargs.get("return_sign"):
        total = lambda f, module: lambda x: module.sum(f(x, **kwargs))
        close(fg.grad(total(special.logsumexp, fg.numpy))(X), jax.grad(total(logsumexp, jax.numpy))(X), rtol=1e-12)


def test_the_others_as_jax(jax):
    import jax.scipy.special as peer

    for n in (0, 1, 6):
        np.testing.assert_allclose(special.bernoulli(n), scipy.special.bernoulli(max(n, 1))[: n + 1])
    found = special.bessel_jn(X, v=3)
    close(found, np.stack([scipy.special.jv(i, X) for i in range(4)]), rtol=1e-13)
    close(
        fg.jacfwd(lambda x: special.bessel_jn(x, v=2))(1.3),
        np.array([scipy.special.jvp(i, 1.3) for i in range(3)]),
        rtol=1e-12,
    )
    n, m, theta, phi = np.array([3, 2]), np.array([-1, 2]), np.array([0.4, 1.3]), np.array([0.9, 4.0])
    close(special.sph_harm_y(n, m, theta, phi, n_max=3), peer.sph_harm_y(n, m, theta, phi, n_max=3), rtol=1e-10)
    for i in (2, 3):
        have = fg.jacfwd(lambda *a: fg.numpy.imag(special.sph_harm_y(*a)), i)(n, m, theta, phi)
        want = jax.jacfwd(lambda *a: jax.numpy.imag(peer.sph_harm_y(*a, n_max=3)), i)(
            *map(jax.numpy.asarray, (n, m, theta, phi))
        )
        close(have, want, rtol=1e-8, atol=1e-10)
    close(special.comb(4, 3, repetition=True), 20.0)
    close(special.loggamma(-1.5 + 0j), scipy.special.loggamma(-1.5 + 0j))
    with pytest.raises(ValueError, match="v must be at least 0"):
        special.bessel_jn(X, v=-1)
    with pytest.raises(ValueError, match="n_max=1 is less than"):
        special.sph_harm_y(n, m, theta, phi, n_max=1)
    with pytest.raises(NotImplementedError, match="exact=True"):
        special.factorial(3, exact=True)


def test_complex_arguments():
    z = np.array([0.4 + 0.3j, -0.2 + 1.1j])
    for name in ("erf", "gamma", "loggamma", "digamma", "wofz", "erfcx", "dawsn"):
        f, h = getattr(special, name), 1e-6
        close(f(z), getattr(scipy.special, name)(z), rtol=1e-13)
        if name != "digamma":
            near = (getattr(scipy.special, name)(z + h) - getattr(scipy.special, name)(z - h)) / (2 * h)
            close(fg.jvp(f, (z,), (np.ones_like(z),))[1], near, rtol=1e-7)
