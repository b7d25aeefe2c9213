"""Looking into what `jit` makes of a function: `stages` prints it, `profile` times it, `debug_nans` finds where a nan is born."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from funcgrad import tree
from funcgrad.api.arguments import function_name
from funcgrad.api.jit import Jitted
from funcgrad.api.shape_dtype import ShapeDtypeStruct, leaf_type
from funcgrad.api.traced import Traced, trace_fun
from funcgrad.compile import execute
from funcgrad.core.array import unwrap, wrap
from funcgrad.core.program import Program
from funcgrad.ops.families import LazyModule

if TYPE_CHECKING:
    from funcgrad.compile.report import Measured, StepReport

report: Any = LazyModule("funcgrad.compile.report")
simplify: Any = LazyModule("funcgrad.compile.simplify")


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """A function on its way to machine code; printing it shows all of it.

    program: as traced; simplified: without dead, double and constant work, calls written out; steps: the schedule; kernels:
    each distinct kernel's source by name; arena: bytes of memory for intermediate values; compiled: whether kernels run at
    all (False where this machine can have none: NumPy runs the traced Program then, and steps and kernels are empty).
    """

    program: Program
    simplified: Program
    steps: tuple[StepReport, ...]
    kernels: dict[str, str]
    arena: int
    compiled: bool
    schedule: str

    @property
    def host_calls(self) -> tuple[StepReport, ...]:
        """The steps that NumPy or SciPy runs."""
        return tuple([s for s in self.steps if s.kind == "host"])

    def __str__(self) -> str:
        parts = [
            f"== traced ==\n{self.program}",
            f"== simplified ==\n{self.simplified}",
            f"== schedule ==\n{self.schedule}",
        ]
        parts += [f"== source of {name} ==\n{text.rstrip()}" for name, text in self.kernels.items()]
        return "\n\n".join(parts)

    __repr__ = __str__


def stages(fun: Callable[..., Any]) -> Callable[..., Stages]:
    """A function of the same arguments as `fun` that returns every stage of its compilation, without running it.

    `fun` may be jitted or not; the arguments give the types only (arrays, numbers or ShapeDtypeStructs in any pytrees).
    What has no kernel stands in the schedule as `host call: <operation>`. Raises TypeError for a function that closes over
    a value that is being traced.

        print(fg.stages(fg.grad(loss))(params, x))
    """

    def stages_of(*args: Any, **kwargs: Any) -> Stages:
        program = traced_for(fun, args, kwargs, "stages").program
        compiled = execute.executable(program)
        if compiled is None:
            text = "no kernels: NumPy runs the traced program, equation by equation"
            return Stages(program, simplify.simplify(program), (), {}, 0, False, text)
        found = report.schedule(compiled)
        return Stages(program, compiled.simplified, found.steps, found.kernels, found.arena, True, str(found))

    return stages_of


def traced_for(fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], what: str) -> Traced:
    """A function traced at these arguments. Raises TypeError, naming `what` asked, if it closes over a traced value."""
    name = function_name(fun)
    if isinstance(fun, Jitted):
        traced = fun.trace(*args, **kwargs)
    else:
        leaves, in_tree = tree.flatten((args, kwargs))
        traced = trace_fun(fun, in_tree, [leaf_type(leaf) for leaf in leaves], name)
    if traced.captured:
        raise TypeError(f"{what} of {name}: it closes over a value that is being traced; pass it as an argument.")
    return traced


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Where a compiled function's time goes; printing it shows a table.

    The times are medians over the runs. Bytes are those of the buffers that a step reads and writes; operations 2mnk for a
    product of matrices and a kernel's cost in additions times its elements. `result`: what the function gave.
    """

    measured: Measured
    result: Any
    path: Path | None

    @property
    def steps(self) -> tuple[Any, ...]:
        """Each step with its `seconds` and `median`."""
        return self.measured.timings

    def __str__(self) -> str:
        text: str = report.table(self.measured)
        return f"{text}\ntrace written to {self.path}" if self.path is not None else text

    __repr__ = __str__


def profile(
    fun: Callable[..., Any], path: str | os.PathLike[str] | None = None, repeat: int = 20
) -> Callable[..., Profile]:
    """A function of the same arguments as `fun` that compiles it, runs it step by step, and returns a `Profile`.

    Args:
        fun: a function of pytrees of arrays, jitted or not.
        path: of a file to write in Chrome's trace format (chrome://tracing and Perfetto open it); overwritten if it exists.
        repeat: how many timed runs, after one that is not counted.

    Raises ValueError for a `repeat` below 1, TypeError for arguments that are not arrays, RuntimeError where there is
    no compiled form to time.

        print(fg.profile(step, path="step.json")(params, batch))
    """
    if repeat < 1:
        raise ValueError(f"profile of {function_name(fun)}: repeat must be 1 or more, got {repeat}.")

    def profile_of(*args: Any, **kwargs: Any) -> Profile:
        traced = traced_for(fun, args, kwargs, "profile")
        compiled = execute.executable(traced.program)
        if compiled is None:
            raise RuntimeError(
                f"profile of {traced.name}: it has no compiled form on this machine (NumPy runs it); time the call itself."
            )
        values = _values(fun, args, kwargs)
        measured = report.measure(compiled, values, repeat)
        outs = [wrap(o) for o in measured.outputs]
        where = Path(path) if path is not None else None
        if where is not None:
            report.write_trace(where, traced.name, measured.events)
        return Profile(measured, tree.unflatten(traced.out_tree, outs), where)

    return profile_of


def _values(fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The flat arrays of a call, without static arguments. Raises TypeError for what has a type only."""
    moving = fun._split(args, kwargs)[1] if isinstance(fun, Jitted) else (args, kwargs)
    leaves = [unwrap(leaf) for leaf in tree.flatten(moving)[0]]
    for leaf in leaves:
        if isinstance(leaf, ShapeDtypeStruct):
            raise TypeError(f"profile of {function_name(fun)}: it runs the function, so it needs arrays, got {leaf!r}.")
    return leaves


class debug_nans:
    """Searches every result of a compiled function for nan, and says where the first one was made.

    `debug_nans(True)` switches it on from now on in the whole process, `debug_nans(False)` off; as a context manager
    (`with debug_nans(True):`) it holds inside the block. While it is on, a compiled function whose result holds a nan
    raises FloatingPointError that names the operation which made it of arguments without nan, their range, and the line
    of the user's program; it finds it by running the program again with NumPy, equation by equation. A nan that does not
    reach the result (one that `where` leaves out) raises nothing. What runs outside of `jit` is not searched.
    """

    __slots__ = ("_before",)

    def __init__(self, on: bool = True):
        self._before = execute.check_nans(bool(on))

    def __enter__(self) -> debug_nans:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        execute.check_nans(self._before)
