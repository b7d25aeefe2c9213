"""`memory_plan`: how much memory a function will take, and which of its lines take the most, before it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from funcgrad.api.inspection import traced_for
from funcgrad.compile import execute
from funcgrad.ops.families import LazyModule

if TYPE_CHECKING:
    from funcgrad.compile.memory import Account, Buffer

memory: Any = LazyModule("funcgrad.compile.memory")
LISTED = 8


@dataclass(frozen=True, slots=True, eq=False)
class MemoryPlan:
    """The memory of one call of a function, in bytes; printing it shows all of it.

    name: of the function; account: arguments, constants, results, arena (the one block that holds intermediate values), host
    (what calls of NumPy hold meanwhile), buffers (every array, the largest first, with its origin).
    """

    name: str
    account: Account

    @property
    def peak(self) -> int:
        """What a call takes at most besides its arguments and constants: results, arena and host calls."""
        return self.account.peak

    @property
    def arena(self) -> int:
        """The block for intermediate values. It is kept from call to call."""
        return self.account.arena

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """Every array: role, type, nbytes and origin, the largest first."""
        return self.account.buffers

    def __str__(self) -> str:
        a, size = self.account, memory.size_text
        lines = [
            f"{self.name} takes {size(a.peak)}: {size(a.arena)} for intermediate values, {size(a.results)} for results, "
            f"{size(a.host)} in host calls; besides {size(a.arguments)} of arguments and {size(a.constants)} of constants",
            *[f"  {b}" for b in a.buffers[:LISTED]],
        ]
        more = len(a.buffers) - LISTED
        return "\n".join([*lines, *([f"  and {more} smaller ones"] if more > 0 else [])])

    __repr__ = __str__


def memory_plan(fun: Callable[..., Any]) -> Callable[..., MemoryPlan]:
    """A function of the same arguments as `fun` that tells how much memory `fun` will take under `jit`. Nothing is run.

    `fun` may be jitted or not; arguments may be ShapeDtypeStructs, in any pytrees. The plan is that of the compiled program, or
    of NumPy going through it where this machine can run no kernels. Raises TypeError for a function that closes over a value
    that is being traced.

        print(fg.memory_plan(fg.grad(loss))(params, fg.ShapeDtypeStruct((10_000, 784), "float32")))
    """

    def plan_of(*args: Any, **kwargs: Any) -> MemoryPlan:
        traced = traced_for(fun, args, kwargs, "memory_plan")
        compiled = execute.executable(traced.program)
        found = memory.account(compiled) if compiled is not None else memory.account_of_numpy(traced.program)
        return MemoryPlan(traced.name, found)

    return plan_of
