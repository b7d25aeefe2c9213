"""Gather, scatter, running operations and positions of extremes as kernels: against NumPy's own, unkind indices included."""

import numba
import numpy as np
import pytest
from compile_cases import program_of

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.compile import execute, native
from funcgrad.compile.executor import HostStep
from funcgrad.ops import cumulative as c
from funcgrad.ops import reduce as r
from funcgrad.ops.index import gather, scatter

jax = pytest.importorskip("jax")
jaxnp = pytest.importorskip("jax.numpy")

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
FIELDS = [
    ((), [()], (0,), (7,)),
    ((5,), [(5,)], (0,), (7,)),
    ((5,), [(5,)], (0,), (4, 3)),
    ((6,), [(6,)], (1,), (4, 3, 5)),
    ((2, 3), [(2, 3), (3,)], (0, 2), (4, 3, 5)),
    ((4, 3), [(4, 1), (1, 3)], (0, 1), (4, 3)),
    ((4, 3), [(4, 1), (4, 3)], (1, 2), (2, 4, 3, 1, 2)),
    ((2, 1, 3), [(2, 1, 1), (3,), ()], (2, 0, 1), (4, 3, 5)),
    ((3,), [(3,), ()], (1, 0), (4, 6, 2)),
]


def values(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0 if kind in "bu" else -9, 2 if kind == "b" else 10, shape).astype(dtype)


def places(shapes, axes, operand, mode, seed=0, dtype="i8"):
    rng = np.random.default_rng(seed)
    found = []
    for shape, axis in zip(shapes, axes, strict=True):
        n = operand[axis]
        far = 0 if mode == "raise" else 3
        low = 0 if np.dtype(dtype).kind == "u" else -n - far
        found.append(rng.integers(low, n + far, shape).astype(dtype))
    return found


def compiled(f, *args):
    """The result of a program that has no host call."""
    program = program_of(f, *args)
    hosts = [e.label for e in execute.executable(program).entries if isinstance(e, HostStep)]
    assert not hosts
    return execute.execute(program, *args)[0]


def same(have, want):
    np.testing.assert_array_equal(have, want)
    assert have.dtype == np.asarray(want).dtype and have.shape == np.shape(want)


@pytest.mark.parametrize("mode", ["raise", "clip", "drop"])
@pytest.mark.parametrize("case", FIELDS)
def test_gather(case, mode):
    _, shapes, axes, operand = case
    index = places(shapes, axes, operand, mode)
    x = values("f4", operand)
    same(
        compiled(lambda x, *i: gather(x, *i, axes=axes, mode=mode), x, *index),
        gather.impl(x, *index, axes=axes, mode=mode),
    )


@pytest.mark.parametrize("op", ["set", "add", "mul", "min", "max"])
@pytest.mark.parametrize("mode", ["raise", "clip", "drop"])
@pytest.mark.parametrize("case", FIELDS)
def test_scatter(case, mode, op):
    shape, shapes, axes, operand = case
    index = places(shapes, axes, operand, mode)
    x = values("f8", operand)
    u = values("f8", shape + tuple(n for a, n in enumerate(operand) if a not in axes), 1)
    params = {"axes": axes, "mode": mode, "op": op}
    same(compiled(lambda x, u, *i: scatter(x, u, *i, **params), x, u, *index), scatter.impl(x, u, *index, **params))


@pytest.mark.parametrize(
    ("dtype", "number"), list(zip(DTYPES, ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", *["i4"] * 3], strict=True))
)
def test_every_dtype(dtype, number):
    x, u = values(dtype, (6, 3)), values(dtype, (5, 3), 1)
    index = places([(5,)], (0,), (6,), "clip", dtype=number)
    for mode in ("clip", "drop"):
        same(compiled(lambda x, i: gather(x, i, axes=(0,), mode=mode), x, *index),
             gather.impl(x, *[i.astype("i8") for i in index], axes=(0,), mode=mode))  # fmt: skip
        for op in ("set",) if dtype == "?" else ("set", "add", "mul", "min", "max"):
            params = {"axes": (0,), "mode": mode, "op": op}
            same(compiled(lambda x, u, i: scatter(x, u, i, **params), x, u, *index),
                 scatter.impl(x, u, *[i.astype("i8") for i in index], **params))  # fmt: skip


def test_out_of_bounds_raises_and_leaves_the_program_usable():
    x, good = np.arange(6.0).reshape(3, 2), np.array([0, -3])
    f = fg.jit(lambda x, i: x[i] * 2)
    for _ in range(2):
        same(np.asarray(f(x, good)), x[good] * 2)
        with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 3"):
            f(x, np.array([7, 0]))
        with pytest.raises(IndexError, match="index -4 is out of bounds for axis 0 with size 3"):
            f(x, np.array([1, -4]))
    slope = fg.jit(fg.grad(lambda x, i: jnp.sum(x[i] ** 2)))
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        slope(x, np.array([3, 0]))
    same(np.asarray(slope(x, np.array([0, 0]))), np.array([[0, 4.0], [0, 0], [0, 0]]))


def test_out_of_bounds_inside_of_a_loop():
    f = fg.jit(lambda x, i: fg.lax.scan(lambda s, k: (s + x[k], s), 0.0, i)[0])
    x = np.arange(4.0)
    assert f(x, np.array([1, 3, 3])) == 7
    with pytest.raises(IndexError, match="index 4 is out of bounds for axis 0 with size 4"):
        f(x, np.array([1, 4, 3]))
    assert f(x, np.array([1, 3, -1])) == 7


def test_inside_of_compiled_code():
    x, good, far = np.arange(8.0).reshape(4, 2), np.array([0, -1, 0]), np.array([0, 4, 1])
    slope = fg.jit(fg.grad(lambda x, i: jnp.sum(jnp.cumsum(x[i], axis=0) ** 2)))
    native_slope = slope.lower(x, good).compile().njit
    outer = numba.njit(lambda x, i: native_slope(x, i))
    same(outer(x, good), np.asarray(slope(x, good)))
    outer(x, far)  # brought into bounds, and no later call raises for it
    same(np.asarray(slope(x, good)), outer(x, good))


def test_views_and_empty():
    x = values("f8", (6, 8))[::2, ::-1].T
    i = np.arange(16)[::3] % 8
    same(np.asarray(fg.jit(lambda x, i: x[i])(x, i)), x[i])
    same(np.asarray(fg.jit(lambda x, i: x.T[:, i] + 1)(x, i)), x.T[:, i] + 1)
    same(np.asarray(fg.jit(lambda x, i: x[i])(x, i[:0])), x[i[:0]])
    same(np.asarray(fg.jit(lambda x, i, v: x.at[i].add(v))(x, i[:0], np.ones((0, 3)))), x)
    with pytest.raises(IndexError):
        fg.jit(lambda x, i: x[i])(x[:0], i)


def test_scatter_is_the_same_for_any_number_of_threads():
    rng = np.random.default_rng(0)
    ids, v = rng.integers(-300, 300, 4000), rng.normal(size=(4000, 64)).astype("f4")
    want = np.zeros((300, 64), "f4")
    np.add.at(want, ids, v)
    later = np.zeros((300, 64), "f4")
    later[ids] = v
    runtime = native.native()
    before = runtime.threads
    try:
        for threads in (1, 2, 3):
            runtime.set_threads(threads)
            same(np.asarray(fg.jit(lambda i, v: jnp.zeros((300, 64), "f4").at[i].add(v))(ids, v)), want)
            same(np.asarray(fg.jit(lambda i, v: jnp.zeros((300, 64), "f4").at[i].set(v))(ids, v)), later)
    finally:
        runtime.set_threads(before)


def test_against_jax_with_transforms():
    rng = np.random.default_rng(1)
    table, ids, w = rng.normal(size=(9, 4)), rng.integers(0, 9, (3, 5)), rng.normal(size=(3, 5, 4))

    def loss(np_, table, ids, w):
        rows = np_.take(table, ids, axis=0)
        picked = np_.take_along_axis(rows, np_.argmax(rows, axis=-1)[..., None], axis=-1)
        return np_.sum(np_.tanh(rows * w)) + np_.sum(picked**2) + np_.sum(np_.cumsum(rows, axis=1) ** 2)

    for ours, theirs, extra in [
        (fg.grad(lambda t, w: loss(jnp, t, ids, w)), jax.grad(lambda t, w: loss(jaxnp, t, ids, w)), (table, w)),
        (fg.vmap(fg.grad(lambda t, i, w: loss(jnp, t, i, w)), (None, 0, 0)),
         jax.vmap(jax.grad(lambda t, i, w: loss(jaxnp, t, i, w)), (None, 0, 0)), (table, ids, w)),
        (fg.vmap(lambda t, i: t.at[i].add(1.5), (None, 0)),
         jax.vmap(lambda t, i: jaxnp.asarray(t).at[i].add(1.5), (None, 0)), (table, ids)),
        (fg.jacfwd(lambda t: t[ids[0]].sum(0)), jax.jacfwd(lambda t: t[ids[0]].sum(0)), (table,)),
    ]:  # fmt: skip
        with jax.enable_x64(True):
            want = np.asarray(jax.jit(theirs)(*extra))
        np.testing.assert_allclose(np.asarray(fg.jit(ours)(*extra)), want, rtol=1e-10, atol=1e-12)


SHAPES = [(1,), (7,), (9, 5), (17, 3), (3, 4, 5), (2, 600, 3), (3, 9, 1), (2, 3, 700)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("primitive", [r.cumsum, r.cumprod, c.cummax, c.cummin, c.cumlogsumexp], ids=lambda p: p.name)
def test_running(primitive, reverse):
    for shape in SHAPES:
        for axis in range(len(shape)):
            for dtype in ("f8", "f4", *(() if primitive is c.cumlogsumexp else ("i1", "u4", "i8"))):
                x = values(dtype, shape)
                params = {"axis": axis, "reverse": reverse}
                have, want = compiled(lambda x: primitive(x, **params), x), primitive.impl(x, **params)
                assert have.dtype == want.dtype
                np.testing.assert_allclose(have, want, rtol=1e-5 if dtype == "f4" else 1e-12, atol=1e-6)


@pytest.mark.parametrize("n", [8191, 8192, 8193, 12289, 70001])
@pytest.mark.parametrize("reverse", [False, True])
def test_running_over_a_long_row(n, reverse):
    params = {"axis": 0, "reverse": reverse}
    x = values("f8", n)
    for primitive in (r.cumsum, c.cummax, c.cummin, c.cumlogsumexp):
        have, want = compiled(lambda x: primitive(x, **params), x), primitive.impl(x, **params)
        np.testing.assert_allclose(have, want, rtol=1e-11, atol=1e-10)
    for dtype in ("i1", "u2", "i8"):
        x = values(dtype, n)
        for primitive in (r.cumsum, r.cumprod, c.cummax):
            same(compiled(lambda x: primitive(x, **params), x), primitive.impl(x, **params))


def test_running_over_special_values():
    x = np.array([-0.0, 1.0, np.inf, 2.0, -np.inf, 3.0, np.nan, 4.0])
    for primitive in (r.cumsum, r.cumprod, c.cummax, c.cummin, c.cumlogsumexp):
        for reverse in (False, True):
            for part in (x, x[:6], x[:4], -x, x[:1]):
                with np.errstate(all="ignore"):
                    want = primitive.impl(part, axis=0, reverse=reverse)
                have = compiled(lambda v: primitive(v, axis=0, reverse=reverse), part)
                np.testing.assert_allclose(have, want, rtol=1e-15)
                # The language's logaddexp makes 0.0 of a lone -0.0.
                assert primitive is c.cumlogsumexp or np.signbit(have[0]) == np.signbit(want[0]) or np.isnan(have[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_positions(dtype):
    for shape in SHAPES:
        x = values(dtype, shape)
        for axis in range(len(shape)):
            for primitive in (r.argmax, r.argmin):
                same(compiled(lambda x: primitive(x, axis=axis), x), primitive.impl(x, axis=axis))


def test_positions_of_special_values():
    rows = np.array(
        [[1, np.nan, 9, np.nan], [-np.inf] * 4, [np.inf] * 4, [0.0, -0.0, 0.0, -0.0], [np.nan, -np.inf, np.inf, 1]]
    )
    for x in (rows, rows.T.copy(), rows.astype("f4")):
        for axis in (0, 1):
            for primitive in (r.argmax, r.argmin):
                same(compiled(lambda x: primitive(x, axis=axis), x), primitive.impl(x, axis=axis))
