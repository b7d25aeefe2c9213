"""`checkpoint` (`remat`) in a deep residual network: same gradients, first and second order, under `jit` and `vmap`."""

from functools import partial
from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Five blocks of width 6; float32 for the network, float64 for the scalar chain."""
    rng = np.random.RandomState(17)
    weights = [jnp.asarray((0.4 * rng.randn(6, 6)).astype(np.float32)) for _ in range(5)]
    x = jnp.asarray(rng.randn(3, 6).astype(np.float32))

    def block(w, x):
        return x + jnp.sin(jnp.tanh(x @ w)) * jax.nn.sigmoid(x)

    def loss(block, weights, x):
        for w in weights:
            x = block(w, x)
        return jnp.mean(x**2)

    plain = jax.grad(partial(loss, block))(weights, x)
    saved = jax.jit(jax.grad(partial(loss, jax.checkpoint(block))))(weights, x)
    named = jax.grad(partial(loss, jax.remat(block)))(weights, x)
    policy = jax.checkpoint(block, policy=jax.checkpoint_policies.dots_with_no_batch_dims_saveable)
    by_policy = jax.grad(partial(loss, policy))(weights, x)
    per_row = jax.vmap(jax.grad(partial(loss, jax.checkpoint(block)), argnums=1), (None, 0))(weights, x)

    @partial(jax.checkpoint, static_argnums=(1,))
    def powers(x, n):
        return jnp.sin(x) ** n if n > 2 else x

    nested = jax.checkpoint(lambda x: jnp.exp(jax.checkpoint(jnp.sin)(x)))
    return {
        "plain": jnp.stack(plain),
        "saved": jnp.stack(saved),
        "named": jnp.stack(named),
        "by_policy": jnp.stack(by_policy),
        "per_row": per_row,
        "powers": jax.grad(lambda x: powers(x, 3) + powers(x, 1))(0.7),
        "nested_second": jax.grad(jax.grad(nested))(0.3),
        "jvp": jax.jvp(nested, (0.3,), (2.0,))[1],
        "hessian": jax.hessian(lambda v: jnp.sum(nested(v)) * v[0])(jnp.arange(1.0, 4.0)),
    }
