"""The language of kernels as numba code: the text that stands before a kernel's source to make it a module of its own.

`build.py` reads kernels straight into LLVM. Here each function of the language (`load_f64`, `where`, `exp_f32`, ...) is written
for numba instead, only those that the kernels call, so that the same text runs without funcgrad: for a printed module, for a
call from the user's own `@njit` code, and for tests that hold the two ways against each other. Accesses carry no promise
that they do not overlap, so numba may be slower on kernels with many arrays; the numbers are the same up to the order of sums.

Nothing here imports numba but the text itself, when it is run.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable
from typing import Any

from funcgrad.compile import functions, vecmath
from funcgrad.compile.build import KINDS, PLAIN

HEAD = """\
import math

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

inf = np.inf
plain = njit(error_model="numpy", fastmath={"contract"})


def place(context, builder, kind, address, index):
    cell = context.get_data_type(kind).as_pointer()
    return builder.gep(builder.inttoptr(address, cell), [index])


def loader(kind):
    @intrinsic
    def load(typing, address, index):
        def code(context, builder, signature, args):
            return context.unpack_value(builder, kind, place(context, builder, kind, *args))

        return kind(types.int64, types.int64), code

    return load


def storer(kind):
    @intrinsic
    def store(typing, address, index, value):
        def code(context, builder, signature, args):
            context.pack_value(builder, kind, args[2], place(context, builder, kind, *args[:2]))

        return types.void(types.int64, types.int64, kind), code

    return store


def stacker(kind):
    @intrinsic(prefer_literal=True)
    def stack(typing, size):
        count = size.literal_value

        def code(context, builder, signature, args):
            with builder.goto_entry_block():
                made = builder.alloca(context.get_data_type(kind), ir.IntType(64)(count))
                made.align = 64
                return builder.ptrtoint(made, ir.IntType(64))

        return types.int64(size), code

    return stack


def unary(name):
    @intrinsic
    def function(typing, x):
        return x(x), lambda c, b, s, a: b.call(b.module.declare_intrinsic(name, [a[0].type]), a)

    return function


def extreme(name, sign):
    @intrinsic
    def function(typing, x, y):
        def code(context, builder, signature, args):
            kind = args[0].type
            if isinstance(x, types.Float):
                full = f"{name}.{'f32' if x == types.float32 else 'f64'}"
                made = builder.module.globals.get(full)
                if made is None:
                    made = ir.Function(builder.module, ir.FunctionType(kind, [kind, kind]), full)
                return builder.call(made, args)
            compare = builder.icmp_signed if x.signed else builder.icmp_unsigned
            return builder.select(compare(sign, *args), *args)

        return x(x, x), code

    return function


@intrinsic
def word(typing, args, number):
    def code(context, builder, signature, values):
        return builder.load(place(context, builder, types.int64, *values))

    return types.int64(types.int64, types.int64), code


@intrinsic
def number(typing, bits):
    return types.float64(types.int64), lambda c, b, s, a: b.bitcast(a[0], ir.DoubleType())


@intrinsic
def where(typing, condition, x, y):
    kind = types.unliteral(x)
    return kind(types.boolean, kind, kind), lambda c, b, s, a: b.select(c.get_argument_value(b, s.args[0], a[0]), a[1], a[2])


@intrinsic
def quotient_of(typing, x, y):
    return types.int64(types.int64, types.int64), lambda c, b, s, a: b.sdiv(*a)


@intrinsic
def remainder_of(typing, x, y):
    return types.int64(types.int64, types.int64), lambda c, b, s, a: b.srem(*a)


@njit(fastmath={"contract", "reassoc"})
def any_order_add(x, y):
    return x + y


@njit(fastmath={"contract", "reassoc"})
def any_order_mul(x, y):
    return x * y


maximum, minimum = extreme("llvm.maximum", ">"), extreme("llvm.minimum", "<")
absolute, floor, ceil = unary("llvm.fabs"), unary("llvm.floor"), unary("llvm.ceil")
trunc, rint, sqrt = unary("llvm.trunc"), unary("llvm.rint"), unary("llvm.sqrt")
copysign = njit(lambda x, y: math.copysign(x, y))
b8 = njit(lambda x: x != 0)
f32, f64 = np.float32, np.float64
"""
"""What every kernel may call, whatever its kinds."""

GEMM = """\
@intrinsic
def gemm_{kind}(typing, function, ta, tb, m, n, k, a, lda, b, ldb, c, ldc):
    def code(context, builder, signature, args):
        i32, real, void = ir.IntType(32), context.get_value_type(types.{kind_type}), ir.IntType(8).as_pointer()
        kinds = [i32, i32, i32, i32, i32, i32, real, void, i32, void, i32, real, void, i32]
        product = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        whole = [builder.trunc(a, i32) for a in args]
        at = [builder.inttoptr(args[n], void) for n in (6, 8, 10)]
        one, zero = ir.Constant(real, 1.0), ir.Constant(real, 0.0)
        call = [i32(101), *whole[1:6], one, at[0], whole[7], at[1], whole[9], zero, at[2], whole[11]]
        builder.call(product, call)

    return types.void(*[types.int64] * 12), code
"""
"""cblas_?gemm in row order, called through its address."""

FMOD = """\
@intrinsic
def fmod_{kind}(typing, x, y):
    return x(x, x), lambda c, b, s, a: b.frem(*a)
"""


def called(text: str) -> set[str]:
    """The names of the functions that a text calls."""
    return {n.func.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def prelude(kernels: Iterable[str]) -> str:
    """The text of a module that defines what these kernels (or functions of the language) call, for numba."""
    names = sorted({name for text in kernels for name in called(text)})
    mathematics: dict[str, None] = {}
    blocks: dict[str, str] = {}
    for name in names:
        _define(name, mathematics, blocks)
    known = sorted(mathematics)
    parts = [vecmath.source(known).rstrip()] if known else []
    return "\n\n\n".join([*parts, HEAD.rstrip(), *[b.rstrip() for b in blocks.values()]]) + "\n"


def _define(name: str, mathematics: dict[str, None], blocks: dict[str, str]) -> None:
    """Adds the definition of one function, after those that it calls."""
    base, _, kind = name.rpartition("_")
    if name in blocks or name in PLAIN:
        return
    if name in KINDS:
        if name not in ("f32", "f64", "b8"):
            blocks[name] = _conversion(name)
    elif base in ("load", "store"):
        maker = "loader" if base == "load" else "storer"
        blocks[name] = f"{name} = {maker}(types.{kind_name(kind)})"
    elif base == "stack":
        blocks[name] = f"{name} = stacker(types.{kind_name(kind)})"
    elif base == "gemm":
        blocks[name] = GEMM.format(kind=kind, kind_type=kind_name(kind))
    elif base == "fmod":
        blocks[name] = FMOD.format(kind=kind)
    elif base in functions.SOURCES and kind in KINDS:
        text = _written_out(base, kind)
        for inner in sorted(called(text)):
            _define(inner, mathematics, blocks)
        blocks[name] = f"@plain\n{text}"
    elif name in vecmath.FUNCTIONS:
        mathematics[name] = None


def kind_name(kind: str) -> str:
    """numba's name of a kind: float64 of f64."""
    letters = {"f": "float", "i": "int", "u": "uint"}
    return "boolean" if kind == "b8" else f"{letters[kind[0]]}{kind[1:]}"


def _conversion(kind: str) -> str:
    """A conversion to integers, through 64 bits as NumPy does, so that what does not fit wraps."""
    named = kind_name(kind)
    through = "x" if kind in ("i64", "u64") else "types.int64(x)"
    return f"@njit\ndef {kind}(x):\n    return types.{named}({through})\n"


def _written_out(name: str, kind: str) -> str:
    """A function of functions.py for one dtype."""
    (function,) = ast.parse(functions.SOURCES[name]).body
    assert isinstance(function, ast.FunctionDef)
    function.name = f"{name}_{kind}"
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            inner = node.func.id
            node.func.id = kind if inner == "K" else inner if inner in PLAIN else f"{inner}_{kind}"
    return ast.unparse(function)


def namespace(kernels: Iterable[str], name: str = "<funcgrad prelude>") -> dict[str, Any]:
    """The prelude of these kernels, run: its functions by name. Imports numba."""
    text = prelude(kernels)
    return run_text(text, name, {})


def run_text(text: str, name: str, scope: dict[str, Any]) -> dict[str, Any]:
    """Runs a text as a file of that name, so that numba and tracebacks find its lines; returns the scope."""
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), scope)
    return scope


def compile_kernel(text: str) -> Any:
    """A kernel compiled by numba: a C function `void (int64 table, int64 lo, int64 hi)` with its `.address`."""
    scope = namespace([text])
    run_text(text, f"<kernel {abs(hash(text)):x}>", scope)
    types = scope["types"]
    decorate = scope["cfunc"](
        types.void(types.int64, types.int64, types.int64), error_model="numpy", fastmath={"contract"}
    )
    return decorate(scope["kernel"])
