"""Products of matrices that are better made of something else than one GEMM.

One with a small result and a long contraction, such as x.T @ y of two tall matrices, is the sum of a batch of products: shared
out by tiles of its result it would be one thread's work. How many parts it is cut into depends on its sizes alone: the
result is the same to the bit however many threads there are.

One that sums over a single term (an outer product, and under vmap a batch of them) is an elementwise product, which fuses
with what is around it; OpenBLAS takes three times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from funcgrad.core.primitive import Primitive
from funcgrad.core.program import Atom
from funcgrad.ops.basics import broadcast_in_dim, reduce_sum, reshape, transpose
from funcgrad.ops.dot import dot_general, free_axes
from funcgrad.ops.elementwise import add, mul
from funcgrad.ops.shape import slice_

SIDE = 64
"""Rows and columns of the result up to which a product is cut."""
LENGTH = 1024
"""The least length of a part."""
PARTS = 16

Make = Callable[[Primitive, list[Atom], dict[str, Any]], Atom]
Dims = tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]]


def rewritten(x: Atom, y: Atom, dims: Dims, make: Make) -> Atom | None:
    """The product of x and y with these dimensions, made of other operations; None where one product is as good."""
    if x.type.dtype != y.type.dtype or x.type.dtype.char not in "fd":
        return None
    if math.prod(x.type.shape[axis] for axis in dims[0][0]) == 1:
        return _outer(x, y, dims, make)
    return _in_parts(x, y, dims, make)


def _outer(x: Atom, y: Atom, dims: Dims, make: Make) -> Atom:
    (xc, yc), (xb, yb) = dims
    xf, yf = free_axes(x.type.ndim, xc, xb), free_axes(y.type.ndim, yc, yb)
    batch, n = range(len(xb)), len(xb) + len(xf)
    sizes = [x.type.shape[i] for i in (*xb, *xf)] + [y.type.shape[i] for i in yf]
    factors = []
    for factor, kept, dropped, places in (
        (x, (*xb, *xf), xc, (*batch, *range(len(xb), n))),
        (y, (*yb, *yf), yc, (*batch, *range(n, n + len(yf)))),
    ):
        turned = make(transpose, [factor], {"permutation": (*kept, *dropped)})
        flat = make(reshape, [turned], {"shape": tuple(factor.type.shape[i] for i in kept)})
        factors.append(make(broadcast_in_dim, [flat], {"shape": tuple(sizes), "dims": places}))
    return make(mul, factors, {})


def _in_parts(x: Atom, y: Atom, dims: Dims, make: Make) -> Atom | None:
    (xc, yc), (xb, _) = dims
    if xb or len(xc) != 1:
        return None
    (i,), (j,), length = xc, yc, x.type.shape[xc[0]]
    sides = [math.prod(n for k, n in enumerate(t.shape) if k != axis) for t, axis in ((x.type, i), (y.type, j))]
    count = min(length // LENGTH, PARTS)
    if count < 2 or not 1 < min(sides) or max(sides) > SIDE:
        return None
    each = length // count
    whole = count * each
    batch = make(
        dot_general, [_cut(x, i, count, each, make), _cut(y, j, count, each, make)],
        {"dims": (((i + 1,), (j + 1,)), ((i,), (j,)))},
    )  # fmt: skip
    total = make(reduce_sum, [batch], {"axes": (0,)})
    if whole == length:
        return total
    rest = make(dot_general, [_between(x, i, whole, length, make), _between(y, j, whole, length, make)], {"dims": dims})
    return make(add, [total, rest], {})


def _cut(x: Atom, axis: int, count: int, each: int, make: Make) -> Atom:
    """x with one axis as two: parts of equal length, and what is in each."""
    shape = x.type.shape
    part = _between(x, axis, 0, count * each, make)
    return make(reshape, [part], {"shape": (*shape[:axis], count, each, *shape[axis + 1 :])})


def _between(x: Atom, axis: int, start: int, stop: int, make: Make) -> Atom:
    shape = x.type.shape
    if (start, stop) == (0, shape[axis]):
        return x
    limits = (*shape[:axis], stop, *shape[axis + 1 :])
    starts = tuple(start if k == axis else 0 for k in range(len(shape)))
    return make(slice_, [x], {"starts": starts, "limits": limits, "strides": (1,) * len(shape)})
