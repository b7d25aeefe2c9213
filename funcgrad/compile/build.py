"""Kernel source -> machine code, through llvmlite.

Kernels are a small language inside of Python (assignments, `for ... in range`, calls of the functions below): numba compiles
the same text, but needs 35 to 60 ms for each kernel and half a second to start; read straight into LLVM it takes a few
milliseconds. Every value has a kind: f32, f64, i8 ... i64, u8 ... u64, b8 (a boolean).

Where no iteration of a kernel's loops reads what another one writes, that is what LLVM is told; such a kernel may then write to
the very places that it reads (donated arguments). Otherwise accesses through different pointers of the table are declared not
to overlap: the plan keeps that promise. Floating operations may be contracted into fused multiply-adds; sums marked `any_order`
may be reordered, nothing else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

from funcgrad.compile import functions, vecmath, vectors
from funcgrad.compile.codegen import compile_ir, triple, vector_bits

I64 = ir.IntType(64)
BOOL = ir.IntType(1)
CONTRACT = ("contract",)
ANY_ORDER = ("contract", "reassoc")
SHORT = 8
"""Iterations from which an inner loop over arrays on the stack or in scratch memory is left to the vectoriser: unrolled before
it, it would become gathers and scatters of the loop around it."""
LONG = 64
"""Instructions from which the vectors of an inner loop go through it side by side."""
SIDE_BY_SIDE = 4
"""How many do: of one long chain of dependent instructions a CPU sees no more than one iteration at a time."""


@dataclass(frozen=True, slots=True)
class Value:
    """An LLVM value and its kind."""

    ref: Any
    kind: str


def kind_type(kind: str) -> Any:
    """The LLVM type of a kind in registers."""
    if kind == "f32":
        return ir.FloatType()
    if kind == "f64":
        return ir.DoubleType()
    if "x" in kind:
        return vectors.vector_type(kind)
    return BOOL if kind == "b8" else ir.IntType(int(kind[1:]))


def compile_source(text: str, symbol: str) -> bytes:
    """The object file of a kernel's source, its function under the name `symbol`."""
    return compile_ir(assembly(lower(text, symbol)))


_WISHES = {
    "parallel": '!{ !"llvm.loop.parallel_accesses", GROUP }',
    "whole": '!{ !"llvm.loop.unroll.disable" }',
    "abreast": f'!{{ !"llvm.loop.interleave.count", i32 {SIDE_BY_SIDE} }}',
}
"""What `_Builder.loop` asks LLVM for, and how LLVM reads it."""


def assembly(module: ir.Module) -> str:
    """The text of a module, with what it asks for its loops: LLVM wants nodes that refer to themselves there, which llvmlite
    cannot make."""
    text = str(module)
    group = re.search(r'^(!\d+) = !\{ !"access group" \}$', text, re.MULTILINE)
    if group is not None:
        text = text.replace(group[0], f"{group[1]} = distinct !{{}}")

    def node(found: re.Match[str]) -> str:
        wishes = [_WISHES[w].replace("GROUP", group[1] if group else "") for w in found[2].split()]
        return f"{found[1]} = distinct !{{ {', '.join([found[1], *wishes])} }}"

    return re.sub(r'^(!\d+) = !\{ !"loop \d+: ([\w ]+)" \}$', node, text, flags=re.MULTILINE)


def lower(text: str, symbol: str) -> ir.Module:
    """The LLVM module of a kernel's source, before optimisation."""
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    return _Builder(symbol).build(function)


class _Builder:
    def __init__(self, symbol: str):
        self.module = ir.Module(name=symbol)
        self.module.triple = triple()
        self.function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [I64.as_pointer(), I64, I64]), symbol)
        self.function.attributes.add("nounwind")
        set.add(
            self.function.attributes, f'"prefer-vector-width"="{vector_bits()}"'
        )  # llvmlite knows fewer attributes than LLVM
        self.entry = self.function.append_basic_block("entry")
        self.b = ir.IRBuilder(self.entry)
        self.values: dict[str, Value] = {}
        self.cells: dict[str, tuple[Any, str]] = {}
        self.scopes: dict[str, Any] = {}
        self.stored: set[str] = set()
        self.group: Any = None
        self.loops = 0
        self.instructions = 0
        """Of the functions of vecmath called so far."""

    def build(self, function: ast.FunctionDef) -> ir.Module:
        args, lo, hi = self.function.args
        self.table = args
        self.values = {"lo": Value(lo, "i64"), "hi": Value(hi, "i64")}
        assigned: dict[str, int] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                name = node.targets[0].id  # type: ignore[attr-defined]
                assigned[name] = assigned.get(name, 0) + 1
            if isinstance(node, ast.Call) and node.func.id.startswith("store_"):  # type: ignore[attr-defined]
                self.stored.add(node.args[0].id)  # type: ignore[attr-defined]
        self.short = any(
            isinstance(n, ast.Name) and n.id.startswith(("stack_", "scratch_take")) for n in ast.walk(function)
        )
        self.mutable = {name for name, count in assigned.items() if count > 1}
        self.domain = self.module.add_metadata([ir.MetaDataString(self.module, "kernel")])
        loaded = {n.args[0].id for n in ast.walk(function) if _is_load(n)}  # type: ignore[attr-defined]
        if not self.mutable and not loaded & self.stored:
            self.group = self.module.add_metadata([ir.MetaDataString(self.module, "access group")])
        for name in sorted(self.stored if self.group is None else ()):
            self.scopes[name] = self.module.add_metadata([ir.MetaDataString(self.module, name), self.domain])
        self.body = self.b.append_basic_block("body")
        self.b.position_at_end(self.body)
        self.statements(function.body)
        self.b.ret_void()
        self.b.position_at_end(self.entry)
        self.b.branch(self.body)
        return self.module

    # ---- statements ----

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Assign):
                self.assign(node.targets[0].id, self.expression(node.value))  # type: ignore[attr-defined]
            elif isinstance(node, ast.For):
                self.loop(node)
            elif isinstance(node, ast.While):
                self.repeat(node)
            elif isinstance(node, ast.If):
                self.branch(node)
            elif isinstance(node, ast.Expr):
                self.expression(node.value)
            else:
                raise TypeError(f"a kernel has no {type(node).__name__} statement: {ast.unparse(node)}")

    def assign(self, name: str, value: Value) -> None:
        if name not in self.mutable:
            self.values[name] = value
            return
        if name not in self.cells:
            here = self.b.block
            self.b.position_at_end(self.entry)
            self.cells[name] = self.b.alloca(kind_type(value.kind), name=name), value.kind
            self.b.position_at_end(here)
        self.b.store(value.ref, self.cells[name][0])

    def loop(self, node: ast.For) -> None:
        bounds = [self.expression(a) for a in node.iter.args]  # type: ignore[attr-defined]
        first, last = bounds if len(bounds) == 2 else (Value(ir.Constant(I64, 0), "i64"), bounds[0])
        before = self.b.block
        head, after = self.b.append_basic_block("loop"), self.b.append_basic_block("end")
        self.b.cbranch(self.b.icmp_signed("<", first.ref, last.ref), head, after)
        self.b.position_at_end(head)
        index = self.b.phi(I64)
        index.add_incoming(first.ref, before)
        self.values[node.target.id] = Value(index, "i64")  # type: ignore[attr-defined]
        earlier = self.instructions
        self.statements(node.body)
        length = len(node.body) + self.instructions - earlier
        following = self.b.add(index, ir.Constant(I64, 1), flags=("nsw", "nuw"))
        index.add_incoming(following, self.b.block)
        back = self.b.cbranch(self.b.icmp_signed("<", following, last.ref), head, after)
        wishes = self.wishes(node, _trips(first, last), length)
        if wishes:
            self.loops += 1
            mark = ir.MetaDataString(self.module, f"loop {self.loops}: {wishes}")
            back.set_metadata("llvm.loop", self.module.add_metadata([mark]))
        self.b.position_at_end(after)

    def wishes(self, node: ast.For, trips: int, length: int) -> str:
        """What LLVM is asked to do with a loop of so many iterations (0: known when it runs) and instructions, as names of
        `_WISHES`."""
        found = ["parallel"] if self.group is not None else []
        if not any(isinstance(n, ast.For | ast.While) for n in node.body):
            if not found and self.short and trips >= SHORT:
                found.append("whole")
            if not trips and length >= LONG:
                found.append("abreast")
        return " ".join(found)

    def repeat(self, node: ast.While) -> None:
        head, inside, after = [self.b.append_basic_block(name) for name in ("while", "do", "end")]
        self.b.branch(head)
        self.b.position_at_end(head)
        self.b.cbranch(self.expression(node.test).ref, inside, after)
        self.b.position_at_end(inside)
        self.statements(node.body)
        self.b.branch(head)
        self.b.position_at_end(after)

    def branch(self, node: ast.If) -> None:
        """A choice between statements; they give nothing but what they store."""
        then, other, after = [self.b.append_basic_block(name) for name in ("then", "else", "end")]
        self.b.cbranch(self.expression(node.test).ref, then, other)
        for block, body in ((then, node.body), (other, node.orelse)):
            self.b.position_at_end(block)
            self.statements(body)
            self.b.branch(after)
        self.b.position_at_end(after)

    # ---- expressions ----

    def expression(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Name):
            if node.id in self.cells:
                cell, kind = self.cells[node.id]
                return Value(self.b.load(cell), kind)
            if node.id == "inf":
                return Value(ir.Constant(ir.DoubleType(), float("inf")), "f64")
            return self.values[node.id]
        if isinstance(node, ast.Constant):
            return constant(node.value)
        if isinstance(node, ast.BinOp):
            return self.binary(type(node.op).__name__, self.expression(node.left), self.expression(node.right))
        if isinstance(node, ast.UnaryOp):
            return self.unary(type(node.op).__name__, self.expression(node.operand))
        if isinstance(node, ast.Compare):
            return self.compare(node.ops[0], self.expression(node.left), self.expression(node.comparators[0]))
        if isinstance(node, ast.Call):
            return self.call(node.func.id, node.args)  # type: ignore[attr-defined]
        raise TypeError(f"a kernel has no such expression: {ast.unparse(node)}")

    def binary(self, op: str, x: Value, y: Value) -> Value:
        if x.kind != y.kind:
            raise TypeError(f"{op} of kinds {x.kind} and {y.kind}")
        b = self.b
        if x.kind[0] == "f":
            made = {"Add": b.fadd, "Sub": b.fsub, "Mult": b.fmul, "Div": b.fdiv}[op](x.ref, y.ref, flags=CONTRACT)
        else:
            table = {"Add": b.add, "Sub": b.sub, "Mult": b.mul, "BitAnd": b.and_, "BitOr": b.or_, "BitXor": b.xor}
            made = table[op](x.ref, y.ref)
        return Value(made, x.kind)

    def unary(self, op: str, x: Value) -> Value:
        if op == "USub":
            if isinstance(x.ref, ir.Constant):
                return Value(ir.Constant(x.ref.type, -x.ref.constant), x.kind)
            return Value(self.b.fneg(x.ref) if x.kind[0] == "f" else self.b.neg(x.ref), x.kind)
        return Value(self.b.not_(x.ref), x.kind)

    def compare(self, op: ast.cmpop, x: Value, y: Value) -> Value:
        sign = {"Eq": "==", "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">="}[type(op).__name__]
        if x.kind != y.kind:
            raise TypeError(f"comparison of kinds {x.kind} and {y.kind}")
        if x.kind[0] == "f":
            made = (self.b.fcmp_unordered if sign == "!=" else self.b.fcmp_ordered)(sign, x.ref, y.ref)
        else:
            made = (self.b.icmp_signed if x.kind[0] == "i" else self.b.icmp_unsigned)(sign, x.ref, y.ref)
        return Value(made, "b8")

    def call(self, name: str, nodes: Sequence[ast.expr]) -> Value:
        if name.startswith(("load_", "store_")):
            return self.memory(name, nodes)
        if name == "word":
            return Value(self.b.load(self.b.gep(self.table, [args_index(nodes[1])])), "i64")
        args = [self.expression(n) for n in nodes]
        if name.startswith("stack_"):
            return self.stack(name[6:], args[0].ref)
        if name == "number":
            return Value(self.b.bitcast(args[0].ref, ir.DoubleType()), "f64")
        if name in KINDS:
            return self.convert(args[0], name)
        if name == "where":
            return Value(self.b.select(args[0].ref, args[1].ref, args[2].ref), args[1].kind)
        if name in ("maximum", "minimum", "min", "max"):
            return self.extreme("max" in name, *args)
        if name in INTRINSICS:
            return self.intrinsic(INTRINSICS[name], args)
        if name.startswith("any_order_"):
            made = (self.b.fadd if name.endswith("add") else self.b.fmul)(args[0].ref, args[1].ref, flags=ANY_ORDER)
            return Value(made, args[0].kind)
        if name == "quotient_of":
            return Value(self.b.sdiv(args[0].ref, args[1].ref), "i64")
        if name == "remainder_of":
            return Value(self.b.srem(args[0].ref, args[1].ref), "i64")
        special = vectors.call(self, name, [a.ref for a in args])
        if special is not None:
            return Value(*special)
        if name.startswith("gemm_"):
            return self.gemm(name[5:], [a.ref for a in args])
        base, _, kind = name.rpartition("_")
        if base == "fmod":
            return Value(self.b.frem(args[0].ref, args[1].ref), kind)
        if base in functions.SOURCES:
            return self.inline(base, kind, args)
        function = vecmath.define(ir, self.module, vecmath.find(name), vector_bits())
        self.instructions += _length(function)
        return Value(self.b.call(function, [a.ref for a in args]), args[0].kind)

    def inline(self, name: str, kind: str, args: Sequence[Value]) -> Value:
        """A function of functions.py, written out."""
        (function,) = ast.parse(functions.SOURCES[name]).body
        assert isinstance(function, ast.FunctionDef)
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                called = node.func.id  # type: ignore[attr-defined]
                node.func.id = kind if called == "K" else called if called in PLAIN else f"{called}_{kind}"  # type: ignore[attr-defined]
        outer = self.values
        self.values = {a.arg: v for a, v in zip(function.args.args, args, strict=True)}
        self.statements(function.body[:-1])
        result = function.body[-1]
        assert isinstance(result, ast.Return) and result.value is not None
        found = self.expression(result.value)
        self.values = outer
        return found

    def memory(self, name: str, nodes: Sequence[ast.expr]) -> Value:
        action, kind = name.split("_")
        pointer = nodes[0].id  # type: ignore[attr-defined]
        index = self.expression(nodes[1])
        single = kind.split("x")[0]
        cell = ir.IntType(8) if kind == "b8" else kind_type(single)
        place = self.values[pointer]
        base = place.ref if place.kind == "stack" else self.b.inttoptr(place.ref, cell.as_pointer())
        at = self.b.gep(base, [index.ref], inbounds=True)
        align = None
        if kind != single:
            at, align = self.b.bitcast(at, kind_type(kind).as_pointer()), int(single[1:]) // 8
        if action == "load":
            found = self.b.load(at, align=align)
            self.scope(found, pointer)
            return Value(self.b.icmp_signed("!=", found, ir.Constant(cell, 0)) if kind == "b8" else found, kind)
        value = self.expression(nodes[2])
        ref = self.b.zext(value.ref, cell) if kind == "b8" else value.ref
        self.scope(self.b.store(ref, at, align=align), pointer)
        return value

    def stack(self, kind: str, size: Any) -> Value:
        """An array of the call's own."""
        here = self.b.block
        self.b.position_at_end(self.entry)
        made = self.b.alloca(ir.IntType(8) if kind == "b8" else kind_type(kind), size)
        made.align = 64
        self.b.position_at_end(here)
        return Value(made, "stack")

    def scope(self, access: Any, pointer: str) -> None:
        """Declares what an access meets: no other iteration, or at least no store through another pointer."""
        if self.group is not None:
            access.set_metadata("llvm.access.group", self.group)
            return
        if pointer.startswith("start"):
            return  # one of two arrays, chosen when the kernel runs
        if pointer in self.scopes:
            access.set_metadata("alias.scope", self.module.add_metadata([self.scopes[pointer]]))
        others = [s for name, s in self.scopes.items() if name != pointer]
        if others:
            access.set_metadata("noalias", self.module.add_metadata(others))

    def gemm(self, kind: str, args: Sequence[Any]) -> Value:
        """cblas_?gemm in row order: (function, transpose a, transpose b, m, n, k, a, lda, b, ldb, c, ldc), C = A B."""
        i32, real, void = ir.IntType(32), kind_type(kind), ir.IntType(8).as_pointer()
        kinds = [i32, i32, i32, i32, i32, i32, real, void, i32, void, i32, real, void, i32]
        function = self.b.inttoptr(args[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        whole = [self.b.trunc(a, i32) for a in args]
        at = [self.b.inttoptr(args[n], void) for n in (6, 8, 10)]
        one, zero = ir.Constant(real, 1.0), ir.Constant(real, 0.0)
        row_order = ir.Constant(i32, 101)
        call = [row_order, *whole[1:6], one, at[0], whole[7], at[1], whole[9], zero, at[2], whole[11]]
        return Value(self.b.call(function, call), "i64")

    def convert(self, x: Value, kind: str) -> Value:
        if x.kind == kind:
            return x
        b, target = self.b, kind_type(kind)
        if isinstance(x.ref, ir.Constant):
            number = x.ref.constant
            if kind[0] == "f":
                number = float(np.float32(number)) if kind == "f32" else float(number)
            return Value(ir.Constant(target, number), kind)
        old, new = x.kind[0], kind[0]
        if old == "f" and new == "f":
            made = b.fptrunc(x.ref, target) if kind == "f32" else b.fpext(x.ref, target)
        elif old == "f":
            # Through 64 bits as NumPy does, so that what does not fit wraps.
            wide = b.fptosi(x.ref, I64) if kind != "u64" else b.fptoui(x.ref, I64)
            made = wide if target == I64 else b.trunc(wide, target)
        elif new == "f":
            made = b.sitofp(x.ref, target) if old == "i" else b.uitofp(x.ref, target)
        else:
            have, want = kind_type(x.kind).width, target.width
            if have == want:
                made = x.ref
            elif have > want:
                made = b.trunc(x.ref, target)
            else:
                made = b.sext(x.ref, target) if old == "i" else b.zext(x.ref, target)
        return Value(made, kind)

    def extreme(self, largest: bool, x: Value, y: Value) -> Value:
        """The larger (smaller) one; nan if one of them is, as numpy.maximum."""
        if x.kind[0] == "f":
            return self.intrinsic("llvm.maximum" if largest else "llvm.minimum", [x, y])
        compare = self.b.icmp_signed if x.kind[0] == "i" else self.b.icmp_unsigned
        chosen = compare(">" if largest else "<", x.ref, y.ref)
        return Value(self.b.select(chosen, x.ref, y.ref), x.kind)

    def intrinsic(self, name: str, args: Sequence[Value]) -> Value:
        kind = kind_type(args[0].kind)
        base, _, count = args[0].kind.partition("x")
        full = f"{name}.{f'v{count}' if count else ''}{base}"
        if full not in self.module.globals:
            ir.Function(self.module, ir.FunctionType(kind, [kind] * len(args)), full)
        return Value(self.b.call(self.module.globals[full], [a.ref for a in args]), args[0].kind)


def _trips(first: Value, last: Value) -> int:
    """The iterations between bounds that are numbers of the text; 0 otherwise."""
    known = isinstance(first.ref, ir.Constant) and isinstance(last.ref, ir.Constant)
    return last.ref.constant - first.ref.constant if known else 0


def _length(function: Any) -> int:
    """The instructions of a function of the module and of those that it calls."""
    inside = [i for block in function.blocks for i in block.instructions]
    return len(inside) + sum(_length(i.callee) for i in inside if isinstance(i, ir.CallInstr))


def _is_load(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.startswith("load_")


def args_index(node: ast.expr) -> Any:
    """The constant index of a table word."""
    return ir.Constant(I64, node.value)  # type: ignore[attr-defined]


KINDS = frozenset("f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 b8".split())
INTRINSICS = {
    "absolute": "llvm.fabs",
    "copysign": "llvm.copysign",
    "floor": "llvm.floor",
    "ceil": "llvm.ceil",
    "trunc": "llvm.trunc",
    "rint": "llvm.rint",
    "sqrt": "llvm.sqrt",
}


PLAIN = frozenset({"where", "maximum", "minimum", *INTRINSICS})
"""Functions of the language that are the same for every kind."""


def constant(value: Any) -> Value:
    """A number of the text: bool, int (i64) or float (f64)."""
    if isinstance(value, bool):
        return Value(ir.Constant(BOOL, int(value)), "b8")
    if isinstance(value, int):
        return Value(ir.Constant(I64, value), "i64")
    return Value(ir.Constant(ir.DoubleType(), value), "f64")
