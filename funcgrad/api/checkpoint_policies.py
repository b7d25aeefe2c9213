"""Policies of `checkpoint`: which values are saved although the function is run again. JAX's names."""

from __future__ import annotations

from typing import Any

from funcgrad.core.primitive import Primitive
from funcgrad.ops.dot import dot_general


def nothing_saveable(primitive: Primitive, *types: Any, **params: Any) -> bool:
    """Only the inputs are kept (the default)."""
    return False


def everything_saveable(primitive: Primitive, *types: Any, **params: Any) -> bool:
    """Everything is kept, as without checkpoint."""
    return True


def dots_saveable(primitive: Primitive, *types: Any, **params: Any) -> bool:
    """Products of matrices are kept."""
    return primitive is dot_general


def dots_with_no_batch_dims_saveable(primitive: Primitive, *types: Any, **params: Any) -> bool:
    """Products of matrices without batch axes (the layers of a network) are kept."""
    return primitive is dot_general and not params["dims"][1][0]


checkpoint_dots = dots_saveable
checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable
