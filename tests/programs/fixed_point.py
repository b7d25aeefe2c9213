"""Implicit differentiation of a fixed point by `custom_vjp`, the solver being a Python loop on concrete values."""

from functools import partial
from typing import Any


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Newton's square root, a vector equilibrium with dict parameters, and a second derivative; float64."""

    def iterate(f, x):
        x_prev, x = x, f(x)
        while float(jnp.max(jnp.abs(x_prev - x))) > 1e-13:
            x_prev, x = x, f(x)
        return x

    @partial(jax.custom_vjp, nondiff_argnums=(0,))
    def fixed_point(f, a, x_guess):
        return iterate(partial(f, a), x_guess)

    def fixed_point_fwd(f, a, x_init):
        x_star = fixed_point(f, a, x_init)
        return x_star, (a, x_star)

    def fixed_point_bwd(f, res, x_star_bar):
        a, x_star = res
        _, vjp_a = jax.vjp(lambda a: f(a, x_star), a)
        (a_bar,) = vjp_a(fixed_point(partial(rev_iter, f), (a, x_star, x_star_bar), x_star_bar))
        return a_bar, jnp.zeros_like(x_star)

    def rev_iter(f, packed, u):
        a, x_star, x_star_bar = packed
        _, vjp_x = jax.vjp(lambda x: f(a, x), x_star)
        return x_star_bar + vjp_x(u)[0]

    fixed_point.defvjp(fixed_point_fwd, fixed_point_bwd)

    def newton_sqrt(a):
        return fixed_point(lambda a, x: 0.5 * (x + a / x), a, jnp.asarray(a))

    def equilibrium(params, x):
        return jnp.tanh(params["W"] @ x + params["b"])

    def loss(params):
        return jnp.sum(fixed_point(equilibrium, params, jnp.zeros(3)) ** 2)

    params = {
        "W": jnp.array([[0.2, -0.1, 0.3], [0.05, 0.1, -0.2], [-0.3, 0.2, 0.15]]),
        "b": jnp.array([0.5, -0.3, 0.1]),
    }
    grads = jax.grad(loss)(params)
    return {
        "sqrt": newton_sqrt(2.0),
        "sqrt_grad": jax.grad(newton_sqrt)(2.0),
        "sqrt_second": jax.grad(jax.grad(newton_sqrt))(2.0),
        "loss": loss(params),
        "grad_W": grads["W"],
        "grad_b": grads["b"],
    }
