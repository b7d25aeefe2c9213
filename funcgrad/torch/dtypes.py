"""dtype, device, Size and memory_format as PyTorch has them, and PyTorch's rule of promotion.

A dtype is a name for a NumPy dtype. Promotion goes by category (bool, integer, floating, complex): tensors with dimensions
decide, 0-d tensors only if their category is higher, Python numbers only if theirs is higher still.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.types import ArrayType


class dtype:
    """A dtype by PyTorch's name; there is one object for each."""

    __slots__ = ("name", "numpy", "title")

    def __init__(self, name: str, numpy: str, title: str):
        self.name = name
        self.numpy = np.dtype(numpy)
        self.title = title
        """As in `torch.FloatTensor`: Float, Double, Long, ..."""

    @property
    def is_floating_point(self) -> bool:
        return self.numpy.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.numpy.kind == "c"

    @property
    def is_signed(self) -> bool:
        return self.numpy.kind in "ifc"

    @property
    def itemsize(self) -> int:
        return self.numpy.itemsize

    def to_real(self) -> dtype:
        """The dtype of the real part."""
        return from_numpy_dtype(np.empty(0, self.numpy).real.dtype)

    def to_complex(self) -> dtype:
        """The complex dtype with parts of this one."""
        return (
            complex128
            if self.numpy.itemsize == 8 and self.numpy.kind == "f"
            else complex64
            if self.numpy.kind != "c"
            else self
        )

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


float16 = dtype("float16", "float16", "Half")
float32 = dtype("float32", "float32", "Float")
float64 = dtype("float64", "float64", "Double")
complex64 = dtype("complex64", "complex64", "ComplexFloat")
complex128 = dtype("complex128", "complex128", "ComplexDouble")
uint8 = dtype("uint8", "uint8", "Byte")
uint16 = dtype("uint16", "uint16", "UInt16")
uint32 = dtype("uint32", "uint32", "UInt32")
uint64 = dtype("uint64", "uint64", "UInt64")
int8 = dtype("int8", "int8", "Char")
int16 = dtype("int16", "int16", "Short")
int32 = dtype("int32", "int32", "Int")
int64 = dtype("int64", "int64", "Long")
bool_ = dtype("bool", "bool", "Bool")
half, float_, double, cfloat, cdouble = float16, float32, float64, complex64, complex128
short, int_, long = int16, int32, int64

ALL = (
    float16,
    float32,
    float64,
    complex64,
    complex128,
    uint8,
    uint16,
    uint32,
    uint64,
    int8,
    int16,
    int32,
    int64,
    bool_,
)
_BY_NUMPY = {d.numpy: d for d in ALL}
_default = [float32]
on_default_change: list[Any] = []
"""Called without arguments after the default dtype has changed: what was derived for the old one is stale."""


def from_numpy_dtype(kind: Any) -> dtype:
    """The dtype of a NumPy dtype. Raises TypeError for one that tensors cannot have."""
    found = _BY_NUMPY.get(kind)
    if found is None:
        found = _BY_NUMPY.get(np.dtype(kind).newbyteorder("="))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {kind}. The only supported types are: float64, float32, float16, complex64, "
            "complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )
    return found


def numpy_or_default(kind: Any) -> np.dtype:
    """As `numpy_dtype`, and the default dtype for None: what functions make that are told no dtype."""
    return _default[0].numpy if kind is None else numpy_dtype(kind)


def numpy_dtype(kind: Any) -> np.dtype:
    """The NumPy dtype of a dtype, of a Python type (float is the default dtype, int is int64) or of a NumPy dtype."""
    if type(kind) is dtype:
        return kind.numpy
    if kind is float:
        return _default[0].numpy
    if kind is int:
        return int64.numpy
    if kind is bool:
        return bool_.numpy
    if kind is complex:
        return default_complex().numpy
    return from_numpy_dtype(np.dtype(kind)).numpy


def get_default_dtype() -> dtype:
    """The dtype of new floating-point tensors: float32 until it is set."""
    return _default[0]


def set_default_dtype(d: Any) -> None:
    """Sets the dtype of new floating-point tensors. Raises TypeError for one that is not floating."""
    if type(d) is not dtype or not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _default[0] = d
    for forget in on_default_change:
        forget()


def default_complex() -> dtype:
    """The complex dtype with parts of the default dtype."""
    return complex128 if _default[0] is float64 else complex64


_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def category(kind: np.dtype) -> int:
    """0 bool, 1 integer, 2 floating, 3 complex."""
    return _CATEGORY[kind.kind]


def promote_dtypes(a: np.dtype, b: np.dtype) -> np.dtype:
    """PyTorch's promotion of two dtypes: NumPy's, but integers never widen a floating dtype."""
    if a == b:
        return a
    ca, cb = category(a), category(b)
    if ca != cb and max(ca, cb) >= 2:
        high, low = (a, b) if ca > cb else (b, a)
        if high.kind == "c" and low == np.float64:
            return np.dtype(np.complex128)
        return high
    return np.promote_types(a, b)


def result_dtype(types: Sequence[ArrayType]) -> np.dtype:
    """The dtype that tensors and numbers are computed in together. Python numbers have weak types."""
    dims: np.dtype | None = None
    zero: np.dtype | None = None
    number: np.dtype | None = None
    for t in types:
        if t.weak:
            kind = {1: int64.numpy, 2: _default[0].numpy, 3: default_complex().numpy}.get(category(t.dtype), t.dtype)
            number = kind if number is None else promote_dtypes(number, kind)
        elif t.shape:
            dims = t.dtype if dims is None else promote_dtypes(dims, t.dtype)
        else:
            zero = t.dtype if zero is None else promote_dtypes(zero, t.dtype)
    return _combined(_combined(dims, zero), number, number=True)  # type: ignore[return-value]


def _combined(strong: np.dtype | None, weak: np.dtype | None, number: bool = False) -> np.dtype | None:
    if strong is None or weak is None:
        return weak if strong is None else strong
    if category(weak) <= category(strong):
        return strong
    if weak.kind == "c" and strong.kind == "f":
        return np.dtype(np.complex128 if strong == np.float64 else np.complex64)
    return weak if number and weak.kind == "c" else promote_dtypes(strong, weak)


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether a result of one dtype may be written to a tensor of the other: never to a lower category."""
    return may_write(from_.numpy, to.numpy)


def may_write(source: np.dtype, target: np.dtype) -> bool:
    """As `can_cast`, of NumPy dtypes."""
    a, b = category(source), category(target)
    return a <= b


class Size(tuple):
    """The shape of a tensor: a tuple of ints."""

    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self)

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Iterable[int]) -> Size:  # type: ignore[override]
        return Size(tuple.__add__(self, tuple(other)))

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)


class device:
    """A device. There is one, the CPU; asking for another raises RuntimeError."""

    __slots__ = ("index", "type")

    def __init__(self, kind: Any = "cpu", index: int | None = None):
        name: str = kind.type if isinstance(kind, device) else str(kind)
        name, _, number = name.partition(":")
        if name not in ("cpu", "meta"):
            raise RuntimeError(
                f"device {kind!r} is not available: funcgrad runs on CPUs only. Write device='cpu', or choose by "
                "'cuda' if torch.cuda.is_available() else 'cpu'."
            )
        if name == "meta":
            raise RuntimeError(
                "device 'meta' is not available: use funcgrad.eval_shape to compute shapes without data."
            )
        self.type: str = name
        self.index = int(number) if number else index

    def __eq__(self, other: object) -> Any:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __repr__(self) -> str:
        tail = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{tail})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


CPU = device("cpu")


class memory_format:
    """A name for an order of strides; values are the same for all, so it is only a wish."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


class layout:
    """How elements are stored; all tensors are strided."""

    def __repr__(self) -> str:
        return "torch.strided"


strided = layout()


class finfo:
    """Limits of a floating dtype: eps, max, min, tiny, smallest_normal, resolution, bits."""

    def __init__(self, kind: dtype | None = None):
        info = np.finfo(numpy_dtype(_default[0] if kind is None else kind))
        self.bits = int(info.bits)
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(info.resolution)
        self.dtype = from_numpy_dtype(np.dtype(info.dtype)).name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.tiny:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype: bits, max, min."""

    def __init__(self, kind: dtype):
        info = np.iinfo(numpy_dtype(kind))
        self.bits, self.max, self.min = int(info.bits), int(info.max), int(info.min)
        self.dtype = kind.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
