"""Compiled programs inside numba: `Compiled.njit` and `Compiled.cfunc`. Loaded only when one of them is asked for.

The function for numba is a few lines of Python, printed for the number of arguments at hand: each argument is checked while numba
types the call (dtype, dimensions) and when it runs (shape), outputs are allocated, and an intrinsic hands the addresses to
`fg_apply` (compile/export.py), which needs no lock and shares nothing between calls.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core.errors import NumbaTypeError
from numba.extending import intrinsic, overload
from numba.np.numpy_support import from_dtype

from funcgrad import tree
from funcgrad.api.source_text import identifier
from funcgrad.api.traced import Traced
from funcgrad.compile import execute, export
from funcgrad.compile.export import CFunction, Export
from funcgrad.core.types import ArrayType

types: Any = numba.types
Fun = Callable[..., Any]
_EXPORT = "export"
_NJIT = "njit"
_ORDER = "biufc"
"""Kinds of numbers, each of which converts to those behind it."""


def exported(traced: Traced, what: str) -> Export:
    """A traced function for other compiled code, made once.

    Raises NotImplementedError if it cannot be called from there, TypeError if it closes over tracers.
    """
    if traced.captured:
        raise TypeError(
            f"{what} of {traced.name}: it closes over a value that is being traced; pass it as an argument."
        )
    cache = traced.program.cache
    if _EXPORT not in cache:
        compiled = execute.executable(traced.program)
        if compiled is None:
            raise NotImplementedError(f"{what} of {traced.name}: it could not be compiled on this machine.")
        cache[_EXPORT] = Export(compiled, traced.name)
    return cache[_EXPORT]


def c_function(traced: Traced, signature: str | None) -> CFunction:
    """What `Compiled.cfunc` gives."""
    return export.c_function(exported(traced, "cfunc"), signature)


def njit_function(traced: Traced) -> Any:
    """What `Compiled.njit` gives: the numba function of a program, made once."""
    cache = traced.program.cache
    if _NJIT not in cache:
        cache[_NJIT] = _function(exported(traced, "njit"), _labels(traced))
    return cache[_NJIT]


def _labels(traced: Traced) -> list[str]:
    """A name for each leaf of the arguments: x0, x1_w for x1["w"], a keyword argument's own."""
    whole = tree.unflatten(traced.in_tree, range(traced.in_tree.num_leaves))
    found = []
    for path, _ in tree.flatten_with_path(whole)[0]:
        group, first, *rest = [re.sub(r"\W+", "", str(part)) for part in path]
        found.append("_".join([f"x{first}" if group == "0" else first, *rest]))
    return found


def _function(made: Export, labels: Sequence[str]) -> Any:
    for kind in (*made.inputs, *made.outputs):
        _numba_dtype(kind, made.name)
    names = _distinct(labels)
    scope: dict[str, Any] = {"_empty": np.empty, "_run": _runner(made)}
    lines = []
    for n, kind in enumerate(made.inputs):
        scope[f"_take{n}"] = _reader(made.name, names[n], kind)
        lines.append(f"    {names[n]} = _take{n}({names[n]})")
    arrays = []
    for n, kind in enumerate(made.outputs):
        if kind.shape:
            scope[f"_dtype{n}"] = kind.dtype
            lines.append(f"    _out{n} = _empty({kind.shape!r}, _dtype{n})")
            arrays.append(f"_out{n}")
    lines.append(f"    _numbers = _run({_tuple(names)}, {_tuple(arrays)})")
    scalars = iter(range(len(made.outputs)))
    results = [f"_out{n}" if kind.shape else f"_numbers[{next(scalars)}]" for n, kind in enumerate(made.outputs)]
    lines.append(f"    return {results[0] if len(results) == 1 else _tuple(results)}")
    title = identifier(made.name)
    title = f"{title}_" if keyword.iskeyword(title) or title in names else title
    text = "\n".join([f"def {title}({', '.join(names)}):", *lines, ""])
    exec(compile(text, f"<funcgrad njit of {made.name}>", "exec"), scope)
    function = scope[title]
    function.__doc__ = f"{made.name}, compiled by funcgrad: {_listed(made.inputs)} -> {_listed(made.outputs)}."
    return numba.njit(nogil=True)(function)


def _tuple(items: Sequence[str]) -> str:
    return f"({', '.join(items)}{',' if len(items) == 1 else ''})"


def _listed(kinds: Sequence[ArrayType]) -> str:
    return f"({', '.join(map(str, kinds))})"


def _distinct(labels: Sequence[str]) -> list[str]:
    """The labels as names of arguments, all different, none of which the text itself uses."""
    names: list[str] = []
    for label in labels:
        name = identifier(label).lstrip("_") or "argument"
        name = f"{name}_" if keyword.iskeyword(name) else name
        number, plain = 1, name
        while name in names:
            name, number = f"{plain}_{number}", number + 1
        names.append(name)
    return names


def _numba_dtype(kind: ArrayType, name: str) -> Any:
    try:
        if kind.dtype != np.float16:
            return from_dtype(kind.dtype)
    except NotImplementedError:
        pass
    raise NotImplementedError(
        f"njit of {name}: numba has no arrays of {kind.dtype}; convert to a dtype that it has inside the jitted function."
    )


# ---- arguments ----


def _reader(name: str, argument: str, kind: ArrayType) -> Fun:
    """A function for compiled code that checks one argument and gives it as `_runner` takes it."""
    where, dtype = f"{name}: argument {argument!r}", _numba_dtype(kind, name)
    shape, ndim = kind.shape, len(kind.shape)
    wanted = f"{where} must be an array of shape {shape}"

    def take(x: Any) -> Any:
        """Compiled code only."""

    def typed(x: Any) -> Fun:
        if isinstance(x, types.Array):
            if x.dtype != dtype or x.ndim != ndim:
                raise NumbaTypeError(
                    f"{where} must be {'an array' if ndim else 'a number'} of type {kind}, got an array of {x.dtype} with "
                    f"{x.ndim} dimensions; convert it with .astype, or compile for its type."
                )
            return _array(x.layout == "C" and x.aligned, shape, wanted)
        if ndim == 0 and _converts(x, kind.dtype):
            return lambda x: dtype(x)
        raise NumbaTypeError(f"{where} must be {'an array' if ndim else 'a number'} of type {kind}, got {x}.")

    overload(take, strict=False)(typed)
    return take


def _array(ready: bool, shape: tuple[int, ...], wanted: str) -> Fun:
    """Checks an array's shape; copies it unless it lies in C order."""
    if not shape:
        return lambda x: x[()]
    if ready:

        def as_it_is(x: Any) -> Any:
            if x.shape != shape:
                raise ValueError(wanted)
            return x

        return as_it_is

    def copied(x: Any) -> Any:
        if x.shape != shape:
            raise ValueError(wanted)
        return np.ascontiguousarray(x)

    return copied


def _converts(x: Any, dtype: np.dtype) -> bool:
    """Whether a scalar of numba's type x may stand for a number of this dtype: by its kind alone, as a Python number."""
    if isinstance(x, types.Literal):
        x = types.unliteral(x)
    if not isinstance(x, types.Number | types.Boolean):
        return False
    have = "b" if isinstance(x, types.Boolean) else np.dtype(str(x)).kind
    return _ORDER.index(have) <= _ORDER.index(dtype.kind) or {have, dtype.kind} == {"i", "u"}


# ---- the call ----


def _runner(made: Export) -> Any:
    """An intrinsic `run(inputs, output arrays)` that gives the outputs that are numbers, as a tuple."""
    apply = export.apply_address()
    results = [from_dtype(k.dtype) for k in made.outputs if not k.shape]

    @intrinsic
    def run(typing: Any, inputs: Any, outputs: Any) -> Any:
        signature = types.Tuple(results)(inputs, outputs)

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return _call(context, builder, made, apply, list(zip(args, signature.args, strict=True)), results)

        return signature, generate

    return run


def _call(context: Any, builder: Any, made: Export, apply: int, groups: Sequence[Any], results: Sequence[Any]) -> Any:
    """LLVM that lists the addresses of inputs and outputs, calls `fg_apply`, and gives the numbers among the outputs."""
    (inputs, input_types), (outputs, output_types) = groups
    word = ir.IntType(64)
    addresses = []

    def array_address(value: Any, kind: Any) -> Any:
        return context.make_array(kind)(context, builder, value).data

    for n, kind in enumerate(input_types.types):
        value = builder.extract_value(inputs, n)
        if isinstance(kind, types.Array):
            addresses.append(array_address(value, kind))
        else:
            stored = context.data_model_manager[kind].as_data(builder, value)
            addresses.append(cgutils.alloca_once_value(builder, stored))
    cells, arrays = [], 0
    numbers = iter(results)
    for kind in made.outputs:
        if kind.shape:
            addresses.append(array_address(builder.extract_value(outputs, arrays), output_types.types[arrays]))
            arrays += 1
        else:
            cells.append(cgutils.alloca_once(builder, context.get_data_type(next(numbers))))
            addresses.append(cells[-1])
    table = cgutils.alloca_once(builder, ir.ArrayType(word, max(len(addresses), 1)))
    for n, address in enumerate(addresses):
        at = builder.gep(table, [ir.Constant(ir.IntType(32), 0), ir.Constant(ir.IntType(32), n)])
        builder.store(builder.ptrtoint(address, word), at)
    # Through numba's own record of addresses of this process, so that it keeps no such code on disk.
    info = f"funcgrad program {made.name}"
    code = context.add_dynamic_addr(builder, apply, info=f"{info}, fg_apply")
    program = context.add_dynamic_addr(builder, made.address, info=info)
    pointer = cgutils.voidptr_t
    function = builder.bitcast(code, ir.FunctionType(word, [pointer, pointer]).as_pointer())
    status = builder.call(function, [builder.bitcast(program, pointer), builder.bitcast(table, pointer)])
    told: list[tuple[int, type[Exception], str]] = [
        (export.NO_MEMORY, MemoryError, f"{made.name}: no memory for intermediate values")
    ]
    if made.may_fail:
        text = "a numba function inside of it raised, or gave a result that is not as declared"
        told.append((export.FAILED, RuntimeError, f"{made.name}: {text}; call the jitted function to see which"))
    for code_of, error, text in told:
        with cgutils.if_unlikely(builder, builder.icmp_signed("==", status, ir.Constant(word, code_of))):
            context.call_conv.return_user_exc(builder, error, (text,))
    values = [
        context.data_model_manager[kind].from_data(builder, builder.load(cell))
        for kind, cell in zip(results, cells, strict=True)
    ]
    return context.make_tuple(builder, types.Tuple(results), values)
