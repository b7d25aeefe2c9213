"""A spatial transformer on shifted digits: affine_grid, grid_sample, localisation; a siamese network with triplets;
an image fitted to another's Gram matrices.
"""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

TOLERANCE = 2e-3  # single precision over many steps

digits = load_digits()
chosen = digits.target < 4
raw = (digits.images[chosen][:96] / 16.0).astype(np.float32)
images = F.pad(torch.from_numpy(raw).unsqueeze(1), (0, 4, 4, 0))
labels = torch.from_numpy(digits.target[chosen][:96])


def filled(module, seed):
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in module.parameters():
            scale = p[0].numel() ** -0.5 if p.dim() > 1 else 0.05
            p.copy_(torch.from_numpy(rng.normal(size=tuple(p.shape)).astype(np.float32)) * scale)
    return module


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.localization = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.MaxPool2d(2, stride=2),
            nn.ReLU(True),
            nn.Conv2d(4, 5, 2),
            nn.AvgPool2d(2),
            nn.ReLU(True),
        )
        self.fc_loc = nn.Sequential(nn.Linear(20, 8), nn.ReLU(True), nn.Linear(8, 6))
        self.conv = nn.Conv2d(1, 6, 3, padding="same")
        self.norm = nn.GroupNorm(2, 6)
        self.fc = nn.Linear(6 * 9, 4)

    def stn(self, x):
        theta = self.fc_loc(self.localization(x).view(-1, 20)).view(-1, 2, 3)
        grid = F.affine_grid(theta, x.size(), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(F.relu(self.norm(self.conv(self.stn(x)))), 3)
        return F.log_softmax(self.fc(x.flatten(1)), dim=1)


model = filled(Net(), 0)
model.fc_loc[2].weight.data.zero_()
model.fc_loc[2].bias.data.copy_(torch.tensor([0.83, 0.02, 0.11, -0.03, 0.87, 0.07]))

optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
losses = []
for _ in range(8):
    optimizer.zero_grad()
    loss = F.nll_loss(model(images), labels)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print([f"{v:.4f}" for v in losses], model.fc_loc[2].bias)
assert losses[-1] < losses[0]
with torch.no_grad():
    print(model.stn(images[:1])[0, 0, 5:8], model(images).max(1, keepdim=True)[1].eq(labels.view(-1, 1)).sum())

embed = filled(nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.PReLU(), nn.Linear(16, 4)), 1)
triplet = nn.TripletMarginLoss(margin=0.5)
optimizer = torch.optim.RMSprop(embed.parameters(), lr=3e-3)
order = torch.argsort(labels, stable=True)
count = torch.bincount(labels).min()
groups = torch.stack([order[labels[order] == k][:count] for k in range(4)])
for _ in range(6):
    optimizer.zero_grad()
    anchor, positive = embed(images[groups[:, 0::2].flatten()[:40]]), embed(images[groups[:, 1::2].flatten()[:40]])
    negative = embed(images[groups.roll(1, dims=0)[:, 0::2].flatten()[:40]])
    loss = triplet(anchor, positive, negative) + F.cosine_embedding_loss(anchor, negative, -torch.ones(40), margin=0.2)
    loss.backward()
    optimizer.step()
    print(f"{loss.item():.4f}", end=" ")
print(F.pairwise_distance(anchor, positive)[:3])


def gram(features):
    n, c, h, w = features.shape
    flat = features.reshape(n, c, h * w)
    return torch.bmm(flat, flat.transpose(1, 2)) / (c * h * w)


filters = filled(nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 6, 3), nn.ReLU()), 2).requires_grad_(False)
style, content = gram(filters(images[3:4])), filters(images[5:6])
canvas = images[5:6].clone().requires_grad_(True)
optimizer = torch.optim.LBFGS([canvas], max_iter=5, line_search_fn="strong_wolfe")
history: list[float] = []


def closure():
    with torch.no_grad():
        canvas.clamp_(0, 1)
    optimizer.zero_grad()
    features = filters(canvas)
    loss = 1e3 * F.mse_loss(gram(features), style) + F.mse_loss(features, content)
    loss.backward()
    history.append(loss.item())
    return loss


for _ in range(2):
    optimizer.step(closure)
print(len(history) > 4, f"{history[0]:.4f} {history[-1]:.3f}", all(p.grad is None for p in filters.parameters()))
assert history[-1] < history[0]
