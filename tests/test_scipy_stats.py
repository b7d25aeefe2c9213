"""funcgrad.scipy.stats against scipy.stats and jax.scipy.stats: values in and out of the support, jit, vmap, derivatives."""

import numpy as np
import pytest
import scipy.stats

import funcgrad as fg
from funcgrad.scipy import stats

X = np.array([-2.3, -0.7, 0.1, 0.4, 1.3, 2.9])
POSITIVE = np.array([0.2, 0.7, 1.3, 2.9])
SHARES = np.array([0.1, 0.35, 0.6, 0.95])
COUNTS = np.array([0.0, 1.0, 2.0, 5.0])
ALL = "pdf logpdf cdf logcdf sf logsf"
CONTINUOUS = {
    "norm": (ALL, X, (), ()), "cauchy": (ALL, X, (), ()), "expon": (ALL, POSITIVE + 0.3, (), ()),
    "gamma": (ALL, POSITIVE + 0.3, (2.5,), ("a",)), "chi2": (ALL, POSITIVE + 0.3, (3.5,), ("df",)),
    "beta": (ALL, SHARES + 0.3, (2.5, 1.5), ("a", "b")), "laplace": ("pdf logpdf cdf", X, (), ()),
    "logistic": ("pdf logpdf cdf sf", X, (), ()), "pareto": (ALL, POSITIVE + 2.1, (2.5,), ()),
    "t": ("pdf logpdf", X, (3.5,), ()),
    "uniform": ("pdf logpdf cdf", SHARES + 0.3, (), ()), "gumbel_l": (ALL, X, (), ()), "gumbel_r": (ALL, X, (), ()),
    "truncnorm": (ALL, SHARES + 0.5, (-1.0, 2.0), ()),
}  # fmt: skip
"""Name: functions, points inside the support for loc=0.3 and scale=1.7, shape parameters, the ones with no derivative in cdf."""

CASES = [(name, f) for name, (functions, *_) in CONTINUOUS.items() for f in functions.split()]
FAR = np.array([-60.0, -9.0, -1.0, 0.0, 0.3, 0.5, 1.0, 2.0, 9.0, 60.0, np.inf, -np.inf, np.nan])


def close(a, b, **kwargs):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), **{"rtol": 1e-9, "atol": 1e-13, **kwargs})


def agree(f, args, want, order=2, **tolerance):
    """f has the wanted value plain, under jit and vmap, and its derivatives are those of differences."""
    close(f(*args), want, **tolerance)
    close(fg.jit(f)(*args), want, **tolerance)
    close(fg.vmap(f)(*[np.stack([a, a]) for a in args])[1], want, **tolerance)
    if order:
        fg.testing.check_grads(f, args, order, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize(("name", "function"), CASES)
def test_continuous(name, function):
    _, x, shapes, fixed = CONTINUOUS[name]
    ours = getattr(getattr(stats, name), function)
    want = getattr(getattr(scipy.stats, name), function)(x, *shapes, 0.3, 1.7)
    if function not in ("pdf", "logpdf") and fixed:  # distribution functions, whose shape parameters are constants
        f, args = lambda v, loc, scale: ours(v, *shapes, loc, scale), (x, np.float64(0.3), np.float64(1.7))
    else:
        f, args = ours, (x, *(np.float64(p) for p in (*shapes, 0.3, 1.7)))
    agree(f, args, want)
    assert ours(x.astype(np.float32), *shapes).dtype == np.float32


@pytest.mark.parametrize(("name", "function"), CASES)
def test_outside_and_far_out(name, function):
    _, _, shapes, _ = CONTINUOUS[name]
    ours = getattr(getattr(stats, name), function)
    with np.errstate(all="ignore"):
        have, want = np.asarray(ours(FAR, *shapes)), getattr(getattr(scipy.stats, name), function)(FAR, *shapes)
    whole = FAR[np.isfinite(FAR)].size
    close(have[:whole], want[:whole], rtol=1e-7, atol=1e-300)
    if function in ("logpdf", "pdf"):
        outside = ~np.isfinite(want[:whole]) | (want[:whole] == 0)
        slopes = fg.vmap(fg.grad(lambda v: ours(v, *shapes)))(FAR[:whole][outside])
        assert not np.isnan(slopes).any()


@pytest.mark.parametrize("name", ["norm", "cauchy", "expon", "logistic", "pareto", "uniform", "gumbel_l", "gumbel_r"])
def test_inverses(name):
    ours, theirs = getattr(stats, name), getattr(scipy.stats, name)
    shapes = CONTINUOUS[name][2]
    args = (SHARES, *(np.float64(p) for p in (*shapes, 0.3, 1.7)))
    agree(ours.ppf, args, theirs.ppf(SHARES, *shapes, 0.3, 1.7))
    with np.errstate(all="ignore"):
        edges = np.array([0.0, 1.0, -0.1, 1.1])
        if name != "cauchy":  # SciPy's tangent there is infinite, a float's is 1.6e16
            close(ours.ppf(edges, *shapes), theirs.ppf(edges, *shapes))
    if name in ("norm", "cauchy", "logistic"):
        agree(ours.isf, args, theirs.isf(SHARES, 0.3, 1.7))


SHAPED = {
    "gennorm pdf": (lambda m, x, b: m.gennorm.pdf(x, b), (X, 1.7), 2),
    "gennorm logpdf": (lambda m, x, b: m.gennorm.logpdf(x, b), (X, 1.7), 2),
    "gennorm cdf": (lambda m, x: m.gennorm.cdf(x, 1.7), (X,), 2),
    "vonmises pdf": (lambda m, x, k: m.vonmises.pdf(x, k), (X, 1.7), 2),
    "vonmises logpdf": (lambda m, x, k: m.vonmises.logpdf(x, k), (X, 1.7), 2),
    "wrapcauchy pdf": (lambda m, x, c: m.wrapcauchy.pdf(x, c), (POSITIVE, 0.6), 2),
    "wrapcauchy logpdf": (lambda m, x, c: m.wrapcauchy.logpdf(x, c), (POSITIVE, 0.6), 2),
    "poisson cdf": (lambda m, mu: m.poisson.cdf(COUNTS + 0.5, mu), (POSITIVE,), 2),
    **{f"{name} {f}": (lambda m, *p, name=name, f=f: getattr(getattr(m, name), f)(COUNTS + 1, *p, 1.0), p, 2)
       for f in ("pmf", "logpmf") for name, p in {
           "poisson": (2.5,), "binom": (7.0, 0.3), "nbinom": (3.5, 0.4), "betabinom": (7.0, 1.5, 2.5)}.items()},
    **{f"geom {f}": (lambda m, p, f=f: getattr(m.geom, f)(COUNTS[1:], p), (0.3,), 2) for f in ("pmf", "logpmf")},
    **{f"bernoulli {f}": (lambda m, p, f=f: getattr(m.bernoulli, f)(COUNTS[:2], p), (0.3,), 2) for f in ("pmf", "logpmf", "cdf")},
    "multinomial": (lambda m, p: m.multinomial.logpmf(np.array([[1, 2, 3], [0, 0, 6]]), 6, p / p.sum()), (SHARES[:3],), 2),
    "multinomial pmf": (lambda m, p: m.multinomial.pmf(np.array([1, 2, 3]), 6, p / p.sum()), (SHARES[:3],), 2),
    "dirichlet": (lambda m, a: m.dirichlet.logpdf(np.array([0.2, 0.3, 0.5]), a), (POSITIVE[:3],), 2),
    "dirichlet many": (
        lambda m, x, a: m.dirichlet.logpdf(x / x.sum(0), a), (np.stack([SHARES[:3], POSITIVE[:3]], 1), POSITIVE[:3]), 2),
    "dirichlet short": (lambda m, x, a: m.dirichlet.pdf(x, a), (np.array([0.2, 0.3]), POSITIVE[:3]), 2),
    "sem": (lambda m, x: m.sem(x.reshape(2, 3), axis=1), (X,), 2), "sem all": (lambda m, x: m.sem(x, axis=None, ddof=0), (X,), 2),
}  # fmt: skip


@pytest.mark.parametrize("case", SHAPED)
def test_shaped(case):
    f, args, order = SHAPED[case]
    args = [np.asarray(a, np.float64) for a in args]
    agree(lambda *a: f(stats, *a), args, f(scipy.stats, *args), order)


COV = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 1.5]])
NORMALS = {
    "one": (X[:3], X[1:4], COV), "many": (X.reshape(2, 3), X[1:4], COV), "scaled": (X.reshape(2, 3), X[1:4], np.float64(2.0)),
}  # fmt: skip


@pytest.mark.parametrize("case", NORMALS)
@pytest.mark.parametrize("function", ["pdf", "logpdf"])
def test_multivariate_normal(case, function):
    x, mean, cov = NORMALS[case]
    ours = getattr(stats.multivariate_normal, function)
    want = getattr(scipy.stats.multivariate_normal, function)(x, mean, cov)
    agree(lambda x, mean, half: ours(x, mean, half @ half.T if half.ndim else half * 1.0), (x, mean, np.linalg.cholesky(cov)
          if cov.ndim else cov), want)  # fmt: skip


def test_multivariate_normals_of_a_stack():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    covs, means = np.stack([COV, COV * 2]), X.reshape(2, 3)
    for x, mean, cov in [(X[:3], means, covs), (RNG_POINTS, means[0], covs), (X, np.float64(0.1), np.float64(2.0))]:
        close(stats.multivariate_normal.logpdf(x, mean, cov), jax.scipy.stats.multivariate_normal.logpdf(x, mean, cov))


RNG_POINTS = np.random.default_rng(0).normal(size=(5, 2, 3))


@pytest.mark.parametrize("name", ["binom", "nbinom", "betabinom", "poisson", "geom", "bernoulli"])
def test_discrete_outside(name):
    params = {"binom": (3, 0.4), "nbinom": (3, 0.4), "betabinom": (3, 1.5, 2.0), "poisson": (2.0,)}.get(name, (0.4,))
    k = np.array([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0])
    close(getattr(stats, name).pmf(k, *params), getattr(scipy.stats, name).pmf(k, *params), atol=1e-12)
    if name in ("poisson", "bernoulli"):
        close(getattr(stats, name).cdf(k, *params), getattr(scipy.stats, name).cdf(k, *params))


def test_certain_events():
    close(stats.bernoulli.pmf([0, 1], 1.0), [0, 1])
    close(stats.bernoulli.pmf([0, 1], 0.0), [1, 0])
    close(stats.binom.pmf([0, 1], 1, 1.0), [0, 1])
    close(stats.poisson.pmf([0, 1], 0.0), [1, 0])
    close(stats.multinomial.pmf([2, 0], 2, [1.0, 0.0]), 1)
    close(stats.multinomial.pmf([2, 1], 2, [0.5, 0.5]), 0)
    close(stats.bernoulli.ppf([0.2, 0.8, 1.2], 0.4), [0, 1, np.nan])
    close(stats.bernoulli.cdf(0, [0.3, 1.3]), [0.7, np.nan])
    close(stats.dirichlet.pdf(np.array([0.5, 0.6]), np.ones(2)), 0)


def test_errors():
    with pytest.raises(ValueError, match="one less as its first axis"):
        stats.dirichlet.logpdf(X, np.ones(3))
    with pytest.raises(NotImplementedError, match="allow_singular"):
        stats.multivariate_normal.logpdf(X, X, np.eye(6), allow_singular=True)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="do not fit"):
        stats.multivariate_normal.logpdf(X, X, np.eye(3))
    with pytest.raises(NotImplementedError, match="nan_policy"):
        stats.sem(X, nan_policy="omit")


SLOPES = {
    "norm.logcdf": (X, 0.3, 1.7), "beta.logpdf": (SHARES, 2.5, 1.5), "gamma.logpdf": (POSITIVE, 2.5), "t.logpdf": (X, 3.5),
    "truncnorm.logcdf": (SHARES, -1.0, 2.0), "poisson.logpmf": (COUNTS, 2.5), "norm.ppf": (SHARES, 0.3, 1.7),
}  # fmt: skip


@pytest.mark.parametrize("path", SLOPES)
def test_slopes_as_jax(path):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    name, function = path.split(".")
    args = SLOPES[path]
    moving = tuple(range(1, len(args)))
    ours, theirs = (getattr(getattr(m, name), function) for m in (stats, jax.scipy.stats))
    have = fg.grad(lambda *a: ours(*a).sum(), moving)(*args)
    want = jax.grad(lambda *a: theirs(*a).sum(), moving)(*args)
    for a, b in zip(have, want, strict=True):
        close(a, b, rtol=1e-6)
