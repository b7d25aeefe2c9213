"""Distributions of integers and classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from funcgrad.torch.distributions.distribution import (
    BOOLEAN,
    COUNT,
    NOT_NEGATIVE,
    SIMPLEX,
    UNIT,
    VECTOR,
    Check,
    Distribution,
    Values,
    tensors,
)
from funcgrad.torch.modes import no_grad
from funcgrad.torch.ops import random, unary
from funcgrad.torch.ops.activations import log_softmax, softmax
from funcgrad.torch.ops.creation import arange
from funcgrad.torch.ops.losses import bce_with_logits
from funcgrad.torch.ops.shapes import broadcast_tensors
from funcgrad.torch.ops.views import expand
from funcgrad.torch.tensor import make


def _one_of(probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


class Categorical(Distribution):
    """One of n classes: `probs` (..., n), made to sum to 1, or `logits` up to a constant."""

    arg_constraints: ClassVar[dict[str, Check]] = {"probs": SIMPLEX, "logits": VECTOR}
    support = COUNT
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        _one_of(probs, logits)
        given = probs if logits is None else logits
        if given.dim() < 1:
            raise ValueError(f"`{'probs' if logits is None else 'logits'}` parameter must be at least one-dimensional.")
        self.probs = softmax(logits, -1) if probs is None else probs / probs.sum(-1, keepdim=True)
        tiny = float(np.finfo(self.probs._array.dtype).eps)
        self.logits = log_softmax(logits, -1) if probs is None else self.probs.clamp(tiny, 1 - tiny).log()
        if probs is None:
            # The logits' own range is checked: normalised ones are nan where they are infinite.
            self.probs = softmax(self.logits, -1)
        self._num_events = int(given.shape[-1])
        Distribution.__init__(self, given.shape[:-1], (), validate_args)

    @property
    def param_shape(self) -> Any:
        """The shape of `probs`."""
        return self.probs.shape

    @property
    def mode(self) -> Values:
        """The class of the largest probability."""
        return self.probs.argmax(-1)

    def sample(self, sample_shape: Any = ()) -> Values:
        with no_grad():
            shape = self._extended(sample_shape)
            count = int(np.prod(sample_shape, dtype=int)) if len(tuple(sample_shape)) else 1
            rows = self.probs.detach().reshape(-1, self._num_events)
            return random.multinomial(rows, count, True).T.reshape(shape)

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        labels: Values
        labels, logits = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, labels[..., :1]).squeeze(-1)

    def entropy(self) -> Values:
        low = float(np.finfo(self.logits._array.dtype).min)
        return -(self.logits.clamp(min=low) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Values:
        values = arange(self._num_events).reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values


class Bernoulli(Distribution):
    """1 with probability `probs`, else 0; `logits` is log(probs / (1 - probs))."""

    arg_constraints: ClassVar[dict[str, Check]] = {"probs": UNIT}
    support = BOOLEAN
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        _one_of(probs, logits)
        (given,) = tensors(probs if logits is None else logits)
        self.probs = given if logits is None else unary.sigmoid(given)
        tiny = float(np.finfo(self.probs._array.dtype).eps)
        safe = self.probs.clamp(tiny, 1 - tiny)
        self.logits = given if probs is None else safe.log() - unary.log1p(-safe)
        Distribution.__init__(self, given.shape, (), validate_args)

    @property
    def mean(self) -> Values:
        return self.probs

    @property
    def variance(self) -> Values:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Values:
        with no_grad():
            return random.bernoulli(expand(self.probs, *self._extended(sample_shape)).contiguous())

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        logits, value = broadcast_tensors(self.logits, value)
        return -bce_with_logits(logits, value, None, "none")

    def entropy(self) -> Values:
        return bce_with_logits(self.logits, self.probs, None, "none")

    def enumerate_support(self, expand: bool = True) -> Values:
        values = make(np.arange(2, dtype=self.probs._array.dtype)).reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values


class Poisson(Distribution):
    """Counts of events that come at a rate."""

    arg_constraints: ClassVar[dict[str, Check]] = {"rate": NOT_NEGATIVE}
    support = COUNT

    def __init__(self, rate: Any, validate_args: bool | None = None):
        (self.rate,) = tensors(rate)
        Distribution.__init__(self, self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Values:
        return self.rate

    variance = mean

    def sample(self, sample_shape: Any = ()) -> Values:
        with no_grad():
            return random.poisson(expand(self.rate, *self._extended(sample_shape)).contiguous())

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        return value.xlogy(self.rate) - self.rate - unary.lgamma(value + 1)


class Geometric(Distribution):
    """How often a coin that shows heads with probability `probs` shows tails before."""

    arg_constraints: ClassVar[dict[str, Check]] = {"probs": UNIT}
    support = COUNT

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        _one_of(probs, logits)
        (given,) = tensors(probs if logits is None else logits)
        self.probs = given if logits is None else unary.sigmoid(given)
        Distribution.__init__(self, given.shape, (), validate_args)

    @property
    def mean(self) -> Values:
        return 1 / self.probs - 1

    @property
    def variance(self) -> Values:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Any = ()) -> Values:
        with no_grad():
            u: Values = random.rand(self._extended(sample_shape), dtype=self.probs.dtype)
            return (unary.log1p(-u) / unary.log1p(-self.probs)).floor()

    def log_prob(self, value: Values) -> Values:
        self._check_value(value)
        return value * unary.log1p(-self.probs) + self.probs.log()

    def entropy(self) -> Values:
        p = self.probs
        return -(p * p.log() + (1 - p) * unary.log1p(-p)) / p
