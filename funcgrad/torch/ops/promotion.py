"""Dtypes inside of bodies: what the options `promote` of an operation do not cover."""

from __future__ import annotations

from typing import Any

from funcgrad.core.tracing import type_of
from funcgrad.ops.basics import convert
from funcgrad.torch import dtypes


def as_dtype(x: Any, kind: Any) -> Any:
    """x in a dtype (None: as it is)."""
    return x if kind is None or x.dtype == dtypes.numpy_dtype(kind) else convert(x, dtypes.numpy_dtype(kind))


def floating(x: Any) -> Any:
    """x, integers and booleans as the default floating dtype."""
    return x if dtypes.category(x.dtype) >= 2 else convert(x, dtypes.get_default_dtype().numpy)


def supported(kernel: str, kind: Any, letters: str) -> None:
    """Raises NotImplementedError for a dtype whose letter (of b, u, i, f, c) is not among those that have the kernel."""
    if kind.kind not in letters:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtypes.from_numpy_dtype(kind).title}'")


def summable(x: Any, kind: Any = None) -> Any:
    """x as sums and products take it: in the asked dtype, integers and booleans as int64."""
    if kind is not None:
        return as_dtype(x, kind)
    return x if dtypes.category(x.dtype) >= 2 else convert(x, dtypes.int64.numpy)


def together(*values: Any) -> list[Any]:
    """Values in their common dtype; numbers stay numbers."""
    kinds = [type_of(v) for v in values]
    common = dtypes.result_dtype(kinds)
    return [v if t.weak else as_dtype(v, common) for v, t in zip(values, kinds, strict=True)]
