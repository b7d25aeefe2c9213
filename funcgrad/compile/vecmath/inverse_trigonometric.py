"""asin, acos, atan, atan2.

Method: asin has a minimax polynomial of our own up to 1/2 and asin(a) = pi/2 - 2 asin(sqrt((1 - a) / 2)) above; atan has
one up to 1 and atan(a) = pi/2 - atan(1 / a) above. Multiples of pi come in two parts.
"""

from typing import Any

from funcgrad.compile.vecmath.helpers import bits, copysign, f32, poly, select, sqrt


def asin_tail_f32(z: Any) -> Any:
    """(asin(s) - s) / s at s² = z <= 1/4."""
    return z * poly(z, (0.16666731, 0.074956685, 0.0454657, 0.024057046, 0.0425536))


def asin_tail_f64(z: Any) -> Any:
    """(asin(s) - s) / s at s² = z <= 1/4."""
    return z * poly(
        z,
        (
            *(0.16666666666666172, 0.07500000000190286, 0.044642856925715506, 0.030381955955865642),
            *(0.02237181721998704, 0.017359033461046967, 0.013889990628221204, 0.012148606599901208),
            *(0.006577367972145564, 0.01948747918530145, -0.016289304841128352, 0.03203419988260157),
        ),
    )


def asin_f32(x: Any) -> Any:
    """The angle in [-pi/2, pi/2] whose sine is x."""
    a = abs(x)
    near = a < f32(0.5)
    z = select(near, x * x, f32(0.5) - f32(0.5) * a)
    s = select(near, a, sqrt(z))
    w = s * asin_tail_f32(z)
    far = f32(1.5707964) - f32(2.0) * (s + (w - f32(-2.1855694e-08)))
    return copysign(select(near, s + w, far), x)


def asin_f64(x: Any) -> Any:
    """The angle in [-pi/2, pi/2] whose sine is x."""
    a = abs(x)
    near = a < 0.5
    z = select(near, x * x, 0.5 - 0.5 * a)
    s = select(near, a, sqrt(z))
    w = s * asin_tail_f64(z)
    far = 1.5707963267948966 - 2.0 * (s + (w - 3.061616997868383e-17))
    return copysign(select(near, s + w, far), x)


def acos_f32(x: Any) -> Any:
    """The angle in [0, pi] whose cosine is x."""
    a = abs(x)
    near = a < f32(0.5)
    z = select(near, x * x, f32(0.5) - f32(0.5) * a)
    s = select(near, x, sqrt(z))
    w = s * asin_tail_f32(z)
    middle = f32(1.5707964) - (s + (w - f32(-4.371139e-08)))
    left = f32(3.1415927) - f32(2.0) * (s + (w - f32(-4.371139e-08)))
    return select(near, middle, select(x > f32(0.0), f32(2.0) * (s + w), left))


def acos_f64(x: Any) -> Any:
    """The angle in [0, pi] whose cosine is x."""
    a = abs(x)
    near = a < 0.5
    z = select(near, x * x, 0.5 - 0.5 * a)
    s = select(near, x, sqrt(z))
    w = s * asin_tail_f64(z)
    middle = 1.5707963267948966 - (s + (w - 6.123233995736766e-17))
    left = 3.141592653589793 - 2.0 * (s + (w - 6.123233995736766e-17))
    return select(near, middle, select(x > 0.0, 2.0 * (s + w), left))


def atan_tail_f32(t: Any) -> Any:
    """atan(t) - t for 0 <= t <= 1."""
    z = t * t
    p = poly(
        z,
        (
            *(-0.33333313, 0.19998842, -0.14266346, 0.10958582, -0.08410654),
            *(0.05791354, -0.03099129, 0.0107485, -0.0017437012),
        ),
    )
    return t * (z * p)


def atan_tail_f64(t: Any) -> Any:
    """atan(t) - t for 0 <= t <= 1."""
    z = t * t
    p = poly(
        z,
        (
            *(-0.3333333333333282, 0.19999999999875842, -0.1428571427668073, 0.1111111079903754, -0.090909028529113),
            *(0.07692227151622738, -0.06665946745082134, 0.05877683050820972, -0.05240422966120687),
            *(0.046767258385369416, -0.04097377290869819, 0.03412541886204783, -0.02587288151778454),
            *(0.01699563511835043, -0.009177207106724927, 0.003841319323168443, -0.0011548578284354698),
            *(0.0002201162089356235, -1.9873411074488306e-05),
        ),
    )
    return t * (z * p)


def atan_f32(x: Any) -> Any:
    """The angle in [-pi/2, pi/2] whose tangent is x."""
    a = abs(x)
    steep = a > f32(1.0)
    t = select(steep, f32(1.0) / a, a)
    w = atan_tail_f32(t)
    return copysign(select(steep, f32(1.5707964) - (t + (w - f32(-4.371139e-08))), t + w), x)


def atan_f64(x: Any) -> Any:
    """The angle in [-pi/2, pi/2] whose tangent is x."""
    a = abs(x)
    steep = a > 1.0
    t = select(steep, 1.0 / a, a)
    w = atan_tail_f64(t)
    return copysign(select(steep, 1.5707963267948966 - (t + (w - 6.123233995736766e-17)), t + w), x)


def atan2_f32(y: Any, x: Any) -> Any:
    """The angle in [-pi, pi] of the point (x, y), signed zeros and infinities included."""
    a = abs(x)
    b = abs(y)
    steep = b > a
    low = select(steep, a, b)
    high = select(steep, b, a)
    t = select(low == high, select(high == f32(0.0), f32(0.0), f32(1.0)), low / high)
    w = atan_tail_f32(t)
    angle = select(steep, f32(1.5707964) - (t + (w - f32(-4.371139e-08))), t + w)
    angle = select(bits(x) < 0, f32(3.1415927) - (angle - f32(-8.742278e-08)), angle)
    return copysign(select(x == x, angle, x), y)


def atan2_f64(y: Any, x: Any) -> Any:
    """The angle in [-pi, pi] of the point (x, y), signed zeros and infinities included."""
    a = abs(x)
    b = abs(y)
    steep = b > a
    low = select(steep, a, b)
    high = select(steep, b, a)
    t = select(low == high, select(high == 0.0, 0.0, 1.0), low / high)
    w = atan_tail_f64(t)
    angle = select(steep, 1.5707963267948966 - (t + (w - 6.123233995736766e-17)), t + w)
    angle = select(bits(x) < 0, 3.141592653589793 - (angle - 1.2246467991473532e-16), angle)
    return copysign(select(x == x, angle, x), y)
