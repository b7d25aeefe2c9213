"""The cache of machine code, damaged or half written: programs give the right answer, and the entry is made again."""

import os
import signal
import time

import pytest
from cache_cases import assert_right, counts, finish, log_of, marks, start, temporary
from cache_cases import fresh_folder as fresh_folder

from funcgrad.compile import cache, native

pytestmark = marks


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


DAMAGES = {
    "empty": lambda p: p.write_bytes(b""),
    "truncated": halve,
    "one byte short": lambda p: p.write_bytes(p.read_bytes()[:-1]),
    "altered": flip,
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"x"),
    "text": lambda p: p.write_text("this is no machine code\n" * 20),
    "head only": lambda p: p.write_bytes(p.read_bytes()[:30]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_entry_is_compiled_again(folder, monkeypatch, damage):
    assert_right()
    entries = sorted(folder.iterdir())
    assert entries
    good = [p.read_bytes() for p in entries]
    for path in entries:
        damage(path)
        assert cache.load(path.name) is None
    monkeypatch.setattr(native, "_addresses", {})
    before = native.compile_log()
    assert_right()
    assert counts(before)["compiled"] == len(entries) and counts(before)["loaded"] == 0
    assert [p.read_bytes() for p in entries] == good
    assert temporary(folder) == []


def test_an_entry_under_another_name_is_not_loaded(folder):
    cache.save("a" * 40, b"code of a")
    (folder / ("b" * 40)).write_bytes((folder / ("a" * 40)).read_bytes())
    assert cache.load("a" * 40) == b"code of a"
    assert cache.load("b" * 40) is None


@pytest.mark.parametrize("kind", ["directory", "pipe", "dangling link"])
def test_an_entry_that_is_no_file(folder, kind):
    path = folder / ("a" * 40)
    cache.save("c" * 40, b"")
    make = {
        "directory": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "dangling link": lambda: path.symlink_to("nowhere"),
    }
    make[kind]()
    assert cache.load(path.name) is None
    cache.save(path.name, b"code")
    assert cache.load(path.name) == (None if kind == "directory" else b"code")
    assert temporary(folder) == []


def test_a_process_killed_while_it_writes(folder):
    code = """
    import os, signal
    before = os.replace
    def replace(a, b):
        with open(a, "r+b") as file:
            file.truncate(40)
        os.kill(os.getpid(), signal.SIGKILL)
    os.replace = replace
    right()
    """
    finish(start(code, folder), -signal.SIGKILL)
    (left,) = temporary(folder)
    assert log_of("right()", folder)["compiled"] >= 2
    old = time.time() - 3600
    os.utime(folder / left, (old, old))
    (folder / "new-young").write_bytes(b"being written by another process")
    cache.save("a" * 40, b"")  # the first save of a process sweeps
    assert temporary(folder) == ["new-young"]
    assert log_of("right()", folder)["compiled"] == 0


def test_a_kill_at_any_moment(folder):
    for delay in (0.45, 0.6, 0.75):
        process = start("right()", folder)
        time.sleep(delay)
        process.kill()
        process.communicate()
    finish(start("right()", folder))
    assert log_of("right()", folder)["compiled"] == 0


def test_ctrl_c_while_writing_leaves_no_file(folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.save("a" * 40, b"code")
    assert list(folder.iterdir()) == []
