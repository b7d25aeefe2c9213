"""What the compiler made of a Program, as text and as numbers: its schedule, its kernels, and how long each step takes.

Below the api room, so that it may look into an Executable; `api/inspection.py` gives it to the user.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.compile.entries import ControlStep, Entry, HostStep, NativeStep, Plan
from funcgrad.compile.executor import Executable
from funcgrad.compile.host_calls import run_on_host
from funcgrad.compile.steps import Kernel, Step, span
from funcgrad.core.lowering import Pointwise, Routine
from funcgrad.core.program import Var


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step of a schedule.

    kind: "kernel", "gemm", "loop", "choice" or "host"; title: as it is printed; kernel: the name of its text (k0, k1, ...),
    empty for a host call; reads, writes: the buffers by name and type; units, grain: its range and the pieces that threads
    share; bytes: of all its buffers; flops: 2mnk for a product, cost in additions times elements for a kernel, about that for
    one of several kernels of a convolution or of attention, 0 for a host call.
    """

    kind: str
    title: str
    kernel: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    units: int
    grain: int
    bytes: int
    flops: float
    bodies: tuple[str, ...] = ()
    """The schedules inside of a loop or a choice."""

    def __str__(self) -> str:
        if self.bodies:
            head = f"{self.title}: {', '.join(self.reads) or 'nothing'} -> {', '.join(self.writes) or 'nothing'}"
            return "\n".join([head, *["       " + line for body in self.bodies for line in body.split("\n")]])
        text = f"{self.title}: {', '.join(self.reads) or 'nothing'} -> {', '.join(self.writes) or 'nothing'}"
        return text if self.kind == "host" else f"{text}  ({self.units} units, grain {self.grain})"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The steps of a compiled Program, its distinct kernels by name, and the size of its arena in bytes."""

    steps: tuple[StepReport, ...]
    kernels: dict[str, str]
    arena: int

    def __str__(self) -> str:
        lines = [f"{n:3}  {step}" for n, step in enumerate(self.steps)]
        return "\n".join([*(lines or ["  no steps"]), f"arena: {self.arena} bytes"])


def schedule(compiled: Executable) -> Schedule:
    """The report of a compiled Program."""
    names = _buffer_names(compiled.plan)
    kernels: dict[str, str] = {}
    for e in compiled.plan.natives():
        if e.text not in kernels:
            kernels[e.text] = f"k{len(kernels)}"
    steps = [_step(e, s, names, kernels) for e, s in zip(compiled.entries, compiled.origins, strict=True)]
    return Schedule(tuple(steps), {name: text for text, name in kernels.items()}, compiled.memory.size)


def _buffer_names(compiled: Plan) -> dict[Var, str]:
    """in0, out0, const0 and, in the arena, b0 with its place."""
    names: dict[Var, str] = {}
    for word, group in (("const", compiled.constants), ("in", compiled.inputs), ("out", compiled.outputs)):
        names.update({v: f"{word}{n} {v.type}" for n, v in enumerate(group)})
    for n, (v, at) in enumerate(compiled.memory.places.items()):
        names[v] = f"b{n} {v.type} @{at}"
    return names


def _step(entry: Entry, step: Step, names: dict[Var, str], kernels: dict[str, str]) -> StepReport:
    reads = tuple([names[v] for v in dict.fromkeys(entry.reads)])
    writes = tuple([names[v] for v in dict.fromkeys(entry.writes)])
    size = sum(v.type.size * v.type.dtype.itemsize for v in {*entry.reads, *entry.writes})
    if isinstance(entry, HostStep):
        return StepReport("host", f"host call: {entry.label}", "", reads, writes, 1, 1, size, 0.0)
    if isinstance(entry, ControlStep):
        return _nested(entry, reads, writes, size, kernels)
    kernel = kernels[entry.text]
    if isinstance(step, Kernel):
        title = f"kernel {kernel} {entry.label}"
        return StepReport("kernel", title, kernel, reads, writes, entry.units, entry.grain, size, _operations(step))
    if entry.loop is not None:
        title = f"kernel {kernel} {entry.label}{f' of {entry.units} steps' if entry.grain < 0 else ''}"
        return StepReport("kernel", title, kernel, reads, writes, entry.units, abs(entry.grain), size, entry.work)
    if isinstance(step.equation.primitive.kernel, Routine):
        title = f"{step.equation.primitive.name}: {entry.label} by {kernel}"
        return StepReport("kernel", title, kernel, reads, writes, entry.units, entry.grain, size, 16 * entry.work)
    batch, m, n, k = product_sizes(entry)
    title = f"gemm {f'{batch} x ' if batch != 1 else ''}({m} x {n} x {k}) by {kernel}"
    flops = 2.0 * batch * m * n * k
    return StepReport("gemm", title, kernel, reads, writes, entry.units, entry.grain, size, flops)


def _nested(entry: ControlStep, reads: tuple[str, ...], writes: tuple[str, ...], size: int,
            kernels: dict[str, str]) -> StepReport:  # fmt: skip
    """A loop or a choice, with the schedules of its bodies."""
    bodies = []
    flops = 0.0
    for number, body in enumerate(entry.bodies):
        names = _buffer_names(body)
        steps = [_step(e, s, names, kernels) for e, s in zip(body.entries, body.origins, strict=True)]
        head = [] if entry.is_loop else [f"branch {number}:"]
        bodies.append("\n".join([*head, *[f"{n:3}  {step}" for n, step in enumerate(steps)]]))
        flops = max(flops, sum(step.flops for step in steps))
    if not entry.is_loop:
        title = f"choice {entry.label} of {len(bodies)}"
        return StepReport("choice", title, "", reads, writes, 1, 1, size, flops, tuple(bodies))
    length = entry.equation.params["length"]
    title = f"loop {entry.label} {'while its condition holds' if length is None else f'of {length} steps'}"
    return StepReport("loop", title, "", reads, writes, length or 1, 1, size, flops * (length or 1), tuple(bodies))


def product_sizes(entry: NativeStep) -> tuple[int, int, int, int]:
    """(batch, m, n, k) of a product, from its table (see blas.py)."""
    m, n, k = entry.words[3:6]
    return entry.units // max(entry.words[11], 1), m, n, k


def _operations(kernel: Kernel) -> float:
    """Cost in additions of a kernel run: of each equation its cost times the elements it runs over."""
    total = 0.0
    for eq in kernel.members:
        axes = kernel.axes[eq.outputs[0]]
        rule = eq.primitive.kernel
        if isinstance(rule, Pointwise):
            total += rule.cost * math.prod(kernel.sizes[d] for d in span(axes))
        else:
            total += eq.inputs[0].type.size
    return total


# ---- time ----


@dataclass(frozen=True, slots=True)
class Timing:
    """One step's times in seconds, one a run."""

    step: StepReport
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))


@dataclass(frozen=True, slots=True)
class Measured:
    """A profile: each step's times, the time of whole calls, the events for a trace, and the outputs of the last run."""

    timings: tuple[Timing, ...]
    whole: float
    events: tuple[dict[str, Any], ...]
    outputs: tuple[np.ndarray, ...]


def measure(compiled: Executable, args: Sequence[Any], repeat: int) -> Measured:
    """Runs a compiled program step by step, `repeat` times after one run to warm up."""
    report = schedule(compiled)
    times: list[list[float]] = [[] for _ in compiled.entries]
    events: list[dict[str, Any]] = []
    compiled(args)
    start = time.perf_counter_ns()
    outputs: list[np.ndarray] = []
    for number in range(repeat):
        spans, outputs = run_timed(compiled, args)
        for n, (begin, end, spent) in enumerate(spans):
            times[n].append(spent * 1e-9)
            events.append(_event(report.steps[n], begin - start, end - begin, number))
    whole = []
    for _ in range(repeat):
        begin = time.perf_counter_ns()
        compiled(args)
        whole.append((time.perf_counter_ns() - begin) * 1e-9)
    timings = tuple([Timing(s, tuple(t)) for s, t in zip(report.steps, times, strict=True)])
    return Measured(timings, float(np.median(whole)), tuple(events), tuple(outputs))


def run_timed(compiled: Executable, args: Sequence[Any]) -> tuple[list[tuple[int, int, int]], list[np.ndarray]]:
    """One run: (start, end, nanoseconds spent) of each step, and the outputs. What the doors to native code and the clock
    themselves take, measured in the same run, is not in the time spent."""
    outs = [out.new(np.ndarray) for out in compiled.outs]
    frame = compiled.frame()
    steps = compiled.runtime.steps
    arrays = (*args, *outs)
    if compiled.runtime.bind(frame.address, arrays) != 0:
        arrays = (*compiled._fitting(args), *outs)
        if compiled.runtime.bind(frame.address, arrays) != 0:
            raise AssertionError("arrays made to fit do not fit")
    values = compiled.values(frame, arrays)
    compiled.begin(frame)
    clock, spans, done = time.perf_counter_ns, [], 0
    idle = min(_timed(clock, lambda: steps(frame.address, 0)) for _ in range(5))
    with np.errstate(all="ignore"):
        for entry in compiled.entries:
            begin = clock()
            if isinstance(entry, HostStep):
                run_on_host(entry.equation, values, compiled.lowered.sources)
                end = clock()
                spans.append((begin, end, end - begin))
                continue
            done += 1
            if done in compiled.stops:
                compiled.run_natives(frame, arrays, done)
            while steps(frame.address, done) == 2:
                pass
            end = clock()
            spans.append((begin, end, max(end - begin - idle, 0)))
    compiled.release(frame)
    return spans, outs


def _timed(clock: Callable[[], int], act: Callable[[], Any]) -> int:
    begin = clock()
    act()
    return clock() - begin


def _event(step: StepReport, start: int, duration: int, run: int) -> dict[str, Any]:
    """A complete event of Chrome's trace format; times in microseconds."""
    about = {
        "reads": list(step.reads),
        "writes": list(step.writes),
        "units": step.units,
        "grain": step.grain,
        "run": run,
    }
    return {"name": step.title, "cat": step.kind, "ph": "X", "ts": start / 1e3, "dur": duration / 1e3, "pid": 0, "tid": 0,
            "args": {**about, "bytes": step.bytes, "flops": step.flops}}  # fmt: skip


def write_trace(path: Path, name: str, events: Sequence[dict[str, Any]]) -> None:
    """Writes a file that chrome://tracing and Perfetto open."""
    names = [{"name": "process_name", "ph": "M", "pid": 0, "args": {"name": f"funcgrad: {name}"}}]
    path.write_text(json.dumps({"traceEvents": [*names, *events], "displayTimeUnit": "ns"}, indent=1) + "\n")


def table(measured: Measured) -> str:
    """The profile as a table, a line for each step."""
    total = sum(t.median for t in measured.timings)
    head = ("step", "calls", "time us", "share", "bytes", "GB/s", "GFLOP/s")
    rows = [_row(n, t, total) for n, t in enumerate(measured.timings)]
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join([r[0].ljust(widths[0]), *[c.rjust(w) for c, w in zip(r[1:], widths[1:], strict=True)]])
        for r in [head, *rows]
    ]
    return "\n".join([*lines, f"steps together {total * 1e6:.2f} us; a whole call {measured.whole * 1e6:.2f} us"])


def _row(number: int, t: Timing, total: float) -> tuple[str, ...]:
    step, seconds = t.step, t.median
    share = f"{seconds / total:.1%}" if total else "-"
    rate = f"{step.bytes / seconds / 1e9:.2f}" if seconds else "-"
    flops = f"{step.flops / seconds / 1e9:.2f}" if seconds and step.flops else "-"
    return (f"{number} {step.title}", str(len(t.seconds)), f"{seconds * 1e6:.2f}", share, str(step.bytes), rate, flops)
