"""debug.print, debug.callback and progress bars inside loops: how often, in which order, under every transform."""

import io
import time

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import debug, lax

seen: list[tuple[int, float]] = []


def body(i, c):
    debug.callback(lambda i, c: seen.append((int(i), float(c))), i, c, ordered=True)
    return jnp.sin(c) + i


def as_while(x):
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, body(s[0], s[1])), (0, x))[1]


LOOPS = {
    "fori_loop": lambda x: lax.fori_loop(0, 3, body, x),
    "traced fori_loop": lambda x: lax.fori_loop(0, jnp.where(x > 100.0, 4, 3), body, x),
    "scan": lambda x: lax.scan(lambda c, i: (body(i, c), None), x, np.arange(3))[0],
    "while_loop": as_while,
    "bounded": lambda x: lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, body(*s)), (0, x), max_steps=5)[1],
    "in cond": lambda x: lax.fori_loop(0, 3, lambda i, c: lax.cond(i < 9, lambda c: body(i, c), lambda c: c, c), x),
    "in switch": lambda x: lax.fori_loop(0, 3, lambda i, c: lax.switch(i % 2, [lambda c: body(i, c)] * 2, c), x),
    "map": lambda x: jnp.sum(lax.map(lambda i: body(i, x), np.arange(3))),
    "nested": lambda x: lax.fori_loop(0, 1, lambda k, c: lax.fori_loop(0, 3, body, c), x),
    "checkpointed": lambda x: lax.fori_loop(0, 3, fg.checkpoint(body), x),
    "jitted body": lambda x: lax.fori_loop(0, 3, fg.jit(body), x),
    "unused": lambda x: (lax.fori_loop(0, 3, body, x), x)[1],
}

ONCE = {
    "plain": lambda f: f,
    "jit": fg.jit,
    "grad": fg.grad,
    "jit of grad": lambda f: fg.jit(fg.grad(f)),
    "grad of jit": lambda f: fg.grad(fg.jit(f)),
    "jit of value_and_grad": lambda f: fg.jit(fg.value_and_grad(f)),
    "jvp": lambda f: lambda x: fg.jvp(f, (x,), (1.0,)),
    "jit of jvp": lambda f: fg.jit(lambda x: fg.jvp(f, (x,), (1.0,))),
    "second": lambda f: fg.grad(fg.grad(f)),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("transform", ONCE)
def test_once_a_step_in_order(loop, transform):
    f = ONCE[transform](LOOPS[loop])
    for _ in range(2):
        seen.clear()
        f(0.5)
        assert [i for i, _ in seen] == [0, 1, 2]
    c = 0.5
    for i, value in seen:
        assert value == pytest.approx(c)
        c = c if loop == "map" else np.sin(c) + i


@pytest.mark.parametrize("loop", [n for n in LOOPS if n != "bounded"])
def test_once_a_step_and_example(loop):
    x = np.array([0.5, 1.5])
    for f in (fg.vmap(LOOPS[loop]), fg.jit(fg.vmap(LOOPS[loop])), fg.jit(fg.vmap(fg.grad(LOOPS[loop])))):
        seen.clear()
        f(x)
        assert sorted(i for i, _ in seen) == [0, 0, 1, 1, 2, 2]


def test_print_inside_a_jitted_loop(capsys):
    @fg.jit
    def f(x):
        def step(c, i):
            debug.print("step {i}: {c:.1f}", i=i, c=c, ordered=True)
            return c * 2, None

        return lax.scan(step, x, np.arange(3))[0]

    f(1.0)
    assert capsys.readouterr().out == "step 0: 1.0\nstep 1: 2.0\nstep 2: 4.0\n"


# ---- progress ----


class Screen(io.StringIO):
    """What tqdm writes, and how often."""

    def states(self):
        return [s for s in self.getvalue().replace("\n", "\r").split("\r") if s.strip()]


def with_bar(loop, **options):
    screen = Screen()
    return fg.progress(loop, file=screen, mininterval=0, **options), screen


XS = np.linspace(0.0, 1.0, 1003)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("jit", [False, True])
def test_a_bar_for_scan(jit, reverse):
    scan, screen = with_bar(lax.scan, desc="training")
    step = lambda c, x: (jnp.sin(c) + x, {"y": c * x})
    run = lambda scan: lambda c: scan(step, c, XS, reverse=reverse)
    f = run(scan)
    for _ in range(2):
        screen.truncate(screen.seek(0))
        last, ys = (fg.jit(f) if jit else f)(0.3)
        want, want_ys = run(lax.scan)(0.3)
        assert float(last) == pytest.approx(float(want), rel=1e-13)
        np.testing.assert_allclose(ys["y"], want_ys["y"], rtol=1e-12)
        states = screen.states()
        assert states[0].startswith("training:   0%")
        assert states[-1].startswith("training: 100%")
        assert "1003/1003" in states[-1]
        assert 50 <= len(states) <= 110


def test_a_bar_for_fori_loop_with_known_and_traced_bounds():
    fori, screen = with_bar(lax.fori_loop, updates=10)
    power = lambda n: fori(3, n, lambda i, v: v * 0.5 + i, 1.0)
    want = lambda n: float(lax.fori_loop(3, n, lambda i, v: v * 0.5 + i, 1.0))
    traced = fg.jit(power)
    for f in (power, lambda n: fg.jit(lambda x: fori(3, n, lambda i, v: v * 0.5 + i, x))(1.0), traced):
        for n in (103, 8, 3, 1):
            screen.truncate(screen.seek(0))
            assert float(f(n)) == pytest.approx(want(n), rel=1e-13)
            if n > 3:
                assert f"{n - 3}/{n - 3}" in screen.states()[-1]
                assert len(screen.states()) <= 14


def test_bars_under_transforms():
    fori, screen = with_bar(lax.fori_loop, updates=5)
    f = lambda fori: lambda x: fori(0, 20, lambda i, v: jnp.sin(v) * x + i, x)
    plain = f(lax.fori_loop)
    x = np.array([0.3, 0.7])
    runs = [
        (lambda g: fg.jit(fg.grad(g))(0.3), 1), (lambda g: fg.grad(g)(0.3), 1), (lambda g: fg.vmap(g)(x), 1),
        (lambda g: fg.jit(fg.vmap(fg.grad(g)))(x), 1), (lambda g: fg.jit(lambda x: fg.jvp(g, (x,), (x,)))(0.3), 1),
    ]  # fmt: skip
    for run, bars in runs:
        screen.truncate(screen.seek(0))
        for a, b in zip(fg.tree.leaves(run(f(fori))), fg.tree.leaves(run(plain)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        assert sum("20/20" in s for s in screen.states()) >= bars
        assert sum("| 0/20" in s for s in screen.states()) == bars


def test_a_bar_costs_next_to_nothing():
    """Two hundred calls of Python for a million element operations; compared in one run, the best of several."""
    heavy = lambda i, v: jnp.sin(v) + i
    x = np.linspace(0.0, 1.0, 2000)
    quiet = fg.jit(lambda x: lax.fori_loop(0, 2000, heavy, x))
    loud = fg.jit(lambda x: fg.progress(lax.fori_loop, file=Screen())(0, 2000, heavy, x))
    times = {f: [] for f in (quiet, loud)}
    for f in [quiet, loud] * 4:
        start = time.perf_counter()
        f(x)
        times[f].append(time.perf_counter() - start)
    assert min(times[loud]) < 1.3 * min(times[quiet]) + 0.02


def test_what_progress_refuses(monkeypatch):
    with pytest.raises(TypeError, match="progress takes lax.scan or lax.fori_loop, got while_loop"):
        fg.progress(lax.while_loop)
    with pytest.raises(ValueError, match="updates must be at least 1, got 0"):
        fg.progress(lax.scan, updates=0)
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"needs tqdm, which is not installed; pip install 'funcgrad\[progress\]'"):
        fg.progress(lax.scan)
