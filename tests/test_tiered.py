"""Tiered execution: NumPy answers first, another process compiles, the program switches over."""

import subprocess
import sys
import time

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile import execute, native


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def switched(program, seconds=60.0):
    """Waits for the compiled form."""
    end = time.monotonic() + seconds
    while execute.compiled(program) is None and time.monotonic() < end:
        time.sleep(0.02)
    return execute.compiled(program)


def test_the_first_call_is_numpys_and_later_ones_are_compiled_by_another_process(empty_cache):
    f = fg.jit(lambda x: jnp.sum(jnp.tanh(x) * x + 0.123456), tiered=True)
    x = np.linspace(-1, 1, 50)
    want = np.sum(np.tanh(x) * x + 0.123456)
    native.native()
    before = fg.compile_log()["compiled"]
    np.testing.assert_allclose(f(x), want, rtol=1e-12)
    program = f.trace(x).program
    assert switched(program) is not None
    np.testing.assert_allclose(f(x), want, rtol=1e-12)
    # The worker compiled into the disk cache; this process only loaded.
    assert fg.compile_log()["compiled"] == before
    assert list(empty_cache.iterdir())


def test_a_worker_that_fails_only_costs_time(empty_cache, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    f = fg.jit(lambda x: jnp.exp(x) * 3.21 - jnp.sin(x), tiered=True)
    x = np.linspace(0, 1, 7)
    np.testing.assert_allclose(f(x), np.exp(x) * 3.21 - np.sin(x))
    assert switched(f.trace(x).program) is not None
    np.testing.assert_allclose(f(x), np.exp(x) * 3.21 - np.sin(x))


def test_the_setting_is_for_functions_that_do_not_say():
    fg.set_tiered(True)
    try:
        f = fg.jit(lambda x: jnp.cos(x) * 1.75 + x)
        never = fg.jit(lambda x: jnp.cos(x) * 1.75 - x, tiered=False)
        f(np.ones(3)), never(np.ones(3))
        assert execute.compiled(never.trace(np.ones(3)).program) is not None
        assert switched(f.trace(np.ones(3)).program) is not None
    finally:
        fg.set_tiered(False)


def test_the_environment_sets_it():
    code = "from funcgrad.compile import execute; print(execute.tiered)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"FUNCGRAD_TIERED": "1", "PATH": ""}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[True]", done.stderr


def test_the_number_of_threads_is_checked():
    with pytest.raises(ValueError, match="at least 1 thread, got 0"):
        fg.set_num_threads(0)


FORK = """
import os, sys, time, numpy as np, funcgrad as fg, funcgrad.numpy as fnp
from funcgrad.compile import execute, locks
WHERE = sys.argv[1]
x = np.linspace(-1, 1, 50)
want = np.tanh(x) * 1.75 + np.sin(x)
f = fg.jit(lambda v: fnp.tanh(v) * 1.75 + fnp.sin(v), tiered=True)
program = f.trace(x).program
reached = []
def slowly(name, make):
    def wrapped(*args, **kwargs):
        if execute.threading.current_thread().name == "funcgrad-tier":
            reached.append(name)
            time.sleep(0.5)
            made = make(*args, **kwargs)
            reached.append("end of " + name)
            return made
        return make(*args, **kwargs)
    return wrapped
for name in ("_compiled", "_start_worker", "_loaded"):
    setattr(execute, name, slowly(name, getattr(execute, name)))
def switched():
    end = time.monotonic() + 60
    while execute.compiled(program) is None and time.monotonic() < end:
        np.testing.assert_allclose(f(x), want, rtol=1e-12)
        time.sleep(0.02)
    assert execute.compiled(program) is not None
    np.testing.assert_allclose(f(x), want, rtol=1e-12)
np.testing.assert_allclose(f(x), want, rtol=1e-12)
while WHERE not in reached:
    time.sleep(0.005)
if WHERE == "_start_worker":
    time.sleep(0.6)  # the worker runs
pid = os.fork()
if pid == 0:
    code = 1
    try:
        assert reached[-1].startswith("end of")  # the fork waited
        switched()
        g = fg.jit(lambda v: fnp.exp(v) * 2.25)  # the child compiles on its own as well
        np.testing.assert_allclose(g(x), np.exp(x) * 2.25, rtol=1e-12)
        code = 0
    finally:
        os._exit(code)
switched()
assert os.waitpid(pid, 0)[1] == 0
"""
"""Forks while the thread of tiered execution is at the function named by the argument; parent and child both end up compiled."""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("where", ["_compiled", "_start_worker", "_loaded"])
def test_a_fork_while_the_thread_compiles_leaves_both_sides_usable(empty_cache, where):
    done = subprocess.run([sys.executable, "-c", FORK, where], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_calls_do_not_wait_for_the_thread(empty_cache, monkeypatch):
    held = execute._compiled
    monkeypatch.setattr(execute, "_compiled", lambda *a, **k: (time.sleep(1.0), held(*a, **k))[1])
    f = fg.jit(lambda x: jnp.sinh(x) * 0.77, tiered=True)
    x = np.linspace(0, 1, 5)
    start = time.monotonic()
    for _ in range(5):
        np.testing.assert_allclose(f(x), np.sinh(x) * 0.77)
    assert time.monotonic() - start < 0.9
    assert switched(f.trace(x).program) is not None
