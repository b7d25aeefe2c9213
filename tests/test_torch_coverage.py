"""docs/torch_coverage.md says the truth, of the PyTorch that is installed where one is."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "docs" / "torch_coverage.py"


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("torch_coverage", PATH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_is_written_now(coverage):
    assert coverage.PAGE.read_text() == coverage.page(coverage.kept()), "run python docs/torch_coverage.py"


def test_the_names_are_those_of_pytorch(coverage):
    torch = pytest.importorskip("torch")
    if not torch.__version__.startswith(coverage.VERSION):
        pytest.skip(f"the page is about PyTorch {coverage.VERSION}")
    assert coverage.installed() == coverage.kept()


def test_most_names_are_there(coverage):
    import funcgrad.torch as torch

    names = coverage.kept()
    assert sum(hasattr(torch, n) for n in names["torch"]) > 0.7 * len(names["torch"])
    assert sum(hasattr(torch.Tensor, n) for n in names["Tensor"]) > 0.85 * len(names["Tensor"])
