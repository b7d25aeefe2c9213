"""What the tests of users' numba functions as native steps share: two of them, and what they are held to."""

import math

import numpy as np
import pytest

import funcgrad as fg

numba = pytest.importorskip("numba")

like = fg.ShapeDtypeStruct


@numba.njit
def bump(x):
    return math.exp(-x * x) + x


@numba.njit
def strict(x):
    if x[0] < 0:
        raise ValueError("negative", x[0])
    return 2 * x


@numba.njit
def orbit(x, rate):
    total = 0.0 * x
    for _ in range(3):
        x = rate * x * (1.0 - x)
        total = total + x
    return total, total.sum()


def strictly(x):
    return fg.numba_call(strict, like(x.shape, x.dtype), x)


def hosts(f, *args):
    return [s.title for s in fg.stages(f)(*args).host_calls]


def compiled(f, *args):
    return fg.jit(f).lower(*args).compile()


def same(found, expected):
    for a, b in zip(fg.tree.leaves(found), fg.tree.leaves(expected), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


X = np.linspace(0.1, 0.9, 5)
