"""funcgrad.random: equal to JAX where it promises to be, right in distribution elsewhere, under every transform."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

import funcgrad as fg
from funcgrad import random
from funcgrad.ops.random import random_loggamma_grad

KEY = random.key(42)
N = 20000


@pytest.fixture(scope="module")
def jax():
    found = pytest.importorskip("jax")
    found.config.update("jax_enable_x64", True)
    return found


# Values of JAX 0.10 with x64 and its default generator for PRNGKey(42), so that equality is tested without JAX too.
GOLDEN = {
    "split": (lambda: random.split(KEY, 2), [[1832780943, 270669613], [64467757, 2916123636]]),
    "fold_in": (lambda: random.fold_in(KEY, 7), [2547012911, 1371500959]),
    "bits8": (lambda: random.bits(KEY, (4,), np.uint8), [162, 217, 249, 215]),
    "bits64": (lambda: random.bits(KEY, (2,), np.uint64), [7871734211187709741, 276886910877598708]),
    "uniform": (lambda: random.uniform(KEY, (3,)), [0.4267275666499091, 0.015010069515314584, 0.5741444178995352]),
    "uniform32": (
        lambda: random.uniform(KEY, (3,), np.float32, -1.0, 2.0),
        [0.46612870693206787, 1.0393915176391602, 0.8488144874572754],
    ),
    "randint": (lambda: random.randint(KEY, (5,), -10, 1000), [225, 978, 343, 241, 115]),
    "permutation": (lambda: random.permutation(KEY, 8), [7, 4, 2, 5, 3, 6, 0, 1]),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    call, expected = GOLDEN[name]
    np.testing.assert_array_equal(call(), np.asarray(expected, call().dtype))


# Each row: (name, keyword arguments, bit for bit?). The same call is made of both libraries.
CASES = [
    *[("bits", {"shape": s, "dtype": f"uint{w}"}, True) for w in (8, 16, 32, 64) for s in ((), (3,), (7, 5), (40001,), (2, 0))],
    *[("uniform", {"shape": s, "dtype": d}, True) for d in ("float16", "float32", "float64") for s in ((), (5, 3), (1000,))],
    ("uniform", {"shape": (100,), "minval": -1.3, "maxval": 2.7}, True),
    ("uniform", {"shape": (100,), "minval": -1, "maxval": 3, "dtype": "float32"}, True),
    ("uniform", {"shape": (2, 3), "minval": np.zeros(3), "maxval": np.array([1.0, 2.0, 3.0])}, True),
    *[("randint", {"shape": (50,), "minval": -3, "maxval": 77, "dtype": d}, True) for d in ("int8", "int16", "int32", "int64")],
    ("randint", {"shape": (50,), "minval": 0, "maxval": 256, "dtype": "uint8"}, True),
    ("randint", {"shape": (50,), "minval": -128, "maxval": 128, "dtype": "int8"}, True),
    ("randint", {"shape": (50,), "minval": -(2**31), "maxval": 2**31, "dtype": "int32"}, True),
    ("randint", {"shape": (50,), "minval": 0, "maxval": 2**32, "dtype": "uint32"}, True),
    ("randint", {"shape": (2, 3), "minval": 5, "maxval": np.array([3, 6, 2**40])}, True),
    ("permutation", {"x": 50}, True),
    ("permutation", {"x": 3000}, True),
    ("permutation", {"x": 0}, True),
    ("permutation", {"x": np.arange(12.0).reshape(4, 3)}, True),
    ("permutation", {"x": np.arange(12.0).reshape(4, 3), "axis": 1}, True),
    ("permutation", {"x": np.arange(12.0).reshape(4, 3), "axis": -1, "independent": True}, True),
    ("choice", {"a": 10, "shape": (3, 4)}, True),
    ("choice", {"a": 10, "shape": (5,), "replace": False}, True),
    ("choice", {"a": np.arange(12.0).reshape(4, 3), "shape": (2, 5), "axis": 1}, True),
    ("choice", {"a": np.arange(12.0).reshape(4, 3), "shape": (2,), "axis": 1, "replace": False}, True),
    ("choice", {"a": 4, "shape": (50,), "p": np.array([0.1, 0.2, 0.3, 0.4])}, True),
    ("choice", {"a": 4, "shape": (3,), "p": np.array([0.1, 0.2, 0.3, 0.4]), "replace": False}, True),
    ("choice", {"a": 4, "shape": ()}, True),
    *[("normal", {"shape": (200,), "dtype": d}, False) for d in ("float32", "float64", "complex64", "complex128")],
    ("bernoulli", {"p": 0.3, "shape": (100,)}, True),
    ("bernoulli", {"p": np.array([0.1, 0.9], np.float32), "shape": (50, 2), "mode": "high"}, True),
    ("rademacher", {"shape": (100,)}, True),
    ("rademacher", {"shape": (100,), "dtype": "float32"}, True),
    ("geometric", {"p": np.array([0.1, 0.5, 0.9]), "shape": (20, 3)}, True),
    ("categorical", {"logits": np.log(np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]]))}, True),
    ("categorical", {"logits": np.log(np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])), "axis": 0, "shape": (5, 3)}, True),
    ("categorical", {"logits": np.zeros((2, 6)), "shape": (4, 2), "replace": False}, True),
    ("categorical", {"logits": np.zeros(3), "shape": (50,), "mode": "high"}, True),
    *[(n, {"shape": (200,), "dtype": d}, False)
      for n in ("exponential", "gumbel", "laplace", "logistic", "cauchy", "maxwell") for d in ("float32", "float64")],
    ("gumbel", {"shape": (200,), "mode": "high"}, False),
    ("lognormal", {"sigma": 0.5, "shape": (50,)}, False),
    ("truncated_normal", {"lower": -1.0, "upper": np.array([0.5, 2.0]), "shape": (50, 2)}, False),
    ("pareto", {"b": np.array([1.0, 3.0]), "shape": (50, 2)}, False),
    ("rayleigh", {"scale": np.array([1.0, 3.0])}, False),
    ("double_sided_maxwell", {"loc": 1.0, "scale": np.array([1.0, 3.0]), "shape": (4,)}, False),
    ("weibull_min", {"scale": 2.0, "concentration": 1.5, "shape": (50,)}, False),
    ("triangular", {"left": -1.0, "mode": 0.5, "right": 2.0, "shape": (50,)}, False),
    ("wald", {"mean": np.array([0.5, 2.0]), "shape": (50, 2)}, False),
    ("orthogonal", {"n": 3, "shape": (2,)}, False),
    ("orthogonal", {"n": 2, "m": 4}, False),
    *[("multivariate_normal", {"mean": np.ones(2), "cov": np.array([[2.0, 0.5], [0.5, 1.0]]), "shape": (6,)}, False)],
]  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs", "exact"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_equal_to_jax(jax, name, kwargs, exact):
    expected = np.asarray(getattr(jax.random, name)(jax.random.PRNGKey(42), **kwargs))
    found = getattr(random, name)(KEY, **kwargs)
    assert type(found) is fg.Array
    # JAX has int32 indices without replacement, int64 with it; here they are int64.
    assert found.dtype == expected.dtype or kwargs.get("replace") is False
    assert found.shape == expected.shape
    if exact:
        np.testing.assert_array_equal(found, expected)
    else:
        tolerance = 1e-11 if found.dtype in (np.float64, np.complex128) else 2e-4
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * 0.1)


def test_keys_equal_to_jax(jax):
    key = jax.random.PRNGKey(42)
    for num in (0, 2, 5, (3, 4), 1000):
        np.testing.assert_array_equal(random.split(KEY, num), jax.random.split(key, num))
    for data in (0, 1, 77, 2**32 - 1, np.int32(-3), np.uint8(9)):
        np.testing.assert_array_equal(random.fold_in(KEY, data), jax.random.fold_in(key, data))
    for seed in (0, -1, 2**40 + 3, -(2**63), np.int32(-5), np.uint64(2**63 + 1)):
        np.testing.assert_array_equal(random.PRNGKey(seed), jax.random.PRNGKey(seed))
        np.testing.assert_array_equal(fg.jit(random.key)(np.asarray(seed)), jax.random.PRNGKey(np.asarray(seed)))


def test_key_functions():
    assert random.key_impl(KEY) == "threefry2x32"
    keys = random.split(KEY, (2, 3))
    np.testing.assert_array_equal(random.wrap_key_data(random.key_data(keys)), keys)
    np.testing.assert_array_equal(random.clone(KEY), KEY)


DISTRIBUTIONS = {
    "gamma small": (lambda k: random.gamma(k, 0.3, (N,)), scipy.stats.gamma(0.3)),
    "gamma": (lambda k: random.gamma(k, 2.5, (N,)), scipy.stats.gamma(2.5)),
    "gamma large": (lambda k: random.gamma(k, 500.0, (N,)), scipy.stats.gamma(500.0)),
    "loggamma": (lambda k: random.loggamma(k, 0.01, (N,)), scipy.stats.loggamma(0.01)),
    "gamma float32": (lambda k: random.gamma(k, 1.5, (N,), np.float32), scipy.stats.gamma(1.5)),
    "beta": (lambda k: random.beta(k, 0.5, 2.0, (N,)), scipy.stats.beta(0.5, 2.0)),
    "chisquare": (lambda k: random.chisquare(k, 3.0, (N,)), scipy.stats.chi2(3)),
    "f": (lambda k: random.f(k, 3.0, 5.0, (N,)), scipy.stats.f(3, 5)),
    "t": (lambda k: random.t(k, 4.0, (N,)), scipy.stats.t(4)),
    "dirichlet": (lambda k: random.dirichlet(k, np.array([0.5, 1.5, 2.0]), (N,))[:, 0], scipy.stats.beta(0.5, 3.5)),
    "generalized_normal": (lambda k: random.generalized_normal(k, 1.5, (N,)), scipy.stats.gennorm(1.5)),
    "ball": (lambda k: np.linalg.norm(random.ball(k, 3, shape=(N,)), axis=-1) ** 3, scipy.stats.uniform()),
    "normal": (lambda k: random.normal(k, (N,)), scipy.stats.norm()),
    "cauchy": (lambda k: random.cauchy(k, (N,)), scipy.stats.cauchy()),
    "gumbel": (lambda k: random.gumbel(k, (N,)), scipy.stats.gumbel_r()),
    "laplace": (lambda k: random.laplace(k, (N,)), scipy.stats.laplace()),
    "logistic": (lambda k: random.logistic(k, (N,)), scipy.stats.logistic()),
    "maxwell": (lambda k: random.maxwell(k, (N,)), scipy.stats.maxwell()),
    "rayleigh": (lambda k: random.rayleigh(k, 2.0, (N,)), scipy.stats.rayleigh(scale=2)),
    "pareto": (lambda k: random.pareto(k, 2.0, (N,)), scipy.stats.pareto(2)),
    "triangular": (lambda k: random.triangular(k, 0.0, 0.25, 1.0, (N,)), scipy.stats.triang(0.25)),
    "wald": (lambda k: random.wald(k, 2.0, (N,)), scipy.stats.invgauss(2.0)),
    "weibull": (lambda k: random.weibull_min(k, 2.0, 1.5, (N,)), scipy.stats.weibull_min(1.5, scale=2)),
    "truncated": (lambda k: random.truncated_normal(k, -1.0, 2.0, (N,)), scipy.stats.truncnorm(-1, 2)),
    "double": (lambda k: np.abs(random.double_sided_maxwell(k, 1.0, 2.0, (N,)) - 1) / 2, scipy.stats.maxwell()),
    "multivariate": (
        lambda k: random.multivariate_normal(k, np.zeros(2), np.array([[4.0, 1.0], [1.0, 2.0]]), (N,)) @ [1.0, 1.0],
        scipy.stats.norm(scale=np.sqrt(8)),
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_continuous_distribution(name):
    draw, expected = DISTRIBUTIONS[name]
    assert scipy.stats.kstest(draw(random.key(7)), expected.cdf).pvalue > 1e-3


DISCRETE = {
    "poisson": (lambda k: random.poisson(k, 3.5, (N,)), scipy.stats.poisson(3.5)),
    "poisson large": (lambda k: random.poisson(k, 12.0, (N,)), scipy.stats.poisson(12.0)),
    "binomial": (lambda k: random.binomial(k, 10, 0.3, (N,)), scipy.stats.binom(10, 0.3)),
    "binomial flipped": (lambda k: random.binomial(k, 10, 0.8, (N,)), scipy.stats.binom(10, 0.8)),
    "binomial large": (lambda k: random.binomial(k, 60, 0.3, (N,)), scipy.stats.binom(60, 0.3)),
    "binomial large flipped": (lambda k: random.binomial(k, 60, 0.6, (N,)), scipy.stats.binom(60, 0.6)),
    "geometric": (lambda k: random.geometric(k, 0.2, (N,)), scipy.stats.geom(0.2)),
    "randint": (lambda k: random.randint(k, (N,), 3, 17), scipy.stats.randint(3, 17)),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distribution(name):
    draw, expected = DISCRETE[name]
    found = np.asarray(draw(random.key(7))).astype(int)
    values = np.arange(found.min(), found.max() + 1)
    wanted = expected.pmf(values) * N
    seen = np.bincount(found - values[0], minlength=len(values))
    often = wanted > 8
    rest = N - wanted[often].sum()
    observed = [*seen[often], N - seen[often].sum()] if rest > 1 else list(seen[often])
    expected_counts = np.array([*wanted[often], rest] if rest > 1 else list(wanted[often]))
    assert scipy.stats.chisquare(observed, expected_counts * sum(observed) / expected_counts.sum()).pvalue > 1e-3


def test_edges_of_parameters():
    rates = np.array([0.0, -1.0, np.nan, 1e6])
    assert list(np.asarray(random.poisson(KEY, rates))[:3]) == [0, -1, -1]
    assert abs(int(random.poisson(KEY, 1e6)) - 1e6) < 6e3
    counts = random.binomial(
        KEY, np.array([5.0, 5.0, -1.0, 5.0, np.inf, 0.0]), np.array([0.0, 1.0, 0.5, 1.5, 0.5, 0.5])
    )
    np.testing.assert_array_equal(counts, [0, 5, np.nan, np.nan, np.inf, 0])
    np.testing.assert_array_equal(random.gamma(KEY, np.array([0.0, -1.0])), [0, np.nan])
    assert np.all(np.isfinite(random.loggamma(KEY, np.full(100, 1e-6))))
    assert random.gamma(KEY, np.ones((0, 3))).shape == (0, 3)


def _quantile_slope(a, log_x, h=1e-5):
    """d log(x) / d a at a fixed level, from SciPy's own quantile function."""
    x = np.exp(log_x)
    h = h * max(a, 0.1)
    if scipy.special.gammainc(a, x) < 0.5:
        up, down = (scipy.special.gammaincinv(a + s, scipy.special.gammainc(a, x)) for s in (h, -h))
    else:
        up, down = (scipy.special.gammainccinv(a + s, scipy.special.gammaincc(a, x)) for s in (h, -h))
    return (np.log(up) - np.log(down)) / (2 * h)


@pytest.mark.parametrize("a", [0.05, 0.3, 1.0, 2.5, 10.0, 100.0, 5000.0])
@pytest.mark.parametrize("level", [0.001, 0.1, 0.4, 0.5, 0.7, 0.95, 0.9999])
def test_gamma_derivative(a, level):
    log_x = np.log(scipy.special.gammaincinv(a, level))
    if log_x < -100:
        log_x = np.array(-100.0)
    found = random_loggamma_grad(np.array(a), np.array(log_x))
    np.testing.assert_allclose(found, _quantile_slope(a, log_x), rtol=2e-5, atol=1e-9)


def test_gamma_derivative_through_transforms(jax):
    a = np.array([0.2, 1.0, 3.0, 40.0])

    samples = random.gamma(KEY, a)
    expected = np.array([1.0, 2.0, 3.0, 4.0]) * np.asarray(jax.lax.random_gamma_grad(a, np.asarray(samples)))
    _, pull = fg.vjp(lambda a: random.gamma(KEY, a), a)
    np.testing.assert_allclose(pull(np.array([1.0, 2.0, 3.0, 4.0]))[0], expected, rtol=1e-6)
    _, tangent = fg.jvp(lambda a: random.gamma(KEY, a), (a,), (np.array([1.0, 2.0, 3.0, 4.0]),))
    np.testing.assert_allclose(tangent, expected, rtol=1e-6)


REPARAMETRISED = {
    "uniform": (lambda p: random.uniform(KEY, (), minval=p, maxval=2 * p), 1.5),
    "normal": (lambda p: 2 + p * random.normal(KEY), 1.5),
    "lognormal": (lambda p: random.lognormal(KEY, p), 0.5),
    "pareto": (lambda p: random.pareto(KEY, p), 1.5),
    "rayleigh": (lambda p: random.rayleigh(KEY, p), 1.5),
    "weibull": (lambda p: random.weibull_min(KEY, p, p), 1.5),
    "wald": (lambda p: random.wald(KEY, p), 1.5),
    "triangular": (lambda p: random.triangular(KEY, -p, 0.1 * p, p), 1.5),
    "truncated": (lambda p: random.truncated_normal(KEY, -p, p), 1.5),
    "double": (lambda p: random.double_sided_maxwell(KEY, p, p), 1.5),
    "multivariate": (lambda p: random.multivariate_normal(KEY, p * np.ones(2), np.eye(2)), 1.5),
}


@pytest.mark.parametrize("name", REPARAMETRISED)
def test_derivative_of_parameters(name):
    f, p = REPARAMETRISED[name]
    h = 1e-6
    expected = (np.asarray(f(p + h)) - np.asarray(f(p - h))) / (2 * h)
    _, tangent = fg.jvp(f, (np.array(p),), (np.array(1.0),))
    out, pull = fg.vjp(f, np.array(p))
    np.testing.assert_allclose(tangent, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(pull(np.ones_like(out))[0], expected.sum(), rtol=1e-6, atol=1e-8)


TRANSFORMED = {
    "bits": lambda k: random.bits(k, (3,), np.uint16),
    "uniform": lambda k: random.uniform(k, (2, 3)),
    "randint": lambda k: random.randint(k, (4,), -5, 100, np.int8),
    "normal": lambda k: random.normal(k, (3,), np.float32),
    "complex": lambda k: random.normal(k, (3,), np.complex128),
    "split": lambda k: random.split(k, 3),
    "fold_in": lambda k: random.fold_in(k, 5),
    "chain": lambda k: random.uniform(random.fold_in(random.PRNGKey(random.bits(k)), 3)),
    "permutation": lambda k: random.permutation(k, 7),
    "choice": lambda k: random.choice(k, 5, (3,)),
    "choice without": lambda k: random.choice(k, 5, (3,), replace=False),
    "bernoulli": lambda k: random.bernoulli(k, 0.4, (3,), mode="high"),
    "categorical": lambda k: random.categorical(k, np.zeros((2, 3))),
    "gumbel": lambda k: random.gumbel(k, (3,), mode="high"),
    "gamma": lambda k: random.gamma(k, np.array([0.5, 2.0])),
    "t": lambda k: random.t(k, 3.0, (2,)),
    "beta": lambda k: random.beta(k, 0.5, 2.0),
    "dirichlet": lambda k: random.dirichlet(k, np.ones(3), (2,)),
    "poisson": lambda k: random.poisson(k, np.array([0.5, 20.0])),
    "binomial": lambda k: random.binomial(k, np.array([5, 100]), 0.4),
    "geometric": lambda k: random.geometric(k, 0.4, (2,), np.int32),
    "rademacher": lambda k: random.rademacher(k, (4,), np.int8),
    "maxwell": lambda k: random.maxwell(k, (2,)),
    "ball": lambda k: random.ball(k, 2, shape=(3,)),
    "multivariate": lambda k: random.multivariate_normal(k, np.zeros(2), np.eye(2), (3,)),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_jit_and_vmap_over_keys(name):
    f = TRANSFORMED[name]
    plain = f(KEY)
    jitted = fg.jit(f)(KEY)
    assert jitted.dtype == plain.dtype
    np.testing.assert_allclose(jitted, plain, rtol=1e-6)
    keys = random.split(KEY, 4)
    np.testing.assert_allclose(fg.vmap(f)(keys), np.stack([f(k) for k in keys]), rtol=1e-6)
    nested = fg.vmap(fg.vmap(f))(random.split(KEY, (2, 2)))
    assert nested.shape == (2, 2, *plain.shape)


def test_vmap_over_counts_and_parameters():
    counts = np.arange(5)
    np.testing.assert_array_equal(
        fg.vmap(lambda i: random.fold_in(KEY, i))(counts), np.stack([random.fold_in(KEY, int(i)) for i in counts])
    )
    keys = random.split(KEY, 5)
    both = fg.vmap(random.fold_in)(keys, counts)
    np.testing.assert_array_equal(
        both, np.stack([random.fold_in(k, int(i)) for k, i in zip(keys, counts, strict=True)])
    )
    a = np.array([0.5, 2.0, 30.0])
    np.testing.assert_allclose(fg.vmap(lambda a: random.gamma(KEY, a))(a), [random.gamma(KEY, v) for v in a])


def test_permutation_of_a_traced_array():
    x = np.arange(6.0).reshape(3, 2)
    for kwargs in ({}, {"axis": 1}, {"axis": 0, "independent": True}):
        f = lambda x, kwargs=kwargs: random.permutation(KEY, x, **kwargs)
        np.testing.assert_array_equal(fg.jit(f)(x), f(x))
        out, pull = fg.vjp(f, x)
        np.testing.assert_array_equal(pull(out)[0], x)
    f = lambda p: random.choice(KEY, 4, (3,), p=p)
    p = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(fg.jit(f)(p), f(p))
    f = lambda p: random.choice(KEY, 4, (3,), p=p, replace=False)
    np.testing.assert_array_equal(fg.jit(f)(p), f(p))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.uniform(0), TypeError, "random.key"),
        (lambda: random.uniform(np.zeros(2)), TypeError, "takes a key"),
        (lambda: random.uniform(random.split(KEY)), ValueError, "vmap"),
        (lambda: random.uniform(KEY, (2,), int), ValueError, "floats"),
        (lambda: random.uniform(KEY, (2,), minval=np.zeros(3)), ValueError, "do not broadcast"),
        (lambda: random.uniform(KEY, (-1,)), ValueError, "negative"),
        (lambda: random.randint(KEY, (2,), 0, 5, float), TypeError, "integers"),
        (lambda: random.bits(KEY, (2,), np.int32), ValueError, "unsigned"),
        (lambda: random.choice(KEY, 3, (4,), replace=False), ValueError, "without replacement"),
        (lambda: random.choice(KEY, 0, (4,)), ValueError, "from nothing"),
        (lambda: random.choice(KEY, 3, (4,), p=np.ones(2)), ValueError, "one probability"),
        (lambda: random.bernoulli(KEY, 1), TypeError, "floating"),
        (lambda: random.bernoulli(KEY, 0.5, mode="x"), ValueError, "mode"),
        (lambda: random.gumbel(KEY, mode="x"), ValueError, "mode"),
        (lambda: random.key(1.5), TypeError, "scalar integer"),
        (lambda: random.key(2**64), OverflowError, "64"),
        (lambda: random.key(1, impl="rbg"), ValueError, "threefry2x32"),
        (lambda: random.fold_in(KEY, np.arange(2)), TypeError, "vmap"),
        (lambda: random.fold_in(KEY, -1), OverflowError, "uint32"),
        (lambda: random.dirichlet(KEY, 1.0), ValueError, "scalar"),
        (lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(3)), ValueError, "cov"),
        (lambda: random.multivariate_normal(KEY, np.zeros(2), np.eye(2), method="x"), ValueError, "methods"),
        (lambda: fg.jit(lambda n: random.uniform(KEY, (n,)))(3), TypeError, "static"),
        (lambda: fg.jit(lambda n: random.permutation(KEY, n))(3), TypeError, "static"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
