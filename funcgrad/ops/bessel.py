"""Bessel functions: modified ones of orders 0 and 1, each in the other's derivative, and those of the first kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.ops.elementwise import maximum, sign
from funcgrad.ops.families import array, scipy_special
from funcgrad.ops.pointwise import elementwise, float_dtype, reals
from funcgrad.ops.special import no_rule, result_dtype, typed

# ---- modified, of the first kind; and scaled by exp(-|x|) ----
# Slopes are sums of neighbouring orders: nothing is divided by x, so every order of derivative is right at 0 too.

_ORDERS: Callable[..., Any] = lambda rng: [((2, array(rng, (3,), 0.2, 3.0)), {})]  # noqa: E731


def _of_order(name: str, impl: Callable[..., Any], rule: Callable[..., Any]) -> Primitive:
    return elementwise(name, impl, [no_rule(name, "n"), rule], _ORDERS, dtype=float_dtype)


bessel_i: Primitive = _of_order(
    "bessel_i",
    lambda n, x: typed(scipy_special.iv(n, x), n, x),
    lambda g, ans, n, x: g * (0.5 * (bessel_i(n - 1.0, x) + bessel_i(n + 1.0, x))),
)
bessel_ie: Primitive = _of_order(
    "bessel_ie",
    lambda n, x: typed(scipy_special.ive(n, x), n, x),
    lambda g, ans, n, x: g * (0.5 * (bessel_ie(n - 1.0, x) + bessel_ie(n + 1.0, x)) - sign(x) * ans),
)
bessel_i0: Primitive = elementwise(
    "bessel_i0",
    lambda x: typed(scipy_special.i0(x), x),
    [lambda g, ans, x: g * bessel_i1(x)],
    reals(0.2, 2.0),
    dtype=float_dtype,
)
bessel_i1: Primitive = elementwise(
    "bessel_i1",
    lambda x: typed(scipy_special.i1(x), x),
    [lambda g, ans, x: g * (0.5 * (bessel_i0(x) + bessel_i(2.0, x)))],
    reals(-1.0, 2.0),
    dtype=float_dtype,
)
bessel_i0e: Primitive = elementwise(
    "bessel_i0e",
    lambda x: typed(scipy_special.i0e(x), x),
    [lambda g, ans, x: g * (bessel_i1e(x) - sign(x) * ans)],
    reals(0.2, 2.0),
    dtype=float_dtype,
)
bessel_i1e: Primitive = elementwise(
    "bessel_i1e",
    lambda x: typed(scipy_special.i1e(x), x),
    [lambda g, ans, x: g * (0.5 * (bessel_i0e(x) + bessel_ie(2.0, x)) - sign(x) * ans)],
    reals(0.2, 2.0),
    dtype=float_dtype,
)

# ---- of the first kind: orders are constants ----

bessel_j: Primitive = elementwise(
    "bessel_j",
    lambda n, x: typed(scipy_special.jv(n, x), n, x),
    [no_rule("bessel_j", "n"), lambda g, ans, n, x: g * (0.5 * (bessel_j(n - 1.0, x) - bessel_j(n + 1.0, x)))],
    lambda rng: [((n, array(rng, (3,), 0.2, 3.0)), {}) for n in (0, 2)],
    dtype=float_dtype,
)


def _spherical_j(n: Any, x: Any) -> Any:
    found = scipy_special.spherical_jn(n, np.asarray(x, np.float64))
    return np.asarray(found).astype(result_dtype(n, x))[()]


def _spherical_slope(g: Any, ans: Any, n: Any, x: Any) -> Any:
    # (n j_{n-1} - (n + 1) j_{n+1}) / (2n + 1), which nothing divides by x in.
    below, above = spherical_j(maximum(n - 1, 0), x), spherical_j(n + 1, x)
    return g * ((n * below - (n + 1) * above) / (2 * n + 1))


spherical_j: Primitive = elementwise(
    "spherical_j",
    _spherical_j,
    [no_rule("spherical_j", "n"), _spherical_slope],
    lambda rng: [((n, array(rng, (3,), -2.0, 3.0)), {}) for n in (0, 1)],
    dtype=float_dtype,
)
"""Spherical Bessel functions; of order 0 it is sin(x) / x, here for derivatives of every order at 0."""
