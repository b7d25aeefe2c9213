"""The exponent of a float: a row, since no arithmetic reads the bits of a number."""

from __future__ import annotations

import numpy as np

from funcgrad.core.primitive import Primitive
from funcgrad.ops.pointwise import elementwise, reals

exponent: Primitive = elementwise(
    "exponent", lambda x: np.frexp(x)[1], None, reals(), dtype=lambda types: np.dtype(np.int32)
)
