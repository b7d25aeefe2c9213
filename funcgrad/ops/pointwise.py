"""The elementwise family: broadcasting primitives, one derivative formula per argument for both modes.

rule(g, ans, *args, **params) is linear in g. Forward mode adds the rules of the tangents; reverse mode sums each
rule of the cotangent back to its argument's shape (transposition without conjugation, JAX's convention).
Broadcasting is undone in `unbroadcast` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.core.lowering import Pointwise
from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import dtype_of, shape_of, type_of
from funcgrad.core.types import SCALARS, ArrayType, array_type
from funcgrad.ops.basics import broadcast_to, convert, reduce_sum, reshape
from funcgrad.ops.families import Text, array, register

Rule = Callable[..., Any] | None


def unbroadcast(ct: Any, like: Any) -> Any:
    """A cotangent summed back to the shape, and converted back to the dtype, of the value it belongs to."""
    if type(ct) is np.ndarray and type(like) is np.ndarray and ct.shape == like.shape and ct.dtype == like.dtype:
        return ct
    have, want = shape_of(ct), shape_of(like)
    if have != want:
        extra = len(have) - len(want)
        ones = [i + extra for i, n in enumerate(want) if n == 1 and have[i + extra] != 1]
        ct = reshape(reduce_sum(ct, axes=(*range(extra), *ones)), shape=want)
    return convert(ct, dtype_of(like))


def match(tangent: Any, ans: Any) -> Any:
    """A tangent broadcast to the shape, and converted to the dtype, of the result it belongs to."""
    return convert(broadcast_to(tangent, shape_of(ans)), dtype_of(ans))


def broadcast_shapes(name: str, types: Sequence[ArrayType]) -> tuple[int, ...]:
    """NumPy's broadcast shape of some types; the error names the operation and every shape."""
    shapes = [t.shape for t in types if t.shape]
    if not shapes:
        return ()
    first = shapes[0]
    if all(s == first for s in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise TypeError(
            f"{name} was asked of arrays of shapes {' and '.join(str(t.shape) for t in types)}, which do not broadcast: "
            "aligned from the right, each pair of sizes must be equal or contain a 1."
        ) from None


def ufunc_dtype(ufunc: np.ufunc) -> Callable[[Sequence[ArrayType]], np.dtype]:
    """The dtype rule of a NumPy ufunc, NEP 50 included, asked of NumPy itself."""

    @lru_cache(maxsize=512)
    def resolve(keys: tuple[Any, ...]) -> np.dtype:
        return ufunc.resolve_dtypes((*keys, *[None] * ufunc.nout))[ufunc.nin]

    kinds = {dtype: kind for kind, dtype in SCALARS.items() if kind is not bool}

    def rule(types: Sequence[ArrayType]) -> np.dtype:
        weak = all(t.weak for t in types)
        return resolve(tuple([kinds.get(t.dtype, t.dtype) if t.weak and not weak else t.dtype for t in types]))

    return rule


_WEAK_VALUES = {dtype: kind(0) for kind, dtype in SCALARS.items()}


def promoted_dtype(types: Sequence[ArrayType]) -> np.dtype:
    """NumPy's promotion of all the types together, NEP 50 included."""
    if all(t.weak for t in types):
        return np.result_type(*[t.dtype for t in types])
    return np.result_type(*[_WEAK_VALUES[t.dtype] if t.weak else t.dtype for t in types])


def float_dtype(types: Sequence[ArrayType]) -> np.dtype:
    """Promotion to a floating dtype, integers to float64: what SciPy's special functions do."""
    strong = [t.dtype for t in types if not t.weak] or [t.dtype for t in types]
    found = np.result_type(*strong)
    return found if found.kind in "fc" else np.dtype(np.float64)


def elementwise(name: str, impl: Callable[..., Any], rules: Sequence[Rule] | None, samples: Callable[..., Any], *,
                dtype: Callable[[Sequence[ArrayType]], np.dtype] | None = None,
                text: Text | None = None, kernel: Pointwise | None = None) -> Primitive:  # fmt: skip
    """A broadcasting primitive. `rules` has one formula per argument (None: not differentiable), or is None: flat."""
    dtype_rule = dtype or ufunc_dtype(impl)  # type: ignore[arg-type]

    formulas = tuple(rules or ())

    def type_rule(*types: ArrayType, **params: Any) -> ArrayType:
        return array_type(broadcast_shapes(name, types), dtype_rule(types))

    def jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
        total = None
        for t, rule in zip(tangents, formulas, strict=True):
            if t is not None and rule is not None:
                term = rule(t, ans, *args, **params)
                total = term if total is None else total + term
        return None if total is None else match(total, ans)

    def vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
        return [
            unbroadcast(rule(ct, ans, *args, **params), args[i]) if rule is not None and wanted[i] else None
            for i, rule in enumerate(formulas)
        ]

    def batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
        ranks = [type_of(a).ndim - b for a, b in zip(args, batched, strict=True)]
        rank = max(ranks)
        lifted = [
            reshape(a, shape=(size, *(1,) * (rank - r), *type_of(a).shape[1:])) if b and r < rank else a
            for a, b, r in zip(args, batched, ranks, strict=True)
        ]
        return primitive(*lifted, **params), True

    strong = dtype_rule is bool_dtype
    primitive = Primitive(
        name,
        impl,
        type_rule,
        jvp,
        vjp,
        batch,
        flat=rules is None,
        strong=strong,
        samples=samples,
        text=text,
        kernel=kernel,
    )
    return register(primitive)


def bool_dtype(types: Sequence[ArrayType]) -> np.dtype:
    """The dtype of a comparison."""
    return np.dtype(bool)


def reals(low: float = -2.0, high: float = 2.0, n: int = 1, *, cplx: bool = False) -> Callable[..., Any]:
    """Samples for n float arguments in (low, high), with broadcasting if n > 1, and complex ones if asked."""

    def samples(rng: np.random.Generator) -> list[Any]:
        shapes = [(3, 4), (4,), (3, 1)]
        found: list[Any] = [(tuple(array(rng, shapes[i], low, high) for i in range(n)), {})]
        found.append((tuple(array(rng, (), low, high) for _ in range(n)), {}))
        if cplx:
            found.append((tuple(array(rng, (3,), low, high) + 1j * array(rng, (3,), low, high) for _ in range(n)), {}))
        return found

    return samples


def integers(low: int, high: int, n: int = 1) -> Callable[..., Any]:
    """Samples for n integer arguments in [low, high)."""
    return lambda rng: [(tuple(rng.integers(low, high, (3, 4)) for _ in range(n)), {})]
