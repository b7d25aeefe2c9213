"""What does not depend on a loop's carry, done for all steps at once, before the loop or after it.

    scan -> equations before, a loop that does the rest, equations after

Before: what depends on constants and slices of xs only, batched over the steps by the rules of vmap, where products of matrices
are among it; so the input projections of a recurrent network are one product. After: slices of ys that the carry does not need,
and carries that are only added to (`c + f(...)`): their terms, or the operands of the product that is the term, are stacked by
the loop, and one product over all steps sums them; so is a weight's gradient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from funcgrad.core.lowering import Choice, Contraction, Inline, Loop, Reduction, View
from funcgrad.core.program import Atom, Equation, Program, Var
from funcgrad.core.tracing import run, trace_program
from funcgrad.core.types import array_type
from funcgrad.errors import MissingRuleError
from funcgrad.ops.basics import reduce_sum
from funcgrad.ops.elementwise import add
from funcgrad.transforms.loop import CARRY, loop, scan_as_loop
from funcgrad.transforms.vmap import stack_copies, vmap_flat

MOST_BYTES = 1 << 26
"""Of all values that leave a loop: more memory than this is not spent."""


def scan_as_program(params: dict[str, Any]) -> Program | None:
    """A scan with these parameters, for the compiler; None for a scan of no steps, which NumPy does."""
    if not params["length"]:
        return None
    key = ("loop of a scan", params["consts"], params["carry"], params["length"], params["reverse"])
    cache = params["program"].cache
    if key not in cache:
        cache[key] = _hoisted(params) or scan_as_loop(params)
    return cache[key]


def flattened(program: Program) -> Program:
    """The Program with the Programs of its calls written out, except loops and what is to be computed twice."""
    equations: list[Equation] = []
    constants = dict(program.constants)

    def write(inner: Iterable[Equation], known: dict[Var, Atom]) -> None:
        for eq in inner:
            inputs = tuple([known.get(a, a) if isinstance(a, Var) else a for a in eq.inputs])
            kernel = eq.primitive.kernel
            body = kernel.program(eq.params) if isinstance(kernel, Inline) else None
            kept = body is None or body.cache.get("recompute")
            if body is None or kept or any(isinstance(e.primitive.kernel, Loop) for e in body.equations):
                outs = tuple([Var(v.type) for v in eq.outputs])
                equations.append(Equation(eq.primitive, inputs, eq.params, outs, eq.source))
                known.update(zip(eq.outputs, outs, strict=True))
                continue
            constants.update(body.constants)
            local: dict[Var, Atom] = dict(zip(body.inputs, inputs, strict=True))
            write(body.equations, local)
            found = [local.get(a, a) if isinstance(a, Var) else a for a in body.outputs]
            known.update(zip(eq.outputs, found, strict=True))

    names: dict[Var, Atom] = {}
    write(program.equations, names)
    outputs = tuple([names.get(a, a) if isinstance(a, Var) else a for a in program.outputs])
    return Program(program.inputs, tuple(equations), outputs, tuple(constants.items()), program.name)


@dataclass(eq=False)
class _Sum:
    """A carry that is only added to: `term`, and if that is a product behind views, the product and the views."""

    number: int
    term: Var
    product: Equation | None = None
    views: list[Equation] = field(default_factory=list)


class _Parts:
    """Which equations of a body run before, in and after the loop."""

    def __init__(self, body: Program, consts: int, carry: int, length: int):
        self.body, self.consts, self.carry, self.length = body, consts, carry, length
        self.made = {v: eq for eq in body.equations for v in eq.outputs}
        self.constant = {v for v, _ in body.constants}
        self.fixed = set(body.inputs[:consts]) | self.constant
        self.slices = set(body.inputs[consts + carry :])
        self.budget = MOST_BYTES
        self.counts: dict[Var, int] = {}
        for a in [*body.outputs, *[a for eq in body.equations for a in eq.inputs]]:
            if isinstance(a, Var):
                self.counts[a] = self.counts.get(a, 0) + 1
        self.sums = {s.number: s for i in range(carry) if (s := self._sum(i)) is not None}
        self.before = self._before()
        self.core = self._core()
        self.after: set[int] = set()
        """Numbers of the outputs that are made after the loop."""
        self.emitted: dict[Var, None] = {}
        self._choose()

    # ---- before ----

    def _before(self) -> list[Var]:
        """The values that the loop reads and that are made before it: of products, from slices and constants only."""
        free: dict[Var, bool] = {v: False for v in (*self.slices, *self.fixed)}
        for eq in self.body.equations:
            inputs = [a for a in eq.inputs if isinstance(a, Var)]
            if _movable(eq) and all(a in free for a in inputs):
                heavy = isinstance(eq.primitive.kernel, Contraction) or any(free[a] for a in inputs)
                free.update(dict.fromkeys(eq.outputs, heavy))
        wanted: dict[Var, None] = {}
        adding = {self.made[self.body.outputs[i]] for i in self.sums}  # type: ignore[index]
        for eq in self.body.equations:
            if eq in adding:
                continue  # Its term is summed after the loop.
            if not all(v in free for v in eq.outputs):
                wanted.update(dict.fromkeys(a for a in eq.inputs if isinstance(a, Var) and free.get(a)))
        wanted.update(dict.fromkeys(a for a in self.body.outputs if isinstance(a, Var) and free.get(a)))
        chosen = []
        for v in wanted:
            if self._spend([v]):
                chosen.append(v)
        return chosen

    def _spend(self, values: Sequence[Var]) -> bool:
        need = self.length * sum(v.type.size * v.type.dtype.itemsize for v in values)
        if need > self.budget:
            return False
        self.budget -= need
        return True

    # ---- after ----

    def _sum(self, i: int) -> _Sum | None:
        held, out = self.body.inputs[self.consts + i], self.body.outputs[i]
        eq = self.made.get(out) if isinstance(out, Var) else None
        if eq is None or eq.primitive is not add or not any(a is held for a in eq.inputs):
            return None
        if self.counts[out] != 1 or self.counts[held] != 1:  # type: ignore[index]
            return None
        (term,) = [a for a in eq.inputs if a is not held]
        if not isinstance(term, Var) or (term.type.shape, term.type.dtype) != (held.type.shape, held.type.dtype):
            return None
        found, seen = _Sum(i, term), term
        while (made := self.made.get(seen)) is not None and isinstance(made.primitive.kernel, View):
            found.views.insert(0, made)
            (source,) = made.inputs
            if not isinstance(source, Var):
                return found
            seen = source
        if made is not None and isinstance(made.primitive.kernel, Contraction):
            found.product = made
        return found

    def _core(self) -> set[Equation]:
        """What the carries that are no sums need, and what cannot be moved."""
        ends = [a for i, a in enumerate(self.body.outputs[: self.carry]) if i not in self.sums]
        # What holds Programs stays as well: there may be effects in them.
        return self._cone([*ends, *[v for eq in self.body.equations if not _movable(eq) for v in eq.outputs]])

    def _cone(self, ends: Sequence[Atom], stop: set[Equation] | None = None) -> set[Equation]:
        """The equations that some values need, those of `stop` and what was made before left out."""
        found: set[Equation] = set()
        rest = [a for a in ends if isinstance(a, Var)]
        before = set(self.before)
        while rest:
            v = rest.pop()
            eq = self.made.get(v)
            if eq is None or eq in found or v in before or (stop is not None and eq in stop):
                continue
            found.add(eq)
            rest += [a for a in eq.inputs if isinstance(a, Var)]
        return found

    def _frontier(self, cone: set[Equation], ends: Sequence[Atom]) -> list[Var]:
        """What a part after the loop reads of the loop: carries and values of the core."""
        inside = {v for eq in cone for v in eq.outputs}
        known = self.fixed | self.slices | set(self.before)
        read = [*ends, *[a for eq in cone for a in eq.inputs]]
        return list(dict.fromkeys(a for a in read if isinstance(a, Var) and a not in inside and a not in known))

    def _ends(self, number: int) -> list[Atom]:
        """The values whose cones are the part after the loop that makes an output."""
        s = self.sums.get(number)
        if s is None:
            return [self.body.outputs[number]]
        return list(s.product.inputs) if s.product is not None else [s.term]

    def _choose(self) -> None:
        light: list[int] = []
        for number in [*self.sums, *range(self.carry, len(self.body.outputs))]:
            ends = self._ends(number)
            cone = self._cone(ends, self.core)
            product = number in self.sums and self.sums[number].product is not None
            if not all(map(_movable, cone)):
                continue
            if product or any(isinstance(eq.primitive.kernel, Contraction) for eq in cone):
                self._take(number, cone, ends)
            else:
                light.append(number)
        for number in light:
            # What else can be made of what the loop stacks anyway: a bias's gradient.
            ends = self._ends(number)
            cone = self._cone(ends, self.core)
            new = [v for v in self._frontier(cone, ends) if v not in self.emitted]
            if number in self.sums and not new and any(isinstance(eq.primitive.kernel, Reduction) for eq in cone):
                self._take(number, cone, ends)

    def _take(self, number: int, cone: set[Equation], ends: Sequence[Atom]) -> None:
        new = [v for v in self._frontier(cone, ends) if v not in self.emitted]
        if self._spend([*new, *[v for eq in cone for v in eq.outputs]]):
            self.emitted.update(dict.fromkeys(new))
            self.after.add(number)


def _movable(eq: Equation) -> bool:
    kernel = eq.primitive.kernel
    return not eq.primitive.effect and not isinstance(kernel, (Inline, Loop, Choice)) and eq.primitive.batch is not None


def _part(body: Program, equations: set[Equation], inputs: Sequence[Var], outputs: Sequence[Atom]) -> Program:
    own = tuple(eq for eq in body.equations if eq in equations)
    used = {a for eq in own for a in eq.inputs} | set(outputs)
    constants = tuple(pair for pair in body.constants if pair[0] in used)
    return Program(tuple(inputs), own, tuple(outputs), constants, body.name)


def _hoisted(params: dict[str, Any]) -> Program | None:
    """The Program before, of and after the loop; None if everything stays in it."""
    body = flattened(params["program"])
    if not any(isinstance(eq.primitive.kernel, Contraction) for eq in body.equations):
        return None
    parts = _Parts(body, params["consts"], params["carry"], params["length"])
    if not parts.before and not parts.after:
        return None
    first = params["consts"] + params["carry"]
    types = [t if i < first else array_type((params["length"], *t.shape), t.dtype) for i, t in enumerate(body.in_types)]
    try:
        return trace_program(partial(_run, parts, params), types, params["name"])[0]
    except MissingRuleError:
        return None


def _run(parts: _Parts, params: dict[str, Any], *values: Any) -> list[Any]:
    body, consts, carry, length = parts.body, parts.consts, parts.carry, parts.length
    fixed, init, xs = values[:consts], values[consts : consts + carry], values[consts + carry :]
    const_vars, carry_vars, x_vars = (
        body.inputs[:consts],
        body.inputs[consts : consts + carry],
        body.inputs[consts + carry :],
    )

    def batched(program: Program, stacked: Sequence[Any]) -> list[Any]:
        """A part with inputs (constants, stacked values), for all steps."""
        flags = [False] * consts + [True] * len(stacked)
        outs, found = vmap_flat(partial(run, program), length, flags, [*fixed, *stacked], body.name)
        return [o if b else stack_copies(o, length) for o, b in zip(outs, found, strict=True)]

    before: list[Any] = []
    if parts.before:
        cone = _all_of(parts)
        before = batched(_part(body, cone, [*const_vars, *x_vars], parts.before), xs)
    kept_carry = [i for i in range(carry) if i not in parts.after]
    kept_ys = [i for i in range(carry, len(body.outputs)) if i not in parts.after]
    ends: list[Atom] = [*[body.outputs[i] for i in (*kept_carry, *kept_ys)], *parts.emitted]
    inside = parts._cone(ends)
    program = _part(body, inside, [*const_vars, *[carry_vars[i] for i in kept_carry], *x_vars, *parts.before], ends)
    if len(kept_carry) == carry and CARRY in params["program"].cache:
        program.cache[CARRY] = params["program"].cache[CARRY]
    found = loop(
        *fixed, *[init[i] for i in kept_carry], *xs, *before, program=program, consts=consts, carry=len(kept_carry),
        length=length, reverse=params["reverse"], name=params["name"],
    )  # fmt: skip
    results: dict[int, Any] = dict(zip([*kept_carry, *kept_ys], found, strict=False))
    emitted = list(found[len(kept_carry) + len(kept_ys) :])
    stacked_vars = [*x_vars, *parts.before, *parts.emitted]
    stacked = [*xs, *before, *emitted]
    for number in sorted(parts.after):
        wanted = parts._ends(number)
        after = _part(body, parts._cone(wanted, parts.core), [*const_vars, *stacked_vars], wanted)
        outs = batched(after, stacked)
        s = parts.sums.get(number)
        results[number] = outs[0] if s is None else add(init[number], _total(s, outs))
    return [results[i] for i in range(len(body.outputs))]


def _all_of(parts: _Parts) -> set[Equation]:
    """The equations before the loop."""
    values, parts.before = parts.before, []
    found = parts._cone(values)
    parts.before = values
    return found


def _total(s: _Sum, outs: Sequence[Any]) -> Any:
    """The sum of a term over all steps."""
    if s.product is None:
        return reduce_sum(outs[0], axes=(0,))
    (xc, yc), (xb, yb) = s.product.params["dims"]
    up = lambda axes: tuple(a + 1 for a in axes)  # noqa: E731
    dims = (((0, *up(xc)), (0, *up(yc))), (up(xb), up(yb)))
    total = s.product.primitive(*outs, **{**s.product.params, "dims": dims})
    for view in s.views:
        total = view.primitive(total, **view.params)
    return total
