"""The directory of the cache: those that do not serve are done without, and it is the user's own."""

import os
import stat
import textwrap

import numpy as np
import pytest
from cache_cases import assert_right, counts, finish, log_of, marks, start
from cache_cases import fresh_folder as fresh_folder

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.compile import cache, native

pytestmark = marks


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
