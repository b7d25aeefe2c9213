"""The compiler's passes one by one: each keeps the meaning of a Program, and does what it is there for."""

import itertools
import math

import numpy as np
import pytest
from compile_cases import EXAMPLES, assert_same, kernels_of, names, program_of, reals, run_guarded, steps_of
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.compile import execute
from funcgrad.compile.executor import Executable, HostStep, NativeStep
from funcgrad.compile.host_calls import strided
from funcgrad.compile.layouts import resolve
from funcgrad.compile.simplify import simplify
from funcgrad.core.lowering import Reduction, View
from funcgrad.core.program import Literal, Var, check

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


def test_cheap_values_are_computed_again_rather_than_stored():
    def f(x):
        y = (x - jnp.mean(x, axis=0)) * 0.5
        return y * jnp.sum(y * y, axis=0)

    x = np.random.default_rng(0).normal(size=(300, 200))
    made = Executable(fg.make_expr(f)(x))
    assert made.memory.size < x.nbytes / 10, "no buffer of the size of x between the kernels"
    y = (x - x.mean(0)) * 0.5
    np.testing.assert_allclose(made([x])[0], y * (y * y).sum(0), rtol=1e-12)
    # What is not cheap, or read by more than kernels, is stored as before.
    g = lambda x: (lambda y: (y * jnp.sum(y, axis=0), y @ y.T))(jnp.exp(x) - 1)
    found = fg.jit(g)(x)
    np.testing.assert_allclose(found[1], np.expm1(x) @ np.expm1(x).T, rtol=1e-9)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w: jnp.einsum("bte,fe->tbf", x, w),
        lambda x, w: jnp.moveaxis(x, 0, 1) @ w.T,
        lambda x, w: jnp.tensordot(x.transpose(1, 0, 2), w, axes=((2,), (1,))),
    ],
)
def test_a_factor_that_no_gemm_can_read_is_copied(f):
    x, w = reals(3, 4, 5), reals(6, 5)
    program = program_of(f, x, w)
    made = Executable(program)
    assert not any(isinstance(e, HostStep) for e in made.entries)
    np.testing.assert_allclose(made((x, w))[0], f(x, w), rtol=1e-12)
