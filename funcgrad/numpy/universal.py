"""ufunc and frompyfunc: a function of scalars with reduce, accumulate, outer, at and reduceat, as jax.numpy has them.

The room's own functions of two arguments, `add` and so on, get the same methods here; the reductions gave some of them
faster ones before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import shape_of
from funcgrad.numpy import flat_ufuncs, ufuncs
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.indexing import read, write
from funcgrad.numpy.mapping import vectorize
from funcgrad.numpy.wrapping import array_operand, operand
from funcgrad.ops.basics import broadcast_to, convert, reshape
from funcgrad.ops.elementwise import select
from funcgrad.ops.shape import concatenate, slice_axis


class ufunc:
    """A traceable function of `nin` scalars with `nout` results, on arrays that broadcast.

    Results are joined strictly from left to right, as NumPy's are, one call for each place along the axis: `reduce` of a
    function that is associative, over a long axis, is better written with lax.reduce.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        /,
        nin: int,
        nout: int,
        *,
        name: str | None = None,
        nargs: int | None = None,
        identity: Any = None,
    ):
        if nargs is not None and nargs != nin + nout:
            raise ValueError(f"ufunc: nargs={nargs} is not nin + nout = {nin + nout}.")
        self.__name__ = name or getattr(func, "__name__", "ufunc")
        self.__doc__ = func.__doc__
        self.nin, self.nout, self.nargs, self.identity = nin, nout, nin + nout, identity
        self._vectorized = vectorize(func)

    def __repr__(self) -> str:
        return f"<funcgrad.numpy.ufunc {self.__name__!r}>"

    def __call__(self, *args: Any) -> Any:
        """The function of arrays that broadcast. Raises TypeError for a wrong number of arguments or results."""
        if len(args) != self.nin:
            raise TypeError(f"{self!r} takes {self.nin} arguments, got {len(args)}.")
        out = self._vectorized(*args)
        count = len(out) if isinstance(out, tuple) else 1
        if count != self.nout:
            raise TypeError(f"{self!r} was made with nout={self.nout}, but the function gave {count} results.")
        return out

    def _pairs(self, method: str) -> None:
        if self.nin != 2 or self.nout != 1:
            raise ValueError(f"{self!r}.{method} needs a function of 2 arguments with 1 result.")

    def _running(self, x: Any, axis: int, start: Any) -> list[Any]:
        """What has been joined after each place along an axis; every item keeps the axis with size 1."""
        found, state = [], start
        for i in range(shape_of(x)[axis]):
            item = slice_axis(x, i, i + 1, axis)
            state = item if state is None else operand(self(state, item))
            found.append(state)
        return found

    def reduce(self, a: Any, axis: int | None = 0, dtype: Any = None, out: None = None, keepdims: bool = False,
               initial: Any = None, where: Any = None) -> Any:  # fmt: skip
        """Values joined along one axis (None: all axes, in order). `where` leaves values out, `initial` comes first.

        Raises ValueError for no values without an identity or `initial`, or for `where` without either.
        """
        self._pairs("reduce")
        _no_out(self, out)
        x = _converted(a, dtype)
        shape = shape_of(x)
        if axis is None:
            found = self.reduce(reshape(x, shape=(x.size,)), 0, initial=initial, where=_flat_mask(where, shape))
            return wrap(reshape(operand(found), shape=(1,) * len(shape))) if keepdims else found
        axis = axis_of(axis, len(shape), "reduce")
        kept = tuple(1 if i == axis else n for i, n in enumerate(shape))
        first = self.identity if initial is None else initial
        if first is None and (where is not None or shape[axis] == 0):
            raise ValueError(f"{self!r}.reduce of no values, or with where=, needs initial=: it has no identity.")
        state = None if initial is None and where is None and shape[axis] else broadcast_to(operand(first), kept)
        if where is None:
            state = ([state] + self._running(x, axis, state))[-1]
        else:
            mask = broadcast_to(operand(where), shape)
            for i in range(shape[axis]):
                joined = operand(self(state, slice_axis(x, i, i + 1, axis)))
                state = select(slice_axis(mask, i, i + 1, axis), joined, state)
        return wrap(state if keepdims else reshape(state, shape=kept[:axis] + kept[axis + 1 :]))

    def accumulate(self, a: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """What `reduce` has joined so far, at every place along `axis`."""
        self._pairs("accumulate")
        _no_out(self, out)
        x = _converted(a, dtype)
        axis = axis_of(axis, len(shape_of(x)), "accumulate")
        found = self._running(x, axis, None)
        return wrap(concatenate(*found, axis=axis)) if found else wrap(x)

    def reduceat(self, a: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """`reduce` of the slices between neighbouring static `indices`; a single value where the next one is not larger."""
        self._pairs("reduceat")
        _no_out(self, out)
        x = _converted(a, dtype)
        axis = axis_of(axis, len(shape_of(x)), "reduceat")
        starts = [int(i) for i in np.asarray(indices)]
        n = shape_of(x)[axis]
        if any(not 0 <= i < n for i in starts):
            raise IndexError(f"{self!r}.reduceat: indices {starts} must be in [0, {n}).")
        ends = [b if b > a else a + 1 for a, b in zip(starts, starts[1:] + [n], strict=True)]
        parts = [slice_axis(x, a, b, axis) for a, b in zip(starts, ends, strict=True)]
        joined = [operand(self.reduce(p, axis, keepdims=True)) for p in parts]
        return wrap(concatenate(*joined, axis=axis))

    def outer(self, A: Any, B: Any, /) -> Any:
        """The function of every pair of values: shape A.shape + B.shape."""
        self._pairs("outer")
        x, y = array_operand(A), array_operand(B)
        return self(reshape(x, shape=shape_of(x) + (1,) * len(shape_of(y))), y)

    def at(self, a: Any, indices: Any, b: Any = None, /, *, inplace: bool = True) -> Any:
        """A new array: `a` with the function applied at `indices`, with `b` if it takes two; `inplace=False` must be said.

        An index that occurs several times is applied several times, in order; the indices are one static integer array.
        """
        if inplace:
            raise NotImplementedError(f"{self!r}.at: arrays are immutable; pass inplace=False and use the result.")
        x, places = array_operand(a), np.atleast_1d(np.asarray(indices))
        if places.dtype.kind not in "iu" or places.ndim != 1:
            raise TypeError(f"{self!r}.at takes one vector of integers as indices, got {indices!r}.")
        values = None if b is None else broadcast_to(operand(b), places.shape + shape_of(x)[1:])
        for n, i in enumerate(places):
            old = read(x, int(i))
            new = self(old) if values is None else self(old, read(values, n))
            x = write(x, int(i), operand(new), "set", "raise")
        return wrap(x)


def _no_out(function: ufunc, out: Any) -> None:
    if out is not None:
        raise NotImplementedError(f"{function!r}: out= cannot be written into, arrays are immutable; use the result.")


def _converted(a: Any, dtype: Any) -> Any:
    x = array_operand(a)
    return x if dtype is None else convert(x, dtype)


def _flat_mask(where: Any, shape: tuple[int, ...]) -> Any:
    if where is None:
        return None
    mask = broadcast_to(operand(where), shape)
    return reshape(mask, shape=(int(np.prod(shape)),))


def frompyfunc(func: Callable[..., Any], /, nin: int, nout: int, *, identity: Any = None) -> ufunc:
    """A ufunc from a traceable function of `nin` scalars with `nout` results."""
    return ufunc(func, nin, nout, identity=identity)


_METHODS = ("reduce", "accumulate", "outer", "at", "reduceat")


def _attach(function: Callable[..., Any], numpys: np.ufunc) -> None:
    """Gives a function of the room the methods and attributes of NumPy's ufunc that it does not have."""
    own = ufunc(function, numpys.nin, numpys.nout, name=numpys.__name__, identity=numpys.identity)
    own._vectorized = function
    found = {name: getattr(own, name) for name in (*_METHODS, "nin", "nout", "nargs", "identity")}
    vars(function).update({k: v for k, v in found.items() if k not in vars(function)})


for _module in (ufuncs, flat_ufuncs):
    for _name, _function in list(vars(_module).items()):
        _numpys = vars(np).get(_name)
        if isinstance(_numpys, np.ufunc) and _numpys.signature is None and (_numpys.nin, _numpys.nout) == (2, 1):
            _attach(_function, _numpys)
