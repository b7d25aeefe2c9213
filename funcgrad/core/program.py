"""Programs: immutable, typed lists of equations, what every transform reads and writes.

    Program := inputs, equations, outputs, constants
    Equation := outputs = primitive[params](inputs)

A Program is closed: it uses its inputs, its literals and its constants, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.core.types import ArrayType, value_type
from funcgrad.errors import ProgramError

if TYPE_CHECKING:
    from funcgrad.core.primitive import Primitive


@dataclass(frozen=True, slots=True, eq=False)
class Var:
    """A name for one value of a Program; two Vars are the same only if they are the same object."""

    type: ArrayType


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """A number written into the Program."""

    value: Any
    type: ArrayType


Atom = Var | Literal


@dataclass(frozen=True, slots=True, eq=False)
class Equation:
    """One application of a primitive. `source` is the (code, instruction) of the user's line that asked for it,
    with the name of its scope as a third part if it is in one."""

    primitive: Primitive
    inputs: tuple[Atom, ...]
    params: dict[str, Any]
    outputs: tuple[Var, ...]
    source: tuple[Any, ...] | None = None

    @property
    def scope(self) -> str:
        """The named scope it was recorded in, such as "outer/inner"; empty outside of all."""
        return self.source[2] if self.source is not None and len(self.source) > 2 else ""


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A typed list of equations; `constants` pairs a Var with the array it stands for."""

    inputs: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    constants: tuple[tuple[Var, Any], ...] = ()
    name: str = "program"
    cache: dict[Any, Any] = field(default_factory=dict)
    """What transforms derived from this Program; filled by them, so that each derivation is made once."""

    @property
    def in_types(self) -> tuple[ArrayType, ...]:
        return tuple(v.type for v in self.inputs)

    @property
    def out_types(self) -> tuple[ArrayType, ...]:
        return tuple(a.type for a in self.outputs)

    def __str__(self) -> str:
        return "\n".join(_lines(self, value_names()))

    def __repr__(self) -> str:
        return str(self)


def value_names() -> Iterator[str]:
    """a, b, ..., z, a1, b1, ...: the names that printed Programs give to values."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    yield from letters
    number = 0
    while True:
        number += 1
        yield from (f"{letter}{number}" for letter in letters)


def _lines(program: Program, names: Iterator[str], indent: str = "") -> Iterator[str]:
    known: dict[Var, str] = {}

    def text(atom: Atom) -> str:
        if isinstance(atom, Literal):
            return f"{atom.value}"
        if atom not in known:
            known[atom] = next(names)
        return known[atom]

    def typed(atoms: Iterable[Atom]) -> str:
        return " ".join(f"{text(a)}:{a.type}" for a in atoms)

    header = f"{{ {program.name} inputs: {typed(program.inputs)}"
    if program.constants:
        header += f"; constants: {typed(v for v, _ in program.constants)}"
    yield indent + header.rstrip() + " ."
    scope = ""
    for eq in program.equations:
        if eq.scope != scope:
            scope = eq.scope
            yield f"{indent}  # scope {scope}" if scope else f"{indent}  # end of scope"
        plain = {k: v for k, v in eq.params.items() if not isinstance(v, Program) and v is not None}
        shown = ", ".join(f"{k}={_param(v)}" for k, v in plain.items())
        call = f"{eq.primitive.name}[{shown}]" if shown else eq.primitive.name
        yield f"{indent}  {typed(eq.outputs)} = {call} {' '.join(map(text, eq.inputs))}".rstrip()
        for key, inner in eq.params.items():
            if isinstance(inner, Program):
                yield f"{indent}    {key}:"
                yield from _lines(inner, names, indent + "      ")
    yield f"{indent}  return {', '.join(map(text, program.outputs)) or '()'} }}"


def _param(value: Any) -> str:
    if isinstance(value, np.dtype):
        return value.name
    return getattr(value, "__name__", None) or str(value)


def check(program: Program) -> Program:
    """Checks that every Var is bound once before its use and that types follow from the rules; returns the Program.

    Raises ProgramError naming the equation. Tests run it after each transform.
    """
    bound: set[Var] = set()

    def bind(var: Var, where: str) -> None:
        if var in bound:
            raise ProgramError(f"{where}: a variable of type {var.type} is bound twice")
        bound.add(var)

    def use(atom: Atom, where: str) -> ArrayType:
        if isinstance(atom, Var) and atom not in bound:
            raise ProgramError(f"{where}: a variable of type {atom.type} is used before it is bound")
        return atom.type

    for var in program.inputs:
        bind(var, f"inputs of {program.name}")
    for var, value in program.constants:
        bind(var, f"constants of {program.name}")
        if value_type(value) != var.type:
            raise ProgramError(f"constant of {program.name}: {value_type(value)} stands for {var.type}")
    for number, eq in enumerate(program.equations):
        where = f"equation {number} ({eq.primitive.name}) of {program.name}"
        types = [use(a, where) for a in eq.inputs]
        expected = eq.primitive.out_types(types, eq.params)
        found = tuple(v.type for v in eq.outputs)
        if expected != found:
            raise ProgramError(
                f"{where}: outputs are {list(map(str, found))}, the rule gives {list(map(str, expected))}"
            )
        for value in eq.params.values():
            if isinstance(value, Program):
                check(value)
        for var in eq.outputs:
            bind(var, where)
    for atom in program.outputs:
        use(atom, f"outputs of {program.name}")
    return program


def has_effect(primitive: Primitive, params: dict[str, Any]) -> bool:
    """Whether an application has an effect: its own, or one of the Programs among its parameters."""
    if primitive.effect:
        return True
    for value in params.values():
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, Program):
                if "effect" not in inner.cache:
                    inner.cache["effect"] = any(has_effect(eq.primitive, eq.params) for eq in inner.equations)
                if inner.cache["effect"]:
                    return True
    return False


def eliminate_dead_code(program: Program) -> Program:
    """The Program without equations whose outputs nobody uses; effects are kept."""
    needed = {a for a in program.outputs if isinstance(a, Var)}
    kept: list[Equation] = []
    for eq in reversed(program.equations):
        if has_effect(eq.primitive, eq.params) or not needed.isdisjoint(eq.outputs):
            kept.append(eq)
            needed.update(a for a in eq.inputs if isinstance(a, Var))
    if len(kept) == len(program.equations):
        return program
    constants = tuple(pair for pair in program.constants if pair[0] in needed)
    return Program(program.inputs, tuple(reversed(kept)), program.outputs, constants, program.name)
