"""Gaussian mixture log likelihood with `logsumexp`: gradient descent and one EM step from a derivative."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Forty points in 2-d, three components with full lower-triangular precisions; float64."""
    rng = np.random.RandomState(6)
    centres = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    data = jnp.array(centres[rng.randint(0, 3, 40)] + 0.6 * rng.randn(40, 2))

    def unpack(params):
        lower = jnp.zeros((3, 2, 2)).at[:, 1, 0].set(params["off"])
        return params["means"], lower + jnp.exp(params["log_diag"])[:, :, None] * jnp.eye(2)

    def component_log_prob(params, x):
        means, factors = unpack(params)
        z = jnp.einsum("kij,nkj->nki", factors, x[:, None, :] - means[None])
        log_det = jnp.sum(params["log_diag"], axis=-1)
        return jax.nn.log_softmax(params["logits"]) + log_det - 0.5 * jnp.sum(z**2, axis=-1) - jnp.log(2 * jnp.pi)

    def log_likelihood(params, x):
        return jnp.sum(jax.scipy.special.logsumexp(component_log_prob(params, x), axis=1))

    def responsibilities(params):
        return jax.grad(lambda extra: jnp.sum(jax.nn.logsumexp(component_log_prob(params, data) + extra, axis=1)))(
            jnp.zeros((40, 3))
        )

    params = {
        "means": jnp.array(rng.randn(3, 2)),
        "log_diag": jnp.zeros((3, 2)),
        "off": jnp.zeros(3),
        "logits": jnp.zeros(3),
    }
    step = jax.jit(lambda p: jax.tree.map(lambda a, g: a + 0.01 * g, p, jax.grad(log_likelihood)(p, data)))
    trace = [log_likelihood(params, data)]
    for _ in range(10):
        params = step(params)
        trace.append(log_likelihood(params, data))
    r = responsibilities(params)
    em_means = (r.T @ data) / jnp.sum(r, axis=0)[:, None]
    return {
        "trace": jnp.stack(trace),
        "responsibilities": r,
        "em_means": em_means,
        "hard": jnp.bincount(jnp.argmax(r, axis=1), length=3),
        "fisher": jax.hessian(lambda logits: log_likelihood(params | {"logits": logits}, data))(params["logits"]),
    } | params
