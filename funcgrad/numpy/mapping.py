"""Functions applied to parts of arrays: vectorize, apply_along_axis, apply_over_axes. Built on vmap, not on loops.

The function is traced once, on one part; it may be differentiated through, jitted and vmapped.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.batching import vmap
from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import reshape

Dims = tuple[str, ...]
"""The core dimensions of one argument or result: names, or sizes as decimal text."""

_NAME = r"\w+"
_ARGUMENT = rf"\((?:{_NAME}(?:,{_NAME})*)?\)"
_LIST = rf"(?:{_ARGUMENT}(?:,{_ARGUMENT})*)?"
_SIGNATURE = re.compile(rf"{_LIST}->{_LIST}")


def parse_signature(signature: str) -> tuple[list[Dims], list[Dims]]:
    """A generalised ufunc's signature, "(n,m),(m)->(n)", as core dimensions of arguments and of results.

    Raises ValueError for a text that is no signature.
    """
    text = re.sub(r"\s", "", signature)
    if not _SIGNATURE.fullmatch(text):
        raise ValueError(f"vectorize: {signature!r} is not a gufunc signature; one reads '(n,m),(m)->(n)'.")
    left, right = [
        [tuple(re.findall(_NAME, part)) for part in re.findall(_ARGUMENT, side)] for side in text.split("->")
    ]
    return left, right


def _bind_core(name: str, shape: Sequence[int], dims: Dims, sizes: dict[str, int], what: str) -> tuple[int, ...]:
    """The loop axes of an argument's shape; its core sizes go into `sizes`."""
    rank = len(dims)
    if len(shape) < rank:
        raise ValueError(f"vectorize of {name}: {what} has shape {tuple(shape)}, its core dimensions are {dims}.")
    loop, core = tuple(shape[: len(shape) - rank]), tuple(shape[len(shape) - rank :])
    for dim, size in zip(dims, core, strict=True):
        want = int(dim) if dim.isdecimal() else sizes.setdefault(dim, size)
        if want != size:
            raise ValueError(f"vectorize of {name}: {what} of shape {tuple(shape)} has {size} for {dim}, not {want}.")
    return loop


def _checked(fun: Callable[..., Any], name: str, out_dims: list[Dims] | None, sizes: dict[str, int]) -> Any:
    """`fun` with a check that its results have the core dimensions that were announced."""

    def call(*args: Any) -> Any:
        out = fun(*args)
        if out_dims is None:
            for leaf in tree.leaves(out):
                if shape_of(array_operand(leaf)):
                    raise ValueError(
                        f"vectorize of {name}: the function gave shape {shape_of(leaf)} for 0-d arguments; name the axes "
                        "of its arguments and results in signature='(n)->(m)'."
                    )
            return out
        outs = out if isinstance(out, tuple) else (out,)
        if len(outs) != len(out_dims):
            raise TypeError(f"vectorize of {name}: {len(out_dims)} results are in its signature, it gave {len(outs)}.")
        known = dict(sizes)
        for i, (value, dims) in enumerate(zip(outs, out_dims, strict=True)):
            if _bind_core(name, shape_of(array_operand(value)), dims, known, f"result {i}"):
                raise ValueError(
                    f"vectorize of {name}: result {i} has shape {shape_of(array_operand(value))}, its signature says {dims}."
                )
        return out

    return call


def _mapped(
    fun: Callable[..., Any], args: Sequence[Any], loops: Sequence[tuple[int, ...]], cores: Sequence[int]
) -> Any:
    """`fun` mapped over the loop axes of its arguments, which broadcast. Axes of size 1 are repeated, not computed."""
    whole = np.broadcast_shapes(*loops)
    aligned = [(1,) * (len(whole) - len(loop)) + loop for loop in loops]
    squeezed = []
    for a, loop, core in zip(args, loops, cores, strict=True):
        shape = shape_of(a)
        squeezed.append(reshape(a, shape=tuple(n for n in loop if n != 1) + shape[len(shape) - core :]))
    for axis in reversed(range(len(whole))):
        # The innermost axis is mapped first, so that the outermost map takes the leading axis.
        if whole[axis] != 1:
            fun = vmap(fun, tuple(None if loop[axis] == 1 else 0 for loop in aligned))
    out = fun(*[wrap(a) for a in squeezed])
    kept = [n for n in whole if n != 1]

    def put_back(x: Any) -> Any:
        x = array_operand(x)
        return wrap(reshape(x, shape=(*whole, *shape_of(x)[len(kept) :])))

    return tree.map(put_back, out)


def _excluded_set(excluded: Any) -> frozenset[int | str]:
    if isinstance(excluded, str) or not isinstance(excluded, Collection):
        raise TypeError(f"vectorize: excluded must be a set of positions and names, got {excluded!r}.")
    for e in excluded:
        if not isinstance(e, (int, str)) or (isinstance(e, int) and e < 0):
            raise ValueError(f"vectorize: excluded must hold positions (0, 1, ...) and names, got {e!r}.")
    return frozenset(excluded)


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = frozenset(),
              signature: str | None = None) -> Callable[..., Any]:  # fmt: skip
    """A function of scalars (or of the core dimensions in `signature`) as one of arrays that broadcast.

    Args:
        pyfunc: a function of arrays; it is traced once, with vmap.
        excluded: positions and names of arguments that pyfunc gets as they are.
        signature: "(n),(m)->(k)": the trailing axes of each argument and result; without it, all are 0-d. Sizes may be
            numbers: "(3),(3)->(3)". None as an argument is passed on as it is.

    Raises (when called): ValueError for shapes that do not fit, TypeError for a wrong number of arguments or results.
    """
    kept_out = _excluded_set(excluded)
    name = getattr(pyfunc, "__name__", repr(pyfunc))
    dims = None if signature is None else parse_signature(signature)

    @functools.wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        fixed = {i for i, a in enumerate(args) if i in kept_out or a is None}
        fixed_names = {k for k, v in kwargs.items() if k in kept_out or v is None}
        moving = [array_operand(a) for i, a in enumerate(args) if i not in fixed]
        names = [k for k in kwargs if k not in fixed_names]
        moving += [array_operand(kwargs[k]) for k in names]

        def call(*values: Any) -> Any:
            rest = iter(values)
            whole = [a if i in fixed else next(rest) for i, a in enumerate(args)]
            return pyfunc(*whole, **{k: kwargs[k] for k in fixed_names}, **dict(zip(names, rest, strict=True)))

        # The signature counts None, which has no axes, and not what is excluded.
        cores = [()] * len(moving) if dims is None else _moving_dims(name, dims[0], args, kept_out, len(names))
        sizes: dict[str, int] = {}
        loops = [
            _bind_core(name, shape_of(a), d, sizes, f"argument {i}")
            for i, (a, d) in enumerate(zip(moving, cores, strict=True))
        ]
        if not moving:
            return call()
        checked = _checked(call, name, None if dims is None else dims[1], sizes)
        return _mapped(checked, moving, loops, [len(d) for d in cores])

    return vectorized


def _moving_dims(name: str, dims: list[Dims], args: Sequence[Any], excluded: Collection[Any], named: int) -> list[Dims]:
    given = [a for i, a in enumerate(args) if i not in excluded]
    if len(given) + named != len(dims):
        raise TypeError(f"vectorize of {name}: {len(dims)} arguments are in its signature, {len(given) + named} came.")
    for a, d in zip(given, dims, strict=False):
        if a is None and d:
            raise ValueError(f"vectorize of {name}: None came for an argument whose core dimensions are {d}.")
    return [d for a, d in zip(given, dims, strict=False) if a is not None] + dims[len(given) :]


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """`func1d(line, *args, **kwargs)` of every line of `arr` along `axis`; the axes of its result replace that axis.

    func1d is traced once, with vmap. Raises AxisError for an axis that `arr` has not.
    """
    x = array_operand(arr)
    rank = len(shape_of(x))
    axis = axis_of(axis, rank, "apply_along_axis")

    def func(line: Any) -> Any:
        return func1d(line, *args, **kwargs)

    for i in range(1, rank - axis):
        func = vmap(func, i, -1)
    for _ in range(axis):
        func = vmap(func)
    return tree.map(wrap, func(wrap(x)))


def apply_over_axes(func: Callable[[Any, int], Any], a: Any, axes: int | Sequence[int]) -> Any:
    """`func(a, axis)` of `a`, of its result, and so on for each of `axes`. A result may keep the axis with size 1 or lose it.

    Raises ValueError if func changes the number of axes in another way.
    """
    x = wrap(array_operand(a))
    rank = len(shape_of(x))
    for axis in axes if isinstance(axes, (tuple, list, np.ndarray)) else (axes,):
        place = axis_of(operator.index(axis), rank, "apply_over_axes")
        found = array_operand(func(x, place))
        shape = shape_of(found)
        if len(shape) == rank - 1:
            found = reshape(found, shape=(*shape[:place], 1, *shape[place:]))
        elif len(shape) != rank:
            raise ValueError(
                f"apply_over_axes: the function gave shape {shape} for {shape_of(x)} along axis {place}; it must keep the "
                "number of axes or take one away."
            )
        x = wrap(found)
    return x


dispatch[np.apply_along_axis] = apply_along_axis
dispatch[np.apply_over_axes] = apply_over_axes
