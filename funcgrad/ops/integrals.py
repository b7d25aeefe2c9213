"""Special functions that are integrals: exponential, sine, cosine and Fresnel integrals, Owen's T, Faddeeva's w.

Each derivative is elementary or made of the function itself, so every order is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.types import ArrayType
from funcgrad.ops.bessel import spherical_j
from funcgrad.ops.elementwise import cos, exp, maximum, select, sin
from funcgrad.ops.families import array
from funcgrad.ops.families import scipy_special as scipy
from funcgrad.ops.pointwise import elementwise, float_dtype, reals
from funcgrad.ops.special import erf, no_rule, typed

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)

erfcx: Primitive = elementwise(
    "erfcx",
    lambda x: typed(scipy.erfcx(x), x),
    [lambda g, ans, x: g * (2.0 * x * ans - _TWO_OVER_ROOT_PI)],
    reals(),
    dtype=float_dtype,
)
"""exp(x ** 2) * erfc(x)."""


def _complex_dtype(types: Sequence[ArrayType]) -> np.dtype:
    return np.result_type(float_dtype(types), np.complex64)


wofz: Primitive = elementwise(
    "wofz",
    lambda z: typed(scipy.wofz(z), z + 0j),
    [lambda g, ans, z: g * (-2.0 * z * ans + 1j * _TWO_OVER_ROOT_PI)],
    reals(cplx=True),
    dtype=_complex_dtype,
)


def _expn_slope(g: Any, ans: Any, n: Any, x: Any) -> Any:
    # The slope is -E_{n-1}; E_{-1} = (exp(-x) + E_0) / x, which SciPy does not evaluate.
    return -g * select(n == 0, (exp(-x) + ans) / x, expn(maximum(n - 1.0, 0.0), x))


expn: Primitive = elementwise(
    "expn",
    lambda n, x: typed(scipy.expn(n, x), n, x),
    [no_rule("expn", "n"), _expn_slope],
    lambda rng: [((n, array(rng, (3,), 0.4, 3.0)), {}) for n in (0, 1, 3)],
    dtype=float_dtype,
)
sine_integral: Primitive = elementwise(
    "sine_integral",
    lambda x: typed(scipy.sici(x)[0], x),
    [lambda g, ans, x: g * spherical_j(0, x)],
    reals(0.2, 3.0),
    dtype=float_dtype,
)
cosine_integral: Primitive = elementwise(
    "cosine_integral",
    lambda x: typed(scipy.sici(x)[1], x),
    [lambda g, ans, x: g * (cos(x) / x)],
    reals(0.2, 3.0),
    dtype=float_dtype,
)


fresnel_sine: Primitive = elementwise(
    "fresnel_sine",
    lambda x: typed(scipy.fresnel(x)[0], x),
    [lambda g, ans, x: g * sin((0.5 * math.pi) * (x * x))],
    reals(),
    dtype=float_dtype,
)
fresnel_cosine: Primitive = elementwise(
    "fresnel_cosine",
    lambda x: typed(scipy.fresnel(x)[1], x),
    [lambda g, ans, x: g * cos((0.5 * math.pi) * (x * x))],
    reals(),
    dtype=float_dtype,
)
owens_t: Primitive = elementwise(
    "owens_t",
    lambda h, a: typed(scipy.owens_t(h, a), h, a),
    [
        lambda g, ans, h, a: -g * (erf(a * h * math.sqrt(0.5)) * exp(-0.5 * (h * h)) / math.sqrt(8 * math.pi)),
        lambda g, ans, h, a: g * (exp(-0.5 * (h * h) * (1.0 + a * a)) / ((2 * math.pi) * (1.0 + a * a))),
    ],
    reals(n=2),
    dtype=float_dtype,
)
