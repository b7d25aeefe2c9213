"""grad, value_and_grad, vjp, jvp, linearize and linear_transpose."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import (
    argument_path,
    check_inexact,
    flatten_arrays,
    function_name,
    leaf_path,
    normalize_argnums,
)
from funcgrad.core.array import wrap
from funcgrad.core.tracing import Tracer, dtype_of, shape_of, type_of
from funcgrad.core.types import is_inexact
from funcgrad.ops.basics import convert
from funcgrad.ops.families import zeros_like
from funcgrad.transforms.custom import FLOAT0
from funcgrad.transforms.jvp import linearize_flat
from funcgrad.transforms.vjp import vjp_flat

Fun = Callable[..., Any]
_silent = functools.partial(np.errstate, all="ignore")


class _Flattened:
    """A function on trees as one on flat lists; keeps what the last call returned besides its leaves."""

    __slots__ = ("aux", "f", "has_aux", "name", "out_tree", "rebuild")

    def __init__(self, f: Fun, rebuild: Callable[[Sequence[Any]], tuple[Sequence[Any], dict[str, Any]]], has_aux: bool):
        self.f, self.rebuild, self.has_aux = f, rebuild, has_aux
        self.name = function_name(f)
        self.aux: Any = None

    def __call__(self, *leaves: Any) -> list[Any]:
        args, kwargs = self.rebuild(leaves)
        out = self.f(*args, **kwargs)
        if self.has_aux:
            if not isinstance(out, (tuple, list)) or len(out) != 2:
                raise TypeError(
                    f"{self.name} was called with has_aux=True, so it must return a pair (output, aux); "
                    f"it returned {type(out).__name__}."
                )
            out, self.aux = out
        found, self.out_tree = flatten_arrays(out, f"output of {self.name}")
        return found


def _drop_traces(aux: Any) -> Any:
    # What leaves a derivative as auxiliary data has the values that its tracers stood for.
    return tree.map(lambda v: wrap(v.value) if _ended(v) else v, aux)


def _ended(value: Any) -> bool:
    return type(value) is Tracer and not value.owner.open


def _wrap_tree(treedef: tree.PyTreeDef, leaves: Sequence[Any]) -> Any:
    return tree.unflatten(treedef, [wrap(v) for v in leaves])


def _explicit(ct: Any, primal: Any) -> Any:
    if ct is not None:
        return ct
    return zeros_like(primal) if is_inexact(dtype_of(primal)) else np.zeros(shape_of(primal), FLOAT0)


def value_and_grad(fun: Fun, argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False,
                   allow_int: bool = False) -> Fun:  # fmt: skip
    """A function that returns `fun`'s value and its gradient.

    Args:
        fun: returns a scalar (a 0-d array), or a pair (scalar, aux) if `has_aux`.
        argnums: position or positions of the arguments (any pytrees) to differentiate by.
        has_aux: whether `fun` returns a pair whose second part is passed through, not differentiated.
        holomorphic: whether `fun` is promised to be holomorphic; inputs and output must then be complex.
        allow_int: whether integer inputs are allowed; their gradient has dtype float0.

    Returns:
        A function of the same arguments giving `(value, gradient)`, or `((value, aux), gradient)`; the gradient has
        the structure, shapes and dtypes of the chosen argument, or is a tuple of such if `argnums` is a sequence.

    Raises (when called): TypeError for a non-scalar output, inputs or outputs of a wrong dtype; ValueError for argnums
        out of range.
    """
    name = function_name(fun)
    asked = f"grad of {name}"
    kinds = "c" if holomorphic else "fc"

    @functools.wraps(fun)
    def value_and_grad_of(*args: Any, **kwargs: Any) -> Any:
        chosen = normalize_argnums(argnums, len(args), asked)
        picked = tuple([args[n] for n in chosen])
        path = functools.partial(argument_path, fun, chosen)
        primals, treedef = flatten_arrays(picked, f"{asked}: argument ", path)
        check_inexact(primals, picked, path, asked, kinds, allow_int)

        def rebuild(flat: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
            full = list(args)
            for n, value in zip(chosen, tree.unflatten(treedef, flat), strict=True):
                full[n] = value
            return full, kwargs

        flat_f = _Flattened(fun, rebuild, has_aux)
        with _silent():
            outs, pull = vjp_flat(flat_f, primals, name)
            cts = pull([_seed(outs, name, holomorphic)])
        gradient = _wrap_tree(treedef, [_explicit(c, p) for c, p in zip(cts, primals, strict=True)])
        if isinstance(argnums, int):
            gradient = gradient[0]
        value = wrap(outs[0])
        return ((value, _drop_traces(flat_f.aux)), gradient) if has_aux else (value, gradient)

    return value_and_grad_of


def _seed(outs: Sequence[Any], name: str, holomorphic: bool) -> Any:
    if len(outs) != 1 or shape_of(outs[0]) != ():
        got = ", ".join(str(type_of(o)) for o in outs) or "nothing"
        raise TypeError(
            f"grad needs a function with one scalar output; {name} returned {got}. Sum or average it first, use has_aux=True "
            "for outputs that are not differentiated, or use jacrev/jacfwd for a Jacobian or vjp for a chosen cotangent."
        )
    kind = dtype_of(outs[0])
    if kind.kind == "f" and not holomorphic:
        return np.array(1.0, kind)
    if holomorphic and kind.kind != "c":
        raise TypeError(f"grad with holomorphic=True needs a complex output; {name} returned dtype {kind}.")
    if not holomorphic and kind.kind == "c":
        raise TypeError(
            f"grad needs a real output; {name} returned dtype {kind}. Pass holomorphic=True for a holomorphic function, or "
            "return its real part or absolute value."
        )
    if not is_inexact(kind):
        raise TypeError(f"grad needs an output of floating dtype; {name} returned dtype {kind}.")
    return np.ones((), kind)


def grad(fun: Fun, argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False,
         allow_int: bool = False) -> Fun:  # fmt: skip
    """A function that returns the gradient of `fun`; arguments and errors as in `value_and_grad`.

    With `has_aux` the function returns `(gradient, aux)`.
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @functools.wraps(fun)
    def grad_of(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return grad_of


def vjp(fun: Fun, *primals: Any, has_aux: bool = False) -> Any:
    """The value of `fun` at `primals` and the function that pulls cotangents of the output back to the inputs.

    Returns `(value, pull)` or `(value, pull, aux)`. `pull(ct)` takes a tree like the output and returns a tuple with
    one tree per primal; it may be called many times. Raises TypeError for a cotangent of a wrong structure or type.
    """
    name = function_name(fun)
    leaves, treedef = flatten_arrays(primals, f"vjp of {name}: primals")
    flat_f = _Flattened(fun, lambda flat: (tree.unflatten(treedef, flat), {}), has_aux)
    with _silent():
        outs, pull = vjp_flat(flat_f, leaves, name)
    out_tree = flat_f.out_tree

    def vjp_fun(ct: Any) -> Any:
        given = _matching(ct, out_tree, outs, f"vjp of {name}: cotangent")
        with _silent():
            found = pull(given)
        return _wrap_tree(treedef, [_explicit(c, p) for c, p in zip(found, leaves, strict=True)])

    value = _wrap_tree(out_tree, outs)
    return (value, vjp_fun, _drop_traces(flat_f.aux)) if has_aux else (value, vjp_fun)


def _matching(given: Any, treedef: tree.PyTreeDef, likes: Sequence[Any], where: str) -> list[Any]:
    """Leaves of a tangent or cotangent, checked against the values that it belongs to; None for integer values."""
    leaves, found = tree.flatten(given)
    if found != treedef:
        raise TypeError(f"{where} has structure {found}, but the value it belongs to has {treedef}.")
    out: list[Any] = []
    for i, (leaf, like) in enumerate(zip(leaves, likes, strict=True)):
        want = type_of(like)
        if not is_inexact(want.dtype):
            out.append(None)
            continue
        leaf = flatten_arrays(leaf, where)[0][0]
        have = type_of(leaf)
        if have.shape != want.shape:
            raise TypeError(
                f"{where}{leaf_path(given, i)} has shape {have.shape}, but its value has shape {want.shape}."
            )
        if not have.weak and not np.can_cast(have.dtype, want.dtype, "same_kind"):
            raise TypeError(
                f"{where}{leaf_path(given, i)} has dtype {have.dtype}, but its value has dtype {want.dtype}."
            )
        # Strong even for a Python number: a rule may divide by zero, which NumPy allows and Python does not.
        out.append(convert(leaf, want.dtype))
    return out


def linearize(fun: Fun, *primals: Any, has_aux: bool = False) -> Any:
    """The value of `fun` at `primals` and the linear function from tangents to output tangents there.

    Returns `(value, f_jvp)` or `(value, f_jvp, aux)`; `f_jvp(*tangents)` reuses what the one evaluation of `fun` found.
    """
    name = function_name(fun)
    leaves, treedef = flatten_arrays(primals, f"linearize of {name}: primals")
    flat_f = _Flattened(fun, lambda flat: (tree.unflatten(treedef, flat), {}), has_aux)
    with _silent():
        outs, push = linearize_flat(flat_f, leaves, name)
    out_tree = flat_f.out_tree

    def f_jvp(*tangents: Any) -> Any:
        given = _matching(tangents, treedef, leaves, f"jvp of {name}: tangents")
        with _silent():
            found = push(given)
        return _wrap_tree(out_tree, [_explicit(t, o) for t, o in zip(found, outs, strict=True)])

    value = _wrap_tree(out_tree, outs)
    return (value, f_jvp, _drop_traces(flat_f.aux)) if has_aux else (value, f_jvp)


def jvp(fun: Fun, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """The value of `fun` at `primals` and its derivative along `tangents`: `(value, tangent)` or `(value, tangent, aux)`.

    `primals` and `tangents` are tuples or lists, one tree per argument, alike in structure, shapes and dtypes.
    """
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise TypeError(
                f"jvp: {what} must be a tuple or a list with one entry per argument, got {type(given).__name__}."
            )
    if len(primals) != len(tangents):
        raise TypeError(f"jvp: got {len(primals)} primals and {len(tangents)} tangents; there must be one for each.")
    value, f_jvp, *aux = linearize(fun, *primals, has_aux=has_aux)
    return (value, f_jvp(*tangents), *aux)


def linear_transpose(fun: Fun, *primals: Any) -> Fun:
    """The transpose of a linear `fun`: a function from output cotangents to a tuple of input cotangents.

    `primals` are arrays, or anything with shape and dtype (ShapeDtypeStruct), that say what `fun` takes.
    """

    def zeros(leaf: Any) -> Any:
        return np.zeros(leaf.shape, leaf.dtype) if isinstance(getattr(leaf, "shape", None), tuple) else zeros_like(leaf)

    origin = tree.map(zeros, primals)
    _, pull = vjp(fun, *origin)
    return pull
