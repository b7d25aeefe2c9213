"""One kind of tracer. A Trace records equations; in a concrete trace a tracer also has a value.

mode "abstract": types only (jit, vmap, loop bodies).
mode "reverse" and "forward": each equation is evaluated as it is recorded, through `bind`, so that a value may itself
be a tracer of an older trace. That is all that nesting needs.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.core.program import Equation, Literal, Program, Var
from funcgrad.core.types import ArrayType, is_inexact, value_type
from funcgrad.errors import assignment_error, closure_error, conversion_error, escaped_tracer_error

if TYPE_CHECKING:
    from funcgrad.core.primitive import LinearMap, Primitive

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_own_files: set[str] = set()
_order = itertools.count()
_context = threading.local()

Source = tuple[Any, ...]
"""(code, instruction) of a user's line, and the named scope it is in, if any."""


def user_source() -> Source | None:
    """(code object, last instruction) of the nearest frame outside funcgrad; the line is looked up only when asked."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        name = code.co_filename
        if name not in _own_files:
            if not name.startswith(_PACKAGE):
                return code, frame.f_lasti
            _own_files.add(name)
        frame = frame.f_back
    return None


def source_text(source: Source | None) -> str:
    """`file:line (function)` of a source, for messages."""
    if source is None:
        return "an unknown place"
    code, instruction, *scope = source
    line = next((n for lo, hi, n in code.co_lines() if lo <= instruction < hi and n is not None), code.co_firstlineno)
    return f"{code.co_filename}:{line} ({code.co_name})" + "".join(f" in scope {name}" for name in scope)


class Tracer:
    """Stands for an array inside a traced function. The NumPy room gives it its operators and methods."""

    __slots__ = ("_type", "owner", "source", "value")

    def __init__(self, trace: Trace, kind: ArrayType | None, value: Any, source: Source | None):
        self.owner = trace
        self._type = kind
        self.value = value
        self.source = source

    @property
    def type(self) -> ArrayType:
        kind = self._type
        if kind is None:
            kind = self._type = type_of(self.value)
        return kind

    # Shape and dtype come straight from the value where there is one: a type is made only when asked for.

    @property
    def shape(self) -> tuple[int, ...]:
        return shape_of(self.value) if self._type is None else self._type.shape

    @property
    def dtype(self) -> np.dtype:
        return dtype_of(self.value) if self._type is None else self._type.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.type.size

    @property
    def weak_type(self) -> bool:
        return self.type.weak

    aval = type

    def concrete(self, asked: str) -> Any:
        """The NumPy value underneath all traces, for Python's `if`, `int()` and `print`; else the conversion error."""
        value: Any = self
        while type(value) is Tracer:
            if value.owner.mode == "abstract":
                raise conversion_error(asked, str(self.type), self.owner.name, source_text(self.source))
            value = value.value
        return value

    def __bool__(self) -> bool:
        return bool(self.concrete("bool"))

    def __int__(self) -> int:
        return int(self.concrete("int"))

    def __index__(self) -> int:
        return np.asarray(self.concrete("int")).item().__index__()

    def __float__(self) -> float:
        return float(self.concrete("float"))

    def __complex__(self) -> complex:
        return complex(self.concrete("complex"))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise conversion_error("numpy.asarray", str(self.type), self.owner.name, source_text(self.source))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise assignment_error(str(self.type), "a traced array")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a 0-d traced array; it has no axis to count.")
        return self.shape[0]

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        value: Any = self
        while type(value) is Tracer and value.owner.mode != "abstract":
            value = value.value
        shown = "" if type(value) is Tracer else f", value={np.array2string(np.asarray(value), threshold=10)}"
        return f"Tracer<{self.type}{shown}>"

    def __format__(self, spec: str) -> str:
        return format(self.concrete("float") if spec else repr(self), spec)


def type_of(value: Any) -> ArrayType:
    """The type of a tracer, an array, a NumPy scalar or a Python number."""
    return value.type if type(value) is Tracer else value_type(value)


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of anything that has a type."""
    kind = type(value)
    return value.shape if kind is np.ndarray or kind is Tracer else type_of(value).shape


def dtype_of(value: Any) -> np.dtype:
    """The dtype of anything that has a type."""
    kind = type(value)
    return value.dtype if kind is np.ndarray or kind is Tracer else type_of(value).dtype


class Record:
    """An equation as a trace keeps it: inputs are tracers of this trace, or constants of any kind.

    `args` are the inputs with their values in place of this trace's tracers (in an abstract trace it is empty).
    """

    __slots__ = ("args", "inputs", "linear", "outputs", "params", "primitive", "source")

    def __init__(
        self,
        primitive: Primitive,
        inputs: Sequence[Any],
        args: Sequence[Any], params: dict[str, Any], outputs: Any, source: Any,
                 linear: LinearMap | None = None):  # fmt: skip
        self.primitive = primitive
        self.inputs = inputs
        self.args = args
        self.params = params
        self.outputs = outputs
        """The tracer itself for a primitive with one output, else a tuple of tracers."""
        self.source = source
        self.linear = linear


class Trace:
    """A list of records in the making. `order` tells which of two traces is the inner one."""

    __slots__ = ("mode", "name", "open", "order", "records")

    def __init__(self, mode: str, name: str):
        self.mode = mode
        self.name = name
        self.order = next(_order)
        self.records: list[Record] = []
        self.open = True

    def input(self, value_or_type: Any) -> Tracer:
        """A tracer for an argument: of a type in an abstract trace, of a value in a concrete one."""
        if self.mode == "abstract":
            return Tracer(self, value_or_type, None, user_source())
        return Tracer(self, None, value_or_type, user_source())

    def process(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        """Records one application of a primitive and gives its output tracer(s)."""
        if not self.open:
            escaped = next(a for a in args if type(a) is Tracer and a.owner is self)
            raise escaped_tracer_error(str(escaped.type), self.name, source_text(escaped.source))
        source = user_source()
        if self.mode == "abstract":
            types = [type_of(a) for a in args]
            outs = tuple([Tracer(self, t, None, source) for t in primitive.out_types(types, params)])
            out = outs if primitive.multiple else outs[0]
            self.records.append(Record(primitive, args, (), params, out, source))
            return out
        values = [a.value if type(a) is Tracer and a.owner is self else a for a in args]
        if primitive.linearize is not None:
            own = [is_own(self, a) for a in args]
            results, linear = primitive.linearize(self.mode, own, values, params)
            return self._record_many(primitive, args, values, params, results, source, linear)
        result = primitive(*values, **params)
        if primitive.flat:
            return result
        if primitive.multiple:
            return self._record_many(primitive, args, values, params, result, source, None)
        out = Tracer(self, None, result, source)
        self.records.append(Record(primitive, args, values, params, out, source))
        return out

    def _record_many(
        self,
        primitive: Primitive,
        args: Sequence[Any],
        values: Sequence[Any], params: dict[str, Any], results: Sequence[Any],
                     source: Source | None, linear: LinearMap | None) -> tuple[Any, ...]:  # fmt: skip
        if any(is_own(self, v) for v in results):
            raise closure_error(primitive.name, params.get("name", "the function"))
        outs = tuple([Tracer(self, None, v, source) for v in results])
        self.records.append(Record(primitive, args, values, params, outs, source, linear))
        # Integers and booleans have no derivative: they leave the trace as plain values.
        return tuple([t if is_inexact(t.dtype) else t.value for t in outs])

    def close(self) -> list[Record]:
        """Ends the trace and hands over its records; a tracer used from now on is an escaped one."""
        records, self.records = self.records, []
        self.open = False
        return records


def is_own(trace: Trace, value: Any) -> bool:
    """Whether `value` is a tracer of exactly this trace."""
    return type(value) is Tracer and value.owner is trace


def innermost_abstract() -> Trace | None:
    """The abstract trace that is running in this thread, for effects that have no traced argument."""
    return getattr(_context, "abstract", None)


@contextmanager
def trace_context(trace: Trace) -> Iterator[None]:
    """Makes an abstract trace the innermost one of this thread, and closes it at the end, come what may."""
    outer = innermost_abstract()
    _context.abstract = trace
    try:
        yield
    finally:
        _context.abstract = outer
        trace.close()


def scoped(trace: Trace, start: int, name: str) -> None:
    """Puts the records of a trace from number `start` on into a named scope, around the scopes they are in already."""
    for r in trace.records[start:]:
        if r.source is not None:
            code, instruction, *inner = r.source
            r.source = (code, instruction, "/".join((name, *inner)))
            for out in r.outputs if r.primitive.multiple else (r.outputs,):
                out.source = r.source


def trace_program(f: Callable[..., Sequence[Any]], types: Sequence[ArrayType], name: str) -> tuple[Program, list[Any]]:
    """Traces flat `f` (arrays in, sequence of arrays out) abstractly.

    Returns the Program and the tracers of older traces that `f` closed over: the Program's leading inputs stand for
    these, its other inputs for `types`.
    """
    trace = Trace("abstract", name)
    with trace_context(trace):
        inputs = [trace.input(t) for t in types]
        outputs = list(f(*inputs))
        return build_program(trace, inputs, trace.records, outputs)


def newest_trace(values: Sequence[Any]) -> Trace | None:
    """The trace that would record an operation on these values."""
    traces = [v.owner for v in values if type(v) is Tracer]
    return max(traces, key=lambda t: t.order) if traces else None


def build_program(trace: Trace, inputs: Sequence[Tracer], records: Sequence[Record],
                  outputs: Sequence[Any]) -> tuple[Program, list[Any]]:  # fmt: skip
    """Turns records into a Program: tracers become Vars, closed-over arrays constants, older tracers inputs."""
    known: dict[int, Var] = {id(t): Var(t.type) for t in inputs}
    captured: list[Tracer] = []
    captured_vars: list[Var] = []
    constants: list[tuple[Var, Any]] = []

    def atom(value: Any) -> Var | Literal:
        var = known.get(id(value))
        if var is not None:
            return var
        if type(value) is Tracer:
            if not value.owner.open:
                raise escaped_tracer_error(str(value.type), value.owner.name, source_text(value.source))
            var = known[id(value)] = Var(value.type)
            captured.append(value)
            captured_vars.append(var)
            return var
        kind = value_type(value)
        if not isinstance(value, np.ndarray):
            return Literal(value, kind)
        var = known[id(value)] = Var(kind)
        constants.append((var, value))
        return var

    def bind(tracer: Tracer) -> Var:
        var = known[id(tracer)] = Var(tracer.type)
        return var

    equations = []
    for r in records:
        atoms = tuple([atom(a) for a in r.inputs])
        outs = r.outputs if r.primitive.multiple else (r.outputs,)
        equations.append(Equation(r.primitive, atoms, r.params, tuple([bind(t) for t in outs]), r.source))
    results = tuple(atom(v) for v in outputs)
    own = tuple(known[id(t)] for t in inputs)
    program = Program(tuple(captured_vars) + own, tuple(equations), results, tuple(_freeze(constants)), trace.name)
    return program, captured


def _freeze(constants: Sequence[tuple[Var, Any]]) -> list[tuple[Var, Any]]:
    # A user's array may be written to after the trace, as NumPy allows; the Program keeps the values it was traced with.
    return [(var, value.copy() if value.flags.writeable else value) for var, value in constants]


def run(program: Program, *args: Any) -> list[Any]:
    """Evaluates a Program equation by equation through `bind`, so that it can be traced again. Values die early."""
    env: dict[Var, Any] = dict(program.constants)
    env.update(zip(program.inputs, args, strict=True))
    last = _last_uses(program)

    def read(atom: Var | Literal) -> Any:
        return atom.value if type(atom) is Literal else env[atom]  # type: ignore[index]

    for eq, dying in zip(program.equations, last, strict=True):
        out = eq.primitive(*[read(a) for a in eq.inputs], **eq.params)
        if eq.primitive.multiple:
            env.update(zip(eq.outputs, out, strict=True))
        else:
            env[eq.outputs[0]] = out
        for var in dying:
            del env[var]
    return [read(a) for a in program.outputs]


def _last_uses(program: Program) -> list[list[Var]]:
    """For each equation the variables that nobody reads after it."""
    found = program.cache.get("last_uses")
    if found is None:
        live = {a for a in program.outputs if isinstance(a, Var)}
        found = []
        for eq in reversed(program.equations):
            dying = {v for v in (*eq.inputs, *eq.outputs) if isinstance(v, Var)} - live
            live |= dying
            found.append(list(dying))
        found.reverse()
        program.cache["last_uses"] = found
    return found
