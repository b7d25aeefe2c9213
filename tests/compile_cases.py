"""What the tests of the compiler share: random programs, and a way to run one with guards around every buffer."""

import math
import os

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile.executor import Executable, NativeStep
from funcgrad.compile.steps import Kernel
from funcgrad.core.program import check

EXAMPLES = settings(
    max_examples=int(os.environ.get("FUNCGRAD_RANDOM_EXAMPLES", "60")), deadline=None, derandomize=True, database=None
)


def reals(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def program_of(f, *args):
    return check(fg.make_expr(f)(*args))


def names(program):
    return [eq.primitive.name for eq in program.equations]


def steps_of(f, *args):
    return Executable(program_of(f, *args))


def kernels_of(compiled):
    return [s for s in compiled.steps if isinstance(s, Kernel)]


def assert_same(have, want, tolerance=1e-11):
    for a, b in zip(have, want, strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        scale = float(np.max(np.abs(np.asarray(b, dtype=np.float64)), initial=1.0))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


# ---- random programs ----

UNARY = {
    "tanh": jnp.tanh,
    "exp": lambda x: jnp.exp(-x * x),
    "negated": lambda x: -x,
    "times one": lambda x: x * 1.0,
    "minus nothing": lambda x: x - 0.0,
    "of Python numbers": lambda x: 2 * x + 0.5,
    "transposed": lambda x: x.T,
    "flat": lambda x: x.reshape(-1),
    "one more axis": lambda x: x[None],
    "total": jnp.sum,
    "sum": lambda x: jnp.sum(x, axis=-1) if x.ndim else x,
    "columns": lambda x: jnp.sum(x, axis=0) if x.ndim else x,
    "largest": lambda x: jnp.max(x, axis=0, keepdims=True) if x.ndim else x,
    "reversed": lambda x: x[::-1] if x.ndim else x,
    "every other": lambda x: x[..., ::2] if x.ndim else x,
    "all but the first": lambda x: x[1:] if x.ndim and x.shape[0] > 1 else x,
    "twice": lambda x: jnp.broadcast_to(x, (2, *x.shape)),
    "padded": lambda x: jnp.pad(x, 1) if x.ndim else x,
    "sorted": lambda x: jnp.sort(x, axis=-1) if x.ndim else x,
    "taken": lambda x: x[jnp.array([0, -1, 0])] if x.ndim else x,
    "softmax": lambda x: fg.nn.softmax(x, axis=-1) if x.ndim else x,
    "signs": lambda x: jnp.where(x > 0.1, x, 0.5),
    "rounded": lambda x: x.astype(np.float32).astype(np.float64),
    "called": fg.jit(lambda x: jnp.sin(x) * x),
    "checkpointed": fg.checkpoint(lambda x: jnp.sin(jnp.cos(x))),
    "with ones": lambda x: x * np.ones(x.shape) + np.zeros(x.shape),
}
BINARY = {
    "sum": lambda x, y: x + y,
    "difference": lambda x, y: x - y,
    "product": lambda x, y: x * y,
    "quotient": lambda x, y: x / (2.5 + jnp.sin(y)),
    "larger": jnp.maximum,
    "chosen": lambda x, y: jnp.where(x > y, jnp.cos(x), y),
    "joined": lambda x, y: jnp.concatenate([x, y], axis=0) if x.ndim else x + y,
    "dot": lambda x, y: x @ y,
    "outer": lambda x, y: jnp.outer(x, y),
}
SHAPES = [(), (1,), (3,), (4, 3), (3, 3), (1, 3), (2, 1, 3)]
LARGE = [(), (5000,), (2, 5000), (9000,), (70, 130), (130,), (130, 70), (1, 130), (3, 70, 40)]
"""Shapes of arrays that are shared among threads, summed in parts, or cut along their columns."""


@st.composite
def random_functions(draw, pool=SHAPES, largest=60, most=8):
    """(function of arrays, its arguments): a few operations; each must be possible for the values so far."""
    shapes = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3))
    dtype = draw(st.sampled_from([np.float64, np.float64, np.float32])) if pool is SHAPES else np.float64
    args = [reals(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]
    values, steps = list(args), []
    for _ in range(draw(st.integers(1, most))):
        table = draw(st.sampled_from([UNARY, UNARY, BINARY]))
        name = draw(st.sampled_from(sorted(table)))
        which = [len(values) - 1 - draw(st.integers(0, len(values) - 1)) for _ in range(1 + (table is BINARY))]
        try:
            made = np.asarray(table[name](*[fg.numpy.asarray(values[i]) for i in which]))
        except (TypeError, ValueError):
            continue  # The shapes do not go together.
        if made.size <= largest and made.ndim <= 4:
            values.append(made)
            steps.append((table[name], which))
    kept = draw(st.sets(st.integers(0, len(values) - 1), min_size=1, max_size=3)) | {len(values) - 1}

    def function(*given):
        found = list(given)
        for operation, which in steps:
            found.append(operation(*[found[i] for i in which]))
        return tuple(found[i] for i in sorted(kept))

    return function, args


def gradient(f):
    return fg.grad(lambda *a: sum(jnp.sum(jnp.tanh(out)) for out in f(*a)), argnums=0)


# ---- guards around every buffer ----

CANARY = 0xA5


class GuardedOutput:
    """Gives an output between two stretches of canaries."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, dtype
        self.raw = np.empty(0, np.uint8)

    def new(self, kind):
        size = math.prod(self.shape) * self.dtype.itemsize
        self.raw = np.full(size + 256, CANARY, np.uint8)
        self.start = 64 + -self.raw.ctypes.data % 64
        self.stop = self.start + size
        return self.raw[self.start : self.stop].view(self.dtype).reshape(self.shape).view(kind)

    def whole(self):
        return (self.raw[: self.start] == CANARY).all() and (self.raw[self.stop :] == CANARY).all()


def run_guarded(program, args):
    """The outputs of a compiled program in which no two buffers touch and a write outside of one is seen."""
    compiled = Executable(program)
    compiled.outs = [GuardedOutput(out.shape, out.dtype) for out in compiled.outs]
    at, inside = 64, np.zeros(0, bool)
    for v in compiled.memory.places:
        compiled.memory.places[v] = at
        at += v.type.size * v.type.dtype.itemsize + 64
        at += -at % 64
    compiled.memory.size = at
    frame = compiled._new_frame()
    frame.arena[:] = CANARY
    inside = np.zeros(at, bool)
    for v, place in compiled.memory.places.items():
        inside[place : place + v.type.size * v.type.dtype.itemsize] = True
    compiled.release(frame)
    before = [np.array(a) for a in args]
    outs = compiled(args)
    texts = "\n".join(e.text for e in compiled.entries if isinstance(e, NativeStep))
    assert (frame.arena[~inside] == CANARY).all(), f"a kernel writes outside of its buffers:\n{program}\n{texts}"
    assert all(o.whole() for o in compiled.outs), f"a kernel writes outside of an output:\n{program}\n{texts}"
    for have, was in zip(args, before, strict=True):
        np.testing.assert_array_equal(have, was)
    return [o.item() if t.weak else o for o, t in zip(outs, program.out_types, strict=True)]
