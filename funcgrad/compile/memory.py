"""How much memory a Program will take, known before it runs: its arena, its results, what host calls hold, the largest arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from funcgrad.compile.entries import ControlStep, HostStep, NativeStep, Plan
from funcgrad.compile.executor import Executable
from funcgrad.compile.plan import plan_memory
from funcgrad.compile.steps import Kernel
from funcgrad.core.program import Equation, Program, Var
from funcgrad.core.tracing import source_text


@dataclass(frozen=True, slots=True)
class Buffer:
    """One array of a program. role: "argument", "constant", "intermediate" or "result"; origin: the operation that makes it and
    the user's line that asked for it (empty for arguments and constants)."""

    role: str
    type: str
    nbytes: int
    origin: str

    def __str__(self) -> str:
        return f"{self.role} {self.type}, {size_text(self.nbytes)}" + (f": {self.origin}" if self.origin else "")


@dataclass(frozen=True, slots=True)
class Account:
    """Bytes: of arguments, constants, results, of the arena, of what host calls hold at most (their results before they are
    copied, the programs that they run), and the arrays from the largest to the smallest."""

    arguments: int
    constants: int
    results: int
    arena: int
    host: int
    buffers: tuple[Buffer, ...]

    @property
    def peak(self) -> int:
        """Bytes that a call takes at most besides its arguments and the constants."""
        return self.results + self.arena + self.host


def size_text(nbytes: int) -> str:
    """A number of bytes for people."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if nbytes >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} bytes"


def nbytes(v: Any) -> int:
    """The bytes of a value's elements."""
    return int(v.type.size * v.type.dtype.itemsize)


def account(compiled: Executable) -> Account:
    """The account of a compiled Program."""
    steps = [s.members if isinstance(s, Kernel) else [s.equation] for s in compiled.steps]
    makers = {v: eq for members in steps for eq in members for v in eq.outputs}
    host = [_host_bytes(e.equation) for e in compiled.entries if isinstance(e, HostStep)]
    host.append(_foreign_bytes(compiled.plan))
    groups = {
        "argument": compiled.inputs,
        "constant": list(compiled.constants),
        "intermediate": list(compiled.memory.places),
        "result": compiled.outputs,
    }
    return _account(groups, makers, compiled.memory.size, max(host, default=0))


def account_of_numpy(program: Program) -> Account:
    """The account of a Program that NumPy runs equation by equation: every value is an array until its last use."""
    inputs, outputs = list(program.inputs), [a for a in dict.fromkeys(program.outputs) if isinstance(a, Var)]
    constants = [v for v, _ in program.constants]
    fixed = {*inputs, *outputs, *constants}
    uses = [([a for a in eq.inputs if isinstance(a, Var)], list(eq.outputs)) for eq in program.equations]
    memory = plan_memory(uses, fixed)
    made = [v for v in outputs if v not in inputs and v not in constants]
    groups = {"argument": inputs, "constant": constants, "intermediate": list(memory.places), "result": made}
    makers = {v: eq for eq in program.equations for v in eq.outputs}
    host = [_inner_bytes(eq) for eq in program.equations]
    return _account(groups, makers, memory.size, max(host, default=0))


def _account(groups: Mapping[str, list[Var]], makers: Mapping[Var, Equation], arena: int, host: int) -> Account:
    buffers = [
        Buffer(role, str(v.type), nbytes(v), _origin(makers[v]) if v in makers else "")
        for role, group in groups.items()
        for v in group
    ]  # fmt: skip
    total = {role: sum(map(nbytes, group)) for role, group in groups.items()}
    largest = tuple(sorted(buffers, key=lambda b: -b.nbytes))
    return Account(total["argument"], total["constant"], total["result"], arena, host, largest)


def _origin(eq: Equation) -> str:
    return f"{eq.primitive.name} at {source_text(eq.source)}"


def _host_bytes(eq: Equation) -> int:
    # NumPy makes the results anew; then they are copied to their places.
    return sum(map(nbytes, eq.outputs)) + _inner_bytes(eq)


def _foreign_bytes(plan: Plan) -> int:
    """What a user's own function holds while a native step calls it."""
    found = [
        _inner_bytes(s.equation)
        for e, s in zip(plan.entries, plan.origins, strict=True)
        if isinstance(e, NativeStep) and e.code is not None
    ]
    found += [_foreign_bytes(body) for e in plan.entries if isinstance(e, ControlStep) for body in e.bodies]
    return max(found, default=0)


def _inner_bytes(eq: Equation) -> int:
    """What the implementation of an equation holds: as its row says, or the most that a Program among its parameters takes."""
    if eq.primitive.workspace is not None:
        return eq.primitive.workspace([a.type for a in eq.inputs], eq.params)
    return max([account(Executable(p, load=False)).peak for p in _programs(eq)], default=0)


def _programs(eq: Equation) -> Iterator[Program]:
    for value in eq.params.values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Program):
                yield part
