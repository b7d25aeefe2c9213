"""The sum of arrays that are zero outside of parts that do not overlap, as one array put together: the gradient of a split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Assembly, Layout
from funcgrad.core.primitive import Primitive
from funcgrad.core.program import Atom, Equation, Literal
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.views import contiguous

Box = tuple[tuple[int, int], ...]


def _impl(zero: Any, *xs: Any, shape: tuple[int, ...], dtype: np.dtype, targets: tuple[Layout, ...]) -> Any:
    out = np.full(shape, zero, dtype)
    flat = out.reshape(-1)
    for x, t in zip(xs, targets, strict=True):
        part = np.lib.stride_tricks.as_strided(flat[t.offset :], t.shape, [s * out.itemsize for s in t.strides])
        part[...] = x
    return out


def _type(*types: ArrayType, shape: tuple[int, ...], dtype: np.dtype, targets: tuple[Layout, ...]) -> ArrayType:
    return array_type(shape, dtype)


def _parts(types: Sequence[ArrayType], params: dict[str, Any]) -> list[tuple[int, Layout, Layout]]:
    return [(i, t, contiguous(t.shape)) for i, t in enumerate(params["targets"], 1)]


JOINED = Primitive("joined", _impl, _type, strong=True, kernel=Assembly(_parts))
"""The parts cover everything."""
JOINED_IN_ZEROS = Primitive("joined", _impl, _type, strong=True, kernel=Assembly(_parts, fill=0))


def _pieces(eq: Equation) -> tuple[Atom, list[tuple[Atom, Layout]]] | None:
    """The zero around the parts, and the parts with where they go; None for anything else."""
    kernel = eq.primitive.kernel
    if not isinstance(kernel, Assembly) or kernel.fill is None:
        return None
    zero = eq.inputs[kernel.fill]
    parts = kernel.parts([a.type for a in eq.inputs], eq.params)
    if not isinstance(zero, Literal) or zero.value != 0 or not parts:
        return None
    if any(source != contiguous(eq.inputs[i].type.shape) for i, _, source in parts):
        return None
    return zero, [(eq.inputs[i], target) for i, target, _ in parts]


def _box(target: Layout, shape: tuple[int, ...]) -> Box | None:
    """The range along each axis of a part without gaps."""
    rest, box = target.offset, []
    for n, have, s in zip(contiguous(shape).strides, target.shape, target.strides, strict=True):
        if have != 1 and s != n:
            return None
        box.append((rest // n, rest // n + have))
        rest %= n
    return tuple(box)


def joined(x: Equation, y: Equation) -> tuple[Primitive, list[Atom], dict[str, Any]] | None:
    """The application that gives what the sum of two outputs is, if both are zero outside of parts that do not overlap."""
    kind = x.outputs[0].type
    first, second = _pieces(x), _pieces(y)
    if (
        first is None
        or second is None
        or kind.shape != y.outputs[0].type.shape
        or kind.dtype != y.outputs[0].type.dtype
    ):
        return None
    pieces = [*first[1], *second[1]]
    boxes = [_box(target, kind.shape) for _, target in pieces]
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            if a is None or b is None or all(p < s and r < q for (p, q), (r, s) in zip(a, b, strict=True)):
                return None
    whole = sum(a.type.size for a, _ in pieces) == kind.size
    params = {"shape": kind.shape, "dtype": kind.dtype, "targets": tuple([t for _, t in pieces])}
    return JOINED if whole else JOINED_IN_ZEROS, [first[0], *[a for a, _ in pieces]], params
