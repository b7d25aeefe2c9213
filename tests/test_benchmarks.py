"""The benchmarks cannot rot: every row of funcgrad and NumPy runs once, and the table says what was measured."""

import sys
import time

import pytest

from benchmarks import compiled as compiled
from benchmarks import core as core
from benchmarks import harness
from benchmarks import loops as loops
from benchmarks import models as models
from benchmarks import networks as networks
from benchmarks import products as products
from benchmarks.__main__ import main, report, text, verdict
from benchmarks.harness import Row, Time, measure, rival, row


@pytest.mark.parametrize("entry", harness.ROWS, ids=lambda entry: entry.name)
def test_every_row_runs(entry):
    ours = {k: v for k, v in entry.contestants.items() if k in ("funcgrad", "numpy")}
    found = measure(Row(entry.name, ours, entry.per), 0.0, 1)
    assert found.keys() == ours.keys()
    assert all(t.best > 0 for t in found.values())


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    main()


def test_the_command_prints_only_the_rows_asked_for(capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.__main__.installed", lambda library: library != "torch")
    monkeypatch.setattr("benchmarks.harness.installed", lambda library: library in ("funcgrad", "numpy"))
    run(monkeypatch, "--smoke", "--only", "room, un-jitted: tanh")
    title, absent, machine, _, *rows = capsys.readouterr().out.splitlines()
    assert "of 1 turns" in title
    assert absent == "not installed, so left out: torch"
    assert machine.startswith("this machine: ") and "GB/s" in machine and "GFLOP/s" in machine
    assert len(rows) == 1
    assert " x numpy" in rows[0] and " over numpy of 1 us" in rows[0]


def test_a_name_of_no_row_lists_the_rows(capsys, monkeypatch):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--only", "no such row")
    message = capsys.readouterr().err
    assert "no row's name contains 'no such row'; the rows are" in message
    assert all(entry.name in message for entry in harness.ROWS)


def test_the_machines_limit_is_bandwidth_or_arithmetic():
    machine = harness.Machine(bandwidth=1e9, flops=1e11)
    bound = Row("made up", {}, moved=1e6, flops=1e9)
    assert machine.least(bound) == 0.01
    assert "50 % of the machine's limit" in report(bound, {"funcgrad": Time(0.02, 0.03)}, machine)


def test_turns_alternate_and_times_are_per_unit():
    turns = []

    def sleeper(library, seconds):
        def call():
            turns.append(library)
            time.sleep(seconds)

        return lambda: call

    found = measure(Row("made up", {"funcgrad": sleeper("f", 0.002), "numpy": sleeper("n", 0.004)}, per=2), 0.0, 3)
    assert turns == ["f", "f", "n", "n"] + ["f", "n"] * 3  # two calls to warm up, then turns
    assert 0.001 <= found["funcgrad"].best <= found["funcgrad"].median
    assert 0.002 <= found["numpy"].best


def test_who_cannot_take_part_is_left_out_with_a_note(capsys):
    def absent():
        raise harness.Absent("the compiler has had enough")

    found = measure(Row("made up", {"funcgrad": lambda: lambda: None, "numpy": absent}), 0.0, 1)
    assert found.keys() == {"funcgrad"}
    assert capsys.readouterr().err == "made up: without numpy: the compiler has had enough\n"


def test_the_compiler_of_torch_needs_one_of_c(monkeypatch):
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(harness.shutil, "which", lambda name: None)
    assert harness.installed("torch") and not harness.installed("torch_compile")
    monkeypatch.setattr(harness.shutil, "which", lambda name: "/usr/bin/c++" if name == "c++" else None)
    assert harness.installed("torch_compile")


def test_a_compiler_of_torch_that_fails_is_absent():
    pytest.importorskip("torch")

    def make(torch, tensor, compiled):
        def call():
            if compiled is torch.compile:
                raise RuntimeError("no C++ compiler\nmore of it")
            return compiled(len)([tensor([1.0])])

        return call

    both = compiled.torch_pair(make)
    assert both["torch"]()() == 1
    with pytest.raises(harness.Absent, match=r"torch.compile failed \(RuntimeError: no C\+\+ compiler\)"):
        both["torch_compile"]()


def test_the_ratio_is_to_the_best_peer_and_numpy_is_one_only_when_alone():
    found = {
        "funcgrad": Time(2e-6, 2e-6),
        "numpy": Time(1e-7, 1e-7),
        "jax": Time(8e-6, 9e-6),
        "torch": Time(4e-6, 5e-6),
    }
    assert rival(found) == "torch"
    assert "0.50 x torch" in report(Row("made up", {}), found)
    assert rival({"funcgrad": Time(1, 1), "numpy": Time(2, 2)}) == "numpy"
    assert rival({"funcgrad": Time(1, 1)}) is None


def test_the_limit_says_how_funcgrad_stands():
    found = {"funcgrad": Time(1.5e-6, 2e-6), "numpy": Time(1e-6, 1e-6)}
    assert verdict(Row("made up", {}), found) == ""
    assert verdict(Row("made up", {}, limit=2e-6), found) == "1.5 us of 2 us"
    assert verdict(Row("made up", {}, limit=1e-6), found) == "1.5 us of 1 us: MISSED"
    assert verdict(Row("made up", {}, limit=1e-6, over="numpy"), found) == "500 ns over numpy of 1 us"


def test_mistaken_rows_are_refused():
    setup = harness.ROWS[0].contestants["funcgrad"]
    with pytest.raises(ValueError, match="there is already a row named"):
        row(harness.ROWS[0].name, funcgrad=setup)
    with pytest.raises(ValueError, match="has the contestant 'jaxx'; write one of funcgrad, numpy"):
        row("made up", jaxx=setup)
    with pytest.raises(ValueError, match="compared over 'numpy', which is not one of its contestants"):
        row("made up", over="numpy", funcgrad=setup)


def test_times_are_readable():
    assert [text(t) for t in (2.0, 0.012, 3.4e-5, 5e-8)] == ["2 s", "12 ms", "34 us", "50 ns"]
