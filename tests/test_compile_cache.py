"""The cache of machine code on disk: whatever happens to it, programs give the right answer, and it is the user's own."""

import os
import pathlib
import signal
import stat
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import build, cache, native

pytestmark = pytest.mark.skipif(native.native() is None, reason="this machine runs no machine code of ours")

PROGRAM = """
import numpy as np, funcgrad as fg, funcgrad.numpy as fnp
from funcgrad.compile import cache, native
f = fg.jit(fg.value_and_grad(lambda x: fnp.sum(fnp.tanh(x) * 1.2345)))
x = np.linspace(-1, 1, 50)
def right():
    value, slope = f(x)
    np.testing.assert_allclose(value, np.sum(np.tanh(x) * 1.2345), atol=1e-12)
    np.testing.assert_allclose(slope, 1.2345 * (1 - np.tanh(x) ** 2), rtol=1e-12)
"""
"""What the other processes of these tests start with."""


def start(code, folder, **env):
    """Another process: runs PROGRAM and the code, with `folder` as its cache directory."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "FUNCGRAD_CACHE_DIR": str(folder), **env},
    )  # fmt: skip


def finish(process, code=0):
    """What the process printed; it must end with this code."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return out.strip()


def log_of(code, folder, **env):
    """compile_log() of another process after the code has run."""
    return eval(finish(start(textwrap.dedent(code) + "\nprint(native.compile_log())", folder, **env)).splitlines()[-1])


def temporary(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith("new-")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A fresh cache directory for this process, which keeps no kernel of before."""
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setattr(native, "_addresses", {})
    return tmp_path / "kernels"


def fresh_program(number=1.25):
    """A function that no Program exists for yet, and its right answer."""
    x = np.linspace(0, 1, 7)
    return fg.jit(lambda v: fnp.exp(v) * 1.25 + fnp.sin(v)), x, np.exp(x) * number + np.sin(x)


def assert_right():
    f, x, want = fresh_program()
    np.testing.assert_allclose(f(x), want, rtol=1e-12)


def counts(before):
    return {k: v - before[k] for k, v in native.compile_log().items()}


# ---- sharing ----


def test_a_new_shape_compiles_nothing(folder):
    f = fg.jit(fg.value_and_grad(lambda w, x: fnp.mean(fnp.logaddexp(0.0, x @ w) ** 2)))
    w, rng = np.linspace(0, 1, 12), np.random.default_rng(0)
    before = native.compile_log()
    f(w, rng.normal(size=(16, 12)))
    first = counts(before)
    assert first["compiled"] >= 2 and first["loaded"] == 0
    for batch in (48, 1000):
        before = native.compile_log()
        x = rng.normal(size=(batch, 12))
        value, slope = f(w, x)
        np.testing.assert_allclose(value, np.mean(np.logaddexp(0, x @ w) ** 2), rtol=1e-9)
        assert slope.shape == (12,)
        # Another size may be done in fewer steps, and in none that are new.
        assert counts(before)["compiled"] == 0 and counts(before)["loaded"] == 0
        assert 0 < counts(before)["shared"] <= first["compiled"] + first["shared"]


def test_a_second_process_compiles_nothing(folder):
    first = log_of("right()", folder)
    assert first["compiled"] >= 2 and first["loaded"] == 0
    second = log_of("right()", folder)
    assert second["compiled"] == 0 and second["loaded"] == first["compiled"]


def test_two_processes_at_once(folder):
    several = [start("right()", folder) for _ in range(4)]
    for process in several:
        finish(process)
    assert temporary(folder) == []
    assert log_of("right()", folder)["compiled"] == 0


# ---- damage ----


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


# ---- directories that do not serve ----


def test_a_full_disk(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdopen", lambda handle, mode: os.close(handle) or full())
    assert_right()
    assert list(folder.iterdir()) == []


def test_a_limit_on_the_size_of_files(folder):
    code = """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    right()
    """
    assert log_of(code, folder)["compiled"] >= 2
    assert list(folder.iterdir()) == []


def test_a_directory_that_is_a_file(folder):
    folder.write_text("a file")
    assert cache.directory() is None
    assert_right()
    assert folder.read_text() == "a file"


def test_a_directory_below_a_file(folder, monkeypatch):
    folder.write_text("a file")
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(folder / "below"))
    assert cache.directory() is None
    assert_right()


def test_a_user_without_a_home(folder, monkeypatch, tmp_path):
    monkeypatch.delenv("FUNCGRAD_CACHE_DIR", raising=False)
    monkeypatch.setattr(cache, "_default", lambda: cache.Path("~/.cache/funcgrad/kernels"))
    monkeypatch.chdir(tmp_path)
    assert cache.directory() is None
    assert_right()
    assert list(tmp_path.iterdir()) == []


def test_the_default_directory(monkeypatch, tmp_path):
    monkeypatch.delenv("FUNCGRAD_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = cache._default.__wrapped__()
    assert tmp_path in found.parents and found.name == "kernels"


def test_a_directory_that_goes_away(folder):
    assert_right()
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert_right()
    f = fg.jit(lambda v: fnp.cos(v) * 3.5)
    np.testing.assert_allclose(f(np.ones(3)), np.cos(np.ones(3)) * 3.5)
    assert len(list(folder.iterdir())) == 1


def test_no_directory_wanted(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", "")
    monkeypatch.chdir(tmp_path)
    assert cache.directory() is None
    before = native.compile_log()
    assert_right()
    assert counts(before)["compiled"] >= 1
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_directory(folder):
    finish(start("right()", folder))
    entries = sorted(p.name for p in folder.iterdir())
    for above in folder.parents[:4]:
        above.chmod(above.stat().st_mode | 0o11)
    code = f"""
    import os
    os.environ["FUNCGRAD_CACHE_DIR"] = ""
    g = fg.jit(lambda v: fnp.cos(v) * 7.5)
    np.testing.assert_allclose(g(x), np.cos(x) * 7.5)  # loads the compiler's modules
    before = native.compile_log()
    os.environ["FUNCGRAD_CACHE_DIR"] = folder = r"{folder}"
    for path in (folder, *(os.path.join(folder, name) for name in os.listdir(folder))):
        os.chmod(path, 0o500)
        if os.getuid() == 0:
            os.chown(path, 12345, -1)
    if os.getuid() == 0:
        os.seteuid(12345)  # root writes everywhere
    right()
    assert native.compile_log()["loaded"] > before["loaded"]
    assert native.compile_log()["compiled"] == before["compiled"]
    h = fg.jit(lambda v: fnp.sin(v) * 7.5)
    np.testing.assert_allclose(h(x), np.sin(x) * 7.5)
    assert native.compile_log()["compiled"] > before["compiled"]
    """
    finish(start(textwrap.dedent(code), folder))
    assert sorted(p.name for p in folder.iterdir()) == entries
    folder.chmod(0o700)


# ---- whose it is ----


def test_the_directory_is_private(folder):
    before = os.umask(0)
    try:
        assert_right()
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_may_write_is_not_loaded(folder, mode):
    cache.save("a" * 40, b"code")
    (folder / ("a" * 40)).chmod(mode)
    assert cache.load("a" * 40) is None
    cache.save("a" * 40, b"code")
    assert cache.load("a" * 40) == b"code"


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_directory_that_others_may_write_is_not_used(folder, mode):
    cache.save("a" * 40, b"code")
    folder.chmod(mode)
    assert cache.directory() is None and cache.load("a" * 40) is None
    assert_right()
    assert len(list(folder.iterdir())) == 1


needs_root = pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() != 0, reason="only root can give files away")


@needs_root
def test_an_entry_of_another_user_is_not_loaded(folder):
    cache.save("a" * 40, b"code")
    os.chown(folder / ("a" * 40), 12345, -1)
    assert cache.load("a" * 40) is None


@needs_root
def test_a_directory_of_another_user_is_not_used(folder):
    cache.save("a" * 40, b"code")
    os.chown(folder, 12345, -1)
    assert cache.directory() is None and cache.load("a" * 40) is None
    cache.save("b" * 40, b"code")
    assert len(list(folder.iterdir())) == 1


def test_a_link_to_a_directory_of_ones_own_serves(folder, tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real")
    assert_right()
    assert list((tmp_path / "real").iterdir())


# ---- what an entry depends on ----


@pytest.mark.parametrize("name", ["_sources", "machine_key"])
def test_a_change_of_sources_or_machine_compiles_again(folder, monkeypatch, name):
    assert_right()
    entries = {p.name for p in folder.iterdir()}
    monkeypatch.setattr(native, "_addresses", {})
    monkeypatch.setattr(cache, name, lambda: "another")
    before = native.compile_log()
    assert_right()
    assert counts(before)["loaded"] == 0 and counts(before)["compiled"] == len(entries)
    assert len(list(folder.iterdir())) == 2 * len(entries)


def test_the_key_names_llvmlite_and_the_cpu(monkeypatch):
    before = cache.machine_key()
    changes = [
        ("llvm_version", lambda: "0.0.1"),
        ("_description", lambda: {"model name": "the same", "flags": "sse2"}),
        ("_description", lambda: {"Features": "neon"}),
    ]
    machine = cache.machine
    for name, value in changes:
        with monkeypatch.context() as m:
            m.setattr(machine, name, value)
            m.setattr(machine, "identity", machine.identity.__wrapped__)
            assert cache.machine_key.__wrapped__() != before
    assert cache.machine_key.__wrapped__() == before


def test_the_sources_are_those_that_make_code():
    read = []
    digest = cache._sources.__wrapped__()
    before = cache.Path.read_bytes
    try:
        cache.Path.read_bytes = lambda path: read.append(path.name) or before(path) + b"#"
        assert cache._sources.__wrapped__() != digest
    finally:
        cache.Path.read_bytes = before
    assert {"build.py", "functions.py", "__init__.py"} <= set(read)


# ---- a kernel that cannot be compiled ----


def failing(monkeypatch):
    def compile_source(text, symbol):
        raise RuntimeError("LLVM has had enough")

    monkeypatch.setattr(build, "compile_source", compile_source)
    monkeypatch.setattr(native, "_addresses", {})


def test_a_kernel_that_fails_is_named_and_numpy_runs_the_program(folder, monkeypatch):
    failing(monkeypatch)
    f = fg.jit(lambda v: fnp.exp(v) * 1.5 + fnp.sin(v))
    x = np.linspace(0, 1, 7)
    with pytest.warns(UserWarning, match="LLVM has had enough") as found:
        np.testing.assert_allclose(f(x), np.exp(x) * 1.5 + np.sin(x), rtol=1e-12)
    (message,) = [str(w.message) for w in found]
    assert "exp" in message and "sin" in message and "NumPy runs it" in message
    path = message.split("its source is in ")[1].split(")")[0].split(";")[0]
    assert path.startswith(str(folder)) and "def kernel(args, lo, hi):" in pathlib.Path(path).read_text()
    np.testing.assert_allclose(f(x), np.exp(x) * 1.5 + np.sin(x), rtol=1e-12)  # warned of once
    monkeypatch.undo()
    np.testing.assert_allclose(fg.jit(lambda v: v * 2.5)(x), x * 2.5)


def test_the_text_of_a_failing_kernel_without_a_directory(monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", "")
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    failing(monkeypatch)
    with pytest.warns(UserWarning, match="its source is in " + str(tmp_path)):
        assert float(fg.jit(lambda v: fnp.exp(v) - 0.25)(np.float64(0.0))) == 0.75
    assert len(list(tmp_path.iterdir())) == 1


# ---- its size ----

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
