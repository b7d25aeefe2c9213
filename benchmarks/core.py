"""Rows of the core: un-jitted derivatives, the price of the NumPy room, tracing, import."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Setup, row

X = np.linspace(0.1, 1.0, 10)
M = np.ones((4, 4))


def _grad(library: str, room: str) -> Setup:
    """The un-jitted gradient of a library with `grad` and a NumPy-like module."""

    def setup() -> Callable[[], object]:
        module, jnp = importlib.import_module(library), importlib.import_module(room)
        gradient = module.grad(lambda x: jnp.sum(jnp.tanh(x) * x))
        return lambda: gradient(X)

    return setup


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
    limit=30e-6,
    funcgrad=_grad("funcgrad", "funcgrad.numpy"),
    autograd=_grad("autograd", "autograd.numpy"),
    jax=_grad_jax,
    torch=_grad_torch,
)


def _call(room: str, name: str, args: tuple[Any, ...], convert: str | None = None) -> Setup:
    """A call of the function `name` of a module; `convert` names the module's function that makes its arrays."""

    def setup() -> Callable[[], object]:
        module = importlib.import_module(room)
        function = getattr(module, name)
        own = [getattr(module, convert)(a) if convert and isinstance(a, np.ndarray) else a for a in args]
        return lambda: function(*own)

    return setup


def _call_jax(name: str, args: tuple[Any, ...]) -> Setup:
    """The same in JAX, waiting for the result."""

    def setup() -> Callable[[], object]:
        import jax.numpy as jnp

        function = getattr(jnp, name)
        own = [jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
        return lambda: function(*own).block_until_ready()

    return setup


SMALL: dict[str, tuple[Any, ...]] = {
    "tanh": (X,),
    "add": (X, X),
    "sum": (X,),
    "matmul": (M, M),
    "reshape": (X, (2, 5)),
}

for _name, _args in SMALL.items():
    row(
        f"NumPy room, un-jitted: {_name}, {_args[0].size} elements",
        limit=1e-6,
        over="numpy",
        funcgrad=_call("funcgrad.numpy", _name, _args),
        numpy=_call("numpy", _name, _args),
        autograd=_call("autograd.numpy", _name, _args),
        jax=_call_jax(_name, _args),
        torch=_call("torch", _name, _args, convert="asarray"),
    )


def _trace(library: str, room: str) -> Setup:
    """Abstract tracing of a function of 1000 operations, a new function each time so that nothing is remembered."""

    def setup() -> Callable[[], object]:
        module, jnp = importlib.import_module(library), importlib.import_module(room)

        def call() -> object:
            def chain(x: Any) -> Any:
                for _ in range(500):
                    x = jnp.sin(x) * 0.9
                return x

            return module.make_jaxpr(chain)(X)

        return call

    return setup


row(
    "abstract tracing, per equation of 1000",
    per=1000,
    limit=10e-6,
    funcgrad=_trace("funcgrad", "funcgrad.numpy"),
    jax=_trace("jax", "jax.numpy"),
)


def _importing(library: str) -> Setup:
    """A new process that imports a library: its start is part of the time."""

    def setup() -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", f"import {library}"], check=True)

    return setup


row(
    "a new process that imports it",
    limit=0.25,
    funcgrad=_importing("funcgrad"),
    numpy=_importing("numpy"),
    autograd=_importing("autograd"),
    jax=_importing("jax"),
    torch=_importing("torch"),
)
