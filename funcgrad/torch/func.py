"""`torch.func`: functional transforms of functions of Tensors, by the transforms of the pure rooms.

Inside, tensors hold tracers, so every operation is traced by the engine itself: nesting, any order, exact derivatives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import tree, tree_util
from funcgrad.api import batching, derivatives, jacobians
from funcgrad.core.tracing import Tracer
from funcgrad.torch.modes import state
from funcgrad.torch.tensor import Tensor, make, wrap

Function = Callable[..., Any]


class _InOrder(dict[Any, Any]):
    """A dict whose keys keep their order in trees, as PyTorch's do; those of the pure rooms are sorted, as JAX's are."""


tree_util.register_pytree_node(
    _InOrder, lambda d: (tuple(d.values()), tuple(d)), lambda keys, values: _InOrder(zip(keys, values, strict=True))
)


def _arrays(values: Any) -> Any:
    """A tree of Tensors as a tree of arrays (or of tracers of outer transforms)."""

    def array(t: Any) -> Any:
        if type(t) is dict:
            return _InOrder((k, _arrays(v)) for k, v in t.items())
        return t._array if isinstance(t, Tensor) else t

    return tree.map(array, values, is_leaf=lambda n: type(n) is dict)


def _tensors(values: Any, tensor: Callable[[Any], Tensor] = wrap) -> Any:
    """A tree of arrays as a tree of Tensors."""

    def one(a: Any) -> Any:
        if type(a) is _InOrder:
            return {k: _tensors(v, tensor) for k, v in a.items()}
        return tensor(a) if isinstance(a, (np.ndarray, np.generic, Tracer)) else a

    return tree.map(one, values, is_leaf=lambda n: type(n) is _InOrder)


def _pure(func: Function, kwargs: dict[str, Any] | None = None) -> Function:
    """A function of Tensors as a function of arrays."""

    @functools.wraps(func)
    def on_arrays(*args: Any, **named: Any) -> Any:
        state.functional += 1
        try:
            given = _tensors(args, make)
            return _arrays(func(*given, **_tensors(_InOrder(named), make), **(kwargs or {})))
        finally:
            state.functional -= 1

    return on_arrays


def _transformed(transform: Callable[[Function], Function], func: Function) -> Function:
    """A transform of functions of arrays as one of functions of Tensors."""

    @functools.wraps(func)
    def on_tensors(*args: Any, **kwargs: Any) -> Any:
        static = {k: v for k, v in kwargs.items() if not isinstance(v, Tensor)}
        moving = {k: v for k, v in kwargs.items() if isinstance(v, Tensor)}
        return _tensors(transform(_pure(func, static))(*_arrays(args), **_arrays(moving)))

    return on_tensors


def grad(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """The gradient of a scalar function of Tensors by its arguments `argnums`; (gradient, aux) with `has_aux`."""
    return _transformed(lambda f: derivatives.grad(f, argnums=argnums, has_aux=has_aux), func)


def grad_and_value(func: Function, argnums: Any = 0, has_aux: bool = False) -> Function:
    """(gradient, value) of a scalar function; (gradient, (value, aux)) with `has_aux`."""

    def transform(f: Function) -> Function:
        both = derivatives.value_and_grad(f, argnums=argnums, has_aux=has_aux)

        def swapped(*args: Any, **kwargs: Any) -> Any:
            value, gradient = both(*args, **kwargs)
            return gradient, value

        return swapped

    return _transformed(transform, func)


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> Any:
    """(outputs, function from cotangents to gradients of the primals as a tuple); with `has_aux` aux comes last."""
    result = derivatives.vjp(_pure(func), *_arrays(primals), has_aux=has_aux)
    outs, pull = _tensors(result[0]), result[1]

    def vjp_fn(*cotangents: Any, retain_graph: bool = True, create_graph: bool = True) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else tuple(cotangents)
        found = _tensors(pull(_arrays(given)))
        return found if len(primals) != 1 else (found[0],)

    return (outs, vjp_fn, _tensors(result[2])) if has_aux else (outs, vjp_fn)


def jvp(
    func: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], *, strict: bool = False, has_aux: bool = False
) -> Any:
    """(outputs, tangents of the outputs), and aux with `has_aux`."""
    return _tensors(derivatives.jvp(_pure(func), _arrays(tuple(primals)), _arrays(tuple(tangents)), has_aux=has_aux))


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """(outputs, function from tangents of the primals to tangents of the outputs) at one point."""
    outs, push = derivatives.linearize(_pure(func), *_arrays(primals))
    return _tensors(outs), lambda *tangents: _tensors(push(*_arrays(tangents)))


def vmap(
    func: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *, chunk_size: int | None = None
) -> Function:
    """`func` over a batch dimension of its arguments. `chunk_size` limits how many examples run together.

    randomness: random operations inside raise RuntimeError for "error"; "same" gives all examples the same numbers.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def batched(*args: Any, **kwargs: Any) -> Any:
        dims = _arrays(in_dims if isinstance(in_dims, tuple) else (in_dims,) * len(args))
        run = _pure(_with_randomness(func, randomness), kwargs)
        if chunk_size is None:
            return _tensors(batching.vmap(run, in_axes=dims, out_axes=_arrays(out_dims))(*_arrays(args)))
        return _in_chunks(run, args, dims, _arrays(out_dims), chunk_size)

    return batched


def _with_randomness(func: Function, randomness: str) -> Function:
    def run(*args: Any, **kwargs: Any) -> Any:
        before, state.randomness = state.randomness, randomness
        try:
            return func(*args, **kwargs)
        finally:
            state.randomness = before

    return run


def _in_chunks(run: Function, args: Sequence[Any], dims: Any, out_dims: Any, chunk: int) -> Any:
    """`run` over rows of a batch dimension, `chunk` of them together."""
    arrays = _arrays(tuple(args))
    leaves, kind = tree.flatten(arrays)
    axes = tree.broadcast_prefix(dims, kind, is_leaf=lambda d: d is None)
    size = next(np.shape(leaf)[d] for leaf, d in zip(leaves, axes, strict=True) if d is not None)
    mapped = batching.vmap(run, in_axes=dims, out_axes=0)
    parts = []
    for start in range(0, size, chunk):
        rows = range(start, min(start + chunk, size))
        cut = [a if d is None else np.take(a, rows, axis=d) for a, d in zip(leaves, axes, strict=True)]
        parts.append(mapped(*tree.unflatten(kind, cut)))
    whole = tree.map(lambda *xs: np.concatenate(xs), *parts)
    found, kind = tree.flatten(whole)
    places = tree.broadcast_prefix(out_dims, kind, is_leaf=lambda d: d is None)
    return _tensors(tree.unflatten(kind, [np.moveaxis(a, 0, d) for a, d in zip(found, places, strict=True)]))


def jacrev(func: Function, argnums: Any = 0, *, has_aux: bool = False, chunk_size: int | None = None,
           _preallocate_and_copy: bool = False) -> Function:  # fmt: skip
    """The Jacobian by reverse mode: shape (*output, *input). `chunk_size`: rows that are computed together, all by default."""
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")
    return _transformed(lambda f: jacobians.jacrev_in_chunks(f, argnums, has_aux, chunk_size), func)


def jacfwd(func: Function, argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error") -> Function:
    """The Jacobian by forward mode: shape (*output, *input)."""
    return _transformed(lambda f: jacobians.jacfwd(f, argnums=argnums, has_aux=has_aux), func)


def hessian(func: Function, argnums: Any = 0) -> Function:
    """The Hessian: forward mode over reverse mode."""
    return _transformed(lambda f: jacobians.hessian(f, argnums=argnums), func)


def functional_call(module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: dict[str, Any] | None = None, *,
                    tie_weights: bool = True, strict: bool = False) -> Any:  # fmt: skip
    """Calls a module with other tensors in the places of its parameters and buffers.

    Raises ValueError (strict) for missing or unexpected names.
    """
    given: dict[str, Any] = {}
    dicts = (
        parameter_and_buffer_dicts
        if isinstance(parameter_and_buffer_dicts, (tuple, list))
        else [parameter_and_buffer_dicts]
    )
    for d in dicts:
        given.update(d)
    known = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    unexpected, missing = given.keys() - known.keys(), known.keys() - given.keys()
    if strict and (unexpected or missing):
        raise RuntimeError(f"Missing key(s): {sorted(missing)}. Unexpected key(s): {sorted(unexpected)}.")
    swapped: list[tuple[dict[str, Any], str, Any]] = []
    if tie_weights:
        by_id = {id(known[k]): v for k, v in given.items() if k in known}
        given = {**{k: by_id[id(t)] for k, t in known.items() if id(t) in by_id}, **given}
    try:
        for name, value in given.items():
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            store = owner._parameters if leaf in owner._parameters else owner._buffers
            swapped.append((store, leaf, store.get(leaf)))
            store[leaf] = value
        positional = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*positional, **(kwargs or {}))
    finally:
        for store, leaf, before in reversed(swapped):
            store[leaf] = before


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers of models of one architecture, stacked for `vmap`."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")

    def stacked(dicts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        made = {}
        for name in dicts[0]:
            tensor = make(np.stack([d[name]._array for d in dicts]))
            tensor._requires_grad = dicts[0][name].requires_grad
            made[name] = tensor
        return made

    return stacked([dict(m.named_parameters()) for m in models]), stacked([dict(m.named_buffers()) for m in models])
