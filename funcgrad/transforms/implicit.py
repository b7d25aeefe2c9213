"""The primitives `linear_solve` and `root`: solutions of equations, differentiated through the equations and not the solvers.

A linear_solve's derivative is a linear_solve with another right side, or of the transposed equation; a root's is a
linear_solve of the equation linearized at the root. Each is made of these primitives again, so every order works. Values that
only the solvers use have no derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from funcgrad.core.lowering import Inline
from funcgrad.core.primitive import LinearMap
from funcgrad.core.program import Program
from funcgrad.core.tracing import run, trace_program
from funcgrad.core.types import ArrayType, array_type
from funcgrad.errors import MissingRuleError
from funcgrad.ops.families import general, zeros_like
from funcgrad.transforms.call import run_program
from funcgrad.transforms.jvp import jvp_flat
from funcgrad.transforms.vjp import instantiate, vjp_flat
from funcgrad.transforms.vmap import stack_copies, vmap_all

Values = Sequence[Any]
Params = dict[str, Any]


def _parts(values: Values, counts: Sequence[int]) -> list[list[Any]]:
    """The values in groups of the given sizes, and the rest."""
    groups, at = [], 0
    for n in counts:
        groups.append(list(values[at : at + n]))
        at += n
    return [*groups, list(values[at:])]


def transposed(matvec: Program, consts: int) -> Program:
    """(constants, y) -> x of the transposed map, for a Program (constants, x) -> y that is linear in x."""
    if "transposed" not in matvec.cache:
        types = [*matvec.in_types[:consts], *matvec.out_types]

        def back(*values: Any) -> list[Any]:
            origin = [np.zeros(t.shape, t.dtype) for t in matvec.in_types[consts:]]
            _, pull = vjp_flat(lambda *x: run(matvec, *values[:consts], *x), origin, matvec.name)
            return instantiate(pull(values[consts:]), origin)

        matvec.cache["transposed"] = trace_program(back, types, f"transpose of {matvec.name}")[0]
    return matvec.cache["transposed"]


def linearized(fun: Program, consts: int) -> Program:
    """(constants, x, dx) -> dy of a Program (constants, x) -> y."""
    if "linearized" not in fun.cache:
        moving = fun.in_types[consts:]

        def push(*values: Any) -> list[Any]:
            fixed, x, dx = _parts(values, [consts, len(moving)])
            return jvp_flat(lambda *point: run(fun, *fixed, *point), x, dx, fun.name)[1]

        fun.cache["linearized"] = trace_program(push, [*fun.in_types, *moving], f"derivative of {fun.name}")[0]
    return fun.cache["linearized"]


def _lifted(program: Program, size: int, batched: Sequence[bool]) -> Program:
    """The Program on batches, every output batched."""
    key = ("batch of a solver", size, tuple(batched))
    if key not in program.cache:
        types = [
            array_type((size, *t.shape), t.dtype) if b else t for t, b in zip(program.in_types, batched, strict=True)
        ]
        whole = lambda *values: vmap_all(partial(run, program), size, batched, values, program.name)  # noqa: E731
        program.cache[key] = trace_program(whole, types, program.name)[0]
    return program.cache[key]


def _by_constants(fun: Program, fixed: Values, x: Values, moved: Values) -> list[Any]:
    """The output tangents of (constants, x) -> y when only the constants move."""
    given = [zeros_like(f) if m is None else m for f, m in zip(fixed, moved, strict=True)]
    return jvp_flat(lambda *c: run(fun, *c, *x), fixed, given, fun.name)[1]


def _pull_constants(fun: Program, fixed: Values, x: Values, cts: Values) -> list[Any]:
    """The cotangents of the constants of (constants, x) -> y."""
    _, pull = vjp_flat(lambda *c: run(fun, *c, *x), fixed, fun.name)
    return [None if c is None else -c for c in pull(cts)]


# ---- linear_solve ----


def _solve_program(params: Params) -> Program:
    """The solver as a Program of all values."""
    solve: Program = params["solve"]
    matvec, solver, other = params["counts"]
    key = ("of all values", params["matvec"], params["back"], params["counts"])
    if key not in solve.cache:
        unused = [] if params["back"] is None else list(params["back"].in_types[:other])
        types = [*params["matvec"].in_types[:matvec], *solve.in_types[:solver], *unused, *solve.in_types[solver:]]

        def whole(*values: Any) -> list[Any]:
            _, own, _, b = _parts(values, params["counts"])
            return run(solve, *own, *b)

        solve.cache[key] = trace_program(whole, types, params["name"])[0]
    return solve.cache[key]


def _solve_impl(*values: Any, solve: Program, counts: tuple[int, ...], **params: Any) -> list[Any]:
    _, own, _, b = _parts(values, counts)
    return run_program(solve, (*own, *b))


def _solve_types(*types: ArrayType, solve: Program, **params: Any) -> tuple[ArrayType, ...]:
    return tuple([array_type(t.shape, t.dtype) for t in solve.out_types])


def _solve_linearize(mode: str, own: Sequence[bool], values: Values, params: Params) -> tuple[list[Any], LinearMap]:
    matvec: Program = params["matvec"]
    fixed, solver, other, b = _parts(values, params["counts"])
    outs = list(linear_solve(*values, **params))
    x = outs[: len(b)]
    rest = len(outs) - len(b)
    n, m, k = params["counts"]

    def push(tangents: list[Any]) -> list[Any]:
        moved, _, _, right = _parts(tangents, params["counts"])
        sides = [zeros_like(v) if t is None else t for t, v in zip(right, b, strict=True)]
        if any(t is not None for t in moved):
            sides = [s - d for s, d in zip(sides, _by_constants(matvec, fixed, x, moved), strict=True)]
        return [*linear_solve(*fixed, *solver, *other, *sides, **params)[: len(b)], *[None] * rest]

    def pull(cts: list[Any]) -> list[Any]:
        if params["back"] is None:
            raise MissingRuleError(
                f"custom_linear_solve ({params['name']}): reverse mode needs transpose_solve, or symmetric=True if matvec is its "
                "own transpose."
            )
        turned = {"matvec": transposed(matvec, n), "solve": params["back"], "back": params["solve"]}
        given = instantiate(cts[: len(b)], x)
        found = linear_solve(*fixed, *other, *solver, *given, **{**params, **turned, "counts": (n, k, m)})[: len(b)]
        return [*_pull_constants(matvec, fixed, x, found), *[None] * (m + k), *found]

    return outs, LinearMap(push, None) if mode == "forward" else LinearMap(None, pull)


def _solve_batch(size: int, batched: Sequence[bool], args: Values, params: Params) -> Any:
    fixed, solver, other, b = _parts(batched, params["counts"])
    start = len(args) - len(b)
    lifted = [stack_copies(a, size) if i >= start and not batched[i] else a for i, a in enumerate(args)]
    every = [True] * len(b)
    back = params["back"]
    programs = {
        "matvec": _lifted(params["matvec"], size, [*fixed, *every]),
        "solve": _lifted(params["solve"], size, [*solver, *every]),
        "back": None if back is None else _lifted(back, size, [*other, *every]),
    }
    return list(linear_solve(*lifted, **{**params, **programs})), True


linear_solve = general(
    "linear_solve",
    _solve_impl,
    _solve_types,
    batch=_solve_batch,
    linearize=_solve_linearize,
    multiple=True,
    kernel=Inline(_solve_program),
)

# ---- root ----


def _root_program(params: Params) -> Program:
    """The solver as a Program of all values."""
    solve: Program = params["solve"]
    if "root of all values" not in solve.cache:
        fixed, solver, tangent, other = params["counts"]
        types = [
            *params["fun"].in_types[:fixed],
            *solve.in_types[:solver],
            *params["tangent"].in_types[:tangent],
            *params["back"].in_types[:other],
            *solve.in_types[solver:],
        ]

        def whole(*values: Any) -> list[Any]:
            _, own, _, _, guess = _parts(values, params["counts"])
            return run(solve, *own, *guess)

        solve.cache["root of all values"] = trace_program(whole, types, params["name"])[0]
    return solve.cache["root of all values"]


def _root_impl(*values: Any, solve: Program, counts: tuple[int, ...], **params: Any) -> list[Any]:
    _, own, _, _, guess = _parts(values, counts)
    return run_program(solve, (*own, *guess))


def _root_linearize(mode: str, own: Sequence[bool], values: Values, params: Params) -> tuple[list[Any], LinearMap]:
    fun: Program = params["fun"]
    fixed, _, tangent, other, guess = _parts(values, params["counts"])
    outs = list(root(*values, **params))
    x, rest = outs[: len(guess)], len(outs) - len(guess)
    matvec = linearized(fun, len(fixed))
    solvers = {"solve": params["tangent"], "back": params["back"]}

    def push(tangents: list[Any]) -> list[Any]:
        moved = tangents[: len(fixed)]
        if all(t is None for t in moved):
            return [None] * len(outs)
        sides = [-d for d in _by_constants(fun, fixed, x, moved)]
        counts = (len(fixed) + len(x), len(tangent) + len(x), len(other) + len(x))
        found = linear_solve(*fixed, *x, *tangent, *x, *other, *x, *sides, matvec=matvec, counts=counts,
                             name=params["name"], **solvers)  # fmt: skip
        return [*found[: len(x)], *[None] * rest]

    def pull(cts: list[Any]) -> list[Any]:
        turned = {"solve": params["back"], "back": params["tangent"]}
        counts = (len(fixed) + len(x), len(other) + len(x), len(tangent) + len(x))
        given = instantiate(cts[: len(x)], x)
        found = linear_solve(*fixed, *x, *other, *x, *tangent, *x, *given, counts=counts, name=params["name"],
                             matvec=transposed(matvec, len(fixed) + len(x)), **turned)  # fmt: skip
        back = _pull_constants(fun, fixed, x, found)
        return [*back, *[None] * (len(values) - len(fixed))]

    return outs, LinearMap(push, None) if mode == "forward" else LinearMap(None, pull)


def _root_batch(size: int, batched: Sequence[bool], args: Values, params: Params) -> Any:
    fixed, solver, tangent, other, guess = _parts(batched, params["counts"])
    start = len(args) - len(guess)
    lifted = [stack_copies(a, size) if i >= start and not batched[i] else a for i, a in enumerate(args)]
    every = [True] * len(guess)
    programs = {
        "fun": _lifted(params["fun"], size, [*fixed, *every]),
        "solve": _lifted(params["solve"], size, [*solver, *every]),
        "tangent": _lifted(params["tangent"], size, [*tangent, *every, *every]),
        "back": _lifted(params["back"], size, [*other, *every, *every]),
    }
    return list(root(*lifted, **{**params, **programs})), True


root = general(
    "root",
    _root_impl,
    _solve_types,
    batch=_root_batch,
    linearize=_root_linearize,
    multiple=True,
    kernel=Inline(_root_program),
)
