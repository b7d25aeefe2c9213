"""Python's operators on tracers, and NumPy's own functions called on them.

Tracers get their methods here, so that the core need not know the NumPy room. `dispatch` is the table from NumPy
functions to ours, filled by `implements`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.array import unwrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.core.types import SCALARS
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import reshape
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
    unary: dict[str, Callable[..., Any]] = {"neg": e.neg, "abs": e.magnitude, "invert": e.bitwise_not}
    for name, function in unary.items():
        setattr(Tracer, f"__{name}__", lambda self, function=function: function(self))
    Tracer.__pos__ = lambda self: self  # type: ignore[attr-defined, operator]


def _pow(self: Any, other: Any, modulus: None = None) -> Any:
    if modulus is not None:
        raise TypeError("pow(x, y, modulus) was asked of a traced array; write (x ** y) % modulus.")
    if type(other) is int and other == 2:
        # NumPy's operator squares booleans too, to int8, where its function promotes them to int64.
        return e.square(self)
    return power_of(self, unwrap(other)) if _usable(other) else NotImplemented


def power_of(x: Any, y: Any) -> Any:
    """x ** y of operands; a Python number as exponent is static, so that its derivative has no logarithm."""
    kind = type_of(x).dtype.kind
    if type(y) is int and kind != "b":
        if y < 0 and kind in "iu":
            raise ValueError(f"integers to negative integer powers are not allowed: x ** {y} with x of {type_of(x)}.")
        return e.square(x) if y == 2 else e.integer_pow(x, n=y)
    if type(y) is float and kind in "fc":
        # The shortcuts that NumPy's own operator takes.
        if y == 2.0:
            return e.square(x)
        if y == 0.5:
            return e.sqrt(x)
    return e.power(x, y)


def _install_powers() -> None:
    # matmul and round are functions of the room, which registers them later.
    methods = {
        "pow": (_pow, binary(power_of)[1]),
        "divmod": binary(lambda x, y: (e.floor_divide(x, y), e.remainder(x, y))),
        "matmul": binary(lambda x, y: dispatch[np.matmul](x, y)),
    }
    for name, (forward, backward) in methods.items():
        setattr(Tracer, f"__{name}__", forward)
        setattr(Tracer, f"__r{name}__", backward)
    Tracer.__round__ = lambda self, ndigits=None: dispatch[np.round](self, ndigits or 0)  # type: ignore[attr-defined]


def _outer(function: Callable[..., Any], x: Any, y: Any) -> Any:
    have = type_of(unwrap(x)).shape
    return function(reshape(unwrap(x), shape=(*have, *(1,) * type_of(unwrap(y)).ndim)), y)


def _ufunc(self: Any, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    function = dispatch.get(ufunc if method == "__call__" else (ufunc, method))
    if method == "outer" and ufunc in dispatch:
        return _outer(dispatch[ufunc], *inputs)
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
_install_powers()
# The rows that are NumPy's own ufuncs serve until the room registers a function with the full signature.
dispatch.update((p.impl, p) for p in TABLE.values() if isinstance(p.impl, np.ufunc))
Tracer.__array_ufunc__ = _ufunc  # type: ignore[attr-defined]
Tracer.__array_function__ = _function  # type: ignore[attr-defined]
