"""Program -> steps: which equations share the loops of one kernel, what is a product of matrices, what a host call.

The equations are taken last to first, so that a value is made where it is needed and as late as possible. Each step has a
height, larger than that of every step it feeds; an equation may join the kernel of its consumer if everything else that
consumes it lies lower. So no cycle can arise, at the cost of one comparison.

A kernel has loop dimensions; each value in it runs along some of them (`axes`: for each axis of the value the dimension, or -1
for an axis of size 1). Its reductions all fold the same dimensions; what they give, and what is computed of that, runs along
the rest, once per row. So softmax, a norm layer or a loss with its gradient is one kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from funcgrad.compile.layouts import Lowered, Part
from funcgrad.compile.steps import Axes, Kernel, Step, Use, span
from funcgrad.core.lowering import Assembly, Pointwise, Reduction, View
from funcgrad.core.program import Atom, Equation, Var
from funcgrad.core.types import array_type
from funcgrad.ops.views import contiguous

SMALL = 1 << 13
"""Elements up to which a reduction to one number is done in one range; above it goes by partial results."""
CHUNK = 1 << 12
"""Elements of one partial result that is a number."""
BLOCK = 1 << 14
"""Elements of one partial result that is a row, but at least 32 rows, and at most 64 results."""
WIDEST = 1 << 12
"""Columns up to which partial results are rows: the columns of longer ones are enough to share out."""
MOST_MEMBERS = 160
MOST_VALUES = 48
MOST_COST = 4
"""Additions up to which an operation is done again rather than its result stored for another kernel."""


def fuse(lowered: Lowered) -> list[Step]:
    """The steps in the order in which they run."""
    return _Fuser(lowered).run()


def _in_order(part: Part) -> bool:
    """Whether an array lies in memory axis after axis."""
    strides = (
        [s for n, s in zip(part.layout.shape, part.layout.strides, strict=True) if n != 1 and s] if part.layout else []
    )
    return strides == sorted(strides, reverse=True)


class _Fuser:
    def __init__(self, lowered: Lowered):
        self.lowered = lowered
        self.uses: dict[Var, list[Use]] = {}
        self.steps: list[Step] = []
        self.place = 0
        self.effect: Step | None = None
        self.makers = {v: eq for eq in lowered.equations for v in eq.outputs}

    def uses_of(self, value: Var) -> list[Use]:
        return [u.settle() for u in self.uses.get(value, [])]

    def run(self) -> list[Step]:
        for atom in self.lowered.outputs:
            self.use(atom, Use(None))
        for place in range(len(self.lowered.equations) - 1, -1, -1):
            self.place = place
            self.take(self.lowered.equations[place])
        for v in self.lowered.program.inputs:
            self.merge_readers(v)
        alive = [s for s in self.steps if not (isinstance(s, Kernel) and s.parent is not None)]
        for s in alive:
            if isinstance(s, Kernel):
                s.members.reverse()
        return sorted(alive, key=lambda s: (-s.height, s.place))

    def use(self, atom: Atom, use: Use) -> None:
        if isinstance(atom, Var):
            self.uses.setdefault(atom, []).append(use)

    def take(self, eq: Equation) -> None:
        kernel = eq.primitive.kernel if eq not in self.lowered.host else None
        if isinstance(kernel, View):
            self.view(eq, kernel)
        elif isinstance(kernel, Pointwise):
            self.pointwise(eq)
        elif isinstance(kernel, Reduction):
            self.reduction(eq)
        elif isinstance(kernel, Assembly):
            for piece in self.lowered.assembled[eq.outputs[0]]:
                for u in self.uses_of(eq.outputs[0]):
                    self.use(piece, Use(u.step))
        else:
            self.whole(eq)

    def whole(self, eq: Equation) -> None:
        """A product of matrices or a host call: a step of its own. Effects keep their order."""
        step = Step(eq, place=self.place)
        step.height = 1 + max((u.height for v in eq.outputs for u in self.uses_of(v)), default=0)
        if eq.primitive.effect:
            if self.effect is not None:
                step.height = max(step.height, self.effect.height + 1)
            self.effect = step
        for v in eq.outputs:
            self.merge_readers(v)
        self.feed(step, eq.outputs)
        self.steps.append(step)
        for a in eq.inputs:
            self.use(a, Use(step))

    def feed(self, step: Step, outputs: Sequence[Var]) -> None:
        """Tells every consumer of the outputs that this step feeds it."""
        for v in outputs:
            for u in self.uses_of(v):
                if u.step is not None and u.step is not step:
                    u.step.below = min(u.step.below, step.height)

    # ---- views: what reads the result reads the argument ----

    def view(self, eq: Equation, kernel: View) -> None:
        (x,) = [a for a in eq.inputs]
        if not isinstance(x, Var):
            return
        axes = kernel.axes(x.type.shape, eq.params) if kernel.axes is not None else None
        for u in self.uses_of(eq.outputs[0]):
            if u.axes is None or axes is None:
                self.use(x, Use(u.step))
                continue
            back = [-1] * len(x.type.shape)
            for out_axis, axis in enumerate(axes):
                if axis >= 0:
                    back[axis] = u.axes[out_axis]
            fits = all(b >= 0 or n == 1 for b, n in zip(back, x.type.shape, strict=True))
            self.use(x, Use(u.step, tuple(back) if fits else None))

    # ---- kernels ----

    def candidates(self, out: Var) -> list[tuple[Kernel, Axes]]:
        """The kernels that read a value along one set of dimensions, and these, highest first."""
        found: dict[Kernel, set[Axes | None]] = {}
        for u in self.uses_of(out):
            if isinstance(u.step, Kernel):
                found.setdefault(u.step, set()).add(u.axes)
        single = [(k, axes) for k, ways in found.items() if len(ways) == 1 and (axes := next(iter(ways))) is not None]
        return sorted(single, key=lambda pair: -pair[0].height)

    def height_in(self, k: Kernel, out: Var) -> int | None:
        """The height of kernel k with the value's equation in it; None if that would make a cycle or too large a kernel."""
        height = max([k.height, *[u.height + 1 for u in self.uses_of(out) if u.step is not k]])
        if height >= k.below or len(k.members) >= MOST_MEMBERS or len(k.stored) >= MOST_VALUES:
            return None
        return height

    def pointwise(self, eq: Equation) -> None:
        out = eq.outputs[0]
        candidates = self.candidates(out)
        for k, axes in candidates:
            height = self.height_in(k, out) if self.fits(k, axes) else None
            if height is not None:
                k.height = height
                for other, other_axes in candidates:
                    if other is not k and other.parent is None:
                        self.merge(k, axes, other, other_axes)
                self.compute_again(k, eq)
                self.add(k, eq, axes)
                return
        k = self.new_kernel(eq, out.type.shape)
        self.add(k, eq, k.axes[out])

    def compute_again(self, k: Kernel, eq: Equation) -> None:
        """Lets every kernel but k that reads what an equation of k makes compute it itself, if none of them needs more memory
        for that and nothing else reads it: then it is not stored at all."""
        out = eq.outputs[0]
        if not self.is_cheap(eq):
            return
        others: dict[Kernel, Axes] = {}
        for u in self.uses_of(out):
            if not isinstance(u.step, Kernel) or u.axes is None or others.get(u.step, u.axes) != u.axes:
                return
            if u.step is not k:
                others[u.step] = u.axes
        for other, axes in others.items():
            direct = sum(a is out for m in other.members for a in m.inputs)
            uses = sum(u.step is other for u in self.uses_of(out))
            if direct != uses or not self.fits(other, axes) or len(other.members) >= MOST_MEMBERS or other.partial:
                return
        for other, axes in others.items():
            self.copy_into(other, eq, axes)

    def is_cheap(self, eq: Equation) -> bool:
        """Whether to compute a value again costs less than to write and read it: an operation or two on one array as large."""
        kernel, out = eq.primitive.kernel, eq.outputs[0]
        low = self.lowered
        if (
            not isinstance(kernel, Pointwise)
            or kernel.cost > MOST_COST
            or out in low.targets
            or out in low.after
            or out in low.kept
        ):
            return False
        return sum(isinstance(a, Var) and a.type.size == out.type.size for a in eq.inputs) <= 1

    def copy_into(self, k: Kernel, eq: Equation, axes: Axes) -> None:
        """Puts a copy of an equation into k, whose members then read what the copy makes."""
        low, out = self.lowered, eq.outputs[0]
        new = Var(out.type)
        copy = Equation(eq.primitive, eq.inputs, eq.params, (new,), eq.source)
        low.order[id(copy)] = low.order[id(eq)]
        low.sources[new] = Part(new, contiguous(out.type.shape))
        for n, m in enumerate(k.members):
            if out in m.inputs:
                renamed = Equation(
                    m.primitive, tuple([new if a is out else a for a in m.inputs]), m.params, m.outputs, m.source
                )
                low.order[id(renamed)] = low.order[id(m)]
                for i in range(len(m.inputs)):
                    k.reads[id(renamed), i] = k.reads.pop((id(m), i))
                k.members[n] = renamed
        uses = [u for u in self.uses_of(out) if u.step is k]
        self.uses[out] = [u for u in self.uses[out] if u not in uses]
        self.uses[new] = uses
        self.add(k, copy, axes)

    def fits(self, k: Kernel, axes: Axes) -> bool:
        """Whether a value along these dimensions may be computed in k without doing its work again and again."""
        have = span(axes)
        if len(have) == len(k.sizes) or not have:
            return True
        if k.partial:
            return False
        if k.reduced is not None:
            return have == frozenset(range(len(k.sizes))) - k.reduced
        # Once per row: where a reduction may follow, and anyway cheap beside the row.
        return k.last not in have

    def new_kernel(self, eq: Equation, shape: tuple[int, ...]) -> Kernel:
        sizes = [n for n in shape if n != 1]
        supply = iter(range(len(sizes)))
        axes = tuple(-1 if n == 1 else next(supply) for n in shape)
        k = Kernel(eq, place=self.place, sizes=sizes, last=len(sizes) - 1)
        k.axes[eq.outputs[0]] = axes
        k.height = 1 + max((u.height for u in self.uses_of(eq.outputs[0])), default=0)
        self.steps.append(k)
        return k

    def add(self, k: Kernel, eq: Equation, axes: Axes) -> None:
        """Puts an elementwise equation whose output runs along `axes` into k."""
        out = eq.outputs[0]
        k.members.append(eq)
        k.axes[out] = axes
        if self.needs_storing(k, out):
            k.stored[out] = None
        self.feed(k, eq.outputs)
        before = self.lowered.after.get(out)
        if before is not None:
            self.use(before, Use(k))
        for i, a in enumerate(eq.inputs):
            tail = axes[len(axes) - a.type.ndim :]
            self.read(k, eq, i, tuple(-1 if n == 1 else d for n, d in zip(a.type.shape, tail, strict=True)))

    def read(self, k: Kernel, eq: Equation, number: int, axes: Axes) -> None:
        """Notes that an equation of k reads an argument along these dimensions."""
        k.reads[id(eq), number] = axes
        self.use(eq.inputs[number], Use(k, axes))

    def merge_readers(self, value: Var) -> None:
        """Makes one kernel of a large sum and of others that read a whole array, so that it is read once."""
        found = self.candidates(value)
        for k, axes in found:
            for other, other_axes in found:
                if k.partial and k.parent is None and other is not k and other.parent is None:
                    self.merge(k, axes, other, other_axes)

    def merge(self, k: Kernel, axes: Axes, other: Kernel, other_axes: Axes) -> None:
        """Makes one kernel of two that consume one value along all of their dimensions, where that makes no cycle."""
        if len(k.sizes) != len(other.sizes) or len(span(axes)) != len(k.sizes):
            return
        if k.partial != other.partial and (k if other.partial else other).reduced is not None:
            return  # rows are not folded in the pieces of a sum over everything
        if len(span(other_axes)) != len(k.sizes) or len(k.members) + len(other.members) > MOST_MEMBERS:
            return
        height = max(k.height, other.height)
        if height >= min(k.below, other.below):
            return
        to = {b: a for a, b in zip(axes, other_axes, strict=True) if a >= 0}
        if len(to) != len(k.sizes) or any(k.sizes[a] != other.sizes[b] for b, a in to.items()):
            return
        theirs = None if other.reduced is None else frozenset(to[d] for d in other.reduced)
        if theirs is not None and k.reduced is not None and theirs != k.reduced:
            return
        k.reduced = k.reduced if theirs is None else theirs
        k.partial = k.partial or other.partial
        k.height, k.below = height, min(k.below, other.below)
        k.members = sorted([*k.members, *other.members], key=lambda eq: -self.lowered.order[id(eq)])
        k.axes.update({v: tuple([to[d] if d >= 0 else d for d in a]) for v, a in other.axes.items()})
        k.reads.update({r: tuple([to[d] if d >= 0 else d for d in a]) for r, a in other.reads.items()})
        k.stored.update(other.stored)
        other.parent, other.renaming = k, to
        for v in list(k.stored):
            if not self.needs_storing(k, v):
                del k.stored[v]

    def needs_storing(self, k: Kernel, value: Var) -> bool:
        """Whether anything but k's own loops reads a value that k makes."""
        return any(u.step is not k or u.axes != k.axes[value] for u in self.uses_of(value))

    def reduction(self, eq: Equation) -> None:
        out, x = eq.outputs[0], eq.inputs[0]
        assert isinstance(x, Var)
        shape = x.type.shape
        folded = [i for i in eq.params["axes"] if shape[i] != 1]
        if not folded:
            raise AssertionError("a reduction over axes of size 1 is a view; layouts.py makes it one")
        size = math.prod(shape[i] for i in folded)
        kept = [i for i in range(len(shape)) if i not in eq.params["axes"]]
        if size == x.type.size and size > SMALL:
            self.partial_reduction(eq, folded, kept, -(-size // CHUNK))
            return
        for k, axes in self.candidates(out):
            height = self.height_in(k, out)
            dims = self.row_dims(k, axes, [shape[i] for i in folded]) if height is not None else None
            if height is not None and dims is not None:
                k.height = height
                self.fold(k, eq, axes, kept, folded, dims)
                return
        if self.is_tall(x, folded, out.type.size):
            chunks = min(max(x.type.size // max(BLOCK, 32 * out.type.size), 2), 64)
            self.partial_reduction(eq, folded, kept, chunks)
            return
        k = self.new_kernel(eq, out.type.shape)
        dims = list(range(len(k.sizes), len(k.sizes) + len(folded)))
        k.sizes += [shape[i] for i in folded]
        k.reduced = frozenset(dims)
        self.fold(k, eq, k.axes[out], kept, folded, dims)

    def row_dims(self, k: Kernel, axes: Axes, sizes: list[int]) -> list[int] | None:
        """The dimensions of k that a reduction whose result runs along `axes` can fold: those that others fold, those that
        the result does not run along, or new ones."""
        have = span(axes)
        rest = [d for d in range(len(k.sizes)) if d not in have]
        if k.partial:
            return None
        if k.reduced is not None or rest:
            if k.reduced is not None and frozenset(rest) != k.reduced:
                return None
            if [k.sizes[d] for d in rest] != sizes:
                return None
            k.reduced = frozenset(rest)
            return rest
        if math.prod(k.sizes) * math.prod(sizes) > SMALL and len(k.members) > 24:
            return None
        new = list(range(len(k.sizes), len(k.sizes) + len(sizes)))
        k.sizes += sizes
        k.reduced = frozenset(new)
        return new

    def fold(self, k: Kernel, eq: Equation, axes: Axes, kept: list[int], folded: list[int], dims: list[int]) -> None:
        """Puts a reduction into k: its argument runs along the result's dimensions and the folded ones."""
        out, x = eq.outputs[0], eq.inputs[0]
        assert isinstance(x, Var)
        k.members.append(eq)
        k.axes[out] = axes
        if self.needs_storing(k, out):
            k.stored[out] = None
        self.feed(k, eq.outputs)
        along = [-1] * len(x.type.shape)
        # The result of partial results may have axes of size 1, which these do not have.
        for i, d in zip(kept, axes, strict=False):
            along[i] = d
        for i, d in zip(folded, dims, strict=True):
            along[i] = d
        self.read(k, eq, 0, tuple(along))

    def is_tall(self, x: Var, folded: Sequence[int], columns: int) -> bool:
        """Whether many rows are folded into a short one, row by row as they lie in memory."""
        if x.type.size <= SMALL or columns > WIDEST or list(folded) != list(range(len(folded))):
            return False
        seen, behind = {x}, [x]
        while behind:
            v = behind.pop()
            eq = self.makers.get(v)
            if eq is not None and isinstance(eq.primitive.kernel, Pointwise):
                new = {a for a in eq.inputs if isinstance(a, Var) and a.type.size == x.type.size} - seen
                seen |= new
                behind += new
            elif not _in_order(self.lowered.sources[v]):
                return False
        return True

    def partial_reduction(self, eq: Equation, folded: Sequence[int], kept: Sequence[int], chunks: int) -> None:
        """A large reduction: partial results of ranges that do not depend on the threads, then their own."""
        x = eq.inputs[0]
        assert isinstance(x, Var)
        shape = x.type.shape
        parts = Var(array_type((chunks, *[shape[i] for i in kept]), x.type.dtype))
        second = Equation(eq.primitive, (parts,), {"axes": (0,)}, eq.outputs, eq.source)
        first = Equation(eq.primitive, (x,), {"axes": tuple(folded)}, (parts,), eq.source)
        for part in (first, second):
            self.lowered.order[id(part)] = self.lowered.order[id(eq)]
        self.lowered.sources[parts] = Part(parts, contiguous(parts.type.shape))
        if kept:
            self.reduction(second)
        else:
            self.reduction_of_parts(second)
        supply = iter(range(len(shape)))
        along = tuple([-1 if n == 1 else next(supply) for n in shape])
        k = Kernel(first, place=self.place, sizes=[n for n in shape if n != 1], partial=True)
        k.last, k.reduced = len(k.sizes) - 1, frozenset(along[i] for i in folded)
        k.height = 1 + max(u.height for u in self.uses_of(parts))
        k.stored[parts] = None
        k.axes[parts] = (-1, *[along[i] for i in kept])
        k.members.append(first)
        self.steps.append(k)
        self.feed(k, (parts,))
        self.read(k, first, 0, along)

    def reduction_of_parts(self, eq: Equation) -> None:
        out, x = eq.outputs[0], eq.inputs[0]
        assert isinstance(x, Var)
        chunks = x.type.size
        for k, axes in self.candidates(out):
            height = self.height_in(k, out)
            dims = self.row_dims(k, axes, [chunks]) if height is not None and not k.sizes else None
            if height is not None and dims is not None:
                k.height = height
                self.fold(k, eq, axes, [], [0], dims)
                return
        k = self.new_kernel(eq, out.type.shape)
        k.sizes.append(chunks)
        k.reduced = frozenset([0])
        self.fold(k, eq, k.axes[out], [], [0], [0])
