"""The size of the cache of machine code: what was used longest ago makes room."""

import os
import time

from cache_cases import assert_right, finish, marks, start, temporary
from cache_cases import fresh_folder as fresh_folder

from funcgrad.compile import cache

pytestmark = marks


ENTRY = 1000 + len(cache._MAGIC) + 32
"""The bytes of an entry with 1000 bytes of code."""


def fill(folder, count, start=0):
    """Entries, each a minute younger than the one before; their names."""
    names = [f"{start + n:040x}" for n in range(count)]
    now = time.time()
    for n, name in enumerate(names):
        cache.save(name, bytes(1000))
        if (folder / name).exists():
            os.utime(folder / name, (now - 60 * (count - n),) * 2)
    return names


def present(folder):
    return sorted(p.name for p in folder.iterdir())


def test_the_limit(monkeypatch):
    monkeypatch.delenv("FUNCGRAD_CACHE_SIZE", raising=False)
    assert cache.limit() == 10**9
    for text, bytes_ in [("12345", 12345), ("0", 0), ("-3", 0), ("", 10**9), ("much", 10**9), ("1e9", 10**9)]:
        monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", text)
        assert cache.limit() == bytes_


def test_entries_used_longest_ago_are_removed(folder, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", "0")
    names = fill(folder, 12)
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", str(10 * ENTRY))
    cache.save("f" * 40, bytes(1000))
    # 13 entries where 10 may be: down to nine tenths of the limit.
    assert present(folder) == [*names[4:], "f" * 40]
    cache.save("e" * 40, bytes(1000))
    assert present(folder) == [*names[4:], "e" * 40, "f" * 40]


def test_no_limit(folder, monkeypatch):
    monkeypatch.setattr(cache, "_SIZE", 1)
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", "0")
    names = fill(folder, 5)
    assert present(folder) == names


def test_a_use_is_written_down_once_a_day(folder, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", "0")
    old, young = fill(folder, 2)
    now = time.time()
    os.utime(folder / old, (now - 100_000,) * 2)
    os.utime(folder / young, (now - 50_000,) * 2)
    assert cache.load(old) and cache.load(young)
    assert abs((folder / old).stat().st_mtime - now) < 60
    assert abs((folder / young).stat().st_mtime - (now - 50_000)) < 2
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", str(2 * ENTRY))
    cache.save("f" * 40, bytes(1000))
    assert "f" * 40 in present(folder) and young not in present(folder)


def test_an_entry_larger_than_the_limit_stays_until_the_next(folder, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", "10")
    cache.save("a" * 40, b"code of a")
    assert cache.load("a" * 40) == b"code of a"
    cache.save("b" * 40, b"code of b")
    assert present(folder) == ["b" * 40]
    assert_right()


def test_what_is_being_written_and_what_is_no_file_stay(folder, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", "0")
    fill(folder, 3)
    (folder / "new-young").write_bytes(bytes(9000))
    (folder / "directory").mkdir()
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", "1")
    cache.save("f" * 40, b"")
    assert present(folder) == ["directory", "f" * 40, "new-young"]


def test_entries_that_cannot_be_removed_raise_nothing(folder, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "no")

    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", "1")
    monkeypatch.setattr(cache.Path, "unlink", denied)
    assert len(fill(folder, 4)) == len(present(folder))
    monkeypatch.setattr(os, "scandir", denied)
    cache.save("f" * 40, b"code")
    assert cache.load("f" * 40) == b"code"


def test_several_processes_that_make_room_at_once(folder, monkeypatch):
    code = """
    import os
    for n in range(300):
        name = f"{n % 60:040x}"
        cache.save(name, bytes([n % 60]) * 1000)
        found = cache.load(f"{(n * 7) % 60:040x}")
        assert found is None or found == bytes([(n * 7) % 60]) * 1000
    right()
    """
    several = [start(code, folder, FUNCGRAD_CACHE_SIZE=str(20 * ENTRY)) for _ in range(3)]
    for process in several:
        finish(process)
    monkeypatch.setenv("FUNCGRAD_CACHE_SIZE", str(20 * ENTRY))
    cache.save("f" * 40, bytes(1000))
    assert sum(p.stat().st_size for p in folder.iterdir()) <= 20 * ENTRY
    assert temporary(folder) == []
