"""A compiled program: steps over one arena, run natively, with host calls between where a primitive has no kernel.

A *frame* is what one running call needs: an arena and the table of words that kernels read. A program keeps the frames that no
call uses, so threads share a program and a warm call allocates nothing but its outputs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from funcgrad.compile import native, runtime
from funcgrad.compile.entries import ControlStep, HostStep, NativeStep, Plan, kernels_of, may_raise
from funcgrad.compile.entries import Entry as Entry
from funcgrad.compile.host_calls import run_on_host
from funcgrad.compile.interruption import tell
from funcgrad.compile.owners import is_own, owner, owners
from funcgrad.compile.plan import ALIGNMENT, available_memory, too_large
from funcgrad.compile.recycling import SMALLEST, Recycler
from funcgrad.compile.steps import Kernel
from funcgrad.compile.tables import Link, Patch, WordTable
from funcgrad.core.array import Array
from funcgrad.core.program import Program, Var

KEEP_LOCK = 20_000.0
"""Work up to which a program runs with the interpreter's lock held."""
LARGE = 1 << 28
"""Bytes from which a frame is made only after a look at how much memory is left: the system grants more than it has."""


@dataclass(eq=False)
class Frame:
    """The memory of one running call. Arrays in it are kept alive by it; `arrays` are host views of the arena."""

    words: np.ndarray
    arena: np.ndarray
    address: int
    call: Callable[[tuple[Any, ...]], int]
    """Binds the arrays and runs the steps."""
    arrays: dict[Var, np.ndarray]
    loops: dict[ControlStep | NativeStep, tuple[int, int]] = field(default_factory=dict)
    """Where the words of each loop are (tables.py)."""
    spoiled: bool = False
    """Whether a loop was left in its midst: no other call may take this frame."""


class Executable:
    """A Program ready to run: call it with arrays of the Program's input types."""

    def __init__(self, program: Program, load: bool = True):
        """`load=False` leaves out the machine code, for `load` to get later."""
        self.program = program
        self.plan = plan = Plan(program)
        self.simplified, self.lowered, self.steps, self.entries = (
            plan.simplified,
            plan.lowered,
            plan.steps,
            plan.entries,
        )
        self.inputs, self.outputs, self.constants, self.memory = plan.inputs, plan.outputs, plan.constants, plan.memory
        self.host, self.origins = plan.host, plan.origins
        self.outs = [Recycler(v.type.shape, v.type.dtype) for v in self.outputs]
        self.frames: list[Frame] = []
        self.faults = [(e.constants[f.cell], f) for e in plan.natives() for f in e.faults]
        natives = [(e, s) for e, s in zip(self.entries, self.origins, strict=True) if not isinstance(e, HostStep)]
        self.natives = [e for e, _ in natives]
        self.stops = {n: s.equation for n, (e, s) in enumerate(natives, 1) if may_raise(e)}
        """Behind how many native entries to look whether code of the user's failed, and which equation runs it."""
        if load:
            self.load()

    def load(self) -> None:
        """Gets the machine code: known to this process, from disk, or compiled now."""
        found = native.native()
        assert found is not None
        self.runtime = found
        with native.prepared(self.plan.texts()):
            self.plan.load(found)
        self.addresses = self.plan.addresses
        if any(e.units > e.grain > 0 for e in self.plan.natives()):
            found.start_pool()

    # ---- frames ----

    def frame(self) -> Frame:
        """A frame that no call uses."""
        try:
            return self.frames.pop()
        except IndexError:
            return self._new_frame()

    def release(self, frame: Frame) -> None:
        """Gives a frame back."""
        if not frame.spoiled:
            self.frames.append(frame)

    def _new_frame(self) -> Frame:
        self.runtime.follow_numba()
        arena = self._arena()
        base = arena.ctypes.data
        place = {v: base + at for v, at in self.memory.places.items()}
        number = {v: i for i, v in enumerate(self.inputs)}
        number.update({v: len(self.inputs) + i for i, v in enumerate(self.outputs)})
        table = WordTable()
        head = table.add([0] * runtime.FRAME_WORDS)
        table.failed = Link(head + runtime.FAILED)
        patches: list[Patch] = []
        steps = table.steps(self.plan, place, number, patches)
        patch_at = table.patches(patches)
        checks = table.add([0] * (runtime.CHECK_WORDS * len(self.inputs)))
        for n, v in enumerate(self.inputs):
            sizes = table.add(v.type.shape)
            table.set(checks + runtime.CHECK_WORDS * n, [n, id(v.type.dtype), v.type.ndim, Link(sizes)])
        natives = self.natives
        long = len(natives) > 64 or any(not isinstance(e, NativeStep) or e.units > abs(e.grain) for e in natives)
        table.set(head, [
            self.runtime.cell.ctypes.data, Link(patch_at), len(patches), Link(steps), len(natives), Link(checks),
            len(self.inputs), 0, 0, int(long), self.runtime.plain, self.runtime.own, len(self.inputs) + len(self.outputs),
            0, *native.ANSWERS,
        ])  # fmt: skip
        words = table.array()
        address = words.ctypes.data
        arrays = dict(self.constants)
        for v, at in self.memory.places.items():
            stop = at + v.type.size * v.type.dtype.itemsize
            arrays[v] = arena[at:stop].view(v.type.dtype).reshape(v.type.shape)
        return Frame(words, arena, address, self._call_of(words), arrays, table.loops)

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
        for k in range(len(self.outputs)):
            for i in free:
                if self.replaceable(i, k):
                    found[k] = i
                    free.remove(i)
                    break
        return found

    def _in_place(self, v: Var, out: Var) -> bool:
        last = max((n for n, e in enumerate(self.entries) if v in e.reads), default=-1)
        first = next(n for n, e in enumerate(self.entries) if out in e.writes)
        entry = self.entries[first]
        if last != first:
            return last < first
        return isinstance(entry, NativeStep) and entry.places is not None and entry.places[v] == entry.places[out]

    def replaceable(self, i: int, k: int) -> bool:
        """Whether output k may be written into the memory of input i, which it replaces."""
        v, out = self.inputs[i], self.outputs[k]
        return v.type.shape == out.type.shape and v.type.dtype == out.type.dtype and self._in_place(v, out)

    def last_fault(self) -> int:
        """The number of the last entry that may meet an index out of bounds or run code of the user's; -1 if there is none."""
        risky = [n for n, e in enumerate(self.entries) if may_raise(e) or any(k.faults for k in kernels_of(e))]
        return max(risky, default=-1)

    def first_write(self, k: int) -> int:
        """The number of the entry that begins to write output k."""
        return next(n for n, e in enumerate(self.entries) if self.outputs[k] in e.writes)

    def new_outputs(self, kind: type, args: Sequence[Any], reuse: dict[int, int]) -> tuple[Any, ...]:
        """Arrays for the outputs: donated memory where it fits, else new."""
        counts = owners(args)
        return tuple([
            args[i].view(kind)
            if (i := reuse.get(k, -1)) >= 0 and is_own(args[i]) and counts.get(id(owner(args[i]))) == 1
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
        bind_only = self.host or self.stops
        code = runtime.bind(frame.address, arrays) if bind_only else frame.call(arrays)
        if code == 1:
            arrays = (*self._fitting(args), *outs)
            code = runtime.bind(frame.address, arrays)
            assert code == 0, "arrays made to fit do not fit"
            frame.words[7:9] = 0
            code = 2
        if self.host:
            self._run_all(frame, arrays)
        elif self.stops:
            self.begin(frame)
            self.run_natives(frame, arrays, len(self.entries))
        elif code == 2:
            self._resume(frame, len(self.entries))
        self.release(frame)
        if self.faults:
            self._check()
        return outs

    def _check(self) -> None:
        """Raises IndexError if a step met an index out of bounds. The cells belong to the program, not to a call: of calls at the
        same time, one of which is wrong, another may be the one that raises."""
        for cell, fault in self.faults:
            index = int(cell[0])
            if index != fault.NOTHING:
                self._forget_faults()
                raise IndexError(f"index {index} is out of bounds for axis {fault.axis} with size {fault.size}")

    def _forget_faults(self) -> None:
        for cell, fault in self.faults:
            cell[0] = fault.NOTHING

    def warm(self, donated: frozenset[int] = frozenset()) -> Callable[[tuple[Any, ...]], tuple[Any, ...] | None] | None:
        """`_warm`, with a look at the cells for indices out of bounds where there are any."""
        call = self._warm(donated)
        if call is None or not self.faults:
            return call

        def checked(arrays: tuple[Any, ...]) -> tuple[Any, ...] | None:
            outs = call(arrays)
            self._check()
            return outs

        return checked

    def _warm(
        self, donated: frozenset[int] = frozenset()
    ) -> Callable[[tuple[Any, ...]], tuple[Any, ...] | None] | None:
        """The shortest way to run: `call(arrays)` gives the outputs as new Arrays, or None if an argument is no array of exactly
        the declared type. Each call is one tuple, one native call, nothing else. None for a program with host calls."""
        if self.host:
            return None
        makers, arity, into = self.outs, len(self.inputs), self.into()
        frames, resume, count = self.frames, self._resume, len(self.entries)
        reuse = self.reusable(donated) if donated else {}
        if len(makers) == 1 and makers[0].nbytes < SMALLEST and not reuse and not self.stops:
            only_shape, only_dtype = makers[0].shape, makers[0].dtype

            def call_one(arrays: tuple[Any, ...]) -> tuple[Any, ...] | None:
                if len(arrays) != arity:
                    return None
                out = Array(only_shape, only_dtype)
                # What `into` does, without the call of a function that costs a small program 5 % of its time.
                try:
                    frame = frames.pop()
                except IndexError:
                    frame = self._new_frame()
                try:
                    code = frame.call((*arrays, out))
                except KeyboardInterrupt as error:
                    tell(error, self.plan, frame.words, frame.loops)
                    raise
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
            return outs if into(arrays + outs) else None

        return call

    def into(self) -> Callable[[tuple[Any, ...]], bool]:
        """`call(arrays)` with the arrays for the outputs behind those of the inputs: fills them, or gives False, with nothing
        done, if an array is not of exactly the declared type. For programs without host calls."""
        if self.stops:
            return self._stopping_into()
        frames, resume, count = self.frames, self._resume, len(self.entries)

        def call(arrays: tuple[Any, ...]) -> bool:
            try:
                frame = frames.pop()
            except IndexError:
                frame = self._new_frame()
            try:
                code = frame.call(arrays)
            except KeyboardInterrupt as error:
                tell(error, self.plan, frame.words, frame.loops)
                raise
            if code == 2:
                resume(frame, count)
            frames.append(frame)
            return code != 1

        return call

    def checked_into(self) -> Callable[[tuple[Any, ...]], bool]:
        """As `into`, but it raises IndexError for an index out of bounds before any later entry has run."""
        return self._stopping_into(self.last_fault() + 1)

    def _stopping_into(self, check: int = 0) -> Callable[[tuple[Any, ...]], bool]:
        """As `into`, in several stretches: up to each step that may raise, and to entry number `check`, where indices are looked
        at (0: nowhere)."""
        count, bind = len(self.entries), self.runtime.bind

        def call(arrays: tuple[Any, ...]) -> bool:
            frame = self.frame()
            if bind(frame.address, arrays):
                self.release(frame)
                return False
            self.begin(frame)
            if check:
                self.run_natives(frame, arrays, check)
                self._check()
            self.run_natives(frame, arrays, count)
            self.release(frame)
            return True

        return call

    def _call_of(self, words: np.ndarray) -> Callable[[tuple[Any, ...]], int]:
        """The native entry for a frame. A short program keeps the interpreter's lock: giving it up and taking it again costs more
        than the work."""
        if self.plan.work <= KEEP_LOCK:
            return self.runtime.call_of(words)
        return functools.partial(self.runtime.run, words.ctypes.data)

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

    def begin(self, frame: Frame) -> None:
        """Sets a bound frame to the start of the program."""
        frame.words[7:9] = 0
        frame.words[runtime.FAILED] = 0

    def _resume(self, frame: Frame, last: int) -> None:
        # Between these calls Python's signal handlers run.
        try:
            while self.runtime.steps(frame.address, last) == 2:
                if frame.words[runtime.FAILED]:
                    # A loop that goes on from what was never computed might not end.
                    frame.spoiled = True
                    frame.words[7:9] = last, 0
                    return
        except KeyboardInterrupt as error:
            tell(error, self.plan, frame.words, frame.loops)
            raise

    def run_natives(self, frame: Frame, arrays: Sequence[np.ndarray], last: int) -> None:
        """Runs the native entries up to number `last`. One in which the user's code failed is run again on the host, at once, so
        that its arguments are still there: that raises what the user's code raises."""
        for stop, eq in self.stops.items():
            if frame.words[7] < stop <= last:
                self._resume(frame, stop)
                if frame.words[runtime.FAILED]:
                    frame.words[runtime.FAILED] = 0
                    self._forget_faults()
                    with np.errstate(all="ignore"):
                        run_on_host(eq, self.values(frame, arrays), self.lowered.sources)
        if frame.words[7] < last:
            self._resume(frame, last)

    def values(self, frame: Frame, arrays: Sequence[np.ndarray]) -> dict[Var, np.ndarray]:
        """The arrays of a running call, in which host calls read and write."""
        return dict(zip((*self.inputs, *self.outputs), arrays, strict=True)) | frame.arrays

    def _run_all(self, frame: Frame, arrays: Sequence[np.ndarray]) -> None:
        """Native stretches and host calls in turn."""
        values = self.values(frame, arrays)
        self.begin(frame)
        done = 0
        with np.errstate(all="ignore"):
            for entry in self.entries:
                if not isinstance(entry, HostStep):
                    done += 1
                    continue
                self.run_natives(frame, arrays, done)
                run_on_host(entry.equation, values, self.lowered.sources)
        self.run_natives(frame, arrays, done)
