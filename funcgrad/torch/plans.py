"""Plans: what one operation does for one combination of types, forward and backward, derived from its pure body.

    body --trace--> Program --vjp--> joint Program --cut--> forward: inputs -> outputs + privates
                                                           backward: saved inputs, saved outputs, privates,
                                                           cotangents -> gradients

The cut keeps what PyTorch's users know: backward reads the operation's own inputs and outputs (these are the *saved*
tensors, with versions to check) and computes cheap things of them again; only what costs more than a pass over memory is kept
from the forward run (*private*). Small Programs become straight-line Python that calls NumPy; large ones are compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.compile.simplify import simplify
from funcgrad.core.lowering import Contraction, Pointwise, View
from funcgrad.core.program import Atom, Equation, Literal, Program, Var, eliminate_dead_code
from funcgrad.core.tracing import Tracer, dtype_of, run, trace_program
from funcgrad.core.types import is_inexact
from funcgrad.ops.basics import conj
from funcgrad.torch.compiled import Runner, compiled_runner
from funcgrad.torch.modes import state
from funcgrad.transforms.split import restrict
from funcgrad.transforms.vjp import instantiate, vjp_flat

COMPILE_FROM = 1 << 15
"""Elements from which a Program is compiled: below, a call of NumPy costs less than the work that threads could share."""
COMPILE_WORK = 1 << 22
"""Multiplications of products of matrices from which they are compiled."""

EXPENSIVE = 15
"""The cost (in additions) from which an elementwise value of the forward run is kept for backward rather than computed again."""


class Plan:
    """One operation at one combination of types. `wanted` are the numbers of the inputs whose gradients are derived."""

    __slots__ = (
        "aliases",
        "backward",
        "edges",
        "fresh",
        "joint",
        "keeps",
        "n_outputs",
        "out_types",
        "program",
        "pushes",
        "run",
        "saved_inputs",
        "saved_outputs",
        "second",
        "traced",
        "wanted",
    )

    def __init__(self, program: Program, wanted: tuple[int, ...], save_outputs: bool):
        self.wanted = wanted
        self.edges: tuple[int, ...] = wanted
        """For each gradient the number of the node's edge that it goes to."""
        self.traced = program
        self.pushes: dict[Any, Any] = {}
        """Operations that push tangents through this one; made when first asked for."""
        self.out_types = program.out_types
        self.n_outputs = len(program.outputs)
        self.saved_inputs: tuple[int, ...] = ()
        self.saved_outputs: tuple[int, ...] = ()
        self.second: Any = None
        """The operation that differentiates `backward` again; made when first asked for."""
        if not wanted:
            self.program = simplify(program)
            self.run = runner(self.program)
            self.aliases = _aliases(self.program, self.n_outputs)
            self.joint = self.backward = None
            self.keeps = False
            self.fresh: tuple[bool, ...] = ()
            return
        joint = simplify(_joint(program, wanted), transformable=True)
        cut = _Cut(joint, len(program.inputs), self.n_outputs, save_outputs)
        self.program = cut.forward
        self.run = runner(cut.forward)
        self.aliases = _aliases(cut.forward, self.n_outputs)
        self.saved_inputs, self.saved_outputs = cut.saved_inputs, cut.saved_outputs
        self.joint = cut.again
        self.backward = runner(cut.backward)
        self.fresh = _fresh(cut.backward)
        self.keeps = bool(cut.saved_inputs or cut.saved_outputs or cut.privates)


def _joint(program: Program, wanted: Sequence[int]) -> Program:
    """inputs, cotangents of the inexact outputs -> outputs, gradients of the wanted inputs.

    Complex gradients follow PyTorch's convention, the conjugate of transposition's: conjugated on both sides.
    """
    n = len(program.inputs)
    active = [i in wanted for i in range(n)]
    smooth = [is_inexact(t.dtype) for t in program.out_types]

    def joint(*values: Any) -> list[Any]:
        moving = iter([_conjugate(v) for v in values[n:]])
        partly, points = restrict(program, active, values[:n])
        outs, pull = vjp_flat(partly, points, program.name)
        cts = instantiate(pull([next(moving) if s else None for s in smooth]), points)
        return outs + [_conjugate(c) for c in cts]

    traced, captured = trace_program(
        joint, [*program.in_types, *[t for t, s in zip(program.out_types, smooth, strict=True) if s]], program.name
    )
    assert not captured, "an operation's body closes over nothing traced"
    return traced


def _conjugate(value: Any) -> Any:
    return conj(value) if dtype_of(value).kind == "c" else value


class _Cut:
    """The joint Program in two, see the head of this file."""

    def __init__(self, joint: Program, n_inputs: int, n_outputs: int, save_outputs: bool):
        self.inputs = joint.inputs[:n_inputs]
        outputs = joint.outputs[:n_outputs]
        self.made = {v: eq for eq in joint.equations for v in eq.outputs}
        self.number = {v: i for i, v in enumerate(self.inputs)}
        self.constants = {v for v, _ in joint.constants}
        self.results: dict[Var, int] = {}
        for i, a in enumerate(outputs):
            if isinstance(a, Var) and a in self.made:
                self.results.setdefault(a, i)
        self.save_outputs = save_outputs
        self.forwards = _ancestors(joint.equations, outputs)
        moving = set(joint.inputs[n_inputs:])
        late: list[Equation] = []
        for eq in joint.equations:
            if not moving.isdisjoint(a for a in eq.inputs if isinstance(a, Var)):
                late.append(eq)
                moving.update(eq.outputs)
        self.again_equations: set[int] = set()
        self.read_inputs: dict[Var, None] = {}
        self.read_outputs: dict[Var, None] = {}
        self.private: dict[Var, None] = {}
        tail = joint.outputs[n_outputs:]
        self._want([a for eq in late for a in eq.inputs] + list(tail), moving, cut=True)
        recomputed = set(self.again_equations)
        self.privates = tuple(self.private)
        # The second derivative goes through the privates too: with them come the inputs that they are made of.
        self._want(list(self.privates), moving, cut=False)
        keep = [eq for eq in joint.equations if id(eq) in self.again_equations or eq in late]
        first = [eq for eq in keep if eq in late or id(eq) in recomputed]
        read_in = tuple(v for v in self.inputs if v in self.read_inputs)
        read_out = tuple(self.read_outputs)
        self.saved_inputs = tuple(self.number[v] for v in read_in)
        self.saved_outputs = tuple(self.results[v] for v in read_out)
        cts = joint.inputs[n_inputs:]
        self.backward = _program(read_in + read_out + self.privates + cts, first, tail, joint)
        self.again = _program(read_in + read_out + cts, keep, tail, joint)
        self.forward = _program(self.inputs, joint.equations, outputs + self.privates, joint)

    def _want(self, atoms: Sequence[Atom], moving: set[Var], cut: bool) -> None:
        """Finds what a list of atoms is to be had from. Without `cut`, everything is computed again."""
        stack = [a for a in atoms if isinstance(a, Var) and a not in moving]
        seen: set[Var] = set()
        while stack:
            v = stack.pop()
            if v in seen or v in self.constants:
                continue
            seen.add(v)
            if v in self.number:
                self.read_inputs[v] = None
                continue
            eq = self.made[v]
            kernel = eq.primitive.kernel
            cheap = isinstance(kernel, (Pointwise, View))
            if isinstance(kernel, Pointwise) and kernel.cost >= EXPENSIVE and v not in self.results:
                # Forward computes it anyway, and reading it costs less than doing so again: the erf of gelu.
                cheap = id(eq) not in self.forwards
            if v in self.results and (self.save_outputs or (cut and not cheap)):
                self.read_outputs[v] = None
            elif cut and not cheap and any(isinstance(a, Var) for a in eq.inputs):
                self.private[v] = None
            else:
                self.again_equations.add(id(eq))
                stack += [a for a in eq.inputs if isinstance(a, Var)]


def _ancestors(equations: Sequence[Equation], outputs: Sequence[Atom]) -> set[int]:
    """The equations (by id) that the outputs are made of."""
    needed = {a for a in outputs if isinstance(a, Var)}
    found: set[int] = set()
    for eq in reversed(equations):
        if not needed.isdisjoint(eq.outputs):
            found.add(id(eq))
            needed.update(a for a in eq.inputs if isinstance(a, Var))
    return found


def _program(inputs: Sequence[Var], equations: Sequence[Equation], outputs: Sequence[Atom], of: Program) -> Program:
    made = {v for eq in equations for v in eq.outputs} | set(inputs)
    program = eliminate_dead_code(Program(tuple(inputs), tuple(equations), tuple(outputs), of.constants, of.name))
    used = {a for eq in program.equations for a in eq.inputs} | set(program.outputs)
    constants = tuple(pair for pair in of.constants if pair[0] in used and pair[0] not in made)
    return Program(program.inputs, program.equations, program.outputs, constants, of.name)


def _aliases(program: Program, count: int) -> tuple[int, ...]:
    """Which of the first outputs may lie in the memory of an input or a constant: an operation that is no view copies them."""
    made = {v: eq for eq in program.equations for v in eq.outputs}

    def looks(atom: Atom) -> bool:
        while isinstance(atom, Var) and atom in made and isinstance(made[atom].primitive.kernel, View):
            atom = made[atom].inputs[0]
        return isinstance(atom, Var) and atom not in made

    return tuple([i for i, a in enumerate(program.outputs[:count]) if looks(a)])


def _fresh(program: Program) -> tuple[bool, ...]:
    """Which outputs are new memory that nothing else refers to."""
    made = {v: eq for eq in program.equations for v in eq.outputs}
    found = []
    for a in program.outputs:
        eq = made.get(a) if isinstance(a, Var) else None
        found.append(
            eq is not None
            and isinstance(eq.primitive.kernel, (Pointwise, Contraction))
            and program.outputs.count(a) == 1
        )
    return tuple(found)


# ---- running ----


def runner(program: Program) -> Runner:
    """How a Program runs: as Python over NumPy, compiled, or, on tracers, through `bind`."""
    large = _is_large(program)
    plain = compiled_runner(program) if large else _python_runner(program)
    if large or all(isinstance(eq.primitive.kernel, View) for eq in program.equations):
        return lambda *values: run(program, *values) if Tracer in map(type, values) else plain(*values)

    keeps = all(isinstance(eq.primitive.kernel, (Pointwise, View)) for eq in program.equations)

    def in_order(*values: Any) -> Sequence[Any]:
        if Tracer in map(type, values):
            return run(program, *values)
        outs = plain(*values)
        for o in outs:
            if not o.flags.c_contiguous:
                return _ordered(outs, values, keeps)
        return outs

    return in_order


def _ordered(outs: Sequence[Any], values: Sequence[Any], keeps: bool) -> Sequence[Any]:
    """Results in the order that PyTorch gives them, for a user's `view` to fit: elementwise operations keep their operands' order
    (except that NumPy puts the axes of expanded ones innermost), all others give C order."""
    if keeps and not any(type(v) is np.ndarray and v.size > 1 and 0 in v.strides for v in values):
        return outs
    return [np.ascontiguousarray(o) if o.ndim else o for o in outs]


def _is_large(program: Program) -> bool:
    work = 0
    size = 0
    for eq in program.equations:
        kernel = eq.primitive.kernel
        if isinstance(kernel, View):
            continue
        size = max(size, *[v.type.size for v in eq.outputs], *[a.type.size for a in eq.inputs], 0)
        if isinstance(kernel, Contraction):
            (contract, _), _ = eq.params["dims"]
            work += eq.outputs[0].type.size * int(np.prod([eq.inputs[0].type.shape[i] for i in contract]))
    return size >= COMPILE_FROM or work >= COMPILE_WORK


def _python_runner(program: Program) -> Runner:
    """The Program as one Python function, a line for each equation. NumPy's warnings are off, as in every transform."""
    names: dict[Any, str] = {}
    scope: dict[str, Any] = {}

    def text(atom: Atom) -> str:
        if isinstance(atom, Literal):
            name = f"n{len(scope)}"
            scope[name] = atom.value
            return name
        return names.setdefault(atom, f"v{len(names)}")

    for var, value in program.constants:
        scope[text(var)] = value
    inputs = ", ".join(text(v) for v in program.inputs)
    lines = [f"def run({inputs}):"]
    silent = True
    for i, eq in enumerate(program.equations):
        silent = silent and isinstance(eq.primitive.kernel, View)
        function = f"f{i}"
        scope[function] = eq.primitive.impl
        scope.update({f"p{i}_{k}": v for k, v in eq.params.items()})
        arguments = ", ".join([*[text(a) for a in eq.inputs], *[f"{k}=p{i}_{k}" for k in eq.params]])
        targets = ", ".join(text(v) for v in eq.outputs) + ("," if eq.primitive.multiple else "")
        lines.append(f"    {targets} = {function}({arguments})")
    lines.append(f"    return ({''.join(text(a) + ', ' for a in program.outputs)})")
    exec("\n".join(lines), scope)
    plain = scope["run"]
    if silent:
        return plain
    if any(eq.primitive.effect for eq in program.equations):
        return _loudly_silent(plain)
    return lambda *values: state.quiet.run(plain, *values)


def _loudly_silent(plain: Runner) -> Runner:
    # A callback may come back to this room, and a context cannot be entered twice.
    def call(*values: Any) -> Sequence[Any]:
        with np.errstate(all="ignore"):
            return plain(*values)

    return call
