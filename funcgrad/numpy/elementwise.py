"""How a ufunc of the NumPy room is made: NumPy's own ufunc on plain arrays, a composition of primitives on tracers.

    @ufunc(np.sin)
    def sin(x, /):
        \"\"\"docstring\"\"\"
        return e.sin(x)

The body sees operands only. The decorator adds NumPy's keywords `out`, `where` and `dtype` to the signature, hands them
to NumPy on plain arrays, and on tracers follows `dtype` and says what to write in place of the other two. It costs
less than a microsecond over NumPy's ufunc, which is why it is apart from `implements`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from funcgrad.core.array import Array, unwrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.core.types import SCALARS
from funcgrad.errors import assignment_error
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.wrapping import any_traced, array_operand, operand, wrap_all
from funcgrad.ops.basics import convert, reshape


class Ufunc(Protocol):
    """What `ufunc` makes: inputs positional, NumPy's options by keyword. Those of two inputs have the method `outer`.

    The ones that NumPy reduces with (add, multiply, maximum, ...) get `reduce` and `accumulate` from the reductions.
    """

    __name__: str

    def __call__(self, *inputs: Any, out: Any = None, where: Any = True, dtype: Any = None) -> Any: ...


_OPTIONS = [
    inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None),
    inspect.Parameter("where", inspect.Parameter.KEYWORD_ONLY, default=True),
    inspect.Parameter("dtype", inspect.Parameter.KEYWORD_ONLY, default=None),
]
_PLAIN = frozenset({np.ndarray, Array, *SCALARS})
_WEAK_KINDS = {dtype: kind for kind, dtype in SCALARS.items() if kind is not bool}


def loop_dtypes(function: np.ufunc, values: Sequence[Any], dtype: Any = None) -> tuple[np.dtype, ...]:
    """The dtypes that NumPy's ufunc computes in for these operands: those of its inputs, then its outputs."""
    types = [type_of(v) for v in values]
    weak = all(t.weak for t in types)
    keys = [_WEAK_KINDS.get(t.dtype, t.dtype) if t.weak and not weak else t.dtype for t in types]
    given = (*keys, *[None] * function.nout)
    if dtype is None:
        return function.resolve_dtypes(given)
    signature = (*[None] * function.nin, *[np.dtype(dtype)] * function.nout)
    return function.resolve_dtypes(given, signature=signature, casting="same_kind")


def converted(function: np.ufunc, *values: Any, dtype: Any = None) -> tuple[Any, ...]:
    """Operands as strong arrays of the dtypes that NumPy's ufunc would compute in."""
    return tuple(convert(v, d) for v, d in zip(values, loop_dtypes(function, values, dtype), strict=False))


def _traced_form(function: np.ufunc, body: Callable[..., Any]) -> Callable[..., Any]:
    """The body behind a check of the options; `numpy.f(tracer)` calls it too."""
    name, count = f"funcgrad.numpy.{body.__name__}", function.nin

    def traced(*inputs: Any, out: Any = None, where: Any = True, dtype: Any = None, **others: Any) -> Any:
        if len(inputs) < count:
            raise TypeError(f"{name} takes {count} arrays, got {len(inputs)}.")
        if out is not None or any(v is not None for v in inputs[count:]):
            raise TypeError(f"{name}(out=...) cannot write a traced result into an array; use the result.")
        if where is not True:
            raise TypeError(
                f"{name}(where=...) leaves values undefined, which a traced array cannot hold; "
                f"write funcgrad.numpy.where(condition, {body.__name__}(...), other)."
            )
        if others:
            raise TypeError(f"{name} takes no {', '.join(sorted(others))} on traced arrays; leave it out.")
        values = [operand(v) for v in inputs[:count]]
        return body(*values) if dtype is None else body(*converted(function, *values, dtype=dtype))

    return functools.update_wrapper(traced, body)


def _with_options(
    function: np.ufunc, traced: Callable[..., Any], inputs: Sequence[Any], options: dict[str, Any]
) -> Any:
    """A call with `out`, `where`, `dtype` or another keyword of NumPy's."""
    if any_traced(inputs) or any_traced(options.values()):
        return traced(*inputs, **options)
    targets = [*inputs[function.nin :], *_as_tuple(options.get("out"))]
    for target in targets:
        if type(target) is Array:
            raise assignment_error(f"{target.dtype}{list(target.shape)}", "a funcgrad.Array (as out=)")
    result = function(*[unwrap(v) for v in inputs], **{k: unwrap(v) for k, v in options.items()})
    return result if any(t is not None for t in targets) else wrap_all(result)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if type(value) is tuple else (value,)


def _unary(function: np.ufunc, body: Callable[..., Any], traced: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, /, *rest: Any, **options: Any) -> Any:
        if rest or options:
            return _with_options(function, traced, (x, *rest), options)
        kind = type(x)
        if kind is Array:
            x = x.view(np.ndarray)
        elif kind is Tracer:
            return body(x)
        elif kind not in _PLAIN and any_traced((x,)):
            return traced(x)
        result = function(x)
        return result.view(Array) if type(result) is np.ndarray else wrap_all(result)

    return call


def _binary(function: np.ufunc, traced: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, y: Any, /, *rest: Any, **options: Any) -> Any:
        if rest or options:
            return _with_options(function, traced, (x, y, *rest), options)
        left, right = type(x), type(y)
        if (left not in _PLAIN or right not in _PLAIN) and any_traced((x, y)):
            return traced(x, y)
        if left is Array:
            x = x.view(np.ndarray)
        if right is Array:
            y = y.view(np.ndarray)
        result = function(x, y)
        return result.view(Array) if type(result) is np.ndarray else wrap_all(result)

    return call


def _outer(call: Callable[..., Any]) -> Callable[..., Any]:
    def outer(x: Any, y: Any, /) -> Any:
        """The function of every pair: the result's axes are those of x, then those of y."""
        left, right = array_operand(x), array_operand(y)
        have = type_of(left).shape
        return call(reshape(left, shape=(*have, *(1,) * type_of(right).ndim)), right)

    return outer


def ufunc(function: np.ufunc) -> Callable[[Callable[..., Any]], Ufunc]:
    """Makes a body of operands the traced form of a NumPy ufunc, and registers it for `numpy.f(tracer)`."""

    def decorate(body: Callable[..., Any]) -> Ufunc:
        traced = _traced_form(function, body)
        call = _unary(function, body, traced) if function.nin == 1 else _binary(function, traced)
        functools.update_wrapper(call, body)
        own = list(inspect.signature(body).parameters.values())
        if function.nin == 2 and function.nout == 1:
            call.outer = _outer(call)  # type: ignore[attr-defined]
        call.__signature__ = inspect.Signature([*own, *_OPTIONS])  # type: ignore[attr-defined]
        dispatch[function] = traced
        return call

    return decorate
