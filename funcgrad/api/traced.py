"""A function traced at given types, and what that becomes: Traced, Lowered, Compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from funcgrad import tree
from funcgrad.api.arguments import flatten_arrays, function_name
from funcgrad.api.shape_dtype import leaf_type, struct_of
from funcgrad.compile import execute
from funcgrad.core.array import wrap
from funcgrad.core.program import Program
from funcgrad.core.tracing import Tracer, run, trace_program, type_of
from funcgrad.core.types import ArrayType
from funcgrad.ops.families import LazyModule
from funcgrad.transforms.call import call

numba_bridge: Any = LazyModule("funcgrad.api.numba_bridge")

Fun = Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A function traced at given types: `.program` (also `.jaxpr`), `.out_info`, `.lower()`."""

    program: Program
    in_tree: tree.PyTreeDef
    out_tree: tree.PyTreeDef
    captured: tuple[Tracer, ...]
    name: str

    @property
    def jaxpr(self) -> Program:
        return self.program

    @property
    def out_info(self) -> Any:
        """The output's tree of ShapeDtypeStruct."""
        return tree.unflatten(self.out_tree, [struct_of(t) for t in self.program.out_types])

    def lower(self) -> Lowered:
        """The Program as it will run."""
        return Lowered(self)


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A traced function ready to compile."""

    traced: Traced

    @property
    def in_tree(self) -> tree.PyTreeDef:
        return self.traced.in_tree

    @property
    def out_tree(self) -> tree.PyTreeDef:
        return self.traced.out_tree

    @property
    def out_info(self) -> Any:
        return self.traced.out_info

    def as_text(self) -> str:
        """The printed Program."""
        return str(self.traced.program)

    def compile(self) -> Compiled:
        """The callable for exactly these types."""
        return Compiled(self.traced)


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A function for fixed argument types; calling it with others raises TypeError."""

    traced: Traced

    def as_text(self) -> str:
        """The printed Program."""
        return str(self.traced.program)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        t = self.traced
        leaves, in_tree = flatten_arrays((args, kwargs), f"{t.name}: argument")
        want = t.program.in_types[len(t.captured) :]
        if in_tree != t.in_tree:
            raise TypeError(f"{t.name} was compiled for arguments of structure {t.in_tree}, got {in_tree}.")
        for have, need in zip(map(type_of, leaves), want, strict=True):
            if have != need:
                raise TypeError(
                    f"{t.name} was compiled for an argument of type {need}, got {have}; call the jitted function."
                )
        return run_traced(t, leaves)

    @property
    def njit(self) -> Any:
        """This function for numba: callable from @njit code, in prange too. Takes the arguments' leaves one by one, as arrays or
        (where they have no dimensions) numbers; gives new arrays and numbers, a tuple if there are several. See docs/numba.md.

        Raises NotImplementedError if a step of the program is a host call, TypeError if the function closes over tracers.
        """
        return numba_bridge.njit_function(self.traced)

    def cfunc(self, signature: str | None = None) -> Any:
        """This function as a C function pointer: `.address`, `.ctypes` (for scipy.LowLevelCallable), `.signature`.

        signature: "double (double, ...)" (the default for float64 numbers), "double (int, double *)", or pointers to
        each input and output, "void (double *, ...)" (the default for arrays).

        Raises NotImplementedError and TypeError as `njit`, ValueError for a signature that the program does not fit.
        """
        return numba_bridge.c_function(self.traced, signature)


def run_traced(
    traced: Traced,
    leaves: Sequence[Any],
    inline: bool = False,
    donated: frozenset[int] = frozenset(),
    tiered: bool | None = None,
) -> Any:
    """The tree of outputs for the leaves of the arguments: recorded if one of them is traced, else run.

    inline: record the equations, not one call. donated: numbers of leaves whose memory may serve. tiered: as for `jit`.
    """
    if (donated or tiered is not None) and not any(type(v) is Tracer for v in (*traced.captured, *leaves)):
        outs: Sequence[Any] = execute.execute(traced.program, *leaves, donated=donated, in_tiers=tiered)
    elif inline:
        outs = run(traced.program, *traced.captured, *leaves)
    else:
        outs = call(*traced.captured, *leaves, program=traced.program, name=traced.name)
    return tree.unflatten(traced.out_tree, [wrap(o) for o in outs])


def trace_fun(fun: Fun, in_tree: tree.PyTreeDef, types: Sequence[ArrayType], name: str) -> Traced:
    """Traces `fun(*args, **kwargs)` where (args, kwargs) has the given structure and leaf types."""
    out: list[tree.PyTreeDef] = []

    def flat(*leaves: Any) -> list[Any]:
        args, kwargs = tree.unflatten(in_tree, leaves)
        outs, out_tree = flatten_arrays(fun(*args, **kwargs), f"output of {name}")
        out[:] = [out_tree]
        return outs

    program, captured = trace_program(flat, types, name)
    return Traced(program, in_tree, out[0], tuple(captured), name)


def trace_once(fun: Fun, args: Sequence[Any], kwargs: dict[str, Any]) -> Traced:
    """Traces a function at the types of these arguments."""
    name = function_name(fun)
    leaves, in_tree = tree.flatten((tuple(args), kwargs))
    return trace_fun(fun, in_tree, [leaf_type(leaf) for leaf in leaves], name)
