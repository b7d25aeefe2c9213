"""Printed source, the values: numbers, dtypes, parameters and arrays as text that means exactly the same."""

from __future__ import annotations

import base64
import dataclasses
import math
import re
import sys
import types
from typing import Any

import numpy as np

SMALL = 64
"""Constants with more numbers than this are written as bytes."""


class SourceError(Exception):
    """Something has no stand-alone text; `source` says of what."""


class Written(str):
    """Text that stands for itself, such as the name of a helper function."""

    __slots__ = ()


def identifier(text: str) -> str:
    """A name made of any text."""
    if text.isidentifier():
        return text
    name = re.sub(r"\W+", "_", text).strip("_")
    return f"_{name}" if not name or name[0].isdigit() else name


def qualified_name(value: Any) -> str | None:
    """`np.tanh`, `scipy.special.erf`: how NumPy's and SciPy's own functions and scalar types are called."""
    if not callable(value) or isinstance(value, (np.ndarray, np.dtype)):
        return None
    name = getattr(value, "__name__", "")
    for module, alias in (("numpy", "np"), ("numpy.linalg", "np.linalg"), ("numpy.fft", "np.fft"),
                          ("scipy.special", "scipy.special"), ("scipy.linalg", "scipy.linalg"),
                          ("math", "math")):  # fmt: skip
        # A module that is not loaded yet cannot be where the value comes from.
        loaded = sys.modules.get(module)
        if loaded is not None and name and vars(loaded).get(name) is value:
            return f"{alias}.{name}"
    return None


def number_text(value: Any) -> str:
    """A Python number; inf, nan and signed zeros included."""
    if isinstance(value, complex):
        return f"complex({number_text(value.real)}, {number_text(value.imag)})"
    if isinstance(value, float) and not math.isfinite(value):
        return "np.nan" if math.isnan(value) else "np.inf" if value > 0 else "-np.inf"
    return repr(value)


def dtype_text(dtype: np.dtype) -> str:
    """`np.float64`, or the description of a structured dtype."""
    if dtype.names is not None:
        return f"np.dtype({dtype.descr!r})"
    return f"np.{dtype.type.__name__}" if dtype.isnative else f"np.dtype({dtype.str!r})"


def array_text(value: np.ndarray) -> str:
    """An array, exactly: filled, listed, or as bytes if it is large."""
    value = np.asarray(value)
    kind = dtype_text(value.dtype)
    if value.size == 0 or value.dtype.names is not None:
        return f"np.zeros({value.shape}, {kind})"
    raw = np.ascontiguousarray(value).tobytes()
    if value.ndim and raw == raw[: value.itemsize] * value.size:
        return f"np.full({value.shape}, {number_text(value.flat[0].item())}, {kind})"
    if value.size <= SMALL:
        return f"np.array({_nested(value.tolist())}, {kind})"
    text = base64.b64encode(raw).decode()
    lines = "\n".join(f'    "{text[i : i + 100]}"' for i in range(0, len(text), 100))
    return f"np.frombuffer(base64.b64decode(\n{lines}\n), np.dtype({value.dtype.str!r})).reshape({value.shape})"


def _nested(value: Any) -> str:
    return f"[{', '.join(map(_nested, value))}]" if isinstance(value, list) else number_text(value)


def is_simple(value: Any) -> bool:
    """Whether `literal_text` can write a value."""
    try:
        literal_text(value)
    except SourceError:
        return False
    return True


def literal_text(value: Any) -> str:
    """A parameter of a primitive as an expression. Raises SourceError for what has none."""
    if isinstance(value, Written):
        return str(value)
    if value is None or value is Ellipsis or isinstance(value, (str, bytes, range)):
        return repr(value)
    if type(value) in (bool, int, float, complex):
        return number_text(value)
    if isinstance(value, np.generic):
        return f"{dtype_text(value.dtype)}({number_text(value.item())})"
    if isinstance(value, np.dtype):
        return f"np.dtype({dtype_text(value)})" if value.names is None else dtype_text(value)
    if isinstance(value, np.ndarray):
        return array_text(value)
    if type(value) is slice:
        return f"slice({literal_text(value.start)}, {literal_text(value.stop)}, {literal_text(value.step)})"
    if type(value) is list:
        return f"[{', '.join(map(literal_text, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal_text, value))}{',' if len(value) == 1 else ''})"
    if type(value) is dict:
        return f"{{{', '.join(f'{literal_text(k)}: {literal_text(v)}' for k, v in value.items())}}}"
    name = qualified_name(value)
    if name is not None:
        return name
    raise SourceError(f"{_kind(value)} has no text")


def _kind(value: Any) -> str:
    if isinstance(value, types.FunctionType):
        return f"the Python function {value.__name__}"
    return f"a {'record ' if dataclasses.is_dataclass(value) else ''}{type(value).__name__}"
