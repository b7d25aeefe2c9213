"""`custom_vjp`: gradient clipping with static bounds in `nondiff_argnums`, and a rule that saves structured residuals."""

from functools import partial
from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Values and derivatives of two custom rules, alone and under `vmap`, `jit` and each other; float64."""

    @partial(jax.custom_vjp, nondiff_argnums=(0, 1))
    def clip_gradient(lo, hi, x):
        return x

    def clip_gradient_fwd(lo, hi, x):
        return x, None

    def clip_gradient_bwd(lo, hi, _, g):
        return (jnp.clip(g, lo, hi),)

    clip_gradient.defvjp(clip_gradient_fwd, clip_gradient_bwd)

    @jax.custom_vjp
    def scaled_product(point, scale):
        return jnp.sin(point["x"]) * point["y"] * scale

    def scaled_product_fwd(point, scale):
        return scaled_product(point, scale), (jnp.cos(point["x"]), jnp.sin(point["x"]), point["y"], scale)

    def scaled_product_bwd(residuals, g):
        cos_x, sin_x, y, scale = residuals
        return {"x": 2.0 * cos_x * g * y * scale, "y": 3.0 * sin_x * g * scale}, jnp.sum(sin_x * y * g)

    scaled_product.defvjp(scaled_product_fwd, scaled_product_bwd)

    def clipped_sine(t):
        return jnp.sin(clip_gradient(-0.75, 0.75, t))

    t = jnp.linspace(0.1, 9.7, 25)
    rng = np.random.RandomState(3)
    point = {"x": jnp.array(rng.randn(4)), "y": jnp.array(rng.randn(4))}

    def scalar_loss(point, scale):
        return jnp.sum(scaled_product(point, scale) ** 2)

    grad_point, grad_scale = jax.grad(scalar_loss, argnums=(0, 1))(point, 1.7)
    mapped = jax.vmap(jax.grad(scalar_loss), in_axes=({"x": 0, "y": None}, None))
    mapped_grad = mapped({"x": jnp.array(rng.randn(3, 4)), "y": point["y"]}, 0.5)
    return {
        "value": clipped_sine(t),
        "grad": jax.vmap(jax.grad(clipped_sine))(t),
        "jit_grad": jax.jit(jax.vmap(jax.grad(clipped_sine)))(t),
        "plain": jax.vmap(jax.grad(jnp.sin))(t),
        "second": jax.grad(jax.grad(clipped_sine))(2.5),
        "grad_x": grad_point["x"],
        "grad_y": grad_point["y"],
        "grad_scale": grad_scale,
        "mapped_x": mapped_grad["x"],
        "mapped_y": mapped_grad["y"],
    }
