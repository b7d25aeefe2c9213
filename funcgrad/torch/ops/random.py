"""Random numbers: generators with a state, and draws from them.

The state is a tensor with a threefry key (Salmon et al., 2011). A draw uses the key as it is and adds one to it, so a compiled
step takes the state as an input and writes it like any other tensor: its numbers are those of the un-jitted step.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

import funcgrad.numpy as fnp
from funcgrad import random
from funcgrad.torch import dtypes
from funcgrad.torch.dtypes import numpy_or_default
from funcgrad.torch.modes import state
from funcgrad.torch.operation import Operand, operation, write_in_place
from funcgrad.torch.ops.copies import copy_
from funcgrad.torch.ops.shapes import ints
from funcgrad.torch.tensor import Tensor, make

Bits = np.uint32


def _key_of(seed: int) -> np.ndarray:
    # Hashed, so that neighbouring seeds do not walk over each other's keys.
    whole = np.array([seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF], Bits)
    return np.array(random.split(whole, 2)[1], Bits)


class Generator:
    """A source of random numbers with a state of its own."""

    def __init__(self, device: Any = "cpu"):
        self.device = dtypes.device(device)
        self._seed = 67280421310721
        self._key = make(_key_of(self._seed))

    def manual_seed(self, seed: int) -> Generator:
        """Begins anew from a seed."""
        self._seed = int(seed) & 0xFFFFFFFFFFFFFFFF
        copy_(self._key, make(_key_of(self._seed)))
        return self

    def seed(self) -> int:
        """Begins anew from a seed that the system gives, and returns it."""
        found = int.from_bytes(os.urandom(8), "little") >> 1
        self.manual_seed(found)
        return found

    def initial_seed(self) -> int:
        """The seed that it began from."""
        return self._seed

    def get_state(self) -> Tensor:
        """The state, as bytes in a tensor."""
        words = np.concatenate([self._key._array, np.array([self._seed >> 32, self._seed & 0xFFFFFFFF], Bits)])
        return make(words.view(np.uint8).copy())

    def set_state(self, new_state: Tensor) -> Generator:
        """Continues from a state of `get_state`."""
        words = np.ascontiguousarray(new_state._array).view(Bits)
        if words.shape != (4,):
            raise RuntimeError(f"RNG state is wrong size: expected 16 bytes, got {new_state.numel()}")
        copy_(self._key, make(words[:2].copy()))
        self._seed = int(words[2]) << 32 | int(words[3])
        return self

    def clone_state(self) -> Generator:
        """Another generator with the same state."""
        made = Generator()
        made._seed = self._seed
        copy_(made._key, self._key)
        return made


@operation(method=False)
def _advanced(key: Operand) -> Any:
    return key + np.array([0, 1], Bits)


def next_key(generator: Generator | None) -> Tensor:
    """The key of the next draw; the generator's state moves on. Raises RuntimeError inside of vmap with randomness="error"."""
    source = default_generator if generator is None else generator
    if state.functional and state.randomness == "error":
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
            "'different' randomness flags "
            "on vmap or perform the randomness operation out of vmap"
        )
    before, state.grad = state.grad, False
    try:
        key = (
            make(np.array(source._key._array))
            if type(source._key._array) is np.ndarray and state.recorder is None
            else _held(source)
        )
        write_in_place(_advanced.operation, source._key, [source._key])
    finally:
        state.grad = before
    return key


def _held(source: Generator) -> Tensor:
    return source._key.clone()  # type: ignore[attr-defined]


default_generator = Generator()


# ---- draws: bodies ----


@operation(method=False)
def _uniform(key: Operand, shape: Any, dtype: Any, low: float, high: float) -> Any:
    return random.uniform(key, shape, dtype, low, high)


@operation(method=False)
def _normal(key: Operand, shape: Any, dtype: Any) -> Any:
    return random.normal(key, shape, dtype)


@operation(method=False)
def _integers(key: Operand, shape: Any, low: int, high: int, dtype: Any) -> Any:
    return random.randint(key, shape, low, high, np.int64).astype(dtype)


@operation(method=False)
def _permutation(key: Operand, n: int, dtype: Any) -> Any:
    return random.permutation(key, n).astype(dtype)


@operation(method=False)
def _bernoulli(key: Operand, p: Operand, shape: Any, dtype: Any) -> Any:
    draws = random.uniform(key, shape, np.float32 if np.dtype(p.dtype) != np.float64 else np.float64)
    return (draws < p).astype(dtype)


@operation(method=False)
def _exponential(key: Operand, shape: Any, dtype: Any) -> Any:
    return random.exponential(key, shape, dtype)


@operation(method=False)
def _poisson(key: Operand, rate: Operand) -> Any:
    return random.poisson(key, rate, rate.shape).astype(rate.dtype)


@operation(method=False)
def _gamma(key: Operand, alpha: Operand) -> Any:
    return random.gamma(key, alpha, alpha.shape, alpha.dtype)


@operation(method=False)
def _categorical(key: Operand, weights: Operand, count: int, replacement: bool) -> Any:
    logs = fnp.log(weights)
    if replacement:
        drawn = random.categorical(key, logs, axis=-1, shape=(count, *weights.shape[:-1]))
        return fnp.moveaxis(drawn, 0, -1).astype(np.int64)
    # The largest of log-weights with Gumbel noise are a draw without replacement (Yellott, 1977).
    noisy = logs + random.gumbel(key, weights.shape, weights.dtype)
    return fnp.argsort(-noisy, axis=-1)[..., :count].astype(np.int64)


def _finish(made: Tensor, requires_grad: bool, out: Any) -> Tensor:
    if out is not None:
        return out.resize_(made.shape).copy_(made)
    if requires_grad:
        made.requires_grad = True
    return made


def rand(*size: Any, generator: Generator | None = None, out: Any = None, dtype: Any = None, layout: Any = None,
         device: Any = None, requires_grad: bool = False, pin_memory: bool = False, names: Any = None) -> Tensor:  # fmt: skip
    """Uniform in [0, 1)."""
    return _finish(_uniform(next_key(generator), ints(size), numpy_or_default(dtype), 0.0, 1.0), requires_grad, out)


def randn(*size: Any, generator: Generator | None = None, out: Any = None, dtype: Any = None, layout: Any = None,
          device: Any = None, requires_grad: bool = False, pin_memory: bool = False, names: Any = None) -> Tensor:  # fmt: skip
    """Standard normal."""
    return _finish(_normal(next_key(generator), ints(size), numpy_or_default(dtype)), requires_grad, out)


def randint(low: int = 0, high: Any = None, size: Any = None, *, generator: Generator | None = None, out: Any = None,
            dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Integers in [low, high): randint(high, size) or randint(low, high, size)."""
    if isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    kind = np.dtype(np.int64) if dtype is None else dtypes.numpy_dtype(dtype)
    return _finish(_integers(next_key(generator), ints((size,)), int(low), int(high), kind), requires_grad, out)


def randperm(n: int, *, generator: Generator | None = None, out: Any = None, dtype: Any = None, layout: Any = None,
             device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """The integers below n in random order."""
    kind = np.dtype(np.int64) if dtype is None else dtypes.numpy_dtype(dtype)
    return _finish(_permutation(next_key(generator), int(n), kind), requires_grad, out)


def _like(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(input: Tensor, *args: Any, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
               memory_format: Any = None, generator: Any = None) -> Tensor:  # fmt: skip
        kind = input.dtype if dtype is None else dtype
        given = (*args, tuple(input.shape)) if args else (tuple(input.shape),)
        return function(*given, dtype=kind, requires_grad=requires_grad, generator=generator)

    method.__name__ = method.__qualname__ = function.__name__ + "_like"
    method.__doc__ = f"As `{function.__name__}`, of the shape and dtype of `input`."
    return method


rand_like, randn_like, randint_like = _like(rand), _like(randn), _like(randint)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, out: Any = None,
           dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:  # fmt: skip
    """Normal with means and standard deviations given as numbers (with a size) or tensors."""
    tensors = [v for v in (mean, std) if isinstance(v, Tensor)]
    if tensors:
        shape = np.broadcast_shapes(*[t._array.shape for t in tensors])
        drawn = randn(*shape, generator=generator, dtype=tensors[0].dtype)
        moved: Any = drawn * std + mean  # type: ignore[operator]
        return _finish(moved.detach(), requires_grad, out)
    drawn = randn(*ints((size,)), generator=generator, dtype=dtype)
    return _finish(drawn * std + mean, requires_grad, out)  # type: ignore[operator]


def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None, out: Any = None) -> Tensor:
    """1 with the probability that each element says, else 0."""
    chance = input.detach() if p is None else full_probability(input, p)  # type: ignore[attr-defined]
    array = chance._array
    if type(array) is np.ndarray and array.size and not ((array >= 0) & (array <= 1)).all():
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    return _finish(_bernoulli(next_key(generator), chance, tuple(input.shape), input._array.dtype), False, out)


def full_probability(like: Tensor, p: Any) -> Tensor:
    """A probability as a tensor."""
    kind = like._array.dtype if like._array.dtype.kind == "f" else dtypes.get_default_dtype().numpy
    return p if isinstance(p, Tensor) else make(np.asarray(p, kind))


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson with the rates that the elements say."""
    return _poisson(next_key(generator), input.detach())  # type: ignore[attr-defined]


def standard_gamma(alpha: Tensor, generator: Generator | None = None) -> Tensor:
    """Gamma with the shapes that the elements say; differentiable by them."""
    return _gamma(next_key(generator), alpha)


def multinomial(input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None,
                out: Any = None) -> Tensor:  # fmt: skip
    """Indices drawn with the weights of each row, with or without replacement."""
    array = input._array
    if input.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not replacement and num_samples > array.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if type(array) is np.ndarray:
        if not np.isfinite(array).all() or (array < 0).any():
            raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
        if (array.sum(-1) <= 0).any():
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    drawn = _categorical(next_key(generator), input.detach(), int(num_samples), replacement)  # type: ignore[attr-defined]
    return _finish(drawn, False, out)


# ---- in place ----


def _drawn(name: str, draw: Callable[..., Any], doc: str) -> None:
    def method(self: Tensor, *args: Any, generator: Generator | None = None, **kwargs: Any) -> Tensor:
        before, state.grad = state.grad, state.grad
        value = draw(self, generator, *args, **kwargs)
        state.grad = before
        return copy_(self, value)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = doc
    setattr(Tensor, name, method)


def _float_of(self: Tensor) -> np.dtype:
    return self._array.dtype if self._array.dtype.kind == "f" else dtypes.get_default_dtype().numpy


def _to_uniform(self: Tensor, generator: Any, a: float = 0.0, b: float = 1.0, **named: float) -> Tensor:
    low, high = named.get("from", a), named.get("to", b)
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    return _uniform(next_key(generator), tuple(self.shape), _float_of(self), float(low), float(high))


def _to_normal(self: Tensor, generator: Any, mean: float = 0.0, std: float = 1.0) -> Tensor:
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _normal(next_key(generator), tuple(self.shape), _float_of(self)) * std + mean


def _to_exponential(self: Tensor, generator: Any, lambd: float = 1.0) -> Tensor:
    return _exponential(next_key(generator), tuple(self.shape), _float_of(self)) / lambd


def _to_integers(self: Tensor, generator: Any, a: Any = 0, b: Any = None, **named: Any) -> Tensor:
    low, high = named.get("from", a), named.get("to", b)
    if high is None:
        low, high = (
            (0, low)
            if low
            else (0, 1 << 24 if self._array.dtype.kind == "f" else min(np.iinfo(self._array.dtype).max, 1 << 62))
        )
    return _integers(next_key(generator), tuple(self.shape), int(low), int(high), self._array.dtype)


def _to_bernoulli(self: Tensor, generator: Any, p: Any = 0.5) -> Tensor:
    return _bernoulli(next_key(generator), full_probability(self, p), tuple(self.shape), self._array.dtype)


def _to_cauchy(self: Tensor, generator: Any, median: float = 0.0, sigma: float = 1.0) -> Tensor:
    u: Any = _uniform(next_key(generator), tuple(self.shape), _float_of(self), 0.0, 1.0)
    return ((u - 0.5) * np.pi).tan() * sigma + median


def _to_log_normal(self: Tensor, generator: Any, mean: float = 1.0, std: float = 2.0) -> Tensor:
    return (_normal(next_key(generator), tuple(self.shape), _float_of(self)) * std + mean).exp()


def _to_geometric(self: Tensor, generator: Any, p: float) -> Tensor:
    u: Any = _uniform(next_key(generator), tuple(self.shape), _float_of(self), 0.0, 1.0)
    return ((1 - u).log() / float(np.log1p(-p))).ceil().clamp(1)


_drawn("uniform_", _to_uniform, "Writes uniform draws from [from, to).")
_drawn("normal_", _to_normal, "Writes normal draws.")
_drawn("exponential_", _to_exponential, "Writes exponential draws of rate lambd.")
_drawn("random_", _to_integers, "Writes integers drawn from [from, to).")
_drawn("bernoulli_", _to_bernoulli, "Writes 1 with probability p, else 0.")
_drawn("cauchy_", _to_cauchy, "Writes draws from the Cauchy distribution.")
_drawn("log_normal_", _to_log_normal, "Writes exponentials of normal draws.")
_drawn("geometric_", _to_geometric, "Writes how many trials the first success of probability p takes.")
Tensor.bernoulli = bernoulli  # type: ignore[attr-defined]
Tensor.multinomial = multinomial  # type: ignore[attr-defined]


# ---- the default generator ----


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seeds the default generator from the system."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Continues the default generator from a state."""
    default_generator.set_state(new_state)


class fork_rng:
    """The default generator goes on after the block as if the block had drawn nothing."""

    def __init__(self, devices: Any = (), enabled: bool = True, **_: Any):
        self.enabled = enabled

    def __enter__(self) -> None:
        self._state = get_rng_state()

    def __exit__(self, *error: object) -> None:
        if self.enabled:
            set_rng_state(self._state)
