"""Families: how a row of a few fields becomes a whole primitive.

linear       the jvp is the primitive itself on the tangents, the vjp is the row's `transpose`
flat         no derivative anywhere (comparisons, rounding, indices)
general      every rule by hand
The elementwise family, which needs primitives of its own to undo broadcasting, is in `pointwise.py`.

Batched arguments carry their batch axis in front, always (see transforms/vmap.py), so a batch rule is an axis shift.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.lowering import Kernel
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.core.types import ArrayType, is_inexact

TABLE: dict[str, Primitive] = {}
"""Every primitive by name; the generated tests go over it."""

Batch = tuple[Any, Any]
Text = Callable[[Sequence[str], Sequence[ArrayType], dict[str, Any]], str | None]


class LazyModule:
    """A module that is imported when one of its attributes is first asked for."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


scipy_special: Any = LazyModule("scipy.special")
scipy_linalg: Any = LazyModule("scipy.linalg")


def register(primitive: Primitive) -> Primitive:
    """Adds a row to the table. Raises ValueError if the name is taken."""
    if primitive.name in TABLE:
        raise ValueError(f"primitive '{primitive.name}' is already defined; a primitive has one row.")
    TABLE[primitive.name] = primitive
    return primitive


def zeros_like(value: Any) -> Any:
    """Zeros of a value's shape and dtype, as a plain array."""
    kind = type_of(value)
    return np.zeros(kind.shape, kind.dtype)


def instantiate(tangents: Sequence[Any], likes: Sequence[Any]) -> list[Any]:
    """Tangents with None replaced by zeros of the matching value."""
    return [zeros_like(v) if t is None else t for t, v in zip(tangents, likes, strict=True)]


def linear(name: str, impl: Callable[..., Any], type_rule: Callable[..., Any], transpose: Callable[..., Any],
           batch: Callable[..., Any], samples: Callable[..., Any], *, operands: int | None = 1,
           strong: bool = False, text: Text | None = None, kernel: Kernel | None = None) -> Primitive:  # fmt: skip
    """A primitive linear in its first `operands` arguments together (None: in all of them); the rest are indices.

    transpose(ct, args, params) gives the cotangents of those operands: one value if operands == 1, else a list.
    """

    def jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
        n = len(args) if operands is None else operands
        moving = tangents[:n]
        if all(t is None for t in moving):
            return None
        return primitive(*instantiate(moving, args[:n]), *args[n:], **params)

    def vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
        found = transpose(ct, args, params)
        cts = [found] if operands == 1 else list(found)
        return cts + [None] * (len(args) - len(cts))

    primitive = Primitive(
        name, impl, type_rule, jvp, vjp, batch, strong=strong, samples=samples, text=text, kernel=kernel
    )
    return register(primitive)


def flat(name: str, impl: Callable[..., Any], type_rule: Callable[..., Any], batch: Callable[..., Any],
         samples: Callable[..., Any], *, multiple: bool = False, strong: bool = True,
         text: Text | None = None, kernel: Kernel | None = None) -> Primitive:  # fmt: skip
    """A primitive without derivative: what it gives is a constant to every derivative transform."""
    return register(
        Primitive(
            name,
            impl,
            type_rule,
            None,
            None,
            batch,
            flat=True,
            multiple=multiple,
            strong=strong,
            samples=samples,
            text=text,
            kernel=kernel,
        )
    )


def general(name: str, impl: Callable[..., Any], type_rule: Callable[..., Any], **rules: Any) -> Primitive:
    """A primitive whose rules are all written by hand."""
    return register(Primitive(name, impl, type_rule, **rules))


def infix(operator: str) -> Text:
    """The text of a primitive that NumPy writes as an operator between two values."""
    return lambda args, types, params: f"{args[0]} {operator} {args[1]}"


def shift(axes: Sequence[int]) -> tuple[int, ...]:
    """Axes of an example as axes of a batch."""
    return tuple(a + 1 for a in axes)


def batch_unary(primitive: Callable[[], Primitive], change: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """The batch rule of a primitive of one argument: its parameters changed by `change(size, **params)`."""

    def batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Batch:
        return primitive()(args[0], **change(size, **params)), True

    return batch


def wants_derivative(value: Any) -> bool:
    """Whether a value of this dtype can have a tangent."""
    return is_inexact(type_of(value).dtype)


def is_traced(values: Sequence[Any]) -> bool:
    """Whether any of the values is a tracer."""
    return any(type(v) is Tracer for v in values)


# ---- samples: the arguments that the generated tests call a row with ----


def array(rng: np.random.Generator, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Distinct float64 values in (low, high): distinct, so that maxima and sorts have no ties."""
    n = int(np.prod(shape))
    return ((rng.permutation(n) + rng.uniform(0.2, 0.8, n)) / max(n, 1) * (high - low) + low).reshape(shape)


def unary_samples(params: Sequence[dict[str, Any]], shape: tuple[int, ...] = (3, 4)) -> Callable[..., Any]:
    """Samples of a primitive of one float array, one for each given set of parameters."""
    return lambda rng: [((array(rng, shape),), p) for p in params]
