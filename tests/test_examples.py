"""The examples, run as a newcomer would, shortened."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def run(script, *args):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script, *args], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_digits_reads_nine_of_ten_after_a_few_epochs_and_draws(tmp_path):
    picture = tmp_path / "digits.png"
    out = run("digits.py", "--epochs", "6", "--out", str(picture))
    accuracy = float(re.search(r"([\d.]+)% read right", out).group(1))
    assert accuracy > 94
    assert picture.stat().st_size > 10_000
