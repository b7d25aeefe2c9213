"""Control flow with JAX's names and signatures: scan, while_loop, fori_loop, cond, switch, map, associative_scan.

Each takes functions of pytrees, traces them once, and binds one equation. Errors show both types, with their paths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays, function_name
from funcgrad.core.array import wrap
from funcgrad.core.program import Program, Var
from funcgrad.core.tracing import Tracer, newest_trace, run, shape_of, trace_program, type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import convert
from funcgrad.transforms.conditional import cond as cond_op
from funcgrad.transforms.loop import CARRY, Counted
from funcgrad.transforms.scan import scan as scan_op
from funcgrad.transforms.while_loop import while_ as while_op

Fun = Callable[..., Any]
COUNTED = 1 << 16
"""Steps up to which the numbers of a fori_loop are an array that it goes over; above it they are counted in the carry."""


class _Traced:
    """A function of pytrees as a Program: closed-over tracers are its leading inputs."""

    def __init__(self, fun: Fun, in_trees: Sequence[tree.PyTreeDef], types: Sequence[ArrayType], name: str):
        out: list[tree.PyTreeDef] = []
        self.out_value: Any = None

        def flat(*leaves: Any) -> list[Any]:
            supply = list(leaves)
            args = []
            for t in in_trees:
                args.append(tree.unflatten(t, supply[: t.num_leaves]))
                supply = supply[t.num_leaves :]
            result = fun(*args)
            outs, out_tree = flatten_arrays(result, f"output of {name}")
            out[:] = [out_tree]
            self.paths = [tree.keystr(path) for path, _ in tree.leaves_with_path(result)]
            return outs

        self.program, self.captured = trace_program(flat, types, name)
        self.out_tree = out[0]


def _types_of(leaves: Sequence[Any]) -> list[ArrayType]:
    return [type_of(v) for v in leaves]


def _flat(value: Any, where: str) -> tuple[list[Any], tree.PyTreeDef]:
    return flatten_arrays(value, where)


def _wrapped(treedef: tree.PyTreeDef, leaves: Sequence[Any]) -> Any:
    return tree.unflatten(treedef, [wrap(v) for v in leaves])


def _loop(fun: Fun, name: str, carry: Any, rest_trees: Sequence[tree.PyTreeDef], rest_types: Sequence[ArrayType],
          pairs: bool) -> tuple[_Traced, list[Any], tree.PyTreeDef]:  # fmt: skip
    """A body traced at the types that its carry settles at, and the initial carry converted to them. Python numbers in the
    carry take the dtype that the body gives them; any other change of type is an error."""
    leaves, carry_tree = _flat(carry, f"{name}: carry")
    while True:
        types = _types_of(leaves)
        traced = _Traced(fun, [carry_tree, *rest_trees], [*types, *rest_types], function_name(fun))
        count = _check_carry(traced, carry_tree, types, name, pairs)
        outs = traced.program.out_types[:count]
        changed = False
        for i, (have, new) in enumerate(zip(types, outs, strict=True)):
            if have.weak and (not new.weak or new.dtype != have.dtype) and new.shape == have.shape:
                leaves[i], changed = convert(leaves[i], new.dtype), True
            elif have.weak != new.weak and have.dtype == new.dtype:
                continue
            elif (have.shape, have.dtype) != (new.shape, new.dtype):
                path = tree.keystr(tree.leaves_with_path(carry)[i][0])
                raise TypeError(
                    f"{name}: the body's carry must keep its type; {path or 'the carry'} went in as {have} and came out as "
                    f"{new}. "
                    "Convert one of them, for example with astype or broadcast_to."
                )
        if not changed:
            traced.program.cache[CARRY] = carry_tree
            return traced, leaves, carry_tree


def _check_carry(
    traced: _Traced, carry_tree: tree.PyTreeDef, types: Sequence[ArrayType], name: str, pairs: bool
) -> int:
    found = traced.out_tree
    if pairs:
        parts = found.children()
        if found.node_data() is None or found.node_data()[0] is not tuple or len(parts) != 2:  # type: ignore[index]
            raise TypeError(f"{name}: the body must return a pair (carry, y); it returned {found}.")
        found = parts[0]
    if found != carry_tree:
        raise TypeError(
            f"{name}: the body's carry must keep its structure; it went in as {carry_tree} and came out as {found}."
        )
    return len(types)


def scan(f: Fun, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: int | bool = 1,
         _split_transpose: bool = False) -> tuple[Any, Any]:  # fmt: skip
    """Applies `carry, y = f(carry, x)` to the slices of `xs` along axis 0, and stacks the ys (Haskell's mapAccumL).

    Args:
        f: of a carry and a slice; the carry keeps its structure, shapes and dtypes.
        init: the first carry, a pytree of arrays.
        xs: a pytree of arrays with one leading size, or None if `length` says how many steps there are.
        reverse: from the last slice to the first; ys are stacked in the order of xs all the same.
        unroll, _split_transpose: hints of JAX's compiler; accepted, and without meaning here.

    Returns (last carry, ys). Raises TypeError for a carry that changes, ValueError for sizes that differ.
    """
    x_leaves, x_tree = _flat(xs, "scan: xs")
    sizes = {shape_of(x)[0] if shape_of(x) else None for x in x_leaves}
    if None in sizes:
        raise ValueError("scan: every array of xs needs a leading axis to go along; a 0-d one has none.")
    if length is not None:
        sizes.add(int(length))
    if len(sizes) != 1:
        shapes = ", ".join(f"{tree.keystr(p) or 'xs'}: {shape_of(x)}" for p, x in tree.leaves_with_path(xs))
        raise ValueError(
            f"scan: xs and length must agree on the number of steps; got length={length} and {shapes or 'no xs'}."
        )
    (steps,) = sizes
    assert steps is not None
    if steps < 0:
        raise ValueError(f"scan: length must not be negative, got {steps}.")
    slices = [array_type(t.shape[1:], t.dtype) for t in _types_of(x_leaves)]
    traced, carry, carry_tree = _loop(f, "scan", init, [x_tree], slices, True)
    outs = scan_op(
        *traced.captured, *carry, *x_leaves, program=traced.program, consts=len(traced.captured), carry=len(carry),
        length=steps, reverse=bool(reverse), name=function_name(f),
    )  # fmt: skip
    y_tree = traced.out_tree.children()[1]
    return _wrapped(carry_tree, outs[: len(carry)]), _wrapped(y_tree, outs[len(carry) :])


def while_loop(cond_fun: Fun, body_fun: Fun, init_val: Any, max_steps: int | None = None) -> Any:
    """`while cond_fun(val): val = body_fun(val)`; the carry keeps its type.

    `max_steps` bounds the number of steps: reverse mode then needs memory for so many and no second run.
    """
    if max_steps is not None:
        return _bounded(cond_fun, body_fun, init_val, int(max_steps))
    body, carry, carry_tree = _loop(body_fun, "while_loop", init_val, [], [], False)
    cond = _Traced(cond_fun, [carry_tree], _types_of(carry), function_name(cond_fun))
    kinds = cond.program.out_types
    if len(kinds) != 1 or kinds[0].shape != () or kinds[0].dtype != np.bool_:
        raise TypeError(
            f"while_loop: cond_fun must return one boolean; it returned {', '.join([str(t) for t in kinds]) or 'nothing'}."
        )
    outs = while_op(
        *cond.captured, *body.captured, *carry, cond=cond.program, body=body.program, cond_consts=len(cond.captured),
        body_consts=len(body.captured), name=function_name(body_fun),
    )  # fmt: skip
    return _wrapped(carry_tree, outs)


def _bounded(cond_fun: Fun, body_fun: Fun, init_val: Any, max_steps: int) -> Any:
    def step(carry: Any, _: Any) -> tuple[Any, None]:
        return cond(cond_fun(carry), body_fun, lambda c: c, carry), None

    return scan(step, init_val, None, max_steps)[0]


def fori_loop(lower: Any, upper: Any, body_fun: Fun, init_val: Any, *, unroll: int | bool | None = None) -> Any:
    """`for i in range(lower, upper): val = body_fun(i, val)`. Bounds may be traced; known ones make a scan."""
    if type(lower) is not Tracer and type(upper) is not Tracer:
        first, count = int(lower), max(int(upper) - int(lower), 0)
        dtype = np.result_type(*[np.asarray(b).dtype for b in (lower, upper)])
        if count > COUNTED:
            count_up = lambda s, _: (Counted(s.number + 1, body_fun(*s)), None)  # noqa: E731
            return scan(count_up, Counted(dtype.type(first), init_val), None, count)[0].value

        def step(carry: Any, i: Any) -> tuple[Any, None]:
            return body_fun(i, carry), None

        return scan(step, init_val, np.arange(first, first + count, dtype=dtype), count)[0]

    def going(state: Any) -> Any:
        return state[0] < upper

    def advance(state: Any) -> Any:
        return Counted(state[0] + 1, body_fun(state[0], state[1]))

    return while_loop(going, advance, Counted(lower, init_val))[1]


def _branches(funs: Sequence[Fun], operands: Any, name: str) -> tuple[list[Program], list[Any], tree.PyTreeDef]:
    """The branches as Programs of (all that any of them closed over, operands), and their common output structure."""
    leaves, in_tree = _flat(operands, f"{name}: operand")
    types = _types_of(leaves)
    made = [_Traced(lambda args, f=f: f(*args), [in_tree], types, function_name(f)) for f in funs]
    first = made[0]
    for i, other in enumerate(made[1:], 1):
        if other.out_tree != first.out_tree:
            raise TypeError(
                f"{name}: the branches must return the same structure; branch 0 returned {first.out_tree}, "
                f"branch {i} {other.out_tree}."
            )
        for k, (a, b) in enumerate(zip(first.program.out_types, other.program.out_types, strict=True)):
            if a.shape != b.shape or (a.dtype != b.dtype and not (a.weak or b.weak)):
                raise TypeError(
                    f"{name}: the branches must return the same types; {first.paths[k] or 'the output'} is {a} of branch 0 "
                    f"and {b} of branch {i}."
                )
    captured: list[Any] = []
    for m in made:
        captured += [c for c in m.captured if not any(c is k for k in captured)]
    kinds = [np.result_type(*_strong(column)) for column in zip(*[m.program.out_types for m in made], strict=True)]
    programs = [_with_captures(m, captured, len(leaves), kinds) for m in made]
    return programs, [*captured, *leaves], first.out_tree


def _strong(types: Sequence[ArrayType]) -> list[np.dtype]:
    return [t.dtype for t in types if not t.weak] or [t.dtype for t in types]


def _with_captures(traced: _Traced, captured: Sequence[Any], count: int, kinds: Sequence[np.dtype]) -> Program:
    """A branch with an input for whatever any branch closed over, and outputs of the common dtypes."""
    program = traced.program
    known = {id(c): v for c, v in zip(traced.captured, program.inputs, strict=False)}
    leading = tuple(known.get(id(c)) or Var(type_of(c)) for c in captured)
    whole = Program(leading + program.inputs[len(program.inputs) - count :], program.equations, program.outputs,
                    program.constants, program.name)  # fmt: skip
    if all(t.dtype == k and not t.weak for t, k in zip(program.out_types, kinds, strict=True)):
        return whole
    from_types = whole.in_types
    return trace_program(
        lambda *values: [convert(o, k) for o, k in zip(_run(whole, values), kinds, strict=True)],
        from_types,
        program.name,
    )[0]


def _run(program: Program, values: Sequence[Any]) -> list[Any]:
    return run(program, *values)


def cond(pred: Any, true_fun: Fun, false_fun: Fun, *operands: Any, operand: Any = None) -> Any:
    """`true_fun(*operands) if pred else false_fun(*operands)`, both traced; un-traced `pred` runs one branch only.

    Raises TypeError for a predicate that is no scalar and for branches whose outputs differ in structure or type.
    """
    if not callable(true_fun) or not callable(false_fun):
        raise TypeError("cond needs functions for both branches: cond(pred, true_fun, false_fun, *operands).")
    given = (operand,) if operand is not None and not operands else operands
    if shape_of(pred) != ():
        raise TypeError(
            f"cond: the predicate must be a scalar, got {type_of(pred)}; use numpy.where to choose by element."
        )
    index = (pred != 0) * 1 if type(pred) is Tracer else int(bool(pred))
    return _apply_branches(index, [false_fun, true_fun], given, "cond")


def switch(index: Any, branches: Sequence[Fun], *operands: Any, operand: Any = None) -> Any:
    """`branches[index](*operands)`, the index clamped into range. Raises as `cond`, and ValueError for no branches."""
    if not branches:
        raise ValueError("switch needs at least one branch.")
    given = (operand,) if operand is not None and not operands else operands
    if shape_of(index) != () or np.dtype(type_of(index).dtype).kind not in "iu":
        raise TypeError(f"switch: the index must be a scalar integer, got {type_of(index)}.")
    if len(branches) == 1:
        return branches[0](*given)
    return _apply_branches(index, list(branches), given, "switch")


def _apply_branches(index: Any, funs: Sequence[Fun], operands: Any, name: str) -> Any:
    programs, values, out_tree = _branches(funs, operands, name)
    if newest_trace([index, *values]) is None:
        index = min(max(int(index), 0), len(programs) - 1)
    outs = cond_op(index, *values, programs=tuple(programs), name=name)
    return _wrapped(out_tree, outs)


def map(f: Fun, xs: Any, *, batch_size: int | None = None) -> Any:
    """`f` applied to each slice of `xs` along axis 0, one after the other, results stacked: a scan without a carry."""
    return scan(lambda _, x: (None, f(x)), None, xs)[1]
