"""ravel_pytree: a pytree of arrays as one vector, and the way back. JAX's `jax.flatten_util`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays
from funcgrad.core.array import unwrap, wrap
from funcgrad.core.tracing import type_of
from funcgrad.ops.basics import convert, reshape
from funcgrad.ops.pointwise import promoted_dtype
from funcgrad.ops.shape import concatenate, slice_axis


def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All leaves of a pytree in one vector, and the function that takes such a vector apart again.

    Args:
        pytree: arrays, traced values and numbers, of any shapes and dtypes.

    Returns `(flat, unravel)`: `flat` has the leaves one after the other, in NumPy's promotion of their dtypes (float64
    if there are none); `unravel(vector)` gives the tree with the leaves' shapes and dtypes. Raises TypeError for leaves
    that are not arrays; `unravel` raises TypeError for another dtype, ValueError for another shape.
    """
    leaves, treedef = flatten_arrays(pytree, "ravel_pytree: leaf ")
    types = [type_of(leaf) for leaf in leaves]
    dtype = promoted_dtype(types) if types else np.dtype(np.float64)
    parts = [reshape(convert(leaf, dtype), shape=(t.size,)) for leaf, t in zip(leaves, types, strict=True)]
    flat = concatenate(*parts, axis=0) if parts else np.zeros(0, dtype)
    total = sum(t.size for t in types)

    def unravel(vector: Any) -> Any:
        vector = unwrap(vector)
        have = type_of(vector)
        if have.shape != (total,):
            raise ValueError(f"unravel needs a vector of shape ({total},), as ravel_pytree gave it; got {have}.")
        if have.dtype != dtype:
            raise TypeError(f"unravel needs a vector of dtype {dtype}, as ravel_pytree gave it; got {have}.")
        out, at = [], 0
        for t in types:
            part = reshape(slice_axis(vector, at, at + t.size, 0), shape=t.shape)
            out.append(wrap(convert(part, t.dtype)))
            at += t.size
        return tree.unflatten(treedef, out)

    return wrap(flat), unravel
