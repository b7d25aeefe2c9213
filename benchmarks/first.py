"""Time to first result and peak memory of one row, each in a process of its own.

`python -m benchmarks.first ROW LIBRARY` prints them as JSON: seconds of the first call (imports and the making of the arguments
not counted) and of the fastest of ten more, and the most memory that the process had.
"""

from __future__ import annotations

import compileall
import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import lru_cache

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
    calls = []
    for _ in range(10):
        start = time.perf_counter()
        call()
        calls.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"first": first, "call": min(calls), "peak": peak}))


def warm_up(library: str) -> None:
    """Loads the library and starts what it starts once, so that only the row's own first call is measured."""
    module = importlib.import_module(library)
    if library == "jax":
        module.numpy.ones(3).block_until_ready()


@lru_cache(maxsize=1)
def write_bytecode() -> None:
    """Keeps the compiled modules of this package on disk, as pip does for one that it installs (the peers were)."""
    spec = importlib.util.find_spec("funcgrad")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        compileall.compile_dir(folder, quiet=1)


def measured(entry: Row, library: str, cache: str, **settings: str) -> dict[str, float]:
    """What a fresh process with this kernel cache, and these variables in its environment, measures."""
    write_bytecode()
    command = [sys.executable, "-m", "benchmarks.first", entry.name, library]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "FUNCGRAD_CACHE_DIR": cache, **settings}
    )
    return json.loads(done.stdout.splitlines()[-1])


def report(entry: Row) -> str:
    """One line: funcgrad with an empty kernel cache, with a full one, and in tiers; the peers, and the memory of each."""
    cells = [f"{entry.name:<52}"]
    with tempfile.TemporaryDirectory() as cache:
        cold = measured(entry, "funcgrad", cache)
        warm = measured(entry, "funcgrad", cache)
    with tempfile.TemporaryDirectory() as cache:
        tiered = measured(entry, "funcgrad", cache, FUNCGRAD_TIERED="1")
    cells.append(f"cold {1e3 * cold['first']:6.0f} ms  warm {1e3 * warm['first']:6.0f} ms")
    cells.append(f"tiered {1e3 * tiered['first']:6.0f} ms (a later call {1e3 * warm['call']:.3g} ms)")
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
