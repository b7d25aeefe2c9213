"""Rows of the imperative room: the same script on funcgrad.torch and on PyTorch, un-jitted and as whole compiled steps."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.compiled import torch_setup
from benchmarks.harness import Setup, row

Script = Callable[[Any, Any], Callable[[], object]]
MILLION = 1_000_000


def _ours(script: Script) -> Setup:
    def setup() -> Callable[[], object]:
        torch = importlib.import_module("funcgrad.torch")
        return script(torch, lambda a: torch.tensor(np.asarray(a)))

    return setup


def _both(name: str, script: Script, ours: Script | None = None, **options: Any) -> None:
    row(name, funcgrad=_ours(ours or script), torch=torch_setup(script), **options)


def _small(torch: Any, tensor: Any) -> Callable[[], object]:
    x = tensor(np.linspace(0, 1, 10, dtype=np.float32)).requires_grad_()

    def call() -> object:
        x.grad = None
        (torch.tanh(x) * x).sum().backward()
        return x.grad

    return call


def _large(make: Callable[[Any, Any], Callable[[Any], Any]]) -> Script:
    def script(torch: Any, tensor: Any) -> Callable[[], object]:
        x = tensor(np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float32)).requires_grad_()
        f = make(torch, tensor)

        def call() -> object:
            x.grad = None
            f(x).sum().backward()
            return x.grad

        return call

    return script


def _many(script: Script, times: int = 1000) -> Script:
    def repeated(torch: Any, tensor: Any) -> Callable[[], object]:
        call = script(torch, tensor)

        def calls() -> object:
            for _ in range(times):
                loss = call()
            return loss

        return calls

    return repeated


def _mlp(sizes: list[int], batch: int, compiled: bool, repeat: int = 0) -> Script:
    def script(torch: Any, tensor: Any) -> Callable[[], object]:
        nn = torch.nn
        layers: list[Any] = []
        for a, b in itertools.pairwise(sizes):
            layers += [nn.Linear(a, b), nn.Tanh()]
        net = nn.Sequential(*layers[:-1])
        optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
        rng = np.random.default_rng(0)
        x, y = (
            tensor(rng.normal(size=(batch, sizes[0])).astype(np.float32)),
            tensor(rng.integers(0, max(sizes[-1], 2), batch)),
        )
        target = tensor(rng.normal(size=(batch, 1)).astype(np.float32))

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            out = net(x)
            loss = nn.functional.cross_entropy(out, y) if sizes[-1] > 1 else nn.functional.mse_loss(out, target)
            loss.backward()
            optimizer.step()
            return loss

        run: Any = torch.compile(step) if compiled else step
        return (lambda: run.repeat(repeat, x, y)) if repeat else lambda: run(x, y)

    return script


_both("un-jitted (tanh(x)*x).sum().backward(), 10 elements", _small)
_both("un-jitted softmax and gradient, 1M", _large(lambda torch, tensor: lambda x: torch.softmax(x, 1)))
_both("un-jitted gelu and gradient, 1M", _large(lambda torch, tensor: torch.nn.functional.gelu))
_both(
    "un-jitted layer_norm and gradient, 1M",
    _large(lambda torch, tensor: lambda x: torch.nn.functional.layer_norm(x, (1000,))),
)
_both(
    "un-jitted batch_norm and gradient, 1M",
    _large(lambda torch, tensor: lambda x: torch.nn.functional.batch_norm(x, None, None, training=True)),
)
_both(
    "un-jitted cross_entropy and gradient, 1M",
    _large(lambda torch, tensor: lambda x: torch.nn.functional.cross_entropy(x, tensor(np.arange(1000)))),
)
_both(
    "MLP 784-512-512-10, batch 128, whole step compiled",
    _mlp([784, 512, 512, 10], 128, False),
    _mlp([784, 512, 512, 10], 128, True),
)
SMALL = [2, 16, 16, 1]
_both("small MLP 2-16-16-1, batch 32, 1000 steps un-jitted", _many(_mlp(SMALL, 32, False)))
_both("small MLP 2-16-16-1, batch 32, 1000 steps compiled", _many(_mlp(SMALL, 32, False)), _many(_mlp(SMALL, 32, True)))
_both(
    "small MLP 2-16-16-1, batch 32, 1000 steps as one loop", _many(_mlp(SMALL, 32, False)), _mlp(SMALL, 32, True, 1000)
)
