"""What the forms of emit.py write a kernel with: its values by name, each computed once at the level where it belongs, its
pointers and words, its loop dimensions."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.compile.kernel_text import cast, function_name, suffix
from funcgrad.compile.layouts import Lowered, compute_dtype
from funcgrad.compile.steps import Kernel, span
from funcgrad.core.lowering import Layout, Pointwise, Reduction
from funcgrad.core.program import Atom, Equation, Literal, Var

BAKED = frozenset([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 4.0])
"""Numbers that stand in the text; others are words of the table, so that kernels differ by them no more than by sizes."""


@dataclass(frozen=True, slots=True)
class Access:
    """A pointer of the table: elements of `base` from `offset` on, with a stride for each loop dimension."""

    base: Var
    offset: int
    strides: tuple[int, ...]
    dtype: np.dtype


@dataclass(slots=True)
class Emitted:
    """A kernel's text and what its table holds. `words`: ints and floats behind the pointers; `units`: the range's length;
    `work`: rough cost of one unit; `grain`: units that must stay together."""

    text: str = ""
    pointers: list[Access] = field(default_factory=list)
    words: list[Any] = field(default_factory=list)
    units: int = 1
    work: float = 1.0
    multiple: int = 1


class Writer:
    """The text of one kernel in the making. `top`, `row` and `loop` are the lines of its three levels."""

    def __init__(self, k: Kernel, low: Lowered):
        self.k, self.low = k, low
        self.out = Emitted()
        self.made: dict[Var, Equation] = {v: eq for eq in k.members for v in eq.outputs}
        self.views: dict[Var, Equation] = low.views
        self.cost_of = {eq.outputs[0]: cost_of(eq) for eq in k.members}
        self.phase: dict[Var, int] = {}
        self.dims: list[list[int]] = []
        self.names: dict[Any, str] = {}
        self.words: dict[Any, str] = {}
        self.top: list[str] = []
        self.row: list[str] = []
        self.loop: list[str] = []
        self.scopes: dict[str, dict[Any, str]] = {"top": {}, "row": {}, "loop": {}}
        self.count = 0
        self.reload: set[Var] = set()
        self.lodgers: dict[Var, Var] = {}
        self.inner: frozenset[int] = frozenset()
        self.indices: dict[int, str] = {}
        self.kept: list[list[int]] = []
        self.folded: list[list[int]] = []
        self.find_phases()
        self.arrange()

    def finished(self, lines: Sequence[str]) -> Emitted:
        """The kernel around the lines of its form."""
        body = [f"    {line}" for line in [*self.head(), *self.top, *lines]]
        self.out.text = "def kernel(args, lo, hi):\n" + "\n".join(body) + "\n"
        return self.out

    def head(self) -> list[str]:
        """Reads the table: pointers first, then words."""
        n = len(self.out.pointers)
        pointers = [f"x{i} = word(args, {i})" for i in range(n)]
        return pointers + [f"{name} = word(args, {n + i})" for i, name in enumerate(self.words.values())]

    def find_phases(self) -> None:
        """In which pass over its row a value can be computed: after the reductions that it needs."""
        for eq in self.k.members:
            phase = 0
            for i in range(len(eq.inputs)):
                what = self.source(eq, i)
                if isinstance(what, Var):
                    folds = isinstance(self.made[what].primitive.kernel, Reduction)
                    phase = max(phase, self.phase[what] + folds)
            self.phase[eq.outputs[0]] = phase

    def source(self, eq: Equation, number: int) -> Var | Literal | Access:
        """What argument `number` of an equation is: a value of this kernel, a number, or an access."""
        atom: Atom = eq.inputs[number]
        axes = self.k.reads[id(eq), number]
        seen = atom
        while isinstance(seen, Var) and seen not in self.made and seen in self.views:
            seen = self.views[seen].inputs[0]
        if isinstance(seen, Var) and seen in self.made:
            return seen
        if isinstance(atom, Literal):
            return atom
        part = self.low.sources[atom]
        if isinstance(part.base, Literal):
            return part.base
        assert part.layout is not None
        return self.access(part.base, part.layout, axes, atom.type.dtype)

    def access(self, base: Var, layout: Layout, axes: Sequence[int], dtype: np.dtype) -> Access:
        """An access to a buffer by a value that runs along these dimensions."""
        strides = [0] * len(self.k.sizes)
        for d, s in zip(axes, layout.strides, strict=True):
            if d >= 0:
                strides[d] += s
        return Access(base, layout.offset, tuple(strides), dtype)

    def target(self, v: Var) -> Access:
        """Where a stored value goes."""
        v = self.lodgers.get(v, v)
        base, layout = self.low.targets.get(v, (v, None))
        if layout is None:
            layout = self.low.sources[v].layout
        assert layout is not None
        return self.access(base, layout, self.k.axes[v], v.type.dtype)

    def arrange(self) -> None:
        """Orders the dimensions and makes one of those that every access runs through as one."""
        k = self.k
        accesses = [self.target(v) for v in k.stored]
        spilled = [
            self.target(v) for v, eq in self.made.items() if k.reduced and v not in k.stored and self.may_spill(eq)
        ]
        full = [a for a in accesses if all(a.strides)]
        reads = [s for eq in k.members for i in range(len(eq.inputs)) if isinstance(s := self.source(eq, i), Access)]
        full = (
            full or sorted([a for a in reads if any(a.strides)], key=lambda a: -sum(map(bool, a.strides))) or accesses
        )
        order = list(range(len(k.sizes)))
        if full:
            order.sort(
                key=lambda d: (-abs(full[0].strides[d]) if full[0].strides[d] else -math.inf if d != k.last else 0, d)
            )
        spans = [span(a) for a in k.axes.values()]
        groups: list[list[int]] = []
        for d in order:
            if groups and self.together(groups[-1][-1], d, [*accesses, *spilled, *reads], spans):
                groups[-1].append(d)
            else:
                groups.append([d])
        self.dims = groups
        reduced = k.reduced or frozenset()
        self.kept = [g for g in groups if g[0] not in reduced]
        self.folded = [g for g in groups if g[0] in reduced]
        self.cost = sum(cost_of(eq) for eq in k.members) + len(accesses)

    def may_spill(self, eq: Equation) -> bool:
        """Whether a value may yet be given an array of its own."""
        return not self.k.partial and (self.is_fold(eq) or cost_of(eq) >= 4)

    def together(self, a: int, b: int, accesses: Sequence[Access], spans: Sequence[frozenset[int]]) -> bool:
        """Whether every access goes from one run through dimension b straight to the next step of dimension a."""
        reduced = self.k.reduced or frozenset()
        if (a in reduced) != (b in reduced) or any((a in s) != (b in s) for s in spans):
            return False
        return all(x.strides[a] == x.strides[b] * self.k.sizes[b] for x in accesses)

    def size(self, group: Sequence[int]) -> int:
        """The elements of a group of dimensions."""
        return math.prod(self.k.sizes[d] for d in group)

    def pointer(self, access: Access) -> str:
        """The name of a pointer of the table."""
        key = ("pointer", access.base, access.offset, access.strides)
        if key not in self.names:
            self.names[key] = f"x{len(self.out.pointers)}"
            self.out.pointers.append(access)
        return self.names[key]

    def word(self, what: str, value: int | float) -> str:
        """The name of a table word; `what` tells apart words that happen to be equal."""
        key = (what, value) if isinstance(value, float) else what
        if key not in self.words:
            self.words[key] = f"n{len(self.out.words)}"
            self.out.words.append(value)
        return self.words[key]

    def length(self, group: Sequence[int]) -> str:
        """The name of the word that holds the size of a group."""
        return self.word(f"size {group[0]}", self.size(group))

    def rows_of(self, groups: Sequence[Sequence[int]], name: str) -> list[str]:
        """The indices of some dimensions from the number of a row; sets `indices`."""
        if len(groups) == 1:
            self.indices[groups[0][0]] = name
            return []
        lines, rest = [], name
        for number, g in reversed(list(enumerate(groups))):
            index = f"{name}{number}"
            self.indices[g[0]] = index
            if number == 0:
                lines.append(f"{index} = {rest}")
            else:
                lines.append(f"{index} = remainder_of({rest}, {self.length(g)})")
                lines.append(f"{name}_{number} = quotient_of({rest}, {self.length(g)})")
                rest = f"{name}_{number}"
        return lines

    def is_fold(self, eq: Equation) -> bool:
        """Whether an equation is a reduction."""
        return isinstance(eq.primitive.kernel, Reduction)

    def name(self) -> str:
        """A new name."""
        self.count += 1
        return f"t{self.count - 1}"

    def find(self, key: Any) -> str | None:
        """The name under which something is known, at whatever level."""
        for scope in self.scopes.values():
            if key in scope:
                return scope[key]
        return None

    def level(self, dims: frozenset[int], phase: int = 0) -> str:
        """The level of what runs along these dimensions."""
        if dims & self.inner:
            return "loop"
        return "row" if dims or phase else "top"

    def put(self, key: Any, level: str, text: str) -> str:
        """Gives a text a name at a level."""
        name = self.name()
        getattr(self, level).append(f"{name} = {text}")
        self.scopes[level][key] = name
        return name

    def load(self, access: Access) -> str:
        """The name of an element read from memory."""
        key = ("load", access)
        found = self.find(key)
        if found is None:
            dims = frozenset(d for d, s in enumerate(access.strides) if s)
            text = f"load_{suffix(access.dtype)}({self.pointer(access)}, {self.index(access)})"
            found = self.put(key, self.level(dims), text)
        return found

    def index(self, access: Access) -> str:
        """The element that an access is at, from the loop indices; what belongs to the row is computed once."""
        outer: list[str] = []
        inner: list[str] = []
        pointer = self.pointer(access)
        for group in self.dims:
            stride = access.strides[group[-1]]
            if not stride:
                continue
            index = self.indices[group[0]]
            term = index if stride == 1 else f"{index} * {self.word(f'stride {pointer} {group[0]}', stride)}"
            (inner if group[0] in self.inner else outer).append(term)
        if not outer or not inner:
            return " + ".join(outer or inner) or "0"
        start = " + ".join(outer)
        key = ("start", start)
        base = self.find(key)
        if base is None:
            base = start if start.isidentifier() else self.put(key, "row", start)
            self.scopes["row"][key] = base
        return f"{base} + {' + '.join(inner)}"

    def value(self, what: Var | Literal | Access, dtype: np.dtype) -> str:
        """The name (or text) of a value, computed if it is not yet, as this dtype."""
        if isinstance(what, Literal):
            return self.number(what, dtype)
        if isinstance(what, Access):
            return cast(self.load(what), what.dtype, dtype)
        return cast(self.member(what), what.type.dtype, dtype)

    def number(self, literal: Literal, dtype: np.dtype) -> str:
        """The text of a number: written out, or a word of the table."""
        value = literal.value
        if dtype.kind == "b":
            return "True" if value else "False"
        if dtype.kind in "iu":
            text = str(int(value)) if abs(int(value)) <= 8 else self.word(f"integer {int(value)}", int(value))
            return f"{suffix(dtype)}({text})"
        real = float(value)
        if real in BAKED and not (real == 0 and math.copysign(1, real) < 0):
            return f"{suffix(dtype)}({real!r})"
        word = self.word("number", real)
        key = ("number", word, dtype)
        found = self.find(key)
        return found if found is not None else self.put(key, "top", f"{suffix(dtype)}(number({word}))")

    def member(self, v: Var) -> str:
        """The name of a value of this kernel."""
        found = self.find(v)
        if found is not None:
            return found
        if v in self.reload:
            name = self.load(self.target(v))
            self.scopes[self.level(span(self.k.axes[v]))][v] = name
            return name
        eq = self.made[v]
        kernel = eq.primitive.kernel
        assert isinstance(kernel, Pointwise), "a reduction's result is there before it is read"
        return self.put(v, self.level(span(self.k.axes[v]), self.phase[v]), self.expression(eq, kernel))

    def expression(self, eq: Equation, kernel: Pointwise) -> str:
        """The text of an elementwise equation, its arguments' names in it."""
        dtype = compute_dtype(kernel, eq)
        bools = np.dtype(bool)
        args = [
            self.value(self.source(eq, i), bools if i < kernel.conditions else dtype) for i in range(len(eq.inputs))
        ]
        text = kernel.expression(eq.params)
        assert text is not None
        done = re.sub(r"\{(\w+)\}", lambda m: args[int(m[1])] if m[1].isdigit() else function_name(m[1], dtype), text)
        out = eq.outputs[0].type.dtype
        if kernel.compares or (out == dtype and (out.char in "fdlLqQ?")):
            return done
        return f"{suffix(out)}({done})"


def cost_of(eq: Equation) -> int:
    """The rough cost of an equation, in additions."""
    kernel = eq.primitive.kernel
    return kernel.cost if isinstance(kernel, Pointwise) else 1
