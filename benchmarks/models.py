"""Rows of whole models, in float32: ResNet-18 on images of 224 x 224 (inference, fine-tuning its head, a full training step) and
an encoder of MiniLM's shape. Each is one script to PyTorch's API, run by funcgrad.torch and by PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compiled import torch_pair
from benchmarks.harness import Setup, row

Script = Callable[[Any, Callable[[np.ndarray], Any], Callable[[Any], Any]], Callable[[], object]]
BATCH = 8


def _ours(script: Script) -> Setup:
    def setup() -> Callable[[], object]:
        torch = importlib.import_module("funcgrad.torch")
        return script(torch, lambda a: torch.tensor(np.asarray(a)), torch.compile)

    return setup


# ---- ResNet-18, with the layers and the names that torchvision gives it ----


def resnet18(nn: Any, classes: int = 1000) -> Any:
    """The model, of either library's modules."""

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, channels: int, outs: int, stride: int):
            nn.Module.__init__(self)
            self.conv1 = nn.Conv2d(channels, outs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outs)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outs)
            self.downsample = None
            if stride != 1 or channels != outs:
                self.downsample = nn.Sequential(nn.Conv2d(channels, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))

        def forward(self, x: Any) -> Any:
            out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            out += x if self.downsample is None else self.downsample(x)
            return self.relu(out)

    class ResNet(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            for i, (a, b) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512)), 1):
                setattr(self, f"layer{i}", nn.Sequential(Block(a, b, 1 if i == 1 else 2), Block(b, b, 1)))
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(512, classes)

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            return self.fc(self.avgpool(x).flatten(1))

    return ResNet()


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(BATCH, 3, 224, 224)).astype(np.float32), rng.integers(0, 100, BATCH)


def _inference(last: bool) -> Script:
    """`last`: channels last in memory, where PyTorch convolves faster."""

    def script(torch: Any, tensor: Any, compiled: Any) -> Callable[[], object]:
        model = resnet18(torch.nn).eval()
        x = tensor(_data()[0])
        if last:
            model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        run = compiled(model)

        def call() -> object:
            with torch.inference_mode():
                return run(x)

        return call

    return script


def _training(frozen: bool, last: bool) -> Script:
    """A step of SGD with momentum on all parameters, or, `frozen`, on the head alone."""

    def script(torch: Any, tensor: Any, compiled: Any) -> Callable[[], object]:
        model = resnet18(torch.nn)
        x, y = map(tensor, _data())
        if frozen:
            for p in model.parameters():
                p.requires_grad = False
            model.fc = torch.nn.Linear(512, 100)
        if last:
            model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        chosen = model.fc.parameters() if frozen else model.parameters()
        optimizer = torch.optim.SGD(chosen, lr=1e-2, momentum=0.9)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = compiled(step)
        return lambda: run(x, y)

    return script


for _name, _make in {
    "inference": _inference,
    "frozen fine-tuning": lambda last: _training(True, last),
    "training step": lambda last: _training(False, last),
}.items():
    _peers = torch_pair(_make(False))
    row(
        f"ResNet-18 at 224, batch 8: {_name}",
        funcgrad=_ours(_make(False)),
        torch_last=torch_pair(_make(True))["torch"],
        **_peers,
    )

# ---- an encoder of MiniLM's shape ----


def _encoder(torch: Any, tensor: Any, compiled: Any) -> Callable[[], object]:
    layer = torch.nn.TransformerEncoderLayer(384, 12, 1536, 0.1, "gelu", batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 6).eval()
    x = tensor(np.random.default_rng(0).normal(size=(32, 64, 384)).astype(np.float32))
    run = compiled(lambda x: model(x).mean(1))

    def call() -> object:
        with torch.inference_mode():
            return run(x)

    return call


row(
    "MiniLM-shaped encoder, 32 sentences of 64 tokens",
    funcgrad=_ours(_encoder),
    **torch_pair(_encoder),
    flops=6 * 2.0 * 32 * 64 * (4 * 384 * 384 + 2 * 384 * 1536 + 2 * 64 * 384),
)
