"""Running sums, products and extremes along an axis, and positions of extremes, as native steps on arrays in C order.

An axis with others behind it goes line by line, its columns side by side. A last axis is a chain in which each element waits for
the one before: eight chains are taken at a time, of eight rows or of eight pieces of a long row, whose totals are then found
first.
Pieces are cut by the sizes alone, so results have the same bits for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from funcgrad.compile.conv_text import Lines, indented
from funcgrad.compile.conv_types import RoutineStep
from funcgrad.compile.indexing import kind_of, table
from funcgrad.core.program import Atom, Var
from funcgrad.core.types import array_type

CHAINS = 8
PIECE = 512
"""Elements of a piece of a long row."""
COLUMNS = 512
"""Columns of a unit, where the axis is not the last."""
_JOIN = {"add": "{0} + {1}", "mul": "{0} * {1}", "min": "minimum({0}, {1})", "max": "maximum({0}, {1})"}
_COST = {"logaddexp": 40.0}


def joined(op: str, kind: str, a: str, b: str) -> str:
    """One step of a running operation."""
    if op in _JOIN:
        return f"{kind}({_JOIN[op].format(a, b)})"
    return f"{op}_{kind}({a}, {b})"


def start_of(op: str, kind: str) -> str:
    """What changes nothing: -0.0 for a sum, so that a first -0.0 stays."""
    if op in ("add", "mul"):
        neutral = {"add": "-0.0", "mul": "1.0"}[op] if kind[0] == "f" else {"add": "0", "mul": "1"}[op]
        return f"{kind}({neutral})"
    if kind[0] == "f":
        return f"{kind}(inf)" if op == "min" else f"{kind}(-inf)"
    info = np.iinfo(f"{kind[0]}{int(kind[1:]) // 8}")
    number = int(np.array(info.max if op == "min" else info.min, info.dtype).astype(np.int64))
    # The smallest of all has no text of its own as a negative number of 64 bits.
    return f"{kind}(0 - {info.max} - 1)" if number == -(1 << 63) else f"{kind}({number})"


@lru_cache(maxsize=128)
def columns_text(op: str, kind: str, reverse: bool) -> str:
    """A unit is a block of columns of one of the outer places."""
    line = "count - 1 - k" if reverse else "k"
    step = joined(op, kind, f"load_{kind}(y, before + c)", f"load_{kind}(x, at + c)")
    body = [
        "for u in range(lo, hi):",
        f"    start = quotient_of(u, blocks) * count * inner + remainder_of(u, blocks) * {COLUMNS}",
        f"    width = min({COLUMNS}, inner - remainder_of(u, blocks) * {COLUMNS})",
        f"    head = start + {'(count - 1) * inner' if reverse else '0'}",
        "    for c in range(width):",
        f"        store_{kind}(y, head + c, load_{kind}(x, head + c))",
        "    for k in range(1, count):",
        f"        at = start + ({line}) * inner",
        f"        before = at {'+' if reverse else '-'} inner",
        "        for c in range(width):",
        f"            store_{kind}(y, at + c, {step})",
    ]
    return table(["x", "y"], ["count", "inner", "blocks"], body)


@lru_cache(maxsize=128)
def rows_text(op: str, kind: str, reverse: bool, pieces: bool) -> str:
    """A unit is eight rows of `length`, the last of which may be shorter; `pieces`: each starts from its own number."""
    first = lambda row: f"load_{kind}(starts, {row})" if pieces else start_of(op, kind)  # noqa: E731
    at = lambda start, n: f"{start} + {n} - 1 - i" if reverse else f"{start} + i"  # noqa: E731
    load = lambda start, n: f"load_{kind}(x, {at(start, n)})"  # noqa: E731
    numbers = range(CHAINS)
    chains: Lines = [
        line for j in numbers for line in (f"r{j} = (row + {j}) * length", f"s{j} = {first(f'row + {j}')}")
    ]
    chains += ["for i in range(length):"]
    for j in numbers:
        chains.append(f"    s{j} = " + joined(op, kind, f"s{j}", load(f"r{j}", "length")))
    chains += [f"    store_{kind}(y, {at(f'r{j}', 'length')}, s{j})" for j in numbers]
    body = [
        "for u in range(lo, hi):",
        f"    row = u * {CHAINS}",
        f"    full = (row + {CHAINS}) * length <= total",
        "    for once in range(i64(full)):",
        *indented(chains, 2),
        f"    for r in range(where(full, rows, row), min(row + {CHAINS}, rows)):",
        "        start = r * length",
        "        n = min(length, total - start)",
        f"        s = {first('r')}",
        "        for i in range(n):",
        f"            s = {joined(op, kind, 's', load('start', 'n'))}",
        f"            store_{kind}(y, {at('start', 'n')}, s)",
    ]
    return table(["x", *(["starts"] if pieces else []), "y"], ["length", "rows", "total"], body)


@lru_cache(maxsize=128)
def totals_text(op: str, kind: str) -> str:
    """A unit is a piece of the row."""
    value = f"load_{kind}(x, i)"
    step = f"any_order_add(s, {value})" if op == "add" and kind[0] == "f" else joined(op, kind, "s", value)
    body = [
        "for u in range(lo, hi):",
        f"    s = {start_of(op, kind)}",
        "    for i in range(u * length, min((u + 1) * length, total)):",
        f"        s = {step}",
        f"    store_{kind}(totals, u, s)",
    ]
    return table(["x", "totals"], ["length", "total"], body)


@lru_cache(maxsize=128)
def starts_text(op: str, kind: str, reverse: bool) -> str:
    """Where each piece starts from; one unit."""
    body = [
        "for u in range(lo, hi):",
        f"    s = {start_of(op, kind)}",
        "    for k in range(rows):",
        f"        at = {'rows - 1 - k' if reverse else 'k'}",
        f"        store_{kind}(starts, at, s)",
        f"        s = {joined(op, kind, 's', f'load_{kind}(totals, at)')}",
    ]
    return table(["totals", "starts"], ["rows"], body)


def _running(op: str, params: dict[str, Any], x: Var, out: Var) -> list[RoutineStep] | None:
    dtype, shape, axis, reverse = x.type.dtype, x.type.shape, params["axis"], params["reverse"]
    if dtype.kind not in "fiu" or out.type.dtype != dtype or (op == "logaddexp" and dtype.kind != "f"):
        return None
    kind, cost = kind_of(dtype), _COST.get(op, 1.0)
    count, inner = shape[axis], math.prod(shape[axis + 1 :])
    outer = math.prod(shape[:axis])
    name = f"running_{op}"
    if inner > 1:
        blocks = -(-inner // COLUMNS)
        work = cost * count * min(inner, COLUMNS)
        return [
            RoutineStep(
                columns_text(op, kind, reverse),
                [x, out],
                [count, inner, blocks],
                outer * blocks,
                [x],
                [out],
                name,
                work,
            )
        ]
    # A product of a piece may overflow where the running one does not.
    long = outer == 1 and count >= 2 * CHAINS * PIECE and not (op == "mul" and dtype.kind == "f")
    if not long:
        units = -(-outer // CHAINS)
        words = [count, outer, outer * count]
        return [
            RoutineStep(
                rows_text(op, kind, reverse, False), [x, out], words, units, [x], [out], name, 4 * cost * count * CHAINS
            )
        ]
    rows = -(-count // PIECE)
    totals, starts = (Var(array_type((rows,), dtype)) for _ in range(2))
    return [
        RoutineStep(totals_text(op, kind), [x, totals], [PIECE, count], rows, [x], [totals], f"{name}_totals", cost * PIECE),
        RoutineStep(
            starts_text(op, kind, reverse), [totals, starts], [rows], 1, [totals], [starts], f"{name}_starts", 4 * cost * rows
        ),
        RoutineStep(
            rows_text(op, kind, reverse, True), [x, starts, out], [PIECE, rows, count], -(-rows // CHAINS), [x, starts], [out],
            name, cost * PIECE * CHAINS,
        ),
    ]  # fmt: skip


# ---- positions of extremes ----


@lru_cache(maxsize=64)
def arg_rows_text(op: str, kind: str) -> str:
    """The extreme of a row, then the first place that holds it; a unit is a row. A nan is the extreme of its row."""
    held = f"load_{kind}(x, start + i)"
    body = [
        "for u in range(lo, hi):",
        "    start = u * count",
        f"    best = {start_of(op, kind)}",
        "    for i in range(count):",
        f"        best = {joined(op, kind, 'best', held)}",
        "    found = count",
        "    for i in range(count):",
        f"        v = {held}",
        "        found = min(found, where((v == best) | (v != v), i, count))",
        "    store_i64(y, u, found)",
    ]
    return table(["x", "y"], ["count"], body)


@lru_cache(maxsize=64)
def arg_columns_text(op: str, kind: str) -> str:
    """A unit is a block of columns of one of the outer places."""
    better = f"v {'>' if op == 'max' else '<'} b"
    body = [
        "for u in range(lo, hi):",
        "    o = quotient_of(u, blocks)",
        f"    first = remainder_of(u, blocks) * {COLUMNS}",
        "    start = o * count * inner + first",
        "    to = o * inner + first",
        f"    width = min({COLUMNS}, inner - first)",
        "    for c in range(width):",
        "        store_i64(y, to + c, 0)",
        "    for k in range(1, count):",
        "        for c in range(width):",
        "            have = load_i64(y, to + c)",
        f"            b = load_{kind}(x, start + have * inner + c)",
        f"            v = load_{kind}(x, start + k * inner + c)",
        f"            store_i64(y, to + c, where((b == b) & (({better}) | (v != v)), k, have))",
    ]
    return table(["x", "y"], ["count", "inner", "blocks"], body)


def _position(op: str, params: dict[str, Any], x: Var, out: Var) -> list[RoutineStep] | None:
    shape, axis = x.type.shape, params["axis"]
    kind = kind_of(x.type.dtype)
    count, inner, outer = shape[axis], math.prod(shape[axis + 1 :]), math.prod(shape[:axis])
    if inner == 1:
        return [RoutineStep(arg_rows_text(op, kind), [x, out], [count], outer, [x], [out], f"arg{op}", 2.0 * count)]
    blocks = -(-inner // COLUMNS)
    work = 3.0 * count * min(inner, COLUMNS)
    text = arg_columns_text(op, kind)
    return [RoutineStep(text, [x, out], [count, inner, blocks], outer * blocks, [x], [out], f"arg{op}", work)]


def lower(form: str, params: dict[str, Any], inputs: Sequence[Atom], out: Var) -> list[RoutineStep] | None:
    """The native steps of an equation; None where NumPy does it."""
    (x,) = inputs
    if not isinstance(x, Var):
        return None
    if form.startswith("arg"):
        return _position(form[3:], params, x, out)
    return _running(form, params, x, out)
