"""How the functions of images read their settings: one number for every spatial axis or one for each, batches optional."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad.core.tracing import shape_of, type_of
from funcgrad.ops.basics import reshape, transpose

Shape = tuple[int, ...]
Size = int | Sequence[int]


def per_axis(function: str, name: str, value: Any, rank: int, least: int = 1) -> Shape:
    """A setting as one int for each of `rank` spatial axes. Raises ValueError for another count or what is below `least`."""
    found = tuple(int(v) for v in value) if isinstance(value, (tuple, list)) else (int(value),) * rank
    if len(found) == 1:
        found *= rank
    if len(found) != rank or any(v < least for v in found):
        raise ValueError(f"{function}: {name} must be one number or {rank} numbers of at least {least}, got {value!r}.")
    return found


def with_batch(function: str, x: Any, rank: int) -> tuple[Any, bool]:
    """x as (N, C, space...), and whether the batch axis was added. Raises ValueError for another number of axes."""
    shape = shape_of(x)
    if len(shape) == rank + 1:
        return reshape(x, shape=(1, *shape)), True
    if len(shape) != rank + 2:
        raise ValueError(f"{function} takes (N, C, {rank} spatial axes) or the same without N, got shape {shape}.")
    return x, False


def without_batch(x: Any, added: bool) -> Any:
    """The result without the batch axis that `with_batch` added."""
    return reshape(x, shape=shape_of(x)[1:]) if added else x


def along_channels(v: Any, like: Any) -> Any:
    """A value for each channel (axis 1) of `like`, ready to broadcast against it."""
    return reshape(v, shape=(type_of(v).size, *(1,) * (len(shape_of(like)) - 2)))


def moved(x: Any, source: int, to: int) -> Any:
    """x with one axis at another place."""
    n = len(shape_of(x))
    order = [i for i in range(n) if i != source % n]
    order.insert(to % n, source % n)
    return x if order == list(range(n)) else transpose(x, permutation=tuple(order))
