"""make_expr and eval_shape: a function's Program, and the types of its outputs, without running it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.api.arguments import function_name, normalize_argnums
from funcgrad.api.traced import trace_once

Fun = Callable[..., Any]


def eval_shape(fun: Fun, *args: Any, **kwargs: Any) -> Any:
    """The output of `fun` as a tree of ShapeDtypeStruct, computed from types alone."""
    return trace_once(fun, args, kwargs).out_info


def make_expr(fun: Fun, static_argnums: int | Sequence[int] = (), return_shape: bool = False) -> Fun:
    """A function of the same arguments that returns the printable Program of `fun` (also named `make_jaxpr`).

    With `return_shape` it returns `(program, output tree of ShapeDtypeStruct)`.
    """

    @functools.wraps(fun)
    def expr_of(*args: Any, **kwargs: Any) -> Any:
        fixed = dict.fromkeys(normalize_argnums(static_argnums, len(args), f"make_expr of {function_name(fun)}"))
        moving = [a for n, a in enumerate(args) if n not in fixed]

        @functools.wraps(fun)
        def rest(*values: Any, **named: Any) -> Any:
            supply = iter(values)
            return fun(*[a if n in fixed else next(supply) for n, a in enumerate(args)], **named)

        traced = trace_once(rest, moving, kwargs)
        return (traced.program, traced.out_info) if return_shape else traced.program

    return expr_of
