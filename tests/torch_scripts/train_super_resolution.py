"""Super-resolution with an efficient sub-pixel network (Shi et al. 2016): digits of 4x4 pixels are made 8x8 again."""

import math

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn, optim
from torch.nn import init

TOLERANCE = 3e-3  # Twenty steps of training in float32.


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 16, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(16, 16, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(16, 8, (3, 3), (1, 1), (1, 1))
        self.conv4 = nn.Conv2d(8, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.relu(self.conv3(x))
        return self.pixel_shuffle(self.conv4(x))

    def _initialize_weights(self):
        init.orthogonal_(self.conv1.weight, init.calculate_gain("relu"))
        init.orthogonal_(self.conv4.weight)


model = Net(2)
flat = model.conv4.weight.detach().flatten(1)
print(torch.allclose(flat @ flat.T, torch.eye(4), atol=1e-5))
rng = np.random.default_rng(0)
with torch.no_grad():
    for p in model.parameters():
        spread = 1 / math.sqrt(p[0].numel()) if p.dim() > 1 else 0.01
        p.copy_(torch.from_numpy((rng.normal(size=tuple(p.shape)) * spread).astype(np.float32)))
images = torch.tensor(load_digits().images / 16, dtype=torch.float32).unsqueeze(1)
small = nn.functional.avg_pool2d(images, 2)
bicubic = nn.functional.interpolate(small, scale_factor=2, mode="bicubic", align_corners=False)
print("bicubic", 10 * math.log10(1 / nn.functional.mse_loss(bicubic, images).item()))
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=1e-2)
losses = []
for step in range(20):
    rows = slice(64 * step, 64 * step + 64)
    optimizer.zero_grad()
    loss = criterion(model(small[rows]), images[rows])
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print([round(v, 4) for v in losses[::4]])
with torch.no_grad():
    mse = criterion(model(small[1400:]), images[1400:])
print(f"Avg. PSNR: {10 * math.log10(1 / mse.item()):.2f} dB")
assert losses[-1] < losses[0]
