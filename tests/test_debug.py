"""debug.print, debug.callback, pure_callback and named_scope: when they run, how often, and what they say."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import debug
from funcgrad.api.callback import named_scope, pure_callback
from funcgrad.core.program import check
from funcgrad.core.tracing import shape_of
from funcgrad.numpy.operators import dispatch

tanh, sin, cos = (dispatch[f] for f in (np.tanh, np.sin, np.cos))


def loud(x):
    debug.print("x = {}", x)
    return x * x


@pytest.mark.parametrize(
    "run",
    [
        lambda: loud(np.float64(3.0)),
        lambda: fg.grad(loud)(3.0),
        lambda: fg.grad(fg.jit(loud))(3.0),
        lambda: fg.jit(fg.grad(loud))(3.0),
        lambda: fg.jvp(loud, (3.0,), (1.0,)),
        lambda: fg.jit(fg.jit(loud))(3.0),
        lambda: fg.vmap(loud)(np.array([3.0])),
        lambda: fg.vmap(fg.grad(fg.jit(loud)))(np.array([3.0])),
    ],
)
def test_print_prints_once_per_call(run, capsys):
    run()
    assert capsys.readouterr().out == "x = 3.0\n"
    run()
    assert capsys.readouterr().out == "x = 3.0\n"


@pytest.mark.parametrize(
    "wrapper", [lambda f: f, fg.jit, fg.grad, lambda f: fg.jit(fg.grad(f)), lambda f: fg.grad(fg.jit(f))]
)
def test_an_effect_without_traced_arguments_happens_at_each_call(wrapper, capsys):
    def f(x):
        debug.print("hi")
        return x * x

    g = wrapper(f)
    for _ in range(3):
        g(2.0)
        assert capsys.readouterr().out == "hi\n"


def test_vmap_calls_once_per_example_also_nested_and_under_jit():
    seen = []

    def f(x, y):
        debug.callback(lambda a, b: seen.append((a.shape, float(a), float(b))), x, y)
        return x + y

    x, y = np.array([1.0, 2.0]), np.array([10.0, 20.0, 30.0])
    want = [((), a, b) for a in x for b in y]
    both = fg.vmap(fg.vmap(f, in_axes=(None, 0)), in_axes=(0, None))
    for run in (both, fg.jit(both)):
        seen.clear()
        run(x, y)
        assert sorted(seen) == sorted(want)
    seen.clear()
    fg.vmap(f, in_axes=(0, None))(x, 5.0)
    assert seen == [((), 1.0, 5.0), ((), 2.0, 5.0)]


def test_order_is_the_programs_order_and_dead_code_keeps_effects(capsys):
    @fg.jit
    def f(x):
        debug.print("one {}", x, ordered=True)
        debug.print("two {y:.2f} {0}", "text", y=sin(x))
        return x

    f(0.5)
    assert capsys.readouterr().out == f"one 0.5\ntwo {np.sin(0.5):.2f} text\n"
    check(fg.make_expr(f)(0.5))


def test_callback_passes_trees_and_plain_values():
    seen = []
    fg.jit(lambda x: debug.callback(lambda t, k=None: seen.append((t, k)), {"a": (x, 3)}, k="text"))(np.arange(2.0))
    ((tree, keyword),) = seen
    assert keyword == "text"
    assert tree["a"][1] == 3
    np.testing.assert_array_equal(tree["a"][0], [0.0, 1.0])
    assert isinstance(tree["a"][0], fg.Array)


@pytest.mark.parametrize(
    ("fmt", "args", "kwargs", "match"),
    [
        ("{} {}", (1,), {}, "field 1 .* has no argument; 1 positional"),
        ("{x}", (), {"y": 1}, "field 'x' .* keywords given: \\['y'\\]"),
        ("{}", (1, 2), {}, "prints argument 1"),
        ("hi", (), {"x": 1}, "prints argument x"),
        ("{0} {}", (1, 2), {}, "mixes"),
        ("{x:{width}}", (), {"x": 1}, "field 'width'"),
    ],
)
def test_a_bad_format_is_said_at_once(fmt, args, kwargs, match):
    with pytest.raises(ValueError, match=match):
        debug.print(fmt, *args, **kwargs)


# ---- pure_callback ----


def host_sin(x):
    return np.sin(np.asarray(x))


def called(x, **kwargs):
    return pure_callback(host_sin, fg.ShapeDtypeStruct(shape_of(x), "float64"), x, **kwargs)


def test_pure_callback_plain_and_jitted():
    x = np.linspace(0.0, 1.0, 4)
    np.testing.assert_array_equal(called(x), np.sin(x))
    np.testing.assert_array_equal(fg.jit(called)(x), np.sin(x))
    check(fg.make_expr(called)(x))
    pair = fg.jit(lambda x: pure_callback(lambda a, b: {"s": a + b, "n": np.int64(3)},
                  {"s": x, "n": fg.ShapeDtypeStruct((), "int64")}, x, b=2.0))(x)  # fmt: skip
    np.testing.assert_array_equal(pair["s"], x + 2)
    assert int(pair["n"]) == 3


@pytest.mark.parametrize("method", ["sequential", "expand_dims", "broadcast_all"])
def test_pure_callback_under_vmap(method):
    x, y = np.arange(6.0).reshape(2, 3), np.arange(3.0)
    shapes = []

    def add(a, b):
        shapes.append((a.shape, b.shape))
        return np.asarray(a + b)

    def f(a, b):
        return pure_callback(add, fg.ShapeDtypeStruct((3,), "float64"), a, b, vmap_method=method)

    for run in (fg.vmap(f, in_axes=(0, None)), fg.jit(fg.vmap(f, in_axes=(0, None)))):
        shapes.clear()
        np.testing.assert_array_equal(run(x, y), x + y)
        want = {
            "sequential": [((3,), (3,))] * 2, "expand_dims": [((2, 3), (1, 3))], "broadcast_all": [((2, 3), (2, 3))]
        }  # fmt: skip
        assert shapes == want[method]


def test_pure_callback_under_two_vmaps():
    x = np.arange(6.0).reshape(2, 3)
    for method in ("sequential", "expand_dims", "broadcast_all"):
        f = lambda v, method=method: called(v, vmap_method=method)
        np.testing.assert_array_equal(fg.vmap(fg.vmap(f))(x), np.sin(x))


def test_errors_of_pure_callback():
    x = np.arange(3.0)
    with pytest.raises(NotImplementedError, match="host_sin .*vmap_method=None"):
        fg.vmap(called)(x)
    with pytest.raises(ValueError, match="vmap_method must be one of"):
        called(x, vmap_method="fast")
    for run in (
        lambda: fg.grad(called)(1.0),
        lambda: fg.grad(fg.jit(called))(1.0),
        lambda: fg.jvp(called, (1.0,), (1.0,)),
    ):
        with pytest.raises(ValueError, match="host_sin .*custom_vjp"):
            run()
    wrong = lambda x: pure_callback(host_sin, fg.ShapeDtypeStruct((2,), "float32"), x)
    with pytest.raises(TypeError, match=r"declared to return f32\[2\], and returned f64\[3\]"):
        fg.jit(wrong)(x)
    with pytest.raises(TypeError, match="structure"):
        pure_callback(lambda v: (v, v), x, x)
    with pytest.raises(TypeError, match="ShapeDtypeStruct"):
        pure_callback(host_sin, 3, x)


def test_pure_callback_with_a_custom_rule():
    @fg.custom_jvp
    def f(x):
        return called(x)

    f.defjvp(lambda primals, tangents: (f(*primals), tangents[0] * cos(primals[0])))
    assert float(fg.grad(f)(0.3)) == pytest.approx(np.cos(0.3))
    assert float(fg.jit(fg.grad(f))(0.3)) == pytest.approx(np.cos(0.3))


# ---- named_scope ----


def test_scopes_are_printed_and_named_in_errors():
    @named_scope("inner")
    def g(x):
        return sin(x)

    def f(x):
        y = x * 2.0
        with named_scope("outer"):
            y = g(tanh(y))
        return y + 1.0

    program = check(fg.make_expr(f)(1.0))
    assert [eq.scope for eq in program.equations] == ["", "outer", "outer/inner", ""]
    text = [line.strip() for line in str(program).splitlines()]
    assert "# scope outer" in text
    assert "# scope outer/inner" in text
    assert "# end of scope" in text
    assert float(f(0.5)) == float(fg.jit(f)(0.5)) == np.sin(np.tanh(1.0)) + 1

    def bad(x):
        with named_scope("layer"):
            return 1.0 if tanh(x) > 0 else 2.0

    with pytest.raises(TypeError) as caught:
        fg.jit(bad)(1.0)
    assert "in named_scope 'layer'" in caught.value.__notes__

    def late(x):
        with named_scope("layer"):
            y = tanh(x)
        return 1.0 if y else 2.0

    with pytest.raises(TypeError, match="in scope layer"):
        fg.jit(late)(1.0)
