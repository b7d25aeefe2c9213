"""Compiled convolutions against NumPy's evaluation in float64: every kernel, odd sizes, Winograd's error, threads."""

import threading

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile.execute import executable
from funcgrad.core.tracing import trace_program, type_of
from funcgrad.ops.conv import conv, conv_input, conv_kernel
from funcgrad.ops.volumes import convolve, convolve_input

RNG = np.random.default_rng(0)


def compiled(f, *args):
    """The executable of flat f, which must have no host calls, and its steps' names."""
    program, _ = trace_program(lambda *a: [f(*a)], [type_of(a) for a in args], "f")
    made = executable(program)
    assert not made.host
    return made, [e.label for e in made.entries]


def error(have, want):
    """The largest error relative to the largest value."""
    assert have.shape == want.shape
    return np.abs(np.asarray(have, np.float64) - want).max() / np.abs(want).max()


def three(x, w, **params):
    """The three forms of one convolution, with their arguments."""
    y = conv(x.astype("d"), w.astype("d"), **params)
    ct = RNG.normal(size=y.shape).astype(x.dtype)
    return [
        (lambda a, b: conv(a, b, **params), (x, w)),
        (lambda a, b: conv_input(a, b, space=x.shape[2:], **params), (ct, w)),
        (lambda a, b: conv_kernel(a, b, window=w.shape[2:], **params), (x, ct)),
    ]


CASES = [
    # images, channels, space, outs, window, strides, padding, dilation, groups
    (2, 3, (9, 11), 5, (3, 3), (1, 1), (1, 1), (1, 1), 1), (1, 20, (30, 17), 40, (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (2, 3, (20, 23), 8, (7, 7), (2, 2), (3, 3), (1, 1), 1), (2, 8, (7, 7), 80, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 8, (9, 9), 12, (3, 2), (1, 1), (2, 0), (2, 3), 2), (2, 40, (7, 5), 64, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (3, 12, (8, 8), 24, (1, 1), (2, 2), (0, 0), (1, 1), 3), (2, 6, (10, 10), 6, (3, 3), (1, 1), (1, 1), (1, 1), 6),
    (2, 4, (5, 5), 4, (5, 5), (3, 3), (2, 2), (1, 1), 1), (1, 1, (1, 1), 1, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 5, (40,), 17, (4,), (3,), (2,), (1,), 1), (2, 18, (33,), 34, (5,), (1,), (4,), (2,), 2),
    (1, 3, (4, 70), 3, (2, 9), (1, 4), (1, 8), (1, 1), 1), (17, 2, (3, 3), 2, (3, 3), (1, 1), (0, 0), (1, 1), 1),
    (2, 18, (6, 7), 15, (1, 1), (1, 1), (0, 0), (1, 1), 3), (1, 33, (9, 20), 50, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 7, (9, 12), 7, (3, 3), (2, 2), (1, 1), (1, 1), 7), (1, 5, (20, 75), 5, (2, 4), (1, 2), (0, 3), (2, 1), 5),
    (1, 256, (5, 6), 34, (3, 3), (1, 1), (1, 1), (1, 1), 1), (1, 34, (9, 6), 256, (3, 3), (2, 2), (1, 1), (1, 1), 1),
    (2, 6, (31,), 6, (3,), (3,), (1,), (2,), 6),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["f", "d"])
def test_every_form_is_native_and_right(case, dtype):
    n, c, space, o, window, strides, pads, dilation, groups = case
    x, w = (RNG.normal(size=s).astype(dtype) for s in ((n, c, *space), (o, c // groups, *window)))
    params = {"strides": strides, "padding": tuple((p, p) for p in pads), "dilation": dilation, "groups": groups}
    for f, args in three(x, w, **params):
        made, _ = compiled(f, *args)
        want = f(*[a.astype("d") for a in args])
        assert error(made(args)[0], want) < (1e-5 if dtype == "f" else 2e-14)


@pytest.mark.parametrize("uneven", [((0, 2), (1, 0)), ((3, 0), (0, 1))])
def test_uneven_padding(uneven):
    x, w = RNG.normal(size=(2, 5, 9, 8)), RNG.normal(size=(4, 5, 3, 3))
    for strides in ((1, 1), (2, 3)):
        for f, args in three(x, w, strides=strides, padding=uneven, dilation=(1, 1), groups=1):
            assert error(compiled(f, *args)[0](args)[0], f(*args)) < 1e-14


WINOGRAD = [
    (2, 32, 12, 12, 32, 1),
    (1, 48, 9, 11, 40, 1),
    (3, 64, 6, 7, 33, 0),
    (1, 32, 10, 5, 64, 2),
    (3, 400, 7, 6, 48, 1),
    (1, 48, 9, 11, 64, 1),
    (40, 64, 5, 4, 96, 1),
]


@pytest.mark.parametrize(("n", "c", "h", "w", "o", "p"), WINOGRAD)
def test_winograd_is_as_exact_as_its_setting_says(n, c, h, w, o, p):
    x, k = RNG.normal(size=(n, c, h, w)).astype("f"), RNG.normal(size=(o, c, 3, 3)).astype("f")
    forms = three(x, k, strides=(1, 1), padding=((p, p),) * 2, dilation=(1, 1), groups=1)
    # The transforms go over vectors of 16 input channels, for the windows' gradient also over panels of 32 outputs.
    for f, args in (forms[0], *(forms[1:2] if o % 16 == 0 else ()), *(forms[2:] if o % 32 == 0 else ())):
        want = f(*[a.astype("d") for a in args])
        made, names = compiled(f, *args)
        assert "winograd" in names
        assert error(made(args)[0], want) < 2e-5
        fg.set_allow_winograd(False)
        try:
            made, names = compiled(f, *args)
        finally:
            fg.set_allow_winograd(True)
        assert "winograd" not in names
        assert error(made(args)[0], want) < 4e-6


def test_bits_do_not_depend_on_threads_and_threads_may_share_a_program():
    x, w = RNG.normal(size=(5, 32, 14, 13)).astype("f"), RNG.normal(size=(64, 32, 3, 3)).astype("f")
    for f, args in three(x, w, strides=(1, 1), padding=((1, 1),) * 2, dilation=(1, 1), groups=1):
        made, _ = compiled(f, *args)
        found = []
        try:
            for threads in (1, 2, 3):
                fg.set_num_threads(threads)
                found.append(np.array(made(args)[0]))
        finally:
            fg.set_num_threads(2)
        others = [threading.Thread(target=lambda: found.append(np.array(made(args)[0]))) for _ in range(4)]
        for t in others:
            t.start()
        for t in others:
            t.join()
        assert len(found) == 7
        assert all(np.array_equal(found[0], other) for other in found[1:])


def test_arguments_that_are_views_and_special_values():
    x, w = RNG.normal(size=(4, 6, 3, 7)).astype("f"), RNG.normal(size=(5, 3, 3, 3)).astype("f")
    params = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    f = fg.jit(lambda x, w: conv(x.transpose(0, 2, 1, 3)[:, :, ::2], w[::-1] * 2, **params))
    want = conv(x.transpose(0, 2, 1, 3)[:, :, ::2].astype("d"), w[::-1].astype("d") * 2, **params)
    assert error(f(x, w), want) < 2e-6
    line = {k: v if k == "groups" else v[:1] for k, v in params.items()}
    flat = fg.jit(lambda x, w: conv(x.reshape(4, 6, 21), w.reshape(5, 6, 3), **line))
    small = RNG.normal(size=(5, 6, 3, 1)).astype("f")
    assert error(flat(x, small), conv(x.reshape(4, 6, 21).astype("d"), small[..., 0].astype("d"), **line)) < 2e-6
    x[0, 0, 0, 0] = np.nan
    have = fg.jit(lambda x, w: conv(x, w, **params))(x, RNG.normal(size=(2, 6, 3, 3)).astype("f"))
    assert np.isnan(have[0, :, :2, :2]).all()
    assert not np.isnan(have[0, :, 2:]).any()
    assert not np.isnan(have[1:]).any()


VOLUMES = [
    # channels, space, outs, window, strides, padding, dilation, groups
    (4, (5, 6, 7), 6, (3, 2, 3), (1, 1, 1), ((1, 1), (0, 1), (1, 1)), (1, 1, 1), 1),
    (4, (7, 6, 5), 6, (2, 3, 1), (2, 1, 3), ((0, 2), (1, 0), (0, 0)), (1, 1, 1), 2),
    (3, (9, 5, 5), 2, (3, 2, 2), (2, 1, 1), ((2, 3), (0, 0), (0, 0)), (2, 1, 2), 1),
    (2, (4, 5, 5), 2, (1, 3, 3), (3, 2, 2), ((0, 0), (1, 1), (1, 1)), (1, 1, 1), 2),
    (2, (8, 4, 4), 3, (2, 2, 2), (1, 1, 1), ((-1, -2), (0, 0), (0, 0)), (1, 1, 1), 1),
    (2, (2, 4, 4), 3, (3, 2, 2), (1, 1, 1), ((0, 0), (0, 0), (0, 0)), (1, 1, 1), 1),
]


@pytest.mark.parametrize("case", VOLUMES)
def test_volumes_by_images_are_what_the_rows_say(case):
    c, space, o, window, strides, padding, dilation, groups = case
    x, w = RNG.normal(size=(2, c, *space)), RNG.normal(size=(o, c // groups, *window))
    params = {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}
    want = conv(x, w, **params)
    y = RNG.normal(size=want.shape)
    for f, row, args in (
        (lambda a, b: convolve(a, b, **params), lambda a, b: conv(a, b, **params), (x, w)),
        (
            lambda a, b: convolve_input(a, b, space=space, **params),
            lambda a, b: conv_input(a, b, space=space, **params),
            (y, w),
        ),
    ):
        np.testing.assert_allclose(f(*args), row(*args), atol=1e-12)
        if y.size and min(a for pair in padding for a in pair) >= 0:
            made, _ = compiled(f, *args)
            np.testing.assert_allclose(made(args)[0], row(*args), atol=1e-12)
            ct = RNG.normal(size=row(*args).shape)
            have, should = (fg.vjp(g, *args)[1](ct) for g in (f, row))
            for a, b in zip(have, should, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-12)
