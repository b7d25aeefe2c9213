"""Whole compiled programs: random ones keep their meaning, and no buffer is written to that somebody else has."""

import itertools

import numpy as np
import pytest
from compile_cases import (
    EXAMPLES,
    LARGE,
    GuardedOutput,
    assert_same,
    gradient,
    program_of,
    random_functions,
    reals,
    run_guarded,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile import execute
from funcgrad.compile.executor import Executable
from funcgrad.compile.fuse import fuse
from funcgrad.compile.layouts import resolve
from funcgrad.compile.plan import ALIGNMENT, plan_memory
from funcgrad.compile.recycling import Recycler
from funcgrad.compile.simplify import simplify
from funcgrad.core.program import Var, check
from funcgrad.core.types import array_type


@EXAMPLES
@given(random_functions(), st.booleans())
def test_every_pass_keeps_random_programs(case, differentiated):
    f, args = case
    program = program_of(gradient(f) if differentiated else f, *args)
    smaller = check(simplify(program))
    assert [(t.shape, t.dtype) for t in smaller.out_types] == [(t.shape, t.dtype) for t in program.out_types]
    assert smaller.in_types == program.in_types
    want = execute.interpret(program, args)
    tolerance = 3e-5 if args[0].dtype == np.float32 else 1e-11
    assert_same(execute.interpret(smaller, args), want, tolerance)
    assert_same(run_guarded(program, args), want, tolerance)
    steps = fuse(resolve(smaller))
    assert_in_order(steps, smaller)


@settings(EXAMPLES, max_examples=EXAMPLES.max_examples // 2)
@given(random_functions(LARGE, 40_000, 5), st.booleans())
def test_every_pass_keeps_programs_of_large_arrays(case, differentiated):
    f, args = case
    program = program_of(gradient(f) if differentiated else f, *args)
    assert_same(run_guarded(program, args), execute.interpret(program, args))


def assert_in_order(steps, program):
    """Everything is made before it is read, by a step of larger height."""
    compiled = Executable(program)
    made = {}
    assert [s.height for s in compiled.steps] == sorted((s.height for s in compiled.steps), reverse=True)
    assert len(steps) == len(compiled.steps)
    given_ = {*compiled.inputs, *compiled.constants}
    for step, entry in zip(compiled.steps, compiled.entries, strict=True):
        for v in entry.reads:
            if v not in given_ and v not in entry.writes:
                assert v in made, "read before it is made"
                assert made[v] > step.height
        for v in entry.writes:
            made[v] = step.height if v not in made else min(made[v], step.height)
    assert set(compiled.outputs) <= set(made)


ROWS = [p for p in fg.ops.families.TABLE.values() if p.samples is not None]


@pytest.mark.parametrize("primitive", ROWS, ids=lambda p: p.name)
def test_no_row_writes_outside_of_its_buffers(primitive):
    for args, params in primitive.samples(np.random.default_rng(0)):
        args = [np.asarray(a) for a in args]

        def f(*values):
            out = primitive(*values, **params)
            return tuple(out) if isinstance(out, (tuple, list)) else (out,)

        program = program_of(f, *args)
        want = execute.interpret(program, args)
        for have, expected in zip(run_guarded(program, args), want, strict=True):
            np.testing.assert_allclose(have, expected, rtol=1e-9, atol=1e-9)


def test_the_guard_sees_a_write_outside():
    program = program_of(lambda x: jnp.exp(x), reals(8))
    compiled = Executable(program)
    compiled.outs = [GuardedOutput((8,), np.dtype(float))]
    (entry,) = compiled.entries
    entry.units = 9  # one more than there is
    compiled([reals(9)[:8]])
    assert not compiled.outs[0].whole()


# ---- memory ----


@EXAMPLES
@given(
    st.lists(st.tuples(st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11), min_size=1)), max_size=14), st.data()
)
def test_values_alive_together_do_not_overlap(uses, data):
    sizes = data.draw(st.lists(st.integers(0, 70), min_size=12, max_size=12))
    fixed_numbers = data.draw(st.sets(st.integers(0, 11), max_size=4))
    values = [Var(array_type((n,), np.dtype(np.float64))) for n in sizes]
    fixed = {values[i] for i in fixed_numbers}
    memory = plan_memory([([values[i] for i in r], [values[i] for i in w]) for r, w in uses], fixed)
    spans = {}
    for number, (reads, writes) in enumerate(uses):
        for i in reads | writes:
            first, _ = spans.get(i, (number, number))
            spans[i] = (first, number)
    assert set(memory.places) == {values[i] for i in spans if i not in fixed_numbers}
    for i, j in itertools.combinations([i for i in spans if i not in fixed_numbers], 2):
        alive_together = spans[i][0] <= spans[j][1] and spans[j][0] <= spans[i][1]
        a, b = memory.places[values[i]], memory.places[values[j]]
        if alive_together:
            assert a + 8 * sizes[i] <= b or b + 8 * sizes[j] <= a
    for v, at in memory.places.items():
        assert at % ALIGNMENT == 0
        assert 0 <= at <= at + v.type.size * 8 <= memory.size


def test_memory_is_used_again():
    values = [Var(array_type((100,), np.dtype(np.float64))) for _ in range(10)]
    chain = [([a], [b]) for a, b in itertools.pairwise(values)]
    assert plan_memory(chain, set()).size == 2 * 832  # 800 bytes, aligned


@pytest.mark.parametrize(
    "hold",
    [
        lambda y: y,
        np.asarray,
        lambda y: y[5:],
        lambda y: np.asarray(y)[5:],
        lambda y: y.view(np.ndarray).reshape(2, -1)[1].T,
        lambda y: memoryview(np.asarray(y)),  # type: ignore[arg-type]
        lambda y: np.frombuffer(np.asarray(y)),
    ],
)
@pytest.mark.parametrize("kind", [np.ndarray, fg.Array])
def test_no_view_of_a_result_is_overwritten(hold, kind):
    maker = Recycler((20_000,), np.dtype(np.float64))
    held = []
    for number in range(8):
        out = maker.new(kind)
        np.copyto(out.view(np.ndarray), float(number))
        assert out.ctypes.data % 64 == 0
        held.append(hold(out))
        del out
    for number, view in enumerate(held):
        np.testing.assert_array_equal(view, float(number))
    del held, view
    places = {maker.new(kind).ctypes.data for _ in range(20)}
    assert len(places) <= 4


@pytest.mark.parametrize(
    "twins",
    [lambda x: (x, x), lambda x: (x[:5], x[5:]), lambda x: (x[:5], np.asarray(x)[1:6]), lambda x: (x[:5], x[4::-1])],
)
def test_donated_memory_in_which_another_argument_lies_is_not_used(twins):
    def f(a, b):
        return a + 1.0, jnp.exp(b[::-1].reshape(1, -1) @ b / 100.0), jnp.sum(b)

    jitted = fg.jit(f, donate_argnums=0)
    for _ in range(3):
        want = f(*twins(np.arange(10.0)))
        assert_same(jitted(*twins(np.arange(10.0))), want)


def test_donated_memory_is_used():
    jitted = fg.jit(lambda a, b: a + b, donate_argnums=0)
    for _ in range(3):
        x = np.arange(5.0)
        assert np.shares_memory(jitted(x, np.ones(5)), x)
