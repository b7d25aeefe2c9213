"""Entropic optimal transport by unrolled Sinkhorn iterations in the log domain, differentiated in points and weights."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Six points against five in the plane, ten iterations; float64."""
    rng = np.random.RandomState(11)
    x, y = jnp.array(rng.randn(6, 2)), jnp.array(rng.randn(5, 2) + 1.0)
    logits = jnp.array(rng.randn(6))

    def cost_matrix(x, y):
        return jnp.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)

    def sinkhorn(x, y, logits, epsilon=0.5, iterations=10):
        log_a, log_b = jax.nn.log_softmax(logits), jnp.full(y.shape[0], -np.log(y.shape[0]))
        scaled = -cost_matrix(x, y) / epsilon
        f, g = jnp.zeros(x.shape[0]), jnp.zeros(y.shape[0])
        for _ in range(iterations):
            f = log_a - jax.nn.logsumexp(scaled + g[None, :], axis=1)
            g = log_b - jax.nn.logsumexp(scaled + f[:, None], axis=0)
        plan = jnp.exp(f[:, None] + scaled + g[None, :])
        return jnp.sum(plan * cost_matrix(x, y)), plan

    def cost(*args):
        return sinkhorn(*args)[0]

    (value, plan), grads = jax.jit(jax.value_and_grad(sinkhorn, argnums=(0, 1, 2), has_aux=True))(x, y, logits)
    direction = jnp.array(rng.randn(6, 2))
    flow = x
    for _ in range(3):
        flow = flow - 0.5 * jax.jit(jax.grad(cost))(flow, y, logits)
    hvp = jax.jit(lambda v: jax.jvp(lambda x: jax.grad(cost)(x, y, logits, 0.5, 4), (x,), (v,))[1])
    return {
        "value": value,
        "plan": plan,
        "marginal": plan.sum(axis=0),
        "grad_x": grads[0],
        "grad_y": grads[1],
        "grad_logits": grads[2],
        "jvp": jax.jvp(lambda x: cost(x, y, logits, 0.5, 3), (x,), (direction,))[1],
        "hvp": hvp(direction),
        "flow": flow,
    }
