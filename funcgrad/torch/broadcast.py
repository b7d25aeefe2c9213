"""What PyTorch says of shapes that do not broadcast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def check_broadcast(shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises RuntimeError, as PyTorch does, for shapes that do not broadcast."""
    rank = max([len(s) for s in shapes], default=0)
    sizes = [1] * rank
    for shape in shapes:
        for i, n in enumerate(shape, rank - len(shape)):
            if n != 1 and sizes[i] not in (1, n):
                raise RuntimeError(
                    f"The size of tensor a ({sizes[i]}) must match the size of tensor b ({n}) at non-singleton dimension {i}"
                )
            sizes[i] = sizes[i] if n == 1 else n


def check_output(shape: tuple[int, ...], shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises RuntimeError if what these shapes broadcast to is not the shape of the tensor that is written to."""
    check_broadcast(shapes)
    found = np.broadcast_shapes(*shapes)
    if found != shape:
        raise RuntimeError(f"output with shape {list(shape)} doesn't match the broadcast shape {list(found)}")
