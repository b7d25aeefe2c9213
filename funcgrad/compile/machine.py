"""What this CPU can do, read where the system says it: LLVM knows too, but to load LLVM takes longer than to run a program."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from funcgrad.ops.families import LazyModule

_llvm: Any = LazyModule("llvmlite.binding")
_CPUINFO = Path("/proc/cpuinfo")
_IDENTITY = ("vendor_id", "cpu family", "model", "flags", "CPU implementer", "CPU part", "Features")
"""The lines of Linux's description of a CPU on which machine code for it depends; the others count cores and megahertz."""


@lru_cache(maxsize=1)
def _description() -> dict[str, str]:
    """Linux's lines about the first CPU; nothing on other systems."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


@lru_cache(maxsize=1)
def features() -> frozenset[str]:
    """The extensions of the instruction set that this CPU has, by LLVM's names (avx2, avx512f, ...)."""
    flags = _description().get("flags")
    if flags is not None:
        return frozenset(flags.split())
    return frozenset(name for name, has in _llvm.get_host_cpu_features().items() if has)


@lru_cache(maxsize=1)
def identity() -> str:
    """The CPU and system that machine code is made for, in words that change when it must be made anew."""
    system = f"{sys.platform} {platform.machine()}"
    found = _description()
    if "flags" in found or "Features" in found:
        return f"{system} {[found.get(name) for name in _IDENTITY]}"
    return f"{system} {_llvm.get_host_cpu_name()} {_llvm.get_host_cpu_features().flatten()}"


def cpus() -> int:
    """The CPUs that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def llvm_version() -> str:
    """The version of llvmlite, which decides what code a text becomes, without importing it."""
    folder = llvmlite_folder()
    return (folder / "_version.py").read_text(encoding="utf-8") if folder is not None else "none"


def llvmlite_folder() -> Path | None:
    """Where the package llvmlite is; None if it is not installed as files."""
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])
