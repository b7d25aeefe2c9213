"""Which states to keep when a long computation is reversed in little memory: the binomial schedule, and its size for a budget.

To reverse steps without saving all, some states are kept and the steps after them run again. Griewank and Walther's schedule
(revolve, ACM TOMS 26, 2000) runs the fewest steps again for a number of kept states. `transforms/budget_scan.py` uses it on
blocks of steps: within a block everything is saved. `plan_blocks` chooses the length of the blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache


def reach(kept: int, runs: int) -> int:
    """How many steps can be reversed from `kept` states, the first one among them, with no step run more than `runs` times."""
    return math.comb(kept + runs, kept) if runs >= 0 else 0


def most_runs(steps: int, kept: int) -> int:
    """How often the most frequent step of a reversal is run again."""
    if kept == 1:
        return steps - 1
    runs = 0
    while reach(kept, runs) < steps:
        runs += 1
    return runs


def advances(steps: int, kept: int) -> int:
    """The number of steps that the best schedule runs forward to reverse `steps` of them from `kept` states (the first one among
    them), the runs that save a step for its reversal not counted."""
    runs = most_runs(steps, kept)
    return runs * steps - math.comb(kept + runs, runs - 1) if runs else 0


def _first_cut(steps: int, kept: int) -> int:
    """How far to run before the next state is kept."""
    runs = most_runs(steps, kept)
    return max(1, reach(kept, runs - 2), steps - reach(kept - 1, runs))


def binomial_schedule(steps: int, kept: int) -> Iterator[tuple[str, int, int]]:
    """The actions that reverse `steps` steps from `kept` states, the first one among them.

    ("keep", i, j): from the last state kept, at i, run to j and keep that state. ("reverse", i, j): from the last state kept,
    at i, run to j and go back through step j; if that is step i, the state is not needed any more.
    """
    stack, end = [0], steps
    while end > 0:
        at = stack[-1]
        if len(stack) < kept and end - at > 1:
            cut = at + _first_cut(end - at, kept - len(stack) + 1)
            yield "keep", at, cut
            stack.append(cut)
            continue
        end -= 1
        yield "reverse", at, end
        if at == end:
            stack.pop()


def first_states(steps: int, kept: int) -> list[int]:
    """Where the schedule keeps states on its first way to the end, the beginning left out."""
    return [to for _, _, to in itertools.takewhile(lambda a: a[0] == "keep", binomial_schedule(steps, kept))]


@dataclass(frozen=True, slots=True)
class Plan:
    """`length` steps in `count` blocks of `block` steps (the last one may be shorter), carries kept at `kept` of them at a time,
    the first among them. `bytes`: what is held at most; `again`: how many steps the reverse mode runs forward."""

    length: int
    block: int
    count: int
    kept: int
    bytes: int
    again: int


@lru_cache(maxsize=256)
def plan_blocks(length: int, carry_bytes: int, step_bytes: int, budget: int) -> Plan | None:
    """The plan with the fewest steps run again that holds at most `budget` bytes; None if one step alone is more."""
    best: Plan | None = None
    block = min(length, budget // max(step_bytes, 1))
    while block >= 1:
        # Blocks of about one size, or as many of the full size as there are and a shorter one.
        for size in {block, -(-length // -(-length // block))}:
            found = _plan(length, size, carry_bytes, step_bytes, budget)
            if found is not None and (best is None or (found.again, found.bytes) < (best.again, best.bytes)):
                best = found
        block = min(block - 1, int(block / 1.05))
    return best


def _plan(length: int, block: int, carry_bytes: int, step_bytes: int, budget: int) -> Plan | None:
    count = -(-length // block)
    last = length - (count - 1) * block
    # A shorter last block has code of its own, with memory of its own.
    saved = (block + (last if last != block else 0)) * step_bytes
    if saved > budget:
        return None
    kept = 1 + min((budget - saved) // max(carry_bytes, 1), count - 1)
    again = length + advances(count, kept) * block
    return Plan(length, block, count, kept, saved + (kept - 1) * carry_bytes, again)
