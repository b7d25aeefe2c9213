"""Settings of compiled execution, and its counts."""

from __future__ import annotations

from typing import Any

from funcgrad.compile import conv_types, execute
from funcgrad.ops.families import LazyModule

native: Any = LazyModule("funcgrad.compile.native")


def compile_log() -> dict[str, int]:
    """How many kernels this process has "compiled", "loaded" from disk, and "shared" between programs or shapes."""
    return native.compile_log()


def set_tiered(on: bool) -> None:
    """Whether jitted functions that do not say answer their first calls with NumPy while another process compiles."""
    execute.tiered[0] = bool(on)


def set_num_threads(n: int) -> None:
    """Compiled programs use n threads from the next call on; results are the same bits for any n. Raises ValueError for n < 1."""
    if n < 1:
        raise ValueError(f"set_num_threads needs at least 1 thread, got {n}.")
    runtime = native.native()
    if runtime is not None:
        runtime.set_threads(n)


def set_allow_winograd(on: bool) -> None:
    """Whether 3 x 3 float32 convolutions of programs that are compiled from now on may use Winograd's algorithm, as they do by
    default: up to three times as fast, with errors of 1e-5 of the largest result rather than 1e-6. A relu whose argument is that
    near to 0 may then be on the other side of its kink, which shows in gradients of small layers."""
    conv_types.allow_winograd[0] = bool(on)
