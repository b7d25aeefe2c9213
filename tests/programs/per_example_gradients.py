"""Per-example gradients by `vmap(grad)`, and the clipped noisy mean of differentially private SGD made from them."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Twelve examples, a 5-7-3 network in a dict of dicts; float32."""
    rng = np.random.RandomState(1)
    x = jnp.asarray(rng.randn(12, 5).astype(np.float32))
    y = jnp.asarray(rng.randint(0, 3, size=12))
    params = {
        "hidden": {"w": jnp.asarray(rng.randn(5, 7).astype(np.float32)), "b": jnp.zeros(7, jnp.float32)},
        "out": {"w": jnp.asarray(rng.randn(7, 3).astype(np.float32)), "b": jnp.zeros(3, jnp.float32)},
    }

    def loss(params, example, label):
        h = jnp.tanh(example @ params["hidden"]["w"] + params["hidden"]["b"])
        logits = h @ params["out"]["w"] + params["out"]["b"]
        return -jax.nn.log_softmax(logits)[label]

    per_example = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))(params, x, y)

    def clipped_grad(params, max_norm, example, label):
        grads = jax.grad(loss)(params, example, label)
        leaves, treedef = jax.tree_util.tree_flatten(grads)
        total = jnp.linalg.norm(jnp.stack([jnp.linalg.norm(g.ravel()) for g in leaves]))
        divisor = jnp.maximum(total / max_norm, 1.0)
        return jax.tree_util.tree_unflatten(treedef, [g / divisor for g in leaves]), total

    clipped, norms = jax.vmap(clipped_grad, (None, None, 0, 0))(params, 0.9, x, y)
    leaves, treedef = jax.tree_util.tree_flatten(clipped)
    keys = jax.random.split(jax.random.PRNGKey(7), len(leaves))
    noisy = [
        (jnp.sum(g, axis=0) + 0.1 * jax.random.normal(k, g.shape[1:], dtype=g.dtype)) / 12.0
        for k, g in zip(keys, leaves, strict=True)
    ]
    private = jax.tree_util.tree_unflatten(treedef, noisy)
    mean_of_parts = jax.tree.map(lambda g: jnp.mean(g, axis=0), per_example)
    whole = jax.grad(lambda p: jnp.mean(jax.vmap(loss, (None, 0, 0))(p, x, y)))(params)
    return {
        "hidden_w": per_example["hidden"]["w"],
        "out_b": per_example["out"]["b"],
        "norms": norms,
        "private_hidden_w": private["hidden"]["w"],
        "private_out_b": private["out"]["b"],
        "mean_of_parts": mean_of_parts["out"]["w"],
        "whole": whole["out"]["w"],
    }
