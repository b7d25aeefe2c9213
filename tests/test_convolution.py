"""Convolutions against jax.lax over random settings: values, derivatives of both orders, batches, jit, and bad input."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

LETTERS = "HWD"


def settings(seed):
    """A random convolution: two arrays and the keywords of conv_general_dilated."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4)) if seed % 5 else 2
    groups = int(rng.choice([1, 1, 2, 3]))
    batch_groups = int(rng.choice([1, 2])) if groups == 1 else 1
    window = tuple(int(k) for k in rng.integers(1, 4, rank))
    space = tuple(int(n) for n in rng.integers(4, 8 if rank < 3 else 6, rank))
    c, o, n = groups * int(rng.integers(1, 3)), groups * batch_groups * int(rng.integers(1, 3)), batch_groups * 2
    x, w = rng.normal(size=(n, c, *space)), rng.normal(size=(o, c // groups, *window))
    pads = rng.choice(["SAME", "VALID", "SAME_LOWER", "pairs"])
    dilation = tuple(int(d) for d in rng.choice([1, 1, 2], rank))
    spread = tuple(int(d) for d in rng.choice([1, 1, 2, 3], rank)) if seed % 3 == 0 else None
    if pads == "pairs" or spread is not None:
        pads = [(int(a), int(b)) for a, b in rng.integers(-1, 3, (rank, 2))]
    strides = tuple(int(s) for s in (rng.choice([1, 1, 2, 3], rank) if seed % 2 else [1] * rank))
    numbers = None
    if seed % 4 == 1:
        axes = LETTERS[:rank]
        specs = [list("NC" + axes), list("OI" + axes), list("NC" + axes)]
        for s in specs:
            rng.shuffle(s)
        numbers = tuple("".join(s) for s in specs)
        x = x.transpose([("NC" + axes).index(a) for a in numbers[0]])
        w = w.transpose([("OI" + axes).index(a) for a in numbers[1]])
    return x, w, {
        "window_strides": strides, "padding": pads if isinstance(pads, list) else str(pads), "lhs_dilation": spread,
        "rhs_dilation": dilation, "dimension_numbers": numbers, "feature_group_count": groups,
        "batch_group_count": batch_groups,
    }  # fmt: skip


def close(have, want, tol=1e-10):
    for a, b in zip(have, want, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, np.asarray(b), rtol=tol, atol=tol)


@pytest.mark.parametrize("seed", range(10))
def test_values_and_derivatives_are_those_of_jax(seed):
    x, w, options = settings(seed)
    rng = np.random.default_rng(seed)
    tx, tw = rng.normal(size=x.shape), rng.normal(size=w.shape)

    def results(lib, ll):
        def f(x, w):
            return ll.conv_general_dilated(x, w, **options)

        out, pull = lib.vjp(f, x, w)
        ct = np.cos(np.arange(out.size)).reshape(out.shape)
        _, tangent = lib.jvp(f, (x, w), (tx, tw))
        second = lib.grad(
            lambda a, b: (lib.grad(lambda u, v: (f(u, v) ** 3).sum(), argnums=(0, 1))(a, b)[0] * tx).sum(), (0, 1)
        )
        return [out, *pull(ct), tangent, *second(x, w)]

    close(results(fg, lax), results(jax, jax.lax), 1e-8)


@pytest.mark.parametrize("seed", range(1, 10, 4))
@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0), (-1, 1)])
def test_batches_are_those_of_jax(seed, axes):
    x, w, options = settings(seed)
    rng = np.random.default_rng(seed)
    xs, ws = (
        a if axis is None else rng.normal(size=np.insert(a.shape, axis % (a.ndim + 1), 3))
        for a, axis in zip((x, w), axes, strict=True)
    )

    def results(lib, ll):
        def f(x, w):
            return (ll.conv_general_dilated(x, w, **options) ** 2).sum()

        return [lib.vmap(f, axes)(xs, ws), *lib.vmap(lib.grad(f, (0, 1)), axes)(xs, ws)]

    close(results(fg, lax), results(jax, jax.lax), 1e-8)


@pytest.mark.parametrize("padding", ["SAME", "VALID", [(1, 2), (0, 1)]])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("consistent", [False, True])
def test_transposed_convolution(padding, turned, consistent):
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(2, 5, 4, 3)), rng.normal(size=(3, 2, 3, 3))
    if turned:
        w = w.transpose(0, 1, 3, 2)
    for strides, dilation in [((1, 1), None), ((2, 3), None), ((3, 2), (2, 1))]:

        def results(lib, ll, strides=strides, dilation=dilation):
            def f(x, w):
                options = {"transpose_kernel": turned, "use_consistent_padding": consistent}
                return ll.conv_transpose(x, w, strides, padding, dilation, **options)

            return [f(x, w), *lib.grad(lambda *a: (f(*a) ** 2).sum(), (0, 1))(x, w)]

        close(results(fg, lax), results(jax, jax.lax))


def test_short_forms_and_dimension_numbers():
    x, w = np.ones((2, 3, 5, 6)), np.arange(36.0).reshape(2, 3, 2, 3)
    close([lax.conv(x, w, (2, 1), "SAME")], [jax.lax.conv(x, w, (2, 1), "SAME")])
    args = ((1, 1), [(0, 1), (2, 0)], (2, 1), (1, 2))
    close([lax.conv_with_general_padding(x, w, *args)], [jax.lax.conv_with_general_padding(x, w, *args)])
    for numbers in [None, ("NHWC", "OIHW", "CNHW"), ("NCWH", "HWIO", "HWNC")]:
        have, want = (ll.conv_dimension_numbers(x.shape, w.shape, numbers) for ll in (lax, jax.lax))
        assert [tuple(s) for s in have] == [tuple(s) for s in want]
    for padding in ("SAME", "valid", "SAME_LOWER"):
        want = jax.lax.padtype_to_pads((7, 8), (3, 2), (2, 3), padding.upper())
        assert lax.padtype_to_pads((7, 8), (3, 2), (2, 3), padding) == want


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64", "int32"])
def test_dtypes(dtype):
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-4, 5, s).astype(dtype) for s in [(2, 4, 6, 5), (3, 4, 3, 2)])
    have = lax.conv_general_dilated(x, w, (1, 2), "SAME")
    assert have.dtype == x.dtype
    close([have], [jax.lax.conv_general_dilated(x, w, (1, 2), "SAME")])
    wide = lax.conv(x, w, (1, 1), "SAME", preferred_element_type="complex128" if dtype == "complex64" else "float64")
    assert wide.dtype in (np.complex128, np.float64)


def test_no_examples_and_no_places():
    for n, space in [(0, 5), (2, 2)]:
        x, w = np.ones((n, 3, space)), np.ones((2, 3, 4))
        f = lambda lib, ll, p: [ll.conv(x, w, (1,), p), *lib.grad(lambda *a: ll.conv(*a, (1,), p).sum(), (0, 1))(x, w)]
        for padding in ("VALID", "SAME"):
            close(f(fg, lax, padding), f(jax, jax.lax, padding))


@pytest.mark.parametrize("seed", range(0, 40, 3))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_jit_agrees(seed, dtype):
    x, w, options = settings(seed)
    x, w = x.astype(dtype), w.astype(dtype)

    def f(x, w):
        out = lax.conv_general_dilated(x, w, **options)
        return out, (out * np.cos(np.arange(out.size, dtype=dtype)).reshape(out.shape)).sum()

    g = lambda x, w: (f(x, w)[0], *fg.grad(lambda *a: f(*a)[1], (0, 1))(x, w))
    close(fg.jit(g)(x, w), g(x, w), 2e-5 if dtype == "float32" else 1e-12)


def test_bad_input_is_named():
    x, w = np.ones((2, 4, 5, 5)), np.ones((3, 3, 2, 2))
    with pytest.raises(ValueError, match=r"lhs has 4 feature channels, but rhs of shape \(3, 3, 2, 2\)"):
        lax.conv(x, w, (1, 1), "SAME")
    with pytest.raises(ValueError, match=r"divisible by the group counts \(feature_group_count=4"):
        lax.conv_general_dilated(x, np.ones((3, 1, 2, 2)), (1, 1), "SAME", feature_group_count=4)
    with pytest.raises(TypeError, match=r"one dtype, got float64 and float32"):
        lax.conv(x, w.astype(np.float32), (1, 1), "SAME")
    with pytest.raises(TypeError, match=r"one rank, at least 2"):
        lax.conv(x, w[0], (1, 1), "SAME")
    with pytest.raises(TypeError, match=r"window_strides must have an entry for each of the 2"):
        lax.conv(x, np.ones((3, 4, 2, 2)), (1,), "SAME")
    with pytest.raises(TypeError, match=r"window_strides must be positive"):
        lax.conv(x, np.ones((3, 4, 2, 2)), (1, 0), "SAME")
    with pytest.raises(ValueError, match=r"padding must be 'SAME'"):
        lax.conv(x, np.ones((3, 4, 2, 2)), (1, 1), "FULL")
    with pytest.raises(ValueError, match=r"only one of feature_group_count and batch_group_count"):
        lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=2, batch_group_count=2)
    with pytest.raises(ValueError, match=r"do not name the same spatial axes"):
        lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NCHW", "OIHD", "NCHW"))
