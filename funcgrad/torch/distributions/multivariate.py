"""Distributions of vectors."""

from __future__ import annotations

from typing import Any, ClassVar

from funcgrad.torch.distributions.distribution import (
    HALF_LOG_TWO_PI,
    POSITIVE,
    REAL,
    SIMPLEX,
    Check,
    Distribution,
    Values,
)
from funcgrad.torch.modes import no_grad
from funcgrad.torch.ops import random, unary
from funcgrad.torch.ops.decompositions import cholesky
from funcgrad.torch.ops.shapes import broadcast_shapes
from funcgrad.torch.ops.solvers import inv, solve_triangular
from funcgrad.torch.ops.views import expand


class MultivariateNormal(Distribution):
    """The normal distribution of mean `loc` (..., n), given its covariance, its inverse (precision), or a Cholesky factor."""

    arg_constraints: ClassVar[dict[str, Check]] = {"loc": REAL}
    has_rsample = True

    def __init__(self, loc: Values, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
                 validate_args: bool | None = None):  # fmt: skip
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        if given[0].dim() < 2:
            raise ValueError("the matrix must be at least two-dimensional, with optional leading batch dimensions")
        batch = broadcast_shapes(given[0].shape[:-2], loc.shape[:-1])
        n = int(loc.shape[-1])
        self.loc: Values = expand(loc, *batch, n)
        if scale_tril is None:
            tril = cholesky(inv(precision_matrix) if covariance_matrix is None else covariance_matrix)
        else:
            tril = scale_tril
        self.scale_tril: Values = expand(tril, *batch, n, n)
        Distribution.__init__(self, batch, (n,), validate_args)

    @property
    def covariance_matrix(self) -> Values:
        """(..., n, n)."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Values:
        """The inverse of the covariance matrix."""
        return inv(self.covariance_matrix)

    @property
    def mean(self) -> Values:
        return self.loc

    @property
    def variance(self) -> Values:
        return (self.scale_tril**2).sum(-1)

    def rsample(self, sample_shape: Any = ()) -> Values:
        noise = random.randn(self._extended(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Values:
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        far = (value - self.loc).unsqueeze(-1)
        tril = expand(self.scale_tril, *far.shape[:-2], *self.scale_tril.shape[-2:])
        distance = (solve_triangular(tril, far, upper=False) ** 2).sum((-2, -1))
        return -0.5 * distance - self._half_log_det() - HALF_LOG_TWO_PI * int(self._event_shape[0])

    def entropy(self) -> Values:
        return (0.5 + HALF_LOG_TWO_PI) * int(self._event_shape[0]) + self._half_log_det()


class Dirichlet(Distribution):
    """The density of probabilities (..., n) that is proportional to the product of x_i^(a_i - 1)."""

    arg_constraints: ClassVar[dict[str, Check]] = {"concentration": POSITIVE}
    support = SIMPLEX

    def __init__(self, concentration: Values, validate_args: bool | None = None):
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        Distribution.__init__(self, concentration.shape[:-1], concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Values:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def variance(self) -> Values:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Values:
        with no_grad():
            drawn = random.standard_gamma(expand(self.concentration, *self._extended(sample_shape)).contiguous())
            return drawn / drawn.sum(-1, True)

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        a: Any = self.concentration
        return ((a - 1) * value.log()).sum(-1) + unary.lgamma(a.sum(-1)) - unary.lgamma(a).sum(-1)

    def entropy(self) -> Values:
        a: Any = self.concentration
        total = a.sum(-1)
        norm = unary.lgamma(a).sum(-1) - unary.lgamma(total)
        return norm - (a.shape[-1] - total) * unary.digamma(total) - ((a - 1) * unary.digamma(a)).sum(-1)


class Independent(Distribution):
    """A distribution whose last batch dimensions are one event: log_prob is summed over them."""

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ):
        n = len(base_distribution.batch_shape)
        if reinterpreted_batch_ndims > n:
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                f"actual {reinterpreted_batch_ndims} vs {n}"
            )
        cut = n - reinterpreted_batch_ndims
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        self.has_rsample = base_distribution.has_rsample
        shape = tuple(base_distribution.batch_shape)
        Distribution.__init__(self, shape[:cut], (*shape[cut:], *base_distribution.event_shape), validate_args)

    @property
    def mean(self) -> Values:
        return self.base_dist.mean

    @property
    def variance(self) -> Values:
        return self.base_dist.variance

    def sample(self, sample_shape: Any = ()) -> Values:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Values:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Values) -> Values:
        return self._summed(self.base_dist.log_prob(value))

    def entropy(self) -> Values:
        return self._summed(self.base_dist.entropy())

    def _summed(self, x: Any) -> Values:
        n = self.reinterpreted_batch_ndims
        return x.sum(tuple(range(-n, 0))) if n else x

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
