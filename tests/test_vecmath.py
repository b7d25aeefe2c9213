"""The functions of compile/vecmath: their error in ulp, special values, vectorisation, and the three ways to run them."""

import functools
import inspect
import re
from collections.abc import Callable
from types import FunctionType
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
import mpmath
import numba
import numpy as np
import pytest
import scipy.special
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

from funcgrad.compile import vecmath
from funcgrad.compile.vecmath.lowering import Lowering, Value

REFERENCES: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(np, name)
        for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan")
    },
    **{name: getattr(np, name) for name in ("sinh", "cosh", "tanh", "cbrt")},
    **{name: getattr(np, "arc" + name[1:]) for name in ("asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh")},
    **{name: getattr(scipy.special, name) for name in ("erf", "erfc", "erfinv", "digamma", "expit")},
    "pow": np.power,
    "lgamma": scipy.special.gammaln,
}
"""What NumPy or SciPy has under each name."""

EXACT: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(mpmath, name)
        for name in ("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh")
    },
    **{
        name: getattr(mpmath, name)
        for name in ("asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh", "erf", "erfc")
    },
    **{"erfinv": mpmath.erfinv, "digamma": mpmath.digamma, "pow": mpmath.power},
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x) / mpmath.log(2),
    "log10": lambda x: mpmath.log(x) / mpmath.log(10),
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
    "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
    "lgamma": lambda x: mpmath.re(mpmath.loggamma(x)),
}
"""The same in arbitrary precision."""

DOMAINS: dict[str, tuple[float, float]] = {
    **{"exp": (-746, 710), "exp2": (-1076, 1025), "expm1": (-45, 710), "expit": (-745, 50), "tanh": (-20, 20)},
    **{"sinh": (-711, 711), "cosh": (-711, 711), "erf": (-6, 6), "erfc": (-6, 27.3), "erfinv": (-1, 1)},
    **{"asin": (-1, 1), "acos": (-1, 1), "atanh": (-1, 1), "sin": (-1e6, 1e6), "cos": (-1e6, 1e6), "tan": (-1e6, 1e6)},
    **{"acosh": (1, 30), "lgamma": (0, 40), "digamma": (0, 40)},
}
"""Where a function is neither constant nor nan in float64, if not everywhere."""

NAMES = sorted({name[:-4] for name in vecmath.FUNCTIONS})
SHORT: dict[str, Any] = {"f32": np.float32, "f64": np.float64}


def as_numba(function: FunctionType) -> Any:
    """A function of vecmath for use in jitted code, through vecmath.define."""
    kind = types.float32 if function.__name__.endswith("f32") else types.float64
    arity = function.__code__.co_argcount

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(vecmath.define(ir, builder.module, function), arguments)

    def one(context: Any, x: Any) -> Any:
        return kind(kind), generate

    def two(context: Any, x: Any, y: Any) -> Any:
        return kind(kind, kind), generate

    return intrinsic(one if arity == 1 else two)


def loop(function: Any, arity: int, kind: Any) -> Any:
    """A compiled loop out[i] = function(x[i]) or function(x[i], y[i])."""

    def one(x: Any, out: Any) -> None:
        for i in range(out.size):
            out[i] = function(x[i])

    def two(x: Any, y: Any, out: Any) -> None:
        for i in range(out.size):
            out[i] = function(x[i], y[i])

    array = types.Array(types.float32 if kind is np.float32 else types.float64, 1, "C")
    return njit(types.void(*[array] * (arity + 1)), error_model="numpy")(one if arity == 1 else two)


@functools.cache
def compiled(name: str) -> Any:
    """The loop over a function, such as exp_f32, by vecmath.define."""
    function = vecmath.FUNCTIONS[name]
    return loop(as_numba(function), function.__code__.co_argcount, SHORT[name[-3:]])


def run(name: str, *args: np.ndarray) -> np.ndarray:
    """The compiled function of arrays."""
    out = np.empty_like(args[0])
    compiled(name)(*args, out)
    return out


def in_python(name: str, *args: np.ndarray) -> np.ndarray:
    """The function run by NumPy, where no product is contracted into a fused multiply-add."""
    with np.errstate(all="ignore"):
        return vecmath.FUNCTIONS[name](*args)


def specials(kind: Any) -> np.ndarray:
    """Zeros, ones, infinities, nan, the ends of the dtype and thresholds of overflow."""
    limits = np.finfo(kind)
    ends = [limits.smallest_subnormal, limits.tiny, limits.tiny * 3, limits.max, limits.eps]
    turns = [0.5, 1, 2, 3, 10, 20, 88.8, 89, 87.4, 103.97, 104, 709.8, 710, 745.2, 746, 171, 1e-5, 1e10, np.inf, 0.0]
    below, above = np.nextafter(kind(1), kind(0)), np.nextafter(kind(1), kind(2))
    positive = np.array([*ends, *turns, below, above], kind)
    return np.concatenate([positive, -positive, np.array([np.nan], kind)])


def samples(name: str, kind: Any, count: int, seed: int = 0) -> list[np.ndarray]:
    """Arguments: special ones, random bits, the function's domain, around 0 and 1, all exponents up to 1024."""
    rng = np.random.default_rng(seed)
    integer = np.int32 if kind is np.float32 else np.int64
    low, high = DOMAINS.get(name, (-3, 3))
    parts = [
        specials(kind),
        rng.integers(np.iinfo(integer).min, np.iinfo(integer).max, count, dtype=integer).view(kind),
        rng.uniform(low, high, count),
        rng.uniform(-3, 3, count),
        1 + rng.uniform(-1, 1, count) * 2.0 ** rng.uniform(-30, 0, count),
        rng.choice([-1, 1], count) * 2.0 ** rng.uniform(-30, 10, count),
    ]
    with np.errstate(all="ignore"):
        x = np.concatenate([part.astype(kind) for part in parts])
    if vecmath.FUNCTIONS[f"{name}_f64"].__code__.co_argcount == 1:
        return [x]
    pairs = [(a, b) for a in specials(kind) for b in specials(kind)]
    first, second = (np.array(column, kind) for column in zip(*pairs, strict=True))
    return [np.concatenate([first, x]), np.concatenate([second, rng.permutation(x)])]


def errors(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """|got - exact| in ulp of the result, 0 where either is not finite; `exact` has more digits than `got`."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        finite = np.isfinite(rounded) & np.isfinite(got)
        return np.where(finite, np.abs(got - exact) / np.spacing(np.abs(rounded)), 0).astype(np.float64)


def differing(got: np.ndarray, want: np.ndarray, ulp: np.ndarray) -> np.ndarray:
    """Where nan, infinity, zero or the sign differ, other than by a result within an ulp (of 0, of overflow)."""
    kind = (np.isnan(got) != np.isnan(want)) | (np.isinf(got) != np.isinf(want)) | ((got == 0) != (want == 0))
    signs = ~np.isnan(want) & (np.signbit(got) != np.signbit(want))
    close = np.isfinite(got) & np.isfinite(want) & (ulp <= 1.01)
    return (kind & ~close) | (signs & ~close) | (signs & (got == 0) & (want == 0))


def message(name: str, args: list[np.ndarray], got: np.ndarray, want: np.ndarray, at: Any) -> str:
    """What a failure shows."""
    return f"{name}({', '.join(repr(a[at]) for a in args)}) is {got[at]!r}, not {want[at]!r}"


@pytest.mark.parametrize("way", [run, in_python])
@pytest.mark.parametrize("name", NAMES)
def test_float32(name: str, way: Callable[..., np.ndarray]) -> None:
    args = samples(name, np.float32, 200_000 if way is run else 50_000)
    got = way(f"{name}_f32", *args)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](*[a.astype(np.float64) for a in args])
        want = exact.astype(np.float32)
    if name == "lgamma":
        want[np.isneginf(args[0])] = np.inf  # C and JAX; SciPy has -inf
    ulp = errors(got, exact)
    assert got.dtype == np.float32
    assert ulp.max() <= 2, message(name, args, got, want, ulp.argmax())
    wrong = differing(got, want, ulp)
    assert not wrong.any(), message(name, args, got, want, wrong.argmax())


WIDE = [name for name in NAMES if getattr(np, REFERENCES[name].__name__, None) is REFERENCES[name]]
"""Those NumPy has in long double."""


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than float64 here")
@pytest.mark.parametrize("way", [run, in_python])
@pytest.mark.parametrize("name", WIDE)
def test_float64_against_long_double(name: str, way: Callable[..., np.ndarray]) -> None:
    args = samples(name, np.float64, 30_000)
    got = way(f"{name}_f64", *args)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](*[a.astype(np.longdouble) for a in args])
    ulp = errors(got, exact)
    assert ulp.max() <= 2, message(name, args, got, exact, ulp.argmax())


@pytest.mark.parametrize("name", NAMES)
def test_float64_special_values(name: str) -> None:
    args = samples(name, np.float64, 2000)
    got = run(f"{name}_f64", *args)
    with np.errstate(all="ignore"):
        want = REFERENCES[name](*args)
    if name == "lgamma":
        want[np.isneginf(args[0])] = np.inf  # C and JAX; SciPy has -inf
        tiny = (np.abs(args[0]) < 1e-307) & (args[0] != 0)
        want[tiny] = -np.log(np.abs(args[0][tiny]))  # SciPy has inf for some
    if name == "erfinv":
        want = np.copysign(want, args[0])  # SciPy has erfinv(-0.0) = 0.0
    wrong = differing(got, want, errors(got, want.astype(np.longdouble)))
    wrong &= ~((np.abs(want) == 0) & (np.abs(got) < 1e-305))  # SciPy's expit and erfc underflow early
    assert not wrong.any(), message(name, args, got, want, wrong.argmax())


@pytest.mark.parametrize("name", NAMES)
def test_float64_against_mpmath(name: str) -> None:
    args = samples(name, np.float64, 60, seed=1)
    if name in ("lgamma", "digamma"):  # their negative arguments: test_vecmath_gammas.py
        args = [np.abs(args[0])]
    got = run(f"{name}_f64", *args)
    with np.errstate(all="ignore"):
        want = REFERENCES[name](*args)
        spacing = np.spacing(np.minimum(np.abs(want), 1e308))
    bound = 4 if name == "lgamma" else 2
    with mpmath.workdps(380 if name in ("sin", "cos", "tan") else 60):
        finite = np.all([np.isfinite(a) for a in [got, want, *args]], axis=0)
        finite &= np.all([a != 0 for a in args], axis=0)  # mpmath has no signed zeros
        for i in np.flatnonzero(finite & (want != 0)):
            exact = EXACT[name](*[mpmath.mpf(float(a[i])) for a in args])
            ulp = abs(mpmath.mpf(float(got[i])) - exact) / mpmath.mpf(float(spacing[i]))
            assert ulp <= bound, message(name, args, got, want, i)


@pytest.mark.parametrize(
    ("name", "low", "high", "bound"),
    [("lgamma", 0, 4, 4), ("digamma", 0, 4, 2), ("erfc", 0.4, 27, 2), ("erf", 0.9, 3, 2), ("erfinv", 0.9, 1, 2)],
)
def test_float64_where_methods_meet(name: str, low: float, high: float, bound: float) -> None:
    x = np.random.default_rng(2).uniform(low, high, 300)
    got = run(f"{name}_f64", x)
    for value, result in zip(x, got, strict=True):
        with mpmath.workdps(50):
            difference = abs(EXACT[name](mpmath.mpf(float(value))) - mpmath.mpf(float(result)))
            assert difference <= bound * mpmath.mpf(float(np.spacing(abs(result)))), (value, result)


@pytest.mark.parametrize("kind", SHORT)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_large_angles(name: str, kind: str) -> None:
    """Rare lanes: 1e22, the largest float and others, among small angles."""
    large = [1e22, 1e4, 10000.01, 999999.9, 1e6, 1000001.0, 1e30, np.finfo(SHORT[kind]).max]
    if kind == "f32":
        large += [16367173.0 * 2.0**72]  # of all float32 the one nearest to a multiple of pi / 2
    with np.errstate(over="ignore"):
        x = np.concatenate([[0.5, 11.0], large, [1.5707963267948966, 3.0], np.negative(large), np.linspace(1, 9, 30)])
        x = x.astype(SHORT[kind])
    got = run(f"{name}_{kind}", x)
    for value, result in zip(x, got, strict=True):
        if np.isfinite(value):
            with mpmath.workdps(400):
                exact = EXACT[name](mpmath.mpf(float(value)))
                ulp = abs(mpmath.mpf(float(result)) - exact) / mpmath.mpf(float(np.spacing(abs(result))))
            assert ulp <= 2, f"{name}({value!r}) is {result!r}, off by {float(ulp):.1f} ulp"
        else:
            assert np.isnan(result)


@pytest.mark.parametrize("count", [1, 7, 16, 33, 1000])
def test_rare_lanes_and_remainders(count: int) -> None:
    """A vector with a rare lane gives the same as one without, lane for lane, at any length of the loop."""
    rng = np.random.default_rng(count)
    for name in ("sin_f32", "cos_f64", "lgamma_f32", "digamma_f64", "erfinv_f64"):
        scale = 0.999 if name == "erfinv_f64" else 20.0
        x = rng.uniform(-scale, scale, count).astype(SHORT[name[-3:]])
        x[rng.integers(count)] *= 1 if name == "erfinv_f64" else 12345
        alone = np.concatenate([run(name, x[i : i + 1]) for i in range(count)])
        np.testing.assert_array_equal(run(name, x), alone)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sin", "erf", "pow", "lgamma"])
@pytest.mark.parametrize("kind", SHORT)
def test_vectorised(name: str, kind: str) -> None:
    if "+avx2" not in (numba.config.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten()):
        pytest.skip("no AVX2")
    text = next(iter(compiled(f"{name}_{kind}").inspect_llvm().values()))
    assert re.search(
        r"<(8|16) x float>" if kind == "f32" and name != "lgamma" else r"<(4|8|16) x (float|double)>", text
    )
    if name in ("sin", "lgamma"):
        assert re.search(rf"call <\d+ x (float|double)> @vecmath.{name}_{kind}.x\d+\(<", text), (
            "the loop calls no vector variant"
        )


def test_loops_and_tables_are_for_scalars() -> None:
    lowering = Lowering(ir, ir.IRBuilder(), lanes=8)
    x: Any = None
    with pytest.raises(TypeError, match="rare lanes"):
        lowering.entry((1.0, 2.0), x)
    with pytest.raises(TypeError, match="rare lanes"):
        lowering.repeat(x, lambda *_: None, x, x, x)


@pytest.mark.parametrize(
    "name",
    ["lgamma_f64", "digamma_f64", "exp_f32", "expit_f64", "sin_f32", "log1p_f32", "erf_f32", "atan2_f64", "pow_f32"],
)
def test_source(name: str) -> None:
    """The text stands alone, gives the same bits under numba, and float32 functions work in float32."""
    text = vecmath.source([name])
    scope: dict[str, Any] = {}
    exec(text, scope)
    function = vecmath.FUNCTIONS[name]
    jitted = loop(scope[name], function.__code__.co_argcount, SHORT[name[-3:]])
    args = samples(name[:-4], SHORT[name[-3:]], 1000)
    out = np.empty_like(args[0])
    jitted(*args, out)
    np.testing.assert_array_equal(out, run(name, *args))
    llvm = next(iter(jitted.inspect_llvm().values()))
    if name in ("exp_f32", "log1p_f32", "erf_f32"):
        assert "double" not in llvm


def test_source_holds_what_it_needs_in_order() -> None:
    text = vecmath.source(["tanh_f32", "exp_f32"])
    defined = re.findall(r"^def (\w+)", text, re.MULTILINE)
    assert defined.index("exp_reduce_f32") < defined.index("half_expm1_f32") < defined.index("tanh_f32")
    assert len(defined) == len(set(defined))
    assert not [name for name in defined if name.endswith("f64") and name not in ("f64_of_bits",)]
    assert "funcgrad" not in text


def test_no_such_function() -> None:
    with pytest.raises(KeyError, match="vecmath has no function 'sinc_f32'"):
        vecmath.source(["sinc_f32"])


@pytest.mark.parametrize("kind", SHORT)
def test_definition(kind: str) -> None:
    """One LLVM function per name, an argument per parameter; float32 stays float32 but where a docstring says otherwise."""
    for name in NAMES:
        function = vecmath.FUNCTIONS[f"{name}_{kind}"]
        module = ir.Module(name)
        defined = vecmath.define(ir, module, function)
        assert len(defined.args) == len(inspect.signature(function).parameters)
        assert vecmath.define(ir, module, function) is defined
        if kind == "f32" and name not in ("pow", "erfc", "lgamma", "digamma", "sin", "cos", "tan"):
            assert "double" not in str(module).replace("target", "")


def test_vector_variants_follow_the_width_of_registers() -> None:
    module = ir.Module("narrow")
    vecmath.define(ir, module, vecmath.FUNCTIONS["sin_f64"], vector_bits=256)
    assert [name for name in module.globals if ".x" in name] == [
        "vecmath.sin_f64.x4",
        "vecmath.sin_f64.x2",
    ]


def test_branches_are_refused() -> None:
    bent: Any = lambda x: x if x > 0 else -x
    bent.__name__ = "bent_f32"
    with pytest.raises(TypeError, match="branch-free: use select"):
        vecmath.define(ir, ir.Module("bent"), bent)


def test_mixed_kinds_are_refused() -> None:
    lowering = Lowering(ir, ir.IRBuilder())
    x = Value(lowering, ir.Constant(ir.FloatType(), 1.0), "f32")
    y = Value(lowering, ir.Constant(ir.DoubleType(), 1.0), "f64")
    with pytest.raises(TypeError, match="operands of kinds f32 and f64"):
        x + y
