"""A compiled program: steps over one arena, run natively, with host calls between where a primitive has no kernel.

A *frame* is what one running call needs: an arena and the table of words that kernels read. A program keeps the frames that no
call uses, so threads share a program and a warm call allocates nothing but its outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.compile import blas, native, routines, runtime
from funcgrad.compile.emit import Emitted, emit
from funcgrad.compile.fuse import Kernel, Step, fuse
from funcgrad.compile.layouts import Lowered, resolve
from funcgrad.compile.plan import ALIGNMENT, Memory, available_memory, plan_memory, too_large
from funcgrad.compile.recycling import SMALLEST, Recycler
from funcgrad.compile.simplify import simplify
from funcgrad.core.array import Array
from funcgrad.core.lowering import Contraction, Layout, Routine
from funcgrad.core.program import Equation, Literal, Program, Var
from funcgrad.core.types import ArrayType

KEEP_LOCK = 20_000.0
"""Work up to which a program runs with the interpreter's lock held."""
GRAIN_WORK = 60_000.0
"""Rough cost (in additions) of a piece of a range: about ten microseconds."""
LARGE = 1 << 28
"""Bytes from which a frame is made only after a look at how much memory is left: the system grants more than it has."""


@dataclass(eq=False)
class NativeStep:
    """A kernel with its range: `words` behind the pointers of its table. `text` is its source."""

    text: str
    pointers: list[tuple[Var, int]]
    words: list[int]
    units: int
    grain: int
    reads: list[Var]
    writes: list[Var]
    label: str
    work: float = 0.0
    places: dict[Var, set[tuple[int, tuple[int, ...]]]] | None = None
    """For a kernel without reductions: from where and along which strides it goes through each buffer."""


@dataclass(eq=False)
class HostStep:
    """An equation that NumPy runs: reads and writes arrays of the frame."""

    equation: Equation
    reads: list[Var]
    writes: list[Var]
    label: str


Entry = NativeStep | HostStep


@dataclass(eq=False)
class Frame:
    """The memory of one running call. Arrays in it are kept alive by it; `arrays` are host views of the arena."""

    words: np.ndarray
    arena: np.ndarray
    address: int
    arrays: dict[Var, np.ndarray]
    keep: list[Any] = field(default_factory=list)


def _bits(values: Sequence[Any]) -> list[int]:
    """Ints and floats as 64-bit words."""
    return [int(np.float64(v).view(np.int64)) if isinstance(v, float) else int(v) for v in values]


class Executable:
    """A Program ready to run: call it with arrays of the Program's input types."""

    def __init__(self, program: Program, load: bool = True):
        """`load=False` leaves out the machine code, for `load` to get later."""
        self.program = program
        self.simplified = simplify(program)
        self.lowered: Lowered = resolve(self.simplified)
        self.steps: list[Step] = fuse(self.lowered)
        made = [(s, e) for s in self.steps for e in self._entries(s)]
        self.entries: list[Entry] = [e for _, e in made]
        self.origins: list[Step] = [s for s, _ in made]
        self.inputs = list(self.simplified.inputs)
        self.outputs = list(self.lowered.outputs)
        self.constants = {v: np.ascontiguousarray(c).reshape(np.shape(c)) for v, c in self.simplified.constants}
        fixed = {*self.inputs, *self.outputs, *self.constants}
        self.memory: Memory = plan_memory([(e.reads, e.writes) for e in self.entries], fixed)
        self.host = any(isinstance(e, HostStep) for e in self.entries)
        self.outs = [Recycler(v.type.shape, v.type.dtype) for v in self.outputs]
        self.frames: list[Frame] = []
        if load:
            self.load()

    def texts(self) -> list[str]:
        """The sources of the kernels, each once."""
        return list(dict.fromkeys(e.text for e in self.entries if isinstance(e, NativeStep)))

    def load(self) -> None:
        """Gets the machine code: known to this process, from disk, or compiled now."""
        self.addresses = [
            native.kernel_address(e.text, e.label) if isinstance(e, NativeStep) else 0 for e in self.entries
        ]
        found = native.native()
        assert found is not None
        self.runtime = found
        if any(isinstance(e, NativeStep) and e.units > e.grain for e in self.entries):
            found.start_pool()

    # ---- steps to entries ----

    def _entries(self, step: Step) -> list[Entry]:
        eq = step.equation
        if not isinstance(step, Kernel) and isinstance(eq.primitive.kernel, Routine) and eq not in self.lowered.host:
            inputs = [a for a in eq.inputs if isinstance(a, Var)]
            found = routines.lower(eq.primitive.kernel, eq.params, inputs, eq.outputs)
            if found is not None:
                # An input may be a reshaped view of what lies in memory.
                base = {a: b for a in inputs if isinstance(b := self.lowered.sources[a].base, Var)}
                return [
                    NativeStep(
                        r.text, [(base.get(v, v), 0) for v in r.pointers], _bits(r.words), r.units,
                        max(int(GRAIN_WORK / max(r.work, 1.0)), 1), [base.get(v, v) for v in r.reads], r.writes, r.label,
                        r.work * r.units,
                    )
                    for r in found
                ]  # fmt: skip
        return [self._entry(step)]

    def _entry(self, step: Step) -> Entry:
        if isinstance(step, Kernel):
            return self._kernel(step)
        eq = step.equation
        if isinstance(eq.primitive.kernel, Contraction) and eq not in self.lowered.host:
            found = self._product(eq)
            if found is not None:
                return found
        reads = [
            p.base for a in eq.inputs if isinstance(a, Var) and isinstance((p := self.lowered.sources[a]).base, Var)
        ]
        return HostStep(eq, reads, list(eq.outputs), eq.primitive.name)

    def _kernel(self, k: Kernel) -> NativeStep:
        made: Emitted = emit(k, self.lowered)
        written = {self.lowered.targets.get(v, (v, None))[0] for v in k.stored}
        bases = [a.base for a in made.pointers]
        grain = max(int(GRAIN_WORK / max(made.work, 1.0)), 1)
        grain = -(-grain // made.multiple) * made.multiple
        places: dict[Var, set[tuple[int, tuple[int, ...]]]] = {}
        for a in made.pointers:
            places.setdefault(a.base, set()).add((a.offset, a.strides))
        return NativeStep(
            made.text, [(a.base, a.offset * a.dtype.itemsize) for a in made.pointers], _bits(made.words), made.units, grain,
            [b for b in bases if b not in written], list(written), _label(k), made.work * made.units,
            places if k.reduced is None else None,
        )  # fmt: skip

    def _product(self, eq: Equation) -> NativeStep | None:
        a, b = [self.lowered.sources[x] for x in eq.inputs if isinstance(x, Var)]
        out = eq.outputs[0]
        if a.layout is None or b.layout is None or not isinstance(a.base, Var) or not isinstance(b.base, Var):
            return None
        kind = f"f{8 * out.type.dtype.itemsize}"
        if not blas.gemm_address(kind):
            return None
        found = blas.product(kind, a.layout, b.layout, eq.params["dims"])
        if found is None:
            return None
        size = out.type.dtype.itemsize
        text = blas.SOURCE.format(kind=kind, size=size)
        pointers = [(a.base, a.layout.offset * size), (b.base, b.layout.offset * size), (out, 0)]
        grain = max(int(GRAIN_WORK / max(found.work, 1.0)), 1)
        return NativeStep(text, pointers, _bits(found.words), found.units, grain, [a.base, b.base], [out], "gemm",
                          found.work * found.units)  # fmt: skip

    # ---- frames ----

    def frame(self) -> Frame:
        """A frame that no call uses."""
        try:
            return self.frames.pop()
        except IndexError:
            return self._new_frame()

    def release(self, frame: Frame) -> None:
        """Gives a frame back."""
        self.frames.append(frame)

    def _new_frame(self) -> Frame:
        self.runtime.follow_numba()
        arena = self._arena()
        base = arena.ctypes.data
        place = {v: base + at for v, at in self.memory.places.items()}
        place.update({v: c.ctypes.data for v, c in self.constants.items()})
        number = {v: i for i, v in enumerate(self.inputs)}
        number.update({v: len(self.inputs) + i for i, v in enumerate(self.outputs)})
        natives = [(e, f) for e, f in zip(self.entries, self.addresses, strict=True) if isinstance(e, NativeStep)]
        tables = sum(len(e.pointers) + len(e.words) for e, _ in natives)
        patches = sum(v in number for e, _ in natives for v, _ in e.pointers)
        sizes = [v.type.shape for v in self.inputs]
        total = runtime.FRAME_WORDS + tables + 4 * len(natives) + 3 * patches + 5 * len(sizes) + sum(map(len, sizes))
        words = np.zeros(total, np.int64)
        address = words.ctypes.data
        steps_at = runtime.FRAME_WORDS
        table_at = steps_at + 4 * len(natives)
        patch_at = table_at + tables
        check_at = patch_at + 3 * patches
        size_at = check_at + 5 * len(sizes)
        words[: runtime.FRAME_WORDS][:7] = [
            self.runtime.cell.ctypes.data, address + 8 * patch_at, patches, address + 8 * steps_at, len(natives),
            address + 8 * check_at, len(sizes),
        ]  # fmt: skip
        long = len(natives) > 64 or any(e.units > e.grain for e, _ in natives)
        words[9:13] = [int(long), self.runtime.plain, self.runtime.own, len(self.inputs) + len(self.outputs)]
        for n, (entry, function) in enumerate(natives):
            words[steps_at + 4 * n : steps_at + 4 * n + 4] = [
                function,
                address + 8 * table_at,
                entry.units,
                entry.grain,
            ]
            for v, offset in entry.pointers:
                if v in number:
                    words[patch_at : patch_at + 3] = [address + 8 * table_at, number[v], offset]
                    patch_at += 3
                else:
                    words[table_at] = place[v] + offset
                table_at += 1
            words[table_at : table_at + len(entry.words)] = entry.words
            table_at += len(entry.words)
        for n, v in enumerate(self.inputs):
            shape = v.type.shape
            words[check_at + 5 * n : check_at + 5 * n + 4] = [n, id(v.type.dtype), len(shape), address + 8 * size_at]
            words[size_at : size_at + len(shape)] = shape
            size_at += len(shape)
        arrays = dict(self.constants)
        for v, at in self.memory.places.items():
            stop = at + v.type.size * v.type.dtype.itemsize
            arrays[v] = arena[at:stop].view(v.type.dtype).reshape(v.type.shape)
        return Frame(words, arena, address, arrays)

    def _arena(self) -> np.ndarray:
        need = self.memory.size + sum(v.type.size * v.type.dtype.itemsize for v in self.outputs)
        if need >= LARGE and need > (available_memory() or need):
            raise MemoryError(self.too_large())
        try:
            arena = np.empty(self.memory.size + ALIGNMENT, np.uint8)
        except MemoryError:
            raise MemoryError(self.too_large()) from None
        return arena[-arena.ctypes.data % ALIGNMENT :][: self.memory.size]

    def too_large(self) -> str:
        """The message of the MemoryError for this Program."""
        made = [eq for step in self.steps for eq in (step.members if isinstance(step, Kernel) else [step.equation])]
        makers = {v: eq for eq in made for v in eq.outputs}
        return too_large(self.program.name, self.memory, self.outputs, makers)

    # ---- running ----

    def reusable(self, donated: frozenset[int]) -> dict[int, int]:
        """For outputs (by number) the donated input whose memory each can take: one of its type that nothing reads any more
        when the output is written, or whose elements are read just where and when they are overwritten."""
        found: dict[int, int] = {}
        free = sorted(donated)
        for k, out in enumerate(self.outputs):
            for i in free:
                v = self.inputs[i]
                if v.type.shape == out.type.shape and v.type.dtype == out.type.dtype and self._in_place(v, out):
                    found[k] = i
                    free.remove(i)
                    break
        return found

    def _in_place(self, v: Var, out: Var) -> bool:
        last = max((n for n, e in enumerate(self.entries) if v in e.reads), default=-1)
        first, entry = next((n, e) for n, e in enumerate(self.entries) if out in e.writes)
        if last != first:
            return last < first
        return isinstance(entry, NativeStep) and entry.places is not None and entry.places[v] == entry.places[out]

    def new_outputs(self, kind: type, args: Sequence[Any], reuse: dict[int, int]) -> tuple[Any, ...]:
        """Arrays for the outputs: donated memory where it fits, else new."""
        owners = _owners(args)
        return tuple([
            args[i].view(kind)
            if (i := reuse.get(k, -1)) >= 0 and _is_own(args[i]) and owners.get(id(_owner(args[i]))) == 1
            else make.new(kind)
            for k, make in enumerate(self.outs)
        ])  # fmt: skip

    def __call__(self, args: Sequence[Any], donated: frozenset[int] = frozenset()) -> Sequence[Any]:
        """The outputs for these inputs, as new arrays; the memory of donated inputs may be among them."""
        if donated:
            outs = self.new_outputs(np.ndarray, args, self.reusable(donated))
        else:
            outs = tuple([out.new(np.ndarray) for out in self.outs])
        arrays = (*args, *outs)
        frame = self.frame()
        runtime = self.runtime
        code = (runtime.bind if self.host else runtime.run)(frame.address, arrays)
        if code == 1:
            arrays = (*self._fitting(args), *outs)
            code = runtime.bind(frame.address, arrays)
            assert code == 0, "arrays made to fit do not fit"
            frame.words[7:9] = 0
            code = 2
        if self.host:
            self._run_all(frame, arrays)
        elif code == 2:
            self._resume(frame, len(self.entries))
        self.release(frame)
        return outs

    def warm(self, donated: frozenset[int] = frozenset()) -> Callable[[tuple[Any, ...]], tuple[Any, ...] | None] | None:
        """The shortest way to run: `call(arrays)` gives the outputs as new Arrays, or None if an argument is no array of exactly
        the declared type. Each call is one tuple, one native call, nothing else. None for a program with host calls."""
        if self.host:
            return None
        frames, empty, makers = self.frames, np.empty, self.outs
        resume, count, arity = self._resume, len(self.entries), len(self.inputs)
        # A short program keeps the interpreter's lock: giving it up and taking it again costs more than the work.
        work = sum(e.work for e in self.entries if isinstance(e, NativeStep))
        run = self.runtime.run if work > KEEP_LOCK else self.runtime.run_locked

        reuse = self.reusable(donated) if donated else {}
        if len(makers) == 1 and makers[0].nbytes < SMALLEST and not reuse:
            only_shape, only_dtype = makers[0].shape, makers[0].dtype

            def call_one(arrays: tuple[Any, ...]) -> tuple[Any, ...] | None:
                if len(arrays) != arity:
                    return None
                out = empty(only_shape, only_dtype).view(Array)
                try:
                    frame = frames.pop()
                except IndexError:
                    frame = self._new_frame()
                code = run(frame.address, (*arrays, out))
                if code == 2:
                    resume(frame, count)
                frames.append(frame)
                return None if code == 1 else (out,)

            return call_one

        def call(arrays: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if len(arrays) != arity:
                return None
            if reuse:
                outs = self.new_outputs(Array, arrays, reuse)
            else:
                outs = tuple([make.new(Array) for make in makers])
            try:
                frame = frames.pop()
            except IndexError:
                frame = self._new_frame()
            code = run(frame.address, arrays + outs)
            if code == 2:
                resume(frame, count)
            frames.append(frame)
            return None if code == 1 else outs

        return call

    def _fitting(self, args: Sequence[Any]) -> list[np.ndarray]:
        """Arguments as plain arrays of the declared types, in C order and aligned."""
        fitting = []
        for a, v in zip(args, self.inputs, strict=True):
            array = np.require(np.asarray(a, dtype=v.type.dtype), requirements=["C", "A"]).view(np.ndarray)
            if array.dtype is not v.type.dtype:
                array = array.view(v.type.dtype)
            if array.shape != v.type.shape:
                array = array.reshape(v.type.shape)
            fitting.append(array)
        return fitting

    def _resume(self, frame: Frame, last: int) -> None:
        # Between these calls Python's signal handlers run.
        while self.runtime.steps(frame.address, last) == 2:
            pass

    def _run_all(self, frame: Frame, arrays: Sequence[np.ndarray]) -> None:
        """Native stretches and host calls in turn."""
        values = dict(zip(self.inputs, arrays[: len(self.inputs)], strict=True))
        values.update(zip(self.outputs, arrays[len(self.inputs) :], strict=True))
        values.update(frame.arrays)
        done = 0
        frame.words[7:9] = 0
        pending = 0
        with np.errstate(all="ignore"):
            for entry in self.entries:
                if isinstance(entry, NativeStep):
                    pending += 1
                    continue
                if pending:
                    done += pending
                    pending = 0
                    self._resume(frame, done)
                self._host(entry.equation, values)
        if pending:
            self._resume(frame, done + pending)

    def _host(self, eq: Equation, values: dict[Var, np.ndarray]) -> None:
        args = []
        for a in eq.inputs:
            if isinstance(a, Literal):
                args.append(a.value)
                continue
            part = self.lowered.sources[a]
            if isinstance(part.base, Literal):
                args.append(np.broadcast_to(np.asarray(part.base.value, a.type.dtype), a.type.shape))
            else:
                args.append(strided(values[part.base], part.layout, a.type))
        result = eq.primitive.impl(*args, **eq.params)
        for v, r in zip(eq.outputs, result if eq.primitive.multiple else (result,), strict=True):
            np.copyto(values[v], r, casting="unsafe")


def _owner(x: Any) -> Any:
    """The array that holds the memory of this one, or what lent it to NumPy."""
    while isinstance(x, np.ndarray) and x.base is not None:
        x = x.base
    return x


def _owners(args: Sequence[Any]) -> dict[int, int]:
    """How many arguments lie in the memory of each owner (by id); nothing if some memory may have owners beside NumPy."""
    counts: dict[int, int] = {}
    for a in args:
        owner = _owner(a)
        if owner is not a and not isinstance(owner, np.ndarray):
            return {}
        counts[id(owner)] = counts.get(id(owner), 0) + 1
    return counts


def _is_own(x: Any) -> bool:
    """Whether a donated argument is an array whose memory can be written to."""
    return type(x) in (np.ndarray, Array) and x.flags.carray


def strided(base: np.ndarray, layout: Layout | None, kind: ArrayType) -> np.ndarray:
    """The view of a buffer that a layout describes, read-only."""
    if layout is None or (
        base.shape == kind.shape and layout.offset == 0 and base.flags.c_contiguous and _c_order(layout)
    ):
        return base.view(np.ndarray)
    size = base.dtype.itemsize
    flat = base.reshape(-1).view(np.ndarray)
    found = np.lib.stride_tricks.as_strided(
        flat[layout.offset :], kind.shape, tuple(s * size for s in layout.strides), writeable=False
    )
    return found


def _c_order(layout: Layout) -> bool:
    expected = 1
    for n, s in zip(reversed(layout.shape), reversed(layout.strides), strict=True):
        if n != 1 and s != expected:
            return False
        expected *= n
    return True


def _label(k: Kernel) -> str:
    return "+".join(dict.fromkeys(eq.primitive.name for eq in k.members))
