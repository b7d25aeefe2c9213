"""Gather and scatter as native steps: rows of ops/index.py and of ops/cumulative.py, on arrays in C order.

Gather runs over the indices. Scatter cuts the output into ranges of rows by the sizes alone; a unit goes through all updates in
their order and keeps those of its range: no two threads write one place, and the result has the same bits for any number
of them. Indices out of bounds never leave the buffer; under mode "raise" the step notes one in a cell of the program, for which
the executor raises IndexError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.compile.conv_text import Lines, indented
from funcgrad.compile.conv_types import Fault, RoutineStep
from funcgrad.core.program import Atom, Literal, Var
from funcgrad.core.types import array_type
from funcgrad.ops.views import contiguous

PARTS = 16
"""Ranges of an output, at most."""
SPLIT_WORK = 100_000
"""Elements from which a scatter is shared among threads."""


def kind_of(dtype: np.dtype) -> str:
    """The kind of a dtype's elements in kernels; a boolean is the byte that it lies in."""
    return "u8" if dtype.kind == "b" else f"{dtype.kind}{8 * dtype.itemsize}"


def table(pointers: Sequence[str], words: Sequence[str], body: Sequence[str]) -> str:
    """A kernel that reads its table, then goes through its range."""
    names = [f"{name} = word(args, {i})" for i, name in enumerate([*pointers, *words])]
    return "def kernel(args, lo, hi):\n" + "\n".join(indented([*names, *body])) + "\n"


@dataclass(frozen=True, slots=True)
class Index:
    """One index array in a text: the kind of its elements; along which axes of the index shape it runs (empty: one number)."""

    kind: str
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a text depends on: the rank of the index shape, the index arrays, the groups of other axes (whether the innermost
    lies side by side), the mode."""

    rank: int
    indices: tuple[Index, ...]
    groups: int
    dense: bool
    mode: str

    @property
    def flat(self) -> bool:
        """Whether each index array is in the order of the results, or one number."""
        return all(len(i.axes) in (0, self.rank) for i in self.indices)

    @property
    def checked(self) -> bool:
        return self.mode == "raise"

    def words(self) -> list[str]:
        """The names of the table's words, as `numbers` gives them."""
        named = [name for n in range(len(self.indices)) for name in (f"size{n}", f"stride{n}")]
        named += [f"extent{d}" for d in range(self.rank)]
        if not self.flat:
            named += [f"index{n}_{d}" for n, i in enumerate(self.indices) for d in i.axes]
        named += [name for g in range(self.groups) for name in (f"count{g}", f"step{g}", f"out{g}")]
        return [*named, "count", "inner", *(["nothing"] if self.checked else [])]

    def pointers(self) -> list[str]:
        """The names of the index arrays and of the cells for what is out of bounds."""
        numbers = range(len(self.indices))
        return [*[f"i{n}" for n in numbers], *([f"fault{n}" for n in numbers] if self.checked else [])]

    # ---- lines ----

    def begin(self) -> Lines:
        numbers = range(len(self.indices) if self.checked else 0)
        return [line for n in numbers for line in (f"low{n} = 0", f"high{n} = 0")]

    def find(self) -> Lines:
        """The place of result `n`: `place`, and whether it is `inside`."""
        lines: Lines = []
        terms, inside = [], []
        for k, index in enumerate(self.indices):
            at = ("n" if index.axes else "0") if self.flat else self.offset(k, index)
            loaded = f"load_{index.kind}(i{k}, {at})"
            loaded = f"min({loaded}, u64(size{k}))" if index.kind == "u64" else loaded
            lines.append(f"v{k} = i64({loaded})")
            lines.append(f"w{k} = where(v{k} < 0, v{k} + size{k}, v{k})" if index.kind[0] == "i" else f"w{k} = v{k}")
            terms.append(f"max(min(w{k}, size{k} - 1), 0) * stride{k}")
            inside.append(f"(w{k} >= 0) & (w{k} < size{k})")
            if self.checked:
                lines += [f"low{k} = min(low{k}, v{k})", f"high{k} = max(high{k}, v{k})"]
        return [*lines, f"place = {' + '.join(terms)}", f"inside = {' & '.join(inside)}"]

    def offset(self, number: int, index: Index) -> str:
        terms = [f"c{d} * index{number}_{d}" for d in index.axes]
        return " + ".join(terms) or "0"

    def coordinates(self) -> Lines:
        """c0, c1, ... of result `n` in the index shape."""
        if self.flat:
            return []
        lines, left = [], "n"
        for d in range(self.rank - 1, 0, -1):
            lines += [f"c{d} = remainder_of({left}, extent{d})", f"left{d} = quotient_of({left}, extent{d})"]
            left = f"left{d}"
        return [*lines, f"c0 = {left}"]

    def nest(self, body: Sequence[str]) -> Lines:
        """The loops over the other axes around `body`, which reads `at` (in the operand) and `to` (in the result)."""
        steps = [f"r{g}" if g == self.groups - 1 and self.dense else f"r{g} * step{g}" for g in range(self.groups)]
        outs = [f"r{g}" if g == self.groups - 1 else f"r{g} * out{g}" for g in range(self.groups)]
        lines = [
            f"at = {' + '.join(['place', *steps])}",
            f"to = {' + '.join(['n * inner' if outs else 'n', *outs])}",
            *body,
        ]
        for g in reversed(range(self.groups)):
            lines = [f"for r{g} in range(count{g}):", *indented(lines)]
        return lines

    def end(self) -> Lines:
        lines: Lines = []
        for k in range(len(self.indices) if self.checked else 0):
            lines += [
                f"far{k} = where(high{k} >= size{k}, high{k}, where(low{k} < 0 - size{k}, low{k}, nothing))",
                f"for once in range(i64(far{k} != nothing)):",
                f"    store_i64(fault{k}, 0, far{k})",
            ]
        return lines


@lru_cache(maxsize=256)
def gather_text(kind: str, shape: Shape) -> str:
    """A unit is one place of the index shape."""
    value = f"load_{kind}(x, at)"
    if shape.mode == "drop":
        value = f"where(inside, {value}, {kind}(0))"
    each = [*shape.coordinates(), *shape.find(), *shape.nest([f"store_{kind}(y, to, {value})"])]
    body = [*shape.begin(), "for n in range(lo, hi):", *indented(each), *shape.end()]
    return table(["x", *shape.pointers(), "y"], shape.words(), body)


_JOIN = {"add": "{0} + {1}", "mul": "{0} * {1}", "min": "minimum({0}, {1})", "max": "maximum({0}, {1})", "set": "{1}"}


@lru_cache(maxsize=256)
def scatter_text(kind: str, shape: Shape, op: str, start: str) -> str:
    """A unit is a range of the output's rows. start: "x", "fill" or "" (the output is there already)."""
    joined = _JOIN[op].format(f"load_{kind}(y, at)", f"load_{kind}(u, to)")
    store = [f"store_{kind}(y, at, {kind}({joined}))"]
    # `first` is set twice so that the compiler of kernels takes no two iterations for independent.
    each = [
        "first = quotient_of(unit * rows, parts) * inner",
        "first = max(first, 0)",
        "last = quotient_of((unit + 1) * rows, parts) * inner",
    ]
    if start:
        value = f"load_{kind}(x, z)" if start == "x" else _filling(kind)
        each += ["for z in range(first, last):", f"    store_{kind}(y, z, {value})"]
    here = "(place >= first) & (place < last)" + ("" if shape.mode == "clip" else " & inside")
    update = [
        *shape.coordinates(), *shape.find(),
        f"for once in range(i64({here})):", *indented(shape.nest(store)),
    ]  # fmt: skip
    each += ["for n in range(count):", *indented(update)]
    body = [*shape.begin(), "for unit in range(lo, hi):", *indented(each), *shape.end()]
    return table(
        [*(["x"] if start == "x" else []), "u", *shape.pointers(), "y"], [*shape.words(), "rows", "parts", "fill"], body
    )


def _filling(kind: str) -> str:
    return f"{kind}(number(fill))" if kind[0] == "f" else f"{kind}(fill)"


@lru_cache(maxsize=32)
def start_text(kind: str, filled: bool) -> str:
    """The output before the updates."""
    value = _filling(kind) if filled else f"load_{kind}(x, z)"
    body = ["for z in range(lo, hi):", f"    store_{kind}(y, z, {value})"]
    return table([*([] if filled else ["x"]), "y"], ["fill"], body)


def _analysed(
    x: Sequence[int], indices: Sequence[Var], axes: Sequence[int], mode: str
) -> tuple[Shape, list[int]] | None:
    """The text's shape, and the values of its words; None for indices that are no integers."""
    if not indices or any(i.type.dtype.kind not in "iu" for i in indices):
        return None
    extents = np.broadcast_shapes(*[i.type.shape for i in indices])
    strides = contiguous(tuple(x)).strides
    described, numbers, own = [], [], []
    for i, axis in zip(indices, axes, strict=True):
        lead = len(extents) - i.type.ndim
        along = [
            (d + lead, s)
            for d, (n, s) in enumerate(zip(i.type.shape, contiguous(i.type.shape).strides, strict=True))
            if n != 1
        ]
        whole = i.type.size == math.prod(extents) and i.type.size > 1
        taken = tuple(range(len(extents))) if whole else tuple(d for d, _ in along)
        lookup = dict(along)
        described.append(Index(kind_of(i.type.dtype), taken))
        numbers += [x[axis], strides[axis]]
        own += [lookup.get(d, 0) for d in taken]
    groups: list[list[int]] = []
    for a in range(len(x)):
        if a in axes or x[a] == 1:
            continue
        if groups and groups[-1][1] == x[a] * strides[a]:
            groups[-1] = [groups[-1][0] * x[a], strides[a]]
        else:
            groups.append([x[a], strides[a]])
    shape = Shape(len(extents), tuple(described), len(groups), bool(groups) and groups[-1][1] == 1, mode)
    inner = math.prod(g[0] for g in groups)
    words = [*numbers, *extents, *([] if shape.flat else own)]
    for g, (count, step) in enumerate(groups):
        words += [count, step, math.prod(h[0] for h in groups[g + 1 :])]
    return shape, [*words, math.prod(extents), inner, *([Fault.NOTHING] if shape.checked else [])]


def _faults(shape: Shape, x: Sequence[int], axes: Sequence[int]) -> list[Fault]:
    if not shape.checked:
        return []
    return [Fault(Var(array_type((1,), np.dtype(np.int64))), a, x[a]) for a in axes]


def _gather(params: dict[str, Any], inputs: Sequence[Atom], out: Var) -> list[RoutineStep] | None:
    x, *indices = inputs
    places = [i for i in indices if isinstance(i, Var)]
    if not isinstance(x, Var) or len(places) != len(indices):
        return None
    found = _analysed(x.type.shape, places, params["axes"], params["mode"])
    if found is None:
        return None
    shape, words = found
    faults = _faults(shape, x.type.shape, params["axes"])
    cells = [f.cell for f in faults]
    units = words[-2 - shape.checked]
    return [
        RoutineStep(
            gather_text(kind_of(x.type.dtype), shape), [x, *places, *cells, out], words, units, [x, *places], [out, *cells],
            "gather", 6.0 + 2 * out.type.size / units, faults,
        )
    ]  # fmt: skip


def _scatter(params: dict[str, Any], inputs: Sequence[Atom], out: Var) -> list[RoutineStep] | None:
    x, u, *indices = inputs
    places = [i for i in indices if isinstance(i, Var)]
    dtype, op = out.type.dtype, params["op"]
    if (
        not isinstance(u, Var)
        or len(places) != len(indices)
        or u.type.dtype != dtype
        or (dtype.kind == "b" and op != "set")
    ):
        return None
    found = _analysed(out.type.shape, places, params["axes"], params["mode"])
    if found is None or x.type.dtype != dtype:
        return None
    shape, words = found
    inner = words[-1 - shape.checked]
    kind, axes = kind_of(dtype), tuple(params["axes"])
    parts = (
        min(PARTS, inner // 4, out.type.size // inner)
        if u.type.size >= SPLIT_WORK and sorted(axes) == list(range(len(axes)))
        else 1
    )
    parts = max(parts, 1)
    filled = isinstance(x, Literal)
    fill = _fill(x.value, dtype) if isinstance(x, Literal) else 0
    source = [x] if isinstance(x, Var) else []
    steps = []
    start = ("fill" if filled else "x") if parts > 1 else ""
    if parts == 1:
        steps.append(
            RoutineStep(
                start_text(kind, filled), [*source, out], [fill], out.type.size, source, [out], "scatter_start", 1.0
            )
        )
    faults = _faults(shape, out.type.shape, axes)
    cells = [f.cell for f in faults]
    read = source if start == "x" else []
    work = (2.0 * u.type.size + out.type.size) / parts + 4.0 * math.prod(
        np.broadcast_shapes(*[i.type.shape for i in places])
    )
    steps.append(
        RoutineStep(
            scatter_text(kind, shape, op, start), [*read, u, *places, *cells, out],
            [*words, out.type.size // inner, parts, fill], parts, [*read, u, *places], [out, *cells], f"scatter_{op}", work,
            faults,
        )
    )  # fmt: skip
    return steps


def _fill(value: Any, dtype: np.dtype) -> Any:
    return float(value) if dtype.kind == "f" else int(np.asarray(value).astype(dtype).astype(np.int64))


# ---- along an axis: pick_along and drop_along ----


@lru_cache(maxsize=64)
def pick_text(kind: str, index: str) -> str:
    """y[o, k, c] = x[o, index[o, k, c], c]; a unit is (o, k)."""
    each = [
        "o = quotient_of(n, many)",
        "for c in range(inner):",
        f"    v = i64(load_{index}(i, n * inner + c))",
        "    w = where(v < 0, v + size, v)",
        f"    store_{kind}(y, n * inner + c, load_{kind}(x, (o * size + max(min(w, size - 1), 0)) * inner + c))",
    ]
    return table(["x", "i", "y"], ["size", "many", "inner"], ["for n in range(lo, hi):", *indented(each)])


@lru_cache(maxsize=64)
def drop_text(kind: str, index: str) -> str:
    """y[o, index[o, k, c], c] += x[o, k, c], from zeros; a unit is o."""
    each = [
        "for z in range(o * size * inner, (o + 1) * size * inner):",
        f"    store_{kind}(y, z, {kind}(0))",
        "for k in range(many):",
        "    for c in range(inner):",
        "        from_x = (o * many + k) * inner + c",
        f"        v = i64(load_{index}(i, from_x))",
        "        w = where(v < 0, v + size, v)",
        "        at = (o * size + max(min(w, size - 1), 0)) * inner + c",
        f"        store_{kind}(y, at, {kind}(load_{kind}(y, at) + load_{kind}(x, from_x)))",
    ]
    return table(["x", "i", "y"], ["size", "many", "inner"], ["for o in range(lo, hi):", *indented(each)])


def _along(form: str, params: dict[str, Any], inputs: Sequence[Atom], out: Var) -> list[RoutineStep] | None:
    x, index = inputs
    axis = params["axis"]
    if not isinstance(x, Var) or not isinstance(index, Var) or index.type.dtype.kind not in "iu":
        return None
    long, short = (x, out) if form == "pick" else (out, x)
    same = all(a == b for d, (a, b) in enumerate(zip(long.type.shape, short.type.shape, strict=True)) if d != axis)
    if not same or index.type.shape != short.type.shape or x.type.dtype.kind == "b":
        return None
    outer, inner = math.prod(long.type.shape[:axis]), math.prod(long.type.shape[axis + 1 :])
    size, many = long.type.shape[axis], short.type.shape[axis]
    kind, number = kind_of(x.type.dtype), kind_of(index.type.dtype)
    text = pick_text(kind, number) if form == "pick" else drop_text(kind, number)
    units, work = (outer * many, 4.0 * inner) if form == "pick" else (outer, (size + 4.0 * many) * inner)
    return [RoutineStep(text, [x, index, out], [size, many, inner], units, [x, index], [out], f"{form}_along", work)]


def lower(form: str, params: dict[str, Any], inputs: Sequence[Atom], out: Var) -> list[RoutineStep] | None:
    """The native steps of an equation; None where NumPy does it."""
    if form == "gather":
        return _gather(params, inputs, out)
    if form == "scatter":
        return _scatter(params, inputs, out)
    return _along(form, params, inputs, out)
