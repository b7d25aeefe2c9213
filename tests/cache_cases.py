"""What the tests of the cache on disk share: a fresh directory, other processes that use it, a program to get right."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import native

marks = pytest.mark.skipif(native.native() is None, reason="this machine runs no machine code of ours")

PROGRAM = """
import numpy as np, funcgrad as fg, funcgrad.numpy as fnp
from funcgrad.compile import cache, native
f = fg.jit(fg.value_and_grad(lambda x: fnp.sum(fnp.tanh(x) * 1.2345)))
x = np.linspace(-1, 1, 50)
def right():
    value, slope = f(x)
    np.testing.assert_allclose(value, np.sum(np.tanh(x) * 1.2345), atol=1e-12)
    np.testing.assert_allclose(slope, 1.2345 * (1 - np.tanh(x) ** 2), rtol=1e-12)
"""
"""What the other processes of these tests start with."""


def start(code, folder, **env):
    """Another process: runs PROGRAM and the code, with `folder` as its cache directory."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "FUNCGRAD_CACHE_DIR": str(folder), **env},
    )  # fmt: skip


def finish(process, code=0):
    """What the process printed; it must end with this code."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return out.strip()


def log_of(code, folder, **env):
    """compile_log() of another process after the code has run."""
    return eval(finish(start(textwrap.dedent(code) + "\nprint(native.compile_log())", folder, **env)).splitlines()[-1])


def temporary(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith("new-")]


@pytest.fixture(name="folder")
def fresh_folder(tmp_path, monkeypatch):
    """A fresh cache directory for this process, which keeps no kernel of before."""
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(native, "_addresses", {})
    return tmp_path / "kernels"


def fresh_program(number=1.25):
    """A function that no Program exists for yet, and its right answer."""
    x = np.linspace(0, 1, 7)
    return fg.jit(lambda v: fnp.exp(v) * 1.25 + fnp.sin(v)), x, np.exp(x) * number + np.sin(x)


def assert_right():
    f, x, want = fresh_program()
    np.testing.assert_allclose(f(x), want, rtol=1e-12)


def counts(before):
    return {k: v - before[k] for k, v in native.compile_log().items()}
