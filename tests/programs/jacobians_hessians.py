"""Jacobians and Hessians by every composition of forward and reverse mode, after JAX's autodiff cookbook."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """A logistic model's Jacobians and Hessians, dictionaries of them, and products without the matrix; float64."""
    rng = np.random.RandomState(2)
    inputs, w, v = jnp.array(rng.randn(4, 3)), jnp.array(rng.randn(3)), jnp.array(rng.randn(3))

    def f(w):
        return jax.nn.sigmoid(inputs @ w)

    def energy(w):
        return jnp.sum(jnp.log(jnp.cosh(inputs @ w))) + jnp.sin(w[0]) * w[1] ** 3 * w[2]

    def predict_dict(params, x):
        return jnp.tanh(x @ params["W"] + params["b"])

    def hvp_forward_over_reverse(f, x, v):
        return jax.jvp(jax.grad(f), (x,), (v,))[1]

    def hvp_reverse_over_forward(f, x, v):
        return jax.grad(lambda x: jax.jvp(f, (x,), (v,))[1])(x)

    def hvp_reverse_over_reverse(f, x, v):
        return jax.grad(lambda x: jnp.vdot(jax.grad(f)(x), v))(x)

    def vmap_jacobian(f, x):
        y, vjp_fun = jax.vjp(f, x)
        return jax.vmap(vjp_fun)(jnp.eye(y.size))[0]

    def column_jacobian(f, x):
        _, jvp_fun = jax.linearize(f, x)
        return jax.vmap(jvp_fun, in_axes=0, out_axes=1)(jnp.eye(x.size))

    jac_of_dict = jax.jacrev(predict_dict)({"W": jnp.array(rng.randn(3, 2)), "b": jnp.array(rng.randn(2))}, inputs[0])
    return {
        "jacfwd": jax.jacfwd(f)(w),
        "jacrev": jax.jacrev(f)(w),
        "jit_jacfwd": jax.jit(jax.jacfwd(f))(w),
        "vmap_jacobian": vmap_jacobian(f, w),
        "column_jacobian": column_jacobian(f, w),
        "hessian": jax.hessian(energy)(w),
        "jacrev_jacfwd": jax.jit(jax.jacrev(jax.jacfwd(energy)))(w),
        "jacfwd_jacfwd": jax.jit(jax.jacfwd(jax.jacfwd(energy)))(w),
        "jacrev_jacrev": jax.jit(jax.jacrev(jax.jacrev(energy)))(w),
        "hessian_of_vector": jax.jit(jax.hessian(f))(w),
        "third": jax.jit(jax.jacfwd(jax.hessian(energy)))(w),
        "hvp_fr": hvp_forward_over_reverse(energy, w, v),
        "hvp_rf": hvp_reverse_over_forward(energy, w, v),
        "hvp_rr": hvp_reverse_over_reverse(energy, w, v),
        "hvp_many": jax.jit(jax.vmap(lambda v: hvp_forward_over_reverse(energy, w, v)))(inputs),
        "dict_W": jac_of_dict["W"],
        "dict_b": jac_of_dict["b"],
        "laplacian": jax.jit(jax.vmap(lambda w: jnp.trace(jax.hessian(energy)(w))))(inputs),
        "fourth": jax.jit(jax.grad(jax.grad(jax.grad(jax.grad(jnp.tanh)))))(0.3),
    }
