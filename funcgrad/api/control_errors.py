"""What control flow says of functions that do not fit: both sides' types next to each other, leaf by leaf, with their paths."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.api.arguments import function_name
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType

Leaves = Sequence[tuple[str, ArrayType]]
"""The leaves of a tree: (path, type)."""


def check_function(fun: Any, what: str, role: str, arguments: Sequence[str]) -> None:
    """Raises TypeError unless `fun` is a function that can be called with so many positional arguments."""
    if not callable(fun):
        raise TypeError(f"{what}: {role} must be a function, got {fun!r} of type {type(fun).__name__}.")
    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):
        return  # a builtin that does not say: the call will
    try:
        signature.bind(*arguments)
    except TypeError as error:
        called = f"{role}({', '.join(arguments)})"
        raise TypeError(
            f"{what}: {role} is called as {called}, and {function_name(fun)}{signature} cannot be called so: {error}."
        ) from None


def check_scalar_integer(value: Any, what: str, which: str) -> None:
    """Raises TypeError unless a bound or an index is a scalar integer (or a float that is one)."""
    kind = type_of(value)
    if kind.shape == () and kind.dtype.kind in "iub":
        return
    raise TypeError(f"{what}: {which} must be a scalar integer, got {kind}.")


def typed_leaves(value: Any, types: Sequence[ArrayType]) -> list[tuple[str, ArrayType]]:
    """The leaves of a tree with the types that its function was traced with."""
    return [(tree.keystr(path), t) for (path, _), t in zip(tree.leaves_with_path(value), types, strict=True)]


def within(leaves: Leaves, prefix: str) -> list[tuple[str, ArrayType]]:
    """The leaves below a path, named from there."""
    return [(path[len(prefix) :], t) for path, t in leaves if path.startswith(prefix)]


def side_by_side(heads: tuple[str, str], first: Leaves, second: Leaves, differ: Callable[..., bool]) -> str:
    """A table of the leaves of two trees that differ: path, type of one, type of the other ("-" where there is none)."""
    left, right = dict(first), dict(second)
    rows = [
        (path or "(the value itself)", str(left.get(path, "-")), str(right.get(path, "-")))
        for path in dict.fromkeys([*left, *right])
        if path not in left or path not in right or differ(left[path], right[path])
    ]
    table = [("leaf", *heads), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(3)]
    return "".join("\n  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table)


def carry_structure_error(what: str, have: Any, found: Any, first: Leaves, second: Leaves) -> TypeError:
    """The body gave a carry of another structure."""
    table = side_by_side(
        ("went in as", "came out as"), first, second, lambda a, b: (a.shape, a.dtype) != (b.shape, b.dtype)
    )
    return TypeError(
        f"{what}: the body's carry must keep its structure; it went in as {have} and came out as {found}.{table}"
    )


def carry_type_error(what: str, first: Leaves, second: Leaves, differ: Callable[..., bool]) -> TypeError:
    """The body gave a carry of other types."""
    table = side_by_side(("went in as", "came out as"), first, second, differ)
    return TypeError(
        f"{what}: the body's carry must keep its type. Convert one side, for example with astype or broadcast_to.{table}"
    )


def branch_structure_error(
    what: str, names: tuple[str, str], trees: tuple[Any, Any], first: Leaves, second: Leaves
) -> TypeError:
    """Two branches gave different structures."""
    table = side_by_side(names, first, second, lambda a, b: False)
    return TypeError(
        f"{what}: the branches must return the same structure; {names[0]} returned {trees[0]}, {names[1]} {trees[1]}.{table}"
    )


def branch_type_error(
    what: str, names: tuple[str, str], first: Leaves, second: Leaves, differ: Callable[..., bool]
) -> TypeError:
    """Two branches gave different types."""
    table = side_by_side(names, first, second, differ)
    return TypeError(
        f"{what}: the branches must return the same types. Convert one of them, for example with astype.{table}"
    )


def length_error(what: str, length: Any, xs: Any) -> ValueError:
    """xs and length say different numbers of steps, or none."""
    rows = [(tree.keystr(p) or "xs", type_of(x)) for p, x in tree.leaves_with_path(xs)]
    if not rows and length is None:
        return ValueError(f"{what}: xs has no arrays, so nothing says how many steps there are; pass length=.")
    table = "".join(f"\n  {path}: {kind}, {kind.shape[0]} steps" for path, kind in rows)
    return ValueError(
        f"{what}: xs and length must agree on the number of steps; got length={length} and{table or ' no xs'}"
    )
