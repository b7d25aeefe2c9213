"""What an interrupted loop had reached: `carry` and `step` on the KeyboardInterrupt that left it."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import numpy as np

from funcgrad import tree
from funcgrad.compile.entries import ControlStep, HostStep, NativeStep, Plan, aligned, nbytes
from funcgrad.core.array import Array
from funcgrad.core.types import ArrayType
from funcgrad.transforms.loop import CARRY


def tell(
    error: BaseException, plan: Plan, words: np.ndarray, loops: Mapping[ControlStep | NativeStep, tuple[int, int]]
) -> None:
    """Gives an exception that interrupts a program the last completed carry of the loop it was in: `error.carry`, a pytree of
    arrays as the loop's body returns it (its value for fori_loop; a list of arrays where a transform made the loop), and
    `error.step`, how many steps were done. Nothing if it was in no loop."""
    natives = [e for e in plan.entries if not isinstance(e, HostStep)]
    at = int(words[7])
    entry = natives[at] if at < len(natives) else None
    if isinstance(entry, ControlStep) and entry.is_loop:
        table, given = loops[entry]
        eq, step = entry.equation, int(words[table + 11])
        base = int(words[table + 16]) - entry.buffers[-1]
        types = [v.type for v in entry.results[: eq.params["carry"]]]
        odd = (step - 1) % 2
        step *= entry.bodies[0].burst
        places = [base + b + odd * aligned(nbytes(t)) for b, t in zip(entry.buffers, types, strict=False)]
    elif isinstance(entry, NativeStep) and entry.loop is not None:
        eq, step = entry.loop, int(words[8])
        _, given = loops[entry]
        first = given + len(eq.inputs)
        types = [v.type for v in eq.outputs[: eq.params["carry"]]]
        places = [int(words[first + i]) for i in range(len(types))]
    else:
        return
    if step == 0:
        start = given + eq.params["consts"]
        places = [int(words[start + i]) for i in range(len(types))]
    leaves = [_copied(p, t) for p, t in zip(places, types, strict=True)]
    structure, counted = eq.params["program"].cache.get(CARRY, (None, False))
    carry = leaves if structure is None else tree.unflatten(structure, leaves)
    error.carry = carry[1] if counted else carry  # type: ignore[attr-defined]
    error.step = step  # type: ignore[attr-defined]


def _copied(address: int, kind: ArrayType) -> np.ndarray:
    data = (ctypes.c_char * nbytes(kind)).from_address(address)
    return np.frombuffer(bytes(data), kind.dtype).reshape(kind.shape).copy().view(Array)
