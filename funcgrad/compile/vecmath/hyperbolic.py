"""tanh, sinh, cosh.

Method: a minimax polynomial of our own near 0, elsewhere the exponential it is made of.
"""

from typing import Any

from funcgrad.compile.vecmath.exponentials import (
    clip_f32,
    clip_f64,
    exp_reduce_f32,
    exp_reduce_f64,
    half_expm1_f32,
    half_expm1_f64,
    scale_f32,
    scale_f64,
)
from funcgrad.compile.vecmath.helpers import copysign, f32, poly, select


def tanh_f32(x: Any) -> Any:
    """The hyperbolic tangent: from 0.55 on as 1 - 1 / (E + 1) with E = (e^2|x| - 1) / 2."""
    a = abs(x)
    z = x * x
    near = a + a * z * poly(z, (-0.3333332, 0.13332623, -0.053851422, 0.021054784, -0.006237323))
    far = f32(1.0) - f32(1.0) / (half_expm1_f32(clip_f32(a + a, f32(0.0), f32(30.0))) + f32(1.0))
    return copysign(select(a < f32(0.55), near, far), x)


def tanh_f64(x: Any) -> Any:
    """The hyperbolic tangent: from 0.55 on as 1 - 1 / (E + 1) with E = (e^2|x| - 1) / 2."""
    a = abs(x)
    z = x * x
    p = poly(
        z,
        (
            *(-0.3333333333333333, 0.13333333333333172, -0.05396825396809942, 0.021869488529291194),
            *(-0.008863235358034731, 0.0035921253581971653, -0.0014558069170763134, 0.0005898364014906621),
            *(-0.00023821860336109294, 9.396269351125295e-05, -3.294349357172161e-05, 7.427934479056248e-06),
        ),
    )
    far = 1.0 - 1.0 / (half_expm1_f64(clip_f64(a + a, 0.0, 60.0)) + 1.0)
    return copysign(select(a < 0.55, a + a * z * p, far), x)


def half_exp_f32(x: Any) -> Any:
    """e^x / 2, which overflows later than e^x; 0 <= x."""
    k, r, t = exp_reduce_f32(clip_f32(x, f32(0.0), f32(90.0)), f32(0.0))
    return scale_f32(f32(1.0) + (r + t), k - 1)


def half_exp_f64(x: Any) -> Any:
    """e^x / 2, which overflows later than e^x; 0 <= x."""
    k, r, t = exp_reduce_f64(clip_f64(x, 0.0, 711.0), 0.0)
    return scale_f64(1.0 + (r + t), k - 1)


def sinh_f32(x: Any) -> Any:
    """The hyperbolic sine: from 1 on as h - 1 / (4 h) with h = e^|x| / 2."""
    a = abs(x)
    z = x * x
    near = a + a * z * poly(z, (0.16666667, 0.0083333505, 0.00019835871, 2.819029e-06))
    h = half_exp_f32(a)
    return copysign(select(a < f32(1.0), near, h - f32(0.25) / h), x)


def sinh_f64(x: Any) -> Any:
    """The hyperbolic sine: from 1 on as h - 1 / (4 h) with h = e^|x| / 2."""
    a = abs(x)
    z = x * x
    p = poly(
        z,
        (
            *(0.16666666666666669, 0.008333333333333174, 0.00019841269841425354, 2.7557319156695965e-06),
            *(2.505212347735949e-08, 1.605721707649232e-10, 7.76041161737924e-13),
        ),
    )
    h = half_exp_f64(a)
    return copysign(select(a < 1.0, a + a * z * p, h - 0.25 / h), x)


def cosh_f32(x: Any) -> Any:
    """The hyperbolic cosine as h + 1 / (4 h) with h = e^|x| / 2."""
    h = half_exp_f32(abs(x))
    return h + f32(0.25) / h


def cosh_f64(x: Any) -> Any:
    """The hyperbolic cosine as h + 1 / (4 h) with h = e^|x| / 2."""
    h = half_exp_f64(abs(x))
    return h + 0.25 / h
