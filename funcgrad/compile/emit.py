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
import os
from collections.abc import Sequence

from funcgrad.compile.fuse import CHUNK
from funcgrad.compile.kernel_text import block, combined, start_of, suffix
from funcgrad.compile.kernel_writer import Access, Emitted, Writer
from funcgrad.compile.layouts import Lowered
from funcgrad.compile.steps import Kernel, span
from funcgrad.core.lowering import Reduction
from funcgrad.core.program import Equation, Var

LINE = 128
"""Bytes that threads keep apart: two lines of the cache, which come in pairs."""
EXPENSIVE = 10
"""The cost from which a value needed in two passes over a row is stored rather than computed again."""


def emit(k: Kernel, low: Lowered) -> Emitted:
    """The text of a kernel and its table."""
    w = Writer(k, low)
    return w.finished(form(w))


def form(w: Writer) -> list[str]:
    """The lines of the form that the dimensions ask for."""
    if w.k.partial:
        return partial_rows(w) if w.kept else partial(w)
    if not w.folded:
        return elementwise(w)
    if not w.kept or w.dims[-1] in w.folded:
        return fold(w)
    return fold_columns(w)


def elementwise(w: Writer) -> list[str]:
    """Forms "flat", "rows" and "columns": nothing is reduced."""
    values = list(w.k.stored)
    if not w.dims:
        store_all(w, values)
        return []
    *outer, last = w.dims
    rows, columns = math.prod(map(w.size, outer)), w.size(last)
    by_columns = rows < 8 and columns >= 4096
    w.inner = frozenset(last)
    w.indices[last[0]] = "i" if by_columns or not outer else "j"
    whole = w.rows_of(outer, "r" if by_columns else "i")
    store_all(w, values)
    if not outer:
        w.out.units, w.out.work, w.out.multiple = columns, w.cost, 1024
        return block("for i in range(lo, hi):", w.loop)
    if by_columns:
        w.out.units, w.out.work, w.out.multiple = columns, w.cost * rows, 1024
        inner = block("for i in range(lo, hi):", w.loop)
        return block(f"for r in range({w.word('rows', rows)}):", [*whole, *w.row, *inner])
    w.out.units, w.out.work = rows, w.cost * columns
    inner = block(f"for j in range({w.length(last)}):", w.loop) if w.loop else []
    return block("for i in range(lo, hi):", [*whole, *w.row, *inner])


def store_all(w: Writer, values: Sequence[Var]) -> None:
    """Computes values and writes them, each at its own level."""
    for v in values:
        if v not in w.reload:
            store(w, v, w.member(v))


def store(w: Writer, v: Var, text: str) -> None:
    """Writes a value where it goes, at its level."""
    access = w.target(v)
    level = w.level(span(w.k.axes[v]), w.phase[v])
    line = f"store_{suffix(access.dtype)}({w.pointer(access)}, {w.index(access)}, {text})"
    getattr(w, level).append(line)


def fold(w: Writer) -> list[str]:
    """Rows whose inner dimensions are reduced to scalars, pass after pass."""
    w.inner = frozenset(d for g in w.folded for d in g)
    for n, g in enumerate(w.folded):
        w.indices[g[0]] = f"j{n}"
    whole = w.rows_of(w.kept, "i")
    spill(w)
    lines: list[str] = []
    for phase in range(max(w.phase.values()) + 1):
        ready = [v for v in w.k.stored if w.phase[v] == phase]
        folds = [eq for eq in w.k.members if w.is_fold(eq) and w.phase[eq.outputs[0]] == phase]
        store_all(w, [v for v in ready if not w.is_fold(w.made[v]) and w.level(span(w.k.axes[v])) != "loop"])
        full = [v for v in ready if span(w.k.axes[v]) & w.inner]
        adding = accumulate(w, folds)
        store_all(w, full)
        lines += w.row
        w.row = []
        if w.loop:
            lines += nest(w, w.folded, "j", [*w.loop, *adding])
        forget_loop(w, full)
        for eq in folds:
            if eq.outputs[0] in w.k.stored:
                store_row(w, eq.outputs[0])
    lines += w.row
    w.row = []
    w.out.units = math.prod(map(w.size, w.kept))
    w.out.work = w.cost * math.prod(map(w.size, w.folded))
    return block("for i in range(lo, hi):", [*whole, *lines])


def store_row(w: Writer, v: Var) -> None:
    """Writes a reduction's result, once the pass over its row is done."""
    access = w.target(v)
    w.row.append(f"store_{suffix(access.dtype)}({w.pointer(access)}, {w.index(access)}, {w.find(v)})")


def nest(w: Writer, groups: Sequence[Sequence[int]], name: str, body: list[str]) -> list[str]:
    """The loops over some dimensions, with indices of this name."""
    for n, g in reversed(list(enumerate(groups))):
        body = block(f"for {name}{n} in range({w.length(g)}):", body)
    return body


def forget_loop(w: Writer, stored: Sequence[Var]) -> None:
    """The end of a pass: what was computed in it is gone; what was stored can be read again."""
    w.loop = []
    w.scopes["loop"] = {}
    w.reload.update(v for v in stored if w.cost_of[v] >= 4)


def accumulate(w: Writer, folds: Sequence[Equation]) -> list[str]:
    """Starts an accumulator for each reduction and gives the lines that add to it."""
    lines = []
    for eq in folds:
        out, kernel = eq.outputs[0], eq.primitive.kernel
        assert isinstance(kernel, Reduction)
        x = w.value(w.source(eq, 0), out.type.dtype)
        if not loop_has(w, x):
            x = lift(w, x)
        name = w.put(out, "row", start_of(kernel, out.type.dtype))
        lines.append(f"{name} = {combined(kernel, out.type.dtype, name, x)}")
    return lines


def loop_has(w: Writer, name: str) -> bool:
    """Whether a value is made in the innermost loop."""
    return name in w.scopes["loop"].values() or not name.isidentifier()


def lift(w: Writer, name: str) -> str:
    """A value of the row as one of the loop, so that a loop is there to add it in."""
    w.loop.append(f"{name}_ = {name}")
    return f"{name}_"


def spill(w: Writer) -> None:
    """Stores the expensive values that more than one pass needs."""
    wanted_elsewhere = list(w.k.stored)
    passes: dict[Var, set[int]] = {v: set() for v in w.made}
    for eq in reversed(w.k.members):
        v = eq.outputs[0]
        if w.is_fold(eq):
            wanted = {w.phase[v]}
        else:
            if v in w.k.stored:
                passes[v].add(w.phase[v])
            if len(passes[v]) > 1 and w.cost_of[v] >= EXPENSIVE and span(w.k.axes[v]) & w.inner:
                if v not in w.k.stored:
                    lodge(w, v, max(passes[v]), wanted_elsewhere)
                w.k.stored.setdefault(v)
                passes[v] = {w.phase[v]}
            wanted = passes[v]
        for i in range(len(eq.inputs)):
            what = w.source(eq, i)
            if isinstance(what, Var) and not w.is_fold(w.made[what]):
                passes[what] |= wanted


def lodge(w: Writer, v: Var, last: int, results: Sequence[Var]) -> None:
    """Lets a spilled value live where a result will be, if each element's last reader is what writes the result there."""
    there = [r for r in results if w.phase[r] == last and span(w.k.axes[r]) & w.inner]
    if len(there) != 1 or there[0] in w.lodgers.values() or w.is_fold(w.made[there[0]]):
        return
    mine, its = w.target(v), w.target(there[0])
    if mine.dtype == its.dtype and mine.strides == its.strides:
        w.lodgers[v] = there[0]


def fold_columns(w: Writer) -> list[str]:
    """Reductions that keep the last dimension: their results are arrays, the innermost loop runs along these."""
    *outer, last = w.kept
    w.inner = frozenset([*last, *(d for g in w.folded for d in g)])
    for n, g in enumerate(w.folded):
        w.indices[g[0]] = f"j{n}"
    w.indices[last[0]] = "p"
    whole = w.rows_of(outer, "i") if outer else []
    spill(w)
    spill_columns(w, frozenset(last))
    column = f"for p in range({w.length(last)}):" if outer else "for p in range(lo, hi):"
    deep = frozenset(d for g in w.folded for d in g)
    lines: list[str] = []
    for phase in range(max(w.phase.values()) + 1):
        ready = [v for v in w.k.stored if w.phase[v] == phase and not w.is_fold(w.made[v])]
        folds = [eq for eq in w.k.members if w.is_fold(eq) and w.phase[eq.outputs[0]] == phase]
        shallow = [v for v in ready if not span(w.k.axes[v]) & deep]
        store_all(w, shallow)
        for eq in folds:
            store_start(w, eq)
        lines += pass_of(w, column, shallow)
        full = [v for v in ready if span(w.k.axes[v]) & deep]
        for eq in folds:
            add_in_place(w, eq)
        store_all(w, full)
        inner, w.loop = w.loop, []
        lines += w.row
        w.row = []
        if inner:
            lines += nest(w, w.folded, "j", block(column, inner))
        forget_loop(w, full)
        w.reload.update(eq.outputs[0] for eq in folds)
    elements = math.prod(map(w.size, w.folded))
    if outer:
        w.out.units = math.prod(map(w.size, outer))
        w.out.work = w.cost * elements * w.size(last)
        w.out.multiple = lines_apart(w, w.size(last))
        return block("for i in range(lo, hi):", [*whole, *lines])
    w.out.units, w.out.work, w.out.multiple = w.size(last), w.cost * elements, columns_together(w.size(last))
    return lines


def columns_together(columns: int) -> int:
    """How many columns a thread takes at least: of long rows a good piece, since a few elements of each are a page of memory
    each. A column's sum is the same however many its thread takes."""
    share = -(-columns // max(os.cpu_count() or 1, 2))
    return min(-(-share // 64) * 64, 512)


def pass_of(w: Writer, header: str, stored: Sequence[Var]) -> list[str]:
    """A loop over what has been gathered, after which `stored` can be read again."""
    lines = [*w.row, *(block(header, w.loop) if w.loop else [])]
    w.row = []
    forget_loop(w, [])
    w.reload.update(stored)
    return lines


def spill_columns(w: Writer, last: frozenset[int]) -> None:
    """Reductions' results, and what is expensive along the last dimension only, live in arrays."""
    for eq in w.k.members:
        v = eq.outputs[0]
        if w.is_fold(eq):
            w.k.stored.setdefault(v)
        elif w.cost_of[v] >= 4 and span(w.k.axes[v]) and span(w.k.axes[v]) <= last:
            w.k.stored.setdefault(v)


def store_start(w: Writer, eq: Equation, before: str = "") -> None:
    """Fills a result with what its reduction starts from; `before`: what stands in front of its indices."""
    kernel, out = eq.primitive.kernel, eq.outputs[0]
    assert isinstance(kernel, Reduction)
    access = w.target(out)
    start = start_of(kernel, out.type.dtype)
    w.loop.append(f"store_{suffix(access.dtype)}({w.pointer(access)}, {before}{w.index(access)}, {start})")


def add_in_place(w: Writer, eq: Equation, before: str = "") -> None:
    """One step of a reduction whose result is an array; `before` as in `store_start`."""
    kernel, out = eq.primitive.kernel, eq.outputs[0]
    assert isinstance(kernel, Reduction)
    x = w.value(w.source(eq, 0), out.type.dtype)
    access = w.target(out)
    at = f"{w.pointer(access)}, {before}{w.index(access)}"
    have = f"load_{suffix(access.dtype)}({at})"
    w.loop.append(f"store_{suffix(access.dtype)}({at}, {combined(kernel, out.type.dtype, have, x)})")


def partial(w: Writer) -> list[str]:
    """Reductions to one number by ranges: each unit of the range folds one into its own element of each result."""
    folds = [eq for eq in w.k.members if eq.outputs[0] in w.k.stored and w.is_fold(eq)]
    parts = [eq.outputs[0] for eq in folds]
    *outer, last = w.dims
    w.inner = frozenset(last)
    w.indices[last[0]] = "j"
    count = parts[0].type.size
    rows = math.prod(map(w.size, outer))
    whole = w.rows_of(outer, "r") if outer else []
    values = [w.value(w.source(eq, 0), eq.outputs[0].type.dtype) for eq in folds]
    store_all(w, [v for v in w.k.stored if v not in parts])
    begin, add, save = [], [], []
    for eq, v, x in zip(folds, parts, values, strict=True):
        kernel, dtype, total = eq.primitive.kernel, v.type.dtype, w.name()
        assert isinstance(kernel, Reduction)
        begin.append(f"{total} = {start_of(kernel, dtype)}")
        add.append(f"{total} = {combined(kernel, dtype, total, x)}")
        save.append(f"store_{suffix(dtype)}({w.pointer(Access(v, 0, (), dtype))}, i, {total})")
    w.out.units, w.out.work = count, w.cost * w.size(last) * rows / count
    if not outer:
        bounds = [f"first = i * {CHUNK}", f"stop = min(first + {CHUNK}, {w.length(last)})"]
        inner = block("for j in range(first, stop):", [*w.loop, *add])
        return block("for i in range(lo, hi):", [*bounds, *begin, *w.row, *inner, *save])
    bounds = rows_of_a_part(w, rows, count)
    inner = block(f"for j in range({w.length(last)}):", [*w.loop, *add])
    each = block("for r in range(first, stop):", [*whole, *w.row, *inner])
    return block("for i in range(lo, hi):", [*bounds, *begin, *each, *save])


def partial_rows(w: Writer) -> list[str]:
    """Reductions of many rows to one by ranges of rows: each unit of the range folds one into its own row of each result."""
    folds = [eq for eq in w.k.members if eq.outputs[0] in w.k.stored and w.is_fold(eq)]
    w.dims = [*w.folded, *w.kept]
    w.inner = frozenset(d for g in w.kept for d in g)
    for n, g in enumerate(w.kept):
        w.indices[g[0]] = f"p{n}"
    whole = w.rows_of(w.folded, "r")
    count, rows, columns = folds[0].outputs[0].type.shape[0], *[math.prod(map(w.size, d)) for d in (w.folded, w.kept)]
    for eq in folds:
        store_start(w, eq, "at + ")
    begin, w.loop = w.loop, []
    for eq in folds:
        add_in_place(w, eq, "at + ")
    store_all(w, [v for v in w.k.stored if v not in [eq.outputs[0] for eq in folds]])
    bounds = [f"at = i * {w.word('columns', columns)}", *rows_of_a_part(w, rows, count)]
    each = block("for r in range(first, stop):", [*whole, *w.row, *nest(w, w.kept, "p", w.loop)])
    w.out.units, w.out.work = count, w.cost * rows * columns / count
    w.out.multiple = lines_apart(w, columns)
    return block("for i in range(lo, hi):", [*bounds, *nest(w, w.kept, "p", begin), *each])


def rows_of_a_part(w: Writer, rows: int, count: int) -> list[str]:
    """The bounds of the rows that unit i of `count` goes through."""
    per = w.word("rows of a part", -(-rows // count))
    return [f"first = i * {per}", f"stop = min(first + {per}, {w.word('rows', rows)})"]


def lines_apart(w: Writer, columns: int) -> int:
    """Rows of results that one thread takes together: two threads must not add to memory in one line of the cache."""
    return -(-LINE // max(columns * min(w.target(v).dtype.itemsize for v in w.k.stored), 1))
