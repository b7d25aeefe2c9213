"""Rows of the compiler: jitted functions and their gradients. Each is one program to JAX's API, run by JAX and by funcgrad, and
written again for PyTorch's eager mode."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Absent, Setup, row

Program = Callable[[Any, Any], Callable[..., Any]]
Data = Callable[[np.random.Generator], tuple[Any, ...]]
TorchProgram = Callable[[Any, Callable[[np.ndarray], Any], Callable[[Any], Any], Data], Callable[[], object]]
"""(torch, tensor, compiled, data) -> the function to call, as `torch_pair` says."""


def pair(program: Program, data: Data) -> dict[str, Any]:
    """Both contestants that read JAX's API: `program(library, numpy room)` gives the function to jit."""

    def setup(library: str) -> Setup:
        def make() -> Callable[[], object]:
            lib, jnp = importlib.import_module(library), importlib.import_module(f"{library}.numpy")
            if library == "jax":
                lib.config.update("jax_enable_x64", True)
            args = lib.tree.map(jnp.asarray, data(np.random.default_rng(0)))
            jitted = lib.jit(program(lib, jnp))
            if library == "jax":
                return lambda: lib.block_until_ready(jitted(*args))
            return lambda: jitted(*args)

        return make

    return {"funcgrad": setup("funcgrad"), "jax": setup("jax")}


def torch_setup(make: Callable[[Any, Callable[[np.ndarray], Any]], Callable[[], object]]) -> Setup:
    """A PyTorch contestant: `make(torch, tensor)` gives the function to call."""

    def setup() -> Callable[[], object]:
        torch = importlib.import_module("torch")
        return make(torch, lambda a: torch.tensor(np.asarray(a)))

    return setup


def torch_pair(
    make: Callable[[Any, Callable[[np.ndarray], Any], Callable[[Any], Any]], Callable[[], object]],
) -> dict[str, Any]:
    """PyTorch's contestants, eager and compiled: `make(torch, tensor, compiled)` gives the function to call, with the part
    that a user would give to torch.compile put through `compiled`."""

    def compiled() -> Callable[[], object]:
        torch = importlib.import_module("torch")
        torch._dynamo.reset()
        call = make(torch, lambda a: torch.tensor(np.asarray(a)), torch.compile)
        try:
            call()
        except Exception as error:  # a compiler that is there and fails: whatever it raises
            reason = next(iter(str(error).splitlines()), "")
            raise Absent(f"torch.compile failed ({type(error).__name__}: {reason})") from error
        return call

    return {"torch": torch_setup(lambda torch, tensor: make(torch, tensor, lambda f: f)), "torch_compile": compiled}


def backward(torch: Any, loss: Callable[..., Any], leaves: Any) -> Callable[[], object]:
    """Value and gradients of a PyTorch loss."""

    def call() -> object:
        return torch.autograd.grad(loss(*leaves), leaves)

    return call


def in_both(name: str, program: Program, data: Data, torch_program: TorchProgram | None = None,
            moved: float = 0.0, flops: float = 0.0) -> None:  # fmt: skip
    """A row in float32, and one whose name begins with "float64: " with the same data in float64. `moved` and `flops`: in
    float32."""
    for dtype, called in ((np.float32, name), (np.float64, f"float64: {name}")):

        def typed(rng: np.random.Generator, dtype: Any = dtype) -> tuple[Any, ...]:
            return tuple(_typed(data(rng), dtype))

        def ported(torch: Any, tensor: Any, compiled: Any, typed: Data = typed) -> Callable[[], object]:
            assert torch_program is not None
            return torch_program(torch, tensor, compiled, typed)

        twice = np.dtype(dtype).itemsize // 4
        peers = torch_pair(ported) if torch_program is not None else {}
        row(called, **pair(program, typed), **peers, moved=moved * twice, flops=flops * twice)


def _typed(x: Any, dtype: Any) -> Any:
    """Arguments with every array in this dtype."""
    if isinstance(x, dict):
        return {k: _typed(v, dtype) for k, v in x.items()}
    return x.astype(dtype) if isinstance(x, np.ndarray) else type(x)(_typed(v, dtype) for v in x)


# ---- latency ----

for _dtype, _name in (
    (np.float64, "jit(grad), 10 elements, a call"),
    (np.float32, "float32: jit(grad), 10 elements, a call"),
):
    row(
        _name,
        limit=1.2e-6,
        **pair(
            lambda lib, jnp: lib.grad(lambda x: jnp.sum(jnp.tanh(x) * x)),
            lambda rng, d=_dtype: (rng.normal(size=10).astype(d),),  # type: ignore[misc]
        ),
    )

# ---- elementwise ----


def chain(lib: Any, jnp: Any) -> Callable[..., Any]:
    return lib.value_and_grad(lambda x: jnp.sum(jnp.sin(jnp.log1p(jnp.exp(jnp.tanh(x))))))


def _chain_torch(dtype: Any) -> dict[str, Any]:
    def make(torch: Any, tensor: Any, compiled: Any) -> Callable[[], object]:
        x = tensor(np.random.default_rng(0).normal(size=1_000_000).astype(dtype)).requires_grad_()
        return backward(torch, compiled(lambda x: torch.sin(torch.log1p(torch.exp(torch.tanh(x)))).sum()), (x,))

    return torch_pair(make)


for _dtype in (np.float32, np.float64):
    row(
        f"value and grad of an elementwise chain, 1M {_dtype.__name__}",
        **pair(chain, lambda rng, d=_dtype: (rng.normal(size=1_000_000).astype(d),)),  # type: ignore[misc]
        **_chain_torch(_dtype),
        moved=2e6 * np.dtype(_dtype).itemsize,
    )


def black_scholes(lib: Any, jnp: Any) -> Callable[..., Any]:
    def price(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        d1 = (jnp.log(s / k) + (r + 0.5 * v * v) * t) / (v * jnp.sqrt(t))

        def cdf(x: Any) -> Any:
            return 0.5 * (1.0 + lib.scipy.special.erf(x * 0.7071067811865476))

        return jnp.sum(s * cdf(d1) - k * jnp.exp(-r * t) * cdf(d1 - v * jnp.sqrt(t)))

    if lib.__name__ == "jax":
        importlib.import_module("jax.scipy.special")
    return lib.grad(price, argnums=(0, 1, 2, 3, 4))


def _options(rng: np.random.Generator) -> tuple[Any, ...]:
    bounds = [(80, 120), (80, 120), (0.1, 2), (0.01, 0.05), (0.1, 0.5)]
    return tuple(rng.uniform(a, b, 1 << 19).astype(np.float32) for a, b in bounds)


def _options_torch(torch: Any, tensor: Any, compiled: Any, data: Data) -> Callable[[], object]:
    leaves = tuple(tensor(a).requires_grad_() for a in data(np.random.default_rng(0)))

    def price(s: Any, k: Any, t: Any, r: Any, v: Any) -> Any:
        d1 = (torch.log(s / k) + (r + 0.5 * v * v) * t) / (v * torch.sqrt(t))

        def cdf(x: Any) -> Any:
            return 0.5 * (1.0 + torch.erf(x * 0.7071067811865476))

        return (s * cdf(d1) - k * torch.exp(-r * t) * cdf(d1 - v * torch.sqrt(t))).sum()

    return backward(torch, compiled(price), leaves)


in_both("Black-Scholes greeks, 512k options", black_scholes, _options, _options_torch, moved=40.0 * (1 << 19))

# ---- networks ----

SIZES = (784, 512, 512, 10)


def mlp_step(lib: Any, jnp: Any) -> Callable[..., Any]:
    def loss(params: Any, x: Any, y: Any) -> Any:
        for w, b in params[:-1]:
            x = lib.nn.relu(x @ w + b)
        w, b = params[-1]
        return -jnp.mean(jnp.sum(lib.nn.log_softmax(x @ w + b) * y, axis=1))

    def step(params: Any, velocity: Any, x: Any, y: Any) -> Any:
        grads = lib.grad(loss)(params, x, y)
        velocity = lib.tree.map(lambda v, g: 0.9 * v + g, velocity, grads)
        return lib.tree.map(lambda p, v: p - 0.01 * v, params, velocity), velocity

    return step


def _mlp_data(rng: np.random.Generator) -> tuple[Any, ...]:
    params = [
        (rng.normal(size=(m, n)).astype(np.float32) * 0.05, np.zeros(n, np.float32))
        for m, n in itertools.pairwise(SIZES)
    ]
    velocity = [(np.zeros_like(w), np.zeros_like(b)) for w, b in params]
    y = np.eye(10, dtype=np.float32)[rng.integers(0, 10, 128)]
    return params, velocity, rng.normal(size=(128, 784)).astype(np.float32), y


def _mlp_torch(torch: Any, tensor: Any, compiled: Any, data: Data) -> Callable[[], object]:
    params, _, x, y = data(np.random.default_rng(0))
    leaves = [tensor(a).requires_grad_() for pair in params for a in pair]
    x, y = tensor(x), tensor(y).argmax(1)
    optimiser = torch.optim.SGD(leaves, lr=0.01, momentum=0.9)

    @compiled
    def loss_of(*leaves: Any) -> Any:
        h = x
        for w, b in zip(leaves[:-2:2], leaves[1:-2:2], strict=True):
            h = torch.relu(torch.addmm(b, h, w))
        return torch.nn.functional.cross_entropy(torch.addmm(leaves[-1], h, leaves[-2]), y)

    def call() -> object:
        loss = loss_of(*leaves)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss

    return call


in_both(
    "MLP 784-512-512-10, SGD-momentum step, batch 128", mlp_step, _mlp_data, _mlp_torch,
    flops=2 * 128 * (2 * 784 * 512 + 3 * 512 * 512 + 3 * 5120),
)  # fmt: skip


def example_gradients(lib: Any, jnp: Any) -> Callable[..., Any]:
    def loss(params: Any, x: Any, y: Any) -> Any:
        (w1, b1), (w2, b2) = params
        return jnp.sum((jnp.tanh(x @ w1 + b1) @ w2 + b2 - y) ** 2)

    return lib.vmap(lib.grad(loss), in_axes=(None, 0, 0))


def _example_data(rng: np.random.Generator) -> tuple[Any, ...]:
    f = np.float32
    params = [
        (rng.normal(size=(64, 128)).astype(f), np.zeros(128, f)),
        (rng.normal(size=(128, 10)).astype(f), np.zeros(10, f)),
    ]
    return params, rng.normal(size=(64, 64)).astype(f), rng.normal(size=(64, 10)).astype(f)


in_both("per-example gradients of a 64-128-10 MLP, batch 64", example_gradients, _example_data)


def transformer(lib: Any, jnp: Any) -> Callable[..., Any]:
    def norm(x: Any, g: Any, b: Any) -> Any:
        m = x.mean(-1, keepdims=True)
        v = ((x - m) ** 2).mean(-1, keepdims=True)
        return (x - m) / jnp.sqrt(v + 1e-5) * g + b

    def block(p: Any, x: Any) -> Any:
        b, t, d = x.shape
        h = norm(x, p["g1"], p["b1"])
        q, k, v = [(h @ p[n]).reshape(b, t, 4, d // 4).transpose(0, 2, 1, 3) for n in ("q", "k", "v")]
        a = lib.nn.softmax(q @ k.transpose(0, 1, 3, 2) / 8.0)
        x = x + (a @ v).transpose(0, 2, 1, 3).reshape(b, t, d) @ p["o"]
        h = norm(x, p["g2"], p["b2"])
        return x + lib.nn.gelu(h @ p["w1"] + p["c1"]) @ p["w2"] + p["c2"]

    return lib.grad(lambda p, x: jnp.mean(block(p, x) ** 2))


def _block_data(rng: np.random.Generator) -> tuple[Any, ...]:
    d, f = 256, np.float32
    p: dict[str, np.ndarray] = {n: (rng.normal(size=(d, d)) / 16).astype(f) for n in ("q", "k", "v", "o")}
    p |= {n: np.ones(d, f) for n in ("g1", "g2")} | {n: np.zeros(d, f) for n in ("b1", "b2", "c2")}
    p |= {"w1": (rng.normal(size=(d, 4 * d)) / 16).astype(f), "c1": np.zeros(4 * d, f)}
    p["w2"] = (rng.normal(size=(4 * d, d)) / 32).astype(f)
    return p, rng.normal(size=(8, 128, d)).astype(f)


def _block_torch(torch: Any, tensor: Any, compiled: Any, data: Data) -> Callable[[], object]:
    arrays, x0 = data(np.random.default_rng(0))
    names, x = list(arrays), tensor(x0)
    leaves = tuple(tensor(arrays[n]).requires_grad_() for n in names)
    functional = torch.nn.functional

    def loss(*leaves: Any) -> Any:
        p = dict(zip(names, leaves, strict=True))
        h = functional.layer_norm(x, (256,), p["g1"], p["b1"])
        q, k, v = [(h @ p[n]).view(8, 128, 4, 64).transpose(1, 2) for n in ("q", "k", "v")]
        a = torch.softmax(q @ k.transpose(-1, -2) / 8.0, -1)
        y = x + (a @ v).transpose(1, 2).reshape(8, 128, 256) @ p["o"]
        h = functional.layer_norm(y, (256,), p["g2"], p["b2"])
        y = y + functional.gelu(h @ p["w1"] + p["c1"], approximate="tanh") @ p["w2"] + p["c2"]
        return (y**2).mean()

    return backward(torch, compiled(loss), leaves)


in_both(
    "transformer block, D=256, T=128, B=8, gradient", transformer, _block_data, _block_torch,
    flops=6 * 1024 * (12 * 256 * 256 + 2 * 128 * 256),
)  # fmt: skip


def mixture(lib: Any, jnp: Any) -> Callable[..., Any]:
    def loss(logits: Any, means: Any, scales: Any, x: Any) -> Any:
        z = (x[:, None, :] - means[None]) * jnp.exp(-scales)[None]
        terms = lib.nn.log_softmax(logits)[None] - 0.5 * jnp.sum(z * z, -1) - jnp.sum(scales, -1)[None]
        return -jnp.sum(lib.nn.logsumexp(terms, axis=1))

    return lib.grad(loss, argnums=(0, 1, 2))


def _mixture_data(rng: np.random.Generator) -> tuple[Any, ...]:
    f = np.float32
    return tuple(a.astype(f) for a in (rng.normal(size=25), rng.normal(size=(25, 10)), rng.normal(size=(25, 10)) * 0.1,
                                       rng.normal(size=(1000, 10))))  # fmt: skip


def _mixture_torch(torch: Any, tensor: Any, compiled: Any, data: Data) -> Callable[[], object]:
    *params, x0 = data(np.random.default_rng(0))
    leaves, x = tuple(tensor(a).requires_grad_() for a in params), tensor(x0)

    def loss(logits: Any, means: Any, scales: Any) -> Any:
        z = (x[:, None, :] - means[None]) * torch.exp(-scales)[None]
        terms = torch.log_softmax(logits, 0)[None] - 0.5 * (z * z).sum(-1) - scales.sum(-1)[None]
        return -torch.logsumexp(terms, 1).sum()

    return backward(torch, compiled(loss), leaves)


in_both("GMM log-likelihood, n=1000, d=10, k=25, gradient", mixture, _mixture_data, _mixture_torch)
