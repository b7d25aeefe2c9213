"""N-body dynamics: forces as the gradient of an energy, a leapfrog integrator in Python, sensitivity of the end point."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Five bodies in three dimensions with softened gravity, float64; one Lennard-Jones energy in float32."""
    rng = np.random.RandomState(12)
    positions, velocities = jnp.array(rng.randn(5, 3)), 0.2 * jnp.array(rng.randn(5, 3))
    masses = jnp.array(rng.uniform(0.5, 2.0, 5))
    rows, cols = np.triu_indices(5, k=1)

    def potential(x, masses):
        separation = x[rows] - x[cols]
        distance = jnp.sqrt(jnp.sum(separation**2, axis=-1) + 0.01)
        return -jnp.sum(masses[rows] * masses[cols] / distance)

    def kinetic(v, masses):
        return 0.5 * jnp.sum(masses[:, None] * v**2)

    force = jax.jit(lambda x, m: -jax.grad(potential)(x, m))

    def simulate(x, v, masses, steps=8, dt=0.02):
        for _ in range(steps):
            v = v + 0.5 * dt * force(x, masses) / masses[:, None]
            x = x + dt * v
            v = v + 0.5 * dt * force(x, masses) / masses[:, None]
        return x, v

    def miss(v0):
        x, _ = simulate(positions, v0, masses, steps=3)
        return jnp.sum((x[0] - x[1]) ** 2)

    def lennard_jones(x):
        separation = x[:, None] - x[None]
        squared = jnp.sum(separation**2, axis=-1) + jnp.eye(5, dtype=x.dtype)
        inverse = jnp.where(jnp.eye(5, dtype=bool), 0.0, 1.0 / squared**3)
        return 2.0 * jnp.sum(inverse**2 - inverse)

    x, v = simulate(positions, velocities, masses)
    forces = force(positions, masses)
    return {
        "x": x,
        "v": v,
        "forces": forces,
        "momentum_rate": 1.0 + jnp.sum(forces, axis=0),
        "torque": 1.0 + jnp.sum(jnp.cross(positions, forces), axis=0),
        "energies": jnp.stack([kinetic(v, masses) + potential(x, masses), kinetic(velocities, masses)]),
        "aim": jax.grad(miss)(velocities),
        "mass_gradient": jax.grad(potential, argnums=1)(positions, masses),
        "stiffness": jax.jit(jax.hessian(potential))(positions, masses).reshape(15, 15),
        "lennard_jones_forces": -jax.grad(lennard_jones)(jnp.asarray(rng.randn(5, 3).astype(np.float32)) * 2),
    }
