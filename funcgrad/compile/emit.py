"""Kernel -> Python source that numba compiles, and the table of arguments that it reads.

    def kernel(args, lo, hi):     # args: address of a table of 64-bit words: pointers, then sizes, strides and numbers
        x0 = word(args, 0)
        for i in range(lo, hi):
            t0 = load_f64(x0, i)
            ...

Sizes are words of the table, so a new shape has the same text. Loop dimensions along which all accesses are contiguous are
one dimension. The range [lo, hi) goes over rows, or over elements if a row is all there is; `Emitted.units` says how many.

Forms: "flat" (one dimension), "rows" (outer dimensions in the range, the last one inside), "columns" (the last one in the
range), "fold" (rows whose inner dimensions are reduced, in phases: what a later reduction needs of an earlier one starts a new
pass over the row), "fold_columns" (the same with the last dimension kept: results are arrays), "partial".
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.compile.fuse import CHUNK
from funcgrad.compile.layouts import Lowered, compute_dtype
from funcgrad.compile.steps import Kernel, span
from funcgrad.core.lowering import Layout, Pointwise, Reduction
from funcgrad.core.program import Atom, Equation, Literal, Var

BAKED = frozenset([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, 4.0])
"""Numbers that stand in the text; others are words of the table, so that kernels differ by them no more than by sizes."""
LINE = 128
"""Bytes that threads keep apart: two lines of the cache, which come in pairs."""
EXPENSIVE = 10
"""The cost from which a value needed in two passes over a row is stored rather than computed again."""


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
    functions: set[str] = field(default_factory=set)


def suffix(dtype: np.dtype) -> str:
    """f32, i64, b8, ...: how the functions of kernels name a dtype."""
    return "b8" if dtype.kind == "b" else f"{dtype.kind}{dtype.itemsize * 8}"


def emit(k: Kernel, low: Lowered) -> Emitted:
    """The text of a kernel and its table."""
    return _Emitter(k, low).run()


class _Emitter:
    def __init__(self, k: Kernel, low: Lowered):
        self.k, self.low = k, low
        self.out = Emitted()
        self.made: dict[Var, Equation] = {v: eq for eq in k.members for v in eq.outputs}
        self.views: dict[Var, Equation] = low.views
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

    def run(self) -> Emitted:
        self.find_phases()
        self.arrange()
        lines = self.form()
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

    # ---- what is read and written, along which dimensions ----

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

    # ---- loops ----

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
        self.cost = sum(_cost(eq) for eq in k.members) + len(accesses)

    def may_spill(self, eq: Equation) -> bool:
        """Whether a value may yet be given an array of its own."""
        return not self.k.partial and (self.is_fold(eq) or _cost(eq) >= 4)

    def together(self, a: int, b: int, accesses: Sequence[Access], spans: Sequence[frozenset[int]]) -> bool:
        reduced = self.k.reduced or frozenset()
        if (a in reduced) != (b in reduced) or any((a in s) != (b in s) for s in spans):
            return False
        return all(x.strides[a] == x.strides[b] * self.k.sizes[b] for x in accesses)

    def size(self, group: Sequence[int]) -> int:
        return math.prod(self.k.sizes[d] for d in group)

    # ---- the table ----

    def pointer(self, access: Access) -> str:
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
        return self.word(f"size {group[0]}", self.size(group))

    # ---- forms ----

    def form(self) -> list[str]:
        if self.k.partial:
            return self.partial()
        if not self.folded:
            return self.elementwise()
        if not self.kept or self.dims[-1] in self.folded:
            return self.fold()
        return self.fold_columns()

    def elementwise(self) -> list[str]:
        """Forms "flat", "rows" and "columns": nothing is reduced."""
        values = list(self.k.stored)
        if not self.dims:
            self.store_all(values)
            return []
        *outer, last = self.dims
        rows, columns = math.prod(map(self.size, outer)), self.size(last)
        by_columns = rows < 8 and columns >= 4096
        self.inner = frozenset(last)
        self.indices[last[0]] = "i" if by_columns or not outer else "j"
        whole = self.rows_of(outer, "r" if by_columns else "i")
        self.store_all(values)
        if not outer:
            self.units, self.out.work = columns, self.cost
            self.out.units, self.out.multiple = columns, 1024
            return block("for i in range(lo, hi):", self.loop)
        if by_columns:
            self.out.units, self.out.work, self.out.multiple = columns, self.cost * rows, 1024
            inner = block("for i in range(lo, hi):", self.loop)
            return block(f"for r in range({self.word('rows', rows)}):", [*whole, *self.row, *inner])
        self.out.units, self.out.work = rows, self.cost * columns
        inner = block(f"for j in range({self.length(last)}):", self.loop) if self.loop else []
        return block("for i in range(lo, hi):", [*whole, *self.row, *inner])

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

    def store_all(self, values: Sequence[Var]) -> None:
        """Computes values and writes them, each at its own level."""
        for v in values:
            if v not in self.reload:
                self.store(v, self.member(v))

    def store(self, v: Var, text: str) -> None:
        access = self.target(v)
        level = self.level(span(self.k.axes[v]), self.phase[v])
        line = f"store_{suffix(access.dtype)}({self.pointer(access)}, {self.index(access)}, {text})"
        getattr(self, level).append(line)

    def fold(self) -> list[str]:
        """Rows whose inner dimensions are reduced to scalars, pass after pass."""
        self.inner = frozenset(d for g in self.folded for d in g)
        for n, g in enumerate(self.folded):
            self.indices[g[0]] = f"j{n}"
        whole = self.rows_of(self.kept, "i")
        self.spill()
        lines: list[str] = []
        for phase in range(max(self.phase.values()) + 1):
            ready = [v for v in self.k.stored if self.phase[v] == phase]
            folds = [eq for eq in self.k.members if self.is_fold(eq) and self.phase[eq.outputs[0]] == phase]
            self.store_all(
                [v for v in ready if not self.is_fold(self.made[v]) and self.level(span(self.k.axes[v])) != "loop"]
            )
            full = [v for v in ready if span(self.k.axes[v]) & self.inner]
            accumulate = self.accumulate(folds)
            self.store_all(full)
            lines += self.row
            self.row = []
            if self.loop:
                lines += self.nest([*self.loop, *accumulate])
            self.forget_loop(full)
            for eq in folds:
                if eq.outputs[0] in self.k.stored:
                    self.store_row(eq.outputs[0])
        lines += self.row
        self.row = []
        self.out.units = math.prod(map(self.size, self.kept))
        self.out.work = self.cost * math.prod(map(self.size, self.folded))
        return block("for i in range(lo, hi):", [*whole, *lines])

    def store_row(self, v: Var) -> None:
        access = self.target(v)
        self.row.append(f"store_{suffix(access.dtype)}({self.pointer(access)}, {self.index(access)}, {self.find(v)})")

    def nest(self, body: list[str]) -> list[str]:
        for n, g in reversed(list(enumerate(self.folded))):
            body = block(f"for j{n} in range({self.length(g)}):", body)
        return body

    def forget_loop(self, stored: Sequence[Var]) -> None:
        """The end of a pass: what was computed in it is gone; what was stored can be read again."""
        self.loop = []
        self.scopes["loop"] = {}
        self.reload.update(v for v in stored if self.cost_of[v] >= 4)

    def is_fold(self, eq: Equation) -> bool:
        return isinstance(eq.primitive.kernel, Reduction)

    def accumulate(self, folds: Sequence[Equation]) -> list[str]:
        """Starts an accumulator for each reduction and gives the lines that add to it."""
        lines = []
        for eq in folds:
            out, kernel = eq.outputs[0], eq.primitive.kernel
            assert isinstance(kernel, Reduction)
            x = self.value(self.source(eq, 0), out.type.dtype)
            if not self.loop_has(x):
                x = self.lift(x)
            name = self.put(out, "row", start_of(kernel, out.type.dtype))
            lines.append(f"{name} = {combined(kernel, out.type.dtype, name, x)}")
        return lines

    def loop_has(self, name: str) -> bool:
        return name in self.scopes["loop"].values() or not name.isidentifier()

    def lift(self, name: str) -> str:
        """A value of the row as one of the loop, so that a loop is there to add it in."""
        self.loop.append(f"{name}_ = {name}")
        return f"{name}_"

    def spill(self) -> None:
        """Stores the expensive values that more than one pass needs."""
        wanted_elsewhere = list(self.k.stored)
        self.cost_of = {eq.outputs[0]: _cost(eq) for eq in self.k.members}
        passes: dict[Var, set[int]] = {v: set() for v in self.made}
        for eq in reversed(self.k.members):
            v = eq.outputs[0]
            if self.is_fold(eq):
                wanted = {self.phase[v]}
            else:
                if v in self.k.stored:
                    passes[v].add(self.phase[v])
                if len(passes[v]) > 1 and self.cost_of[v] >= EXPENSIVE and span(self.k.axes[v]) & self.inner:
                    if v not in self.k.stored:
                        self.lodge(v, max(passes[v]), wanted_elsewhere)
                    self.k.stored.setdefault(v)
                    passes[v] = {self.phase[v]}
                wanted = passes[v]
            for i in range(len(eq.inputs)):
                what = self.source(eq, i)
                if isinstance(what, Var) and not self.is_fold(self.made[what]):
                    passes[what] |= wanted

    def lodge(self, v: Var, last: int, results: Sequence[Var]) -> None:
        """Lets a spilled value live where a result will be, if each element's last reader is what writes the result there."""
        there = [r for r in results if self.phase[r] == last and span(self.k.axes[r]) & self.inner]
        if len(there) != 1 or there[0] in self.lodgers.values() or self.is_fold(self.made[there[0]]):
            return
        mine, its = self.target(v), self.target(there[0])
        if mine.dtype == its.dtype and mine.strides == its.strides:
            self.lodgers[v] = there[0]

    def fold_columns(self) -> list[str]:
        """Reductions that keep the last dimension: their results are arrays, the innermost loop runs along these."""
        *outer, last = self.kept
        self.inner = frozenset([*last, *(d for g in self.folded for d in g)])
        for n, g in enumerate(self.folded):
            self.indices[g[0]] = f"j{n}"
        self.indices[last[0]] = "p"
        whole = self.rows_of(outer, "i") if outer else []
        self.spill()
        self.spill_columns(frozenset(last))
        column = f"for p in range({self.length(last)}):" if outer else "for p in range(lo, hi):"
        deep = frozenset(d for g in self.folded for d in g)
        lines: list[str] = []
        for phase in range(max(self.phase.values()) + 1):
            ready = [v for v in self.k.stored if self.phase[v] == phase and not self.is_fold(self.made[v])]
            folds = [eq for eq in self.k.members if self.is_fold(eq) and self.phase[eq.outputs[0]] == phase]
            shallow = [v for v in ready if not span(self.k.axes[v]) & deep]
            self.store_all(shallow)
            for eq in folds:
                self.store_start(eq)
            lines += self.pass_of(column, shallow)
            full = [v for v in ready if span(self.k.axes[v]) & deep]
            for eq in folds:
                self.add_in_place(eq)
            self.store_all(full)
            inner, self.loop = self.loop, []
            lines += self.row
            self.row = []
            if inner:
                lines += self.nest(block(column, inner))
            self.forget_loop(full)
            self.reload.update(eq.outputs[0] for eq in folds)
        elements = math.prod(map(self.size, self.folded))
        if outer:
            self.out.units = math.prod(map(self.size, outer))
            self.out.work = self.cost * elements * self.size(last)
            # The results are added to in memory: two threads must not do so in one line of the cache.
            narrowest = min(self.target(v).dtype.itemsize for v in self.k.stored)
            self.out.multiple = -(-LINE // max(self.size(last) * narrowest, 1))
            return block("for i in range(lo, hi):", [*whole, *lines])
        self.out.units, self.out.work, self.out.multiple = self.size(last), self.cost * elements, 64
        return lines

    def pass_of(self, header: str, stored: Sequence[Var]) -> list[str]:
        lines = [*self.row, *(block(header, self.loop) if self.loop else [])]
        self.row = []
        self.forget_loop([])
        self.reload.update(stored)
        return lines

    def spill_columns(self, last: frozenset[int]) -> None:
        """Reductions' results, and what is expensive along the last dimension only, live in arrays."""
        for eq in self.k.members:
            v = eq.outputs[0]
            if self.is_fold(eq):
                self.k.stored.setdefault(v)
            elif self.cost_of[v] >= 4 and span(self.k.axes[v]) and span(self.k.axes[v]) <= last:
                self.k.stored.setdefault(v)

    def store_start(self, eq: Equation) -> None:
        kernel, out = eq.primitive.kernel, eq.outputs[0]
        assert isinstance(kernel, Reduction)
        access = self.target(out)
        start = start_of(kernel, out.type.dtype)
        self.loop.append(f"store_{suffix(access.dtype)}({self.pointer(access)}, {self.index(access)}, {start})")

    def add_in_place(self, eq: Equation) -> None:
        kernel, out = eq.primitive.kernel, eq.outputs[0]
        assert isinstance(kernel, Reduction)
        x = self.value(self.source(eq, 0), out.type.dtype)
        access = self.target(out)
        at = f"{self.pointer(access)}, {self.index(access)}"
        have = f"load_{suffix(access.dtype)}({at})"
        self.loop.append(f"store_{suffix(access.dtype)}({at}, {combined(kernel, out.type.dtype, have, x)})")

    def partial(self) -> list[str]:
        """Reductions to one number by ranges: each unit of the range folds one into its own element of each result."""
        folds = [eq for eq in self.k.members if eq.outputs[0] in self.k.stored and self.is_fold(eq)]
        parts = [eq.outputs[0] for eq in folds]
        self.cost_of = {eq.outputs[0]: _cost(eq) for eq in self.k.members}
        *outer, last = self.dims
        self.inner = frozenset(last)
        self.indices[last[0]] = "j"
        count = parts[0].type.size
        rows = math.prod(map(self.size, outer))
        whole = self.rows_of(outer, "r") if outer else []
        values = [self.value(self.source(eq, 0), eq.outputs[0].type.dtype) for eq in folds]
        self.store_all([v for v in self.k.stored if v not in parts])
        begin, add, save = [], [], []
        for eq, v, x in zip(folds, parts, values, strict=True):
            kernel, dtype, total = eq.primitive.kernel, v.type.dtype, self.name()
            assert isinstance(kernel, Reduction)
            begin.append(f"{total} = {start_of(kernel, dtype)}")
            add.append(f"{total} = {combined(kernel, dtype, total, x)}")
            save.append(f"store_{suffix(dtype)}({self.pointer(Access(v, 0, (), dtype))}, i, {total})")
        self.out.units, self.out.work = count, self.cost * self.size(last) * rows / count
        if not outer:
            bounds = [f"first = i * {CHUNK}", f"stop = min(first + {CHUNK}, {self.length(last)})"]
            inner = block("for j in range(first, stop):", [*self.loop, *add])
            return block("for i in range(lo, hi):", [*bounds, *begin, *self.row, *inner, *save])
        per = self.word("rows of a part", -(-rows // count))
        bounds = [f"first = i * {per}", f"stop = min(first + {per}, {self.word('rows', rows)})"]
        inner = block(f"for j in range({self.length(last)}):", [*self.loop, *add])
        each = block("for r in range(first, stop):", [*whole, *self.row, *inner])
        return block("for i in range(lo, hi):", [*bounds, *begin, *each, *save])

    # ---- values ----

    def name(self) -> str:
        self.count += 1
        return f"t{self.count - 1}"

    def find(self, key: Any) -> str | None:
        for scope in self.scopes.values():
            if key in scope:
                return scope[key]
        return None

    def level(self, dims: frozenset[int], phase: int = 0) -> str:
        if dims & self.inner:
            return "loop"
        return "row" if dims or phase else "top"

    def put(self, key: Any, level: str, text: str) -> str:
        name = self.name()
        getattr(self, level).append(f"{name} = {text}")
        self.scopes[level][key] = name
        return name

    def load(self, access: Access) -> str:
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
        dtype = compute_dtype(kernel, eq)
        bools = np.dtype(bool)
        args = [
            self.value(self.source(eq, i), bools if i < kernel.conditions else dtype) for i in range(len(eq.inputs))
        ]
        text = kernel.expression(eq.params)
        assert text is not None
        functions = _Functions(dtype, self.out.functions)
        done = re.sub(r"\{(\w+)\}", lambda m: args[int(m[1])] if m[1].isdigit() else functions.name(m[1]), text)
        out = eq.outputs[0].type.dtype
        if kernel.compares or (out == dtype and (out.char in "fdlLqQ?")):
            return done
        return f"{suffix(out)}({done})"


GENERIC = frozenset("where absolute copysign floor ceil trunc rint sqrt maximum minimum".split())
"""Functions of kernels that are one machine instruction, for any dtype."""


class _Functions:
    """The names of functions and constants in the dtype that an expression computes in; notes those that are used."""

    def __init__(self, dtype: np.dtype, used: set[str]):
        self.suffix, self.used = suffix(dtype), used

    def name(self, key: str) -> str:
        if key in ("one", "zero"):
            return f"{self.suffix}({int(key == 'one')})"
        if key == "inf":
            return f"{self.suffix}(inf)"
        if key in GENERIC:
            return key
        self.used.add(f"{key}_{self.suffix}")
        return f"{key}_{self.suffix}"


def cast(text: str, have: np.dtype, want: np.dtype) -> str:
    """A value converted as NumPy converts it."""
    if have == want:
        return text
    if want.kind == "b":
        return f"({text} != {suffix(have)}(0))"
    return f"{suffix(want)}({text})"


def block(header: str, body: Sequence[str]) -> list[str]:
    """Lines under a header, indented."""
    return [header, *[f"    {line}" for line in body]]


def _cost(eq: Equation) -> int:
    kernel = eq.primitive.kernel
    return kernel.cost if isinstance(kernel, Pointwise) else 1


def start_of(kernel: Reduction, dtype: np.dtype) -> str:
    """The text of what a reduction starts from."""
    if dtype.kind == "b":
        return "True" if kernel.start == "ones" else "False"
    if kernel.start in ("lowest", "highest") and dtype.kind in "iu":
        info = np.iinfo(dtype)
        return f"{suffix(dtype)}({info.min if kernel.start == 'lowest' else info.max})"
    number = {"zero": "0", "one": "1", "ones": "-1", "lowest": "-inf", "highest": "inf"}[kernel.start]
    return f"{suffix(dtype)}({number})"


_OPERATORS = {"and": "&", "or": "|", "xor": "^"}


def combined(kernel: Reduction, dtype: np.dtype, a: str, b: str) -> str:
    """The text of one step of a reduction. Floating sums may be done in any order, so that they become vectors."""
    if kernel.combine in _OPERATORS:
        text = f"{a} {_OPERATORS[kernel.combine]} {b}"
    elif kernel.combine in ("add", "mul"):
        sign = "+" if kernel.combine == "add" else "*"
        text = f"any_order_{kernel.combine}({a}, {b})" if dtype.kind == "f" else f"{a} {sign} {b}"
    else:
        text = f"{kernel.combine}({a}, {b})"
    return text if dtype.char in "fdlLqQ?" else f"{suffix(dtype)}({text})"
