"""A small DCGAN: transposed convolutions against convolutions, batch normalisation, two optimisers, detached fakes."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn, optim

TOLERANCE = 1e-2  # A game of two networks in float32: small differences grow with every step.

nz, ngf, ndf = 8, 8, 8


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(nz, ngf * 2, 2, 1, 0, bias=False),
            nn.BatchNorm2d(ngf * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf * 2, ngf, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ngf),
            nn.ReLU(True),
            nn.ConvTranspose2d(ngf, 1, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, ndf, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf, ndf * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(ndf * 2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(ndf * 2, 1, 2, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input).view(-1, 1).squeeze(1)


rng = np.random.default_rng(0)


def weights_init(m):
    name = m.__class__.__name__
    if name.find("Conv") != -1:
        m.weight.data.copy_(torch.from_numpy((rng.normal(size=tuple(m.weight.shape)) * 0.1).astype(np.float32)))
    elif name.find("BatchNorm") != -1:
        nn.init.constant_(m.weight, 1.0)
        nn.init.zeros_(m.bias)


def noise(n):
    return torch.from_numpy(rng.normal(size=(n, nz, 1, 1)).astype(np.float32))


netG, netD = Generator(), Discriminator()
netG.apply(weights_init)
netD.apply(weights_init)
print(netG)
print(netD)
criterion = nn.BCELoss()
fixed = noise(4)
optimizerD = optim.Adam(netD.parameters(), lr=2e-4, betas=(0.5, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=2e-4, betas=(0.5, 0.999))
images = torch.tensor(load_digits().images[:320] / 8 - 1, dtype=torch.float32).unsqueeze(1)
for i in range(0, 320, 32):
    real = images[i : i + 32]
    netD.zero_grad()
    label = torch.full((32,), 1.0)
    output = netD(real)
    errD_real = criterion(output, label)
    errD_real.backward()
    D_x = output.mean().item()
    fake = netG(noise(32))
    label.fill_(0)
    output = netD(fake.detach())
    errD_fake = criterion(output, label)
    errD_fake.backward()
    errD = errD_real + errD_fake
    optimizerD.step()
    netG.zero_grad()
    label.fill_(1)
    output = netD(fake)
    errG = criterion(output, label)
    errG.backward()
    optimizerG.step()
    print(f"Loss_D: {errD.item():.3f} Loss_G: {errG.item():.3f} D(x): {D_x:.3f} D(G(z)): {output.mean().item():.3f}")
netG.eval()
with torch.no_grad():
    print(netG(fixed).shape, netG(fixed).abs().max().item() <= 1)
print(netG.main[1].num_batches_tracked, netD.main[3].running_var.mean().item())
