"""`python -m benchmarks [--smoke] [--first] [--only TEXT]`: every row, funcgrad against the installed peers, with ratios."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Mapping

from benchmarks import compiled as compiled
from benchmarks import core as core
from benchmarks import first
from benchmarks import imperative as imperative
from benchmarks import indexing as indexing
from benchmarks import loops as loops
from benchmarks import models as models
from benchmarks import networks as networks
from benchmarks import optim as optim
from benchmarks import products as products
from benchmarks.harness import LIBRARIES, ROWS, Machine, Row, Time, installed, measure, measure_machine, rival

FIRST = (
    "jit",
    "value",
    "Black",
    "MLP 784-512-512-10, SGD",
    "per-example",
    "transformer",
    "GMM",
    "ResNet-18 at 224, batch 8: frozen",
)
"""How the rows begin whose first result and memory are compared."""
WIDTHS = (64, *(20 for _ in LIBRARIES), 24, 0)


def text(seconds: float) -> str:
    """A time with a readable unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def verdict(entry: Row, found: Mapping[str, Time]) -> str:
    """How funcgrad stands to the row's limit: "22 us of 30 us", "310 ns over numpy of 1 us", or "" without a limit."""
    if entry.limit is None:
        return ""
    over = found[entry.over].best if entry.over else 0.0
    ours = found["funcgrad"].best - over
    spent = f"{text(ours)} over {entry.over}" if entry.over else text(ours)
    return f"{spent} of {text(entry.limit)}" + ("" if ours <= entry.limit else ": MISSED")


def line(*cells: str) -> str:
    """One line of the table."""
    return "".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def report(entry: Row, found: Mapping[str, Time], machine: Machine | None = None) -> str:
    """The line of one row: the times, the ratio to the best peer, the limit, and how near it is to what the machine can do."""
    times = [f"{text(found[k].best)} ({text(found[k].median)})" if k in found else "-" for k in LIBRARIES]
    best = rival(found)
    ratio = f"{found['funcgrad'].best / found[best].best:.2f} x {best}" if best else "-"
    least = machine.least(entry) if machine is not None else 0.0
    near = f"{100 * least / found['funcgrad'].best:.0f} % of the machine's limit" if least else ""
    return line(entry.name, *times, ratio, "; ".join(part for part in (verdict(entry, found), near) if part))


def main() -> None:
    """Runs the rows that were asked for and prints each as it is done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one short turn for each row: does it run at all?")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name contains this")
    parser.add_argument(
        "--first", action="store_true", help="time to first result, cold and warm, and peak memory instead"
    )
    options = parser.parse_args()
    chosen = [entry for entry in ROWS if options.only in entry.name]
    if not chosen:
        names = "\n  ".join(entry.name for entry in ROWS)
        parser.error(f"no row's name contains '{options.only}'; the rows are\n  {names}")
    if options.first:
        for entry in chosen:
            if entry.name.startswith(FIRST):
                print(first.report(entry), flush=True)
        return
    seconds, rounds = (0.002, 1) if options.smoke else (0.05, 9)
    absent = [library for library in LIBRARIES if not installed(library)]
    print(f"{platform.machine()}, Python {platform.python_version()}; the minimum (median) of {rounds} turns, in turn")
    if absent:
        print(f"not installed, so left out: {', '.join(absent)}")
    machine = measure_machine()
    print(f"this machine: {machine.bandwidth / 1e9:.1f} GB/s, {machine.flops / 1e9:.0f} GFLOP/s (float32)")
    print(line("", *LIBRARIES, "to the best peer", "of the limit"))
    for entry in chosen:
        print(report(entry, measure(entry, seconds, rounds), machine), flush=True)


if __name__ == "__main__":
    main()
