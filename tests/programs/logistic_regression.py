"""Logistic regression by gradient descent: `grad` and `jit` of a loss over two parameters, as in JAX's quickstart."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Trains on 60 points of 4 features; float64."""
    rng = np.random.RandomState(0)
    inputs = jnp.array(rng.randn(60, 4))
    targets = jnp.array(rng.rand(60) < 1 / (1 + np.exp(-rng.randn(60, 4) @ np.array([1.0, -2.0, 0.5, 0.0]))))

    def predict(w, b, x):
        return 0.5 * (jnp.tanh((jnp.dot(x, w) + b) / 2) + 1)

    def loss(w, b):
        preds = predict(w, b, inputs)
        label_probs = preds * targets + (1 - preds) * (1 - targets)
        return -jnp.sum(jnp.log(label_probs))

    def stable_loss(params):
        logits = inputs @ params["w"] + params["b"]
        return jnp.mean(jax.nn.softplus(jnp.where(targets, -logits, logits))) + 1e-3 * jnp.sum(params["w"] ** 2)

    w, b = jnp.array(rng.randn(4)), 0.25
    w_grad, b_grad = jax.grad(loss, argnums=(0, 1))(w, b)

    @jax.jit
    def step(params):
        grads = jax.grad(stable_loss)(params)
        return jax.tree.map(lambda p, g: p - 0.5 * g, params, grads)

    params = {"w": w, "b": jnp.zeros(())}
    losses = []
    for _ in range(30):
        losses.append(stable_loss(params))
        params = step(params)
    probabilities = jax.vmap(predict, in_axes=(None, None, 0))(params["w"], params["b"], inputs)
    return {
        "w_grad": w_grad,
        "b_grad": b_grad,
        "losses": jnp.stack(losses),
        "w": params["w"],
        "b": params["b"],
        "accuracy": jnp.mean((probabilities > 0.5) == targets, dtype=jnp.float64),
        "hessian": jax.hessian(lambda v: stable_loss({"w": v, "b": params["b"]}))(params["w"]),
    }
