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


def _turned_right(a: Any, b: Any) -> Any:
    return a @ b.T


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


for _n in (16, 32, 64, 100, 128, 256, 512, 1000, 1024, 2048):
    for _dtype in (np.float32, np.float64):
        product(f"matmul {_n} x {_n}", ((_n, _n), (_n, _n)), _dtype, 2.0 * _n**3, _n * _n)
for _n in (64, 256, 1024):
    product(f"matmul {_n} x {_n}, x.T @ y", ((_n, _n), (_n, _n)), np.float32, 2.0 * _n**3, _n * _n, _turned)
    product(f"matmul {_n} x {_n}, x @ y.T", ((_n, _n), (_n, _n)), np.float32, 2.0 * _n**3, _n * _n, _turned_right)
for _m, _k, _p in ((2048, 16, 2048), (16, 2048, 16), (2048, 2048, 16), (16, 2048, 2048), (128, 784, 512)):
    product(f"matmul {_m} x {_k} @ {_k} x {_p}", ((_m, _k), (_k, _p)), np.float32, 2.0 * _m * _k * _p, _m * _p)
for _dtype in (np.float32, np.float64):
    product("batched matmul 64 of 64 x 64", ((64, 64, 64), (64, 64, 64)), _dtype, 2.0 * 64**4, 64**3)
product("batched matmul 1024 of 16 x 16", ((1024, 16, 16), (1024, 16, 16)), np.float32, 2.0 * 1024 * 16**3, 1024 * 256)
product("matrix-vector 2048", ((2048, 2048), (2048,)), np.float32, 2.0 * 2048**2, 2048)
product("vector-matrix 2048", ((2048,), (2048, 2048)), np.float32, 2.0 * 2048**2, 2048)
product(
    "x.T @ y, 100000 x 32 each", ((100_000, 32), (100_000, 32)), np.float32, 2.0 * 100_000 * 32 * 32, 32 * 32, _turned
)
