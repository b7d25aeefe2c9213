"""LBFGS, averaged models and Adafactor beside PyTorch's, step by step."""

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


def fit(torch, options, steps, kind="float64", restart=False):
    """Parameters after each step of LBFGS on a small regression, the losses, and the optimiser."""
    rng = np.random.default_rng(3)
    x, y = (torch.tensor(rng.normal(size=s), dtype=getattr(torch, kind)) for s in ((30, 4), (30, 2)))
    p = [torch.tensor(rng.normal(size=s), dtype=getattr(torch, kind), requires_grad=True) for s in ((4, 2), (2,))]
    optimizer = torch.optim.LBFGS(p, **options)
    calls = [0]

    def closure():
        calls[0] += 1
        optimizer.zero_grad()
        loss = ((x @ p[0] + p[1] - y) ** 4).mean() + (1 - p[0].sin()).sum()
        loss.backward()
        return loss

    path, losses = [], []
    for _ in range(steps):
        losses.append(optimizer.step(closure).item())
        path.append(np.concatenate([q.detach().numpy().ravel() for q in p]))
        if restart:
            saved = optimizer.state_dict()
            optimizer = torch.optim.LBFGS(p, **options)
            optimizer.load_state_dict(saved)
    return np.array(path), np.array(losses), calls[0], optimizer


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.01, "max_iter": 4},
        {"lr": 0.05, "max_iter": 3, "history_size": 2},
        {"max_iter": 4, "line_search_fn": "strong_wolfe"},
        {"max_iter": 6, "line_search_fn": "strong_wolfe", "history_size": 3, "max_eval": 7},
        {"lr": 20.0, "max_iter": 2, "line_search_fn": "strong_wolfe"},
    ],
)
def test_lbfgs_goes_pytorchs_way(options):
    want, have = fit(theirs, options, 5), fit(ours, options, 5)
    np.testing.assert_allclose(have[0], want[0], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(have[1], want[1], rtol=1e-6)
    assert have[2] == want[2]
    states = [o[3].state_dict()["state"][0] for o in (have, want)]
    assert states[0].keys() >= states[1].keys() - {"al"}
    assert len(states[0]["old_dirs"]) == len(states[1]["old_dirs"])
    assert states[0]["n_iter"] == states[1]["n_iter"] and states[0]["func_evals"] == states[1]["func_evals"]


def test_lbfgs_stops_where_the_gradient_is_small_and_in_float32():
    options = {"max_iter": 100, "line_search_fn": "strong_wolfe", "tolerance_grad": 1e-3}
    want, have = fit(theirs, options, 2, "float32"), fit(ours, options, 2, "float32")
    np.testing.assert_allclose(have[0][-1], want[0][-1], atol=2e-2)
    assert have[1][1] <= want[1][1] + 1e-4


def test_lbfgs_goes_on_from_its_state_dict():
    options = {"lr": 0.01, "max_iter": 3}
    np.testing.assert_allclose(fit(ours, options, 4, restart=True)[0], fit(ours, options, 4)[0], rtol=1e-12)


def test_lbfgs_takes_complex_parameters():
    found = []
    for torch in (theirs, ours):
        z = torch.tensor([1 + 2j, -0.5j], dtype=torch.complex128, requires_grad=True)
        optimizer = torch.optim.LBFGS([z], max_iter=5, line_search_fn="strong_wolfe")

        def closure(z=z, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((z - (3 + 1j)).abs() ** 4).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        found.append(z.detach().numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_lbfgs_refuses_what_pytorch_refuses():
    for torch in (theirs, ours):
        p = [torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)]
        with pytest.raises(ValueError, match="per-parameter options"):
            torch.optim.LBFGS([{"params": p[:1]}, {"params": p[1:]}])
        with pytest.raises(ValueError, match="Invalid learning rate"):
            torch.optim.LBFGS(p, lr=-1.0)
        with pytest.raises(TypeError, match="closure"):
            torch.optim.LBFGS(p).step()
        optimizer = torch.optim.LBFGS(p, line_search_fn="armijo")

        def closure(p=p):
            loss = (p[0] ** 2).sum()
            loss.backward()
            return loss

        with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
            optimizer.step(closure)


def models(torch):
    """The same small network with batch norm on both sides, and a list of batches."""
    rng = np.random.default_rng(5)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.tensor(rng.normal(size=tuple(p.shape))))
    return model, [torch.tensor(rng.normal(size=(6, 3))) for _ in range(4)]


@pytest.mark.parametrize("kind", ["equal", "ema", "multi", "buffers", "own"])
def test_averaged_models_equal_pytorchs(kind):
    found = []
    for torch in (theirs, ours):
        utils = torch.optim.swa_utils
        model, batches = models(torch)
        options = {
            "equal": {},
            "ema": {"avg_fn": utils.get_ema_avg_fn(0.7)},
            "multi": {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.6)},
            "buffers": {"use_buffers": True, "multi_avg_fn": utils.get_ema_multi_avg_fn(0.5)},
            "own": {"avg_fn": lambda a, b, n: (a + 3 * b) / (4 + n)},
        }[kind]
        averaged = utils.AveragedModel(model, **options)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x in batches:
            optimizer.zero_grad()
            (model(x) ** 2).sum().backward()
            optimizer.step()
            averaged.update_parameters(model)
        if kind == "buffers":
            before = {k: v.numpy().copy() for k, v in averaged.state_dict().items()}
        utils.update_bn([(x, 0) for x in batches] if kind == "ema" else batches, averaged)
        assert averaged.training and averaged.module[1].momentum == 0.1
        state = {k: v.numpy().copy() for k, v in averaged.state_dict().items()}
        if kind == "buffers":
            state |= {f"{k} before": v for k, v in before.items()}
        averaged.eval()
        found.append(state | {"out": averaged(batches[0]).detach().numpy()})
    assert found[0].keys() == found[1].keys()
    for key, want in found[0].items():
        np.testing.assert_allclose(found[1][key], want, rtol=1e-6, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("options", [{}, {"anneal_strategy": "linear", "anneal_epochs": 4}, {"anneal_epochs": 0}])
def test_the_schedule_of_averaging_equals_pytorchs(options):
    found = []
    for torch in (theirs, ours):
        p = [torch.ones(1, requires_grad=True), torch.ones(2, requires_grad=True)]
        optimizer = torch.optim.SGD([{"params": p[:1], "lr": 0.5}, {"params": p[1:], "lr": 0.01}], lr=0.1)
        schedule = torch.optim.swa_utils.SWALR(optimizer, swa_lr=[0.05, 0.2], **options)
        rates = []
        for _ in range(14):
            optimizer.step()
            schedule.step()
            rates.append([g["lr"] for g in optimizer.param_groups])
        found.append(rates)
        with pytest.raises(ValueError, match="swa_lr must have the same length"):
            torch.optim.swa_utils.SWALR(optimizer, swa_lr=[0.1])
        with pytest.raises(ValueError, match="anneal_strategy must be one of"):
            torch.optim.swa_utils.SWALR(optimizer, 0.1, anneal_strategy="exp")
        with pytest.raises(ValueError, match="Invalid decay value"):
            torch.optim.swa_utils.get_ema_avg_fn(1.5)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)
