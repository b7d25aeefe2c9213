"""custom_vjp, custom_jvp, checkpoint and stop_gradient."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays, function_name, normalize_argnums
from funcgrad.core.array import wrap
from funcgrad.core.tracing import Tracer, newest_trace, type_of
from funcgrad.core.types import is_inexact
from funcgrad.ops.basics import convert
from funcgrad.ops.families import zeros_like
from funcgrad.ops.special_forms import stop_gradient_op
from funcgrad.transforms.checkpoint import Policy, bind_checkpoint
from funcgrad.transforms.custom import FLOAT0, apply_custom, custom_jvp_call, custom_vjp_call

Fun = Callable[..., Any]


def _resolve(fun: Fun, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Keyword arguments and defaults as positional ones."""
    if not kwargs:
        try:
            bound = inspect.signature(fun).bind(*args)
        except (TypeError, ValueError):
            return list(args)
    else:
        bound = inspect.signature(fun).bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise TypeError(
            f"{function_name(fun)}: keyword-only arguments {sorted(bound.kwargs)} are not allowed with a custom rule."
        )
    return list(bound.args)


class _Call:
    """One call of a function with a custom rule: its arguments flattened, the others held fixed."""

    def __init__(self, fun: Fun, args: Sequence[Any], kwargs: dict[str, Any], nondiff: Sequence[int], what: str):
        self.name = function_name(fun)
        self.args = _resolve(fun, args, kwargs)
        chosen = set(normalize_argnums(tuple(nondiff), len(self.args), f"{what} of {self.name}: nondiff_argnums"))
        self.positions = [n for n in range(len(self.args)) if n not in chosen]
        self.fixed = [self.args[n] for n in sorted(chosen)]
        self.primals = tuple(self.args[n] for n in self.positions)
        self.leaves, self.in_tree = flatten_arrays(self.primals, f"{what} of {self.name}: argument")
        self.out_tree: tree.PyTreeDef | None = None
        self.fun = fun

    def full(self, leaves: Sequence[Any]) -> list[Any]:
        full = list(self.args)
        for n, value in zip(self.positions, tree.unflatten(self.in_tree, [wrap(v) for v in leaves]), strict=True):
            full[n] = value
        return full

    def primal(self, *leaves: Any) -> list[Any]:
        outs, self.out_tree = flatten_arrays(self.fun(*self.full(leaves)), f"output of {self.name}")
        return outs

    def result(self, outs: Sequence[Any]) -> Any:
        assert self.out_tree is not None
        return tree.unflatten(self.out_tree, [wrap(o) for o in outs])


class custom_vjp:
    """A function with its own reverse-mode rule, given by `defvjp(fwd, bwd)`.

    fwd(*args) returns (output, residuals); bwd(*nondiff_args, residuals, cotangent) returns a tuple with one cotangent
    (None for zero) per differentiable argument. Works in forward mode too: the backward is transposed.
    """

    def __init__(self, fun: Fun, nondiff_argnums: Sequence[int] = (), nondiff_argnames: Sequence[str] = ()):
        functools.update_wrapper(self, fun)
        self.fun = fun
        names = list(inspect.signature(fun).parameters) if nondiff_argnames else []
        self.nondiff = (*nondiff_argnums, *(names.index(n) for n in nondiff_argnames))
        self.fwd: Fun | None = None
        self.bwd: Fun | None = None

    def defvjp(self, fwd: Fun, bwd: Fun) -> None:
        """Sets the rule."""
        self.fwd, self.bwd = fwd, bwd

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = function_name(self.fun)
        if self.fwd is None or self.bwd is None:
            raise AttributeError(f"custom_vjp of {name} has no rule; call {name}.defvjp(fwd, bwd) first.")
        call = _Call(self.fun, args, kwargs, self.nondiff, "custom_vjp")
        fwd, bwd = self.fwd, self.bwd

        def flat_fwd(*leaves: Any) -> Any:
            pair = fwd(*call.full(leaves))
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise TypeError(
                    f"custom_vjp of {name}: fwd must return a pair (output, residuals), got {type(pair).__name__}."
                )
            outs, out_tree = flatten_arrays(pair[0], f"output of fwd of {name}")
            if call.out_tree is not None and call.out_tree != out_tree:
                raise TypeError(
                    f"custom_vjp of {name}: fwd's output has structure {out_tree}, the function's {call.out_tree}."
                )
            call.out_tree = out_tree
            residuals, res_tree = tree.flatten(pair[1])
            arrays = [i for i, r in enumerate(residuals) if isinstance(r, (np.ndarray, np.generic, Tracer))]

            def flat_bwd(saved: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
                full = list(residuals)
                for i, value in zip(arrays, saved, strict=True):
                    full[i] = wrap(value)
                ct = tree.unflatten(out_tree, [wrap(c) for c in cts])
                return _checked_cotangents(bwd(*call.fixed, tree.unflatten(res_tree, full), ct), call, leaves)

            return outs, [residuals[i] for i in arrays], flat_bwd

        return call.result(apply_custom(custom_vjp_call, call.primal, call.leaves, name, fwd=flat_fwd))


def _checked_cotangents(found: Any, call: _Call, leaves: Sequence[Any]) -> list[Any]:
    """The result of a bwd as one cotangent or None per leaf; raises TypeError or ValueError that names the argument."""
    where = f"custom_vjp of {call.name}: bwd"
    if isinstance(found, list):
        found = tuple(found)
    if not isinstance(found, tuple) or len(found) != len(call.primals):
        got = f"{len(found)}" if isinstance(found, tuple) else f"a {type(found).__name__}"
        raise TypeError(
            f"{where} must return a tuple with one cotangent for each of the {len(call.primals)} differentiable arguments "
            f"(None for zero), got {got}."
        )
    cts: list[Any] = []
    for n, (ct, primal) in enumerate(zip(found, call.primals, strict=True)):
        treedef = tree.structure(primal)
        if ct is None:
            cts += [None] * treedef.num_leaves
            continue
        parts, ct_tree = tree.flatten(ct, is_leaf=lambda v: v is None)
        if ct_tree != treedef:
            raise TypeError(f"{where} returned structure {ct_tree} for argument {n}, which has structure {treedef}.")
        cts += parts
    return [_checked_cotangent(c, v, f"{where} returned", i) for i, (c, v) in enumerate(zip(cts, leaves, strict=True))]


def _checked_cotangent(ct: Any, value: Any, where: str, number: int) -> Any:
    want = type_of(value)
    if ct is None or not is_inexact(want.dtype):
        return None
    have = type_of(flatten_arrays(ct, where)[0][0])
    if have.shape != want.shape:
        raise ValueError(
            f"{where} a cotangent of shape {have.shape} for leaf {number} of the arguments, which has shape {want.shape}."
        )
    return convert(ct, want.dtype)


class custom_jvp:
    """A function with its own forward-mode rule, given by `defjvp(rule)` or `defjvps(*rules)`.

    rule(*nondiff_args, primals, tangents) returns (output, output tangent), linear in the tangents. Works in reverse
    mode too: the tangent map is transposed.
    """

    def __init__(self, fun: Fun, nondiff_argnums: Sequence[int] = (), nondiff_argnames: Sequence[str] = ()):
        functools.update_wrapper(self, fun)
        self.fun = fun
        names = list(inspect.signature(fun).parameters) if nondiff_argnames else []
        self.nondiff = (*nondiff_argnums, *(names.index(n) for n in nondiff_argnames))
        self.rule: Fun | None = None

    def defjvp(self, jvp: Fun) -> Fun:
        """Sets the rule; usable as a decorator."""
        self.rule = jvp
        return jvp

    def defjvps(self, *jvps: Fun | None) -> None:
        """One rule per argument, `rule(tangent, output, *args)`, or None; the tangent is their sum."""
        if self.nondiff:
            raise TypeError("defjvps cannot be used with nondiff_argnums; use defjvp.")

        def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
            out = self(*primals)
            terms = [r(t, out, *primals) for r, t in zip(jvps, tangents, strict=True) if r is not None]
            zero = tree.map(lambda o: wrap(zeros_like(o)), out)
            return out, functools.reduce(lambda a, b: tree.map(lambda x, y: x + y, a, b), terms, zero)

        self.rule = rule

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = function_name(self.fun)
        if self.rule is None:
            raise AttributeError(f"custom_jvp of {name} has no rule; call {name}.defjvp(rule) first.")
        call = _Call(self.fun, args, kwargs, self.nondiff, "custom_jvp")
        user_rule = self.rule

        def flat_rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
            point = tree.unflatten(call.in_tree, [wrap(p) for p in primals])
            moved = tree.unflatten(call.in_tree, [_tangent(t, p) for t, p in zip(tangents, primals, strict=True)])
            pair = user_rule(*call.fixed, point, moved)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(
                    f"custom_jvp of {name}: the rule must return a pair (output, tangent), got {type(pair).__name__}."
                )
            outs, call.out_tree = flatten_arrays(pair[0], f"output of the rule of {name}")
            found, tangent_tree = tree.flatten(pair[1])
            if tangent_tree != call.out_tree:
                raise TypeError(
                    f"custom_jvp of {name}: the rule's tangent has structure {tangent_tree}, its output {call.out_tree}."
                )
            return outs, [_checked_tangent(t, o, name) for t, o in zip(found, outs, strict=True)]

        return call.result(apply_custom(custom_jvp_call, call.primal, call.leaves, name, rule=flat_rule))


def _tangent(tangent: Any, primal: Any) -> Any:
    kind = type_of(primal)
    return wrap(tangent) if is_inexact(kind.dtype) else np.zeros(kind.shape, FLOAT0)


def _checked_tangent(tangent: Any, out: Any, name: str) -> Any:
    want = type_of(out)
    if not is_inexact(want.dtype):
        return zeros_like(out)
    have = type_of(tangent)
    if have.shape != want.shape:
        raise TypeError(f"custom_jvp of {name}: the rule's tangent has shape {have.shape}, its output {want.shape}.")
    return convert(tangent, want.dtype)


def checkpoint(fun: Fun | None = None, *, prevent_cse: bool = True, policy: Policy = None,
               static_argnums: int | Sequence[int] = ()) -> Fun:  # fmt: skip
    """`fun` whose reverse mode saves only its inputs and runs it again (also named `remat`).

    Args:
        fun: a function of arrays or pytrees; traced by type, so Python cannot branch on its values.
        prevent_cse: must be True; the second run is always one equation of its own, which no later pass merges.
        policy: what is saved all the same: one of `funcgrad.checkpoint_policies`, or a function
            (primitive, *input types, **params) -> bool.
        static_argnums: positions of arguments that are Python values.
    """
    if fun is None:
        return functools.partial(checkpoint, prevent_cse=prevent_cse, policy=policy, static_argnums=static_argnums)
    if not prevent_cse:
        raise NotImplementedError("checkpoint: prevent_cse=False is not offered; the second run is always kept apart.")
    name = function_name(fun)

    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        fixed = (
            set(normalize_argnums(static_argnums, len(args), f"checkpoint of {name}"))
            if static_argnums != ()
            else set()
        )
        moving = (tuple(a for n, a in enumerate(args) if n not in fixed), kwargs)
        leaves, in_tree = flatten_arrays(moving, f"checkpoint of {name}: argument")
        if newest_trace(leaves) is None:
            return fun(*args, **kwargs)
        out: list[tree.PyTreeDef] = []

        def flat(*values: Any) -> list[Any]:
            rest, named = tree.unflatten(in_tree, values)
            supply = iter(rest)
            outs, out_tree = flatten_arrays(
                fun(*[a if n in fixed else next(supply) for n, a in enumerate(args)], **named), f"output of {name}"
            )
            out[:] = [out_tree]
            return outs

        outs = bind_checkpoint(flat, leaves, name, policy)
        return tree.unflatten(out[0], outs)

    return checkpointed


remat = checkpoint


def stop_gradient(x: Any) -> Any:
    """`x` (any pytree) as a constant to every derivative. Under an un-jitted derivative the plain value comes back."""
    return tree.map(lambda v: wrap(stop_gradient_op(v)) if isinstance(v, (np.ndarray, np.generic, Tracer)) else v, x)
