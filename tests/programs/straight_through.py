"""`stop_gradient`: straight-through estimators, TD(0) targets, a vector quantiser and per-example weights."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """The examples of JAX's advanced autodiff tutorial and a codebook loss; float64 and float32."""
    rng = np.random.RandomState(19)
    codebook = jnp.asarray(rng.randn(4, 3).astype(np.float32))
    latents = jnp.asarray(rng.randn(6, 3).astype(np.float32))

    def straight_through_round(x):
        zero = x - jax.lax.stop_gradient(x)
        return zero + jax.lax.stop_gradient(jnp.round(x))

    def value_fn(theta, state):
        return jnp.dot(theta, state)

    def td_loss(theta, s_prev, r, s):
        target = r + 0.9 * value_fn(theta, s)
        return -0.5 * ((jax.lax.stop_gradient(target) - value_fn(theta, s_prev)) ** 2)

    def quantise(codebook, z):
        distance = jnp.sum((z[:, None] - codebook[None]) ** 2, axis=-1)
        code = jnp.argmin(distance, axis=1)
        q = codebook[code]
        commitment = jnp.mean((q - jax.lax.stop_gradient(z)) ** 2) + 0.25 * jnp.mean(
            (z - jax.lax.stop_gradient(q)) ** 2
        )
        return z + jax.lax.stop_gradient(q - z), code, commitment

    def vq_loss(codebook, latents):
        q, code, commitment = quantise(codebook, latents)
        return jnp.mean(jnp.cos(q)) + commitment, code

    (value, code), grads = jax.jit(jax.value_and_grad(vq_loss, argnums=(0, 1), has_aux=True))(codebook, latents)
    theta = jnp.array([0.1, -0.1, 0.05])
    states = jnp.array(rng.randn(5, 3))
    td = jax.vmap(jax.grad(td_loss), in_axes=(None, 0, 0, 0))(theta, states[:-1], jnp.arange(4.0), states[1:])
    x = jnp.array([0.2, 1.7, -2.3])

    def quantised_energy(x):
        return jnp.sum(straight_through_round(3 * x) ** 2)

    return {
        "round": straight_through_round(x),
        "round_grad": jax.grad(quantised_energy)(x),
        "round_hessian": jax.hessian(quantised_energy)(x),
        "td": td,
        "value": value,
        "code": code,
        "grad_codebook": grads[0],
        "grad_latents": grads[1],
        "double_stop": jax.jvp(lambda t: t * jax.lax.stop_gradient(t**2), (3.0,), (1.0,))[1],
    }
