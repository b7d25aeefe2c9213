"""Several kernels compiled at once, by this process and others, the longest first.

llvmlite takes one lock for all of LLVM, so threads would wait for each other; and a fork is no way in a program that may have
threads of others. The processes (codegen_process.py) take assembly and give object files. They are started when the first code
of all, the runtime's, is compiled, so that they are ready when the kernels' texts are, and end with the program that they
were started for. Whatever goes wrong with one costs time only: what it did not do is done here.

FUNCGRAD_COMPILE_PROCESSES is their number: by default one less than the CPUs of this process, at most 3.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import struct
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from funcgrad.compile import locks, machine
from funcgrad.ops.families import LazyModule

_build: Any = LazyModule("funcgrad.compile.build")
subprocess: Any = LazyModule("subprocess")
FEWEST = 4
"""Kernels from which processes are started for them: it takes one 0.1 s to be ready, four kernels or five."""
MOST = 3
PATIENCE = 2.0
"""Seconds that this process, done with its share, waits for another before it does the rest itself."""
_started: list[_Process] = []
_lock = threading.Lock()


class _Process:
    """Another process that makes object files, one after the other."""

    def __init__(self, llvmlite: Path) -> None:
        here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "codegen_process.py")
        # Isolated, and without site-packages: nothing of the user's is imported or runs there.
        command = [sys.executable, "-I", "-S", here, str(llvmlite.parent)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def compile(self, assembly: str) -> bytes:
        """The object file; nothing if it fails or the process is gone."""
        try:
            text = assembly.encode()
            self.process.stdin.write(struct.pack("<I", len(text)) + text)
            self.process.stdin.flush()
            head = self.process.stdout.read(4)
            (size,) = struct.unpack("<I", head)
            code: bytes = self.process.stdout.read(size)
        except (OSError, ValueError, struct.error):
            return b""
        return code if len(code) == size else b""

    def end(self) -> None:
        """Stops it, in the midst of what it does."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


def wanted() -> int:
    """How many processes may help."""
    named = os.environ.get("FUNCGRAD_COMPILE_PROCESSES", "")
    if named.isdigit():
        return int(named)
    return min(machine.cpus() - 1, MOST)


def start() -> None:
    """Starts the processes, unless they run. Whoever calls it sees to it that `end` is called."""
    name, llvmlite = os.path.basename(sys.executable or "").lower(), machine.llvmlite_folder()
    if not name.startswith("python") or llvmlite is None:
        return  # Python inside of another program, which would be started a second time
    with _lock, contextlib.suppress(OSError):
        while len(_started) < wanted():
            _started.append(_Process(llvmlite))


def end() -> None:
    """Ends the processes."""
    with _lock:
        while _started:
            _started.pop().end()


def compile_together(texts: Sequence[tuple[str, str]]) -> dict[str, bytes]:
    """Object files by symbol, for pairs of a kernel's text and its symbol; without those that could not be compiled."""
    if len(texts) >= FEWEST:
        start()
    pending, made = deque(sorted(texts, key=lambda t: -len(t[0]))), dict[str, bytes]()
    with _lock:
        processes = list(_started)
    feeders = [threading.Thread(target=_feed, args=(p, pending, made), daemon=True) for p in processes]
    try:
        for feeder in feeders:
            feeder.start()
        _share(pending, made)
        for feeder, process in zip(feeders, processes, strict=True):
            feeder.join(PATIENCE)
            if feeder.is_alive():
                process.end()
                feeder.join()
    finally:
        end()
    _share(pending, made)
    return made


def _share(pending: deque[tuple[str, str]], made: dict[str, bytes]) -> None:
    """Compiles until nothing is left."""
    with contextlib.suppress(IndexError):
        while True:
            text, symbol = pending.popleft()
            with contextlib.suppress(Exception):  # met again, with all that is to say of it, when the kernel is loaded
                made[symbol] = _build.compile_source(text, symbol)


def _feed(process: _Process, pending: deque[tuple[str, str]], made: dict[str, bytes]) -> None:
    """Has another process compile until nothing is left, or it fails."""
    with contextlib.suppress(IndexError):
        while True:
            text, symbol = pending.popleft()
            try:
                code = process.compile(_build.assembly(_build.lower(text, symbol)))
            except Exception:
                code = b""
            if not code:
                pending.appendleft((text, symbol))
                return
            made[symbol] = code


def _forget() -> None:
    # In a forked child: the processes are the parent's. Pipes that the child kept open would hide the parent's end from them.
    while _started:
        process = _started.pop().process
        process.returncode = 0  # it is nobody's to wait for here
        process.stdin.close()
        process.stdout.close()


locks.after_fork_in_child(_forget)
atexit.register(end)
