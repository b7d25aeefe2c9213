"""Sine waves continued by two LSTM cells trained with LBFGS; a layer whose weight is symmetric by a parametrisation."""

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

TOLERANCE = 2e-3  # line searches repeat small differences


def filled(module, seed=0):
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.from_numpy(rng.uniform(-0.3, 0.3, size=tuple(p.shape))))
    return module


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.LSTMCell(1, 7)
        self.second = nn.LSTMCell(7, 7)
        self.linear = nn.Linear(7, 1)

    def forward(self, waves, future=0):
        outputs = []
        zeros = torch.zeros(waves.size(0), 7, dtype=waves.dtype)
        h1, c1, h2, c2 = zeros, zeros, zeros, zeros
        for column in waves.split(1, dim=1):
            h1, c1 = self.first(column, (h1, c1))
            h2, c2 = self.second(h1, (h2, c2))
            output = self.linear(h2)
            outputs.append(output)
        for _ in range(future):
            h1, c1 = self.first(output, (h1, c1))
            h2, c2 = self.second(h1, (h2, c2))
            output = self.linear(h2)
            outputs.append(output)
        return torch.cat(outputs, dim=1)


shift = torch.tensor([0.0, 2.0, 5.0, 7.0], dtype=torch.float64).unsqueeze(1)
waves = torch.sin((torch.arange(16, dtype=torch.float64) + shift) / 2.0)
model = filled(Sequence().double())
criterion = nn.MSELoss()
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
losses = []
for _ in range(4):

    def closure():
        optimizer.zero_grad()
        loss = criterion(model(waves[:, :-1]), waves[:, 1:])
        loss.backward()
        return loss

    losses.append(optimizer.step(closure).item())
print([f"{v:.5f}" for v in losses])
assert losses[-1] < losses[0]
with torch.no_grad():
    print(model(waves[:1], future=3)[:, -3:])


class Symmetric(nn.Module):
    def forward(self, w):
        return w.triu() + w.triu(1).transpose(-1, -2)

    def right_inverse(self, w):
        return w.triu()


layer = filled(nn.Linear(3, 3).double(), 1)
parametrize.register_parametrization(layer, "weight", Symmetric())
print(layer)
print(torch.equal(layer.weight, layer.weight.T), [n for n, _ in layer.named_parameters()])
sgd = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9, nesterov=True)
x = torch.from_numpy(np.random.default_rng(2).normal(size=(6, 3)))
for _ in range(5):
    sgd.zero_grad()
    loss = (layer(x) - x).abs().pow(1.5).mean()
    loss.backward()
    sgd.step()
print(loss, layer.weight, layer.parametrizations.weight.original.grad)
parametrize.remove_parametrizations(layer, "weight")
print(layer, [n for n, _ in layer.named_parameters()])

body = filled(nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 1)).double(), 3)
adam = torch.optim.NAdam(body.parameters(), lr=0.01)
target = x.prod(1, keepdim=True)
for _ in range(5):
    loss = nn.functional.huber_loss(body(x), target, delta=0.5)
    adam.zero_grad(set_to_none=True)
    loss.backward()
    adam.step()
print(loss, body[0].bias, adam.state_dict()["state"][0]["step"], sorted(adam.state_dict()["state"][0]))
