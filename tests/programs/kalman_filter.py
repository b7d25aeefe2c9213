"""A Kalman filter unrolled in Python, its likelihood's gradient in the noise scales, and a batch of series by `vmap`."""

from typing import Any, NamedTuple

import numpy as np


class Model(NamedTuple):
    """A linear Gaussian model: transition `a`, observation `c`, log noise scales `log_q` and `log_r`."""

    a: Any
    c: Any
    log_q: Any
    log_r: Any


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Position and velocity observed by position; three series of seven steps; float64."""
    rng = np.random.RandomState(7)
    series = jnp.array(np.cumsum(rng.randn(3, 7), axis=1))

    def gaussian_log_density(residual, cov):
        _, log_det = jnp.linalg.slogdet(2 * jnp.pi * cov)
        return -0.5 * (log_det + residual @ jnp.linalg.solve(cov, residual))

    def kalman(model, observations):
        q, r = jnp.exp(model.log_q) * jnp.eye(2), jnp.exp(model.log_r) * jnp.eye(1)
        mean, cov, log_lik, means = jnp.zeros(2), jnp.eye(2), 0.0, []
        for observation in observations:
            mean, cov = model.a @ mean, model.a @ cov @ model.a.T + q
            s = model.c @ cov @ model.c.T + r
            residual = observation[None] - model.c @ mean
            gain = jnp.linalg.solve(s, model.c @ cov).T
            log_lik = log_lik + gaussian_log_density(residual, s)
            mean, cov = mean + gain @ residual, cov - gain @ s @ gain.T
            means.append(mean)
        return log_lik, jnp.stack(means)

    model = Model(jnp.array([[1.0, 0.5], [0.0, 0.9]]), jnp.array([[1.0, 0.0]]), jnp.array(-1.0), jnp.array(-0.5))

    def loss(model):
        log_lik, means = jax.vmap(kalman, in_axes=(None, 0))(model, series)
        return -jnp.mean(log_lik), means

    (value, means), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(model)
    forward = jax.jvp(jax.jit(lambda q: loss(model._replace(log_q=q))[0]), (model.log_q,), (1.0,))
    return {
        "value": value,
        "means": means,
        "grad_a": grads.a,
        "grad_c": grads.c,
        "grad_log_q": grads.log_q,
        "grad_log_r": grads.log_r,
        "forward": jnp.stack(forward),
        "smoothing_weights": jax.jit(jax.jacrev(lambda y: kalman(model, y)[1][-1]))(series[0, :4]),
    }
