"""lgamma and digamma of compile/vecmath at negative arguments, where they pass through zero between their poles."""

import functools
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from test_vecmath import SHORT, in_python, run

RANGES = [(0, 3), (3, 8), (8, 25), (25, 100), (100, 1e3), (1e3, 1e6), (1e6, 1e12), (1e12, 2.0**52)]


def reflected(name: str, x: float) -> Any:
    """The exact value at a negative number, by reflection: mpmath's own digamma takes no care of cancellation."""
    with mpmath.workdps(75):
        v = mpmath.mpf(x)
        angle = mpmath.pi * (v - mpmath.nint(v))
        if name == "digamma":
            return mpmath.digamma(1 - v) - mpmath.pi * mpmath.cot(angle)
        return mpmath.log(mpmath.pi / abs(mpmath.sin(angle))) - mpmath.loggamma(1 - v)


def zero(name: str, n: int, side: int) -> float:
    """The float next to the zero of digamma between -n and -n - 1, or to lgamma's on a side of -n, n > 2."""
    with mpmath.workdps(40):
        if name == "digamma":
            x = -n - mpmath.mpf(1) / 2
            for _ in range(30):  # a fixed point: digamma(1 - x) hardly changes with x
                x = -n - 1 + mpmath.acot(mpmath.digamma(1 - x) / mpmath.pi) / mpmath.pi
            return float(x)
        guess = {(3, 1): -2.7476826, (3, -1): -3.1435809, (4, 1): -3.9552943, (4, -1): -4.0393618}.get((n, side))
        guess = -n + side / mpmath.factorial(n) if guess is None else mpmath.mpf(guess)
        return float(mpmath.findroot(lambda x: mpmath.log(abs(mpmath.gamma(x))), (guess, guess * (1 + 1e-9))))


def next_floats(x: float, count: int) -> list[float]:
    """A float and `count` more on each side."""
    return [x + i * float(np.spacing(x)) for i in range(-count, count + 1)]


def arguments(name: str) -> np.ndarray:
    """Random numbers, half-integers, numbers next to poles, and the floats around zeros, the very next ones included."""
    rng = np.random.default_rng(0)
    found: list[float] = []
    for low, high in RANGES:
        found += [*-rng.uniform(low, high, 100), *-np.exp(rng.uniform(np.log(low + 1e-3), np.log(high), 100))]
        n = np.round(np.exp(rng.uniform(np.log(low + 1), np.log(high), 60)))
        found += [*-n[:20] - 0.5, *-n - rng.choice([-1, 1], 60) * 2.0 ** -rng.uniform(1, 46, 60)]
    if name == "digamma":
        zeros = [zero(name, n, 0) for n in (*range(40), *np.exp(rng.uniform(4, 30, 80)).astype(int).tolist())]
        zeros += [-87.80536027839507, -2740721.9335241946]  # floats very near to a zero
    else:
        zeros = [-2.4570247382208006, *(zero(name, n, side) for n in range(3, 17) for side in (1, -1))]
    for x in zeros:
        found += [*next_floats(x, 3), *(x + side * far for far in (1e-13, 1e-10, 1e-6, 1e-3) for side in (1, -1))]
    return np.array(found)


@functools.cache
def expected(name: str, kind: str) -> tuple[np.ndarray, list[Any]]:
    """Arguments and the exact values."""
    x = arguments(name).astype(SHORT[kind])
    x = x[(x < 0) & (x != np.round(x))]
    return x, [reflected(name, float(v)) for v in x]


@pytest.mark.parametrize("way", [run, in_python])
@pytest.mark.parametrize("kind", SHORT)
@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_negative_arguments(name: str, kind: str, way: Callable[..., np.ndarray]) -> None:
    """Right in relation to the value however small that is: the error is 2 ulp, 4 next to zeros; of float32 half an ulp."""
    x, values = expected(name, kind)
    for argument, result, exact in zip(x, way(f"{name}_{kind}", x), values, strict=True):
        error = abs(mpmath.mpf(float(result)) - exact)
        ulp = error / mpmath.mpf(float(np.spacing(abs(SHORT[kind](float(exact))))))
        bound = 0.501 if kind == "f32" else 2 if abs(exact) > 1e-3 else 4
        assert ulp <= bound, f"{name}({argument!r}) is {result!r}, off by {float(ulp):.2f} ulp"


@pytest.mark.parametrize("kind", SHORT)
@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_negative_vectors(name: str, kind: str) -> None:
    """Lanes of a vector get what a scalar gets, and NumPy the same but for fused multiply-adds."""
    x, _ = expected(name, kind)
    together = run(f"{name}_{kind}", x)
    alone = np.concatenate([run(f"{name}_{kind}", x[i : i + 1]) for i in range(0, x.size, 7)])
    np.testing.assert_array_equal(together[::7], alone)
    plain = in_python(f"{name}_{kind}", x)
    one_by_one = [in_python(f"{name}_{kind}", v) for v in x[::7]]
    np.testing.assert_array_equal(plain[::7], one_by_one)


@pytest.mark.parametrize("way", [run, in_python])
@pytest.mark.parametrize("kind", SHORT)
def test_negative_special_values(kind: str, way: Callable[..., np.ndarray]) -> None:
    """Poles, where every number is an integer, and numbers so small that 1 / x overflows."""
    x = np.array([-1, -2, -(2.0**22), -(2.0**23), -(2.0**52), -(2.0**52) - 2, -1e30, -np.inf], SHORT[kind])
    assert np.isnan(way(f"digamma_{kind}", x)).all()
    assert np.isposinf(way(f"lgamma_{kind}", x)).all()
    limits = np.finfo(SHORT[kind])
    tiny = -np.array([0.0, limits.smallest_subnormal, limits.tiny / 8], SHORT[kind])
    assert np.isposinf(way(f"digamma_{kind}", tiny)).all()
    np.testing.assert_allclose(way(f"digamma_{kind}", -limits.tiny * SHORT[kind]([2, 64])), 1 / limits.tiny / [2, 64])
