"""lax's derivatives by the shape parameter of a gamma distribution, from the implicit derivative of its samples."""

from __future__ import annotations

from typing import Any

from funcgrad.core.array import wrap
from funcgrad.lax.elementwise import same_types
from funcgrad.ops import elementwise as e
from funcgrad.ops.random import random_loggamma_grad
from funcgrad.ops.special import lgamma


def random_gamma_grad(a: Any, x: Any) -> Any:
    """The derivative by `a` of a sample x of the gamma distribution with shape `a`, elementwise; first order only."""
    shape, value = same_types("random_gamma_grad", a, x)
    return wrap(value * random_loggamma_grad(shape, e.log(value)))


def igamma_grad_a(a: Any, x: Any) -> Any:
    """The derivative by `a` of igamma(a, x), elementwise, for x > 0; first order only."""
    shape, value = same_types("igamma_grad_a", a, x)
    # igamma(a, x(a)) is constant along a sample x(a).
    log_x = e.log(value)
    return wrap(-e.exp(shape * log_x - value - lgamma(shape)) * random_loggamma_grad(shape, log_x))
