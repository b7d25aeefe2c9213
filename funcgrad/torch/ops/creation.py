"""Creation: tensors from Python values, from arrays and from nothing. New tensors are leaves, whatever they were made from."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.torch import dtypes
from funcgrad.torch.dtypes import numpy_or_default
from funcgrad.torch.ops.copies import as_dtype
from funcgrad.torch.ops.shapes import ints
from funcgrad.torch.tensor import Tensor, concrete, make


def finish(array: np.ndarray, requires_grad: bool = False, out: Tensor | None = None, device: Any = None) -> Tensor:
    """A new tensor over an array, or the array's values in `out`."""
    if device is not None:
        dtypes.device(device)
    if out is not None:
        return out.resize_(array.shape).copy_(make(array))  # type: ignore[attr-defined]
    made = make(array)
    if requires_grad:
        made.requires_grad = True
    return made


def as_array(data: Any, dtype: Any) -> np.ndarray:
    """Data as a new array of the dtype that PyTorch gives it."""
    if isinstance(data, Tensor):
        array = np.array(concrete(data, "torch.tensor"))
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
    else:
        array = _from_python(data, dtype)
    return array if dtype is None else array.astype(dtypes.numpy_dtype(dtype))


def _from_python(data: Any, dtype: Any) -> np.ndarray:
    try:
        array = np.array(_plain(data))
    except ValueError:
        raise ValueError(f"expected sequences of equal length, got {data!r:.200}") from None
    if array.dtype.kind not in "biufc":
        if array.size:
            raise TypeError(
                f"new(): invalid data type '{type(_first(data)).__name__}'; data must be numbers in nested lists"
            )
        array = array.astype(np.float32)
    if dtype is None and array.dtype.kind in "fc" and not _has_numpy(data):
        kind = dtypes.get_default_dtype() if array.dtype.kind == "f" else dtypes.default_complex()
        array = array.astype(kind.numpy)
    return array


def _first(data: Any) -> Any:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return data


def _plain(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        return [_plain(d) for d in data]
    return concrete(data, "torch.tensor") if isinstance(data, Tensor) else data


def _has_numpy(data: Any) -> bool:
    return isinstance(_first(data), (np.ndarray, np.generic, Tensor))


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new leaf with a copy of the data: numbers, nested lists, arrays. Floats get the default dtype."""
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    array = as_array(data, dtype)
    dtypes.from_numpy_dtype(array.dtype)
    return finish(array, requires_grad, device=device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The data as a tensor: itself, or sharing memory with an array, wherever the dtype allows."""
    if isinstance(data, Tensor):
        return data if dtype is None else as_dtype(data, dtype)
    if isinstance(data, np.ndarray):
        made = from_numpy(data)
        return made if dtype is None else as_dtype(made, dtype)
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """As `as_tensor`; a copy if `copy`."""
    made = as_tensor(obj, dtype, device)
    if copy and made is obj:
        made = make(np.array(concrete(made, "torch.asarray")))
    elif copy and isinstance(obj, np.ndarray):
        made = make(np.array(made._array))
    return made.requires_grad_(requires_grad) if requires_grad else made


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory.

    Raises TypeError for what is no array, or of no dtype of a tensor, and ValueError for negative or odd strides and for
    another byte order. Warns of a read-only array: writing to the tensor raises ValueError.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtypes.from_numpy_dtype(ndarray.dtype)
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. "
            "(You can probably work around this by making a copy of your array  with array.copy().)"
        )
    if any(s % ndarray.itemsize for s in ndarray.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory."
        )
    if not ndarray.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported: write array.astype(array.dtype.newbyteorder('='))."
        )
    if not ndarray.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable: writing to this tensor raises ValueError. Copy the array to write.",
            UserWarning,
            stacklevel=2,
        )
    return make(ndarray.view(np.ndarray))


def _sized(fill: Callable[[tuple[int, ...], Any], np.ndarray], name: str, doc: str) -> Callable[..., Tensor]:
    def function(*size: Any, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
                 requires_grad: bool = False, pin_memory: bool = False, memory_format: Any = None, names: Any = None,
                 **kwargs: Any) -> Tensor:  # fmt: skip
        given = kwargs.pop("size", None)
        if kwargs:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(kwargs))}'")
        shape = ints(size if given is None else (given,))
        if any(n < 0 for n in shape):
            raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
        return finish(fill(shape, numpy_or_default(dtype)), requires_grad, out, device)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


zeros = _sized(np.zeros, "zeros", "A tensor of zeros.")
ones = _sized(np.ones, "ones", "A tensor of ones.")
empty = _sized(np.zeros, "empty", "A tensor of the given size whose values mean nothing yet.")


_C_NAMES = {"int32": "int", "float16": "c10::Half", "float32": "float", "float64": "double"}


def fitting(value: Any, kind: np.dtype) -> Any:
    """A number as one of a dtype; negative integers wrap around in unsigned dtypes. Raises RuntimeError if it does not fit."""
    if kind.kind in "bc" or isinstance(value, (bool, complex)):
        return value
    if kind.kind == "f":
        fits = not math.isfinite(value) or abs(value) <= float(np.finfo(kind).max)
    else:
        low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
        wraps = kind.kind == "u" and isinstance(value, (int, np.integer))
        fits = math.isfinite(value) and (-high if wraps else low) <= value <= high
    if not fits:
        name = _C_NAMES.get(kind.name, f"{kind.name}_t")
        raise RuntimeError(
            f"value cannot be converted to type {name} without overflow: {value} does not fit torch.{kind.name}"
        )
    return value if kind.kind == "f" else int(value) % (int(np.iinfo(kind).max) + 1) if kind.kind == "u" else int(value)


def full(size: Any, fill_value: Any, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
         requires_grad: bool = False, names: Any = None) -> Tensor:  # fmt: skip
    """A tensor filled with one value, whose kind gives the dtype."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    kind = numpy_or_default(dtype) if dtype is not None or isinstance(value, float) else as_array(value, None).dtype
    return finish(np.full(ints((size,)), fitting(value, kind), kind), requires_grad, out, device)


def _like(fill: Callable[..., np.ndarray], name: str) -> Callable[..., Tensor]:
    def function(input: Tensor, *args: Any, dtype: Any = None, layout: Any = None, device: Any = None,
                 requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
        kind = input._array.dtype if dtype is None else dtypes.numpy_dtype(dtype)
        return finish(fill(input._array.shape, *args, kind), requires_grad, device=device)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name}: a tensor of the shape and dtype of `input`; its requires_grad is not taken over."
    return function


zeros_like = _like(np.zeros, "zeros_like")
ones_like = _like(np.ones, "ones_like")
empty_like = _like(np.zeros, "empty_like")


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
              requires_grad: bool = False, memory_format: Any = None) -> Tensor:  # fmt: skip
    """A tensor of the shape and dtype of `input`, filled with one value."""
    kind = input._array.dtype if dtype is None else dtypes.numpy_dtype(dtype)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return finish(np.full(input._array.shape, fitting(value, kind), kind), requires_grad, device=device)


def _number(x: Any) -> Any:
    return x.item() if isinstance(x, Tensor) else x


def arange(start: Any = 0, end: Any = None, step: Any = 1, *, out: Any = None, dtype: Any = None, layout: Any = None,
           device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """start, start + step, ... below end; integers give int64."""
    first, last = (0, _number(start)) if end is None else (_number(start), _number(end))
    width = _number(step)
    if width == 0:
        raise RuntimeError("step must be nonzero")
    if (last - first) * width < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(v, (int, np.integer)) for v in (first, last, width))
    kind = np.dtype(np.int64) if dtype is None and whole else numpy_or_default(dtype)
    if kind == np.int64:  # counted with the bounds as integers; the narrower dtypes count with the bounds as given
        first, last, width = int(first), int(last), int(width)
        if width == 0:
            raise ValueError("step must be nonzero: it is cut to an integer for an int64 result")
    count = max(math.ceil((last - first) / width), 0)
    if kind.kind in "iu":
        first, width = int(first), int(width)
    array = (first + np.arange(count) * width).astype(kind)
    return finish(array, requires_grad, out, device)


def range_(start: float = 0, end: float = 0, step: float = 1, **options: Any) -> Tensor:
    """start, start + step, ... up to and with end."""
    return arange(
        start, end + step * (1 if step > 0 else -1) * 1e-9 + (step if (end - start) % step == 0 else 0), step, **options
    )


def linspace(start: Any, end: Any, steps: int, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """`steps` numbers from start to end, both included, at equal distances."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    return finish(_spaced(_number(start), _number(end), steps, numpy_or_default(dtype)), requires_grad, out, device)


def _spaced(start: Any, end: Any, steps: int, kind: np.dtype) -> np.ndarray:
    """Numbers at equal distances; integer dtypes cut the bounds first. Each half counts from its own end, as in PyTorch."""
    if kind.kind not in "iu":
        return np.linspace(start, end, steps).astype(kind)
    first, last = int(start), int(end)
    if steps < 2:
        return np.full(steps, first, kind)
    at, width = np.arange(steps), (last - first) / (steps - 1)
    return np.where(at < steps // 2, first + width * at, last - width * (steps - 1 - at)).astype(np.int64).astype(kind)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, out: Any = None, dtype: Any = None, layout: Any = None,
             device: Any = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """base to the power of `steps` numbers from start to end."""
    powers = base ** np.linspace(_number(start), _number(end), steps)
    return finish(powers.astype(numpy_or_default(dtype)), requires_grad, out, device)


def eye(n: int, m: int | None = None, *, out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False) -> Tensor:  # fmt: skip
    """The n x m matrix with ones on the diagonal."""
    return finish(np.eye(n, m, dtype=numpy_or_default(dtype)), requires_grad, out, device)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
) -> Tensor:
    """Rows and columns of the lower triangle: shape (2, n)."""
    return finish(np.stack(np.tril_indices(row, offset, col)).astype(dtypes.numpy_dtype(dtype or dtypes.int64)))


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None, layout: Any = None
) -> Tensor:
    """Rows and columns of the upper triangle: shape (2, n)."""
    return finish(np.stack(np.triu_indices(row, offset, col)).astype(dtypes.numpy_dtype(dtype or dtypes.int64)))


def scalar_tensor(value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor."""
    return finish(np.asarray(value, numpy_or_default(dtype)), requires_grad)


# ---- methods ----


def _new(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, layout: Any = None,
               pin_memory: bool = False, **kwargs: Any) -> Tensor:  # fmt: skip
        return function(*size, dtype=self.dtype if dtype is None else dtype, requires_grad=requires_grad, **kwargs)

    method.__name__ = method.__qualname__ = "new_" + function.__name__
    method.__doc__ = f"As `{function.__name__}`, with the dtype of this tensor."
    return method


def _new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
              layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """As `full`, with the dtype of this tensor."""
    return full(size, fill_value, dtype=self.dtype if dtype is None else dtype, requires_grad=requires_grad)


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
                layout: Any = None, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """As `tensor`, with the dtype of this tensor."""
    return tensor(data, dtype=self.dtype if dtype is None else dtype, requires_grad=requires_grad)


for _function in (zeros, ones, empty):
    setattr(Tensor, "new_" + _function.__name__, _new(_function))
Tensor.new_full = _new_full  # type: ignore[attr-defined]
Tensor.new_tensor = _new_tensor  # type: ignore[attr-defined]


# ---- the constructors of old: Tensor(2, 3), FloatTensor([1, 2]) ----


def _legacy(kind: Callable[[], dtypes.dtype]) -> Callable[..., Tensor]:
    def construct(*args: Any, dtype: Any = None, device: Any = None) -> Tensor:
        if len(args) == 1 and not isinstance(args[0], (int, np.integer)):
            data = args[0]
            if isinstance(data, dtypes.Size):
                return empty(*data, dtype=kind())
            if isinstance(data, Tensor):
                return data.detach() if data.dtype is kind() else tensor(data.tolist(), dtype=kind())  # type: ignore[attr-defined]
            return tensor(data, dtype=kind())
        return empty(*args, dtype=kind()) if args else empty(0, dtype=kind())

    return construct


Tensor.legacy = staticmethod(_legacy(dtypes.get_default_dtype))
FloatTensor = _legacy(lambda: dtypes.float32)
DoubleTensor = _legacy(lambda: dtypes.float64)
HalfTensor = _legacy(lambda: dtypes.float16)
LongTensor = _legacy(lambda: dtypes.int64)
IntTensor = _legacy(lambda: dtypes.int32)
ShortTensor = _legacy(lambda: dtypes.int16)
CharTensor = _legacy(lambda: dtypes.int8)
ByteTensor = _legacy(lambda: dtypes.uint8)
BoolTensor = _legacy(lambda: dtypes.bool_)
