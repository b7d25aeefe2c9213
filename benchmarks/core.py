"""Rows of the core: un-jitted derivatives, the price of the NumPy room, tracing, import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np

from benchmarks.harness import Setup, row

X = np.linspace(0.1, 1.0, 10)


def _grad_funcgrad() -> Callable[[], object]:
    import funcgrad as fg
    import funcgrad.numpy as jnp

    gradient = fg.grad(lambda x: jnp.sum(jnp.tanh(x) * x))
    return lambda: gradient(X)


def _grad_autograd() -> Callable[[], object]:
    import autograd
    import autograd.numpy as anp

    gradient = autograd.grad(lambda x: anp.sum(anp.tanh(x) * x))
    return lambda: gradient(X)


def _grad_jax() -> Callable[[], object]:
    import jax
    import jax.numpy as jnp

    gradient = jax.grad(lambda x: jnp.sum(jnp.tanh(x) * x))
    x = jnp.asarray(X)
    return lambda: gradient(x).block_until_ready()


def _grad_torch() -> Callable[[], object]:
    import torch

    x = torch.tensor(X, requires_grad=True)

    def call() -> object:
        x.grad = None
        (torch.tanh(x) * x).sum().backward()
        return x.grad

    return call


row(
    "un-jitted grad of sum(tanh(x) * x), 10 elements",
    funcgrad=_grad_funcgrad, autograd=_grad_autograd, jax=_grad_jax, torch=_grad_torch,
)  # fmt: skip


def _numpy_room(name: str, *args: object) -> dict[str, Setup]:
    def ours() -> Callable[[], object]:
        import funcgrad.numpy as jnp

        function = getattr(jnp, name)
        return lambda: function(*args)

    def theirs() -> Callable[[], object]:
        function = getattr(np, name)
        return lambda: function(*args)

    return {"funcgrad": ours, "numpy": theirs}


M = np.ones((4, 4))
for _name, _args in {"tanh": (X,), "add": (X, X), "sum": (X,), "matmul": (M, M), "reshape": (M, (2, 8))}.items():
    row(f"numpy room: {_name} on a small array", **_numpy_room(_name, *_args))


def _chain(sin: Callable[[object], object], length: int) -> Callable[[object], object]:
    def chain(x: object) -> object:
        for _ in range(length):
            x = sin(x)
        return x

    return chain


def _trace_funcgrad() -> Callable[[], object]:
    import funcgrad as fg
    import funcgrad.numpy as jnp

    return lambda: fg.make_expr(_chain(jnp.sin, 1000))(X)


def _trace_jax() -> Callable[[], object]:
    import jax
    import jax.numpy as jnp

    return lambda: jax.make_jaxpr(_chain(jnp.sin, 1000))(X)


row("abstract tracing, per equation", per=1000, funcgrad=_trace_funcgrad, jax=_trace_jax)


def _importing(statement: str) -> Setup:
    def setup() -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", statement], check=True)

    return setup


row(
    "a process that imports it",
    funcgrad=_importing("import funcgrad"), numpy=_importing("import numpy"), jax=_importing("import jax"),
    torch=_importing("import torch"),
)  # fmt: skip
