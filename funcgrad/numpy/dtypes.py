"""Dtypes, questions about them, and constants.

The names of dtypes (`float32`, `int_`, ...) do what JAX's do: they stand wherever a dtype is asked for, equal NumPy's
scalar types, and called they convert, tracers included: `float32(3)` is a 0-d Array, `int64(x)` is x as integers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import Array, wrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.core.types import SCALARS
from funcgrad.numpy.wrapping import operand
from funcgrad.ops.basics import convert


class ScalarType:
    """The name of one dtype. `numpy.dtype(name)` reads the attribute `dtype`; a call converts."""

    __slots__ = ("__name__", "dtype")

    def __init__(self, name: str):
        self.__name__ = name
        self.dtype = np.dtype(name)

    @property
    def type(self) -> type[np.generic]:
        """NumPy's scalar type of this dtype."""
        return self.dtype.type

    def __call__(self, x: Any = 0) -> Any:
        """x as an array of this dtype."""
        value = operand(x)
        return convert(value, self.dtype) if type(value) is Tracer else wrap(np.asarray(value).astype(self.dtype))

    def __eq__(self, other: object) -> Any:
        if isinstance(other, ScalarType):
            return self.dtype == other.dtype
        try:
            return other is not None and self.dtype == np.dtype(other)  # type: ignore[call-overload]
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.dtype.type)

    def __reduce__(self) -> tuple[Any, ...]:
        return ScalarType, (self.dtype.name,)

    def __repr__(self) -> str:
        return f"funcgrad.numpy.{self.__name__}"


bool_ = ScalarType("bool")
int8 = ScalarType("int8")
int16 = ScalarType("int16")
int32 = ScalarType("int32")
int64 = ScalarType("int64")
uint8 = ScalarType("uint8")
uint16 = ScalarType("uint16")
uint32 = ScalarType("uint32")
uint64 = ScalarType("uint64")
float16 = ScalarType("float16")
float32 = ScalarType("float32")
float64 = ScalarType("float64")
complex64 = ScalarType("complex64")
complex128 = ScalarType("complex128")

bool = bool_
int_ = int64
uint = uint64
float_ = float64
complex_ = complex128
single = float32
double = float64
csingle = complex64
cdouble = complex128

generic = np.generic
number = np.number
integer = np.integer
signedinteger = np.signedinteger
unsignedinteger = np.unsignedinteger
inexact = np.inexact
floating = np.floating
complexfloating = np.complexfloating

ndarray = Array
dtype = np.dtype
finfo = np.finfo
iinfo = np.iinfo

pi = math.pi
e = math.e
inf = math.inf
nan = math.nan
euler_gamma = np.euler_gamma
newaxis = None

_WEAK_VALUES = {kind: python(0) for python, kind in SCALARS.items()}


def _typed(value: Any) -> Any:
    """A value as what NumPy's promotion takes: a dtype, or a Python number, which is weak."""
    if type(value) is Tracer:
        kind = type_of(value)
        return _WEAK_VALUES[kind.dtype] if kind.weak else kind.dtype
    if type(value) in SCALARS or isinstance(value, (np.ndarray, np.generic)):
        return value
    return np.dtype(value)


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype that NumPy's promotion (NEP 50) finds for arrays, tracers, Python numbers and dtypes together."""
    return np.result_type(*[_typed(v) for v in arrays_and_dtypes])


def promote_types(type1: Any, type2: Any) -> np.dtype:
    """The smallest dtype to which both dtypes can be cast safely."""
    return np.promote_types(np.dtype(type1), np.dtype(type2))


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> Any:
    """Whether a dtype, or an array's dtype, can be cast to another under NumPy's rule `casting`.

    Raises TypeError for a Python number, whose dtype is not definite.
    """
    source = type_of(from_).dtype if isinstance(from_, (Tracer, np.ndarray, np.generic)) else from_
    if type(source) not in SCALARS:
        source = np.dtype(source)
    return np.can_cast(source, np.dtype(to), casting)


def issubdtype(arg1: Any, arg2: Any) -> Any:
    """Whether the first dtype is, or lies below, the second in NumPy's hierarchy (e.g. float32 below floating)."""
    return np.issubdtype(_scalar_class(arg1), _scalar_class(arg2))


def _scalar_class(value: Any) -> Any:
    return value.type if isinstance(value, ScalarType) else value


def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether a dtype is of a kind: a dtype, a name such as "real floating" or "integral", or a tuple of these."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return np.isdtype(np.dtype(dtype), tuple(k if isinstance(k, str) else np.dtype(k) for k in kinds))
