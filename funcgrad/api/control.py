"""Control flow with JAX's names and signatures: scan, while_loop, fori_loop, cond, switch, map, associative_scan.

Each takes functions of pytrees, traces them once, and binds one equation. Errors show both types, with their paths.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api import control_errors as errors
from funcgrad.api.arguments import flatten_arrays, function_name
from funcgrad.api.batching import vmap
from funcgrad.api.budget import Budget, Segments, parse_checkpoint
from funcgrad.api.control_errors import within
from funcgrad.core.array import wrap
from funcgrad.core.program import Program, Var
from funcgrad.core.tracing import Tracer, newest_trace, run, shape_of, trace_program, type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import convert, reshape
from funcgrad.ops.shape import concatenate, slice_axis
from funcgrad.transforms.budget_scan import budget_scan, segmented
from funcgrad.transforms.conditional import cond as cond_op
from funcgrad.transforms.loop import CARRY
from funcgrad.transforms.scan import scan as scan_op
from funcgrad.transforms.while_loop import while_ as while_op

Fun = Callable[..., Any]
COUNTED = 1 << 16
"""Steps up to which the numbers of a fori_loop are an array that it goes over; above it they are counted in the carry."""
NOTHING: Any = type("Nothing", (), {"__repr__": lambda self: "<nothing>"})()
"""The default of `operand`, which may be None."""


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
          pairs: bool, inner: str = "") -> tuple[_Traced, list[Any], tree.PyTreeDef]:  # fmt: skip
    """A body traced at the types that its carry settles at, and the initial carry converted to them. Python numbers in the
    carry take the dtype that the body gives them; any other change of type is an error.

    `inner`: the path, inside of the carry, of what the user's function has as its carry; errors are about that.
    """
    leaves, carry_tree = _flat(carry, f"{name}: carry")
    while True:
        types = _types_of(leaves)
        traced = _Traced(fun, [carry_tree, *rest_trees], [*types, *rest_types], function_name(fun))
        _check_structure(traced, carry, carry_tree, types, name, pairs, inner)
        outs = traced.program.out_types[: len(types)]
        changed = False
        for i, (have, new) in enumerate(zip(types, outs, strict=True)):
            if have.weak and (not new.weak or new.dtype != have.dtype) and new.shape == have.shape:
                leaves[i], changed = convert(leaves[i], new.dtype), True
            elif _differ(have, new):
                first, second = [within(errors.typed_leaves(carry, kinds), inner) for kinds in (types, outs)]
                raise errors.carry_type_error(name, first, second, _differ)
        if not changed:
            traced.program.cache[CARRY] = carry_tree, bool(inner)
            return traced, leaves, carry_tree


def _differ(a: ArrayType, b: ArrayType) -> bool:
    return (a.shape, a.dtype) != (b.shape, b.dtype)


def _check_structure(
    traced: _Traced,
    carry: Any,
    carry_tree: tree.PyTreeDef,
    types: Sequence[ArrayType],
    name: str,
    pairs: bool,
    inner: str,
) -> None:
    """Raises TypeError unless the body gave a carry of the structure that it took."""
    found, want = traced.out_tree, carry_tree
    outs: errors.Leaves = list(zip(traced.paths, traced.program.out_types, strict=True))
    if pairs:
        parts = found.children()
        if found.node_data() is None or found.node_data()[0] is not tuple or len(parts) != 2:  # type: ignore[index]
            raise TypeError(f"{name}: the body must return a pair (carry, y); it returned {found}.")
        found, outs = parts[0], within(outs, "[0]")
    if found == want:
        return
    if inner:
        found, want = found.children()[1], want.children()[1]
    raise errors.carry_structure_error(
        name, want, found, within(errors.typed_leaves(carry, types), inner), within(outs, inner)
    )


def scan(f: Fun, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: int | bool = 1,
         _split_transpose: bool = False, *, checkpoint: int | str | None = None) -> tuple[Any, Any]:  # fmt: skip
    """Applies `carry, y = f(carry, x)` to the slices of `xs` along axis 0, and stacks the ys (Haskell's mapAccumL).

    Args:
        f: of a carry and a slice; the carry keeps its structure, shapes and dtypes.
        init: the first carry, a pytree of arrays.
        xs: a pytree of arrays with one leading size, or None if `length` says how many steps there are.
        reverse: from the last slice to the first; ys are stacked in the order of xs all the same.
        unroll, _split_transpose: hints of JAX's compiler; accepted, and without meaning here.
        checkpoint: what reverse mode may keep. None: what every step saves. A whole number k: k segments; the carry before each
            is kept, and one segment's steps are saved at a time, after running them a second time. "sqrt": as many segments as
            there are steps in one, the least memory that running everything once more can do with. A size such as "64MB" (B, KB,
            MB, GB, KiB, MiB, GiB): at most so many bytes are kept, by the schedule that runs the fewest steps again (binomial
            checkpointing);
            xs, ys, their cotangents and the memory of single steps come on top, and `vmap` outside of the derivative keeps so
            much for each example. Values and derivatives of all orders are the same in every case.

    Ctrl-C in a compiled loop is honoured within a second; the KeyboardInterrupt then has `carry`, the last completed one (a list
    of its arrays where a transform made the loop), and `step`, how many steps were done. So it is for `while_loop` and
    `fori_loop`.

    Returns (last carry, ys). Raises TypeError for a carry that changes or a `checkpoint` of another kind, ValueError for sizes
    that differ or a budget that is too small for one step.
    """
    errors.check_function(f, "scan", "f", ("carry", "x"))
    return _scan(f, init, xs, length, bool(reverse), parse_checkpoint(checkpoint, "scan"), "scan")


def _scan(f: Fun, init: Any, xs: Any, length: int | None, reverse: bool, rule: Segments | Budget | None, what: str,
          inner: str = "") -> Any:  # fmt: skip
    """The scan of whichever function was called (`what`); `inner` as in `_loop`."""
    x_leaves, x_tree = _flat(xs, f"{what}: xs")
    sizes = {shape_of(x)[0] if shape_of(x) else None for x in x_leaves}
    if None in sizes:
        raise ValueError(f"{what}: every array of xs needs a leading axis to go along; a 0-d one has none.")
    if length is not None:
        sizes.add(int(length))
    if len(sizes) != 1:
        raise errors.length_error(what, length, xs)
    (steps,) = sizes
    assert steps is not None
    if steps < 0:
        raise ValueError(f"{what}: length must not be negative, got {steps}.")
    slices = [array_type(t.shape[1:], t.dtype) for t in _types_of(x_leaves)]
    traced, carry, carry_tree = _loop(f, what, init, [x_tree], slices, True, inner)
    outs = _bind_scan(
        [*traced.captured, *carry, *x_leaves], rule, program=traced.program, consts=len(traced.captured), carry=len(carry),
        length=steps, reverse=reverse, name=function_name(f),
    )  # fmt: skip
    y_tree = traced.out_tree.children()[1]
    return _wrapped(carry_tree, outs[: len(carry)]), _wrapped(y_tree, outs[len(carry) :])


def _bind_scan(values: list[Any], rule: Segments | Budget | None, **params: Any) -> Sequence[Any]:
    if rule is None or not params["length"]:
        return scan_op(*values, **params)
    if isinstance(rule, Budget):
        return budget_scan(*values, budget=rule.nbytes, **params)
    return segmented(values, rule.of(params["length"]), **params)


def while_loop(cond_fun: Fun, body_fun: Fun, init_val: Any, max_steps: int | None = None) -> Any:
    """`while cond_fun(val): val = body_fun(val)`; the carry keeps its type.

    `max_steps` bounds the number of steps: reverse mode then needs memory for so many and no second run.
    """
    errors.check_function(cond_fun, "while_loop", "cond_fun", ("val",))
    errors.check_function(body_fun, "while_loop", "body_fun", ("val",))
    if max_steps is not None:
        return _bounded(cond_fun, body_fun, init_val, operator.index(max_steps))
    return _while(cond_fun, body_fun, init_val, "while_loop")


def _while(cond_fun: Fun, body_fun: Fun, init_val: Any, what: str, inner: str = "") -> Any:
    body, carry, carry_tree = _loop(body_fun, what, init_val, [], [], False, inner)
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

    if max_steps < 0:
        raise ValueError(f"while_loop: max_steps must not be negative, got {max_steps}.")
    return _scan(step, init_val, None, max_steps, False, None, "while_loop")[0]


def fori_loop(lower: Any, upper: Any, body_fun: Fun, init_val: Any, *, unroll: int | bool | None = None,
              checkpoint: int | str | None = None) -> Any:  # fmt: skip
    """`for i in range(lower, upper): val = body_fun(i, val)`. Bounds may be traced; known ones make a scan.

    `checkpoint` is that of `scan`, for known bounds; traced ones raise ValueError with it. With `upper <= lower` nothing runs.
    """
    errors.check_function(body_fun, "fori_loop", "body_fun", ("i", "val"))
    errors.check_scalar_integer(lower, "fori_loop", "lower")
    errors.check_scalar_integer(upper, "fori_loop", "upper")
    rule = parse_checkpoint(checkpoint, "fori_loop")
    if type(lower) is not Tracer and type(upper) is not Tracer:
        first, count = int(lower), max(int(upper) - int(lower), 0)
        dtype = np.result_type(*[np.asarray(b).dtype for b in (lower, upper)])
        if count > COUNTED:
            count_up = lambda s, _: ((s[0] + 1, body_fun(s[0], s[1])), None)  # noqa: E731
            start = (dtype.type(first), init_val)
            return _scan(count_up, start, None, count, False, rule, "fori_loop", "[1]")[0][1]

        def step(carry: Any, i: Any) -> tuple[Any, None]:
            return body_fun(i, carry), None

        numbers = np.arange(first, first + count, dtype=dtype)
        return _scan(step, init_val, numbers, count, False, rule, "fori_loop")[0]
    if rule is not None:
        raise ValueError(
            "fori_loop: checkpoint plans its memory for a known number of steps, and here a bound is traced; make lower and "
            "upper Python numbers (static arguments of jit), or wrap the body in funcgrad.checkpoint."
        )

    def going(state: Any) -> Any:
        return state[0] < upper

    def advance(state: Any) -> Any:
        return state[0] + 1, body_fun(state[0], state[1])

    return _while(going, advance, (lower, init_val), "fori_loop", "[1]")[1]


def _clash(a: ArrayType, b: ArrayType) -> bool:
    return a.shape != b.shape or (a.dtype != b.dtype and not (a.weak or b.weak))


def _branches(
    funs: Sequence[Fun], operands: Any, name: str, roles: Sequence[str]
) -> tuple[list[Program], list[Any], tree.PyTreeDef]:
    """The branches as Programs of (all that any of them closed over, operands), and their common output structure."""
    leaves, in_tree = _flat(operands, f"{name}: operand")
    types = _types_of(leaves)
    made = [_Traced(lambda args, f=f: f(*args), [in_tree], types, function_name(f)) for f in funs]
    first = made[0]
    for i, other in enumerate(made[1:], 1):
        ends = [list(zip(m.paths, m.program.out_types, strict=True)) for m in (first, other)]
        which = (roles[0], roles[i])
        if other.out_tree != first.out_tree:
            raise errors.branch_structure_error(name, which, (first.out_tree, other.out_tree), *ends)
        if any(_clash(a, b) for a, b in zip(first.program.out_types, other.program.out_types, strict=True)):
            raise errors.branch_type_error(name, which, ends[0], ends[1], _clash)
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


def cond(pred: Any, true_fun: Fun, false_fun: Fun, *operands: Any, operand: Any = NOTHING) -> Any:
    """`true_fun(*operands) if pred else false_fun(*operands)`, both traced; un-traced `pred` runs one branch only.

    Raises TypeError for a predicate that is no scalar and for branches whose outputs differ in structure or type.
    """
    given = (operand,) if operand is not NOTHING else operands
    for fun, role in ((true_fun, "true_fun"), (false_fun, "false_fun")):
        errors.check_function(fun, "cond", role, _operand_names(given))
    if shape_of(pred) != ():
        raise TypeError(
            f"cond: the predicate must be a scalar, got {type_of(pred)}; use numpy.where to choose by element."
        )
    index = (pred != 0) * 1 if type(pred) is Tracer else int(bool(pred))
    return _apply_branches(index, [false_fun, true_fun], given, "cond", ("false_fun", "true_fun"))


def _operand_names(operands: Sequence[Any]) -> tuple[str, ...]:
    return ("operand",) if len(operands) == 1 else tuple(f"operand{i}" for i in range(len(operands)))


def switch(index: Any, branches: Sequence[Fun], *operands: Any, operand: Any = NOTHING) -> Any:
    """`branches[index](*operands)`, the index clamped into range. Raises as `cond`, and ValueError for no branches."""
    if not branches:
        raise ValueError("switch needs at least one branch.")
    given = (operand,) if operand is not NOTHING else operands
    if shape_of(index) != () or np.dtype(type_of(index).dtype).kind not in "iu":
        raise TypeError(f"switch: the index must be a scalar integer, got {type_of(index)}.")
    roles = [f"branch {i}" for i in range(len(branches))]
    for fun, role in zip(branches, roles, strict=True):
        errors.check_function(fun, "switch", role, _operand_names(given))
    if len(branches) == 1:
        return branches[0](*given)
    return _apply_branches(index, list(branches), given, "switch", roles)


def _apply_branches(index: Any, funs: Sequence[Fun], operands: Any, name: str, roles: Sequence[str]) -> Any:
    programs, values, out_tree = _branches(funs, operands, name, roles)
    if newest_trace([index, *values]) is None:
        index = min(max(int(index), 0), len(programs) - 1)
    outs = cond_op(index, *values, programs=tuple(programs), name=name)
    return _wrapped(out_tree, outs)


def map(f: Fun, xs: Any, *, batch_size: int | None = None) -> Any:
    """`f` applied to each slice of `xs` along axis 0, one after the other, results stacked: a scan without a carry.

    `batch_size`: so many slices at a time, batched by `vmap`; what is left over is one smaller batch.
    """
    errors.check_function(f, "map", "f", ("x",))
    if batch_size is None:
        return _scan(lambda _, x: (None, f(x)), None, xs, None, False, None, "map")[1]
    if operator.index(batch_size) < 1:
        raise ValueError(f"map: batch_size must be at least 1, got {batch_size}.")
    leaves, x_tree = _flat(xs, "map: xs")
    length = next((shape_of(x)[0] for x in leaves if shape_of(x)), 0)
    count, left = divmod(length, batch_size)
    if not count or any(shape_of(x)[:1] != (length,) for x in leaves):
        return vmap(f)(xs) if length else map(f, xs)
    cut = count * batch_size
    batches = [reshape(slice_axis(x, 0, cut, 0), shape=(count, batch_size, *shape_of(x)[1:])) for x in leaves]
    step = lambda _, x: (None, vmap(f)(tree.unflatten(x_tree, x)))  # noqa: E731
    whole = _scan(step, None, batches, None, False, None, "map")[1]
    whole = tree.map(lambda y: wrap(reshape(y, shape=(cut, *shape_of(y)[2:]))), whole)
    if not left:
        return whole
    rest = vmap(f)(tree.unflatten(x_tree, [wrap(slice_axis(x, cut, length, 0)) for x in leaves]))
    return tree.map(lambda a, b: wrap(concatenate(a, b, axis=0)), whole, rest)
