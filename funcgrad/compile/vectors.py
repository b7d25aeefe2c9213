"""The part of the kernels' language that needs vectors by name: transposing blocks of an array, and scratch memory.

Kernels of convolutions turn (channels, pixels) into (pixels, channels) in registers, work on vectors over channels (kinds such
as f32x16, which LLVM splits where the CPU's registers are shorter), and turn the result back. LLVM finds no transposes by itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir

I64 = ir.IntType(64)
SLOTS = 64
SLOT_BYTES = 4 << 20
"""Scratch memory of one running range. Only the pages that are written to take memory."""
_pool: list[np.ndarray] = []
_lock = threading.Lock()


def lanes(kind: str) -> int:
    """How many numbers a vector kind has."""
    return int(kind.split("x")[1])


def vector_type(kind: str) -> Any:
    """The LLVM type of a vector kind such as f32x16."""
    base, count = kind.split("x")
    return ir.VectorType(ir.FloatType() if base == "f32" else ir.DoubleType(), int(count))


# ---- scratch memory: a bit for each slot that is taken ----


def scratch_pool() -> int:
    """The address of the pool: a word of bits, then a word for the memory's address. Made once for the process."""
    with _lock:
        if not _pool:
            memory = np.empty(SLOTS * SLOT_BYTES + 4096, np.uint8)
            words = np.zeros(16, np.int64)
            words[1] = -(-memory.ctypes.data // 4096) * 4096
            _pool.extend([words, memory])
            if os.name == "posix":
                os.register_at_fork(after_in_child=_empty_pool)
        return int(_pool[0].ctypes.data)


def _empty_pool() -> None:
    # The child has none of the threads that held a slot.
    _pool[0][0] = 0


def _take(b: Any, pool: Any) -> Any:
    """The address of a free slot; waits while all are taken, which others must then be using."""
    at = b.inttoptr(pool, I64.as_pointer())
    start = b.block
    search, attempt, done = (b.append_basic_block(n) for n in ("search", "attempt", "taken"))
    b.branch(search)
    b.position_at_end(search)
    seen = b.load_atomic(at, "monotonic", 8)
    free = b.cttz(b.not_(seen), ir.Constant(ir.IntType(1), 0))
    b.cbranch(b.icmp_unsigned("<", free, ir.Constant(I64, SLOTS)), attempt, search)
    b.position_at_end(attempt)
    bit = b.shl(ir.Constant(I64, 1), free)
    swapped = b.cmpxchg(at, seen, b.or_(seen, bit), "acquire", "monotonic")
    b.cbranch(b.extract_value(swapped, 1), done, search)
    b.position_at_end(done)
    base = b.load(b.gep(at, [ir.Constant(I64, 1)]))
    assert start is not done
    return b.add(base, b.mul(free, ir.Constant(I64, SLOT_BYTES)))


def _give(b: Any, pool: Any, address: Any) -> Any:
    at = b.inttoptr(pool, I64.as_pointer())
    base = b.load(b.gep(at, [ir.Constant(I64, 1)]))
    number = b.udiv(b.sub(address, base), ir.Constant(I64, SLOT_BYTES))
    bit = b.shl(ir.Constant(I64, 1), number)
    return b.atomic_rmw("and", at, b.not_(bit), "release")


# ---- blocks ----


def _transposed(b: Any, rows: list[Any]) -> list[Any]:
    """The columns of a square block: halves of vectors are exchanged, then quarters, and so on."""
    n = len(rows)
    step = n // 2
    while step:
        for i in range(n):
            if i & step:
                continue
            x, y = rows[i], rows[i + step]
            low = [lane if not lane & step else n + lane - step for lane in range(n)]
            high = [lane + step if not lane & step else n + lane for lane in range(n)]
            rows[i], rows[i + step] = (b.shuffle_vector(x, y, _mask(m)) for m in (low, high))
        step //= 2
    return rows


def _mask(numbers: Sequence[int]) -> Any:
    i32 = ir.IntType(32)
    return ir.Constant(ir.VectorType(i32, len(numbers)), [ir.Constant(i32, n) for n in numbers])


def _first(b: Any, count: Any, n: int) -> Any:
    """A mask of the first `count` lanes."""
    i32 = ir.IntType(32)
    short = b.trunc(count, i32)
    empty = ir.Constant(ir.VectorType(i32, n), ir.Undefined)
    spread = b.shuffle_vector(b.insert_element(empty, short, ir.Constant(i32, 0)), empty, _mask([0] * n))
    return b.icmp_signed("<", _mask(range(n)), spread)


def _masked(module: Any, action: str, kind: str) -> Any:
    vector, n, base = vector_type(kind), lanes(kind), kind.split("x")[0]
    bits = ir.VectorType(ir.IntType(1), n)
    name = f"llvm.masked.{action}.v{n}{base}.p0"
    if name not in module.globals:
        i32, at = ir.IntType(32), vector.as_pointer()
        if action == "load":
            ir.Function(module, ir.FunctionType(vector, [at, i32, bits, vector]), name)
        else:
            ir.Function(module, ir.FunctionType(ir.VoidType(), [vector, at, i32, bits]), name)
    return module.globals[name]


def _at(b: Any, address: Any, elements: Any, size: int, pointer: Any) -> Any:
    return b.inttoptr(b.add(address, b.mul(elements, ir.Constant(I64, size))), pointer)


def _pack(k: Any, kind: str, args: Sequence[Any]) -> Any:
    """pack(source, row step, rows, columns, target, target step, width): the first rows and columns of a block at `source`,
    whose columns lie side by side, as vectors over rows; the others are 0. `width` numbers of each vector are stored."""
    b, n, size = k.b, lanes(kind), 4 if kind[:3] == "f32" else 8
    source, row_step, rows, columns, target, step, width = args
    vector = vector_type(kind)
    pointer = vector.as_pointer()
    load, store = _masked(k.module, "load", kind), _masked(k.module, "store", kind)
    align, zero = ir.Constant(ir.IntType(32), size), ir.Constant(I64, 0)
    nothing = ir.Constant(vector, [ir.Constant(vector.element, 0.0)] * n)
    found = []
    for r in range(n):
        row = ir.Constant(I64, r)
        valid = b.icmp_signed("<", row, rows)
        count = b.select(valid, columns, zero)
        at = _at(b, source, b.mul(b.select(valid, row, zero), row_step), size, pointer)
        found.append(b.call(load, [at, align, _first(b, count, n), nothing]))
    mask = _first(b, width, n)
    for j, v in enumerate(_transposed(b, found)):
        b.call(store, [v, _at(b, target, b.mul(ir.Constant(I64, j), step), size, pointer), align, mask])
    return zero


def _unpack(k: Any, kind: str, args: Sequence[Any]) -> Any:
    """unpack(source, source step, pixels, target, target step, channels): vectors over channels as rows of pixels."""
    b, n, size = k.b, lanes(kind), 4 if kind[:3] == "f32" else 8
    source, source_step, pixels, target, step, channels = args
    pointer = vector_type(kind).as_pointer()
    store = _masked(k.module, "store", kind)
    align, zero = ir.Constant(ir.IntType(32), size), ir.Constant(I64, 0)
    found = []
    for r in range(n):
        v = b.load(_at(b, source, b.mul(ir.Constant(I64, r), source_step), size, pointer))
        v.align = size
        found.append(v)
    for j, v in enumerate(_transposed(b, found)):
        row = ir.Constant(I64, j)
        valid = b.icmp_signed("<", row, channels)
        count = b.select(valid, pixels, zero)
        at = _at(b, target, b.mul(b.select(valid, row, zero), step), size, pointer)
        b.call(store, [v, at, align, _first(b, count, n)])
    return zero


def _split(k: Any, kind: str, args: Sequence[Any]) -> Any:
    """split(source, count, even, odd): numbers that lie side by side (the first `count`, the others 0) as two vectors."""
    b, n, size = k.b, lanes(kind), 4 if kind[:3] == "f32" else 8
    source, count, *targets = args
    vector = vector_type(kind)
    pointer, load = vector.as_pointer(), _masked(k.module, "load", kind)
    align = ir.Constant(ir.IntType(32), size)
    nothing = ir.Constant(vector, [ir.Constant(vector.element, 0.0)] * n)
    halves = [
        b.call(load, [_at(b, source, ir.Constant(I64, first), size, pointer), align, _first(b, left, n), nothing])
        for first, left in ((0, count), (n, b.sub(count, ir.Constant(I64, n))))
    ]
    for parity, target in enumerate(targets):
        found = b.shuffle_vector(*halves, _mask(range(parity, 2 * n, 2)))
        b.store(found, b.inttoptr(target, pointer), align=size)
    return ir.Constant(I64, 0)


def _merge(k: Any, kind: str, args: Sequence[Any]) -> Any:
    """merge(even, odd, target, count): the opposite of split."""
    b, n, size = k.b, lanes(kind), 4 if kind[:3] == "f32" else 8
    even, odd, target, count = args
    pointer, store = vector_type(kind).as_pointer(), _masked(k.module, "store", kind)
    pair = [b.load(b.inttoptr(a, pointer), align=size) for a in (even, odd)]
    align = ir.Constant(ir.IntType(32), size)
    for first, left in ((0, count), (n, b.sub(count, ir.Constant(I64, n)))):
        order = [(first + i) // 2 + n * ((first + i) % 2) for i in range(n)]
        part = b.shuffle_vector(*pair, _mask(order))
        b.call(store, [part, _at(b, target, ir.Constant(I64, first), size, pointer), align, _first(b, left, n)])
    return ir.Constant(I64, 0)


def _put(k: Any, kind: str, args: Sequence[Any]) -> Any:
    """put(source, target, count): the first `count` numbers of a vector; what follows is neither read nor written."""
    b, n, size = k.b, lanes(kind), 4 if kind[:3] == "f32" else 8
    source, target, count = args
    vector = vector_type(kind)
    pointer, align, mask = vector.as_pointer(), ir.Constant(ir.IntType(32), size), _first(b, count, n)
    nothing = ir.Constant(vector, [ir.Constant(vector.element, 0.0)] * n)
    found = b.call(_masked(k.module, "load", kind), [b.inttoptr(source, pointer), align, mask, nothing])
    b.call(_masked(k.module, "store", kind), [found, b.inttoptr(target, pointer), align, mask])
    return ir.Constant(I64, 0)


def _spread(k: Any, kind: str, args: Sequence[Any]) -> Any:
    """A vector of one number repeated."""
    b, n = k.b, lanes(kind)
    empty = ir.Constant(vector_type(kind), ir.Undefined)
    first = b.insert_element(empty, args[0], ir.Constant(ir.IntType(32), 0))
    return b.shuffle_vector(first, empty, _mask([0] * n))


def _total(k: Any, kind: str, args: Sequence[Any]) -> Any:
    """The sum of a vector's numbers, halves first: a fixed order."""
    b, n, v = k.b, lanes(kind), args[0]
    while n > 1:
        n //= 2
        low, high = (b.shuffle_vector(v, v, _mask(range(a, a + n))) for a in (0, n))
        v = b.fadd(low, high)
    return b.extract_element(v, ir.Constant(ir.IntType(32), 0))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "pack": _pack,
    "unpack": _unpack,
    "split": _split,
    "merge": _merge,
    "put": _put,
    "spread": _spread,
    "total": _total,
}
"""By name without the kind: pack_f32x16(...)."""


def call(k: Any, name: str, args: Sequence[Any]) -> tuple[Any, str] | None:
    """The value and kind of a call of this module's functions in a kernel; None for another name."""
    if name == "scratch_take":
        return _take(k.b, args[0]), "i64"
    if name == "scratch_give":
        _give(k.b, args[0], args[1])
        return args[1], "i64"
    base, _, kind = name.rpartition("_")
    function = FUNCTIONS.get(base)
    if function is None:
        return None
    result = function(k, kind, args)
    return result, kind if base == "spread" else kind.split("x")[0] if base == "total" else "i64"
