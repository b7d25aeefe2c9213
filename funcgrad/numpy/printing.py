"""Arrays as text and in files: NumPy's functions, on Arrays and on traced arrays that have a value."""

from __future__ import annotations

import os
from typing import IO, Any

import numpy as np

from funcgrad.core.array import unwrap, wrap
from funcgrad.core.tracing import Tracer
from funcgrad.numpy.operators import dispatch

get_printoptions = np.get_printoptions
set_printoptions = np.set_printoptions
printoptions = np.printoptions


def _value(x: Any) -> Any:
    """A plain value; of a tracer the one underneath. Raises ConcretizationTypeError where the trace has types only."""
    return np.asarray(x.concrete("numpy.asarray")) if type(x) is Tracer else unwrap(x)


def array_repr(arr: Any, max_line_width: int | None = None, precision: int | None = None,
               suppress_small: bool | None = None) -> str:  # fmt: skip
    """repr(arr) with other print options than the current ones. A traced array must have a value."""
    given = {"linewidth": max_line_width, "precision": precision, "suppress": suppress_small}
    with np.printoptions(**{k: v for k, v in given.items() if v is not None}):  # type: ignore[arg-type]
        return repr(wrap(_value(arr)))


def array_str(a: Any, max_line_width: int | None = None, precision: int | None = None,
              suppress_small: bool | None = None) -> str:  # fmt: skip
    """str(a) with other print options than the current ones. A traced array must have a value."""
    return np.array_str(np.asarray(_value(a)), max_line_width, precision, suppress_small)


def array2string(a: Any, max_line_width: int | None = None, precision: int | None = None,
                 suppress_small: bool | None = None, separator: str = " ", prefix: str = "", *,
                 formatter: Any = None, threshold: int | None = None,
                 edgeitems: int | None = None, sign: Any = None, floatmode: Any = None,
                 suffix: str = "") -> str:  # fmt: skip
    """The values as text, as numpy.array2string. A traced array must have a value."""
    return np.array2string(
        np.asarray(_value(a)), max_line_width, precision, suppress_small, separator, prefix, formatter=formatter,
        threshold=threshold, edgeitems=edgeitems, sign=sign, floatmode=floatmode, suffix=suffix,
    )  # type: ignore[call-overload]  # fmt: skip


def isscalar(element: Any) -> bool:
    """Whether it is a Python or NumPy scalar, or an array of no axes, traced or not."""
    if type(element) is Tracer or isinstance(element, np.ndarray):
        return element.ndim == 0
    return np.isscalar(element)


def iterable(y: Any) -> bool:
    """Whether iter(y) works: of an array, whether it has an axis."""
    return bool(y.ndim) if type(y) is Tracer else np.iterable(y)


def fromfile(file: Any, dtype: Any = float, count: int = -1, sep: str = "", offset: int = 0) -> Any:
    """A 1-d array of the raw bytes (or, with `sep`, of the numbers as text) in a file."""
    return wrap(np.fromfile(file, dtype, count, sep, offset))


def load(file: IO[bytes] | str | os.PathLike[Any], mmap_mode: Any = None, allow_pickle: bool = False,
         fix_imports: bool = True, encoding: Any = "ASCII", **options: Any) -> Any:  # fmt: skip
    """The array in a .npy file, or the mapping of arrays in a .npz file, as numpy.load."""
    found = np.load(file, mmap_mode, allow_pickle, fix_imports, encoding, **options)
    return wrap(found) if isinstance(found, np.ndarray) and found.dtype.kind in "biufc" else found


def save(file: Any, arr: Any, allow_pickle: bool = True) -> None:
    """Writes one array to a .npy file. A traced array must have a value."""
    np.save(file, _value(arr), allow_pickle)


def savez(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Writes arrays to an uncompressed .npz file, under the names arr_0, arr_1, ... and those given."""
    plain = {k: _value(v) for k, v in kwds.items()}
    np.savez(file, *[_value(a) for a in args], allow_pickle=allow_pickle, **plain)


def savez_compressed(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """As `savez`, compressed."""
    plain = {k: _value(v) for k, v in kwds.items()}
    np.savez_compressed(file, *[_value(a) for a in args], allow_pickle=allow_pickle, **plain)


dispatch.update(
    {
        np.array_repr: array_repr, np.array_str: array_str, np.array2string: array2string, np.save: save, np.savez: savez,
        np.savez_compressed: savez_compressed,
    }
)  # fmt: skip
