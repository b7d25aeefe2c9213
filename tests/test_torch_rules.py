"""Every script of `torch_rules.py` on funcgrad.torch and on PyTorch: what it shows must be the same."""

import re
import warnings

import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")
from torch_rules import RULES  # noqa: E402


def text(value):
    """A value for comparison: numbers to five digits, tensors by their values and dtypes."""
    if type(value).__name__ in ("Tensor", "Parameter"):
        return f"{text(value.detach().tolist())}:{value.dtype!s}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(text(v) for v in value) + "]"
    if isinstance(value, complex):
        return f"({text(value.real)}, {text(value.imag)})"
    if isinstance(value, float):
        # Signed zeros are not compared.
        return f"{value + 0.0:.5g}"
    return str(value)


def transcript(rule, torch):
    lines = []

    def show(*values):
        lines.append(" ".join(text(v) for v in values))

    def fails(f, phrase):
        try:
            f()
        except Exception as error:
            assert phrase in str(error), f"{torch.__name__}: {phrase!r} is not in {str(error)!r}"
            lines.append(f"{type(error).__name__}: {phrase}")
        else:
            lines.append(f"no error: {phrase}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rule(torch, show, fails)
    return [re.sub(r"0x[0-9a-f]+", "0x", line) for line in lines]


@pytest.mark.parametrize("rule", RULES, ids=lambda f: f.__name__)
def test_rule(rule):
    want = transcript(rule, theirs)
    assert transcript(rule, ours) == want
