"""log, log2, log10, log1p.

Method: x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), taken from the bits; then float32 has a minimax polynomial
in f, float64 the series of 2 atanh(s) with s = f / (2 + f) (the arrangement of K. C. Ng's log, which keeps f exact), both
with coefficients of our own.
"""

from typing import Any

from funcgrad.compile.vecmath.helpers import bits, f32, f32_of_bits, f64_of_bits, inf, nan, poly, select


def log_split_f32(x: Any) -> Any:
    """(k, f) as float32 with x = 2^k (1 + f), for x > 0, subnormal ones included."""
    small = x < f32(1.1754944e-38)
    i = bits(select(small, x * f32(8388608.0), x))
    k = (i - 0x3F3504F3) >> 23
    f = f32_of_bits(i - (k << 23)) - f32(1.0)
    return f32(k) - select(small, f32(23.0), f32(0.0)), f


def log_split_f64(x: Any) -> Any:
    """(k, f) as float64 with x = 2^k (1 + f), for x > 0, subnormal ones included."""
    small = x < 2.2250738585072014e-308
    i = bits(select(small, x * 4503599627370496.0, x))
    k = (i - 0x3FE6A09E667F3BCD) >> 52
    f = f64_of_bits(i - (k << 52)) - 1.0
    n = f64_of_bits(k + 0x4338000000000000) - 6755399441055744.0
    return n - select(small, 52.0, 0.0), f


def log1p_tail_f32(f: Any) -> Any:
    """log(1 + f) - f for 1 + f between sqrt(1/2) and sqrt(2)."""
    p = poly(
        f,
        (
            *(0.33333313, -0.2500001, 0.20002124, -0.16668005, 0.14219452),
            *(-0.1240534, 0.11888696, -0.116775155, 0.067477316),
        ),
    )
    z = f * f
    return f * z * p - f32(0.5) * z


def log1p_tail_f64(f: Any) -> Any:
    """log(1 + f) - f for 1 + f between sqrt(1/2) and sqrt(2)."""
    s = f / (f + 2.0)
    z = s * s
    p = poly(
        z,
        (
            *(0.6666666666666666, 0.4000000000000479, 0.2857142856936649, 0.2222222262440694),
            *(0.18181776302606045, 0.15387100209892057, 0.13249274443401365, 0.13263345508659724),
        ),
    )
    h = 0.5 * f * f
    return s * (h + z * p) - h


def log_edges_f32(x: Any, y: Any) -> Any:
    """y = log(x) with the values at 0, infinity and where there is none put right."""
    y = select(x < f32(inf), y, x)
    return select(x > f32(0.0), y, select(x == f32(0.0), -f32(inf), f32(nan)))


def log_edges_f64(x: Any, y: Any) -> Any:
    """y = log(x) with the values at 0, infinity and where there is none put right."""
    y = select(x < inf, y, x)
    return select(x > 0.0, y, select(x == 0.0, -inf, nan))


def log_sum_f32(k: Any, f: Any, low: Any) -> Any:
    """log(2^k (1 + f)) + low, added up from the smallest term."""
    return k * f32(0.693359375) + (f + (log1p_tail_f32(f) + (k * f32(-2.12194440e-4) + low)))


def log_f32(x: Any) -> Any:
    """The natural logarithm."""
    k, f = log_split_f32(x)
    return log_edges_f32(x, log_sum_f32(k, f, f32(0.0)))


def log_rest_f64(k: Any, f: Any, low: Any) -> Any:
    """log(2^k (1 + f)) + low, less k times the head of log(2), a product that is exact."""
    return f + (log1p_tail_f64(f) + (k * 1.9082149292705877e-10 + low))


def log_sum_f64(k: Any, f: Any, low: Any) -> Any:
    """log(2^k (1 + f)) + low, added up from the smallest term."""
    return k * 0.6931471803691238 + log_rest_f64(k, f, low)


def log_f64(x: Any) -> Any:
    """The natural logarithm."""
    k, f = log_split_f64(x)
    return log_edges_f64(x, log_sum_f64(k, f, 0.0))


def log2_f32(x: Any) -> Any:
    """The logarithm to base 2; f is split so that the product of its head is exact."""
    k, f = log_split_f32(x)
    head = f32_of_bits(bits(f) & -4096)
    low = (f - head) * f32(1.442695) + (head * f32(-0.00017605285) + log1p_tail_f32(f) * f32(1.442695))
    return log_edges_f32(x, k + (head * f32(1.4428711) + low))


def log2_f64(x: Any) -> Any:
    """The logarithm to base 2; f is split so that the product of its head is exact."""
    k, f = log_split_f64(x)
    head = f64_of_bits(bits(f) & -134217728)
    low = (f - head) * 1.4426950408889634 + (head * -1.0542692476429138e-08 + log1p_tail_f64(f) * 1.4426950408889634)
    return log_edges_f64(x, k + (head * 1.4426950514316559 + low))


def log10_f32(x: Any) -> Any:
    """The logarithm to base 10; f is split so that the product of its head is exact."""
    k, f = log_split_f32(x)
    head = f32_of_bits(bits(f) & -4096)
    low = (f - head) * f32(0.4342945) + (head * f32(-3.168997e-05) + log1p_tail_f32(f) * f32(0.4342945))
    y = k * f32(0.3010254) + (head * f32(0.43432617) + (low + k * f32(4.605039e-06)))
    return log_edges_f32(x, y)


def log10_f64(x: Any) -> Any:
    """The logarithm to base 10; f is split so that the product of its head is exact."""
    k, f = log_split_f64(x)
    head = f64_of_bits(bits(f) & -134217728)
    low = (f - head) * 0.4342944819032518 + (head * -2.6524694553078553e-09 + log1p_tail_f64(f) * 0.4342944819032518)
    y = k * 0.30102999566395283 + (head * 0.4342944845557213 + (low + k * 2.8363394551044964e-14))
    return log_edges_f64(x, y)


def log1p_f32(x: Any) -> Any:
    """log(1 + x) without cancellation: what 1 + x loses is added back as a first-order term."""
    u = f32(1.0) + x
    lost = select(abs(x) < f32(1.0), x - (u - f32(1.0)), f32(1.0) - (u - x))
    k, f = log_split_f32(u)
    y = log_sum_f32(k, f, lost / u)
    return select(abs(x) < f32(1e-8), x, log_edges_f32(u, y))


def log1p_f64(x: Any) -> Any:
    """log(1 + x) without cancellation: what 1 + x loses is added back as a first-order term."""
    u = 1.0 + x
    lost = select(abs(x) < 1.0, x - (u - 1.0), 1.0 - (u - x))
    k, f = log_split_f64(u)
    y = log_sum_f64(k, f, lost / u)
    return select(abs(x) < 1e-17, x, log_edges_f64(u, y))
