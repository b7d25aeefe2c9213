"""Steps -> entries: what the executor runs. A `Plan` is a Program with its entries and memory, the body of a loop being one too.

A loop or a choice whose Programs need no Python is an entry of its own, run natively; otherwise it is a host call, whose
implementation runs the compiled bodies from Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from funcgrad.compile import blas, native
from funcgrad.compile.emit import emit
from funcgrad.compile.fuse import fuse
from funcgrad.compile.layouts import Lowered, resolve
from funcgrad.compile.plan import ALIGNMENT, Memory, plan_memory
from funcgrad.compile.simplify import simplify
from funcgrad.compile.steps import Kernel, Step
from funcgrad.core.lowering import Choice, Contraction, Loop, Routine
from funcgrad.core.program import Equation, Program, Var
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.families import LazyModule

if TYPE_CHECKING:
    from funcgrad.compile import small
    from funcgrad.compile.conv_types import Fault
else:  # only Programs with loops need it, and only those with routines the other
    small = LazyModule("funcgrad.compile.small")
routines: Any = LazyModule("funcgrad.compile.routines")

GRAIN_WORK = 60_000.0
"""Rough cost (in additions) of a piece of a range: about ten microseconds."""
ENDLESS = 1000.0
"""Iterations that a loop of unknown length is taken to have, where its work is estimated."""


@dataclass(eq=False)
class NativeStep:
    """A kernel with its range: `words` behind the pointers of its table. `text` is its source. A negative `grain`: the pieces
    of the range depend on each other."""

    text: str
    pointers: list[tuple[Var, int]]
    words: list[int]
    units: int
    grain: int
    reads: list[Var]
    writes: list[Var]
    label: str
    work: float = 0.0
    places: dict[Var, set[tuple[int, tuple[int, ...]]]] | None = None
    """For a kernel without reductions: from where and along which strides it goes through each buffer."""
    loop: Equation | None = None
    """The loop that became this kernel."""
    constants: dict[Var, np.ndarray] = field(default_factory=dict)
    """Arrays that it reads, beside the Program's own."""
    faults: list[Fault] = field(default_factory=list)
    """Cells among the constants in which it notes an index out of bounds."""
    code: Any = None
    """For a user's own function, what has its `.address` (njit_calls.py). A word more in its table is the address of the word in
    which it notes that it failed."""


@dataclass(eq=False)
class HostStep:
    """An equation that NumPy runs: reads and writes arrays of the frame."""

    equation: Equation
    reads: list[Var]
    writes: list[Var]
    label: str


@dataclass(eq=False)
class ControlStep:
    """A loop (one body) or a choice (several). `args`: a buffer and an offset in bytes for each argument of the equation;
    `workspace`: the memory of the bodies, with two buffers for each carry from `buffers` on, then one for the condition."""

    equation: Equation
    bodies: list[Plan]
    args: list[tuple[Var, int]]
    results: list[Var]
    workspace: Var
    buffers: list[int]
    reads: list[Var]
    writes: list[Var]
    label: str
    work: float = 0.0

    @property
    def is_loop(self) -> bool:
        return isinstance(self.equation.primitive.kernel, Loop)


Entry = NativeStep | HostStep | ControlStep


def may_raise(entry: Entry) -> bool:
    """Whether a native entry runs code of the user's."""
    return any(k.code is not None for k in kernels_of(entry))


def bits(values: Sequence[Any]) -> list[int]:
    """Ints and floats as 64-bit words."""
    return [int(np.float64(v).view(np.int64)) if isinstance(v, float) else int(v) for v in values]


def aligned(size: int) -> int:
    """A number of bytes rounded up to whole cache lines, at least one."""
    return -(-max(size, 1) // ALIGNMENT) * ALIGNMENT


def nbytes(kind: ArrayType) -> int:
    """The bytes of an array of this type."""
    return kind.size * kind.dtype.itemsize


def kernels_of(entry: Entry) -> Iterator[NativeStep]:
    """The kernels of an entry: itself, or those in its bodies."""
    if isinstance(entry, NativeStep):
        yield entry
    elif isinstance(entry, ControlStep):
        for body in entry.bodies:
            yield from body.natives()


class Plan:
    """A Program as entries over one arena."""

    def __init__(self, program: Program):
        self.program = program
        self.simplified = simplify(program)
        self.lowered: Lowered = resolve(self.simplified)
        self.steps: list[Step] = fuse(self.lowered)
        made = [(s, e) for s in self.steps for e in entries_of(s, self.lowered)]
        self.entries: list[Entry] = [e for _, e in made]
        self.origins: list[Step] = [s for s, _ in made]
        self.inputs = list(self.simplified.inputs)
        self.outputs = list(self.lowered.outputs)
        self.constants = {v: np.ascontiguousarray(c).reshape(np.shape(c)) for v, c in self.simplified.constants}
        for e in self.entries:
            if isinstance(e, NativeStep):
                # A loop that became one kernel: what its body keeps is kept here.
                self.constants.update(e.constants)
        fixed = {*self.inputs, *self.outputs, *self.constants}
        self.memory: Memory = plan_memory([(e.reads, e.writes) for e in self.entries], fixed)
        self.host = any(isinstance(e, HostStep) for e in self.entries)
        self.work = sum(e.work for e in self.entries if not isinstance(e, HostStep))
        self.addresses: list[int] = []
        self.burst = 1
        """Steps of the loop, of which this is the body, that one run of the entries does."""

    def natives(self) -> Iterator[NativeStep]:
        """The kernels, those of loops' bodies included."""
        for e in self.entries:
            yield from kernels_of(e)

    def texts(self) -> list[str]:
        """The sources of the kernels that are compiled here, each once, those of loops' bodies included."""
        return list(dict.fromkeys(e.text for e in self.natives() if e.code is None))

    def load(self, runtime: native.Runtime) -> None:
        """Gets the machine code of every kernel."""
        self.addresses = []
        for e in self.entries:
            if isinstance(e, NativeStep):
                self.addresses.append(e.code.address if e.code is not None else native.kernel_address(e.text, e.label))
            elif isinstance(e, ControlStep):
                for body in e.bodies:
                    body.load(runtime)
                self.addresses.append(runtime.loop if e.is_loop else runtime.switch)
            else:
                self.addresses.append(0)


def plan_of(program: Program) -> Plan:
    """The Plan of the body of a loop, made once."""
    if "plan" not in program.cache:
        program.cache["plan"] = Plan(program)
    return program.cache["plan"]


def entries_of(step: Step, low: Lowered) -> list[Entry]:
    """The entries of one step: several for a routine."""
    eq = step.equation
    if not isinstance(step, Kernel) and isinstance(eq.primitive.kernel, Routine) and eq not in low.host:
        found = routines.lower(eq.primitive.kernel, eq.params, eq.inputs, eq.outputs)
        if found is not None:
            # An input may be a reshaped view of what lies in memory.
            base = {a: b for a in eq.inputs if isinstance(a, Var) and isinstance(b := low.sources[a].base, Var)}
            return [
                NativeStep(
                    r.text, [(base.get(v, v), 0) for v in r.pointers], bits(r.words), r.units,
                    max(int(GRAIN_WORK / max(r.work, 1.0)), 1), [base.get(v, v) for v in r.reads], r.writes, r.label,
                    r.work * r.units, constants={f.cell: np.full(1, f.NOTHING) for f in r.faults}, faults=r.faults,
                    code=r.code,
                )
                for r in found
            ]  # fmt: skip
    return [entry_of(step, low)]


def entry_of(step: Step, low: Lowered) -> Entry:
    """The entry of one step."""
    if isinstance(step, Kernel):
        return _kernel(step, low)
    eq = step.equation
    found: Entry | None = None
    if eq not in low.host:
        if isinstance(eq.primitive.kernel, Contraction):
            found = _product(eq, low)
        elif isinstance(eq.primitive.kernel, (Loop, Choice)):
            found = _control(eq, low)
    if found is not None:
        return found
    reads = [p.base for a in eq.inputs if isinstance(a, Var) and isinstance((p := low.sources[a]).base, Var)]
    return HostStep(eq, reads, list(eq.outputs), eq.primitive.name)


def _kernel(k: Kernel, low: Lowered) -> NativeStep:
    made = emit(k, low)
    written = {low.targets.get(v, (v, None))[0] for v in k.stored}
    bases = [a.base for a in made.pointers]
    grain = max(int(GRAIN_WORK / max(made.work, 1.0)), 1)
    grain = -(-grain // made.multiple) * made.multiple
    places: dict[Var, set[tuple[int, tuple[int, ...]]]] = {}
    for a in made.pointers:
        places.setdefault(a.base, set()).add((a.offset, a.strides))
    return NativeStep(
        made.text, [(a.base, a.offset * a.dtype.itemsize) for a in made.pointers], bits(made.words), made.units, grain,
        [b for b in bases if b not in written], [b for b in dict.fromkeys(bases) if b in written], _label(k),
        made.work * made.units,
        places if k.reduced is None else None,
    )  # fmt: skip


def _label(k: Kernel) -> str:
    return "+".join(dict.fromkeys(eq.primitive.name for eq in k.members))


def _product(eq: Equation, low: Lowered) -> NativeStep | None:
    a, b = [low.sources[x] for x in eq.inputs if isinstance(x, Var)]
    out = eq.outputs[0]
    if a.layout is None or b.layout is None or not isinstance(a.base, Var) or not isinstance(b.base, Var):
        return None
    kind = f"f{8 * out.type.dtype.itemsize}"
    if not blas.gemm_address(kind):
        return None
    found = blas.product(kind, a.layout, b.layout, eq.params["dims"])
    if found is None:
        return None
    size = out.type.dtype.itemsize
    text = blas.SOURCE.format(kind=kind, size=size)
    pointers = [(a.base, a.layout.offset * size), (b.base, b.layout.offset * size), (out, 0)]
    grain = max(int(GRAIN_WORK / max(found.work, 1.0)), 1)
    return NativeStep(text, pointers, bits(found.words), found.units, grain, [a.base, b.base], [out], "gemm",
                      found.work * found.units)  # fmt: skip


def _control(eq: Equation, low: Lowered) -> Entry | None:
    """A loop or a choice that runs natively; None if one of its Programs needs Python."""
    params = eq.params
    loop = isinstance(eq.primitive.kernel, Loop)
    bodies = [plan_of(p) for p in ([params["program"]] if loop else params["programs"])]
    if any(b.host for b in bodies):
        return None
    args: list[tuple[Var, int]] = []
    for a in eq.inputs:
        assert isinstance(a, Var), "layouts.py copies numbers"
        part = low.sources[a]
        assert isinstance(part.base, Var) and part.layout is not None
        args.append((part.base, part.layout.offset * a.type.dtype.itemsize))
    if loop and params["length"] is not None:
        kernel = _small(eq, bodies[0], args)
        if kernel is not None:
            return kernel
    elif loop:
        bodies = [_burst(eq, bodies[0])]
    size = aligned(max(b.memory.size for b in bodies))
    buffers = []
    if loop:
        for v in eq.outputs[: params["carry"]]:
            buffers.append(size)
            size += 2 * aligned(nbytes(v.type))
        buffers.append(size)
        size += ALIGNMENT
    workspace = Var(array_type((size,), np.dtype(np.uint8)))
    times = (ENDLESS if params["length"] is None else params["length"]) if loop else 1.0
    work = times * max(b.work / b.burst + 100.0 for b in bodies)
    return ControlStep(
        eq, bodies, args, list(eq.outputs), workspace, buffers, [v for v, _ in args], [*eq.outputs, workspace],
        params["name"], work,
    )  # fmt: skip


def _body(plan: Plan) -> small.Body | None:
    """A body that can be written out in one kernel with its loop; None for one with steps that cannot."""
    parts: list[small.Piece | small.Repeat | small.Select] = []
    workspaces: set[Var] = set()
    for e, step in zip(plan.entries, plan.origins, strict=True):
        if isinstance(step.equation.primitive.kernel, Routine):
            return None
        if isinstance(e, NativeStep) and e.loop is not None:
            eq = e.loop
            inner = _body(plan_of(eq.params["program"]))
            if inner is None:
                return None
            args, results = e.pointers[: len(eq.inputs)], [(v, 0) for v in eq.outputs]
            options = [eq.params[k] for k in ("consts", "carry", "length", "reverse")]
            parts.append(small.Repeat(inner, args, results, *options))
        elif isinstance(e, NativeStep):
            if isinstance(step, Kernel) and step.partial:
                return None
            parts.append(small.Piece(e.text, e.pointers, e.words, e.units, not isinstance(step, Kernel)))
        elif isinstance(e, ControlStep) and not e.is_loop:
            bodies = [b for p in e.bodies if (b := _body(p)) is not None]
            if len(bodies) < len(e.bodies):
                return None
            parts.append(small.Select(bodies, e.args, [(v, 0) for v in e.results]))
            workspaces.add(e.workspace)
        else:
            return None
    local = [v for v in plan.memory.places if v not in workspaces]
    return small.Body(plan.inputs, plan.outputs, local, list(plan.constants), parts)


def _small(eq: Equation, plan: Plan, args: Sequence[tuple[Var, int]]) -> NativeStep | None:
    """A scan as one kernel, if its body is small."""
    params, body, work = eq.params, _body(plan), plan.work + 20.0
    if body is None or not small.is_small(body, work):
        return None
    made = small.write_scan(body, params["consts"], params["carry"], params["reverse"], work)
    pointers = [*args, *[(v, 0) for v in eq.outputs], *[(v, 0) for v in made.constants]]
    return NativeStep(
        made.text, pointers, [params["length"]], params["length"], -made.grain, [v for v, _ in args], list(eq.outputs),
        f"loop {params['name']}", work * params["length"], None, eq, _constants(plan),
    )  # fmt: skip


def _constants(plan: Plan) -> dict[Var, np.ndarray]:
    """The constants of a body and of those inside of it."""
    found = dict(plan.constants)
    for e in plan.entries:
        if isinstance(e, NativeStep):
            found.update(e.constants)
        elif isinstance(e, ControlStep):
            for body in e.bodies:
                found.update(_constants(body))
    return found


class Burst(Plan):
    """The body of a while whose one step is a kernel that does up to `burst` steps of the loop."""

    def __init__(self, eq: Equation, plan: Plan, made: small.SmallLoop):
        self.program, self.simplified, self.lowered = plan.program, plan.simplified, plan.lowered
        self.inputs, self.outputs, self.constants = plan.inputs, plan.outputs, _constants(plan)
        self.memory, self.host, self.addresses, self.burst = Memory(), False, [], made.grain
        self.work = made.grain * (plan.work + 20.0)
        pointers = [(v, 0) for v in (*plan.inputs, *plan.outputs, *made.constants)]
        step = NativeStep(
            made.text, pointers, [], 1, 1, plan.inputs, plan.outputs, f"up to {made.grain} steps", self.work, None, eq
        )
        self.entries, self.steps = [step], [Step(eq)]
        self.origins = self.steps


def _burst(eq: Equation, plan: Plan) -> Plan:
    """The body of a while, with many steps in one kernel if it is small."""
    body, work = _body(plan), plan.work + 20.0
    if body is None or not small.is_small(body, work):
        return plan
    return Burst(eq, plan, small.write_while(body, eq.params["consts"], work))
