"""A loop whose state is small as one kernel: its body's kernels written out behind each other, their arrays on the stack.

Sizes and strides are numbers of the text, so LLVM unrolls the short loops, and what has one element lives in registers. A
range of iterations is one call; between calls the carry lies where the loop's result will be.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from funcgrad.compile.kernel_text import block, suffix
from funcgrad.core.program import Var
from funcgrad.core.types import ArrayType

MOST_WORK = 60_000.0
"""The work of one iteration (in additions) above which threads, or the BLAS, would do better."""
MOST_BYTES = 1 << 16
"""Of all arrays on the stack."""
MOST_STEPS = 40
MOST_TERMS = 128
"""Of a product's sums; above it the text is long, and the BLAS does better."""
MOST_PRODUCTS = 16
"""Of a batch, each of which is written out."""
TERMS = 16
"""Terms of a product's sum that are written out behind each other."""
ROWS = 2
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


@dataclass(frozen=True, slots=True)
class Repeat:
    """A loop inside of the body, of known length: `args` and `results` are buffers with offsets in bytes."""

    body: Body
    args: Sequence[Place]
    results: Sequence[Place]
    consts: int
    carry: int
    length: int
    reverse: bool


@dataclass(frozen=True, slots=True)
class Select:
    """A choice inside of the body; the first of `args` is the index."""

    bodies: Sequence[Body]
    args: Sequence[Place]
    results: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Body:
    """What a loop repeats: its inputs and outputs, the arrays of its own, its constants, and its parts in order."""

    inputs: Sequence[Var]
    outputs: Sequence[Var]
    local: Sequence[Var]
    constants: Sequence[Var]
    parts: Sequence[Piece | Repeat | Select]

    def inner(self) -> Iterator[Body]:
        """This body and those inside of it."""
        yield self
        for part in self.parts:
            for body in (part.body,) if isinstance(part, Repeat) else part.bodies if isinstance(part, Select) else ():
                yield from body.inner()


Place = tuple[Var, int]
Name = tuple[str, str]
"""An array's name, and the text of the element that a value begins at ("" for the first)."""


@dataclass(slots=True)
class SmallLoop:
    """The text of a loop. Its table has pointers to constants, first carry, xs, last carry, ys, then `constants`, and behind
    them, for a loop of known length, the number of steps. `grain`: the steps of one call."""

    text: str
    constants: list[Var]
    grain: int


@dataclass
class _Writer:
    names: dict[Var, Name] = field(default_factory=dict)
    head: list[str] = field(default_factory=list)
    count: int = 0

    def stack(self, kind: ArrayType) -> Name:
        """Declares an array on the stack."""
        name = f"v{len(self.head)}"
        self.head.append(f"{name} = stack_{suffix(kind.dtype)}({max(kind.size, 1)})")
        return name, ""

    def place(self, where: Place) -> Name:
        """The name of a part of an array."""
        v, offset = where
        base, start = self.names[v]
        first = offset // v.type.dtype.itemsize
        return base, " + ".join(t for t in (start, str(first) if first else "") if t)

    def parts(self, body: Body) -> list[str]:
        """The lines of a body whose inputs and outputs have names."""
        self.names.update((v, self.stack(v.type)) for v in body.local)
        lines: list[str] = []
        for part in body.parts:
            if isinstance(part, Piece):
                lines += self.piece(part)
            elif isinstance(part, Repeat):
                lines += self.repeat(part)
            else:
                lines += self.select(part)
        return lines

    def prefix(self) -> str:
        self.count += 1
        return f"k{self.count}_"

    def piece(self, piece: Piece) -> list[str]:
        """One kernel."""
        prefix = self.prefix()
        names = [self.place(p) for p in piece.pointers]
        if piece.product:
            return product_lines(piece, names, prefix, self)
        (function,) = ast.parse(piece.text).body
        assert isinstance(function, ast.FunctionDef)
        pointers = {f"x{i}": name for i, name in enumerate(names)}
        words = {f"n{i}": w for i, w in enumerate(piece.words)}
        rename = _Rename(prefix, pointers, {**words, "lo": 0, "hi": piece.units})
        lines: list[str] = []
        for statement in function.body:
            if not _is_head(statement):
                lines += ast.unparse(rename.visit(statement)).split("\n")
        return lines

    def slices(self, values: Sequence[Var], places: Sequence[Name], at: str) -> None:
        """Names slice number `at` of stacked arrays."""
        for v, (base, start) in zip(values, places, strict=True):
            self.names[v] = base, " + ".join(t for t in (start, f"{at} * {v.type.size}") if t)

    def repeat(self, part: Repeat) -> list[str]:
        """A loop of known length."""
        body, prefix = part.body, self.prefix()
        first = part.consts + part.carry
        args, results = [self.place(p) for p in part.args], [self.place(p) for p in part.results]
        self.names.update(zip(body.inputs[: part.consts], args, strict=False))
        before, after, end = self.carries(body, part.consts, part.carry, args[part.consts : first], results, prefix)
        at = f"{prefix}at"
        self.slices(body.inputs[first:], args[first:], at)
        self.slices(body.outputs[part.carry :], results[part.carry :], at)
        place = f"{at} = {f'{part.length - 1} - {prefix}i' if part.reverse else f'{prefix}i'}"
        inside = self.parts(body)
        return [*before, *block(f"for {prefix}i in range({part.length}):", [place, *inside, *after]), *end]

    def carries(
        self, body: Body, consts: int, carry: int, first: Sequence[Name], last: Sequence[Name], prefix: str
    ) -> tuple[list[str], list[str], list[str]]:
        """Gives a body's carry arrays of its own: the lines that fill them, pass them on, and store them."""
        before, after, end = [], [], []
        for n, (v, out) in enumerate(zip(body.inputs[consts : consts + carry], body.outputs[:carry], strict=True)):
            state, new = self.stack(v.type), self.stack(v.type)
            before += _copy(v.type, first[n], state, f"{prefix}b{n}")
            after += _copy(v.type, new, state, f"{prefix}m{n}")
            end += _copy(v.type, state, last[n], f"{prefix}e{n}")
            self.names[v], self.names[out] = state, new
        return before, after, end

    def select(self, part: Select) -> list[str]:
        """One of several bodies, the index clamped into range."""
        prefix = self.prefix()
        args, results = [self.place(p) for p in part.args], [self.place(p) for p in part.results]
        base, start = args[0]
        lines = [f"{prefix}c = load_i64({base}, {start or '0'})"]
        inner: list[str] = []
        for n in range(len(part.bodies) - 1, -1, -1):
            body = part.bodies[n]
            self.names.update(zip(body.inputs, args[1:], strict=True))
            self.names.update(zip(body.outputs, results, strict=True))
            own = self.parts(body) or [f"{prefix}p{n} = 0"]
            inner = [*block(f"if {prefix}c <= {n}:", own), *block("else:", inner)] if inner else own
        return [*lines, *inner]


def _is_head(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.func.id == "word"  # type: ignore[attr-defined]


class _Rename(ast.NodeTransformer):
    """A kernel's names made its own, its table's words written in, its pointers the arrays that they are."""

    def __init__(self, prefix: str, pointers: dict[str, Name], words: dict[str, int]):
        self.prefix, self.pointers, self.words = prefix, pointers, words

    def visit_Call(self, node: ast.Call) -> ast.Call:
        name = node.func.id  # type: ignore[attr-defined]
        args = node.args
        if name.startswith(("load_", "store_")):
            base, start = self.pointers[args[0].id]  # type: ignore[attr-defined]
            index = self.visit(args[1])
            if start:
                index = ast.BinOp(index, ast.Add(), ast.parse(start, mode="eval").body)
            return ast.Call(node.func, [ast.Name(base), index, *[self.visit(a) for a in args[2:]]], [])
        return ast.Call(node.func, [self.visit(a) for a in args], [])

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.words:
            value = self.words[node.id]
            return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))
        return node if node.id == "inf" else ast.Name(self.prefix + node.id)


def _plus(*terms: tuple[str, int] | int) -> str:
    """The text of a sum of index * stride and numbers."""
    parts = []
    for t in terms:
        if isinstance(t, int):
            parts += [str(t)] if t else []
        elif t[1]:
            parts.append(t[0] if t[1] == 1 else f"{t[0]} * {t[1]}")
    return " + ".join(parts) or "0"


def product_lines(piece: Piece, names: Sequence[Name], prefix: str, writer: _Writer) -> list[str]:
    """A product of small matrices as loops (its words are those of blas.SOURCE)."""
    _, ta, tb, m, n, k, lda, ldb, _, _, _, tiles, _, _, inner, ao, ai, bo, bi = piece.words
    kind = "f32" if "* 4\n" in piece.text else "f64"
    a, b, c = names
    a_row, a_column = (lda, 1) if ta == 111 else (1, lda)
    b_row, b_column = (ldb, 1) if tb == 111 else (1, ldb)
    batches = piece.units // max(tiles, 1)
    lines: list[str] = []
    for u in range(batches):
        at = (u // inner) * ao + (u % inner) * ai, (u // inner) * bo + (u % inner) * bi
        to = u * m * n
        left, right = (a, at[0], a_row, a_column), (b, at[1], b_row, b_column)
        one = f"{prefix}{u}_"
        if n < 4 and m > n and a_row != 1 and a_column == 1 and b_row == 1 and k >= 8:
            lines += _dots(kind, one, left, right, (c, to, n, 1), m, n, k)
        elif n < 4 and m > n:
            lines += _sums(kind, one, _turned(right), _turned(left), (c, to, 1, n), n, m, k, writer)
        else:
            lines += _sums(kind, one, left, right, (c, to, n, 1), m, n, k, writer)
    return lines


Matrix = tuple[Name, int, int, int]
"""An array, its first element, and the distances of rows and of columns."""


def _turned(x: Matrix) -> Matrix:
    return x[0], x[1], x[3], x[2]


def _element(x: Matrix, kind: str, row: str | int, column: str | int) -> str:
    (name, start), first, down, across = x
    terms: list[tuple[str, int] | int] = []
    for index, stride in ((row, down), (column, across)):
        if isinstance(index, int):
            first += index * stride
        else:
            terms.append((index, stride))
    return f"load_{kind}({name}, {_plus(*terms, (start, bool(start)), first)})"


def _dots(kind: str, p: str, a: Matrix, b: Matrix, c: Matrix, m: int, n: int, k: int) -> list[str]:
    """Each element by a sum over contiguous rows of a and columns of b."""
    lines = []
    for j in range(n):
        total = f"{p}t{j}"
        add = (
            f"{total} = any_order_add({total}, {_element(a, kind, f'{p}i', f'{p}q')} * {_element(b, kind, f'{p}q', j)})"
        )
        at = _plus((f"{p}i", c[2]), (c[0][1], bool(c[0][1])), c[1] + j * c[3])
        lines += [
            f"{total} = {kind}(0)",
            *block(f"for {p}q in range({k}):", [add]),
            f"store_{kind}({c[0][0]}, {at}, {total})",
        ]
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
        b = ((turned, ""), 0, n, 1)
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
        at = _plus((f"{p}g", c[2] * rows), (f"{p}j", c[3]), (c[0][1], bool(c[0][1])), c[1] + (start + r) * c[2])
        total = [f"load_{kind}({c[0][0]}, {at})"] if low else []
        for q in range(low, high):
            scales.append(f"{p}a{r}_{q} = {_element(row, kind, f'{p}g', q)}")
            total.append(f"{p}a{r}_{q} * {_element(b, kind, q, f'{p}j')}")
        stores.append(f"store_{kind}({c[0][0]}, {at}, {' + '.join(total)})")
    return block(f"for {p}g in range({groups}):", [*scales, *block(f"for {p}j in range({n}):", stores)])


def is_small(body: Body, work: float) -> bool:
    """Whether a loop over this body is worth writing out."""
    every = list(body.inner())
    arrays = [v.type for b in every for v in (*b.local, *b.outputs, *b.outputs)]
    size = sum(t.size * t.dtype.itemsize for t in arrays)
    for piece in [p for b in every for p in b.parts if isinstance(p, Piece) and p.product]:
        k, tiles = piece.words[5], piece.words[11]
        if k > MOST_TERMS or piece.units > MOST_PRODUCTS * max(tiles, 1):
            return False
    return sum(len(b.parts) for b in every) <= MOST_STEPS and work <= MOST_WORK and size <= MOST_BYTES


def _copy(kind: ArrayType, source: Name, target: Name, index: str) -> list[str]:
    s = suffix(kind.dtype)
    many = kind.size != 1
    from_, to = [" + ".join(t for t in (index if many else "", start) if t) or "0" for _, start in (source, target)]
    line = f"store_{s}({target[0]}, {to}, load_{s}({source[0]}, {from_}))"
    return block(f"for {index} in range({kind.size}):", [line]) if many else [line]


def _begin(body: Body) -> tuple[_Writer, list[Var], list[Var], list[str]]:
    """A writer that knows the pointers of the table: inputs, outputs, constants."""
    w = _Writer()
    constants = list(dict.fromkeys(v for b in body.inner() for v in b.constants))
    slots = [*body.inputs, *body.outputs, *constants]
    w.names = {v: (f"x{i}", "") for i, v in enumerate(slots)}
    return w, constants, slots, [f"x{i} = word(args, {i})" for i in range(len(slots))]


def _text(lines: Sequence[str]) -> str:
    return "def kernel(args, lo, hi):\n" + "\n".join(f"    {line}" for line in lines) + "\n"


def write_scan(body: Body, consts: int, carry: int, reverse: bool, work: float) -> SmallLoop:
    """The kernel of a loop of known length: one unit of its range is one step."""
    w, constants, slots, head = _begin(body)
    head.append(f"length = word(args, {len(slots)})")
    first, last = [w.names[v] for v in body.inputs[consts : consts + carry]], [w.names[v] for v in body.outputs[:carry]]
    # A later call goes on from where the one before it stored the carry.
    starts = [f"start{n} = where(lo == 0, {a[0]}, {b[0]})" for n, (a, b) in enumerate(zip(first, last, strict=True))]
    before, after, end = w.carries(body, consts, carry, [(f"start{n}", "") for n in range(carry)], last, "")
    for v in [*body.inputs[consts + carry :], *body.outputs[carry:]]:
        w.slices([v], [w.names[v]], "at")
    inside = w.parts(body)
    place = f"at = {'length - 1 - i' if reverse else 'i'}"
    lines = [*head, *w.head, *starts, *before, *block("for i in range(lo, hi):", [place, *inside, *after]), *end]
    return SmallLoop(_text(lines), constants, max(int(CALL_WORK / max(work, 1.0)), 1))


def write_while(body: Body, consts: int, work: float) -> SmallLoop:
    """The kernel of at most `grain` steps of a loop that goes on as long as its body's last output is true."""
    w, constants, _, head = _begin(body)
    carry = len(body.inputs) - consts
    first, last = [w.names[v] for v in body.inputs[consts:]], [w.names[v] for v in body.outputs]
    before, after, end = w.carries(body, consts, carry, first, last, "")
    flag = w.names[body.outputs[-1]] = w.stack(body.outputs[-1].type)
    grain = max(int(CALL_WORK / max(work, 1.0)), 1)
    inside = w.parts(body)
    steps = [*inside, *after, f"going = load_b8({flag[0]}, 0)", "count = count + 1"]
    lines = [
        *head,
        *w.head,
        *before,
        "going = True",
        "count = 0",
        *block(f"while going & (count < {grain}):", steps),
        *end,
    ]
    return SmallLoop(_text([*lines, f"store_b8({last[-1][0]}, 0, going)"]), constants, grain)
