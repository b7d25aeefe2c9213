"""Primitives that compute nothing: the barrier of stop_gradient."""

from __future__ import annotations

from funcgrad.core.primitive import Primitive
from funcgrad.core.types import array_type
from funcgrad.ops.families import batch_unary, flat, unary_samples
from funcgrad.ops.views import IDENTITY

stop_gradient_op: Primitive = flat(
    "stop_gradient",
    lambda x: x,
    lambda x: array_type(x.shape, x.dtype),
    batch_unary(lambda: stop_gradient_op, lambda size: {}),
    unary_samples([{}]),
    strong=False,
    kernel=IDENTITY,
)
