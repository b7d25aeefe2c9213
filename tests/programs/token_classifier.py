"""Embedding lookup, layer norm and one-hot cross-entropy: `take`, integer indexing, `.at[].add`, `take_along_axis`."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Six sequences of four tokens from a vocabulary of nine, three classes; float32."""
    rng = np.random.RandomState(10)
    tokens = jnp.asarray(rng.randint(0, 9, size=(6, 4)))
    labels = jnp.asarray(rng.randint(0, 3, size=6))
    params = {
        "embedding": jnp.asarray(rng.randn(9, 5).astype(np.float32)),
        "position": jnp.asarray(rng.randn(4, 5).astype(np.float32)),
        "scale": jnp.ones(5, dtype=jnp.float32),
        "shift": jnp.zeros(5, dtype=jnp.float32),
        "head": jnp.asarray(rng.randn(5, 3).astype(np.float32)),
    }

    def layer_norm(x, scale, shift, eps=1e-5):
        mean = jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.var(x, axis=-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(variance + eps) * scale + shift

    def logits_of(params, tokens):
        h = params["embedding"][tokens] + params["position"]
        h = jax.nn.silu(layer_norm(h, params["scale"], params["shift"]))
        return h.max(axis=1) @ params["head"]

    def cross_entropy(params):
        logits = logits_of(params, tokens)
        hot = jax.nn.one_hot(labels, 3, dtype=logits.dtype)
        smoothed = 0.9 * hot + 0.1 / 3
        return -jnp.mean(jnp.sum(smoothed * jax.nn.log_softmax(logits, axis=-1), axis=-1))

    def cross_entropy_by_index(params):
        h = jnp.take(params["embedding"], tokens, axis=0) + params["position"]
        h = jax.nn.silu(layer_norm(h, params["scale"], params["shift"]))
        log_p = jax.nn.log_softmax(h.max(axis=1) @ params["head"])
        return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], axis=1))

    value, grads = jax.jit(jax.value_and_grad(cross_entropy))(params)
    counts = jnp.zeros(9, dtype=jnp.float32).at[tokens.ravel()].add(1.0)
    summed = (
        jnp.zeros((9, 5), dtype=jnp.float32).at[tokens[:, 0]].add(params["position"][0] * counts[tokens[:, 0], None])
    )
    return {
        "value": value,
        "by_index": jax.grad(cross_entropy_by_index)(params)["embedding"],
        "counts": counts,
        "summed": summed,
        "set": params["scale"].at[1:4:2].set(7.0).at[-1].multiply(3.0).at[0].min(0.5),
        "scatter_grad": jax.grad(lambda u: jnp.sum(params["embedding"].at[tokens[:, 1]].add(u) ** 2))(
            params["position"][0]
        ),
        "picked": jnp.argsort(logits_of(params, tokens), axis=-1)[:, -1],
    } | {f"grad_{k}": g for k, g in grads.items()}
