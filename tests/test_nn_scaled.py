"""funcgrad.nn's block-scaled products against the definition, and roundings against the small dtypes that come with JAX."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import nn

RNG = np.random.default_rng(0)
A = RNG.normal(size=(2, 32, 64)).astype(np.float32)
B = RNG.normal(size=(2, 64, 64)).astype(np.float32) * np.logspace(-3, 3, 64, dtype=np.float32)
DIMS = (((2,), (2,)), ((0,), (0,)))
CONFIGS = {mode: [nn.get_scaled_dot_general_config(mode)] * 3 for mode in ("mxfp8", "nvfp4")}


def reference(x, mode, small, scale=1.0):
    """x, quantised in blocks along its last axis by the small dtypes themselves, and scaled back."""
    size, data, largest = (32, small.float8_e4m3fn, 448) if mode == "mxfp8" else (16, small.float4_e2m1fn, 6)
    blocks = x.reshape(*x.shape[:-1], -1, size) / np.float32(scale)
    scales = np.abs(blocks).max(-1, keepdims=True) / np.float32(largest)
    if mode == "mxfp8":
        scales = (2.0 ** np.ceil(np.log2(scales))).astype(np.float32)
    else:
        scales = np.clip(scales, 0, 448).astype(small.float8_e4m3fn).astype(np.float32)
    found = (
        np.clip(blocks / np.where(scales == 0, 1, scales), -largest, largest).astype(data).astype(np.float32)
        * scales
        * np.float32(scale)
    )
    return found.reshape(x.shape)


@pytest.mark.parametrize("sizes", [(6, 2), (6, 6), (6, 1)])
def test_scaled_matmul_is_its_definition(sizes):
    k, blocks = sizes
    a, b = RNG.normal(size=(2, 3, k)), RNG.normal(size=(2, 5, k))
    a_scales, b_scales = RNG.normal(size=(2, 3, blocks)), RNG.normal(size=(2, 5, blocks))
    full = [np.repeat(s, k // blocks, axis=-1) for s in (a_scales, b_scales)]
    want = np.einsum("bmk,bnk->bmn", a * full[0], b * full[1])
    f = lambda *args: nn.scaled_matmul(*args, preferred_element_type=np.float64)
    for g in (f, fg.jit(f)):
        np.testing.assert_allclose(g(a, b, a_scales, b_scales), want, rtol=1e-12)
    assert nn.scaled_matmul(a, b, a_scales, b_scales).dtype == np.float32
    fg.testing.check_grads(f, (a, b, a_scales, b_scales), order=2, rtol=1e-4, atol=1e-5)
    ones = np.full((1, 1, 1), 0.5)
    assert nn.scaled_matmul(np.array([[[1, 2, 3]]]), np.array([[[4, 5, 6]]]), ones, ones).tolist() == [[[8.0]]]
    with pytest.raises(ValueError, match=r"scaled_matmul got lhs \(2, 3, 6\).*where S divides K"):
        nn.scaled_matmul(np.ones((2, 3, 6)), np.ones((2, 5, 6)), np.ones((2, 3, 4)), np.ones((2, 5, 4)))


@pytest.mark.parametrize("mode", CONFIGS)
def test_quantised_products_are_those_of_the_small_dtypes(mode):
    small = pytest.importorskip("ml_dtypes")
    f = lambda a, b: nn.scaled_dot_general(a, b, DIMS, configs=CONFIGS[mode])
    want = np.einsum("bmk,bnk->bmn", reference(A, mode, small), reference(B, mode, small))
    for g in (f, fg.jit(f)):
        np.testing.assert_allclose(g(A, B), want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
    assert not np.allclose(want, np.einsum("bmk,bnk->bmn", A, B), rtol=1e-3)
    one = nn.scaled_dot_general(A[0], B[0].T, (((1,), (0,)), ((), ())), configs=CONFIGS[mode])
    np.testing.assert_allclose(one, want[0], rtol=1e-5, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("mode", CONFIGS)
def test_gradients_of_quantised_products(mode):
    small = pytest.importorskip("ml_dtypes")
    g = RNG.normal(size=(2, 32, 64)).astype(np.float32)
    f = lambda a, b: jnp.sum(nn.scaled_dot_general(a, b, DIMS, configs=CONFIGS[mode]) * g)
    rounded = (lambda x: reference(x, mode, small)) if mode == "mxfp8" else (lambda x: x)
    flip = lambda x: np.swapaxes(x, 1, 2)
    want = (
        np.einsum("bmn,bnk->bmk", rounded(g), flip(rounded(flip(B)))),
        np.einsum("bmn,bmk->bnk", flip(rounded(flip(g))), flip(rounded(flip(A)))),
    )
    if mode == "nvfp4":
        assert (np.abs(B) > 6 * 448).any()
        want = (want[0], want[1] * (np.abs(B) <= 6 * 448))
    for grad in (fg.grad(f, (0, 1)), fg.jit(fg.grad(f, (0, 1)))):
        for have, exact in zip(grad(A, B), want, strict=True):
            np.testing.assert_allclose(have, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())


def test_the_global_scale_and_what_it_cuts_off():
    small = pytest.importorskip("ml_dtypes")
    configs = [nn.get_scaled_dot_general_config("nvfp4", np.array([s], np.float32)) for s in (0.25, 4.0, 1.0)]
    f = lambda a, b: nn.scaled_dot_general(a, b, DIMS, configs=configs)
    want = np.einsum("bmk,bnk->bmn", reference(A, "nvfp4", small, 0.25), reference(B, "nvfp4", small, 4.0))
    np.testing.assert_allclose(f(A, B), want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
    large = A.copy()
    large[0, 0, 0] = 673.0  # 0.25 * 6 * 448 = 672 is the largest value within reach
    slope = fg.grad(lambda a: jnp.sum(f(a, B)))(large)
    assert slope[0, 0, 0] == 0 and np.count_nonzero(slope) == slope.size - 1
    zeros = nn.scaled_dot_general(A * 0, B, DIMS, configs=configs)
    np.testing.assert_array_equal(zeros, np.zeros_like(want))


def test_without_configs_it_is_dot_general():
    want = np.einsum("bmk,bnk->bmn", A, B)
    np.testing.assert_allclose(nn.scaled_dot_general(A, B, DIMS), want, rtol=1e-4, atol=1e-2)
    assert nn.scaled_dot_general(A, B, DIMS, np.float64).dtype == np.float64
    with pytest.warns(DeprecationWarning, match="implementation is not needed"):
        nn.scaled_dot_general(A, B, DIMS, implementation="cudnn")


def test_errors():
    with pytest.raises(ValueError, match="mode must be 'mxfp8' or 'nvfp4', got 'int8'"):
        nn.get_scaled_dot_general_config("int8")
    with pytest.raises(ValueError, match="mxfp8 has no global_scale"):
        nn.get_scaled_dot_general_config("mxfp8", np.ones(1))
    with pytest.raises(ValueError, match="configs are three"):
        nn.scaled_dot_general(A, B, DIMS, configs=CONFIGS["mxfp8"][:2])
    with pytest.raises(ValueError, match=r"mxfp8 needs axes of a multiple of 32 values .* \(2, 32, 48\) have 48"):
        nn.scaled_dot_general(A[:, :, :48], B[:, :, :48], DIMS, configs=CONFIGS["mxfp8"])
