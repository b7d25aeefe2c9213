"""`python -m benchmarks [--smoke] [--only TEXT]`: every row, funcgrad against the installed peers, with ratios."""

from __future__ import annotations

import argparse
import platform

from benchmarks import core as core
from benchmarks.harness import ROWS, measure


def text(seconds: float) -> str:
    """A time with a readable unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="one short turn for each row: does it run at all?")
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows whose name contains this")
    options = parser.parse_args()
    seconds, rounds = (0.002, 1) if options.smoke else (0.05, 9)
    print(f"{platform.machine()}, Python {platform.python_version()}; minimum (median) of {rounds} turns")
    for entry in ROWS:
        if options.only not in entry.name:
            continue
        found = measure(entry, seconds, rounds)
        peers = {library: best for library, (best, _) in found.items() if library != "funcgrad"}
        print(f"\n{entry.name}")
        for library, (best, median) in found.items():
            print(f"  {library:10s} {text(best):>10s} ({text(median)})")
        if peers:
            rival = min(peers, key=lambda library: peers[library])
            print(f"  funcgrad / {rival}: {found['funcgrad'][0] / peers[rival]:.2f}")


if __name__ == "__main__":
    main()
