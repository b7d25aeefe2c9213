"""A causal multi-head attention block: `einsum`, masked `softmax`, a residual MLP, gradients in all weights."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Batch 2, length 5, width 8, two heads; float32."""
    rng = np.random.RandomState(9)
    x = jnp.asarray(rng.randn(2, 5, 8).astype(np.float32))
    shapes = {"q": (8, 2, 4), "k": (8, 2, 4), "v": (8, 2, 4), "o": (2, 4, 8), "up": (8, 16), "down": (16, 8)}
    params = {name: jnp.asarray((0.4 * rng.randn(*shape)).astype(np.float32)) for name, shape in shapes.items()}

    def normalise(x):
        return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + 1e-6)

    def rotary(x):
        length, half = x.shape[1], x.shape[-1] // 2
        frequency = 10.0 ** -jnp.arange(half, dtype=jnp.float32)
        angle = jnp.arange(length, dtype=jnp.float32)[:, None, None] * frequency
        first, second = jnp.split(x, 2, axis=-1)
        return jnp.concatenate(
            [first * jnp.cos(angle) - second * jnp.sin(angle), second * jnp.cos(angle) + first * jnp.sin(angle)],
            axis=-1,
        )

    def attention_weights(params, x):
        q = rotary(jnp.einsum("btd,dhk->bthk", x, params["q"]))
        k = rotary(jnp.einsum("btd,dhk->bthk", x, params["k"]))
        scores = jnp.einsum("bthk,bshk->bhts", q, k) / np.sqrt(q.shape[-1]).astype(np.float32)
        mask = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), dtype=bool))
        return jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(scores.dtype).min), axis=-1)

    def block(params, x):
        h = normalise(x)
        v = jnp.einsum("btd,dhk->bthk", h, params["v"])
        mixed = jnp.einsum("bhts,bshk->bthk", attention_weights(params, h), v)
        x = x + jnp.einsum("bthk,hkd->btd", mixed, params["o"])
        return x + jax.nn.gelu(normalise(x) @ params["up"], approximate=False) @ params["down"]

    def loss(params, x):
        y = block(params, x)
        return jnp.mean((y[:, :-1] - x[:, 1:]) ** 2)

    value, grads = jax.jit(jax.value_and_grad(loss))(params, x)
    step = {k: jax.jvp(lambda w, k=k: loss(params | {k: w}, x), (params[k],), (grads[k],))[1] for k in ("q", "o")}
    one = jax.vmap(lambda row: block(params, row[None])[0])(x)
    return (
        {"value": value, "out": jax.jit(block)(params, x), "weights": attention_weights(params, x), "one": one}
        | {f"grad_{k}": g for k, g in grads.items()}
        | {f"jvp_{k}": t for k, t in step.items()}
    )
