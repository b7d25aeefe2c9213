"""Least squares with a polynomial and a spline basis: `lstsq`, `vander`, `qr`, and derivatives through the solution."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Eighteen samples, cubic polynomial and truncated-power spline; knots are differentiated; float64."""
    rng = np.random.RandomState(13)
    t = jnp.linspace(-1.0, 1.0, 18)
    y = jnp.sin(3 * t) + 0.05 * jnp.array(rng.randn(18))

    def spline_basis(t, knots):
        return jnp.concatenate([jnp.vander(t, 4, increasing=True), jnp.maximum(t[:, None] - knots, 0.0) ** 3], axis=1)

    def ridge(basis, y, strength):
        return jnp.linalg.solve(basis.T @ basis + strength * jnp.eye(basis.shape[1]), basis.T @ y)

    def held_out_error(knots, log_strength):
        basis = spline_basis(t, knots)
        coefficients = ridge(basis[::2], y[::2], jnp.exp(log_strength))
        return jnp.mean((basis[1::2] @ coefficients - y[1::2]) ** 2)

    def qr_fit(basis):
        q, r = jnp.linalg.qr(basis)
        return jnp.linalg.solve(r, q.T @ y)

    coefficients, residuals, rank, singular = jnp.linalg.lstsq(jnp.vander(t, 4), y)
    knots = jnp.array([-0.52, 0.03, 0.47])
    errors = []
    for _ in range(4):
        value, (knot_grad, strength_grad) = jax.value_and_grad(held_out_error, argnums=(0, 1))(knots, -4.0)
        errors.append(value)
        knots = knots - 0.5 * knot_grad
    line = jnp.stack([t, jnp.ones_like(t)], axis=1)
    return {
        "coefficients": coefficients,
        "residuals": residuals,
        "rank": int(rank),
        "singular": singular,
        "prediction": jnp.polyval(coefficients, t),
        "slope_in_y": jax.jacrev(lambda y: jnp.linalg.lstsq(line, y)[0])(y),
        "errors": jnp.stack(errors),
        "knots": knots,
        "strength_grad": strength_grad,
        "qr_fit": qr_fit(line),
        "qr_jvp": jax.jvp(qr_fit, (line,), (jnp.ones_like(line) * t[:, None],))[1],
        "interpolated": jnp.interp(jnp.array([-0.9, 0.11, 0.77]), t, y),
    }
