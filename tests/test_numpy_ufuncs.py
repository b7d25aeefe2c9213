"""Every ufunc of the NumPy room: NumPy's values and dtypes, plain, traced and jitted; derivatives; options."""

import inspect
import math

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.core.array import Array
from funcgrad.core.tracing import Tracer
from funcgrad.numpy import flat_ufuncs, ufuncs
from funcgrad.testing import check_grads

rng = np.random.default_rng(0)
POSITIVE = rng.uniform(0.2, 0.9, (3, 4))
SIGNED = rng.uniform(0.1, 0.9, (3, 4)) * np.where(rng.uniform(size=(3, 4)) < 0.5, -1, 1)
ROW = rng.uniform(1.1, 1.9, 4)
WHOLE = rng.integers(1, 9, (3, 4))

MODULES = (ufuncs, flat_ufuncs)
NAMES = sorted(
    name
    for m in MODULES
    for name, f in vars(m).items()
    if inspect.isfunction(f) and isinstance(getattr(np, name, None), np.ufunc)
)
INTEGER_ONLY = {
    "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "bitwise_not", "bitwise_invert", "left_shift", "right_shift",
    "bitwise_left_shift", "bitwise_right_shift", "bitwise_count", "gcd", "lcm",
}  # fmt: skip
SHIFTED = {"arccosh", "acosh"}


def ours(name):
    return getattr(ufuncs, name, None) or getattr(flat_ufuncs, name)


def arguments(name):
    """Float arguments inside the domain (integers where the function takes nothing else)."""
    if name in INTEGER_ONLY:
        return (WHOLE, WHOLE[0])[: getattr(np, name).nin]
    if name == "ldexp":
        return POSITIVE, WHOLE
    first = POSITIVE + 1.0 if name in SHIFTED else POSITIVE
    return (first, ROW)[: getattr(np, name).nin]


def parts(out):
    return out if isinstance(out, tuple) else (out,)


def same(have, want, **kwargs):
    for a, b in zip(parts(have), parts(want), strict=True):
        assert isinstance(a, Array)
        assert a.shape == np.shape(b)
        assert a.dtype == np.asarray(b).dtype
        np.testing.assert_allclose(np.asarray(a), b, **(kwargs or {"rtol": 1e-15, "atol": 0}))


def traced(f, *args):
    """f with every argument traced, and evaluated."""
    return fg.jit(lambda *a: parts(f(*a)))(*args)


def test_every_name_of_the_list_is_here():
    assert len(NAMES) > 100
    assert {"add", "divmod", "frexp", "modf", "ldexp", "heaviside", "pow", "atan2", "gcd"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_values_plain_and_traced(name):
    f, np_f, args = ours(name), getattr(np, name), arguments(name)
    want = np_f(*args)
    same(f(*args), want)
    same(traced(f, *args), want, rtol=1e-14, atol=0)
    same(traced(np_f, *args), want, rtol=1e-14, atol=0)
    same(f(*[a.view(Array) for a in args]), want)
    same(f(*[a.tolist() for a in args]), want)
    strided = [np.asfortranarray(a)[::-1] if a.ndim > 1 else a for a in args]
    same(traced(f, *strided), np_f(*strided), rtol=1e-14, atol=0)
    same(traced(f, *[a[:0] if a.ndim > 1 else a for a in args]), np_f(*[a[:0] if a.ndim > 1 else a for a in args]))
    same(traced(f, *[a.flat[0] for a in args]), np_f(*[a.flat[0] for a in args]), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "uint8", "float32", "complex128"])
def test_dtypes_promote_as_in_numpy(name, dtype):
    f, np_f = ours(name), getattr(np, name)
    args = [np.ones(3, dtype) for _ in range(np_f.nin)]
    with np.errstate(all="ignore"):
        try:
            want = np_f(*args)
        except TypeError:
            with pytest.raises(TypeError):
                traced(f, *args)
            return
        same(f(*args), want)
        same(traced(f, *args), want, rtol=1e-6, atol=1e-7)
        if np_f.nin == 2 and dtype != "bool" and name != "ldexp":
            want = np_f(args[0], 1)
            same(fg.jit(lambda x: parts(f(x, 1)))(args[0]), want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in INTEGER_ONLY])
def test_special_values(name):
    if name in ("ldexp", "divmod", "floor_divide", "remainder", "mod", "fmod"):
        values = [0.0, -0.0, 1.5, -2.5]
    else:
        values = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 1.0, -1.0, 5e-324]
    f, np_f = ours(name), getattr(np, name)
    args = [np.array(values)]
    if np_f.nin == 2:
        args = [np.repeat(values, len(values)), np.tile(values, len(values))]
        if name == "ldexp":
            args[1] = np.repeat([3, -3, 0, 2000], 4)
    with np.errstate(all="ignore"):
        same(traced(f, *args), np_f(*args), rtol=1e-14, atol=0)


SMOOTH = [n for n in NAMES if hasattr(ufuncs, n) and n not in ("frexp", "modf", "divmod", "ldexp", "floor_divide")]


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_of_both_modes(name):
    f = ours(name)
    args = arguments(name)
    check_grads(f, args, 2, atol=1e-4, rtol=1e-4)
    want = np.stack([np.asarray(f(*(row, *args[1:]))) for row in args[0]])
    batched = fg.vmap(f, in_axes=(0, None)[: len(args)])(*args)
    np.testing.assert_allclose(np.asarray(batched), want, rtol=1e-14)


@pytest.mark.parametrize("f", [lambda x: ufuncs.frexp(x)[0], lambda x: ufuncs.modf(x)[0], lambda x: ufuncs.ldexp(x, 3),
                               lambda x: divmod(x, 0.3)[1], lambda x: x**3, lambda x: x**-2, lambda x: x**0,
                               lambda x: x**0.5, lambda x: x**2.0, lambda x: 2**x, lambda x: x**1.7])  # fmt: skip
def test_derivatives_of_parts_and_powers(f):
    check_grads(f, (POSITIVE + 0.05,), 2, atol=1e-4, rtol=1e-4)


def test_powers_keep_numpys_values_and_dtypes():
    for base in (np.arange(-3, 4), np.arange(-3.0, 4.0, dtype=np.float32), np.array([True, False])):
        for n in (0, 1, 2, 3, 2.0, 0.5, np.int32(3)):
            with np.errstate(all="ignore"):
                want = base**n
                same(fg.jit(lambda x, n=n: x**n)(base), want, rtol=1e-6)
                same(fg.jit(lambda x, n=n: ufuncs.power(x, n))(base), np.power(base, n), rtol=1e-6)
    with pytest.raises(ValueError, match="negative integer powers"):
        fg.jit(lambda x: x**-1)(np.arange(3))
    with pytest.raises(TypeError, match="modulus"):
        fg.jit(lambda x: pow(x, 2, 3))(np.arange(3))
    assert "integer_pow" in str(fg.make_expr(lambda x: x**3)(1.0))
    assert "log" not in str(fg.make_expr(fg.grad(lambda x: x**3.5))(1.0))


def test_kinks():
    assert fg.grad(ufuncs.abs)(0.0) == 0.0
    assert fg.grad(lambda x: ufuncs.absolute(x + 0j))(0.0) == 0.0
    assert fg.grad(ufuncs.maximum, argnums=(0, 1))(1.0, 1.0) == (0.5, 0.5)
    assert fg.grad(ufuncs.heaviside, argnums=(0, 1))(0.0, 0.5) == (0.0, 1.0)
    assert fg.grad(lambda x: x**2)(0.0) == 0.0
    assert fg.grad(ufuncs.sqrt)(0.0) == math.inf
    assert fg.grad(ufuncs.power, argnums=1)(0.0, 2.0) == 0.0


def test_complex_values_and_derivatives():
    z = POSITIVE + 0.3j
    for name in ("sin", "exp", "log", "sqrt", "tanh", "square", "reciprocal", "absolute", "conj", "sign", "arcsin"):
        same(traced(ours(name), z), getattr(np, name)(z), rtol=1e-13)
        check_grads(ours(name), (z,), 1, atol=1e-4, rtol=1e-4)


def test_options_of_numpy_on_plain_arrays():
    x = np.arange(3.0)
    same(ufuncs.add(x, 1, dtype=np.float32), np.add(x, 1, dtype=np.float32))
    target = np.zeros(3)
    assert ufuncs.exp(x, out=target) is target
    np.testing.assert_array_equal(target, np.exp(x))
    assert ufuncs.exp(x, None).shape == (3,)
    np.testing.assert_array_equal(ufuncs.multiply(x, 2, out=target, where=x > 1), [1.0, np.e, 4.0])
    with pytest.raises(TypeError, match="immutable"):
        ufuncs.exp(x, out=x.view(Array))
    assert list(inspect.signature(ufuncs.sin).parameters) == ["x", "out", "where", "dtype"]


def test_options_on_traced_arrays():
    x = np.arange(3.0)
    same(fg.jit(lambda x: ufuncs.add(x, 1, dtype=np.float32))(x), np.add(x, 1, dtype=np.float32))
    same(fg.jit(lambda x: np.exp(x, dtype="float32"))(x), np.exp(x, dtype="float32"), rtol=1e-6)
    with pytest.raises(TypeError, match="Cannot cast"):
        fg.jit(lambda x: ufuncs.add(x, 1, dtype=np.int32))(x)
    with pytest.raises(TypeError, match="where\\(condition, exp"):
        fg.jit(lambda x: ufuncs.exp(x, where=x > 0))(x)
    with pytest.raises(TypeError, match="out"):
        fg.jit(lambda x: ufuncs.exp(x, out=np.zeros(3)))(x)
    with pytest.raises(TypeError, match="casting"):
        fg.jit(lambda x: ufuncs.exp(x, casting="no"))(x)
    with pytest.raises(TypeError, match="shapes"):
        fg.jit(ufuncs.add)(np.ones(2), np.ones(3))


def test_mixed_calls_of_numpy_and_operators():
    a, b = np.arange(1.0, 4.0), np.arange(4.0, 7.0)
    for f in (np.arctan2, np.hypot, np.add, np.power, np.logaddexp, np.divmod):
        same(fg.jit(lambda x, f=f: parts(f(x, b)))(a), parts(f(a, b)))
        same(fg.jit(lambda x, f=f: parts(f(b, x)))(a), parts(f(b, a)))
        same(fg.jit(lambda x, f=f: parts(f(x, b.view(Array))))(a), parts(f(a, b)))
    same(fg.jit(lambda x: divmod(x, 2))(a), divmod(a, 2))
    same(fg.jit(lambda x: divmod(7, x))(a), divmod(7, a))
    same(fg.jit(lambda x: b**x)(a), b**a)
    same(fg.jit(lambda x: np.float32(2) * x)(a), np.float32(2) * a)
    same(fg.jit(lambda x: b.view(Array) - x)(a), b - a)
    seen = []
    fg.grad(lambda x: seen.append(type(np.tanh(x))) or x)(1.0)
    assert seen == [Tracer]


@pytest.mark.parametrize("name", NAMES)
def test_a_python_bool_gives_the_same_dtype_jitted_and_not(name):
    f, n = ours(name), getattr(np, name).nin
    for args in [(True,) * n, (False, True)[-n:], (True, 2)[:n], (0.5, True)[-n:]]:
        try:
            with np.errstate(all="ignore"):
                want = parts(f(*args))
        except TypeError:
            with pytest.raises(TypeError):
                fg.jit(lambda *z: f(*z))(*args)
            continue
        have = parts(fg.jit(lambda *z: f(*z))(*args))
        for a, b in zip(have, want, strict=True):
            assert a.dtype == b.dtype, args
            np.testing.assert_allclose(a, b, rtol=1e-14 if b.dtype == np.float64 else 1e-3)


def test_a_python_bool_is_what_numpy_makes_of_it():
    for value in (True, np.True_, np.array(True)):
        assert ufuncs.sin(value).dtype == fg.jit(ufuncs.sin)(value).dtype == np.float16
        assert ufuncs.square(value).dtype == fg.jit(ufuncs.square)(value).dtype == np.int8
    # Strong from then on, as in NumPy; a number of the default dtypes stays weak.
    assert fg.jit(lambda x: ufuncs.sin(x) * 2.0)(True).dtype == (np.sin(True) * 2.0).dtype == np.float16
    assert fg.jit(lambda x: ufuncs.sin(x) * np.float32(2.0))(1).dtype == np.float32
    assert fg.jit(flat_ufuncs.bitwise_count)(7).dtype == np.bitwise_count(7).dtype == np.uint8
    assert fg.jit(flat_ufuncs.logical_not)(True).dtype == np.bool_
