"""Complex differentiation: holomorphic `grad` and Jacobians, real functions of complex numbers, vjp and jvp conventions."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """The conventions of JAX's cookbook, and phase retrieval by gradient steps; complex128."""
    rng = np.random.RandomState(18)

    def f(z):
        return jnp.sin(z) * jnp.exp(1j * z) / (z + 2.0)

    def u_and_v(x, y):
        z = f(x + 1j * y)
        return jnp.real(z), jnp.imag(z)

    def energy(z):
        return jnp.sum(jnp.abs(z) ** 3 + jnp.real(z * z) + jnp.angle(z + 3.0))

    z, direction = 1.3 - 0.4j, 0.5 + 2.0j
    vector = jnp.array(rng.randn(4) + 1j * rng.randn(4))
    matrix = jnp.array(rng.randn(3, 4) + 1j * rng.randn(3, 4))
    measured = jnp.abs(matrix @ jnp.array(rng.randn(4) + 1j * rng.randn(4)))

    def mismatch(w):
        return jnp.sum((jnp.abs(matrix @ w) - measured) ** 2)

    guess = vector
    history = []
    for _ in range(4):
        value, grads = jax.value_and_grad(mismatch)(guess)
        history.append(value)
        guess = guess - 0.01 * jnp.conj(grads)
    _, vjp_fun = jax.vjp(jnp.conj, jnp.asarray(z))
    cauchy = jnp.array(jax.jacfwd(u_and_v, argnums=(0, 1))(1.3, -0.4))
    return {
        "holomorphic": jax.grad(f, holomorphic=True)(z),
        "second": jax.grad(jax.grad(f, holomorphic=True), holomorphic=True)(z),
        "jvp": jax.jvp(f, (jnp.asarray(z),), (jnp.asarray(direction),))[1],
        "vjp_conj": vjp_fun(jnp.asarray(1.0 + 2.0j))[0],
        "cauchy_riemann": cauchy,
        "real_loss": jax.grad(energy)(vector),
        "jacobian": jax.jacfwd(lambda w: jnp.tanh(matrix @ w) * w[0], holomorphic=True)(vector),
        "jacobian_rev": jax.jacrev(lambda w: jnp.tanh(matrix @ w) * w[0], holomorphic=True)(vector),
        "abs_of_real_input": jax.grad(lambda x: jnp.abs(jnp.exp(1j * x) + x**2))(0.7),
        "history": jnp.stack(history),
        "guess": guess,
        "hermitian": jax.grad(lambda w: jnp.real(jnp.vdot(w, (matrix.conj().T @ matrix) @ w)))(vector),
        "vmap": jax.vmap(jax.grad(f, holomorphic=True))(vector),
        "single": jax.grad(f, holomorphic=True)(jnp.asarray(0.2 + 0.1j, dtype=jnp.complex64)),
    }
