"""Polynomials as coefficient arrays, highest power first, and the Vandermonde matrix."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from funcgrad.core.array import unwrap, wrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.differences import convolve
from funcgrad.numpy.operators import dispatch
from funcgrad.numpy.shaping import floats, part
from funcgrad.numpy.wrapping import array_operand, implements
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import broadcast_to, convert, reduce_sum, reshape
from funcgrad.ops.dot import dot_general
from funcgrad.ops.shape import concatenate, pad


def _line(p: Any) -> Any:
    p = array_operand(p)
    return p if type_of(p).ndim else reshape(p, shape=(1,))


def _sized(p: Any, n: int) -> Any:
    """p with zeros in front, n coefficients long."""
    have = type_of(p).size
    return pad(p, type_of(p).dtype.type(0), low=(n - have,), high=(0,), interior=(0,)) if have < n else p


def _common(a1: Any, a2: Any) -> tuple[Any, Any]:
    a1, a2 = _line(a1), _line(a2)
    n = max(type_of(a1).size, type_of(a2).size)
    return _sized(a1, n), _sized(a2, n)


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials, as long as the longer one."""
    a1, a2 = _common(a1, a2)
    return e.add(a1, a2)


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials, as long as the longer one."""
    a1, a2 = _common(a1, a2)
    return e.sub(a1, a2)


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """The product of two polynomials. Traced coefficients keep their leading zeros, which NumPy drops."""
    return convolve(_line(a1), _line(a2))


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> Any:
    """(quotient, remainder) of two polynomials. The traced remainder keeps its leading zeros: it is as long as u."""
    u, v = floats(_line(u)), floats(_line(v))
    m, n = type_of(u).size - 1, type_of(v).size - 1
    if m < n:
        return np.zeros(1, np.result_type(type_of(u).dtype, type_of(v).dtype)), u
    lead = reshape(part(v, 0, 1), shape=())
    rest, quotient = u * 1.0, []
    for k in range(m - n + 1):
        factor = reshape(part(rest, k, k + 1), shape=()) / lead
        quotient.append(reshape(factor, shape=(1,)))
        taken = pad(factor * v, type_of(factor * v).dtype.type(0), low=(k,), high=(m - n - k,), interior=(0,))
        rest = rest - taken
    return concatenate(*quotient, axis=0), rest


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """The m-th derivative of a polynomial. Raises ValueError for m < 0."""
    p, m = _line(p), operator.index(m)
    if m < 0:
        raise ValueError(f"funcgrad.numpy.polyder takes m >= 0, got {m}.")
    for _ in range(m):
        n = type_of(p).size - 1
        p = part(p, 0, -1) * np.arange(n, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The m-th integral of a polynomial; k are the constants of integration (0 by default), one or m of them.

    Raises ValueError for m < 0 or a wrong number of constants.
    """
    p, m = _line(p), operator.index(m)
    constants = np.zeros(max(m, 1)) if k is None else _line(k)
    if type_of(constants).size == 1:
        constants = broadcast_to(reshape(constants, shape=()), (max(m, 1),))
    if m < 0 or type_of(constants).size < m:
        raise ValueError(
            f"funcgrad.numpy.polyint takes m >= 0 and one or m constants, got m={m} and {type_of(constants)}."
        )
    for i in range(m):
        n = type_of(p).size
        p = concatenate(p / np.arange(n, 0, -1), floats(part(constants, i, i + 1)), axis=0)
    return p


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """The polynomial's values at x, of x's shape, by Horner's rule."""
    p, x = _line(p), array_operand(x)
    y: Any = x * 0
    for i in range(type_of(p).size):
        y = y * x + reshape(part(p, i, i + 1), shape=())
    return y


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """Coefficients of the polynomial with these roots, or the characteristic polynomial of a square matrix.

    Raises ValueError for other shapes.
    """
    roots_ = array_operand(seq_of_zeros)
    kind = type_of(roots_)
    if kind.ndim == 2 and kind.shape[0] == kind.shape[1] and kind.size:
        roots_ = _room(np.linalg.eigvals, roots_)
    elif kind.ndim > 1:
        raise ValueError(f"funcgrad.numpy.poly takes roots or a square matrix, got {kind}.")
    roots_ = floats(_line(roots_))
    out: Any = np.ones(1, type_of(roots_).dtype)
    for i in range(type_of(roots_).size):
        one = np.ones(1, type_of(roots_).dtype)
        out = convolve(out, concatenate(one, -part(roots_, i, i + 1), axis=0))
    return out


def _room(function: Any, *args: Any) -> Any:
    """A function of the NumPy room by NumPy's name for it."""
    found = dispatch[function](*args) if any(type(a) is Tracer for a in args) else function(*args)
    return tuple(unwrap(v) for v in found) if isinstance(found, tuple) else unwrap(found)


@implements(np.roots, extras=("strip_zeros",))
def roots(p: Any, *, strip_zeros: bool = True) -> Any:
    """The complex roots of a polynomial, the eigenvalues of its companion matrix.

    Traced, the leading coefficient is taken to be other than 0 and strip_zeros=False must be said, as in JAX:
    TypeError without it. Leading zeros then give nan.
    """
    p = _line(p)
    if type(p) is not Tracer and strip_zeros:
        return wrap(np.roots(p))
    if strip_zeros:
        raise TypeError(
            "funcgrad.numpy.roots of traced coefficients has as many roots as there are coefficients less one, whether "
            "or not the leading ones are 0; say strip_zeros=False."
        )
    p = floats(p)
    n = type_of(p).size - 1
    if n < 1:
        return wrap(np.zeros(0, np.result_type(type_of(p).dtype, np.complex64)))
    top = reshape(-part(p, 1, None) / part(p, 0, 1), shape=(1, n))
    companion = concatenate(top, np.eye(n - 1, n, dtype=type_of(p).dtype), axis=0)
    found = _room(np.linalg.eigvals, companion)
    return wrap(convert(found, np.result_type(type_of(found).dtype, np.complex64)))


@implements(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The matrix of powers x**(N-1), ..., x**0 of a 1-d x (x**0 first if increasing). ValueError for other shapes."""
    x = array_operand(x)
    kind = type_of(x)
    if kind.ndim != 1:
        raise ValueError(f"funcgrad.numpy.vander takes a 1-d array, got {kind}.")
    n = kind.size if N is None else operator.index(N)
    columns: list[Any] = []
    power: Any = np.ones(kind.shape, np.result_type(kind.dtype, np.int64) if kind.dtype.kind in "bui" else kind.dtype)
    for _ in range(n):
        columns.append(reshape(power, shape=(kind.size, 1)))
        power = power * x
    if not columns:
        return np.zeros((kind.size, 0), type_of(power).dtype)
    return concatenate(*(columns if increasing else columns[::-1]), axis=1)


@implements(np.polyfit)
def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None,
            cov: bool | str = False) -> Any:  # fmt: skip
    """Coefficients (deg + 1,) or (deg + 1, k) of the least-squares fit to points x (n,), y (n,) or (n, k).

    Traced, the columns of powers are orthogonalised, and full=, cov= and rcond= are refused: TypeError.
    """
    if full or cov or rcond is not None:
        raise TypeError("funcgrad.numpy.polyfit of traced arrays has no full=, cov= or rcond=; leave them out.")
    x, y = floats(x), floats(y)
    if type_of(x).ndim != 1 or type_of(y).ndim not in (1, 2) or type_of(y).shape[0] != type_of(x).size or deg < 0:
        raise ValueError(f"funcgrad.numpy.polyfit got x {type_of(x)}, y {type_of(y)} and deg={deg}.")
    columns = reshape(y, shape=(type_of(x).size, type_of(y).size // max(type_of(x).size, 1)))
    left = vander(x, deg + 1)
    if w is not None:
        weights = reshape(floats(w), shape=(type_of(x).size, 1))
        left, columns = left * weights, columns * weights
    coefficients = _least_squares(left, columns)
    return reshape(coefficients, shape=(deg + 1, *type_of(y).shape[1:]))


def _least_squares(a: Any, b: Any) -> Any:
    """The minimiser of |a z - b| by the modified Gram-Schmidt process on a's columns and then on b."""
    n = type_of(a).shape[1]
    q = [part(a, i, i + 1, 1) for i in range(n)]
    r: list[list[Any]] = []
    for i in range(n):
        size = e.sqrt(reduce_sum(q[i] * q[i], axes=(0,)))
        q[i] = q[i] / size
        row = [size]
        for j in range(i + 1, n):
            share = reduce_sum(q[i] * q[j], axes=(0,))
            q[j] = q[j] - q[i] * share
            row.append(share)
        r.append(row)
    rhs: list[Any] = []
    for column in q:
        share = dot_general(column, b, dims=(((0,), (0,)), ((), ())))
        b = b - column * share
        rhs.append(share)
    z: list[Any] = [None] * n
    for i in reversed(range(n)):
        total = rhs[i]
        for j in range(i + 1, n):
            total = total - r[i][j - i] * z[j]
        z[i] = total / r[i][0]
    return concatenate(*z, axis=0)
