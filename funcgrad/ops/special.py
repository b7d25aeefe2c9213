"""Special functions, evaluated by SciPy (imported on first use). Float32 stays float32, integers become float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.errors import MissingRuleError
from funcgrad.ops.elementwise import exp, log, power, select, sign
from funcgrad.ops.families import array
from funcgrad.ops.families import scipy_special as scipy
from funcgrad.ops.pointwise import elementwise, float_dtype, reals

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def _special(name: str, impl: Callable[..., Any], rules: Any, samples: Any) -> Primitive:
    return elementwise(name, impl, rules, samples, dtype=float_dtype)


def _no_rule(function: str, argument: str) -> Callable[..., Any]:
    def rule(*args: Any, **params: Any) -> Any:
        raise MissingRuleError(
            f"{function} has no derivative by its argument {argument}; wrap that argument in funcgrad.stop_gradient if it is "
            "a constant, or give the function a rule with funcgrad.custom_jvp."
        )

    return rule


# ---- the error function and the normal distribution ----

erf: Primitive = _special(
    "erf", lambda x: scipy.erf(x), [lambda g, ans, x: g * (_TWO_OVER_ROOT_PI * exp(-x * x))], reals()
)
erfc: Primitive = _special(
    "erfc", lambda x: scipy.erfc(x), [lambda g, ans, x: -g * (_TWO_OVER_ROOT_PI * exp(-x * x))], reals()
)


def _erf_inv(x: Any) -> Any:
    found = scipy.erfinv(x)
    # SciPy has no float16 loop and gives float32.
    return found.astype(np.float16) if np.asarray(x).dtype == np.float16 else found


erf_inv: Primitive = _special(
    "erf_inv", _erf_inv, [lambda g, ans, x: g * (exp(ans * ans) / _TWO_OVER_ROOT_PI)], reals(-0.9, 0.9)
)
log_ndtr: Primitive = _special(
    "log_ndtr",
    lambda x: scipy.log_ndtr(x),
    # The density over the distribution, in logarithms so that far tails stay finite.
    [lambda g, ans, x: g * exp(-0.5 * (x * x) - ans - 0.5 * math.log(2 * math.pi))],
    reals(-3, 2),
)
ndtri: Primitive = _special(
    "ndtri",
    lambda x: scipy.ndtri(x),
    [lambda g, ans, x: g * (exp(0.5 * ans * ans) * math.sqrt(2 * math.pi))],
    reals(0.1, 0.9),
)
logistic: Primitive = _special("logistic", lambda x: scipy.expit(x), [lambda g, ans, x: g * (ans * (1 - ans))], reals())

# ---- the gamma function and its logarithmic derivatives ----

lgamma: Primitive = _special("lgamma", lambda x: scipy.gammaln(x), [lambda g, ans, x: g * digamma(x)], reals(0.3, 3.0))
digamma: Primitive = _special(
    "digamma", lambda x: scipy.digamma(x), [lambda g, ans, x: g * polygamma(1.0, x)], reals(0.5, 3.0)
)
polygamma: Primitive = _special(
    "polygamma",
    lambda n, x: scipy.polygamma(n, x).astype(np.result_type(n, x, np.float32), copy=False),
    [_no_rule("polygamma", "n"), lambda g, ans, n, x: g * polygamma(n + 1.0, x)],
    lambda rng: [((2, array(rng, (3,), 0.8, 3.0)), {})],
)
zeta: Primitive = _special(
    "zeta",
    lambda x, q: scipy.zeta(x, q),
    [_no_rule("zeta", "x"), lambda g, ans, x, q: -g * (x * zeta(x + 1.0, q))],
    lambda rng: [((3, array(rng, (3,), 0.8, 3.0)), {})],
)


def _gamma_density(a: Any, x: Any) -> Any:
    return exp((a - 1.0) * log(x) - x - lgamma(a))


igamma: Primitive = _special(
    "igamma",
    lambda a, x: scipy.gammainc(a, x),
    [_no_rule("igamma", "a"), lambda g, ans, a, x: g * _gamma_density(a, x)],
    lambda rng: [((2, array(rng, (3,), 0.5, 3.0)), {})],
)
igammac: Primitive = _special(
    "igammac",
    lambda a, x: scipy.gammaincc(a, x),
    [_no_rule("igammac", "a"), lambda g, ans, a, x: -g * _gamma_density(a, x)],
    lambda rng: [((2, array(rng, (3,), 0.5, 3.0)), {})],
)


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    norm = exp(lgamma(a + b) - lgamma(a) - lgamma(b))
    return norm * power(x, a - 1.0) * power(1.0 - x, b - 1.0)


betainc: Primitive = _special(
    "betainc",
    lambda a, b, x: scipy.betainc(a, b, x),
    [_no_rule("betainc", "a"), _no_rule("betainc", "b"), lambda g, ans, a, b, x: g * _beta_density(a, b, x)],
    lambda rng: [((2, 3, array(rng, (3,), 0.2, 0.8)), {})],
)

# ---- Bessel functions, scaled by exp(-|x|) ----


def _i1e_slope(g: Any, ans: Any, x: Any) -> Any:
    zero = x == 0
    return g * (
        bessel_i0e(x) - ans * (sign(x) + select(zero, 0.0, 1.0 / select(zero, 1.0, x))) - select(zero, 0.5, 0.0)
    )


bessel_i0e: Primitive = _special(
    "bessel_i0e", lambda x: scipy.i0e(x), [lambda g, ans, x: g * (bessel_i1e(x) - sign(x) * ans)], reals(0.2, 2.0)
)
bessel_i1e: Primitive = _special("bessel_i1e", lambda x: scipy.i1e(x), [_i1e_slope], reals(0.2, 2.0))

# ---- integrals ----

expi: Primitive = _special("expi", lambda x: scipy.expi(x), [lambda g, ans, x: g * (exp(x) / x)], reals(0.3, 2.0))
exp1: Primitive = _special("exp1", lambda x: scipy.exp1(x), [lambda g, ans, x: -g * (exp(-x) / x)], reals(0.3, 2.0))
dawsn: Primitive = _special("dawsn", lambda x: scipy.dawsn(x), [lambda g, ans, x: g * (1 - 2 * x * ans)], reals())
spence: Primitive = _special(
    "spence", lambda x: scipy.spence(x), [lambda g, ans, x: g * _spence_slope(x)], reals(0.2, 0.9)
)


def _spence_slope(x: Any) -> Any:
    one = x == 1
    return select(one, -1.0, log(x) / (1.0 - select(one, 0.0, x)))
