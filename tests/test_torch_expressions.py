"""Every expression of `expressions.py` on funcgrad.torch and on PyTorch: values, dtypes, gradients, double gradients, layouts."""

import warnings

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")
from torch_expressions import EXPRESSIONS, UNARY  # noqa: E402
from torch_more_expressions import MORE  # noqa: E402

from funcgrad.torch.operation import ALL as OPERATIONS  # noqa: E402


def _unary(entry):
    name, _, what = entry.partition(":")
    given = {"": "x", "p": "p", "u": "u", "p+1": "p + 1"}.get(what, what)
    return f"torch.{name}({given})"


ALL = EXPRESSIONS + MORE + [_unary(e) for e in UNARY if e != "logcumsump"]


def operands(torch, transposed):
    rng = np.random.default_rng(7)
    leaves = {}

    def leaf(name, array):
        if transposed and array.ndim > 1:
            base = torch.tensor(np.ascontiguousarray(array.T)).requires_grad_()
            leaves[name] = base
            return base.permute(*reversed(range(array.ndim)))
        made = torch.tensor(array).requires_grad_()
        leaves[name] = made
        return made

    names = {
        "x": leaf("x", rng.normal(size=(3, 4))),
        "y": leaf("y", rng.normal(size=(3, 4)) + 0.1),
        "v": leaf("v", rng.normal(size=4)),
        "m": leaf("m", rng.normal(size=(4, 3))),
        "b": leaf("b", rng.normal(size=(2, 3, 4))),
        "s": leaf("s", np.array(0.7)),
        "p": leaf("p", rng.uniform(0.5, 2, (3, 4))),
        "u": leaf("u", rng.uniform(0.1, 0.9, (3, 4))),
        "sq": leaf("sq", rng.normal(size=(3, 3))),
        "z": leaf("z", rng.normal(size=3) + 1j * rng.normal(size=3)),
        "i": torch.tensor(rng.integers(0, 5, (3, 4))),
        "k": torch.tensor(np.array([[0, 2], [1, 1], [2, 0]])),
        "mask": torch.tensor(rng.uniform(size=(3, 4)) > 0.5),
        "img": leaf("img", rng.normal(size=(2, 4, 6, 6))),
        "seq": leaf("seq", rng.normal(size=(2, 4, 8))),
        "vol": leaf("vol", rng.normal(size=(1, 2, 4, 4, 4))),
        "w1": leaf("w1", rng.normal(size=(6, 4, 3))),
        "w2": leaf("w2", rng.normal(size=(6, 4, 3, 3))),
        "w3": leaf("w3", rng.normal(size=(3, 2, 2, 2, 2))),
        "t": torch.tensor(np.array([0, 2, 1])),
        "hann": torch.hann_window(4, dtype=torch.float64),
        "F": torch.nn.functional,
        "torch": torch,
    }
    names["pd"] = names["sq"] @ names["sq"].mT + torch.eye(3, dtype=names["sq"].dtype)
    return names, leaves


def plain(tensor):
    """A tensor's values, whatever PyTorch has put off doing with them."""
    tensor = tensor.detach()
    return np.array((tensor.resolve_conj() if hasattr(tensor, "resolve_conj") else tensor).numpy(force=True))


def observed(torch, expression, transposed):
    """(value, dtype, gradients, double gradients) of an expression, as NumPy arrays."""
    names, leaves = operands(torch, transposed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = eval(expression, names)
    found = {"value": plain(out), "dtype": str(out.dtype), "tracked": out.requires_grad}
    if not out.requires_grad:
        return found
    rng = np.random.default_rng(1)
    seed = rng.normal(size=tuple(out.shape))
    if out.is_complex():
        seed = seed + 1j * rng.normal(size=tuple(out.shape))
    weights = torch.tensor(np.asarray(seed)).to(out.dtype)
    listed = list(leaves.values())
    grads = torch.autograd.grad(out, listed, weights, create_graph=True, allow_unused=True)
    found["grads"] = {n: None if g is None else plain(g) for n, g in zip(leaves, grads, strict=True)}
    again = [g for g in grads if g is not None and g.requires_grad]
    if again:
        total = sum((g.real if g.is_complex() else g).cos().sum() for g in again)
        try:
            second = torch.autograd.grad(total, listed, allow_unused=True)
        except (RuntimeError, NotImplementedError):
            # PyTorch has no second derivative of some.
            assert torch is theirs
            return found
        found["second"] = {n: None if g is None else plain(g) for n, g in zip(leaves, second, strict=True)}
    return found


def assert_same(a, b, what, tolerance):
    if a is None or b is None:
        # A derivative that is zero everywhere may be left out.
        known = a if b is None else b
        assert known is None or not np.any(known), what
        return
    assert a.shape == b.shape, what
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=what)


@pytest.mark.parametrize("transposed", [False, True], ids=["dense", "transposed"])
@pytest.mark.parametrize("expression", ALL)
def test_expression(expression, transposed):
    if transposed and ("as_strided" in expression or "x.view(" in expression):
        pytest.skip("needs contiguous operands")
    want, have = observed(theirs, expression, transposed), observed(ours, expression, transposed)
    assert have["dtype"] == want["dtype"]
    loose = "float32" in want["dtype"] or "half" in expression or "float()" in expression
    tolerance = 2e-3 if "half" in expression else 1e-5 if loose else 1e-9
    assert_same(have["value"], want["value"], "value", tolerance)
    assert have["tracked"] == want["tracked"]
    for order in ("grads", "second"):
        for name in want.get(order, {}) if order in have else ():
            assert_same(have.get(order, {}).get(name), want[order][name], f"{order} by {name}", max(tolerance, 1e-8))


ELSEWHERE = """_advanced _bernoulli _categorical _exponential _gamma _integers _normal _permutation _poisson _uniform
alpha_dropout_step cell_step copy dropout_step feature_dropout_step fill_diagonal filled fractional_max_pool
lbfgs_direction linear_step optimizer_step rnn_layer view_dtype zeroed""".split()
"""Operations that other tests are about: random numbers, layers with state, writes in place, optimisers."""


def test_every_operation_has_an_expression():
    names, _ = operands(ours, False)
    for made in OPERATIONS.values():
        made.plans.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for expression in ALL:
            eval(expression, names)
    unused = {name for name, made in OPERATIONS.items() if not made.plans}
    assert sorted(unused - set(ELSEWHERE)) == []
