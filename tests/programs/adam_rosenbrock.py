"""Adam and momentum written with `jax.tree.map` on Rosenbrock's function, with bias correction and gradient clipping."""

from typing import Any, NamedTuple


class AdamState(NamedTuple):
    """Step count, first and second moments."""

    count: Any
    mu: Any
    nu: Any


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Forty jitted steps in four dimensions; float64."""

    def rosenbrock(x):
        return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0)

    def loss(params):
        return rosenbrock(jnp.concatenate([params["head"], params["tail"]]))

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return AdamState(0, zeros, zeros)

    def global_norm(tree):
        return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))

    @jax.jit
    def update(params, state, learning_rate):
        value, grads = jax.value_and_grad(loss)(params)
        norm = global_norm(grads)
        grads = jax.tree.map(lambda g: g * jnp.minimum(1.0, 50.0 / norm), grads)
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state.mu, grads)
        nu = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g**2, state.nu, grads)
        params = jax.tree.map(
            lambda p, m, v: p - learning_rate * (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.99**count)) + 1e-8),
            params,
            mu,
            nu,
        )
        return params, AdamState(count, mu, nu), value, norm

    params = {"head": jnp.array([-1.2, 1.0]), "tail": jnp.array([0.5, -0.3])}
    state = init(params)
    values, norms = [], []
    for step in range(40):
        params, state, value, norm = update(params, state, 0.1 / (1 + 0.05 * step))
        values.append(value)
        norms.append(norm)
    x = jnp.concatenate([params["head"], params["tail"]])
    return {
        "values": jnp.stack(values),
        "norms": jnp.stack(norms),
        "x": x,
        "count": state.count,
        "mu": state.mu["head"],
        "nu": state.nu["tail"],
        "hessian": jax.hessian(rosenbrock)(x),
    }
