"""A sine fitted by a cubic polynomial: the gradient by hand, by autograd, through a custom Function, a module and optimisers."""

import math

import torch
from torch import nn

x = torch.linspace(-math.pi, math.pi, 200, dtype=torch.float64)
y = torch.sin(x)
start = [0.1, -0.2, 0.05, 0.3]


def by_hand(steps, rate):
    a, b, c, d = (torch.tensor(v, dtype=torch.float64) for v in start)
    for _ in range(steps):
        error = a + b * x + c * x**2 + d * x**3 - y
        slope = 2.0 * error
        a -= rate * slope.sum()
        b -= rate * (slope * x).sum()
        c -= rate * (slope * x**2).sum()
        d -= rate * (slope * x**3).sum()
    return error.pow(2).sum().item(), [a.item(), b.item(), c.item(), d.item()]


def by_autograd(steps, rate):
    weights = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in start]
    for _ in range(steps):
        prediction = sum(w * x**i for i, w in enumerate(weights))
        loss = (prediction - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            for w in weights:
                w -= rate * w.grad
                w.grad = None
    return loss.item(), [w.item() for w in weights]


class Legendre3(torch.autograd.Function):
    """P3(v) = (5 v^3 - 3 v) / 2."""

    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return 0.5 * (5 * v**3 - 3 * v)

    @staticmethod
    def backward(ctx, slope):
        (v,) = ctx.saved_tensors
        return slope * 1.5 * (5 * v**2 - 1)


def by_function(steps, rate):
    a = torch.full((), 0.0, dtype=torch.float64, requires_grad=True)
    b = torch.full((), -1.0, dtype=torch.float64, requires_grad=True)
    c = torch.full((), 0.0, dtype=torch.float64, requires_grad=True)
    d = torch.full((), 0.3, dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        prediction = a + b * Legendre3.apply(c + d * x)
        loss = (prediction - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            for w in (a, b, c, d):
                w -= rate * w.grad
                w.grad.zero_()
    return loss.item(), [w.item() for w in (a, b, c, d)]


class Cubic(nn.Module):
    def __init__(self):
        super().__init__()
        for name, value in zip("abcd", start, strict=True):
            setattr(self, name, nn.Parameter(torch.tensor(value, dtype=torch.float64)))

    def forward(self, x):
        return self.a + self.b * x + self.c * x**2 + self.d * x**3

    def string(self):
        return f"y = {self.a.item():.4f} + {self.b.item():.4f} x + {self.c.item():.4f} x^2 + {self.d.item():.4f} x^3"


def by_module(make, steps):
    model = Cubic()
    criterion = nn.MSELoss(reduction="sum")
    optimizer = make(model.parameters())
    for _ in range(steps):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item(), model.string()


def by_sequential(steps):
    powers = x.unsqueeze(-1).pow(torch.tensor([1, 2, 3]))
    model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.2, -0.1, 0.02]]))
        model[0].bias.fill_(0.1)
    for _ in range(steps):
        loss = nn.functional.mse_loss(model(powers), y, reduction="sum")
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 1e-6 * p.grad
    return loss.item(), model[0].weight.detach(), model[0].bias.detach()


hand, auto = by_hand(100, 1e-6), by_autograd(100, 1e-6)
print("by hand", *hand)
print("autograd", *auto)
assert math.isclose(hand[0], auto[0], rel_tol=1e-9)
print("Function", *by_function(100, 5e-6))
print("SGD", *by_module(lambda p: torch.optim.SGD(p, lr=1e-6), 60))
print("RMSprop", *by_module(lambda p: torch.optim.RMSprop(p, lr=1e-3), 60))
print("Adam", *by_module(lambda p: torch.optim.Adam(p, lr=1e-3), 60))
print("Sequential", *by_sequential(60))
