"""Attention: the row against its own formula in every transform, the function against PyTorch, the kernels against NumPy."""

import tracemalloc

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile.execute import executable
from funcgrad.core.tracing import trace_program, type_of
from funcgrad.nn.scaled_attention import scaled_dot_product_attention as sdpa
from funcgrad.ops.attention import attention, attention_back

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
SIZES = [(2, 3, 5, 7, 4, 6), (1, 2, 70, 130, 16, 16), (1, 1, 33, 1, 3, 5), (2, 1, 1, 65, 20, 9), (1, 2, 96, 96, 64, 64)]


def operands(b, h, t, s, d, e, dtype="d"):
    return [RNG.normal(size=(b, h, *rest)).astype(dtype) for rest in ((t, d), (s, d), (s, e))]


def masks(b, h, t, s, dtype):
    return [None, RNG.normal(size=(1, 1, t, s)).astype(dtype), RNG.normal(size=(b, h, 1, s)).astype(dtype),
            np.where(RNG.random((b, 1, t, s)) < 0.3, -np.inf, 0).astype(dtype)]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("causal", [False, True])
def test_the_kernels_are_native_and_right(size, dtype, causal):
    b, h, t, s, d, e = size
    q, k, v = operands(*size, dtype)
    g, delta = RNG.normal(size=(b, h, t, e)).astype(dtype), RNG.normal(size=(b, h, t)).astype(dtype)
    for mask in masks(b, h, t, s, dtype):
        more = [] if mask is None else [mask]
        params = {"scale": 0.4, "causal": causal}
        wide = [a.astype("d") for a in (q, k, v, *more)]
        out, total = attention(*wide, **params)
        back = attention_back(*wide[:3], total, delta.astype("d"), g.astype("d"), *wide[3:], **params)
        total = total.astype(dtype)
        for f, args, want in [
            (attention, (q, k, v, *more), (out, total)),
            (attention_back, (q, k, v, total, delta, g, *more), back),
        ]:
            program, _ = trace_program(lambda *a: f(*a, **params), [type_of(a) for a in args], "f")
            made = executable(program)
            assert not made.host
            for have, true in zip(made(args), want, strict=True):
                np.testing.assert_allclose(
                    have, true, rtol=0, atol=(2e-5 if dtype == "f" else 1e-12) * max(np.abs(true).max(), 1)
                )


@pytest.mark.parametrize("case", range(8))
def test_it_is_that_of_pytorch(case):
    b, h, t, s, d, e = [(2, 3, 5, 7, 4, 6), (2, 2, 6, 6, 8, 8)][case % 2]
    q, k, v = operands(b, h, t, s, d, e)
    mask = [None, RNG.random((t, s)) < 0.7, RNG.normal(size=(b, h, t, s)), RNG.normal(size=(h, 1, s))][case // 2]
    if case == 2:
        mask[1] = False
    options = {"is_causal": mask is None and case % 2 == 1, "scale": 0.3 if case % 3 else None}
    leaves = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    smooth = mask is not None and mask.dtype != bool
    theirs = None if mask is None else torch.tensor(mask, requires_grad=smooth)
    want = torch.nn.functional.scaled_dot_product_attention(*leaves, theirs, **options)
    weights = np.cos(np.arange(want.numel())).reshape(want.shape)
    wanted = torch.autograd.grad((want * torch.tensor(weights)).sum(), [*leaves, *([theirs] if smooth else [])])
    args = [q, k, v, *([mask] if smooth else [])]
    f = lambda *a: sdpa(*a[:3], a[3] if smooth else mask, **options)
    np.testing.assert_allclose(f(*args), want.detach().numpy(), atol=1e-10)
    grad = fg.grad(lambda *a: (f(*a) * weights).sum(), tuple(range(len(args))))
    for call in (grad, fg.jit(grad)):
        for have, true in zip(call(*args), wanted, strict=True):
            np.testing.assert_allclose(have, true.numpy(), atol=1e-9)


def test_heads_may_share_keys_and_batches_may_be_missing():
    q, k, v = RNG.normal(size=(2, 4, 5, 3)), RNG.normal(size=(2, 2, 6, 3)), RNG.normal(size=(2, 2, 6, 3))
    want = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, (q, k, v)), enable_gqa=True)
    np.testing.assert_allclose(sdpa(q, k, v, enable_gqa=True), want.numpy(), atol=1e-12)
    want = torch.nn.functional.scaled_dot_product_attention(*[torch.tensor(x[0, 0]) for x in (q, k, v)])
    np.testing.assert_allclose(sdpa(q[0, 0], k[0, 0], v[0, 0]), want.numpy(), atol=1e-12)


@pytest.mark.parametrize("masked", [False, True])
def test_second_derivatives_and_batches(masked):
    q, k, v = operands(2, 2, 4, 5, 3, 3)
    mask = RNG.normal(size=(2, 1, 4, 5)) if masked else None

    def plain(q, k, v):
        s = fg.numpy.einsum("bhtd,bhsd->bhts", q, k) / np.sqrt(3)
        return fg.numpy.einsum("bhts,bhse->bhte", fg.nn.softmax(s if mask is None else s + mask), v)

    for f in (lambda *a: sdpa(*a, mask), plain):
        loss = lambda q, k, v: (f(q, k, v) ** 3).sum()
        slope = lambda *a: sum((g**2).sum() for g in fg.grad(loss, (0, 1, 2))(*a))
        found = [*fg.grad(slope, (0, 1, 2))(q, k, v), fg.jvp(loss, (q, k, v), (k[:, :, :4], k, v))[1]]
        found += [fg.jvp(slope, (q, k, v), (q, k, v))[1]]
        if f is not plain:
            have = found
    for a, b in zip(have, found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)
    qs = RNG.normal(size=(3, *q.shape))
    for axes, args in [((0, None, None), (qs, k, v)), ((None, 0, None), (q, RNG.normal(size=(3, *k.shape)), v))]:
        both = [
            fg.vmap(fg.grad(lambda *a: (f(*a) ** 2).sum(), (0, 1, 2)), axes)(*args)
            for f in (lambda *a: sdpa(*a, mask), plain)
        ]
        for a, b in zip(*both, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9)


def test_dropout_is_composed():
    q, k, v = operands(1, 2, 8, 9, 4, 4)
    key = fg.random.key(1)
    ones = np.ones_like(v)
    found = np.asarray(sdpa(q, k, ones, dropout_p=0.4, rng=key))
    assert np.ptp(found) > 0.1
    many = np.asarray(
        sdpa(np.zeros((1, 1, 500, 4)), np.zeros((1, 1, 400, 4)), np.ones((1, 1, 400, 1)), dropout_p=0.4, rng=key)
    )
    assert abs(many.mean() - 1) < 0.01
    with pytest.raises(ValueError, match="needs rng"):
        sdpa(q, k, v, dropout_p=0.4)


def test_memory_is_linear_in_the_length():
    """Forward and gradient at T = 2048: neither the arena nor NumPy's blocks hold a matrix of 2048 x 2048."""
    t = 2048
    q, k, v = operands(1, 2, t, t, 8, 8, "f")
    loss = lambda *a: sdpa(*a, is_causal=True).sum()
    program, _ = trace_program(lambda *a: fg.grad(loss, (0, 1, 2))(*a), [type_of(a) for a in (q, k, v)], "f")
    made = executable(program)
    assert not made.host
    assert made.memory.size < 40 * q.nbytes < t * t * 4
    tracemalloc.start()
    want = fg.grad(loss, (0, 1, 2))(q, k, v)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * t * t * 4
    for a, b in zip(made((q, k, v)), want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_bits_do_not_depend_on_threads():
    q, k, v = operands(2, 2, 100, 90, 16, 16, "f")
    f = fg.jit(lambda *a: fg.grad(lambda *b: (sdpa(*b) ** 2).sum(), (0, 1, 2))(*a))
    found = []
    try:
        for n in (1, 2, 3):
            fg.set_num_threads(n)
            found.append([np.array(x) for x in f(q, k, v)])
    finally:
        fg.set_num_threads(2)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_bad_input_is_named():
    q, k, v = operands(2, 3, 5, 7, 4, 6)
    with pytest.raises(ValueError, match=r"query \(\.\.\., T, D\)"):
        sdpa(q, k[..., :3], v)
    with pytest.raises(ValueError, match="not both"):
        sdpa(q, k, v, np.ones((5, 7), bool), is_causal=True)
    with pytest.raises(ValueError, match=r"attn_mask of shape \(4, 7\) does not broadcast"):
        sdpa(q, k, v, np.ones((4, 7), bool))
    with pytest.raises(TypeError, match="one dtype"):
        sdpa(q, k.astype("f"), v)
