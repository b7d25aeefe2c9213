"""Langevin and Hamiltonian sampling of a banana-shaped density; the noise comes from NumPy, the same for all."""

import numpy as np
import torch

rng = np.random.default_rng(0)


def energy(x):
    """Minus the logarithm of the density of each row, up to a constant."""
    return 0.5 * x[:, 0] ** 2 + 2.0 * (x[:, 1] - 0.5 * x[:, 0] ** 2) ** 2


def slope(x):
    x = x.detach().requires_grad_()
    (found,) = torch.autograd.grad(energy(x).sum(), x)
    return found


x = torch.from_numpy(rng.normal(size=(64, 2)))
total, square = torch.zeros(2, dtype=x.dtype), torch.zeros(2, 2, dtype=x.dtype)
for step in range(60):
    noise = torch.from_numpy(rng.normal(size=(64, 2)))
    x = x - 0.05 * slope(x) + (2 * 0.05) ** 0.5 * noise
    if step >= 20:
        total += x.mean(0) / 40
        square.addmm_(x.T, x, alpha=1 / (40 * 64))
print(total, square, x.requires_grad)
print(torch.cov(x.T), torch.quantile(x, torch.tensor([0.25, 0.5, 0.75], dtype=x.dtype), dim=0))

position, accepted = torch.from_numpy(rng.normal(size=(32, 2))), 0
for _ in range(15):
    momentum = torch.from_numpy(rng.normal(size=(32, 2)))
    before = energy(position) + momentum.pow(2).sum(1) / 2
    q, p = position.clone(), momentum - 0.05 * slope(position)
    for _ in range(9):
        q += 0.1 * p
        p -= 0.1 * slope(q)
    q += 0.1 * p
    p -= 0.05 * slope(q)
    after = energy(q) + p.pow(2).sum(1) / 2
    take = torch.from_numpy(rng.uniform(size=32)) < torch.exp(before - after)
    accepted += take.sum().item()
    position = torch.where(take[:, None], q, position)
print(accepted, position.mean(0), position.std(0), (before - after).abs().max() < 1)
assert accepted > 0.8 * 15 * 32
