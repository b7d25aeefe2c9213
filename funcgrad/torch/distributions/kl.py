"""Kullback-Leibler divergences in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from funcgrad.torch.distributions.continuous import Beta, Exponential, Gamma, Laplace, Normal, Uniform
from funcgrad.torch.distributions.discrete import Bernoulli, Categorical, Geometric, Poisson
from funcgrad.torch.distributions.distribution import Distribution, Values
from funcgrad.torch.distributions.multivariate import Dirichlet, Independent, MultivariateNormal
from funcgrad.torch.ops import unary
from funcgrad.torch.ops.comparison import where
from funcgrad.torch.ops.solvers import solve_triangular

Rule = Callable[[Any, Any], Values]
_rules: dict[tuple[type, type], Rule] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """Makes the decorated function the divergence of two types (and what derives from them)."""

    def register(rule: Rule) -> Rule:
        _rules[type_p, type_q] = rule
        return rule

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Values:
    """The expected value under p of log p - log q. Raises NotImplementedError for pairs without a closed form here."""
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            rule = _rules.get((kind_p, kind_q))
            if rule is not None:
                return rule(p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}; give one with "
        "torch.distributions.register_kl."
    )


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Values:
    ratio = (p.scale / q.scale) ** 2
    far = ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * (ratio + far - 1 - ratio.log())


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Values:
    ratio, far = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + far / q.scale + ratio * (-far / p.scale).exp() - 1


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Values:
    found: Any = ((q.high - q.low) / (p.high - p.low)).log()
    return where((q.low > p.low) | (q.high < p.high), float("inf"), found)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Values:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Values:
    a, b = p.concentration, q.concentration
    first = b * (p.rate / q.rate).log() + unary.lgamma(b) - unary.lgamma(a)
    return first + (a - b) * unary.digamma(a) + (q.rate - p.rate) * (a / p.rate)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Values:
    a, b, c, d = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    norm_q = unary.lgamma(c) + unary.lgamma(d) + unary.lgamma(a + b)
    norm_p = unary.lgamma(a) + unary.lgamma(b) + unary.lgamma(c + d)
    slopes = (a - c) * unary.digamma(a) + (b - d) * unary.digamma(b)
    return norm_q - norm_p + slopes + (c + d - a - b) * unary.digamma(a + b)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Values:
    a: Any = p.concentration
    b: Any = q.concentration
    totals = unary.lgamma(a.sum(-1)) - unary.lgamma(b.sum(-1))
    each = (unary.lgamma(b) - unary.lgamma(a)).sum(-1)
    return totals + each + ((a - b) * (unary.digamma(a) - unary.digamma(a.sum(-1, True)))).sum(-1)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Values:
    def term(a: Any, b: Any) -> Any:
        inside = a * (a / b).log()
        return where(a == 0, 0.0, where(b == 0, float("inf"), inside))

    return term(p.probs, q.probs) + term(1 - p.probs, 1 - q.probs)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Values:
    each: Any = p.probs * (p.logits - q.logits)
    each = where(q.probs == 0, float("inf"), each)
    return where(p.probs == 0, 0.0, each).sum(-1)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Values:
    return -p.entropy() - unary.log1p(-q.probs) / p.probs - (q.probs.log() - unary.log1p(-q.probs))


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Values:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Values:
    n = int(p.event_shape[0])
    spread = (solve_triangular(q.scale_tril, p.scale_tril, upper=False) ** 2).sum((-2, -1))
    far = (solve_triangular(q.scale_tril, (q.loc - p.loc).unsqueeze(-1), upper=False) ** 2).sum((-2, -1))
    return q._half_log_det() - p._half_log_det() + 0.5 * (spread + far - n)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Values:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("the two distributions must have the same number of reinterpreted dimensions")
    return p._summed(kl_divergence(p.base_dist, q.base_dist))
