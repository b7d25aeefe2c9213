"""lax's reductions, cumulative operations and products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.core.array import wrap
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.lax.settings import check_precision
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import basics, cumulative
from funcgrad.ops import elementwise as e
from funcgrad.ops import reduce as rows
from funcgrad.ops.dot import dot_general as _dot_general
from funcgrad.ops.shape import concatenate, slice_axis


def _reduction(name: str, primitive: Primitive, text: str) -> Callable[..., Any]:
    def call(operand: Any, axes: Sequence[int]) -> Any:
        x = array_operand(operand)
        chosen = tuple(sorted(axis_of(a, len(shape_of(x)), name) for a in axes))
        return wrap(primitive(x, axes=chosen))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"{text} along `axes`, which vanish. dtype as `operand`."
    return call


reduce_sum = _reduction("reduce_sum", basics.reduce_sum, "The sum")
reduce_prod = _reduction("reduce_prod", rows.reduce_prod, "The product")
reduce_max = _reduction("reduce_max", rows.reduce_max, "The largest value; ties share the derivative")
reduce_min = _reduction("reduce_min", rows.reduce_min, "The smallest value; ties share the derivative")
reduce_and = _reduction("reduce_and", rows.reduce_and, "Bitwise and")
reduce_or = _reduction("reduce_or", rows.reduce_or, "Bitwise or")
reduce_xor = _reduction("reduce_xor", rows.reduce_xor, "Bitwise exclusive or")


def reduce(operands: Any, init_values: Any, computation: Callable[[Any, Any], Any], dimensions: Sequence[int]) -> Any:
    """Arrays (any pytree) joined along `dimensions` by an associative `computation` with the neutral `init_values`.

    `computation(x, y)` takes and returns trees like `operands`. Values are joined in pairs, in halving passes.
    """
    leaves, treedef = tree.flatten(operands)
    found = [array_operand(x) for x in leaves]
    for axis in sorted((axis_of(d, len(shape_of(found[0])), "reduce") for d in dimensions), reverse=True):
        found = _fold(found, treedef, computation, axis)
    starts = [array_operand(v) for v in tree.leaves(init_values)]
    if any(x is None for x in found):
        shapes = [tuple(n for i, n in enumerate(shape_of(array_operand(x))) if i not in dimensions) for x in leaves]
        return tree.unflatten(treedef, [wrap(basics.broadcast_to(s, n)) for s, n in zip(starts, shapes, strict=True)])
    joined = computation(tree.unflatten(treedef, found), tree.unflatten(treedef, starts))
    return tree.map(wrap, joined)


def _fold(values: list[Any], treedef: Any, computation: Callable[[Any, Any], Any], axis: int) -> list[Any]:
    if any(v is None for v in values):
        return values
    n = shape_of(values[0])[axis]
    if n == 0:
        return [None] * len(values)
    while n > 1:
        half = n // 2
        left, right = ([slice_axis(v, a, a + half, axis) for v in values] for a in (0, half))
        joined = tree.leaves(computation(tree.unflatten(treedef, left), tree.unflatten(treedef, right)))
        if n % 2:
            from_end = [slice_axis(v, n - 1, n, axis) for v in values]
            joined = [concatenate(j, t, axis=axis) for j, t in zip(joined, from_end, strict=True)]
        values, n = joined, half + n % 2
    return [basics.reshape(v, shape=(*shape_of(v)[:axis], *shape_of(v)[axis + 1 :])) for v in values]


def _index_reduction(name: str, primitive: Primitive, text: str) -> Callable[..., Any]:
    def call(operand: Any, axis: int, index_dtype: Any) -> Any:
        x = array_operand(operand)
        return wrap(basics.convert(primitive(x, axis=axis_of(axis, len(shape_of(x)), name)), index_dtype))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The index of the {text} value along `axis`, the first of equal ones, in `index_dtype`."
    return call


argmax = _index_reduction("argmax", rows.argmax, "largest")
argmin = _index_reduction("argmin", rows.argmin, "smallest")


def _cumulative(name: str, primitive: Primitive, text: str) -> Callable[..., Any]:
    def call(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
        x = array_operand(operand)
        return wrap(primitive(x, axis=axis_of(axis, len(shape_of(x)), name), reverse=bool(reverse)))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = (
        f"The {text} of the values so far along `axis`, from its end if `reverse`. Shape and dtype as `operand`."
    )
    return call


cumsum = _cumulative("cumsum", rows.cumsum, "sum")
cumprod = _cumulative("cumprod", rows.cumprod, "product")
cummax = _cumulative("cummax", cumulative.cummax, "maximum")
cummin = _cumulative("cummin", cumulative.cummin, "minimum")
cumlogsumexp = _cumulative("cumlogsumexp", cumulative.cumlogsumexp, "logarithm of the sum of exponentials")

# ---- products ----


def dot_general(
    lhs: Any, rhs: Any, dimension_numbers: Any, precision: Any = None, preferred_element_type: Any = None
) -> Any:
    """The contraction that dimension_numbers = ((lhs contracting, rhs contracting), (lhs batch, rhs batch)) say.

    The result's axes: batch, the rest of lhs, the rest of rhs. `precision` is JAX's choice of hardware precision; a CPU
    computes in full, which is every choice's upper bound.
    """
    check_precision("dot_general", precision)
    (xc, yc), (xb, yb) = dimension_numbers
    dims = ((tuple(xc), tuple(yc)), (tuple(xb), tuple(yb)))
    x, y = array_operand(lhs), array_operand(rhs)
    if dtype_of(x) != dtype_of(y):
        raise TypeError(f"lax.dot_general needs arrays of one dtype, got {dtype_of(x)} and {dtype_of(y)}.")
    out = _dot_general(x, y, dims=dims)
    return wrap(out if preferred_element_type is None else basics.convert(out, preferred_element_type))


def dot(lhs: Any, rhs: Any, *, dimension_numbers: Any = None, precision: Any = None,
        preferred_element_type: Any = None) -> Any:  # fmt: skip
    """The product of vectors and matrices over the last axis of lhs and the first of rhs; or as dimension_numbers say."""
    x, y = array_operand(lhs), array_operand(rhs)
    if dimension_numbers is not None:
        return dot_general(x, y, dimension_numbers, precision, preferred_element_type)
    if not 1 <= len(shape_of(x)) <= 2 or not 1 <= len(shape_of(y)) <= 2:
        raise TypeError(
            f"lax.dot takes vectors and matrices, got shapes {shape_of(x)} and {shape_of(y)}; use dot_general."
        )
    return dot_general(x, y, (((len(shape_of(x)) - 1,), (0,)), ((), ())), precision, preferred_element_type)


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Any:
    """Matrices times matrices, over equal leading axes."""
    x, y = array_operand(lhs), array_operand(rhs)
    n = len(shape_of(x))
    if n < 2 or n != len(shape_of(y)):
        raise TypeError(
            f"lax.batch_matmul takes arrays of equal rank of at least 2, got {shape_of(x)} and {shape_of(y)}."
        )
    lead = tuple(range(n - 2))
    return dot_general(x, y, (((n - 1,), (n - 2,)), (lead, lead)), precision)


def reduce_precision(operand: Any, exponent_bits: int, mantissa_bits: int) -> Any:
    """`operand` rounded to a smaller float format of these widths, overflow to infinity, underflow to zero."""
    x = array_operand(operand)
    if exponent_bits < 1 or mantissa_bits < 0:
        raise ValueError(f"lax.reduce_precision: widths {exponent_bits} and {mantissa_bits} must be at least 1 and 0.")
    bias = 2 ** (exponent_bits - 1) - 1
    unit = e.exp2(e.floor(e.log2(e.select(x == 0, 1.0, e.absolute(x)))) - float(mantissa_bits))
    rounded = e.rint(x / unit) * unit
    largest = float((2 - 2.0**-mantissa_bits) * 2.0**bias) if bias < 1024 else np.inf
    rounded = e.select(e.absolute(rounded) > largest, e.sign(x) * np.inf, rounded)
    rounded = e.select(e.absolute(rounded) < 2.0 ** (1 - bias), x * 0.0, rounded)
    return wrap(basics.convert(e.select(e.is_finite(x), rounded, x), dtype_of(x)))
