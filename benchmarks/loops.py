"""Rows of loops: whole training runs, integrations and recurrent networks as one call. What they are held to, as ratios to the
best peer: training 0.4, Lorenz 0.7, LSTM 0.8, Newton 0.5, Hessian 0.5."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compiled import backward, pair, torch_setup
from benchmarks.harness import row


def _lax(lib: Any) -> Any:
    return importlib.import_module(f"{lib.__name__}.lax")


# ---- training ----


def training(lib: Any, jnp: Any) -> Callable[..., Any]:
    def loss(params: Any, x: Any, y: Any) -> Any:
        for w, b in params[:-1]:
            x = jnp.tanh(x @ w + b)
        w, b = params[-1]
        return jnp.mean((x @ w + b - y) ** 2)

    def train(params: Any, x: Any, y: Any) -> Any:
        def step(params: Any, _: Any) -> Any:
            value, slopes = lib.value_and_grad(loss)(params, x, y)
            return lib.tree.map(lambda p, g: p - 0.03 * g, params, slopes), value

        return _lax(lib).scan(step, params, None, length=1000)

    return train


def _training_data(rng: np.random.Generator) -> tuple[Any, ...]:
    x = rng.standard_normal((32, 2)).astype(np.float32)
    sizes = [(2, 16), (16, 16), (16, 1)]
    params = [((rng.standard_normal(s) / np.sqrt(s[0])).astype(np.float32), np.zeros(s[1], np.float32)) for s in sizes]
    return params, x, x[:, :1] * x[:, 1:]


def _training_torch(torch: Any, tensor: Any) -> Callable[[], object]:
    params, x, y = _training_data(np.random.default_rng(0))
    x, y = tensor(x), tensor(y)
    start = [tensor(a) for pair in params for a in pair]

    def call() -> object:
        leaves = [a.clone().requires_grad_() for a in start]
        optimiser = torch.optim.SGD(leaves, lr=0.03)
        for _ in range(1000):
            optimiser.zero_grad()
            h = torch.tanh(x @ leaves[0] + leaves[1])
            h = torch.tanh(h @ leaves[2] + leaves[3])
            ((h @ leaves[4] + leaves[5] - y) ** 2).mean().backward()
            optimiser.step()
        return leaves

    return call


row("1000 SGD steps of a 2-16-16-1 MLP, batch 32", **pair(training, _training_data), torch=torch_setup(_training_torch))

# ---- integration ----


def lorenz(runge_kutta: bool) -> Callable[[Any, Any], Callable[..., Any]]:
    """The gradient of the last x by the start, after 10,000 steps."""

    def program(lib: Any, jnp: Any) -> Callable[..., Any]:
        def slope(s: Any) -> Any:
            x, y, z = s
            return 10.0 * (y - x), x * (28.0 - z) - y, x * y - (8.0 / 3.0) * z

        def along(s: Any, k: Any, dt: float) -> Any:
            return tuple(a + dt * b for a, b in zip(s, k, strict=True))

        def euler(s: Any, _: Any) -> Any:
            return along(s, slope(s), 1e-4), None

        def fourth_order(s: Any, _: Any) -> Any:
            dt = 1e-4
            k1 = slope(s)
            k2 = slope(along(s, k1, dt / 2))
            k3 = slope(along(s, k2, dt / 2))
            k4 = slope(along(s, k3, dt))
            k = tuple((a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(k1, k2, k3, k4, strict=True))
            return along(s, k, dt), None

        step = fourth_order if runge_kutta else euler
        return lib.grad(lambda s: _lax(lib).scan(step, s, None, length=10_000)[0][0])

    return program


for _name, _method in (("Euler", False), ("Runge-Kutta", True)):
    row(
        f"gradient through 10,000 Lorenz steps, {_name}",
        **pair(lorenz(_method), lambda rng: (tuple(np.float32(v) for v in (1.0, 2.0, 3.0)),)),
    )

# ---- recurrent networks ----

STEPS, BATCH, WIDTH = 100, 16, 64


def lstm(lib: Any, jnp: Any) -> Callable[..., Any]:
    def loss(params: Any, xs: Any) -> Any:
        wx, wh, b = params

        def step(carry: Any, x: Any) -> Any:
            h, c = carry
            i, f, u, o = jnp.split(x @ wx + h @ wh + b, 4, axis=-1)
            c = lib.nn.sigmoid(f) * c + lib.nn.sigmoid(i) * jnp.tanh(u)
            h = lib.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((BATCH, WIDTH), np.float32)
        return jnp.sum(_lax(lib).scan(step, (zero, zero), xs)[1] ** 2)

    return lib.grad(loss)


def _lstm_data(rng: np.random.Generator) -> tuple[Any, ...]:
    wx, wh = [(rng.standard_normal((WIDTH, 4 * WIDTH)) / 8).astype(np.float32) for _ in range(2)]
    return (wx, wh, np.zeros(4 * WIDTH, np.float32)), rng.standard_normal((STEPS, BATCH, WIDTH)).astype(np.float32)


def _lstm_torch(torch: Any, tensor: Any) -> Callable[[], object]:
    (wx, wh, b), xs = _lstm_data(np.random.default_rng(0))
    module = torch.nn.LSTM(WIDTH, WIDTH)
    with torch.no_grad():
        module.weight_ih_l0.copy_(tensor(wx.T))
        module.weight_hh_l0.copy_(tensor(wh.T))
        module.bias_ih_l0.copy_(tensor(b))
        module.bias_hh_l0.zero_()
    inputs = tensor(xs)
    return backward(torch, lambda *_: (module(inputs)[0] ** 2).sum(), tuple(module.parameters()))


row("gradient of an LSTM, 100 steps, batch 16, width 64", **pair(lstm, _lstm_data), torch=torch_setup(_lstm_torch))

# ---- loops of unknown length ----


def newton(lib: Any, jnp: Any) -> Callable[..., Any]:
    """The square roots of 100,000 numbers."""

    def root(a: Any) -> Any:
        return _lax(lib).while_loop(lambda s: jnp.abs(s * s - a) > 1e-4 * a, lambda s: 0.5 * (s + a / s), a)

    return lib.vmap(root)


row(
    "Newton's method as a while_loop, 100,000 starts",
    **pair(newton, lambda rng: (rng.uniform(0.5, 50.0, 100_000).astype(np.float32),)),
)

# ---- second derivatives ----


def rosenbrock(lib: Any, jnp: Any) -> Callable[..., Any]:
    return lib.hessian(lambda x: jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))


row(
    "Hessian of Rosenbrock's function, n = 100",
    **pair(rosenbrock, lambda rng: (rng.uniform(-1, 1, 100).astype(np.float32),)),
)
