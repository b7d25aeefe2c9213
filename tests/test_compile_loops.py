"""Kernels that go over their arrays once: sums with what else reads the same elements, and long loops several vectors abreast."""

import re

import numpy as np
import pytest
from compile_cases import assert_same, kernels_of, program_of, reals, run_guarded, steps_of

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile import build, execute
from funcgrad.compile.build import SIDE_BY_SIDE
from funcgrad.compile.codegen import optimised_ir

# ---- a large sum and its neighbours ----


def test_value_and_gradient_of_a_large_sum_read_the_argument_once():
    compiled = steps_of(fg.value_and_grad(lambda x: jnp.sum(jnp.sin(jnp.exp(x)))), reals(20_000))
    whole = [k for k in kernels_of(compiled) if len(k.members) > 1]
    assert len(whole) == 1 and whole[0].partial
    assert compiled.memory.size < 1000, "nothing of the argument's size is stored in between"


@pytest.mark.parametrize("shape", [(100, 120), (3, 5000), (5000, 3), (20, 30, 40)])
@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: (jnp.sum(x * y), jnp.max(x), x * 2.0 - y),
        lambda x, y: (jnp.sum(x.T * 2.0), jnp.exp(x.T), jnp.min(y)),
        lambda x, y: (jnp.sum((x - y) ** 2), jnp.sum(x, axis=0), (x - y) * 2.0),
        lambda x, y: (jnp.any(x > 2.0), jnp.sum(x > 0.5), x > y),
        lambda x, y: (jnp.sum(x[::-1] * y), x[::-1] + y, jnp.sum(y[::2])),
        lambda x, y: (jnp.sum(x + y[:1]), x + y[:1], jnp.mean(y)),
        lambda x, y: fg.value_and_grad(lambda x: jnp.mean(jnp.tanh(x) * y) / jnp.sqrt(jnp.sum(x * x)))(x),
    ],
)
def test_sums_beside_elementwise_results(f, shape):
    x, y = reals(*shape), reals(*shape, seed=1)
    program = program_of(f, x, y)
    assert_same(run_guarded(program, [x, y]), execute.interpret(program, [x, y]))


def test_sums_of_one_array_are_one_kernel():
    compiled = steps_of(lambda x: (jnp.sum(x), jnp.sum(x * x), jnp.max(x), x * 2.0), reals(300, 100))
    assert sum(k.partial for k in kernels_of(compiled)) == 1
    assert compiled.entries[0].label.count("reduce") == 2  # both kinds of reduction


def test_what_waits_for_the_sum_is_not_made_beside_it():
    def f(x):
        return x / jnp.sqrt(jnp.sum(x * x)), jnp.sum(x)

    compiled = steps_of(f, reals(200, 100))
    labels = [e.label for e in compiled.entries]
    assert sorted(labels) == ["mul+reduce_sum", "reduce_sum", "reduce_sum", "sqrt+div"]
    program = program_of(f, reals(200, 100))
    assert_same(run_guarded(program, [reals(200, 100)]), execute.interpret(program, [reals(200, 100)]))


def test_rows_are_not_folded_in_the_pieces_of_a_sum_over_everything():
    def f(x):
        e = jnp.exp(x)
        return jnp.sum(e), jnp.sum(e, axis=1), e / jnp.sum(e, axis=1, keepdims=True)

    for k in kernels_of(steps_of(f, reals(200, 100))):
        assert not k.partial or k.reduced == frozenset(range(len(k.sizes)))
    program = program_of(f, reals(200, 100))
    assert_same(run_guarded(program, [reals(200, 100)]), execute.interpret(program, [reals(200, 100)]))


# ---- many rows to one ----


@pytest.mark.parametrize("shape", [(3000, 70), (40_000, 5), (300, 1000), (50, 60, 70), (2, 70_000, 1), (140_001, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_many_rows_are_folded_by_ranges_of_rows(shape, dtype):
    x, y = (reals(*shape) * 9).astype(dtype), (reals(*shape, seed=1) * 9).astype(dtype)
    axes = tuple(range(len(shape) - 1))

    def f(x, y):
        return jnp.sum(x * y, axes), jnp.max(x, axes), x - y, jnp.any(x > y, axes), jnp.sum(x.T * 2, axes[0])

    program = program_of(f, x, y)
    tolerance = 1e-5 if dtype == np.float32 else 1e-11
    assert_same(run_guarded(program, [x, y]), execute.interpret(program, [x, y]), tolerance)


def test_a_column_sum_joins_what_makes_its_argument():
    f = lambda x, y, b: (lambda z: (z, jnp.sum(z, axis=0)))(jnp.exp(x * 0.1) * y + b)
    args = reals(3000, 100), reals(3000, 100, seed=1), reals(100)
    compiled = steps_of(f, *args)
    first, second = compiled.entries
    assert first.units > 1 and compiled.steps[0].partial, "rows are shared out, not columns"
    assert second.label == "reduce_sum" and compiled.memory.size < args[0].nbytes / 10
    program = program_of(f, *args)
    assert_same(run_guarded(program, list(args)), execute.interpret(program, args))


@pytest.mark.parametrize("f", [lambda x: jnp.sum(x.T, axis=0), lambda x: jnp.sum(jnp.exp(x.T) + 1.0, axis=0)])
def test_what_lies_the_other_way_round_is_folded_as_it_lies(f):
    x = reals(100, 3000)
    assert len(steps_of(f, x).entries) == 1
    program = program_of(f, x)
    assert_same(run_guarded(program, [x]), execute.interpret(program, [x]))


def test_batches_of_any_size_share_their_kernels():
    def step(w, b, v, x, y):
        def loss(w, b, v):
            return jnp.mean((jnp.tanh(x @ w + b) @ v - y) ** 2)

        return fg.value_and_grad(loss, argnums=(0, 1, 2))(w, b, v)

    jitted, parameters = fg.jit(step), (reals(9, 256), reals(256), reals(256, 300))

    def compiled_for(batch):
        before = fg.compile_log()
        jitted(*parameters, reals(batch, 9), reals(batch, 300))
        return {k: n - before[k] for k, n in fg.compile_log().items()}

    compiled_for(64)
    for batch in (40, 65, 128, 1000, 5000):
        found = compiled_for(batch)
        assert found["compiled"] == found["loaded"] == 0 < found["shared"], (batch, found)


# ---- several vectors abreast ----

LONG = lambda x: jnp.sin(jnp.log1p(jnp.exp(jnp.tanh(x))))
ARITHMETIC = lambda x: sum((x + k) * (x - k) / (1.0 + x * x) for k in range(1, 16))


def texts_of(f, x):
    return [e.text for e in steps_of(f, x).entries]


@pytest.mark.parametrize(
    ("f", "asked"), [(LONG, True), (ARITHMETIC, True), (jnp.exp, False), (lambda x: x * 2 + 1, False)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loops_of_long_chains_take_several_vectors_abreast(f, asked, dtype):
    (text,) = texts_of(f, reals(4096, dtype=dtype))
    assembly = build.assembly(build.lower(text, "kernel"))
    assert (f'"llvm.loop.interleave.count", i32 {SIDE_BY_SIDE}' in assembly) == asked
    if asked and f is ARITHMETIC:
        kind = {np.float32: "float", np.float64: "double"}[dtype]
        divisions = re.findall(rf"fdiv[a-z ]* <\d+ x {kind}>", optimised_ir(assembly))
        assert len(divisions) >= SIDE_BY_SIDE, "the loop was not made of vectors, or of one at a time"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [LONG, ARITHMETIC, lambda x: (jnp.sum(LONG(x)), LONG(x))])
def test_every_length_of_a_long_chain(f, dtype):
    x = reals(70, dtype=dtype)
    jitted = fg.jit(f)
    whole = fg.tree.leaves(jitted(x))[-1]
    for n in [*range(1, 70), 0]:
        for have, want in zip(fg.tree.leaves(jitted(x[:n])), fg.tree.leaves(f(x[:n])), strict=True):
            np.testing.assert_allclose(have, want, rtol=2e-6 if dtype == np.float32 else 1e-14)
        # An element's bits may depend on nothing but its value, so not on where vectors begin and end.
        np.testing.assert_array_equal(fg.tree.leaves(jitted(x[:n]))[-1], whole[:n])
