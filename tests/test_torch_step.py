"""Whole-step compilation: a compiled imperative step does what the un-jitted one does, to rounding, flags and versions."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.torch as torch
from funcgrad.errors import ConcretizationTypeError
from funcgrad.torch import nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 8, 5)).astype(np.float32)
Y = RNG.integers(0, 3, (6, 8))


def trained(compiled, make_optimizer, schedule=None, model=None):
    """Losses, parameters, versions and buffers after a few steps."""
    torch.manual_seed(0)
    net = model() if model is not None else nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    optimizer = make_optimizer(net.parameters())
    rates = schedule(optimizer) if schedule is not None else None

    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = torch.compile(step) if compiled else step
    losses = []
    for x, y in zip(X, Y, strict=True):
        losses.append(run(torch.tensor(x), torch.tensor(y)).item())
        if rates is not None:
            rates.step()
    state = [np.array(t.detach().numpy()) for t in (*net.parameters(), *net.buffers())]
    grads = [np.array(p.grad.numpy()) for p in net.parameters()]
    return losses, state, grads, [p._version for p in net.parameters()], run


CASES = {
    "sgd": (lambda p: torch.optim.SGD(p, 0.1), None, None),
    "momentum": (lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True), None, None),
    "adam with a schedule": (lambda p: torch.optim.Adam(p, 0.05), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.7), None),
    "batch norm and dropout": (
        lambda p: torch.optim.AdamW(p, 0.05), None,
        lambda: nn.Sequential(
            nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(7, 3)
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_compiled_step_is_the_step(case):
    plain, fast = trained(False, *CASES[case]), trained(True, *CASES[case])
    np.testing.assert_allclose(fast[0], plain[0], rtol=2e-5)
    for a, b in zip(fast[1] + fast[2], plain[1] + plain[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)
    assert fast[3] == plain[3], "version counters move as un-jitted"
    assert len(fast[4].programs()) == 1, "one Program serves all steps after the optimiser's state is there"


def test_results_of_a_compiled_model_can_be_differentiated():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))
    fast = torch.compile(net)
    x = torch.tensor(X[0], requires_grad=True)
    want = torch.autograd.grad(net(x).sin().sum(), [x, *net.parameters()])
    for _ in range(2):
        have = torch.autograd.grad(fast(x).sin().sum(), [x, *net.parameters()])
        for a, b in zip(have, want, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)


def test_reading_a_traced_value_raises_the_design_error():
    with pytest.raises(ConcretizationTypeError):
        torch.compile(lambda x: x if x.sum() > 0 else -x)(torch.ones(2))


@pytest.mark.parametrize("asked", ["unique", "bincount", "numpy"])
def test_what_needs_the_data_says_so(asked):
    step = torch.compile(lambda x: getattr(x, asked)())
    with pytest.raises(
        ConcretizationTypeError, match=asked + r"\(\) was asked of a traced value.*outside the compiled"
    ):
        step(torch.tensor([1, 2]))


def test_an_error_in_the_step_leaves_everything_as_it_was():
    w = torch.ones(2, requires_grad=True)

    def step(x):
        with torch.no_grad():
            w.add_(x)
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        torch.compile(step)(torch.ones(2))
    assert w.tolist() == [1.0, 1.0]
    assert w._version == 0 and w.is_leaf and w.requires_grad


def test_modes_and_structure_of_modules_are_guarded():
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(1.0))
    fast = torch.compile(lambda x: net(x).detach())
    x = torch.ones(2, 3)
    assert fast(x).abs().sum().item() == 0
    net.eval()
    np.testing.assert_allclose(fast(x).numpy(), net(x).detach().numpy(), rtol=1e-6)
    net[0] = nn.Linear(3, 3)
    np.testing.assert_allclose(fast(x).numpy(), net(x).detach().numpy(), rtol=1e-6)


def test_views_in_a_step_share_their_memory():
    def step(x):
        y = x * 1
        part = y[1:]
        part.mul_(2)
        whole = y.view(-1)
        whole[0] = 7
        return y, part

    x = torch.tensor([1.0, 2.0, 3.0])
    assert [t.tolist() for t in torch.compile(step)(x)] == [t.tolist() for t in step(x)]


def test_a_buffer_outside_is_written_in_place():
    total = torch.zeros(3)
    alias = total.numpy()
    add = torch.compile(lambda x: total.add_(x))
    for i in range(3):
        out = add(torch.full((3,), float(i)))
        assert out is total
    assert alias.tolist() == [3.0, 3.0, 3.0]
    assert total._version == 3


def test_long_chains_and_large_tensors():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward()
    assert x.grad.tolist() == [1.0]
    big = torch.tensor(RNG.normal(size=200_000), requires_grad=True)
    (big.tanh() * big).sum().backward()
    t = np.tanh(big.detach().numpy())
    np.testing.assert_allclose(big.grad.numpy(), t + (1 - t * t) * big.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_jit_is_the_same_door():
    w = torch.ones(3, requires_grad=True)
    runs = []

    @fg.jit
    def closed(x):
        runs.append(1)
        return (w * x).sum().detach() if isinstance(x, torch.Tensor) else (w.detach() * 2).sum()

    assert closed(torch.ones(3)).item() == 3
    assert closed(torch.full((3,), 2.0)).item() == 6
    assert len(runs) == 1

    @fg.jit
    def only_closes():
        return (w.detach() * 2).sum()

    assert only_closes().item() == 6
    with torch.no_grad():
        w.mul_(2)
    assert only_closes().item() == 12
    pure = fg.jit(lambda x: x * 2)
    assert pure(np.ones(2)).tolist() == [2.0, 2.0]


def test_arrays_are_exchanged_without_copies():
    base = np.arange(4.0)
    t = torch.from_dlpack(base)
    base[0] = 9
    assert t.tolist() == [9.0, 1.0, 2.0, 3.0]
    assert np.from_dlpack(t).tolist() == t.tolist()
    with pytest.raises(BufferError, match=r"tensor.detach\(\)"):
        torch.ones(2, requires_grad=True).__dlpack__()
    assert torch.result_type(torch.ones(2), 2.5) is torch.float32
    assert torch.is_tensor(t) and not torch.cuda.is_available()
