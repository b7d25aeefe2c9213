"""Primitives that are a user's own function compiled by numba: on elements (`njit_elementwise`) or on whole arrays (`njit_call`).

Their derivatives are rules around them (api/numba_call.py). Compiled programs call numba's code directly (compile/njit_calls.py);
what cannot be called so, and what raised, is run by the implementations here.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.core.lowering import Routine
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops.basics import broadcast_in_dim
from funcgrad.ops.families import LazyModule, general
from funcgrad.transforms.callback import callback_name, check_vmap_method, checked, with_front

numba: Any = LazyModule("numba")
Params = dict[str, Any]

# ---- element by element ----


@functools.lru_cache(maxsize=256)
def ufunc(fn: Any, dtypes: tuple[np.dtype, ...]) -> Any:
    """numba's universal function of a scalar function; one for each dtypes of the arguments, so that none is converted to what
    an earlier call had."""
    names = ", ".join(f"x{n}" for n in range(len(dtypes)))
    scope = {"fn": fn}
    exec(f"def element({names}):\n    return fn({names})\n", scope)
    return numba.vectorize(scope["element"])


def result_dtype(fn: Any, dtypes: tuple[np.dtype, ...]) -> np.dtype:
    """The dtype of a scalar function's result, as numba finds it."""
    found: np.dtype = ufunc(fn, dtypes)(*[np.empty(0, d) for d in dtypes]).dtype
    return found


def _elements(*values: Any, fn: Any, dtype: np.dtype) -> np.ndarray:
    arrays = [np.asarray(v) for v in values]
    return np.asarray(ufunc(fn, tuple([a.dtype for a in arrays]))(*arrays))


def _plain_elements(*values: Any, kinds: Any, fn: Any, dtype: Any) -> Any:
    return np.vectorize(fn, otypes=[dtype])(*values)


def _elements_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> tuple[Any, bool]:
    shapes = [type_of(a).shape[b:] for a, b in zip(args, batched, strict=True)]
    whole = max(shapes, key=len)
    found = []
    for a, b, shape in zip(args, batched, shapes, strict=True):
        if b and len(shape) < len(whole):
            a = broadcast_in_dim(a, shape=(size, *whole), dims=(0,))
        elif not b and shape:
            a = with_front(a, size)
        found.append(a)
    return njit_elementwise(*found, **params), True


njit_elementwise = general(
    "njit_elementwise",
    _elements,
    lambda *types, fn, dtype: array_type(max((t.shape for t in types), key=len), dtype),
    batch=_elements_batch,
    strong=True,
    kernel=Routine("njit", "elementwise", foreign=True),
    plain=_plain_elements,
)
"""Arguments have one shape; those without dimensions are the same number for every element."""

# ---- whole arrays ----


@dataclass(frozen=True, slots=True)
class NjitFunction:
    """A numba function with the structures of its arguments and of its result."""

    fn: Any
    in_tree: tree.PyTreeDef
    out_tree: tree.PyTreeDef

    @property
    def name(self) -> str:
        return callback_name(self.fn)

    def __call__(self, *values: Any) -> list[Any]:
        results, found = tree.flatten(self.fn(*tree.unflatten(self.in_tree, [_own(v) for v in values])))
        if found != self.out_tree:
            raise TypeError(
                f"numba_call: {self.name} was declared to return the structure {self.out_tree}, and returned {found}."
            )
        return results


def _own(value: Any) -> Any:
    """An array as numba's functions expect it and may overwrite it; a number for what has no dimensions."""
    return np.array(value, order="C", subok=False) if np.ndim(value) else np.asarray(value)[()]


def _types_of(outputs: Sequence[tuple[tuple[int, ...], np.dtype]], sizes: tuple[int, ...] = ()) -> list[ArrayType]:
    return [array_type((*sizes, *shape), dtype) for shape, dtype in outputs]


def _whole(*values: Any, function: NjitFunction, outputs: Any, vmap_method: str | None, sizes: tuple[int, ...],
           batched: Any) -> tuple[Any, ...]:  # fmt: skip
    single, what = _types_of(outputs), f"numba_call: {function.name}"
    rows = [
        checked(function(*[_example(v, index, own) for v, own in zip(values, batched, strict=True)]), single, what)
        for index in np.ndindex(*sizes)
    ]
    if not sizes:
        return tuple(rows[0])
    return tuple([np.array([row[k] for row in rows], t.dtype).reshape(*sizes, *t.shape) for k, t in enumerate(single)])


def _example(value: Any, index: Sequence[int], flags: Sequence[bool]) -> Any:
    """What one example of a batch gets of an argument that has the axes for which there is a flag."""
    return value[tuple([i for i, own in zip(index, flags, strict=True) if own])] if any(flags) else value


def _plain_whole(*values: Any, kinds: Any, function: Any, outputs: Any, vmap_method: Any, sizes: Any,
                 batched: Any) -> Any:  # fmt: skip
    found = [np.empty(shape, dtype) for shape, dtype in kinds]
    for index in np.ndindex(*sizes):
        own = [
            np.array(np.asarray(v)[tuple([i for i, flag in zip(index, flags) if flag])])  # noqa: B905
            for v, flags in zip(values, batched)  # noqa: B905
        ]
        for target, result in zip(found, function(*[v if v.ndim else v[()] for v in own])):  # noqa: B905
            target[index] = result
    return found


def _whole_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: Params) -> tuple[Any, list[bool]]:
    function, outputs, method = params["function"], params["outputs"], params["vmap_method"]
    check_vmap_method(method, f"numba_call: {function.name}")
    if method == "sequential":
        levels = [(b, *flags) for b, flags in zip(batched, params["batched"], strict=True)]
        new = {"sizes": (size, *params["sizes"]), "batched": tuple(levels)}
    else:
        front = 1 if method == "expand_dims" else size
        args = [a if b else with_front(a, front) for a, b in zip(args, batched, strict=True)]
        new = {"outputs": tuple([((size, *shape), dtype) for shape, dtype in outputs])}
    return njit_call(*args, **{**params, **new}), [True] * len(outputs)


def _workspace(types: Sequence[ArrayType], params: Params) -> int:
    """The copies that the function may overwrite, and what it returns before that is copied to its place."""
    single = [*_types_of(params["outputs"]), *types]
    return sum(t.size * t.dtype.itemsize for t in single)


njit_call = general(
    "njit_call",
    _whole,
    lambda *types, function, outputs, vmap_method, sizes, batched: tuple(_types_of(outputs, sizes)),
    batch=_whole_batch,
    multiple=True,
    strong=True,
    workspace=_workspace,
    kernel=Routine("njit", "whole", foreign=True),
    plain=_plain_whole,
)
"""`outputs`: (shape, dtype) of each result of one example; `sizes`: of the batch axes that "sequential" goes over; `batched`: for
each argument which of these axes it has."""
