"""Fine-tuning: a ResNet-18 learns eight of the ten digits, is frozen, gets a new head, and learns all ten with it.

The frozen part costs no backward and saves nothing. Both training steps are compiled whole. Draws the learning curves and the
first filters:

    python examples/finetune_resnet.py --out finetune.png
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from tqdm import tqdm

import funcgrad.torch as torch
from funcgrad import models
from funcgrad.torch import nn, optim
from funcgrad.torch.utils.data import DataLoader, TensorDataset


def digits() -> tuple[TensorDataset, TensorDataset]:
    """Images (N, 3, 8, 8) in [-1, 1] with their classes: four fifths to learn from, one fifth to test on."""
    data = load_digits()
    images = torch.tensor(data.images / 8 - 1, dtype=torch.float32).unsqueeze(1).repeat(1, 3, 1, 1)
    classes = torch.tensor(data.target)
    order = torch.randperm(len(classes))
    cut = len(classes) * 4 // 5
    train, test = order[:cut], order[cut:]
    return TensorDataset(images[train], classes[train]), TensorDataset(images[test], classes[test])


def only(data: TensorDataset, count: int) -> TensorDataset:
    """The examples of the first `count` classes."""
    images, classes = data.tensors
    chosen = classes < count
    return TensorDataset(images[chosen], classes[chosen])


def small_resnet(classes: int) -> models.ResNet:
    """ResNet-18 for small images: a 3x3 stem without stride, no pool."""
    model = models.resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    model.maxpool = nn.Identity()
    return model


def train(model: models.ResNet, data: TensorDataset, optimizer: optim.Optimizer, epochs: int, name: str) -> list[float]:
    """The loss of each epoch."""

    def step(images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), classes)
        loss.backward()
        optimizer.step()
        return loss

    compiled = torch.compile(step)
    loader = DataLoader(data, batch_size=64, shuffle=True, drop_last=True)
    losses = []
    for _ in tqdm(range(epochs), desc=name):
        losses.append(float(np.mean([compiled(x, y).item() for x, y in loader])))
    return losses


def accuracy(model: models.ResNet, data: TensorDataset) -> float:
    """The share of examples whose class the model finds, in percent."""
    model.eval()
    images, classes = data.tensors
    with torch.no_grad():
        found = model(images).argmax(1)
    model.train()
    return 100 * (found == classes).float().mean().item()


def draw(before: list[float], after: list[float], filters: np.ndarray, out: str) -> None:
    """Learning curves beside the first filters."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5))
    left.plot(range(1, len(before) + 1), before, "o-", label="all layers, eight digits")
    left.plot(range(len(before) + 1, len(before) + len(after) + 1), after, "s-", label="new head only, ten digits")
    left.set(xlabel="epoch", ylabel="cross-entropy", yscale="log", title="training")
    left.legend()
    rows = [
        np.concatenate([np.pad(f, 1, constant_values=np.nan) for f in filters[i : i + 8]], 1) for i in range(0, 64, 8)
    ]
    right.imshow(np.concatenate(rows, 0), cmap="coolwarm")
    right.set(title="the 64 first filters (mean over colours)", xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6, help="epochs of pre-training, and of fine-tuning")
    parser.add_argument("--out", default="finetune.png", help="where the picture goes")
    options = parser.parse_args()
    if options.epochs < 1:
        parser.error(f"at least 1 epoch is needed, got {options.epochs}")
    torch.manual_seed(0)
    learn, test = digits()

    model = small_resnet(classes=8)
    first = train(
        model, only(learn, 8), optim.SGD(model.parameters(), lr=0.02, momentum=0.9), options.epochs, "eight digits"
    )
    print(f"pre-trained: {accuracy(model, only(test, 8)):.1f}% of the eight digits read right")

    for param in model.parameters():
        param.requires_grad = False
        param.grad = None
    model.fc = nn.Linear(512, 10)
    second = train(
        model, learn, optim.SGD(model.fc.parameters(), lr=1e-2, momentum=0.9), options.epochs, "ten digits, head only"
    )
    print("parameters with a gradient:", [name for name, p in model.named_parameters() if p.grad is not None])
    print(f"fine-tuned: {accuracy(model, test):.1f}% of the ten digits read right")
    draw(first, second, model.conv1.weight.detach().numpy().mean(1), options.out)
    print("learning curves and filters:", options.out)


if __name__ == "__main__":
    main()
