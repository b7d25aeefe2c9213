"""Matrices of a given structure, as jax.scipy.linalg has them: from vectors (differentiable) and from a size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, shape_of
from funcgrad.numpy.taking import take
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e
from funcgrad.ops import linalg as rows
from funcgrad.ops.families import scipy_linalg
from funcgrad.ops.shape import concatenate, pad, rev, slice_axis


def _vector(name: str, x: Any) -> Any:
    x = array_operand(x)
    return basics.reshape(x, shape=(1,)) if not shape_of(x) else x


def _joined(*parts: Any) -> Any:
    """Vectors (..., n) one after the other along the last axis, of one dtype."""
    dtype = np.result_type(*[dtype_of(p) for p in parts])
    lead = np.broadcast_shapes(*[shape_of(p)[:-1] for p in parts])
    found = [basics.convert(basics.broadcast_to(p, (*lead, shape_of(p)[-1])), dtype) for p in parts]
    return concatenate(*found, axis=len(lead))


def _tail(x: Any) -> Any:
    """A vector without its first value."""
    return slice_axis(x, 1, shape_of(x)[-1], len(shape_of(x)) - 1)


def _picked(x: Any, places: np.ndarray) -> Any:
    return take(wrap(x), places, axis=-1)


# ---- from vectors over the last axis ----


def toeplitz(c: Any, r: Any = None) -> Any:
    """The matrix of constant diagonals with first column c and first row r (r[0] is not read; by default conj(c))."""
    column = _vector("toeplitz", c)
    row = _vector(
        "toeplitz", basics.conj(column) if r is None and dtype_of(column).kind == "c" else column if r is None else r
    )
    m, n = shape_of(column)[-1], shape_of(row)[-1]
    line = _joined(rev(_tail(row), axes=(len(shape_of(row)) - 1,)), column)
    return _picked(line, n - 1 + np.arange(m)[:, None] - np.arange(n))


def hankel(c: Any, r: Any = None) -> Any:
    """The matrix of constant antidiagonals with first column c and last row r (r[0] is not read; by default zeros)."""
    column = _vector("hankel", c)
    row = np.zeros(shape_of(column), dtype_of(column)) if r is None else _vector("hankel", r)
    m, n = shape_of(column)[-1], shape_of(row)[-1]
    return _picked(_joined(column, _tail(row)), np.arange(m)[:, None] + np.arange(n))


def circulant(c: Any) -> Any:
    """The square matrix whose columns are c turned on by one place each."""
    column = _vector("circulant", c)
    n = shape_of(column)[-1]
    return _picked(column, (np.arange(n)[:, None] - np.arange(n)) % n)


def convolution_matrix(a: Any, n: int, mode: str = "full") -> Any:
    """The matrix m with m @ v = convolve(a, v, mode) for vectors v of length n."""
    kernel = _vector("convolution_matrix", a)
    if n < 1 or not shape_of(kernel)[-1]:
        raise ValueError(
            f"convolution_matrix needs n of at least 1 and a not empty, got n={n}, shape {shape_of(kernel)}."
        )
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolution_matrix: mode must be 'full', 'same' or 'valid', got {mode!r}.")
    k = shape_of(kernel)[-1]
    zeros = np.zeros(n - 1, dtype_of(kernel))
    line = _joined(zeros, kernel, zeros)
    first, count = {"full": (0, n + k - 1), "same": ((min(n, k) - 1) // 2, max(n, k)),
                    "valid": (min(n, k) - 1, max(n, k) - min(n, k) + 1)}[mode]  # fmt: skip
    return _picked(line, n - 1 + (first + np.arange(count))[:, None] - np.arange(n))


def _below(first_row: Any, diagonal: Any) -> Any:
    """Matrices with a first row (..., n) and a first subdiagonal (..., n - 1), zero elsewhere."""
    n = shape_of(first_row)[-1]
    dtype = np.result_type(dtype_of(first_row), dtype_of(diagonal))
    none = (0,) * (len(shape_of(diagonal)) - 1)
    lowered = pad(basics.convert(diagonal, dtype), 0.0, low=(*none, 1), high=(*none, 0), interior=(*none, 0))
    at = np.arange(n)
    top = e.select(at[:, None] == 0, rows.as_row(basics.convert(first_row, dtype)), 0.0)
    return top + e.select(at[:, None] == at + 1, rows.as_column(lowered), 0.0)


def companion(a: Any) -> Any:
    """The companion matrix of a polynomial with coefficients a, the highest power first."""
    coefficients = _vector("companion", a)
    n = shape_of(coefficients)[-1]
    if n < 2:
        raise ValueError(f"companion needs at least 2 coefficients, got shape {shape_of(coefficients)}.")
    lead = slice_axis(coefficients, 0, 1, len(shape_of(coefficients)) - 1)
    row = -_tail(coefficients) / lead
    return wrap(_below(row, basics.broadcast_to(np.ones(n - 2, dtype_of(row)), (*shape_of(row)[:-1], n - 2))))


def leslie(f: Any, s: Any) -> Any:
    """The Leslie matrix: first row f (..., n), first subdiagonal s (..., n - 1)."""
    row, diagonal = _vector("leslie", f), _vector("leslie", s)
    if shape_of(row)[-1] != shape_of(diagonal)[-1] + 1:
        raise ValueError(f"leslie: s must be one shorter than f, got shapes {shape_of(diagonal)} and {shape_of(row)}.")
    return wrap(_below(row, diagonal))


def fiedler(a: Any) -> Any:
    """The distances |a_i - a_j| of every pair of values."""
    x = _vector("fiedler", a)
    return wrap(e.magnitude(rows.as_column(x) - rows.as_row(x)))


def block_diag(*arrs: Any) -> Any:
    """Matrices (numbers and vectors count as one row) along the diagonal of one matrix, zeros elsewhere."""
    if not arrs:
        return wrap(np.zeros((1, 0)))
    found = []
    for a in arrs:
        x = array_operand(a)
        shape = shape_of(x)
        if len(shape) > 2:
            raise ValueError(f"block_diag takes arrays of at most 2 axes, got shape {shape}.")
        found.append(basics.reshape(x, shape=(1,) * (2 - len(shape)) + shape))
    dtype = np.result_type(*[dtype_of(x) for x in found])
    total, at, strips = sum(shape_of(x)[1] for x in found), 0, []
    for x in found:
        n = shape_of(x)[1]
        strips.append(pad(basics.convert(x, dtype), 0, low=(0, at), high=(0, total - at - n), interior=(0, 0)))
        at += n
    return wrap(concatenate(*strips, axis=0))


# ---- from a size, float64 unless said otherwise ----


def hilbert(n: int) -> Any:
    """1 / (i + j + 1)."""
    return wrap(scipy_linalg.hilbert(n))


def invhilbert(n: int) -> Any:
    """The inverse of hilbert(n)."""
    return wrap(scipy_linalg.invhilbert(n, exact=False))


def _pascal_kind(name: str, kind: str | None) -> str:
    if kind not in (None, "symmetric", "lower", "upper"):
        raise ValueError(f"{name}: kind must be 'symmetric', 'lower' or 'upper', got {kind!r}.")
    return kind or "symmetric"


def pascal(n: int, kind: str | None = None) -> Any:
    """The binomial coefficients as a symmetric (default), lower or upper triangular matrix."""
    return wrap(scipy_linalg.pascal(n, _pascal_kind("pascal", kind), exact=False))


def invpascal(n: int, kind: str | None = None) -> Any:
    """The inverse of pascal(n, kind)."""
    return wrap(scipy_linalg.invpascal(n, _pascal_kind("invpascal", kind), exact=False))


def hadamard(n: int, dtype: Any = int) -> Any:
    """The matrix of 1 and -1 with orthogonal rows; n is a power of 2 (else ValueError)."""
    return wrap(scipy_linalg.hadamard(n, np.dtype(dtype)))


def helmert(n: int, full: bool = False) -> Any:
    """The Helmert matrix without its first row, or with it if `full`."""
    return wrap(scipy_linalg.helmert(n, full))


def dft(n: int, scale: str | None = None, *, dtype: Any = None) -> Any:
    """The matrix of the discrete Fourier transform, complex128 unless `dtype` is given.

    scale: None, "sqrtn" (divided by the root of n) or "n" (divided by n).
    """
    divisors = {None: 1.0, "sqrtn": math.sqrt(n), "n": float(n)}
    if scale not in divisors:
        raise ValueError(f"dft: scale must be None, 'sqrtn' or 'n', got {scale!r}.")
    angles = np.outer(np.arange(n), np.arange(n)) % n
    found = np.exp(-2j * np.pi * angles / n) / divisors[scale]
    return wrap(found if dtype is None else found.astype(np.dtype(dtype)))
