"""Time to first result and peak memory of one row, each in a process of its own.

`python -m benchmarks.first ROW LIBRARY` prints them as JSON: seconds of the first call (imports and the making of the arguments
not counted), and the most memory that the process had in ten more.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

from benchmarks import compiled as compiled
from benchmarks import models as models
from benchmarks.harness import ROWS, Row, installed

LIBRARIES = ("funcgrad", "jax", "torch")


def main() -> None:
    """Measures in this process."""
    name, library = sys.argv[1:]
    entry = next(r for r in ROWS if r.name == name)
    warm_up(library)
    call = entry.contestants[library]()
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    for _ in range(10):
        call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"first": first, "peak": peak}))


def warm_up(library: str) -> None:
    """Loads the library and starts what it starts once, so that only the row's own first call is measured."""
    module = importlib.import_module(library)
    if library == "jax":
        module.numpy.ones(3).block_until_ready()


def measured(entry: Row, library: str, cache: str) -> dict[str, float]:
    """What a fresh process with this kernel cache measures."""
    command = [sys.executable, "-m", "benchmarks.first", entry.name, library]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "FUNCGRAD_CACHE_DIR": cache}
    )
    return json.loads(done.stdout.splitlines()[-1])


def report(entry: Row) -> str:
    """One line: funcgrad cold and warm, the peers, and the memory of each."""
    cells = [f"{entry.name:<52}"]
    with tempfile.TemporaryDirectory() as cache:
        cold = measured(entry, "funcgrad", cache)
        warm = measured(entry, "funcgrad", cache)
    cells.append(f"cold {1e3 * cold['first']:6.0f} ms  warm {1e3 * warm['first']:6.0f} ms")
    peaks = {"funcgrad": warm["peak"]}
    for library in LIBRARIES[1:]:
        if library in entry.contestants and installed(library):
            found = measured(entry, library, "")
            peaks[library] = found["peak"]
            cells.append(f"{library} {1e3 * found['first']:6.0f} ms")
    cells.append("memory " + ", ".join(f"{k} {v / 1e6:.0f} MB" for k, v in peaks.items()))
    return "  ".join(cells)


if __name__ == "__main__":
    main()
