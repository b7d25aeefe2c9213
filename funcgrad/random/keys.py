"""Keys of the threefry2x32 generator: making, splitting and folding. A key is a uint32 array of shape (2,).

JAX's new-style typed keys have no dtype of their own here: `key` and `PRNGKey` give the same array, `key_data` and
`wrap_key_data` pass it through. Reuse of a key is not checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import Array, unwrap, wrap
from funcgrad.core.tracing import Tracer, type_of
from funcgrad.numpy.wrapping import array_operand
from funcgrad.ops.basics import convert, reshape
from funcgrad.ops.elementwise import bitwise_and, shift_right
from funcgrad.ops.random import random_split, threefry2x32
from funcgrad.ops.shape import concatenate
from funcgrad.random.arguments import ShapeLike, check_key, shape_of

_NAME = "threefry2x32"


def _check_impl(impl: Any) -> None:
    if impl is not None and impl != _NAME:
        raise ValueError(f"random keys are of the generator '{_NAME}'; got impl={impl!r}.")


def _words(seed: Any) -> Any:
    """A scalar integer's 64 bits as two uint32 words, the high one first; 32-bit dtypes have a high word of 0."""
    seed = unwrap(seed)
    if isinstance(seed, (bool, int)):
        if not -(2**63) <= seed < 2**63:
            raise OverflowError(f"a seed must fit into 64 signed bits, got {seed}; use fold_in for more.")
        return np.array([(seed >> 32) & 0xFFFFFFFF, seed & 0xFFFFFFFF], np.uint32)
    kind = type_of(seed)
    if kind.dtype.kind not in "biu" or kind.shape:
        raise TypeError(f"a seed must be a scalar integer, got {kind}.")
    unsigned = convert(seed, np.dtype(f"u{kind.dtype.itemsize}"))
    wide = convert(unsigned, np.uint64)
    parts = [shift_right(wide, np.uint64(32)), bitwise_and(wide, np.uint64(0xFFFFFFFF))]
    return concatenate(*[reshape(convert(p, np.uint32), shape=(1,)) for p in parts], axis=0)


def key(seed: Any, *, impl: str | None = None) -> Array:
    """A key (uint32, shape (2,)) from an integer seed: a Python int, a NumPy integer or a traced scalar.

    Raises TypeError if the seed is not a scalar integer, OverflowError if it needs more than 64 bits, ValueError for
    another generator than "threefry2x32".
    """
    _check_impl(impl)
    return wrap(_words(seed))


def PRNGKey(seed: Any, *, impl: str | None = None) -> Array:
    """The same as `key`: here both kinds of JAX's keys are one."""
    _check_impl(impl)
    return wrap(_words(seed))


def split(key: Any, num: ShapeLike = 2) -> Array:
    """New keys of shape (num, 2), or (*num, 2) for a tuple, from one key."""
    return wrap(random_split(check_key("split", key), shape=shape_of("split", num)))


def fold_in(key: Any, data: Any) -> Array:
    """A new key of shape (2,) from a key and a scalar integer of at most 32 bits (wider arrays are cut to 32).

    Raises TypeError if `data` is not a scalar integer, OverflowError if a Python int does not fit into uint32.
    """
    key = check_key("fold_in", key)
    data = unwrap(data)
    if isinstance(data, int):
        return wrap(threefry2x32(key, np.array([0, np.uint32(data)], np.uint32)))
    data = array_operand(data)
    kind = type_of(data)
    if kind.dtype.kind not in "biu" or kind.shape:
        raise TypeError(f"random.fold_in takes a scalar integer, got {kind}; use funcgrad.vmap for many.")
    low = reshape(convert(data, np.uint32), shape=(1,))
    return wrap(threefry2x32(key, concatenate(np.zeros(1, np.uint32), low, axis=0)))


def clone(key: Any) -> Array:
    """The key itself: reuse is not checked, so a clone is as good as the key."""
    return wrap(_keys("clone", key))


def key_data(keys: Any) -> Array:
    """The uint32 words (..., 2) of keys, which are these words already."""
    return wrap(_keys("key_data", keys))


def wrap_key_data(key_bits_array: Any, *, impl: str | None = None) -> Array:
    """Keys from their uint32 words (..., 2). Raises TypeError for another dtype or last axis."""
    _check_impl(impl)
    return wrap(_keys("wrap_key_data", key_bits_array))


def key_impl(keys: Any) -> str:
    """The name of the generator, "threefry2x32"."""
    _keys("key_impl", keys)
    return _NAME


def _keys(name: str, keys: Any) -> Any:
    keys = unwrap(keys)
    kind = type_of(keys) if type(keys) is Tracer or isinstance(keys, np.ndarray) else None
    if kind is None or kind.dtype != np.uint32 or not kind.shape or kind.shape[-1] != 2:
        raise TypeError(f"random.{name} takes uint32 keys of shape (..., 2), got {kind or repr(keys)}.")
    return keys
