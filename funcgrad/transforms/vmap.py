"""Batching: the records of an abstract trace of one example, run on arrays whose axis 0 is the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.core.tracing import Trace, Tracer, is_own, trace_context, type_of
from funcgrad.core.types import array_type
from funcgrad.ops.basics import broadcast_in_dim

Flat = Callable[..., Sequence[Any]]


def stack_copies(x: Any, size: int) -> Any:
    """`x` repeated along a new leading axis."""
    shape = type_of(x).shape
    return broadcast_in_dim(x, shape=(size, *shape), dims=tuple(range(1, len(shape) + 1)))


def vmap_flat(f: Flat, size: int, batched: Sequence[bool], args: Sequence[Any],
              name: str = "vmap") -> tuple[list[Any], list[bool]]:  # fmt: skip
    """Outputs of flat `f` over a batch, and which of them have a batch axis. Batch axes are axis 0.

    Arguments that are not batched are passed as they are, so Python may branch on them.
    """
    trace = Trace("abstract", name)
    with trace_context(trace):
        types = [type_of(a) for a in args]
        inputs = [
            trace.input(array_type(t.shape[1:], t.dtype, t.weak)) if b else a
            for a, b, t in zip(args, batched, types, strict=True)
        ]
        outputs = list(f(*inputs))
        records = trace.records
    env: dict[int, tuple[Any, bool]] = {id(i): (a, True) for i, a, b in zip(inputs, args, batched, strict=True) if b}

    def read(value: Any) -> tuple[Any, bool]:
        return env[id(value)] if is_own(trace, value) else (value, False)

    for r in records:
        pairs = [read(a) for a in r.inputs]
        values, flags = [v for v, _ in pairs], [b for _, b in pairs]
        if any(flags):
            if r.primitive.batch is None:
                raise r.primitive.missing("batch")
            outs, out_flags = r.primitive.batch(size, flags, values, r.params)
        else:
            outs, out_flags = r.primitive(*values, **r.params), False
        if not r.primitive.multiple:
            env[id(r.outputs)] = (outs, bool(out_flags))
            continue
        spread = out_flags if isinstance(out_flags, (list, tuple)) else [out_flags] * len(outs)
        env.update((id(t), (v, b)) for t, v, b in zip(r.outputs, outs, spread, strict=True))
    results = [read(o) if type(o) is Tracer else (o, False) for o in outputs]
    return [v for v, _ in results], [b for _, b in results]


def vmap_all(f: Flat, size: int, batched: Sequence[bool], args: Sequence[Any], name: str = "vmap") -> list[Any]:
    """As vmap_flat, with every output batched."""
    outs, flags = vmap_flat(f, size, batched, args, name)
    return [o if b else stack_copies(o, size) for o, b in zip(outs, flags, strict=True)]
