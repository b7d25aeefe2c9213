"""Runs each script of `tests/torch_scripts` on funcgrad and on PyTorch with only its imports changed: both must print the same.

Numbers may differ in their last digits: a script may set `TOLERANCE` (relative to the largest number of the line) with a reason.
"""

import ast
import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest

import funcgrad.torch

SCRIPTS = sorted((Path(__file__).parent / "torch_scripts").glob("*.py"))
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)(?![\w.]*\w)")


def with_imports_of_ours(text: str) -> str:
    """The script with `torch` imported from funcgrad."""
    text = re.sub(r"^import torch$", "import funcgrad.torch as torch", text, flags=re.M)
    text = re.sub(r"^(import|from) torch\.", r"\1 funcgrad.torch.", text, flags=re.M)
    return re.sub(r"^from torch import", "from funcgrad.torch import", text, flags=re.M)


def printed(path: Path, text: str) -> str:
    """What a script prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(text, str(path), "exec"), {"__name__": "__main__", "__file__": str(path)})
    return out.getvalue()


def tolerance(text: str) -> float:
    """What the script sets as TOLERANCE, or 2e-4: PyTorch prints four digits."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "TOLERANCE":
            return float(ast.literal_eval(node.value))
    return 2e-4


def differences(ours: str, theirs: str, allowed: float) -> list[str]:
    """The lines whose words differ, or whose numbers do by more than is allowed."""
    found = []
    mine, other = ours.splitlines(), theirs.splitlines()
    for number, (a, b) in enumerate(zip(mine, other, strict=False), 1):
        x, y = [float(n) for n in NUMBER.findall(a)], [float(n) for n in NUMBER.findall(b)]
        # Columns are padded to the widest number, whose sign may be that of a zero.
        same = re.sub(r"\s+", "", NUMBER.sub("#", a)) == re.sub(r"\s+", "", NUMBER.sub("#", b)) and len(x) == len(y)
        size = max([abs(v) for v in y if abs(v) < float("inf")], default=0.0)
        close = all(
            p == q or abs(p - q) <= allowed * size + 1e-12 or (p != p and q != q) for p, q in zip(x, y, strict=False)
        )
        if not (same and close):
            found.append(f"line {number}\n  ours:   {a}\n  theirs: {b}")
    if len(mine) != len(other):
        found.append(f"{len(mine)} lines, not {len(other)}")
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_prints_what_pytorch_prints(path: Path) -> None:
    text = path.read_text()
    if "import sklearn" in text or "from sklearn" in text:
        pytest.importorskip("sklearn")
    ours = printed(path, with_imports_of_ours(text))
    assert ours
    pytest.importorskip("torch")
    found = differences(ours, printed(path, text), tolerance(text))
    assert not found, "\n".join(found[:12])


def test_a_difference_is_found() -> None:
    assert differences("loss 0.5000\n", "loss 0.5000\n", 2e-4) == []
    assert differences("loss 0.5010\n", "loss 0.5000\n", 2e-4)
    assert differences("loss 0.5\nmore\n", "loss 0.5\n", 2e-4)
    assert differences("loss nan\n", "loss 0.5\n", 2e-4)
    assert differences("tensor(1., grad_fn=<MulBackward0>)\n", "tensor(1., grad_fn=<AddBackward0>)\n", 2e-4)


def test_only_imports_change() -> None:
    text = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\nprint(torch.ones(1))\n"
    assert with_imports_of_ours(text).count("funcgrad") == 3
    assert funcgrad.torch.ones(1).tolist() == [1.0]
