"""Products of matrices: how dot_general becomes calls of one GEMM, and the OpenBLAS that does them.

OpenBLAS runs single-threaded inside our own ranges: a product is cut into tiles by a rule that does not look at the number of
threads. The library is our own copy (scipy-openblas32), loaded with the kernels for this CPU: by itself it picks AVX2 ones on
some CPUs that have AVX-512, at half the speed.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from funcgrad.compile import gemv, machine
from funcgrad.core.lowering import Layout
from funcgrad.ops.dot import free_axes

_lock = threading.Lock()
_library: list[ctypes.CDLL | None] = []

SOURCE = """def kernel(args, lo, hi):
    x0 = word(args, 0)
    x1 = word(args, 1)
    x2 = word(args, 2)
    function = word(args, 3)
    ta = word(args, 4)
    tb = word(args, 5)
    m = word(args, 6)
    n = word(args, 7)
    k = word(args, 8)
    lda = word(args, 9)
    ldb = word(args, 10)
    rows = word(args, 11)
    columns = word(args, 12)
    across = word(args, 13)
    tiles = word(args, 14)
    row_step = word(args, 15)
    column_step = word(args, 16)
    inner = word(args, 17)
    a_outer = word(args, 18)
    a_inner = word(args, 19)
    b_outer = word(args, 20)
    b_inner = word(args, 21)
    for u in range(lo, hi):
        batch = quotient_of(u, tiles)
        tile = remainder_of(u, tiles)
        outer = quotient_of(batch, inner)
        within = remainder_of(batch, inner)
        i = quotient_of(tile, across) * rows
        j = remainder_of(tile, across) * columns
        a = x0 + (outer * a_outer + within * a_inner + i * row_step) * {size}
        b = x1 + (outer * b_outer + within * b_inner + j * column_step) * {size}
        c = x2 + (batch * m * n + i * n + j) * {size}
        gemm_{kind}(function, ta, tb, min(rows, m - i), min(columns, n - j), k, a, lda, b, ldb, c, n)
"""


def openblas() -> ctypes.CDLL | None:
    """The library, loaded once, or None if the package scipy-openblas32 is not there."""
    with _lock:
        if not _library:
            _library.append(_load())
        return _library[0]


def _load() -> ctypes.CDLL | None:
    # The package is only a place on disk here: running its __init__ costs 25 ms of imports.
    spec = importlib.util.find_spec("scipy_openblas32")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "lib"
    found = sorted([*folder.glob("libscipy_openblas*.so"), *folder.glob("*.dylib"), *folder.glob("*.dll")])
    if not found:
        return None
    before = os.environ.get("OPENBLAS_CORETYPE")
    wanted = _core_type()
    if before is None and wanted is not None:
        os.environ["OPENBLAS_CORETYPE"] = wanted
    try:
        library = ctypes.CDLL(str(found[0]))
    finally:
        if before is None:
            os.environ.pop("OPENBLAS_CORETYPE", None)
    library.scipy_openblas_set_num_threads(1)
    return library


def _core_type() -> str | None:
    """OpenBLAS's name of the kernels to use, where its own choice is slower."""
    return "SkylakeX" if {"avx512f", "avx512dq", "avx512vl"} <= machine.features() else None


def gemm_address(kind: str) -> int:
    """The address of cblas_sgemm or cblas_dgemm; 0 if there is no library."""
    library = openblas()
    if library is None:
        return 0
    function = library.scipy_cblas_sgemm if kind == "f32" else library.scipy_cblas_dgemm
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@dataclass(frozen=True, slots=True)
class Matrices:
    """An operand as a batch of matrices: (rows, columns) with strides, up to two batch strides."""

    batch: tuple[int, int]
    strides: tuple[int, int]
    row: int
    column: int


def _merged(layout: Layout, axes: Sequence[int]) -> tuple[int, int] | None:
    """(size, stride) of some axes as one; None if they do not lie at even distances."""
    size, stride = 1, 0
    for a in reversed(axes):
        n, s = layout.shape[a], layout.strides[a]
        if n == 1:
            continue
        if size == 1:
            size, stride = n, s
        elif s == stride * size:
            size *= n
        else:
            return None
    return size, stride


def _batched(layout: Layout, axes: Sequence[int]) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Batch axes as at most two: (outer size, inner size), their strides."""
    for cut in range(len(axes) + 1):
        outer, inner = _merged(layout, axes[:cut]), _merged(layout, axes[cut:])
        if outer is not None and inner is not None:
            return (outer[0], inner[0]), (outer[1], inner[1])
    return None


def matrices(layout: Layout, batch: Sequence[int], rows: Sequence[int], columns: Sequence[int]) -> Matrices | None:
    """An operand as GEMM can read it, with unit stride along rows or columns; None if it must be copied."""
    r, c = _merged(layout, rows), _merged(layout, columns)
    b = _batched(layout, batch)
    if r is None or c is None or b is None:
        return None
    unit = (c[1] == 1 or c[0] == 1) and (r[1] >= max(c[0], 1) or r[0] == 1)
    turned = (r[1] == 1 or r[0] == 1) and (c[1] >= max(r[0], 1) or c[0] == 1)
    if not (unit or turned):
        return None
    return Matrices(b[0], b[1], r[1], c[1])


@dataclass(frozen=True, slots=True)
class Product:
    """A dot_general as GEMM calls: words of the kernel's table behind the three pointers, its units and their work."""

    words: tuple[int, ...]
    units: int
    work: float


def product(kind: str, left: Layout, right: Layout, dims: tuple[tuple[tuple[int, ...], ...], ...]) -> Product | None:
    """The GEMM calls for these layouts; None if an operand must be copied first."""
    (xc, yc), (xb, yb) = dims
    xf, yf = free_axes(len(left.shape), xc, xb), free_axes(len(right.shape), yc, yb)
    a, b = matrices(left, xb, xf, xc), matrices(right, yb, yc, yf)
    if a is None or b is None or _grouping(a) != _grouping(b):
        a, b = _aligned(left, right, xb, yb, a, b)
        if a is None or b is None:
            return None
    m, k = math.prod(left.shape[i] for i in xf), math.prod(left.shape[i] for i in xc)
    n = math.prod(right.shape[i] for i in yf)
    if max(m, n, k) >= 1 << 31:
        return None
    plain_a, lda = _leading(a.row, a.column, m, k)
    plain_b, ldb = _leading(b.row, b.column, k, n)
    rows, columns = _tile(m, n, k)
    down, across = -(-m // rows), -(-n // columns)
    outer, inner = a.batch
    row_step = lda if plain_a else 1
    column_step = 1 if plain_b else ldb
    function = _function(kind, m, n, (plain_a, lda), (plain_b, ldb))
    words = (
        function, 111 if plain_a else 112, 111 if plain_b else 112, m, n, k, lda, ldb, rows, columns, across,
        down * across, row_step, column_step, max(inner, 1), a.strides[0], a.strides[1], b.strides[0], b.strides[1],
    )  # fmt: skip
    return Product(words, outer * inner * down * across, 2.0 * min(rows, m) * min(columns, n) * k / 16)


def _function(kind: str, m: int, n: int, left: tuple[bool, int], right: tuple[bool, int]) -> int:
    """The address of what multiplies factors with these (whether rows are contiguous, leading dimension): a product of our own
    for a matrix and a contiguous vector, else the BLAS's."""
    (plain_a, lda), (plain_b, ldb) = left, right
    if n == 1 and m > 1 and (ldb == 1 or not plain_b):
        return gemv.gemv_address(kind, True, plain_a)
    if m == 1 and n > 1 and (plain_a or lda == 1):
        return gemv.gemv_address(kind, False, not plain_b)
    return gemm_address(kind)


def _grouping(m: Matrices) -> tuple[int, int]:
    return m.batch


def _aligned(left: Layout, right: Layout, xb: Sequence[int], yb: Sequence[int], a: Matrices | None, b: Matrices | None):  # type: ignore[no-untyped-def]
    """Both operands with the batch axes cut at one place, where there is such a cut."""
    if a is None or b is None:
        return None, None
    for cut in range(len(xb) + 1):
        parts = [_merged(left, xb[:cut]), _merged(left, xb[cut:]), _merged(right, yb[:cut]), _merged(right, yb[cut:])]
        if all(p is not None for p in parts):
            (lo, ls), (li, lt), (_, rs), (_, rt) = parts  # type: ignore[misc]
            return Matrices((lo, li), (ls, lt), a.row, a.column), Matrices((lo, li), (rs, rt), b.row, b.column)
    return None, None


def _leading(row: int, column: int, rows: int, columns: int) -> tuple[bool, int]:
    """(whether rows are contiguous, the leading dimension) of a matrix with these strides."""
    if (column == 1 or columns == 1) and (row >= columns or rows == 1):
        return True, max(row, columns, 1)
    return False, max(column, rows, 1)


def _tile(m: int, n: int, k: int) -> tuple[int, int]:
    """Rows and columns of a tile: large enough for GEMM to be near its peak, small enough to share out."""
    if m * n * k < 1 << 19:
        return max(m, 1), max(n, 1)
    if m * n * k > 1 << 36:  # no tile takes more than a fraction of a second, so that Ctrl-C is honoured between them
        side = max(math.isqrt((1 << 33) // k) // 64 * 64, 256)
        return min(side, m), min(side, n)
    # One tile for each CPU of the machine, however many threads are allowed: each packs the whole of the other operand.
    parts = max(os.cpu_count() or 1, 2) * (1 if m * n * k < 1 << 32 else 2)
    if m >= n:
        return max(-(-m // (16 * parts)) * 16, 32), max(n, 1)
    return max(m, 1), max(-(-n // (16 * parts)) * 16, 32)
