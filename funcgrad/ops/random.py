"""Random primitives. Keys are uint32 arrays (..., 2); leading axes of a key are a batch, so vmap over keys is free.

All are flat (random values are constants to a derivative) but `random_loggamma`, which has the implicit derivative
with respect to its shape parameter. The samplers that reject (`random_loggamma`, `random_poisson`,
`random_binomial`) are primitives because their loops run in NumPy, over the values that are still to be accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import type_of
from funcgrad.core.types import ArrayType, array_type
from funcgrad.ops import samplers
from funcgrad.ops.basics import broadcast_in_dim, reshape
from funcgrad.ops.families import array, flat, register
from funcgrad.ops.threefry import fill_bits, fill_keys, fill_unit, hash_counters

Shape = tuple[int, ...]


def _lead(key: ArrayType) -> Shape:
    if key.dtype != np.uint32 or not key.shape or key.shape[-1] != 2:
        raise TypeError(f"a random key is a uint32 array of shape (..., 2); got {key}. Make one with random.key(seed).")
    return key.shape[:-1]


def _keys(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2**32, (*shape, 2), dtype=np.uint32)


def _key_only(name: str, impl: Callable[..., Any], dtype: Callable[..., np.dtype], params: Sequence[dict[str, Any]],
              tail: Shape = ()) -> Primitive:  # fmt: skip
    """A primitive of keys alone, with a parameter `shape`."""
    primitive = flat(
        name,
        impl,
        lambda key, *, shape, **rest: array_type((*_lead(key), *shape, *tail), dtype(**rest)),
        # Leading axes of the keys lead the result: a batch needs no change.
        lambda size, batched, args, p: (primitive(*args, **p), True),
        lambda rng: [((_keys(rng, *lead),), p) for p in params for lead in ((), (2,))],
    )
    return primitive


# ---- the generator ----


def _hash_type(key: ArrayType, counts: ArrayType) -> ArrayType:
    return array_type((*np.broadcast_shapes(_lead(key), _lead(counts)), 2), np.dtype(np.uint32))


def _hash_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    shapes = [type_of(a).shape for a in args]
    rank = max(len(s) - b for s, b in zip(shapes, batched, strict=True))
    lifted = [
        reshape(a, shape=(size, *(1,) * (rank + 1 - len(s)), *s[1:])) if b else a
        for a, s, b in zip(args, shapes, batched, strict=True)
    ]
    return threefry2x32(*lifted), True


threefry2x32: Primitive = flat(
    "threefry2x32",
    hash_counters,
    _hash_type,
    _hash_batch,
    lambda rng: [((_keys(rng), _keys(rng, 3)), {}), ((_keys(rng, 4, 1), _keys(rng, 3)), {})],
)

random_bits = _key_only(
    "random_bits",
    lambda key, *, shape, width: fill_bits(key, shape, width),
    lambda *, width: np.dtype(f"u{width // 8}"),
    [{"shape": (3, 5), "width": 32}, {"shape": (), "width": 64}, {"shape": (7,), "width": 8}],
)

random_split = _key_only(
    "random_split",
    lambda key, *, shape: fill_keys(key, shape),
    lambda: np.dtype(np.uint32),
    [{"shape": (2,)}, {"shape": (3, 4)}],
    (2,),
)

random_unit = _key_only(
    "random_unit",
    lambda key, *, shape, dtype: fill_unit(key, shape, dtype),
    lambda *, dtype: dtype,
    [{"shape": (3, 5), "dtype": np.dtype(np.float64)}, {"shape": (), "dtype": np.dtype(np.float16)}],
)

random_permutation = _key_only(
    "random_permutation",
    samplers.permutation,
    lambda *, axis: np.dtype(np.int64),
    [{"shape": (5,), "axis": 0}, {"shape": (3, 4), "axis": 1}],
)

# ---- samplers that reject: (keys (..., 2), parameters (..., *shape) of one shape) ----


def _sampler_type(dtype: Callable[..., np.dtype]) -> Callable[..., ArrayType]:
    def type_rule(key: ArrayType, *parameters: ArrayType, **params: Any) -> ArrayType:
        lead, shape = _lead(key), parameters[0].shape
        if any(p.shape != shape for p in parameters) or shape[: len(lead)] != lead:
            raise TypeError(
                f"a sampler got keys {key} and parameters {', '.join(map(str, parameters))}; the parameters must have "
                "one shape, which begins with the keys' leading axes."
            )
        return array_type(shape, dtype(*[p.dtype for p in parameters], **params))

    return type_rule


def _sampler_batch(primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    def batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
        lifted = [a if b else _stack(a, size) for a, b in zip(args, batched, strict=True)]
        return primitive()(*lifted, **params), True

    return batch


def _stack(x: Any, size: int) -> Any:
    shape = type_of(x).shape
    return broadcast_in_dim(x, shape=(size, *shape), dims=tuple(range(1, len(shape) + 1)))


def _loggamma_jvp(tangents: Sequence[Any], ans: Any, args: Sequence[Any], params: dict[str, Any]) -> Any:
    return None if tangents[1] is None else tangents[1] * random_loggamma_grad(args[1], ans)


def _loggamma_vjp(ct: Any, ans: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
    return [None, ct * random_loggamma_grad(args[1], ans) if wanted[1] else None]


random_loggamma: Primitive = register(
    Primitive(
        "random_loggamma",
        samplers.loggamma,
        _sampler_type(lambda dtype: dtype),
        _loggamma_jvp,
        _loggamma_vjp,
        _sampler_batch(lambda: random_loggamma),
        # The derivative is that of the quantile function, at a fixed level; the sample at a fixed key may jump to
        # another level where a try is accepted or not, so finite differences of it are no reference: no samples.
        samples=lambda rng: [],
    )
)


def _same_batch(size: int, batched: Sequence[bool], args: Sequence[Any], params: dict[str, Any]) -> Any:
    lifted = [a if b else _stack(a, size) for a, b in zip(args, batched, strict=True)]
    return random_loggamma_grad(*lifted), True


# Not flat and without derivative rules: a second derivative of a gamma sample is refused, as it is by JAX.
random_loggamma_grad: Primitive = register(
    Primitive(
        "random_loggamma_grad",
        samplers.loggamma_grad,
        lambda a, log_x: array_type(a.shape, a.dtype),
        batch=_same_batch,
        samples=lambda rng: [],
    )
)

random_poisson: Primitive = flat(
    "random_poisson",
    samplers.poisson,
    _sampler_type(lambda lam, *, dtype: dtype),
    _sampler_batch(lambda: random_poisson),
    lambda rng: [
        ((_keys(rng), array(rng, (3, 4), 0.5, 20.0)), {"dtype": np.dtype(np.int64)}),
        ((_keys(rng, 3), array(rng, (3, 4), 0.5, 20.0)), {"dtype": np.dtype(np.int32)}),
    ],
)

random_binomial: Primitive = flat(
    "random_binomial",
    samplers.binomial,
    _sampler_type(lambda n, p: p),
    _sampler_batch(lambda: random_binomial),
    lambda rng: [
        ((_keys(rng), np.full((3, 4), 50.0), array(rng, (3, 4), 0.05, 0.95)), {}),
        ((_keys(rng, 3), np.full((3, 4), 9.0), array(rng, (3, 4), 0.05, 0.95)), {}),
    ],
)
