"""`stages`, `profile` and `debug_nans`: what they say and that they say it of the right thing."""

import inspect
import itertools
import json
import re

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile import execute
from funcgrad.compile.report import product_sizes, schedule

RNG = np.random.default_rng(3)


def loss(params, x, y):
    hidden = jnp.tanh(x @ params["w"] + params["b"])
    return jnp.mean((jnp.sort(hidden, axis=0) - y) ** 2)


PARAMS = {"w": RNG.normal(size=(40, 30)), "b": np.zeros(30)}
X, Y = RNG.normal(size=(20, 40)), RNG.normal(size=(20, 30))


@pytest.mark.parametrize("wrapped", [lambda f: f, fg.jit], ids=["plain", "jitted"])
def test_stages_show_the_programs_the_schedule_and_the_kernels(wrapped):
    found = fg.stages(wrapped(fg.value_and_grad(loss)))(PARAMS, X, Y)
    text = str(found)
    assert [line for line in text.splitlines() if line.startswith("==")] == [
        *("== traced ==", "== simplified ==", "== schedule =="),
        *(f"== source of {name} ==" for name in found.kernels),
    ]
    assert str(found.program) in text
    assert str(found.simplified) in text
    assert "host call: order: " in text
    assert {s.title for s in found.host_calls} >= {"host call: order"}
    assert re.search(r"gemm \(20 x 30 x 40\) by k0: in2 f64\[20,40\], in1 f64\[40,30\] -> b0 f64\[20,30\] @0 ", text)
    assert re.search(r"kernel k1 add\+tanh: .*\(20 units, grain \d+\)", text)
    assert f"arena: {found.arena} bytes" in text
    assert found.arena > 0
    assert repr(found) == text
    assert all(source.startswith("def kernel(args, lo, hi):") for source in found.kernels.values())
    assert {s.kernel for s in found.steps if s.kind != "host"} == set(found.kernels)


def test_stages_of_a_jitted_function_take_its_static_arguments():
    f = fg.jit(lambda x, n: x**n, static_argnums=1)
    assert fg.stages(f)(np.ones(3), 2).program.out_types[0].shape == (3,)


def test_stages_need_types_only_and_run_nothing():
    ran = []

    def f(x):
        fg.debug.callback(lambda: ran.append(1))
        return x * 2.0

    found = fg.stages(f)(fg.ShapeDtypeStruct((4,), np.float32))
    assert found.program.in_types[0].dtype == np.float32
    assert ran == []


def test_stages_of_a_closure_over_a_traced_value_say_what_to_do():
    with pytest.raises(TypeError, match="stages of .*: it closes over a value that is being traced; pass it as an arg"):
        fg.grad(lambda x: (fg.stages(lambda y: x * y)(2.0), x)[1])(1.0)


def test_one_kernel_of_equal_text_is_shown_once():
    found = fg.stages(lambda x, y: (jnp.exp(x), jnp.exp(y)))(np.ones(3), np.ones(5))
    assert len(found.steps) == 2
    assert list(found.kernels) == ["k0"]


def test_without_native_code_stages_say_so(monkeypatch):
    monkeypatch.setattr(execute, "native", type("Without", (), {"native": staticmethod(lambda: None)}))
    found = fg.stages(lambda x: x + 1.0)(np.ones(2))
    assert not found.compiled
    assert "no kernels: NumPy runs the traced program" in str(found)
    with pytest.raises(RuntimeError, match="profile of .* no compiled form on this machine"):
        fg.profile(lambda x: x + 1.0)(np.ones(2))


# ---- profile ----


def test_profile_times_each_step_and_gives_the_result(tmp_path):
    path = tmp_path / "trace.json"
    step = fg.value_and_grad(loss)
    found = fg.profile(fg.jit(step), path=path, repeat=4)(PARAMS, X, Y)
    want, grads = step(PARAMS, X, Y)
    np.testing.assert_allclose(found.result[0], want)
    np.testing.assert_allclose(found.result[1]["w"], grads["w"], rtol=1e-12, atol=1e-15)
    assert all(len(t.seconds) == 4 and min(t.seconds) >= 0 for t in found.steps)
    assert sum(t.median for t in found.steps) > 0
    lines = str(found).splitlines()
    assert re.split(r"\s{2,}", lines[0]) == ["step", "calls", "time us", "share", "bytes", "GB/s", "GFLOP/s"]
    assert len(lines) == 1 + len(found.steps) + 2
    assert lines[-1] == f"trace written to {path}"
    events = json.loads(path.read_text())["traceEvents"]
    timed = [e for e in events if e["ph"] == "X"]
    assert len(timed) == 4 * len(found.steps)
    assert {e["name"] for e in timed} == {t.step.title for t in found.steps}
    for first, second in itertools.pairwise(timed):
        assert first["ts"] + first["dur"] <= second["ts"] + 1e-3  # one after the other


def test_profile_counts_bytes_and_operations():
    found = fg.profile(lambda a, b: jnp.exp(a @ b), repeat=1)(np.ones((8, 16)), np.ones((16, 4)))
    gemm, kernel = [t.step for t in found.steps]
    assert (gemm.flops, gemm.bytes) == (2 * 8 * 16 * 4, 8 * (8 * 16 + 16 * 4 + 8 * 4))
    assert kernel.bytes == 2 * 8 * 32
    assert kernel.flops >= 32


def test_a_batch_of_products_is_counted_whole():
    program = fg.make_expr(lambda a, b: a @ b)(np.ones((5, 3, 7)), np.ones((5, 7, 2)))
    compiled = execute.executable(program)
    assert compiled is not None
    (entry,) = compiled.entries
    assert product_sizes(entry) == (5, 3, 2, 7)
    assert schedule(compiled).steps[0].flops == 2 * 5 * 3 * 2 * 7


def test_profile_takes_arguments_that_need_conversion():
    found = fg.profile(lambda x: x * 2.0, repeat=2)(np.arange(12.0).reshape(3, 4).T)
    np.testing.assert_array_equal(found.result, 2 * np.arange(12.0).reshape(3, 4).T)


def test_bad_input_of_profile():
    with pytest.raises(ValueError, match=r"profile of loss: repeat must be 1 or more, got 0\."):
        fg.profile(loss, repeat=0)
    with pytest.raises(
        TypeError, match=r"profile of .*: it runs the function, so it needs arrays, got ShapeDtypeStruct"
    ):
        fg.profile(lambda x: x)(fg.ShapeDtypeStruct((2,), np.float64))


# ---- debug_nans ----


def root(x):
    return jnp.sum(
        jnp.sqrt(x)  # the line to be named
    )


def line_of(function, part):
    lines, first = inspect.getsourcelines(function)
    return first + next(n for n, line in enumerate(lines) if part in line)


def message(f, *args):
    with fg.debug_nans(True), pytest.raises(FloatingPointError) as caught:
        f(*args)
    return str(caught.value)


def test_the_operation_that_makes_a_nan_is_named_with_its_line():
    line = line_of(root, "jnp.sqrt")
    assert message(fg.jit(root), np.array([1.0, -2.0])) == (
        "the result of root holds nan (debug_nans is on). Operation 'sqrt' made it of arguments without nan "
        f"(argument 0 of shape (2,) from -2.0 to 1.0) at {__file__}:{line} (root)."
    )


def test_a_warm_call_is_searched_too():
    f = fg.jit(root)
    x = np.array([1.0, -2.0])
    for _ in range(3):
        assert np.isnan(f(x))
    assert "Operation 'sqrt'" in message(f, x)
    assert np.isnan(f(x))


def test_a_nan_that_is_masked_out_is_not_blamed():
    def f(x):
        safe = jnp.where(x > 0, jnp.log(x), 0.0)  # makes a nan that goes nowhere
        return safe + jnp.arcsin(x)

    assert "Operation 'asin'" in message(fg.jit(f), np.array([-3.0]))
    with fg.debug_nans(True):
        np.testing.assert_array_equal(fg.jit(lambda x: jnp.where(x > 0, jnp.log(x), 0.0))(np.array([-1.0])), [0.0])


def test_a_nan_of_the_derivative_is_found_in_the_users_line():
    def f(x):
        return jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0))

    text = message(fg.jit(fg.grad(f)), np.array([1.0, 0.0]))
    assert "Operation 'div' made it of arguments without nan" in text
    assert f"{__file__}:" in text


def test_inside_of_nested_calls_the_inner_equation_is_named():
    inner = fg.jit(lambda x: jnp.log(x) * 2.0)
    text = message(fg.jit(lambda x: jnp.exp(inner(x - 5.0))), np.float64(1.0))
    assert "Operation 'log' made it of arguments without nan (argument 0 = -4.0)" in text


def test_a_nan_that_was_there_before():
    twice = fg.jit(lambda x: x * 2.0)
    assert message(twice, np.array([np.nan])).endswith("It was there before: input 0 of the program holds nan already.")
    constant = np.array([np.nan, 1.0])
    text = message(fg.jit(lambda x: x * constant), np.array([1.0, 2.0]))
    assert text.endswith("It was there before: a constant of the program holds nan already.")


def test_several_results_say_which():
    f = fg.jit(lambda x: (x + 1.0, jnp.log(x)))
    assert message(f, np.array([-1.0])).startswith("result 1 of <lambda> holds nan (debug_nans is on).")


def test_effects_do_not_happen_twice():
    seen = []

    def f(x):
        fg.debug.callback(lambda v: seen.append(float(v)), x)
        return jnp.log(x)

    message(fg.jit(f), np.float64(-1.0))
    assert seen == [-1.0]


def test_the_switch_and_the_context_manager():
    f = fg.jit(root)
    x = np.array([-1.0])
    try:
        fg.debug_nans(True)
        with pytest.raises(FloatingPointError):
            f(x)
        with fg.debug_nans(False):
            assert np.isnan(f(x))
        with pytest.raises(FloatingPointError):
            f(x)
    finally:
        fg.debug_nans(False)
    assert np.isnan(f(x))
    assert not execute.nan_checks


def test_integers_and_booleans_hold_no_nan():
    with fg.debug_nans(True):
        np.testing.assert_array_equal(fg.jit(lambda x: (x + 1, x > 0))(np.arange(3))[0], [1, 2, 3])


def test_donated_arguments_are_kept_while_nans_are_searched():
    f = fg.jit(lambda x: jnp.log(x) * 2.0, donate_argnums=0)
    f(np.array([1.0, 2.0]))
    assert "Operation 'log' made it of arguments without nan (argument 0 of shape (2,) from -1.0 to 2.0)" in message(
        f, np.array([-1.0, 2.0])
    )
