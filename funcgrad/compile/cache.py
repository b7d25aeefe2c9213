"""Machine code on disk, shared between programs and processes.

An entry is a file named by the hash of everything that its code depends on: the kernel's text, the versions of this package and
of llvmlite, the CPU. It starts with a checksum of the rest, is written to a temporary file and moved into place, so a reader
finds the whole of it or nothing. Whatever is wrong with an entry or the directory costs a compilation and no more.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

import llvmlite
import llvmlite.binding as llvm

_MAGIC = b"funcgrad kernel 1\n"


def directory() -> Path | None:
    """The cache's directory, made private to the user; None if there is no usable one. FUNCGRAD_CACHE_DIR names another, and
    an empty string switches the cache off."""
    named = os.environ.get("FUNCGRAD_CACHE_DIR")
    if named == "":
        return None
    import platformdirs

    path = Path(named) if named else Path(platformdirs.user_cache_dir("funcgrad", appauthor=False)) / "kernels"
    return _private(path)


@lru_cache(maxsize=8)
def _private(path: Path) -> Path | None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            return None
    except OSError:
        return None
    return path


@lru_cache(maxsize=1)
def machine_key() -> str:
    """What machine code depends on beside its source."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvmlite.__version__} {llvm.get_default_triple()} {llvm.get_host_cpu_name()} {features}"


def key_of(text: str) -> str:
    """The name of a kernel: a hash of its text and of all else that its code depends on."""
    return hashlib.sha256(f"{_sources()}\n{machine_key()}\n{text}".encode()).hexdigest()[:40]


@lru_cache(maxsize=1)
def _sources() -> str:
    """A hash of the files that turn text into code."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in [here / "build.py", here / "functions.py", *sorted((here / "vecmath").glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def load(key: str) -> bytes | None:
    """The code under a key; None if there is none, or it is damaged or not the user's own."""
    folder = directory()
    if folder is None:
        return None
    try:
        with open(folder / key, "rb") as file:
            found = os.fstat(file.fileno())
            if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
                return None
            content = file.read()
    except OSError:
        return None
    head = len(_MAGIC) + 32
    code = content[head:]
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : head] != hashlib.sha256(code).digest():
        return None
    return code


def save(key: str, code: bytes) -> None:
    """Keeps code under a key, if the directory takes it."""
    folder = directory()
    if folder is None:
        return
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix="new-")
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(code).digest() + code)
        os.replace(temporary, folder / key)
    except OSError:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
