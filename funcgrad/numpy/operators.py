"""Python's operators on tracers, and NumPy's own functions called on them.

Tracers get their methods here, so that the core need not know the NumPy room. `dispatch` is the table from NumPy
functions to ours, filled by `implements`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.array import unwrap
from funcgrad.core.tracing import Tracer
from funcgrad.core.types import SCALARS
from funcgrad.ops import elementwise as e
from funcgrad.ops.families import TABLE

dispatch: dict[Any, Callable[..., Any]] = {}
"""What `numpy.f(tracer)` calls, for ufuncs and other functions alike."""

_OPERANDS = (np.ndarray, np.generic)


def _usable(value: Any) -> bool:
    return type(value) is Tracer or type(value) in SCALARS or isinstance(value, _OPERANDS)


def binary(primitive: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The methods (x op y, y op x) of a primitive."""

    def forward(self: Any, other: Any) -> Any:
        return primitive(self, unwrap(other)) if _usable(other) else NotImplemented

    def backward(self: Any, other: Any) -> Any:
        return primitive(unwrap(other), self) if _usable(other) else NotImplemented

    return forward, backward


def _install_arithmetic() -> None:
    pairs = {
        "add": e.add, "sub": e.sub, "mul": e.mul, "truediv": e.div, "floordiv": e.floor_divide, "mod": e.remainder,
        "and": e.bitwise_and, "or": e.bitwise_or, "xor": e.bitwise_xor, "lshift": e.shift_left, "rshift": e.shift_right,
    }  # fmt: skip
    for name, primitive in pairs.items():
        forward, backward = binary(primitive)
        setattr(Tracer, f"__{name}__", forward)
        setattr(Tracer, f"__r{name}__", backward)
    for name, primitive in {"eq": e.eq, "ne": e.ne, "lt": e.lt, "le": e.le, "gt": e.gt, "ge": e.ge}.items():
        setattr(Tracer, f"__{name}__", binary(primitive)[0])
    for name, primitive in {"neg": e.neg, "abs": e.magnitude, "invert": e.bitwise_not}.items():
        setattr(Tracer, f"__{name}__", lambda self, primitive=primitive: primitive(self))
    Tracer.__pos__ = lambda self: self  # type: ignore[attr-defined]


def _ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    function = dispatch.get(ufunc if method == "__call__" else (ufunc, method))
    if function is None:
        what = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        raise TypeError(
            f"{what} was called on a traced array, and funcgrad.numpy has no such function; compose it from others."
        )
    if kwargs.pop("out", None) is not None:
        raise TypeError(
            f"numpy.{ufunc.__name__}(..., out=...) cannot write into or from a traced array; use its result."
        )
    return function(*inputs, **kwargs)


def _function(self: Any, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    function = dispatch.get(func)
    if function is None:
        name = f"{func.__module__}.{func.__name__}"
        raise TypeError(
            f"{name} was called on a traced array, and funcgrad.numpy has no such function; compose it from others."
        )
    return function(*args, **kwargs)


_install_arithmetic()
# The rows that are NumPy's own ufuncs serve until the room registers a function with the full signature.
dispatch.update((p.impl, p) for p in TABLE.values() if isinstance(p.impl, np.ufunc))
Tracer.__array_ufunc__ = _ufunc  # type: ignore[attr-defined]
Tracer.__array_function__ = _function  # type: ignore[attr-defined]
