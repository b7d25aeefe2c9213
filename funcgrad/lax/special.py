"""lax's special functions, strict about dtypes."""

from __future__ import annotations

from typing import Any

from funcgrad.api.custom import stop_gradient as stop_gradient
from funcgrad.core.array import wrap
from funcgrad.lax.elementwise import same_types
from funcgrad.ops import bessel, incomplete_beta
from funcgrad.ops import special as s


def erf(x: Any) -> Any:
    """The error function, elementwise."""
    return wrap(s.erf(*same_types("erf", x)))


def erfc(x: Any) -> Any:
    """1 - erf(x), elementwise."""
    return wrap(s.erfc(*same_types("erfc", x)))


def erf_inv(x: Any) -> Any:
    """The inverse of erf, elementwise."""
    return wrap(s.erf_inv(*same_types("erf_inv", x)))


def lgamma(x: Any) -> Any:
    """The logarithm of |gamma(x)|, elementwise."""
    return wrap(s.lgamma(*same_types("lgamma", x)))


def digamma(x: Any) -> Any:
    """The derivative of lgamma, elementwise."""
    return wrap(s.digamma(*same_types("digamma", x)))


def polygamma(m: Any, x: Any) -> Any:
    """The m-th derivative of digamma, elementwise."""
    return wrap(s.polygamma(*same_types("polygamma", m, x)))


def zeta(x: Any, q: Any) -> Any:
    """The Hurwitz zeta function, elementwise."""
    return wrap(s.zeta(*same_types("zeta", x, q)))


def igamma(a: Any, x: Any) -> Any:
    """The lower regularised incomplete gamma function, elementwise."""
    return wrap(s.igamma(*same_types("igamma", a, x)))


def igammac(a: Any, x: Any) -> Any:
    """The upper regularised incomplete gamma function, elementwise."""
    return wrap(s.igammac(*same_types("igammac", a, x)))


def betainc(a: Any, b: Any, x: Any) -> Any:
    """The regularised incomplete beta function, elementwise."""
    return wrap(incomplete_beta.betainc(*same_types("betainc", a, b, x)))


def bessel_i0e(x: Any) -> Any:
    """exp(-|x|) times the modified Bessel function of order 0, elementwise."""
    return wrap(bessel.bessel_i0e(*same_types("bessel_i0e", x)))


def bessel_i1e(x: Any) -> Any:
    """exp(-|x|) times the modified Bessel function of order 1, elementwise."""
    return wrap(bessel.bessel_i1e(*same_types("bessel_i1e", x)))


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)), elementwise."""
    return wrap(s.logistic(*same_types("logistic", x)))
