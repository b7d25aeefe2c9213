"""jacfwd, jacrev and hessian: a derivative along every unit vector at once, by vmap."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import argument_path, check_inexact, flatten_arrays, function_name, normalize_argnums
from funcgrad.api.batching import vmap
from funcgrad.api.derivatives import linearize, vjp
from funcgrad.core.array import wrap
from funcgrad.core.tracing import type_of
from funcgrad.core.types import is_inexact
from funcgrad.ops.basics import reshape
from funcgrad.ops.shape import concatenate, slice_axis

Fun = Callable[..., Any]


def _basis(leaves: Sequence[Any]) -> list[Any]:
    """For each leaf the (total, *shape) array whose rows run over the unit vectors of all leaves together."""
    total = sum(type_of(leaf).size for leaf in leaves)
    rows, at = [], 0
    for leaf in leaves:
        kind = type_of(leaf)
        block = np.zeros((total, kind.size), kind.dtype)
        block[at : at + kind.size] = np.eye(kind.size, dtype=kind.dtype)
        rows.append(block.reshape(total, *kind.shape))
        at += kind.size
    return rows


def _cut(matrix: Any, likes: Sequence[Any], axis: int) -> list[Any]:
    """A matrix cut along one axis into one piece per leaf of `likes`."""
    pieces, at = [], 0
    for like in likes:
        size = type_of(like).size
        pieces.append(slice_axis(matrix, at, at + size, axis))
        at += size
    return pieces


def _by_columns(fun: Fun, picked: tuple[Any, ...], leaves: Sequence[Any], in_tree: Any, has_aux: bool) -> Any:
    value, push, *aux = linearize(fun, *picked, has_aux=has_aux)
    outs, out_tree = tree.flatten(value)
    image = vmap(push, out_axes=-1)(*tree.unflatten(in_tree, _basis(leaves)))
    blocks = [_cut(m, leaves, type_of(o).ndim) for m, o in zip(tree.leaves(image), outs, strict=True)]
    return outs, out_tree, blocks, aux


def _by_rows(fun: Fun, picked: tuple[Any, ...], name: str, has_aux: bool, holomorphic: bool, chunk: int | None) -> Any:
    value, pull, *aux = vjp(fun, *picked, has_aux=has_aux)
    outs, out_tree = tree.flatten(value)
    _check_output(outs, name, holomorphic)
    basis = _basis(outs)
    total = sum(type_of(o).size for o in outs)
    starts = range(0, total, chunk or max(total, 1)) or range(1)
    parts = [vmap(pull)(tree.unflatten(out_tree, [b[s : s + starts.step] for b in basis])) for s in starts]
    image = parts[0] if len(parts) == 1 else tree.map(lambda *rows: concatenate(*rows, axis=0), *parts)
    by_leaf = [_cut(m, outs, 0) for m in tree.leaves(image)]
    return outs, out_tree, [list(row) for row in zip(*by_leaf, strict=True)], aux


def _check_output(outs: Sequence[Any], name: str, holomorphic: bool) -> None:
    for o in outs:
        kind = type_of(o).dtype
        if not is_inexact(kind):
            raise TypeError(f"jacrev needs outputs of floating dtype; {name} returned dtype {kind}.")
        if (kind.kind == "c") != holomorphic:
            need = "a complex output with holomorphic=True" if holomorphic else "real outputs unless holomorphic=True"
            raise TypeError(f"jacrev needs {need}; {name} returned dtype {kind}.")


def _jacobian(
    fun: Fun,
    argnums: int | Sequence[int],
    has_aux: bool,
    holomorphic: bool,
    allow_int: bool,
    mode: str,
    chunk: int | None = None,
) -> Fun:
    name = function_name(fun)

    @functools.wraps(fun)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        chosen = normalize_argnums(argnums, len(args), f"{mode} of {name}")
        picked = tuple(args[n] for n in chosen)
        path = functools.partial(argument_path, fun, chosen)
        leaves, in_tree = flatten_arrays(picked, f"{mode} of {name}: argument ", path)
        kinds = "c" if holomorphic else "f" if mode == "jacfwd" else "fc"
        check_inexact(leaves, picked, path, f"{mode} of {name}", kinds, allow_int)

        @functools.wraps(fun)
        def of_chosen(*moving: Any) -> Any:
            full = list(args)
            for n, value in zip(chosen, moving, strict=True):
                full[n] = value
            return fun(*full, **kwargs)

        if mode == "jacfwd":
            outs, out_tree, blocks, aux = _by_columns(of_chosen, picked, leaves, in_tree, has_aux)
        else:
            outs, out_tree, blocks, aux = _by_rows(of_chosen, picked, name, has_aux, holomorphic, chunk)
        shapes = [type_of(leaf).shape for leaf in leaves]
        rows = [
            [wrap(reshape(b, shape=(*type_of(o).shape, *s))) for b, s in zip(row, shapes, strict=True)]
            for row, o in zip(blocks, outs, strict=True)
        ]
        parts = [tree.unflatten(in_tree, row) for row in rows]
        jacobian = tree.unflatten(out_tree, [p[0] if isinstance(argnums, int) else p for p in parts])
        return (jacobian, aux[0]) if has_aux else jacobian

    return jacobian_of


def jacfwd(fun: Fun, argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False) -> Fun:
    """The Jacobian of `fun` by forward mode, one column per input: best when there are few inputs.

    For an output of shape S and an argument of shape T the Jacobian has shape S + T; for trees it is the output's tree
    with the argument's tree at each leaf. Errors as in `value_and_grad`.
    """
    return _jacobian(fun, argnums, has_aux, holomorphic, False, "jacfwd")


def jacrev(fun: Fun, argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False,
           allow_int: bool = False) -> Fun:  # fmt: skip
    """The Jacobian of `fun` by reverse mode, one row per output: best when there are few outputs. As `jacfwd`."""
    return _jacobian(fun, argnums, has_aux, holomorphic, allow_int, "jacrev")


def hessian(fun: Fun, argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False) -> Fun:
    """The Hessian of `fun`, forward over reverse: for a scalar output and an argument of shape T, shape T + T.

    With `has_aux` it returns `(hessian, aux)`.
    """
    return jacfwd(jacrev(fun, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)


def jacrev_in_chunks(fun: Fun, argnums: int | Sequence[int], has_aux: bool, chunk: int | None) -> Fun:
    """As `jacrev`, `chunk` rows at a time, so that less memory is needed; None: all rows together."""
    return _jacobian(fun, argnums, has_aux, False, False, "jacrev", chunk)
