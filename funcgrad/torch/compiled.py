"""Compiled Programs for the arrays that tensors hold: of any strides, and Python numbers among them.

Kernels read arrays in C order. A tensor that is a permutation of one, or expanded from fewer elements (the gradient of a sum is
one number, expanded), is not copied: the Program is compiled once more for the smaller array in order, with the view as its
first step, which the compiler fuses into whatever reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.compile import execute
from funcgrad.core.program import Program
from funcgrad.core.tracing import run, trace_program
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim, transpose

Runner = Callable[..., Sequence[Any]]
Form = tuple[tuple[int, ...], tuple[int, ...]]
"""How an array comes from one in C order: the axes that are expanded, and the others from the outermost in memory inwards."""


def compiled_runner(program: Program) -> Runner:
    """Runs a Program as machine code, made at the first call."""
    warm: list[Any] = [None]
    variants: dict[tuple[Form | None, ...], Runner] = {}

    def call(*values: Any) -> Sequence[Any]:
        known = warm[0]
        if known is not None and not execute.nan_checks:
            outs = known(values)
            if outs is not None:
                return outs
        kinds = program.in_types
        values = tuple(
            [v if type(v) is np.ndarray else np.asarray(v, t.dtype) for v, t in zip(values, kinds, strict=True)]
        )
        forms = tuple([None if v.flags.c_contiguous else _form(v) for v in values])
        if any(form is not None for form in forms):
            variant = variants.get(forms)
            if variant is None:
                variant = variants[forms] = compiled_runner(_variant(program, forms))
            return variant(*[v if f is None else _dense(v, f) for v, f in zip(values, forms, strict=True)])
        if known is not None and not execute.nan_checks:
            outs = known(values)
            if outs is not None:
                return outs
        outs = execute.execute(program, *values)
        made = execute.compiled(program)
        warm[0] = made.warm() if made is not None and program.inputs else None
        return outs

    return call


def _form(x: np.ndarray) -> Form | None:
    """The form of an array that is not in C order; None if it is neither permuted nor expanded (a slice with steps, say)."""
    spread = tuple([i for i, (n, s) in enumerate(zip(x.shape, x.strides, strict=True)) if s == 0 and n > 1])
    rest = [i for i in range(x.ndim) if i not in spread]
    form = spread, tuple(sorted(rest, key=lambda i: (-x.strides[i], i)))
    return form if _dense(x, form).flags.c_contiguous else None


def _dense(x: np.ndarray, form: Form) -> np.ndarray:
    """The array in C order that `x` is a view of."""
    spread, order = form
    index = tuple([0 if i in spread else slice(None) for i in range(x.ndim)])
    kept = sorted(order)
    return x[(*index, ...)].transpose([kept.index(i) for i in order])


def _variant(program: Program, forms: Sequence[Form | None]) -> Program:
    """The Program on the arrays in C order, each put into its form first."""

    def formed(*values: Any) -> Sequence[Any]:
        return run(program, *[
            v if f is None else _restored(v, f, t.shape)
            for v, f, t in zip(values, forms, program.in_types, strict=True)
        ])  # fmt: skip

    kinds = [t if f is None else _dense_type(t, f) for t, f in zip(program.in_types, forms, strict=True)]
    made, captured = trace_program(formed, kinds, program.name)
    assert not captured, "a Program closes over nothing"
    return made


def _dense_type(kind: ArrayType, form: Form) -> ArrayType:
    return array_type(tuple([kind.shape[i] for i in form[1]]), kind.dtype, kind.weak)


def _restored(x: Any, form: Form, shape: tuple[int, ...]) -> Any:
    _, order = form
    kept = tuple(sorted(order))
    if order != kept:
        x = transpose(x, permutation=tuple([order.index(i) for i in kept]))
    return x if len(kept) == len(shape) else broadcast_in_dim(x, shape=shape, dims=kept)
