"""Functions whose reverse mode is written for the whole: the chain rule of their parts takes more passes over memory.

The gradient of each needs its result (or what it is cheaply made of again) and one or two sums, so that a compiled backward reads
its operands once or twice. Forward mode and higher orders follow from these rules (transforms/custom.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from funcgrad.core.tracing import shape_of
from funcgrad.numpy.axes import kept_shape
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import reduce_sum, reshape
from funcgrad.ops.reduce import reduce_max
from funcgrad.ops.special_forms import stop_gradient_op
from funcgrad.transforms.custom import apply_custom, custom_vjp_call

Axes = tuple[int, ...]


def _total(x: Any, axes: Axes) -> Any:
    """The sum over axes, which stay with size 1."""
    return reshape(reduce_sum(x, axes=axes), shape=kept_shape(shape_of(x), axes))


def lowered(x: Any, axes: Axes) -> tuple[Any, Any, Any]:
    """x less its maximum (a constant to derivatives), the exponentials of that, and their sums, over axes of some size."""
    peak = reshape(reduce_max(stop_gradient_op(x), axes=axes), shape=kept_shape(shape_of(x), axes))
    down = x - peak
    raised = e.exp(down)
    return down, raised, _total(raised, axes)


def softmax(x: Any, axes: Axes) -> Any:
    """exp(x) / sum(exp(x)) over axes of some size. Pulls back ct to y (ct - sum(y ct))."""

    def value(x: Any) -> list[Any]:
        _, raised, total = lowered(x, axes)
        return [raised * (1.0 / total)]

    def back(residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        (y,), (ct,) = residuals, cts
        weighted = y * ct
        return [weighted - y * _total(weighted, axes)]

    def forward(x: Any) -> Any:
        y = softmax(x, axes)
        return [y], [y], back

    return apply_custom(custom_vjp_call, value, [x], "softmax", fwd=forward)[0]


def log_softmax(x: Any, axes: Axes) -> Any:
    """log(softmax(x)) over axes of some size. Pulls back ct to ct - exp(y) sum(ct)."""

    def value(x: Any) -> list[Any]:
        down, _, total = lowered(x, axes)
        return [down - e.log(total)]

    def back(residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        (y,), (ct,) = residuals, cts
        return [ct - e.exp(y) * _total(ct, axes)]

    def forward(x: Any) -> Any:
        y = log_softmax(x, axes)
        return [y], [y], back

    return apply_custom(custom_vjp_call, value, [x], "log_softmax", fwd=forward)[0]


def moments(x: Any, axes: Axes) -> tuple[Any, Any, Any]:
    """x less its mean, the mean, and the biased variance, over axes that stay with size 1."""
    share = 1.0 / max(math.prod(shape_of(x)[a] for a in axes), 1)
    mean = _total(x, axes) * share
    centred = x - mean
    return centred, mean, _total(centred * centred, axes) * share


def standardized(x: Any, axes: Axes, epsilon: Any) -> Any:
    """(x - mean) / sqrt(variance + epsilon) over axes, the variance being the biased one.

    Pulls back ct to r (ct - mean(ct) - y mean(y ct)), r being 1 / sqrt(variance + epsilon) (Ioffe and Szegedy 2015, section 3).
    """
    share = 1.0 / max(math.prod(shape_of(x)[a] for a in axes), 1)

    def parts(x: Any, epsilon: Any) -> tuple[Any, Any]:
        centred, _, variance = moments(x, axes)
        r = 1.0 / e.sqrt(variance + epsilon)
        return centred * r, r

    def back(residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        (y, r, epsilon), (ct,) = residuals, cts
        both = _total(y * ct, axes)
        dx = r * (ct - _total(ct, axes) * share - y * (both * share))
        return [dx, _like(-0.5 * (both * r * r), epsilon)]

    def forward(x: Any, epsilon: Any) -> Any:
        y, r = parts(x, epsilon)
        return [y], [y, r, epsilon], back

    return apply_custom(
        custom_vjp_call, lambda x, epsilon: [parts(x, epsilon)[0]], [x, epsilon], "standardized", fwd=forward
    )[0]


def _like(x: Any, number: Any) -> Any:
    """The sum of x in the shape of a number it depends on."""
    return reshape(reduce_sum(x, axes=tuple(range(len(shape_of(x))))), shape=shape_of(number))
