"""`python -m funcgrad.compile.worker`: compiles the kernels whose texts come as JSON on standard input into the disk cache.

The other process of tiered execution: the program that asked goes on with NumPy meanwhile.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from funcgrad.compile import build, cache


def compile_missing(texts: Iterable[str]) -> int:
    """Compiles what is not on disk yet; gives the number of kernels compiled."""
    count = 0
    for text in texts:
        key = cache.key_of(text)
        if cache.load(key) is None:
            cache.save(key, build.compile_source(text, f"kernel_{key}"))
            count += 1
    return count


if __name__ == "__main__":
    compile_missing(json.load(sys.stdin))
