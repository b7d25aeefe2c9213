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
