"""A user's own numba function inside of a traced program: on whole arrays (`numba_call`) or element by element.

Its values come from numba's code (transforms/njit_call.py). Its derivative is given, or traced from the Python function that
numba compiled, with `math` replaced by NumPy (whose functions take tracers) and inner numba functions by their Python ones.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays, function_name
from funcgrad.api.callback import declared_types
from funcgrad.api.custom import custom_jvp
from funcgrad.api.derivatives import jvp
from funcgrad.core.array import wrap
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, is_inexact
from funcgrad.ops import gammas, special
from funcgrad.ops.basics import convert
from funcgrad.transforms.callback import VMAP_METHODS
from funcgrad.transforms.njit_call import NjitFunction, njit_call, njit_elementwise, result_dtype

Fun = Callable[..., Any]


def numba_call(fn: Fun, result_shape_dtypes: Any, *args: Any, derivative: Fun | None = None,
               vmap_method: str | None = "sequential") -> Any:  # fmt: skip
    """Calls a function compiled by `numba.njit` on the arrays of a traced program; it can be differentiated.

    Args:
        fn: the numba function, without effects. It is called with plain arrays in C order that it may overwrite, and numbers for
            what has no dimensions; pytrees as in `args`. A compiled program calls numba's code itself, without the interpreter's
            lock, and the examples of a batch in several threads at once.
        result_shape_dtypes: the pytree of what it returns, each leaf with `shape` and `dtype` (a ShapeDtypeStruct).
        derivative: `derivative(primals, tangents)` gives the tangent of the result for tuples like `args`, written with
            traceable functions (numba_call too) and linear in the tangents. None: the Python function behind `fn` is traced.
        vmap_method: as in pure_callback; "sequential" calls fn once per example.

    Returns fn's result as Arrays. Raises TypeError if fn is no numba function, if the result is not as declared, or (when a
    derivative is asked for) if the Python function cannot be traced; ValueError for an unknown vmap_method.

        y = fg.numba_call(simulate, fg.ShapeDtypeStruct((100,), "float64"), x0, rate)
    """
    python, name = _python_function(fn, "numba_call"), function_name(fn)
    if vmap_method not in VMAP_METHODS:
        raise ValueError(f"numba_call of {name}: vmap_method must be one of {VMAP_METHODS}, got {vmap_method!r}.")
    types, out_tree = declared_types(result_shape_dtypes, f"numba_call of {name}")
    outputs = tuple([(t.shape, t.dtype) for t in types])

    def forward(*values: Any) -> Any:
        leaves, in_tree = flatten_arrays(values, f"numba_call of {name}: argument")
        strong = [convert(v, type_of(v).dtype) for v in leaves]
        found = njit_call(
            *strong, function=NjitFunction(fn, in_tree, out_tree), outputs=outputs, vmap_method=vmap_method, sizes=(),
            batched=((),) * len(strong),
        )  # fmt: skip
        return tree.unflatten(out_tree, [wrap(o) for o in found])

    forward.__name__ = name

    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        out = differentiable(*primals)
        if derivative is not None:
            return out, derivative(primals, tangents)
        return out, _traced_tangent(python, primals, tangents, out, f"numba_call of {name}")

    differentiable = custom_jvp(forward)
    differentiable.defjvp(rule)
    return differentiable(*args)


def numba_elementwise(fn: Fun, *, derivative: Fun | Sequence[Fun | None] | None = None) -> Fun:
    """A function of arrays that applies a scalar function compiled by `numba.njit` to each element; it can be differentiated.

    Args:
        fn: the numba function of numbers, without effects, that returns a number.
        derivative: the slope by the argument, a function of the same arguments; for several arguments a sequence of such
            functions, None where there is none. Each may be a numba function of numbers or a traceable function of
            arrays. None: the Python function behind `fn` is traced, which must not branch on its arguments.

    Returns a function of arrays, numbers and tracers that broadcasts; the result's dtype is the one that numba finds. Raises
    TypeError if fn is no numba function, or (when a derivative is asked for) if the Python function cannot be traced.

        smooth = fg.numba_elementwise(njit_smooth)
    """
    python, name = _python_function(fn, "numba_elementwise"), function_name(fn)
    slopes: list[Fun | None] | None = None
    if derivative is not None:
        given = [derivative] if callable(derivative) else list(derivative)
        slopes = [numba_elementwise(d) if d is not None and _is_numba(d) else d for d in given]

    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        out = differentiable(*primals)
        if slopes is None:
            return out, _traced_tangent(python, primals, tangents, out, f"numba_elementwise of {name}")
        if len(slopes) != len(primals):
            raise TypeError(
                f"numba_elementwise of {name}: {len(slopes)} derivatives were given for {len(primals)} arguments; give "
                "one for each, None for an argument without one."
            )
        terms = [
            slope(*primals) * t
            for slope, t, p in zip(slopes, tangents, primals, strict=True)
            if slope is not None and is_inexact(type_of(p).dtype)
        ]
        kind = type_of(out)
        return out, np.broadcast_to(sum(terms[1:], terms[0]), kind.shape) if terms else _filled(0.0, kind)

    def forward(*values: Any) -> Any:
        return wrap(njit_elementwise(*values, fn=fn, dtype=result_dtype(fn, tuple([type_of(v).dtype for v in values]))))

    forward.__name__ = name
    differentiable = custom_jvp(forward)
    differentiable.defjvp(rule)

    @functools.wraps(python)
    def elementwise(*args: Any) -> Any:
        leaves, _ = flatten_arrays(args, f"numba_elementwise of {name}: argument")
        if not leaves:
            raise TypeError(f"numba_elementwise of {name} needs at least one argument.")
        return differentiable(*_together(leaves))

    return elementwise


def _is_numba(fn: Any) -> bool:
    return callable(getattr(fn, "py_func", None))


def _python_function(fn: Any, what: str) -> Fun:
    """The Python function that numba compiled."""
    if not _is_numba(fn):
        raise TypeError(
            f"{what} needs a function compiled by numba.njit, got {fn!r}; for plain Python use funcgrad.pure_callback."
        )
    return fn.py_func


def _together(values: Sequence[Any]) -> list[Any]:
    """Values broadcast to one shape (single numbers stay), Python's numbers in the dtype that they have beside the others."""
    kinds = [type_of(v) for v in values]
    shape = np.broadcast_shapes(*[k.shape for k in kinds])
    strong = [k.dtype for k in kinds if not k.weak]
    found = []
    for v, k in zip(values, kinds, strict=True):
        dtype = np.result_type(*strong, k.dtype.type(0).item()) if k.weak and strong else k.dtype
        found.append(np.broadcast_to(convert(v, dtype), shape) if k.shape else convert(v, dtype))
    return found


# ---- derivatives from the Python function ----


def _traced_tangent(python: Fun, primals: Sequence[Any], tangents: Sequence[Any], out: Any, what: str) -> Any:
    """The tangent of the result, by forward mode through the Python function; the result's structure and types are known."""
    leaves, treedef = tree.flatten(tuple(primals))
    moves, _ = tree.flatten(tuple(tangents))
    moving = [n for n, p in enumerate(leaves) if is_inexact(type_of(p).dtype)]
    outs, out_tree = tree.flatten(out)

    def smooth(*values: Any) -> Any:
        full = list(leaves)
        for n, v in zip(moving, values, strict=True):
            full[n] = v
        results, found = tree.flatten(traceable(python)(*tree.unflatten(treedef, full)))
        if found != out_tree:
            raise TypeError(f"it returned {found} in place of {out_tree}")
        kinds = [type_of(o) for o in outs]
        return [_filled(r, k) for r, k in zip(results, kinds, strict=True) if is_inexact(k.dtype)]

    if not moving:
        return tree.map(lambda o: _filled(0.0, type_of(o)), out)
    try:
        _, found = jvp(smooth, tuple(leaves[n] for n in moving), tuple(moves[n] for n in moving))
    except Exception as error:
        raise TypeError(
            f"{what}: its derivative could not be traced from its Python function ({type(error).__name__}: {error}). Give it: "
            "derivative=..."
        ) from error
    supply = iter(found)
    parts = [next(supply) if is_inexact(type_of(o).dtype) else _filled(0.0, type_of(o)) for o in outs]
    return tree.unflatten(out_tree, parts)


def _filled(value: Any, kind: ArrayType) -> Any:
    """A value in the shape and dtype of a result; numbers are repeated."""
    return wrap(np.broadcast_to(convert(value, kind.dtype), kind.shape))


def traceable(fn: Fun, made: dict[int, Any] | None = None) -> Fun:
    """A Python function as one that takes tracers: what it knows as `math` is NumPy, and numba functions are Python ones."""
    made = {} if made is None else made
    if id(fn) in made:
        return made[id(fn)]
    scope = dict(_BUILTINS)
    cells = tuple([types.CellType() for _ in fn.__closure__ or ()])
    copied = types.FunctionType(fn.__code__, scope, fn.__name__, fn.__defaults__, cells)
    copied.__kwdefaults__ = fn.__kwdefaults__
    made[id(fn)] = copied
    for name, value in fn.__globals__.items():
        if name in _names(fn.__code__):
            scope[name] = _replaced(value, made)
    for cell, old in zip(cells, fn.__closure__ or (), strict=True):
        cell.cell_contents = _replaced(old.cell_contents, made)
    return copied


def _names(code: types.CodeType) -> set[str]:
    """The names that a function and those inside of it look up."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _replaced(value: Any, made: dict[int, Any]) -> Any:
    if value is math:
        return _MATH
    if _is_numba(value):
        return traceable(value.py_func, made)
    if inspect.isbuiltin(value) and value.__module__ == math.__name__:
        return getattr(_MATH, value.__name__)
    loaded = sys.modules.get("numba")
    if loaded is not None and value is loaded:
        return types.SimpleNamespace(prange=range)
    return range if loaded is not None and value is loaded.prange else value


def _folded(function: Fun) -> Fun:
    """max and min of numbers, given one by one."""
    return lambda *values: functools.reduce(function, values)


_SAME = """
sin cos tan sinh cosh tanh asin acos atan atan2 asinh acosh atanh exp exp2 expm1 log log2 log10 log1p sqrt cbrt hypot copysign
fmod floor ceil trunc isnan isinf isfinite radians degrees pow
"""
"""Functions of math that NumPy has under the same name and with the same meaning."""
_CONSTANTS = {name: getattr(math, name) for name in "pi e tau inf nan".split()}
_MATH = types.SimpleNamespace(
    **{name: getattr(np, name) for name in _SAME.split()},
    **_CONSTANTS,
    fabs=np.abs,
    erf=special.erf,
    erfc=special.erfc,
    gamma=gammas.gamma,
    lgamma=special.lgamma,
)
_BUILTINS: dict[str, Any] = dict(max=_folded(np.maximum), min=_folded(np.minimum))
