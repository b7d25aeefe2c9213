"""Products of arrays: matmul, dot, tensordot, einsum and their kin, all made of dot_general."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.tracing import Tracer, dtype_of, shape_of
from funcgrad.numpy.axes import axis_of
from funcgrad.numpy.shape import moveaxis, permuted
from funcgrad.numpy.wrapping import array_operand, implements, operand
from funcgrad.ops import basics
from funcgrad.ops import elementwise as e
from funcgrad.ops.dot import dot_general
from funcgrad.ops.index import gather
from funcgrad.ops.shape import concatenate


def _typed(result: Any, dtype: Any) -> Any:
    return result if dtype is None else basics.convert(result, dtype)


def _no_scalars(name: str, *arrays: Any) -> None:
    for a in arrays:
        if not shape_of(a):
            raise ValueError(f"{name}: 0-d arrays are not allowed; use multiply.")


def _preferred(a: Any, b: Any, dtype: Any) -> tuple[Any, Any]:
    """Both operands as JAX's `preferred_element_type` asks: products and sums are of this dtype. `precision`, a hint for other
    hardware, changes nothing on a CPU, where every product has the full precision of its dtype."""
    if dtype is None:
        return a, b
    return basics.convert(array_operand(a), dtype), basics.convert(array_operand(b), dtype)


@implements(np.matmul, extras=("precision", "preferred_element_type"))
def matmul(x1: Any, x2: Any, /, *, dtype: Any = None, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The matrix product over the last two axes, the others broadcast; a vector counts as a row on the left, a column on
    the right. Raises ValueError for 0-d arrays, TypeError for sizes that do not match.
    """
    x1, x2 = _preferred(x1, x2, preferred_element_type)
    a, b = array_operand(x1), array_operand(x2)
    _no_scalars("matmul", a, b)
    na, nb = len(shape_of(a)), len(shape_of(b))
    if na == 1 or nb <= 2:
        dims = (((na - 1,), (max(nb - 2, 0),)), ((), ()))
        out = dot_general(a, b, dims=dims)
        # A vector on the left leaves the other's axes in order; so does a matrix on the right.
        return _typed(out, dtype)
    if nb > 2 and na == 2:
        out = dot_general(a, b, dims=(((1,), (nb - 2,)), ((), ())))
        return _typed(moveaxis(out, 0, -2), dtype)
    lead = np.broadcast_shapes(shape_of(a)[:-2], shape_of(b)[:-2])
    a = basics.broadcast_to(a, lead + shape_of(a)[-2:])
    b = basics.broadcast_to(b, lead + shape_of(b)[-2:])
    n = len(lead)
    axes = tuple(range(n))
    return _typed(dot_general(a, b, dims=(((n + 1,), (n,)), (axes, axes))), dtype)


@implements(np.dot, extras=("precision", "preferred_element_type"))
def dot(a: Any, b: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The sum over the last axis of `a` and the last but one of `b` (the only one of a vector); 0-d: the product."""
    a, b = _preferred(a, b, preferred_element_type)
    a, b = operand(a), operand(b)
    na, nb = len(shape_of(a)), len(shape_of(b))
    if na == 0 or nb == 0:
        return e.mul(a, b)
    return dot_general(a, b, dims=(((na - 1,), (max(nb - 2, 0),)), ((), ())))


@implements(np.vdot, extras=("precision", "preferred_element_type"))
def vdot(a: Any, b: Any, /, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product of two arrays as vectors, the first conjugated."""
    a, b = _preferred(a, b, preferred_element_type)
    x, y = array_operand(a), array_operand(b)
    x, y = (basics.reshape(v, shape=(math.prod(shape_of(v)),)) for v in (x, y))
    return dot_general(_conjugated(x), y, dims=(((0,), (0,)), ((), ())))


def _conjugated(x: Any) -> Any:
    return basics.conj(x) if dtype_of(x).kind == "c" else x


@implements(np.inner, extras=("precision", "preferred_element_type"))
def inner(a: Any, b: Any, /, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The sum over the last axes of both; 0-d: the product."""
    a, b = _preferred(a, b, preferred_element_type)
    a, b = operand(a), operand(b)
    na, nb = len(shape_of(a)), len(shape_of(b))
    return e.mul(a, b) if na == 0 or nb == 0 else dot_general(a, b, dims=(((na - 1,), (nb - 1,)), ((), ())))


@implements(np.outer)
def outer(a: Any, b: Any) -> Any:
    """The products of every value of `a` with every value of `b`: shape (size of a, size of b)."""
    x, y = array_operand(a), array_operand(b)
    n, m = math.prod(shape_of(x)), math.prod(shape_of(y))
    return e.mul(basics.reshape(x, shape=(n, 1)), basics.reshape(y, shape=(1, m)))


@implements(np.vecdot, extras=("precision", "preferred_element_type"))
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product of vectors along `axis`, the first conjugated, the other axes broadcast."""
    x1, x2 = _preferred(x1, x2, preferred_element_type)
    a, b = array_operand(x1), array_operand(x2)
    _no_scalars("vecdot", a, b)
    a, b = moveaxis(a, axis, -1), moveaxis(b, axis, -1)
    product = e.mul(_conjugated(a), b)
    return basics.reduce_sum(product, axes=(len(shape_of(product)) - 1,))


@implements(np.matvec)
def matvec(x1: Any, x2: Any, /) -> Any:
    """Matrices (..., m, n) times vectors (..., n)."""
    a, v = array_operand(x1), array_operand(x2)
    found = matmul(a, basics.reshape(v, shape=(*shape_of(v), 1)))
    return basics.reshape(found, shape=shape_of(found)[:-1])


@implements(np.vecmat)
def vecmat(x1: Any, x2: Any, /) -> Any:
    """Vectors (..., n), conjugated, times matrices (..., n, m)."""
    v, a = array_operand(x1), array_operand(x2)
    found = matmul(basics.reshape(_conjugated(v), shape=(*shape_of(v)[:-1], 1, shape_of(v)[-1])), a)
    return basics.reshape(found, shape=(*shape_of(found)[:-2], shape_of(found)[-1]))


@implements(np.tensordot, extras=("precision", "preferred_element_type"))
def tensordot(a: Any, b: Any, axes: Any = 2, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The sum over pairs of axes: the last `axes` of `a` with the first of `b`, or the two listed sequences."""
    a, b = _preferred(a, b, preferred_element_type)
    a, b = array_operand(a), array_operand(b)
    na, nb = len(shape_of(a)), len(shape_of(b))
    if isinstance(axes, int):
        left, right = tuple(range(na - axes, na)), tuple(range(axes))
    else:
        left, right = (tuple(s) if isinstance(s, (tuple, list)) else (s,) for s in axes)
    if len(left) != len(right):
        raise ValueError(f"tensordot: axes={axes!r} must name as many axes of each array.")
    left = tuple(axis_of(i, na, "tensordot") for i in left)
    right = tuple(axis_of(i, nb, "tensordot") for i in right)
    return dot_general(a, b, dims=((left, right), ((), ())))


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    """The Kronecker product."""
    a, b = array_operand(a), array_operand(b)
    rank = max(len(shape_of(a)), len(shape_of(b)))
    left, right = ((1,) * (rank - len(shape_of(x))) + shape_of(x) for x in (a, b))
    wide_a = basics.reshape(a, shape=tuple(n for s in left for n in (s, 1)))
    wide_b = basics.reshape(b, shape=tuple(n for s in right for n in (1, s)))
    return basics.reshape(e.mul(wide_a, wide_b), shape=tuple(m * n for m, n in zip(left, right, strict=True)))


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product of vectors of 3 components (or 2: then the third component of the result, or a zero, is meant)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = moveaxis(array_operand(a), axisa, -1), moveaxis(array_operand(b), axisb, -1)
    sizes = (shape_of(x)[-1], shape_of(y)[-1])
    if any(n not in (2, 3) for n in sizes):
        raise ValueError(f"cross: vectors must have 2 or 3 components, got {sizes[0]} and {sizes[1]}.")
    xs, ys = ([_component(v, i) if i < n else None for i in range(3)] for v, n in ((x, sizes[0]), (y, sizes[1])))

    def minor(i: int, j: int) -> Any:
        terms = [e.mul(p, q) for p, q in ((xs[i], ys[j]), (xs[j], ys[i])) if p is not None and q is not None]
        if xs[i] is None or ys[j] is None:
            return e.neg(terms[0]) if terms else None
        return e.sub(*terms) if len(terms) == 2 else terms[0]

    last = minor(0, 1)
    if sizes == (2, 2):
        return last
    parts = [minor(1, 2), minor(2, 0), last]
    shaped = [basics.reshape(p, shape=(*shape_of(p), 1)) for p in parts]
    return moveaxis(concatenate(*shaped, axis=len(shape_of(last))), -1, axisc)


def _component(x: Any, i: int) -> Any:
    return gather(x, np.asarray(i), axes=(len(shape_of(x)) - 1,), mode="raise")


# ---- einsum ----


def _parse(operands: Sequence[Any]) -> tuple[list[str], str, list[Any]]:
    """The subscripts of each operand, those of the output, and the operands; ellipses become upper-case letters."""
    if not isinstance(operands[0], str):
        operands = _from_lists(operands)
    subscripts, arrays = operands[0].replace(" ", ""), [array_operand(a) for a in operands[1:]]
    given, arrow, output = subscripts.partition("->")
    terms = given.split(",")
    if len(terms) != len(arrays):
        raise ValueError(f"einsum: '{operands[0]}' has {len(terms)} terms, but {len(arrays)} arrays were given.")
    ranks = [len(shape_of(a)) - len(t.replace("...", "")) for t, a in zip(terms, arrays, strict=True)]
    spare = [c for c in map(chr, range(0x100, 0x140)) if c not in subscripts]
    widest = max([r for r, t in zip(ranks, terms, strict=True) if "..." in t], default=0)
    dots = "".join(spare[:widest])
    for i, (t, r) in enumerate(zip(terms, ranks, strict=True)):
        if r < 0 or (r and "..." not in t):
            raise ValueError(
                f"einsum: term '{t}' of '{operands[0]}' does not fit an array of shape {shape_of(arrays[i])}."
            )
        terms[i] = t.replace("...", dots[widest - r :])
    if not arrow:
        letters = "".join(terms)
        output = dots + "".join(sorted(c for c in set(letters) - set(dots) if letters.count(c) == 1))
    return terms, output.replace("...", dots), arrays


def _from_lists(operands: Sequence[Any]) -> list[Any]:
    """The form einsum(a, [0, 1], b, [1, 2], [0, 2]) as the form with a string."""
    arrays, lists = list(operands[0:-1:2]), list(operands[1::2])
    last = operands[-1] if len(operands) % 2 else None

    def text(axes: Any) -> str:
        return "".join(
            "..." if a is Ellipsis else chr(ord("a") + a) if a < 26 else chr(ord("A") + a - 26) for a in axes
        )

    return [",".join(map(text, lists)) + ("" if last is None else "->" + text(last)), *arrays]


def _take_diagonals(x: Any, term: str) -> tuple[Any, str]:
    """Repeated letters of one term: the diagonal of these axes."""
    for letter in dict.fromkeys(term):
        places = tuple(i for i, c in enumerate(term) if c == letter)
        if len(places) > 1:
            line = np.arange(shape_of(x)[places[0]])
            x = gather(x, *[line] * len(places), axes=places, mode="raise")
            term = letter + "".join(c for c in term if c != letter)
    return x, term


def _sum_lonely(x: Any, term: str, needed: str) -> tuple[Any, str]:
    """Letters that nobody else has are summed at once."""
    axes = tuple(i for i, c in enumerate(term) if c not in needed)
    return (basics.reduce_sum(x, axes=axes) if axes else x), "".join(c for c in term if c in needed)


def _contract(x: Any, tx: str, y: Any, ty: str, needed: str) -> tuple[Any, str]:
    """The product of two terms, summed over what nobody else needs."""
    x, tx = _sum_lonely(x, tx, ty + needed)
    y, ty = _sum_lonely(y, ty, tx + needed)
    (x, tx), (y, ty) = _squeeze_ones(x, tx, y, ty), _squeeze_ones(y, ty, x, tx)
    shared = [c for c in tx if c in ty]
    batch = [c for c in shared if c in needed]
    summed = [c for c in shared if c not in needed]
    places = lambda term, letters: tuple(term.index(c) for c in letters)  # noqa: E731
    dims = ((places(tx, summed), places(ty, summed)), (places(tx, batch), places(ty, batch)))
    out = dot_general(x, y, dims=dims)
    return out, "".join(batch) + "".join(c for c in tx if c not in shared) + "".join(c for c in ty if c not in shared)


def _squeeze_ones(x: Any, tx: str, y: Any, ty: str) -> tuple[Any, str]:
    # An axis of size 1 broadcasts against the other operand's: it can be left out where the other one has the letter.
    gone = [i for i, c in enumerate(tx) if c in ty and shape_of(x)[i] == 1 and shape_of(y)[ty.index(c)] != 1]
    kept = tuple(n for i, n in enumerate(shape_of(x)) if i not in gone)
    return (basics.reshape(x, shape=kept) if gone else x), "".join(c for i, c in enumerate(tx) if i not in gone)


@implements(np.einsum, extras=("precision", "preferred_element_type"))
def einsum(*operands: Any, optimize: Any = "optimal", dtype: Any = None, preferred_element_type: Any = None) -> Any:
    """The sum of products that the subscripts say, as numpy.einsum: einsum('ij,jk->ik', a, b) or with lists of axes.

    Every form is allowed: implicit output, ellipses, repeated letters. More than two arrays are contracted pair by pair in
    the order of numpy.einsum_path. Raises ValueError for subscripts that do not fit.
    """
    terms, output, arrays = _parse(operands)
    if len(set(output)) != len(output) or not set(output) <= set("".join(terms)):
        raise ValueError(f"einsum: output '{output}' must name letters of the inputs, each once.")
    parts = [_take_diagonals(x, t) for x, t in zip(arrays, terms, strict=True)]
    for chosen in _path(parts, output, optimize):
        picked = [parts[i] for i in chosen]
        parts = [p for i, p in enumerate(parts) if i not in chosen]
        needed = output + "".join(t for _, t in parts)
        (x, tx), *others = picked
        for n, (y, ty) in enumerate(others):
            later = needed + "".join(t for _, t in others[n + 1 :])
            x, tx = _contract(x, tx, y, ty, later)
        parts.append((x, tx))
    x, term = _sum_lonely(*parts[0], output)
    wanted = dtype if dtype is not None else preferred_element_type
    return _typed(permuted(x, [term.index(c) for c in output]), wanted)


def _path(parts: Sequence[tuple[Any, str]], output: str, optimize: Any) -> list[tuple[int, ...]]:
    if len(parts) == 1:
        return []
    if len(parts) == 2:
        return [(0, 1)]
    letters = {c: chr(ord("a") + i) if i < 26 else chr(ord("A") + i - 26)
               for i, c in enumerate(dict.fromkeys("".join(t for _, t in parts)))}  # fmt: skip
    plain = ["".join(letters[c] for c in t) for _, t in parts]
    shapes = [np.broadcast_to(np.zeros(()), shape_of(x)) for x, _ in parts]
    text = ",".join(plain) + "->" + "".join(letters[c] for c in output)
    how = "optimal" if optimize in (True, "auto") or optimize is False else optimize
    return list(np.einsum_path(text, *shapes, optimize=how)[0][1:])


def einsum_path(subscripts: Any, /, *operands: Any, optimize: Any = "auto") -> Any:
    """The order of contractions that numpy.einsum_path finds; only shapes matter."""
    how = "optimal" if optimize == "auto" else optimize
    shapes = [np.broadcast_to(np.zeros(()), shape_of(o)) if type(o) is Tracer else o for o in operands]
    return np.einsum_path(subscripts, *shapes, optimize=how)


setattr(Tracer, "__matmul__", lambda self, other: matmul(self, other))  # noqa: B010
setattr(Tracer, "__rmatmul__", lambda self, other: matmul(other, self))  # noqa: B010
