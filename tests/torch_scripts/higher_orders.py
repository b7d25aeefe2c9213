"""Gradients of gradients: create_graph, a gradient penalty, products with Hessians, Jacobians by rows, unrolled updates."""

import torch
from torch.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp

x = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
f = (x**3).sum() + (x[0] * x[1] * x[2]).sin()
(g,) = torch.autograd.grad(f, x, create_graph=True)
print(g)
rows = torch.stack([torch.autograd.grad(e, x, retain_graph=True)[0] for e in g])
print(rows)
print(torch.allclose(rows, rows.T))
v = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
(product,) = torch.autograd.grad(g, x, v, retain_graph=True)
print(torch.allclose(product, rows @ v))

y = torch.tensor(2.0, requires_grad=True)
d, n = y**5, 0
while n < 6:
    print(n, d.item())
    (d,) = torch.autograd.grad(d, y, create_graph=True) if d.requires_grad else (torch.zeros(()),)
    n += 1


def energy(p):
    return (p.sin() * p.roll(1)).sum()


def field(p):
    return torch.stack([p[0] * p[1], p[1].exp(), (p * p).sum()])


p = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
print(jacobian(field, p))
print(hessian(energy, p))
print(vjp(field, p, v)[1], jvp(field, p, v)[1])
print(hvp(energy, p, v)[1], vhp(energy, p, v)[1])
print(jacobian(lambda a, b: a.exp() * b, (p, v))[1])
print(torch.allclose(hessian(energy, p, vectorize=True), torch.func.hessian(energy)(p)))

critic = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
with torch.no_grad():
    for k, w in enumerate(critic.parameters()):
        w.copy_(torch.sin(torch.arange(w.numel(), dtype=torch.float64) + k).reshape(w.shape))
points = torch.linspace(-1, 1, 10, dtype=torch.float64).reshape(5, 2).requires_grad_()
(slopes,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
penalty = ((slopes.norm(2, dim=1) - 1) ** 2).mean()
penalty.backward()
print(penalty.item(), [w.grad.norm().item() if w.grad is not None else None for w in critic.parameters()])

rate = torch.tensor(0.1, requires_grad=True)
weight = torch.tensor([1.0, -2.0], requires_grad=True)
state = weight
for _ in range(4):
    inner = (state**4).sum() / 4
    (step,) = torch.autograd.grad(inner, state, create_graph=True)
    state = state - rate * step
(state**2).sum().backward()
print(rate.grad, weight.grad)
