"""Reverse mode: cotangents pulled back through the records of a trace, in reverse order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.core.primitive import Primitive
from funcgrad.core.tracing import Record, Trace, Tracer, dtype_of, is_own
from funcgrad.ops.families import zeros_like

Flat = Callable[..., Sequence[Any]]


def pull_cotangents(trace: Trace, records: Sequence[Record], cts: dict[int, Any]) -> None:
    """Turns `cts` (by id of tracer) from cotangents of outputs into cotangents of inputs; a missing one is zero."""
    for r in reversed(records):
        primitive = r.primitive
        if primitive.multiple:
            ct: Any = [cts.pop(id(t), None) for t in r.outputs]
            if all(c is None for c in ct):
                continue
        else:
            ct = cts.pop(id(r.outputs), None)
            if ct is None:
                continue
        inputs = r.inputs
        wanted = [type(a) is Tracer and a.owner is trace for a in inputs]
        if r.linear is not None:
            assert r.linear.pull is not None
            found = r.linear.pull(ct)
        else:
            outs = [t.value for t in r.outputs] if primitive.multiple else r.outputs.value
            rule = primitive.vjp or _transposed_jvp(primitive)
            found = rule(ct, outs, r.args, r.params, wanted)
        for i, c in enumerate(found):
            if c is not None and wanted[i]:
                key = id(inputs[i])
                known = cts.get(key)
                cts[key] = c if known is None else known + c


def _transposed_jvp(primitive: Primitive) -> Callable[..., list[Any]]:
    """The vjp of a row that has a jvp only: the jvp is linear in the tangents, so its own reverse mode transposes it."""
    if primitive.jvp is None:
        raise primitive.missing("vjp")

    def vjp(ct: Any, outs: Any, args: Sequence[Any], params: dict[str, Any], wanted: Sequence[bool]) -> list[Any]:
        moving = [i for i, w in enumerate(wanted) if w]

        def push(*tangents: Any) -> list[Any]:
            all_tangents: list[Any] = [None] * len(args)
            for i, t in zip(moving, tangents, strict=True):
                all_tangents[i] = t
            moved = primitive.jvp(all_tangents, outs, args, params)  # type: ignore[misc]
            pairs = zip(moved, outs, strict=True) if primitive.multiple else [(moved, outs)]
            return [zeros_like(out) if t is None else t for t, out in pairs]

        _, pull = vjp_flat(push, [zeros_like(args[i]) for i in moving], primitive.name)
        found = dict(zip(moving, pull(ct if primitive.multiple else [ct]), strict=True))
        return [found.get(i) for i in range(len(args))]

    return vjp


def vjp_flat(
    f: Flat, primals: Sequence[Any], name: str = "vjp"
) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    """Values of flat `f` and the function from output cotangents to input cotangents (None is zero) at that point.

    Primals that are not inexact are passed as they are and have no cotangent.
    """
    trace = Trace("reverse", name)
    try:
        inputs = [trace.input(p) if dtype_of(p).kind in "fc" else p for p in primals]
        outputs = list(f(*inputs))
    finally:
        records = trace.close()
    values = [o.value if is_own(trace, o) else o for o in outputs]

    def pull(cotangents: Sequence[Any]) -> list[Any]:
        cts: dict[int, Any] = {}
        for o, c in zip(outputs, cotangents, strict=True):
            if c is not None and is_own(trace, o):
                cts[id(o)] = cts[id(o)] + c if id(o) in cts else c

        pull_cotangents(trace, records, cts)
        return [cts.get(id(i)) if is_own(trace, i) else None for i in inputs]

    return values, pull


def instantiate(cts: Sequence[Any], primals: Sequence[Any]) -> list[Any]:
    """Cotangents with None replaced by zeros of the matching primal."""
    return [zeros_like(p) if c is None else c for c, p in zip(cts, primals, strict=True)]
