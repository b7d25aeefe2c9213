"""VGG-11 (Simonyan & Zisserman, 2015), with torchvision's names of layers."""

from __future__ import annotations

from typing import Any

from funcgrad.models.weights import load_weights
from funcgrad.torch import nn
from funcgrad.torch.ops.shapes import flatten

PLAN: list[Any] = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]


class VGG(nn.Module):
    """3x3 convolutions and pools, then three linear layers. Input (N, 3, H, W), output (N, num_classes)."""

    def __init__(self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5):
        nn.Module.__init__(self)
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096), nn.ReLU(True), nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU(True),
            nn.Dropout(dropout), nn.Linear(4096, num_classes),
        )  # fmt: skip
        if init_weights:
            for m in self.modules():
                if isinstance(m, nn.Conv2d):
                    nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
                    nn.init.zeros_(m.bias)
                elif isinstance(m, nn.Linear):
                    nn.init.normal_(m.weight, 0, 0.01)
                    nn.init.zeros_(m.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(flatten(self.avgpool(self.features(x)), 1))


def _features() -> nn.Sequential:
    layers: list[Any] = []
    channels = 3
    for item in PLAN:
        if item == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, item, 3, padding=1), nn.ReLU(True)]
            channels = item
    return nn.Sequential(*layers)


def vgg11(*, weights: Any = None, progress: bool = True, pretrained: Any = None, **kwargs: Any) -> VGG:
    """VGG-11. weights: the path of a checkpoint; see `load_weights`. progress is torchvision's, for downloads."""
    return load_weights(VGG(_features(), **kwargs), weights, pretrained, "vgg11", "vgg11-8a719046.pth")
