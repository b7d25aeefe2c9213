"""Which arguments of a jitted function are static or donated, and the checks of static ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from funcgrad.api.arguments import function_name, normalize_argnums
from funcgrad.core.tracing import Tracer

Fun = Callable[..., Any]


def check_hashable(value: Any, what: str, which: str) -> None:
    """Raises ValueError, which says `what` was asked and `which` argument it is, for a value that cannot be static."""
    try:
        hash(value)
    except TypeError:
        raise ValueError(
            f"{what}: static argument {which} is {value!r} of type {type(value).__name__}, which is not hashable; a static "
            "argument is part of the cache's key. Pass a tuple instead of a list, or do not mark it static."
        ) from None
    if type(value) is Tracer:
        raise ValueError(f"{what}: static argument {which} is a traced value; only Python values can be static.")


def positions_of(fun: Fun, nums: Any, names: Any, what: str) -> tuple[tuple[int, ...], frozenset[str]]:
    """Positions and names of static (or donated) arguments, each completed from the other by the signature."""
    listed = () if names is None else (names,) if isinstance(names, str) else tuple(names)
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters) or not parameters
    known = {p.name for p in parameters}
    for name in listed:
        if not isinstance(name, str):
            raise TypeError(f"jit: {what}_argnames must hold strings, got {name!r}.")
        if name not in known and not open_ended:
            raise ValueError(
                f"jit: {what}_argnames names {name!r}, but {function_name(fun)} has parameters {sorted(known)}."
            )
    count = 10**6 if open_ended else len(positional)
    given = () if nums is None else nums
    if not open_ended or not isinstance(given, (int, tuple, list)) or isinstance(given, bool):
        positions = normalize_argnums(given, count, f"jit: {what}")
    else:
        positions = (given,) if isinstance(given, int) else tuple(given)
    named = {positional.index(n) for n in listed if n in positional}
    numbered = {positional[n] for n in positions if 0 <= n < len(positional)}
    return tuple(sorted({*positions, *named})), frozenset({*listed, *numbered})
