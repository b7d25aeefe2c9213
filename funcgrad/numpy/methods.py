"""Methods and properties of arrays: `x.sum()`, `x.T`, `x.reshape(...)` on tracers; what Array lacks beside ndarray.

Most methods are one row of a table: the NumPy function whose traced form `dispatch` finds when the method is called. So
this file needs no other file of the room, and a method appears with the function that it is named after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.array import Array, unwrap, wrap
from funcgrad.core.tracing import Tracer
from funcgrad.core.types import array_type
from funcgrad.errors import assignment_error
from funcgrad.numpy.wrapping import dispatch, wrap_all
from funcgrad.ops.basics import convert

_FUNCTIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "all": (np.all, "Whether all values are true, along `axis` (None: all axes)."),
    "any": (np.any, "Whether any value is true, along `axis` (None: all axes)."),
    "argmax": (np.argmax, "The place of the first maximum along `axis` (None: in the flattened array)."),
    "argmin": (np.argmin, "The place of the first minimum along `axis` (None: in the flattened array)."),
    "argpartition": (np.argpartition, "The places that partition the array about its kth value along `axis`."),
    "argsort": (np.argsort, "The places that sort the array along `axis`."),
    "choose": (np.choose, "From each choice the values where this array of integers names it."),
    "clip": (np.clip, "Each value limited to [min, max]."),
    "conj": (np.conjugate, "The complex conjugate."),
    "conjugate": (np.conjugate, "The complex conjugate."),
    "copy": (np.copy, "A copy; of an immutable array, the values."),
    "cumprod": (np.cumprod, "The running product along `axis` (None: of the flattened array)."),
    "cumsum": (np.cumsum, "The running sum along `axis` (None: of the flattened array)."),
    "diagonal": (np.diagonal, "The diagonal `offset` of the planes of two axes, as a new last axis."),
    "dot": (np.dot, "The dot product with another array, by numpy.dot's rules."),
    "flatten": (np.ravel, "The values as one axis."),
    "max": (np.max, "The maximum along `axis` (None: all axes)."),
    "mean": (np.mean, "The mean along `axis` (None: all axes)."),
    "min": (np.min, "The minimum along `axis` (None: all axes)."),
    "nonzero": (np.nonzero, "The places of nonzero values, an array for each axis; traced, `size=` is needed."),
    "partition": (np.partition, "A copy partitioned about its kth value along `axis`."),
    "prod": (np.prod, "The product along `axis` (None: all axes)."),
    "ptp": (np.ptp, "The maximum minus the minimum along `axis` (None: all axes)."),
    "ravel": (np.ravel, "The values as one axis."),
    "repeat": (np.repeat, "Each value repeated along `axis` (None: of the flattened array)."),
    "round": (np.round, "Rounded to `decimals` places, half to even."),
    "searchsorted": (np.searchsorted, "Where values would go in this sorted array."),
    "sort": (np.sort, "A sorted copy along `axis`."),
    "squeeze": (np.squeeze, "Without the axes of size 1, or the ones named."),
    "std": (np.std, "The standard deviation along `axis` (None: all axes)."),
    "sum": (np.sum, "The sum along `axis` (None: all axes)."),
    "swapaxes": (np.swapaxes, "With two axes swapped."),
    "take": (np.take, "The values at `indices` along `axis` (None: of the flattened array)."),
    "trace": (np.trace, "The sum of the diagonal `offset` of the planes of two axes."),
    "var": (np.var, "The variance along `axis` (None: all axes)."),
}

_PROPERTIES: dict[str, tuple[Callable[[Tracer], Any], str]] = {
    "T": (lambda self: dispatch[np.transpose](self), "With the order of its axes reversed."),
    "mT": (lambda self: dispatch[np.matrix_transpose](self), "With its last two axes swapped."),
    "real": (lambda self: dispatch[np.real](self), "The real part."),
    "imag": (lambda self: dispatch[np.imag](self), "The imaginary part."),
    "itemsize": (lambda self: self.dtype.itemsize, "The bytes of one value."),
    "nbytes": (lambda self: self.size * self.dtype.itemsize, "The bytes of all values."),
    "device": (lambda self: "cpu", "The string 'cpu', as of a numpy.ndarray."),
}


def _method(name: str, function: Callable[..., Any], text: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return dispatch[function](self, *args, **kwargs)

    method.__name__, method.__qualname__, method.__doc__ = name, f"Tracer.{name}", text
    return method


def _reshape(self: Tracer, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
    """With another shape of equal size, given as one tuple or as numbers; one -1 stands for what is left."""
    return dispatch[np.reshape](self, shape[0] if len(shape) == 1 else shape, order=order)


def _transpose(self: Tracer, *axes: Any) -> Any:
    """With its axes in another order, given as one tuple or as numbers (none: reversed)."""
    one = len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list)))
    return dispatch[np.transpose](self, axes[0] if one else (axes or None))


def _astype(self: Tracer, dtype: Any, copy: bool = True) -> Any:
    """Converted to another dtype. An immutable array needs no copy, whatever `copy` says."""
    return convert(self, np.dtype(dtype))


def _compress(self: Tracer, condition: Any, axis: int | None = None, **options: Any) -> Any:
    """The slices along `axis` where the condition holds; a traced condition needs `size=`."""
    return dispatch[np.compress](condition, self, axis, **options)


def _block_until_ready(self: Tracer) -> Tracer:
    """The array itself: on a CPU every result is ready."""
    return self


_ASKED = {"b": "bool", "i": "int", "u": "int", "c": "complex"}


def _item(self: Tracer, *place: Any) -> Any:
    """A value as a Python number; ConcretizationTypeError where the trace has types only."""
    return np.asarray(self.concrete(_ASKED.get(self.dtype.kind, "float"))).item(*place)


def _tolist(self: Tracer) -> Any:
    """The values as nested lists; ConcretizationTypeError where the trace has types only."""
    return np.asarray(self.concrete("numpy.asarray")).tolist()


def _view(self: Tracer, dtype: Any = None, type: Any = None) -> Any:
    """Refused: a traced array has no memory to look at."""
    raise TypeError(
        f"view(dtype={dtype}) was asked of a traced array of type {self.type}, which has no memory to be read as another "
        "dtype; write x.astype(dtype) to convert values, or x.real and x.imag for the parts of complex ones."
    )


def _refused(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        kind = str(self.type) if type(self) is Tracer else str(array_type(self.shape, self.dtype))
        error = assignment_error(kind, "a funcgrad array")
        raise TypeError(f"x.{name}(...) writes into x: {error}")

    method.__name__, method.__doc__ = name, f"Refused with TypeError: `{name}` writes into an array; use x.at[index]."
    return method


# ---- Array: what ndarray lacks, and what it does in place ----


def _sort(self: Array, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: bool | None = None,
          descending: bool = False) -> Any:  # fmt: skip
    """A sorted copy along `axis` (None: of the flattened array), as JAX's; the array itself stays as it is."""
    if descending:
        found = np.sort(unwrap(self), axis, kind, order, stable=stable)
        return wrap(np.flip(found, -1 if axis is None else axis))
    return wrap(np.sort(unwrap(self), axis, kind, order, stable=stable))


def _partition(self: Array, kth: Any, axis: int | None = -1, kind: Any = "introselect", order: Any = None) -> Any:
    """A copy partitioned about its kth value along `axis`; the array itself stays as it is."""
    return wrap(np.partition(unwrap(self), kth, axis, kind, order))


def _ptp(self: Array, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """The maximum minus the minimum along `axis` (None: all axes)."""
    return wrap(np.ptp(unwrap(self), axis, out, keepdims))


_WRITERS = (np.put, np.place, np.putmask, np.copyto, np.fill_diagonal, np.put_along_axis)


def _bare(value: Any) -> Any:
    if type(value) is list or type(value) is tuple:
        return type(value)(_bare(v) for v in value)
    return unwrap(value)


def _array_function(self: Array, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """NumPy's functions on Arrays: computed on plain arrays.

    NumPy's Python code copies its argument and then sorts or writes into the copy, which an Array does not allow.
    """
    if Tracer in types:
        return NotImplemented
    if func in _WRITERS and type(args[0] if args else next(iter(kwargs.values()))) is Array:
        return _refused(func.__name__)(self)
    return wrap_all(func(*_bare(args), **{k: _bare(v) for k, v in kwargs.items()}))


def _install() -> None:
    for name, (function, text) in _FUNCTIONS.items():
        setattr(Tracer, name, _method(name, function, text))
    for name, (getter, text) in _PROPERTIES.items():
        setattr(Tracer, name, property(getter, doc=text))
    own = {
        "reshape": _reshape, "transpose": _transpose, "astype": _astype, "compress": _compress, "item": _item,
        "block_until_ready": _block_until_ready, "tolist": _tolist, "view": _view,
    }  # fmt: skip
    for name, method in own.items():
        setattr(Tracer, name, method)
    array = {"sort": _sort, "partition": _partition, "ptp": _ptp, "__array_function__": _array_function}
    for name, method in array.items():
        setattr(Array, name, method)
    for name in ("fill", "put", "resize", "itemset", "setfield"):
        setattr(Array, name, _refused(name))
        setattr(Tracer, name, _refused(name))


_install()
