"""`custom_jvp`: the log(1 + exp(x)) of JAX's tutorial, `defjvps`, and a rule used in both modes and to third order."""

from typing import Any


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Stable derivatives at large x (where the naive one is nan); float64."""

    def naive(x):
        return jnp.log(1.0 + jnp.exp(x))

    @jax.custom_jvp
    def log1pexp(x):
        return jnp.log(1.0 + jnp.exp(x))

    @log1pexp.defjvp
    def log1pexp_jvp(primals, tangents):
        (x,), (x_dot,) = primals, tangents
        return log1pexp(x), (1 - 1 / (1 + jnp.exp(x))) * x_dot

    @jax.custom_jvp
    def product(x, y):
        return jnp.sin(x) * y

    product.defjvps(
        lambda x_dot, ans, x, y: jnp.cos(x) * x_dot * y,
        lambda y_dot, ans, x, y: jnp.sin(x) * y_dot,
    )

    @jax.custom_jvp
    def half_open(x, y):
        return x * y

    half_open.defjvps(lambda x_dot, ans, x, y: 10.0 * x_dot * y, None)

    t = jnp.linspace(-4.0, 5.0, 7)
    return {
        "value": log1pexp(t),
        "naive_is_nan": jnp.isnan(jax.grad(naive)(1000.0)),
        "at_100": jax.grad(log1pexp)(100.0),
        "vmap_grad": jax.vmap(jax.grad(log1pexp))(t),
        "jit_grad": jax.jit(jax.grad(log1pexp))(3.0),
        "jvp": jnp.stack(jax.jvp(log1pexp, (t,), (jnp.ones_like(t),))),
        "third": jax.vmap(jax.grad(jax.grad(jax.grad(log1pexp))))(t),
        "jacfwd": jax.jacfwd(log1pexp)(t),
        "jacrev": jax.jacrev(log1pexp)(t),
        "product": jnp.stack(jax.grad(product, argnums=(0, 1))(2.0, 3.0)),
        "product_hessian": jax.hessian(lambda z: product(z[0], z[1]))(jnp.array([0.4, 1.3])),
        "half_open": jnp.stack(jax.grad(half_open, argnums=(0, 1))(2.0, 3.0)),
    }
