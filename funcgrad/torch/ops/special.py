"""Special functions that only `torch.special` names, and the incomplete gamma functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import funcgrad.numpy as fnp
from funcgrad.scipy import special
from funcgrad.torch.operation import Operand, operation
from funcgrad.torch.ops.unary import _row

entr = _row("special_entr", special.entr, "-input * log(input); -inf below 0.", inplace=False)
erfcx = _row("special_erfcx", special.erfcx, "exp(input**2) * erfc(input).", inplace=False)
i0e = _row("special_i0e", special.i0e, "exp(-|input|) * i0(input).", inplace=False, title="SpecialI0EBackward0")
i1 = _row("special_i1", special.i1, "The modified Bessel function of order 1.", inplace=False)
i1e = _row("special_i1e", special.i1e, "exp(-|input|) * i1(input).", inplace=False, title="SpecialI1EBackward0")
ndtri = _row("special_ndtri", special.ndtri, "The inverse of ndtr.", inplace=False)
log_ndtr = _row("special_log_ndtr", special.log_ndtr, "The logarithm of ndtr.", inplace=False)
ndtr = _row(
    "special_ndtr",
    lambda x: 0.5 * special.erfc(-x * math.sqrt(0.5)),
    "The normal distribution function.",
    inplace=False,
    title="MulBackward1",
)


@operation("SpecialXlog1PyBackward0", promote="float", method=False)
def xlog1py(input: Operand, other: Operand) -> Any:
    """input * log(1 + other), 0 where input is 0."""
    return special.xlog1py(input, other)


@operation("SpecialZetaBackward0", promote="float", method=False)
def zeta(input: Operand, other: Operand) -> Any:
    """The Hurwitz zeta function."""
    return special.zeta(input, other)


def _gamma_ratio(name: str, f: Callable[[Any, Any], Any], doc: str) -> Any:
    def body(input: Operand, other: Operand) -> Any:
        return f(*fnp.broadcast_arrays(input, other))

    body.__name__ = body.__qualname__ = name
    body.__doc__ = doc
    return operation(promote="float", inplace=True, name=name)(body)


igamma = _gamma_ratio("igamma", special.gammainc, "The regularised lower incomplete gamma function.")
igammac = _gamma_ratio("igammac", special.gammaincc, "The regularised upper incomplete gamma function.")
