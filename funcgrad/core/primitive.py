"""The primitive record, one row with every rule of an operation, and `bind`, the one way to apply it.

Arrays are positional, parameters are keywords. `bind` looks for the newest trace among the arguments: without one it
evaluates with NumPy, otherwise that trace records. The order of traces is the order of their creation, so there is no
stack to keep: an inner trace is always newer than the ones around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.core.lowering import Kernel
from funcgrad.core.tracing import Trace, Tracer
from funcgrad.core.types import SCALARS, WEAK_DTYPES, ArrayType, array_type
from funcgrad.errors import MissingRuleError


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """One operation with all its rules.

    impl(*values, **params): NumPy evaluation; a tuple of values if `multiple`.
    type_rule(*types, **params): the output's ArrayType, or a tuple of them if `multiple`.
    jvp(tangents, outs, args, params): output tangents; a tangent of None is zero.
    vjp(cts, outs, args, params, wanted): one cotangent (or None) per argument; only the `wanted` ones are asked for.
      For a primitive with one output, `outs`, `cts` and jvp's result are that one value, not a list.
    batch(size, batched, args, params): (outs, batched flags); batch axes are always axis 0.
    linearize(mode, values, params): (outs, LinearMap): for primitives that hold functions or Programs and save
      residuals of their own; used instead of jvp and vjp.
    flat: whether the primitive has no derivative at all.
    workspace(types, params): bytes that `impl` holds besides its arguments and results, where it is more than the Programs
      among its parameters take; for `memory_plan`.
    kernel: what the compiler makes of it (core/lowering.py); None: a call of `impl` from the compiled program.
    plain(*values, kinds, **params): what is written out for the printed source in the place of `impl`, where that runs Programs
      by the compiler; Programs are functions to it, `kinds` are the (shape, dtype) of the outputs.
    text(args, types, params): the NumPy expression of the primitive applied to the named arguments, for the printed
      source; None, or no text, where the implementation itself shall be written out.
    """

    name: str
    impl: Callable[..., Any]
    type_rule: Callable[..., Any]
    jvp: Callable[..., Any] | None = None
    vjp: Callable[..., Any] | None = None
    batch: Callable[..., Any] | None = None
    linearize: Callable[..., Any] | None = None
    flat: bool = False
    multiple: bool = False
    effect: bool = False
    strong: bool = False
    samples: Callable[..., Any] | None = None
    text: Callable[[Sequence[str], Sequence[ArrayType], dict[str, Any]], str | None] | None = None
    workspace: Callable[[Sequence[ArrayType], dict[str, Any]], int] | None = None
    kernel: Kernel | None = None
    plain: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **params: Any) -> Any:
        """bind: evaluates, or records in the newest trace among the arguments."""
        top: Trace | None = None
        for a in args:
            if type(a) is Tracer:
                trace = a.owner
                if top is None or trace.order > top.order:
                    top = trace
        if top is None:
            result = self.impl(*args, **params)
            # What NumPy makes of Python numbers only is weak still: `out_types` says so, and here it is made true.
            if isinstance(result, np.generic) and not self.strong and all(type(a) in SCALARS for a in args):
                return result.item() if result.dtype in WEAK_DTYPES else result
            return result
        return top.process(self, args, params)

    def out_types(self, types: Sequence[ArrayType], params: dict[str, Any]) -> tuple[ArrayType, ...]:
        """The output types; a 0-d result of weak inputs only is weak, if Python has numbers of its dtype: NumPy's sin(True) is
        float16 (one place for this rule)."""
        result = self.type_rule(*types, **params)
        outs = result if self.multiple else (result,)
        if not self.strong and types and all(t.weak for t in types):
            return tuple(array_type(t.shape, t.dtype, t.shape == () and t.dtype in WEAK_DTYPES) for t in outs)
        return tuple(outs)

    def missing(self, kind: str) -> MissingRuleError:
        """The error for a transform that needs the rule `kind` ("jvp", "vjp" or "batch") and finds none."""
        return MissingRuleError(
            f"primitive '{self.name}' has no {kind} rule; give its row one, or wrap the call in "
            "funcgrad.custom_vjp/custom_jvp, or in funcgrad.stop_gradient if it is a constant."
        )


@dataclass(frozen=True, slots=True, eq=False)
class LinearMap:
    """The derivative of one recorded equation at its point: `push` takes tangents forward, `pull` cotangents back.

    Each takes and gives lists in which None is zero. Only the one of the trace's mode is ever called.
    """

    push: Callable[[list[Any]], list[Any]] | None
    pull: Callable[[list[Any]], list[Any]] | None
