"""Rows of optimisers: one step over many arrays in float32, against optax under jax.jit and torch.optim's fused step."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compiled import torch_setup
from benchmarks.harness import Setup, row

LAYERS = 25


def _arrays(width: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights and biases of 25 square layers, and gradients for them: 50 arrays each."""
    rng = np.random.default_rng(0)
    shapes = [(width, width), (width,)] * LAYERS
    params, grads = ([rng.normal(size=s).astype(np.float32) for s in shapes] for _ in range(2))
    return params, grads


def _pure(library: str, optimizers: str, make: Callable[[Any], Any], width: int) -> Setup:
    """A contestant whose optimiser is a pair of pure functions; large parameters and states are donated to the new ones."""

    def setup() -> Callable[[], object]:
        lib, jnp = importlib.import_module(library), importlib.import_module(f"{library}.numpy")
        optim = importlib.import_module(optimizers)
        optimizer = make(optim)
        params, grads = lib.tree.map(jnp.asarray, _arrays(width))
        carry = [params, optimizer.init(params)]

        def step(params: Any, state: Any, grads: Any) -> Any:
            updates, state = optimizer.update(grads, state, params)
            return optim.apply_updates(params, updates), state

        jitted = lib.jit(step, donate_argnums=(0, 1) if width > 64 else ())

        def call() -> object:
            carry[:] = jitted(*carry, grads)
            return lib.block_until_ready(carry[0]) if library == "jax" else carry[0]

        return call

    return setup


def _torch(make: Callable[[Any, Any], Any], width: int) -> Setup:
    def build(torch: Any, tensor: Any) -> Callable[[], object]:
        params, grads = ([tensor(a) for a in arrays] for arrays in _arrays(width))
        for p, g in zip(params, grads, strict=True):
            p.grad = g
        return make(torch.optim, params).step

    return torch_setup(build)


def _contestants(pure: Callable[[Any], Any], imperative: Callable[[Any, Any], Any], width: int) -> dict[str, Any]:
    """funcgrad and PyTorch, and JAX where optax is installed."""
    found: dict[str, Any] = {
        "funcgrad": _pure("funcgrad", "funcgrad.optim", pure, width),
        "torch": _torch(imperative, width),
    }
    if importlib.util.find_spec("optax") is not None:
        found["jax"] = _pure("jax", "optax", pure, width)
    return found


for _width in (16, 256):
    _numbers = LAYERS * (_width * _width + _width)
    row(
        f"adamw, 50 arrays, {_numbers:,} numbers",
        **_contestants(lambda o: o.adamw(1e-3, weight_decay=1e-2), lambda t, p: t.AdamW(p, 1e-3, fused=True), _width),
        moved=7.0 * 4 * _numbers,
    )
    row(
        f"sgd with momentum, 50 arrays, {_numbers:,} numbers",
        **_contestants(lambda o: o.sgd(1e-3, 0.9), lambda t, p: t.SGD(p, 1e-3, momentum=0.9, fused=True), _width),
        moved=5.0 * 4 * _numbers,
    )
