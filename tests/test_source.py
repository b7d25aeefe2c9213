"""fg.source: the printed module runs without funcgrad and gives the numbers, the trees and the dtypes of the function."""

import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.random
from funcgrad import debug, tree_util
from funcgrad.api.callback import named_scope, pure_callback
from funcgrad.api.source import source
from funcgrad.api.source_text import array_text, literal_text
from funcgrad.core.tracing import shape_of
from funcgrad.numpy.operators import dispatch
from funcgrad.ops import elementwise as e
from funcgrad.ops.basics import convert, imag, real, reduce_sum
from funcgrad.ops.dot import dot_general, matmul2
from funcgrad.ops.families import TABLE
from funcgrad.ops.reduce import argmax, cumsum, reduce_max
from funcgrad.ops.shape import concatenate, pad, slice_, slice_axis

tanh, exp, sin = (dispatch[f] for f in (np.tanh, np.exp, np.sin))
BIG = np.random.default_rng(1).normal(size=(9, 11))
SMALL = np.array([np.inf, -np.inf, np.nan, -0.0, 1 / 3])
Pair = namedtuple("Pair", "left right")


def total(x):
    return reduce_sum(x, axes=tuple(range(len(shape_of(x)))))


def load(text, monkeypatch):
    """What the module defines, run where funcgrad cannot be imported."""
    monkeypatch.setitem(sys.modules, "funcgrad", None)
    space = {}
    exec(compile(text, "<source>", "exec"), space)
    monkeypatch.undo()
    return space


def same(have, want, exact=False):
    assert fg.tree.structure(have) == fg.tree.structure(want)
    for h, w in zip(fg.tree.leaves(have), fg.tree.leaves(want), strict=True):
        assert np.asarray(h).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(h, w, rtol=0 if exact else 1e-12, atol=0 if exact else 1e-14)


# ---- programs ----


@fg.jit
def layer(p, x):
    return tanh(matmul2(x, p["w"]) + p["b"])


def loss(params, x, y):
    for p in params:
        x = layer(p, x)
    return total((x - y) * (x - y))


@fg.custom_jvp
def smooth(x):
    return tanh(x)


smooth.defjvp(lambda primals, tangents: (smooth(primals[0]), tangents[0] * 2.0))


@fg.custom_vjp
def clipped(x):
    return x * 1.0


clipped.defvjp(lambda x: (clipped(x), x), lambda x, ct: (e.clamp(ct, -1.0, 1.0) * x,))


def where(x, y):
    return e.select(x > 0.5, exp(x), y * float("inf"))


def many(*xs, scale, lambda_=2.0):
    return {"out": [x * scale for x in xs], "none": None, "pair": (xs[0] + lambda_,)}


def weak(a, b):
    return e.sin(a) * b, a / 3.0, e.div(a, 0.0)


def slices(x):
    part = slice_(x, starts=(1, 0), limits=(3, 4), strides=(1, 2))
    return pad(part, 0.0, low=(0, 1), high=(2, 0), interior=(0, 1)), concatenate(part, part, axis=1)


def constants(x):
    return x * SMALL, total(x) * BIG, np.float32(2.0), np.zeros((0, 3)), 7


def numbers(input, max):
    return (
        e.maximum(input, max),
        argmax(input, axis=0),
        convert(input, np.float32),
        input**3,
        e.integer_pow(input * 0.5, n=-2),
    )


def complex_part(z):
    w = exp(z) * (1 + 2j)
    return real(w), imag(w), e.magnitude(w), e.make_complex(real(z), 1.0)


def checkpointed(x):
    return total(fg.checkpoint(lambda v: sin(sin(v)))(x) * x)


X, Y = BIG[:3, :4].copy(), BIG[3:6, :4].copy()
PARAMS = [{"w": BIG[:4, :5].copy(), "b": np.zeros(5)}, {"w": BIG[:5, :2].copy(), "b": np.ones(2)}]
CASES = {
    "mlp": (loss, (PARAMS, X, Y[:, :2]), {}),
    "grad of mlp": (fg.grad(loss), (PARAMS, X, Y[:, :2]), {}),
    "value and grad": (fg.value_and_grad(loss, argnums=(0, 1)), (PARAMS, X, Y[:, :2]), {}),
    "jit of grad": (fg.jit(fg.grad(loss)), (PARAMS, X, Y[:, :2]), {}),
    "vmap of grad": (fg.vmap(fg.grad(lambda x: total(tanh(x) * x))), (X,), {}),
    "hessian": (fg.hessian(lambda x: total(exp(x) * sin(x))), (X[0],), {}),
    "where": (where, (X, Y), {}),
    "cumsum": (lambda x: cumsum(x, axis=1, reverse=True), (X,), {}),
    "reductions": (lambda x: (reduce_max(x, axes=(0,)), reduce_sum(x, axes=(0, 1))), (np.float32(X),), {}),
    "grad of max": (fg.grad(lambda x: total(reduce_max(x, axes=(1,)))), (X,), {}),
    "keywords": (many, (X, Y), {"scale": 2.0, "lambda_": np.float32(3)}),
    "weak numbers": (weak, (0.5, np.array([1, 2], np.float32)), {}),
    "slices": (slices, (X,), {}),
    "constants": (constants, (np.ones(5),), {}),
    "integers": (numbers, (np.arange(1, 7).reshape(3, 2), 3), {}),
    "complex": (complex_part, (X + 1j * Y,), {}),
    "custom jvp": (fg.grad(lambda x: total(smooth(x))), (X,), {}),
    "custom jvp, primal": (smooth, (X,), {}),
    "custom vjp": (fg.grad(lambda x: total(clipped(x) * 3.0)), (X,), {}),
    "checkpoint": (fg.grad(checkpointed), (X,), {}),
    "tensor product": (lambda x, y: dot_general(x, y, dims=(((0,), (0,)), ((1,), (1,)))), (X, Y), {}),
    "batched product": (
        fg.vmap(lambda x, y: matmul2(x, y)),
        (BIG[:8].reshape(2, 4, 11), BIG[:8].reshape(2, 11, 4)),
        {},
    ),
    "batched outer": (
        fg.vmap(fg.grad(lambda x, y: total(matmul2(x, y)))),
        (np.ones((2, 3, 4)), np.ones((2, 4, 5))),
        {},
    ),
    "grad of slices": (fg.grad(lambda x: total(slices(x)[0] * 2.0) + total(sin(slice_axis(x, 1, 3, 0)))), (X,), {}),
    "indexing": (lambda x, i: (x[1:, ::2], x[i], x[..., None]), (X, np.array([2, 0])), {}),
    "grad of indexing": (fg.grad(lambda x, i: total(sin(x)[i] * x[0, 1])), (X, np.array([2, 0])), {}),
    "scipy": (fg.grad(lambda x: total(TABLE["bessel_i0"](x))), (X,), {}),
    "no arguments": (lambda: 1.5, (), {}),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
def test_the_module_gives_the_functions_numbers(name, monkeypatch):
    f, args, kwargs = CASES[name]
    text = source(f)(*args, **kwargs)
    space = load(text, monkeypatch)
    main = text[text.rindex("\ndef ") + 5 :].partition("(")[0]
    want = fg.jit(f)(*args, **kwargs)
    same(space[main](*args, **kwargs), want)
    assert "funcgrad." not in text.replace("funcgrad.source", "")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "name", ["mlp", "slices", "complex", "integers", "grad of indexing", "batched outer", "constants"]
)
def test_the_module_with_kernels_gives_the_functions_numbers(name):
    f, args, kwargs = CASES[name]
    text = source(f, kernels=True)(*args, **kwargs)
    space: dict = {}
    exec(text, space)
    main = text[text.rindex("\ndef ") + 5 :].partition("(")[0]
    found, want = fg.tree.leaves(space[main](*args, **kwargs)), fg.tree.leaves(fg.jit(f)(*args, **kwargs))
    for have, expected in zip(found, want, strict=True):
        assert np.asarray(have).dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(have, expected, rtol=1e-6 if np.asarray(expected).dtype.itemsize == 4 else 1e-13)


def test_the_module_runs_in_a_process_without_funcgrad(tmp_path):
    text = source(fg.grad(loss))(PARAMS, X, Y[:, :2])
    tail = "import sys\nassert not any(m.startswith('funcgrad') for m in sys.modules)\n"
    (tmp_path / "printed.py").write_text(f"{text}\n{tail}")
    run = (
        "import sys; sys.modules['funcgrad'] = None; import numpy as np, printed; "
        "p = [{'w': np.ones((4, 5)), 'b': np.zeros(5)}, {'w': np.ones((5, 2)), 'b': np.ones(2)}]; "
        "print(repr(printed.grad_of_loss(p, np.ones((3, 4)), np.ones((3, 2)))[1]['b'].tolist()))"
    )
    tail = tail.replace("m.startswith", "sys.modules[m] is not None and m.startswith")
    (tmp_path / "printed.py").write_text(f"{text}\n{tail}")
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True, cwd=tmp_path)
    params = [{"w": np.ones((4, 5)), "b": np.zeros(5)}, {"w": np.ones((5, 2)), "b": np.ones(2)}]
    want = fg.grad(loss)(params, np.ones((3, 4)), np.ones((3, 2)))[1]["b"]
    np.testing.assert_allclose([float(v) for v in done.stdout.strip("[]\n").split(",")], want)


def test_the_text_reads_like_numpy():
    text = source(fg.grad(lambda x, w: total(tanh(matmul2(x, w)))))(X, X.T.copy())
    assert "np.tanh(" in text
    assert " @ w" in text
    assert "# f64[3,3]" in text
    assert repr(text) == text
    named = source(fg.grad(loss))(PARAMS, X, Y[:, :2])
    assert "def grad_of_loss(params, x, y):" in named
    assert "params_0_w = params[0]['w']  # f64[4,5]" in named
    assert "base64" not in named
    assert "base64.b64decode" in source(constants)(np.ones(5))


def test_scopes_become_comments():
    def f(x):
        with named_scope("head"):
            y = sin(x)
        return y * 2.0

    assert "    # scope head\n" in source(f)(X)


@tree_util.register_pytree_node_class
class Box:
    def __init__(self, inside):
        self.inside = inside

    def tree_flatten(self):
        return (self.inside,), None

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*children)


def test_named_tuples_and_registered_nodes_are_tuples(monkeypatch):
    def swap(box, pair):
        return Box(pair.left + box.inside), Pair(pair.right, box.inside)

    text = source(swap)(Box(X), Pair(Y, 2.0 * Y))
    assert "box is a tuple of the parts of Box" in text
    found = load(text, monkeypatch)["swap"]((X,), (Y, 2.0 * Y))
    same(found, ((X + Y,), (2.0 * Y, X)))


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_row_has_a_text_or_says_that_it_has_none(name, monkeypatch):
    row = TABLE[name]
    if row.samples is None:
        pytest.skip("a primitive of functions")
    for args, params in row.samples(np.random.default_rng(0)):

        def f(*values, params=params):
            return fg.tree.leaves(row(*values, **params))

        try:
            text = source(f)(*args)
        except TypeError as error:
            # Written with classes of this library: samplers that reject.
            assert f"'{name}' cannot be written" in str(error)
            assert name in ("random_poisson", "random_binomial", "random_loggamma")
            continue
        same(load(text, monkeypatch)["f"](*args), f(*args))


def test_what_has_no_text_is_named():
    def talks(x):
        debug.print("{}", x)
        return x

    with pytest.raises(TypeError, match="source of talks: operation 'debug_callback' .* effect"):
        source(talks)(1.0)
    with pytest.raises(TypeError, match="operation 'pure_callback' .* Python function"):
        source(lambda x: pure_callback(np.sin, x, x))(X)
    with pytest.raises(TypeError, match="closes over a value"):
        fg.jit(lambda x: source(lambda y: x + y)(1.0))(2.0)


@pytest.mark.parametrize(
    "value",
    [
        SMALL, BIG, np.float32(SMALL), np.array(True), np.zeros((0, 2), np.int8),
        np.array([complex(1.5, -0.0), complex(-0.0, np.inf)]), np.full((9, 9), 2.5),
        BIG.T, np.arange(100, dtype=np.uint8), np.array(-0.0), BIG.astype(">f8")[:2, :2],
    ],
)  # fmt: skip
def test_arrays_are_written_exactly(value):
    import base64

    back = eval(array_text(value), {"np": np, "base64": base64})
    assert back.shape == value.shape
    assert back.dtype == value.dtype
    assert back.tobytes() == np.ascontiguousarray(value).tobytes()


@pytest.mark.parametrize(
    "value",
    [None, (1,), (slice(1, None, 2), ...), -0.0, complex(-0.0, np.inf), np.float32(0.1), np.dtype("int8"), "a'b"],
)
def test_literals_come_back(value):
    back = eval(literal_text(value), {"np": np})
    assert repr(back) == repr(value)
    assert type(back) is type(value)
