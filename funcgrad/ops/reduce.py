"""Reductions and cumulative operations beside the sum. Ties of max and min share the derivative evenly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Reduction, Routine
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import convert, expand, reduce_sum, reduced, reshape, transpose
from funcgrad.ops.elementwise import eq
from funcgrad.ops.families import batch_unary, flat, linear, register, shift, unary_samples
from funcgrad.ops.shape import concatenate, rev, slice_axis

Shape = tuple[int, ...]
Weights = Callable[[Any, Any, Shape], Any]


def _reduced_type(x: ArrayType, *, axes: Shape) -> ArrayType:
    return array_type(reduced(x.shape, axes), x.dtype)


def _axes_batch(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    return batch_unary(primitive, lambda size, axes: {"axes": shift(axes)})


_axes_samples = unary_samples([{"axes": (0,)}, {"axes": (0, 1)}, {"axes": (1,)}])


def reduction(name: str, ufunc: np.ufunc, weights: Weights, kernel: Reduction) -> Primitive:
    """A smooth reduction. weights(ans, x, axes) is d ans / d x, of x's shape: both modes are made of it."""

    def jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
        return reduce_sum(tangents[0] * weights(ans, args[0], params["axes"]), axes=params["axes"])

    def vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
        return [expand(ct, args[0], params["axes"]) * weights(ans, args[0], params["axes"])]

    def impl(x: Any, *, axes: Shape) -> Any:
        x = np.asarray(x)
        return ufunc.reduce(x, axis=axes, dtype=x.dtype)

    primitive = Primitive(
        name, impl, _reduced_type, jvp, vjp, _axes_batch(lambda: primitive), samples=_axes_samples, kernel=kernel
    )
    return register(primitive)


def _share_ties(ans: Any, x: Any, axes: Shape) -> Any:
    hit = convert(eq(x, expand(ans, x, axes)), type_of(x).dtype)
    return hit / expand(reduce_sum(hit, axes=axes), x, axes)


def _product_of_others(ans: Any, x: Any, axes: Shape) -> Any:
    # Exact with zeros: cumulative products from both sides along the reduced axes, flattened into one.
    shape = type_of(x).shape
    order = (*(i for i in range(len(shape)) if i not in axes), *axes)
    moved = tuple(shape[i] for i in order)
    axis = len(shape) - len(axes)
    line = reshape(transpose(x, permutation=order), shape=(*moved[:axis], math.prod(moved[axis:])))
    others = _exclusive(line, axis, False) * _exclusive(line, axis, True)
    return transpose(reshape(others, shape=moved), permutation=tuple(int(i) for i in np.argsort(order)))


def _exclusive(x: Any, axis: int, reverse: bool) -> Any:
    # The product of everything before each element (after it, if reverse).
    shape = type_of(x).shape
    n = shape[axis]
    if n == 0:
        return x
    one = np.ones((*shape[:axis], 1, *shape[axis + 1 :]), type_of(x).dtype)
    rest = cumprod(slice_axis(x, 1, n, axis) if reverse else slice_axis(x, 0, n - 1, axis), axis=axis, reverse=reverse)
    return concatenate(*((rest, one) if reverse else (one, rest)), axis=axis)


reduce_max: Primitive = reduction("reduce_max", np.maximum, _share_ties, Reduction("maximum", "lowest", "fiu"))
reduce_min: Primitive = reduction("reduce_min", np.minimum, _share_ties, Reduction("minimum", "highest", "fiu"))
reduce_prod: Primitive = reduction("reduce_prod", np.multiply, _product_of_others, Reduction("mul", "one", "fiu"))

# ---- reductions without derivative ----


def _flat_reduction(name: str, ufunc: np.ufunc, kernel: Reduction) -> Primitive:
    primitive = flat(
        name,
        lambda x, *, axes: ufunc.reduce(x, axis=axes),
        lambda x, *, axes: array_type(reduced(x.shape, axes), x.dtype),
        _axes_batch(lambda: primitive),
        lambda rng: [((rng.integers(0, 2, (3, 4)).astype(bool),), {"axes": axes}) for axes in ((0,), (0, 1))],
        kernel=kernel,
    )
    return primitive


reduce_and: Primitive = _flat_reduction("reduce_and", np.bitwise_and, Reduction("and", "ones", "iub"))
reduce_or: Primitive = _flat_reduction("reduce_or", np.bitwise_or, Reduction("or", "zero", "iub"))
reduce_xor: Primitive = _flat_reduction("reduce_xor", np.bitwise_xor, Reduction("xor", "zero", "iub"))


def _arg_reduction(name: str, function: Callable[..., Any]) -> Primitive:
    primitive = flat(
        name,
        lambda x, *, axis: function(x, axis=axis),
        lambda x, *, axis: array_type(reduced(x.shape, (axis,)), np.dtype(np.int64)),
        batch_unary(lambda: primitive, lambda size, axis: {"axis": axis + 1}),
        unary_samples([{"axis": 0}, {"axis": 1}]),
        kernel=Routine("cumulative", name),
    )
    return primitive


argmax: Primitive = _arg_reduction("argmax", np.argmax)
argmin: Primitive = _arg_reduction("argmin", np.argmin)

# ---- cumulative operations, each along one axis, from either end ----

_along_samples = unary_samples([{"axis": 0, "reverse": False}, {"axis": 1, "reverse": True}])
_same = lambda x, *, axis, reverse: array_type(x.shape, x.dtype)  # noqa: E731


def _along(ufunc: np.ufunc) -> Callable[..., Any]:
    def impl(x: Any, *, axis: int, reverse: bool) -> Any:
        x = np.asarray(x)
        if not reverse:
            return ufunc.accumulate(x, axis=axis, dtype=x.dtype)
        return np.flip(ufunc.accumulate(np.flip(x, axis), axis=axis, dtype=x.dtype), axis)

    return impl


def _along_batch(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    return batch_unary(primitive, lambda size, axis, reverse: {"axis": axis + 1, "reverse": reverse})


cumsum: Primitive = linear(
    "cumsum",
    _along(np.add),
    _same,
    lambda ct, args, params: cumsum(ct, axis=params["axis"], reverse=not params["reverse"]),
    _along_batch(lambda: cumsum),
    _along_samples,
    kernel=Routine("cumulative", "add"),
)


def _scan_levels(x: Any, axis: int) -> list[tuple[int, Any]]:
    # Hillis and Steele's scan: each level multiplies by the value `step` places before. Exact with zeros.
    n = type_of(x).shape[axis]
    levels, step = [], 1
    while step < n:
        levels.append((step, x))
        head, tail = slice_axis(x, 0, step, axis), slice_axis(x, step, n, axis)
        x = concatenate(head, tail * slice_axis(x, 0, n - step, axis), axis=axis)
        step *= 2
    return levels


def _oriented(value: Any, params: dict[str, Any]) -> Any:
    return rev(value, axes=(params["axis"],)) if params["reverse"] else value


def _cumprod_jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    axis = params["axis"]
    n = type_of(args[0]).shape[axis]
    t = _oriented(tangents[0], params)
    for step, x in _scan_levels(_oriented(args[0], params), axis):
        before, here = slice_axis(x, 0, n - step, axis), slice_axis(x, step, n, axis)
        moved = slice_axis(t, step, n, axis) * before + here * slice_axis(t, 0, n - step, axis)
        t = concatenate(slice_axis(t, 0, step, axis), moved, axis=axis)
    return _oriented(t, params)


def _cumprod_vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
    axis = params["axis"]
    shape = type_of(args[0]).shape
    n = shape[axis]
    ct = _oriented(ct, params)
    for step, x in reversed(_scan_levels(_oriented(args[0], params), axis)):
        before, here = slice_axis(x, 0, n - step, axis), slice_axis(x, step, n, axis)
        tail = slice_axis(ct, step, n, axis)
        gap = np.zeros((*shape[:axis], step, *shape[axis + 1 :]), type_of(x).dtype)
        ct = concatenate(slice_axis(ct, 0, step, axis), tail * before, axis=axis) + concatenate(
            tail * here, gap, axis=axis
        )
    return [_oriented(ct, params)]


cumprod: Primitive = register(
    Primitive(
        "cumprod",
        _along(np.multiply),
        _same,
        _cumprod_jvp,
        _cumprod_vjp,
        _along_batch(lambda: cumprod),
        samples=_along_samples,
        kernel=Routine("cumulative", "mul"),
    )
)
