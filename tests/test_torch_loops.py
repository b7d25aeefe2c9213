"""Compiled steps that write in place, and many of them in one call: `repeat` and `scan` do what the calls one by one do."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.torch as torch
from funcgrad.torch import nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 8, 5)).astype(np.float32)
Y = RNG.integers(0, 3, (9, 8))

MODELS = {
    "tanh": lambda: nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)),
    "batch norm and dropout": lambda: nn.Sequential(
        nn.Linear(5, 7, bias=False), nn.BatchNorm1d(7), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(7, 3)
    ),
}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.05),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01),
}


def make(model, optimizer):
    torch.manual_seed(0)
    net = MODELS[model]()
    opt = OPTIMIZERS[optimizer](net.parameters())

    def step(x, y):
        opt.zero_grad()
        out = net(x)
        loss = nn.functional.cross_entropy(out, y)
        loss.backward()
        opt.step()
        return {"loss": loss, "right": (out.argmax(1) == y).sum(), "name": "step"}

    return net, step


def state(net):
    tensors = [*net.parameters(), *net.buffers(), *[p.grad for p in net.parameters()]]
    return [np.array(t.detach().numpy()) for t in tensors], [p._version for p in net.parameters()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_scan_is_the_steps_one_by_one(model, optimizer):
    net, step = make(model, optimizer)
    want = [step(torch.tensor(x), torch.tensor(y)) for x, y in zip(X, Y, strict=True)]
    expected, versions = state(net)
    net, step = make(model, optimizer)
    compiled = torch.compile(step)
    found = compiled.scan(torch.tensor(X), torch.tensor(Y))
    np.testing.assert_allclose(found["loss"], [w["loss"].item() for w in want], rtol=1e-4)
    assert found["right"].tolist() == [w["right"].item() for w in want]
    assert found["name"] == "step" and not found["loss"].requires_grad
    got, moved = state(net)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)
    assert moved == versions
    assert len(compiled.loops) == 1
    # The memory of parameters is their own: what looks into it sees the steps.
    view = net[0].weight.detach()
    compiled.scan(torch.tensor(X), torch.tensor(Y))
    assert (view.numpy() == net[0].weight.detach().numpy()).all()
    assert not np.allclose(view.numpy(), got[0])


@pytest.mark.parametrize("times", [1, 2, 3, 4, 20])
def test_repeat_is_the_step_many_times(times):
    results = []
    for repeated in (False, True):
        net, step = make("batch norm and dropout", "sgd")
        compiled = torch.compile(step)
        x, y = torch.tensor(X[0]), torch.tensor(Y[0])
        if repeated:
            losses = compiled.repeat(times, x, y)["loss"].numpy()
            assert losses.shape == (times,)
        else:
            losses = [compiled(x, y)["loss"].item() for _ in range(times)]
        results.append((losses, *state(net)))
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-5)
    for a, b in zip(results[1][1], results[0][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert results[1][2] == results[0][2]


def test_a_learning_rate_changed_between_loops_is_seen():
    w = torch.ones(3, requires_grad=True)
    opt = torch.optim.SGD([w], lr=0.5)

    def step(scale):
        opt.zero_grad()
        (w * scale).sum().backward()
        opt.step()
        return w.detach().clone()

    compiled = torch.compile(step)
    compiled.repeat(10, 1.0)
    np.testing.assert_allclose(w.detach().numpy(), 1 - 5.0)
    opt.param_groups[0]["lr"] = 0.25
    found = compiled.repeat(10, 2.0)
    np.testing.assert_allclose(found.numpy()[:, 0], -4 - 0.5 * np.arange(1, 11))
    assert len(compiled.loops) == 1, "numbers are inputs of the loop"


def test_gradients_accumulate_through_a_loop():
    w = torch.ones(3, requires_grad=True)

    def step(x):
        loss = (w * x).sum()
        loss.backward()
        return loss

    rows = RNG.normal(size=(12, 3)).astype(np.float32)
    torch.compile(step).scan(torch.tensor(rows))
    np.testing.assert_allclose(w.grad.numpy(), rows.sum(0), rtol=1e-5)


def test_what_a_loop_of_steps_cannot_be():
    w = torch.ones(3)

    def returns_outside(x):
        w.add_(x)
        return w

    with pytest.raises(NotImplementedError, match=r"return a clone\(\)"):
        torch.compile(returns_outside).repeat(10, torch.ones(3))

    def writes_to_argument(x):
        x.add_(1.0)
        return x.sum()

    with pytest.raises(NotImplementedError, match="writes to its arguments"):
        torch.compile(writes_to_argument).scan(torch.ones(9, 3))
    step = torch.compile(lambda x, y: (x + y).sum())
    with pytest.raises(ValueError, match="first axes must have one length"):
        step.scan(torch.ones(3, 2), torch.ones(4, 2))
    with pytest.raises(ValueError, match="first axis"):
        step.scan(torch.ones(()), torch.ones(4, 2))
    with pytest.raises(ValueError, match="first axis"):
        step.scan(1.0, 2.0)
    for times in (0, -1):
        with pytest.raises(ValueError, match="steps"):
            step.repeat(times, torch.ones(2), torch.ones(2))


# ---- in place ----


def test_parameters_that_other_inputs_look_into():
    # `shadow` lies in the memory of `w`: it must be read as it was before the step writes w.
    def run(compiled):
        w = torch.arange(4.0)
        shadow = torch.from_numpy(w.numpy())
        other = torch.ones(4)

        def step(x):
            w.mul_(x)
            other.add_(shadow)
            return (w + other).sum()

        f = torch.compile(step) if compiled else step
        results = [f(torch.tensor(2.0)).item() for _ in range(4)]
        return results, w.tolist(), other.tolist(), shadow.tolist()

    found = run(True)
    # The compiled step knows `shadow` as a tensor of its own, read before or after the write as the trace has it: as it was.
    w, other, expected = np.arange(4.0), np.ones(4), []
    for _ in range(4):
        other = other + w
        w = w * 2
        expected.append((w + other).sum())
    assert found == (expected, w.tolist(), other.tolist(), w.tolist())


def test_a_transposed_parameter_is_written_through_its_strides():
    base = torch.ones(3, 4)
    w = base.t()
    x = torch.tensor(RNG.normal(size=(4, 3)).astype(np.float32))

    def step():
        w.add_(x)
        return w.sum()

    compiled = torch.compile(step)
    for _ in range(5):
        compiled()
    np.testing.assert_allclose(base.numpy(), 1 + 5 * x.numpy().T, rtol=1e-5)


def test_an_index_out_of_bounds_changes_nothing():
    table = nn.Embedding(10, 4)
    opt = torch.optim.SGD(table.parameters(), 0.1)

    def step(i):
        opt.zero_grad()
        loss = table(i).square().sum()
        loss.backward()
        opt.step()
        return loss

    compiled = torch.compile(step)
    for _ in range(3):
        compiled(torch.tensor([1, 2]))
    before = table.weight.detach().numpy().copy()
    with pytest.raises(IndexError):
        compiled(torch.tensor([1, 10]))
    assert (table.weight.detach().numpy() == before).all()


def test_nans_are_found_in_steps_already_compiled():
    w = torch.ones(3)

    def step(x):
        w.mul_(x)
        return w.log().sum()

    compiled = torch.compile(step)
    for _ in range(3):
        compiled(torch.tensor(2.0))
    with fg.debug_nans(True), pytest.raises(FloatingPointError, match="nan"):
        compiled(torch.tensor(-1.0))


def test_large_tensors_are_updated_in_their_own_memory():
    w = torch.zeros(300, 400)
    address = w.numpy().ctypes.data
    x = torch.ones(300, 400)

    def step():
        w.add_(x, alpha=0.5).mul_(0.5)

    compiled = torch.compile(step)
    want = np.zeros((300, 400), np.float32)
    for _ in range(4):
        compiled()
        want = (want + 0.5) * 0.5
    assert w.numpy().ctypes.data == address
    np.testing.assert_allclose(w.numpy(), want)
