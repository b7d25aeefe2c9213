"""pow and cbrt.

Method of pow: 2 to the power y log2|x|. float32 works in float64 throughout. float64 carries log2|x| as a sum of two
floats good to about 2^-66: with s = f / (2 + f), log2(1 + f) = s (C0 + s² (C1 + s² R(s²))), C0 and C1 in two parts.
Products are made exact by cutting one factor to its head, so nothing relies on fused multiply-adds.
"""

from typing import Any

from funcgrad.compile.vecmath.exponentials import clip_f64, scale_f64
from funcgrad.compile.vecmath.helpers import (
    bits,
    copysign,
    f32,
    f32_of_bits,
    f64,
    f64_of_bits,
    inf,
    nan,
    poly,
    select,
)
from funcgrad.compile.vecmath.logarithms import log_split_f32, log_split_f64


def head_f64(x: Any) -> Any:
    """x cut to its leading 26 bits; the product of two heads is exact."""
    return f64_of_bits(bits(x) & -134217728)


def log2_pair_f64(x: Any) -> Any:
    """(high, low) with log2(x) = high + low to about 2^-66 of it, for finite x > 0."""
    k, f = log_split_f64(x)
    inverse = 1.0 / (2.0 + f)
    s1 = head_f64(f * inverse)
    d1 = head_f64(2.0 + f)
    d2 = (2.0 - d1) + f
    s2 = ((f - s1 * d1) - s1 * d2) * inverse
    z1 = head_f64(s1 * s1)
    z2 = (s1 * s1 - z1) + s2 * (s1 + s1 + s2)
    z = z1 + z2
    u1 = z1 * 0.9617966860532761
    u2 = z1 * 7.872699542894897e-09 + (
        z2 * 0.9617966939259756
        + z
        * z
        * poly(
            z,
            (
                *(0.577078016355618, 0.4121985830919666, 0.3205989022687558, 0.26230770154952615),
                *(0.22198397809559028, 0.19125562145475317, 0.19038113148758554),
            ),
        )
    )
    v = 2.885390043258667 + u1
    v1 = head_f64(v)
    v2 = (((2.885390043258667 - v) + u1) + (3.851925982253235e-08 + u2)) + (v - v1)
    p1 = s1 * v1
    p2 = s1 * v2 + s2 * (v1 + v2)
    high = k + p1
    return high, ((k - high) + p1) + p2


def pow_f64(x: Any, y: Any) -> Any:
    """x to the power y, with the special cases of C's pow."""
    a = abs(x)
    high, low = log2_pair_f64(a)
    b = clip_f64(y, -36893488147419103232.0, 36893488147419103232.0)
    y1 = head_f64(b)
    l1 = head_f64(high)
    w = y1 * l1
    w1 = clip_f64(w, -1100.0, 1100.0)
    w2 = select(w == w1, y1 * ((high - l1) + low) + (b - y1) * (high + low), 0.0)
    t = w1 + w2 + 6755399441055744.0
    r = (w1 - (t - 6755399441055744.0)) + w2
    p = poly(
        r,
        (
            *(0.6931471805599453, 0.24022650695910072, 0.05550410866482177, 0.009618129107628487),
            *(0.0013333558146374055, 0.00015403530393354688, 1.5252733871195371e-05, 1.3215486823375896e-06),
            *(1.0178045231269616e-07, 7.054891435526598e-09, 4.4575426283822423e-10, 2.573786106094644e-11),
        ),
    )
    return pow_edges_f64(x, y, scale_f64(1.0 + r * p, bits(t) - 0x4338000000000000))


def fractional_f64(x: Any) -> Any:
    """Whether x is finite and no integer."""
    a = abs(x)
    return (a < 4503599627370496.0) & ((a + 4503599627370496.0) - 4503599627370496.0 != a)


def pow_edges_f64(x: Any, y: Any, power: Any) -> Any:
    """power = |x|^y with its sign, and the values where |x| or y is 0, infinite or nan put right."""
    a = abs(x)
    large = select(a == 0.0, y < 0.0, y > 0.0)
    ends = (a == 0.0) | (a == inf)
    power = select(ends, select(large, inf, 0.0), power)
    odd = (fractional_f64(0.5 * y) ^ fractional_f64(y)) & (abs(y) >= 1.0)
    power = select(odd, copysign(power, x), power)
    power = select((x < 0.0) & (a < inf) & fractional_f64(y), nan, power)
    power = select((x != x) | (y != y), x + y, power)
    return select((y == 0.0) | (x == 1.0), 1.0, power)


def fractional_f32(x: Any) -> Any:
    """Whether x is finite and no integer."""
    a = abs(x)
    return (a < f32(8388608.0)) & ((a + f32(8388608.0)) - f32(8388608.0) != a)


def pow_edges_f32(x: Any, y: Any, power: Any) -> Any:
    """power = |x|^y with its sign, and the values where |x| or y is 0, infinite or nan put right."""
    a = abs(x)
    large = select(a == f32(0.0), y < f32(0.0), y > f32(0.0))
    ends = (a == f32(0.0)) | (a == f32(inf))
    power = select(ends, select(large, f32(inf), f32(0.0)), power)
    odd = (fractional_f32(f32(0.5) * y) ^ fractional_f32(y)) & (abs(y) >= f32(1.0))
    power = select(odd, copysign(power, x), power)
    power = select((x < f32(0.0)) & (a < f32(inf)) & fractional_f32(y), f32(nan), power)
    power = select((x != x) | (y != y), x + y, power)
    return select((y == f32(0.0)) | (x == f32(1.0)), f32(1.0), power)


def pow_f32(x: Any, y: Any) -> Any:
    """x to the power y, with the special cases of C's pow."""
    wide, b = f64(x), f64(y)
    k, f = log_split_f64(abs(wide))
    s = f / (2.0 + f)
    z = s * s
    q = poly(
        z,
        (
            *(2.8853900817779268, 0.9617966940295127, 0.5770779566529914, 0.4122084721101355),
            *(0.3199191040461133, 0.2828966798842098),
        ),
    )
    w = clip_f64(b, -1e30, 1e30) * (k + s * q)
    w = clip_f64(w, -200.0, 200.0)
    t = w + 6755399441055744.0
    r = w - (t - 6755399441055744.0)
    p = poly(
        r,
        (
            *(0.6931471807049967, 0.2402265106744469, 0.055504103647926274, 0.009618037987270543),
            *(0.0013333935655045206, 0.0001546680669109517, 1.519611217466765e-05),
        ),
    )
    power = f64_of_bits(bits(1.0 + r * p) + ((bits(t) - 0x4338000000000000) << 52))
    return pow_edges_f32(x, y, f32(power))


def cbrt_f32(x: Any) -> Any:
    """The cube root: t from a polynomial, cut to 8 bits so that t³ is exact, then its relative error by a series."""
    a = abs(x)
    k, f = log_split_f32(a)
    n = k * f32(0.33333334) + f32(12582912.0)
    rest = k - (n - f32(12582912.0)) * f32(3.0)
    m = (f + f32(1.0)) * select(rest == f32(0.0), f32(1.0), select(rest > f32(0.0), f32(2.0), f32(0.5)))
    c = select(rest == f32(0.0), f32(1.0), select(rest > f32(0.0), f32(1.259921), f32(0.7937005)))
    t = poly(f, (0.99982, 0.3385828, -0.10629593)) * c
    t = f32_of_bits(bits(t) & -65536)
    cube = t * t * t
    d = (m - cube) / cube
    y = t + t * (d * poly(d, (0.33333334, -0.11111111, 0.061728396, -0.041152265)))
    y = y * f32_of_bits((bits(n) - 0x4B400000 + 127) << 23)
    return copysign(select((a > f32(0.0)) & (a < f32(inf)), y, a), x)


def cbrt_f64(x: Any) -> Any:
    """The cube root: t from a polynomial, cut to 17 bits so that t³ is exact, then its relative error by a series."""
    a = abs(x)
    k, f = log_split_f64(a)
    n = k * 0.3333333333333333 + 6755399441055744.0
    rest = k - (n - 6755399441055744.0) * 3.0
    m = (f + 1.0) * select(rest == 0.0, 1.0, select(rest > 0.0, 2.0, 0.5))
    c = select(rest == 0.0, 1.0, select(rest > 0.0, 1.2599210498948732, 0.7937005259840998))
    t = c * poly(
        f,
        (
            *(0.999999864693381, 0.33333540610094164, -0.11108437601242795, 0.06157486718198809),
            *(-0.0418615884417823, 0.033348514287089216, -0.020056175846713546),
        ),
    )
    t = f64_of_bits(bits(t) & -68719476736)
    cube = t * t * t
    d = (m - cube) / cube
    y = t + t * (d * poly(d, (0.3333333333333333, -0.1111111111111111, 0.06172839506172839)))
    y = y * f64_of_bits((bits(n) - 0x4338000000000000 + 1023) << 52)
    return copysign(select((a > 0.0) & (a < inf), y, a), x)
