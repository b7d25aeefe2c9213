"""A variational autoencoder on scikit-learn's digits; the noise comes from NumPy, so that every library sees the same."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn, optim

TOLERANCE = 2e-3  # Sums over whole batches in float32.


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 40)
        self.fc21 = nn.Linear(40, 5)
        self.fc22 = nn.Linear(40, 5)
        self.fc3 = nn.Linear(5, 40)
        self.fc4 = nn.Linear(40, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar, noise):
        std = torch.exp(0.5 * logvar)
        return mu + noise * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x, noise):
        mu, logvar = self.encode(x.view(-1, 64))
        return self.decode(self.reparameterize(mu, logvar, noise)), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    BCE = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return BCE + KLD


rng = np.random.default_rng(0)
model = VAE()
with torch.no_grad():
    for p in model.parameters():
        p.copy_(torch.from_numpy((rng.normal(size=tuple(p.shape)) * 0.1).astype(np.float32)))
optimizer = optim.Adam(model.parameters(), lr=3e-3)
data = torch.tensor(load_digits().images[:1000] / 16, dtype=torch.float32)
first = 0.0
for epoch in range(4):
    total = 0.0
    for i in range(0, len(data), 125):
        batch = data[i : i + 125]
        noise = torch.from_numpy(rng.normal(size=(len(batch), 5)).astype(np.float32))
        optimizer.zero_grad()
        recon, mu, logvar = model(batch, noise)
        loss = loss_function(recon, batch, mu, logvar)
        loss.backward()
        total += loss.item()
        optimizer.step()
    print(f"====> Epoch: {epoch} Average loss: {total / len(data):.3f}")
    first = first or total
assert total < first
with torch.no_grad():
    print(model.decode(torch.zeros(2, 5))[0, :8])
prior = torch.distributions.Normal(torch.zeros(5), torch.ones(5))
posterior = torch.distributions.Normal(mu, torch.exp(0.5 * logvar))
print(torch.distributions.kl_divergence(posterior, prior).sum().item())
