"""Every primitive row, from its own samples: both modes, second order, jit, vmap, dtype and types agree."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.ops.decompositions
import funcgrad.random
import funcgrad.scipy.special
from funcgrad.core.lowering import Routine
from funcgrad.core.program import check
from funcgrad.core.tracing import type_of
from funcgrad.core.types import is_inexact
from funcgrad.ops.families import TABLE
from funcgrad.testing import check_grads

ROWS = [p for p in TABLE.values() if p.samples is not None]
CASES = [(p, i) for p in ROWS for i in range(len(p.samples(np.random.default_rng(0))))]  # type: ignore[misc]
IDS = [f"{p.name}-{i}" for p, i in CASES]


FIRST_ORDER = {"random_loggamma_grad"}
"""Derivatives that have none of their own: differentiating them is the loud error of a missing rule."""


def sample(primitive, number):
    args, params = primitive.samples(np.random.default_rng(0))[number]
    return args, params, lambda *a: primitive(*a, **params)


def other_example(a):
    """A second example of a batch, of the same kind: floats a little larger (still definite, still in the domain)."""
    return a * np.asarray(1.0625, a.dtype) if a.dtype.kind in "fc" else a[::-1] if a.ndim else a


def flat(out):
    return [np.asarray(o) for o in (out if isinstance(out, (list, tuple)) else [out])]


def smooth(args):
    return [i for i, a in enumerate(args) if is_inexact(type_of(a).dtype)]


def same(have, want, **kwargs):
    for a, b in zip(flat(have), flat(want), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **kwargs)


def tuple_of(f):
    """Primitives with several outputs give lists; the transforms want one kind of tree."""
    return lambda *a: tuple(out) if isinstance(out := f(*a), (list, tuple)) else (out,)


@pytest.mark.parametrize(("primitive", "number"), CASES, ids=IDS)
def test_the_type_rule_and_jit_agree_with_the_evaluation(primitive, number):
    args, params, f = sample(primitive, number)
    program = check(fg.make_expr(tuple_of(f))(*args))
    want = f(*args)
    types = [type_of(v) for v in flat(want)]
    assert [(t.shape, t.dtype) for t in program.out_types] == [(t.shape, t.dtype) for t in types]
    same(fg.jit(tuple_of(f))(*args), want)


SMOOTH = [(p, i) for p, i in CASES if not p.flat and smooth(sample(p, i)[0])]
SMOOTH_IDS = [f"{p.name}-{i}" for p, i in SMOOTH]


@pytest.mark.parametrize(("primitive", "number"), SMOOTH, ids=SMOOTH_IDS)
def test_both_modes_against_differences_to_second_order(primitive, number):
    args, params, f = sample(primitive, number)
    moving = smooth(args)

    def of_moving(*values):
        full = list(args)
        for i, v in zip(moving, values, strict=True):
            full[i] = v
        outs = f(*full)
        outs = outs if isinstance(outs, (list, tuple)) else [outs]
        return tuple(o for o in outs if is_inexact(type_of(o).dtype))

    check_grads(of_moving, [np.asarray(args[i]) for i in moving], 2, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize(("primitive", "number"), CASES, ids=IDS)
def test_vmap_is_a_loop(primitive, number):
    args, params, f = sample(primitive, number)
    batch = [np.stack([np.asarray(a), other_example(np.asarray(a))]) for a in args]
    for mask in {tuple(True for _ in args), *(tuple(i == j for j in range(len(args))) for i in range(len(args)))}:
        given = [b if m else a for a, b, m in zip(args, batch, mask, strict=True)]
        found = fg.vmap(tuple_of(f), in_axes=tuple(0 if m else None for m in mask))(*given)
        for example in range(2):
            want = f(*[g[example] if m else g for g, m in zip(given, mask, strict=True)])
            same([o[example] for o in found], flat(want), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("primitive", "number"), SMOOTH, ids=SMOOTH_IDS)
def test_derivatives_are_the_same_under_jit_vmap_and_checkpoint(primitive, number):
    args, params, f = sample(primitive, number)
    moving = smooth(args)

    def loss(*values):
        full = list(args)
        for i, v in zip(moving, values, strict=True):
            full[i] = v
        outs = f(*full)
        outs = outs if isinstance(outs, (list, tuple)) else [outs]
        parts = [fg.numpy.sum(fg.numpy.real(o) * 1.0) for o in outs if is_inexact(type_of(o).dtype)]
        return sum(parts[1:], parts[0])

    point = [np.asarray(args[i]) for i in moving]
    want = fg.vjp(loss, *point)[1](np.float64(1.0))
    for transformed in (fg.jit(loss), fg.checkpoint(loss), fg.jit(fg.checkpoint(loss))):
        same(fg.vjp(transformed, *point)[1](np.float64(1.0)), want, rtol=1e-10, atol=1e-10)
    same(fg.jit(lambda *p: fg.vjp(loss, *p)[1](np.float64(1.0)))(*point), want, rtol=1e-10, atol=1e-10)
    lifted = [p[None] for p in point]
    batched = fg.vmap(lambda *p: fg.vjp(loss, *p)[1](np.float64(1.0)))(*lifted)
    same([b[0] for b in batched], want, rtol=1e-10, atol=1e-10)


def test_names_are_unique_and_rules_are_whole():
    for p in TABLE.values():
        assert p.batch is not None, f"{p.name} has no batch rule"
        if isinstance(p.kernel, Routine) and p.kernel.foreign:
            continue  # a user's function: its derivative is a rule around it, see tests/test_numba_call.py
        assert p.samples is not None or p.linearize is not None or p.effect, (
            f"{p.name} has neither samples nor linearize"
        )
        whole = p.flat or p.linearize or p.jvp or p.name in FIRST_ORDER
        assert whole, f"{p.name} is not flat, yet lacks a jvp rule"
