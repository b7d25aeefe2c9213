"""Principal components three ways: `eigh`, `svd` and power iteration with deflation, and derivatives of each."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Thirty points in four dimensions; signs fixed by the largest entry; float64."""
    rng = np.random.RandomState(14)
    data = jnp.array(rng.randn(30, 4) @ np.diag([3.0, 2.0, 1.0, 0.3]) @ rng.randn(4, 4))

    def covariance(data):
        centred = data - data.mean(axis=0)
        return centred.T @ centred / (data.shape[0] - 1)

    def fix_sign(v):
        return v * jnp.sign(jnp.take(v, jnp.argmax(jnp.abs(v))))

    def leading(data):
        return fix_sign(jnp.linalg.eigh(covariance(data))[1][:, -1])

    def power_iteration(matrix, steps):
        v = jnp.ones(matrix.shape[0]) / 2.0
        for _ in range(steps):
            v = matrix @ v
            v = v / jnp.linalg.norm(v)
        return v @ matrix @ v, fix_sign(v)

    cov = covariance(data)
    values, vectors = jnp.linalg.eigh(cov)
    singular = jnp.linalg.svd(data - data.mean(axis=0), compute_uv=False)
    first, direction = power_iteration(cov, 25)
    second, _ = power_iteration(cov - first * jnp.outer(direction, direction), 25)
    explained = jax.grad(lambda d: jnp.linalg.eigvalsh(covariance(d))[-1] / jnp.trace(covariance(d)))
    weights = jnp.arange(1.0, 5.0)
    return {
        "cov": jnp.cov(data, rowvar=False),
        "values": values,
        "vectors": jax.vmap(fix_sign, in_axes=1, out_axes=1)(vectors),
        "singular": singular,
        "first": first,
        "second": second,
        "explained_grad": explained(data),
        "leading_grad": jax.grad(lambda d: leading(d) @ weights)(data),
        "power_grad": jax.jit(jax.grad(lambda m: power_iteration(m, 10)[1] @ weights))(cov),
        "nuclear_grad": jax.grad(lambda d: jnp.sum(jnp.linalg.svd(d, compute_uv=False)))(data[:6]),
        "log_det_grad": jax.grad(lambda m: jnp.linalg.slogdet(m)[1])(cov),
        "inverse_jvp": jax.jvp(jnp.linalg.inv, (cov,), (jnp.eye(4),))[1],
        "batched": jax.vmap(lambda s: jnp.linalg.eigvalsh(cov + s * jnp.eye(4)))(jnp.arange(3.0)),
    }
