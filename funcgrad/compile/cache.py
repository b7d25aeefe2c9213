"""Machine code on disk, shared between programs and processes.

An entry is a file named by the hash of everything that its code depends on: the kernel's text, the sources of this package that
turn text into code, llvmlite's version, the CPU. It starts with a checksum of its name and the rest, is written to a temporary
file and moved into place, so a reader finds the whole of it or nothing. Whatever is wrong with an entry or the directory costs a
compilation and no more. Nothing is loaded that another user could have written.

FUNCGRAD_CACHE_DIR names another directory; empty, it switches the cache off. FUNCGRAD_CACHE_SIZE is the size in bytes above
which the entries that were not used for longest are removed (1 GB by default, 0: never).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from funcgrad.compile import machine

_MAGIC = b"funcgrad kernel 2\n"
_TEMPORARY = "new-"
_STALE = 60.0
"""Seconds after which a temporary file is taken to be left by a process that was killed: to write one takes milliseconds."""
_swept: set[Path] = set()
_SIZE = 10**9
"""The bytes that a cache may have unless FUNCGRAD_CACHE_SIZE says otherwise."""
_ROOM = 0.9
"""The part of its bytes that a cache keeps when it has grown too large, so that not every save looks through it again."""
_DAY = 86400.0
"""How old the time of an entry's last use may be, in seconds: to write it down costs more than the loading."""
_written: dict[Path, list[int]] = {}
"""The bytes in a directory when this process last looked, and those that it wrote since."""


def directory() -> Path | None:
    """The cache's directory, made private to the user; None if there is no usable one. FUNCGRAD_CACHE_DIR names another, and
    an empty string switches the cache off."""
    named = os.environ.get("FUNCGRAD_CACHE_DIR")
    if named == "":
        return None
    path = Path(named) if named else _default()
    if not named and not path.is_absolute():  # a user without a home
        return None
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path if _own(path.stat()) else None
    except OSError:
        return None


@lru_cache(maxsize=1)
def _default() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("funcgrad", appauthor=False)) / "kernels"


def _own(found: os.stat_result) -> bool:
    """Whether a file or directory belongs to this user and nobody else may write to it."""
    user = getattr(os, "geteuid", None)
    return user is None or (found.st_uid == user() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


@lru_cache(maxsize=1)
def machine_key() -> str:
    """What machine code depends on beside its source."""
    return f"{machine.llvm_version()} {machine.identity()}"


def key_of(text: str) -> str:
    """The name of a kernel: a hash of its text and of all else that its code depends on."""
    return hashlib.sha256(f"{_sources()}\n{machine_key()}\n{text}".encode()).hexdigest()[:40]


@lru_cache(maxsize=1)
def _sources() -> str:
    """A hash of the files that turn text into code."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in [
        here / "build.py",
        here / "codegen.py",
        here / "functions.py",
        here / "vectors.py",
        *sorted((here / "vecmath").glob("*.py")),
    ]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _checksum(key: str, code: bytes) -> bytes:
    # The key too: an entry under another one's name has other code than it says.
    return hashlib.sha256(key.encode() + b"\n" + code).digest()


def load(key: str) -> bytes | None:
    """The code under a key; None if there is none, or it is damaged or not the user's own."""
    folder = directory()
    if folder is None:
        return None
    try:
        # Without waiting, should it be a pipe.
        handle = os.open(folder / key, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or not _own(found):
                return None
            content = file.read()
    except OSError:
        return None
    if time.time() - found.st_mtime > _DAY:
        with contextlib.suppress(OSError):  # of a directory that can only be read, say
            os.utime(folder / key)
    head = len(_MAGIC) + 32
    code = content[head:]
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : head] != _checksum(key, code):
        return None
    return code


def missing(keys: Iterable[str]) -> set[str]:
    """The keys without an entry; `load` says whether an entry is any good."""
    folder = directory()
    return {key for key in keys if folder is None or not (folder / key).exists()}


def save(key: str, code: bytes) -> None:
    """Keeps code under a key, if the directory takes it."""
    folder = directory()
    if folder is None:
        return
    _sweep(folder)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=_TEMPORARY)
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _checksum(key, code) + code)
        os.replace(temporary, folder / key)
        temporary = None
        _make_room(folder, key, len(_MAGIC) + 32 + len(code))
    except OSError:
        return
    finally:  # Ctrl-C too leaves no file behind
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _sweep(folder: Path) -> None:
    """Removes what killed processes left half written; once for each process and directory."""
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError):
        for path in folder.glob(f"{_TEMPORARY}*"):
            if time.time() - path.stat().st_mtime > _STALE:
                path.unlink(missing_ok=True)


def limit() -> int:
    """The bytes that the cache may have; 0 for any number. What FUNCGRAD_CACHE_SIZE holds beside a number is not looked at."""
    try:
        return max(int(os.environ.get("FUNCGRAD_CACHE_SIZE", "")), 0)
    except ValueError:
        return _SIZE


def _make_room(folder: Path, key: str, added: int) -> None:
    """Removes the entries that were not used for longest if the directory has grown above the limit, but never the one just
    written. Other processes may remove the same ones, or be reading them: an open file stays readable."""
    most = limit()
    if not most:
        return
    counted = _written.get(folder)
    # Others write too: look again from time to time.
    if counted is not None and counted[0] + counted[1] + added <= most and counted[1] + added <= most // 20:
        counted[1] += added
        return
    entries = _entries(folder)
    total = sum(size for _, size, _ in entries)
    if total > most:
        for _, size, path in sorted(entries):
            if total <= _ROOM * most:
                break
            if path.name != key:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                    total -= size
    _written[folder] = [total, 0]


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """(time of last use, bytes, path) of every file in the directory that is not being written."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as files:
        for file in files:
            with contextlib.suppress(OSError):  # another process removed it
                status = file.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and not file.name.startswith(_TEMPORARY):
                    found.append((status.st_mtime, status.st_size, Path(file.path)))
    return found


def keep_text(name: str, text: str) -> str:
    """Writes the text of a kernel that could not be compiled to a file, for its author to look at, and gives its path; the
    text itself if no place takes it."""
    for folder in (directory(), None):
        try:
            if folder is None:
                handle, path = tempfile.mkstemp(prefix=f"funcgrad-{name}-", suffix=".txt")
            else:
                path = str(folder / f"failed-{name}.txt")
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            continue
        return path
    return f"(no directory can be written to; this is the text)\n{text}"
