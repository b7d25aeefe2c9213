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
    if type(argnums) is int and 0 <= argnums < count:
        return (argnums,)
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


Path = Callable[[Any, int], str]
"""How to name leaf `number` of a tree in a message."""


def argument_path(fun: Callable[..., Any], chosen: Sequence[int], picked: Any, number: int) -> str:
    """The name of leaf `number` of the arguments `chosen` of a function: the parameter's name and the path inside it."""
    keys = tree.leaves_with_path(picked)[number][0]
    return f"{argument_name(fun, chosen[keys[0].idx])}{tree.keystr(keys[1:])}"


def flatten_arrays(value: Any, where: str, path: Path = leaf_path) -> tuple[list[Any], tree.PyTreeDef]:
    """Leaves of a tree, each checked to be an array or a number, and its structure.

    An error begins with `where` and the leaf's `path`, which is asked only then.
    """
    leaves, treedef = tree.flatten(value)
    out = [unwrap(leaf) for leaf in leaves]
    for i, leaf in enumerate(out):
        try:
            if type(leaf) is not Tracer:
                value_type(leaf)
        except TypeError as error:
            raise TypeError(f"{where}{path(value, i)}: {error}") from None
    return out, treedef


def check_inexact(leaves: Sequence[Any], value: Any, path: Path, what: str, kinds: str, allow_int: bool) -> None:
    """Raises TypeError for leaves that `what` (grad, jacfwd, ...) cannot differentiate by, naming path and dtype.

    `kinds` holds the allowed kinds of dtype: "f" real, "c" complex (holomorphic=True), "fc" either.
    """
    for i, leaf in enumerate(leaves):
        kind = dtype_of(leaf)
        if kind.kind in kinds or (allow_int and kind.kind not in "fc"):
            continue
        which = f"argument {path(value, i)}"
        if kinds == "c":
            raise TypeError(f"{what} with holomorphic=True needs complex inputs; {which} has dtype {kind}.")
        if kind.kind == "c":
            raise TypeError(
                f"{what} needs real inputs; {which} has dtype {kind}. Pass holomorphic=True for a holomorphic function, "
                "or differentiate by the real and imaginary parts."
            )
        raise TypeError(
            f"{what} needs inputs of floating dtype; {which} has dtype {kind}. Convert it to a float, leave it out "
            "of argnums, or pass allow_int=True."
        )
