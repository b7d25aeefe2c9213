"""Version counters: how often the memory under a tensor was written to, and from which line last."""

from __future__ import annotations

from typing import Any


class VersionCounter:
    """Shared by a tensor, its views and what `detach()` gives. `writer` is the source (code, instruction) of the last write."""

    __slots__ = ("owner", "savers", "value", "writer")

    def __init__(self) -> None:
        self.savers: Any = None
        """Weak references to what was saved under `allow_mutation_on_saved_tensors`."""
        self.owner: Any = None
        """A weak reference to the tensor without history that stands for the memory, once something with one was detached."""
        self.value = 0
        self.writer: Any = None
