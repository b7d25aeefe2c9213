"""Activations, elementwise, with jax.nn's names and signatures. At kinks the derivatives are PyTorch's."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import elementwise as e
from funcgrad.ops.shape import slice_axis
from funcgrad.ops.special import erfc, logistic


def _elementwise(f: Callable[..., Any]) -> Callable[..., Any]:
    """Operands in, Arrays out."""

    @functools.wraps(f)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        return wrap(f(array_operand(x), *args, **kwargs))

    return call


@_elementwise
def identity(x: Any) -> Any:
    """x."""
    return x


@_elementwise
def relu(x: Any) -> Any:
    """max(x, 0); the derivative at 0 is 0."""
    return e.select(x <= 0, 0, x)


@_elementwise
def relu6(x: Any) -> Any:
    """min(max(x, 0), 6), floating; the derivative at both kinks is 0."""
    return _between(x, 0.0, 6.0)


def _between(x: Any, low: float, high: float) -> Any:
    # By what lies outside, so that nan stays nan.
    return e.select(x <= low, low, e.select(x >= high, high, x))


@_elementwise
def hard_tanh(x: Any) -> Any:
    """x limited to [-1, 1]; the derivative at both kinks is 0."""
    return _between(x, -1, 1)


@_elementwise
def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return _between(x + 3.0, 0, 6) / 6.0


@_elementwise
def hard_silu(x: Any) -> Any:
    """x * hard_sigmoid(x): 0 up to -3, x from 3 on; the derivatives at both kinks are those outside."""
    return e.select(x <= -3, 0.0, e.select(x >= 3, 1.0 * x, x * ((x + 3.0) / 6.0)))


hard_swish = hard_silu


@_elementwise
def leaky_relu(x: Any, negative_slope: Any = 1e-2) -> Any:
    """x where positive, else negative_slope * x; the derivative at 0 is the slope."""
    return e.select(x > 0, x, negative_slope * x)


@_elementwise
def elu(x: Any, alpha: Any = 1.0) -> Any:
    """x where positive, else alpha * (exp(x) - 1); the derivative at 0 is alpha."""
    safe = e.select(x > 0, 0.0, x)
    return e.select(x > 0, x, alpha * e.expm1(safe))


@_elementwise
def celu(x: Any, alpha: Any = 1.0) -> Any:
    """x where positive, else alpha * (exp(x / alpha) - 1)."""
    safe = e.select(x > 0, 0.0, x)
    return e.select(x > 0, x, alpha * e.expm1(safe / alpha))


@_elementwise
def selu(x: Any) -> Any:
    """The self-normalising elu (Klambauer et al. 2017)."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    safe = e.select(x > 0, 0.0, x)
    return scale * e.select(x > 0, x, alpha * e.expm1(safe))


@_elementwise
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return logistic(x)


@_elementwise
def silu(x: Any) -> Any:
    """x * sigmoid(x)."""
    return x * logistic(x)


swish = silu


@_elementwise
def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), accurate on both sides."""
    return -e.logaddexp(-x, 0.0)


@_elementwise
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), accurate on both sides."""
    return e.logaddexp(x, 0.0)


@_elementwise
def squareplus(x: Any, b: Any = 4.0) -> Any:
    """(x + sqrt(x ** 2 + b)) / 2."""
    return (x + e.sqrt(e.square(x) + b)) / 2.0


@_elementwise
def sparse_plus(x: Any) -> Any:
    """0 up to -1, (x + 1) ** 2 / 4 between, x from 1 on."""
    inside = _between(x, -1, 1)
    return e.select(x >= 1, x, e.square(inside + 1.0) / 4.0)


@_elementwise
def sparse_sigmoid(x: Any) -> Any:
    """0 up to -1, (x + 1) / 2 between, 1 from 1 on: the derivative of sparse_plus. Its own at both kinks is 0."""
    return (_between(x, -1, 1) + 1.0) / 2.0


@_elementwise
def log1mexp(x: Any) -> Any:
    """log(1 - exp(-x)) for x >= 0, accurate on both sides of log(2)."""
    small = x < math.log(2)
    near, far = e.select(small, x, 1.0), e.select(small, 1.0, x)
    return e.select(small, e.log(-e.expm1(-near)), e.log1p(-e.exp(-far)))


@_elementwise
def soft_sign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return x / (1.0 + e.magnitude(x))


@_elementwise
def mish(x: Any) -> Any:
    """x * tanh(softplus(x))."""
    return x * e.tanh(e.logaddexp(x, 0.0))


@_elementwise
def tanh(x: Any, /) -> Any:
    """The hyperbolic tangent."""
    return e.tanh(x)


@_elementwise
def gelu(x: Any, approximate: bool = True) -> Any:
    """x times the normal distribution function at x; by default its tanh approximation (Hendrycks and Gimpel 2016)."""
    if approximate:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
        return x * (0.5 * (1.0 + e.tanh(inner)))
    return 0.5 * x * erfc(x * -math.sqrt(0.5))


@_elementwise
def glu(x: Any, axis: int = -1) -> Any:
    """The first half of `x` along `axis` times the sigmoid of the second. Raises ValueError for an odd length."""
    axis = axis_of(axis, len(shape_of(x)), "glu")
    n = shape_of(x)[axis]
    if n % 2:
        raise ValueError(f"glu: axis {axis} of shape {shape_of(x)} must have an even length.")
    return slice_axis(x, 0, n // 2, axis) * logistic(slice_axis(x, n // 2, n, axis))
