"""Metropolis and Hamiltonian Monte Carlo with explicit keys: `split`, `fold_in`, `normal`, `uniform`, chains by `vmap`."""

from functools import partial
from typing import Any


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """A banana-shaped density in two dimensions, four chains of a few steps; float64."""

    def log_density(z):
        return -0.5 * (z[0] ** 2 + 4.0 * (z[1] - 0.5 * z[0] ** 2) ** 2)

    def metropolis_step(key, z):
        proposal_key, accept_key = jax.random.split(key)
        proposal = z + 0.8 * jax.random.normal(proposal_key, z.shape)
        log_ratio = log_density(proposal) - log_density(z)
        accept = jnp.log(jax.random.uniform(accept_key)) < log_ratio
        return jnp.where(accept, proposal, z), accept

    def leapfrog(z, momentum, step_size, steps):
        grad = jax.grad(log_density)
        momentum = momentum + 0.5 * step_size * grad(z)
        for i in range(steps):
            z = z + step_size * momentum
            momentum = momentum + (0.5 if i == steps - 1 else 1.0) * step_size * grad(z)
        return z, -momentum

    @partial(jax.jit, static_argnames=("steps",))
    def hmc_step(key, z, step_size, steps=3):
        momentum_key, accept_key = jax.random.split(key)
        momentum = jax.random.normal(momentum_key, z.shape)
        new_z, new_momentum = leapfrog(z, momentum, step_size, steps)
        energy_change = 0.5 * jnp.sum(new_momentum**2 - momentum**2) - log_density(new_z) + log_density(z)
        accept = jax.random.uniform(accept_key) < jnp.exp(-energy_change)
        return jnp.where(accept, new_z, z), energy_change

    base = jax.random.PRNGKey(42)
    z = jnp.zeros((4, 2))
    accepted = []
    chains = jax.jit(jax.vmap(metropolis_step))
    for i in range(6):
        keys = jax.random.split(jax.random.fold_in(base, i), 4)
        z, accept = chains(keys, z)
        accepted.append(accept)
    single, changes = z[0], []
    for key in jax.random.split(jax.random.fold_in(base, 99), 5):
        single, change = hmc_step(key, single, 0.25)
        changes.append(change)
    new_style = jax.random.key(3)
    return {
        "metropolis": z,
        "accepted": jnp.stack(accepted),
        "hmc": single,
        "energy_changes": jnp.stack(changes),
        "key_data": jax.random.key_data(jax.random.split(new_style, 3)),
        "permutation": jax.random.permutation(base, 10),
        "randint": jax.random.randint(base, (6,), 0, 100),
        "bernoulli": jax.random.bernoulli(base, 0.3, (8,)),
        "categorical": jax.random.categorical(base, jnp.log(jnp.array([[0.1, 0.2, 0.7], [0.5, 0.4, 0.1]]))),
    }
