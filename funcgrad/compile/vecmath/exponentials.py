"""exp, exp2, expm1, expit.

Method: x = n ln 2 + r with n the nearest integer (Cody and Waite's two-part ln 2), a minimax polynomial of our own on
|r| <= ln 2 / 2, and 2^n built from bits. Adding 1.5 2^23 (or 2^52) rounds to an integer and leaves it in the low bits.
"""

from typing import Any

from funcgrad.compile.vecmath.helpers import bits, f32, f32_of_bits, f64_of_bits, poly, select


def exp_reduce_f32(x: Any, low: Any) -> Any:
    """(k, r, t) with exp(x - low) = 2^k (1 + r + t): k integer, |r| < 0.35, |t| < 0.08; x within ±150."""
    t = x * f32(1.4426950408889634) + f32(12582912.0)
    n = t - f32(12582912.0)
    r = x - n * f32(0.693359375) - n * f32(-2.12194440e-4) - low
    p = poly(r, (0.5, 0.16666667, 0.04166624, 0.008333286, 0.001394864, 0.00019907638))
    return bits(t) - 0x4B400000, r, r * r * p


def exp_reduce_f64(x: Any, low: Any) -> Any:
    """(k, r, t) with exp(x - low) = 2^k (1 + r + t): k integer, |r| < 0.35, |t| < 0.08; x within ±1500."""
    t = x * 1.4426950408889634 + 6755399441055744.0
    n = t - 6755399441055744.0
    r = x - n * 0.6931471803691238 - n * 1.9082149292705877e-10 - low
    q = poly(
        r,
        (
            *(0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321653, 0.00138888888889626),
            *(0.00019841269886073526, 2.4801587172242524e-05, 2.7557244254116827e-06, 2.755740276530211e-07),
            *(2.51090244858222e-08, 2.0875331920966692e-09),
        ),
    )
    return bits(t) - 0x4338000000000000, r, r * r * q


def scale_f32(y: Any, k: Any) -> Any:
    """y 2^k in two steps, so that the result may be subnormal or overflow; |k| < 250."""
    half = k >> 1
    return y * f32_of_bits((half + 127) << 23) * f32_of_bits((k - half + 127) << 23)


def scale_f64(y: Any, k: Any) -> Any:
    """y 2^k in two steps, so that the result may be subnormal or overflow; |k| < 2000."""
    half = k >> 1
    return y * f64_of_bits((half + 1023) << 52) * f64_of_bits((k - half + 1023) << 52)


def clip_f32(x: Any, low: Any, high: Any) -> Any:
    """x within bounds; nan stays nan. In this order both are one instruction."""
    y = select(x > high, high, x)
    return select(y < low, low, y)


def clip_f64(x: Any, low: Any, high: Any) -> Any:
    """x within bounds; nan stays nan. In this order both are one instruction."""
    y = select(x > high, high, x)
    return select(y < low, low, y)


def exp_f32(x: Any) -> Any:
    """e to the power x."""
    k, r, t = exp_reduce_f32(clip_f32(x, f32(-104.0), f32(89.0)), f32(0.0))
    return scale_f32(f32(1.0) + (r + t), k)


def exp_f64(x: Any) -> Any:
    """e to the power x."""
    k, r, t = exp_reduce_f64(clip_f64(x, -746.0, 710.0), 0.0)
    return scale_f64(1.0 + (r + t), k)


def exp2_f32(x: Any) -> Any:
    """2 to the power x."""
    x = clip_f32(x, f32(-151.0), f32(129.0))
    t = x + f32(12582912.0)
    r = x - (t - f32(12582912.0))
    p = r * poly(r, (0.6931472, 0.2402265, 0.055504102, 0.009618038, 0.0013333936, 0.00015466807, 1.5196112e-05))
    return scale_f32(f32(1.0) + p, bits(t) - 0x4B400000)


def exp2_f64(x: Any) -> Any:
    """2 to the power x."""
    x = clip_f64(x, -1076.0, 1025.0)
    t = x + 6755399441055744.0
    r = x - (t - 6755399441055744.0)
    p = poly(
        r,
        (
            *(0.6931471805599453, 0.24022650695910072, 0.05550410866482177, 0.009618129107628487),
            *(0.0013333558146374055, 0.00015403530393354688, 1.5252733871195371e-05, 1.3215486823375896e-06),
            *(1.0178045231269616e-07, 7.054891435526598e-09, 4.4575426283822423e-10, 2.573786106094644e-11),
        ),
    )
    return scale_f64(1.0 + r * p, bits(t) - 0x4338000000000000)


def half_expm1_f32(x: Any) -> Any:
    """(e^x - 1) / 2, for |x| < 90; halved so that only results that have no float32 overflow."""
    k, r, t = exp_reduce_f32(x, f32(0.0))
    s = f32_of_bits((k + 126) << 23)
    return s * (r + t) + (s - f32(0.5))


def half_expm1_f64(x: Any) -> Any:
    """(e^x - 1) / 2, for |x| < 711; halved so that only results that have no float64 overflow."""
    k, r, t = exp_reduce_f64(x, 0.0)
    s = f64_of_bits((k + 1022) << 52)
    return s * (r + t) + (s - 0.5)


def expm1_f32(x: Any) -> Any:
    """e^x - 1 without cancellation."""
    y = half_expm1_f32(clip_f32(x, f32(-30.0), f32(89.0)))
    return select(abs(x) < f32(1e-8), x, y + y)


def expm1_f64(x: Any) -> Any:
    """e^x - 1 without cancellation."""
    y = half_expm1_f64(clip_f64(x, -60.0, 710.0))
    return select(abs(x) < 1e-17, x, y + y)


def expit_f32(x: Any) -> Any:
    """The logistic function from e = e^-|x|; what 1 + e loses is taken off the numerator (lost: that by 1 + e, roughly)."""
    k, r, t = exp_reduce_f32(clip_f32(-abs(x), f32(-104.0), f32(0.0)), f32(0.0))
    c = f32(1.0) + r
    low = (r - (c - f32(1.0))) + t
    e = scale_f32(c + low, k)
    d = f32(1.0) + e
    lost = (e - (d - f32(1.0))) * (f32(1.457) - f32(0.486) * d)
    top = scale_f32(c + (low - c * lost), k)
    return select(x < f32(0.0), top, f32(1.0)) / d


def expit_f64(x: Any) -> Any:
    """The logistic function from e = e^-|x|; what 1 + e loses is taken off the numerator (lost: that by 1 + e, roughly)."""
    k, r, t = exp_reduce_f64(clip_f64(-abs(x), -746.0, 0.0), 0.0)
    c = 1.0 + r
    low = (r - (c - 1.0)) + t
    e = scale_f64(c + low, k)
    d = 1.0 + e
    lost = (e - (d - 1.0)) * (1.457 - 0.486 * d)
    top = scale_f64(c + (low - c * lost), k)
    return select(x < 0.0, top, 1.0) / d
