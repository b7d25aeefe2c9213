"""Forward mode: tangents pushed through the records of a trace, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.core.tracing import Record, Trace, dtype_of, is_own
from funcgrad.ops.families import zeros_like

Flat = Callable[..., Sequence[Any]]


def push_tangents(trace: Trace, records: Sequence[Record], tangents: dict[int, Any]) -> None:
    """Adds to `tangents` (by id of tracer) the tangent of each record's outputs; a missing one is zero."""
    for r in records:
        moving = [tangents.get(id(a)) if is_own(trace, a) else None for a in r.inputs]
        if all(t is None for t in moving):
            continue
        if r.linear is not None:
            assert r.linear.push is not None
            found = r.linear.push(moving)
        else:
            outs = [t.value for t in r.outputs] if r.primitive.multiple else r.outputs.value
            if r.primitive.jvp is None:
                raise r.primitive.missing("jvp")
            result = r.primitive.jvp(moving, outs, r.args, r.params)
            found = result if r.primitive.multiple else [result]
        outputs = r.outputs if r.primitive.multiple else (r.outputs,)
        tangents.update((id(out), t) for out, t in zip(outputs, found, strict=True) if t is not None)


def linearize_flat(
    f: Flat, primals: Sequence[Any], name: str
) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    """Values of flat `f` and the function from input tangents to output tangents (None is zero) at that point.

    Primals that are not inexact are passed as they are and have no tangent.
    """
    trace = Trace("forward", name)
    try:
        inputs = [trace.input(p) if dtype_of(p).kind in "fc" else p for p in primals]
        outputs = list(f(*inputs))
    finally:
        records = trace.close()
    values = [o.value if is_own(trace, o) else o for o in outputs]

    def push(tangents: Sequence[Any]) -> list[Any]:
        known = {id(i): t for i, t in zip(inputs, tangents, strict=True) if t is not None and is_own(trace, i)}
        push_tangents(trace, records, known)
        return [known.get(id(o)) if is_own(trace, o) else None for o in outputs]

    return values, push


def jvp_flat(
    f: Flat, primals: Sequence[Any], tangents: Sequence[Any], name: str = "jvp"
) -> tuple[list[Any], list[Any]]:
    """Values and output tangents (zeros made explicit) of flat `f`."""
    values, push = linearize_flat(f, primals, name)
    return values, [zeros_like(v) if t is None else t for v, t in zip(values, push(tangents), strict=True)]
