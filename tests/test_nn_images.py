"""nn's functions of images against torch.nn.functional: values and gradients over random settings, jit, bad input."""

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax
from funcgrad.nn import convolution, normalization, pooling, regularization, resampling
from funcgrad.testing import check_grads

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(0)


def agree(ours, theirs, args, tol=1e-9):
    """Values, and gradients of a weighted sum with respect to all floating arguments; jit too."""
    leaves = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in args]
    want = theirs(*leaves)
    have = ours(*args)
    assert have.shape == tuple(want.shape)
    assert have.dtype == want.detach().numpy().dtype
    np.testing.assert_allclose(have, want.detach().numpy(), rtol=tol, atol=tol)
    weights = np.cos(np.arange(have.size) * 1.7).reshape(have.shape)
    smooth = [i for i, a in enumerate(args) if a.dtype.kind == "f"]
    wanted = torch.autograd.grad((want * torch.tensor(weights)).sum(), [leaves[i] for i in smooth], allow_unused=True)
    loss = lambda *a: (ours(*a) * weights).sum()
    for f in (fg.grad(loss, smooth), fg.jit(fg.grad(loss, smooth))):
        for a, b in zip(f(*args), wanted, strict=True):
            np.testing.assert_allclose(a, 0 if b is None else b.numpy(), rtol=tol * 10, atol=tol * 10)


def normal(*shape):
    return RNG.normal(size=shape)


CONVS = [
    (1, 1, {"stride": 2, "padding": 1}), (2, 1, {"padding": "same"}), (2, 2, {"stride": (2, 1), "dilation": (1, 2)}),
    (2, 4, {"padding": (2, 0), "groups": 4}), (3, 1, {"stride": 2, "padding": 1}), (1, 3, {"padding": "valid", "dilation": 2}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("rank", "groups", "options"), CONVS)
@pytest.mark.parametrize("batch", [True, False])
def test_convolutions(rank, groups, options, batch):
    options = {**options, "groups": groups}
    space = (7, 6, 5)[:rank]
    x, w, b = (
        normal(*((2,) if batch else ()), 2 * groups, *space),
        normal(3 * groups, 2, *(3, 2, 3)[:rank]),
        normal(3 * groups),
    )
    ours, theirs = getattr(convolution, f"conv{rank}d"), getattr(F, f"conv{rank}d")
    agree(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), [x, w, b])
    agree(lambda *a: ours(*a, **options), lambda *a: theirs(*a, **options), [x, w])


@pytest.mark.parametrize(
    ("rank", "groups", "options"),
    [
        (1, 1, {"stride": 3, "padding": 1, "output_padding": 2}), (2, 2, {"stride": (2, 1), "padding": (1, 0)}),
        (2, 1, {"dilation": 2, "output_padding": 1, "padding": 2}), (3, 1, {"stride": 2, "output_padding": (1, 0, 1)}),
    ],
)  # fmt: skip
def test_transposed_convolutions(rank, groups, options):
    x, w, b = normal(2, 2 * groups, *(4, 3, 3)[:rank]), normal(2 * groups, 3, *(3, 2, 3)[:rank]), normal(3 * groups)
    ours, theirs = getattr(convolution, f"conv_transpose{rank}d"), getattr(F, f"conv_transpose{rank}d")
    agree(lambda *a: ours(*a, groups=groups, **options), lambda *a: theirs(*a, groups=groups, **options), [x, w, b])


@pytest.mark.parametrize("options", [{}, {"dilation": 2, "padding": 1}, {"stride": (2, 3), "padding": (0, 2)}])
def test_columns(options):
    x = normal(2, 3, 7, 8)
    agree(lambda x: convolution.unfold(x, (2, 3), **options), lambda x: F.unfold(x, (2, 3), **options), [x])
    columns = F.unfold(torch.tensor(x), (2, 3), **options).numpy() * 1.5
    agree(
        lambda c: convolution.fold(c, (7, 8), (2, 3), **options),
        lambda c: F.fold(c, (7, 8), (2, 3), **options),
        [columns],
    )


POOLS = [
    {"kernel_size": 2}, {"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": 1, "ceil_mode": True},
]  # fmt: skip


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", POOLS)
def test_pooling(rank, options):
    x = RNG.permutation(2 * 3 * 8**rank).reshape(2, 3, *(8,) * rank) / 10.0
    for more in ({}, {"dilation": 2}):
        if more and "padding" not in options:
            ours, theirs = getattr(pooling, f"max_pool{rank}d"), getattr(F, f"max_pool{rank}d")
            agree(lambda x: ours(x, **options, **more), lambda x: theirs(x, **options, **more), [x])
            have, want = (
                f(a, return_indices=True, **options, **more) for f, a in ((ours, x), (theirs, torch.tensor(x)))
            )
            np.testing.assert_array_equal(have[1], want[1].numpy())
    for include in (True, False):
        ours, theirs = getattr(pooling, f"avg_pool{rank}d"), getattr(F, f"avg_pool{rank}d")
        own = {**options, "count_include_pad": include}
        agree(lambda x: ours(x, **own), lambda x: theirs(x, **own), [x])


def test_pooling_of_ties_and_nan():
    x = RNG.integers(0, 2, (1, 2, 6, 6)) * 1.0
    agree(lambda x: pooling.max_pool2d(x, 3, 2, 1), lambda x: F.max_pool2d(x, 3, 2, 1), [x])
    x[0, 0, 2, 2] = np.nan
    np.testing.assert_array_equal(pooling.max_pool2d(x, 3, 2, 1), F.max_pool2d(torch.tensor(x), 3, 2, 1).numpy())
    agree(lambda x: pooling.lp_pool(x, 3.0, 2), lambda x: F.lp_pool2d(x, 3.0, 2), [np.abs(normal(2, 3, 6, 6)) + 0.1])
    own = lambda x: pooling.avg_pool2d(x, 2, divisor_override=3)
    agree(own, lambda x: F.avg_pool2d(x, 2, divisor_override=3), [x[:, 1:]])


@pytest.mark.parametrize(
    ("space", "size"), [((7, 5), (3, 2)), ((6, 4), 2), ((5, 5), (None, 7)), ((4,), 3), ((3, 4, 5), 2)]
)
def test_adaptive_pooling(space, size):
    rank, x = len(space), RNG.permutation(6 * int(np.prod(space))).reshape(2, 3, *space) / 7.0
    average, largest = getattr(F, f"adaptive_avg_pool{rank}d"), getattr(F, f"adaptive_max_pool{rank}d")
    agree(lambda x: pooling.adaptive_avg_pool(x, size, rank=rank), lambda x: average(x, size), [x])
    agree(lambda x: pooling.adaptive_max_pool(x, size, rank=rank), lambda x: largest(x, size), [x])
    if size is not None and not isinstance(size, tuple):
        _, have = pooling.adaptive_max_pool(x, size, True, rank)
        np.testing.assert_array_equal(have, largest(torch.tensor(x), size, return_indices=True)[1].numpy())


def test_unpooling():
    x = RNG.permutation(2 * 3 * 36).reshape(2, 3, 6, 6) / 7.0
    values, places = pooling.max_pool2d(x, 2, return_indices=True)
    values = np.asarray(values)
    theirs = lambda v: F.max_unpool2d(v, torch.tensor(np.asarray(places)), 2)
    agree(lambda v: pooling.max_unpool(v, places, (6, 6)), theirs, [values])


NORMS = {
    "batch": (
        lambda x, w, b: normalization.batch_norm(x, None, None, w, b, True)[0],
        lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
    ),
    "group": (lambda x, w, b: normalization.group_norm(x, 2, w, b), lambda x, w, b: F.group_norm(x, 2, w, b)),
    "instance": (
        lambda x, w, b: normalization.instance_norm(x, None, None, w, b)[0],
        lambda x, w, b: F.instance_norm(x, None, None, w, b),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("space", [(5,), (3, 4)])
def test_norms_of_channels(name, space):
    agree(*NORMS[name], [normal(3, 4, *space), normal(4), normal(4)], 1e-8)


def test_running_values():
    x, mean, variance = normal(3, 4, 5), normal(4), np.abs(normal(4)) + 0.5
    for training in (True, False):
        m, v = torch.tensor(mean), torch.tensor(variance)
        want = F.batch_norm(torch.tensor(x), m, v, training=training, momentum=0.3)
        out, new_mean, new_variance = normalization.batch_norm(x, mean, variance, training=training, momentum=0.3)
        for a, b in ((out, want), (new_mean, m), (new_variance, v)):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-10)
        m, v = torch.tensor(mean), torch.tensor(variance)
        want = F.instance_norm(torch.tensor(x), m, v, use_input_stats=training, momentum=0.3)
        out, new_mean, new_variance = normalization.instance_norm(x, mean, variance, None, None, training, 0.3)
        for a, b in ((out, want), (new_mean, m), (new_variance, v)):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-10)


def test_norms_of_last_axes():
    x, w, b = normal(3, 4, 5), normal(4, 5), normal(4, 5)
    agree(
        lambda *a: normalization.layer_norm(a[0], (4, 5), *a[1:]),
        lambda *a: F.layer_norm(a[0], (4, 5), *a[1:]),
        [x, w, b],
    )
    agree(lambda x: normalization.layer_norm(x, 5), lambda x: F.layer_norm(x, (5,)), [x])
    agree(lambda x, w: normalization.rms_norm(x, (4, 5), w), lambda x, w: F.rms_norm(x, (4, 5), w), [x, w])
    agree(lambda x: normalization.local_response_norm(x, 3, 0.1), lambda x: F.local_response_norm(x, 3, 0.1), [x])
    for p in (2.0, 1.0, 3.0):
        agree(lambda x: normalization.normalize(x, p), lambda x: F.normalize(x, p), [x], 1e-8)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_modes(mode):
    x = normal(2, 3, 5, 6)
    for widths in [(2, 1, 0, 0), (1, 2, 3, 0), (-1, 2, 1, -2)]:
        agree(lambda x: resampling.pad(x, widths, mode), lambda x: F.pad(x, widths, mode), [x])
    agree(lambda x: resampling.pad(x, (1, 1), value=2.5), lambda x: F.pad(x, (1, 1), value=2.5), [x])


@pytest.mark.parametrize(
    ("space", "options"),
    [
        ((5,), {"size": 8, "mode": "linear"}), ((5,), {"scale_factor": 1.7, "mode": "nearest"}),
        ((5, 6), {"scale_factor": 2, "mode": "nearest"}), ((5, 6), {"size": (3, 9), "mode": "nearest-exact"}),
        ((5, 6), {"size": (8, 3), "mode": "bilinear"}), ((5, 6), {"size": (8, 3), "mode": "bilinear", "align_corners": True}),
        ((5, 6), {"scale_factor": (1.3, 2.2), "mode": "bilinear"}),
        ((5, 6), {"scale_factor": 1.3, "mode": "bilinear", "recompute_scale_factor": True}),
        ((5, 6), {"size": (9, 4), "mode": "bicubic"}), ((5, 6), {"size": (9, 4), "mode": "bicubic", "align_corners": True}),
        ((3, 4, 5), {"size": (5, 3, 6), "mode": "trilinear"}), ((5, 6), {"size": (3, 4), "mode": "area"}),
    ],
)  # fmt: skip
def test_interpolation(space, options):
    agree(lambda x: resampling.interpolate(x, **options), lambda x: F.interpolate(x, **options), [normal(2, 3, *space)])


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [True, False])
def test_grid_sample(mode, padding, align):
    x, grid = normal(2, 3, 5, 6), RNG.uniform(-1.6, 1.6, (2, 4, 3, 2))
    agree(
        lambda *a: resampling.grid_sample(*a, mode, padding, align),
        lambda *a: F.grid_sample(*a, mode, padding, align),
        [x, grid],
    )
    if mode != "bicubic":
        x, grid = normal(2, 2, 3, 4, 5), RNG.uniform(-1.6, 1.6, (2, 2, 3, 2, 3))
        agree(
            lambda *a: resampling.grid_sample(*a, mode, padding, align),
            lambda *a: F.grid_sample(*a, mode, padding, align),
            [x, grid],
        )


@pytest.mark.parametrize("align", [True, False])
def test_affine_grid(align):
    for size in [(2, 3, 4, 5), (2, 3, 2, 4, 5)]:
        theta = normal(2, len(size) - 2, len(size) - 1)
        agree(lambda t: resampling.affine_grid(t, size, align), lambda t: F.affine_grid(t, size, align), [theta])


def test_pixels_and_embedding():
    agree(lambda x: resampling.pixel_shuffle(x, 2), lambda x: F.pixel_shuffle(x, 2), [normal(2, 8, 3, 4)])
    agree(lambda x: resampling.pixel_unshuffle(x, 2), lambda x: F.pixel_unshuffle(x, 2), [normal(2, 3, 4, 6)])
    places = np.array([[0, 3, 3], [1, 0, 4]])
    for padding in (None, 3, -5):
        agree(
            lambda w: regularization.embedding(places, w, padding),
            lambda w: F.embedding(torch.tensor(places), w, padding),
            [normal(5, 2)],
        )


def test_dropout_keeps_the_mean_and_scales():
    key, x = fg.random.key(3), np.full((200, 300), 2.0)
    out = np.asarray(regularization.dropout(x, key, 0.3))
    assert set(np.unique(out)) == {0.0, 2.0 / 0.7}
    assert abs((out == 0).mean() - 0.3) < 0.01
    np.testing.assert_array_equal(fg.jit(lambda x: regularization.dropout(x, key, 0.3))(x), out)
    np.testing.assert_array_equal(fg.grad(lambda x: regularization.dropout(x, key, 0.3).sum())(x), (out != 0) / 0.7)
    whole = np.asarray(regularization.feature_dropout(np.ones((50, 40, 3, 3)), key))
    assert ((whole == 0).all((2, 3)) | (whole == 2).all((2, 3))).all()
    assert not regularization.dropout(x, key, 1.0).any()
    noise = RNG.normal(size=(400, 300))
    kept = np.asarray(regularization.alpha_dropout(fg.nn.selu(noise), key, 0.2))
    assert abs(kept.mean()) < 0.02
    assert abs(kept.std() - 1) < 0.02


@pytest.mark.parametrize("name", ["max", "min", "add", "mul", "pairs"])
def test_reduce_window_is_that_of_jax(name):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    x = RNG.permutation(4 * 5 * 6).reshape(4, 5, 6) / 40.0 + 0.3
    options = [
        {"window_dimensions": (2, 1, 3), "window_strides": (1, 1, 1)},
        {"window_dimensions": (2, 3, 2), "window_strides": (1, 2, 3), "padding": "SAME"},
        {
            "window_dimensions": (1, 2, 2), "window_strides": (1, 1, 1), "window_dilation": (1, 2, 1),
            "padding": [(0, 0), (1, 2), (2, 0)],
        },
        {"window_dimensions": (2, 2, 2), "window_strides": (1, 1, 2), "base_dilation": (1, 2, 1), "padding": "SAME_LOWER"},
    ]  # fmt: skip
    starts = {"max": -np.inf, "min": np.inf, "add": 0.0, "mul": 1.0}

    def f(ll, x, option):
        if name == "pairs":
            joined = lambda a, b: (a[0] + b[0], ll.max(a[1], b[1]))
            out = ll.reduce_window((x, x * 2), (0.0, 0.5), joined, **option)
            return out[0] * 2 + out[1]
        return ll.reduce_window(x, starts[name], getattr(ll, name), **option)

    for option in options:
        want = f(jax.lax, x, option)
        np.testing.assert_allclose(f(lax, x, option), want, rtol=1e-12)
        weights = np.cos(np.arange(want.size)).reshape(want.shape)
        have = fg.grad(lambda x: (f(lax, x, option) * weights).sum())(x)
        try:
            wanted = jax.grad(lambda x: (f(jax.lax, x, option) * weights).sum())(x)
        except (NotImplementedError, ValueError):  # JAX has no reverse mode for these settings
            check_grads(lambda x: f(lax, x, option), (x,), order=1, modes=["rev"])
        else:
            np.testing.assert_allclose(have, wanted, rtol=1e-9, atol=1e-12)


def test_select_and_scatter_add_is_that_of_jax():
    jax = pytest.importorskip("jax")
    private = pytest.importorskip("jax._src.lax.windowed_reductions")
    jax.config.update("jax_enable_x64", True)
    x, y = RNG.permutation(30).reshape(5, 6) / 3.0, normal(3, 3)
    for mine, theirs in ((lax.ge, jax.lax.ge_p), (lax.le, jax.lax.le_p)):
        have = lax.select_and_scatter_add(y, x, mine, (3, 2), (2, 2), ((1, 1), (0, 0)))
        want = private._select_and_scatter_add(y, x, theirs, (3, 2), (2, 2), ((1, 1), (0, 0)))
        np.testing.assert_allclose(have, want)


def test_bad_input_is_named():
    x = np.ones((2, 3, 5, 5))
    cases = [
        (lambda: convolution.conv2d(x, np.ones((4, 2, 3, 3))), r"takes 2 channels .* with 3 channels"),
        (
            lambda: convolution.conv2d(x, np.ones((4, 3, 7, 7)), padding=0),
            r"kernel of size \(7, 7\) .* larger than the padded",
        ),
        (
            lambda: convolution.conv2d(x, np.ones((4, 3, 3, 3)), padding="same", stride=2),
            "padding='same' needs stride 1",
        ),
        (
            lambda: convolution.conv_transpose2d(x, np.ones((3, 1, 3, 3)), output_padding=1),
            "output_padding must be smaller",
        ),
        (lambda: convolution.fold(np.ones((1, 9, 7)), (5, 5), 3), "are 9 columns of a multiple of 9"),
        (lambda: pooling.max_pool2d(x, 3, padding=2), "padding must be at most half"),
        (lambda: pooling.max_pool2d(x, 7), "do not fit into the input"),
        (lambda: normalization.batch_norm(np.ones((1, 3)), training=True), "more than one value per channel"),
        (lambda: normalization.layer_norm(x, (4,)), r"normalized_shape \(4,\)"),
        (lambda: normalization.group_norm(x, 2), "num_groups must divide"),
        (lambda: resampling.pad(x, (5, 0), "reflect"), "can add at most 4"),
        (lambda: resampling.interpolate(x, 3, mode="linear"), "does not fit 2 spatial axes"),
        (lambda: resampling.grid_sample(x, np.ones((2, 4, 4, 3))), "takes"),
        (lambda: regularization.dropout(x, None, 1.5), "between 0 and 1"),
    ]
    for call, text in cases:
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(IndexError):
        regularization.embedding(np.array([7]), np.ones((5, 2)))
    assert convolution.conv2d(np.ones((0, 3, 5, 5)), np.ones((4, 3, 3, 3))).shape == (0, 4, 3, 3)
