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
_ALIGNMENT = 64


def _references(entry: tuple[np.ndarray, int]) -> int:
    block, _ = entry
    return sys.getrefcount(block)


_FREE = _references((np.empty(1, np.uint8), 0))
"""What `_references` says of a block that nobody uses: measured, since Python 3.14 counts local names differently."""


class Recycler:
    """Makes arrays of one shape and dtype. Blocks live as long as the recycler, at most `MOST` of them."""

    __slots__ = ("blocks", "dtype", "nbytes", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype):
        self.shape, self.dtype = shape, dtype
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self.blocks: list[tuple[np.ndarray, int]] = []

    def new(self, kind: type) -> Any:
        """An uninitialised array of class `kind`. Threads may ask at once: a block is out of the list while it is looked at."""
        if self.nbytes < SMALLEST:
            return np.ndarray.__new__(kind, self.shape, self.dtype)
        blocks = self.blocks
        for _ in range(len(blocks)):
            try:
                entry = blocks.pop(0)
            except IndexError:
                break
            free = _references(entry) == _FREE
            block, at = entry
            out: Any = np.ndarray.__new__(kind, self.shape, self.dtype, block, at) if free else None
            blocks.append(entry)
            if free:
                return out
        # The block owns its memory: NumPy lets a view refer to the owner, past arrays between that are views themselves.
        block = np.empty(self.nbytes + _ALIGNMENT, np.uint8)
        at = -block.ctypes.data % _ALIGNMENT
        out = np.ndarray.__new__(kind, self.shape, self.dtype, block, at)
        if len(blocks) < MOST:
            blocks.append((block, at))
        return out
