"""NumPy evaluations of the random primitives that loop: shuffles, gamma, Poisson and binomial deviates.

Each takes keys (..., 2) and parameters whose shape begins with the keys' leading axes. A rejection loop works on the
flat places that are not accepted yet; `Streams` gives every place its own uniforms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from funcgrad.ops.families import scipy_special as special
from funcgrad.ops.threefry import Shape, Streams, fill_bits, fill_keys

_EPS = 2.0**-53


def permutation(key: Any, *, shape: Shape, axis: int) -> np.ndarray:
    """Indices that shuffle along `axis`, each line on its own: stable sorts by random 32-bit words, until ties
    between all of the words of two values are out of the question."""
    key = np.asarray(key)
    lead = key.shape[:-1]
    along = len(lead) + axis
    size = math.prod(shape)
    rounds = int(np.ceil(3 * np.log(max(1, size)) / np.log(2**32 - 1)))
    n = shape[axis]
    start = np.arange(n, dtype=np.int64).reshape(n, *(1,) * (len(shape) - axis - 1))
    order = np.array(np.broadcast_to(start, (*lead, *shape)))
    for _ in range(rounds):
        both = fill_keys(key, (2,))
        key = both[..., 0, :]
        words = fill_bits(both[..., 1, :], shape, 32)
        order = np.take_along_axis(order, np.argsort(words, axis=along, kind="stable"), along)
    return order


# ---- gamma ----


def loggamma(key: Any, a: Any) -> np.ndarray:
    """Logarithms of gamma deviates of shape `a` (Marsaglia and Tsang's squeeze; nan for a < 0, -inf for a == 0)."""
    a = np.asarray(a)
    shape, wide = a.shape, a.astype(np.float64).ravel()
    streams = Streams(key, shape)
    out = np.where(wide == 0, -np.inf, np.nan)
    good = (wide > 0) & np.isfinite(wide)
    every = np.flatnonzero(good)
    d = np.where(wide < 1, wide + 1, wide) - 1 / 3
    left = every
    while left.size:
        here = d[left]
        x = special.ndtri(streams.uniform(left))
        v = 1 + x / (3 * np.sqrt(here))
        u = streams.uniform(left)
        with np.errstate(invalid="ignore", divide="ignore"):
            log_v = 3 * np.log(v)
            accept = (v > 0) & (np.log(u) < 0.5 * x * x + here * (1 - v**3 + log_v))
        out[left[accept]] = np.log(here[accept]) + log_v[accept]
        left = left[~accept]
    low = np.flatnonzero(good & (wide < 1))
    with np.errstate(over="ignore"):
        out[low] += np.log(streams.uniform(low)) / wide[low]
    return out.reshape(shape).astype(a.dtype)


def loggamma_grad(a: Any, log_x: Any) -> np.ndarray:
    """d log(x) / d a of a gamma deviate x at a fixed level: -(dP(a, x)/da) / (x p(x; a)).

    Below x = a + 1 from the power series of P, above from the continued fraction of 1 - P, each differentiated term
    by term and divided by the density, so that nothing overflows and only terms of one sign are added.
    """
    a = np.asarray(a)
    wide, level = a.astype(np.float64).ravel(), np.asarray(log_x).astype(np.float64).ravel()
    out = np.full(wide.shape, np.nan)
    with np.errstate(over="ignore"):
        x = np.exp(level)
    good = (wide > 0) & np.isfinite(wide) & np.isfinite(level)
    low, high = np.flatnonzero(good & (x <= wide + 1)), np.flatnonzero(good & (x > wide + 1))
    out[low] = _grad_by_series(wide[low], x[low], level[low])
    out[high] = _grad_by_fraction(wide[high], x[high], level[high])
    return out.reshape(a.shape).astype(a.dtype)


def _grad_by_series(a: np.ndarray, x: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    # P = x^a e^-x / Gamma(a + 1) * total, total = sum_n x^n / ((a + 1) ... (a + n)).
    term, harmonic = np.ones_like(a), np.zeros_like(a)
    total, slope = np.ones_like(a), np.zeros_like(a)
    n = 0
    while a.size:
        n += 1
        term *= x / (a + n)
        harmonic += 1 / (a + n)
        total += term
        slope -= term * harmonic
        if np.all((term <= _EPS * total) & (term * harmonic <= _EPS * (-slope + 1e-300))):
            break
    return -(total * (log_x - special.digamma(a + 1)) + slope) / a


def _grad_by_fraction(a: np.ndarray, x: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    # 1 - P = x^a e^-x / Gamma(a) * h, h by Lentz's algorithm; dc, dd and dlog are derivatives by a.
    b = x + 1 - a
    d = 1 / b
    dd = d * d
    c, dc = np.full_like(a, 1e300), np.zeros_like(a)
    h, dlog = d.copy(), d.copy()
    i = 0
    while a.size:
        i += 1
        num = -i * (i - a)
        b += 2
        old_d, old_dd, old_c, old_dc = d, dd, c, dc
        d = 1 / (num * old_d + b)
        dd = -d * d * (i * old_d + num * old_dd - 1)
        c = b + num / old_c
        dc = -1 + i / old_c - num * old_dc / old_c / old_c
        factor = d * c
        h *= factor
        change = dd / d + dc / c
        dlog += change
        if np.all((np.abs(factor - 1) <= 4 * _EPS) & (np.abs(change) <= 4 * _EPS * (1 + np.abs(dlog)))):
            break
    return h * (log_x - special.digamma(a) + dlog)


# ---- Poisson ----


def poisson(key: Any, lam: Any, *, dtype: np.dtype) -> np.ndarray:
    """Poisson deviates of rate `lam` (-1 for a negative rate or nan): inversion below 10, else Hörmann's PTRS."""
    lam = np.asarray(lam)
    shape, rate = lam.shape, lam.astype(np.float64).ravel()
    streams = Streams(key, shape)
    out = np.where(rate >= 0, 0.0, -1.0)
    small = np.flatnonzero((rate >= 0) & (rate < 10))
    _invert(out, small, streams.uniform(small), np.exp(-rate[small]), lambda k, places: rate[places] / (k + 1))
    left = np.flatnonzero((rate >= 10) & np.isfinite(rate))
    while left.size:
        here = rate[left]
        b = 0.931 + 2.53 * np.sqrt(here)
        a = -0.059 + 0.02483 * b
        u, v = streams.uniform(left) - 0.5, streams.uniform(left)
        us = 0.5 - np.abs(u)
        k = np.floor((2 * a / us + b) * u + here + 0.43)
        quick = (us >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
        never = (k < 0) | ((us < 0.013) & (v > us))
        bound = -here + k * np.log(here) - special.gammaln(np.maximum(k, 0) + 1)
        slow = np.log(v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b)) <= bound
        accept = quick | (~never & slow)
        out[left[accept]] = k[accept]
        left = left[~accept]
    return out.reshape(shape).astype(dtype)


def _invert(out: np.ndarray, left: np.ndarray, u: np.ndarray, mass: np.ndarray, ratio: Any) -> None:
    """Sequential search for the level u: mass is the probability of 0, ratio(k, places) that of k + 1 over k."""
    k = 0
    while left.size:
        stay = u <= mass
        # The masses shrink geometrically; a level within rounding of 1 ends where they vanish.
        stay |= (mass < 1e-300) & (k > 100)
        out[left[stay]] = k
        left, u, mass = left[~stay], (u - mass)[~stay], mass[~stay]
        mass = mass * ratio(k, left)
        k += 1


# ---- binomial ----


def binomial(key: Any, n: Any, p: Any) -> np.ndarray:
    """Binomial deviates as floats (nan outside n >= 0, 0 <= p <= 1): inversion below a mean of 10, else BTRS."""
    p = np.asarray(p)
    shape, prob = p.shape, p.astype(np.float64).ravel()
    count = np.floor(np.asarray(n).astype(np.float64).ravel())
    streams = Streams(key, shape)
    good = (count >= 0) & (prob >= 0) & (prob <= 1)
    out = np.where(good, 0.0, np.nan)
    q = np.where(prob < 0.5, prob, 1 - prob)
    finite = good & np.isfinite(count)
    mean = np.where(finite, count, 0) * q
    small = np.flatnonzero(finite & (mean < 10))
    odds = q / (1 - q)
    zero = np.exp(count[small] * np.log1p(-q[small]))
    _invert(out, small, streams.uniform(small), zero, lambda k, at: (count[at] - k) / (k + 1) * odds[at])
    left = np.flatnonzero(finite & (mean >= 10))
    while left.size:
        k, accept = _btrs(count[left], q[left], streams.uniform(left) - 0.5, streams.uniform(left))
        out[left[accept]] = k[accept]
        left = left[~accept]
    flipped = finite & (prob >= 0.5)
    out[flipped] = count[flipped] - out[flipped]
    endless = good & ~np.isfinite(count)
    out[endless] = np.where(prob[endless] == 0, 0.0, np.inf)
    return out.reshape(shape).astype(p.dtype)


def _btrs(n: np.ndarray, p: np.ndarray, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One try of the transformed rejection for n p >= 10, p <= 0.5: the values, and which of them are accepted."""
    spread = np.sqrt(n * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    us = 0.5 - np.abs(u)
    k = np.floor((2 * a / us + b) * u + n * p + 0.5)
    inside = (k >= 0) & (k <= n)
    quick = (us >= 0.07) & (v <= 0.92 - 4.2 / b)
    alpha = (2.83 + 5.1 / b) * spread
    m = np.floor((n + 1) * p)
    safe = np.clip(k, 0, n)
    lf = special.gammaln
    bound = (
        lf(m + 1) + lf(n - m + 1) - lf(safe + 1) - lf(n - safe + 1) + (safe - m) * np.log(p / (1 - p))
    )  # the log of the probability of k over that of the mode m
    slow = np.log(v * alpha / (a / (us * us) + b)) <= bound
    return k, inside & (quick | slow)
