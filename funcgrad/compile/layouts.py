"""Program -> Program with every view resolved: for each value the buffer it lies in and how, copies put in where needed.

After this pass every value is one of: made by a kernel, a product, a host call (then it has a buffer of its own, in C order),
a part of an assembled buffer, or a view of one of these, of an input, of a constant or of a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.compile import blas
from funcgrad.core.lowering import Assembly, Choice, Contraction, Layout, Loop, Pointwise, Reduction, Routine, View
from funcgrad.core.primitive import Primitive
from funcgrad.core.program import Atom, Equation, Literal, Program, Var
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import reshape
from funcgrad.ops.views import contiguous, is_contiguous

COPY = Primitive(
    "copy", lambda x: np.array(x), lambda x: array_type(x.shape, x.dtype), kernel=Pointwise("{0}", kinds="fiubc")
)
"""Stores a value again, in C order or into a part of a buffer."""
DTYPES = frozenset("?bhilqBHILQfd")
"""NumPy's codes of the dtypes that kernels compute with; the others are host calls."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where a value lies: a layout of a buffer, which is a Var or a number."""

    base: Atom
    layout: Layout | None = None


@dataclass(eq=False)
class Lowered:
    """What `resolve` gives. `sources`: where each Var lies; `targets`: what is stored into a part of another's buffer;
    `host`: equations that NumPy runs; `order`: the number of each equation by id; `assembled`: an assembled buffer and the
    copies that write its parts; `after`: a copy that must follow another one."""

    program: Program
    equations: list[Equation] = field(default_factory=list)
    outputs: list[Var] = field(default_factory=list)
    sources: dict[Var, Part] = field(default_factory=dict)
    targets: dict[Var, tuple[Var, Layout]] = field(default_factory=dict)
    host: set[Equation] = field(default_factory=set)
    order: dict[int, int] = field(default_factory=dict)
    assembled: dict[Var, list[Var]] = field(default_factory=dict)
    after: dict[Var, Var] = field(default_factory=dict)
    kept: set[Var] = field(default_factory=set)
    views: dict[Var, Equation] = field(default_factory=dict)


def resolve(program: Program) -> Lowered:
    """Finds where every value lies; adds the copies that reshapes of scattered values and Program outputs need."""
    low = Lowered(program)
    for var in [*program.inputs, *[v for v, _ in program.constants]]:
        low.sources[var] = Part(var, contiguous(var.type.shape))
    renamed: dict[Var, Atom] = {}
    for eq in program.equations:
        _lower(low, eq, renamed)
    made = {v for eq in low.equations for v in eq.outputs if not isinstance(_kernel(low, eq), View)}
    for atom in program.outputs:
        atom = renamed.get(atom, atom) if isinstance(atom, Var) else atom
        if not isinstance(atom, Var) or atom not in made or atom in low.kept:
            atom = _copy(low, atom, atom.type)
        low.kept.add(atom)
        low.outputs.append(atom)
    low.views.update({eq.outputs[0]: eq for eq in low.equations if isinstance(_kernel(low, eq), View)})
    low.order.update({id(eq): i for i, eq in enumerate(low.equations)})
    return low


def _kernel(low: Lowered, eq: Equation) -> Any:
    return None if eq in low.host else eq.primitive.kernel


def _copy(low: Lowered, atom: Atom, kind: ArrayType) -> Var:
    out = Var(array_type(kind.shape, kind.dtype, kind.weak))
    eq = Equation(COPY, (atom,), {}, (out,))
    low.equations.append(eq)
    if not computable([kind]):
        low.host.add(eq)
    low.sources[out] = Part(out, contiguous(kind.shape))
    return out


def _in_order(low: Lowered, atom: Atom) -> Var:
    """A value that lies in C order in a buffer of its own: itself, or a copy."""
    assert isinstance(atom, Var)
    part = low.sources[atom]
    if isinstance(part.base, Var) and part.layout == contiguous(atom.type.shape):
        return atom
    return _copy(low, atom, atom.type)


def _argument(low: Lowered, eq: Equation, number: int, kernel: Routine) -> Atom:
    """An argument of a routine: a value in C order, or the number that all of its elements are."""
    atom = eq.inputs[number]
    base = low.sources[atom].base if isinstance(atom, Var) else atom
    if not isinstance(base, Literal):
        return _in_order(low, atom)
    dtype = np.result_type(eq.outputs[0].type.dtype, base.value) if atom.type.weak else atom.type.dtype
    if number == kernel.start:
        return Literal(base.value, array_type(atom.type.shape, dtype))
    return _copy(low, atom, array_type(atom.type.shape, dtype if atom.type.dtype.kind == "f" else atom.type.dtype))


def computable(types: Sequence[ArrayType]) -> bool:
    """Whether kernels know all these dtypes."""
    return all(t.dtype.char in DTYPES and t.dtype.isnative for t in types)


def _lower(low: Lowered, eq: Equation, renamed: dict[Var, Atom]) -> None:
    inputs = tuple([renamed.get(a, a) if isinstance(a, Var) else a for a in eq.inputs])
    eq = Equation(eq.primitive, inputs, eq.params, eq.outputs, eq.source)
    kernel = eq.primitive.kernel
    if isinstance(kernel, (Loop, Choice)):
        eq = _control(low, eq, kernel)
        inputs = eq.inputs
    types = [a.type for a in (*inputs, *eq.outputs)]
    if isinstance(kernel, Reduction) and all(inputs[0].type.shape[i] == 1 for i in eq.params["axes"]):
        eq = Equation(reshape, inputs, {"shape": eq.outputs[0].type.shape}, eq.outputs, eq.source)
        kernel = reshape.kernel
    if isinstance(kernel, View):
        _lower_view(low, eq, kernel)
        return
    host = (
        kernel is None
        or any(t.size == 0 for t in types)
        or not computable(types)
        or (isinstance(kernel, Pointwise) and not _has_text(kernel, eq))
        or (
            isinstance(kernel, Reduction)
            and (eq.outputs[0].type.dtype.kind not in kernel.kinds or isinstance(inputs[0], Literal))
        )
        or (isinstance(kernel, Contraction) and not _is_blas(eq))
        or not isinstance(kernel, (Pointwise, Reduction, Contraction, Assembly, Loop, Choice, Routine))
    )
    if isinstance(kernel, Contraction) and not host:
        eq = _factors(low, eq)
    if isinstance(kernel, Routine) and not host:
        inputs = tuple([_argument(low, eq, i, kernel) for i in range(len(inputs))])
        eq = Equation(eq.primitive, inputs, eq.params, eq.outputs, eq.source)
    if isinstance(kernel, Assembly) and not host:
        parts = kernel.parts([a.type for a in inputs], eq.params)
        whole = parts is not None and all(source == contiguous(inputs[i].type.shape) for i, _, source in parts)
        if parts is not None and whole:
            _assemble(low, eq, kernel, parts)
            return
        host = True
    if host:
        low.host.add(eq)
    low.equations.append(eq)
    for v in eq.outputs:
        low.sources[v] = Part(v, contiguous(v.type.shape))


def _control(low: Lowered, eq: Equation, kernel: Loop | Choice) -> Equation:
    """A loop or choice whose arguments lie in C order with the types that its Program declares: copies where they do not."""
    if isinstance(kernel, Choice):
        wanted = [array_type((), np.dtype(np.int64)), *eq.params["programs"][0].in_types]
    else:
        first = eq.params["consts"] + eq.params["carry"]
        inner = eq.params["program"].in_types
        wanted = [*inner[:first], *[array_type((eq.params["length"], *t.shape), t.dtype) for t in inner[first:]]]
        if eq.params["length"] is None:
            wanted.append(array_type((), np.dtype(bool)))
    args: list[Atom] = []
    for a, kind in zip(eq.inputs, wanted, strict=True):
        part = low.sources[a] if isinstance(a, Var) else None
        fits = (
            part is not None and isinstance(part.base, Var) and a.type.dtype == kind.dtype and a.type.size
            and part.layout is not None and is_contiguous(part.layout)
        )  # fmt: skip
        args.append(a if fits else _copy(low, a, kind))
    return Equation(eq.primitive, tuple(args), eq.params, eq.outputs, eq.source)


def compute_dtype(kernel: Pointwise, eq: Equation) -> np.dtype:
    """The dtype in which an elementwise equation computes."""
    if not kernel.compares:
        return eq.outputs[0].type.dtype
    types = [a.type for a in eq.inputs]
    strong = [t.dtype for t in types if not t.weak] or [t.dtype for t in types]
    weak = [
        type(a.value)(0)
        for a in eq.inputs
        if isinstance(a, Literal) and a.type.weak and isinstance(a.value, (int, float))
    ]
    return np.result_type(*strong, *weak)


def _has_text(kernel: Pointwise, eq: Equation) -> bool:
    if compute_dtype(kernel, eq).kind not in kernel.kinds or compute_dtype(kernel, eq).char not in DTYPES:
        return False
    return kernel.expression(eq.params) is not None


def _is_blas(eq: Equation) -> bool:
    dtypes = {a.type.dtype for a in (*eq.inputs, *eq.outputs)}
    return len(dtypes) == 1 and next(iter(dtypes)).char in "fd" and all(isinstance(a, Var) for a in eq.inputs)


def _factors(low: Lowered, eq: Equation) -> Equation:
    """A product of matrices with copies of the factors that no GEMM can read where they lie, if a copy helps."""
    kind = f"f{8 * eq.outputs[0].type.dtype.itemsize}"
    parts = [low.sources[a] for a in eq.inputs if isinstance(a, Var)]
    have = [p.layout if isinstance(p.base, Var) else None for p in parts]
    for copied in ((), (0,), (1,), (0, 1)):
        x, y = [contiguous(eq.inputs[i].type.shape) if i in copied else have[i] for i in (0, 1)]
        if x is not None and y is not None and blas.product(kind, x, y, eq.params["dims"]) is not None:
            inputs = tuple([_copy(low, a, a.type) if i in copied else a for i, a in enumerate(eq.inputs)])
            return Equation(eq.primitive, inputs, eq.params, eq.outputs, eq.source)
    return eq


def _lower_view(low: Lowered, eq: Equation, kernel: View) -> None:
    x, out = eq.inputs[0], eq.outputs[0]
    if isinstance(x, Literal):
        low.sources[out] = Part(x, Layout(out.type.shape, (0,) * out.type.ndim))
        low.equations.append(eq)
        return
    source = low.sources[x]
    assert source.layout is not None
    layout = kernel.layout(source.layout, eq.params)
    if layout is None:
        copy = _copy(low, x, x.type)
        low.equations.append(Equation(eq.primitive, (copy,), eq.params, eq.outputs, eq.source))
        layout = kernel.layout(contiguous(x.type.shape), eq.params)
        assert layout is not None
        low.sources[out] = Part(copy, layout)
        return
    low.equations.append(eq)
    low.sources[out] = Part(source.base, layout)


def _assemble(low: Lowered, eq: Equation, kernel: Assembly, parts: Sequence[tuple[int, Layout, Layout]]) -> None:
    """Parts of a buffer, each stored by a copy; before them the whole is filled if the parts leave gaps."""
    out = eq.outputs[0]
    written: list[Var] = []
    if kernel.fill is not None:
        written.append(_part(low, eq, kernel.fill, Layout(out.type.shape, contiguous(out.type.shape).strides)))
    written += [_part(low, eq, i, target) for i, target, _ in parts]
    low.equations.append(eq)
    low.sources[out] = Part(out, contiguous(out.type.shape))
    low.assembled[out] = written
    if kernel.fill is not None:
        low.after.update(dict.fromkeys(written[1:], written[0]))


def _part(low: Lowered, eq: Equation, number: int, target: Layout) -> Var:
    out = eq.outputs[0]
    piece = Var(array_type(target.shape, out.type.dtype))
    low.equations.append(Equation(COPY, (eq.inputs[number],), {}, (piece,), eq.source))
    low.targets[piece] = (out, target)
    low.sources[piece] = Part(piece, contiguous(target.shape))
    return piece
