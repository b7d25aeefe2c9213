"""vmap: a function of one example as a function of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays, function_name, leaf_path
from funcgrad.core.array import wrap
from funcgrad.core.tracing import type_of
from funcgrad.ops.basics import transpose
from funcgrad.transforms.vmap import stack_copies, vmap_flat


def move_axis(x: Any, source: int, target: int) -> Any:
    """`x` with one axis moved; `x` itself if it is there already."""
    n = type_of(x).ndim
    source, target = source % n, target % n
    if source == target:
        return x
    order = [i for i in range(n) if i != source]
    order.insert(target, source)
    return transpose(x, permutation=tuple(order))


def _is_axis(value: Any) -> bool:
    return value is None


def _spread(axes: Any, treedef: tree.PyTreeDef, what: str) -> list[Any]:
    try:
        found = tree.broadcast_prefix(axes, treedef, is_leaf=_is_axis)
    except (TypeError, ValueError) as error:
        raise ValueError(f"vmap: {what}={axes!r} does not fit the tree {treedef}: {error}") from None
    for a in found:
        if a is not None and (not isinstance(a, int) or isinstance(a, bool)):
            raise TypeError(f"vmap: {what} must hold ints and None, got {a!r} of type {type(a).__name__}.")
    return found


def _batch_size(leaves: Sequence[Any], axes: Sequence[Any], axis_size: int | None, args: Any, name: str) -> int:
    sizes: dict[int, str] = {}
    for i, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is None:
            continue
        shape = type_of(leaf).shape
        where = f"argument{leaf_path(args, i)}"
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"vmap of {name}: in_axes asks for axis {axis} of {where}, which has shape {shape}.")
        sizes.setdefault(shape[axis], f"{where} of shape {shape} along axis {axis}")
    if axis_size is not None:
        sizes.setdefault(axis_size, "axis_size")
    if len(sizes) > 1:
        listed = "; ".join(f"{size} ({where})" for size, where in sizes.items())
        raise ValueError(f"vmap of {name}: the batch axes must have one size, got {listed}.")
    if not sizes:
        raise ValueError(
            f"vmap of {name}: nothing is batched; give at least one in_axes that is not None, or axis_size."
        )
    return next(iter(sizes))


def vmap(fun: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0, axis_name: Any = None,
         axis_size: int | None = None) -> Callable[..., Any]:  # fmt: skip
    """`fun` applied along a batch axis of its arguments, as one program on whole arrays.

    Args:
        fun: a function of one example.
        in_axes: the batch axis of each argument: an int, None (not batched), or a tree prefix of the positional
            arguments. Keyword arguments are batched along axis 0.
        out_axes: where the batch axis goes in each output: an int, or a tree prefix of the output; None demands that
            this output does not depend on the batch.
        axis_name: not supported; named axes belong to collectives over devices.
        axis_size: the batch size, needed only if nothing is batched.

    Raises (when called): ValueError for axes out of range, sizes that differ, or prefixes that do not fit.
    """
    name = function_name(fun)
    if axis_name is not None:
        raise NotImplementedError(
            "vmap: axis_name is for collectives over devices, which funcgrad does not have; leave it out."
        )
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)

    @functools.wraps(fun)
    def batched_fun(*args: Any, **kwargs: Any) -> Any:
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise ValueError(
                f"vmap of {name}: in_axes={in_axes} has {len(in_axes)} entries, but the call has {len(args)} "
                "positional arguments."
            )
        leaves, treedef = flatten_arrays(args, f"vmap of {name}: argument")
        kw_leaves, kw_tree = flatten_arrays(kwargs, f"vmap of {name}: keyword argument")
        axes = _spread(in_axes, treedef, "in_axes") + [0] * len(kw_leaves)
        leaves = leaves + kw_leaves
        size = _batch_size(leaves, axes, axis_size, (args, kwargs) if kw_leaves else args, name)
        moved = [leaf if a is None else move_axis(leaf, a, 0) for leaf, a in zip(leaves, axes, strict=True)]
        count = len(axes) - len(kw_leaves)
        out_tree: list[tree.PyTreeDef] = []

        def flat(*values: Any) -> list[Any]:
            given = tree.unflatten(kw_tree, values[count:])
            # What is not batched is an Array too, so that it can be indexed by what is.
            args = tree.unflatten(treedef, [wrap(v) if isinstance(v, np.ndarray) else v for v in values[:count]])
            outs, found = flatten_arrays(fun(*args, **given), f"output of {name}")
            out_tree[:] = [found]
            return outs

        outs, flags = vmap_flat(flat, size, [a is not None for a in axes], moved, name)
        places = _spread(out_axes, out_tree[0], "out_axes")
        results = [_place(o, b, p, size, name) for o, b, p in zip(outs, flags, places, strict=True)]
        return tree.unflatten(out_tree[0], results)

    return batched_fun


def _place(out: Any, batched: bool, place: int | None, size: int, name: str) -> Any:
    if place is None:
        if batched:
            raise ValueError(
                f"vmap of {name}: out_axes is None for an output that depends on the batch; give it an axis."
            )
        return wrap(out)
    full = out if batched else stack_copies(out, size)
    if not -type_of(full).ndim <= place < type_of(full).ndim:
        raise ValueError(
            f"vmap of {name}: out_axes={place} is out of range for an output of shape {type_of(full).shape}."
        )
    return wrap(move_axis(full, 0, place))
