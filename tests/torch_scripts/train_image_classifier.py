"""An image classifier: a convolutional network on scikit-learn's digits, with a DataLoader, a schedule and an evaluation."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn, optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Subset, TensorDataset

TOLERANCE = 5e-3  # Forty steps of training in float32; the accuracies may differ by an image or two.


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout1 = nn.Dropout(0.0)
        self.fc1 = nn.Linear(16 * 2 * 2, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


def fill(module):
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for p in module.parameters():
            scale = 1 / np.sqrt(max(p[0].numel(), 1)) if p.dim() > 1 else 0.0
            p.copy_(torch.from_numpy((rng.normal(size=tuple(p.shape)) * scale * 1.4).astype(np.float32)))
    return module


def train(model, loader, optimizer, epoch):
    model.train()
    for batch, (data, target) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if batch % 4 == 0:
            print(f"Train Epoch: {epoch} [{batch * len(data)}/{len(loader.dataset)}] Loss: {loss.item():.3f}")


def test(model, loader):
    model.eval()
    loss = correct = 0
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            loss += F.nll_loss(output, target, reduction="sum").item()
            correct += (
                output.argmax(dim=1, keepdim=True).eq(target.view_as(output.argmax(dim=1, keepdim=True))).sum().item()
            )
    print(f"Average loss: {loss / len(loader.dataset):.3f}")
    return correct / len(loader.dataset)


digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
dataset = TensorDataset(images, torch.tensor(digits.target))
train_loader = DataLoader(Subset(dataset, range(1280)), batch_size=64, shuffle=False)
test_loader = DataLoader(Subset(dataset, range(1280, 1797)), batch_size=200)
model = fill(Net())
optimizer = optim.Adadelta(model.parameters(), lr=1.0)
scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
for epoch in range(1, 5):
    train(model, train_loader, optimizer, epoch)
    accuracy = test(model, test_loader)
    scheduler.step()
assert accuracy > 0.6, accuracy
print([tuple(p.shape) for p in model.state_dict().values()])
