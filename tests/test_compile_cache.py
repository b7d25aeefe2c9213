"""The cache of machine code on disk: what is found in it again, what an entry depends on, kernels that do not compile."""

import pathlib

import numpy as np
import pytest
from cache_cases import assert_right, counts, finish, log_of, marks, start, temporary
from cache_cases import fresh_folder as fresh_folder

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import build, cache, native

pytestmark = marks


# ---- sharing ----


def test_a_new_shape_compiles_nothing(folder):
    f = fg.jit(fg.value_and_grad(lambda w, x: fnp.mean(fnp.logaddexp(0.0, x @ w) ** 2)))
    w, rng = np.linspace(0, 1, 12), np.random.default_rng(0)
    before = native.compile_log()
    f(w, rng.normal(size=(16, 12)))
    first = counts(before)
    assert first["compiled"] >= 2 and first["loaded"] == 0
    for batch in (48, 1000):
        before = native.compile_log()
        x = rng.normal(size=(batch, 12))
        value, slope = f(w, x)
        np.testing.assert_allclose(value, np.mean(np.logaddexp(0, x @ w) ** 2), rtol=1e-9)
        assert slope.shape == (12,)
        # Another size may be done in fewer steps, and in none that are new.
        assert counts(before)["compiled"] == 0 and counts(before)["loaded"] == 0
        assert 0 < counts(before)["shared"] <= first["compiled"] + first["shared"]


def test_a_second_process_compiles_nothing(folder):
    first = log_of("right()", folder)
    assert first["compiled"] >= 2 and first["loaded"] == 0
    second = log_of("right()", folder)
    assert second["compiled"] == 0 and second["loaded"] == first["compiled"]


def test_two_processes_at_once(folder):
    several = [start("right()", folder) for _ in range(4)]
    for process in several:
        finish(process)
    assert temporary(folder) == []
    assert log_of("right()", folder)["compiled"] == 0


# ---- what an entry depends on ----


@pytest.mark.parametrize("name", ["_sources", "machine_key"])
def test_a_change_of_sources_or_machine_compiles_again(folder, monkeypatch, name):
    assert_right()
    entries = {p.name for p in folder.iterdir()}
    monkeypatch.setattr(native, "_addresses", {})
    monkeypatch.setattr(cache, name, lambda: "another")
    before = native.compile_log()
    assert_right()
    assert counts(before)["loaded"] == 0 and counts(before)["compiled"] == len(entries)
    assert len(list(folder.iterdir())) == 2 * len(entries)


def test_the_key_names_llvmlite_and_the_cpu(monkeypatch):
    before = cache.machine_key()
    changes = [
        ("llvm_version", lambda: "0.0.1"),
        ("_description", lambda: {"model name": "the same", "flags": "sse2"}),
        ("_description", lambda: {"Features": "neon"}),
    ]
    machine = cache.machine
    for name, value in changes:
        with monkeypatch.context() as m:
            m.setattr(machine, name, value)
            m.setattr(machine, "identity", machine.identity.__wrapped__)
            assert cache.machine_key.__wrapped__() != before
    assert cache.machine_key.__wrapped__() == before


def test_the_sources_are_those_that_make_code():
    read = []
    digest = cache._sources.__wrapped__()
    before = cache.Path.read_bytes
    try:
        cache.Path.read_bytes = lambda path: read.append(path.name) or before(path) + b"#"
        assert cache._sources.__wrapped__() != digest
    finally:
        cache.Path.read_bytes = before
    assert {"build.py", "functions.py", "__init__.py"} <= set(read)


# ---- a kernel that cannot be compiled ----


def failing(monkeypatch):
    def compile_source(text, symbol):
        raise RuntimeError("LLVM has had enough")

    monkeypatch.setattr(build, "compile_source", compile_source)
    monkeypatch.setattr(native, "_addresses", {})


def test_a_kernel_that_fails_is_named_and_numpy_runs_the_program(folder, monkeypatch):
    failing(monkeypatch)
    f = fg.jit(lambda v: fnp.exp(v) * 1.5 + fnp.sin(v))
    x = np.linspace(0, 1, 7)
    with pytest.warns(UserWarning, match="LLVM has had enough") as found:
        np.testing.assert_allclose(f(x), np.exp(x) * 1.5 + np.sin(x), rtol=1e-12)
    (message,) = [str(w.message) for w in found]
    assert "exp" in message and "sin" in message and "NumPy runs it" in message
    path = message.split("its source is in ")[1].split(")")[0].split(";")[0]
    assert path.startswith(str(folder)) and "def kernel(args, lo, hi):" in pathlib.Path(path).read_text()
    np.testing.assert_allclose(f(x), np.exp(x) * 1.5 + np.sin(x), rtol=1e-12)  # warned of once
    monkeypatch.undo()
    np.testing.assert_allclose(fg.jit(lambda v: v * 2.5)(x), x * 2.5)


def test_the_text_of_a_failing_kernel_without_a_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", "")
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    failing(monkeypatch)
    with pytest.warns(UserWarning, match="its source is in " + str(tmp_path)):
        assert float(fg.jit(lambda v: fnp.exp(v) - 0.25)(np.float64(0.0))) == 0.75
    assert len(list(tmp_path.iterdir())) == 1
