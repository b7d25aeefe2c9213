"""A small variational auto-encoder: reparameterised noise from `random.normal`, KL term, Bernoulli likelihood."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Eight binary images of 12 pixels, latent size 2; float32."""
    rng = np.random.RandomState(8)
    images = jnp.asarray((rng.rand(8, 12) < 0.4).astype(np.float32))
    init = jax.nn.initializers.glorot_normal()

    def dense_init(key, n_in, n_out):
        return {"w": init(key, (n_in, n_out), jnp.float32), "b": jnp.zeros(n_out, dtype=jnp.float32)}

    def dense(layer, x):
        return x @ layer["w"] + layer["b"]

    def encode(params, x):
        h = jax.nn.gelu(dense(params["enc"], x))
        return dense(params["mu"], h), jax.nn.softplus(dense(params["sigmasq"], h))

    def gaussian_kl(mu, sigmasq):
        return -0.5 * jnp.sum(1.0 + jnp.log(sigmasq) - mu**2.0 - sigmasq)

    def gaussian_sample(key, mu, sigmasq):
        return mu + jnp.sqrt(sigmasq) * jax.random.normal(key, mu.shape, dtype=mu.dtype)

    def bernoulli_logpdf(logits, x):
        return -jnp.sum(jnp.logaddexp(0.0, jnp.where(x > 0.5, -1.0, 1.0).astype(logits.dtype) * logits))

    def elbo(key, params, images):
        mu, sigmasq = encode(params, images)
        z = gaussian_sample(key, mu, sigmasq)
        logits = dense(params["dec_out"], jnp.tanh(dense(params["dec"], z)))
        return bernoulli_logpdf(logits, images) - gaussian_kl(mu, sigmasq)

    keys = jax.random.split(jax.random.PRNGKey(1), 5)
    sizes = {"enc": (12, 6), "mu": (6, 2), "sigmasq": (6, 2), "dec": (2, 6), "dec_out": (6, 12)}
    params = {name: dense_init(key, *size) for key, (name, size) in zip(keys, sizes.items(), strict=True)}

    @jax.jit
    def run_step(key, params):
        value, grads = jax.value_and_grad(lambda p: -elbo(key, p, images) / 8.0)(params)
        return value, jax.tree.map(lambda p, g: p - 0.05 * g, params, grads)

    losses = []
    for i in range(6):
        value, params = run_step(jax.random.fold_in(jax.random.PRNGKey(2), i), params)
        losses.append(value)
    mu, sigmasq = encode(params, images)
    return {
        "losses": jnp.stack(losses),
        "mu": mu,
        "sigmasq": sigmasq,
        "enc_w": params["enc"]["w"],
        "dec_out_b": params["dec_out"]["b"],
    }
