"""The benchmarks cannot rot: every row of funcgrad and NumPy runs once."""

import sys

import pytest

from benchmarks import core as core
from benchmarks import harness
from benchmarks.__main__ import main, text


@pytest.mark.parametrize("entry", harness.ROWS, ids=lambda entry: entry.name)
def test_every_row_runs(entry):
    ours = {k: v for k, v in entry.contestants.items() if k in ("funcgrad", "numpy")}
    found = harness.measure(harness.Row(entry.name, ours, entry.per), 0.0, 1)
    assert found.keys() == ours.keys()
    assert all(best > 0 for best, _ in found.values())


def test_the_command_prints_a_ratio(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--smoke", "--only", "numpy room: tanh"])
    main()
    assert "funcgrad / numpy:" in capsys.readouterr().out


def test_times_are_readable():
    assert [text(t) for t in (2.0, 0.012, 3.4e-5, 5e-8)] == ["2 s", "12 ms", "34 us", "50 ns"]
