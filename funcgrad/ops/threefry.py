"""Threefry-2x32 in NumPy: the counter-based generator under every random primitive of `ops/random.py`.

20 rounds of add, rotate, xor on pairs of 32-bit words (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3").
Everything works in place on blocks that fit into the cache; a handful of values goes through Python's integers,
which are faster than a hundred NumPy calls. The counters of the values of a shape are their flat indices, so the
values are those of JAX with `jax_threefry_partitionable`, its default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Shape = tuple[int, ...]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_MASK = 0xFFFFFFFF
_BLOCK = 1 << 14
_FEW = 8
SAMPLER_STEP = 1 << 31
"""High counter words from here on belong to the rejection samplers: no array has 2**63 values."""


def hash_pairs(k0: Any, k1: Any, x0: np.ndarray, x1: np.ndarray) -> None:
    """Hashes the uint32 counters (x0, x1), at least 1-d, in place. The keys broadcast to their shape."""
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(_PARITY))
    spare = np.empty_like(x1)
    x0 += k0
    x1 += k1
    for group in range(5):
        for r in _ROTATIONS[group % 2]:
            x0 += x1
            np.right_shift(x1, 32 - r, out=spare)
            x1 <<= r
            x1 |= spare
            x1 ^= x0
        x0 += keys[(group + 1) % 3]
        x1 += keys[(group + 2) % 3]
        x1 += np.uint32(group + 1)


def hash_one(k0: int, k1: int, x0: int, x1: int) -> tuple[int, int]:
    """The same hash of one pair of Python integers."""
    keys = (k0, k1, k0 ^ k1 ^ _PARITY)
    x0, x1 = (x0 + k0) & _MASK, (x1 + k1) & _MASK
    for group in range(5):
        for r in _ROTATIONS[group % 2]:
            x0 = (x0 + x1) & _MASK
            x1 = (((x1 << r) & _MASK) | (x1 >> (32 - r))) ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) & _MASK
        x1 = (x1 + keys[(group + 2) % 3] + group + 1) & _MASK
    return x0, x1


Block = tuple[slice, slice, np.ndarray, np.ndarray]


def _blocks(keys: np.ndarray, n: int) -> Iterator[Block]:
    """(rows, columns, x0, x1): the words of counters 0..n-1 for keys (m, 2), block by block; x0 and x1 are scratch."""
    m = len(keys)
    if m * n <= _FEW:
        words = [[hash_one(int(a), int(b), 0, i) for i in range(n)] for a, b in keys]
        both = np.array(words, np.uint32).reshape(m, n, 2)
        yield slice(0, m), slice(0, n), both[..., 0], both[..., 1]
        return
    rows = max(1, _BLOCK // max(n, 1))
    for r in range(0, m, rows):
        few = keys[r : r + rows]
        for c in range(0, n, _BLOCK):
            stop = min(c + _BLOCK, n)
            x0 = np.full((len(few), stop - c), c >> 32, np.uint32)
            x1 = np.empty_like(x0)
            # _BLOCK divides 2**32, so the high word is the same all over a block.
            x1[...] = np.arange(c & _MASK, (c & _MASK) + stop - c, dtype=np.int64).astype(np.uint32)
            hash_pairs(few[:, :1], few[:, 1:], x0, x1)
            yield slice(r, r + len(few)), slice(c, stop), x0, x1


def flat_keys(key: Any) -> tuple[np.ndarray, Shape]:
    """Keys of shape (..., 2) as a matrix (m, 2), and their leading shape."""
    key = np.asarray(key)
    return key.reshape(-1, 2), key.shape[:-1]


def _assemble(x0: np.ndarray, x1: np.ndarray, out: np.ndarray) -> None:
    if out.itemsize == 8:
        out[...] = x0
        out <<= 32
        out |= x1
    elif out.itemsize == 4:
        np.bitwise_xor(x0, x1, out=out)
    else:
        x0 ^= x1
        out[...] = x0  # the low bits


def fill_bits(key: Any, shape: Shape, width: int, finish: Callable[[np.ndarray], None] | None = None) -> np.ndarray:
    """Random unsigned integers of `width` bits for keys (..., 2), of shape (..., *shape).

    `finish` changes each block in place while it is in the cache.
    """
    keys, lead = flat_keys(key)
    out = np.empty((len(keys), math.prod(shape)), f"u{width // 8}")
    for rows, columns, x0, x1 in _blocks(keys, out.shape[1]):
        part = out[rows, columns]
        _assemble(x0, x1, part)
        if finish is not None:
            finish(part)
    return out.reshape((*lead, *shape))


def fill_unit(key: Any, shape: Shape, dtype: np.dtype) -> np.ndarray:
    """Random floats in [0, 1) for keys (..., 2), of shape (..., *shape): the mantissa of [1, 2) at random, minus 1."""
    info = np.finfo(dtype)
    drop = info.bits - info.nmant
    one = np.ones((), dtype).view(f"u{info.bits // 8}")[()]

    def finish(part: np.ndarray) -> None:
        part >>= drop
        part |= one
        floats = part.view(dtype)
        floats -= 1

    return fill_bits(key, shape, info.bits, finish).view(dtype)


def fill_keys(key: Any, shape: Shape) -> np.ndarray:
    """New keys for keys (..., 2), of shape (..., *shape, 2)."""
    keys, lead = flat_keys(key)
    out = np.empty((len(keys), math.prod(shape), 2), np.uint32)
    for rows, columns, x0, x1 in _blocks(keys, out.shape[1]):
        out[rows, columns, 0] = x0
        out[rows, columns, 1] = x1
    return out.reshape((*lead, *shape, 2))


def hash_counters(key: Any, counts: Any) -> np.ndarray:
    """The hash of counters (..., 2) under keys (..., 2), whose leading shapes broadcast."""
    key, counts = np.asarray(key), np.asarray(counts)
    shape = np.broadcast_shapes(key.shape, counts.shape)
    if math.prod(shape) <= 2 * _FEW:
        pairs = zip(
            np.broadcast_to(key, shape).reshape(-1, 2).tolist(),
            np.broadcast_to(counts, shape).reshape(-1, 2).tolist(),
            strict=True,
        )
        return np.array([hash_one(*k, *c) for k, c in pairs], np.uint32).reshape(shape)
    x0, x1 = (np.array(np.broadcast_to(counts[..., i], shape[:-1]), order="C") for i in (0, 1))
    hash_pairs(key[..., 0], key[..., 1], x0, x1)
    return np.stack([x0, x1], -1)


class Streams:
    """One endless sequence of uniforms per value, for samplers that reject: each value has its own counter.

    What a value gets depends on its key and its place alone, not on how many tries its neighbours need.
    """

    def __init__(self, key: Any, shape: Shape):
        keys, lead = flat_keys(key)
        n = math.prod(shape[len(lead) :])
        self._k0 = np.repeat(keys[:, 0], n)
        self._k1 = np.repeat(keys[:, 1], n)
        self._index = np.tile(np.arange(n, dtype=np.int64), len(keys))
        self._step = SAMPLER_STEP

    def uniform(self, places: np.ndarray) -> np.ndarray:
        """The next float64 in (0, 1) of each of some flat places."""
        index = self._index[places]
        x1 = index.astype(np.uint32)
        x0 = (index >> 32).astype(np.uint32) + np.uint32(self._step)
        self._step += 1
        if x0.size:
            hash_pairs(self._k0[places], self._k1[places], x0, x1)
        whole = x0.astype(np.uint64) << np.uint64(32) | x1
        return ((whole >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
