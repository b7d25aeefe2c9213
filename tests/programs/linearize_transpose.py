"""`linearize`, `linear_transpose` and `vjp` used as linear maps: a matrix-free Gauss-Newton step by conjugate gradients."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Fits a sum of two exponentials without ever forming a Jacobian; float64."""
    t = jnp.linspace(0.0, 2.0, 15)
    data = 1.5 * jnp.exp(-0.7 * t) + 0.4 * jnp.exp(-3.1 * t)

    def residual(p):
        return p[0] * jnp.exp(-p[1] * t) + p[2] * jnp.exp(-p[3] * t) - data

    def conjugate_gradient(matvec, b, steps):
        x, r = jnp.zeros_like(b), b
        p, rr = r, jnp.vdot(r, r)
        for _ in range(steps):
            ap = matvec(p)
            alpha = rr / jnp.vdot(p, ap)
            x, r = x + alpha * p, r - alpha * ap
            rr, rr_old = jnp.vdot(r, r), rr
            p = r + (rr / rr_old) * p
        return x

    p = jnp.array([1.2, 0.5, 0.6, 2.2])
    norms = []
    for _ in range(3):
        r, jvp_fun = jax.linearize(residual, p)
        transposed = jax.linear_transpose(jvp_fun, p)
        (rhs,) = transposed(-r)
        p = p + conjugate_gradient(lambda v, j=jvp_fun, jt=transposed: jt(j(v))[0] + 1e-1 * v, rhs, 4)
        norms.append(jnp.linalg.norm(residual(p)))

    weights = jnp.array(np.random.RandomState(4).randn(5, 3))

    def linear_map(tree):
        return {"u": weights @ tree["a"], "v": 2.0 * tree["a"][::-1] + tree["b"] * jnp.arange(3.0)}

    spec = {"a": jax.ShapeDtypeStruct((3,), jnp.float64), "b": jax.ShapeDtypeStruct((), jnp.float64)}
    (pulled,) = jax.linear_transpose(linear_map, spec)({"u": jnp.arange(5.0), "v": jnp.array([1.0, -1.0, 2.0])})
    out, vjp_fun, aux = jax.vjp(lambda x, y: (jnp.sin(x) * y, x + y), jnp.arange(3.0), 2.0, has_aux=True)
    return {
        "p": p,
        "norms": jnp.stack(norms),
        "transposed_a": pulled["a"],
        "transposed_b": pulled["b"],
        "vjp_out": out,
        "vjp_aux": aux,
        "vjp_x": vjp_fun(jnp.ones(3))[0],
        "vjp_y": vjp_fun(jnp.ones(3))[1],
        "linearized_columns": jax.vmap(jax.linearize(residual, p)[1])(jnp.eye(4)),
    }
