"""Compiled windows against NumPy's evaluation: pooling and its derivatives, strides, padding, dtypes, nan and infinities."""

import numpy as np
import pytest

from funcgrad.compile.execute import executable
from funcgrad.core.tracing import trace_program, type_of
from funcgrad.ops.window import window_extreme, window_index, window_scatter, window_spread, window_sum, windows

RNG = np.random.default_rng(0)
CASES = [
    # shape, window, strides, padding, dilation of the last axes
    ((2, 3, 9, 11), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)), ((1, 2, 40, 70), (3, 2), (2, 2), ((1, 0), (0, 2)), (1, 2)),
    ((2, 2, 8, 8), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)), ((3, 7, 5), (2, 3), (1, 1), ((0, 1), (2, 2)), (2, 1)),
    ((2, 6, 13), (3, 3), (3, 3), ((1, -1), (1, 2)), (1, 1)), ((17,), (4,), (2,), ((3, 1),), (1,)),
    ((1, 1, 1), (1, 1), (1, 1), ((0, 0),) * 2, (1, 1)), ((3, 14, 44), (2, 2), (2, 2), ((0, 0),) * 2, (1, 1)),
    ((2, 2, 7, 39), (2, 2), (2, 2), ((0, 0),) * 2, (1, 1)),
]  # fmt: skip


def settings(case):
    shape, window, strides, padding, dilation = case
    lead = len(shape) - len(window)
    return shape, {
        "window": (1,) * lead + window, "strides": (1,) * lead + strides, "padding": ((0, 0),) * lead + padding,
        "dilation": (1,) * lead + dilation,
    }  # fmt: skip


def same(f, args, exact=False):
    """Whether the compiled form has no host call and gives what NumPy gives."""
    program, _ = trace_program(lambda *a: [f(*a)], [type_of(a) for a in args], "f")
    made = executable(program)
    assert not made.host
    have, want = made(args)[0], f(*args)
    if exact:
        np.testing.assert_array_equal(have, want)
    else:
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["f", "d", "i", "B"])
def test_every_form_is_native_and_right(case, dtype):
    shape, params = settings(case)
    x = (RNG.normal(size=shape) * 9 + 20).astype(dtype)
    y = (RNG.normal(size=windows(shape, params)) * 3 + 9).astype(dtype)
    same(lambda a: window_sum(a, **params), (x,))
    same(lambda a: window_spread(a, shape=shape, **params), (y,))
    for largest in (True, False):
        same(lambda a: window_extreme(a, largest=largest, **params), (x,), True)
        same(lambda a: window_index(a, largest=largest, **params), (x,), True)
        same(lambda a, b: window_scatter(a, b, largest=largest, **params), (y, x))


@pytest.mark.parametrize("case", [*CASES[:3], *CASES[-2:]])
def test_ties_nan_and_infinities(case):
    shape, params = settings(case)
    x = RNG.integers(0, 2, shape).astype("f")
    x.flat[::7], x.flat[3::11], x.flat[5::13] = np.nan, -np.inf, np.inf
    low = np.full(shape, -np.inf, "f")
    y = np.ones(windows(shape, params), "f")
    for a in (x, low):
        same(lambda a: window_extreme(a, largest=True, **params), (a,), True)
        same(lambda a: window_index(a, largest=True, **params), (a,), True)
        same(lambda b, a: window_scatter(b, a, largest=True, **params), (y, a), True)


def test_windows_over_other_axes_are_left_to_numpy():
    params = {"window": (2, 1, 1), "strides": (1, 1, 1), "padding": ((0, 0),) * 3, "dilation": (1, 1, 1)}
    x = RNG.normal(size=(3, 4, 5))
    program, _ = trace_program(lambda a: [window_sum(a, **params)], [type_of(x)], "f")
    made = executable(program)
    assert made.host
    np.testing.assert_allclose(made((x,))[0], x[1:] + x[:-1])
