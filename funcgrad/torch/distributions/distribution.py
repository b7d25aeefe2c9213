"""The base of distributions: shapes, checks, and what follows from `rsample` and `log_prob`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from funcgrad.torch.dtypes import Size
from funcgrad.torch.modes import no_grad
from funcgrad.torch.ops.shapes import broadcast_tensors
from funcgrad.torch.tensor import Tensor, concrete, make

Values = Any
"""A Tensor: its operators are put on the class when `funcgrad.torch.ops` is imported, which type checkers do not see."""
Check = tuple[str, Callable[[np.ndarray], Any]]

POSITIVE: Check = ("GreaterThan(lower_bound=0.0)", lambda x: x > 0)
REAL: Check = ("Real()", lambda x: x == x)
UNIT: Check = ("Interval(lower_bound=0.0, upper_bound=1.0)", lambda x: (x >= 0) & (x <= 1))
NOT_NEGATIVE: Check = ("GreaterThanEq(lower_bound=0.0)", lambda x: x >= 0)
COUNT: Check = ("IntegerGreaterThan(lower_bound=0)", lambda x: (x >= 0) & (x == np.floor(x)))
BOOLEAN: Check = ("Boolean()", lambda x: (x == 0) | (x == 1))
SIMPLEX: Check = ("Simplex()", lambda x: (x >= 0).all(-1) & (abs(x.sum(-1) - 1) < 1e-6))
VECTOR: Check = ("IndependentConstraint(Real(), 1)", lambda x: x == x)


def tensors(*values: Any) -> tuple[Values, ...]:
    """Numbers and Tensors as Tensors of one shape and dtype."""
    given = [v for v in values if isinstance(v, Tensor)]
    kind = given[0]._array.dtype if given else np.dtype(np.float32)
    return broadcast_tensors(*[v if isinstance(v, Tensor) else make(np.asarray(v, kind)) for v in values])


class Distribution:
    """A distribution over events of `event_shape`, a batch of them of `batch_shape`.

    Raises ValueError for parameters and values out of their range, unless validate_args is False.
    """

    arg_constraints: ClassVar[dict[str, Check]] = {}
    support: ClassVar[Check] = REAL
    has_rsample = False
    has_enumerate_support = False
    _validate = True

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate = validate_args
        for name, (text, check) in self.arg_constraints.items() if self._validate else ():
            value = self.__dict__.get(name)
            if isinstance(value, Tensor) and not np.all(check(concrete(value.detach(), name))):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {text}, but found invalid values:\n{value}"
                )

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments where they are not told."""
        if value not in (True, False):
            raise ValueError("the value must be True or False")
        Distribution._validate = value

    @property
    def batch_shape(self) -> Size:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample of one of them."""
        return self._event_shape

    @property
    def mean(self) -> Values:
        """The expected value."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def variance(self) -> Values:
        """The expected square distance from the mean."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Values:
        """The square root of the variance."""
        return self.variance.sqrt()

    def rsample(self, sample_shape: Any = ()) -> Values:
        """A sample as a differentiable function of the parameters: shape sample_shape + batch_shape + event_shape."""
        raise NotImplementedError(
            f"{type(self).__name__} has no rsample; its samples are no smooth function of its parameters."
        )

    def sample(self, sample_shape: Any = ()) -> Values:
        """A sample, or several: shape sample_shape + batch_shape + event_shape."""
        with no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Values:
        """The logarithm of the density (or probability) at a value."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def entropy(self) -> Values:
        """The expected value of -log_prob."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def cdf(self, value: Tensor) -> Values:
        """The probability of what is not above a value."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Tensor) -> Values:
        """The inverse of `cdf`."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def enumerate_support(self, expand: bool = True) -> Values:
        """All values, along a new first dimension."""
        raise NotImplementedError(f"{type(self).__name__} has no finite support")

    def perplexity(self) -> Values:
        """exp(entropy)."""
        return self.entropy().exp()

    def _extended(self, sample_shape: Any) -> tuple[int, ...]:
        return (*(int(n) for n in sample_shape), *self._batch_shape, *self._event_shape)

    def _check_value(self, value: Tensor) -> None:
        if not self._validate:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        text, check = self.support
        if not np.all(check(concrete(value.detach(), "log_prob"))):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                f"({text}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        found = [(k, v) for k in self.arg_constraints if isinstance(v := self.__dict__.get(k), Tensor)]
        parts = [f"{k}: {v if v.numel() == 1 else v.size()}" for k, v in found]
        return f"{type(self).__name__}({', '.join(parts)})"


HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
