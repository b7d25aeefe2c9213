"""What the distributions share: arguments as floats, and logarithms that stay defined at the ends of a support."""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.core.array import wrap
from funcgrad.core.tracing import dtype_of, type_of
from funcgrad.numpy.wrapping import operand
from funcgrad.ops import elementwise as e
from funcgrad.ops import special as s
from funcgrad.ops.basics import convert


def floats(*args: Any) -> tuple[Any, ...]:
    """Arguments as arrays of one floating dtype: that of the arrays among them; integers and numbers become float64."""
    found = [operand(a) for a in args]
    strong = [dtype_of(a) for a in found if not type_of(a).weak]
    dtype = np.result_type(*strong) if strong else np.dtype(np.float64)
    if dtype.kind not in "fc":
        dtype = np.dtype(np.float64)
    return tuple(convert(a, dtype) for a in found)


def within(inside: Any, x: Any, otherwise: Any) -> Any:
    """x where `inside`, a constant elsewhere, where x has no derivative either."""
    return e.select(inside, x, otherwise)


def log_of(p: Any) -> Any:
    """log(p), and -inf at 0 without a warning or a derivative."""
    return within(p == 0, -np.inf, e.log(within(p == 0, 1.0, p)))


def log_share(p: Any, q: Any) -> Any:
    """log(p) of shares p and q = 1 - p, accurate near 1 as well."""
    small = p < 0.5
    return e.select(small, log_of(p), e.log1p(-within(small, 0.0, q)))


def _ends(n: Any) -> Any:
    """n * log(0)."""
    return convert(within(n > 0, -np.inf, within(n < 0, np.inf, 0.0)), dtype_of(n))


def log_times(n: Any, p: Any) -> Any:
    """n * log(p) for p >= 0: 0 where n is 0, and infinite where only p is."""
    return within(p == 0, _ends(n), n * e.log(within(p == 0, 1.0, p)))


def log1p_times(n: Any, p: Any) -> Any:
    """n * log(1 + p) for p >= -1: 0 where n is 0, and infinite where only 1 + p is 0."""
    return within(p == -1, _ends(n), n * e.log1p(within(p == -1, 0.0, p)))


def log_beta(a: Any, b: Any) -> Any:
    """The logarithm of the beta function."""
    return s.lgamma(a) + s.lgamma(b) - s.lgamma(a + b)


def is_whole(x: Any) -> Any:
    """Whether values are integers."""
    return e.floor(x) == x


def exp_of(x: Any) -> Any:
    """exp of a wrapped result, wrapped."""
    return wrap(e.exp(operand(x)))
