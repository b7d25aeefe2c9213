"""lgamma and digamma of negative arguments, where they pass through zero between their poles.

Method: x = d - n with the integer n next to -x. gamma(x) is gamma(1 + d) over the product of d and all d - k, digamma(x) the
sum of digamma(1 + d) and all 1 / (k - d) less 1 / d. Both are formed as pairs (pairs.py), from the series of 1 / gamma(1 + d) and
a loop over k, so what is left where they cancel is right.
"""

from typing import Any

from funcgrad.compile.vecmath.helpers import entry, poly, repeat
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


def reciprocal_gamma_slope_step_f64(k: Any, x: Any, high: Any, low: Any) -> Any:
    """A step of Horner's rule in pairs for the derivative of 1 / gamma(1 + x)."""
    high, low = pair_times_f64(high, low, x)
    c = entry(
        (
            *(-7.393611237284411e-11, 1.4786300535819636e-10, 1.878168081043981e-09, -2.008166769827934e-08),
            *(8.003212231150757e-08, 9.174142656722124e-08, -2.8788737837686497e-06, 1.4729354015762047e-05),
            *(-1.5005921785712048e-05, -0.00022148340258867062, 0.0012805028238811618, -0.0019371750670345589),
            *(-0.009321340734872521, 0.050532602726641694, -0.05773182916726184, -0.21098867277772168),
            *(0.6661544455291659, -0.1260079051022857, -1.3117561430405078, 0.5772156649015329),
        ),
        k - 1.0,
    )
    rest = entry(
        (
            *(-4.283515819015016e-27, -9.416672915286844e-27, -7.858655006456717e-26, -1.5021053933334983e-24),
            *(-2.4609977824908014e-25, 1.7500768406142347e-24, -2.009049198762845e-22, -8.12648814387208e-22),
            *(5.2757603652802275e-22, -6.4408870643419916e-21, 1.4828972256560766e-20, 1.0269798049906926e-19),
            *(4.527958283104785e-19, 2.6837128334928215e-18, 2.8942813065545685e-19, -2.912208533425611e-18),
            *(4.07565781873681e-17, 4.4760918856951515e-18, 4.274370394137072e-17, -4.942915152430645e-18),
        ),
        k - 1.0,
    )
    return pair_plus_f64(high, low, c, rest)


def reciprocal_gamma_slope_f64(x: Any) -> Any:
    """The derivative of 1 / gamma(1 + x) as a pair, for |x| <= 1/2."""
    high = poly(
        x,
        (
            *(1.0710777603654399e-11, -4.528317317846315e-13, -1.2300681840672942e-13, 2.944268707771826e-14),
            *(-2.953148254243647e-15, 3.085399862354161e-17, 3.813427769358686e-17, -6.436487916419036e-18),
            *(4.971778333589278e-19, 4.012055191481079e-21, -6.368124010476685e-21, 8.7552961555456e-22),
            -5.716776271504705e-23,
        ),
    )
    return repeat(20.0, reciprocal_gamma_slope_step_f64, x, high, 0.0 * x)


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


def next_term_f64(k: Any, d: Any, high: Any, low: Any) -> Any:
    """A pair plus 1 / (k - d)."""
    factor, rest = exact_sum_f64(k, -d)
    term, lost = pair_quotient_f64(1.0 + 0.0 * k, 0.0 * k, factor, rest)
    return pair_plus_f64(high, low, term, lost)


def digamma_by_sum_f64(x: Any) -> Any:
    """digamma(x) for -100 < x < 0, of full precision where it is nearly 0."""
    n = nearest_f64(-x)
    d = n + x
    high, low = reciprocal_gamma_f64(d)
    slope, rest = reciprocal_gamma_slope_f64(d)
    slope, rest = pair_times_f64(slope, rest, d)
    slope, rest = pair_plus_f64(slope, rest, high, low)
    high, low = pair_times_f64(high, low, -d)
    high, low = pair_quotient_f64(slope, rest, high, low)
    high, low = repeat(n, next_term_f64, d, high, low)
    return high + low
