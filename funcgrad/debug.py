"""Looking into traced programs: `debug.print` and `debug.callback`, JAX's `jax.debug`.

Both run once per call of the program with the values of that call: once under `grad`, once per example under `vmap`.
"""

from __future__ import annotations

import builtins
import re
import string
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.core.tracing import Tracer
from funcgrad.transforms.callback import callback_name, emit


def callback(f: Callable[..., Any], *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Calls `f(*args, **kwargs)` for its effect whenever the program runs; what it returns is dropped.

    Args:
        f: a Python function; arrays and traced values in the arguments (any pytrees) reach it as funcgrad.Arrays of any
            shape, everything else as it is.
        ordered: whether the order of the effects is a promise that every pass must keep. Evaluation keeps it anyway.
    """
    leaves, treedef = tree.flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (Tracer, np.ndarray))]

    def with_values(*values: Any) -> None:
        full = list(leaves)
        for i, value in zip(places, values, strict=True):
            full[i] = value
        plain_args, plain_kwargs = tree.unflatten(treedef, full)
        f(*plain_args, **plain_kwargs)

    with_values.__name__ = callback_name(f)
    dynamic = [leaves[i] for i in places]
    emit(
        *[v if type(v) is Tracer else np.asarray(v) for v in dynamic],
        callback=with_values,
        ordered=ordered,
    )
    # The traced values must not live on in the callback.
    for i in places:
        leaves[i] = None


def print(fmt: str, *args: Any, ordered: bool = False, **kwargs: Any) -> None:
    """Prints `fmt.format(*args, **kwargs)` whenever the program runs.

    Args:
        fmt: a format string in `str.format`'s syntax, such as "x = {x:.3f}"; its fields are checked at once.
        ordered: as in `callback`.

    Raises ValueError that names the field if it has no argument, or the argument if no field prints it.
    """
    _check_format(fmt, args, kwargs)

    def show(*values: Any, **named: Any) -> None:
        builtins.print(fmt.format(*values, **named))

    show.__name__ = "print"
    callback(show, *args, ordered=ordered, **kwargs)


def _field_names(fmt: str) -> list[str]:
    """The names and numbers of the fields of a format string, those inside format specs too, in order."""
    found = []
    for _, field, spec, _ in string.Formatter().parse(fmt):
        if field is not None:
            found.append(re.split(r"[.\[]", field)[0])
            found += _field_names(spec or "")
    return found


def _check_format(fmt: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if not isinstance(fmt, str):
        raise TypeError(f"debug.print needs a format string first, got {type(fmt).__name__}; write print('{{}}', x).")
    fields = _field_names(fmt)
    if "" in fields and any(f.isdigit() for f in fields):
        raise ValueError(f"debug.print: {fmt!r} mixes numbered fields with '{{}}'; use one kind.")
    positions = iter(range(len(fields)))
    used = [str(next(positions)) if f == "" else f for f in fields]
    for field in used:
        if field.isdigit() and int(field) >= len(args):
            raise ValueError(
                f"debug.print: field {field} of {fmt!r} has no argument; {len(args)} positional were given."
            )
        if not field.isdigit() and field not in kwargs:
            raise ValueError(
                f"debug.print: field '{field}' of {fmt!r} has no argument; keywords given: {sorted(kwargs)}."
            )
    unused = [str(n) for n in range(len(args)) if str(n) not in used] + [k for k in kwargs if k not in used]
    if unused:
        raise ValueError(f"debug.print: no field of {fmt!r} prints argument {', '.join(unused)}; put fields for them.")
