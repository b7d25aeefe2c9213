"""Ten programs whose kernels' text is kept in tests/golden: a refactor may not change it, and numba must agree with it.

`python -m tests.test_golden_kernels --write` writes the files anew; the difference is then read like any other change.
"""

import ast
import pathlib
import sys

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile import execute, numba_language
from funcgrad.compile.executor import Executable, NativeStep

GOLDEN = pathlib.Path(__file__).parent / "golden"


def reals(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def chain(x, row, column):
    return jnp.exp(jnp.sin(x) * row + column) / (1.0 + x * x)


def softmax_gradient(x, y):
    return fg.grad(lambda v: jnp.sum(fg.nn.softmax(v) * y))(x)


def layer_norm(x, scale, shift):
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * scale + shift


def layer_norm_gradient(x, scale, shift, y):
    return fg.grad(lambda *a: jnp.sum(layer_norm(*a) * y), argnums=(0, 1, 2))(x, scale, shift)


def sgd_of_a_bias(bias, momentum, cotangent):
    momentum = 0.9 * momentum + jnp.sum(cotangent, axis=0)
    return bias - 0.01 * momentum, momentum


def total(x):
    return jnp.sum(jnp.abs(x))


def transposed(x, y):
    return x.T * 2.0 + y


def masked(x, y):
    keep = (x > 0) & ~(y > 0.5)
    return jnp.where(keep, x * y, jnp.minimum(x, y)), keep


def joined(x, y):
    return jnp.concatenate([x, 2.0 * y], axis=1)


def integers(a, b):
    return (a * 3 + b) ^ (a & b), (a + b).astype(np.int8), a > b


def squared_error(w, x, y):
    return fg.value_and_grad(lambda p: jnp.mean((x * p - y) ** 2))(w)


INTEGERS = np.arange(-20, 20, dtype=np.int32).reshape(5, 8)
CASES = {
    "elementwise_chain": (chain, [reals(6, 40), reals(40, seed=1), reals(6, 1, seed=2)]),
    "softmax_and_gradient": (softmax_gradient, [reals(5, 17), reals(5, 17, seed=1)]),
    "layer_norm_gradient": (
        layer_norm_gradient,
        [reals(6, 9), reals(9, seed=1), reals(9, seed=2), reals(6, 9, seed=3)],
    ),
    "column_sum_and_sgd": (sgd_of_a_bias, [reals(11), reals(11, seed=1), reals(7, 11, seed=2)]),
    "sum_in_parts": (total, [reals(100, 200)]),
    "transposed_read": (transposed, [reals(4, 6), reals(6, 4, seed=1)]),
    "mask_and_where": (masked, [reals(50), reals(50, seed=1)]),
    "concatenate": (joined, [reals(3, 4), reals(3, 5, seed=1)]),
    "integers": (integers, [INTEGERS, INTEGERS[::-1].copy()]),
    "squared_error_float32": (
        squared_error,
        [reals(33, dtype=np.float32), reals(20, 33, dtype=np.float32, seed=1), reals(20, 33, dtype=np.float32, seed=2)],
    ),
}


def program_of(name):
    f, args = CASES[name]
    return fg.make_expr(f)(*args)


def kernel_texts(compiled):
    return list(dict.fromkeys(e.text for e in compiled.entries if isinstance(e, NativeStep)))


def emitted(name):
    """What a golden file holds: the distinct kernels in the order of the schedule."""
    compiled = Executable(program_of(name))
    steps = [f"# step {n}: {e.label}" for n, e in enumerate(compiled.entries)]
    return "\n\n".join(["\n".join(steps), *[t.rstrip() for t in kernel_texts(compiled)]]) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_the_emitted_kernels_are_the_golden_ones(name):
    path = GOLDEN / f"{name}.txt"
    assert emitted(name) == path.read_text(), (
        f"the kernels of {name} changed. If that is meant, run `python -m tests.test_golden_kernels --write` and review."
    )


def test_no_golden_file_is_left_over():
    assert {p.stem for p in GOLDEN.glob("*.txt")} == set(CASES)


def run_by_numba(program, args):
    """The outputs of a program whose kernels are compiled by numba from their text, under the same schedule."""
    compiled = Executable(program)
    kernels = [numba_language.compile_kernel(e.text) if isinstance(e, NativeStep) else None for e in compiled.entries]
    compiled.addresses = [k.address if k is not None else 0 for k in kernels]
    return compiled(args)


@pytest.mark.parametrize("name", CASES)
def test_numba_gives_the_same_numbers_from_the_same_text(name):
    f, args = CASES[name]
    program = program_of(name)
    ours = execute.execute(program, *args)
    by_numba = run_by_numba(program, args)
    by_numpy = execute.interpret(program, args)
    for a, b, c in zip(ours, by_numba, by_numpy, strict=True):
        assert a.dtype == b.dtype
        tolerance = 64 * np.finfo(a.dtype).eps if a.dtype.kind == "f" else 0
        np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(a, c, rtol=tolerance, atol=tolerance)


LANGUAGE = {
    "exact functions": (
        lambda x, y: (
            *(jnp.floor(x), jnp.ceil(x), jnp.trunc(x), jnp.rint(x), jnp.sqrt(jnp.abs(x)), jnp.copysign(x, y)),
            *(jnp.maximum(x, y), jnp.minimum(x, y), jnp.remainder(x, y), jnp.floor_divide(x, y), jnp.fmod(x, y)),
        ),
        [np.array([-2.5, -0.0, 0.5, np.inf, np.nan, 7.25]), np.array([1.5, 2.0, -0.25, 3.0, 1.0, -2.0])],
    ),
    "functions written out": (
        lambda x, y: (jnp.hypot(x, y), jnp.logaddexp(x, y)),
        [np.array([3.0, -np.inf, 1e200, 0.0]), np.array([4.0, 1.0, 1e200, -np.inf])],
    ),
    "mathematics": (
        lambda x: (jnp.log1p(x), jnp.tanh(x)),
        [np.linspace(0.1, 3.0, 37, dtype=np.float32)],
    ),
    "conversions": (
        lambda x: tuple(x.astype(t) for t in (np.int8, np.int16, np.uint8, np.uint32, np.int64, np.float32, bool)),
        [np.array([0.0, 1.9, -3.7, 300.0, -70000.5, 5e9])],
    ),
    "unsigned order": (
        lambda x, y: (jnp.maximum(x, y), jnp.minimum(x, y), x < y, x + y),
        [np.array([1, 250, 128], np.uint8), np.array([200, 3, 127], np.uint8)],
    ),
    "products": (lambda a, b: a @ b + 1.0, [reals(9, 5, dtype=np.float32), reals(5, 7, dtype=np.float32, seed=1)]),
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_the_language_means_the_same_to_numba(name):
    f, args = LANGUAGE[name]
    program = fg.make_expr(f)(*args)
    assert all(isinstance(e, NativeStep) for e in Executable(program).entries)
    for a, b in zip(execute.execute(program, *args), run_by_numba(program, args), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_max_ulp(a, b, 1) if a.dtype.kind == "f" else np.testing.assert_array_equal(a, b)
        if a.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


def test_the_prelude_stands_alone_and_defines_only_what_is_called():
    text = "def kernel(args, lo, hi):\n    x0 = word(args, 0)\n    store_f64(x0, lo, exp_f64(load_f64(x0, lo)))\n"
    prelude = numba_language.prelude([text])
    assert "funcgrad" not in prelude
    assert {"load_f64", "store_f64", "exp_f64"} <= names_defined(prelude)
    assert not {"load_f32", "sin_f64", "gemm_f64", "hypot_f64"} & names_defined(prelude)


def names_defined(text):
    body = ast.parse(text).body
    return {n.name for n in body if isinstance(n, ast.FunctionDef)} | {
        t.id for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
    }


def test_only_the_bridge_to_numba_imports_it():
    package = pathlib.Path(fg.__file__).parent
    texts = {path: path.read_text() for path in package.rglob("*.py")}
    for path in [p for p, text in texts.items() if "numba" in text and p.name != "numba_bridge.py"]:
        for node in ast.walk(ast.parse(texts[path])):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(m.split(".")[0] == "numba" for m in modules), path


if __name__ == "__main__" and "--write" in sys.argv:
    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        (GOLDEN / f"{case}.txt").write_text(emitted(case))
