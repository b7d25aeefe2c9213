"""Distributions beside PyTorch's: densities, moments, entropies, divergences, gradients; samples by their statistics."""

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")

CASES = {
    "Normal(t([0.5, -1.0]), t([1.0, 2.0]))": [0.3, -2.0],
    "Normal(0.0, 2.0)": 1.5,
    "LogNormal(t([0.1, 0.5]), t([0.4, 1.0]))": [0.7, 3.0],
    "Laplace(t([0.1, 0.5]), t([0.4, 1.0]))": [0.7, -3.0],
    "Uniform(t([0.0, 1.0]), t([2.0, 4.0]))": [0.5, 3.0],
    "Exponential(t([0.5, 3.0]))": [0.5, 0.1],
    "Gamma(t([0.5, 3.0]), t([1.0, 2.0]))": [0.5, 1.1],
    "Beta(t([0.5, 3.0]), t([1.0, 2.0]))": [0.5, 0.1],
    "Poisson(t([0.5, 3.0]))": [0.0, 4.0],
    "Bernoulli(t([0.2, 0.9]))": [0.0, 1.0],
    "Bernoulli(logits=t([0.2, -0.9]))": [1.0, 1.0],
    "Geometric(t([0.2, 0.9]))": [3.0, 0.0],
    "Categorical(t([[0.2, 0.3, 0.5], [1.0, 3.0, 4.0]]))": [2, 0],
    "Categorical(logits=t([[0.2, 0.3, 0.5], [1.0, -3.0, 4.0]]))": [1, 1],
    "Dirichlet(t([[0.5, 1.0, 2.0], [3.0, 1.0, 4.0]]))": [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]],
    "MultivariateNormal(t([0.5, -1.0]), t([[2.0, 0.3], [0.3, 1.0]]))": [0.1, 0.2],
    "MultivariateNormal(t([0.5, -1.0]), precision_matrix=t([[2.0, 0.3], [0.3, 1.0]]))": [0.1, 0.2],
    "MultivariateNormal(t([0.5, -1.0]), scale_tril=t([[2.0, 0.0], [0.3, 1.0]]))": [[0.1, 0.2], [1.0, -1.0]],
    "Independent(Normal(t([0.5, -1.0]), t([1.0, 2.0])), 1)": [0.3, -2.0],
}


def made(torch, text):
    leaves = []

    def t(values):
        leaves.append(torch.tensor(values, dtype=torch.float64, requires_grad=True))
        return leaves[-1]

    names = {n: getattr(torch.distributions, n) for n in dir(ours.distributions) if n[0].isupper()}
    return eval(text, {**names, "t": t}), leaves


def observed(torch, text, at):
    found = {}
    d, leaves = made(torch, text)
    value = torch.tensor(at, dtype=torch.float64)
    log = d.log_prob(value)
    found["log_prob"] = log.detach().numpy()
    if leaves:
        log.sum().backward()
        found |= {f"gradient {i}": leaf.grad.numpy() for i, leaf in enumerate(leaves)}
    for name in ("mean", "variance", "stddev"):
        try:
            found[name] = getattr(d, name).detach().numpy()
        except NotImplementedError:
            assert torch is ours
    for name in ("entropy", "perplexity"):
        try:
            found[name] = getattr(d, name)().detach().numpy()
        except NotImplementedError:
            pass
    try:
        found["cdf"] = d.cdf(value).detach().numpy()
        found["icdf"] = d.icdf(torch.full((2,), 0.3, dtype=torch.float64)).detach().numpy()
    except NotImplementedError:
        pass
    return found, (tuple(d.batch_shape), tuple(d.event_shape)), repr(d)


@pytest.mark.parametrize("text", CASES)
def test_densities_and_moments(text):
    (want, shapes, words), (have, have_shapes, have_words) = (
        observed(theirs, text, CASES[text]),
        observed(ours, text, CASES[text]),
    )
    assert shapes == have_shapes
    if text.startswith(("Normal", "Uniform", "Categorical", "Gamma", "Poisson")):
        assert words == have_words
    for name in have:
        if name in want and not (name in ("mean", "variance", "stddev") and np.isnan(want[name]).any()):
            np.testing.assert_allclose(have[name], want[name], rtol=2e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("text", [c for c in CASES if "Categorical" not in c and "2.0)" != c[-4:]])
def test_samples_have_the_moments(text):
    ours.manual_seed(0)
    d, _ = made(ours, text)
    drawn = d.sample((20_000,))
    assert tuple(drawn.shape) == (20_000, *d.batch_shape, *d.event_shape) and not drawn.requires_grad
    values = drawn.double().numpy()
    np.testing.assert_allclose(values.mean(0), d.mean.detach().numpy(), atol=0.06 * (1 + float(d.stddev.max())))
    if "LogNormal" not in text:
        np.testing.assert_allclose(values.var(0), d.variance.detach().numpy(), rtol=0.2)


def test_samples_of_categories():
    ours.manual_seed(1)
    d = ours.distributions.Categorical(ours.tensor([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]]))
    drawn = d.sample((5000,))
    assert tuple(drawn.shape) == (5000, 2) and drawn.dtype == ours.int64
    np.testing.assert_allclose(np.bincount(drawn[:, 0].numpy()) / 5000, [0.2, 0.3, 0.5], atol=0.03)
    assert (drawn[:, 1] == 1).all()
    assert tuple(d.sample().shape) == (2,) and tuple(ours.distributions.Categorical(ours.ones(3)).sample().shape) == ()
    assert d.enumerate_support().tolist() == [[0, 0], [1, 1], [2, 2]] and d.mode.tolist() == [2, 1]


def test_rsample_has_gradients():
    scale = ours.tensor([1.0, 2.0], requires_grad=True)
    ours.distributions.Normal(ours.zeros(2), scale).rsample((3,)).sum().backward()
    assert scale.grad is not None
    with pytest.raises(NotImplementedError, match="no rsample"):
        ours.distributions.Bernoulli(ours.tensor(0.5)).rsample()


PAIRS = [
    ("Normal(t([0.5, -1.0]), t([1.0, 2.0]))", "Normal(t([0.0, 1.0]), t([2.0, 0.5]))"),
    ("Laplace(t([0.5, -1.0]), t([1.0, 2.0]))", "Laplace(t([0.0, 1.0]), t([2.0, 0.5]))"),
    ("Uniform(t([0.5, 0.0]), t([1.0, 2.0]))", "Uniform(t([0.0, 1.0]), t([2.0, 1.5]))"),
    ("Exponential(t([0.5, 3.0]))", "Exponential(t([1.5, 2.0]))"),
    ("Gamma(t([0.5, 3.0]), t([1.0, 2.0]))", "Gamma(t([1.5, 2.0]), t([3.0, 2.5]))"),
    ("Beta(t([0.5, 3.0]), t([1.0, 2.0]))", "Beta(t([1.5, 2.0]), t([3.0, 2.5]))"),
    ("Bernoulli(t([0.2, 0.9]))", "Bernoulli(t([0.3, 0.5]))"),
    ("Geometric(t([0.2, 0.9]))", "Geometric(t([0.3, 0.5]))"),
    ("Poisson(t([0.5, 3.0]))", "Poisson(t([1.5, 2.0]))"),
    ("Categorical(t([[0.2, 0.3, 0.5]]))", "Categorical(logits=t([[0.2, 0.3, 0.5]]))"),
    ("Dirichlet(t([0.5, 1.0, 2.0]))", "Dirichlet(t([3.0, 1.0, 4.0]))"),
    (
        "MultivariateNormal(t([0.5, -1.0]), t([[2.0, 0.3], [0.3, 1.0]]))",
        "MultivariateNormal(t([0.0, 1.0]), t([[1.0, 0.1], [0.1, 3.0]]))",
    ),
    ("Independent(Normal(t([0.5]), t([1.0])), 1)", "Independent(Normal(t([0.0]), t([2.0])), 1)"),
]


@pytest.mark.parametrize("p, q", PAIRS)
def test_divergences(p, q):
    found = [
        torch.distributions.kl_divergence(made(torch, p)[0], made(torch, q)[0]).detach().numpy()
        for torch in (ours, theirs)
    ]
    np.testing.assert_allclose(*found, rtol=1e-6)
    with pytest.raises(NotImplementedError, match="No KL"):
        ours.distributions.kl_divergence(made(ours, p)[0], ours.distributions.Distribution())


@pytest.mark.parametrize(
    "text",
    [
        "Normal(t([0.0]), t([-1.0]))", "Uniform(t([1.0]), t([0.0]))", "Categorical(t([-1.0, 2.0]))", "Categorical()",
        "Bernoulli(t([1.5]))", "Normal(t([0.0]), t([1.0])).log_prob(1.0)", "Gamma(t([1.0]), t([1.0])).log_prob(t([-1.0]))",
        "MultivariateNormal(t([0.0]))", "Independent(Normal(0.0, 1.0), 1)", "Dirichlet(t(1.0))",
    ],
)  # fmt: skip
def test_bad_parameters(text):
    errors = []
    for torch in (theirs, ours):
        with pytest.raises(ValueError) as e:
            made(torch, text)
        errors.append(str(e.value))
    assert errors[0].split(" (")[0].split(",")[0][:24] == errors[1].split(" (")[0].split(",")[0][:24]
    ours.distributions.Normal(0.0, -1.0, validate_args=False)
