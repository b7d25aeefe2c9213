"""Distributions of real numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from funcgrad.torch.distributions.distribution import (
    HALF_LOG_TWO_PI,
    NOT_NEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    Check,
    Distribution,
    Values,
    tensors,
)
from funcgrad.torch.modes import no_grad
from funcgrad.torch.ops import random, unary
from funcgrad.torch.ops.views import expand


class _LocationScale(Distribution):
    """A density that is symmetric about `loc` and as wide as `scale`."""

    arg_constraints: ClassVar[dict[str, Check]] = {"loc": REAL, "scale": POSITIVE}
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = tensors(loc, scale)
        Distribution.__init__(self, self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Values:
        return self.loc


class Normal(_LocationScale):
    """The normal distribution of mean `loc` and standard deviation `scale`."""

    mode = _LocationScale.mean

    @property
    def variance(self) -> Values:
        return self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Values:
        noise = random.randn(self._extended(sample_shape), dtype=self.loc.dtype)
        return self.loc + noise * self.scale

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - HALF_LOG_TWO_PI

    def entropy(self) -> Values:
        return 0.5 + HALF_LOG_TWO_PI + self.scale.log()

    def cdf(self, value: Values) -> Values:
        return 0.5 * (1 + unary.erf((value - self.loc) * self.scale.reciprocal() / math.sqrt(2)))

    def icdf(self, value: Values) -> Values:
        return self.loc + self.scale * unary.erfinv(2 * value - 1) * math.sqrt(2)


class LogNormal(Normal):
    """exp of a normal distribution."""

    support = POSITIVE

    @property
    def mean(self) -> Values:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def variance(self) -> Values:
        return unary.expm1(self.scale**2) * (2 * self.loc + self.scale**2).exp()

    def rsample(self, sample_shape: Any = ()) -> Values:
        return Normal.rsample(self, sample_shape).exp()

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        log = value.log()
        return -((log - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - HALF_LOG_TWO_PI - log

    def entropy(self) -> Values:
        return Normal.entropy(self) + self.loc

    def cdf(self, value: Values) -> Values:
        return Normal.cdf(self, value.log())

    def icdf(self, value: Values) -> Values:
        return Normal.icdf(self, value).exp()


class Laplace(_LocationScale):
    """The density exp(-|x - loc| / scale) / (2 scale)."""

    @property
    def variance(self) -> Values:
        return 2 * self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Values:
        u: Values = random.rand(self._extended(sample_shape), dtype=self.loc.dtype)
        u = u - 0.5
        return self.loc - self.scale * u.sign() * unary.log1p((-2 * u.abs()).clamp(min=-1 + 1e-7))

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def entropy(self) -> Values:
        return 1 + (2 * self.scale).log()

    def cdf(self, value: Values) -> Values:
        far = value - self.loc
        return 0.5 - 0.5 * far.sign() * unary.expm1(-far.abs() / self.scale)

    def icdf(self, value: Values) -> Values:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * unary.log1p(-2 * term.abs())


class Uniform(Distribution):
    """The same density everywhere from `low` to `high`."""

    arg_constraints: ClassVar[dict[str, Check]] = {"low": REAL, "high": REAL}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None):
        self.low, self.high = tensors(low, high)
        Distribution.__init__(self, self.low.shape, (), validate_args)
        if self._validate and not bool((self.low < self.high).all()):
            raise ValueError(
                f"Expected parameter low (Tensor of shape {tuple(self.low.shape)}) of distribution {self!r} to be below high, "
                "but found invalid values: Uniform is not defined when low>= high"
            )

    @property
    def mean(self) -> Values:
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Values:
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Any = ()) -> Values:
        return self.low + random.rand(self._extended(sample_shape), dtype=self.low.dtype) * (self.high - self.low)

    def log_prob(self, value: Values) -> Values:
        inside = ((value >= self.low) & (value < self.high)).to(self.low.dtype)
        if self._validate and not bool(((value >= self.low) & (value <= self.high)).all()):
            raise ValueError(
                f"Expected value argument to be within the support (Interval) of the distribution {self!r}, "
                f"but found invalid values:\n{value}"
            )
        return inside.log() - (self.high - self.low).log()

    def entropy(self) -> Values:
        return (self.high - self.low).log()

    def cdf(self, value: Values) -> Values:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Values) -> Values:
        return value * (self.high - self.low) + self.low


class Exponential(Distribution):
    """The density rate exp(-rate x) for x >= 0."""

    arg_constraints: ClassVar[dict[str, Check]] = {"rate": POSITIVE}
    support = NOT_NEGATIVE
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None):
        (self.rate,) = tensors(rate)
        Distribution.__init__(self, self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Values:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Values:
        return self.rate**-2

    def rsample(self, sample_shape: Any = ()) -> Values:
        u: Values = random.rand(self._extended(sample_shape), dtype=self.rate.dtype)
        return -unary.log1p(-u) / self.rate

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        return self.rate.log() - self.rate * value

    def entropy(self) -> Values:
        return 1 - self.rate.log()

    def cdf(self, value: Values) -> Values:
        return 1 - (-self.rate * value).exp()

    def icdf(self, value: Values) -> Values:
        return -unary.log1p(-value) / self.rate


class Gamma(Distribution):
    """The density rate^a x^(a - 1) exp(-rate x) / Gamma(a), a being `concentration`."""

    arg_constraints: ClassVar[dict[str, Check]] = {"concentration": POSITIVE, "rate": POSITIVE}
    support = NOT_NEGATIVE

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None):
        self.concentration, self.rate = tensors(concentration, rate)
        Distribution.__init__(self, self.concentration.shape, (), validate_args)

    @property
    def mean(self) -> Values:
        return self.concentration / self.rate

    @property
    def variance(self) -> Values:
        return self.concentration / self.rate**2

    def sample(self, sample_shape: Any = ()) -> Values:
        with no_grad():
            a = expand(self.concentration, *self._extended(sample_shape)).contiguous()
            return random.standard_gamma(a) / self.rate

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        a, r = self.concentration, self.rate
        return a * r.log() + (a - 1) * value.log() - r * value - unary.lgamma(a)

    def entropy(self) -> Values:
        a = self.concentration
        return a - self.rate.log() + unary.lgamma(a) + (1 - a) * unary.digamma(a)


class Beta(Distribution):
    """The density x^(a - 1) (1 - x)^(b - 1) / B(a, b), a and b being `concentration1` and `concentration0`."""

    arg_constraints: ClassVar[dict[str, Check]] = {"concentration1": POSITIVE, "concentration0": POSITIVE}
    support = UNIT

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None):
        self.concentration1, self.concentration0 = tensors(concentration1, concentration0)
        Distribution.__init__(self, self.concentration1.shape, (), validate_args)

    @property
    def mean(self) -> Values:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Values:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Values:
        with no_grad():
            shape = self._extended(sample_shape)
            a: Values
            b: Values
            a, b = [
                random.standard_gamma(expand(c, *shape).contiguous())
                for c in (self.concentration1, self.concentration0)
            ]
            return a / (a + b)

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        a, b = self.concentration1, self.concentration0
        norm = unary.lgamma(a + b) - unary.lgamma(a) - unary.lgamma(b)
        return (a - 1) * value.log() + (b - 1) * unary.log1p(-value) + norm

    def entropy(self) -> Values:
        a, b = self.concentration1, self.concentration0
        norm = unary.lgamma(a) + unary.lgamma(b) - unary.lgamma(a + b)
        slopes = (a - 1) * unary.digamma(a) + (b - 1) * unary.digamma(b)
        return norm - slopes + (a + b - 2) * unary.digamma(a + b)
