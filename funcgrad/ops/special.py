"""Special functions, evaluated by SciPy (imported on first use). Float32 stays float32, integers become float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.lowering import Pointwise
from funcgrad.core.primitive import Primitive
from funcgrad.errors import MissingRuleError
from funcgrad.ops.elementwise import exp, log
from funcgrad.ops.families import array
from funcgrad.ops.families import scipy_special as scipy
from funcgrad.ops.pointwise import elementwise, float_dtype, reals
from funcgrad.ops.samplers import loggamma_grad

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def _special(
    name: str, impl: Callable[..., Any], rules: Any, samples: Any, kernel: Pointwise | None = None
) -> Primitive:
    return elementwise(name, impl, rules, samples, dtype=float_dtype, kernel=kernel)


def result_dtype(*args: Any) -> np.dtype:
    """What `float_dtype` says of these values, in NumPy alone so that an evaluation can be printed with it."""
    strong = [a for a in args if type(a) not in (bool, int, float, complex)]
    found = np.result_type(*(strong or args))
    return found if found.kind in "fc" else np.dtype(np.float64)


def typed(found: Any, *args: Any) -> Any:
    """A result of SciPy in the dtype of its arguments: SciPy widens float16, and float32 next to a Python number."""
    dtype = result_dtype(*args)
    return found if found.dtype == dtype else found.astype(dtype)


def no_rule(function: str, argument: str) -> Callable[..., Any]:
    """The rule of an argument whose derivative is not known: a MissingRuleError, never a silent zero."""

    def rule(*args: Any, **params: Any) -> Any:
        raise MissingRuleError(
            f"{function} has no derivative by its argument {argument}; wrap that argument in funcgrad.stop_gradient if "
            "it is a constant, or give the function a rule with funcgrad.custom_jvp."
        )

    return rule


# ---- the error function and the normal distribution ----

erf: Primitive = _special(
    "erf",
    lambda x: typed(scipy.erf(x), x),
    [lambda g, ans, x: g * (_TWO_OVER_ROOT_PI * exp(-x * x))],
    reals(),
    kernel=Pointwise("{erf}({0})", cost=20),
)
erfc: Primitive = _special(
    "erfc",
    lambda x: typed(scipy.erfc(x), x),
    [lambda g, ans, x: -g * (_TWO_OVER_ROOT_PI * exp(-x * x))],
    reals(),
    kernel=Pointwise("{erfc}({0})", cost=20),
)


erf_inv: Primitive = _special(
    "erf_inv",
    lambda x: typed(scipy.erfinv(x), x),
    [lambda g, ans, x: g * (exp(ans * ans) / _TWO_OVER_ROOT_PI)],
    reals(-0.9, 0.9),
    kernel=Pointwise("{erfinv}({0})", cost=25),
)
log_ndtr: Primitive = _special(
    "log_ndtr",
    lambda x: typed(scipy.log_ndtr(x), x),
    # The density over the distribution, in logarithms so that far tails stay finite.
    [lambda g, ans, x: g * exp(-0.5 * (x * x) - ans - 0.5 * math.log(2 * math.pi))],
    reals(-3, 2),
)
ndtri: Primitive = _special(
    "ndtri",
    lambda x: typed(scipy.ndtri(x), x),
    [lambda g, ans, x: g * (exp(0.5 * ans * ans) * math.sqrt(2 * math.pi))],
    reals(0.1, 0.9),
)
logistic: Primitive = _special(
    "logistic",
    lambda x: typed(scipy.expit(x), x),
    [lambda g, ans, x: g * (ans * (1 - ans))],
    reals(),
    kernel=Pointwise("{expit}({0})", cost=15),
)

# ---- the gamma function and its logarithmic derivatives ----

lgamma: Primitive = _special(
    "lgamma",
    lambda x: typed(scipy.gammaln(x), x),
    [lambda g, ans, x: g * digamma(x)],
    reals(0.3, 3.0),
    kernel=Pointwise("{lgamma}({0})", cost=30),
)
digamma: Primitive = _special(
    "digamma",
    lambda x: typed(scipy.digamma(x), x),
    [lambda g, ans, x: g * polygamma(1.0, x)],
    reals(0.5, 3.0),
    kernel=Pointwise("{digamma}({0})", cost=30),
)
polygamma: Primitive = _special(
    "polygamma",
    lambda n, x: typed(scipy.polygamma(n, x), n, x),
    [no_rule("polygamma", "n"), lambda g, ans, n, x: g * polygamma(n + 1.0, x)],
    lambda rng: [((2, array(rng, (3,), 0.8, 3.0)), {})],
)
_DIRECT = 12
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
"""B_2, B_4, ...: with so many terms of each kind the Euler-Maclaurin sum is exact to rounding."""


def _zeta_grad(x: Any, q: Any) -> Any:
    """The derivative of the Euler-Maclaurin sum of zeta(x, q) by x, term by term."""
    dtype = result_dtype(x, q)
    s, q = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(q, np.float64))
    with np.errstate(all="ignore"):
        logs = np.log(q[..., None] + np.arange(_DIRECT))
        total = -np.sum(logs * np.exp(-s[..., None] * logs), axis=-1)
        end = q + _DIRECT
        log_end, power_end = np.log(end), end**-s
        total -= power_end * (end / (s - 1) * (log_end + 1 / (s - 1)) + 0.5 * log_end)
        rising, slope = s / end, 1 / end
        for j, b in enumerate(_BERNOULLI, 1):
            # rising is s (s+1) ... (s+2j-2) / end^(2j-1), slope its derivative by s.
            total += b / math.factorial(2 * j) * power_end * (slope - log_end * rising)
            for i in (2 * j - 1, 2 * j):
                rising, slope = rising * (s + i) / end, (slope * (s + i) + rising) / end
    return np.where((s > 1) & (q > 0), total, np.nan).astype(dtype)[()]


zeta_grad: Primitive = _special(
    "zeta_grad",
    _zeta_grad,
    [no_rule("zeta_grad", "x"), lambda g, ans, x, q: -g * (zeta(x + 1.0, q) + x * zeta_grad(x + 1.0, q))],
    lambda rng: [((3, array(rng, (3,), 0.8, 3.0)), {})],
)
zeta: Primitive = _special(
    "zeta",
    lambda x, q: typed(scipy.zeta(x, q), x, q),
    [lambda g, ans, x, q: g * zeta_grad(x, q), lambda g, ans, x, q: -g * (x * zeta(x + 1.0, q))],
    lambda rng: [((3, array(rng, (3,), 0.8, 3.0)), {})],
)


def _gamma_density(a: Any, x: Any) -> Any:
    return exp((a - 1.0) * log(x) - x - lgamma(a))


def _igamma_grad_a(a: Any, x: Any) -> Any:
    dtype = result_dtype(a, x)
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        level = np.log(x)
        slope = -np.exp(a * level - x - scipy.gammaln(a)) * loggamma_grad(a, level)
    # At both ends the distribution function is 0 or 1 whatever a is.
    return np.where((x == 0) | (x == np.inf), 0.0, slope).astype(dtype)[()]


igamma_grad_a: Primitive = _special(
    "igamma_grad_a",
    _igamma_grad_a,
    [no_rule("igamma_grad_a", "a"), lambda g, ans, a, x: g * (_gamma_density(a, x) * (log(x) - digamma(a)))],
    lambda rng: [((2, array(rng, (3,), 0.5, 3.0)), {})],
)
igamma: Primitive = _special(
    "igamma",
    lambda a, x: typed(scipy.gammainc(a, x), a, x),
    [lambda g, ans, a, x: g * igamma_grad_a(a, x), lambda g, ans, a, x: g * _gamma_density(a, x)],
    lambda rng: [((2, array(rng, (3,), 0.5, 3.0)), {})],
)
igammac: Primitive = _special(
    "igammac",
    lambda a, x: typed(scipy.gammaincc(a, x), a, x),
    [lambda g, ans, a, x: -g * igamma_grad_a(a, x), lambda g, ans, a, x: -g * _gamma_density(a, x)],
    lambda rng: [((2, array(rng, (3,), 0.5, 3.0)), {})],
)

# ---- integrals ----

expi: Primitive = _special(
    "expi", lambda x: typed(scipy.expi(x), x), [lambda g, ans, x: g * (exp(x) / x)], reals(0.3, 2.0)
)
exp1: Primitive = _special(
    "exp1", lambda x: typed(scipy.exp1(x), x), [lambda g, ans, x: -g * (exp(-x) / x)], reals(0.3, 2.0)
)
dawsn: Primitive = _special(
    "dawsn", lambda x: typed(scipy.dawsn(x), x), [lambda g, ans, x: g * (1 - 2 * x * ans)], reals()
)
