"""The transforms: signatures, pytrees, nesting, custom rules in both modes, jit's cache, threads, long programs."""

import threading
import time
import weakref
from typing import NamedTuple

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.core.program import check

X = np.linspace(0.2, 1.4, 5)


class Pair(NamedTuple):
    left: object
    right: object


def close(have, want, **kwargs):
    kwargs.setdefault("rtol", 1e-12)
    fg.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), **kwargs), have, want)


def f(x):
    return jnp.sum(jnp.tanh(x) * x)


def df(x):
    return np.tanh(x) + x * (1 - np.tanh(x) ** 2)


# ---- grad ----


def test_grad_by_several_arguments_and_trees():
    def loss(params, scale, x):
        return jnp.sum(params["w"] * x) * scale + params["b"].left ** 2

    params = {"w": X, "b": Pair(np.float64(3.0), None)}
    by_params, by_x = fg.grad(loss, argnums=(0, 2))(params, 2.0, X)
    close(by_params["w"], 2 * X)
    close(by_params["b"].left, 6.0)
    assert by_params["b"].right is None
    close(by_x, 2 * X)
    close(fg.grad(loss, argnums=-2)(params, 2.0, X), X @ X)


def test_value_and_grad_with_aux_of_any_kind():
    def loss(x):
        return f(x), {"twice": 2 * x, "name": "text", "n": 3}

    (value, aux), slope = fg.value_and_grad(loss, has_aux=True)(X)
    close(value, np.sum(np.tanh(X) * X))
    close(slope, df(X))
    close(aux["twice"], 2 * X)
    assert aux["name"] == "text"
    assert isinstance(aux["twice"], np.ndarray)
    slope, aux = fg.grad(loss, has_aux=True)(X)
    assert aux["n"] == 3


def test_results_are_arrays_with_the_dtype_of_the_argument():
    slope = fg.grad(f)(X.astype(np.float32))
    assert type(slope) is fg.Array
    assert slope.dtype == np.float32
    assert fg.grad(lambda x: x * x)(3.0).dtype == np.float64
    assert isinstance(slope, np.ndarray)


def test_python_sees_values_inside_derivatives():
    seen = []

    def branching(x):
        if x > 1:
            seen.append(int(x))
            return x**2
        total = 0.0
        while total < 3:
            total = total + x
        return total

    assert fg.grad(branching)(3.0) == 6.0
    assert seen == [3]
    assert fg.grad(branching)(0.5) == 6.0
    assert fg.grad(fg.grad(branching))(3.0) == 2.0


def test_mixed_and_third_derivatives():
    g = lambda x, y: jnp.sin(x) * jnp.exp(y * x)
    x, y = 0.7, 0.3
    h = 1e-4
    third = fg.grad(fg.grad(fg.grad(g)), 1)(x, y)
    second = lambda y: fg.grad(fg.grad(g))(x, y)
    close(third, (second(y + h) - second(y - h)) / (2 * h), rtol=1e-6)
    close(fg.grad(fg.grad(g, 0), 1)(x, y), fg.grad(fg.grad(g, 1), 0)(x, y))


def test_perturbation_confusion_is_not_there():
    assert fg.grad(lambda x: x * fg.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert fg.grad(lambda x: x * fg.jvp(lambda y: x * y, (2.0,), (1.0,))[1])(3.0) == 6.0
    assert fg.jvp(lambda x: x * fg.grad(lambda y: x * y)(2.0), (3.0,), (1.0,))[1] == 6.0


def test_complex_conventions_are_jaxs():
    z = np.complex128(1 + 2j)
    close(fg.grad(lambda z: jnp.abs(z) ** 2)(z), 2 - 4j)
    close(fg.grad(lambda z: jnp.imag(z))(z), -1j)
    close(fg.grad(lambda z: z**3, holomorphic=True)(z), 3 * z**2)
    close(fg.grad(lambda x: jnp.real(jnp.exp(1j * x)))(0.3), -np.sin(0.3))


def test_integer_arguments_get_float0_if_allowed():
    slope = fg.grad(lambda n, x: n * x, argnums=(0, 1), allow_int=True)(2, 3.0)
    assert slope[0].dtype.names == ("float0",)
    assert slope[1] == 2.0


# ---- vjp, jvp, linearize, Jacobians ----


def test_a_pullback_serves_many_times_and_keeps_nothing_alive_after():
    value, pull = fg.vjp(lambda x, y: (x * y, jnp.sum(x)), X, 2 * X)
    for scale in (1.0, 3.0):
        by_x, by_y = pull((scale * np.ones(5), np.float64(scale)))
        close(by_x, scale * (2 * X + 1))
        close(by_y, scale * X)
    big = np.ones(10)
    alive = weakref.ref(big)
    fg.grad(lambda x: jnp.sum(x * x))(big)
    del big
    assert alive() is None


def test_an_output_that_is_an_input_or_a_constant():
    value, pull = fg.vjp(lambda x, y: (x, x, 3.0), X, X)
    by_x, by_y = pull((np.ones(5), np.ones(5), 1.0))
    close(by_x, 2 * np.ones(5))
    close(by_y, np.zeros(5))


def test_jvp_and_linearize_agree_with_vjp():
    t = np.arange(5.0)
    value, tangent = fg.jvp(f, (X,), (t,))
    close(tangent, df(X) @ t)
    value, push = fg.linearize(jnp.tanh, X)
    close(push(t), (1 - np.tanh(X) ** 2) * t)
    close(fg.vmap(push)(np.eye(5)), np.diag(1 - np.tanh(X) ** 2))
    (transposed,) = fg.linear_transpose(lambda x: 3 * x, X)(t)
    close(transposed, 3 * t)


def test_jacobians_of_trees():
    def g(p):
        return {"a": p["x"] * p["s"], "b": jnp.sum(p["x"])}

    point = {"x": X, "s": np.float64(2.0)}
    for jacobian in (fg.jacfwd(g)(point), fg.jacrev(g)(point)):
        close(jacobian["a"]["x"], 2 * np.eye(5))
        close(jacobian["a"]["s"], X)
        close(jacobian["b"]["x"], np.ones(5))
        close(jacobian["b"]["s"], 0.0)
    close(fg.hessian(f)(X), fg.jacrev(fg.jacfwd(f))(X))
    hvp = lambda x, v: fg.jvp(fg.grad(f), (x,), (v,))[1]
    close(hvp(X, X), fg.hessian(f)(X) @ X)


# ---- vmap ----


def test_vmap_axes_as_trees():
    g = lambda p, x: {"sum": p["w"] @ x + p["b"], "b": p["b"]}
    w = np.arange(12.0).reshape(3, 4)
    x = np.arange(8.0).reshape(4, 2)
    out = fg.vmap(g, in_axes=({"w": None, "b": 0}, 1), out_axes={"sum": 1, "b": 0})({"w": w, "b": np.arange(2.0)}, x)
    close(out["sum"], w @ x + np.arange(2.0))
    close(out["b"], np.arange(2.0))
    close(fg.vmap(lambda: 3.0, axis_size=2)(), [3.0, 3.0])
    close(fg.vmap(lambda x: 1.0, out_axes=None)(X), 1.0)
    close(fg.vmap(fg.vmap(jnp.multiply, (0, None)), (None, 0))(X, X), np.outer(X, X))


def test_python_may_branch_on_what_is_not_batched():
    g = lambda x, flag: x if flag else -x
    close(fg.vmap(g, in_axes=(0, None))(X, False), -X)


# ---- custom rules ----


def square_with_vjp(factor):
    @fg.custom_vjp
    def square(x, y):
        return x * x * y

    square.defvjp(lambda x, y: (square(x, y), (x, y)), lambda res, g: (factor * res[0] * res[1] * g, None))
    return square


def test_custom_vjp_in_every_transform():
    square = square_with_vjp(10.0)
    assert fg.grad(square)(3.0, 2.0) == 60.0
    assert fg.jvp(square, (3.0, 2.0), (1.0, 0.0))[1] == 60.0
    assert fg.jit(fg.grad(square))(3.0, 2.0) == 60.0
    assert fg.grad(fg.jit(square))(3.0, 2.0) == 60.0
    close(fg.vmap(fg.grad(square), (0, None))(X, 2.0), 20 * X)
    close(fg.grad(lambda x: jnp.sum(fg.vmap(square, (0, None))(x, 2.0)))(X), 20 * X)
    close(fg.jacfwd(fg.vmap(square, (0, None)))(X, 2.0), np.diag(20 * X))
    assert fg.hessian(square)(3.0, 2.0) == 20.0
    assert fg.grad(fg.grad(square))(3.0, 2.0) == 20.0
    assert fg.grad(fg.checkpoint(square))(3.0, 2.0) == 60.0


def test_custom_vjp_with_static_arguments_and_trees():
    from functools import partial

    @partial(fg.custom_vjp, nondiff_argnums=(0, 2))
    def apply(function, tree, n):
        return function(tree["x"]) * n

    apply.defvjp(
        lambda function, tree, n: (apply(function, tree, n), tree), lambda function, n, res, g: ({"x": g * n * 7.0},)
    )
    assert fg.grad(apply, 1)(jnp.sin, {"x": 0.3}, 2)["x"] == 14.0
    assert fg.grad(lambda t: apply(jnp.sin, t, n=2))({"x": 0.3})["x"] == 14.0


def test_custom_jvp_in_every_transform():
    @fg.custom_jvp
    def log1pexp(x):
        return jnp.log1p(jnp.exp(x))

    @log1pexp.defjvp
    def rule(primals, tangents):
        (x,), (t,) = primals, tangents
        return log1pexp(x), (1 - 1 / (1 + jnp.exp(x))) * t

    assert fg.grad(log1pexp)(100.0) == 1.0
    assert fg.jvp(log1pexp, (100.0,), (2.0,))[1] == 2.0
    assert fg.jit(fg.grad(log1pexp))(100.0) == 1.0
    assert fg.grad(fg.jit(log1pexp))(100.0) == 1.0
    close(fg.vmap(fg.grad(log1pexp))(X), 1 / (1 + np.exp(-X)))
    close(fg.grad(lambda x: jnp.sum(fg.vmap(log1pexp)(x)))(X), 1 / (1 + np.exp(-X)))
    s = 1 / (1 + np.exp(-0.5))
    close(fg.grad(fg.grad(log1pexp))(0.5), s * (1 - s))
    close(fg.hessian(log1pexp)(0.5), s * (1 - s))


def test_defjvps_gives_one_rule_per_argument():
    @fg.custom_jvp
    def product(x, y):
        return x * y

    product.defjvps(lambda t, ans, x, y: 5.0 * t * y, None)
    assert fg.grad(product, (0, 1))(2.0, 3.0) == (15.0, 0.0)


def test_checkpoint_runs_twice_and_gives_the_same():
    calls = []

    def g(w, x):
        calls.append(1)
        return jnp.sum(jnp.sin(w * x))

    want = fg.grad(g, (0, 1))(2.0, X)
    close(fg.grad(fg.checkpoint(g), (0, 1))(2.0, X), want)
    close(fg.grad(lambda w: fg.checkpoint(lambda x: g(w, x))(X * w))(2.0), fg.grad(lambda w: g(w, X * w))(2.0))
    close(fg.hessian(fg.checkpoint(f))(X), fg.hessian(f)(X))
    program = fg.make_expr(fg.grad(fg.checkpoint(lambda x: jnp.sum(jnp.sin(jnp.sin(x))))))(X)
    assert str(check(program)).count("sin") > str(
        fg.make_expr(fg.grad(lambda x: jnp.sum(jnp.sin(jnp.sin(x)))))(X)
    ).count("sin")


def test_stop_gradient():
    close(fg.grad(lambda x: jnp.sum(fg.stop_gradient(x) * x))(X), X)
    close(fg.jit(fg.grad(lambda x: jnp.sum(fg.stop_gradient(x) * x)))(X), X)
    assert np.asarray(fg.stop_gradient({"a": X})["a"]).shape == (5,)


# ---- jit ----


def test_jit_traces_once_per_type_and_static_value():
    traced = []

    @fg.jit
    def g(x, y=1.0):
        traced.append(1)
        return x * y

    for _ in range(3):
        g(X)
    assert len(traced) == 1
    g(X[:2])
    g(X.astype(np.float32))
    g(2.0)
    g(X, y=2.0)
    assert len(traced) == 5
    fg.clear_caches()
    g(X)
    assert len(traced) == 6


def test_static_arguments_by_number_and_name():
    from functools import partial

    @partial(fg.jit, static_argnums=1, static_argnames=("flip",))
    def g(x, n, flip=False):
        for _ in range(n):
            x = x * 2
        return -x if flip else x

    close(g(X, 3), 8 * X)
    close(g(X, n=2, flip=True), -4 * X)


def test_jit_keeps_the_dtypes_of_weak_numbers():
    x = X.astype(np.float32)
    step = fg.jit(lambda x, rate, beta: x - rate * (1 - beta) * x)
    assert step(x, 0.1, 0.9).dtype == np.float32
    assert fg.grad(lambda r: jnp.sum(step(x, r, 0.9)))(0.1).dtype == np.float64
    assert fg.jit(lambda n: n + 1)(3).dtype == np.int64


def test_stages_of_jit():
    traced = fg.jit(f).trace(X)
    check(traced.program)
    assert traced.out_info == fg.ShapeDtypeStruct((), np.float64)
    compiled = fg.jit(f).lower(fg.ShapeDtypeStruct((5,), np.float64)).compile()
    close(compiled(X), f(X))
    with pytest.raises(TypeError, match=r"compiled for an argument of type f64\[5\], got f64\[2\]"):
        compiled(X[:2])
    assert "tanh" in fg.jit(f).lower(X).as_text()
    assert fg.eval_shape(lambda x: {"a": x[None]}, X)["a"].shape == (1, 5)


def test_disable_jit_runs_python():
    seen = []
    g = fg.jit(lambda x: seen.append(float(x)) or x)
    with fg.disable_jit():
        g(2.0)
    assert seen == [2.0]


def test_a_jitted_function_may_close_over_tracers():
    def outer(w):
        inner = fg.jit(lambda x: jnp.sum(w * x))
        return inner(X) + inner(2 * X)

    close(fg.grad(outer)(2.0), 3 * np.sum(X))
    close(fg.jit(fg.grad(outer))(2.0), 3 * np.sum(X))


def test_constants_are_those_of_the_time_of_tracing():
    table = np.ones(5)
    g = fg.jit(lambda x: x + table)
    g(X)
    table[:] = 7
    close(g(X), X + 1)


def test_methods_can_be_jitted():
    class Model:
        def __init__(self):
            self.w = 3.0

        @fg.jit
        def scaled(self, x):
            return x

    with pytest.raises(TypeError, match="must be marked static"):
        Model().scaled(X)


# ---- programs ----


def test_the_backward_program_prints():
    text = str(fg.make_expr(fg.grad(f))(X))
    assert "tanh" in text
    assert "inputs: a:f64[5]" in text
    assert fg.make_jaxpr is fg.make_expr


def test_a_hundred_thousand_equations_in_linear_time():
    def chain(n):
        def g(x):
            for _ in range(n):
                x = x * 1.0001
            return x

        return g

    def seconds(n):
        start = time.perf_counter()
        fg.grad(chain(n))(1.0)
        fg.make_expr(fg.grad(chain(n)))(1.0)
        return time.perf_counter() - start

    seconds(1000)
    close(fg.grad(chain(100_000))(1.0), 1.0001**100_000, rtol=1e-9)
    close(fg.jit(fg.grad(chain(20_000)))(1.0), 1.0001**20_000, rtol=1e-9)
    str(fg.make_expr(chain(100_000))(1.0))


# ---- state, threads ----


def test_an_exception_leaves_nothing_behind():
    def bad(x):
        raise RuntimeError("user code")

    for transform in (fg.grad, fg.jit, fg.vmap, fg.make_expr, fg.checkpoint, fg.jacfwd):
        with pytest.raises(RuntimeError, match="user code"):
            fg.grad(lambda x: jnp.sum(transform(bad)(x)))(X)
    close(fg.grad(f)(X), df(X))


def test_tracing_is_thread_safe():
    failures = []

    def work(scale):
        try:
            for _ in range(30):
                close(fg.grad(lambda x: f(scale * x))(X), scale * df(scale * X))
                close(fg.jit(fg.vmap(fg.grad(lambda x: f(scale * x))))(X[None])[0], scale * df(scale * X))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(s,)) for s in (1.0, 2.0, 3.0, 4.0)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
