"""A gated recurrent unit unrolled over time in Python: masks, carried state, back-propagation through time."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Four sequences of up to six steps, hidden size 5; float32."""
    rng = np.random.RandomState(20)
    inputs = jnp.asarray(rng.randn(4, 6, 3).astype(np.float32))
    lengths = jnp.asarray(np.array([6, 3, 5, 1]))
    targets = jnp.asarray(rng.randn(4).astype(np.float32))
    orthogonal = jax.nn.initializers.he_uniform()
    keys = jax.random.split(jax.random.PRNGKey(5), 2)
    params = {
        "wx": 0.5 * orthogonal(keys[0], (3, 15), jnp.float32),
        "wh": 0.5 * orthogonal(keys[1], (5, 15), jnp.float32),
        "b": jnp.zeros((15,), dtype=jnp.float32),
        "readout": jnp.full((5,), 0.3, dtype=jnp.float32),
    }

    def cell(params, h, x):
        zx, rx, nx = jnp.split(x @ params["wx"] + params["b"], 3, axis=-1)
        zh, rh, nh = jnp.split(h @ params["wh"], 3, axis=-1)
        z, r = jax.nn.sigmoid(zx + zh), jax.nn.sigmoid(rx + rh)
        return (1 - z) * jnp.tanh(nx + r * nh) + z * h

    def final_state(params, inputs, lengths):
        h = jnp.zeros((inputs.shape[0], 5), dtype=inputs.dtype)
        for t in range(inputs.shape[1]):
            h = jnp.where((t < lengths)[:, None], cell(params, h, inputs[:, t]), h)
        return h

    def loss(params, inputs):
        error = final_state(params, inputs, lengths) @ params["readout"] - targets
        return jnp.sum(jnp.where(jnp.abs(error) < 1.0, 0.5 * error**2, jnp.abs(error) - 0.5))

    value, grads = jax.jit(jax.value_and_grad(loss))(params, inputs)
    saliency = jax.jit(jax.grad(loss, argnums=1))(params, inputs)
    padding = jnp.arange(6)[None, :] >= lengths[:, None]
    jacobian = jax.jit(jax.jacfwd(lambda h: cell(params, h, inputs[0, 0])))(jnp.ones(5, dtype=jnp.float32))
    return {
        "value": value,
        "final": final_state(params, inputs, lengths),
        "saliency": jnp.linalg.norm(saliency + 1e-3, axis=-1),
        "padding_is_silent": jnp.all(saliency[padding] == 0),
        "jacobian": jacobian,
    } | {f"grad_{k}": g for k, g in grads.items()}
