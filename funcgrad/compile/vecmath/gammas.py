"""lgamma and digamma.

Method: below 8 lgamma's argument is moved into [1.25, 2.25) by the recurrence, its product gathered on the way, below 1 that of
digamma into [1, 2), for minimax polynomials of our own that have the zero as a factor; above 8 (2) Stirling's series, with
minimax coefficients. Negative arguments are rare lanes, by reflection; where that cancels, by pairs of floats
(gammas_near_zeros.py). float32 goes through float64.
"""

from typing import Any

from funcgrad.compile.vecmath.gammas_near_zeros import digamma_by_pairs_f64, lgamma_by_product_f64
from funcgrad.compile.vecmath.helpers import (
    copysign,
    f32,
    f64,
    inf,
    libm_sin,
    nan,
    poly,
    rarely,
    select,
)
from funcgrad.compile.vecmath.logarithms import log_f64, log_rest_f64, log_split_f64, log_sum_f64
from funcgrad.compile.vecmath.pairs import exact_product_f64, exact_sum_f64, pair_quotient_f64


def stirling_series_f64(x: Any) -> Any:
    """1 / (12 x) - ...: what the logarithm of gamma is above (x - 1/2) log(x) - x + log(2 pi) / 2, for x >= 8."""
    inverse = 1.0 / x
    return inverse * poly(
        inverse * inverse,
        (
            *(0.08333333333333333, -0.0027777777777776786, 0.000793650793515672, -0.0005952380249398887),
            *(0.0008417328024916663, -0.0019149917461686642, 0.00620933751188416, -0.02087775104711264),
        ),
    )


def lgamma_positive_f64(x: Any) -> Any:
    """log(gamma(x)) for x > 0, with one logarithm: of x above 8, of the recurrence's product below."""
    far = x >= 8.0
    product = select(x < 0.25, x * (x + 1.0), select(x < 1.25, x, 1.0))
    u = select(x < 0.25, x, select(x < 1.25, x - 1.0, x - 2.0))
    for _ in range(6):
        above = u >= 0.25
        product = select(above, product * (u + 1.0), product)
        u = select(above, u - 1.0, u)
    u = select(far, 0.0, u)
    v = u * poly(
        u,
        (
            *(0.42278433509846713, 0.32246703342411326, -0.06735230105319778, 0.020580808427770627),
            *(-0.007385551028752106, 0.002890510332024678, -0.001192753903939278, 0.0005096694807873966),
            *(-0.00022315511588280333, 9.945785008613844e-05, -4.491853838217699e-05, 2.0519544639059538e-05),
            *(-9.50173435824504e-06, 4.1174179748394545e-06, -2.1921414553051617e-06, 2.0294764650852592e-06),
            *(2.7348091393138836e-06, 4.381342958608024e-06, 2.755660512048825e-06, 9.245961572420013e-07),
        ),
    )
    k, f = log_split_f64(select(far, x, product))
    down = x < 1.25
    log = log_sum_f64(k, f, select(far, -1.0, select(down, -v, v)))
    series = stirling_series_f64(x)
    stirling = (x - 0.5) * log + (series + 0.41893853320467274)
    y = select(far, stirling, select(down, 0.0 - log, log))
    return select(x == 0.0, inf, select(x < inf, y, x))


def lgamma_far_f64(a: Any, sine: Any) -> Any:
    """-log(a gamma(a) sine) for a >= 8; the large terms are summed exactly (bare products handed on are exact)."""
    k, f = log_split_f64(a)
    log, low = exact_sum_f64(k * 0.6931471803691238, log_rest_f64(k, f, 0.0))
    high, lost = exact_product_f64(a, log)
    high, more = exact_sum_f64(high, -a)
    k, f = log_split_f64(sine)
    high, rest = exact_sum_f64(high, k * 0.6931471803691238)
    small = (0.5 * log + (stirling_series_f64(a) + 0.9189385332046728)) + log_rest_f64(k, f, 0.0)
    return -(high + (((lost + more) + rest) + (a * low + small)))


def lgamma_reflected_f64(x: Any) -> Any:
    """log|gamma(x)| for x < 0 by gamma(-a) gamma(a) = -pi / (a sin(pi a)); infinite at the integers."""
    a = -x
    fraction = a - ((a + 4503599627370496.0) - 4503599627370496.0)
    sine = abs(libm_sin(3.141592653589793 * fraction)) * 0.3183098861837907
    small = a < 1.0
    above = lgamma_positive_f64(select(small, a + 1.0, a))
    y = select(a < 8.0, -(log_f64(select(small, sine, a * sine)) + above), lgamma_far_f64(a, sine))
    # Much of the two cancelled.
    y = rarely((a < 25.0) & (abs(y) < 2.0 + 0.75 * above), lgamma_by_product_f64, x, y)
    return select((a >= 4503599627370496.0) | (fraction == 0.0), inf, y)


def lgamma_reflected_f32(x: Any) -> Any:
    """log|gamma(x)| for x < 0."""
    return f32(lgamma_reflected_f64(f64(x)))


def lgamma_f64(x: Any) -> Any:
    """The logarithm of |gamma(x)|."""
    return rarely(x < 0.0, lgamma_reflected_f64, x, lgamma_positive_f64(x))


def lgamma_f32(x: Any) -> Any:
    """The logarithm of |gamma(x)|."""
    return rarely(x < f32(0.0), lgamma_reflected_f32, x, f32(lgamma_positive_f64(f64(x))))


def digamma_parts_f64(x: Any) -> Any:
    """(k, rest) with k times the head of log(2) + rest the derivative of log(gamma(x)), for x > 0."""
    below = x < 1.0
    inverse = 1.0 / x
    head = (select(below, x, x - 1.0) - 0.46163214496836236) - -1.5522348162858677e-17
    near = head + head * poly(
        select(below, x - 0.5, x - 1.5),
        (
            *(-0.04894412396816705, -0.4236274212814607, 0.2405424842407739, -0.14840492305384975),
            *(0.09498872445498371, -0.061922133278181093, 0.04076083381023988, -0.026975796553100645),
            *(0.017907252496300704, -0.011908222429434543, 0.007926943795345613, -0.005279906837625049),
            *(0.0035190141558897594, -0.002345744336360785, 0.001556588029965039, -0.0010351652615592166),
            *(0.0007234755354869483, -0.000490058486528613, 0.0002269524202570551, -0.00013750279472718173),
            *(0.0002599097379323132, -0.00018378378175782555),
        ),
    )
    square = inverse * inverse
    series = poly(
        square,
        (
            *(0.08333333333332625, -0.008333333329695125, 0.003968253307957006, -0.004166605116854611),
            *(0.007572270825526771, -0.02096021780745137, 0.07970652606482426, -0.36767503158247355),
            *(1.7834025552069395, -8.028771850770875, 30.64706031107673, -92.84935252734755),
            *(210.4110681484823, -331.73346272097297, 322.6594146831647, -145.27320319448094),
        ),
    )
    k, f = log_split_f64(x)
    rest = log_rest_f64(k, f, -(0.5 * inverse + square * series))
    far = x >= 2.0
    return select(far, k, 0.0), select(far, rest, near - select(below, inverse, 0.0))


def digamma_positive_f64(x: Any) -> Any:
    """The derivative of log(gamma(x)) for x > 0."""
    k, rest = digamma_parts_f64(x)
    return select(x < inf, k * 0.6931471803691238 + rest, x)


def digamma_reflection_f64(x: Any) -> Any:
    """digamma(x) for x <= 0 as digamma(1 - x) - pi / tan(pi x), to about 2e-16 of 1 or of itself where it is larger.

    pi / tan(pi r) = 1 / r - 4 r + r p(r²), the last below 0.2; the large terms, the head of a logarithm among them, are exact
    (so are the bare products handed on) and summed exactly. nan at the integers, infinite at a zero by its sign.
    """
    r = x - ((x - 4503599627370496.0) + 4503599627370496.0)
    above = 1.0 - x
    k, rest = digamma_parts_f64(above)
    rest = rest + ((1.0 - above) - x) / above
    inverse, lost = pair_quotient_f64(1.0, 0.0, r, 0.0)
    small = lost + r * poly(
        r * r,
        (
            *(0.7101318663035466, -2.1646464674219423, -2.0346861240313756, -2.0081547069292904),
            *(-2.0019894217685112, -2.0004836717983063, -2.0003011929200687, -1.9974092043618872),
            *(-2.0274570235377896, -1.7927975509028153, -3.1248129942913767, 2.317159119369057),
            *(-13.266629225016368, 16.411071535831063, -17.33870586794098),
        ),
    )
    y, tail = exact_sum_f64(k * 0.6931471803691238, -inverse)
    y, more = exact_sum_f64(y, 4.0 * r)
    y = y + ((tail + more) + (rest - small))
    y = select(abs(r) > 1e-300, y, -1.0 / r)  # where the parts of the quotient overflow
    return select(x == 0.0, copysign(inf, -x), select((x <= -4503599627370496.0) | (r == 0.0), nan, y))


def digamma_reflected_f64(x: Any) -> Any:
    """digamma(x) for x <= 0."""
    y = digamma_reflection_f64(x)
    # Much of the two terms cancelled.
    return rarely(abs(y) < 0.5, digamma_by_pairs_f64, x, y)


def digamma_reflected_f32(x: Any) -> Any:
    """digamma(x) for x <= 0; at no float32 is it below 1e-7, which float64 has to 1e-9 of it without pairs."""
    return f32(digamma_reflection_f64(f64(x)))


def digamma_f64(x: Any) -> Any:
    """The derivative of log(gamma(x))."""
    return rarely(x <= 0.0, digamma_reflected_f64, x, digamma_positive_f64(x))


def digamma_f32(x: Any) -> Any:
    """The derivative of log(gamma(x))."""
    return rarely(x <= f32(0.0), digamma_reflected_f32, x, f32(digamma_positive_f64(f64(x))))
