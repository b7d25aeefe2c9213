"""Puts object code into this process: the sections of an ELF file in memory of their own, its addresses filled in.

LLVM's own loader does the same, but to load LLVM takes 35 ms, which is most of what a program whose kernels are on disk needs
for its first result. The object files are our own (codegen.py): they refer to their own sections by distances of 32 bits, and
to a few functions of the C library, which may be further away: behind the sections each has its address, and a jump to it,
which serve in its place. A file with anything else in it, or of another system, is left to LLVM (native.py).

Source: Tool Interface Standard, Executable and Linking Format, 1.2; System V ABI, AMD64 supplement, section 4.4.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
from dataclasses import dataclass

_HEAD = b"\x7fELF\x02\x01\x01"
_X86_64, _RELOCATABLE = 62, 1
_SECTION, _SYMBOL, _RELOCATION = struct.Struct("<IIQQQQIIQQ"), struct.Struct("<IBBHQQ"), struct.Struct("<QQq")
_NOTHING, _WITH_ADDENDS, _NO_BITS, _WITHOUT_ADDENDS = 0, 4, 8, 9
_ALLOCATED = 2
_ADDRESS_64 = 1
_DISTANCES = (2, 4)
"""To a place, or to a function."""
_DISTANCES_TO_ADDRESS = (9, 41, 42)
"""To a word that has the address."""
_JUMP = b"\xff\x25\x02\x00\x00\x00\x0f\x0b"
"""jmp to the address in the eight bytes behind these eight."""
_DOOR = 16
"""The bytes of a jump and its address."""
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1
_GLOBAL = 1
_kept: list[mmap.mmap] = []
"""The memory of all code: for the life of the process."""


@dataclass(frozen=True)
class _Section:
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


def load(code: bytes) -> dict[str, int] | None:
    """The addresses of the functions of an object file, by name, after it was made part of this process; None if this file is
    for LLVM's loader."""
    if sys.platform != "linux" or struct.calcsize("P") != 8 or code[: len(_HEAD)] != _HEAD:
        return None
    if struct.unpack_from("<HH", code, 16) != (_RELOCATABLE, _X86_64):
        return None
    table, entry, count = struct.unpack_from("<Q10xHH", code, 40)
    sections = [_Section(*_SECTION.unpack_from(code, table + entry * n)) for n in range(count)]
    places, size = _places(sections)
    symbols = next((s for s in sections if s.kind == 2), None)
    if symbols is None or not size:
        return None
    doors = -(-size // _DOOR) * _DOOR
    size = doors + _DOOR * (symbols.size // _SYMBOL.size)
    try:
        memory = mmap.mmap(-1, size, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    except OSError:
        return None
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for section, at in zip(sections, places, strict=True):
        if at is not None and section.kind != _NO_BITS:
            memory[at : at + section.size] = code[section.offset : section.offset + section.size]
    found = _symbols(code, sections, symbols, [None if at is None else base + at for at in places])
    if found is None:
        return None
    for n, (_, address, _) in enumerate(found):
        memory[doors + _DOOR * n : doors + _DOOR * (n + 1)] = _JUMP + struct.pack("<Q", address % 2**64)
    if not _fill_in(code, sections, places, _Targets(base, doors, [a for _, a, _ in found]), memory):
        return None
    if _c().mprotect(ctypes.c_void_p(base), ctypes.c_size_t(size), mmap.PROT_READ | mmap.PROT_EXEC):
        return None
    _kept.append(memory)
    return {name: address for name, address, is_own in found if is_own}


def _places(sections: list[_Section]) -> tuple[list[int | None], int]:
    """Where each section goes, None for one that is not needed at run time, and the size of all."""
    places: list[int | None] = []
    size = 0
    for section in sections:
        if section.kind == _NOTHING or not section.flags & _ALLOCATED:
            places.append(None)
            continue
        size = -(-size // max(section.alignment, 1)) * max(section.alignment, 1)
        places.append(size)
        size += section.size
    return places, size


def _symbols(
    code: bytes, sections: list[_Section], table: _Section, addresses: list[int | None]
) -> list[tuple[str, int, bool]] | None:
    """(name, address, whether it is a function of this file that others may call) of every symbol; None if one is unknown."""
    names = sections[table.link].offset
    found = []
    for n in range(table.size // _SYMBOL.size):
        name_at, info, _, section, value, _ = _SYMBOL.unpack_from(code, table.offset + _SYMBOL.size * n)
        start = names + name_at
        name = code[start : code.index(b"\0", start)].decode()
        if section == _UNDEFINED:
            address = _c_function(name) if name else 0
        elif section >= len(sections):
            address = value if section == _ABSOLUTE else None
        else:
            # A section that has no place is one of notes: nothing that runs refers to it.
            address = (addresses[section] or 0) + value
        if address is None:
            return None
        found.append((name, address, bool(name) and section != _UNDEFINED and info >> 4 == _GLOBAL))
    return found


@dataclass(frozen=True, slots=True)
class _Targets:
    """What a file refers to: where its memory begins, where in it the doors are, the address of each symbol."""

    base: int
    doors: int
    addresses: list[int]

    def near(self, symbol: int) -> int:
        """The address of a symbol, or of its door if it is far away."""
        address = self.addresses[symbol]
        return address if abs(address - self.base) < 1 << 30 else self.base + self.doors + _DOOR * symbol

    def word(self, symbol: int) -> int:
        """The address of the word that has a symbol's address."""
        return self.base + self.doors + _DOOR * symbol + len(_JUMP)


def _fill_in(
    code: bytes, sections: list[_Section], places: list[int | None], targets: _Targets, memory: mmap.mmap
) -> bool:
    """Writes the addresses and distances by which the sections refer to each other; False if one is of a kind unknown here."""
    for section in sections:
        if section.kind == _WITHOUT_ADDENDS:
            return False
        if section.kind != _WITH_ADDENDS or places[section.info] is None:
            continue
        start = places[section.info]
        assert start is not None
        for at in range(section.offset, section.offset + section.size, _RELOCATION.size):
            offset, info, addend = _RELOCATION.unpack_from(code, at)
            symbol, kind, here = info >> 32, info & 0xFFFFFFFF, start + offset
            if kind == _ADDRESS_64:
                struct.pack_into("<Q", memory, here, (targets.addresses[symbol] + addend) % 2**64)
            elif kind in _DISTANCES:
                struct.pack_into("<i", memory, here, targets.near(symbol) + addend - (targets.base + here))
            elif kind in _DISTANCES_TO_ADDRESS:
                struct.pack_into("<i", memory, here, targets.word(symbol) + addend - (targets.base + here))
            else:
                return False
    return True


def _c() -> ctypes.CDLL:
    """The functions that the process has already: the C library's."""
    if not _library:
        _library.append(ctypes.CDLL(None, use_errno=True))
    return _library[0]


_library: list[ctypes.CDLL] = []


def _c_function(name: str) -> int | None:
    for library in (_c(), *_mathematics()):
        try:
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        except AttributeError:
            continue
    return None


def _mathematics() -> list[ctypes.CDLL]:
    try:
        return [ctypes.CDLL("libm.so.6")]
    except OSError:
        return []
