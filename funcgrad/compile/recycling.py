"""Memory for large outputs, used again when nobody holds the output any more.

A fresh array of megabytes costs more in page faults (0.5 to 1 us for each 4 KB) than most kernels take to fill it. The block
under an output is kept beside it; when the output and every view of it are gone, the block has no other owner and serves again.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

SMALLEST = 1 << 16
"""Bytes from which a block is kept: below, the allocator has it at hand anyway."""
MOST = 4
_FREE = 2
"""References to a block that nobody uses: its pair and the argument of getrefcount."""


class Recycler:
    """Makes arrays of one shape and dtype. Blocks live as long as the recycler, at most `MOST` of them."""

    __slots__ = ("blocks", "dtype", "nbytes", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype):
        self.shape, self.dtype = shape, dtype
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self.blocks: list[tuple[np.ndarray, int]] = []
        """Arrays of bytes that own their memory, and where in them the aligned part starts."""

    def new(self, kind: type) -> Any:
        """An uninitialised array of class `kind`. Threads may ask at once: a block is out of the list while it is looked at."""
        if self.nbytes < SMALLEST:
            return np.ndarray.__new__(kind, self.shape, self.dtype)
        blocks = self.blocks
        for _ in range(len(blocks)):
            try:
                pair = blocks.pop(0)
            except IndexError:
                break
            if sys.getrefcount(pair[0]) == _FREE:
                out: Any = np.ndarray.__new__(kind, self.shape, self.dtype, *pair)
                blocks.append(pair)
                return out
            blocks.append(pair)
        # The owner itself, not an aligned view of it: NumPy makes the owner the base of every view of a view.
        owner = np.empty(self.nbytes + 64, np.uint8)
        pair = owner, -owner.ctypes.data % 64
        out = np.ndarray.__new__(kind, self.shape, self.dtype, *pair)
        if len(blocks) < MOST:
            blocks.append(pair)
        return out
