"""funcgrad.nn against jax.nn: values, dtypes and gradients in float32 and float64, under jit and vmap; PyTorch's kinks."""

import inspect
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4)) * 2
SOME = np.array([[True, False, True, True], [False, True, True, False], [True, True, True, True]])
NONE = np.array([[True, False, True, True], [False, False, False, False], [True, True, True, True]])
LABELS = np.array([[0, 3, 1], [2, 5, -1]])

ACTIVATIONS = (
    "identity relu relu6 hard_tanh hard_sigmoid hard_silu hard_swish leaky_relu elu celu selu sigmoid silu swish "
    "log_sigmoid softplus squareplus sparse_plus sparse_sigmoid soft_sign mish tanh gelu glu"
).split()
NOTES: dict[str, dict[str, Any]] = {
    "": {}, " axis 0": {"axis": 0}, " both axes": {"axis": (0, 1)}, " all": {"axis": None},
    " where": {"axis": -1, "where": SOME},
}  # fmt: skip


def named(name, *args, **kwargs):
    return lambda m, x: getattr(m, name)(x, *args, **kwargs)


def made(name, *args):
    return lambda m: getattr(m, name)(*args)


CASES = {
    **{name: (named(name), X) for name in ACTIVATIONS},
    "log1mexp": (lambda m, x: m.log1mexp(x), np.abs(X) + 0.01),
    "leaky_relu slope": (lambda m, x: m.leaky_relu(x, 0.3), X),
    "elu alpha": (lambda m, x: m.elu(x, 0.7), X),
    "celu alpha": (lambda m, x: m.celu(x, alpha=0.7), X),
    "squareplus b": (lambda m, x: m.squareplus(x, 1.5), X),
    "gelu exact": (lambda m, x: m.gelu(x, approximate=False), X),
    "gelu exact, far left": (lambda m, x: m.gelu(x, False), X - 9),
    "glu first axis": (lambda m, x: m.glu(x, 0), X[:2]),
    **{
        f"{name}{note}": (named(name, **kwargs), X)
        for name in ("softmax", "log_softmax", "standardize", "logsumexp", "logmeanexp")
        for note, kwargs in NOTES.items()
    },
    "softmax, nothing included": (lambda m, x: m.softmax(x, where=NONE), X),
    "logsumexp keepdims": (lambda m, x: m.logsumexp(x, axis=1, keepdims=True), X),
    "logsumexp b": (lambda m, x: m.logsumexp(x, axis=1, b=np.arange(4.0)), X),
    "logsumexp signs": (lambda m, x: m.logsumexp(x, axis=1, b=np.arange(4.0) - 2, return_sign=True)[0], X),
    "logmeanexp keepdims": (lambda m, x: m.logmeanexp(x, axis=0, keepdims=True), X),
    "standardize stable": (lambda m, x: m.standardize(x, algorithm="stable", epsilon=1e-3), X),
    "standardize given": (lambda m, x: m.standardize(x, mean=0.3, variance=2.0), X),
}  # fmt: skip


@pytest.fixture(scope="module")
def jax():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    return jax


def close(have, want, **kwargs):
    have, want = map(np.asarray, (have, want))
    assert (have.shape, have.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(have, want, **kwargs)


def weighted(f, module, total):
    """A scalar of f's result that weighs its finite values differently (a masked log_softmax has infinite ones)."""

    def of(x):
        out = f(module, x)
        weights = np.cos(np.arange(out.size, dtype=x.dtype)).reshape(out.shape)
        return total.sum(total.where(total.isfinite(out), out, 0) * weights)

    return of


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_jaxs(jax, case, dtype):
    f, x = CASES[case]
    x = x.astype(dtype)
    tolerance = {"rtol": 3e-5, "atol": 3e-6} if dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-13}
    want, have = f(jax.nn, x), f(nn, x)
    assert type(have) is fg.Array
    close(have, want, **tolerance)
    close(fg.jit(lambda x: f(nn, x))(x), want, **tolerance)
    slope = jax.grad(weighted(f, jax.nn, jax.numpy))(x)
    mine = weighted(f, nn, jnp)
    close(fg.grad(mine)(x), slope, **tolerance)
    close(fg.jit(fg.grad(mine))(x), slope, **tolerance)
    batch = np.stack([x, x[::-1] * dtype(0.75)])
    close(fg.vmap(lambda x: f(nn, x))(batch), jax.vmap(lambda x: f(jax.nn, x))(batch), **tolerance)
    close(fg.vmap(fg.grad(mine))(batch), np.stack([fg.grad(mine)(b) for b in batch]), **tolerance)
    if dtype == np.float64:
        along = jax.jvp(lambda x: f(jax.nn, x), (x,), (np.ones_like(x),))[1]
        close(fg.jvp(lambda x: f(nn, x), (x,), (np.ones_like(x),))[1], along, **tolerance)
        fg.testing.check_grads(mine, (x,), order=2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_integers_and_numbers_give_jaxs_dtypes(jax, name):
    whole = np.array([-4, -1, 0, 1, 2, 7])
    peer = getattr(jax.nn, name)(whole * 1.0 if name in ("sigmoid", "silu", "swish", "glu") else whole)
    close(getattr(nn, name)(whole), peer, rtol=1e-12, atol=1e-15)
    if name != "glu":
        assert float(getattr(nn, name)(0.7)) == pytest.approx(float(getattr(jax.nn, name)(0.7)), rel=1e-6)
        assert getattr(nn, name)(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "glu"])
def test_nan_and_the_ends(jax, name):
    edges = np.array([np.nan, 1e4, -1e4, 300.0, -300.0, -0.0])
    close(getattr(nn, name)(edges), getattr(jax.nn, name)(edges), rtol=1e-12, atol=1e-15)


def test_every_public_name_and_signature_is_jaxs(jax):
    import jax.nn

    def parameters(f):
        return [(p.name, p.kind) for p in inspect.signature(f).parameters.values() if p.name != "out_sharding"]

    for mine, peer in ((nn, jax.nn), (nn.initializers, jax.nn.initializers)):
        names = {n for n in dir(peer) if not n.startswith("_")}
        assert names <= set(dir(mine))
        for n in names - {"initializers", "Initializer"}:
            assert parameters(getattr(mine, n)) == parameters(getattr(peer, n)), n


# ---- kinks: what PyTorch gives ----

KINKS = {
    "relu": ([0.0], [0.0]),
    "relu6": ([0.0, 6.0], [0.0, 0.0]),
    "hard_tanh": ([-1.0, 1.0], [0.0, 0.0]),
    "hard_sigmoid": ([-3.0, 3.0], [0.0, 0.0]),
    "hard_silu": ([-3.0, 3.0], [0.0, 1.0]),
    "leaky_relu": ([0.0], [0.01]),
    "elu": ([0.0], [1.0]),
    "celu": ([0.0], [1.0]),
    "selu": ([0.0], [1.7580993408473766]),
    "soft_sign": ([0.0], [1.0]),
    "sparse_plus": ([-1.0, 1.0], [0.0, 1.0]),
    "sparse_sigmoid": ([-1.0, 1.0], [0.0, 0.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_kinks(name):
    points, want = (np.array(v) for v in KINKS[name])
    f = getattr(nn, name)
    for have in (
        fg.vmap(fg.grad(f))(points), fg.jit(fg.vmap(fg.grad(f)))(points), fg.jvp(f, (points,), (points * 0 + 1,))[1],
        fg.vjp(f, points)[1](points * 0 + 1)[0],
    ):  # fmt: skip
        np.testing.assert_allclose(have, want, rtol=1e-15)


def test_kinks_are_pytorchs():
    torch = pytest.importorskip("torch")
    theirs = {"relu": "relu", "relu6": "relu6", "hard_tanh": "hardtanh", "hard_sigmoid": "hardsigmoid", "elu": "elu",
              "hard_silu": "hardswish", "leaky_relu": "leaky_relu", "celu": "celu", "selu": "selu",
              "soft_sign": "softsign"}  # fmt: skip
    for name, peer in theirs.items():
        x = torch.tensor(KINKS[name][0], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(getattr(torch.nn.functional, peer)(x).sum(), x)
        np.testing.assert_allclose(slope, KINKS[name][1], rtol=1e-12, err_msg=name)


# ---- the softmax family's ends, one_hot, errors ----


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_softmax_leaves_out_does_not_touch_its_slope():
    x, where = np.array([0.0, 1.0, 2000.0, np.nan]), np.array([True, True, False, False])
    for f in (nn.softmax, nn.log_softmax, nn.logsumexp):
        picked = lambda x, f=f: jnp.sum(jnp.where(where, f(x, axis=-1, where=where), 0.0) * np.arange(1.0, 5.0))
        alone = lambda x, f=f: jnp.sum(f(x, axis=-1) * np.arange(1.0, 3.0))
        found = fg.grad(picked)(x)
        np.testing.assert_allclose(found[2:], 0.0)
        if f is not nn.logsumexp:
            np.testing.assert_allclose(found[:2], fg.grad(alone)(x[:2]), rtol=1e-14)
    nothing = np.zeros(4, bool)
    np.testing.assert_array_equal(nn.softmax(x, where=nothing), np.zeros(4))
    np.testing.assert_array_equal(fg.grad(lambda x: jnp.sum(nn.softmax(x, where=nothing)))(x), np.zeros(4))
    np.testing.assert_array_equal(nn.log_softmax(x, where=nothing), np.full(4, -np.inf))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_softmax_of_infinities(jax):
    for row in ([np.inf, 0.0], [-np.inf, 0.0], [-np.inf, -np.inf], [np.nan, 0.0], [1e308, -1e308]):
        for name in ("softmax", "log_softmax", "logsumexp", "logmeanexp"):
            close(getattr(nn, name)(np.array(row)), getattr(jax.nn, name)(np.array(row)))


def test_one_hot(jax):
    for kwargs in ({}, {"axis": 0}, {"axis": 1}, {"axis": -2}, {"dtype": np.int32}, {"dtype": bool}):
        close(nn.one_hot(LABELS, 4, **kwargs), jax.nn.one_hot(LABELS, 4, **kwargs))
    close(fg.jit(lambda x: nn.one_hot(x, 4))(LABELS), nn.one_hot(LABELS, 4))
    close(fg.vmap(lambda x: nn.one_hot(x, 4))(LABELS), nn.one_hot(LABELS, 4))
    assert nn.one_hot(2, 4).tolist() == [0, 0, 1, 0] and nn.one_hot(LABELS, 0).shape == (2, 3, 0)


def test_errors():
    with pytest.raises(ValueError, match=r"glu: axis 0 of shape \(3, 4\) must have an even length"):
        nn.glu(X, 0)
    with pytest.raises(np.exceptions.AxisError, match="one_hot: axis=3 is out of range for a result of 3 axes"):
        nn.one_hot(LABELS, 4, axis=3)
    with pytest.raises(ValueError, match="algorithm must be 'fast' or 'stable', got 'slow'"):
        nn.standardize(X, algorithm="slow")


# ---- attention: JAX takes its softmax in float32, so float64 is compared with a direct formula ----

ATTENTION = {
    "plain": {}, "scale": {"scale": 0.3}, "causal": {"is_causal": True}, "window": {"local_window_size": 1},
    "window of two": {"local_window_size": (2, 0)}, "bias": {"bias": RNG.normal(size=(1, 4, 5, 6))},
    "mask": {"mask": RNG.random((2, 1, 5, 6)) < 0.6}, "mask of rank 2": {"mask": np.tri(5, 6, dtype=bool)},
    "keys' lengths": {"key_value_seq_lengths": np.array([6, 2], np.int32)},
    "queries' lengths": {"query_seq_lengths": np.array([3, 0], np.int32)},
    "all": {
        "scale": 0.5, "is_causal": True, "local_window_size": (3, 1), "bias": RNG.normal(size=(2, 1, 1, 6)),
        "key_value_seq_lengths": np.array([6, 4], np.int32), "query_seq_lengths": np.array([5, 4], np.int32),
        "mask": RNG.random((1, 4, 5, 6)) < 0.8, "implementation": "xla",
    },
}  # fmt: skip


def inputs(heads, dtype=np.float32):
    rng = np.random.default_rng(2)
    return [rng.normal(size=s).astype(dtype) for s in ((2, 5, 4, 3), (2, 6, heads, 3), (2, 6, heads, 3))]


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("case", ATTENTION)
def test_attention_is_jaxs(jax, case, heads):
    kwargs = {k: v.astype(np.float32) if k == "bias" else v for k, v in ATTENTION[case].items()}
    args = inputs(heads)
    f = lambda *a: nn.dot_product_attention(*a, **kwargs)
    g = lambda *a: jax.nn.dot_product_attention(*a, **kwargs)
    bounds = {"rtol": 2e-4, "atol": 2e-6}
    close(f(*args), g(*args), **bounds)
    close(fg.jit(f)(*args), g(*args), **bounds)
    mine = lambda *a: jnp.sum(jnp.sin(f(*a)))
    peer = jax.grad(lambda *a: jax.numpy.sum(jax.numpy.sin(g(*a))), (0, 1, 2))(*args)
    for have in (fg.grad(mine, (0, 1, 2))(*args), fg.jit(fg.grad(mine, (0, 1, 2)))(*args)):
        for a, b in zip(have, peer, strict=True):
            close(a, b, **bounds)
    batch = [np.stack([a, a[::-1]]) for a in args]
    close(fg.vmap(f)(*batch), np.stack([f(*[b[i] for b in batch]) for i in range(2)]), **bounds)
    out, residual = nn.dot_product_attention(*args, **kwargs, return_residual=True)
    want = jax.nn.dot_product_attention(*args, **kwargs, return_residual=True)
    close(out, want[0], **bounds)
    close(residual, want[1], **bounds)


def test_attention_in_every_precision():
    q, k, v = inputs(2, np.float64)
    logits = np.einsum("btnh,bsnh->bnts", q, np.repeat(k, 2, axis=2)) / np.sqrt(3)
    weights = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    want = np.einsum("bnts,bsnh->btnh", weights, np.repeat(v, 2, axis=2))
    close(nn.dot_product_attention(q, k, v), want, rtol=1e-13, atol=1e-15)
    close(nn.dot_product_attention(q[0], k[0], v[0]), want[0], rtol=1e-13, atol=1e-15)
    fg.testing.check_grads(
        lambda *a: nn.dot_product_attention(*a, is_causal=True), (q, k, v), order=2, rtol=1e-4, atol=1e-5
    )
    half = nn.dot_product_attention(*[a.astype(np.float16) for a in (q * 300, k * 300, v)])
    assert half.dtype == np.float16 and np.isfinite(half).all()


def test_attention_errors():
    q, k, v = inputs(2)
    for args, kwargs, error, text in (
        ((q, k, v[:, :5]), {}, ValueError, r"got query \(2, 5, 4, 3\), key \(2, 6, 2, 3\), value \(2, 5, 2, 3\)"),
        ((q[:, :, :3], k, v), {}, ValueError, "N is a multiple of K"),
        ((q, k, v.astype(np.float64)), {}, TypeError, "query, key and value of one dtype"),
        ((q, k, v), {"bias": np.zeros((3, 1, 1, 1))}, ValueError, "bias of shape .* does not broadcast"),
        ((q, k, v), {"mask": np.zeros((5, 6))}, TypeError, "mask must be bool, got float64"),
        (
            (q, k, v),
            {"implementation": "cudnn"},
            NotImplementedError,
            "implementation must be None or 'xla', got 'cudnn'",
        ),
        ((q, k, v), {"query_seq_lengths": np.ones(2)}, ValueError, "query_seq_lengths must be integers of shape"),
    ):
        with pytest.raises(error, match=text):
            nn.dot_product_attention(*args, **kwargs)


# ---- initializers ----

MADE = (
    "uniform normal truncated_normal glorot_uniform glorot_normal xavier_uniform xavier_normal lecun_uniform "
    "lecun_normal he_uniform he_normal kaiming_uniform kaiming_normal orthogonal delta_orthogonal"
).split()
INITIALIZERS = {
    "zeros": lambda m: m.zeros,
    "ones": lambda m: m.ones,
    "constant": lambda m: m.constant(1.5),
    **{name: made(name) for name in MADE},
    "uniform 3": lambda m: m.uniform(3.0),
    "normal 3": lambda m: m.normal(3.0),
    "truncated_normal ends": lambda m: m.truncated_normal(2.0, lower=-1.0, upper=0.5),
    "orthogonal column": lambda m: m.orthogonal(2.0, 0),
    "orthogonal middle": lambda m: m.orthogonal(column_axis=1),
    "he_normal axes": lambda m: m.he_normal(in_axis=0, out_axis=(1, 2)),
    "lecun_uniform batch": lambda m: m.lecun_uniform(in_axis=1, out_axis=2, batch_axis=0),
    **{
        f"variance_scaling {mode} {kind}": made("variance_scaling", 0.7, mode, kind)
        for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
        for kind in ("uniform", "normal", "truncated_normal")
    },
}
REAL_ONLY = ("uniform", "truncated_normal", "uniform 3", "truncated_normal ends")


@pytest.mark.parametrize("dtype", [None, np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers_are_jaxs_for_the_same_key(jax, name, dtype):
    init, peer = INITIALIZERS[name](nn.initializers), INITIALIZERS[name](jax.nn.initializers)
    key, theirs = fg.random.key(3), jax.random.key(3)
    cplx, single = dtype in (np.complex64, np.complex128), dtype in (np.float32, np.complex64)
    if cplx and name in REAL_ONLY:
        with pytest.raises(ValueError, match="gives floats"):
            init(key, (3, 4, 5), dtype)
        return
    have, want = init(key, (3, 4, 5), dtype), peer(theirs, (3, 4, 5), dtype)
    if ("uniform" in name and not cplx) or name in ("zeros", "ones", "constant"):
        np.testing.assert_array_equal(have, want)
    bounds = {"rtol": 1e-5, "atol": 1e-6} if single else {"rtol": 1e-13, "atol": 1e-14}
    close(have, want, **bounds)
    close(fg.jit(lambda k: init(k, (3, 4, 5), dtype))(key), have, **bounds)
    keys = fg.random.split(key, 2)
    close(fg.vmap(lambda k: init(k, (3, 4, 5), dtype))(keys), np.stack([init(k, (3, 4, 5), dtype) for k in keys]),
          **bounds)  # fmt: skip


def test_initializers_statistics():
    key, shape = fg.random.key(0), (3, 100, 300)
    fans = {"fan_in": 300, "fan_out": 900, "fan_avg": 600, "fan_geo_avg": np.sqrt(300 * 900)}
    for mode, fan in fans.items():
        for kind in ("uniform", "normal", "truncated_normal"):
            for dtype in (np.float64, np.complex128):
                drawn = np.asarray(nn.initializers.variance_scaling(2.0, mode, kind)(key, shape, dtype))
                # JAX's constant for complex values cut at modulus 2 is not exact: their variance is 1.0187 times that.
                over = 1.0187 if (kind, dtype) == ("truncated_normal", np.complex128) else 1.0
                assert np.mean(np.abs(drawn) ** 2) == pytest.approx(over * 2.0 / fan, rel=0.012)
                assert abs(np.mean(drawn)) < 5 * np.sqrt(2.0 / fan / drawn.size)
    cut = np.asarray(nn.initializers.truncated_normal(1.0)(key, shape))
    assert -2 <= cut.min() < -1.99 and 1.99 < cut.max() <= 2
    flat = np.asarray(nn.initializers.uniform(0.5)(key, shape))
    assert 0 <= flat.min() and flat.max() < 0.5 and flat.mean() == pytest.approx(0.25, rel=0.01)


def test_orthogonal_initializers_are_orthogonal():
    key = fg.random.key(1)
    for axis, shape in ((-1, (6, 4)), (-1, (4, 6)), (0, (4, 2, 5)), (1, (2, 9, 3))):
        q = np.moveaxis(np.asarray(nn.initializers.orthogonal(1.5, axis)(key, shape)), axis, -1).reshape(
            -1, shape[axis]
        )
        gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
        np.testing.assert_allclose(gram, 2.25 * np.eye(len(gram)), atol=1e-13)
    for space in ((3,), (3, 4), (3, 2, 5)):
        kernel = np.asarray(nn.initializers.delta_orthogonal()(key, (*space, 2, 6)))
        middle = kernel[tuple((n - 1) // 2 for n in space)]
        np.testing.assert_allclose(middle @ middle.T, np.eye(2), atol=1e-14)
        assert np.count_nonzero(kernel) == np.count_nonzero(middle)
    assert nn.initializers.orthogonal()(key, (0, 3), np.float32).dtype == np.float32


def test_initializers_errors():
    key, i = fg.random.key(0), nn.initializers
    for init, shape, text in (
        (i.he_normal(), (3,), "shape of at least 2 axes to tell inputs from outputs"),
        (i.variance_scaling(1.0, "fan", "normal"), (3, 4), "mode must be one of fan_in, fan_out, fan_avg, fan_geo_avg"),
        (
            i.variance_scaling(1.0, "fan_in", "cauchy"),
            (3, 4),
            "distribution must be truncated_normal, normal or uniform",
        ),
        (i.orthogonal(), (3,), "orthogonal needs a shape of at least 2 axes"),
        (i.delta_orthogonal(), (3, 4), "delta_orthogonal needs a shape of 3, 4 or 5 axes"),
        (i.delta_orthogonal(), (3, 4, 2), r"delta_orthogonal needs shape\[-1\] >= shape\[-2\]"),
    ):
        with pytest.raises(ValueError, match=text):
            init(key, shape)
    with pytest.raises(ValueError, match="floating or complex values; got dtype=int64"):
        i.normal()(key, (3,), np.int64)
