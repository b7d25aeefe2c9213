"""Calls back to the host: `pure_callback` with its own derivative rule, `debug.print`, `debug.callback`, under transforms."""

from typing import Any

import numpy as np


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """A sinc computed by NumPy on the host inside traced programs; float64."""
    seen = []

    def host_sinc(x):
        return np.sinc(np.asarray(x)).astype(np.float64)

    def sinc_on_host(x):
        x = jnp.asarray(x)
        return jax.pure_callback(host_sinc, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="expand_dims")

    @jax.custom_jvp
    def sinc(x):
        return sinc_on_host(x)

    @sinc.defjvp
    def sinc_jvp(primals, tangents):
        (x,), (x_dot,) = primals, tangents
        slope = (jnp.cos(jnp.pi * x) - sinc(x)) / jnp.where(x == 0, 1.0, x)
        return sinc(x), slope * x_dot

    @jax.jit
    def noisy(x):
        jax.debug.print("mean {m} of {n}", m=jnp.mean(x), n=3)
        jax.debug.callback(lambda v: seen.append(float(v)), jnp.max(x))
        return jnp.sum(sinc(x) ** 2)

    def host_pair(tree):
        return {"low": np.minimum(tree["u"], tree["v"]), "order": np.argsort(tree["u"])}

    x = jnp.array([0.3, -1.2, 2.6])
    spec = {"low": jax.ShapeDtypeStruct((3,), jnp.float64), "order": jax.ShapeDtypeStruct((3,), jnp.int64)}
    pair = jax.jit(lambda t: jax.pure_callback(host_pair, spec, t))({"u": x, "v": x[::-1]})
    value, grads = jax.value_and_grad(noisy)(x)
    jax.effects_barrier()
    with jax.named_scope("second"):
        second = jax.grad(lambda t: jax.grad(sinc)(t))(0.4)
    return {
        "value": value,
        "grads": grads,
        "seen_max": np.max(seen),
        "vmap": jax.vmap(sinc)(jnp.arange(6.0).reshape(2, 3) / 7),
        "vmap_grad": jax.vmap(jax.grad(sinc))(x),
        "second": second,
        "low": pair["low"],
        "order": pair["order"],
    }
