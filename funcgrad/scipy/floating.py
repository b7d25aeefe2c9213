"""What the special functions have in common: floating operands in, Arrays out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, type_of
from funcgrad.core.types import SCALARS
from funcgrad.numpy.wrapping import operand
from funcgrad.ops.basics import convert
from funcgrad.ops.pointwise import promoted_dtype


def floating(x: Any) -> Any:
    """An operand with integers as float64; Python numbers, also traced ones, stay weak."""
    x = operand(x)
    if dtype_of(x).kind in "fc":
        return x
    if type(x) in SCALARS:
        return float(x)
    return x * 1.0 if type_of(x).weak else convert(x, np.float64)


def together(values: Sequence[Any]) -> list[Any]:
    """Operands of which the weak ones take the others' dtype, so that selections among them do not widen it."""
    types = [type_of(v) for v in values]
    if all(t.weak for t in types):
        return list(values)
    dtype = promoted_dtype(types)
    return [convert(v, dtype) if t.weak else v for v, t in zip(values, types, strict=True)]


def function(f: Callable[..., Any]) -> Callable[..., Any]:
    """A public function of a body on floating operands; its result, or each of a tuple, becomes an Array."""

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = together([floating(a) for a in (*args, *kwargs.values())])
        out = f(*given[: len(args)], **dict(zip(kwargs, given[len(args) :], strict=True)))
        return tuple(wrap(o) for o in out) if type(out) is tuple else wrap(out)

    return call
