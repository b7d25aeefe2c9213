"""ResNet-18 with the weights of a real PyTorch model: its numbers, ten steps and the graph, on both."""

import itertools
from typing import Any

import numpy as np
import pytest

import funcgrad.torch as ours
from funcgrad import models

theirs = pytest.importorskip("torch")


def built(torch: Any) -> Any:
    """torchvision's ResNet-18, its layers and their names, from `torch.nn`."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inputs: int, outputs: int, stride: int):
            nn.Module.__init__(self)
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.downsample = None
            if stride != 1:
                shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
                self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

        def forward(self, x: Any) -> Any:
            out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            out += x if self.downsample is None else self.downsample(x)
            return self.relu(out)

    class ResNet(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            widths = [64, 64, 128, 256, 512]
            for n, (a, b) in enumerate(itertools.pairwise(widths), 1):
                setattr(self, f"layer{n}", nn.Sequential(Block(a, b, 1 if a == b else 2), Block(b, b, 1)))
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(512, 10)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(torch.flatten(self.avgpool(x), 1))

    return ResNet()


def graph_of(tensor: Any) -> list[tuple[str, list[str | None]]]:
    """Every node that leads to a tensor with its neighbours' names, in order of depth first."""
    found, seen, waiting = [], set(), [tensor.grad_fn]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        following = [n for n, _ in node.next_functions]
        found.append((node.name(), [n.name() if n is not None else None for n in following]))
        waiting.extend(n for n in following if n is not None)
    return found


@pytest.fixture(scope="module")
def exported() -> dict[str, Any]:
    """The state of a PyTorch model with random weights, its head of a hundred classes, and a batch."""
    theirs.manual_seed(0)
    state = {k: v.numpy().copy() for k, v in built(theirs).state_dict().items()}
    rng = np.random.default_rng(0)
    return {
        "state": state,
        "head": (theirs.nn.Linear(512, 100).weight.detach().numpy().copy()),
        "x": rng.normal(size=(4, 3, 64, 64)).astype(np.float32),
        "y": np.array([3, 7, 50, 99]),
    }


def model_of(torch: Any, exported: dict[str, Any], own: bool = False) -> Any:
    model = models.resnet18(num_classes=10) if own else built(torch)
    found = model.load_state_dict({k: torch.tensor(v) for k, v in exported["state"].items()})
    assert not found.missing_keys
    assert not found.unexpected_keys
    return model


def fine_tuned(torch: Any, exported: dict[str, Any], own: bool = False) -> dict[str, Any]:
    """Ten steps of the head over a frozen trunk, as the worked example writes them."""
    model = model_of(torch, exported, own)
    for param in model.parameters():
        param.requires_grad = False
    model.fc = torch.nn.Linear(512, 100)
    with torch.no_grad():
        model.fc.weight.copy_(torch.tensor(exported["head"]))
        model.fc.bias.zero_()
    optimizer = torch.optim.SGD(model.fc.parameters(), lr=1e-2, momentum=0.9)
    x, y = torch.tensor(exported["x"]), torch.tensor(exported["y"])
    losses = []
    for step in range(10):
        optimizer.zero_grad()
        logits = model(x)
        loss = torch.nn.functional.cross_entropy(logits, y)
        graph = graph_of(loss)
        loss.backward()
        if step == 0:
            first = (logits.detach().numpy(), model.fc.weight.grad.numpy().copy(), model.fc.bias.grad.numpy().copy())
        optimizer.step()
        losses.append(loss.item())
    assert [n for n, p in model.named_parameters() if p.grad is not None] == ["fc.weight", "fc.bias"]
    state = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    return {"losses": losses, "graph": graph, "first": first, "state": state}


@pytest.mark.parametrize("own", [False, True], ids=["built from torch.nn", "models.resnet18"])
def test_ten_steps_of_fine_tuning_are_those_of_pytorch(exported, own):
    want, got = fine_tuned(theirs, exported), fine_tuned(ours, exported, own)
    assert got["graph"] == want["graph"]
    assert (
        len(got["graph"]) == 6
    )  # the loss, its logarithm, the product, a transpose, and two leafs: nothing of the trunk
    np.testing.assert_allclose(got["losses"], want["losses"], rtol=1e-4)
    assert want["losses"][-1] < want["losses"][0]
    for a, b in zip(got["first"], want["first"], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert got["state"].keys() == want["state"].keys()
    for key, value in want["state"].items():
        np.testing.assert_allclose(got["state"][key], value, atol=1e-4, rtol=1e-4, err_msg=key)


def test_the_whole_graph_and_every_gradient(exported):
    found = []
    for torch in (theirs, ours):
        model = model_of(torch, exported).double()
        logits = model(torch.tensor(exported["x"]).double())
        graph = graph_of(logits)
        torch.nn.functional.cross_entropy(logits, torch.tensor(exported["y"] % 10)).backward()
        found.append((graph, {n: p.grad.numpy() for n, p in model.named_parameters()}))
    (graph, grads), (mine, got) = found
    assert mine == graph
    assert len(graph) > 120
    for name, value in grads.items():
        np.testing.assert_allclose(got[name], value, atol=1e-8 * np.abs(value).max(), err_msg=name)


def test_float32_gradients_of_the_whole_model(exported):
    """Without kinks: a unit next to 0 that rounding puts on the other side of a ReLU changes gradients by percents."""
    found = []
    for torch, kind in ((theirs, "float64"), (theirs, "float32"), (ours, "float32")):
        model = model_of(torch, exported).to(getattr(torch, kind))
        model.maxpool = torch.nn.AvgPool2d(3, 2, 1)
        for module in model.modules():
            if "relu" in module._modules:
                module.relu = torch.nn.Tanh()
        logits = model(torch.tensor(exported["x"]).to(getattr(torch, kind)))
        torch.nn.functional.cross_entropy(logits, torch.tensor(exported["y"] % 10)).backward()
        found.append({n: p.grad.double().numpy() for n, p in model.named_parameters()})
    exact, other, mine = found
    for name, value in exact.items():
        size = np.abs(value).max()
        assert np.abs(other[name] - value).max() < 2e-5 * size, name
        # Winograd's F(4x4, 3x3) loses a digit in each layer (docs/design.md, Networks).
        assert np.abs(mine[name] - value).max() < 2e-4 * size, name
