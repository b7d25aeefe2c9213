"""associative_scan: running results of an associative operation in a number of steps that grows with the logarithm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays
from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of, type_of
from funcgrad.ops.basics import convert
from funcgrad.ops.shape import concatenate, pad, rev, slice_

Leaves = list[Any]


def _strided(x: Any, start: int, stop: int, step: int, axis: int) -> Any:
    shape = shape_of(x)
    starts = tuple(start if i == axis else 0 for i in range(len(shape)))
    limits = tuple(stop if i == axis else n for i, n in enumerate(shape))
    steps = tuple(step if i == axis else 1 for i in range(len(shape)))
    return slice_(x, starts=starts, limits=limits, strides=steps)


def _interleaved(even: Any, odd: Any, n: int, axis: int) -> Any:
    """even[0], odd[0], even[1], ...: n values along the axis; each part is spread out with zeros and added to the other."""
    rank = len(shape_of(even))
    at = lambda value: tuple(value if i == axis else 0 for i in range(rank))  # noqa: E731
    room_even, room_odd = n - (2 * shape_of(even)[axis] - 1), n - 1 - max(2 * shape_of(odd)[axis] - 1, 0)
    spread_even = pad(even, 0, low=at(0), high=at(room_even), interior=at(1))
    if shape_of(odd)[axis] == 0:
        return spread_even
    spread_odd = pad(odd, 0, low=at(1), high=at(room_odd), interior=at(1))
    return spread_even | spread_odd if type_of(even).dtype.kind == "b" else spread_even + spread_odd


def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All prefixes `fn(fn(e0, e1), e2) ...` of `elems` along an axis (Blelloch 1990); `fn` is associative and works on whole
    slices of several elements at once.

    Args:
        fn: of two pytrees of arrays with equal shapes, giving one of the same structure and shapes.
        elems: a pytree of arrays with one size along `axis`.
        reverse: suffixes instead of prefixes.

    Returns a pytree like `elems`. Raises ValueError for sizes that differ or a missing axis.
    """
    leaves, treedef = flatten_arrays(elems, "associative_scan: elems")
    ranks = [len(shape_of(x)) for x in leaves]
    if any(not -r <= axis < r for r in ranks):
        raise ValueError(
            f"associative_scan: axis {axis} is not there in arrays of shapes {[shape_of(x) for x in leaves]}."
        )
    axes = {axis % r for r in ranks} if axis < 0 else {axis}
    sizes = {shape_of(x)[axis % r] for x, r in zip(leaves, ranks, strict=True)}
    if len(sizes) > 1 or len(axes) > 1:
        raise ValueError(
            f"associative_scan: sizes along axis {axis} must be equal, got {[shape_of(x) for x in leaves]}."
        )
    if not leaves:
        return elems
    (along,) = axes

    def combine(a: Sequence[Any], b: Sequence[Any]) -> Leaves:
        found, out_tree = flatten_arrays(
            fn(tree.unflatten(treedef, a), tree.unflatten(treedef, b)), "associative_scan: fn's output"
        )
        if out_tree != treedef:
            raise TypeError(
                f"associative_scan: fn must return the structure of elems, {treedef}; it returned {out_tree}."
            )
        return [convert(f, type_of(x).dtype) for f, x in zip(found, leaves, strict=True)]

    def prefixes(xs: Leaves) -> Leaves:
        n = shape_of(xs[0])[along]
        if n < 2:
            return xs
        pairs = combine([_strided(x, 0, n - 1, 2, along) for x in xs], [_strided(x, 1, n, 2, along) for x in xs])
        odd = prefixes(pairs)
        later = [_strided(x, 2, n, 2, along) for x in xs]
        if n == 2:
            even = [_strided(x, 0, 1, 1, along) for x in xs]
        else:
            before = [_strided(o, 0, shape_of(late)[along], 1, along) for o, late in zip(odd, later, strict=True)]
            even = [
                concatenate(_strided(x, 0, 1, 1, along), e, axis=along)
                for x, e in zip(xs, combine(before, later), strict=True)
            ]
        return [_interleaved(e, o, n, along) for e, o in zip(even, odd, strict=True)]

    given = [rev(x, axes=(along,)) for x in leaves] if reverse else leaves
    found = prefixes(given)
    return tree.unflatten(treedef, [wrap(rev(x, axes=(along,)) if reverse else x) for x in found])
