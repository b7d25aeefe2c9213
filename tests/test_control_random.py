"""Random programs of nested control flow under random transforms, against JAX.

A program is a tree of choices drawn from a seed, built twice from the same tree: on funcgrad and on JAX.
"""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

SHAPE = (3,)


class Maker:
    """Draws a function from a vector (and a vector that it closes over) to a vector, and writes down which."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.text = []

    def number(self):
        return float(np.round(self.rng.uniform(-1.2, 1.2), 2))

    def function(self, depth, loops=True):
        """build(m, np_, lax_) -> f(x, w), of the given depth; `loops` says whether while loops may be among it."""
        kinds = ["leaf", "cond", "switch", "scan", "fori", "map", "vmap", "grad", "jvp", "twice"] + ["while"] * loops
        kind = self.rng.choice(kinds) if depth else "leaf"
        self.text.append(kind)
        return getattr(self, f"make_{kind}")(depth - 1, loops)

    def make_leaf(self, depth, loops):
        a, b, which = self.number(), self.number(), self.rng.integers(5)

        def build(m, np_, lax_):
            return lambda x, w: [
                lambda: np_.sin(a * x) + b * w,
                lambda: np_.tanh(x * w + b),
                lambda: x * a + np_.sum(w) * b,
                lambda: np_.where(x > a, np_.cos(x), w * x),
                lambda: np_.flip(x) * np_.exp(-(w**2)) + b,
            ][which]()

        return build

    def make_twice(self, depth, loops):
        first, second = self.function(depth, loops), self.function(depth, loops)

        def build(m, np_, lax_):
            f, g = first(m, np_, lax_), second(m, np_, lax_)
            return lambda x, w: f(g(x, w), x) * 0.5 + x

        return build

    def make_cond(self, depth, loops):
        yes, no, a = self.function(depth, loops), self.function(depth, loops), self.number()

        def build(m, np_, lax_):
            f, g = yes(m, np_, lax_), no(m, np_, lax_)
            return lambda x, w: lax_.cond(np_.sum(x) > a, lambda v: f(v, w), lambda v: g(v, x), x)

        return build

    def make_switch(self, depth, loops):
        parts = [self.function(depth, loops) for _ in range(3)]

        def build(m, np_, lax_):
            fs = [p(m, np_, lax_) for p in parts]

            def call(x, w):
                index = np_.floor(np_.sum(x) * 1.7).astype(np.int64)
                return lax_.switch(index, [lambda v, f=f: f(v, w) for f in fs], x)

            return call

        return build

    def make_scan(self, depth, loops):
        part, reverse, n = self.function(depth, loops), bool(self.rng.integers(2)), int(self.rng.integers(0, 4))
        xs = np.round(self.rng.normal(size=(n, 3)), 2)

        def build(m, np_, lax_):
            f = part(m, np_, lax_)

            def call(x, w):
                step = lambda c, row: ((f(c[0], row * w), c[1] + 1), c[0] * row + c[1])
                (last, count), ys = lax_.scan(step, (x, 0), np_.asarray(xs), reverse=reverse)
                return last + np_.sum(ys, 0) * 0.1 + count

            return call

        return build

    def make_fori(self, depth, loops):
        part, n, traced = (
            self.function(depth, loops),
            int(self.rng.integers(-1, 4)),
            bool(self.rng.integers(2)) and loops,
        )

        def build(m, np_, lax_):
            f = part(m, np_, lax_)

            def call(x, w):
                # JAX has no reverse mode of loops with traced bounds: these are compared in forward mode only.
                upper = np_.where(np_.sum(w) > 0, n, n + 1) if traced else n
                return lax_.fori_loop(0, upper, lambda i, v: f(v, w) + 0.1 * i, x)

            return call

        return build

    def make_while(self, depth, loops):
        part, limit = self.function(depth, loops), float(self.rng.uniform(1.0, 3.0))

        def build(m, np_, lax_):
            f = part(m, np_, lax_)

            def call(x, w):
                going = lambda s: (s[1] < 4) & (np_.sum(s[0] ** 2) < limit)
                return lax_.while_loop(going, lambda s: (f(s[0], w) + 0.3, s[1] + 1), (x, 0))[0]

            return call

        return build

    def make_map(self, depth, loops):
        part = self.function(depth, loops)

        def build(m, np_, lax_):
            f = part(m, np_, lax_)
            return lambda x, w: np_.sum(lax_.map(lambda row: f(row, w), np_.stack([x, w])), 0)

        return build

    def make_vmap(self, depth, loops):
        part, batched_w = self.function(depth, loops), bool(self.rng.integers(2))

        def build(m, np_, lax_):
            f = part(m, np_, lax_)

            def call(x, w):
                rows = np_.stack([x, w, x - w])
                ws = np_.stack([w, x, w]) if batched_w else w
                return np_.sum(m.vmap(f, (0, 0 if batched_w else None))(rows, ws), 0)

            return call

        return build

    def make_grad(self, depth, loops):
        part = self.function(min(depth, 1), False)  # JAX's reverse mode takes no loops of unknown length

        def build(m, np_, lax_):
            f = part(m, np_, lax_)
            return lambda x, w: np_.tanh(m.grad(lambda v: np_.sum(f(v, w) ** 2))(x))

        return build

    def make_jvp(self, depth, loops):
        part = self.function(min(depth, 1), loops)

        def build(m, np_, lax_):
            f = part(m, np_, lax_)
            return lambda x, w: np_.tanh(m.jvp(f, (x, w), (w, x))[1])

        return build


def pair(seed, loops=True, depth=3):
    maker = Maker(seed)
    build = maker.function(depth, loops)
    x, w = np.round(maker.rng.normal(size=SHAPE), 2), np.round(maker.rng.normal(size=SHAPE), 2)
    return build(fg, jnp, lax), build(jax, jax.numpy, jax.lax), x, w, " ".join(maker.text)


def close(have, want, text):
    np.testing.assert_allclose(np.asarray(have), np.asarray(want), rtol=1e-6, atol=1e-8, err_msg=text)


def total(m, np_, f):
    return m.jit(lambda x, w: np_.sum(np_.sin(f(x, w))))


@pytest.mark.parametrize("seed", range(16))
def test_values(seed):
    ours, theirs, x, w, text = pair(seed)
    want = jax.jit(theirs)(x, w)
    close(ours(x, w), want, text)
    close(fg.jit(ours)(x, w), want, text)


@pytest.mark.parametrize("seed", range(100, 110))
def test_reverse_mode(seed):
    ours, theirs, x, w, text = pair(seed, loops=False)
    want = jax.jit(jax.grad(total(jax, jax.numpy, theirs), (0, 1)))(x, w)
    for g in (fg.grad(total(fg, jnp, ours), (0, 1)), fg.jit(fg.grad(total(fg, jnp, ours), (0, 1)))):
        for a, b in zip(g(x, w), want, strict=True):
            close(a, b, text)


@pytest.mark.parametrize("seed", range(200, 208))
def test_both_modes_with_loops_of_unknown_length(seed):
    ours, theirs, x, w, text = pair(seed)
    want = jax.jit(jax.jacfwd(total(jax, jax.numpy, theirs)))(x, w)
    f = total(fg, jnp, ours)
    for g in (fg.jacfwd(f), fg.grad(f), fg.jit(fg.grad(f))):
        close(g(x, w), want, text)


@pytest.mark.parametrize("seed", range(300, 307))
def test_batches(seed):
    ours, theirs, x, w, text = pair(seed, depth=2)
    xs = np.stack([x, -x, 0.3 * x + 1])
    want = jax.jit(jax.vmap(theirs, (0, None)))(xs, w)
    close(fg.vmap(ours, (0, None))(xs, w), want, text)
    close(fg.jit(fg.vmap(ours, (0, None)))(xs, w), want, text)
    slopes = jax.jit(jax.vmap(jax.jacfwd(total(jax, jax.numpy, theirs)), (0, None)))(xs, w)
    close(fg.jit(fg.vmap(fg.grad(total(fg, jnp, ours)), (0, None)))(xs, w), slopes, text)


@pytest.mark.parametrize("seed", range(400, 404))
def test_second_derivatives(seed):
    ours, theirs, x, w, text = pair(seed, loops=False, depth=2)
    want = jax.jit(jax.hessian(total(jax, jax.numpy, theirs)))(x, w)
    close(fg.jit(fg.hessian(total(fg, jnp, ours)))(x, w), want, text)
    close(fg.jacrev(fg.grad(total(fg, jnp, ours)))(x, w), want, text)
