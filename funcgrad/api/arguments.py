"""The border of a transform: which arguments take part, flattened, checked, and named in messages."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.core.array import unwrap
from funcgrad.core.tracing import Tracer, dtype_of
from funcgrad.core.types import value_type


def function_name(f: Callable[..., Any]) -> str:
    """The name of a function for messages and printed Programs."""
    return getattr(f, "__name__", None) or type(f).__name__


def argument_name(f: Callable[..., Any], position: int) -> str:
    """The name of a positional parameter of `f`, or its number."""
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        names = []
    return f"'{names[position]}'" if position < len(names) else f"number {position}"


def normalize_argnums(argnums: int | Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """`argnums` as non-negative positions. Raises TypeError or ValueError that names the number and the count."""
    given = (argnums,) if isinstance(argnums, int) else argnums
    found = []
    for a in given:
        try:
            n = operator.index(a)
        except TypeError:
            raise TypeError(f"{what}: argnums must be an int or a sequence of ints, got {argnums!r}.") from None
        if not -count <= n < count:
            raise ValueError(
                f"{what}: argnums={argnums!r} names argument {n}, but the call has {count} positional arguments."
            )
        found.append(n % count)
    return tuple(found)


def leaf_path(value: Any, number: int) -> str:
    """The key path of leaf `number` of a tree, empty for a bare leaf."""
    return tree.keystr(tree.leaves_with_path(value)[number][0])


def flatten_arrays(value: Any, where: str, name: Callable[[], str] = str) -> tuple[list[Any], tree.PyTreeDef]:
    """Leaves of a tree, each checked to be an array or a number, and its structure.

    An error begins with `where` and `name()`, which is asked only then, and gives the leaf's key path.
    """
    leaves, treedef = tree.flatten(value)
    out = [unwrap(leaf) for leaf in leaves]
    for i, leaf in enumerate(out):
        try:
            if type(leaf) is not Tracer:
                value_type(leaf)
        except TypeError as error:
            raise TypeError(f"{where}{name()}{leaf_path(value, i)}: {error}") from None
    return out, treedef


def check_inexact(leaves: Sequence[Any], value: Any, name: Callable[[], str], what: str, kinds: str,
                  allow_int: bool) -> None:  # fmt: skip
    """Raises TypeError for leaves that `what` (grad, jacfwd, ...) cannot differentiate by, naming path and dtype.

    `kinds` holds the allowed kinds of dtype: "f" real, "c" complex (holomorphic=True), "fc" either.
    """
    for i, leaf in enumerate(leaves):
        kind = dtype_of(leaf)
        if kind.kind in kinds or (allow_int and kind.kind not in "fc"):
            continue
        path = f"argument {name()}{leaf_path(value, i)}"
        if kinds == "c":
            raise TypeError(f"{what} with holomorphic=True needs complex inputs; {path} has dtype {kind}.")
        if kind.kind == "c":
            raise TypeError(
                f"{what} needs real inputs; {path} has dtype {kind}. Pass holomorphic=True for a holomorphic function, "
                "or differentiate by the real and imaginary parts."
            )
        raise TypeError(
            f"{what} needs inputs of floating dtype; {path} has dtype {kind}. Convert it to a float, leave it out "
            "of argnums, or pass allow_int=True."
        )
