"""The text of every message: what was asked, what came, where, what to write instead."""

import re
import sys

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import errors

X = np.arange(3.0)


def raises(kind, *parts):
    return pytest.raises(kind, match=r"[\s\S]*".join(re.escape(p) for p in parts))


# ---- tracers where a value is needed ----


@pytest.mark.parametrize(
    ("ask", "kind", "parts"),
    [
        (
            lambda x: 1 if x[0] > 0 else 2,
            errors.TracerBoolConversionError,
            ["bool()", "bool[]", "where", "static_argnums"],
        ),
        (lambda x: int(x[0]), errors.TracerIntegerConversionError, ["int()", "f64[]", "static"]),
        (
            lambda x: float(x[0]),
            errors.ConcretizationTypeError,
            ["float()", "f64[]", "outside the transformed function"],
        ),
        (lambda x: complex(x[0]), errors.ConcretizationTypeError, ["complex()", "f64[]"]),
        (lambda x: range(x[0].astype(int)), errors.TracerIntegerConversionError, ["int()", "i64[]"]),
        (lambda x: np.asarray(x), errors.TracerArrayConversionError, ["numpy.asarray()", "f64[3]", "funcgrad.numpy"]),
    ],
)
def test_conversions_of_abstract_tracers(ask, kind, parts):
    def user_function(x):
        return ask(x)

    with raises(kind, *parts[:2], "in user_function", "born at", __file__, *parts[2:]):
        fg.jit(user_function)(X)
    assert issubclass(kind, TypeError)
    np.testing.assert_array_equal(fg.jit(lambda x: x)(X), X)


def test_numpy_asarray_of_a_concrete_tracer_would_lose_the_derivative():
    with raises(errors.TracerArrayConversionError, "numpy.asarray()", "stop_gradient"):
        fg.grad(lambda x: np.sum(np.asarray(x)))(X)


def test_assignment_into_arrays():
    def assign(x):
        x[0] = 1.0
        return x

    with raises(TypeError, "x[index] = value", "traced array", "f64[3]", "x.at[index].set(value)"):
        fg.jit(assign)(X)
    with raises(TypeError, "funcgrad.Array", "f64[3]", "x.at[index].set(value)"):
        assign(jnp.sin(X))


def test_an_escaped_tracer_names_its_birthplace():
    kept = []

    def leak(x):
        kept.append(x * 2)
        return x

    fg.jit(leak)(X)
    with raises(
        errors.UnexpectedTracerError, "f64[3]", "after the trace of leak has ended", "born at", __file__, "(leak)"
    ):
        kept[0] + 1
    kept.clear()
    fg.grad(lambda x: jnp.sum(leak(x)))(X)
    with raises(errors.UnexpectedTracerError, "has ended"):
        jnp.sin(kept[0])
    with raises(errors.UnexpectedTracerError, "has ended"):
        fg.jit(lambda x: kept[0])(X)


# ---- grad and its relatives ----


def test_grad_of_a_wrong_output():
    def vector(x):
        return x * 2

    with raises(TypeError, "one scalar output", "vector returned f64[3]", "jacrev/jacfwd"):
        fg.grad(vector)(X)
    with raises(TypeError, "output of floating dtype", "int64"):
        fg.grad(lambda x: jnp.argmax(x))(X)
    with raises(TypeError, "real output", "complex128", "holomorphic=True"):
        fg.grad(lambda x: jnp.sum(x * 1j))(X)
    with raises(TypeError, "has_aux=True", "pair (output, aux)", "it returned"):
        fg.grad(lambda x: jnp.sum(x), has_aux=True)(X)


def test_grad_of_wrong_inputs():
    def loss(params, n):
        return 1.0

    with raises(TypeError, "grad of loss", "floating dtype", "'params'['w']", "int64", "allow_int=True"):
        fg.grad(loss)({"w": np.arange(3)}, 1)
    with raises(TypeError, "grad of loss: argument 'params'['w']", "'text' of type str"):
        fg.grad(loss)({"w": "text"}, 1)
    with raises(TypeError, "holomorphic=True needs complex inputs", "float64"):
        fg.grad(loss, holomorphic=True)(1.0, 1)
    with raises(TypeError, "jacfwd", "real inputs", "complex128"):
        fg.jacfwd(lambda z: z)(1j)
    with raises(ValueError, "grad of loss", "argnums=2", "2 positional arguments"):
        fg.grad(loss, argnums=2)(1.0, 1)
    with raises(TypeError, "argnums must be an int", "'x'"):
        fg.grad(loss, argnums=("x",))(1.0, 1)


def test_tangents_and_cotangents_must_match():
    with raises(TypeError, "vjp of", "cotangent", "shape (2,)", "shape (3,)"):
        fg.vjp(jnp.sin, X)[1](np.ones(2))
    with raises(TypeError, "cotangent has structure", "{'a': *}", "belongs to has PyTreeDef(*)"):
        fg.vjp(jnp.sin, X)[1]({"a": X})
    with raises(TypeError, "tangents", "shape (2,)", "shape (3,)"):
        fg.jvp(jnp.sin, (X,), (np.ones(2),))
    with raises(TypeError, "jvp", "2 primals and 1 tangents"):
        fg.jvp(jnp.add, (X, X), (X,))
    with raises(TypeError, "primals must be a tuple or a list", "ndarray"):
        fg.jvp(jnp.sin, X, X)
    with raises(TypeError, "dtype complex128", "dtype float64"):
        fg.jvp(jnp.sin, (X,), (X * 1j,))


# ---- shapes and trees ----


def test_mismatched_shapes_name_both():
    with raises(TypeError, "add was asked of arrays of shapes (3,) and (4,)", "broadcast"):
        fg.jit(lambda x: x + np.ones(4))(X)
    with raises(TypeError, "contract", "f64[3,2]", "f64[3]"):
        fg.jit(lambda x: jnp.matmul(np.ones((3, 2)), x))(X)


def test_mismatched_trees_name_the_path():
    with raises(ValueError, "['a']"):
        fg.tree.map(lambda x, y: x, {"a": (1, 2)}, {"a": (1, 2, 3)})


# ---- vmap ----


def test_bad_axes_of_vmap():
    def g(x, y):
        return x + y

    with raises(ValueError, "vmap of g", "in_axes=(0,) has 1 entries", "2 positional arguments"):
        fg.vmap(g, in_axes=(0,))(X, X)
    with raises(ValueError, "vmap of g", "one size", "3 (argument[0] of shape (3,)", "4 (argument[1]"):
        fg.vmap(g)(X, np.ones(4))
    with raises(ValueError, "vmap of g", "axis 1 of argument[0]", "shape (3,)"):
        fg.vmap(g, in_axes=1)(X, X)
    with raises(ValueError, "nothing is batched", "axis_size"):
        fg.vmap(g, in_axes=None)(X, X)
    with raises(TypeError, "ints and None", "'a'"):
        fg.vmap(g, in_axes="a")(X, X)
    with raises(ValueError, "in_axes", "does not fit"):
        fg.vmap(lambda p: p["w"], in_axes=({"v": 0},))({"w": X})
    with raises(ValueError, "out_axes is None", "depends on the batch"):
        fg.vmap(g, out_axes=None)(X, X)
    with raises(ValueError, "out_axes=3", "shape (3,)"):
        fg.vmap(g, out_axes=3)(X, X)
    with raises(NotImplementedError, "axis_name"):
        fg.vmap(g, axis_name="batch")


# ---- jit ----


def test_bad_arguments_of_jit():
    def g(x, n):
        return x * n

    with raises(ValueError, "jit of g", "static argument 'n'", "[1]", "not hashable", "tuple"):
        fg.jit(g, static_argnums=1)(X, [1])
    with raises(TypeError, "jit of g", "'text' of type str", "static_argnums"):
        fg.jit(g)(X, "text")
    with raises(ValueError, "static_argnames names 'm'", "['n', 'x']"):
        fg.jit(g, static_argnames="m")
    with raises(ValueError, "argnums=5"):
        fg.jit(g, static_argnums=5)
    with raises(TypeError, "jit needs a function"):
        fg.jit(3)
    with raises(TypeError, "output of g", "str"):
        fg.jit(_returns_text)(X)


def _returns_text(x):
    return "text"


_returns_text.__name__ = "g"


# ---- custom rules ----


def test_custom_rules_that_are_wrong():
    @fg.custom_vjp
    def g(x, y):
        return x * y

    with raises(AttributeError, "custom_vjp of g has no rule", "g.defvjp(fwd, bwd)"):
        g(1.0, 2.0)
    g.defvjp(lambda x, y: (x * y, (x, y)), lambda res, ct: (ct,))
    with raises(TypeError, "custom_vjp of g: bwd", "2 differentiable arguments", "got 1"):
        fg.grad(g)(1.0, 2.0)
    g.defvjp(lambda x, y: (x * y, (x, y)), lambda res, ct: (np.ones(3), ct))
    with raises(ValueError, "cotangent of shape (3,)", "shape ()"):
        fg.grad(g)(1.0, 2.0)
    g.defvjp(lambda x, y: (x * y, (x, y)), lambda res, ct: ({"a": ct}, ct))
    with raises(TypeError, "bwd returned structure", "argument 0"):
        fg.grad(g)(1.0, 2.0)
    g.defvjp(lambda x, y: x * y, lambda res, ct: (ct, ct))
    with raises(TypeError, "fwd must return a pair (output, residuals)"):
        fg.grad(g)(1.0, 2.0)

    @fg.custom_jvp
    def h(x):
        return x

    with raises(AttributeError, "custom_jvp of h has no rule", "h.defjvp(rule)"):
        h(1.0)
    h.defjvp(lambda primals, tangents: (primals[0], np.ones(3)))
    with raises(TypeError, "custom_jvp of h", "tangent has shape (3,)"):
        fg.grad(h)(1.0)


def test_a_custom_rule_over_a_closed_over_tracer():
    def outer(w):
        @fg.custom_vjp
        def g(x):
            return x * w

        g.defvjp(lambda x: (x * w, None), lambda res, ct: (ct,))
        return g(w * 2)

    with raises(
        errors.UnexpectedTracerError,
        "closes over a value that is being differentiated",
        "pass that value as an argument",
    ):
        fg.grad(outer)(3.0)
    with raises(errors.UnexpectedTracerError, "closes over a value that is being differentiated"):
        fg.grad(fg.jit(outer))(3.0)


def test_a_missing_rule_says_what_to_write():
    from funcgrad.core.primitive import Primitive
    from funcgrad.core.types import array_type

    bare = Primitive("bare", lambda x: x * 2, lambda x: array_type(x.shape, x.dtype))
    with raises(errors.MissingRuleError, "'bare' has no vjp rule", "custom_vjp"):
        fg.grad(lambda x: jnp.sum(bare(x)))(X)
    with raises(errors.MissingRuleError, "'bare' has no jvp rule"):
        fg.jvp(bare, (X,), (X,))
    with raises(errors.MissingRuleError, "'bare' has no batch rule"):
        fg.vmap(bare)(X)


def test_numpy_functions_without_a_traced_form_say_so():
    with raises(TypeError, "numpy.is_busday was called on a traced array", "compose it from others"):
        fg.jit(lambda x: np.is_busday(x))(X)


def test_checks_find_broken_programs():
    from funcgrad.core.program import Equation, Program, Var, check

    program = fg.make_expr(lambda x: jnp.sin(x) * 2)(X)
    first, second = program.equations
    with raises(errors.ProgramError, "equation 0 (mul)", "used before it is bound"):
        check(Program(program.inputs, (second, first), program.outputs))
    with raises(errors.ProgramError, "bound twice"):
        check(Program(program.inputs, (first, first, second), program.outputs))
    wrong = Equation(first.primitive, first.inputs, {}, (Var(first.outputs[0].type.__class__((9,), np.dtype(float))),))
    with raises(errors.ProgramError, "outputs are ['f64[9]'], the rule gives ['f64[3]']"):
        check(Program(program.inputs, (wrong,), wrong.outputs))


def test_errors_carry_no_frames_of_a_cause():
    with pytest.raises(TypeError) as caught:
        fg.grad(lambda x: x)("text")
    assert caught.value.__cause__ is None
    assert sys.exc_info() == (None, None, None)
