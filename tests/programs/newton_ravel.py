"""`ravel_pytree` and Newton's method on a Poisson regression, with line search in plain Python; standard errors."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Thirty counts, three covariates, parameters in a nested dict; float64."""
    rng = np.random.RandomState(16)
    covariates = jnp.array(0.5 * rng.randn(30, 3))
    counts = jnp.array(rng.poisson(2.0, 30).astype(np.float64))
    params = {"slope": jnp.zeros(3), "other": {"intercept": jnp.zeros(()), "log_scale": jnp.array([0.1])}}
    flat, unravel = jax.flatten_util.ravel_pytree(params)

    def negative_log_posterior(params):
        log_rate = covariates @ params["slope"] + params["other"]["intercept"]
        log_lik = jnp.sum(counts * log_rate - jnp.exp(log_rate) - jax.scipy.special.gammaln(counts + 1))
        log_scale = params["other"]["log_scale"]
        prior = jnp.sum(-0.5 * params["slope"] ** 2 * jnp.exp(-2 * log_scale) - log_scale) - jnp.sum(log_scale**2)
        return -(log_lik + prior)

    objective = jax.jit(lambda v: negative_log_posterior(unravel(v)))
    gradient, hessian = jax.jit(jax.grad(objective)), jax.jit(jax.hessian(objective))
    values = []
    for _ in range(6):
        direction = jnp.linalg.solve(hessian(flat) + 1e-3 * jnp.eye(flat.size), gradient(flat))
        size = 1.0
        while objective(flat - size * direction) > objective(flat) and size > 1e-4:
            size = size / 2
        flat = flat - size * direction
        values.append(objective(flat))
    solution = unravel(flat)
    return {
        "values": jnp.stack(values),
        "slope": solution["slope"],
        "intercept": solution["other"]["intercept"],
        "log_scale": solution["other"]["log_scale"],
        "standard_errors": jnp.sqrt(jnp.diag(jnp.linalg.inv(hessian(flat)))),
        "gradient_shift": 1.0 + gradient(flat),
        "mixed_dtypes": jax.flatten_util.ravel_pytree([jnp.arange(3), jnp.ones((2, 2)), 2.5])[0],
    }
