"""How a function of the NumPy room is made: NumPy itself on plain arrays, our composition of primitives on tracers.

    @implements(np.cov)
    def cov(m, y=None, rowvar=True, ...):
        \"\"\"docstring\"\"\"
        <a composition that works on tracers and on arrays>

On plain arrays the call goes straight to NumPy (its speed, its rounding, its errors) and the result becomes an Array.
With a tracer anywhere among the arguments the body runs. `numpy.cov(tracer)` finds the body through `dispatch`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from funcgrad.core.array import Array, unwrap, wrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.core.types import SCALARS
from funcgrad.numpy.operators import dispatch
from funcgrad.ops.basics import reshape
from funcgrad.ops.shape import concatenate

P = ParamSpec("P")
R = TypeVar("R")


_ABSENT = ("where", "initial")
"""Keywords in which JAX writes None for "not given", and NumPy has a value of its own."""


def any_traced(values: Any) -> bool:
    """Whether a tracer is among the values or inside the lists, tuples and dicts among them."""
    for v in values:
        kind = type(v)
        if kind is Tracer:
            return True
        if (kind is list or kind is tuple) and any_traced(v):
            return True
        if kind is dict and any_traced(v.values()):
            return True
    return False


def unwrap_all(values: Any) -> Any:
    """A list or tuple with the Arrays in it as plain ndarrays; None if there is a tracer in it."""
    plain = []
    for v in values:
        kind = type(v)
        if kind is Array:
            v = v.view(np.ndarray)
        elif kind is Tracer:
            return None
        elif kind is list or kind is tuple:
            v = unwrap_all(v)
            if v is None:
                return None
        plain.append(v)
    return plain if type(values) is list else tuple(plain)


def wrap_all(result: Any) -> Any:
    """A NumPy result with every array in it (also in tuples, named tuples, lists) as an Array."""
    if isinstance(result, np.generic):
        return np.asarray(result).view(Array)
    if isinstance(result, np.ndarray):
        return wrap(result)
    if isinstance(result, tuple):
        parts = [wrap_all(r) for r in result]
        return type(result)(*parts) if type(result) is not tuple else tuple(parts)
    if type(result) is list:
        return [wrap_all(r) for r in result]
    return result


def without_out(body: Callable[P, R]) -> Callable[P, R]:
    """A body that has NumPy's parameter `out` behind a check that it is None; another body as it is."""
    code = body.__code__  # type: ignore[attr-defined]
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "out" not in names:
        return body
    place = names.index("out") if "out" in names[: code.co_argcount] else sys.maxsize

    @functools.wraps(body)
    def traced(*args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("out") is not None or (len(args) > place and args[place] is not None):
            name = f"funcgrad.numpy.{code.co_name}"
            raise TypeError(f"{name}(out=...) cannot write a traced result into an array; use the result.")
        return body(*args, **kwargs)

    return traced


def implements(*functions: Any, extras: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a body the traced form of NumPy functions (the first is what plain arguments call).

    `extras` are keywords that NumPy does not have: a call that uses one runs the body on plain arguments too.
    """
    numpy_function = functions[0]
    own = frozenset(extras)

    def decorate(body: Callable[P, R]) -> Callable[P, R]:
        traced = without_out(body)

        @functools.wraps(body)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            # NumPy's own Python code writes into arrays like its arguments: those must be plain ones.
            plain: list[Any] = []
            for a in args:
                kind = type(a)
                if kind is Array:
                    a = a.view(np.ndarray)  # type: ignore[attr-defined]
                elif kind is Tracer:
                    return traced(*args, **kwargs)
                elif kind is list or kind is tuple:
                    a = unwrap_all(a)
                    if a is None:
                        return traced(*args, **kwargs)
                plain.append(a)
            if not kwargs:
                result = numpy_function(*plain)
            else:
                options: dict[str, Any] = {}
                for key, v in kwargs.items():
                    kind = type(v)
                    if kind is list or kind is tuple:
                        v = unwrap_all(v)
                    if kind is Tracer or key in own or (v is None and kwargs[key] is not None):
                        return wrap_all(traced(*args, **kwargs))
                    if v is not None or key not in _ABSENT:
                        options[key] = v.view(np.ndarray) if kind is Array else v  # type: ignore[attr-defined]
                result = numpy_function(*plain, **options)
            if type(result) is np.ndarray:
                return result.view(Array)  # type: ignore[return-value]
            return wrap_all(result)

        for f in functions:
            dispatch[f] = traced
        return call

    return decorate


def stacked(values: Sequence[Any]) -> Any:
    """Operands of one shape as one array with a new first axis, of the dtype that numpy.array would find.

    Raises ValueError if the shapes differ.
    """
    shapes = [type_of(v).shape for v in values]
    if any(s != shapes[0] for s in shapes):
        raise ValueError(f"an array was asked of a list whose items have different shapes: {shapes}.")
    return concatenate(*[reshape(v, shape=(1, *shapes[0])) for v in values], axis=0)


def operand(x: Any) -> Any:
    """An argument as what primitives take: a tracer, a plain ndarray, or a Python number.

    Lists and tuples become arrays; ones that hold tracers are stacked. Raises TypeError for anything else.
    """
    x = unwrap(x)
    if type(x) is Tracer or type(x) is np.ndarray or type(x) in SCALARS or isinstance(x, np.generic):
        return x
    if isinstance(x, (list, tuple)) and any_traced(x):
        return stacked([operand(v) for v in x])
    found = np.asarray(x)
    type_of(found)
    return found


def array_operand(x: Any) -> Any:
    """As `operand`, with Python numbers as 0-d arrays: what a function of one array takes."""
    x = operand(x)
    return np.asarray(x) if type(x) in SCALARS else x
