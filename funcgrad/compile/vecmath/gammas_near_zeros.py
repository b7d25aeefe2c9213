"""lgamma and digamma of negative arguments, where they pass through zero between their poles.

Method: terms that cancel are formed as pairs of floats (pairs.py), so what is left of them is right.
lgamma: x = d - n with the integer n next to -x; gamma(x) is gamma(1 + d), from the series of 1 / gamma(1 + d), over the product
of d and all d - k, a loop. digamma: digamma(1 - x) - pi / tan(pi x). The first is the asymptotic series above 24, less all
1 / (k - x) that bring the argument there; its logarithm and the tangent are the continued fractions of Gauss and Lambert.
"""

from typing import Any

from funcgrad.compile.vecmath.helpers import entry, f64, poly, repeat, select
from funcgrad.compile.vecmath.logarithms import log_split_f64, log_sum_f64
from funcgrad.compile.vecmath.pairs import (
    exact_sum_f64,
    pair_plus_f64,
    pair_product_f64,
    pair_quotient_f64,
    pair_times_f64,
)


def reciprocal_gamma_step_f64(k: Any, x: Any, high: Any, low: Any) -> Any:
    """A step of Horner's rule in pairs for the series of 1 / gamma(1 + x)."""
    high, low = pair_times_f64(high, low, x)
    c = entry(
        (
            *(1.0434267116911005e-10, -1.18127457048702e-09, 5.002007644469223e-09, 6.116095104481416e-09),
            *(-2.056338416977607e-07, 1.133027231981696e-06, -1.2504934821426706e-06, -2.013485478078824e-05),
            *(0.0001280502823881162, -0.00021524167411495098, -0.0011651675918590652, 0.0072189432466631),
            *(-0.009621971527876973, -0.04219773455554433, 0.16653861138229148, -0.04200263503409524),
            *(-0.6558780715202539, 0.5772156649015329, 1.0),
        ),
        k - 1.0,
    )
    rest = entry(
        (
            *(-2.9298419956825035e-27, -1.0052356155716208e-25, -1.538123614056751e-26, -2.693458298171306e-25),
            *(-3.0061601618645134e-24, -4.622235212104869e-23, -2.66214092271898e-23, 3.0488773972037385e-23),
            *(-9.359124499198967e-21, 2.3758686180729364e-21, 5.659947853880981e-20, -3.6006537063394283e-19),
            *(-5.300031368830263e-19, -3.3579992682480134e-18, 1.0189144546842026e-17, 1.4920306285650505e-18),
            *(2.137185197068536e-17, -4.942915152430645e-18, 0.0),
        ),
        k - 1.0,
    )
    return pair_plus_f64(high, low, c, rest)


def reciprocal_gamma_f64(x: Any) -> Any:
    """1 / gamma(1 + x) as a pair, for |x| <= 1/2, by its Taylor series."""
    high = poly(
        x,
        (
            *(7.782263439905071e-12, -3.696805618642206e-12, 5.100370287454476e-13, -2.0583260535665066e-14),
            *(-5.348122539423018e-15, 1.2267786282382608e-15, -1.1812593016974588e-16, 1.1866922547516004e-18),
            *(1.4123806553180319e-18, -2.29874568443537e-19, 1.7144063219273374e-20, 1.337351730493693e-22),
            *(-2.0542335517666728e-22, 2.736030048608e-23),
        ),
    )
    return repeat(19.0, reciprocal_gamma_step_f64, x, high, 0.0 * x)


def nearest_f64(x: Any) -> Any:
    """The integer next to x, for |x| below 2^51."""
    return (x + 6755399441055744.0) - 6755399441055744.0


def next_factor_f64(k: Any, d: Any, high: Any, low: Any) -> Any:
    """A pair times k - d."""
    factor, rest = exact_sum_f64(k, -d)
    return pair_product_f64(high, low, factor, rest)


def lgamma_by_product_f64(x: Any) -> Any:
    """log|gamma(x)| for -25 < x < 0, of full precision where it is nearly 0."""
    n = nearest_f64(-x)
    d = n + x
    high, low = reciprocal_gamma_f64(d)
    high, low = pair_times_f64(high, low, abs(d))
    high, low = repeat(n, next_factor_f64, d, high, low)
    k, f = log_split_f64(high)
    return -log_sum_f64(k, f, low / high)


def next_term_f64(k: Any, x: Any, high: Any, low: Any) -> Any:
    """A pair plus 1 / (k - x)."""
    factor, rest = exact_sum_f64(k, -x)
    term, lost = pair_quotient_f64(1.0, 0.0, factor, rest)
    return pair_plus_f64(high, low, term, lost)


def atanh_step_f64(k: Any, square: Any, high: Any, low: Any) -> Any:
    """A step, from the inside out, of the continued fraction 1 - z / (3 - 4 z / (5 - 9 z / (7 - ...)))."""
    z, rest = square
    high, low = pair_quotient_f64(z, rest, high, low)
    high, low = pair_times_f64(high, low, -(9.0 - k) * (9.0 - k))
    return pair_plus_f64(high, low, 17.0 - 2.0 * k, 0.0)


def log_pair_f64(high: Any, low: Any) -> Any:
    """The logarithm of a pair as a pair: of 2^k (1 + f) it is k log(2) + 2 atanh(s), s = f / (2 + f)."""
    k, f = log_split_f64(high)
    denominator, rest = exact_sum_f64(2.0, f)
    s, lost = pair_quotient_f64(f, 0.0, denominator, rest)
    z, rest = pair_product_f64(s, lost, s, lost)
    inner = 31.0
    for j in range(14, 7, -1):  # an error here is 2^55 times smaller in the end
        inner = 2.0 * j + 1.0 - (j + 1.0) * (j + 1.0) * z / inner
    fraction, left = repeat(8.0, atanh_step_f64, (z, rest), inner, 0.0 * z)
    s, lost = pair_quotient_f64(2.0 * s, 2.0 * lost, fraction, left)
    whole, rest = pair_times_f64(f64(1.9082149292705877e-10), 1.1612227229362532e-26, k)
    s, lost = pair_plus_f64(s, lost + low / high, whole, rest)
    return pair_plus_f64(k * 0.6931471803691238, 0.0, s, lost)  # the product is exact


def cot_step_f64(k: Any, square: Any, high: Any, low: Any) -> Any:
    """A step, from the inside out, of the continued fraction 3 - z / (5 - z / (7 - ...))."""
    z, rest = square
    high, low = pair_quotient_f64(-z, -rest, high, low)
    return pair_plus_f64(high, low, 23.0 - 2.0 * k, 0.0)


def pi_cot_pi_f64(r: Any) -> Any:
    """pi / tan(pi r) as a pair, for |r| <= 1/2: 1 / r - pi² r / (3 - z / (5 - ...)), z = (pi r)² (Lambert's fraction)."""
    numerator, left = pair_times_f64(f64(9.869604401089358), 6.265295508739711e-16, r)
    z, rest = pair_times_f64(numerator, left, r)
    inner = 35.0
    for j in range(16, 10, -1):  # an error here is 2^55 times smaller in the end
        inner = 2.0 * j + 1.0 - z / inner
    high, low = repeat(10.0, cot_step_f64, (z, rest), inner, 0.0 * z)
    high, low = pair_quotient_f64(numerator, left, high, low)
    inverse, lost = pair_quotient_f64(1.0, 0.0, r, 0.0)
    return pair_plus_f64(inverse, lost, -high, -low)


def stirling_step_f64(k: Any, square: Any, high: Any, low: Any) -> Any:
    """A step of Horner's rule, with signs in turn, for the first B(2 i) / (2 i) of digamma's asymptotic series."""
    z, rest = square
    high, low = pair_product_f64(high, low, -z, -rest)
    term, lost = pair_quotient_f64(1.0, 0.0, entry((132.0, 240.0, 252.0, 120.0, 12.0), k - 1.0), 0.0)
    return pair_plus_f64(term, lost, high, low)


def digamma_far_f64(x: Any, low: Any) -> Any:
    """digamma of a pair above 24 as a pair, by its asymptotic series log(x) - 1 / (2 x) - 1 / (12 x²) + ..."""
    inverse, rest = pair_quotient_f64(1.0, 0.0, x, low)
    z, lost = pair_product_f64(inverse, rest, inverse, rest)
    series = poly(
        z,
        (
            *(0.021092796092796094, -0.08333333333333333, 0.4432598039215686, -3.0539543302701198),
            *(26.456212121212122, -281.46014492753625, 3607.5105463980462, -54827.583333333336),
        ),
    )
    high, left = repeat(5.0, stirling_step_f64, (z, lost), series, 0.0 * z)
    high, left = pair_product_f64(high, left, z, lost)
    high, left = pair_plus_f64(0.5 * inverse, 0.5 * rest, high, left)
    log, lost = log_pair_f64(x, low)
    return pair_plus_f64(log, lost, -high, -left)


def digamma_by_pairs_f64(x: Any) -> Any:
    """digamma(x) for x < 0, of full precision where it is nearly 0."""
    n = select(x > -24.0, 24.0 + nearest_f64(x), 0.0)
    above, rest = exact_sum_f64(n + 1.0, -x)
    high, low = digamma_far_f64(above, rest)
    cot, rest = pi_cot_pi_f64(x - nearest_f64(x))
    high, low = pair_plus_f64(high, low, -cot, -rest)
    down, rest = repeat(n, next_term_f64, x, 0.0 * x, 0.0 * x)
    high, low = pair_plus_f64(high, low, -down, -rest)
    return high + low
