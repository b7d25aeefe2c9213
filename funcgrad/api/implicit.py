"""custom_root and custom_linear_solve: JAX's functions that solve equations and are differentiated implicitly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays, function_name
from funcgrad.core.array import wrap
from funcgrad.core.program import Program
from funcgrad.core.tracing import run, trace_program, type_of
from funcgrad.core.types import is_inexact
from funcgrad.ops.basics import convert
from funcgrad.transforms.implicit import linear_solve, linearized, root, transposed
from funcgrad.transforms.vjp import instantiate, vjp_flat

Fun = Callable[..., Any]


class _Equation:
    """The unknowns of an equation: their tree, and functions of trees as flat ones."""

    def __init__(self, what: str, value: Any, where: str):
        self.what = what
        leaves, self.tree = flatten_arrays(value, f"{what}: {where}")
        for path, leaf in zip([p for p, _ in tree.leaves_with_path(value)], leaves, strict=True):
            if not is_inexact(type_of(leaf).dtype):
                raise TypeError(
                    f"{what}: {where}{tree.keystr(path)} is {type_of(leaf)}; an equation is solved in floats. Convert it."
                )
        self.leaves = [convert(v, type_of(v).dtype) if type_of(v).weak else v for v in leaves]
        self.types = [type_of(v) for v in self.leaves]
        self.where = where

    def build(self, leaves: Sequence[Any]) -> Any:
        return tree.unflatten(self.tree, [wrap(v) for v in leaves])

    def flat(self, value: Any, who: str) -> list[Any]:
        """The leaves of what a function of the user returned, which must be of the unknowns' structure, shapes and dtypes."""
        leaves, found = flatten_arrays(value, f"{self.what}: output of {who}")
        if found != self.tree:
            raise TypeError(
                f"{self.what}: {who} must return the structure of {self.where}, {self.tree}; it returned {found}."
            )
        outs: list[Any] = []
        for (path, leaf), want in zip(tree.leaves_with_path(value), self.types, strict=True):
            have = type_of(leaves[len(outs)])
            if have.shape != want.shape or (have.dtype != want.dtype and not have.weak):
                raise TypeError(
                    f"{self.what}: {who} must return the types of {self.where}; {tree.keystr(path) or 'its output'} is {have} "
                    f"and should be {want}."
                )
            outs.append(
                convert(leaves[len(outs)], want.dtype) if (have.dtype, have.weak) != (want.dtype, False) else leaf
            )
        return outs

    def function(self, fun: Fun, who: str) -> Fun:
        """A function of trees of unknowns as one of leaves."""
        return lambda *leaves: self.flat(fun(self.build(leaves)), who)

    def trees(self, flat: Callable[..., Sequence[Any]]) -> Fun:
        """A function of leaves as one of trees."""
        return lambda value: self.build(flat(*self.flat(value, "the argument of the equation's function")))


class _Solver:
    """A user's solver, traced: `program`, what it closed over, and the structure of its auxiliary output."""

    def __init__(self, equation: _Equation, solve: Fun, has_aux: bool, who: str):
        self.equation, self.solve, self.has_aux, self.who = equation, solve, has_aux, who
        self.aux_tree: tree.PyTreeDef | None = None

    def __call__(self, function: Fun, right: Sequence[Any]) -> list[Any]:
        found = self.solve(function, self.equation.build(right))
        if not self.has_aux:
            return self.equation.flat(found, self.who)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise TypeError(
                f"{self.equation.what}: with has_aux=True {self.who} must return a pair (solution, aux); it returned "
                f"{type(found).__name__}."
            )
        aux, self.aux_tree = flatten_arrays(found[1], f"{self.equation.what}: aux of {self.who}")
        return [*self.equation.flat(found[0], self.who), *aux]

    def result(self, outs: Sequence[Any]) -> Any:
        count = len(self.equation.types)
        solution = self.equation.build(outs[:count])
        if self.aux_tree is None:
            return solution
        return solution, tree.unflatten(self.aux_tree, [wrap(o) for o in outs[count:]])


def custom_linear_solve(
    matvec: Fun, b: Any, solve: Fun, transpose_solve: Fun | None = None, symmetric: bool = False, has_aux: bool = False
) -> Any:
    """`solve(matvec, b)`, differentiated as the solution x of `matvec(x) == b`.

    Args:
        matvec: a linear function, from and to the structure of b; derivatives by what it closes over are taken.
        b: a pytree of float arrays.
        solve: of (matvec, b), gives x; need not be differentiable.
        transpose_solve: of (the transpose of matvec, y); reverse mode needs it, or `symmetric`.
        symmetric: whether matvec is its own transpose, so that `solve` serves for both.
        has_aux: whether the solvers return (x, aux); aux (a pytree of arrays) has no derivative.

    Returns x, or (x, aux). Works in both modes, under every transform. Raises TypeError for results of another structure or type
    than b, MissingRuleError for reverse mode without transpose_solve.
    """
    what = f"custom_linear_solve of {function_name(matvec)}"
    equation = _Equation(what, b, "b")
    function, fixed = trace_program(equation.function(matvec, "matvec"), equation.types, function_name(matvec))
    solver = _Solver(equation, solve, has_aux, "solve")
    own = equation.trees(lambda *x: run(function, *fixed, *x))
    program, own_fixed = trace_program(lambda *y: solver(own, y), equation.types, function_name(solve))
    back: Program | None = None
    back_fixed: list[Any] = []
    if symmetric:
        transpose_solve = solve
    if transpose_solve is not None:
        turned = function if symmetric else transposed(function, len(fixed))
        other = _Solver(equation, transpose_solve, has_aux, "transpose_solve")
        other_own = equation.trees(lambda *y: run(turned, *fixed, *y))
        back, back_fixed = trace_program(lambda *y: other(other_own, y), equation.types, function_name(transpose_solve))
    outs = linear_solve(
        *fixed, *own_fixed, *back_fixed, *equation.leaves, matvec=function, solve=program, back=back,
        counts=(len(fixed), len(own_fixed), len(back_fixed)), name=function_name(matvec),
    )  # fmt: skip
    return solver.result(outs)


def custom_root(f: Fun, initial_guess: Any, solve: Fun, tangent_solve: Fun, has_aux: bool = False) -> Any:
    """`solve(f, initial_guess)`, differentiated as the solution x of `f(x) == 0` by what f closes over.

    Args:
        f: a function from and to the structure of initial_guess.
        initial_guess: a pytree of float arrays; the solution has no derivative by it.
        solve: of (f, initial_guess), gives the root; need not be differentiable.
        tangent_solve: of (g, y), gives the x with g(x) == y, where g is f linearized at the root, or (in reverse mode) the
            transpose of that. For numbers `lambda g, y: y / g(1.0)`, for small vectors
            `lambda g, y: numpy.linalg.solve(jacobian(g)(y), y)`. One that does not call g is transposed as it is written.
        has_aux: whether `solve` returns (root, aux); aux has no derivative.

    Returns the root, or (root, aux). Works in both modes, under every transform, to all orders. Raises TypeError for results
    of another structure or type than initial_guess.
    """
    what = f"custom_root of {function_name(f)}"
    equation = _Equation(what, initial_guess, "initial_guess")
    count = len(equation.types)
    function, fixed = trace_program(equation.function(f, "f"), equation.types, function_name(f))
    solver = _Solver(equation, solve, has_aux, "solve")
    own = equation.trees(lambda *x: run(function, *fixed, *x))
    program, own_fixed = trace_program(lambda *x: solver(own, x), equation.types, function_name(solve))
    derivative = linearized(function, len(fixed))
    asked: list[bool] = []

    def tangent(turned: Program, *values: Any) -> list[Any]:
        def at_root(*y: Any) -> list[Any]:
            asked.append(True)
            return run(turned, *fixed, *values[:count], *y)

        return equation.flat(tangent_solve(equation.trees(at_root), equation.build(values[count:])), "tangent_solve")

    both = [*equation.types, *equation.types]
    name = function_name(tangent_solve)
    forward, forward_fixed = trace_program(lambda *values: tangent(derivative, *values), both, name)
    if asked:
        turned = transposed(derivative, len(fixed) + count)
        back, back_fixed = trace_program(lambda *values: tangent(turned, *values), both, name)
    else:
        back, back_fixed = _transposed_as_written(forward, forward_fixed, count), forward_fixed
    outs = root(
        *fixed, *own_fixed, *forward_fixed, *back_fixed, *equation.leaves, fun=function, solve=program, tangent=forward,
        back=back, counts=(len(fixed), len(own_fixed), len(forward_fixed), len(back_fixed)), name=function_name(f),
    )  # fmt: skip
    return solver.result(outs)


def _transposed_as_written(forward: Program, fixed: Sequence[Any], count: int) -> Program:
    """(closed over, root, y) -> x of a tangent solver that is a linear function of y by itself."""

    def back(*values: Any) -> list[Any]:
        held, y = values[:-count], values[-count:]
        # It is linear, so any point will do; zero is no good for one that divides by the size of y.
        _, pull = vjp_flat(lambda *right: run(forward, *held, *right), y, forward.name)
        return instantiate(pull(y), y)

    return trace_program(back, forward.in_types, f"transpose of {forward.name}")[0]
