"""Compiled programs called from numba and from C, and printed kernels."""

import math
import os
import pathlib
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy import LowLevelCallable, integrate

import funcgrad as fg
import funcgrad.numpy as fnp

numba = pytest.importorskip("numba")


def compiled(fun, *args, **kwargs):
    return fg.jit(fun).lower(*args, **kwargs).compile()


def loss(w, x, y):
    return fnp.sum((fnp.tanh(x @ w) - y) ** 2)


def example(rows=7, columns=5):
    rng = np.random.default_rng(0)
    return rng.normal(size=columns), rng.normal(size=(rows, columns)), rng.normal(size=rows)


# ---- njit ----


def test_a_gradient_inside_of_njit_is_that_of_jit():
    args = example()
    inner = compiled(fg.grad(loss), *args).njit

    @numba.njit
    def twice(w, x, y):
        return inner(w, x, y) * 2

    np.testing.assert_array_equal(twice(*args), 2 * np.asarray(fg.jit(fg.grad(loss))(*args)))


def test_prange_over_a_thousand_rows():
    w, x, y = example()
    inner = compiled(fg.grad(loss), w, x, y).njit

    @numba.njit(parallel=True)
    def rows(weights, x, y):
        out = np.empty_like(weights)
        for i in numba.prange(len(weights)):
            out[i] = inner(weights[i], x, y)
        return out

    weights = np.random.default_rng(1).normal(size=(1000, 5))
    expected = np.stack([fg.jit(fg.grad(loss))(each, x, y) for each in weights])
    np.testing.assert_array_equal(rows(weights, x, y), expected)


def test_newton_iteration_inside_of_njit():
    step = compiled(fg.value_and_grad(lambda x: fnp.exp(x) * x - 1), 1.0).njit

    @numba.njit
    def newton(x, count):
        for _ in range(count):
            value, slope = step(x)
            x = x - value / slope
        return x

    root = newton(1.0, 20)
    assert isinstance(root, float) and abs(math.exp(root) * root - 1) < 1e-15
    assert newton(1, 20) == root  # an integer converts


def test_a_matrix_product_and_a_large_arena_in_parallel():
    big = np.random.default_rng(0).normal(size=(96, 96)).astype(np.float32)

    def power(a, b):
        return fnp.tanh(a @ b) @ fnp.sin(a @ b.T) + b

    args = (big, big[::-1].copy())
    inner = compiled(power, *args).njit

    @numba.njit(parallel=True)
    def many(a, b, out):
        for i in numba.prange(len(out)):
            out[i] = inner(a, b)

    out = np.zeros((16, 96, 96), np.float32)
    many(*args, out)
    expected = np.asarray(fg.jit(power)(*args))
    for each in out:
        np.testing.assert_array_equal(each, expected)


def test_constants_outputs_without_equations_and_many_dtypes():
    table = np.arange(5.0)

    def several(p, *, k):
        return table * p["a"], p["a"], p["flags"] & True, p["n"] + k, fnp.sum(p["a"]).astype("float32"), table

    args = {"a": np.linspace(0, 1, 5), "flags": np.array([True, False]), "n": np.array([[1, 2]], np.int32)}
    inner = compiled(several, args, k=np.int32(3)).njit
    found = inner(args["a"], args["flags"], args["n"], 3)
    expected = several(args, k=np.int32(3))
    for have, want in zip(found, expected, strict=True):
        np.testing.assert_array_equal(have, want)
        assert np.asarray(want).ndim == 0 or have.dtype == want.dtype


def test_arguments_that_do_not_lie_in_order():
    w, x, y = example()
    inner = compiled(loss, w, x, y).njit
    assert inner(w, np.asfortranarray(x), np.repeat(y, 2)[::2]) == inner(w, x, y) == float(fg.jit(loss)(w, x, y))


def test_wrong_arguments_are_told():
    w, x, y = example()
    inner = compiled(loss, w, x, y).njit
    with pytest.raises(ValueError, match=r"loss: argument 'x0' must be an array of shape \(5,\)"):
        inner(w[:4], x, y)
    with pytest.raises(
        numba.core.errors.TypingError, match="must be an array of type f64\\[5\\], got an array of float32"
    ):
        inner(w.astype(np.float32), x, y)
    with pytest.raises(numba.core.errors.TypingError, match="'x1' must be an array of type f64\\[7,5\\], got float64"):
        inner(w, 1.0, y)
    number = compiled(lambda n: n * 2, 3).njit
    assert number(4) == 8
    with pytest.raises(numba.core.errors.TypingError, match="must be a number of type i64"):
        number(4.5)


def test_host_calls_are_named():
    with pytest.raises(NotImplementedError, match="'eigh' is a host call"):
        _ = compiled(lambda x: fnp.linalg.eigh(x)[0], np.eye(3)).njit
    with pytest.raises(NotImplementedError, match="'eigh' is a host call"):
        compiled(lambda x: fnp.linalg.eigh(x)[0], np.eye(3)).cfunc()


def test_a_function_that_closes_over_a_tracer():
    def outer(y):
        return compiled(lambda x: x * y, 1.0).njit(2.0)

    with pytest.raises(TypeError, match="closes over a value that is being traced"):
        fg.make_expr(outer)(1.0)


def test_many_threads_at_once():
    args = example(40, 30)
    inner = compiled(fg.grad(loss), *args).njit
    inner(*args)
    expected, wrong = np.asarray(fg.jit(fg.grad(loss))(*args)), []

    def work():
        for _ in range(200):
            if not np.array_equal(inner(*args), expected):
                wrong.append(True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # numba's own, of the modules that it looks through
def test_numba_keeps_no_code_with_our_addresses_on_disk(tmp_path, monkeypatch):
    inner = compiled(lambda x: fnp.sin(x), 1.0).njit
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @numba.njit(cache=True)
    def outer(x):
        return inner(x)

    with pytest.warns(numba.core.errors.NumbaWarning, match="dynamic globals"):
        assert outer(1.0) == pytest.approx(math.sin(1.0))
    assert not list(tmp_path.rglob("*.nbc"))


# ---- C functions ----


def f(x):
    return fnp.sin(x) * x * x


def test_quad_of_a_gradient():
    c = compiled(fg.grad(f), 1.0).cfunc()
    assert c.signature == "double (double)" and c.address
    assert c.ctypes(1.0) == float(fg.grad(f)(1.0))
    value, error = integrate.quad(LowLevelCallable(c.ctypes), 0, 2)
    assert value == pytest.approx(math.sin(2) * 4, abs=1e-12) and error < 1e-10


def test_nquad_with_arguments_in_an_array():
    c = compiled(lambda x, y: fnp.exp(-x * y), 1.0, 1.0).cfunc("double (int, double*)")
    assert c.signature == "double (int, double *)"
    value, _ = integrate.nquad(LowLevelCallable(c.ctypes), [(0, 1), (0, 2)])
    expected, _ = integrate.dblquad(lambda y, x: math.exp(-x * y), 0, 1, 0, 2)
    assert value == pytest.approx(expected, rel=1e-10)
    vector = compiled(lambda v: fnp.exp(-v[0] * v[1]), np.ones(2)).cfunc("double (int, double *)")
    assert integrate.nquad(LowLevelCallable(vector.ctypes), [(0, 1), (0, 2)])[0] == pytest.approx(value, rel=1e-14)
    assert math.isnan(vector.ctypes(3, np.ctypeslib.as_ctypes(np.ones(3))))  # too many elements


def test_pointers_to_arrays():
    args = example()
    c = compiled(fg.value_and_grad(loss), *args).cfunc()
    assert c.signature == "void (double *, double *, double *, double *, double *)"
    value, slope = np.zeros(()), np.zeros(5)
    kinds = c.ctypes.argtypes
    c.ctypes(*[a.ctypes.data_as(k) for a, k in zip([*args, value, slope], kinds, strict=True)])
    expected = fg.jit(fg.value_and_grad(loss))(*args)
    assert float(value) == float(expected[0])
    np.testing.assert_array_equal(slope, expected[1])


def test_a_signature_that_does_not_fit():
    with pytest.raises(ValueError, match=r"has no signature 'double \(int\)'; it can have 'double \(double\)' or"):
        compiled(f, 1.0).cfunc("double (int)")
    with pytest.raises(ValueError, match="it can have 'void"):
        compiled(f, np.float32(1)).cfunc("double (double)")


# ---- printed kernels ----


def layer(params, x, *, scale):
    """Products, a softmax, a large sum, a sort on the host, constants, several dtypes."""
    table = np.linspace(0, 1, 200).reshape(8, 25)
    h = fnp.tanh(x @ params["w"] + params["b"]) * scale
    z = fnp.exp(h - fnp.max(h, axis=1, keepdims=True))
    p = z / fnp.sum(z, axis=1, keepdims=True)
    return {"p": p, "sorted": fnp.sort(p, axis=0), "sum": fnp.sum(p @ table), "all": fnp.sum(fnp.sin(x)), "f": p > 0.1}


def layer_arguments():
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(60, 8)), "b": rng.normal(size=8)}
    return params, rng.normal(size=(2000, 60)), np.float32(0.5)


RUN = """
import sys
sys.modules["funcgrad"] = None
import numpy as np
import printed
data = np.load("data.npz")
out = printed.layer({"w": data["w"], "b": data["b"]}, data["x"], scale=data["scale"])
np.savez("out.npz", **out)
again = printed.layer({"w": data["w"], "b": data["b"]}, np.asfortranarray(data["x"]), scale=0.5)
assert all(np.array_equal(out[k], again[k]) for k in out)
assert not [m for m, v in sys.modules.items() if m.split(".")[0] == "funcgrad" and v is not None]
"""


def test_the_printed_module_runs_without_funcgrad(tmp_path):
    params, x, scale = layer_arguments()
    text = fg.source(fg.jit(layer))(params, x, scale=scale)
    (tmp_path / "printed.py").write_text(text)
    np.savez(tmp_path / "data.npz", **params, x=x, scale=scale)
    subprocess.run([sys.executable, "-c", RUN], check=True, cwd=tmp_path, env=without_funcgrad())
    found, expected = np.load(tmp_path / "out.npz"), fg.jit(layer)(params, x, scale=scale)
    assert set(found) == set(expected)
    for key, want in expected.items():
        assert found[key].dtype == want.dtype and found[key].shape == want.shape
        np.testing.assert_allclose(found[key], want, rtol=1e-12)


def without_funcgrad():
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


def test_the_printed_text():
    params, x, scale = layer_arguments()
    text = fg.source(layer, kernels=True)(params, x, scale=scale)
    assert "def layer(params, x, *, scale):" in text
    for part in ("@plain\ndef kernel_0(args, lo, hi):", "for i in range(lo, hi):", "def tanh_f64(x)", "# host call",
                 "x @ params_w", "= np.empty((2000, 8), np.float64)", "run(kernel_0, "):  # fmt: skip
        assert part in text, part
    assert "kernel_0" not in fg.source(layer)(params, x, scale=scale)
    assert "kernel_0" not in fg.source(fg.jit(layer), kernels=False)(params, x, scale=scale)
    assert text.startswith('"""layer, as stand-alone NumPy and numba')


def test_names_of_the_language_can_be_names_of_the_user():
    def where(run, kernel_0, word):
        return fnp.where(run > 0, kernel_0 * word, fnp.exp(run))

    args = (np.array([1.0, -1.0]), np.array([2.0, 3.0]), np.array([3.0, 5.0]))
    space: dict = {}
    exec(str(fg.source(where, kernels=True)(*args)), space)
    np.testing.assert_allclose(space["where_"](*args), where(*args), rtol=1e-15)
    with pytest.raises(TypeError, match=r"written for an argument of shape \(2,\) and dtype .*float64.*, got \(3,\)"):
        space["where_"](np.ones(3), *args[1:])


def test_a_printed_gradient_is_named_as_one():
    text = fg.source(fg.jit(fg.grad(lambda x: fnp.sum(x**2))))(np.ones(3))
    assert "def grad_of__lambda(x):" in text or "def grad_of_lambda(x):" in text


# ---- the document ----


def test_the_examples_of_the_document_run():
    text = (pathlib.Path(__file__).parent.parent / "docs" / "numba.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 5
    space: dict = {"__name__": "document"}
    for block in blocks:
        exec(block, space)
    w, x, y = space["weights"][0], space["x"], space["y"]
    np.testing.assert_allclose(space["module"]["grad_of_loss"](w, x, y), space["slope"](w, x, y), rtol=1e-12)
    np.testing.assert_array_equal(space["slopes"](space["weights"], x, y)[0], space["slope"](w, x, y))
    np.testing.assert_allclose(space["running_sum"](y), np.cumsum(y**2))
