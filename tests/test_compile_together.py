"""Kernels compiled by several processes at once: the same code, and a right answer whatever becomes of the other processes."""

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile import build, native, together

posix = pytest.mark.skipif(os.name != "posix", reason="signals and forks")
TEXT = """def kernel(args, lo, hi):
    x0 = word(args, 0)
    for i in range(lo, hi):
        store_f64(x0, i, load_f64(x0, i) * f64({}.25))
"""
TEXTS = [(TEXT.format(n), f"kernel_{n}") for n in range(10, 16)]


@pytest.fixture(autouse=True)
def no_process_is_left(monkeypatch):
    monkeypatch.setenv("FUNCGRAD_COMPILE_PROCESSES", "1")
    together.end()
    yield
    assert not together._started
    together.end()


def right(made):
    """Whether the object files are those that this process makes alone."""
    return made == {symbol: build.compile_source(text, symbol) for text, symbol in TEXTS}


@pytest.mark.parametrize("count", ["0", "1", "2"])
def test_the_code_is_the_same_whoever_makes_it(count, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_COMPILE_PROCESSES", count)
    asked = []
    compile_there = together._Process.compile
    monkeypatch.setattr(together._Process, "compile", lambda p, a: asked.append(p) or compile_there(p, a))
    monkeypatch.setattr(build, "compile_source", slowly(build.compile_source))
    made = together.compile_together(TEXTS)
    monkeypatch.undo()
    assert right(made)
    assert len(set(map(id, asked))) == int(count)


def slowly(function):
    """The function after a moment in which other processes become ready."""
    began = threading.Event()

    def later(*args):
        if not began.is_set():
            began.set()
            threading.Event().wait(1.0)
        return function(*args)

    return later


def test_few_kernels_start_no_process(monkeypatch):
    monkeypatch.setattr(together, "_Process", lambda *_: pytest.fail("a process was started"))
    assert len(together.compile_together(TEXTS[: together.FEWEST - 1])) == together.FEWEST - 1


def test_python_inside_of_another_program_is_not_started_again(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/simulator/bin/simulator")
    together.start()
    assert not together._started


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_ends_or_hangs(how, monkeypatch):
    monkeypatch.setattr(together, "PATIENCE", 0.5)
    together.start()
    (process,) = together._started
    os.kill(process.process.pid, how)
    assert right(together.compile_together(TEXTS))
    assert process.process.poll() is not None


def test_a_process_that_answers_nonsense(monkeypatch):
    class Nonsense(together._Process):
        def compile(self, assembly):
            return super().compile("this is no assembly")

    monkeypatch.setattr(together, "_Process", Nonsense)
    assert right(together.compile_together(TEXTS))


def test_a_system_without_processes(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert right(together.compile_together(TEXTS))


def test_a_kernel_that_cannot_be_compiled_leaves_the_others():
    broken = ("def kernel(args, lo, hi):\n    frobnicate(lo)\n", "kernel_broken")
    made = together.compile_together([*TEXTS, broken])
    assert "kernel_broken" not in made and right(made)


def test_an_interrupted_compilation_ends_the_process(monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "compile_source", interrupted)
    together.start()
    (process,) = together._started
    with pytest.raises(KeyboardInterrupt):
        together.compile_together(TEXTS)
    assert process.process.poll() is not None


def chain(x):
    """Six kernels: products between them keep them apart."""
    for function in (jnp.tanh, jnp.exp, jnp.sin, jnp.cos, jnp.arctan, jnp.sqrt):
        x = function(x @ x * 0.01 + 1.0)
    return x


def test_a_program_with_an_empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(native, "_addresses", {})
    native.native()
    before = fg.compile_log()
    x = np.random.default_rng(0).normal(size=(5, 5)) * 0.1
    np.testing.assert_allclose(fg.jit(chain)(x), chain(x), rtol=1e-12)
    compiled = fg.compile_log()["compiled"] - before["compiled"]
    assert compiled == 7 <= len(list(tmp_path.iterdir()))
    assert not native._ready


CHILD = """
import os
import numpy as np
import funcgrad as fg
from funcgrad.compile import native, together
native.native()
assert len(together._started) == 1, "the runtime is compiled beside a process that starts"
pid = together._started[0].process.pid
if os.fork() == 0:
    assert not together._started
    print(fg.jit(lambda x: x * 2)(np.ones(2)), flush=True)
    os._exit(0)
os.wait()
assert together._started[0].process.poll() is None
print(fg.jit(lambda x: x + 2)(np.ones(2)))
assert not together._started
"""


@posix
def test_a_fork_beside_a_process(tmp_path):
    env = {**os.environ, "FUNCGRAD_CACHE_DIR": str(tmp_path), "FUNCGRAD_COMPILE_PROCESSES": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD], capture_output=True, text=True, timeout=60, env=env, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[2. 2.]\n[3. 3.]\n", "")
