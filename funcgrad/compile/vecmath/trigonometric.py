"""sin, cos, tan.

Method: x = n pi/2 + r by Cody and Waite with pi/2 in four parts (the products by n are exact), r kept as a sum of two
floats, minimax polynomials of our own on |r| <= pi/4. Beyond the range where the products are exact the few lanes that need it
go to libm, which reduces by hundreds of bits of 2/pi (Payne and Hanek).
"""

from typing import Any

from funcgrad.compile.vecmath.helpers import (
    bits,
    f32,
    f32_of_bits,
    f64_of_bits,
    libm_cos,
    libm_sin,
    libm_tan,
    poly,
    rarely,
    select,
)


def quarter_turns_f32(x: Any) -> Any:
    """(n, r, low) with x = n pi/2 + r + low, the low bits of n in an integer; |x| <= 10000."""
    t = x * f32(0.63661975) + f32(12582912.0)
    n = t - f32(12582912.0)
    a = (x - n * f32(1.5703125)) - n * f32(0.0004837513)
    b = a - n * f32(7.5495336e-08)
    c = ((a - b) - n * f32(7.5495336e-08)) - n * f32(2.563344e-12)
    r = b + c
    return bits(t), r, (b - r) + c


def quarter_turns_f64(x: Any) -> Any:
    """(n, r, low) with x = n pi/2 + r + low, the low bits of n in an integer; |x| <= 1e6."""
    t = x * 0.6366197723675814 + 6755399441055744.0
    n = t - 6755399441055744.0
    a = x - n * 1.5707963267341256
    b = a - n * 6.077100506303966e-11
    c = ((a - b) - n * 6.077100506303966e-11) - (n * 2.0222662487111665e-21 + n * 8.4784276603689e-32)
    r = b + c
    return bits(t), r, (b - r) + c


def sin_cos_f32(r: Any, low: Any) -> Any:
    """(sin, cos) of r + low for |r| <= pi/4."""
    z = r * r
    s = r + (low + r * z * poly(z, (-0.16666655, 0.008332096, -0.00019503293)))
    h = f32(0.5) * z
    w = f32(1.0) - h
    c = w + (((f32(1.0) - w) - h) + (z * z * poly(z, (0.041666653, -0.0013887649, 2.4463166e-05)) - r * low))
    return s, c


def sin_cos_f64(r: Any, low: Any) -> Any:
    """(sin, cos) of r + low for |r| <= pi/4."""
    z = r * r
    p = poly(
        z,
        (
            *(-0.1666666666666664, 0.008333333333323575, -0.00019841269830064246),
            *(2.755731362178841e-06, -2.505072963790925e-08, 1.5894416281620768e-10),
        ),
    )
    q = poly(
        z,
        (
            *(0.04166666666666665, -0.0013888888888882785, 2.480158729457786e-05),
            *(-2.7557315719803195e-07, 2.087589465220161e-09, -1.136779774695483e-11),
        ),
    )
    h = 0.5 * z
    w = 1.0 - h
    return r + (low + r * z * p), w + (((1.0 - w) - h) + (z * z * q - r * low))


def sin_f32(x: Any) -> Any:
    """The sine of an angle in radians."""
    n, r, low = quarter_turns_f32(x)
    s, c = sin_cos_f32(r, low)
    y = f32_of_bits(bits(select((n & 1) == 0, s, c)) ^ ((n & 2) << 30))
    return rarely(abs(x) > f32(10000.0), libm_sin, x, select(x == f32(0.0), x, y))


def sin_f64(x: Any) -> Any:
    """The sine of an angle in radians."""
    n, r, low = quarter_turns_f64(x)
    s, c = sin_cos_f64(r, low)
    y = f64_of_bits(bits(select((n & 1) == 0, s, c)) ^ ((n & 2) << 62))
    return rarely(abs(x) > 1e6, libm_sin, x, select(x == 0.0, x, y))


def cos_f32(x: Any) -> Any:
    """The cosine of an angle in radians."""
    n, r, low = quarter_turns_f32(x)
    s, c = sin_cos_f32(r, low)
    y = f32_of_bits(bits(select((n & 1) == 0, c, s)) ^ (((n + 1) & 2) << 30))
    return rarely(abs(x) > f32(10000.0), libm_cos, x, y)


def cos_f64(x: Any) -> Any:
    """The cosine of an angle in radians."""
    n, r, low = quarter_turns_f64(x)
    s, c = sin_cos_f64(r, low)
    y = f64_of_bits(bits(select((n & 1) == 0, c, s)) ^ (((n + 1) & 2) << 62))
    return rarely(abs(x) > 1e6, libm_cos, x, y)


def tan_f32(x: Any) -> Any:
    """The tangent of an angle in radians; -1 / tan is compensated by what r + w lost."""
    n, r, low = quarter_turns_f32(x)
    z = r * r
    w = low + r * z * poly(z, (0.33333206, 0.13338262, 0.053416576, 0.024502665, 0.0029050314, 0.009552602))
    t = r + w
    v = f32(-1.0) / t
    y = select((n & 1) == 0, t, v + v * v * ((r - t) + w))
    return rarely(abs(x) > f32(10000.0), libm_tan, x, select(x == f32(0.0), x, y))


def tan_f64(x: Any) -> Any:
    """The tangent of an angle in radians; -1 / tan is compensated by what r + w lost."""
    n, r, low = quarter_turns_f64(x)
    z = r * r
    p = poly(
        z,
        (
            *(0.3333333333333335, 0.13333333333329359, 0.05396825397112935, 0.021869488438638812),
            *(0.008863237410499613, 0.003592105136835494, 0.0014560218590803935, 0.0005889549294427167),
            *(0.0002435142877958367, 8.397652587681007e-05, 6.67581880301308e-05, -2.5373775807540754e-05),
            *(4.8656957241184555e-05, -2.438770555926448e-05, 9.844586528940245e-06),
        ),
    )
    w = low + r * z * p
    t = r + w
    v = -1.0 / t
    y = select((n & 1) == 0, t, v + v * v * ((r - t) + w))
    return rarely(abs(x) > 1e6, libm_tan, x, select(x == 0.0, x, y))
