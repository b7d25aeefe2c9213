"""The locks of the compiler, always taken in the order in which they stand here, and what a fork does with them.

A fork copies one thread only. If another one compiled at that moment, the child would find LLVM, the import system and our tables
half-way, and locks taken for ever. So a fork waits for all of them, and parent and child give them back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

tiering = threading.RLock()
"""Held by a thread that lowers or loads for tiered execution, or starts its worker. No call ever waits for it."""
compiling = threading.RLock()
"""Held while a Program becomes an Executable that a call waits for."""
loading = threading.RLock()
"""Held around LLVM and the tables of loaded code."""
_ORDER = (tiering, compiling, loading)
_in_child: list[Callable[[], None]] = []


def after_fork_in_child(reset: Callable[[], None]) -> None:
    """Has `reset` called in every child, before the child's own code runs."""
    _in_child.append(reset)


def _before_fork() -> None:
    for lock in _ORDER:
        lock.acquire()


def _after_fork() -> None:
    for lock in reversed(_ORDER):
        lock.release()


def _after_fork_in_child() -> None:
    for reset in _in_child:
        reset()
    _after_fork()


_at_fork = getattr(os, "register_at_fork", None)
if _at_fork is not None:
    _at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
