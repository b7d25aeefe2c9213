"""Program -> Program, smaller: calls written out, constants folded, common subexpressions shared, dead code removed.

One forward pass rewrites each equation over the new atoms of its inputs; `_Rewriter.emit` is where an identity or an
earlier equal equation takes the place of a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from funcgrad.compile.joining import joined
from funcgrad.compile.products import rewritten
from funcgrad.core.lowering import Contraction, Inline, Loop, Pointwise, Routine, View
from funcgrad.core.primitive import Primitive
from funcgrad.core.program import Atom, Equation, Literal, Program, Var, has_effect
from funcgrad.core.types import ArrayType, array_type, value_type
from funcgrad.ops.basics import broadcast_in_dim, convert_flat, convert_inexact, reshape, transpose
from funcgrad.ops.elementwise import add, div, mul, neg, sub

FOLD_LIMIT = 4096
"""Elements up to which constants are computed at compile time."""


def simplify(program: Program, transformable: bool = False) -> Program:
    """The Program with everything done that needs no knowledge of loops. Types of inputs and outputs stay. A `transformable`
    result has only primitives with rules; else some take part that can only be run."""
    rewriter = _Rewriter(transformable)
    env: dict[Var, Atom] = {v: v for v in program.inputs}
    for var, value in program.constants:
        env[var] = rewriter.constant(var, value)
    outputs = rewriter.inline(program.equations, program.outputs, env, 0)
    return rewriter.finish(program, outputs)


class _Rewriter:
    def __init__(self, transformable: bool) -> None:
        self.transformable = transformable
        self.equations: list[Equation] = []
        self.made: dict[Var, Equation] = {}
        self.known: dict[Any, tuple[Var, ...]] = {}
        self.constants: dict[Var, Any] = {}
        self.by_identity: dict[int, tuple[Atom, np.ndarray]] = {}
        self.regions = 0

    # ---- constants ----

    def constant(self, var: Var, value: np.ndarray) -> Atom:
        """A constant array; one number repeated becomes that number, broadcast."""
        found = self.by_identity.get(id(value))
        if found is not None:
            return found[0]
        atom: Atom = var
        if value.ndim == 0:
            atom = Literal(value[()], var.type)
        elif value.size and value.size <= 1 << 24 and _is_uniform(value):
            first = value.reshape(-1)[0]
            atom = self.emit(broadcast_in_dim, [Literal(first, value_type(first))], {"shape": value.shape, "dims": ()})[
                0
            ]
        else:
            self.constants[var] = value
        self.by_identity[id(value)] = (atom, value)  # Kept, so that no other array gets its id.
        return atom

    def values(self, atoms: Sequence[Atom]) -> list[Any] | None:
        """The values of the atoms if all are known now."""
        found = []
        for a in atoms:
            if isinstance(a, Literal):
                found.append(a.value)
            elif a in self.constants:
                found.append(self.constants[a])
            else:
                return None
        return found

    # ---- equations ----

    def inline(
        self, equations: Iterable[Equation], outputs: Sequence[Atom], env: dict[Var, Atom], region: int
    ) -> list[Atom]:
        """Rewrites equations with Programs inside them written out, without recursion. Common
        subexpressions are shared within a region; the second run of a checkpoint is a region of its own."""
        Frame = tuple[Any, dict[Var, Atom], tuple[Var, ...], Sequence[Atom], dict[Var, Atom] | None, int]
        stack: list[Frame] = [(iter(equations), env, (), outputs, None, region)]
        while True:
            pending, local, targets, results, outer, here = stack[-1]
            eq = next(pending, None)
            if eq is None:
                found = [_read(local, a) for a in results]
                stack.pop()
                if outer is None:
                    return found
                outer.update(zip(targets, found, strict=True))
                continue
            inputs = [_read(local, a) for a in eq.inputs]
            kernel = eq.primitive.kernel
            inner = kernel.program(eq.params) if isinstance(kernel, Inline) else None
            if inner is None or (
                self.transformable and any(isinstance(e.primitive.kernel, Loop) for e in inner.equations)
            ):
                local.update(zip(eq.outputs, self.emit(eq.primitive, inputs, eq.params, eq, here), strict=True))
                continue
            if inner.cache.get("recompute"):
                # A checkpoint's second run must not be merged with the first.
                self.regions += 1
                here = self.regions
            body: dict[Var, Atom] = dict(zip(inner.inputs, inputs, strict=True))
            for var, value in inner.constants:
                body[var] = self.constant(var, value)
            stack.append((iter(inner.equations), body, eq.outputs, inner.outputs, local, here))

    def emit(self, primitive: Primitive, inputs: list[Atom], params: dict[str, Any], like: Equation | None = None,
             region: int = 0) -> Sequence[Atom]:  # fmt: skip
        """The outputs of one application: an identity's answer, an earlier equal one, a constant, or a new equation."""
        short = self._identity(primitive, inputs, params, like, region)
        if short is not None:
            return [short]
        key = None
        if not has_effect(primitive, params):
            key = _key(primitive, inputs, params, region)
            found = self.known.get(key) if key is not None else None
            if found is not None:
                return found
            folded = self._fold(primitive, inputs, params, like)
            if folded is not None:
                return folded
        if like is not None:
            outs = tuple([Var(v.type) for v in like.outputs])
        else:
            outs = tuple([Var(t) for t in primitive.out_types([a.type for a in inputs], params)])
        eq = Equation(primitive, tuple(inputs), params, outs, like.source if like is not None else None)
        self.equations.append(eq)
        for v in outs:
            self.made[v] = eq
        if key is not None:
            self.known[key] = outs
        return outs

    def _fold(
        self, primitive: Primitive, inputs: list[Atom], params: dict[str, Any], like: Equation | None
    ) -> list[Atom] | None:
        if like is None or primitive.kernel is None or any(v.type.size > FOLD_LIMIT for v in like.outputs):
            return None
        if isinstance(primitive.kernel, Routine) and primitive.kernel.foreign:
            return None  # It may raise, and then only if it runs.
        if primitive is broadcast_in_dim and isinstance(inputs[0], Literal):
            return None  # A broadcast number stays one.
        values = self.values(inputs)
        if values is None or any(np.size(v) > FOLD_LIMIT for v in values):
            return None
        with np.errstate(all="ignore"):
            result = primitive.impl(*values, **params)
        out = []
        for var, value in zip(like.outputs, result if primitive.multiple else (result,), strict=True):
            array = np.asarray(value).astype(var.type.dtype, copy=True)
            atom = self.constant(Var(array_type(array.shape, array.dtype)), array)
            out.append(Literal(atom.value, var.type) if isinstance(atom, Literal) else atom)
        return out

    def _identity(self, primitive: Primitive, inputs: list[Atom], params: dict[str, Any], like: Equation | None,
                  region: int) -> Atom | None:  # fmt: skip
        if primitive.multiple or not inputs:
            return None
        x = inputs[0]
        kernel = primitive.kernel
        if isinstance(kernel, Contraction):
            return rewritten(
                x, inputs[1], params["dims"], lambda p, atoms, how: self.emit(p, atoms, how, None, region)[0]
            )
        if isinstance(kernel, View):
            return self._view(primitive, x, params, like, region)
        if not isinstance(kernel, Pointwise) or like is None:
            return None
        want = like.outputs[0].type
        joins = primitive is add and not self.transformable
        if joins and x in self.made and inputs[1] in self.made and _same(x.type, want):
            together = joined(self.made[x], self.made[inputs[1]])  # type: ignore[index]
            if together is not None:
                return self.emit(*together, Equation(together[0], (), {}, (Var(want),), like.source), region)[0]
        if primitive in (convert_inexact, convert_flat) and _same(x.type, want):
            return x
        if primitive in (mul, div) and _same(x.type, want) and self._is(inputs[1], 1):
            return x
        if primitive is mul and _same(inputs[1].type, want) and self._is(x, 1):
            return inputs[1]
        if primitive is sub and _same(x.type, want) and self._is(inputs[1], 0):
            return x
        if primitive is neg and isinstance(x, Var) and x in self.made and self.made[x].primitive is primitive:
            return self.made[x].inputs[0]
        return self._narrowed(primitive, inputs, params, want, region)

    def _view(
        self, primitive: Primitive, x: Atom, params: dict[str, Any], like: Equation | None, region: int
    ) -> Atom | None:
        shape = x.type.shape
        before = self.made.get(x) if isinstance(x, Var) else None
        if primitive is reshape:
            if params["shape"] == shape and not x.type.weak:
                return x
            if before is not None and before.primitive is reshape:
                return self.emit(reshape, [before.inputs[0]], params, like, region)[0]
        elif primitive is transpose:
            order = params["permutation"]
            if order == tuple(range(len(order))):
                return x
            if before is not None and before.primitive is transpose:
                inner = before.params["permutation"]
                both = tuple(inner[i] for i in order)
                return self.emit(transpose, [before.inputs[0]], {"permutation": both}, like, region)[0]
            if before is not None and isinstance(before.primitive.kernel, Contraction):
                swapped = _swapped(before, order)
                if swapped is not None:
                    return self.emit(before.primitive, [*before.inputs[::-1]], swapped, like, region)[0]
        elif primitive is broadcast_in_dim:
            if params["shape"] == shape and params["dims"] == tuple(range(len(shape))) and isinstance(x, Var):
                return x
            if before is not None and before.primitive is broadcast_in_dim:
                dims = tuple(params["dims"][d] for d in before.params["dims"])
                new = {"shape": params["shape"], "dims": dims}
                return self.emit(broadcast_in_dim, [before.inputs[0]], new, like, region)[0]
        if (
            isinstance(x, Var)
            and before is not None
            and before.primitive is broadcast_in_dim
            and before.inputs[0].type.shape == ()
        ):
            # Any view of one number repeated is that number repeated.
            if like is not None:
                new = {"shape": like.outputs[0].type.shape, "dims": ()}
                return self.emit(broadcast_in_dim, [before.inputs[0]], new, like, region)[0]
        return None

    def _narrowed(
        self, primitive: Primitive, inputs: list[Atom], params: dict[str, Any], want: ArrayType, region: int
    ) -> Atom | None:
        """An operation on broadcast values only is done before the broadcast."""
        sources: list[Atom] = []
        place: tuple[Any, Any] | None = None
        for a in inputs:
            if a.type.shape == ():
                sources.append(a)
                continue
            eq = self.made.get(a) if isinstance(a, Var) else None
            if eq is None or eq.primitive is not broadcast_in_dim or a.type.shape != want.shape:
                return None
            source = eq.inputs[0]
            if source.type.shape != ():
                spot = (source.type.shape, eq.params["dims"])
                if place is not None and place != spot:
                    return None
                place = spot
            sources.append(source)
        if want.shape == ():
            return None
        types = primitive.out_types([a.type for a in sources], params)
        if types[0].dtype != want.dtype:
            return None
        like = Equation(primitive, tuple(sources), params, (Var(types[0]),))
        small = self.emit(primitive, sources, params, like, region)[0]
        dims = place[1] if place is not None else ()
        return self.emit(broadcast_in_dim, [small], {"shape": want.shape, "dims": dims})[0]

    def _is(self, atom: Atom, number: int) -> bool:
        """Whether an atom is this number, or an array of nothing else."""
        if isinstance(atom, Var):
            eq = self.made.get(atom)
            if eq is None or eq.primitive is not broadcast_in_dim:
                return False
            atom = eq.inputs[0]
        return isinstance(atom, Literal) and bool(atom.value == number)

    def finish(self, program: Program, outputs: Sequence[Atom]) -> Program:
        """Without dead equations and constants."""
        needed = {a for a in outputs if isinstance(a, Var)}
        kept = []
        for eq in reversed(self.equations):
            if has_effect(eq.primitive, eq.params) or not needed.isdisjoint(eq.outputs):
                kept.append(eq)
                needed.update(a for a in eq.inputs if isinstance(a, Var))
        constants = tuple((v, c) for v, c in self.constants.items() if v in needed)
        return Program(program.inputs, tuple(reversed(kept)), tuple(outputs), constants, program.name)


def _swapped(eq: Equation, order: tuple[int, ...]) -> dict[str, Any] | None:
    """The parameters of a product with its operands exchanged, if that is what transposing its result by `order` is."""
    (xc, yc), (xb, yb) = eq.params["dims"]
    x, y = eq.inputs
    k, m, n = len(xb), x.type.ndim - len(xc) - len(xb), y.type.ndim - len(yc) - len(yb)
    if order != (*range(k), *range(k + m, k + m + n), *range(k, k + m)):
        return None
    return {"dims": ((yc, xc), (yb, xb))}


def _read(env: dict[Var, Atom], atom: Atom) -> Atom:
    return atom if isinstance(atom, Literal) else env[atom]


def _same(a: ArrayType, b: ArrayType) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.weak == b.weak


def _is_uniform(value: np.ndarray) -> bool:
    flat = value.reshape(-1)
    if not np.array_equal(flat[:2], flat[-2:]):
        return False
    first = flat[0]
    # Bit patterns, so that -0.0 is not 0.0.
    return bool((flat == first).all()) and (bool(first) or not np.signbit(flat.real if flat.dtype.kind == "c" else flat).any()
                                            if flat.dtype.kind in "fc" else True)  # fmt: skip


def _key(primitive: Primitive, inputs: Sequence[Atom], params: dict[str, Any], region: int) -> Any:
    try:
        key = (primitive, region, tuple([_atom_key(a) for a in inputs]), tuple(params.items()))
        hash(key)
    except TypeError:
        return None
    return key


def _atom_key(atom: Atom) -> Any:
    if isinstance(atom, Var):
        return id(atom)
    return atom.type, repr(atom.value)
