"""The compiler's passes one by one: each keeps the meaning of a Program, and does what it is there for."""

import itertools
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.compile import execute
from funcgrad.compile.executor import Executable, HostStep, NativeStep, strided
from funcgrad.compile.fuse import Kernel, fuse
from funcgrad.compile.layouts import resolve
from funcgrad.compile.plan import ALIGNMENT, plan_memory
from funcgrad.compile.recycling import Recycler
from funcgrad.compile.simplify import simplify
from funcgrad.core.lowering import Reduction, View
from funcgrad.core.program import Literal, Var, check
from funcgrad.core.types import array_type

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


# ---- simplify ----


@pytest.mark.parametrize(
    ("f", "left"),
    [
        (lambda x: x * 1.0, []),
        (lambda x: 1.0 * x, []),
        (lambda x: x / 1.0, []),
        (lambda x: x - 0.0, []),
        (lambda x: jnp.negative(-x), []),
        (lambda x: x * np.ones(x.shape), []),
        (lambda x: x.T.T, []),
        (lambda x: x.reshape(-1).reshape(3, 4), []),
        (lambda x: x.astype(np.float64), []),
        (lambda x: fg.jit(lambda y: y * 1.0)(x), []),
        (lambda x: x.reshape(4, 3).reshape(2, 6), ["reshape"]),
        (lambda x: x * np.zeros(x.shape), ["broadcast_in_dim", "mul"]),
        (lambda x: (jnp.exp(x), jnp.exp(x)), ["exp"]),
        (lambda x: x * (np.full(3, 2.0) + 1.0)[:, None], ["broadcast_in_dim", "mul"]),
        (lambda x: [jnp.sin(x), x][1], []),
    ],
)
def test_identities(f, left):
    x = reals(3, 4)
    program = program_of(f, x)
    smaller = check(simplify(program))
    assert names(smaller) == left
    assert_same(execute.interpret(smaller, [x]), execute.interpret(program, [x]), 0.0)


@pytest.mark.parametrize("f", [lambda x: x + 0.0, lambda x: 0.0 - x, lambda x: x * 0.0, lambda x: x / x])
def test_what_is_no_identity_stays(f):
    x = np.array([-0.0, np.inf, np.nan, 1.0])
    program = program_of(f, x)
    assert len(simplify(program).equations) >= 1
    for run in (lambda: execute.interpret(simplify(program), [x]), lambda: execute.execute(program, x)):
        (have,), (want,) = run(), execute.interpret(program, [x])
        np.testing.assert_array_equal(have, want)
        np.testing.assert_array_equal(np.signbit(have)[want == 0], np.signbit(want)[want == 0])


def test_identities_keep_the_dtype():
    x = reals(3, dtype=np.float32)
    program = program_of(lambda x: (x * np.float64(1.0), x * 1.0), x)
    assert [t.dtype for t in simplify(program).out_types] == [np.float64, np.float32]


def test_an_operation_on_broadcast_values_is_done_before_the_broadcast():
    def f(row, x):
        wide = jnp.broadcast_to(row, (5, 4))
        return jnp.exp(wide * 2.0) + x

    smaller = check(simplify(program_of(f, reals(4), reals(5, 4))))
    (exp,) = [eq for eq in smaller.equations if eq.primitive.name == "exp"]
    assert exp.outputs[0].type.shape == (4,)


def test_uniform_constants_become_numbers_and_others_stay():
    smaller = simplify(program_of(lambda x: x + np.full((3, 4), 2.5) + np.arange(12.0).reshape(3, 4), reals(3, 4)))
    assert len(smaller.constants) == 1
    assert any(isinstance(a, Literal) and a.value == 2.5 for eq in smaller.equations for a in eq.inputs)


def test_minus_zero_is_no_zero():
    x = np.array([-0.0, 0.0, -1.0])
    constant = np.array([0.0, -0.0, 0.0])
    program = program_of(lambda x: x + constant, x)
    np.testing.assert_array_equal(np.signbit(execute.execute(program, x)[0]), np.signbit(x + constant))
    assert len(simplify(program).constants) == 1


def test_constants_are_computed_at_compile_time():
    smaller = simplify(program_of(lambda x: x + jnp.sum(jnp.exp(jnp.arange(5.0)))[None], reals(1)))
    assert names(smaller).count("exp") == names(smaller).count("reduce_sum") == 0
    value = next(float(np.ravel(c)[0]) for _, c in smaller.constants) if smaller.constants else None
    if value is None:
        value = next(a.value for eq in smaller.equations for a in eq.inputs if isinstance(a, Literal))
    assert value == pytest.approx(np.exp(np.arange(5.0)).sum(), rel=1e-15)


def test_common_subexpressions_are_shared_but_not_across_a_checkpoint():
    def f(x):
        return jnp.sum(jnp.sin(jnp.exp(x)) ** 2)

    x = reals(6)
    plain = simplify(program_of(fg.value_and_grad(lambda x: f(x)), x))
    again = simplify(program_of(fg.value_and_grad(fg.checkpoint(f)), x))
    assert names(plain).count("exp") == 1
    assert names(again).count("exp") == 2
    assert_same(execute.execute(again, x), execute.interpret(plain, [x]))


def test_literals_of_different_kinds_are_not_shared():
    program = program_of(lambda i, x: (i * 2, x * 2.0, x * 2, i * True), np.arange(3), reals(3))
    assert_same(execute.execute(program, np.arange(3), reals(3)), execute.interpret(program, [np.arange(3), reals(3)]))


# ---- layouts ----


@st.composite
def view_chains(draw):
    """Views one after the other: (function of an array module's names, shape)."""
    shape = draw(st.sampled_from([(6,), (2, 6), (3, 4), (2, 3, 4), (4, 1, 3)]))
    have, chain = shape, []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["reshape", "transpose", "slice", "rev", "broadcast"]))
        if kind == "reshape":
            size = math.prod(have)
            options = [s for s in itertools.product(range(1, 13), repeat=2) if math.prod(s) == size]
            new = draw(st.sampled_from([(size,), *options]))
            chain.append(lambda x, new=new: x.reshape(new))
            have = new
        elif kind == "transpose":
            order = tuple(draw(st.permutations(range(len(have)))))
            chain.append(lambda x, order=order: x.transpose(order))
            have = tuple(have[i] for i in order)
        elif kind == "slice":
            first = [draw(st.integers(0, n - 1)) for n in have]
            last = [draw(st.integers(f + 1, n)) for f, n in zip(first, have, strict=True)]
            step = [draw(st.integers(1, 3)) for _ in have]
            index = tuple(slice(*w) for w in zip(first, last, step, strict=True))
            chain.append(lambda x, index=index: x[index])
            have = tuple(len(range(*w)) for w in zip(first, last, step, strict=True))
        elif kind == "rev":
            axis = draw(st.integers(0, len(have) - 1))
            index = tuple(slice(None, None, -1 if i == axis else None) for i in range(len(have)))
            chain.append(lambda x, index=index: x[index])
        elif len(have) < 4 and math.prod(have) <= 48:
            chain.append(lambda x, new=(2, *have): lax.broadcast_in_dim(x, new, tuple(range(1, len(new)))))
            have = (2, *have)

    def f(x):
        for view in chain:
            x = view(x)
        return x

    return f, shape


@EXAMPLES
@given(view_chains())
def test_layouts_of_view_chains_are_numpys(case):
    f, shape = case
    x = np.arange(float(math.prod(shape))).reshape(shape)
    program = program_of(f, x)
    low = resolve(simplify(program))
    values = dict(zip(low.program.inputs, [x], strict=True)) | dict(low.program.constants)
    for eq in low.equations:
        args = [a.value if isinstance(a, Literal) else values[a] for a in eq.inputs]
        out = eq.outputs[0]
        values[out] = np.asarray(eq.primitive.impl(*args, **eq.params))
        part = low.sources[out]
        if isinstance(eq.primitive.kernel, View) and isinstance(part.base, Var):
            base = np.ascontiguousarray(values[part.base])
            np.testing.assert_array_equal(strided(base, part.layout, out.type), values[out])
    (have,) = run_guarded(program, [x])
    np.testing.assert_array_equal(have, np.asarray(f(fg.numpy.asarray(x))))
    # In a kernel, with another value read beside it.
    doubled = program_of(lambda x: (f(x) * 2.0, jnp.sum(f(x))), x)
    assert_same(run_guarded(doubled, [x]), execute.interpret(doubled, [x]))


# ---- fuse ----


def test_softmax_is_one_kernel():
    compiled = steps_of(lambda x: fg.nn.softmax(x, axis=-1), reals(8, 10))
    assert len(compiled.steps) == len(kernels_of(compiled)) == 1


def test_softmax_with_its_gradient_is_one_kernel():
    def f(x, y):
        return fg.value_and_grad(lambda x: jnp.sum(jnp.log(fg.nn.softmax(x, axis=-1)) * y))(x)

    compiled = steps_of(lambda x, y: f(x, y)[1], reals(8, 10), reals(8, 10, seed=1))
    assert len(compiled.steps) == len(kernels_of(compiled)) == 1


def sgd_step(params, x, y):
    def loss(params):
        (w1, b1), (w2, b2) = params
        hidden = jnp.tanh(x @ w1 + b1)
        return jnp.mean((hidden @ w2 + b2 - y) ** 2)

    grads = fg.grad(loss)(params)
    return [(w - 0.1 * gw, b - 0.1 * gb) for (w, b), (gw, gb) in zip(params, grads, strict=True)]


def test_the_steps_of_a_small_network_are_counted():
    params = [(reals(5, 7), reals(7)), (reals(7, 3), reals(3))]
    compiled = steps_of(sgd_step, params, reals(16, 5), reals(16, 3))
    products = [e for e in compiled.entries if e.label == "gemm"]
    assert len(products) == 5  # two forward, three backward
    # tanh; the error with its column sum; tanh's derivative with its column sum; the update of each weight.
    assert len(compiled.steps) - len(products) == 5
    assert not any(isinstance(e, HostStep) for e in compiled.entries)


def test_a_value_needed_by_a_product_and_by_others_is_stored_once():
    def f(x, w):
        h = jnp.tanh(x)
        return h @ w, h * 2.0, jnp.sum(h, axis=1)

    compiled = steps_of(f, reals(6, 5), reals(5, 4))
    members = [eq.primitive.name for k in kernels_of(compiled) for eq in k.members]
    assert members.count("tanh") == 1
    assert sum("tanh_f64(" in line for e in set_of_texts(compiled) for line in e.splitlines()) == 1


def set_of_texts(compiled):
    return {e.text for e in compiled.entries if isinstance(e, NativeStep)}


def test_a_cycle_through_a_product_is_not_made():
    def f(x, w):
        a = jnp.exp(x)
        return a + jnp.sin(a @ w)  # exp cannot join the kernel of `+`, which waits for the product

    x, w = reals(4, 4), reals(4, 4, seed=1)
    compiled = steps_of(f, x, w)
    assert [e.label for e in compiled.entries] == ["exp", "gemm", "sin+add"]
    assert_same(compiled([x, w]), [np.exp(x) + np.sin(np.exp(x) @ w)])


def test_reductions_of_a_kernel_fold_the_same_dimensions():
    compiled = steps_of(lambda x: (jnp.sum(x, axis=0), jnp.sum(x, axis=1), jnp.max(x)), reals(9, 7))
    for k in kernels_of(compiled):
        folds = {tuple(eq.params["axes"]) for eq in k.members if isinstance(eq.primitive.kernel, Reduction)}
        assert len(folds) == 1


@pytest.mark.parametrize("n", [1, 4096, 8192, 8193, 40_000, 100_001])
def test_sums_in_parts_of_every_length(n):
    x = reals(n)
    program = program_of(lambda x: (jnp.sum(x), jnp.max(x * 2.0), jnp.prod(jnp.sign(x))), x)
    assert_same(run_guarded(program, [x]), execute.interpret(program, [x]))


@pytest.mark.parametrize(("shape", "axis"), [((1, 9000), 1), ((9000, 1), 0), ((1, 9000, 1), (1,)), ((3, 3000), (0, 1))])
def test_sums_in_parts_may_keep_axes_of_size_one(shape, axis):
    x = reals(*shape)
    program = program_of(lambda x: (jnp.sum(x, axis=axis) * 2.0, x - jnp.max(x, axis=axis, keepdims=True)), x)
    assert_same(run_guarded(program, [x]), execute.interpret(program, [x]))


def test_a_mask_turned_round_splits_no_kernel():
    compiled = steps_of(lambda x, m: jnp.where(~m, x, 2.0 * x), reals(5), np.arange(5) > 2)
    assert len(compiled.steps) == len(kernels_of(compiled)) == 1


# ---- plan_memory ----


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
        lambda y: memoryview(np.asarray(y)),
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


# ---- functions written out ----

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -7.25, 1e-310, 3e5, -1e30, np.inf, -np.inf, np.nan]
PAIRS = np.array(list(itertools.product(SPECIAL, SPECIAL)))
TWO_ARGUMENTS = {
    "remainder": (jnp.remainder, np.remainder, 0),
    "floor_divide": (jnp.floor_divide, np.floor_divide, 0),
    "fmod": (jnp.fmod, np.fmod, 0),
    "hypot": (jnp.hypot, np.hypot, 2),
    "logaddexp": (jnp.logaddexp, np.logaddexp, 4),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TWO_ARGUMENTS)
def test_functions_of_two_arguments_are_numpys(name, dtype):
    ours, numpys, ulps = TWO_ARGUMENTS[name]
    random = np.random.default_rng(5).normal(scale=10.0, size=(400, 2))
    with np.errstate(all="ignore"):
        x, y = np.concatenate([PAIRS, random]).astype(dtype).T.copy()
        want = numpys(x, y)
    program = program_of(ours, x, y)
    assert all(isinstance(e, NativeStep) for e in Executable(program).entries)
    (have,) = execute.execute(program, x, y)
    assert have.dtype == dtype
    bad = ~((np.isnan(have) & np.isnan(want)) | (have == want))
    finite = np.isfinite(have) & np.isfinite(want)
    a, b = have[finite], want[finite]
    bad[finite] &= np.abs(a - b) > ulps * np.spacing(np.abs(b))
    assert not bad.any(), [(x[i], y[i], have[i], want[i]) for i in np.flatnonzero(bad)[:12]]
    zeros = want == 0
    np.testing.assert_array_equal(np.signbit(have[zeros]), np.signbit(want[zeros]))
