"""The regularised incomplete beta function, under scipy.special.betainc and the beta distribution, with its slopes.

By x every derivative is exact; those by a and b are a row of their own, a power series differentiated term by term, whose
derivatives by a and b are not known here and raise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.ops.elementwise import exp, log, log1p, power
from funcgrad.ops.families import array
from funcgrad.ops.families import scipy_special as scipy
from funcgrad.ops.pointwise import elementwise, float_dtype
from funcgrad.ops.special import digamma, lgamma, no_rule, result_dtype, typed

_EPS = 2.0**-53


def _series_slope(a: np.ndarray, b: np.ndarray, x: np.ndarray, by_b: np.ndarray) -> np.ndarray:
    """The derivative of I_x(a, b) by a, or by b where `by_b`, for x up to about the mean.

    I = x^a (1 - x)^b / (a B(a, b)) sum_n (a + b)_n / (a + 1)_n x^n, whose terms are positive.
    """
    term, slope = np.ones_like(x), np.zeros_like(x)
    total, change = np.ones_like(x), np.zeros_like(x)
    n = 0
    while x.size:
        ratio = (a + b + n) / (a + 1 + n) * x
        rate = np.where(by_b, 1.0, (1 - b) / (a + 1 + n)) / (a + b + n)
        term, slope = term * ratio, (slope + term * rate) * ratio
        total, change = total + term, change + slope
        n += 1
        small = (
            (ratio < 1) & (term <= _EPS * total * (1 - ratio)) & (np.abs(slope) <= _EPS * np.abs(change) * (1 - ratio))
        )
        if np.all(small | (term == 0) | ~np.isfinite(change)):
            break
    front = scipy.xlogy(a, x) + scipy.xlog1py(b, -x) - scipy.betaln(a, b) - np.log(a)
    outer = np.where(by_b, np.log1p(-x) - scipy.digamma(b), np.log(x) - scipy.digamma(a + 1)) + scipy.digamma(a + b)
    return np.exp(front) * (outer * total + change)


def _slope(a: Any, b: Any, x: Any, *, argument: int) -> Any:
    dtype = result_dtype(a, b, x)
    a, b, x = np.broadcast_arrays(*[np.asarray(v, np.float64) for v in (a, b, x)])
    out = np.where((a > 0) & (b > 0) & ((x == 0) | (x == 1)), 0.0, np.nan)
    inside = (a > 0) & (b > 0) & (x > 0) & (x < 1) & np.isfinite(a) & np.isfinite(b)
    a, b, x = a[inside], b[inside], x[inside]
    # I_x(a, b) = 1 - I_(1-x)(b, a) brings x below the mean, where the series is short.
    far = x > (a + 1) / (a + b + 2)
    near_a, near_b, near_x = np.where(far, b, a), np.where(far, a, b), np.where(far, 1 - x, x)
    with np.errstate(all="ignore"):
        found = _series_slope(near_a, near_b, near_x, far ^ (argument == 1))
    out[inside] = np.where(far, -found, found)
    return out.astype(dtype)[()]


def _density(a: Any, b: Any, x: Any) -> Any:
    norm = exp(lgamma(a + b) - lgamma(a) - lgamma(b))
    return norm * power(x, a - 1.0) * power(1.0 - x, b - 1.0)


def _slope_by_x(g: Any, ans: Any, a: Any, b: Any, x: Any, *, argument: int) -> Any:
    own = log(x) - digamma(a) if argument == 0 else log1p(-x) - digamma(b)
    return g * (_density(a, b, x) * (own + digamma(a + b)))


betainc_slope: Primitive = elementwise(
    "betainc_slope",
    _slope,
    [*[no_rule("the derivative of betainc by a parameter", n) for n in ("a", "b")], _slope_by_x],
    lambda rng: [((2, 3, array(rng, (3,), 0.2, 0.8)), {"argument": i}) for i in range(2)],
    dtype=float_dtype,
)
betainc: Primitive = elementwise(
    "betainc",
    lambda a, b, x: typed(scipy.betainc(a, b, x), a, b, x),
    [
        lambda g, ans, a, b, x: g * betainc_slope(a, b, x, argument=0),
        lambda g, ans, a, b, x: g * betainc_slope(a, b, x, argument=1),
        lambda g, ans, a, b, x: g * _density(a, b, x),
    ],
    lambda rng: [((2, 3, array(rng, (3,), 0.2, 0.8)), {})],
    dtype=float_dtype,
)
