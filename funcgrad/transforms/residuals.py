"""Fewer residuals: what a linear part can compute cheaply from other residuals is not handed over but computed there.

In a scan every residual is an array over all steps, written by one loop and read by another; one addition costs less.
"""

from __future__ import annotations

from funcgrad.core.lowering import Pointwise, View
from funcgrad.core.program import Equation, Program, Var

CHEAP = 12
"""The cost in additions of what is rather run again."""


def lighter(forward: Program, linear: Program, count: int) -> tuple[Program, Program]:
    """(forward, linear) with fewer residuals, which are the outputs of `forward` from number `count` on and the first inputs
    of `linear`."""
    residuals = forward.outputs[count:]
    made = {v: eq for eq in forward.equations for v in eq.outputs}
    base = {a for a in residuals if isinstance(a, Var)} | {v for v, _ in forward.constants}
    again: dict[Equation, None] = {}
    dropped: set[Var] = set()
    for a in dict.fromkeys(residuals):
        cone = _cone(a, made, base) if isinstance(a, Var) else None
        if cone is not None:
            again.update(dict.fromkeys(cone))
            dropped.add(a)  # type: ignore[arg-type]
    if not again:
        return forward, linear
    order = {eq: n for n, eq in enumerate(forward.equations)}
    pairs = list(zip(residuals, linear.inputs[: len(residuals)], strict=True))
    # In the linear part a residual has a name of its own; what is computed again gets that name.
    names = {a: v for a, v in pairs if isinstance(a, Var)}
    constants = dict(forward.constants)
    copied = []
    for eq in sorted(again, key=lambda eq: order[eq]):
        names.update((v, Var(v.type)) for v in eq.outputs if v not in names)
        inputs = tuple([names.get(b, b) if isinstance(b, Var) else b for b in eq.inputs])
        copied.append(Equation(eq.primitive, inputs, eq.params, tuple(names[v] for v in eq.outputs), eq.source))
    used = {b for eq in copied for b in eq.inputs if isinstance(b, Var) and b in constants}
    have = {v for v, _ in linear.constants}
    kept = [(a, v) for a, v in pairs if a not in dropped]
    outputs = (*forward.outputs[:count], *[a for a, _ in kept])
    inputs_left = (*[v for _, v in kept], *linear.inputs[len(residuals) :])
    more = tuple([(v, constants[v]) for v in used if v not in have])
    return (
        Program(forward.inputs, forward.equations, outputs, forward.constants, forward.name),
        Program(inputs_left, (*copied, *linear.equations), linear.outputs, (*linear.constants, *more), linear.name),
    )


def _cone(value: Var, made: dict[Var, Equation], base: set[Var]) -> list[Equation] | None:
    """The equations that compute a residual from others; None if it takes too much, or none of it is known."""
    found: dict[Equation, None] = {}
    rest, cost = [value], 0
    while rest:
        v = rest.pop()
        eq = made.get(v)
        kernel = eq.primitive.kernel if eq is not None else None
        if eq is None or not isinstance(kernel, (View, Pointwise)):
            return None
        if eq in found:
            continue
        found[eq] = None
        cost += kernel.cost if isinstance(kernel, Pointwise) else 0
        if cost > CHEAP:
            return None
        rest += [a for a in eq.inputs if isinstance(a, Var) and a not in base]
    return list(found)
