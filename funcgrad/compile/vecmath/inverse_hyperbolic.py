"""asinh, acosh, atanh, all from one logarithm of a sum that keeps its small parts."""

from typing import Any

from funcgrad.compile.vecmath.exponentials import clip_f32, clip_f64
from funcgrad.compile.vecmath.helpers import copysign, f32, inf, nan, poly, select, sqrt
from funcgrad.compile.vecmath.logarithms import log_split_f32, log_split_f64, log_sum_f32, log_sum_f64


def asinh_f32(x: Any) -> Any:
    """The inverse hyperbolic sine: from 0.5 on log(1 + v) with v = a + a² / (1 + sqrt(1 + a²)), from 2^14 on log(2 a)."""
    a = abs(x)
    z = x * x
    near = a + a * z * poly(z, (-0.16666648, 0.07498675, -0.044377014, 0.028097307, -0.013074061))
    far = a > f32(16384.0)
    c = clip_f32(a, f32(0.0), f32(16384.0))
    q = c * c / (f32(1.0) + sqrt(f32(1.0) + c * c))
    y = select(a < f32(0.5), near, log1p_sum_f32(c, q, far, a))
    return copysign(select(a < f32(inf), y, a), x)


def acosh_f32(x: Any) -> Any:
    """The inverse hyperbolic cosine: log(1 + v) with v = t + sqrt(2 t + t²), t = x - 1, from 2^14 on log(2 x)."""
    far = x > f32(16384.0)
    t = clip_f32(x, f32(1.0), f32(16384.0)) - f32(1.0)
    s = sqrt(t * t + (t + t))
    big = select(s > t, s, t)
    y = log1p_sum_f32(big, select(s > t, t, s), far, x)
    y = select(x < f32(inf), y, x)
    return select(x < f32(1.0), f32(nan), y)


def atanh_f32(x: Any) -> Any:
    """The inverse hyperbolic tangent: log(1 + v) / 2 with v = 2 a + 2 a² / (1 - a)."""
    a = abs(x)
    d = a + a
    y = f32(0.5) * log1p_sum_f32(d, d * a / (f32(1.0) - a), a >= f32(1.0), a)
    y = select(a < f32(1e-4), a, select(a == f32(1.0), f32(inf), y))
    return copysign(select(a > f32(1.0), f32(nan), y), x)


def log1p_sum_f32(a: Any, q: Any, far: Any, x: Any) -> Any:
    """log(1 + a + q) for 0 <= q, a with what each sum loses added back, but log(2 x) where `far` holds."""
    v = a + q
    u = f32(1.0) + v
    above = v > f32(1.0)
    lost = select(above, f32(1.0) - (u - v), v - (u - f32(1.0))) + select(a > q, q - (v - a), a - (v - q))
    k, f = log_split_f32(select(far, x, u))
    return log_sum_f32(select(far, k + f32(1.0), k), f, select(far, f32(0.0), lost / u))


def asinh_f64(x: Any) -> Any:
    """The inverse hyperbolic sine: from 0.5 on log(1 + v) with v = a + a² / (1 + sqrt(1 + a²)), from 2^28 on log(2 a)."""
    a = abs(x)
    z = x * x
    p = poly(
        z,
        (
            *(-0.1666666666666664, 0.0749999999998971, -0.044642857131027266, 0.030381943808223396),
            *(-0.02237213976466593, 0.01735239815054224, -0.013960259842298395, 0.011512705622355039),
            *(-0.009531253726540664, 0.007453769244571032, -0.004723682343807948, 0.0016986523682755658),
        ),
    )
    far = a > 268435456.0
    c = clip_f64(a, 0.0, 268435456.0)
    q = c * c / (1.0 + sqrt(1.0 + c * c))
    y = select(a < 0.5, a + a * z * p, log1p_sum_f64(c, q, far, a))
    return copysign(select(a < inf, y, a), x)


def acosh_f64(x: Any) -> Any:
    """The inverse hyperbolic cosine: log(1 + v) with v = t + sqrt(2 t + t²), t = x - 1, from 2^28 on log(2 x)."""
    far = x > 268435456.0
    t = clip_f64(x, 1.0, 268435456.0) - 1.0
    s = sqrt(t * t + (t + t))
    big = select(s > t, s, t)
    y = log1p_sum_f64(big, select(s > t, t, s), far, x)
    y = select(x < inf, y, x)
    return select(x < 1.0, nan, y)


def atanh_f64(x: Any) -> Any:
    """The inverse hyperbolic tangent: log(1 + v) / 2 with v = 2 a + 2 a² / (1 - a)."""
    a = abs(x)
    d = a + a
    y = 0.5 * log1p_sum_f64(d, d * a / (1.0 - a), a >= 1.0, a)
    y = select(a < 1e-9, a, select(a == 1.0, inf, y))
    return copysign(select(a > 1.0, nan, y), x)


def log1p_sum_f64(a: Any, q: Any, far: Any, x: Any) -> Any:
    """log(1 + a + q) for 0 <= q, a with what each sum loses added back, but log(2 x) where `far` holds."""
    v = a + q
    u = 1.0 + v
    above = v > 1.0
    lost = select(above, 1.0 - (u - v), v - (u - 1.0)) + select(a > q, q - (v - a), a - (v - q))
    k, f = log_split_f64(select(far, x, u))
    return log_sum_f64(select(far, k + 1.0, k), f, select(far, 0.0, lost / u))
