"""Products of a matrix with a vector, in LLVM assembly, with the signature of cblas_?gemm so that kernels call either.

OpenBLAS's GEMM copies the matrix before it multiplies, which for a vector takes longer than the product. Here each result is
formed in one order that does not depend on how results are shared out among threads: rows against the vector one by one, or four
rows at a time added up, whichever the matrix lies along. alpha is taken to be 1 and beta 0.
"""

from __future__ import annotations

from typing import Any

from funcgrad.compile import locks, native
from funcgrad.ops.families import LazyModule

_codegen: Any = LazyModule("funcgrad.compile.codegen")
"""The compiler proper: only code that is on no disk needs it."""
_REALS = {"f32": "float", "f64": "double"}
_addresses: dict[tuple[str, bool, bool], int] = {}


def gemv_address(kind: str, on_the_right: bool, along_sum: bool) -> int:
    """The address of the function for "f32" or "f64".

    on_the_right: the vector is the second factor (n = 1), else the first (m = 1). along_sum: the matrix is contiguous along the
    axis that is summed over. The vector is contiguous.
    """
    key = kind, on_the_right, along_sum
    with locks.loading:
        if key not in _addresses:
            symbol = f"fg_gemv_{kind}_{'right' if on_the_right else 'left'}_{'rows' if along_sum else 'columns'}"
            text = _text(symbol, _REALS[kind], on_the_right, along_sum)
            _addresses[key] = native.load_code(text, lambda _: _codegen.compile_ir(text), symbol)
        return _addresses[key]


def _text(symbol: str, real: str, on_the_right: bool, along_sum: bool) -> str:
    matrix, vector, count, leading = ("a", "b", "m", "lda") if on_the_right else ("b", "a", "n", "ldb")
    body = _DOT if along_sum else _ADD_UP
    return body.replace("REAL", real) + (
        f"define void @{symbol}(i32 %order, i32 %ta, i32 %tb, i32 %m, i32 %n, i32 %k, {real} %alpha, ptr %a, i32 %lda, "
        f"ptr %b, i32 %ldb, {real} %beta, ptr %c, i32 %ldc) nounwind {{\n"
        f"  %count = sext i32 %{count} to i64\n  %length = sext i32 %k to i64\n  %leading = sext i32 %{leading} to i64\n"
        f"  call void @multiply(ptr %{matrix}, ptr %{vector}, ptr %c, i64 %count, i64 %length, i64 %leading)\n"
        "  ret void\n}\n"
    )


_DOT = """
define internal void @multiply(ptr noalias %matrix, ptr noalias %vector, ptr noalias %out, i64 %count, i64 %length, i64 %leading)
    noinline nounwind {
entry:
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %i1, %row.end ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %row.begin, label %end
row.begin:
  %o = mul i64 %i, %leading
  %at = getelementptr REAL, ptr %matrix, i64 %o
  br label %sum
sum:
  %j = phi i64 [ 0, %row.begin ], [ %j1, %sum.one ]
  %s = phi REAL [ 0.0, %row.begin ], [ %s1, %sum.one ]
  %rest = icmp slt i64 %j, %length
  br i1 %rest, label %sum.one, label %row.end
sum.one:
  %xp = getelementptr REAL, ptr %at, i64 %j
  %x = load REAL, ptr %xp
  %vp = getelementptr REAL, ptr %vector, i64 %j
  %v = load REAL, ptr %vp
  %p = fmul contract REAL %x, %v
  %s1 = fadd reassoc contract REAL %s, %p
  %j1 = add nsw i64 %j, 1
  br label %sum
row.end:
  %op = getelementptr REAL, ptr %out, i64 %i
  store REAL %s, ptr %op
  %i1 = add nsw i64 %i, 1
  br label %row
end:
  ret void
}

"""
"""out[i] = the sum of matrix[i, j] vector[j]."""


def _add_up() -> str:
    def rows(together: int) -> str:
        """The loop over columns that adds so many rows, times their numbers, to what is there."""
        name = f"by{together}"
        lines = [f"{name}:"]
        for r in range(together):
            lines += [
                f"  %{name}.k{r} = add nsw i64 %k, {r}",
                f"  %{name}.vp{r} = getelementptr REAL, ptr %vector, i64 %{name}.k{r}",
                f"  %{name}.v{r} = load REAL, ptr %{name}.vp{r}",
                f"  %{name}.o{r} = mul i64 %{name}.k{r}, %leading",
                f"  %{name}.at{r} = getelementptr REAL, ptr %matrix, i64 %{name}.o{r}",
            ]
        lines += [
            f"  br label %{name}.test",
            f"{name}.test:",
            f"  %{name}.j = phi i64 [ 0, %{name} ], [ %{name}.j1, %{name}.one ]",
            f"  %{name}.rest = icmp slt i64 %{name}.j, %count",
            f"  br i1 %{name}.rest, label %{name}.one, label %next",
            f"{name}.one:",
            f"  %{name}.op = getelementptr REAL, ptr %out, i64 %{name}.j",
            f"  %{name}.s0 = load REAL, ptr %{name}.op",
        ]
        for r in range(together):
            lines += [
                f"  %{name}.xp{r} = getelementptr REAL, ptr %{name}.at{r}, i64 %{name}.j",
                f"  %{name}.x{r} = load REAL, ptr %{name}.xp{r}",
                f"  %{name}.p{r} = fmul contract REAL %{name}.x{r}, %{name}.v{r}",
                f"  %{name}.s{r + 1} = fadd contract REAL %{name}.s{r}, %{name}.p{r}",
            ]
        lines += [
            f"  store REAL %{name}.s{together}, ptr %{name}.op",
            f"  %{name}.j1 = add nsw i64 %{name}.j, 1",
            f"  br label %{name}.test",
        ]
        return "\n".join(lines) + "\n"

    return (
        """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal void @multiply(ptr noalias %matrix, ptr noalias %vector, ptr noalias %out, i64 %count, i64 %length, i64 %leading)
    noinline nounwind {
entry:
  %size = getelementptr REAL, ptr null, i64 %count
  %bytes = ptrtoint ptr %size to i64
  call void @llvm.memset.p0.i64(ptr %out, i8 0, i64 %bytes, i1 false)
  br label %row
row:
  %k = phi i64 [ 0, %entry ], [ %k.next, %next ]
  %left = sub i64 %length, %k
  %many = icmp sge i64 %left, 4
  br i1 %many, label %by4, label %few
few:
  %one = icmp sge i64 %left, 1
  br i1 %one, label %by1, label %end
"""
        + rows(4)
        + rows(1)
        + """next:
  %step = select i1 %many, i64 4, i64 1
  %k.next = add nsw i64 %k, %step
  br label %row
end:
  ret void
}

"""
    )


_ADD_UP = _add_up()
"""out[j] = the sum of vector[k] matrix[k, j]."""
