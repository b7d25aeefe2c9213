"""Rows of products of matrices: square, skinny, batched, with a vector, and of a tall matrix with itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.compiled import pair, torch_setup
from benchmarks.harness import Setup, row


def _factors(shapes: Any, dtype: Any) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=s).astype(dtype) for s in shapes)


def _turned(a: Any, b: Any) -> Any:
    return a.T @ b


def _plain(a: Any, b: Any) -> Any:
    return a @ b


def product(name: str, shapes: Any, dtype: Any, flops: float, written: int, function: Any = _plain) -> None:
    """A row of one product of arrays of these shapes, with as many elements `written`. `flops` counts float64 operations once."""

    def torch_product(torch: Any, tensor: Any) -> Any:
        a, b = map(tensor, _factors(shapes, dtype))
        return lambda: function(a, b)

    setup: Setup = torch_setup(torch_product)
    kind = np.dtype(dtype)
    sizes = [int(np.prod(s)) for s in shapes]
    row(
        f"{name}, {kind.name}",
        **pair(lambda lib, jnp: function, lambda rng: _factors(shapes, dtype)),
        torch=setup,
        flops=flops * (kind.itemsize // 4),
        moved=float(kind.itemsize * (sum(sizes) + written)),
    )


for _n in (16, 64, 256, 1024, 2048):
    for _dtype in (np.float32, np.float64):
        if _n < 2048 or _dtype is np.float32:
            product(f"matmul {_n} x {_n}", ((_n, _n), (_n, _n)), _dtype, 2.0 * _n**3, _n * _n)
product("matmul 2048 x 16 @ 16 x 2048", ((2048, 16), (16, 2048)), np.float32, 2.0 * 2048 * 2048 * 16, 2048 * 2048)
product("matmul 16 x 2048 @ 2048 x 16", ((16, 2048), (2048, 16)), np.float32, 2.0 * 16 * 2048 * 16, 16 * 16)
product("batched matmul 64 of 64 x 64", ((64, 64, 64), (64, 64, 64)), np.float32, 2.0 * 64**4, 64**3)
product("matrix-vector 2048", ((2048, 2048), (2048,)), np.float32, 2.0 * 2048**2, 2048)
product("vector-matrix 2048", ((2048,), (2048, 2048)), np.float32, 2.0 * 2048**2, 2048)
product(
    "x.T @ y, 100000 x 32 each", ((100_000, 32), (100_000, 32)), np.float32, 2.0 * 100_000 * 32 * 32, 32 * 32, _turned
)
