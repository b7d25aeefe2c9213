"""lax's names of choices: Precision, RoundingMethod, FftType, and the types of dimension numbers."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any


class Precision(enum.Enum):
    """How exactly hardware shall multiply matrices. A CPU computes in full, the upper bound of every choice."""

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2

    @classmethod
    def _missing_(cls, value: Any) -> Precision:
        names = {
            None: cls.DEFAULT, "default": cls.DEFAULT, "fastest": cls.DEFAULT, "bfloat16": cls.DEFAULT,
            "high": cls.HIGH, "bfloat16_3x": cls.HIGH, "tensorfloat32": cls.HIGH, "highest": cls.HIGHEST,
            "float32": cls.HIGHEST,
        }  # fmt: skip
        if value not in names:
            raise ValueError(f"{value!r} is no precision; one is among {list(names)}.")
        return names[value]


PrecisionLike = None | str | Precision | tuple[str, str] | tuple[Precision, Precision]
"""What `precision` of dot and dot_general may be."""

DotDimensionNumbers = tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]]
"""((lhs contracting, rhs contracting), (lhs batch, rhs batch))."""


def check_precision(name: str, precision: Any) -> None:
    """Raises ValueError unless `precision` is a PrecisionLike."""
    pair = precision if isinstance(precision, tuple) else (precision, precision)
    if len(pair) != 2:
        raise ValueError(f"lax.{name}: precision as a tuple has two entries, got {precision!r}.")
    for p in pair:
        Precision(p)


class RoundingMethod(enum.IntEnum):
    """Where lax.round takes halves."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


class FftType(enum.IntEnum):
    """The four transforms of lax.fft."""

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3
