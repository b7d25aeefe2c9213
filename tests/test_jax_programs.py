"""Runs each program of `tests/programs` on funcgrad and on JAX, the same text with only the modules changed, and compares.

A program is a module with `run(jax, jnp) -> dict[str, array]`; it may set `TOL` (relative tolerance) with a reason.
"""

import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

PROGRAMS = sorted(p.stem for p in (Path(__file__).parent / "programs").glob("*.py") if p.stem != "__init__")
SUBMODULES = ("numpy", "random", "lax", "nn", "tree", "tree_util", "flatten_util", "debug", "scipy.special")


def load(name: str) -> ModuleType:
    """The program module of that name, from its file."""
    path = Path(__file__).parent / "programs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"jax_program_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_on(program: ModuleType, package: str) -> dict[str, np.ndarray[Any, Any]]:
    """The program's results on `package` ("jax" or "funcgrad"), as NumPy arrays."""
    root = importlib.import_module(package)
    for name in SUBMODULES:
        importlib.import_module(f"{package}.{name}")
    return {key: np.asarray(value) for key, value in program.run(root, root.numpy).items()}


@pytest.fixture(scope="module")
def jax_x64() -> Iterator[None]:
    """JAX with float64 switched on, for the length of this module's tests."""
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def tolerance(program: ModuleType, dtype: np.dtype[Any]) -> float:
    """Relative to the largest entry: 1e-9 for double precision, 2e-5 for single, 0 for the rest, unless it sets `TOL`."""
    if dtype.kind not in "fc":
        return 0.0
    single = dtype in (np.float32, np.complex64)
    return float(getattr(program, "TOL", 2e-5 if single else 1e-9))


def compare(program: ModuleType, got: dict[str, Any], want: dict[str, Any]) -> None:
    """Same names, shapes, dtypes, and numbers within the tolerance."""
    assert got.keys() == want.keys()
    for key, expected in want.items():
        actual = got[key]
        assert actual.shape == expected.shape, f"{key}: shape {actual.shape}, JAX has {expected.shape}"
        assert actual.dtype == expected.dtype, f"{key}: dtype {actual.dtype}, JAX has {expected.dtype}"
        tol = tolerance(program, expected.dtype)
        finite = np.abs(expected[np.isfinite(expected)]) if expected.dtype.kind in "fc" else np.zeros(0)
        scale = float(finite.max()) if finite.size else 0.0
        np.testing.assert_allclose(actual, expected, rtol=tol, atol=tol * scale, err_msg=key)


def test_there_are_at_least_fifteen_programs() -> None:
    assert len(PROGRAMS) >= 15


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_gives_the_numbers_of_jax(name: str, jax_x64: None) -> None:
    program = load(name)
    compare(program, run_on(program, "funcgrad"), run_on(program, "jax"))
