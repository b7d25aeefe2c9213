"""Where a nan comes from: a Program run again with NumPy, equation by equation, and its nans followed back.

Only equations whose nan reaches the result are blamed: a nan that `where` masks out is none of the user's trouble.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad.core.lowering import Inline, Loop
from funcgrad.core.program import Atom, Equation, Literal, Program, Var
from funcgrad.core.tracing import run, source_text


def has_nan(value: Any) -> bool:
    """Whether an array or number holds a nan; False for what cannot hold one."""
    array = np.asarray(value)
    return array.dtype.kind in "fc" and bool(np.isnan(array).any())


_state = threading.local()


def check_result(program: Program, values: Sequence[Any], outs: Sequence[Any]) -> None:
    """Raises FloatingPointError that names the equation to blame if one of the outputs holds a nan."""
    if getattr(_state, "searching", False):
        return  # A Program inside the one that is searched: its nan may yet be masked out.
    bad = [n for n, o in enumerate(outs) if has_nan(o)]
    if not bad:
        return
    _state.searching = True
    try:
        reason = explain(program, values)
    finally:
        _state.searching = False
    raise FloatingPointError(f"{_shown(program, bad)} {reason}")


def _shown(program: Program, bad: Sequence[int]) -> str:
    if len(program.outputs) == 1:
        return f"the result of {program.name} holds nan (debug_nans is on)."
    return f"result {', '.join(map(str, bad))} of {program.name} holds nan (debug_nans is on)."


@dataclass(slots=True)
class _Blame:
    """An equation that makes a nan of none, with its inputs as they were."""

    equation: Equation
    inputs: list[Any]


def explain(program: Program, values: Sequence[Any]) -> str:
    """A sentence that says which equation made the nan in the result for these inputs, or that none did."""
    given = [n for n, v in enumerate(values) if has_nan(v)]
    with np.errstate(all="ignore"):
        blame, known = _search(program, values)
    if blame is not None:
        eq = blame.equation
        ranges = "; ".join(f"argument {n} {_range(v)}" for n, v in enumerate(blame.inputs))
        return (
            f"Operation '{eq.primitive.name}' made it of arguments without nan ({ranges}) at {source_text(eq.source)}."
        )
    if not known:
        return (
            "The same program run by NumPy gives none: the compiled code differs; please report it, with the program "
            "as funcgrad.stages prints it."
        )
    if given:
        return f"It was there before: input {', '.join(map(str, given))} of the program holds nan already."
    return "It was there before: a constant of the program holds nan already."


def _range(value: Any) -> str:
    """What an argument is like, in a few words."""
    array = np.asarray(value)
    if array.size == 0:
        return "is empty"
    if array.size == 1:
        return f"= {array.reshape(-1)[0]}"
    if array.dtype.kind == "c":
        return f"of shape {array.shape}"
    return f"of shape {array.shape} from {array.min()} to {array.max()}"


def _search(program: Program, values: Sequence[Any]) -> tuple[_Blame | None, bool]:
    """(the first equation to blame, whether NumPy's result has a nan at all)."""
    env: dict[Var, Any] = dict(program.constants)
    env.update(zip(program.inputs, values, strict=True))
    nans = {v for v, value in env.items() if has_nan(value)}

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Literal) else env[atom]

    for eq in program.equations:
        if not eq.outputs:
            continue  # An effect, which must not happen twice.
        result = eq.primitive.impl(*[read(a) for a in eq.inputs], **eq.params)
        for v, r in zip(eq.outputs, result if eq.primitive.multiple else (result,), strict=True):
            env[v] = r
            if has_nan(r):
                nans.add(v)
    wanted = {a for a in program.outputs if isinstance(a, Var) and a in nans}
    known = bool(wanted) or any(isinstance(a, Literal) and has_nan(a.value) for a in program.outputs)
    blamed: Equation | None = None
    for eq in reversed(program.equations):
        if wanted.isdisjoint(eq.outputs):
            continue
        sources = [a for a in eq.inputs if isinstance(a, Var) and a in nans]
        wanted.update(sources)
        if not sources and not any(isinstance(a, Literal) and has_nan(a.value) for a in eq.inputs):
            blamed = eq
    if blamed is None:
        return None, known
    inputs = [read(a) for a in blamed.inputs]
    kernel = blamed.primitive.kernel
    inner = kernel.program(blamed.params) if isinstance(kernel, Inline) else None
    deeper = _search(inner, inputs)[0] if inner is not None else None
    if isinstance(kernel, Loop):
        deeper = _search_steps(blamed.params, inputs)
    return deeper or _Blame(blamed, inputs), known


def _search_steps(params: dict[str, Any], values: Sequence[Any]) -> _Blame | None:
    """The equation to blame in the first step of a loop that makes a nan."""
    body, consts, carry, length = params["program"], params["consts"], params["carry"], params["length"]
    fixed, state, xs = values[:consts], list(values[consts : consts + carry]), values[consts + carry :]
    going = bool(xs[-1]) if length is None else True
    numbers = itertools.count() if length is None else range(length)
    for i in reversed(numbers) if isinstance(numbers, range) and params["reverse"] else numbers:
        if not going:
            return None
        given = [*fixed, *state, *([np.asarray(x)[i] for x in xs] if length is not None else [])]
        blame, known = _search(body, given)
        if blame is not None or known:
            return blame
        outs = run(body, *given)
        state, going = list(outs[:carry]), bool(outs[carry]) if length is None else True
    return None
