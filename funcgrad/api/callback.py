"""pure_callback, a Python function inside traced programs, and named_scope, names for parts of a printed Program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays, function_name
from funcgrad.api.shape_dtype import ShapeDtypeStruct
from funcgrad.core.array import wrap
from funcgrad.core.tracing import innermost_abstract, scoped
from funcgrad.core.types import ArrayType, array_type
from funcgrad.transforms.callback import VMAP_METHODS
from funcgrad.transforms.callback import pure_callback as pure_callback_op


def pure_callback(callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any, vmap_method: str | None = None,
                  **kwargs: Any) -> Any:  # fmt: skip
    """Calls a Python function without effects on the arrays of a traced program, when the program runs.

    Args:
        callback: takes the same pytrees as `args` and `kwargs`, of funcgrad.Arrays; returns a pytree of arrays.
        result_shape_dtypes: the pytree of what it returns, each leaf with `shape` and `dtype` (a ShapeDtypeStruct).
        vmap_method: what vmap does. None: an error. "sequential": one call per example. "expand_dims" and
            "broadcast_all": one call with a leading batch axis on every argument, of size 1 or of the batch's size on
            arguments that have none; the results must have the batch axis.

    Returns the callback's result as Arrays. It may be called any number of times, and at trace time if nothing is traced.
    Raises ValueError for an unknown vmap_method or when differentiated (use custom_vjp or custom_jvp), TypeError if the
    results have other shapes, dtypes or structure than declared, NotImplementedError under vmap with vmap_method=None.
    """
    name = function_name(callback)
    if vmap_method not in VMAP_METHODS:
        raise ValueError(f"pure_callback of {name}: vmap_method must be one of {VMAP_METHODS}, got {vmap_method!r}.")
    outputs, out_tree = declared_types(result_shape_dtypes, f"pure_callback of {name}")
    leaves, in_tree = flatten_arrays((args, kwargs), f"pure_callback of {name}: argument")

    def flat(*values: Any) -> list[Any]:
        plain_args, plain_kwargs = tree.unflatten(in_tree, values)
        results, found = tree.flatten(callback(*plain_args, **plain_kwargs))
        if found != out_tree:
            raise TypeError(
                f"pure_callback: {name} was declared to return the structure {out_tree}, and returned {found}."
            )
        return results

    flat.__name__ = name
    outs = pure_callback_op(*leaves, callback=flat, outputs=outputs, vmap_method=vmap_method)
    return tree.unflatten(out_tree, [wrap(o) for o in outs])


def declared_types(result_shape_dtypes: Any, what: str) -> tuple[tuple[ArrayType, ...], tree.PyTreeDef]:
    """The types and the structure of what a function is declared to return. Raises TypeError for leaves without a type."""
    leaves, treedef = tree.flatten(result_shape_dtypes)
    return tuple([_declared_type(leaf, what) for leaf in leaves]), treedef


def _declared_type(leaf: Any, what: str) -> ArrayType:
    try:
        struct = ShapeDtypeStruct(leaf.shape, leaf.dtype)
    except AttributeError:
        raise TypeError(
            f"{what}: result_shape_dtypes needs leaves with shape and dtype, such as "
            f"funcgrad.ShapeDtypeStruct((3,), 'float64'); got {leaf!r}."
        ) from None
    return array_type(struct.shape, struct.dtype)


@contextmanager
def named_scope(name: str) -> Iterator[None]:
    """Names the operations inside it: printed Programs show the scope, and so do messages of errors.

    A context manager and a decorator; scopes nest as `outer/inner`. Raises TypeError if `name` is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"named_scope needs a string, got {name!r}.")
    # The records are named at the end of the scope, so that recording itself costs nothing more.
    trace = innermost_abstract()
    start = len(trace.records) if trace is not None else 0
    try:
        yield
    except Exception as error:
        error.add_note(f"in named_scope {name!r}")
        raise
    finally:
        if trace is not None:
            scoped(trace, start, name)


def effects_barrier() -> None:
    """Returns when all callbacks have run: at once, since they run in place. For programs written to JAX."""
