"""Python's `if`, `while`, `for` and closures: on concrete values under `grad`, on static arguments under `jit`."""

from functools import partial
from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Branches picked by value, loops of data-dependent length, closures over tracers; float64."""

    def piecewise_function(x):
        if x < 3:
            return 3.0 * x**2
        return -4.0 * x

    def halve_until_small(x):
        count = 0
        while abs(x) > 1.0:
            x = jnp.sin(x) * x / 2.0
            count += 1
        return x * (1 + count)

    def horner(coefficients, x):
        total = 0.0
        for c in coefficients:
            total = total * x + c
        return total

    @partial(jax.jit, static_argnums=(0, 2))
    def repeated(f, x, n):
        return f(repeated(f, x, n - 1)) if n else x

    @partial(jax.jit, static_argnames=("order", "normalise"))
    def norm(x, order=2, normalise=False):
        value = jnp.sum(jnp.abs(x) ** order) ** (1.0 / order)
        return x / value if normalise else value

    def outer(x):
        def inner(y):
            return jnp.sum(x * y**2) + jnp.prod(jnp.sin(x))

        return jnp.sum(jax.grad(inner)(jnp.array([1.0, 2.0, 3.0])) * x)

    def ragged(x):
        parts = [x[: i + 1].sum() for i in range(x.shape[0])]
        return jnp.stack([p**2 for p in parts if p > 0.0]).sum()

    x = jnp.array([0.3, -1.2, 2.5])
    captured = np.array([1.0, 10.0, 100.0])
    return {
        "branch_low": jax.grad(piecewise_function)(2.0),
        "branch_high": jax.grad(piecewise_function)(4.0),
        "while": jnp.stack(jax.value_and_grad(halve_until_small)(9.0)),
        "while_second": jax.grad(jax.grad(halve_until_small))(5.0),
        "horner": jax.jit(horner)([1.0, -2.0, 0.5], 3.0),
        "horner_grad": jax.grad(horner, argnums=1)((1.0, -2.0, 0.5), 3.0),
        "repeated": repeated(jnp.sin, 0.5, 3),
        "repeated_grad": jax.grad(repeated, argnums=1)(jnp.cos, 0.5, 4),
        "norms": jnp.stack([norm(x), norm(x, order=3), norm(x, 4)]),
        "normalised": jax.jacfwd(lambda x: norm(x, order=4, normalise=True))(x),
        "closure": jax.grad(outer)(x),
        "closure_jit": jax.jit(jax.hessian(outer))(x),
        "ragged": jax.grad(ragged)(x),
        "captured": jax.vmap(lambda a: jnp.dot(a * x, captured))(jnp.arange(4.0)),
        "numpy_scalar": jax.grad(lambda t: np.float64(3.0) * t**2)(2.0),
    }
