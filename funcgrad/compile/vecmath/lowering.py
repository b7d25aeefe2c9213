"""Turns a function of this folder into LLVM, without numba's type inference.

numba needs about 0.4 ms for each operation of a function it compiles, 40 ms for an `exp`; the functions here are
straight-line arithmetic, so running them once on values that record instructions gives the same LLVM in about 1 ms.
`define` adds the function to a module of llvmlite (handed over by the caller: this file imports no compiler) and the
kernel calls it like any other; LLVM inlines and vectorises it.
"""

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

import numpy as np

FLAGS = ("contract",)
"""Products may be contracted into fused multiply-adds; no other liberty is taken, nor would the functions survive it."""

INSTRUCTIONS = {
    **{"+": "fadd add", "-": "fsub sub", "*": "fmul mul", "/": "fdiv sdiv"},
    **{"<<": "shl", ">>": "ashr", "&": "and_", "|": "or_", "^": "xor"},
}
"""The instruction for floats, then the one for integers, by Python's sign."""


def wrap(value: int, width: int) -> int:
    """The signed integer of that width with the same low bits."""
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


class Value:
    """An LLVM value of one of the types f32, f64, i32, i64, bool, whose operators append instructions."""

    __array_ufunc__ = None  # so that np.float32(2) * value comes to __rmul__

    def __init__(self, lowering: "Lowering", ref: Any, kind: str) -> None:
        self.lowering, self.ref, self.kind = lowering, ref, kind

    def _binary(self, sign: str, other: Any, swapped: bool = False) -> "Value":
        return self.lowering.binary(sign, other, self) if swapped else self.lowering.binary(sign, self, other)

    def __add__(self, other: Any) -> "Value":
        return self._binary("+", other)

    def __radd__(self, other: Any) -> "Value":
        return self._binary("+", other, True)

    def __sub__(self, other: Any) -> "Value":
        return self._binary("-", other)

    def __rsub__(self, other: Any) -> "Value":
        return self._binary("-", other, True)

    def __mul__(self, other: Any) -> "Value":
        return self._binary("*", other)

    def __rmul__(self, other: Any) -> "Value":
        return self._binary("*", other, True)

    def __truediv__(self, other: Any) -> "Value":
        return self._binary("/", other)

    def __rtruediv__(self, other: Any) -> "Value":
        return self._binary("/", other, True)

    def __lshift__(self, other: Any) -> "Value":
        return self._binary("<<", other)

    def __rshift__(self, other: Any) -> "Value":
        return self._binary(">>", other)

    def __and__(self, other: Any) -> "Value":
        return self._binary("&", other)

    def __or__(self, other: Any) -> "Value":
        return self._binary("|", other)

    def __xor__(self, other: Any) -> "Value":
        return self._binary("^", other)

    def __neg__(self) -> "Value":
        b = self.lowering.builder
        return Value(self.lowering, b.fneg(self.ref) if self.kind in ("f32", "f64") else b.neg(self.ref), self.kind)

    def __abs__(self) -> "Value":
        return self.lowering.intrinsic("llvm.fabs", self)

    def __lt__(self, other: Any) -> "Value":
        return self.lowering.compare("<", self, other)

    def __le__(self, other: Any) -> "Value":
        return self.lowering.compare("<=", self, other)

    def __gt__(self, other: Any) -> "Value":
        return self.lowering.compare(">", self, other)

    def __ge__(self, other: Any) -> "Value":
        return self.lowering.compare(">=", self, other)

    def __eq__(self, other: Any) -> "Value":  # type: ignore[override]
        return self.lowering.compare("==", self, other)

    def __ne__(self, other: Any) -> "Value":  # type: ignore[override]
        return self.lowering.compare("!=", self, other)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError(
            "a function of vecmath is branch-free: use select(condition, x, y) in the place of if or and/or"
        )


class Lowering:
    """Records instructions through `builder`; `ir` is the module llvmlite.ir.

    lanes: 1 for scalars, else every value is a vector of that many; slow: the scalar function for rare lanes.
    """

    def __init__(self, ir: Any, builder: Any, lanes: int = 1, slow: Any = None) -> None:
        self.ir, self.builder, self.lanes, self.slow = ir, builder, lanes, slow
        self.rare = False
        self.arguments: list[Value] = []
        scalars = {
            "f32": ir.FloatType(),
            "f64": ir.DoubleType(),
            "i32": ir.IntType(32),
            "i64": ir.IntType(64),
            "bool": ir.IntType(1),
        }
        self.types = scalars if lanes == 1 else {k: ir.VectorType(t, lanes) for k, t in scalars.items()}

    def constant(self, value: Any, kind: str) -> Value:
        """A Python or NumPy number as a constant of the given kind."""
        number = float(value) if kind[0] == "f" else wrap(int(value), 32 if kind == "i32" else 64)
        if kind == "f32":
            number = float(np.float32(number))
        content = number if self.lanes == 1 else [number] * self.lanes
        return Value(self, self.ir.Constant(self.types[kind], content), kind)

    def match(self, x: Any, y: Any) -> tuple[Value, Value]:
        """Both operands as values; a number takes the kind of the other operand."""
        if not isinstance(x, Value):
            x = self.constant(x, y.kind if isinstance(y, Value) else "f64")
        if not isinstance(y, Value):
            y = self.constant(y, x.kind)
        if x.kind != y.kind:
            raise TypeError(f"operands of kinds {x.kind} and {y.kind}: convert one of them first")
        return x, y

    def binary(self, sign: str, x: Any, y: Any) -> Value:
        """x `sign` y by an instruction of LLVM."""
        x, y = self.match(x, y)
        instructions = INSTRUCTIONS[sign].split()
        if x.kind[0] == "f":
            return Value(self, getattr(self.builder, instructions[0])(x.ref, y.ref, flags=FLAGS), x.kind)
        return Value(self, getattr(self.builder, instructions[-1])(x.ref, y.ref), x.kind)

    def compare(self, operator: str, x: Any, y: Any) -> Value:
        """A comparison, false where an operand is nan, but for != (true there), as in Python."""
        x, y = self.match(x, y)
        if x.kind[0] != "f":
            return Value(self, self.builder.icmp_signed(operator, x.ref, y.ref), "bool")
        compare = self.builder.fcmp_unordered if operator == "!=" else self.builder.fcmp_ordered
        return Value(self, compare(operator, x.ref, y.ref), "bool")

    def intrinsic(self, name: str, *args: Value) -> Value:
        """A call of an intrinsic of LLVM overloaded on the type of its first argument."""
        kind = args[0].ref.type
        suffix = args[0].kind if self.lanes == 1 else f"v{self.lanes}{args[0].kind}"
        function = self.declare(f"{name}.{suffix}", self.ir.FunctionType(kind, [kind] * len(args)))
        return Value(self, self.builder.call(function, [a.ref for a in args]), args[0].kind)

    def declare(self, name: str, signature: Any) -> Any:
        """A function outside this module."""
        module = self.builder.module
        return module.globals[name] if name in module.globals else self.ir.Function(module, signature, name)

    def convert(self, x: Any, kind: str) -> Any:
        """x in another kind, as f32(x) or f64(x); a plain number stays a number that is rounded when it is used."""
        if not isinstance(x, Value):
            return self.constant(x, kind)
        if x.kind == kind:
            return x
        b, target = self.builder, self.types[kind]
        if x.kind[0] == "i":
            return Value(self, b.sitofp(x.ref, target), kind)
        return Value(self, (b.fptrunc if kind == "f32" else b.fpext)(x.ref, target), kind)

    def cast(self, x: Value, kind: str) -> Value:
        """The same bits read as another kind; an i64 gives its low half to an f32."""
        ref = self.builder.trunc(x.ref, self.types["i32"]) if (x.kind, kind) == ("i64", "f32") else x.ref
        return Value(self, self.builder.bitcast(ref, self.types[kind]), kind)

    def select(self, condition: Value, x: Any, y: Any) -> Value:
        """LLVM's select."""
        x, y = self.match(x, y)
        return Value(self, self.builder.select(condition.ref, x.ref, y.ref), x.kind)

    def poly(self, x: Value, coefficients: tuple[float, ...]) -> Value:
        """Horner's rule."""
        result = self.constant(coefficients[-1], x.kind)
        for c in coefficients[-2::-1]:
            result = result * x + c
        return result

    def rarely(self, far: Value, slow: Callable[[Value], Value], x: Value, y: Value) -> Value:
        """y, but slow(x) where `far` holds; a vector with such a lane goes through the scalar function."""
        self.rare = True
        if self.lanes > 1:
            return self.rare_lanes(far, y)
        b = self.builder
        before = b.block
        with b.if_then(far.ref, likely=False):
            other = slow(x)
            after = b.block
        result = b.phi(self.types[y.kind])
        result.add_incoming(y.ref, before)
        result.add_incoming(other.ref, after)
        return Value(self, result, y.kind)

    def entry(self, numbers: tuple[float, ...], k: Value) -> Value:
        """A load from a table of constants; for scalars only."""
        if self.lanes > 1:
            raise TypeError("entry stands only in functions for rare lanes: a vector has no one place in a table")
        ir, b = self.ir, self.builder
        kind, zero = ir.ArrayType(self.types["f64"], len(numbers)), ir.Constant(self.types["i64"], 0)
        table = ir.GlobalVariable(b.module, kind, b.module.get_unique_name("vecmath.table"))
        table.global_constant, table.linkage = True, "internal"
        table.initializer = ir.Constant(kind, list(numbers))
        place = b.gep(table, [zero, b.fptosi(k.ref, self.types["i64"])], inbounds=True)
        return Value(self, b.load(place), "f64")

    def repeat(self, count: Any, step: Callable[..., Any], x: Any, high: Value, low: Value) -> tuple[Value, Value]:
        """A loop over k = 1.0, 2.0, ... up to count that carries two values; for scalars only."""
        if self.lanes > 1:
            raise TypeError("repeat stands only in functions for rare lanes: their number of steps is their own")
        b, one = self.builder, self.constant(1.0, high.kind)
        before, test, body, end = b.block, *[b.append_basic_block(name) for name in ("test", "body", "end")]
        b.branch(test)
        b.position_at_end(test)
        carried = [Value(self, b.phi(v.ref.type), v.kind) for v in (one, high, low)]
        k = carried[0]
        b.cbranch((k <= count).ref, body, end)
        b.position_at_end(body)
        following = (k + one, *step(k, x, *carried[1:]))
        for phi, first, later in zip(carried, (one, high, low), following, strict=True):
            phi.ref.add_incoming(first.ref, before)
            phi.ref.add_incoming(later.ref, b.block)
        b.branch(test)
        b.position_at_end(end)
        return carried[1], carried[2]

    def libm(self, name: str, x: Value) -> Value:
        """A call of the C library's function named behind "libm_", in float64, rounded to the type of x."""
        double = self.ir.DoubleType()
        function = self.declare(name.removeprefix("libm_"), self.ir.FunctionType(double, [double]))
        wide = Value(self, self.builder.call(function, [self.convert(x, "f64").ref]), "f64")
        return self.convert(wide, x.kind)

    def rare_lanes(self, far: Value, y: Value) -> Value:
        """y, or where any lane is far the scalar function of each lane's arguments."""
        b, ir, index = self.builder, self.ir, self.types["i32"].element
        mask = ir.FunctionType(ir.IntType(1), [far.ref.type])
        found = b.call(self.declare(f"llvm.vector.reduce.or.v{self.lanes}i1", mask), [far.ref])
        entry, loop, end = b.block, b.append_basic_block("lanes"), b.append_basic_block("end")
        b.cbranch(found, loop, end)
        b.position_at_end(loop)
        lane, filled = b.phi(index), b.phi(y.ref.type)
        scalars = [b.extract_element(a.ref, lane) for a in self.arguments]
        refilled = b.insert_element(filled, b.call(self.slow, scalars), lane)
        following = b.add(lane, ir.Constant(index, 1))
        for phi, first, later in ((lane, ir.Constant(index, 0), following), (filled, y.ref, refilled)):
            phi.add_incoming(first, entry)
            phi.add_incoming(later, loop)
        b.cbranch(b.icmp_signed("<", following, ir.Constant(index, self.lanes)), loop, end)
        b.position_at_end(end)
        result = b.phi(y.ref.type)
        result.add_incoming(y.ref, entry)
        result.add_incoming(refilled, loop)
        return Value(self, result, y.kind)

    def helpers(self) -> dict[str, Any]:
        """The names of helpers.py, recording."""
        return dict(
            inf=float("inf"),
            nan=float("nan"),
            f32=lambda x: self.convert(x, "f32"),
            f64=lambda x: self.convert(x, "f64"),
            bits=lambda x: self.cast(x, "i32" if x.kind == "f32" else "i64"),
            f32_of_bits=lambda i: self.cast(i, "f32"),
            f64_of_bits=lambda i: self.cast(i, "f64"),
            select=self.select,
            poly=self.poly,
            sqrt=lambda x: self.intrinsic("llvm.sqrt", x),
            rarely=self.rarely,
            entry=self.entry,
            repeat=self.repeat,
            libm_sin=partial(self.libm, "libm_sin"),
            libm_cos=partial(self.libm, "libm_cos"),
            libm_tan=partial(self.libm, "libm_tan"),
            copysign=lambda x, y: self.intrinsic("llvm.copysign", *self.match(x, y)),
        )


def define(ir: Any, module: Any, function: FunctionType, vector_bits: int = 512) -> Any:
    """The LLVM function of `function` in `module` (an llvmlite.ir.Module), added to it if it is not there yet.

    The name says the type: every argument and the result of `exp_f32` are float32. Functions it calls are inlined.
    A function with rare lanes is not inlined itself: it gets vector variants for registers of `vector_bits` bits and
    half of that (loops that mix float32 and float64), which the loop vectoriser of LLVM finds by an attribute.
    """
    name = "vecmath." + function.__name__
    for known in (name + ".door", name):
        if known in module.globals:
            return module.globals[known]
    scalar, rare = trace(ir, module, function, name, 1, None)
    if not rare:
        scalar.attributes.add("alwaysinline")
        return scalar
    # What the lanes call must not itself have variants: the vectoriser would make the lane loop call its own variant.
    scalar.attributes.add("noinline")
    door = ir.Function(module, scalar.function_type, name + ".door")
    door.linkage = "internal"
    inside = ir.IRBuilder(door.append_basic_block("entry"))
    inside.ret(inside.call(scalar, door.args))
    mappings = []
    width = 32 if function.__name__.endswith("f32") else 64
    for lanes in (vector_bits // width, vector_bits // width // 2):
        variant, _ = trace(ir, module, function, f"{name}.x{lanes}", lanes, scalar)
        mappings.append(f"_ZGV_LLVM_N{lanes}{'v' * len(scalar.args)}_{door.name}({variant.name})")
        keep(ir, module, variant)
    for made in (scalar, door):
        made.attributes.add("noinline")
        for attribute in ("nounwind", "willreturn", "readnone"):
            set.add(made.attributes, attribute)  # llvmlite knows fewer attributes than LLVM
    set.add(door.attributes, f'"vector-function-abi-variant"="{",".join(mappings)}"')
    return door


def trace(ir: Any, module: Any, function: FunctionType, name: str, lanes: int, slow: Any) -> tuple[Any, bool]:
    """The function recorded under a name for scalars or vectors, and whether it has rare lanes."""
    lowering = Lowering(ir, ir.IRBuilder(), lanes, slow)
    kind = function.__name__[-3:]
    one = lowering.types[kind]
    target = ir.Function(module, ir.FunctionType(one, [one] * function.__code__.co_argcount), name)
    target.linkage = "internal"
    lowering.builder.position_at_end(target.append_basic_block("entry"))
    lowering.arguments = [Value(lowering, ref, kind) for ref in target.args]
    lowering.builder.ret(rebound(function, lowering.helpers(), {})(*lowering.arguments).ref)
    return target, lowering.rare


def keep(ir: Any, module: Any, function: Any) -> None:
    """Lists the function in llvm.compiler.used: nothing calls a variant until the loop vectoriser has run."""
    pointer = ir.IntType(8).as_pointer()
    used = module.globals.get("llvm.compiler.used")
    entries = [*(used.initializer.constant if used else []), function.bitcast(pointer)]
    kind = ir.ArrayType(pointer, len(entries))
    if used is None:
        used = ir.GlobalVariable(module, kind, "llvm.compiler.used")
        used.linkage, used.section = "appending", "llvm.metadata"
    used.value_type, used.type = kind, kind.as_pointer()
    used.initializer = ir.Constant(kind, entries)


def rebound(function: FunctionType, names: dict[str, Any], done: dict[str, FunctionType]) -> FunctionType:
    """The function with the helpers it calls, directly or through others of this folder, replaced by `names`."""
    if function.__name__ not in done:
        scope: dict[str, Any] = dict(abs=abs)
        done[function.__name__] = FunctionType(function.__code__, scope, function.__name__)
        for name in function.__code__.co_names:
            if name in names:
                scope[name] = names[name]
            elif isinstance(function.__globals__.get(name), FunctionType):
                scope[name] = rebound(function.__globals__[name], names, done)
    return done[function.__name__]
