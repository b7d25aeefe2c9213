"""Runge-Kutta integration in Python: parameter estimation for Lotka-Volterra, heat diffusion with `roll` and `.at[]`."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Forward and reverse sensitivities of unrolled integrators; float64."""

    def lotka_volterra(state, theta):
        prey, predator = state
        alpha, beta, gamma, delta = theta
        return jnp.array([alpha * prey - beta * prey * predator, delta * prey * predator - gamma * predator])

    def rk4_step(state, theta, dt):
        k1 = lotka_volterra(state, theta)
        k2 = lotka_volterra(state + dt / 2 * k1, theta)
        k3 = lotka_volterra(state + dt / 2 * k2, theta)
        k4 = lotka_volterra(state + dt * k3, theta)
        return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    step = jax.jit(rk4_step)

    def trajectory(state, theta, steps=6, dt=0.15):
        states = [state]
        for _ in range(steps):
            states.append(step(states[-1], theta, dt))
        return jnp.stack(states)

    def heat(conductivity, initial, steps=5):
        u = initial
        for _ in range(steps):
            flux = conductivity * (jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1))
            u = (u + 0.2 * flux).at[0].set(1.0).at[-1].set(0.0)
        return u

    start, true_theta = jnp.array([1.0, 0.6]), jnp.array([1.1, 0.4, 0.9, 0.3])
    observed = trajectory(start, true_theta)

    def misfit(theta):
        return jnp.mean((trajectory(start, theta) - observed) ** 2)

    theta = jnp.array([1.0, 0.5, 1.0, 0.2])
    losses = []
    for _ in range(4):
        value, grads = jax.value_and_grad(misfit)(theta)
        losses.append(value)
        theta = theta - 0.2 * grads
    conductivity = jnp.linspace(0.5, 1.5, 8)
    initial = jnp.array(np.hanning(8))
    return {
        "losses": jnp.stack(losses),
        "theta": theta,
        "sensitivity": jax.jacfwd(lambda th: trajectory(start, th, 3)[-1])(true_theta),
        "state_transition": jax.jacrev(lambda s: trajectory(s, true_theta, 3)[-1])(start),
        "heat": heat(conductivity, initial),
        "heat_grad": jax.grad(lambda c: jnp.sum(heat(c, initial) ** 2))(conductivity),
        "heat_jacobian": jax.jit(jax.jacfwd(heat, argnums=1))(conductivity, initial),
        "batched": jax.vmap(lambda s: trajectory(s, true_theta, 2)[-1])(jnp.array([[1.0, 0.5], [0.2, 0.7]])),
    }
