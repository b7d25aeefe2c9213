"""A multi-layer perceptron on two spirals: `vmap` over examples, `value_and_grad` over a list of (w, b), a jitted step."""

from typing import Any

import numpy as np


def two_spirals(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (2 n, 2) float32 and labels (2 n,) int64 of two interleaved spirals."""
    t = np.linspace(0.5, 3.0, n)
    arm = np.stack([t * np.cos(2 * t), t * np.sin(2 * t)], axis=1)
    return np.concatenate([arm, -arm]).astype(np.float32), np.repeat(np.arange(2), n)


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Trains sizes 2-8-8-2 for twelve steps; float32."""
    points, labels = two_spirals(24)
    images, targets = jnp.asarray(points), jax.nn.one_hot(jnp.asarray(labels), 2, dtype=jnp.float32)

    def random_layer_params(m, n, key, scale=0.5):
        w_key, b_key = jax.random.split(key)
        w = scale * jax.random.normal(w_key, (n, m), dtype=jnp.float32)
        return w, scale * jax.random.normal(b_key, (n,), dtype=jnp.float32)

    def init_network_params(sizes, key):
        keys = jax.random.split(key, len(sizes))
        return [random_layer_params(m, n, k) for m, n, k in zip(sizes[:-1], sizes[1:], keys, strict=False)]

    def predict(params, image):
        activations = image
        for w, b in params[:-1]:
            activations = jax.nn.relu(jnp.dot(w, activations) + b)
        final_w, final_b = params[-1]
        logits = jnp.dot(final_w, activations) + final_b
        return logits - jax.scipy.special.logsumexp(logits)

    batched_predict = jax.vmap(predict, in_axes=(None, 0))

    def loss(params):
        return -jnp.mean(batched_predict(params, images) * targets)

    @jax.jit
    def update(params):
        value, grads = jax.value_and_grad(loss)(params)
        return value, [(w - 0.3 * dw, b - 0.3 * db) for (w, b), (dw, db) in zip(params, grads, strict=True)]

    params = init_network_params([2, 8, 8, 2], jax.random.PRNGKey(0))
    history = []
    for _ in range(12):
        value, params = update(params)
        history.append(value)
    out = {f"w{i}": w for i, (w, _) in enumerate(params)} | {f"b{i}": b for i, (_, b) in enumerate(params)}
    predicted = jnp.argmax(batched_predict(params, images), axis=1)
    return out | {"history": jnp.stack(history), "correct": jnp.sum(predicted == labels)}
