"""Compiled programs and memory: more than there is, what is left of it, and when it is given back."""

import gc
import os
import sys
import weakref

import numpy as np
import pytest
from running_cases import compiled, marks
from running_cases import same_threads as same_threads

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import executor, plan

pytestmark = marks


def test_more_memory_than_there_is():
    def outer(x):
        huge = x[:, None] * x[None, :]  # the large one
        return fnp.sum(fnp.sort(huge, axis=0)[::2], axis=1)

    f = fg.jit(outer)
    x = np.ones(1_500_000)
    for _ in range(2):
        with pytest.raises(MemoryError) as found:
            f(x)
        message = str(found.value)
        assert "outer needs" in message and "GB" in message and "f64[1500000,1500000]" in message, message
        assert os.path.basename(__file__) in message and "(outer)" in message, message
    np.testing.assert_allclose(f(np.arange(4.0)), outer_of_four())


def outer_of_four():
    x = np.arange(4.0)
    return np.sum(np.sort(x[:, None] * x[None, :], axis=0)[::2], axis=1)


def test_a_result_larger_than_memory():
    def result(x):
        return fnp.exp(x[:, None] + x[None, :])

    f = fg.jit(result)
    with pytest.raises(
        MemoryError, match=r"result needs 18000.00 GB \(0.00 GB for intermediate.*\n.*exp at .*\(result\)"
    ):
        f(np.ones(1_500_000))
    np.testing.assert_allclose(f(np.zeros(2)), np.ones((2, 2)))


def test_memory_that_the_system_would_promise_and_not_have(monkeypatch):
    f = fg.jit(lambda x: fnp.sort(fnp.sin(x)) + 1.0)
    x = np.zeros(1 << 22)
    monkeypatch.setattr(executor, "LARGE", 1 << 20)
    monkeypatch.setattr(executor, "available_memory", lambda: 48 << 20)
    with pytest.raises(MemoryError, match="The largest arrays:\n  f64"):
        f(x)
    monkeypatch.setattr(executor, "available_memory", lambda: None)  # not known: the system decides
    np.testing.assert_array_equal(f(x), np.ones(1 << 22))
    monkeypatch.setattr(executor, "available_memory", lambda: 1)  # the frame is there already
    np.testing.assert_array_equal(f(x), np.ones(1 << 22))


def test_memory_that_is_left(tmp_path, monkeypatch):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    monkeypatch.setattr(plan, "_ROOT", tmp_path)
    assert plan.available_memory() is None
    write("proc/meminfo", "MemTotal: 100 kB\nMemAvailable:   50 kB\nSwapFree: 7 kB\nHugePages_Total: 0\n")
    assert plan.available_memory() == 57 * 1024
    write("sys/fs/cgroup/memory.max", "max\n")
    write("sys/fs/cgroup/memory.current", "5000\n")
    assert plan.available_memory() == 57 * 1024
    write("sys/fs/cgroup/memory.max", "20000\n")
    assert plan.available_memory() == 15_000
    write("sys/fs/cgroup/memory.stat", "anon 9\nactive_file 100\ninactive_file 20\n")
    assert plan.available_memory() == 15_120
    write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n")
    write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n")
    assert plan.available_memory() == 8_000


def test_the_memory_of_this_machine():
    if sys.platform.startswith("linux"):
        assert (1 << 20) < plan.available_memory() < (1 << 50)


def test_an_arena_is_freed_with_its_program():
    f = fg.jit(lambda x: fnp.cumsum(fnp.sort(x) * 2.0) + 1.0)
    x = np.ones(1000)
    f(x)
    f(x)
    found = compiled(f, x)
    assert len(found.frames) == 1
    arena = weakref.ref(found.frames[0].arena)
    del f, found
    gc.collect()
    assert arena() is None
