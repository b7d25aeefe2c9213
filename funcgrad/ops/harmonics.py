"""Spherical harmonics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.core.types import ArrayType
from funcgrad.ops.elementwise import exp, maximum, sqrt
from funcgrad.ops.families import array
from funcgrad.ops.families import scipy_special as scipy
from funcgrad.ops.pointwise import elementwise, float_dtype
from funcgrad.ops.special import no_rule, result_dtype


def _dtype(types: Sequence[ArrayType]) -> np.dtype:
    return np.result_type(float_dtype(types[2:]), np.complex64)


def _harmonic(n: Any, m: Any, theta: Any, phi: Any) -> Any:
    found = scipy.sph_harm_y(n, m, theta, phi)
    return np.asarray(found).astype(np.result_type(result_dtype(theta, phi), np.complex64))[()]


def _slope_by_theta(g: Any, ans: Any, n: Any, m: Any, theta: Any, phi: Any) -> Any:
    # By the raising and lowering operators, which are smooth at the poles; a factor is 0 where |m| would pass n.
    up, down = sqrt(maximum((n - m) * (n + m + 1.0), 0.0)), sqrt(maximum((n + m) * (n - m + 1.0), 0.0))
    above = up * exp(-1j * phi) * sph_harm_y(n, m + 1, theta, phi)
    below = down * exp(1j * phi) * sph_harm_y(n, m - 1, theta, phi)
    return g * (0.5 * (above - below))


sph_harm_y: Primitive = elementwise(
    "sph_harm_y",
    _harmonic,
    [
        no_rule("sph_harm_y", "n"),
        no_rule("sph_harm_y", "m"),
        _slope_by_theta,
        lambda g, ans, n, m, theta, phi: g * (1j * m * ans),
    ],
    lambda rng: [((n, m, array(rng, (3,), 0.2, 3.0), array(rng, (3,), 0.2, 6.0)), {}) for n, m in ((2, 1), (3, -3))],
    dtype=_dtype,
)
"""Of degree n and order m at polar angle theta and azimuth phi; complex."""
