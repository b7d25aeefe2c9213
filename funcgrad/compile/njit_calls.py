"""A user's function compiled by numba as a native step: rows of transforms/njit_call.py.

numba compiles a C function around it with the signature of all kernels. A unit is an element, or one call on whole arrays. The
function gets copies of arrays, since it may write into them, and its results are copied to their places. What it raises is
caught around the whole range, so that loops that cannot raise are vectorised, and noted in a word of the running call; then
no code of the user's runs in that call any more, and the executor has the host do the step again, which raises for the user.
A result of another shape than declared is noted likewise.

Addresses are those of this process: nothing here is kept on disk.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.compile import locks
from funcgrad.compile.conv_text import Lines, indented
from funcgrad.compile.conv_types import RoutineStep
from funcgrad.compile.kernel_text import suffix
from funcgrad.core.program import Atom, Var
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.families import LazyModule
from funcgrad.ops.views import contiguous

numba: Any = LazyModule("numba")
numba_language: Any = LazyModule("funcgrad.compile.numba_language")
_registry: Any = LazyModule("numba.core.registry")
_support: Any = LazyModule("numba.np.numpy_support")
ELEMENT_WORK = 100.0
"""What an element is taken to cost, in additions: nobody knows, and pieces of 600 elements suit cheap and dear functions."""
CALL_WORK = 1e6
"""Of a call on whole arrays: more than a program may do with the interpreter's lock held."""
PARALLEL = "numba_parallel_for"
"""In code that starts numba's own threads, which two threads must not do at once: such a function stays a host call."""
HEAD = """
from numba import carray


@intrinsic
def pointer(typing, address):
    return types.voidptr(types.int64), lambda c, b, s, a: b.inttoptr(a[0], c.get_value_type(types.voidptr))
"""
_KERNEL = """

def kernel(args, lo, hi):
    failed = word(args, {place})
    if load_i64(failed, 0) == 0:
        try:
            units(args, failed, lo, hi)
        except Exception:
            store_i64(failed, 0, 1)
"""
Names = tuple[tuple[str, Any], ...]
"""What a text calls by name, beside the language of kernels."""


@dataclass(frozen=True, slots=True, eq=False)
class Wrapper:
    """The C function around a user's function: its address, and what keeps the code alive."""

    address: int
    holder: Any


def lower(form: str, params: dict[str, Any], inputs: Sequence[Atom], outs: Sequence[Var]) -> list[RoutineStep] | None:
    """The native step of an equation; None where only the host can do it."""
    args = [a for a in inputs if isinstance(a, Var)]
    with locks.loading:
        made = (_elementwise if form == "elementwise" else _whole)(params, args, outs)
        code = _wrapper(made.fn, made.text, made.names) if made is not None else None
    if made is None or code is None:
        return None
    return [
        RoutineStep(made.text, [*args, *outs], made.words, made.units, list(dict.fromkeys(args)), list(outs), made.fn.__name__,
                    made.work, code=code)
    ]  # fmt: skip


@dataclass(slots=True)
class _Call:
    """A step in the making: the words of its table behind the pointers, its text."""

    fn: Any
    table: list[str]
    units: int = 1
    work: float = CALL_WORK
    words: list[int] = field(default_factory=list)
    names: Names = ()
    text: str = ""

    def word(self, name: str, value: int) -> str:
        """Adds a word; gives its name."""
        self.table.append(name)
        self.words.append(value)
        return name

    def shape(self, name: str, kind: ArrayType) -> str:
        """The text of an array's shape, whose sizes are words."""
        sizes = [self.word(f"{name}_size{d}", n) for d, n in enumerate(kind.shape)]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    def finish(self, lines: Lines) -> _Call:
        """Writes the text around the lines of the function `units`."""
        head = [f"{name} = word(args, {i})" for i, name in enumerate(self.table)]
        title = f"# fn is {self.fn.__module__}.{self.fn.__qualname__}, compiled by numba"
        units = ["@njit", "def units(args, failed, lo, hi):", *indented([*head, *lines])]
        self.text = "\n".join([title, *units]) + "\n" + _KERNEL.format(place=len(self.table))
        return self


@functools.lru_cache(maxsize=256)
def _wrapper(fn: Any, text: str, names: Names) -> Wrapper | None:
    """The compiled text; None if numba cannot compile it, or if it starts threads of its own."""
    try:
        scope = numba_language.namespace([text])
        scope.update(names, fn=fn)
        numba_language.run_text(HEAD + text, f"<numba step {fn.__name__} {abs(hash((text, names))):x}>", scope)
        types = numba.types
        made = numba.cfunc(types.void(types.int64, types.int64, types.int64))(scope["kernel"])
        return None if PARALLEL in made.inspect_llvm() else Wrapper(made.address, made)
    except Exception:
        # Whatever it is, the host call meets it as well, and tells the user.
        return None


def _returned(fn: Any, kinds: Sequence[Any]) -> Any:
    """The type that numba finds for the result; None if it cannot compile the function."""
    try:
        found = _registry.cpu_target.typing_context.resolve_function_type(numba.typeof(fn), tuple(kinds), {})
    except Exception:
        return None
    return found.return_type


def _number(dtype: np.dtype) -> Any:
    return _support.from_dtype(dtype)


# ---- element by element ----


def _elementwise(params: dict[str, Any], args: Sequence[Var], outs: Sequence[Var]) -> _Call | None:
    (out,), fn = outs, params["fn"]
    if _returned(fn, [_number(a.type.dtype) for a in args]) != _number(out.type.dtype):
        return None
    names = [f"x{n}" for n in range(len(args))]
    call = _Call(fn, [*names, "y"], out.type.size, ELEMENT_WORK)
    lines, values = [], []
    for name, a in zip(names, args, strict=True):
        value = f"load_{suffix(a.type.dtype)}({name}, {'i' if a.type.shape else '0'})"
        if not a.type.shape and out.type.shape:
            lines.append(f"one_{name} = {value}")
            value = f"one_{name}"
        values.append(value)
    result = f"store_{suffix(out.type.dtype)}(y, i, fn({', '.join(values)}))"
    return call.finish([*lines, "for i in range(lo, hi):", f"    {result}"])


# ---- whole arrays ----


def _whole(params: dict[str, Any], args: Sequence[Var], outs: Sequence[Var]) -> _Call | None:
    function, sizes, batched = params["function"], params["sizes"], params["batched"]
    inner = [array_type(a.type.shape[sum(flags) :], a.type.dtype) for a, flags in zip(args, batched, strict=True)]
    names: dict[str, Any] = {}
    values = [f"x{n}" for n in range(len(args))]
    types = [_number(k.dtype) if not k.shape else numba.types.Array(_number(k.dtype), k.ndim, "C") for k in inner]
    given = _built(function.in_tree, iter(zip(values, types, strict=True)), names)
    found = _returned(function.fn, list(given[1])) if given is not None else None
    results = _parts(found, function.out_tree, "out") if found is not None else None
    single = [array_type(shape, dtype) for shape, dtype in params["outputs"]]
    if given is None or results is None or not all(_fits(r[1], k) for r, k in zip(results, single, strict=True)):
        return None
    call = _Call(
        function.fn, [*[f"a{n}" for n in range(len(args))], *[f"y{n}" for n in range(len(outs))]], math.prod(sizes)
    )
    lines = _numbers(call, sizes)
    for n, (a, kind, flags) in enumerate(zip(args, inner, batched, strict=True)):
        lines.append(f"x{n} = {_loaded(call, n, a, kind, flags, names)}")
    lines.append(f"out = fn(*{given[0]})")
    for n, ((text, found), kind) in enumerate(zip(results, single, strict=True)):
        lines += _stored(call, n, text, isinstance(found, numba.types.Array), kind, bool(sizes), names)
    call.names = tuple(sorted(names.items()))
    return call.finish(["for unit in range(lo, hi):", *indented(lines)])


def _numbers(call: _Call, sizes: Sequence[int]) -> Lines:
    """i0, i1, ...: the place of unit `unit` in the batch."""
    lines, left = [], "unit"
    for d in range(len(sizes) - 1, 0, -1):
        size = call.word(f"batch{d}", sizes[d])
        lines += [f"i{d} = remainder_of({left}, {size})", f"left{d} = quotient_of({left}, {size})"]
        left = f"left{d}"
    return [*lines, f"i0 = {left}"] if sizes else []


def _loaded(call: _Call, n: int, a: Var, kind: ArrayType, flags: Sequence[bool], names: dict[str, Any]) -> str:
    """Argument number n: a number, or an array of its own."""
    strides = contiguous(a.type.shape).strides
    axes = [d for d, own in enumerate(flags) if own]
    moves = [f"i{d} * {call.word(f'a{n}_step{d}', strides[at] * kind.dtype.itemsize)}" for at, d in enumerate(axes)]
    address = " + ".join([f"a{n}", *moves])
    if not kind.shape:
        return f"load_{suffix(kind.dtype)}({address}, 0)"
    return f"carray(pointer({address}), {call.shape(f'a{n}', kind)}, {_named(kind, names)}).copy()"


def _stored(
    call: _Call, n: int, text: str, is_array: bool, kind: ArrayType, several: bool, names: dict[str, Any]
) -> Lines:
    """A result brought to its place."""
    address = f"y{n}"
    if several:
        address += f" + unit * {call.word(f'y{n}_step', kind.size * kind.dtype.itemsize)}"
    if not kind.shape:
        return [f"store_{suffix(kind.dtype)}({address}, 0, {text}{'[()]' if is_array else ''})"]
    shape = call.shape(f"y{n}", kind)
    return [
        f"r{n} = {text}",
        f"if r{n}.shape != {shape}:",
        "    store_i64(failed, 0, 1)",
        "    return",
        f"carray(pointer({address}), {shape}, {_named(kind, names)})[:] = r{n}",
    ]


def _named(kind: ArrayType, names: dict[str, Any]) -> str:
    """The name of a dtype."""
    name = f"dtype_{suffix(kind.dtype)}"
    names[name] = kind.dtype.type
    return name


def _fits(found: Any, kind: ArrayType) -> bool:
    """Whether what the host would make of a result of this type is as declared: a number comes back as one of Python's."""
    types = numba.types
    if isinstance(found, types.Array):
        return found.ndim == kind.ndim and found.dtype == _number(kind.dtype)
    wide = (
        np.bool_ if isinstance(found, types.Boolean) else np.int64 if isinstance(found, types.Integer) else np.float64
    )
    return kind.shape == () and kind.dtype == wide and found != types.uint64


# ---- structures: tuples, named ones and None are all that numba and pytrees have in common ----


def _built(treedef: tree.PyTreeDef, supply: Any, names: dict[str, Any]) -> tuple[str, Any] | None:
    """The text of a tree of arguments, and its types; None for what numba has no type for."""
    data = treedef.node_data()
    if data is None:
        found: tuple[str, Any] = next(supply)
        return found
    kind = data[0]
    if kind is type(None):
        return "None", numba.types.none
    parts = [part for c in treedef.children() if (part := _built(c, supply, names)) is not None]
    if not _is_tuple(kind) or len(parts) < len(treedef.children()):
        return None
    text = ", ".join([p for p, _ in parts]) + ("," if len(parts) == 1 else "")
    own = kind if kind is not tuple else None
    if own is not None:
        # Numbered, since two classes may have one name.
        name = next((n for n, value in names.items() if value is own), f"tuple{len(names)}")
        names[name] = own
        text = f"{name}({text})"
    else:
        text = f"({text})"
    return text, numba.types.BaseTuple.from_types(tuple([t for _, t in parts]), own)


def _parts(found: Any, treedef: tree.PyTreeDef, text: str) -> list[tuple[str, Any]] | None:
    """The expressions for the leaves of a result and their types; None if its type has another structure than declared."""
    types, data = numba.types, treedef.node_data()
    if data is None:
        plain = isinstance(found, types.Array | types.Boolean | types.Integer | types.Float)
        return [(text, found)] if plain else None
    children = treedef.children()
    if not _is_tuple(data[0]) or not isinstance(found, types.BaseTuple) or len(found.types) != len(children):
        return None
    named = found.instance_class if isinstance(found, types.BaseNamedTuple) else tuple
    leaves: list[tuple[str, Any]] = []
    for n, (kind, child) in enumerate(zip(found.types, children, strict=True)):
        inner = _parts(kind, child, f"{text}[{n}]")
        if inner is None or named is not data[0]:
            return None
        leaves += inner
    return leaves


def _is_tuple(kind: Any) -> bool:
    return kind is tuple or (issubclass(kind, tuple) and bool(vars(kind).get("_fields")))
