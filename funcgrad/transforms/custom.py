"""The primitives of `custom_vjp` and `custom_jvp`: the user's rule stands in for the derived one.

A rule for one mode serves both: the missing mode is the transposition of the given one, which is linear.
Under an abstract trace the function is a Program; `captured` counts its leading inputs that were closed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Inline
from funcgrad.core.primitive import LinearMap, Primitive
from funcgrad.core.program import Program
from funcgrad.core.tracing import newest_trace, run, trace_program, type_of
from funcgrad.core.types import ArrayType, is_inexact
from funcgrad.errors import closure_error
from funcgrad.ops.families import general, instantiate, zeros_like
from funcgrad.transforms.jvp import linearize_flat
from funcgrad.transforms.vjp import vjp_flat
from funcgrad.transforms.vmap import stack_copies, vmap_all

Values = Sequence[Any]
Backward = Callable[[Values, Values], list[Any]]
"""bwd(residuals, cts) -> one cotangent or None for each argument."""
Forward = Callable[..., tuple[list[Any], list[Any], Backward]]
"""fwd(*args) -> (outs, residuals, bwd)."""
Rule = Callable[[Values, Values], tuple[list[Any], list[Any]]]
"""rule(primals, tangents) -> (outs, output tangents)."""


def _types(*types: ArrayType, fun: Callable[..., Any], **params: Any) -> tuple[ArrayType, ...]:
    if isinstance(fun, ProgramFunction):
        return fun.program.out_types
    raise AssertionError("an abstract trace meets a custom rule only through `apply_custom`, which traces its function")


def _impl(*values: Any, fun: Callable[..., Any], **params: Any) -> list[Any]:
    return list(fun(*values))


class ProgramFunction:
    """A traced function as a callable."""

    def __init__(self, program: Program):
        self.program = program

    def __call__(self, *values: Any) -> list[Any]:
        return run(self.program, *values)


def apply_custom(primitive: Primitive, fun: Callable[..., Values], args: Values, name: str, **rules: Any) -> list[Any]:
    """Calls flat `fun`, recording `primitive` with its rules if any argument is traced."""
    trace = newest_trace(args)
    if trace is None:
        return list(fun(*args))
    if trace.mode != "abstract":
        return list(primitive(*args, fun=fun, captured=0, name=name, **rules))
    program, captured = trace_program(fun, [type_of(a) for a in args], name)
    traced = ProgramFunction(program)
    return list(primitive(*captured, *args, fun=traced, captured=len(captured), name=name, **rules))


def _own_arguments(own: Sequence[bool], values: Values, params: dict[str, Any], primitive: str) -> list[Any]:
    captured = params["captured"]
    if any(own[:captured]):
        raise closure_error(primitive, params["name"])
    return list(values[captured:])


def _linearize_vjp(
    mode: str, own: Sequence[bool], values: Values, params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    fwd: Forward = params["fwd"]
    captured = params["captured"]
    args = _own_arguments(own, values, params, "custom_vjp")
    outs, residuals, bwd = fwd(*args)

    def pull(cts: list[Any]) -> list[Any]:
        return [None] * captured + list(bwd(residuals, instantiate(cts, outs)))

    def push(tangents: list[Any]) -> list[Any]:
        # The backward is linear in its cotangents, so its own reverse mode at zero is its transpose.
        smooth = [is_inexact(type_of(o).dtype) for o in outs]

        def backward(*cts: Any) -> list[Any]:
            supply = iter(cts)
            found = bwd(residuals, [next(supply) if s else zeros_like(o) for s, o in zip(smooth, outs, strict=True)])
            return [zeros_like(a) if f is None else f for f, a in zip(found, args, strict=True)]

        _, transposed = vjp_flat(
            backward, [zeros_like(o) for o, s in zip(outs, smooth, strict=True) if s], params["name"]
        )
        found = iter(transposed(tangents[captured:]))
        return [next(found) if s else None for s in smooth]

    return outs, LinearMap(push, None) if mode == "forward" else LinearMap(None, pull)


def _linearize_jvp(
    mode: str, own: Sequence[bool], values: Values, params: dict[str, Any]
) -> tuple[list[Any], LinearMap]:
    rule: Rule = params["rule"]
    captured = params["captured"]
    args = _own_arguments(own, values, params, "custom_jvp")
    active = [is_inexact(type_of(a).dtype) for a in args]
    outs: list[Any] = []

    def tangent_map(*tangents: Any) -> list[Any]:
        supply = iter(tangents)
        found, moved = rule(args, [next(supply) if on else zeros_like(a) for on, a in zip(active, args, strict=True)])
        outs[:] = found
        return moved

    origin = [zeros_like(a) for a, on in zip(args, active, strict=True) if on]
    if mode == "forward":
        _, push_active = linearize_flat(tangent_map, origin, params["name"])
        return outs, LinearMap(
            lambda ts: push_active([t for t, on in zip(ts[captured:], active, strict=True) if on]), None
        )
    _, pull_active = vjp_flat(tangent_map, origin, params["name"])

    def pull(cts: list[Any]) -> list[Any]:
        found = iter(pull_active(cts))
        return [None] * captured + [next(found) if on else None for on in active]

    return outs, LinearMap(None, pull)


def _batched_vjp(size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]) -> tuple[Any, bool]:
    fun, fwd, captured = params["fun"], params["fwd"], params["captured"]

    def fwd_batched(*values: Any) -> tuple[list[Any], list[Any], Backward]:
        kept: list[Any] = []

        def example(*xs: Any) -> list[Any]:
            outs, residuals, bwd = fwd(*xs)
            kept[:] = [len(outs), bwd]
            return [*outs, *residuals]

        found = vmap_all(example, size, [True] * len(values), values, params["name"])
        count, bwd = kept
        return found[:count], found[count:], lambda residuals, cts: _batched_backward(size, bwd, residuals, cts)

    lifted = _lift(size, batched, args)
    batched_fun = _batched_function(fun, size, params["name"])
    return _rebind(custom_vjp_call, lifted, captured, params["name"], batched_fun, fwd=fwd_batched), True


def _batched_backward(size: int, bwd: Backward, residuals: Values, cts: Values) -> list[Any]:
    given: list[bool] = []

    def example(*both: Any) -> list[Any]:
        found = bwd(both[: len(residuals)], both[len(residuals) :])
        given[:] = [f is not None for f in found]
        return [f for f in found if f is not None]

    both = [*residuals, *cts]
    found = iter(vmap_all(example, size, [True] * len(both), both, "backward"))
    return [next(found) if g else None for g in given]


def _batched_jvp(size: int, batched: Sequence[bool], args: Values, params: dict[str, Any]) -> tuple[Any, bool]:
    fun, rule, captured = params["fun"], params["rule"], params["captured"]

    def rule_batched(primals: Values, tangents: Values) -> tuple[list[Any], list[Any]]:
        n = len(primals)

        def example(*both: Any) -> list[Any]:
            outs, moved = rule(both[:n], both[n:])
            return [*outs, *moved]

        found = vmap_all(example, size, [True] * (2 * n), [*primals, *tangents], params["name"])
        half = len(found) // 2
        return found[:half], found[half:]

    lifted = _lift(size, batched, args)
    batched_fun = _batched_function(fun, size, params["name"])
    return _rebind(custom_jvp_call, lifted, captured, params["name"], batched_fun, rule=rule_batched), True


def _lift(size: int, batched: Sequence[bool], args: Values) -> list[Any]:
    return [a if b else stack_copies(a, size) for a, b in zip(args, batched, strict=True)]


def _batched_function(fun: Callable[..., Values], size: int, name: str) -> Callable[..., list[Any]]:
    return lambda *values: vmap_all(fun, size, [True] * len(values), values, name)


def _rebind(
    primitive: Primitive, args: Values, captured: int, name: str, fun: Callable[..., Any], **rules: Any
) -> list[Any]:
    # Closed-over values are batched along with the rest, so they stay leading inputs of a traced function.
    trace = newest_trace(args)
    if trace is not None and trace.mode == "abstract":
        program, extra = trace_program(fun, [type_of(a) for a in args], name)
        traced = ProgramFunction(program)
        return list(primitive(*extra, *args, fun=traced, captured=captured + len(extra), name=name, **rules))
    return list(primitive(*args, fun=fun, captured=captured, name=name, **rules))


def _text(args: Sequence[str], types: Sequence[ArrayType], params: dict[str, Any]) -> str:
    return f"{params['fun']}({', '.join(args)})"


_INLINE = Inline(lambda params: params["fun"].program if isinstance(params["fun"], ProgramFunction) else None)

custom_vjp_call = general(
    "custom_vjp_call",
    _impl,
    _types,
    batch=_batched_vjp,
    linearize=_linearize_vjp,
    multiple=True,
    text=_text,
    kernel=_INLINE,
)
custom_jvp_call = general(
    "custom_jvp_call",
    _impl,
    _types,
    batch=_batched_jvp,
    linearize=_linearize_jvp,
    multiple=True,
    text=_text,
    kernel=_INLINE,
)

FLOAT0 = np.dtype([("float0", np.void, 0)])
"""The dtype of the tangent of an integer: it holds nothing."""
