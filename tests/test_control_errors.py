"""What control flow says of functions that do not fit: both types side by side, by path, under the name that the user called."""

import functools
from typing import Any, cast

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax

X, XS = np.ones(3), np.ones((5, 3))
TREE = {"a": X, "b": [X, X]}
SHRINK = lambda c: {"a": c["a"][:2], "b": [c["b"][0], c["b"][1].astype(np.float32)]}
SHRUNK = """\
  leaf     went in as  came out as
  ['a']    f64[3]      f64[2]
  ['b'][1]  f64[3]      f32[3]""".replace("leaf     went", "leaf      went").replace("['a']    f64", "['a']     f64")


def says(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("scan", lambda: lax.scan(lambda c, x: (SHRINK(c), x), TREE, XS)),
        ("scan", lambda: fg.jit(fg.grad(lambda v: lax.scan(lambda c, x: (SHRINK(c), x), TREE, XS)[1].sum() * v))(1.0)),
        ("while_loop", lambda: lax.while_loop(lambda c: True, SHRINK, TREE)),
        ("fori_loop", lambda: lax.fori_loop(0, 3, lambda i, c: SHRINK(c), TREE)),
        ("fori_loop", lambda: fg.jit(lambda n: lax.fori_loop(0, n, lambda i, c: SHRINK(c), TREE))(3)),
    ],
)
def test_a_carry_of_other_types(what, call):
    text = says(TypeError, call)
    assert text.startswith(f"{what}: the body's carry must keep its type. Convert one side, for example with astype")
    assert text.endswith("\n" + SHRUNK)


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("scan", lambda: lax.scan(lambda c, x: ({"a": c["a"], "c": x}, x), {"a": X, "b": X}, XS)),
        ("while_loop", lambda: lax.while_loop(lambda c: True, lambda c: {"a": c["a"], "c": X}, {"a": X, "b": X})),
        ("fori_loop", lambda: lax.fori_loop(0, 3, lambda i, c: {"a": c["a"], "c": X}, {"a": X, "b": X})),
        (
            "fori_loop",
            lambda: fg.jit(lambda n: lax.fori_loop(0, n, lambda i, c: {"a": X, "c": X}, {"a": X, "b": X}))(3),
        ),
    ],
)
def test_a_carry_of_another_structure(what, call):
    text = says(TypeError, call)
    assert text.startswith(
        f"{what}: the body's carry must keep its structure; it went in as PyTreeDef({{'a': *, 'b': *}}) and came"
    )
    assert text.endswith("\n  leaf   went in as  came out as\n  ['b']  f64[3]      -\n  ['c']  -           f64[3]")


def test_branches():
    call = lambda: lax.cond(True, lambda a: {"u": a, "w": a}, lambda a: {"u": a, "w": a[:1]}, X)
    assert says(TypeError, call) == (
        "cond: the branches must return the same types. Convert one of them, for example with astype.\n"
        "  leaf   false_fun  true_fun\n  ['w']  f64[1]     f64[3]"
    )
    call = lambda: lax.switch(1, [lambda a: a, lambda a: a, lambda a: a.astype(np.float32)], X)
    assert "leaf                branch 0  branch 2\n  (the value itself)  f64[3]    f32[3]" in says(TypeError, call)
    text = says(TypeError, lambda: lax.switch(1, [lambda a: {"u": a}, lambda a: (a, a)], X))
    assert "branch 0 returned PyTreeDef({'u': *}), branch 1 PyTreeDef((*, *))." in text
    assert text.endswith(
        "\n  leaf   branch 0  branch 1\n  ['u']  f64[3]    -\n  [0]    -         f64[3]\n  [1]    -         f64[3]"
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lax.scan(lambda c: c, X, XS), "scan: f is called as f(carry, x), and <lambda>(c) cannot be called so: too many"),
        (lambda: lax.fori_loop(0, 3, lambda c: c, X), "fori_loop: body_fun is called as body_fun(i, val), and <lambda>(c)"),
        (lambda: lax.while_loop(lambda: True, lambda c: c, X), "while_loop: cond_fun is called as cond_fun(val), and <lambda>()"),
        (lambda: lax.while_loop(lambda c: True, lambda a, b: a, X), "so: missing a required argument: 'b'."),
        (lambda: lax.cond(True, lambda a: a, lambda: X, X), "cond: false_fun is called as false_fun(operand), and <lambda>()"),
        (lambda: lax.cond(True, lambda a: a, lambda a, b: a, X, X), "cond: true_fun is called as true_fun(operand0, operand1)"),
        (lambda: lax.switch(0, [lambda a: a, lambda: X], X), "switch: branch 1 is called as branch 1(operand), and"),
        (lambda: lax.map(lambda a, b: a, X), "map: f is called as f(x), and <lambda>(a, b)"),
        (lambda: lax.scan(cast(Any, 3), X, XS), "scan: f must be a function, got 3 of type int."),
        (lambda: lax.switch(0, [jnp.sin, cast(Any, None)], X), "switch: branch 1 must be a function, got None of type NoneType."),
    ],
)  # fmt: skip
def test_functions_of_another_arity(call, words):
    assert words in says(TypeError, call)


def test_functions_that_fit_in_other_ways():
    bound = functools.partial(lambda k, c, x: (c + k, x), 2.0)
    assert float(lax.scan(bound, 0.0, None, 3)[0]) == 6.0
    assert float(lax.scan(lambda *both: both, 1.0, None, 3)[0]) == 1.0
    assert float(lax.cond(False, np.sin, np.cos, 0.0)) == 1.0
    assert float(lax.fori_loop(0, 3, fg.jit(lambda i, v: v + i), 0)) == 3.0


def test_numbers_of_steps():
    text = says(ValueError, lambda: lax.scan(lambda c, x: (c, x), X, {"p": XS, "q": XS[:2]}))
    assert text.endswith("got length=None and\n  ['p']: f64[5,3], 5 steps\n  ['q']: f64[2,3], 2 steps")
    assert says(ValueError, lambda: lax.scan(lambda c, x: (c, x), X)) == (
        "scan: xs has no arrays, so nothing says how many steps there are; pass length=."
    )
    assert "must not be negative, got -3" in says(ValueError, lambda: lax.scan(lambda c, x: (c, x), X, None, -3))
    assert "max_steps must not be negative" in says(
        ValueError, lambda: lax.while_loop(lambda c: c > 0, lambda c: c, 1.0, -1)
    )
    assert says(TypeError, lambda: lax.fori_loop(0, 3.5, lambda i, c: c, X)).startswith(
        "fori_loop: upper must be a scalar integer, got f64[]"
    )
    assert "lower must be a scalar integer, got i64[2]" in says(
        TypeError, lambda: lax.fori_loop(np.zeros(2, int), 3, lambda i, c: c, X)
    )


def test_a_negative_trip_count_is_none():
    count = lambda n: lax.fori_loop(3, n, lambda i, c: c + 1, 0)
    assert int(count(-2)) == int(fg.jit(count)(-2)) == 0
    assert np.array_equal(fg.vmap(count)(np.array([-5, 3, 5])), [0, 0, 2])
    slope = fg.grad(lambda x, n: lax.fori_loop(0, n, lambda i, c: c * x, x), 0)
    assert float(fg.jit(slope)(2.0, -1)) == float(slope(2.0, -1)) == 1.0


def test_an_index_out_of_range_is_clamped():
    f = lambda i: lax.switch(i, [lambda: 10, lambda: 20, lambda: 30])
    for run in (f, fg.jit(f)):
        assert [int(run(i)) for i in (-7, 0, 1, 2, 99)] == [10, 10, 20, 30, 30]
    assert np.array_equal(fg.vmap(f)(np.array([-7, 1, 99])), [10, 20, 30])
