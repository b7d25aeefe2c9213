"""erf, erfc, erfinv.

Method: erf is x + x P(x²) below 1; erfc(x) is e^(-x²) g(t) / (1 + 2 x) with t = (x - 3) / (x + 3), the form of M. Shepherd
and J. Laframboise (1981); erf above 1 has a polynomial in the exponent. The coefficients are minimax and our own; x²
enters the exponential in two parts.
"""

from typing import Any

from funcgrad.compile.vecmath.exponentials import clip_f32, clip_f64, exp_f64, exp_reduce_f32, exp_reduce_f64, scale_f64
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
    rarely,
    select,
    sqrt,
)
from funcgrad.compile.vecmath.logarithms import log_f64, log_split_f32, log_split_f64, log_sum_f32, log_sum_f64


def erf_tail_f32(x: Any) -> Any:
    """erf(x) - x for |x| <= 1."""
    z = x * x
    p = poly(z, (0.12837917, -0.37612626, 0.112836, -0.026854444, 0.0051895357, -0.0008020842, 7.889124e-05))
    return x * p


def erf_tail_f64(x: Any) -> Any:
    """erf(x) - x for |x| <= 1."""
    z = x * x
    p = poly(
        z,
        (
            *(0.1283791670955126, -0.3761263890318375, 0.11283791670954885, -0.026866170645077875),
            *(0.005223977624828431, -0.0008548326981425542, 0.0001205533113295582, -1.4925595772180906e-05),
            *(1.64610084778027e-06, -1.6350396222864617e-07, 1.466032872274226e-08, -1.137495573607015e-09),
            5.960685338520971e-11,
        ),
    )
    return x * p


def erfc_rough_f32(x: Any) -> Any:
    """erfc(x) for 1 <= x <= 4.1, to an absolute 2^-25 only, as 1 - erfc(x) needs it; all in float32. Its logarithm is nearly a
    parabola."""
    q = poly(x, (0.00035371928, 1.12704, 0.6382257, 0.10303737, -0.021805318, 0.0029396074, -0.00018557403))
    k, r, t = exp_reduce_f32(-q, f32(0.0))
    return (f32(1.0) + (r + t)) * f32_of_bits((k + 127) << 23)


def erfc_rough_f64(x: Any) -> Any:
    """erfc(x) for 1 <= x <= 6, to an absolute 2^-56 only, as 1 - erfc(x) needs it."""
    q = poly(
        x - 1.0,
        (
            *(1.8496055099332482, 2.6389675142347757, 0.8431072563594101, 0.04156109802512515),
            *(-0.010033825179549124, 0.0019779012182892766, -0.00023731644430500203, -2.6296301750257194e-05),
            *(2.7198925562698027e-05, -9.671313225269304e-06, 2.131876681968804e-06, -2.0476592445040774e-07),
            *(-5.803614632756958e-08, 3.3400715028676844e-08, -8.521324195829802e-09, 1.3195596503851612e-09),
            *(-1.193744559449428e-10, 4.86733937835207e-12),
        ),
    )
    k, r, t = exp_reduce_f64(-q, 0.0)
    return (1.0 + (r + t)) * f64_of_bits((k + 1023) << 52)


def erfc_far_f32(x: Any) -> Any:
    """erfc(x) for 1/2 <= x <= 11, in float64: x² is exact there and few terms are needed."""
    x = f64(x)
    d = 1.0 + x + x
    inverse = 1.0 / ((x + 3.0) * d)
    g = poly(
        (x - 3.0) * d * inverse,
        (
            *(1.253008058538911, -0.1356210466708293, -0.04756232425421204, 0.12964261269035576),
            *(-0.1192735640969512, 0.06833813581050495, -0.02376407647593143, 0.0023902774254503972),
            *(0.0018364467960264033, -0.0005274301886552313),
        ),
    )
    z = -x * x
    t = z * 1.4426950408889634 + 6755399441055744.0
    r = z - (t - 6755399441055744.0) * 0.6931471805599453
    e = (
        r
        * r
        * poly(
            r, (0.5000000095419753, 0.1666651860228391, 0.04166620504064398, 0.008368917892225311, 0.001395054203705067)
        )
    )
    power = f64_of_bits((bits(t) - 0x4338000000000000 + 1023) << 52)
    return f32((1.0 + (r + e)) * power * (g * ((x + 3.0) * inverse)))


def erfc_far_f64(x: Any) -> Any:
    """erfc(x) for 1/2 <= x <= 28, g = 1.25 + q; what 1 + 2 x loses goes into `low`, times 1 / (1 + 2 x) roughly."""
    t = (x - 3.0) / (x + 3.0)
    q = poly(
        t,
        (
            *(0.0030080582697296, -0.13562110612458103, -0.04756229435343466, 0.1296451587027409),
            *(-0.11927366341633346, 0.0683080273448385, -0.02377051489326053, 0.0025293917982869623),
            *(0.0018886900379953473, -0.0007798320662035977, -0.00010515744499106418, 0.0001250979060870283),
            *(4.938841027330326e-06, -2.0094180476247344e-05, -7.011373853634091e-07, 3.45458139648188e-06),
            *(3.0254572554274485e-07, -5.860254714694352e-07, -8.347838598960063e-08, 7.202297345124785e-08),
            8.228911791114985e-09,
        ),
    )
    head = f64_of_bits(bits(x) & -134217728)
    k, r, low = exp_reduce_f64(-head * head, (x - head) * (x + head))
    c = f64_of_bits(bits(1.0 + r) & -8)  # so that 1.25 c is exact
    d = 1.0 + (x + x)
    v = 0.16666666666666666 - 0.16666666666666666 * t
    lost = (1.0 - (d - (x + x))) * poly(v, (0.0, 0.5, 1.25, 3.125, 7.8125))
    low = ((r - (c - 1.0)) + low) - c * lost
    return scale_f64((c * 1.25 + (c * q + low * (1.25 + q))) / d, k)


def erf_f32(x: Any) -> Any:
    """The error function."""
    a = abs(x)
    far = f32(1.0) - erfc_rough_f32(clip_f32(a, f32(1.0), f32(4.1)))
    return select(a < f32(1.0), x + erf_tail_f32(x), copysign(far, x))


def erf_f64(x: Any) -> Any:
    """The error function."""
    a = abs(x)
    far = 1.0 - erfc_rough_f64(clip_f64(a, 1.0, 6.0))
    return select(a < 1.0, x + erf_tail_f64(x), copysign(far, x))


def erfc_f32(x: Any) -> Any:
    """1 - erf(x) without cancellation."""
    far = erfc_far_f32(clip_f32(abs(x), f32(0.5), f32(11.0)))
    far = select(x < f32(0.0), f32(2.0) - far, far)
    w = f32(1.0) - x
    near = w + (((f32(1.0) - w) - x) - erf_tail_f32(x))
    return select(abs(x) < f32(0.5), near, far)


def erfc_f64(x: Any) -> Any:
    """1 - erf(x) without cancellation."""
    far = erfc_far_f64(clip_f64(abs(x), 0.75, 28.0))
    far = select(x < 0.0, 2.0 - far, far)
    w = 1.0 - x
    near = w + (((1.0 - w) - x) - erf_tail_f64(x))
    return select(abs(x) < 0.75, near, far)


def erfinv_f32(x: Any) -> Any:
    """The inverse of erf, as x + x P(w) with w = -log(1 - x²), above w = 4 in sqrt(w): the form of M. Giles (2010)."""
    k, f = log_split_f32((f32(1.0) - x) * (f32(1.0) + x))
    w = -log_sum_f32(k, f, f32(0.0))
    near = poly(
        w - f32(0.47998047),
        (
            *(-1.4095782e-05, 0.24144264, 0.008062532, -0.002470893, -1.3252287e-05),
            *(4.7230405e-05, -9.730383e-07, -1.3061814e-06, 1.9936736e-07, -9.7887325e-09),
        ),
    )
    far = poly(
        sqrt(w) - f32(2.1520996),
        (
            *(7.8574914e-05, 0.94304043, 0.08273526, -0.060364284, 0.020105604, 0.0057746554),
            *(-0.008308816, 0.0019262022, 0.0013268411, -0.0010494321, 0.00029114337, -3.0564406e-05),
        ),
    )
    y = select(w < f32(4.0), x + x * near, (x + x) + x * far)
    a = abs(x)
    y = select(a == f32(1.0), copysign(f32(inf), x), y)
    return select(a > f32(1.0), f32(nan), y)


def erfinv_edge_f64(x: Any) -> Any:
    """erfinv above 0.996: a polynomial good to 1e-10 and one step of Newton on erfc, for which 1 - |x| is exact."""
    a = abs(x)
    s = sqrt(-log_f64((1.0 - a) * (1.0 + a)))
    y = a * poly(
        s - 4.0,
        (
            *(3.8397837973114584, 1.0094932548267828, 0.0012598523420126685, -0.0008690190509071348),
            *(0.0003209142166558947, -0.00011772519583207788, 5.579573560807654e-05, -3.2878072078076796e-05),
            *(1.8505695279761404e-05, -8.45670762394308e-06, 3.1250212160115023e-06, -7.353614462547092e-07),
            *(-2.986446691583953e-07, 3.8294189231305157e-07, -1.05018547869836e-07, -2.1457068850717005e-08),
            *(1.374526320544652e-08, -6.906163445093723e-10, -2.9133432774096594e-10),
        ),
    )
    y = y + (erfc_far_f64(y) - (1.0 - a)) / (1.1283791670955126 * exp_f64(-y * y))
    return copysign(select(a < 1.0, y, select(a == 1.0, inf, nan)), x)


def erfinv_f64(x: Any) -> Any:
    """The inverse of erf, as x + x P(w) with w = -log(1 - x²) (the form of M. Giles, 2010); rare lanes near the ends."""
    k, f = log_split_f64((1.0 - x) * (1.0 + x))
    w = -log_sum_f64(k, f, 0.0)
    y = poly(
        w - 0.47998046875,
        (
            *(-1.4096150926762946e-05, 0.24144264805100016, 0.008062540670056498, -0.002470993871064736),
            *(-1.3183198846065433e-05, 4.7453363269321e-05, -1.4087356126087668e-06, -9.659590030136774e-07),
            *(5.9402293272613315e-08, 1.9842818871160114e-08, -1.8753938853134757e-09, -4.039123145425886e-10),
            *(5.3732539977567473e-11, 7.951737742848152e-12, -1.4932286142754764e-12, -9.004956986292313e-14),
            *(-8.319246253471406e-16, 1.8269860463038544e-14, -5.2782672958872194e-15, 7.626251919316056e-16),
            *(-6.466563714204938e-17, 3.106913627098667e-18, -6.611261257366664e-20),
        ),
    )
    return rarely(abs(x) > 0.9965, erfinv_edge_f64, x, x + x * y)
