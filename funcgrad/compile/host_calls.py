"""Equations of a compiled program that the host runs: NumPy on the arrays of the running call."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from funcgrad.compile.layouts import Part
from funcgrad.core.lowering import Layout
from funcgrad.core.program import Equation, Literal, Var
from funcgrad.core.types import ArrayType


def run_on_host(eq: Equation, values: Mapping[Var, np.ndarray], sources: Mapping[Var, Part]) -> None:
    """Runs an equation by its implementation; `values` are the buffers, `sources` where in them each value lies."""
    args = []
    for a in eq.inputs:
        if isinstance(a, Literal):
            args.append(np.full(a.type.shape, a.value, a.type.dtype) if a.type.shape else a.value)
            continue
        part = sources[a]
        if isinstance(part.base, Literal):
            args.append(np.broadcast_to(np.asarray(part.base.value, a.type.dtype), a.type.shape))
        else:
            args.append(strided(values[part.base], part.layout, a.type))
    result = eq.primitive.impl(*args, **eq.params)
    for v, r in zip(eq.outputs, result if eq.primitive.multiple else (result,), strict=True):
        np.copyto(values[v], r, casting="unsafe")


def strided(base: np.ndarray, layout: Layout | None, kind: ArrayType) -> np.ndarray:
    """The view of a buffer that a layout describes, read-only."""
    if layout is None or (
        base.shape == kind.shape and layout.offset == 0 and base.flags.c_contiguous and _c_order(layout)
    ):
        return base.view(np.ndarray)
    size = base.dtype.itemsize
    flat = base.reshape(-1).view(np.ndarray)
    found = np.lib.stride_tricks.as_strided(
        flat[layout.offset :], kind.shape, tuple(s * size for s in layout.strides), writeable=False
    )
    return found


def _c_order(layout: Layout) -> bool:
    expected = 1
    for n, s in zip(reversed(layout.shape), reversed(layout.strides), strict=True):
        if n != 1 and s != expected:
            return False
        expected *= n
    return True
