"""Rows of gathers, scatters and running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compiled import pair, torch_setup
from benchmarks.harness import row


def embedding_gradient(lib: Any, jnp: Any) -> Callable[..., Any]:
    return lib.grad(lambda table, ids, w: jnp.sum(jnp.tanh(table[ids]) * w))


def _embedding_data(rng: np.random.Generator) -> tuple[Any, ...]:
    f = np.float32
    return (
        rng.normal(size=(10_000, 256)).astype(f),
        rng.integers(0, 10_000, 4096),
        rng.normal(size=(4096, 256)).astype(f),
    )


def _embedding_torch(torch: Any, tensor: Any) -> Callable[[], object]:
    table, ids, w = [tensor(a) for a in _embedding_data(np.random.default_rng(0))]
    table.requires_grad_()
    return lambda: torch.autograd.grad((torch.tanh(torch.nn.functional.embedding(ids, table)) * w).sum(), table)


row(
    "gradient of an embedding, 4096 of 10000 x 256",
    **pair(embedding_gradient, _embedding_data),
    torch=torch_setup(_embedding_torch),
    moved=4.0 * 256 * (10_000 + 4 * 4096),
)


def _row_torch(torch: Any, tensor: Any) -> Callable[[], object]:
    x = tensor(np.random.default_rng(0).normal(size=1_000_000).astype(np.float32))
    return lambda: torch.cumsum(x, 0)


row(
    "cumsum of 1M",
    **pair(lambda lib, jnp: jnp.cumsum, lambda rng: (rng.normal(size=1_000_000).astype(np.float32),)),
    torch=torch_setup(_row_torch),
    moved=8.0e6,
)
