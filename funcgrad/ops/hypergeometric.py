"""The hypergeometric functions 1F1 and 2F1, with their slopes by every argument.

Derivatives by the argument x shift the parameters by one, so all their orders are exact. The slopes by a parameter are rows
of their own, power series differentiated term by term; those by two parameters are not known here and raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.ops.elementwise import log, select
from funcgrad.ops.families import array
from funcgrad.ops.families import scipy_special as scipy
from funcgrad.ops.pointwise import elementwise, float_dtype, reals
from funcgrad.ops.special import no_rule, result_dtype, typed

_EPS = 2.0**-53
_LONGEST = 200_000


def _series(tops: Sequence[np.ndarray], bottoms: Sequence[np.ndarray], x: np.ndarray, which: int) -> np.ndarray:
    """The derivative of sum_n prod (top)_n / prod (bottom)_n x^n / n! by the parameter number `which`.

    Terms and their slopes follow the same recurrence, which has no division by a parameter that may be 0.
    """
    term, slope, total = np.ones_like(x), np.zeros_like(x), np.zeros_like(x)
    for n in range(_LONGEST):
        factors = [t + n for t in tops]
        below = np.prod([b + n for b in bottoms], axis=0) * (n + 1)
        ratio = np.prod(factors, axis=0) / below * x
        if which < len(tops):
            change = np.prod([f for i, f in enumerate(factors) if i != which], axis=0) / below * x
        else:
            change = -ratio / (bottoms[which - len(tops)] + n)
        slope = slope * ratio + term * change
        term = term * ratio
        total = total + slope
        small = (np.abs(slope) <= _EPS * np.abs(total)) & (np.abs(ratio) < 1)
        if np.all(small | (slope == 0) & (term == 0) | ~np.isfinite(total) | (x == 0)):
            return total
    return np.where(small, total, np.nan)


def _arrays(*args: Any) -> tuple[list[np.ndarray], np.dtype]:
    dtype = result_dtype(*args)
    return list(np.broadcast_arrays(*[np.asarray(a, np.float64) for a in args])), dtype


def _confluent_slope(a: Any, b: Any, x: Any, *, argument: int) -> Any:
    (a, b, x), dtype = _arrays(a, b, x)
    with np.errstate(all="ignore"):
        right = np.where(x >= 0, x, 0.0)
        positive = _series((a,), (b,), right, argument)
        # Kummer: 1F1(a; b; x) = e^x 1F1(b - a; b; -x), whose terms do not alternate.
        left = np.where(x < 0, -x, 0.0)
        by_a = _series((b - a,), (b,), left, 0)
        negative = np.exp(-left) * (-by_a if argument == 0 else by_a + _series((b - a,), (b,), left, 1))
    return np.where(np.isnan(x), np.nan, np.where(x >= 0, positive, negative)).astype(dtype)[()]


def _gauss_slope(a: Any, b: Any, c: Any, x: Any, *, argument: int) -> Any:
    (a, b, c, x), dtype = _arrays(a, b, c, x)
    with np.errstate(all="ignore"):
        right = np.where((x >= 0) & (x < 1), x, 0.0)
        positive = _series((a, b), (c,), right, argument)
        # Pfaff: 2F1(a, b; c; x) = (1 - x)^-a 2F1(a, c - b; c; x / (x - 1)), which brings x < 0 into [0, 1).
        left = np.where(x < 0, x, 0.0)
        z, scale = left / (left - 1), (1 - left) ** -a
        parts = {i: _series((a, c - b), (c,), z, i) for i in ((0,), (1,), (1, 2))[argument]}
        if argument == 0:
            negative = scale * (parts[0] - np.log1p(-left) * scipy.hyp2f1(a, c - b, c, z))
        else:
            negative = scale * (-parts[1] if argument == 1 else parts[1] + parts[2])
    found = np.where(x >= 0, positive, negative)
    return np.where((x < 1) & ~np.isnan(x), found, np.nan).astype(dtype)[()]


def _no_second(function: str, names: Sequence[str]) -> list[Callable[..., Any]]:
    return [no_rule(f"the derivative of {function} by a parameter", n) for n in names]


def _confluent_slope_by_x(g: Any, ans: Any, a: Any, b: Any, x: Any, *, argument: int) -> Any:
    shifted = hyp1f1(a + 1.0, b + 1.0, x)
    outer = shifted / b if argument == 0 else -a * shifted / (b * b)
    return g * (outer + a / b * hyp1f1_slope(a + 1.0, b + 1.0, x, argument=argument))


hyp1f1_slope: Primitive = elementwise(
    "hyp1f1_slope",
    _confluent_slope,
    [*_no_second("hyp1f1", ("a", "b")), _confluent_slope_by_x],
    lambda rng: [((1, 3, array(rng, (3,), -2.0, 2.0)), {"argument": i}) for i in range(2)],
    dtype=float_dtype,
)
hyp1f1: Primitive = elementwise(
    "hyp1f1",
    lambda a, b, x: typed(scipy.hyp1f1(a, b, x), a, b, x),
    [
        lambda g, ans, a, b, x: g * hyp1f1_slope(a, b, x, argument=0),
        lambda g, ans, a, b, x: g * hyp1f1_slope(a, b, x, argument=1),
        lambda g, ans, a, b, x: g * (a / b * hyp1f1(a + 1.0, b + 1.0, x)),
    ],
    lambda rng: [((1, 3, array(rng, (3,), -2.0, 2.0)), {})],
    dtype=float_dtype,
)


def _gauss_slope_by_x(g: Any, ans: Any, a: Any, b: Any, c: Any, x: Any, *, argument: int) -> Any:
    shifted = hyp2f1(a + 1.0, b + 1.0, c + 1.0, x)
    outer = (b / c, a / c, -a * b / (c * c))[argument] * shifted
    return g * (outer + a * b / c * hyp2f1_slope(a + 1.0, b + 1.0, c + 1.0, x, argument=argument))


hyp2f1_slope: Primitive = elementwise(
    "hyp2f1_slope",
    _gauss_slope,
    [*_no_second("hyp2f1", ("a", "b", "c")), _gauss_slope_by_x],
    lambda rng: [((1, 2, 4, array(rng, (3,), -2.0, 0.8)), {"argument": i}) for i in range(3)],
    dtype=float_dtype,
)
hyp2f1: Primitive = elementwise(
    "hyp2f1",
    lambda a, b, c, x: typed(scipy.hyp2f1(a, b, c, x), a, b, c, x),
    [
        lambda g, ans, a, b, c, x: g * hyp2f1_slope(a, b, c, x, argument=0),
        lambda g, ans, a, b, c, x: g * hyp2f1_slope(a, b, c, x, argument=1),
        lambda g, ans, a, b, c, x: g * hyp2f1_slope(a, b, c, x, argument=2),
        lambda g, ans, a, b, c, x: g * (a * b / c * hyp2f1(a + 1.0, b + 1.0, c + 1.0, x)),
    ],
    lambda rng: [((1, 2, 4, array(rng, (3,), -2.0, 0.8)), {})],
    dtype=float_dtype,
)

# ---- what they make exact near a point where a quotient becomes 0 / 0 ----

exprel: Primitive = elementwise(
    "exprel",
    lambda x: typed(scipy.exprel(x), x),
    [lambda g, ans, x: g * (0.5 * hyp1f1(2.0, 3.0, x))],
    reals(),
    dtype=float_dtype,
)
"""(exp(x) - 1) / x, which is 1F1(1; 2; x)."""


def _spence_slope(x: Any) -> Any:
    # log(x) / (1 - x) is -2F1(1, 1; 2; 1 - x), taken near 1.
    near = (x > 0.5) & (x < 1.5)
    return select(near, -hyp2f1(1.0, 1.0, 2.0, select(near, 1.0 - x, 0.0)), log(x) / select(near, 1.0, 1.0 - x))


spence: Primitive = elementwise(
    "spence",
    lambda x: typed(scipy.spence(x), x),
    [lambda g, ans, x: g * _spence_slope(x)],
    reals(0.2, 1.8),
    dtype=float_dtype,
)
