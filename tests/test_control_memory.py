"""Reverse mode of loops within a stated memory: the binomial schedule, `checkpoint=` of scan and fori_loop, `memory_plan`."""

import functools
import tracemalloc

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import debug, lax
from funcgrad.transforms.revolve import advances, binomial_schedule, first_states, plan_blocks

RNG = np.random.default_rng(0)
W, X0, XS = RNG.normal(size=(3, 3)), RNG.normal(size=3), RNG.normal(size=(37, 3))


def close(have, want, rtol=1e-9):
    for a, b in zip(fg.tree.leaves(have), fg.tree.leaves(want), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=rtol, atol=1e-12)


# ---- the schedule ----


@functools.cache
def fewest(steps, kept):
    """By trying everything."""
    if steps == 1:
        return 0
    if kept == 1:
        return steps * (steps - 1) // 2
    return min(m + fewest(steps - m, kept - 1) + fewest(m, kept) for m in range(1, steps))


def test_the_schedule_is_the_best_one_and_needs_what_it_says():
    for steps in range(1, 40):
        for kept in range(1, 7):
            states, run, back = [0], 0, []
            for action, at, to in binomial_schedule(steps, kept):
                assert at == states[-1] <= to
                run += to - at
                if action == "keep":
                    states.append(to)
                    assert len(states) <= kept
                else:
                    back.append(to)
                    if to == at:
                        states.pop()
            assert back == list(range(steps))[::-1]
            assert run == advances(steps, kept) == fewest(steps, kept)


def test_first_states_are_those_of_the_first_way_forward():
    assert first_states(10, 1) == []
    assert first_states(10, 10) == list(range(1, 10))
    assert len(first_states(1000, 4)) == 3


def test_plans_fit_and_more_memory_never_means_more_work():
    before = None
    for budget in (100, 200, 400, 1000, 10_000, 100_000, 10**7):
        plan = plan_blocks(1000, 16, 40, budget)
        assert plan.bytes <= budget
        assert plan.block * plan.count >= 1000 > plan.block * (plan.count - 1)
        last = 1000 - plan.block * (plan.count - 1)
        assert plan.bytes == (plan.block + last % plan.block) * 40 + (plan.kept - 1) * 16
        assert before is None or plan.again <= before
        before = plan.again
    assert plan.count == 1
    assert plan_blocks(1000, 16, 40, 39) is None
    # A million steps in the memory of a thousandth of them: nearly every step is run twice, few more often.
    assert plan_blocks(10**6, 16, 40, 40_000).again < 3.1 * 10**6


# ---- derivatives are the same ----


def rnn(w, x0, xs, checkpoint=None, reverse=False):
    def step(h, x):
        h = jnp.tanh(h @ w + x)
        return h, jnp.sum(h * h)

    h, ys = lax.scan(step, x0, xs, reverse=reverse, checkpoint=checkpoint)
    return jnp.sum(h**3) + jnp.sum(jnp.sin(ys))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("checkpoint", [1, 5, 36, 37, 100, "sqrt", "1MB", "500B", "360 B", "0.3kB"])
def test_gradients(checkpoint, reverse):
    f = lambda *args: rnn(*args, checkpoint, reverse)
    plain = lambda *args: rnn(*args, None, reverse)
    want = fg.grad(plain, (0, 1, 2))(W, X0, XS)
    close(fg.grad(f, (0, 1, 2))(W, X0, XS), want)
    close(fg.jit(fg.grad(f, (0, 1, 2)))(W, X0, XS), want)
    close(fg.grad(fg.jit(f), (0, 1, 2))(W, X0, XS), want)
    close(fg.jit(f)(W, X0, XS), plain(W, X0, XS))
    close(fg.jvp(f, (W, X0, XS), (W, X0, XS)), fg.jvp(plain, (W, X0, XS), (W, X0, XS)))


@pytest.mark.parametrize("checkpoint", [5, "1kB", "500B"])
def test_higher_orders_and_batches(checkpoint):
    f = lambda w, x, xs: rnn(w, x, xs, checkpoint)
    want = fg.hessian(rnn, 1)(W, X0, XS)
    close(fg.hessian(f, 1)(W, X0, XS), want)
    close(fg.jit(fg.jacrev(fg.grad(f, 1), 1))(W, X0, XS), want)
    close(fg.jacrev(fg.jacfwd(f, 1), 1)(W, X0, XS), want)
    ws, many = np.stack([W, 2 * W, W - 1]), np.stack([XS, XS + 1, XS - 0.4])
    for axes in ((0, None, None), (None, None, 0), (0, None, 0)):
        args = [ws if axes[0] == 0 else W, X0, many if axes[2] == 0 else XS]
        want = fg.vmap(fg.grad(rnn, (0, 1, 2)), axes)(*args)
        close(fg.vmap(fg.grad(f, (0, 1, 2)), axes)(*args), want)
        close(fg.jit(fg.vmap(fg.grad(f, (0, 1, 2)), axes))(*args), want)
    over = lambda g: fg.grad(lambda w: jnp.sum(fg.vmap(g, (None, None, 0))(w, X0, many)))(W)
    close(over(lambda w, x, xs: rnn(w, x, xs, checkpoint if checkpoint == 5 else "2kB")), over(rnn))


def test_fori_loop_and_nesting_and_a_checkpointed_body():
    def f(x, rule):
        inner = lambda i, v: lax.fori_loop(0, 4, lambda k, u: jnp.sin(u) + i * k, v, checkpoint=rule)
        return jnp.sum(lax.fori_loop(0, 9, inner, x, checkpoint=rule))

    want = fg.grad(lambda x: f(x, None))(X0)
    for rule in ("sqrt", 3, "100B"):
        close(fg.grad(lambda x: f(x, rule))(X0), want)
        close(fg.jit(fg.grad(lambda x: f(x, rule)))(X0), want)
    body = fg.checkpoint(lambda c, x: (jnp.tanh(c @ W + x), c))
    g = lambda rule: lambda x: jnp.sum(lax.scan(body, x, XS, checkpoint=rule)[1] ** 2)
    close(fg.grad(g("500B"))(X0), fg.grad(g(None))(X0))


def test_integers_and_empty_loops():
    def f(x, rule, n=20):
        step = lambda c, _: ({"n": c["n"] + 1, "v": c["v"] * jnp.cos(x) + c["n"]}, c["n"])
        return lax.scan(step, {"n": 0, "v": x}, None, n, checkpoint=rule)[0]["v"]

    for n in (0, 1, 20):
        for rule in ("sqrt", 7, "200B"):
            close(fg.grad(lambda x: f(x, rule, n))(0.3), fg.grad(lambda x: f(x, None, n))(0.3))


def test_what_runs_again_has_no_effects_again():
    for rule in (3, "100B"):
        seen = []

        def step(c, i):
            debug.callback(lambda i: seen.append(int(i)), i)
            return lax.cond(i > 2, lambda v: jnp.sin(v), lambda v: v * c, c), None

        f = lambda x: lax.scan(step, x, np.arange(12), checkpoint=rule)[0]
        fg.jit(fg.grad(f))(0.5)
        assert seen == list(range(12)), rule


@pytest.mark.parametrize(
    ("rule", "error", "words"),
    [
        (True, TypeError, "got True of type bool"),
        (2.5, TypeError, "a number of segments"),
        (0, ValueError, "at least one segment"),
        ("64", ValueError, 'a size with its unit .such as "64MB".'),
        ("cube", ValueError, "got 'cube'"),
    ],
)
def test_bad_rules(rule, error, words):
    with pytest.raises(error, match=words):
        lax.scan(lambda c, _: (c, None), 1.0, None, 3, checkpoint=rule)


def test_a_budget_too_small_and_traced_bounds():
    with pytest.raises(ValueError, match=r"within 10 bytes, and one step of step alone saves \d+"):
        fg.grad(lambda x: rnn(W, x, XS, "10B"))(X0)
    with pytest.raises(ValueError, match="here a bound is traced"):
        fg.jit(lambda n: lax.fori_loop(0, n, lambda i, v: v, 1.0, checkpoint="sqrt"))(3)


# ---- measured ----


def peak_of(f, *args):
    """The most bytes that Python and NumPy held during a call."""
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def long_loop(x, length, rule):
    step = lambda c, _: (jnp.sin(c) * 1.01 + 0.1 * x, None)
    return jnp.sum(lax.scan(step, x, None, length, checkpoint=rule)[0])


def test_a_million_steps_stay_within_their_budget():
    """The budget, and what tracing and compiling leave behind, as a short loop shows; all would be sixteen times as much."""
    x, length = np.linspace(0.1, 0.4, 4), 1_000_000
    native = not fg.stages(lambda x: long_loop(x, 10, None))(x).host_calls
    if not native:
        pytest.skip("loops do not run natively here; a million steps would take minutes")
    want = fg.jit(fg.grad(lambda x: long_loop(x, length, None)))(x)
    for rule, most in (("2MB", 2_000_000), ("sqrt", 200_000)):
        f = fg.jit(fg.grad(lambda x: long_loop(x, length, rule)))
        short = lambda x, rule=rule: long_loop(x, 500, "5kB" if rule == "2MB" else rule)
        fg.jit(fg.grad(lambda x, short=short: short(x)))(x)  # kernels that no disk has are compiled here
        small = fg.jit(fg.grad(short))
        overhead = peak_of(small, x)
        assert overhead < 500_000
        assert peak_of(f, x) <= most + overhead, rule
        close(f(x), want, 1e-6)


# ---- memory_plan ----


def two_layers(w1, w2, x):
    hidden = jnp.tanh(x @ w1)
    return jnp.sum((hidden @ w2) ** 2)


LAYERS = (np.ones((400, 500)) / 500, np.ones((500, 300)) / 500, np.ones((4000, 400)))


@pytest.mark.parametrize("f", [two_layers, fg.grad(two_layers, (0, 1))], ids=["value", "gradient"])
def test_the_plan_is_what_a_run_takes(f):
    plan = fg.memory_plan(f)(*LAYERS)
    structs = [fg.ShapeDtypeStruct(a.shape, a.dtype) for a in LAYERS]
    assert fg.memory_plan(fg.jit(f))(*structs).peak == plan.peak
    measured = peak_of(fg.jit(f), *LAYERS)
    # Tracing and compiling leave something behind too.
    assert plan.peak <= measured <= 1.05 * plan.peak + 500_000
    assert plan.peak == plan.arena + plan.account.results + plan.account.host
    assert plan.account.arguments == sum(a.nbytes for a in LAYERS)


def test_the_plan_names_the_lines_of_the_largest_arrays():
    plan = fg.memory_plan(fg.grad(two_layers, (0, 1)))(*LAYERS)
    inner = [b for b in plan.buffers if b.role == "intermediate"]
    assert inner[0].nbytes == 4000 * 500 * 8
    assert "test_control_memory.py:" in inner[0].origin
    sizes = [b.nbytes for b in plan.buffers]
    assert sizes == sorted(sizes, reverse=True)
    text = str(plan)
    assert text.startswith("two_layers takes ")
    assert "argument f64[4000,400], 12.80 MB" in text
    assert "(two_layers)" in text


def test_the_plan_without_kernels_and_of_traced_values(monkeypatch):
    monkeypatch.setattr("funcgrad.api.memory.execute.executable", lambda program: None)
    plan = fg.memory_plan(two_layers)(*LAYERS)
    assert plan.peak >= 2 * 4000 * 500 * 8  # tanh and its argument
    monkeypatch.undo()
    with pytest.raises(TypeError, match="memory_plan of <lambda>: it closes over a value"):
        fg.jit(lambda x: (fg.memory_plan(lambda y: x + y)(1.0), x)[1])(2.0)


def test_the_plan_of_a_loop_says_what_checkpoint_saves():
    def f(x, rule):
        return jnp.sum(lax.scan(lambda c, _: (jnp.tanh(c @ W + x), None), x, None, 10_000, checkpoint=rule)[0])

    def plan(rule):
        return fg.memory_plan(fg.grad(lambda x: f(x, rule)))(X0).peak

    everything = plan(None)
    assert everything >= 10_000 * 3 * 8
    assert plan("sqrt") < everything / 10
    assert plan("50kB") < 2 * 50_000
