"""A loop whose state is small as one kernel: its body's kernels written out behind each other, their arrays on the stack.

Sizes and strides are numbers of the text, so LLVM unrolls the short loops, and what has one element lives in registers. A
range of iterations is one call; between calls the carry lies where the loop's result will be.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from funcgrad.compile.emit import block, suffix
from funcgrad.compile.fuse import Kernel
from funcgrad.core.program import Var
from funcgrad.core.types import ArrayType

MOST_WORK = 60_000.0
"""The work of one iteration (in additions) above which threads, or the BLAS, would do better."""
MOST_BYTES = 1 << 16
"""Of all arrays on the stack."""
MOST_STEPS = 40
TERMS = 16
"""Terms of a product's sum that are written out behind each other."""
ROWS = 4
"""Rows of a product that are computed together."""
CALL_WORK = 3e6
"""Work of one call: about half a millisecond."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A kernel of the body: its text, its pointers, the words behind them, its units, whether it is a product."""

    text: str
    pointers: Sequence[tuple[Var, int]]
    words: Sequence[int]
    units: int
    product: bool


@dataclass(slots=True)
class SmallLoop:
    """The text of a loop and the pointers of its table: constants, first carry, xs, last carry, ys, then `constants`. Behind them
    one word, the number of iterations."""

    text: str
    constants: list[Var]
    grain: int


@dataclass
class _Writer:
    names: dict[Var, str] = field(default_factory=dict)
    head: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    count: int = 0

    def stack(self, name: str, kind: ArrayType) -> str:
        """Declares an array on the stack."""
        self.head.append(f"{name} = stack_{suffix(kind.dtype)}({max(kind.size, 1)})")
        return name

    def piece(self, piece: Piece) -> None:
        """Writes out one kernel."""
        prefix = f"k{self.count}_"
        self.count += 1
        if piece.product:
            self.lines += product_lines(piece, [self.names[v] for v, _ in piece.pointers], prefix, self)
            return
        (function,) = ast.parse(piece.text).body
        assert isinstance(function, ast.FunctionDef)
        pointers = {f"x{i}": (self.names[v], offset) for i, (v, offset) in enumerate(piece.pointers)}
        words = {f"n{i}": w for i, w in enumerate(piece.words)}
        rename = _Rename(prefix, pointers, {**words, "lo": 0, "hi": piece.units})
        for statement in function.body:
            if not _is_head(statement):
                self.lines += ast.unparse(rename.visit(statement)).split("\n")


def _is_head(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.func.id == "word"  # type: ignore[attr-defined]


class _Rename(ast.NodeTransformer):
    """A kernel's names made its own, its table's words written in, its pointers the arrays that they are."""

    def __init__(self, prefix: str, pointers: dict[str, tuple[str, int]], words: dict[str, int]):
        self.prefix, self.pointers, self.words = prefix, pointers, words

    def visit_Call(self, node: ast.Call) -> ast.Call:
        name = node.func.id  # type: ignore[attr-defined]
        args = node.args
        if name.startswith(("load_", "store_")):
            base, offset = self.pointers[args[0].id]  # type: ignore[attr-defined]
            index = self.visit(args[1])
            first = offset // _itemsize(name.split("_")[1])
            if first:
                index = ast.BinOp(index, ast.Add(), ast.Constant(first))
            return ast.Call(node.func, [ast.Name(base), index, *[self.visit(a) for a in args[2:]]], [])
        return ast.Call(node.func, [self.visit(a) for a in args], [])

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.words:
            value = self.words[node.id]
            return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))
        return node if node.id == "inf" else ast.Name(self.prefix + node.id)


def _itemsize(kind: str) -> int:
    return 1 if kind == "b8" else int(kind[1:]) // 8


def _plus(*terms: tuple[str, int] | int) -> str:
    """The text of a sum of index * stride and numbers."""
    parts = []
    for t in terms:
        if isinstance(t, int):
            parts += [str(t)] if t else []
        elif t[1]:
            parts.append(t[0] if t[1] == 1 else f"{t[0]} * {t[1]}")
    return " + ".join(parts) or "0"


def product_lines(piece: Piece, names: Sequence[str], prefix: str, writer: _Writer) -> list[str]:
    """A product of small matrices as loops (its words are those of blas.SOURCE)."""
    _, ta, tb, m, n, k, lda, ldb, _, _, _, tiles, _, _, inner, ao, ai, bo, bi = piece.words
    kind = "f32" if "* 4\n" in piece.text else "f64"
    a, b, c = names
    size = _itemsize(kind)
    first = [offset // size for _, offset in piece.pointers]
    a_row, a_column = (lda, 1) if ta == 111 else (1, lda)
    b_row, b_column = (ldb, 1) if tb == 111 else (1, ldb)
    batches = piece.units // max(tiles, 1)
    lines: list[str] = []
    for u in range(batches):
        at = (u // inner) * ao + (u % inner) * ai + first[0], (u // inner) * bo + (u % inner) * bi + first[1]
        to = u * m * n + first[2]
        left, right = (a, at[0], a_row, a_column), (b, at[1], b_row, b_column)
        one = f"{prefix}{u}_"
        if n < 4 and m > n and a_row != 1 and a_column == 1 and b_row == 1 and k >= 8:
            lines += _dots(kind, one, left, right, (c, to, n, 1), m, n, k)
        elif n < 4 and m > n:
            lines += _sums(kind, one, _turned(right), _turned(left), (c, to, 1, n), n, m, k, writer)
        else:
            lines += _sums(kind, one, left, right, (c, to, n, 1), m, n, k, writer)
    return lines


Matrix = tuple[str, int, int, int]
"""An array, its first element, and the distances of rows and of columns."""


def _turned(x: Matrix) -> Matrix:
    return x[0], x[1], x[3], x[2]


def _element(x: Matrix, kind: str, row: str | int, column: str | int) -> str:
    name, first, down, across = x
    terms: list[tuple[str, int] | int] = []
    for index, stride in ((row, down), (column, across)):
        if isinstance(index, int):
            first += index * stride
        else:
            terms.append((index, stride))
    return f"load_{kind}({name}, {_plus(*terms, first)})"


def _dots(kind: str, p: str, a: Matrix, b: Matrix, c: Matrix, m: int, n: int, k: int) -> list[str]:
    """Each element by a sum over contiguous rows of a and columns of b."""
    lines = []
    for j in range(n):
        total = f"{p}t{j}"
        add = f"{total} = any_order_add({total}, {_element(a, kind, f'{p}i', f'{p}q')} * {_element(b, kind, f'{p}q', j)})"
        at = _plus((f"{p}i", c[2]), c[1] + j * c[3])
        lines += [f"{total} = {kind}(0)", *block(f"for {p}q in range({k}):", [add]), f"store_{kind}({c[0]}, {at}, {total})"]
    return block(f"for {p}i in range({m}):", lines)


def _sums(kind: str, p: str, a: Matrix, b: Matrix, c: Matrix, m: int, n: int, k: int, writer: _Writer) -> list[str]:
    """Rows of b, scaled by the elements of a row of a and added: some rows of the result at a time, columns as vectors."""
    lines = []
    if b[3] != 1 and n > 1 and k > 1:
        turned = f"{p}b"
        writer.head.append(f"{turned} = stack_{kind}({n * k})")
        copy = f"store_{kind}({turned}, {_plus((f'{p}y', n), (f'{p}x', 1))}, {_element(b, kind, f'{p}y', f'{p}x')})"
        # Along b's own rows, so that reading is contiguous.
        lines += block(f"for {p}x in range({n}):", block(f"for {p}y in range({k}):", [copy]))
        b = (turned, 0, n, 1)
    for start in range(0, m, m // ROWS * ROWS or m):
        rows = min(ROWS, m) if start == 0 else m - start
        groups = (m // rows) if start == 0 else 1
        for low in range(0, k, TERMS):
            lines += _rows(kind, f"{p}{start}_{low}_", a, b, c, (start, rows, groups), n, (low, min(low + TERMS, k)))
    return lines


def _rows(
    kind: str, p: str, a: Matrix, b: Matrix, c: Matrix, part: tuple[int, int, int], n: int, terms: tuple[int, int]
) -> list[str]:
    """The terms [low, high) of the sums of groups of rows."""
    (start, rows, groups), (low, high) = part, terms
    scales, stores = [], []
    for r in range(rows):
        row = (a[0], a[1] + (start + r) * a[2], a[2] * rows, a[3])
        at = _plus((f"{p}g", c[2] * rows), (f"{p}j", c[3]), c[1] + (start + r) * c[2])
        total = [f"load_{kind}({c[0]}, {at})"] if low else []
        for q in range(low, high):
            scales.append(f"{p}a{r}_{q} = {_element(row, kind, f'{p}g', q)}")
            total.append(f"{p}a{r}_{q} * {_element(b, kind, q, f'{p}j')}")
        stores.append(f"store_{kind}({c[0]}, {at}, {' + '.join(total)})")
    return block(f"for {p}g in range({groups}):", [*scales, *block(f"for {p}j in range({n}):", stores)])


def is_small(pieces: Sequence[Piece], arrays: Sequence[ArrayType], work: float) -> bool:
    """Whether a loop's body is worth writing out."""
    size = sum(t.size * t.dtype.itemsize for t in arrays)
    return len(pieces) <= MOST_STEPS and work <= MOST_WORK and size <= MOST_BYTES


def _copy(kind: ArrayType, source: str, target: str, index: str) -> list[str]:
    s = suffix(kind.dtype)
    if kind.size == 1:
        return [f"store_{s}({target}, 0, load_{s}({source}, 0))"]
    return block(f"for {index} in range({kind.size}):", [f"store_{s}({target}, {index}, load_{s}({source}, {index}))"])


def write_loop(
    inputs: Sequence[Var], outputs: Sequence[Var], local: Sequence[Var], constants: Sequence[Var], pieces: Sequence[Piece],
    consts: int, carry: int, reverse: bool, work: float,
) -> SmallLoop:  # fmt: skip
    """The kernel of a loop over a body with these inputs (constants, carry, slices), outputs (carry, slices), local arrays,
    constant arrays, and kernels."""
    w = _Writer()
    xs, ys = inputs[consts + carry :], outputs[carry:]
    slots = [*inputs, *outputs, *constants]
    w.head = [f"x{i} = word(args, {i})" for i in range(len(slots))]
    w.head.append(f"length = word(args, {len(slots)})")
    w.names = {v: f"x{i}" for i, v in enumerate(slots)}
    place = [f"at = {'length - 1 - i' if reverse else 'i'}"] if [*xs, *ys] else []
    for v in [*xs, *ys]:
        name = w.names[v]
        place.append(f"{name}_i = {name} + at * {v.type.size * v.type.dtype.itemsize}")
        w.names[v] = f"{name}_i"
    before, after, end = [], [], []
    for n, (v, out) in enumerate(zip(inputs[consts : consts + carry], outputs[:carry], strict=True)):
        first, last = w.names[v], w.names[out]
        state, new = w.stack(f"c{n}", v.type), w.stack(f"w{n}", v.type)
        before += [f"start{n} = where(lo == 0, {first}, {last})", *_copy(v.type, f"start{n}", state, f"b{n}")]
        after += _copy(v.type, new, state, f"m{n}")
        end += _copy(v.type, state, last, f"e{n}")
        w.names[v], w.names[out] = state, new
    for n, v in enumerate(local):
        w.names[v] = w.stack(f"v{n}", v.type)
    for piece in pieces:
        w.piece(piece)
    lines = [*w.head, *before, *block("for i in range(lo, hi):", [*place, *w.lines, *after]), *end]
    text = "def kernel(args, lo, hi):\n" + "\n".join(f"    {line}" for line in lines) + "\n"
    return SmallLoop(text, list(constants), max(int(CALL_WORK / max(work, 1.0)), 1))
