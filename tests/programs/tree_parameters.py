"""Parameters in a registered dataclass, a NamedTuple, a custom node and nested containers; key paths and tree utilities."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np


class Layer(NamedTuple):
    """Weights of one dense layer."""

    w: Any
    b: Any


@dataclasses.dataclass
class Network:
    """Two layers with a static activation name."""

    layers: list[Layer]
    temperature: Any
    activation: str


class Interval:
    """A pair of bounds, registered by functions as a custom node."""

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high


def register(jax: Any) -> None:
    """Registers both classes with the package once (the classes live as long as the process)."""
    done = register.__dict__.setdefault("done", set())
    if jax.__name__ not in done:
        done.add(jax.__name__)
        jax.tree_util.register_dataclass(Network, ["layers", "temperature"], ["activation"])
        jax.tree_util.register_pytree_node(
            Interval, lambda i: ((i.low, i.high), None), lambda _, children: Interval(*children)
        )


def run(jax: Any, jnp: Any) -> dict[str, Any]:
    """Gradients come back in the structure of the parameters; float64."""
    register(jax)
    rng = np.random.RandomState(15)
    layers = [Layer(jnp.array(rng.randn(3, 4)), jnp.zeros(4)), Layer(jnp.array(rng.randn(4, 2)), jnp.ones(2))]
    network = Network(layers, jnp.array(1.5), "tanh")
    x = jnp.array(rng.randn(5, 3))

    @jax.jit
    def apply(network, x):
        activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[network.activation]
        for layer in network.layers[:-1]:
            x = activation(x @ layer.w + layer.b)
        return (x @ network.layers[-1].w + network.layers[-1].b) / network.temperature

    def loss(network):
        return jnp.mean(apply(network, x) ** 2)

    grads = jax.grad(loss)(network)
    norms = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.linalg.norm(leaf.ravel()) * len(jax.tree_util.keystr(path)), {"net": (x, {"k": x.T})}
    )
    width = jax.grad(lambda i: jnp.sum(jnp.sin(i.high) - jnp.cos(i.low)))(Interval(jnp.arange(2.0), jnp.ones(2)))
    nested = {"a": [jnp.ones(2), (jnp.zeros(()), None)], "b": Layer(x, 3.0)}
    leaves, treedef = jax.tree.flatten(nested)
    total = jax.tree.reduce(lambda acc, leaf: acc + jnp.sum(leaf), nested, 0.0)
    outer = jax.tree.transpose(jax.tree.structure([0, 0]), jax.tree.structure({"u": 0}), [{"u": 1.0}, {"u": 2.0}])
    stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *[layers[0], layers[0]])
    return {
        "w0": grads.layers[0].w,
        "b1": grads.layers[1].b,
        "temperature": grads.temperature,
        "is_network": isinstance(grads, Network) and grads.activation == "tanh",
        "norms": jnp.stack(jax.tree.leaves(norms)),
        "low": width.low,
        "high": width.high,
        "n_leaves": treedef.num_leaves,
        "round_trip": jax.tree.unflatten(treedef, leaves)["b"].w,
        "total": total,
        "transposed": jnp.array(outer["u"]),
        "ensemble": jax.vmap(lambda layer: jnp.sum(x @ layer.w + layer.b))(stacked),
        "all_finite": jax.tree.all(jax.tree.map(lambda leaf: bool(jnp.all(jnp.isfinite(leaf))), leaves)),
    }
