"""Model-agnostic meta-learning: gradients through gradient steps, tasks by `vmap`, hypergradients of a learning rate."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Sine regression tasks with a 1-6-1 network; float32."""
    rng = np.random.RandomState(21)
    params = [
        (jnp.asarray(rng.randn(1, 6).astype(np.float32)), jnp.zeros(6, dtype=jnp.float32)),
        (jnp.asarray((0.5 * rng.randn(6, 1)).astype(np.float32)), jnp.zeros(1, dtype=jnp.float32)),
    ]

    def net_apply(params, x):
        for w, b in params[:-1]:
            x = jnp.tanh(x @ w + b)
        return x @ params[-1][0] + params[-1][1]

    def loss(params, inputs, targets):
        return jnp.mean((net_apply(params, inputs) - targets) ** 2)

    def inner_update(params, x, y, alpha):
        grads = jax.grad(loss)(params, x, y)
        return jax.tree.map(lambda p, g: p - alpha * g, params, grads)

    def maml_loss(params, alpha, x1, y1, x2, y2):
        adapted = inner_update(inner_update(params, x1, y1, alpha), x1, y1, alpha)
        return loss(adapted, x2, y2)

    def batch_maml_loss(params, alpha, *tasks):
        return jnp.mean(jax.vmap(maml_loss, in_axes=(None, None, 0, 0, 0, 0))(params, alpha, *tasks))

    amplitude, phase = rng.uniform(0.5, 2.0, (3, 1, 1)), rng.uniform(0, np.pi, (3, 1, 1))
    x1, x2 = rng.uniform(-2, 2, (3, 5, 1)), rng.uniform(-2, 2, (3, 5, 1))
    tasks = [x1, amplitude * np.sin(x1 + phase), x2, amplitude * np.sin(x2 + phase)]
    tasks = [jnp.asarray(t.astype(np.float32)) for t in tasks]
    meta_grad = jax.jit(jax.value_and_grad(batch_maml_loss, argnums=(0, 1)))
    alpha, values = jnp.asarray(0.05, dtype=jnp.float32), []
    for _ in range(4):
        value, (grads, alpha_grad) = meta_grad(params, alpha, *tasks)
        values.append(value)
        params = jax.tree.map(lambda p, g: p - 0.05 * g, params, grads)
        alpha = alpha - 0.005 * alpha_grad
    x, y, x_new, y_new = tasks

    def first_order_loss(params):
        return loss(jax.lax.stop_gradient(inner_update(params, x, y, alpha)), x_new, y_new) + loss(params, x, y)

    first_order = jax.grad(first_order_loss)(params)
    return {
        "values": jnp.stack(values),
        "alpha": alpha,
        "alpha_grad": alpha_grad,
        "w0": params[0][0],
        "b1": params[1][1],
        "first_order": first_order[0][0],
        "prediction": net_apply(params, tasks[0]),
    }
