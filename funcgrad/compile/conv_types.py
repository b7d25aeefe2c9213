"""What the modules of convolutions share: the sizes of one, the steps they give, scratch values, tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from funcgrad.compile import conv_text as text
from funcgrad.core.program import Var
from funcgrad.core.types import array_type

Params = dict[str, Any]
allow_winograd: list[bool] = [True]
"""The setting of that name: whether convolutions may be Winograd's (conv_winograd.py)."""


@dataclass(eq=False)
class RoutineStep:
    """A native step: see NativeStep of executor.py, which it becomes."""

    text: str
    pointers: list[Var]
    words: list[Any]
    units: int
    reads: list[Var]
    writes: list[Var]
    label: str
    work: float
    faults: list[Fault] = field(default_factory=list)
    code: Any = None


@dataclass(eq=False)
class Fault:
    """A cell that a step sets to an index out of bounds of an axis of this size; otherwise it holds NOTHING."""

    cell: Var
    axis: int
    size: int

    NOTHING: ClassVar[int] = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Geometry:
    """A convolution of images: x (images, groups * channels, height, width), y (images, groups * outs, out_height, out_width)."""

    kind: str
    images: int
    groups: int
    channels: int
    height: int
    width: int
    outs: int
    out_height: int
    out_width: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]

    @property
    def lanes(self) -> int:
        return text.vector(self.kind)[1]

    @property
    def size(self) -> int:
        return text.vector(self.kind)[2]

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)


def geometry(
    x: tuple[int, ...], w: tuple[int, ...], y: tuple[int, ...], dtype: np.dtype, params: Params
) -> Geometry | None:
    """The sizes of a convolution with one or two spatial axes; None for others, and for negative padding."""
    rank = len(x) - 2
    if rank not in (1, 2) or any(a < 0 or b < 0 for a, b in params["padding"]) or dtype.char not in "fd":
        return None
    one = rank == 1
    (height, width), (out_height, out_width), window = ((1, *s) if one else s for s in (x[2:], y[2:], w[2:]))
    groups = params["groups"]

    def lift(name: str, other: Any) -> Any:
        return (other, *params[name]) if one else tuple(params[name])

    return Geometry(
        f"f{8 * dtype.itemsize}", x[0], groups, x[1] // groups, height, width, w[0] // groups, out_height,
        out_width, (window[0], window[1]), lift("strides", 1), lift("padding", (0, 0)), lift("dilation", 1),
    )  # fmt: skip


def tile(count: int, most: int) -> int:
    """How many pixels to take at a time: at most `most`, and so that the last tile overlaps little."""
    return -(-count // -(-count // most))


def scratch_var(kind: str, count: int) -> Var:
    """A value of the arena that only steps of one equation know."""
    return Var(array_type((count,), np.dtype(np.float32 if kind == "f32" else np.float64)))
